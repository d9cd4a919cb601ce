// Drives a port without a protocol: messages that come back, or bytes in one direction as fast as they go.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../ring/ring.h"
#include "../service/failure.h"
#include "latencies.h"
#include "load.h"

enum { SENT, RECEIVED, ENDED };
enum { CHUNK = 256 << 10, MESSAGE_LIMIT = 256 << 10 };

struct connection {
    int fd;
    size_t left;     // of the message that is on its way back
    uint64_t begun;
};

static const struct options *options;
static struct ring ring;
static struct connection *connections;
static struct latencies latencies;
static uint64_t now, bytes;
static bool is_over;
static char chunk[CHUNK];

// MSG_TRUNC: the kernel drops the bytes without copying them, so that the load generator costs next to nothing.
static void receive(uint32_t number)
{
    io_uring_prep_recv(ring_entry(&ring, ring_token(RECEIVED, number)), connections[number].fd, chunk, CHUNK,
                       MSG_TRUNC);
}

static void send_some(uint32_t number)
{
    const size_t length = options->raw == RAW_UP ? CHUNK : options->message;
    connections[number].begun = now;
    connections[number].left = length;
    ring_send(&ring, connections[number].fd, chunk, length, ring_token(SENT, number));
}

static void sent(uint32_t number, int result)
{
    if (result < 0)
        fail("cannot send: %s", strerror(-result));
    if (options->raw != RAW_UP)
        return;
    bytes += (uint64_t)result;
    send_some(number);
}

static void received(uint32_t number, int result)
{
    struct connection *const connection = &connections[number];
    if (result <= 0)
        fail("cannot receive: %s", result < 0 ? strerror(-result) : "the connection has ended");
    bytes += (uint64_t)result;
    if (options->raw == RAW_ECHO) {
        if ((size_t)result > connection->left)
            fail("more came back than was sent");
        connection->left -= (size_t)result;
        if (connection->left == 0) {
            latencies_note(&latencies, now - connection->begun);
            send_some(number);
        }
    }
    receive(number);
}

static void turn(void)
{
    ring_wait(&ring, NULL);
    now = now_nanoseconds();
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring.uring, head, cqe) {
        count++;
        switch (ring_kind(cqe)) {
        case SENT: sent(ring_number(cqe), cqe->res); break;
        case RECEIVED: received(ring_number(cqe), cqe->res); break;
        case ENDED: is_over = true; break;
        }
    }
    io_uring_cq_advance(&ring.uring, count);
}

int run_raw(const struct options *given)
{
    options = given;
    if (options->message == 0 || options->message > MESSAGE_LIMIT)
        fail("a message has 1 to %d bytes", MESSAGE_LIMIT);
    memset(chunk, 'x', CHUNK);
    ring_open(&ring, 1024);
    connections = calloc((size_t)options->connections, sizeof *connections);
    if (!connections)
        fail("no memory for %d connections", options->connections);
    for (int i = 0; i < options->connections; i++)
        connections[i].fd = dial(options->port);
    const uint64_t begun = now = now_nanoseconds();
    for (int i = 0; i < options->connections; i++) {
        receive((uint32_t)i);
        if (options->raw != RAW_DOWN)
            send_some((uint32_t)i);
    }
    struct __kernel_timespec timeout = {.tv_sec = options->seconds};
    io_uring_prep_timeout(ring_entry(&ring, ring_token(ENDED, 0)), &timeout, 0, 0);
    while (!is_over)
        turn();
    printf("{\"requests\": %llu, \"errors\": 0, \"bytes\": %llu, \"seconds\": %.6f, ",
           (unsigned long long)latencies.count, (unsigned long long)bytes, (double)(now - begun) / 1e9);
    latencies_print(&latencies);
    puts("}");
    return 0;
}
