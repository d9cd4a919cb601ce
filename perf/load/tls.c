// Drives a TLS port: threads with blocking sockets, a connection for every request, or connections that stay.
#define _GNU_SOURCE
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

enum { LATENCIES = 1 << 17, BUFFER = 64 << 10 };

struct worker {
    const struct options *options;
    SSL_CTX *context;
    long requests, errors, resumed;
    long long bytes;
    uint32_t *latencies;       // microseconds
    long latency_count;
    char buffer[BUFFER];
};

static struct timespec deadline;

static double seconds_since(const struct timespec *begin)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) / 1e9;
}

static bool is_over(void)
{
    return seconds_since(&deadline) >= 0;
}

// The length of the body that a head announces, or -1.
static long long content_length(const char *head)
{
    const char *const field = strcasestr(head, "\r\nContent-Length:");
    return field ? strtoll(field + strlen("\r\nContent-Length:"), NULL, 10) : -1;
}

// One request and its whole reply, of which the head comes in one record with a part of the body.
static bool exchange(struct worker *worker, SSL *ssl)
{
    static const char closing[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    static const char keeping[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const char *const request = worker->options->keeps ? keeping : closing;
    if (SSL_write(ssl, request, (int)strlen(request)) <= 0)
        return false;
    int count = SSL_read(ssl, worker->buffer, BUFFER - 1);
    if (count <= 0)
        return false;
    worker->buffer[count] = '\0';
    const char *const end = strstr(worker->buffer, "\r\n\r\n");
    if (!end || strncmp(worker->buffer, "HTTP/1.1 200", 12) != 0)
        return false;
    long long left = content_length(worker->buffer) - (count - (end + 4 - worker->buffer));
    worker->bytes += count;
    while (left > 0) {
        count = SSL_read(ssl, worker->buffer, BUFFER);
        if (count <= 0)
            return false;
        worker->bytes += count;
        left -= count;
    }
    return left == 0;
}

static SSL *shake(struct worker *worker, int fd)
{
    SSL *const ssl = SSL_new(worker->context);
    if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_set_tlsext_host_name(ssl, "localhost") != 1 || SSL_connect(ssl) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    worker->resumed += SSL_session_reused(ssl);
    return ssl;
}

static void note(struct worker *worker, const struct timespec *begin, bool is_good)
{
    worker->requests += 1;
    worker->errors += !is_good;
    if (is_good && worker->latency_count < LATENCIES)
        worker->latencies[worker->latency_count++] = (uint32_t)(seconds_since(begin) * 1e6);
}

static bool run_connection(struct worker *worker)
{
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    const int fd = dial(worker->options->port);
    SSL *const ssl = shake(worker, fd);
    bool is_good = ssl != NULL;
    while (is_good) {
        is_good = exchange(worker, ssl);
        if (!worker->options->keeps) {
            // The proxy ends it, by close_notify and FIN.
            is_good = is_good && SSL_read(ssl, worker->buffer, BUFFER) == 0
                && SSL_get_error(ssl, 0) == SSL_ERROR_ZERO_RETURN;
            break;
        }
        note(worker, &begin, is_good);
        if (is_over())
            break;
        clock_gettime(CLOCK_MONOTONIC, &begin);
    }
    if (!worker->options->keeps)
        note(worker, &begin, is_good);
    if (is_good)
        SSL_shutdown(ssl);
    SSL_free(ssl);
    ERR_clear_error();
    close(fd);
    return is_good;
}

static void *run(void *argument)
{
    struct worker *const worker = argument;
    while (!is_over() && worker->errors < 10)
        run_connection(worker);
    return NULL;
}

static int compare(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static SSL_CTX *make_context(void)
{
    SSL_CTX *const context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1
        || SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1
        || SSL_CTX_set1_groups_list(context, "X25519") != 1) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return context;
}

static void report(struct worker *workers, int count, double seconds)
{
    struct worker sum = {.latencies = malloc((size_t)count * LATENCIES * sizeof(uint32_t))};
    for (int i = 0; i < count; i++) {
        sum.requests += workers[i].requests;
        sum.errors += workers[i].errors;
        sum.resumed += workers[i].resumed;
        sum.bytes += workers[i].bytes;
        memcpy(sum.latencies + sum.latency_count, workers[i].latencies,
               (size_t)workers[i].latency_count * sizeof(uint32_t));
        sum.latency_count += workers[i].latency_count;
    }
    qsort(sum.latencies, (size_t)sum.latency_count, sizeof(uint32_t), compare);
    const long last = sum.latency_count > 0 ? sum.latency_count - 1 : 0;
    const uint32_t none = 0, *const at = sum.latency_count > 0 ? sum.latencies : &none;
    printf("{\"requests\": %ld, \"errors\": %ld, \"resumed\": %ld, \"bytes\": %lld, \"seconds\": %.6f, "
           "\"p50_us\": %u, \"p99_us\": %u, \"p999_us\": %u}\n",
           sum.requests, sum.errors, sum.resumed, sum.bytes, seconds, at[last / 2], at[last * 99 / 100],
           at[last * 999 / 1000]);
    free(sum.latencies);
}

int run_tls(const struct options *options)
{
    SSL_CTX *const context = make_context();
    pthread_t *const threads = calloc((size_t)options->connections, sizeof *threads);
    struct worker *const workers = calloc((size_t)options->connections, sizeof *workers);
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    deadline = (struct timespec){begin.tv_sec + options->seconds, begin.tv_nsec};
    for (int i = 0; i < options->connections; i++) {
        workers[i].options = options;
        workers[i].context = context;
        workers[i].latencies = malloc(LATENCIES * sizeof(uint32_t));
        pthread_create(&threads[i], NULL, run, &workers[i]);
    }
    for (int i = 0; i < options->connections; i++)
        pthread_join(threads[i], NULL);
    report(workers, options->connections, seconds_since(&begin));
    SSL_CTX_free(context);
    return 0;
}
