// The service's end of a yamux session: bytes in, frames out, no socket. Any breach of the protocol by the other end
// ends the process with a sentence, since a benchmark of a proxy that breaks it would mean nothing.
#pragma once

#include "buffer.h"
#include "request.h"
#include "serve.h"

enum {
    SESSION_STREAMS = 16384,      // at once; further ones are answered with RST
    SESSION_BUCKETS = 16384,      // ids are handed out in sequence, so live ones rarely share a bucket
    SESSION_OUT_LIMIT = 1 << 20,  // bytes waiting to be sent above which streams wait for their turn
    ECHO_LIMIT = 1 << 20,         // bytes of a stream that may wait to be sent back
    NO_STREAM = 0,                // slot 0 of the slab stays empty
};

struct stream {
    uint32_t id;
    uint32_t next;            // in its bucket, or in the list of free slots
    uint32_t next_ready;      // in the list of streams that have something to send and a window for it
    uint32_t send_window;     // what the other end lets us send
    uint32_t receive_window;  // what we let the other end send
    uint32_t reply_offset;    // how much of the reply under way has been sent
    uint32_t replies_due;     // the one under way included
    enum raw raw;             // with RAW_MIXED: until its first byte
    bool acknowledged;
    bool finished;            // the other end has said FIN
    bool ready;
    bool gone;                // reset while it was ready: freed when its turn comes
    struct request request;
    struct buffer unechoed;   // what came back to be sent and has no window yet
};

struct session {
    struct buffer out;
    const uint8_t *tail;      // what a source says is sent from where it lies, behind `out`
    size_t tail_length;
    struct buffer behind;     // what follows the tail
    struct reply reply;
    uint32_t window;          // what every stream may send before it is given back
    uint32_t free;
    uint32_t ready_head, ready_tail;
    uint8_t header[12];       // of a frame that one receive cut in two
    uint32_t header_length;
    uint32_t payload_remaining;
    uint32_t payload_stream;  // NO_STREAM: the rest of the frame is dropped
    bool payload_finishes;    // the frame carries FIN
    uint32_t buckets[SESSION_BUCKETS];
    struct stream streams[SESSION_STREAMS];
};

struct session *session_create(struct reply reply, uint32_t window);

// Takes what one receive brought.
void session_receive(struct session *session, const uint8_t *bytes, size_t length);

// How many of the next bytes nobody will look at: payload for a sink. They are told of here when they were dropped.
static inline size_t session_unseen(const struct session *session)
{
    return session->reply.raw == RAW_SINK ? session->payload_remaining : 0;
}

void session_skip(struct session *session, size_t length);

// How many are missing of the header that comes next, or has begun.
size_t session_header_missing(const struct session *session);

// Appends the frames of the streams that are ready to `out`, up to its limit. True if there may be more.
bool session_fill(struct session *session);

// The tail has been sent, and all before it.
void session_end_tail(struct session *session);

void session_free(struct session *session);
