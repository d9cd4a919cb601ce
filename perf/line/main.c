// A long line between a service and the proxy: what goes in comes out 25 ms later, at most 1 Gbit/s. README.md says why
// it is a program.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../service/failure.h"

enum { PIECE = 64 << 10, PIECES = 2048 };  // 128 MiB on their way at most

// One direction: what was read, when it is due, in a ring between a thread that reads and one that writes.
struct direction {
    int from, to;
    uint64_t delay, nanoseconds_per_mebibyte;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t read, written;
    struct piece {
        uint64_t due;
        ssize_t length;  // 0: the end
        char bytes[PIECE];
    } pieces[PIECES];
};

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void *read_all(void *argument)
{
    struct direction *const line = argument;
    for (;;) {
        pthread_mutex_lock(&line->lock);
        while (line->read - line->written == PIECES)
            pthread_cond_wait(&line->changed, &line->lock);
        pthread_mutex_unlock(&line->lock);
        struct piece *const piece = &line->pieces[line->read % PIECES];
        piece->length = recv(line->from, piece->bytes, PIECE, 0);
        if (piece->length < 0)
            piece->length = 0;
        piece->due = now() + line->delay;
        pthread_mutex_lock(&line->lock);
        line->read++;
        pthread_cond_signal(&line->changed);
        pthread_mutex_unlock(&line->lock);
        if (piece->length == 0)
            return NULL;
    }
}

static void sleep_until(uint64_t due)
{
    const struct timespec until = {.tv_sec = (time_t)(due / 1000000000), .tv_nsec = (long)(due % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}

static void *write_all(void *argument)
{
    struct direction *const line = argument;
    for (uint64_t free = 0;;) {
        pthread_mutex_lock(&line->lock);
        while (line->read == line->written)
            pthread_cond_wait(&line->changed, &line->lock);
        pthread_mutex_unlock(&line->lock);
        const struct piece *const piece = &line->pieces[line->written % PIECES];
        const uint64_t begin = piece->due > free ? piece->due : free;
        sleep_until(begin);
        if (piece->length == 0)
            shutdown(line->to, SHUT_WR);
        for (ssize_t done = 0; done < piece->length;) {
            const ssize_t sent = send(line->to, piece->bytes + done, (size_t)(piece->length - done), MSG_NOSIGNAL);
            if (sent <= 0)
                return NULL;
            done += sent;
        }
        free = begin + (uint64_t)piece->length * line->nanoseconds_per_mebibyte / (1 << 20);
        const bool is_end = piece->length == 0;
        pthread_mutex_lock(&line->lock);
        line->written++;
        pthread_cond_signal(&line->changed);
        pthread_mutex_unlock(&line->lock);
        if (is_end)
            return NULL;
    }
}

static void connect_ends(int from, int to, uint64_t delay, uint64_t bits_per_second)
{
    struct direction *const line = calloc(1, sizeof *line);
    pthread_t thread;
    if (!line)
        fail("no memory for a line");
    line->from = from, line->to = to, line->delay = delay;
    line->nanoseconds_per_mebibyte = 8ull * (1 << 20) * 1000000000 / bits_per_second;
    pthread_mutex_init(&line->lock, NULL);
    pthread_cond_init(&line->changed, NULL);
    if (pthread_create(&thread, NULL, read_all, line) != 0 || pthread_create(&thread, NULL, write_all, line) != 0)
        fail("no thread");
}

static struct sockaddr_in loopback(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int main(int count, char **arguments)
{
    if (count != 5) {
        fputs("usage: line PORT TO-PORT MILLISECONDS-EACH-WAY BITS-PER-SECOND\n", stderr);
        return 64;
    }
    const int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in local = loopback(arguments[1]), remote = loopback(arguments[2]);
    const uint64_t delay = strtoull(arguments[3], NULL, 10) * 1000000, rate = strtoull(arguments[4], NULL, 10);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (rate == 0 || bind(listener, (const struct sockaddr *)&local, sizeof local) < 0 || listen(listener, 16) < 0)
        fail("cannot listen on port %s: %s", arguments[1], strerror(errno));
    for (;;) {
        const int near = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        const int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (near < 0 || connect(far, (const struct sockaddr *)&remote, sizeof remote) < 0)
            fail("cannot connect to port %s: %s", arguments[2], strerror(errno));
        setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connect_ends(near, far, delay, rate);
        connect_ends(far, near, delay, rate);
    }
}
