// The service as HAProxy and nginx want it: an HTTP/1.1 server that keeps its connections alive. One thread, epoll,
// one receive and one send for all the requests that one receive brought.
#define _GNU_SOURCE
#include <arpa/inet.h>
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
#include "request.h"
#include "serve.h"

enum { EVENTS_PER_WAIT = 256, RECEIVE_SIZE = 64 << 10 };

struct connection {
    int fd;
    struct request request;
    struct buffer out;
};

int open_listener(uint16_t port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0
        || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, SOMAXCONN) < 0)
        fail("cannot listen on 127.0.0.1:%u: %s", port, strerror(errno));
    return fd;
}

static void watch(int epoll, int operation, int fd, uint32_t events, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};
    if (epoll_ctl(epoll, operation, fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
}

static void accept_all(int epoll, int listener)
{
    for (;;) {
        const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *const connection = calloc(1, sizeof *connection);
        if (!connection)
            fail("no memory for a connection");
        connection->fd = fd;
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, connection);
    }
}

static void close_connection(struct connection *connection)
{
    close(connection->fd);
    request_free(&connection->request);
    buffer_free(&connection->out);
    free(connection);
}

// Appends a reply for every request that ends in these bytes. False if one of them is not supported.
static bool answer(struct connection *connection, const char *cursor, const char *end, struct reply reply)
{
    for (;;) {
        switch (request_read(&connection->request, &cursor, end)) {
        case REQUEST_INCOMPLETE:
            return true;
        case REQUEST_UNSUPPORTED:
            return false;
        case REQUEST_COMPLETE:
            memcpy(buffer_append(&connection->out, reply.length), reply.bytes, reply.length);
        }
    }
}

// While replies wait for the socket, no further request is read: the peer's window fills, not this process's memory.
static void flush(int epoll, struct connection *connection, bool was_blocked)
{
    switch (buffer_flush(&connection->out, connection->fd)) {
    case FLUSH_DONE:
        if (was_blocked)
            watch(epoll, EPOLL_CTL_MOD, connection->fd, EPOLLIN, connection);
        return;
    case FLUSH_BLOCKED:
        if (!was_blocked)
            watch(epoll, EPOLL_CTL_MOD, connection->fd, EPOLLOUT, connection);
        return;
    case FLUSH_FAILED:
        close_connection(connection);
    }
}

static void receive(int epoll, struct connection *connection, struct reply reply)
{
    static char bytes[RECEIVE_SIZE];
    const ssize_t length = recv(connection->fd, bytes, sizeof bytes, 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0 || !answer(connection, bytes, bytes + length, reply))
        close_connection(connection);
    else
        flush(epoll, connection, false);
}

void serve_plain(uint16_t port, struct reply reply)
{
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    const int listener = open_listener(port);
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        struct epoll_event events[EVENTS_PER_WAIT];
        const int count = epoll_wait(epoll, events, EVENTS_PER_WAIT, -1);
        for (int i = 0; i < count; i++) {
            struct connection *const connection = events[i].data.ptr;
            if (!connection)
                accept_all(epoll, listener);
            else if (buffer_length(&connection->out) > 0)
                flush(epoll, connection, true);
            else
                receive(epoll, connection, reply);
        }
    }
}
