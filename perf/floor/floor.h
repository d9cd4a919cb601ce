// The floors, and what they have in common. Neither returns.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { CONNECTIONS = 65536 };  // a connection is found by its descriptor

// Answers every head with the same reply; no service. With `closes` a connection ends after its first reply.
__attribute__((noreturn)) void run_server(uint16_t port, uint32_t reply_size, bool closes);

// Relays between the clients of one registration and its session, a stream for each request. With `late_fin` the end of
// a stream is told with the next request.
__attribute__((noreturn)) void run_relay(uint16_t control_port, bool closes, bool late_fin);

// Moves bytes between each client and a connection of its own to the backend.
__attribute__((noreturn)) void run_splice(uint16_t port, uint16_t backend);

struct registration {
    int fd;         // the session's: frames follow on it
    uint16_t port;  // where its clients come in
};

// Waits for one service at the control address, opens nothing, and says `OK`.
struct registration accept_registration(uint16_t control_port);
