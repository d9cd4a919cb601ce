#include "CKernel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/utsname.h>

int ck_epoll_create(void) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

int ck_epoll_set(int epoll_fd, int operation, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data = {.u64 = data}};
    return epoll_ctl(epoll_fd, operation, fd, &event) == 0 ? 0 : -errno;
}

int ck_epoll_wait(int epoll_fd, struct epoll_event *events, int capacity, int timeout_milliseconds) {
    int count = epoll_wait(epoll_fd, events, capacity, timeout_milliseconds);
    return count >= 0 ? count : -errno;
}

int ck_make_eventfd(bool blocking) {
    int fd = eventfd(0, EFD_CLOEXEC | (blocking ? 0 : EFD_NONBLOCK));
    return fd >= 0 ? fd : -errno;
}

uint64_t ck_take_eventfd(int fd) {
    uint64_t count = 0;
    return read(fd, &count, sizeof count) == (ssize_t)sizeof count ? count : 0;
}

int ck_processors(int *numbers, int capacity) {
    cpu_set_t set;
    int count = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        // Forbidden by a filter, or more processors than fit into the set.
        long all = sysconf(_SC_NPROCESSORS_CONF);
        for (; count < all && count < capacity; count++) numbers[count] = count;
        return count;
    }
    for (int i = 0; i < CPU_SETSIZE && count < capacity; i++)
        if (CPU_ISSET(i, &set)) numbers[count++] = i;
    return count;
}

int ck_pin_thread(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    return -pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

void ck_block_pipe_signal(void) {
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
}

void ck_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

uint64_t ck_thread_microseconds(pthread_t thread) {
    clockid_t clock;
    struct timespec time;
    if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_nsec / 1000u;
}

int ck_join_thread(pthread_t thread, int patience_milliseconds) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += patience_milliseconds / 1000;
    end.tv_nsec += patience_milliseconds % 1000 * 1000000L;
    if (end.tv_nsec >= 1000000000L) {
        end.tv_sec += 1;
        end.tv_nsec -= 1000000000L;
    }
    // By the monotonic clock the thread sanitizer would not learn of it.
    return -pthread_timedjoin_np(thread, NULL, &end);
}

static uint64_t limit(int resource) {
    struct rlimit value;
    return getrlimit(resource, &value) == 0 ? value.rlim_cur : 0;
}

uint64_t ck_raise_descriptor_limit(void) {
    struct rlimit value;
    if (getrlimit(RLIMIT_NOFILE, &value) != 0) return 1024;
    value.rlim_cur = value.rlim_max;
    setrlimit(RLIMIT_NOFILE, &value);
    return limit(RLIMIT_NOFILE);
}

uint64_t ck_locked_memory_limit(void) { return limit(RLIMIT_MEMLOCK); }

uint64_t ck_random(void) {
    uint64_t value = 0;
    // It was there when the program started (ck_check_process), and without a seed nothing may go on.
    while (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value)
        if (errno != EINTR) abort();
    return value;
}

void ck_pause_milliseconds(int milliseconds) { usleep((useconds_t)milliseconds * 1000); }

const char *ck_error_text(int error) {
    const char *text = strerrordesc_np(error);
    return text != NULL ? text : "unknown error";
}

int ck_kernel_release(char *text, int capacity) {
    struct utsname name;
    if (uname(&name) != 0) return -errno;
    int count = (int)strnlen(name.release, sizeof name.release);
    if (count > capacity) count = capacity;
    memcpy(text, name.release, (size_t)count);
    return count;
}

int ck_forbid_core_dumps(void) {
    // The limit alone does not hold for programs that the kernel pipes dumps into.
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : -errno;
}

void ck_wipe(void *bytes, size_t count) {
    if (count > 0) explicit_bzero(bytes, count);
}
