// A server without a service: receive, count heads, send. What any proxy has to do on its clients' side alone.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../ring/ring.h"
#include "../service/failure.h"
#include "floor.h"
#include "heads.h"

enum { BATCH = 64, BATCH_BYTES = 256 << 10 };  // replies that one send can carry, if they are small
enum { ACCEPTED, RECEIVED, SENT };

struct connection {
    uint8_t matched;
    bool receiving, sending, ended;
    uint32_t due;  // replies
};

static struct ring ring;
static struct buffers buffers;
static struct connection connections[CONNECTIONS];
static uint8_t *replies;       // the same one, again and again
static uint32_t reply_length;
static uint32_t batch;         // how many of them there are
static bool closing;

static void make_replies(uint32_t size)
{
    char head[128];
    const int head_length = snprintf(
        head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %u\r\n%s\r\n", size,
        closing ? "Connection: close\r\n" : "");
    reply_length = (uint32_t)head_length + size;
    batch = reply_length * BATCH <= BATCH_BYTES ? BATCH : 1;
    replies = malloc((size_t)reply_length * batch);
    if (!replies)
        fail("no memory for replies");
    for (uint32_t i = 0; i < batch; i++) {
        uint8_t *const reply = replies + (size_t)i * reply_length;
        memcpy(reply, head, (size_t)head_length);
        for (uint32_t j = 0; j < size; j++)
            reply[(uint32_t)head_length + j] = (uint8_t)"hello\n"[j % 6];
    }
}

// A descriptor is not closed before the kernel has done with it, because its number is the connection's name.
static void close_if_done(int fd)
{
    struct connection *const connection = &connections[fd];
    if (connection->ended && !connection->receiving && !connection->sending)
        close(fd);
}

static void receive(int fd)
{
    connections[fd].receiving = true;
    ring_receive(&ring, fd, &buffers, !closing, ring_token(RECEIVED, (uint32_t)fd));
}

static void send_replies(int fd)
{
    struct connection *const connection = &connections[fd];
    const uint32_t count = connection->due < batch ? connection->due : batch;
    if (count == 0 || connection->sending || connection->ended)
        return;
    connection->due -= count;
    connection->sending = true;
    ring_send(&ring, fd, replies, (size_t)count * reply_length, ring_token(SENT, (uint32_t)fd));
}

static void accepted(int listener, const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE))
        ring_accept(&ring, listener, ring_token(ACCEPTED, (uint32_t)listener));
    if (cqe->res < 0)
        return;
    if (cqe->res >= CONNECTIONS)
        fail("descriptor %d is too high", cqe->res);
    connections[cqe->res] = (struct connection){0};
    receive(cqe->res);
}

static void received(int fd, const struct io_uring_cqe *cqe)
{
    struct connection *const connection = &connections[fd];
    connection->receiving = cqe->flags & IORING_CQE_F_MORE;
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        const uint16_t number = buffers_number(cqe);
        if (cqe->res > 0)
            connection->due += count_heads(&connection->matched, buffers_bytes(&buffers, number), (size_t)cqe->res);
        buffers_return(&buffers, number);
    }
    if (cqe->res <= 0 && cqe->res != -ENOBUFS)
        connection->ended = true;
    send_replies(fd);
    if (!connection->receiving && !connection->ended && !(closing && connection->sending))
        receive(fd);
    close_if_done(fd);
}

static void sent(int fd, const struct io_uring_cqe *cqe)
{
    struct connection *const connection = &connections[fd];
    connection->sending = false;
    if (cqe->res < 0)
        shutdown(fd, SHUT_RDWR);
    if (closing)
        connection->ended = true;
    send_replies(fd);
    close_if_done(fd);
}

static void take_completion(const struct io_uring_cqe *cqe)
{
    const int fd = (int)ring_number(cqe);
    switch (ring_kind(cqe)) {
    case ACCEPTED: accepted(fd, cqe); break;
    case RECEIVED: received(fd, cqe); break;
    case SENT: sent(fd, cqe); break;
    }
}

void run_server(uint16_t port, uint32_t reply_size, bool closes)
{
    closing = closes;
    make_replies(reply_size);
    ring_open(&ring, 1024);
    buffers_open(&buffers, &ring, 0, 256, 8 << 10);
    const int listener = ring_listen(port);
    ring_accept(&ring, listener, ring_token(ACCEPTED, (uint32_t)listener));
    for (;;) {
        ring_wait(&ring, NULL);
        ring_take(&ring, take_completion);
        buffers_publish(&buffers);
    }
}
