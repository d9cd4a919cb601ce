#include "CKernel.h"

#include <stdlib.h>

// DEFER_TASKRUN is the whole gain (10.7-12.5 us a forwarded request without it, 7.3 with), and 6.1 has it.
static const unsigned setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                                    IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED;

int ck_ring_init(struct ck_ring *ring, unsigned sq_entries, unsigned cq_entries) {
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    params.flags = setup_flags;
    params.cq_entries = cq_entries;
    memset(ring, 0, sizeof *ring);
    int result = io_uring_queue_init_params(sq_entries, &ring->uring, &params);
    if (result < 0) return result;
    ring->features = params.features;
    ring->enter_flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    // Without it an idle proxy is shown as waiting for a disk all the time.
    if (params.features & CK_FEATURE_NO_IOWAIT) ring->enter_flags |= CK_ENTER_NO_IOWAIT;
    return 0;
}

int ck_ring_enable(struct ck_ring *ring) {
    // liburing 2.3 declares io_uring_enable_rings, but its shared library does not export it.
    if (syscall(__NR_io_uring_register, ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0) return -errno;
    // The registered descriptor saves the lookup in the table that all threads share.
    if (io_uring_register_ring_fd(&ring->uring) == 1) ring->enter_flags |= IORING_ENTER_REGISTERED_RING;
    return 0;
}

void ck_ring_exit(struct ck_ring *ring) { io_uring_queue_exit(&ring->uring); }

int ck_ring_check_operations(struct ck_ring *ring) {
    static const int wanted[] = {IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_SEND, IORING_OP_SENDMSG,
                                 IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_ADD, IORING_OP_READ, IORING_OP_CLOSE};
    enum { OPERATIONS = 256 };
    // io_uring_get_probe_ring would not tell why there is none.
    struct io_uring_probe *probe = calloc(1, sizeof *probe + OPERATIONS * sizeof probe->ops[0]);
    if (probe == NULL) return -ENOMEM;
    int result = io_uring_register_probe(&ring->uring, probe, OPERATIONS);
    for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0] && result == 0; i++)
        if (!io_uring_opcode_supported(probe, wanted[i])) result = -EOPNOTSUPP;
    free(probe);
    return result;
}

int ck_ring_try(struct ck_ring *ring) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    if (sqe == NULL) return -EBUSY;
    io_uring_prep_nop(sqe);
    int result;
    do result = ck_submit_and_wait(ring, 1, 5000000000);
    while (result == -EINTR);
    if (result < 0) return result;
    unsigned count = io_uring_cq_ready(&ring->uring);
    io_uring_cq_advance(&ring->uring, count);
    // Whoever answers for the kernel has not done it.
    return count == 1 ? 0 : -EINVAL;
}

struct io_uring_buf_ring *ck_buffers_register(struct ck_ring *ring, uint16_t group, uint32_t entries, int *error) {
    size_t size = (size_t)entries * sizeof(struct io_uring_buf);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (memory == MAP_FAILED) {
        *error = -errno;
        return NULL;
    }
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)memory, .ring_entries = entries, .bgid = group};
    *error = io_uring_register_buf_ring(&ring->uring, &registration, 0);
    if (*error != 0) {
        munmap(memory, size);
        return NULL;
    }
    io_uring_buf_ring_init(memory);
    return memory;
}

// liburing 2.3 initialises the index array to the identity, so publishing the tail is all there is to flush.
static inline unsigned flush(struct ck_ring *ring) {
    struct io_uring_sq *sq = &ring->uring.sq;
    if (sq->sqe_head != sq->sqe_tail) {
        sq->sqe_head = sq->sqe_tail;
        io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
    }
    return sq->sqe_tail - *sq->khead;
}

static int enter(struct ck_ring *ring, unsigned submit, unsigned wait, unsigned flags, void *argument, size_t size) {
    long result = syscall(__NR_io_uring_enter, ring->uring.enter_ring_fd, submit, wait, flags, argument, size);
    return result >= 0 ? (int)result : -errno;
}

int ck_submit_and_wait(struct ck_ring *ring, unsigned wait_count, int64_t timeout_nanoseconds) {
    struct __kernel_timespec timeout = {.tv_sec = timeout_nanoseconds / 1000000000,
                                        .tv_nsec = timeout_nanoseconds % 1000000000};
    struct io_uring_getevents_arg argument = {.sigmask_sz = _NSIG / 8};
    if (timeout_nanoseconds >= 0) argument.ts = (uint64_t)(uintptr_t)&timeout;
    return enter(ring, flush(ring), wait_count, ring->enter_flags, &argument, sizeof argument);
}

static int64_t now_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int ck_submit_and_poll(struct ck_ring *ring, int64_t patience_nanoseconds) {
    int64_t end = now_nanoseconds() + patience_nanoseconds;
    for (;;) {
        // Completions are made by an enter alone (DEFER_TASKRUN).
        int result = ck_submit_and_wait(ring, 0, 0);
        if (result < 0 || io_uring_cq_ready(&ring->uring) > 0 || now_nanoseconds() >= end) return result;
    }
}

struct io_uring_sqe *ck_sqe_slow(struct ck_ring *ring) {
    unsigned flags = ring->enter_flags & IORING_ENTER_REGISTERED_RING;
    for (;;) {
        // Submission cannot be refused for good: completions that overflow are kept by the kernel (NODROP).
        int result = enter(ring, flush(ring), 0, flags, NULL, 0);
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
        if (sqe != NULL) return sqe;
        if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) __builtin_trap();
    }
}
