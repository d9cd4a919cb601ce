// The service as the proxy wants it: sessions in one epoll set, a receive and a send for all the streams of a batch.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "failure.h"
#include "registration.h"
#include "serve.h"
#include "session.h"

enum { EVENTS_PER_WAIT = 64, RECEIVE_SIZE = 256 << 10 };

struct endpoint {
    int fd;
    bool blocked;  // watched for room to send as well
    struct session *session;
};

static void watch(int epoll, int operation, struct endpoint *endpoint)
{
    struct epoll_event event = {.events = EPOLLIN | (endpoint->blocked ? EPOLLOUT : 0), .data.ptr = endpoint};
    if (epoll_ctl(epoll, operation, endpoint->fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
}

// Sends what there is. A full socket never stops receiving: what streams want to send waits in their windows instead.
static bool send_all(int epoll, struct endpoint *endpoint)
{
    enum flush_result result;
    bool more;
    do {
        more = session_fill(endpoint->session);
        result = buffer_flush(&endpoint->session->out, endpoint->fd);
    } while (result == FLUSH_DONE && more);
    if (result == FLUSH_FAILED)
        return false;
    const bool blocked = result == FLUSH_BLOCKED;
    if (blocked != endpoint->blocked) {
        endpoint->blocked = blocked;
        watch(epoll, EPOLL_CTL_MOD, endpoint);
    }
    return true;
}

static bool receive(struct endpoint *endpoint)
{
    static uint8_t bytes[RECEIVE_SIZE];
    const ssize_t length = recv(endpoint->fd, bytes, sizeof bytes, 0);
    if (length < 0)
        return errno == EAGAIN || errno == EINTR;
    session_receive(endpoint->session, bytes, (size_t)length);
    return length > 0;
}

static struct endpoint *register_endpoints(int epoll, const struct registration *registration,
                                           const char *const *paths, int path_count, int count, struct reply reply)
{
    struct endpoint *const endpoints = calloc((size_t)count, sizeof *endpoints);
    if (!endpoints)
        fail("no memory for %d sessions", count);
    for (int i = 0; i < count; i++) {
        endpoints[i].fd = register_service(registration, paths[i % path_count]);
        endpoints[i].session = session_create(reply);
        watch(epoll, EPOLL_CTL_ADD, &endpoints[i]);
    }
    return endpoints;
}

void serve_yamux(const struct registration *registration, const char *const *paths, int path_count, int sessions,
                 struct reply reply)
{
    int left = sessions * path_count;
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct endpoint *const endpoints = register_endpoints(epoll, registration, paths, path_count, left, reply);
    while (left > 0) {
        struct epoll_event events[EVENTS_PER_WAIT];
        const int count = epoll_wait(epoll, events, EVENTS_PER_WAIT, -1);
        for (int i = 0; i < count; i++) {
            struct endpoint *const endpoint = events[i].data.ptr;
            if (receive(endpoint) && send_all(epoll, endpoint))
                continue;
            close(endpoint->fd);
            session_free(endpoint->session);
            left--;
        }
    }
    free(endpoints);
    fail("the proxy has closed every session");
}
