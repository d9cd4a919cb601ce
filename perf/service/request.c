#define _GNU_SOURCE
#include "request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "failure.h"

enum { HEAD_LIMIT = 64 << 10 };

static bool has_prefix(const char *line, const char *end, const char *prefix)
{
    const size_t length = strlen(prefix);
    return (size_t)(end - line) >= length && strncasecmp(line, prefix, length) == 0;
}

// Reads what a head says about its body. False if it says something that is not supported here.
static bool read_head(struct request *request, const char *head, const char *end)
{
    request->body_remaining = 0;
    request->in_body = true;
    if (has_prefix(head, end, "GET "))
        return true;
    if (has_prefix(head, end, "HEAD "))
        return false;
    for (const char *line = head; line; line = memchr(line, '\n', (size_t)(end - line))) {
        line += *line == '\n';
        if (has_prefix(line, end, "transfer-encoding:"))
            return false;
        if (has_prefix(line, end, "content-length:"))
            request->body_remaining = strtoull(line + strlen("content-length:"), NULL, 10);
    }
    return true;
}

// Keeps the beginning of a head until the rest comes, and looks for its end there.
static enum request_event hold_head(struct request *request, const char **cursor, const char *end)
{
    if (!request->held && !(request->held = malloc(HEAD_LIMIT)))
        fail("no memory for the head of a request");
    const uint32_t before = request->held_length;
    size_t length = (size_t)(end - *cursor);
    if (length > HEAD_LIMIT - before)
        length = HEAD_LIMIT - before;
    memcpy(request->held + before, *cursor, length);
    const size_t from = before > 3 ? before - 3 : 0;
    const char *const last = memmem(request->held + from, before + length - from, "\r\n\r\n", 4);
    if (!last) {
        *cursor += length;
        request->held_length += (uint32_t)length;
        return request->held_length == HEAD_LIMIT ? REQUEST_UNSUPPORTED : REQUEST_INCOMPLETE;
    }
    *cursor += last + 4 - request->held - before;
    const bool supported = read_head(request, request->held, last + 4);
    request_free(request);
    return supported ? REQUEST_COMPLETE : REQUEST_UNSUPPORTED;
}

// Passes the head. REQUEST_COMPLETE here means that the head has ended.
static enum request_event pass_head(struct request *request, const char **cursor, const char *end)
{
    if (request->held)
        return hold_head(request, cursor, end);
    const char *const last = memmem(*cursor, (size_t)(end - *cursor), "\r\n\r\n", 4);
    if (!last)
        return hold_head(request, cursor, end);
    const char *const head = *cursor;
    *cursor = last + 4;
    return read_head(request, head, last + 4) ? REQUEST_COMPLETE : REQUEST_UNSUPPORTED;
}

enum request_event request_read(struct request *request, const char **cursor, const char *end)
{
    if (*cursor == end)
        return REQUEST_INCOMPLETE;
    if (!request->in_body) {
        const enum request_event event = pass_head(request, cursor, end);
        if (event != REQUEST_COMPLETE)
            return event;
    }
    uint64_t length = (uint64_t)(end - *cursor);
    if (length > request->body_remaining)
        length = request->body_remaining;
    *cursor += length;
    request->body_remaining -= length;
    if (request->body_remaining > 0)
        return REQUEST_INCOMPLETE;
    request->in_body = false;
    return REQUEST_COMPLETE;
}

void request_free(struct request *request)
{
    free(request->held);
    request->held = NULL;
    request->held_length = 0;
}
