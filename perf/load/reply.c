#define _GNU_SOURCE
#include "reply.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../service/failure.h"

static void read_head(struct reply *reply, const char *head, const char *end)
{
    static const char status[] = "HTTP/1.1 200", field[] = "content-length:";
    if ((size_t)(end - head) < sizeof status || memcmp(head, status, sizeof status - 1) != 0)
        fail("a reply begins with '%.40s'", head);
    for (const char *line = head; (line = memchr(line, '\n', (size_t)(end - line)));) {
        line++;
        if ((size_t)(end - line) < sizeof field)
            break;
        if ((*line | 0x20) == 'c' && strncasecmp(line, field, sizeof field - 1) == 0) {
            reply->body_left = strtoull(line + sizeof field - 1, NULL, 10);
            reply->in_body = true;
            return;
        }
    }
    fail("a reply has no Content-Length");
}

// False if the head has not ended yet.
static bool pass_head(struct reply *reply, const char **cursor, const char *end)
{
    const char *const last = reply->held_length > 0 ? NULL : memmem(*cursor, (size_t)(end - *cursor), "\r\n\r\n", 4);
    if (last) {
        read_head(reply, *cursor, last + 4);
        *cursor = last + 4;
        return true;
    }
    if (!reply->held && !(reply->held = malloc(HELD_HEAD)))
        fail("no memory for a head");
    while (*cursor < end) {
        if (reply->held_length == HELD_HEAD)
            fail("the head of a reply is longer than %d bytes", HELD_HEAD);
        reply->held[reply->held_length++] = *(*cursor)++;
        if (reply->held_length >= 4 && memcmp(reply->held + reply->held_length - 4, "\r\n\r\n", 4) == 0) {
            read_head(reply, reply->held, reply->held + reply->held_length);
            reply->held_length = 0;
            return true;
        }
    }
    return false;
}

bool reply_read(struct reply *reply, const char **cursor, const char *end)
{
    if (!reply->in_body && !pass_head(reply, cursor, end))
        return false;
    const uint64_t there = (uint64_t)(end - *cursor), part = there < reply->body_left ? there : reply->body_left;
    *cursor += part;
    reply->body_left -= part;
    reply->in_body = reply->body_left > 0;
    return !reply->in_body;
}
