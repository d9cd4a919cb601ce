// An io_uring of one thread: as little of it as the floors and the load generator need.
#pragma once

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

struct ring {
    struct io_uring uring;
};

// Receive buffers of one size that the kernel picks from, in a ring of their own.
struct buffers {
    struct io_uring_buf_ring *slots;
    uint8_t *memory;
    uint32_t count, size;
    uint16_t group;
    int returned;  // since they were last published
};

// What a completion belongs to: a kind that its reader knows, and a number, of a descriptor for instance.
static inline uint64_t ring_token(uint8_t kind, uint32_t number) { return (uint64_t)number << 8 | kind; }
static inline uint8_t ring_kind(const struct io_uring_cqe *cqe) { return (uint8_t)cqe->user_data; }
static inline uint32_t ring_number(const struct io_uring_cqe *cqe) { return (uint32_t)(cqe->user_data >> 8); }

// Ends the process with a sentence where io_uring is missing, forbidden or older than Linux 6.1.
void ring_open(struct ring *ring, uint32_t entries);

// `count` is a power of two.
void buffers_open(struct buffers *buffers, struct ring *ring, uint16_t group, uint32_t count, uint32_t size);

// The next free entry of the submission queue, which is submitted first if it is full.
static inline struct io_uring_sqe *ring_entry(struct ring *ring, uint64_t token)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    if (!sqe) {
        io_uring_submit(&ring->uring);
        sqe = io_uring_get_sqe(&ring->uring);
    }
    // Every prep function of liburing leaves the token alone.
    sqe->user_data = token;
    return sqe;
}

// Neighbours begin in different sets of the caches, which buffers of a power of two would share.
static inline uint32_t buffers_stride(const struct buffers *buffers) { return buffers->size + 192; }

static inline uint16_t buffers_number(const struct io_uring_cqe *cqe)
{
    return (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
}

static inline uint8_t *buffers_bytes(const struct buffers *buffers, uint16_t number)
{
    return buffers->memory + (size_t)number * buffers_stride(buffers);
}

// Gives a buffer back. The kernel sees it after `buffers_publish`.
static inline void buffers_return(struct buffers *buffers, uint16_t number)
{
    io_uring_buf_ring_add(buffers->slots, buffers_bytes(buffers, number), buffers->size, number,
                          io_uring_buf_ring_mask(buffers->count), buffers->returned++);
}

static inline void buffers_publish(struct buffers *buffers)
{
    if (buffers->returned > 0)
        io_uring_buf_ring_advance(buffers->slots, buffers->returned);
    buffers->returned = 0;
}

// Operations on a descriptor, with a token each. Receives take their buffer from a group.
void ring_accept(struct ring *ring, int listener, uint64_t token);
void ring_receive(struct ring *ring, int fd, const struct buffers *buffers, bool is_multishot, uint64_t token);
void ring_send(struct ring *ring, int fd, const void *bytes, size_t length, uint64_t token);

// Submits what there is and waits for a completion, until `deadline` (nanoseconds from now) if it is not NULL.
void ring_wait(struct ring *ring, const uint64_t *deadline_nanoseconds);

// Hands every completion there is to `take`, and their places back to the kernel.
static inline void ring_take(struct ring *ring, void (*take)(const struct io_uring_cqe *))
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring->uring, head, cqe) {
        count++;
        take(cqe);
    }
    io_uring_cq_advance(&ring->uring, count);
}

// A listener on 127.0.0.1 whose connections have TCP_NODELAY.
int ring_listen(uint16_t port);
