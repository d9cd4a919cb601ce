// All that the floors look for in a request: the empty line at the end of its head.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// How many heads end in these bytes. `matched` is how much of the mark the bytes before them ended with.
static inline uint32_t count_heads(uint8_t *matched, const uint8_t *bytes, size_t length)
{
    static const char mark[4] = "\r\n\r\n";
    const uint8_t *const end = bytes + length;
    uint32_t heads = 0;
    while (bytes < end) {
        if (*matched == 0) {
            const uint8_t *const found = memchr(bytes, '\r', (size_t)(end - bytes));
            if (!found)
                break;
            bytes = found + 1;
            *matched = 1;
        } else if (*bytes != mark[*matched]) {
            *matched = *bytes++ == '\r';
        } else if (bytes++, ++*matched == sizeof mark) {
            *matched = 0;
            heads++;
        }
    }
    return heads;
}
