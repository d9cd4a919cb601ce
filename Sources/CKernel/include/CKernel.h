#ifndef CKERNEL_H
#define CKERNEL_H

// What the kernel offers and Swift cannot reach by itself: liburing's inline functions, marked so that the
// compiler's @_noLocks check accepts them, GNU calls that the Glibc module hides, and constants of kernels newer
// than the headers. Only this target sees liburing.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

// The Glibc module is built without _GNU_SOURCE, and fd_set's member has another name then. Two definitions of one type
// are an error in whoever imports both modules, so this one gets that name too.
#include <features.h>
#pragma push_macro("__USE_XOPEN")
#undef __USE_XOPEN
#include <sys/select.h>
#pragma pop_macro("__USE_XOPEN")

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/// Callable from functions that must not allocate, count references or take locks.
#define CK_HOT __attribute__((swift_attr("@_noLocks")))

#define EX_OSERR_CODE 71

// Bits that the 6.1 headers lack.
#define CK_FEATURE_NO_IOWAIT (1U << 17)   // 6.15
#define CK_ENTER_NO_IOWAIT (1U << 7)      // 6.15

struct ck_ring {
    struct io_uring uring;
    uint32_t enter_flags;      // what every enter carries
    uint32_t features;         // as the kernel reported them
};

/// Makes a ring, disabled: the thread that calls ck_ring_enable becomes its only submitter.
/// Returns 0 or -errno.
int ck_ring_init(struct ck_ring *ring, unsigned sq_entries, unsigned cq_entries);
int ck_ring_enable(struct ck_ring *ring);
void ck_ring_exit(struct ck_ring *ring);
/// Whether the kernel knows every operation that we use. Returns 0, -EOPNOTSUPP if one is missing, or the -errno with
/// which it was refused to tell.
int ck_ring_check_operations(struct ck_ring *ring);
/// One operation that does nothing, there and back. Returns 0 or -errno.
int ck_ring_try(struct ck_ring *ring);

/// A ring of provided buffers: `entries` (a power of two) of them. NULL: refused with *error, an -errno.
struct io_uring_buf_ring *ck_buffers_register(struct ck_ring *ring, uint16_t group, uint32_t entries, int *error);

/// Hands everything queued to the kernel and waits for `wait_count` completions or until the timeout
/// (nanoseconds, negative: none). Returns >= 0 or -errno (ETIME: the timeout, EINTR, EBUSY: completions to take first).
CK_HOT int ck_submit_and_wait(struct ck_ring *ring, unsigned wait_count, int64_t timeout_nanoseconds);

/// Hands everything queued to the kernel and looks for a completion again and again, at most for that long
/// (nanoseconds), without giving the processor up. Returns as ck_submit_and_wait does; 0 too if there was none.
CK_HOT int ck_submit_and_poll(struct ck_ring *ring, int64_t patience_nanoseconds);

/// A cleared submission entry; when the queue is full, what it holds is submitted first.
CK_HOT struct io_uring_sqe *ck_sqe_slow(struct ck_ring *ring);

CK_HOT static inline struct io_uring_sqe *ck_sqe(struct ck_ring *ring) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    return __builtin_expect(sqe != NULL, 1) ? sqe : ck_sqe_slow(ring);
}

CK_HOT static inline unsigned ck_sq_pending(const struct ck_ring *ring) {
    const struct io_uring_sq *sq = &ring->uring.sq;
    return sq->sqe_tail - io_uring_smp_load_acquire(sq->khead);
}

CK_HOT static inline unsigned ck_cq_ready(const struct ck_ring *ring) {
    return io_uring_cq_ready(&ring->uring);
}

CK_HOT static inline struct io_uring_cqe ck_cqe_at(const struct ck_ring *ring, unsigned index) {
    const struct io_uring_cq *cq = &ring->uring.cq;
    return cq->cqes[(*cq->khead + index) & *cq->kring_mask];
}

CK_HOT static inline void ck_cq_advance(struct ck_ring *ring, unsigned count) {
    io_uring_cq_advance(&ring->uring, count);
}

CK_HOT static inline bool ck_cq_overflowed(const struct ck_ring *ring) {
    return (*ring->uring.sq.kflags & IORING_SQ_CQ_OVERFLOW) != 0;
}

CK_HOT static inline void ck_accept_multishot(struct ck_ring *ring, int fd, uint64_t user_data) {
    struct io_uring_sqe *sqe = ck_sqe(ring);
    io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    sqe->user_data = user_data;
}

/// `count`: bytes at most, 0 for what a buffer holds; a repeated one takes what a buffer holds (6.17 could do more).
CK_HOT static inline void ck_receive(struct ck_ring *ring, int fd, uint16_t group, uint32_t count, bool multishot,
                                     uint64_t user_data) {
    struct io_uring_sqe *sqe = ck_sqe(ring);
    io_uring_prep_recv(sqe, fd, NULL, count, 0);
    if (multishot) sqe->ioprio |= IORING_RECV_MULTISHOT;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = group;
    sqe->user_data = user_data;
}

CK_HOT static inline void ck_send(struct ck_ring *ring, int fd, const void *bytes, uint32_t count, uint64_t user_data) {
    struct io_uring_sqe *sqe = ck_sqe(ring);
    io_uring_prep_send(sqe, fd, bytes, count, MSG_NOSIGNAL);
    sqe->user_data = user_data;
}

/// The message and its vectors must stay until the next submission; the kernel copies them then.
CK_HOT static inline void ck_send_message(struct ck_ring *ring, int fd, const struct msghdr *message,
                                          uint64_t user_data) {
    struct io_uring_sqe *sqe = ck_sqe(ring);
    io_uring_prep_sendmsg(sqe, fd, message, MSG_NOSIGNAL);
    sqe->user_data = user_data;
}

CK_HOT static inline void ck_cancel(struct ck_ring *ring, uint64_t target, uint64_t user_data) {
    struct io_uring_sqe *sqe = ck_sqe(ring);
    io_uring_prep_cancel64(sqe, target, 0);
    sqe->user_data = user_data;
}

CK_HOT static inline void ck_poll_multishot(struct ck_ring *ring, int fd, uint32_t events, uint64_t user_data) {
    struct io_uring_sqe *sqe = ck_sqe(ring);
    io_uring_prep_poll_multishot(sqe, fd, events);
    sqe->user_data = user_data;
}

/// Once: as soon as one of the events holds, at once if one does already.
CK_HOT static inline void ck_poll(struct ck_ring *ring, int fd, uint32_t events, uint64_t user_data) {
    struct io_uring_sqe *sqe = ck_sqe(ring);
    io_uring_prep_poll_add(sqe, fd, events);
    sqe->user_data = user_data;
}

CK_HOT static inline void ck_read(struct ck_ring *ring, int fd, void *bytes, uint32_t count, uint64_t user_data) {
    struct io_uring_sqe *sqe = ck_sqe(ring);
    io_uring_prep_read(sqe, fd, bytes, count, 0);
    sqe->user_data = user_data;
}

/// Closes without a completion, unless it fails.
CK_HOT static inline void ck_close(struct ck_ring *ring, int fd, uint64_t user_data) {
    struct io_uring_sqe *sqe = ck_sqe(ring);
    io_uring_prep_close(sqe, fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = user_data;
}

CK_HOT static inline void ck_buffers_add(struct io_uring_buf_ring *buffers, void *bytes, uint32_t count, uint16_t id,
                                         uint32_t mask, uint32_t offset) {
    io_uring_buf_ring_add(buffers, bytes, count, id, (int)mask, (int)offset);
}

CK_HOT static inline void ck_buffers_publish(struct io_uring_buf_ring *buffers, uint32_t count) {
    io_uring_buf_ring_advance(buffers, (int)count);
}

CK_HOT static inline uint64_t ck_now_microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

CK_HOT static inline uint64_t ck_wall_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec < 0 ? 0 : (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// Socket calls of the data plane. Each returns >= 0 or -errno.

CK_HOT static inline int ck_shutdown(int fd, int how) { return shutdown(fd, how) == 0 ? 0 : -errno; }
CK_HOT static inline int ck_close_now(int fd) { return close(fd) == 0 ? 0 : -errno; }

/// The next close sends a reset instead of a FIN.
CK_HOT static inline int ck_reset_on_close(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0 ? 0 : -errno;
}

CK_HOT static inline int ck_signal_eventfd(int fd) {
    uint64_t one = 1;
    return write(fd, &one, sizeof one) == (ssize_t)sizeof one ? 0 : -errno;
}

CK_HOT static inline int ck_accept_now(int fd) {
    int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return accepted >= 0 ? accepted : -errno;
}

// Bytes that pass without being copied. Nothing here waits, if the sockets are non-blocking: SPLICE_F_NONBLOCK is about
// the pipe alone. Each returns a count (0: the end) or -errno.

/// A pipe; ends[0] is the one to read from. Returns its size in bytes, which may be less than asked for.
int ck_pipe(int ends[2], int size);
/// A descriptor into which bytes can be moved that nobody wants.
int ck_open_nowhere(void);
/// Moves bytes between a pipe and something else. -EAGAIN: there are none, or no room, on either side.
CK_HOT ssize_t ck_splice(int from, int to, size_t count);
CK_HOT ssize_t ck_read_now(int fd, void *bytes, size_t count);
/// `has_more`: what is sent next belongs to it, so that a segment need not end here.
CK_HOT ssize_t ck_send_message_now(int fd, const struct msghdr *message, bool has_more);

/// The peer's address as 16 bytes (IPv4 as ::ffff:a.b.c.d). Returns 4, 6, or 0 for anything else.
CK_HOT int ck_peer_address(int fd, uint8_t address[16]);
/// The addresses of both ends as the PROXY protocol has them: the peer's, ours, the peer's port, ours, in network
/// order. Returns 4 (12 bytes, also for mapped addresses), 6 (36 bytes), or 0 for anything else.
CK_HOT int ck_addresses(int fd, uint8_t addresses[36]);

// The control plane's calls.

/// A listening socket of a group: the first is bound without SO_REUSEPORT, so that a port of anybody else is refused
/// (even a group's), and joins the group only then. Returns the fd or -errno.
int ck_listen(const uint8_t address[16], bool is_v4, bool is_any_dual_stack, uint16_t port, int backlog, bool first);
int ck_enable_reuse_port(int fd);
/// Whether clients of a listening socket are accepted with their first bytes, or after a second without any.
int ck_defer_accept(int fd, bool defers);
int ck_bound_port(int fd);
/// The socket of a session: no delay, little unsent in the kernel, a bound on unacknowledged time.
int ck_prepare_session_socket(int fd, bool is_tcp);
/// A unix socket, bound and not listening, its file with exactly that mode. A path that begins with @ is a name of the
/// abstract namespace, which has no file. Returns the fd or -errno.
int ck_bind_unix(const char *path, unsigned mode);
int ck_begin_to_listen(int fd, int backlog);
/// Neither follows a link.
int ck_set_file_group(const char *path, uint32_t group);
int ck_set_file_mode(const char *path, unsigned mode);
/// The number of a group of users, or -ENOENT.
int ck_group_number(const char *name, uint32_t *number);
/// A file, made if there is none, that is locked until the descriptor is closed; the kernel does so when a process
/// ends. Returns the descriptor, -EAGAIN if somebody else has it locked, -EEXIST or -ELOOP if it is no regular file.
int ck_lock_file(const char *path);
/// Whether somebody accepts on that unix socket.
bool ck_unix_socket_alive(const char *path);
int ck_epoll_create(void);
int ck_epoll_set(int epoll_fd, int operation, int fd, uint32_t events, uint64_t data);
int ck_epoll_wait(int epoll_fd, struct epoll_event *events, int capacity, int timeout_milliseconds);
/// The ring's READ honours O_NONBLOCK, so a reactor's is blocking and the control thread's is not.
int ck_make_eventfd(bool blocking);
uint64_t ck_take_eventfd(int fd);
/// Those of descriptors 0 to 2 that are closed become /dev/null: a socket that got such a number would get the log.
void ck_open_standard_descriptors(void);
/// What a program does first with signals, whatever it has inherited: those that are taken by ck_next_signal wait,
/// those that say what a call says as well, or nothing, are ignored.
void ck_prepare_signals(void);
/// Blocks in this thread, and those it starts, SIGPIPE and whatever ck_next_signal takes, and returns a signalfd.
int ck_signal_descriptor(void);
int ck_next_signal(int fd);
/// Signals that end a program in good order end it at once again, also where another thread hangs.
void ck_restore_signals(void);
/// A crash writes a line with signal and thread to standard error, and then ends the process as it would have anyway.
void ck_report_crashes(void);
/// Lets the calling thread tell of a crash for which its stack is too small. The memory is never given back.
void ck_use_crash_stack(void);
/// The processors that this process may run on, in order; all of the machine where it is not told. Returns how many.
int ck_processors(int *numbers, int capacity);
int ck_pin_thread(int processor);
void ck_name_thread(const char *name);
/// Processor time that a thread has taken so far, in microseconds; 0 if the kernel does not tell.
uint64_t ck_thread_microseconds(pthread_t thread);
/// Waits for a thread to end. -ETIMEDOUT: it has not.
int ck_join_thread(pthread_t thread, int patience_milliseconds);
/// Writes to a connection that is gone fail in this thread, and that is all: splice(2) knows no MSG_NOSIGNAL.
void ck_block_pipe_signal(void);
/// Raises RLIMIT_NOFILE to its hard limit and returns what holds then.
uint64_t ck_raise_descriptor_limit(void);
uint64_t ck_locked_memory_limit(void);
uint64_t ck_random(void);

// What the process was started with, and what it may do.

/// To be called before anything else: the limits and calls without which nothing of the program can run, not even a
/// sentence of its own. Returns 0, or the exit code after it has written why not.
int ck_check_process(void);
/// RLIMIT_AS and RLIMIT_DATA in bytes, UINT64_MAX for none, and what counts towards each.
uint64_t ck_address_space_limit(void);
uint64_t ck_address_space_used(void);
uint64_t ck_data_limit(void);
uint64_t ck_data_used(void);
/// What of the process's memory is there.
uint64_t ck_resident_bytes(void);
/// What the process uses now; 0 for what the kernel does not tell.
struct ck_process {
    double cpu_seconds;
    uint64_t resident_bytes;
    uint64_t descriptors;
    uint64_t descriptor_limit;
};
struct ck_process ck_process_now(void);
/// When the process was started, in seconds since 1970, by the clock of now.
double ck_process_start(void);
/// Whether so many bytes could be reserved at once. Returns 0 or -errno; nothing stays reserved.
int ck_try_reserve(size_t count);
/// Large blocks of the heap have pages of their own, which go back to the kernel with them.
void ck_keep_heap_whole(void);
/// The first system call that is refused to this process, of those that it cannot do without; `name` gets its name.
/// Returns the -errno that it is refused with, or 0 if all are allowed.
int ck_refused_call(char *name, int capacity);
/// Whether bytes may go through pipes.
bool ck_may_splice(void);
/// Whether threads may be put on processors. Returns 0 or -errno.
int ck_may_pin(void);
/// The first bytes of a file. Returns how many, at most `capacity`, or -errno.
ssize_t ck_read_file(const char *path, void *bytes, size_t capacity);
void ck_pause_milliseconds(int milliseconds);
const char *ck_error_text(int error);
int ck_kernel_release(char *text, int capacity);

/// Keeps programs of the same user, which SO_REUSEPORT alone would let in, from joining a group that listens on one
/// address (or all of IPv4). Returns a descriptor to hold as long as the group does, or -errno. There is no such guard
/// for a socket that listens on IPv4 and IPv6 at once: no other address is left that could be bound beside it.
int ck_guard_port(const uint8_t address[16], bool is_v4, uint16_t port);

/// What is there, or room for: never waits. Returns a count or -errno.
CK_HOT ssize_t ck_receive_now(int fd, void *bytes, size_t count);
CK_HOT ssize_t ck_send_now(int fd, const void *bytes, size_t count);
/// The same for a peer's last bytes: if all of them are taken, the FIN is on its way with them, in one segment.
CK_HOT ssize_t ck_send_last(int fd, const void *bytes, size_t count);
/// How many bytes the peer's kernel has not acknowledged, a FIN counted as one.
CK_HOT int ck_unacknowledged(int fd);
/// How many bytes the peer's kernel has acknowledged so far; 0 if it is no TCP connection.
CK_HOT uint64_t ck_acknowledged(int fd);
/// Whether the peer has sent bytes that nobody has received.
CK_HOT bool ck_has_bytes(int fd);
// Whether the peer has finished or the socket has an error, which stays for whoever receives from it.
CK_HOT bool ck_has_ended(int fd);
/// The process at the other end of a unix socket when it connected, or 0.
int ck_peer_process(int fd);
/// The peer as text: address and port, or process and user. Returns the count of characters or -errno.
int ck_describe_peer(int fd, char *text, int capacity);
bool ck_is_tcp(int fd);
bool ck_is_ipv4(int fd);
/// Makes a listening stream socket of somebody else one as ours are: it does not wait, and is not passed on.
/// -EINVAL: it is something else.
int ck_adopt_listening(int fd);
/// Its address as text: address and port, or unix: and a path, or unix:@ and a name. The count of characters or -errno.
int ck_describe_listening(int fd, char *text, int capacity);
/// Sends a datagram to a unix socket, at once or not. A name that begins with @ has no file.
int ck_send_datagram(const char *path, const void *bytes, size_t count);
/// The permissions of a file, or -errno.
int ck_file_mode(const char *path);
/// Which file the path names, if that is a socket (-ENOTSOCK: it is something else).
int ck_socket_file(const char *path, uint64_t *device, uint64_t *inode);
int ck_remove_file(const char *path);
/// The decimal number that a file begins with, or -errno.
int ck_number_in_file(const char *path);
/// Now, in UTC, to the millisecond, as RFC 3339 has it. Returns the count of characters.
int ck_timestamp(char *text, int capacity);
int64_t ck_seconds_since_1970(void);
/// The memory of the process gets into no core dump, and no other process of the user may look at it. Returns 0 or
/// -errno.
int ck_forbid_core_dumps(void);
/// Whether the kernel has TLS for sockets.
bool ck_has_kernel_tls(void);
/// Overwrites bytes that nobody reads any more.
void ck_wipe(void *bytes, size_t count);
/// The day of a moment in UTC.
int ck_date(int64_t seconds, char *text, int capacity);
/// Writes everything, unless the descriptor fails.
void ck_write_all(int fd, const void *bytes, size_t count);
/// Whether there is something to read from it, at most so many milliseconds from now.
bool ck_is_readable(int fd, int patience_milliseconds);
/// Opens a pipe or a terminal once more, for writes that do not wait: O_NONBLOCK belongs to everybody who shares a
/// descriptor. Returns -ENOTSUP for anything else, and whatever keeps it from being opened.
int ck_open_again(int fd);
/// Waits until a write would not wait, at least of 4096 bytes if it is a pipe. False: not in time.
bool ck_await_writable(int fd, int milliseconds);
/// Writes at once what there is room for. Returns a count, -EAGAIN if it would have to wait, or another -errno. A
/// descriptor whose writes may wait has to be given 4096 bytes at most.
ssize_t ck_write_now(int fd, const void *bytes, size_t count);

#endif
