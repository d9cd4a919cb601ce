#include "CKernel.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <sys/stat.h>

static int set_option(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : -errno;
}

int ck_peer_address(int fd, uint8_t address[16]) {
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    memset(address, 0, 16);
    if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0) return 0;
    if (peer.ss_family == AF_INET) {
        address[10] = address[11] = 0xff;
        memcpy(address + 12, &((struct sockaddr_in *)&peer)->sin_addr, 4);
        return 4;
    }
    if (peer.ss_family != AF_INET6) return 0;
    memcpy(address, &((struct sockaddr_in6 *)&peer)->sin6_addr, 16);
    return IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *)&peer)->sin6_addr) ? 4 : 6;
}

// The part of an address that has the wanted size, mapped ones shortened.
static const uint8_t *address_bytes(const struct sockaddr_storage *address, bool is_v4) {
    if (address->ss_family == AF_INET) return (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr;
    return (const uint8_t *)&((const struct sockaddr_in6 *)address)->sin6_addr + (is_v4 ? 12 : 0);
}

static bool is_ipv4(const struct sockaddr_storage *address) {
    return address->ss_family == AF_INET ||
           IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

int ck_addresses(int fd, uint8_t addresses[36]) {
    struct sockaddr_storage peer, own;
    socklen_t peer_size = sizeof peer, own_size = sizeof own;
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_size) != 0) return 0;
    if (getsockname(fd, (struct sockaddr *)&own, &own_size) != 0) return 0;
    if (peer.ss_family != own.ss_family || (peer.ss_family != AF_INET && peer.ss_family != AF_INET6)) return 0;
    bool is_v4 = is_ipv4(&peer) && is_ipv4(&own);
    size_t size = is_v4 ? 4 : 16;
    memcpy(addresses, address_bytes(&peer, is_v4), size);
    memcpy(addresses + size, address_bytes(&own, is_v4), size);
    // Both families have the port in the same place.
    memcpy(addresses + 2 * size, &((struct sockaddr_in *)&peer)->sin_port, 2);
    memcpy(addresses + 2 * size + 2, &((struct sockaddr_in *)&own)->sin_port, 2);
    return is_v4 ? 4 : 6;
}

// Accepted sockets inherit these, which saves the data plane every system call of its own for a new client.
static int prepare_listener(int fd) {
    int result = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (result == 0) result = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (result == 0) result = set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    if (result == 0) result = set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 60);
    if (result == 0) result = set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
    return result;
}

static int bind_and_listen(int fd, const uint8_t address[16], bool is_v4, bool dual_stack, uint16_t port, int backlog) {
    int result = prepare_listener(fd);
    if (result < 0) return result;
    struct sockaddr_storage local;
    socklen_t size;
    memset(&local, 0, sizeof local);
    if (is_v4) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&local;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        memcpy(&v4->sin_addr, address + 12, 4);
        size = sizeof *v4;
    } else {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&local;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        memcpy(&v6->sin6_addr, address, 16);
        size = sizeof *v6;
        if ((result = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, dual_stack ? 0 : 1)) < 0) return result;
    }
    if (bind(fd, (struct sockaddr *)&local, size) != 0) return -errno;
    return listen(fd, backlog) == 0 ? 0 : -errno;
}

int ck_listen(const uint8_t address[16], bool is_v4, bool dual_stack, uint16_t port, int backlog, bool first) {
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int result = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (result == 0 && !first) result = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (result == 0) result = bind_and_listen(fd, address, is_v4, dual_stack, port, backlog);
    if (result == 0) return fd;
    close(fd);
    return result;
}

int ck_enable_reuse_port(int fd) { return set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1); }

// 1 is a second: the SYN-ACK is sent again then, and whoever acknowledges that is let in without a word.
int ck_defer_accept(int fd, bool defers) { return set_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, defers ? 1 : 0); }

int ck_bound_port(int fd) {
    struct sockaddr_storage local;
    socklen_t size = sizeof local;
    if (getsockname(fd, (struct sockaddr *)&local, &size) != 0) return -errno;
    if (local.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&local)->sin_port);
    return ntohs(((struct sockaddr_in6 *)&local)->sin6_port);
}

int ck_prepare_session_socket(int fd, bool is_tcp) {
    if (!is_tcp) return 0;
    int result = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    // Without it 2.6 MB wait unsent in the kernel, and "control frames first" means nothing.
    if (result == 0) result = set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 128 * 1024);
    if (result == 0) result = set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);
    return result;
}

// A name that begins with @ is one of the abstract namespace: a zero in its place, and none at its end.
static int unix_address(const char *path, struct sockaddr_un *address, socklen_t *size) {
    size_t count = strlen(path);
    bool is_abstract = path[0] == '@';
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (count > sizeof address->sun_path - (is_abstract ? 0 : 1)) return -ENAMETOOLONG;
    memcpy(address->sun_path, path, count);
    if (is_abstract) address->sun_path[0] = 0;
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + count + (is_abstract ? 0 : 1));
    return 0;
}

int ck_bind_unix(const char *path, unsigned mode) {
    struct sockaddr_un local;
    socklen_t size;
    int result = unix_address(path, &local, &size);
    if (result < 0) return result;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    // The mode is set by the umask, not afterwards: there is no moment in which others could connect.
    mode_t previous = umask(0777 & ~mode);
    result = bind(fd, (struct sockaddr *)&local, size) == 0 ? 0 : -errno;
    umask(previous);
    if (result == 0) return fd;
    close(fd);
    return result;
}

int ck_begin_to_listen(int fd, int backlog) { return listen(fd, backlog) == 0 ? 0 : -errno; }

int ck_set_file_group(const char *path, uint32_t group) {
    return lchown(path, (uid_t)-1, group) == 0 ? 0 : -errno;
}

int ck_set_file_mode(const char *path, unsigned mode) {
    return fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

bool ck_unix_socket_alive(const char *path) {
    struct sockaddr_un local;
    socklen_t size;
    if (unix_address(path, &local, &size) < 0) return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return true;
    bool alive = connect(fd, (struct sockaddr *)&local, size) == 0 || errno == EAGAIN;
    close(fd);
    return alive;
}

int ck_send_datagram(const char *path, const void *bytes, size_t count) {
    struct sockaddr_un peer;
    socklen_t size;
    int result = unix_address(path, &peer, &size);
    if (result < 0) return result;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    ssize_t sent = sendto(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&peer, size);
    result = sent >= 0 ? 0 : -errno;
    close(fd);
    return result;
}

bool ck_has_kernel_tls(void) {
    // A socket that is not connected is refused for that, but only where there is such a protocol.
    enum { UPPER_PROTOCOL = 31 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    int result = setsockopt(fd, IPPROTO_TCP, UPPER_PROTOCOL, "tls", sizeof "tls");
    bool exists = result == 0 || errno == ENOTCONN;
    close(fd);
    return exists;
}
