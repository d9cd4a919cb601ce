// What the two kinds of service have in common, and their entry points. Neither returns.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// What is done without HTTP: bytes come back, are swallowed, or come without end; or one of these for each stream, as
// its first byte says (e, u, d).
enum raw { NOT_RAW, RAW_ECHO, RAW_SINK, RAW_SOURCE, RAW_MIXED };

struct reply {
    const uint8_t *bytes;
    uint32_t length;
    enum raw raw;  // with RAW_SOURCE the bytes are what is sent again and again
};

struct registration {
    const char *control_host;
    uint16_t control_port;
    uint16_t port;
    bool reuse_streams;
    bool is_raw;
    // In PEM, or NULL: clients speak plain.
    const char *certificate;
    const char *key;
};

// Answers on a port of 127.0.0.1 as a plain HTTP/1.1 server that keeps connections alive.
__attribute__((noreturn)) void serve_plain(uint16_t port, struct reply reply);

// The same for what is raw.
__attribute__((noreturn)) void serve_plain_raw(uint16_t port, struct reply reply);

// A non-blocking listener on a port of 127.0.0.1.
int open_listener(uint16_t port);

// Registers each path `sessions` times at the control address and answers every request on every stream of every
// session. A stream may send so much unasked, once it has said anything.
__attribute__((noreturn)) void serve_yamux(const struct registration *registration, const char *const *paths,
                                           int path_count, int sessions, struct reply reply, uint32_t window);
