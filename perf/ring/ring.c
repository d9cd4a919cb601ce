#define _GNU_SOURCE
#include "ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../service/failure.h"

enum { COMPLETIONS = 16384, NANOSECONDS = 1000000000 };

void ring_open(struct ring *ring, uint32_t entries)
{
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL
            | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = COMPLETIONS,
    };
    const int result = io_uring_queue_init_params(entries, &ring->uring, &parameters);
    if (result < 0)
        fail("no io_uring: %s", strerror(-result));
    io_uring_register_ring_fd(&ring->uring);
}

static void *map(size_t length)
{
    void *const memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (memory == MAP_FAILED)
        fail("no memory for %zu bytes of buffers", length);
    return memory;
}

void buffers_open(struct buffers *buffers, struct ring *ring, uint16_t group, uint32_t count, uint32_t size)
{
    *buffers = (struct buffers){.count = count, .size = size, .group = group};
    buffers->memory = map((size_t)count * buffers_stride(buffers));
    buffers->slots = map(count * sizeof(struct io_uring_buf));
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)buffers->slots,
        .ring_entries = count,
        .bgid = group,
    };
    const int result = io_uring_register_buf_ring(&ring->uring, &registration, 0);
    if (result < 0)
        fail("no ring of buffers: %s", strerror(-result));
    io_uring_buf_ring_init(buffers->slots);
    for (uint32_t number = 0; number < count; number++)
        buffers_return(buffers, (uint16_t)number);
    buffers_publish(buffers);
}

void ring_accept(struct ring *ring, int listener, uint64_t token)
{
    io_uring_prep_multishot_accept(ring_entry(ring, token), listener, NULL, NULL, SOCK_CLOEXEC);
}

void ring_receive(struct ring *ring, int fd, const struct buffers *buffers, bool is_multishot, uint64_t token)
{
    struct io_uring_sqe *const sqe = ring_entry(ring, token);
    if (is_multishot)
        io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    else
        io_uring_prep_recv(sqe, fd, NULL, buffers->size, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = buffers->group;
}

void ring_send(struct ring *ring, int fd, const void *bytes, size_t length, uint64_t token)
{
    // MSG_WAITALL: a short send is taken up again by the kernel.
    io_uring_prep_send(ring_entry(ring, token), fd, bytes, length, MSG_WAITALL | MSG_NOSIGNAL);
}

void ring_wait(struct ring *ring, const uint64_t *deadline_nanoseconds)
{
    int result;
    if (deadline_nanoseconds) {
        struct io_uring_cqe *first;
        struct __kernel_timespec timeout = {(long long)(*deadline_nanoseconds / NANOSECONDS),
                                            (long long)(*deadline_nanoseconds % NANOSECONDS)};
        result = io_uring_submit_and_wait_timeout(&ring->uring, &first, 1, &timeout, NULL);
    } else {
        result = io_uring_submit_and_wait(&ring->uring, 1);
    }
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EAGAIN && result != -EBUSY)
        fail("io_uring_enter: %s", strerror(-result));
}

int ring_listen(uint16_t port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // The sockets that it accepts inherit TCP_NODELAY.
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0
        || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0
        || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0)
        fail("cannot listen on 127.0.0.1:%u: %s", port, strerror(errno));
    return fd;
}
