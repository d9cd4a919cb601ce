#include "registration.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "buffer.h"
#include "failure.h"

enum { FLAG_HTTP = 1, FLAG_TLS = 2, FLAG_ATTRIBUTES = 4, STRING_LIMIT = 64 << 10 };

static void put_integer(struct buffer *buffer, uint64_t value)
{
    uint8_t *const bytes = buffer_append(buffer, 8);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (56 - 8 * i));
}

static void put_string(struct buffer *buffer, const char *string)
{
    const size_t length = strlen(string);
    put_integer(buffer, length);
    memcpy(buffer_append(buffer, length), string, length);
}

static void put_request(struct buffer *buffer, const struct registration *registration, const char *path)
{
    put_string(buffer, "127.0.0.1");
    put_integer(buffer, registration->port);
    const bool has_tls = registration->certificate != NULL;
    *buffer_append(buffer, 1) = (uint8_t)((registration->is_raw ? 0 : FLAG_HTTP) | (has_tls ? FLAG_TLS : 0)
                                          | (registration->reuse_streams ? FLAG_ATTRIBUTES : 0));
    if (!registration->is_raw) {
        put_string(buffer, "");
        put_string(buffer, path);
    }
    if (has_tls) {
        put_string(buffer, registration->certificate);
        put_string(buffer, registration->key);
    }
    if (!registration->reuse_streams)
        return;
    put_integer(buffer, 1);
    put_string(buffer, "reuse-streams");
    put_string(buffer, "1");
}

static void get_bytes(int fd, void *bytes, size_t length)
{
    if (length > 0 && recv(fd, bytes, length, MSG_WAITALL) != (ssize_t)length)
        fail("the control connection ended before the registration was answered");
}

static uint64_t get_integer(int fd)
{
    uint8_t bytes[8];
    uint64_t value = 0;
    get_bytes(fd, bytes, sizeof bytes);
    for (int i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

// The bytes up to the next string's are read exactly: frames may already follow in the same segment.
static const char *get_string(int fd)
{
    static char string[STRING_LIMIT + 1];
    const uint64_t length = get_integer(fd);
    if (length > STRING_LIMIT)
        fail("the registration was answered with a string of %llu bytes", (unsigned long long)length);
    get_bytes(fd, string, length);
    string[length] = '\0';
    return string;
}

static void get_response(int fd, bool has_attributes)
{
    const char *const status = get_string(fd);
    if (strcmp(status, "OK") != 0)
        fail("the registration was refused: %s", status);
    for (uint64_t left = has_attributes ? get_integer(fd) : 0; left > 0; left--) {
        get_string(fd);
        get_string(fd);
    }
}

static int dial(const char *host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        fail("--control takes an IPv4 address, not '%s'", host);
    for (int tries = 0; tries < 100; tries++) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            return fd;
        if (fd < 0 || errno != ECONNREFUSED)
            break;
        close(fd);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    fail("cannot connect to %s:%u: %s", host, port, strerror(errno));
}

int register_service(const struct registration *registration, const char *path)
{
    const int fd = dial(registration->control_host, registration->control_port);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct buffer request = {0};
    put_request(&request, registration, path);
    while (buffer_length(&request) > 0)
        if (buffer_flush(&request, fd) == FLUSH_FAILED)
            fail("cannot send the registration: %s", strerror(errno));
    buffer_free(&request);
    get_response(fd, registration->reuse_streams);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        fail("fcntl: %s", strerror(errno));
    return fd;
}
