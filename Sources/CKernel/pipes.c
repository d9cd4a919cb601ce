#include "CKernel.h"

int ck_pipe(int ends[2], int size) {
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return -errno;
    // Refused (EPERM) when the user's pipes together have as many pages as an unprivileged one may have.
    fcntl(ends[1], F_SETPIPE_SZ, size);
    int granted = fcntl(ends[1], F_GETPIPE_SZ);
    if (granted >= 0) return granted;
    int error = errno;
    close(ends[0]);
    close(ends[1]);
    return -error;
}

int ck_open_nowhere(void) {
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

ssize_t ck_splice(int from, int to, size_t count) {
    ssize_t moved;
    do moved = splice(from, NULL, to, NULL, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (moved < 0 && errno == EINTR);
    return moved >= 0 ? moved : -errno;
}

ssize_t ck_read_now(int fd, void *bytes, size_t count) {
    ssize_t taken;
    do taken = read(fd, bytes, count);
    while (taken < 0 && errno == EINTR);
    return taken >= 0 ? taken : -errno;
}

ssize_t ck_send_message_now(int fd, const struct msghdr *message, bool has_more) {
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (has_more ? MSG_MORE : 0);
    ssize_t sent;
    do sent = sendmsg(fd, message, flags);
    while (sent < 0 && errno == EINTR);
    return sent >= 0 ? sent : -errno;
}
