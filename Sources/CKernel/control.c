#include "CKernel.h"

#include <arpa/inet.h>
#include <grp.h>
#include <stddef.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/sockios.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

// Bound and not listening. IP_FREEBIND: the address need not be one of this machine.
static int bind_only(const uint8_t address[16], bool is_v4, uint16_t port, bool reuse_port) {
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int yes = 1, result = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (result == 0) result = setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &yes, sizeof yes);
    if (result == 0 && reuse_port) result = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
    if (result == 0 && is_v4) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&v4.sin_addr, address + 12, 4);
        result = bind(fd, (struct sockaddr *)&v4, sizeof v4);
    } else if (result == 0) {
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        memcpy(&v6.sin6_addr, address, 16);
        result = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
        if (result == 0) result = bind(fd, (struct sockaddr *)&v6, sizeof v6);
    }
    if (result == 0) return fd;
    result = -errno;
    close(fd);
    return result;
}

int ck_guard_port(const uint8_t address[16], bool is_v4, uint16_t port) {
    // Addresses of documentation (RFC 3849, RFC 5737): nobody listens there.
    static const uint8_t nobody_v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    static const uint8_t nobody_v4[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1};
    int guard = bind_only(address, is_v4, port, true);
    if (guard < 0) return guard;
    // Bound, not listening, and not sharing: whoever asks the kernel for the port conflicts with this one.
    int no = 0;
    setsockopt(guard, SOL_SOCKET, SO_REUSEPORT, &no, sizeof no);
    setsockopt(guard, SOL_SOCKET, SO_REUSEADDR, &no, sizeof no);
    // The kernel remembers that the last one to bind the port shared it, and then does not look for conflicts
    // (inet_csk_update_fastreuse). Somebody who binds it elsewhere without sharing makes it look again.
    int other = bind_only(nobody_v6, false, port, false);
    if (other < 0) other = bind_only(nobody_v4, true, port, false);
    if (other >= 0) close(other);
    return guard;
}

ssize_t ck_receive_now(int fd, void *bytes, size_t count) {
    ssize_t received;
    do received = recv(fd, bytes, count, MSG_DONTWAIT);
    while (received < 0 && errno == EINTR);
    return received >= 0 ? received : -errno;
}

static ssize_t send_now(int fd, const void *bytes, size_t count, int flags) {
    ssize_t sent;
    do sent = send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
    while (sent < 0 && errno == EINTR);
    return sent >= 0 ? sent : -errno;
}

ssize_t ck_send_now(int fd, const void *bytes, size_t count) { return send_now(fd, bytes, count, 0); }

ssize_t ck_send_last(int fd, const void *bytes, size_t count) {
    // More will come, namely the FIN: the kernel holds a segment that is not full until then.
    ssize_t sent = send_now(fd, bytes, count, MSG_MORE);
    if (sent == (ssize_t)count) shutdown(fd, SHUT_WR);
    return sent;
}

int ck_unacknowledged(int fd) {
    int count = 0;
    return ioctl(fd, SIOCOUTQ, &count) == 0 ? count : 0;
}

uint64_t ck_acknowledged(int fd) {
    // The kernel's structure goes on behind what glibc knows of it; linux/tcp.h cannot stand beside netinet/tcp.h.
    struct {
        struct tcp_info known;
        uint64_t pacing_rate, max_pacing_rate, bytes_acked;
    } info;
    _Static_assert(sizeof info.known == 104, "what follows begins at the next word");
    socklen_t size = sizeof info;
    memset(&info, 0, sizeof info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.bytes_acked : 0;
}

bool ck_has_bytes(int fd) {
    int count = 0;
    return ioctl(fd, SIOCINQ, &count) == 0 && count > 0;
}

bool ck_has_ended(int fd) {
    struct pollfd socket = {.fd = fd, .events = POLLRDHUP};
    return poll(&socket, 1, 0) > 0;
}

int ck_peer_process(int fd) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    // A TCP socket answers too, with no process.
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? (int)peer.pid : 0;
}

int ck_describe_peer(int fd, char *text, int capacity) {
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    char host[INET6_ADDRSTRLEN] = "";
    int count = 0;
    if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0) return -errno;
    if (peer.ss_family == AF_INET) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&peer;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        count = snprintf(text, (size_t)capacity, "%s:%d", host, ntohs(v4->sin_port));
    } else if (peer.ss_family == AF_INET6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&peer;
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
        if (is_mapped) inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, host, sizeof host);
        else inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        count = snprintf(text, (size_t)capacity, is_mapped ? "%s:%d" : "[%s]:%d", host, ntohs(v6->sin6_port));
    } else {
        struct ucred process;
        socklen_t process_size = sizeof process;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &process, &process_size) != 0) return -errno;
        count = snprintf(text, (size_t)capacity, "process %d of user %u", process.pid, process.uid);
    }
    return count < capacity ? count : capacity - 1;
}

bool ck_is_tcp(int fd) {
    int protocol = 0;
    socklen_t size = sizeof protocol;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 && protocol == IPPROTO_TCP;
}

bool ck_is_ipv4(int fd) {
    int domain = 0;
    socklen_t size = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_INET;
}

int ck_adopt_listening(int fd) {
    int listens = 0, type = 0;
    socklen_t size = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0) return -errno;
    size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return -errno;
    if (!listens || type != SOCK_STREAM) return -EINVAL;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return -errno;
    return 0;
}

int ck_describe_listening(int fd, char *text, int capacity) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } address = {0};
    socklen_t size = sizeof address;
    char host[INET6_ADDRSTRLEN] = "";
    int count = 0;
    if (getsockname(fd, &address.any, &size) != 0) return -errno;
    if (address.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof host);
        count = snprintf(text, (size_t)capacity, "%s:%d", host, ntohs(address.v4.sin_port));
    } else if (address.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address.v6.sin6_addr, host, sizeof host);
        count = snprintf(text, (size_t)capacity, "[%s]:%d", host, ntohs(address.v6.sin6_port));
    } else if (address.any.sa_family == AF_UNIX && size > offsetof(struct sockaddr_un, sun_path)) {
        // A path may end with a zero or not, a name begins with one.
        bool has_file = address.local.sun_path[0] != 0;
        int longest = (int)(size - offsetof(struct sockaddr_un, sun_path));
        int length = (int)strnlen(address.local.sun_path + !has_file, (size_t)(longest - !has_file));
        count = snprintf(
            text, (size_t)capacity, "unix:%s%.*s", has_file ? "" : "@", length, address.local.sun_path + !has_file);
    } else {
        return -EAFNOSUPPORT;
    }
    return count < capacity ? count : -ENAMETOOLONG;
}

int ck_file_mode(const char *path) {
    struct stat information;
    return stat(path, &information) == 0 ? (int)(information.st_mode & 0777) : -errno;
}

int ck_socket_file(const char *path, uint64_t *device, uint64_t *inode) {
    struct stat information;
    if (lstat(path, &information) != 0) return -errno;
    if (!S_ISSOCK(information.st_mode)) return -ENOTSOCK;
    *device = information.st_dev;
    *inode = information.st_ino;
    return 0;
}

int ck_lock_file(const char *path) {
    for (int tries = 0; tries < 100; tries++) {
        mode_t previous = umask(0);
        // Neither a pipe nor a device is waited for, and no link is followed.
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
        int result = fd >= 0 ? 0 : -errno;
        umask(previous);
        if (result < 0) return result;
        struct stat held, named;
        if (fstat(fd, &held) != 0) result = -errno;
        else if (!S_ISREG(held.st_mode)) result = -EEXIST;
        else if (flock(fd, LOCK_EX | LOCK_NB) != 0) result = -errno;
        else if (lstat(path, &named) == 0 && held.st_dev == named.st_dev && held.st_ino == named.st_ino) return fd;
        close(fd);
        if (result < 0) return result;
        // The file was removed meanwhile: what is locked is no file that anybody else would find.
    }
    return -EAGAIN;
}

int ck_remove_file(const char *path) { return unlink(path) == 0 ? 0 : -errno; }

int ck_number_in_file(const char *path) {
    char text[16] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    ssize_t count = read(fd, text, sizeof text - 1);
    int error = errno;
    close(fd);
    return count >= 0 ? atoi(text) : -error;
}

ssize_t ck_read_file(const char *path, void *bytes, size_t capacity) {
    size_t done = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return -errno;
    while (done < capacity) {
        ssize_t count = read(fd, (char *)bytes + done, capacity - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            int error = errno;
            close(fd);
            return -error;
        }
        if (count == 0) break;
        done += (size_t)count;
    }
    close(fd);
    return (ssize_t)done;
}

int ck_timestamp(char *text, int capacity) {
    struct timespec now;
    struct tm fields;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &fields);
    int count = (int)strftime(text, (size_t)capacity, "%Y-%m-%dT%H:%M:%S", &fields);
    count += snprintf(text + count, (size_t)(capacity - count), ".%03ldZ", now.tv_nsec / 1000000);
    return count < capacity ? count : capacity - 1;
}

int64_t ck_seconds_since_1970(void) { return time(NULL); }

int ck_date(int64_t seconds, char *text, int capacity) {
    struct tm fields;
    time_t moment = seconds;
    if (gmtime_r(&moment, &fields) == NULL) return -EINVAL;
    return (int)strftime(text, (size_t)capacity, "%Y-%m-%d", &fields);
}

void ck_write_all(int fd, const void *bytes, size_t count) {
    const char *next = bytes;
    while (count > 0) {
        ssize_t written = write(fd, next, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        next += written;
        count -= (size_t)written;
    }
}

int ck_open_again(int fd) {
    struct stat information;
    char path[32];
    if (fstat(fd, &information) != 0) return -errno;
    if (!S_ISFIFO(information.st_mode) && !isatty(fd)) return -ENOTSUP;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    return again >= 0 ? again : -errno;
}

bool ck_await_writable(int fd, int milliseconds) {
    struct pollfd state = {.fd = fd, .events = POLLOUT};
    return poll(&state, 1, milliseconds) != 0;
}

ssize_t ck_write_now(int fd, const void *bytes, size_t count) {
    // Somebody else may share the descriptor's flags, so it is asked before each write. A socket can be told for one.
    if (!ck_await_writable(fd, 0)) return -EAGAIN;
    ssize_t written = send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written < 0 && errno == ENOTSOCK) written = write(fd, bytes, count);
    if (written < 0) return errno == EINTR ? -EAGAIN : -errno;
    return written > 0 ? written : -EIO;
}

bool ck_is_readable(int fd, int patience_milliseconds) {
    struct pollfd state = {.fd = fd, .events = POLLIN};
    return poll(&state, 1, patience_milliseconds) > 0;
}

int ck_group_number(const char *name, uint32_t *number) {
    int result = -ERANGE;
    for (size_t size = 4096; result == -ERANGE && size <= 1 << 22; size *= 4) {
        char *text = malloc(size);
        if (text == NULL) return -ENOMEM;
        struct group group, *found = NULL;
        result = -getgrnam_r(name, &group, text, size, &found);
        if (found != NULL) *number = group.gr_gid;
        else if (result == 0) result = -ENOENT;
        free(text);
    }
    return result;
}

void ck_open_standard_descriptors(void) {
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) continue;
        // The lowest number that is free is this one. Where there is no /dev, whatever can be neither read nor written.
        int opened = open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
        if (opened < 0) opened = open("/", O_PATH);
        if (opened < 0) return;
    }
}
