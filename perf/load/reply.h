// Where an HTTP/1.1 reply ends. Anything but a 200 with a Content-Length ends the process with a sentence.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { HELD_HEAD = 4 << 10 };

struct reply {
    bool in_body;
    uint64_t body_left;
    char *held;            // a head that has begun but not ended; kept for the next one
    uint32_t held_length;
};

// Reads on. True once a reply has ended; `*cursor` is then behind it.
bool reply_read(struct reply *reply, const char **cursor, const char *end);
