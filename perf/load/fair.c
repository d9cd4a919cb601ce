// Bulk flows, and beside them one client that says little: what it waits for its echoes.
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../service/failure.h"
#include "latencies.h"
#include "load.h"

enum { CHUNK = 256 << 10, MESSAGE = 100, PER_SECOND = 100 };

static const struct options *options;
static _Atomic uint64_t bytes;
static struct latencies latencies;

// The service does for each connection what its first byte says (`--raw mixed`).
static int dial_as(char role)
{
    const int fd = dial(options->port);
    if (send(fd, &role, 1, MSG_NOSIGNAL) != 1)
        fail("cannot send: %s", strerror(errno));
    return fd;
}

static void *flow(void *argument)
{
    static char chunk[CHUNK];
    const bool is_up = options->raw == RAW_UP;
    const int fd = dial_as(is_up ? 'u' : 'd');
    for (;;) {
        const ssize_t count = is_up ? send(fd, chunk, CHUNK, MSG_NOSIGNAL) : recv(fd, chunk, CHUNK, MSG_TRUNC);
        if (count <= 0)
            fail("a flow has ended: %s", strerror(errno));
        bytes += (uint64_t)count;
    }
    return argument;
}

static void wait_until(uint64_t due)
{
    const struct timespec until = {.tv_sec = (time_t)(due / 1000000000), .tv_nsec = (long)(due % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}

static void echo(int fd)
{
    char message[MESSAGE] = {0};
    if (send(fd, message, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
        fail("cannot send: %s", strerror(errno));
    for (ssize_t left = MESSAGE; left > 0;) {
        const ssize_t count = recv(fd, message, (size_t)left, 0);
        if (count <= 0)
            fail("an echo did not come: %s", strerror(errno));
        left -= count;
    }
}

int run_fair(const struct options *given)
{
    options = given;
    for (int i = 0; i < options->connections; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, flow, NULL) != 0)
            fail("no thread");
    }
    const int fd = dial_as('e');
    const uint64_t interval = 1000000000 / PER_SECOND;
    const uint64_t begun = now_nanoseconds(), end = begun + (uint64_t)options->seconds * 1000000000;
    for (uint64_t due = begun; due < end; due += interval) {
        wait_until(due);
        echo(fd);
        latencies_note(&latencies, now_nanoseconds() - due);
    }
    printf("{\"requests\": %llu, \"errors\": 0, \"bytes\": %llu, \"seconds\": %.6f, ",
           (unsigned long long)latencies.count, (unsigned long long)bytes, (double)(now_nanoseconds() - begun) / 1e9);
    latencies_print(&latencies);
    puts("}");
    exit(0);
}
