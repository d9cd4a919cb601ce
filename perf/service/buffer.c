#include "buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "failure.h"

// Grows to the largest burst that the process has seen and stays there: a benchmark wants no allocation once it runs.
static void buffer_grow(struct buffer *buffer, size_t length)
{
    const size_t used = buffer_length(buffer);
    if (buffer->head > 0) {
        memmove(buffer->bytes, buffer->bytes + buffer->head, used);
        buffer->head = 0;
        buffer->tail = used;
    }
    size_t capacity = buffer->capacity ? buffer->capacity : 64 << 10;
    while (capacity - used < length)
        capacity *= 2;
    if (capacity == buffer->capacity)
        return;
    buffer->bytes = realloc(buffer->bytes, capacity);
    if (!buffer->bytes)
        fail("no memory for %zu bytes to send", capacity);
    buffer->capacity = capacity;
}

uint8_t *buffer_append(struct buffer *buffer, size_t length)
{
    if (buffer->capacity - buffer->tail < length)
        buffer_grow(buffer, length);
    uint8_t *const place = buffer->bytes + buffer->tail;
    buffer->tail += length;
    return place;
}

enum flush_result buffer_flush(struct buffer *buffer, int fd)
{
    while (buffer->head < buffer->tail) {
        const ssize_t sent = send(fd, buffer->bytes + buffer->head, buffer_length(buffer), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN ? FLUSH_BLOCKED : FLUSH_FAILED;
        buffer->head += (size_t)sent;
    }
    buffer->head = buffer->tail = 0;
    return FLUSH_DONE;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}
