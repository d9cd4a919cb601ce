// The service behind a plain TCP relay: every byte comes back, none is kept, or they come without end.
//
// While an echo waits for the socket, nothing more is read from it.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buffer.h"
#include "failure.h"
#include "serve.h"

enum { EVENTS_PER_WAIT = 256, RECEIVE_SIZE = 256 << 10, MOST_SOCKETS = 1 << 16 };

// By the number of the socket.
static struct buffer unechoed[MOST_SOCKETS];

static void watch(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (fd >= MOST_SOCKETS)
        fail("more than %d sockets", MOST_SOCKETS);
    if (epoll_ctl(epoll, operation, fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
}

static void accept_all(int epoll, int listener, enum raw raw)
{
    const int on = 1;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(epoll, EPOLL_CTL_ADD, fd, raw == RAW_SOURCE ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

static bool may_go_on(ssize_t result) { return result > 0 || (result < 0 && (errno == EAGAIN || errno == EINTR)); }

// MSG_TRUNC: a sink's bytes are dropped without being copied.
static bool receive(int epoll, int fd, enum raw raw)
{
    static uint8_t bytes[RECEIVE_SIZE];
    const ssize_t length = recv(fd, bytes, sizeof bytes, raw == RAW_ECHO ? 0 : MSG_TRUNC);
    if (raw != RAW_ECHO || length <= 0)
        return may_go_on(length);
    ssize_t sent = send(fd, bytes, (size_t)length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN)
        sent = 0;
    if (sent >= 0 && sent < length) {
        memcpy(buffer_append(&unechoed[fd], (size_t)(length - sent)), bytes + sent, (size_t)(length - sent));
        watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT);
    }
    return sent >= 0;
}

static bool send_more(int epoll, int fd, struct reply reply)
{
    if (reply.raw != RAW_ECHO)
        return may_go_on(send(fd, reply.bytes, reply.length, MSG_NOSIGNAL));
    switch (buffer_flush(&unechoed[fd], fd)) {
    case FLUSH_DONE: watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN); return true;
    case FLUSH_BLOCKED: return true;
    case FLUSH_FAILED: break;
    }
    return false;
}

static void end(int fd)
{
    buffer_free(&unechoed[fd]);
    close(fd);
}

void serve_plain_raw(uint16_t port, struct reply reply)
{
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    const int listener = open_listener(port);
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[EVENTS_PER_WAIT];
        const int count = epoll_wait(epoll, events, EVENTS_PER_WAIT, -1);
        for (int i = 0; i < count; i++) {
            const int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(epoll, listener, reply.raw);
            else if ((events[i].events & EPOLLOUT && !send_more(epoll, fd, reply))
                     || (events[i].events & ~(uint32_t)EPOLLOUT && !receive(epoll, fd, reply.raw)))
                end(fd);
        }
    }
}
