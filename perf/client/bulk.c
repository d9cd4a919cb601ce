// One bulk flow through the client library, without a proxy in between: this is the proxy's side of a session. It takes
// one registration, opens one stream, and sends or receives for some seconds, as fast as windows allow.
//   bulk send|receive CONTROL-PORT SECONDS
// Prints the MiB per second.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { data_frame = 0, window_frame = 1, ping_frame = 2, syn = 1, ack = 2, frame_bytes = 256 << 10 };

static int session;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t sending = PTHREAD_MUTEX_INITIALIZER;
static uint64_t window = 256 << 10;
static uint64_t received;

static void fail(const char *what) {
    fprintf(stderr, "bulk: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void read_all(void *target, size_t count) {
    for (size_t done = 0; done < count;) {
        ssize_t result = read(session, (char *)target + done, count - done);
        if (result <= 0) fail("the service has gone");
        done += (size_t)result;
    }
}

static void write_all(const void *source, size_t count) {
    for (size_t done = 0; done < count;) {
        ssize_t result = send(session, (const char *)source + done, count - done, MSG_NOSIGNAL);
        if (result <= 0) fail("the service has gone");
        done += (size_t)result;
    }
}

static void put_header(uint8_t *target, int type, int flags, uint32_t stream, uint32_t length) {
    uint32_t words[3] = {htonl((uint32_t)type << 16 | (uint32_t)flags), htonl(stream), htonl(length)};
    memcpy(target, words, sizeof words);
}

static void send_header(int type, int flags, uint32_t stream, uint32_t length) {
    uint8_t header[12];
    put_header(header, type, flags, stream, length);
    pthread_mutex_lock(&sending);
    write_all(header, sizeof header);
    pthread_mutex_unlock(&sending);
}

static int64_t read_int(void) {
    uint8_t bytes[8];
    read_all(bytes, sizeof bytes);
    int64_t value = 0;
    for (int place = 0; place < 8; place++) value = value << 8 | bytes[place];
    return value;
}

static void skip_string(void) {
    static char text[1 << 16];
    int64_t count = read_int();
    if (count < 0 || count > (int64_t)sizeof text) fail("a registration out of bounds");
    read_all(text, (size_t)count);
}

static void take_registration(void) {
    skip_string();
    read_int();
    uint8_t flags;
    read_all(&flags, 1);
    for (int bit = 1; bit <= 2; bit <<= 1) {
        if (flags & bit) skip_string(), skip_string();
    }
    if (flags & 4) {
        for (int64_t count = read_int(); count > 0; count--) skip_string(), skip_string();
    }
    // OK, and no attributes.
    static const uint8_t answer[] = {0, 0, 0, 0, 0, 0, 0, 2, 'O', 'K', 0, 0, 0, 0, 0, 0, 0, 0};
    write_all(answer, flags & 4 ? sizeof answer : 10);
}

// Takes the service's frames: credit, pings, and data, of which half a window is given back at a time.
static void *take_frames(void *unused) {
    static uint8_t payload[1 << 20];
    uint32_t owed = 0;
    for (;;) {
        uint32_t words[3];
        read_all(words, sizeof words);
        int type = ntohl(words[0]) >> 16 & 0xff, flags = ntohl(words[0]) & 0xffff;
        uint32_t length = ntohl(words[2]);
        if (type == ping_frame && (flags & syn)) send_header(ping_frame, ack, 0, length);
        if (type == window_frame) {
            pthread_mutex_lock(&lock);
            window += length;
            pthread_cond_signal(&opened);
            pthread_mutex_unlock(&lock);
        }
        if (type != data_frame) continue;
        for (uint32_t left = length; left > 0;) {
            size_t count = left < sizeof payload ? left : sizeof payload;
            read_all(payload, count);
            left -= (uint32_t)count;
        }
        __atomic_fetch_add(&received, length, __ATOMIC_RELAXED);
        owed += length;
        if (owed >= 1 << 20) send_header(window_frame, 0, 1, owed), owed = 0;
    }
    return unused;
}

static uint64_t send_for(double seconds) {
    static uint8_t frame[12 + frame_bytes];
    uint64_t sent = 0;
    for (double end = now() + seconds; now() < end;) {
        pthread_mutex_lock(&lock);
        while (window == 0) pthread_cond_wait(&opened, &lock);
        uint32_t count = window < frame_bytes ? (uint32_t)window : frame_bytes;
        window -= count;
        pthread_mutex_unlock(&lock);
        put_header(frame, data_frame, 0, 1, count);
        pthread_mutex_lock(&sending);
        write_all(frame, 12 + count);
        pthread_mutex_unlock(&sending);
        sent += count;
    }
    return sent;
}

int main(int count, char **arguments) {
    if (count != 4) fail("send|receive CONTROL-PORT SECONDS");
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(arguments[2])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 8) != 0) fail("bind");
    session = accept(listener, NULL, NULL);
    if (session < 0) fail("accept");
    setsockopt(session, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    take_registration();
    pthread_t thread;
    pthread_create(&thread, NULL, take_frames, NULL);
    // 4 MiB for what comes, so that this side is not what limits it.
    send_header(window_frame, syn, 1, (4 << 20) - (256 << 10));
    double seconds = atof(arguments[3]), start = now();
    uint64_t bytes;
    if (strcmp(arguments[1], "send") == 0) {
        bytes = send_for(seconds);
    } else {
        usleep((useconds_t)(seconds * 1e6));
        bytes = __atomic_load_n(&received, __ATOMIC_RELAXED);
    }
    printf("%.0f\n", (double)bytes / (1 << 20) / (now() - start));
    return 0;
}
