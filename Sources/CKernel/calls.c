#include "CKernel.h"

#include <sys/ioctl.h>

// Each is called in a way that no kernel carries out: with a descriptor that is not open, or flags that are not there.
// What a filter of system calls answers instead (EPERM, EACCES, ENOSYS) is none of the kernel's errors for that.
static bool is_refusal(int error) { return error == EPERM || error == EACCES || error == ENOSYS; }

#define NOTHING (-1)
#define TRY(call_name, call)                                                                                           \
    do {                                                                                                               \
        if ((long)(call) < 0 && is_refusal(errno)) return refused(call_name, errno, name, capacity);                   \
    } while (0)

static int refused(const char *call, int error, char *name, int capacity) {
    size_t count = strnlen(call, (size_t)capacity - 1);
    memcpy(name, call, count);
    name[count] = 0;
    return -error;
}

int ck_refused_call(char *name, int capacity) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct msghdr message = {.msg_iov = NULL};
    struct epoll_event event;
    socklen_t size = sizeof address;
    int number = 0;
    TRY("epoll_create1", epoll_create1(NOTHING));
    TRY("epoll_ctl", epoll_ctl(NOTHING, EPOLL_CTL_DEL, NOTHING, &event));
    TRY("epoll_wait", epoll_wait(NOTHING, &event, 1, 0));
    TRY("eventfd2", eventfd(0, NOTHING));
    TRY("signalfd4", signalfd(NOTHING, &(sigset_t){0}, NOTHING));
    TRY("accept4", accept4(NOTHING, NULL, NULL, 0));
    TRY("bind", bind(NOTHING, (struct sockaddr *)&address, sizeof address));
    TRY("listen", listen(NOTHING, 1));
    TRY("connect", connect(NOTHING, (struct sockaddr *)&address, sizeof address));
    TRY("getsockname", getsockname(NOTHING, (struct sockaddr *)&address, &size));
    TRY("getpeername", getpeername(NOTHING, (struct sockaddr *)&address, &size));
    TRY("setsockopt", setsockopt(NOTHING, SOL_SOCKET, SO_REUSEADDR, &number, sizeof number));
    size = sizeof number;
    TRY("getsockopt", getsockopt(NOTHING, SOL_SOCKET, SO_TYPE, &number, &size));
    TRY("recvfrom", recv(NOTHING, &number, sizeof number, MSG_DONTWAIT));
    TRY("sendto", send(NOTHING, &number, sizeof number, MSG_DONTWAIT | MSG_NOSIGNAL));
    TRY("sendmsg", sendmsg(NOTHING, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
    TRY("shutdown", shutdown(NOTHING, SHUT_RDWR));
    TRY("fcntl", fcntl(NOTHING, F_GETFL));
    TRY("ioctl", ioctl(NOTHING, FIONREAD, &number));
    return 0;
}

bool ck_may_splice(void) {
    ssize_t moved = splice(NOTHING, NULL, NOTHING, NULL, 1, SPLICE_F_NONBLOCK);
    if (moved < 0 && is_refusal(errno)) return false;
    int made = pipe2(NULL, NOTHING);
    return !(made < 0 && is_refusal(errno));
}

int ck_may_pin(void) {
    // Asked for what holds already.
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return -errno;
    return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : -errno;
}
