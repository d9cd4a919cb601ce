// Drives a port with HTTP/1.1: one thread, one io_uring, all the requests of a turn in one system call.
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../ring/ring.h"
#include "../service/failure.h"
#include "latencies.h"
#include "load.h"
#include "reply.h"

enum { CONNECTED, SENT, RECEIVED, ENDED };
enum { BUFFERS = 256, BUFFER = 32 << 10 };

struct request {
    const char *bytes;
    size_t length;
};

struct connection {
    int fd;
    uint32_t next_path;
    bool is_busy;
    bool is_answered;  // with `closes`: what is missing is the end of the connection
    uint64_t begun;    // or, at a rate, when the request was due
    struct reply reply;
};

static const struct options *options;
static struct ring ring;
static struct buffers buffers;
static struct request requests[PATHS];
static struct connection *connections;
static struct sockaddr_in address;
static struct latencies latencies;
static uint64_t now, begun, interval;  // nanoseconds
static uint64_t next_due;
static uint32_t *idle;                 // connections without a request, at a rate, the longest idle one first
static uint32_t idle_head, idle_count;
static uint64_t started;               // requests
static bool is_over;

// MARK: Requests

static void make_requests(void)
{
    for (int i = 0; i < options->path_count; i++) {
        char head[512];
        int length = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s",
                              options->post_size ? "POST" : "GET", options->paths[i], options->port,
                              options->closes ? "Connection: close\r\n" : "");
        if (options->post_size)
            length += snprintf(head + length, sizeof head - (size_t)length, "Content-Length: %zu\r\n",
                               options->post_size);
        char *const bytes = malloc((size_t)length + 2 + options->post_size);
        if (!bytes || (size_t)length + 2 > sizeof head)
            fail("no room for the request of %s", options->paths[i]);
        memcpy(bytes, head, (size_t)length);
        memcpy(bytes + length, "\r\n", 2);
        memset(bytes + length + 2, 'x', options->post_size);
        requests[i] = (struct request){bytes, (size_t)length + 2 + options->post_size};
    }
}

static const struct request *next_request(struct connection *connection)
{
    const struct request *const request = &requests[connection->next_path];
    if (options->alternates)
        connection->next_path = (connection->next_path + 1) % (uint32_t)options->path_count;
    return request;
}

static void receive(uint32_t number)
{
    ring_receive(&ring, connections[number].fd, &buffers, !options->closes, ring_token(RECEIVED, number));
}

// Connect, send and receive are submitted together and follow each other in the kernel.
static void open_and_send(uint32_t number, const struct request *request)
{
    struct connection *const connection = &connections[number];
    connection->fd = make_socket();
    struct io_uring_sqe *const connect = ring_entry(&ring, ring_token(CONNECTED, number));
    io_uring_prep_connect(connect, connection->fd, (struct sockaddr *)&address, sizeof address);
    connect->flags |= IOSQE_IO_LINK;
    struct io_uring_sqe *const send = ring_entry(&ring, ring_token(SENT, number));
    io_uring_prep_send(send, connection->fd, request->bytes, request->length, MSG_WAITALL | MSG_NOSIGNAL);
    send->flags |= IOSQE_IO_LINK;
    receive(number);
}

static void start_request(uint32_t number, uint64_t due)
{
    struct connection *const connection = &connections[number];
    if (options->requests && started == options->requests)
        return;
    started++;
    connection->begun = due;
    connection->is_busy = true;
    connection->is_answered = false;
    const struct request *const request = next_request(connection);
    if (options->closes)
        open_and_send(number, request);
    else
        ring_send(&ring, connection->fd, request->bytes, request->length, ring_token(SENT, number));
}

// At a rate: every request that is due goes to a connection that is idle. If there is none it has to wait, and its
// latency counts from when it was due all the same, since a client outside would have waited, too.
static void start_due_requests(void)
{
    while (idle_count > 0 && next_due <= now && !is_over) {
        const uint32_t number = idle[idle_head];
        idle_head = (idle_head + 1) % (uint32_t)options->connections;
        idle_count--;
        start_request(number, next_due);
        next_due += interval;
    }
}

static void request_done(uint32_t number)
{
    struct connection *const connection = &connections[number];
    latencies_note(&latencies, now - connection->begun);
    connection->is_busy = false;
    if (latencies.count == options->requests)
        is_over = true;
    if (interval)
        idle[(idle_head + idle_count++) % (uint32_t)options->connections] = number;
    else if (!is_over)
        start_request(number, now);
}

// MARK: Completions

static void check(const struct io_uring_cqe *cqe, const char *what)
{
    if (cqe->res < 0)
        fail("%s: %s", what, strerror(-cqe->res));
}

static void read_replies(uint32_t number, const char *bytes, size_t length)
{
    struct connection *const connection = &connections[number];
    const char *cursor = bytes, *const end = bytes + length;
    while (cursor < end) {
        if (!connection->is_busy || connection->is_answered)
            fail("bytes behind a reply");
        if (!reply_read(&connection->reply, &cursor, end))
            return;
        if (options->closes)
            connection->is_answered = true;
        else
            request_done(number);
    }
}

static void connection_ended(uint32_t number)
{
    struct connection *const connection = &connections[number];
    if (!options->closes || !connection->is_answered)
        fail("a connection ended before its reply");
    close(connection->fd);
    request_done(number);
}

static void received(uint32_t number, const struct io_uring_cqe *cqe)
{
    if (cqe->res == 0) {
        connection_ended(number);
        return;
    }
    if (cqe->res != -ENOBUFS)
        check(cqe, "cannot receive");
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        const uint16_t buffer = buffers_number(cqe);
        read_replies(number, (const char *)buffers_bytes(&buffers, buffer), (size_t)cqe->res);
        buffers_return(&buffers, buffer);
    }
    if (!(cqe->flags & IORING_CQE_F_MORE))
        receive(number);
}

static void take_completion(const struct io_uring_cqe *cqe)
{
    switch (ring_kind(cqe)) {
    case CONNECTED: check(cqe, "cannot connect"); break;
    case SENT: check(cqe, "cannot send"); break;
    case RECEIVED: received(ring_number(cqe), cqe); break;
    case ENDED: is_over = true; break;
    }
}

// The clock is read once a turn: all that a turn sends leaves at its end anyway.
static void turn(void)
{
    const uint64_t wait = next_due > now ? next_due - now : 1;
    buffers_publish(&buffers);
    ring_wait(&ring, interval && idle_count > 0 ? &wait : NULL);
    now = now_nanoseconds();
    ring_take(&ring, take_completion);
    if (interval)
        start_due_requests();
}

// MARK: Runs

static void open_everything(const struct options *given)
{
    options = given;
    address = port_address(options->port);
    make_requests();
    ring_open(&ring, 1024);
    buffers_open(&buffers, &ring, 0, BUFFERS, BUFFER);
    connections = calloc((size_t)options->connections, sizeof *connections);
    idle = calloc((size_t)options->connections, sizeof *idle);
    if (!connections || !idle)
        fail("no memory for %d connections", options->connections);
}

static void open_connection(uint32_t number)
{
    connections[number].next_path = number % (uint32_t)options->path_count;
    if (options->closes)
        return;
    connections[number].fd = dial(options->port);
    receive(number);
}

static void end_after(int seconds)
{
    static struct __kernel_timespec timeout;
    timeout.tv_sec = seconds;
    io_uring_prep_timeout(ring_entry(&ring, ring_token(ENDED, 0)), &timeout, 0, 0);
}

// What was due and has not been answered counts with the time it has waited so far.
static uint64_t note_unfinished(void)
{
    uint64_t unfinished = 0;
    for (int i = 0; i < options->connections; i++) {
        if (!connections[i].is_busy || connections[i].begun > now)
            continue;
        latencies_note(&latencies, now - connections[i].begun);
        unfinished++;
    }
    for (; next_due <= now; next_due += interval, unfinished++)
        latencies_note(&latencies, now - next_due);
    return unfinished;
}

int run_http(const struct options *given)
{
    open_everything(given);
    for (int i = 0; i < options->connections; i++)
        open_connection((uint32_t)i);
    begun = now = next_due = now_nanoseconds();
    interval = options->rate > 0 ? 1000000000u / (uint64_t)options->rate : 0;
    for (int i = 0; i < options->connections; i++) {
        if (interval)
            idle[idle_count++] = (uint32_t)i;
        else
            start_request((uint32_t)i, now);
    }
    if (!options->requests)
        end_after(options->seconds);
    while (!is_over)
        turn();
    const uint64_t answered = latencies.count, unfinished = interval ? note_unfinished() : 0;
    printf("{\"requests\": %llu, \"unfinished\": %llu, \"errors\": 0, \"seconds\": %.6f, ",
           (unsigned long long)answered, (unsigned long long)unfinished, (double)(now - begun) / 1e9);
    latencies_print(&latencies);
    puts("}");
    return 0;
}

// One request on each connection, a few at a time. Then all stay open until standard input ends.
int run_idle(const struct options *given)
{
    enum { AT_ONCE = 64 };
    open_everything(given);
    interval = UINT64_MAX;  // no connection begins another request by itself
    next_due = UINT64_MAX;
    for (int number = 0; number < options->connections || latencies.count < (uint64_t)options->connections;) {
        for (; number < options->connections && (uint64_t)number < latencies.count + AT_ONCE; number++) {
            open_connection((uint32_t)number);
            now = now_nanoseconds();
            start_request((uint32_t)number, now);
        }
        // `idle` is for a rate; here it would make the turn wait for the next request that is due.
        idle_count = 0;
        turn();
    }
    printf("{\"connections\": %d}\n", options->connections);
    fflush(stdout);
    for (char byte; read(STDIN_FILENO, &byte, 1) > 0;)
        ;
    return 0;
}
