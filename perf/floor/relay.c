// A bare multiplexing relay: clients on one side, one yamux session on the other. No head is parsed and nothing is
// routed, limited or timed, so that what it spends is what the job itself costs.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../ring/ring.h"
#include "../service/buffer.h"
#include "../service/failure.h"
#include "../service/frame.h"
#include "floor.h"
#include "heads.h"

enum { STREAMS = 1 << 16, NOBODY = -1 };
enum { ACCEPTED, RECEIVED, SENT, SESSION_RECEIVED, SESSION_SENT };
// The second group is the session's: few and large, each given back when the last send out of it is done.
enum { CLIENT_BUFFERS = 256, CLIENT_BUFFER = 8 << 10, SESSION_BUFFERS = 8, SESSION_BUFFER = 256 << 10 };

struct client {
    uint32_t stream;         // 0: none
    uint32_t replies_due;    // on the stream
    uint32_t reply_received; // of the one under way
    uint32_t send_window;
    uint32_t receive_used;   // of the window that the service has, not yet given back
    uint8_t matched;
    bool receiving, sending, ended;
    int held;                // the session's buffer out of which a send is under way, or NOBODY
    struct buffer pending;   // what came for the client meanwhile
    struct buffer flight;    // and what is being sent of it
};

struct session {
    int fd;
    bool sending;
    uint32_t next_stream;
    uint8_t header[HEADER_LENGTH];
    uint32_t header_length;       // of a header that one receive cut in two
    uint32_t payload_left;
    int payload_client;           // NOBODY: the rest of the frame is dropped
    struct buffer out, flight;    // what is written, and what is being sent
    uint32_t users[SESSION_BUFFERS];
};

static struct ring ring;
static struct buffers client_buffers, session_buffers;
static struct client clients[CONNECTIONS];
static struct session session;
static int client_of_stream[STREAMS];  // by the lower bits of its number
static uint32_t reply_length;          // learnt from the first one; 0: not yet
static bool closing;
static bool waits;                     // FINs go with the next request, instead of at once
static bool is_urgent;                 // there is more to send than FINs that wait

// MARK: Frames out

static uint8_t *put_frame(uint8_t type, uint16_t flags, uint32_t stream, uint32_t value, uint32_t payload)
{
    return put_header(buffer_append(&session.out, HEADER_LENGTH + payload), type, flags, stream, value);
}

static int *place_of(uint32_t stream) { return &client_of_stream[stream >> 1 & (STREAMS - 1)]; }

static void leave_stream(int fd, uint16_t flags)
{
    put_frame(TYPE_WINDOW_UPDATE, flags, clients[fd].stream, 0, 0);
    *place_of(clients[fd].stream) = NOBODY;
    clients[fd].stream = 0;
    if (session.payload_client == fd)
        session.payload_client = NOBODY;
}

static uint16_t enter_stream(int fd)
{
    struct client *const client = &clients[fd];
    if (client->stream)
        return 0;
    client->stream = session.next_stream;
    session.next_stream += 2;
    client->send_window = INITIAL_WINDOW;
    client->receive_used = client->reply_received = 0;
    *place_of(client->stream) = fd;
    return FLAG_SYN;
}

// A request, or more of one: the first bytes open the stream, all that one receive brought goes into one frame.
static void pass_request(int fd, const uint8_t *bytes, uint32_t length)
{
    struct client *const client = &clients[fd];
    is_urgent = true;
    client->replies_due += count_heads(&client->matched, bytes, length);
    const uint16_t flags = enter_stream(fd);
    if (length > client->send_window)
        fail("more than a window in a request");
    client->send_window -= length;
    memcpy(put_frame(TYPE_DATA, flags, client->stream, length, length), bytes, length);
}

static void flush_session(void)
{
    if (session.sending || buffer_length(&session.out) == 0 || (waits && !is_urgent))
        return;
    is_urgent = false;
    const struct buffer written = session.out;
    session.out = session.flight;
    session.flight = written;
    session.sending = true;
    ring_send(&ring, session.fd, written.bytes + written.head, buffer_length(&written), ring_token(SESSION_SENT, 0));
}

// MARK: Clients

static void receive(int fd)
{
    clients[fd].receiving = true;
    ring_receive(&ring, fd, &client_buffers, !closing, ring_token(RECEIVED, (uint32_t)fd));
}

static void close_if_done(int fd)
{
    struct client *const client = &clients[fd];
    if (!client->ended || client->receiving || client->sending)
        return;
    if (client->stream)
        leave_stream(fd, FLAG_RST);
    close(fd);
}

static void send_to_client(int fd, const uint8_t *bytes, size_t length)
{
    clients[fd].sending = true;
    ring_send(&ring, fd, bytes, length, ring_token(SENT, (uint32_t)fd));
}

// Sends straight out of the session's buffer, or keeps a copy while another send is under way.
static void pass_reply(int fd, const uint8_t *bytes, uint32_t length, int number)
{
    struct client *const client = &clients[fd];
    if (client->ended)
        return;
    if (client->sending) {
        memcpy(buffer_append(&client->pending, length), bytes, length);
        return;
    }
    client->held = number;
    session.users[number]++;
    send_to_client(fd, bytes, length);
}

static void client_accepted(int listener, const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE))
        ring_accept(&ring, listener, ring_token(ACCEPTED, (uint32_t)listener));
    if (cqe->res < 0)
        return;
    if (cqe->res >= CONNECTIONS)
        fail("descriptor %d is too high", cqe->res);
    struct client *const client = &clients[cqe->res];
    // What buffers a former client of this number has left is used again.
    *client = (struct client){.held = NOBODY, .pending = client->pending, .flight = client->flight};
    client->pending.head = client->pending.tail = client->flight.head = client->flight.tail = 0;
    receive(cqe->res);
}

static void client_received(int fd, const struct io_uring_cqe *cqe)
{
    struct client *const client = &clients[fd];
    client->receiving = cqe->flags & IORING_CQE_F_MORE;
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        const uint16_t number = buffers_number(cqe);
        if (cqe->res > 0)
            pass_request(fd, buffers_bytes(&client_buffers, number), (uint32_t)cqe->res);
        buffers_return(&client_buffers, number);
    }
    if (cqe->res <= 0 && cqe->res != -ENOBUFS)
        client->ended = true;
    if (!client->receiving && !client->ended && !(closing && client->replies_due > 0))
        receive(fd);
    close_if_done(fd);
}

static void give_back(int number)
{
    if (--session.users[number] == 0)
        buffers_return(&session_buffers, (uint16_t)number);
}

static void client_sent(int fd, const struct io_uring_cqe *cqe)
{
    struct client *const client = &clients[fd];
    client->sending = false;
    client->flight.head = client->flight.tail = 0;
    if (client->held != NOBODY)
        give_back(client->held);
    client->held = NOBODY;
    if (cqe->res < 0) {
        shutdown(fd, SHUT_RDWR);
        client->ended = true;
    } else if (buffer_length(&client->pending) > 0) {
        const struct buffer pending = client->pending;
        client->pending = client->flight;
        client->flight = pending;
        send_to_client(fd, pending.bytes, buffer_length(&pending));
    } else if (closing && !client->stream) {
        client->ended = true;
    }
    close_if_done(fd);
}

// MARK: Frames in

static void learn_reply_length(const uint8_t *bytes, uint32_t length)
{
    char head[1024] = "";
    memcpy(head, bytes, length < sizeof head ? length : sizeof head - 1);
    const char *const end = strstr(head, "\r\n\r\n"), *const field = strstr(head, "Content-Length: ");
    if (!end || !field || field > end)
        fail("the first reply does not begin with a whole head that says how long it is");
    reply_length = (uint32_t)(end + 4 - head) + (uint32_t)strtoul(field + strlen("Content-Length: "), NULL, 10);
}

// FIN follows the last byte of a reply at once, as a proxy's that knows where a reply ends.
static void count_reply(int fd, uint32_t length)
{
    struct client *const client = &clients[fd];
    client->reply_received += length;
    client->receive_used += length;
    while (client->reply_received >= reply_length && client->replies_due > 0) {
        client->reply_received -= reply_length;
        client->replies_due--;
    }
    if (client->replies_due == 0) {
        leave_stream(fd, FLAG_FIN);
    } else if (client->receive_used >= INITIAL_WINDOW / 2) {
        is_urgent = true;
        put_frame(TYPE_WINDOW_UPDATE, 0, client->stream, client->receive_used, 0);
        client->receive_used = 0;
    }
}

static void receive_payload(const uint8_t *bytes, uint32_t length, int number)
{
    const int fd = session.payload_client;
    session.payload_left -= length;
    if (fd == NOBODY)
        return;
    if (reply_length == 0)
        learn_reply_length(bytes, length);
    pass_reply(fd, bytes, length, number);
    count_reply(fd, length);
}

static void receive_header(const uint8_t *bytes)
{
    uint16_t flags;
    uint32_t stream, value;
    memcpy(&flags, bytes + 2, 2);
    memcpy(&stream, bytes + 4, 4);
    memcpy(&value, bytes + 8, 4);
    flags = ntohs(flags), stream = ntohl(stream), value = ntohl(value);
    if (bytes[1] == TYPE_PING && flags & FLAG_SYN)
        put_frame(TYPE_PING, FLAG_ACK, 0, value, 0), is_urgent = true;
    if (bytes[1] > TYPE_WINDOW_UPDATE)
        return;
    int fd = *place_of(stream);
    if (fd != NOBODY && clients[fd].stream != stream)
        fd = NOBODY;
    if (fd != NOBODY && flags & FLAG_RST)
        fail("the service has reset stream %u", stream);
    if (bytes[1] == TYPE_DATA) {
        session.payload_left = value;
        session.payload_client = fd;
    } else if (fd != NOBODY) {
        clients[fd].send_window += value;
    }
}

static uint32_t receive_some(const uint8_t *bytes, uint32_t length, int number)
{
    if (session.payload_left > 0) {
        const uint32_t part = length < session.payload_left ? length : session.payload_left;
        receive_payload(bytes, part, number);
        return part;
    }
    if (session.header_length == 0 && length >= HEADER_LENGTH) {
        receive_header(bytes);
        return HEADER_LENGTH;
    }
    const uint32_t missing = HEADER_LENGTH - session.header_length, part = length < missing ? length : missing;
    memcpy(session.header + session.header_length, bytes, part);
    session.header_length += part;
    if (session.header_length == HEADER_LENGTH) {
        session.header_length = 0;
        receive_header(session.header);
    }
    return part;
}

static void receive_session(void)
{
    ring_receive(&ring, session.fd, &session_buffers, true, ring_token(SESSION_RECEIVED, 0));
}

static void session_received(const struct io_uring_cqe *cqe)
{
    if (cqe->res <= 0 && cqe->res != -ENOBUFS)
        fail("the service has gone");
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        const int number = buffers_number(cqe);
        const uint8_t *const bytes = buffers_bytes(&session_buffers, (uint16_t)number);
        session.users[number] = 1;
        for (uint32_t offset = 0; offset < (uint32_t)cqe->res;)
            offset += receive_some(bytes + offset, (uint32_t)cqe->res - offset, number);
        give_back(number);
    }
    if (!(cqe->flags & IORING_CQE_F_MORE))
        receive_session();
}

static void session_sent(const struct io_uring_cqe *cqe)
{
    if (cqe->res < 0)
        fail("the service has gone: %s", strerror(-cqe->res));
    session.sending = false;
    session.flight.head = session.flight.tail = 0;
}

// MARK: Turns

static void take_completion(const struct io_uring_cqe *cqe)
{
    const int fd = (int)ring_number(cqe);
    switch (ring_kind(cqe)) {
    case ACCEPTED: client_accepted(fd, cqe); break;
    case RECEIVED: client_received(fd, cqe); break;
    case SENT: client_sent(fd, cqe); break;
    case SESSION_RECEIVED: session_received(cqe); break;
    case SESSION_SENT: session_sent(cqe); break;
    }
}

void run_relay(uint16_t control_port, bool closes, bool late_fin)
{
    const struct registration registration = accept_registration(control_port);
    closing = closes;
    waits = late_fin;
    session = (struct session){.fd = registration.fd, .next_stream = 1, .payload_client = NOBODY};
    memset(client_of_stream, 0xFF, sizeof client_of_stream);  // NOBODY
    ring_open(&ring, 1024);
    buffers_open(&client_buffers, &ring, 0, CLIENT_BUFFERS, CLIENT_BUFFER);
    buffers_open(&session_buffers, &ring, 1, SESSION_BUFFERS, SESSION_BUFFER);
    const int listener = ring_listen(registration.port);
    ring_accept(&ring, listener, ring_token(ACCEPTED, (uint32_t)listener));
    receive_session();
    for (;;) {
        // All that the turn before has brought together goes out, the session's bytes in one send.
        flush_session();
        buffers_publish(&client_buffers);
        buffers_publish(&session_buffers);
        ring_wait(&ring, NULL);
        ring_take(&ring, take_completion);
    }
}
