// Where an HTTP/1.1 request ends. Requests come from a proxy under test, so little is checked: the head up to its empty
// line, a body by Content-Length. HEAD and chunked bodies are unsupported, because the reply is always the same bytes.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct request {
    char *held;  // a head that has begun but not ended; NULL when heads arrive whole, as they nearly always do
    uint32_t held_length;
    bool in_body;
    uint64_t body_remaining;
};

enum request_event { REQUEST_INCOMPLETE, REQUEST_COMPLETE, REQUEST_UNSUPPORTED };

// Reads from `*cursor` until one request has ended or the bytes have. Call it again with the rest after a complete one.
enum request_event request_read(struct request *request, const char **cursor, const char *end);

void request_free(struct request *request);
