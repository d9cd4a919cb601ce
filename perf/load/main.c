// Loads that wrk cannot make, or not as cheaply. README.md says which, and how.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../service/failure.h"
#include "load.h"

static const char usage[] =
    "usage: load http --port PORT [--connections N] [--seconds N] [--post BYTES] [--rate N] [--close]\n"
    "                 [--path PATH]... [--alternate] [--requests N]\n"
    "       load idle --port PORT [--connections N]\n"
    "       load raw  --port PORT [--connections N] [--seconds N] [--kind echo|up|down] [--message BYTES]\n"
    "       load fair --port PORT [--connections N] [--seconds N] [--kind up|down]\n"
    "       load tls  --port PORT [--connections N] [--seconds N] [--keep]\n";

uint64_t now_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct sockaddr_in port_address(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int make_socket(void)
{
    static _Atomic uint32_t last;
    const int on = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7F000100u + last++ % 250 + 1)};
    if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0
        || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0
        || bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
        fail("no socket: %s", strerror(errno));
    return fd;
}

int dial(uint16_t port)
{
    const int fd = make_socket();
    const struct sockaddr_in to = port_address(port);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) < 0)
        fail("cannot connect to port %u: %s", port, strerror(errno));
    return fd;
}

static long number(const char *text)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (errno || *end || end == text || value < 0)
        fail("'%s' is no number", text);
    return value;
}

static enum raw raw_kind(const char *text)
{
    if (strcmp(text, "up") == 0)
        return RAW_UP;
    if (strcmp(text, "down") == 0)
        return RAW_DOWN;
    if (strcmp(text, "echo") != 0)
        fail("--kind takes echo, up or down, not '%s'", text);
    return RAW_ECHO;
}

static struct options read_options(int count, char **arguments)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},    {"connections", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'}, {"post", required_argument, NULL, 'b'},
        {"rate", required_argument, NULL, 'r'},    {"close", no_argument, NULL, 'x'},
        {"path", required_argument, NULL, 'u'},    {"alternate", no_argument, NULL, 'a'},
        {"kind", required_argument, NULL, 'd'},    {"message", required_argument, NULL, 'm'},
        {"keep", no_argument, NULL, 'k'},          {"requests", required_argument, NULL, 'n'},
        {0},
    };
    struct options options = {.connections = 16, .seconds = 5, .message = 64};
    for (int name; (name = getopt_long(count, arguments, "", names, NULL)) != -1;) {
        switch (name) {
        case 'p': options.port = (uint16_t)number(optarg); break;
        case 'c': options.connections = (int)number(optarg); break;
        case 's': options.seconds = (int)number(optarg); break;
        case 'b': options.post_size = (size_t)number(optarg); break;
        case 'r': options.rate = number(optarg); break;
        case 'n': options.requests = (uint64_t)number(optarg); break;
        case 'x': options.closes = true; break;
        case 'a': options.alternates = true; break;
        case 'd': options.raw = raw_kind(optarg); break;
        case 'm': options.message = (size_t)number(optarg); break;
        case 'k': options.keeps = true; break;
        case 'u':
            if (options.path_count == PATHS)
                fail("more than %d paths", PATHS);
            options.paths[options.path_count++] = optarg;
            break;
        default: fputs(usage, stderr); exit(64);
        }
    }
    if (options.path_count == 0)
        options.paths[options.path_count++] = "/";
    return options;
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        int (*run)(const struct options *);
    } kinds[] = {{"http", run_http}, {"idle", run_idle}, {"raw", run_raw}, {"fair", run_fair}, {"tls", run_tls}};
    const struct options options = read_options(count, arguments);
    const char *const kind = optind < count ? arguments[optind] : "";
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, kind) == 0 && options.port && options.connections > 0)
            return kinds[i].run(&options);
    fputs(usage, stderr);
    return 64;
}
