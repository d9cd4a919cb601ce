// A client of TLS 1.3 that asks for new keys over and over and reads none of the answers (RFC 8446 4.6.3).
//
//   key-updates PORT COUNT
//
// Ends with 0 if the server has put an end to it, with 1 if it has taken all of them, and with 2 if there was no
// connection. Says how many went out.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int dial(const char *port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    // What lies with the client's kernel is not with the server: little of it, and the server notices early.
    int size = 4096;
    int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    return -1;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    signal(SIGPIPE, SIG_IGN);
    SSL *state = SSL_new(SSL_CTX_new(TLS_client_method()));
    int fd = dial(arguments[1]);
    if (state == NULL || fd < 0 || SSL_set_fd(state, fd) != 1) return 2;
    SSL_set_min_proto_version(state, TLS1_3_VERSION);
    if (SSL_connect(state) != 1) return 2;
    long wanted = atol(arguments[2]);
    for (long sent = 0; sent < wanted; sent++) {
        if (SSL_key_update(state, SSL_KEY_UPDATE_REQUESTED) != 1 || SSL_do_handshake(state) != 1) {
            printf("%ld\n", sent);
            return 0;
        }
    }
    printf("%ld\n", wanted);
    return 1;
}
