// What the two kinds of service have in common, and their entry points. Neither returns.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct reply {
    const uint8_t *bytes;
    uint32_t length;
};

struct registration {
    const char *control_host;
    uint16_t control_port;
    const char *path_prefix;
    uint16_t port;
    bool reuse_streams;
    // In PEM, or NULL: clients speak plain.
    const char *certificate;
    const char *key;
};

// Answers on a port of 127.0.0.1 as a plain HTTP/1.1 server that keeps connections alive.
__attribute__((noreturn)) void serve_plain(uint16_t port, struct reply reply);

// Registers `sessions` times at the control address and answers every request on every stream of every session.
__attribute__((noreturn)) void serve_yamux(const struct registration *registration, int sessions, struct reply reply);
