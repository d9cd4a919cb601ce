// What the kinds of load have in common. Each prints its figures as one line of JSON and returns the exit code.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PATHS = 8 };

enum raw { RAW_ECHO, RAW_UP, RAW_DOWN };

struct options {
    uint16_t port;
    int connections;
    int seconds;
    size_t post_size;         // http: 0 for GET
    long rate;                // http: requests a second altogether, due at fixed times; 0: as many as there can be
    uint64_t requests;        // http: ends after so many, exactly; 0: after `seconds`
    bool closes;              // http: a connection for every request
    bool alternates;          // http: each request of a connection takes the next path, instead of each connection
    const char *paths[PATHS];
    int path_count;
    enum raw raw;
    size_t message;           // raw echo: bytes
    bool keeps;               // tls: connections stay
};

int run_http(const struct options *options);
int run_idle(const struct options *options);
int run_raw(const struct options *options);
int run_fair(const struct options *options);
int run_tls(const struct options *options);

uint64_t now_nanoseconds(void);

// A connected socket. Each comes from another address than the last, so that there are ports for millions of them.
int dial(uint16_t port);

// The same without connecting: `port_address` says where to.
int make_socket(void);
struct sockaddr_in port_address(uint16_t port);
