// The registration of one service, blocking: what follows on the socket is the session.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../ring/ring.h"
#include "../service/failure.h"
#include "floor.h"

enum { FLAG_HTTP = 1, FLAG_TLS = 2, FLAG_ATTRIBUTES = 4, STRING_LIMIT = 8 << 10 };

static void get_bytes(int fd, void *bytes, size_t length)
{
    if (length > 0 && recv(fd, bytes, length, MSG_WAITALL) != (ssize_t)length)
        fail("the service has gone before it had registered");
}

static uint64_t get_integer(int fd)
{
    uint64_t value;
    get_bytes(fd, &value, sizeof value);
    return __builtin_bswap64(value);
}

static void skip_string(int fd)
{
    char string[STRING_LIMIT];
    const uint64_t length = get_integer(fd);
    if (length > sizeof string)
        fail("a string of %llu bytes in the registration", (unsigned long long)length);
    get_bytes(fd, string, length);
}

struct registration accept_registration(uint16_t control_port)
{
    static const uint8_t response[] = "\0\0\0\0\0\0\0\2OK\0\0\0\0\0\0\0";  // and an empty map of attributes
    const int listener = ring_listen(control_port);
    struct registration registration = {.fd = accept(listener, NULL, NULL)};
    const int fd = registration.fd;
    uint8_t flags;
    close(listener);
    skip_string(fd);
    registration.port = (uint16_t)get_integer(fd);
    get_bytes(fd, &flags, 1);
    if (!(flags & FLAG_HTTP) || flags & FLAG_TLS)
        fail("the relay is for plain HTTP");
    skip_string(fd);
    skip_string(fd);
    for (uint64_t left = flags & FLAG_ATTRIBUTES ? 2 * get_integer(fd) : 0; left > 0; left--)
        skip_string(fd);
    const size_t length = flags & FLAG_ATTRIBUTES ? sizeof response : 10;
    if (send(fd, response, length, MSG_NOSIGNAL) != (ssize_t)length)
        fail("the service has gone before it had heard OK");
    return registration;
}
