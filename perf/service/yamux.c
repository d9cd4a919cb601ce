// The service as the proxy wants it: sessions in one epoll set, a receive and a send for all the streams of a batch.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "failure.h"
#include "frame.h"
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

static enum flush_result flush(struct session *session, int fd)
{
    while (session->tail_length > 0) {
        struct buffer *const out = &session->out;
        struct iovec parts[] = {
            {out->bytes + out->head, buffer_length(out)},
            {(void *)session->tail, session->tail_length},
        };
        const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        const ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN ? FLUSH_BLOCKED : FLUSH_FAILED;
        const size_t of_out = (size_t)sent < parts[0].iov_len ? (size_t)sent : parts[0].iov_len;
        out->head += of_out;
        session->tail += (size_t)sent - of_out;
        session->tail_length -= (size_t)sent - of_out;
        if (session->tail_length == 0) {
            out->head = out->tail = 0;
            session_end_tail(session);
        }
    }
    return buffer_flush(&session->out, fd);
}

// Sends what there is. A full socket never stops receiving: what streams want to send waits in their windows instead.
static bool send_all(int epoll, struct endpoint *endpoint)
{
    enum flush_result result;
    bool more;
    do {
        more = session_fill(endpoint->session);
        result = flush(endpoint->session, endpoint->fd);
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

// What a sink gets is dropped without being copied (MSG_TRUNC), so headers are received by themselves.
static bool receive_unseen(struct endpoint *endpoint)
{
    struct session *const session = endpoint->session;
    uint8_t header[HEADER_LENGTH];
    for (int turn = 0; turn < 64; turn++) {
        const size_t unseen = session_unseen(session);
        const size_t wanted = unseen ? unseen : session_header_missing(session);
        const ssize_t length = recv(endpoint->fd, header, wanted, unseen ? MSG_TRUNC : 0);
        if (length < 0)
            return errno == EAGAIN || errno == EINTR;
        if (unseen)
            session_skip(session, (size_t)length);
        else
            session_receive(session, header, (size_t)length);
        if ((size_t)length < wanted)
            return length > 0;
    }
    return true;
}

static bool receive(struct endpoint *endpoint)
{
    if (endpoint->session->reply.raw == RAW_SINK)
        return receive_unseen(endpoint);
    static uint8_t bytes[RECEIVE_SIZE];
    const ssize_t length = recv(endpoint->fd, bytes, sizeof bytes, 0);
    if (length < 0)
        return errno == EAGAIN || errno == EINTR;
    session_receive(endpoint->session, bytes, (size_t)length);
    return length > 0;
}

static struct endpoint *register_endpoints(int epoll, const struct registration *registration,
                                           const char *const *paths, int path_count, int count, struct reply reply,
                                           uint32_t window)
{
    struct endpoint *const endpoints = calloc((size_t)count, sizeof *endpoints);
    if (!endpoints)
        fail("no memory for %d sessions", count);
    for (int i = 0; i < count; i++) {
        endpoints[i].fd = register_service(registration, paths[i % path_count]);
        endpoints[i].session = session_create(reply, window);
        watch(epoll, EPOLL_CTL_ADD, &endpoints[i]);
    }
    return endpoints;
}

void serve_yamux(const struct registration *registration, const char *const *paths, int path_count, int sessions,
                 struct reply reply, uint32_t window)
{
    int left = sessions * path_count;
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct endpoint *const endpoints = register_endpoints(epoll, registration, paths, path_count, left, reply, window);
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
