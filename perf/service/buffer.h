// Bytes on their way into a socket: appended at the tail, sent from the head, everything that piled up in one send.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *bytes;
    size_t capacity;
    size_t head;
    size_t tail;
};

enum flush_result { FLUSH_DONE, FLUSH_BLOCKED, FLUSH_FAILED };

// Makes room for `length` bytes and returns where they begin. The caller fills all of them before the next call.
uint8_t *buffer_append(struct buffer *buffer, size_t length);

static inline size_t buffer_length(const struct buffer *buffer) { return buffer->tail - buffer->head; }

// Sends what the socket takes, at once and without waiting.
enum flush_result buffer_flush(struct buffer *buffer, int fd);

void buffer_free(struct buffer *buffer);
