// What moving bytes between two sockets costs by itself: epoll, a pipe each way, splice(2), nothing else. No frames, no
// streams, no limits.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../service/failure.h"
#include "floor.h"

enum { PIPE_BYTES = 256 << 10, TURN_BYTES = 4 << 20, EVENTS_PER_WAIT = 64 };

struct half {
    int from, to, pipe[2];
    ssize_t piped;
    struct half *other;
};

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int open_listener(uint16_t port)
{
    const int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const struct sockaddr_in local = loopback(port);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0
        || bind(fd, (const struct sockaddr *)&local, sizeof local) < 0 || listen(fd, 4096) < 0)
        fail("cannot listen on port %u: %s", port, strerror(errno));
    return fd;
}

static int dial(uint16_t port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in to = loopback(port);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        fail("cannot connect to port %u: %s", port, strerror(errno));
    return fd;
}

static void watch(int epoll, struct half *half, int from, int to)
{
    const int on = 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = half};
    half->from = from, half->to = to;
    if (pipe2(half->pipe, O_NONBLOCK | O_CLOEXEC) < 0 || fcntl(half->pipe[1], F_SETPIPE_SZ, PIPE_BYTES) < 0
        || setsockopt(from, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0
        || epoll_ctl(epoll, EPOLL_CTL_ADD, from, &event) < 0)
        fail("no relay: %s", strerror(errno));
}

static void accept_all(int epoll, int listener, uint16_t backend)
{
    for (int client; (client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct half *const halves = calloc(2, sizeof *halves);
        if (!halves)
            fail("no memory for a relay");
        const int service = dial(backend);
        halves[0].other = &halves[1], halves[1].other = &halves[0];
        watch(epoll, &halves[0], client, service);
        watch(epoll, &halves[1], service, client);
    }
}

// Both sockets end together: whoever finishes one direction has finished.
static void end(struct half *half)
{
    for (struct half *one = half; one; one = one == half ? half->other : NULL) {
        close(one->from);
        close(one->pipe[0]);
        close(one->pipe[1]);
        one->from = -1;
    }
}

static void move(struct half *half)
{
    const unsigned flags = SPLICE_F_NONBLOCK | SPLICE_F_MOVE;
    for (ssize_t moved = 0; half->from >= 0 && moved < TURN_BYTES;) {
        ssize_t in = -1;
        if (half->piped < PIPE_BYTES) {
            in = splice(half->from, NULL, half->pipe[1], NULL, (size_t)(PIPE_BYTES - half->piped), flags);
            if (in == 0 || (in < 0 && errno != EAGAIN))
                return end(half);
        }
        if (in > 0)
            half->piped += in;
        if (half->piped == 0)
            return;
        const ssize_t out = splice(half->pipe[0], NULL, half->to, NULL, (size_t)half->piped, flags);
        if (out < 0 && errno != EAGAIN)
            return end(half);
        if (out <= 0)
            return;
        half->piped -= out;
        moved += out;
    }
}

void run_splice(uint16_t port, uint16_t backend)
{
    const int epoll = epoll_create1(EPOLL_CLOEXEC), listener = open_listener(port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        struct epoll_event events[EVENTS_PER_WAIT];
        const int count = epoll_wait(epoll, events, EVENTS_PER_WAIT, -1);
        for (int i = 0; i < count; i++) {
            struct half *const half = events[i].data.ptr;
            if (!half)
                accept_all(epoll, listener, backend);
            else if (half->from >= 0) {
                move(half);
                if (half->from >= 0 && events[i].events & EPOLLOUT)
                    move(half->other);
            }
        }
    }
}
