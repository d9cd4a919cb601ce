#include "session.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "frame.h"

// MARK: Frames out

// Where the next frame goes: behind a tail that has not been sent.
static struct buffer *end_of_frames(struct session *session)
{
    return session->tail_length > 0 ? &session->behind : &session->out;
}

static void send_control(struct session *session, uint8_t type, uint16_t flags, uint32_t id, uint32_t value)
{
    put_header(buffer_append(end_of_frames(session), HEADER_LENGTH), type, flags, id, value);
}

// The first frame of a stream acknowledges it, whatever it is.
static uint16_t acknowledgement(struct stream *stream)
{
    const uint16_t flags = stream->acknowledged ? 0 : FLAG_ACK;
    stream->acknowledged = true;
    return flags;
}

// MARK: Streams

static uint32_t *bucket_of(struct session *session, uint32_t id)
{
    return &session->buckets[(id >> 1) & (SESSION_BUCKETS - 1)];
}

static uint32_t find_stream(struct session *session, uint32_t id)
{
    uint32_t slot = *bucket_of(session, id);
    while (slot != NO_STREAM && session->streams[slot].id != id)
        slot = session->streams[slot].next;
    return slot;
}

static void release_slot(struct session *session, uint32_t slot)
{
    session->streams[slot].next = session->free;
    session->free = slot;
}

static void close_stream(struct session *session, uint32_t slot)
{
    struct stream *const stream = &session->streams[slot];
    uint32_t *link = bucket_of(session, stream->id);
    while (*link != slot)
        link = &session->streams[*link].next;
    *link = stream->next;
    request_free(&stream->request);
    buffer_free(&stream->unechoed);
    if (stream->ready)
        stream->gone = true;
    else
        release_slot(session, slot);
}

static void make_ready(struct session *session, uint32_t slot)
{
    struct stream *const stream = &session->streams[slot];
    if (stream->ready || stream->send_window == 0)
        return;
    stream->ready = true;
    stream->next_ready = NO_STREAM;
    if (session->ready_tail == NO_STREAM)
        session->ready_head = slot;
    else
        session->streams[session->ready_tail].next_ready = slot;
    session->ready_tail = slot;
}

static uint32_t take_ready(struct session *session)
{
    const uint32_t slot = session->ready_head;
    session->ready_head = session->streams[slot].next_ready;
    if (session->ready_head == NO_STREAM)
        session->ready_tail = NO_STREAM;
    session->streams[slot].ready = false;
    return slot;
}

static void choose(struct session *session, uint32_t slot, enum raw raw)
{
    struct stream *const stream = &session->streams[slot];
    stream->raw = raw;
    if (raw != RAW_SOURCE)
        return;
    stream->replies_due = UINT32_MAX;
    make_ready(session, slot);
}

static void open_stream(struct session *session, uint32_t id)
{
    const uint32_t slot = session->free;
    if (find_stream(session, id) != NO_STREAM)
        fail("stream %u was opened twice", id);
    if (slot == NO_STREAM) {
        send_control(session, TYPE_WINDOW_UPDATE, FLAG_RST, id, 0);
        return;
    }
    struct stream *const stream = &session->streams[slot];
    session->free = stream->next;
    *stream = (struct stream){
        .id = id,
        .next = *bucket_of(session, id),
        .send_window = INITIAL_WINDOW,
        .receive_window = INITIAL_WINDOW,
    };
    *bucket_of(session, id) = slot;
    choose(session, slot, session->reply.raw);
}

// Both directions have ended: our FIN answers the other end's, as net/http's would, and nothing of the stream is left.
static void finish_if_done(struct session *session, uint32_t slot)
{
    struct stream *const stream = &session->streams[slot];
    if (!stream->finished || stream->replies_due > 0 || buffer_length(&stream->unechoed) > 0)
        return;
    send_control(session, TYPE_WINDOW_UPDATE, FLAG_FIN | acknowledgement(stream), stream->id, 0);
    close_stream(session, slot);
}

// The other end has said FIN. A source has no end of its own.
static void note_finish(struct session *session, uint32_t slot)
{
    struct stream *const stream = &session->streams[slot];
    stream->finished = true;
    if (session->reply.raw)
        stream->replies_due = 0;
}

// MARK: Replies

// One frame with as much of the reply as the window lets through.
static void send_reply(struct session *session, struct stream *stream)
{
    uint32_t length = session->reply.length - stream->reply_offset;
    if (length > stream->send_window)
        length = stream->send_window;
    const bool is_source = stream->raw == RAW_SOURCE;
    uint8_t *const frame = buffer_append(&session->out, HEADER_LENGTH + (is_source ? 0 : length));
    uint8_t *const payload = put_header(frame, TYPE_DATA, acknowledgement(stream), stream->id, length);
    if (is_source) {
        session->tail = session->reply.bytes + stream->reply_offset;
        session->tail_length = length;
    } else {
        memcpy(payload, session->reply.bytes + stream->reply_offset, length);
    }
    stream->send_window -= length;
    stream->reply_offset += length;
    if (stream->reply_offset == session->reply.length) {
        stream->reply_offset = 0;
        stream->replies_due--;
    }
}

bool session_fill(struct session *session)
{
    while (session->ready_head != NO_STREAM && session->tail_length == 0
           && buffer_length(&session->out) < SESSION_OUT_LIMIT) {
        const uint32_t slot = take_ready(session);
        struct stream *const stream = &session->streams[slot];
        if (stream->gone) {
            release_slot(session, slot);
            continue;
        }
        send_reply(session, stream);
        if (stream->replies_due > 0)
            make_ready(session, slot);
        else
            finish_if_done(session, slot);
    }
    return session->ready_head != NO_STREAM;
}

// MARK: Frames in

static void read_requests(struct session *session, uint32_t slot, const char *cursor, const char *end)
{
    struct stream *const stream = &session->streams[slot];
    for (;;) {
        switch (request_read(&stream->request, &cursor, end)) {
        case REQUEST_INCOMPLETE:
            return;
        case REQUEST_UNSUPPORTED:
            fail("stream %u carries a request that is not supported: HEAD, a chunked body or a huge head", stream->id);
        case REQUEST_COMPLETE:
            stream->replies_due++;
            make_ready(session, slot);
        }
    }
}

// Sends what the window has room for. Returns how much that was.
static size_t send_echo(struct session *session, struct stream *stream, const uint8_t *bytes, size_t length)
{
    if (length > stream->send_window)
        length = stream->send_window;
    if (length == 0)
        return 0;
    stream->send_window -= (uint32_t)length;
    uint8_t *const frame = buffer_append(end_of_frames(session), HEADER_LENGTH + length);
    memcpy(put_header(frame, TYPE_DATA, acknowledgement(stream), stream->id, (uint32_t)length), bytes, length);
    return length;
}

static void echo(struct session *session, uint32_t slot, const uint8_t *bytes, size_t length)
{
    struct stream *const stream = &session->streams[slot];
    struct buffer *const unechoed = &stream->unechoed;
    const size_t sent = buffer_length(unechoed) > 0 ? 0 : send_echo(session, stream, bytes, length);
    if (sent == length)
        return;
    if (buffer_length(unechoed) + length - sent > ECHO_LIMIT)
        fail("stream %u: more than %d bytes wait to be sent back", stream->id, ECHO_LIMIT);
    memcpy(buffer_append(unechoed, length - sent), bytes + sent, length - sent);
}

// The window has grown.
static void echo_more(struct session *session, struct stream *stream)
{
    struct buffer *const unechoed = &stream->unechoed;
    unechoed->head += send_echo(session, stream, unechoed->bytes + unechoed->head, buffer_length(unechoed));
    if (unechoed->head == unechoed->tail)
        unechoed->head = unechoed->tail = 0;
}

static void read_payload(struct session *session, uint32_t slot, const uint8_t *bytes, size_t length)
{
    if (session->streams[slot].raw == RAW_MIXED && length > 0) {
        choose(session, slot, *bytes == 'e' ? RAW_ECHO : *bytes == 'd' ? RAW_SOURCE : RAW_SINK);
        bytes++, length--;
        if (length == 0)
            return;
    }
    switch (session->streams[slot].raw) {
    case RAW_MIXED: break;
    case NOT_RAW: read_requests(session, slot, (const char *)bytes, (const char *)bytes + length); break;
    case RAW_ECHO: echo(session, slot, bytes, length); break;
    case RAW_SINK:
    case RAW_SOURCE: break;
    }
}

// After the last byte of a data frame: what it has used of the window is given back in halves, as hashicorp/yamux does.
static void end_payload(struct session *session)
{
    const uint32_t slot = session->payload_stream;
    if (slot == NO_STREAM)
        return;
    struct stream *const stream = &session->streams[slot];
    const uint32_t used = session->window - stream->receive_window;
    const bool must_acknowledge = !stream->acknowledged && stream->replies_due == 0;
    if (used >= session->window / 2 || must_acknowledge) {
        send_control(session, TYPE_WINDOW_UPDATE, acknowledgement(stream), stream->id, used);
        stream->receive_window = session->window;
    }
    if (session->payload_finishes)
        note_finish(session, slot);
    finish_if_done(session, slot);
}

static void begin_payload(struct session *session, uint16_t flags, uint32_t id, uint32_t length)
{
    const uint32_t slot = find_stream(session, id);
    session->payload_stream = slot;
    session->payload_remaining = length;
    session->payload_finishes = flags & FLAG_FIN;
    if (slot != NO_STREAM) {
        struct stream *const stream = &session->streams[slot];
        if (stream->finished)
            fail("stream %u brought data or a second FIN after its FIN", id);
        if (length > stream->receive_window)
            fail("stream %u exceeded its window: %u bytes where %u were left", id, length, stream->receive_window);
        stream->receive_window -= length;
    }
    if (length == 0)
        end_payload(session);
}

static void receive_window_update(struct session *session, uint16_t flags, uint32_t id, uint32_t credit)
{
    const uint32_t slot = find_stream(session, id);
    if (slot == NO_STREAM)
        return;
    struct stream *const stream = &session->streams[slot];
    if (__builtin_add_overflow(stream->send_window, credit, &stream->send_window))
        fail("the window of stream %u overflowed", id);
    if (flags & FLAG_SYN)
        send_control(session, TYPE_WINDOW_UPDATE, acknowledgement(stream), id, 0);
    if (stream->replies_due > 0)
        make_ready(session, slot);
    echo_more(session, stream);
    if (flags & FLAG_FIN) {
        if (stream->finished)
            fail("stream %u brought a second FIN", id);
        note_finish(session, slot);
    }
    finish_if_done(session, slot);
}

static void receive_ping(struct session *session, uint16_t flags, uint32_t value)
{
    if (flags & FLAG_SYN)
        send_control(session, TYPE_PING, FLAG_ACK, 0, value);
}

static void receive_stream_header(struct session *session, uint8_t type, uint16_t flags, uint32_t id, uint32_t length)
{
    if (flags & FLAG_RST) {
        const uint32_t slot = find_stream(session, id);
        if (slot != NO_STREAM)
            close_stream(session, slot);
        session->payload_stream = NO_STREAM;
        session->payload_remaining = type == TYPE_DATA ? length : 0;
        return;
    }
    if (flags & FLAG_ACK)
        fail("stream %u was acknowledged, but it is the other end that opens streams", id);
    if (flags & FLAG_SYN) {
        if (!(id & 1))
            fail("the proxy opened stream %u, but its streams have odd ids", id);
        open_stream(session, id);
    }
    if (type == TYPE_DATA)
        begin_payload(session, flags, id, length);
    else
        receive_window_update(session, flags, id, length);
}

static void receive_header(struct session *session, const uint8_t *bytes)
{
    uint16_t flags;
    uint32_t id, length;
    memcpy(&flags, bytes + 2, 2);
    memcpy(&id, bytes + 4, 4);
    memcpy(&length, bytes + 8, 4);
    flags = ntohs(flags), id = ntohl(id), length = ntohl(length);
    if (bytes[0] != 0)
        fail("a frame of yamux version %u", bytes[0]);
    switch (bytes[1]) {
    case TYPE_DATA:
    case TYPE_WINDOW_UPDATE: receive_stream_header(session, bytes[1], flags, id, length); break;
    case TYPE_PING: receive_ping(session, flags, length); break;
    case TYPE_GO_AWAY: break;  // the streams under way are answered; the end of the socket is the end of the service
    default: fail("a frame of yamux type %u", bytes[1]);
    }
}

void session_skip(struct session *session, size_t length)
{
    session->payload_remaining -= (uint32_t)length;
    if (session->payload_remaining == 0)
        end_payload(session);
}

static size_t receive_payload(struct session *session, const uint8_t *bytes, size_t length)
{
    if (length > session->payload_remaining)
        length = session->payload_remaining;
    if (session->payload_stream != NO_STREAM)
        read_payload(session, session->payload_stream, bytes, length);
    session_skip(session, length);
    return length;
}

size_t session_header_missing(const struct session *session) { return HEADER_LENGTH - session->header_length; }

// Completes a header that the receive before cut in two.
static size_t receive_rest_of_header(struct session *session, const uint8_t *bytes, size_t length)
{
    if (length > HEADER_LENGTH - session->header_length)
        length = HEADER_LENGTH - session->header_length;
    memcpy(session->header + session->header_length, bytes, length);
    session->header_length += (uint32_t)length;
    if (session->header_length == HEADER_LENGTH) {
        session->header_length = 0;
        receive_header(session, session->header);
    }
    return length;
}

void session_receive(struct session *session, const uint8_t *bytes, size_t length)
{
    const uint8_t *const end = bytes + length;
    while (bytes < end) {
        const size_t left = (size_t)(end - bytes);
        if (session->payload_remaining > 0) {
            bytes += receive_payload(session, bytes, left);
        } else if (session->header_length > 0 || left < HEADER_LENGTH) {
            bytes += receive_rest_of_header(session, bytes, left);
        } else {
            receive_header(session, bytes);
            bytes += HEADER_LENGTH;
        }
    }
}

// MARK: Life

struct session *session_create(struct reply reply, uint32_t window)
{
    struct session *const session = calloc(1, sizeof *session);
    if (!session)
        fail("no memory for a session");
    session->reply = reply;
    session->window = window;
    for (uint32_t slot = SESSION_STREAMS - 1; slot > NO_STREAM; slot--)
        release_slot(session, slot);
    return session;
}

void session_end_tail(struct session *session)
{
    const struct buffer sent = session->out;
    session->out = session->behind;
    session->behind = sent;
}

void session_free(struct session *session)
{
    buffer_free(&session->behind);
    for (uint32_t slot = 1; slot < SESSION_STREAMS; slot++) {
        request_free(&session->streams[slot].request);
        buffer_free(&session->streams[slot].unechoed);
    }
    buffer_free(&session->out);
    free(session);
}
