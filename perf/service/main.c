// A service for benchmarks that is never the bottleneck: it answers every HTTP request with the same bytes.
// `service plain` is an ordinary HTTP/1.1 server, `service yamux` registers at a control address. README.md says what
// each of them supports.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "frame.h"
#include "serve.h"

static const char usage[] =
    "usage: service plain --port PORT [--reply-size BYTES | --raw KIND]\n"
    "       service yamux --port PORT [--reply-size BYTES | --raw KIND] [--control HOST:PORT] [--path PREFIX]...\n"
    "                     [--sessions N] [--reuse-streams] [--certificate FILE --key FILE]\n"
    "\n"
    "  --port           where clients come in: bound by `plain`, asked for in the registration by `yamux`\n"
    "  --reply-size     bytes of body in every reply (6)\n"
    "  --raw            no HTTP, but an echo, a sink or a source of bytes, or mixed (yamux alone)\n"
    "  --control        the control address (127.0.0.1:9999)\n"
    "  --path           the path prefix of the registration (/); with several, each is registered\n"
    "  --window         bytes that a stream may send unasked (262144)\n"
    "  --sessions       how many times to register each path (1)\n"
    "  --reuse-streams  register with the attribute reuse-streams\n"
    "  --certificate    a chain in PEM: clients speak TLS; --key is a file, too\n";

enum { PATHS = 16, FILE_LIMIT = 64 << 10, SOURCE_CHUNK = 256 << 10 };

struct options {
    struct registration registration;
    int sessions;         // of each path
    const char *paths[PATHS];
    int path_count;
    size_t reply_size;
    uint32_t window;      // of every stream
    enum raw raw;
};

static long number(const char *name, const char *text, long least, long most)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (errno || *end || end == text || value < least || value > most)
        fail("--%s takes a number from %ld to %ld, not '%s'", name, least, most, text);
    return value;
}

static void read_control(struct registration *registration, char *text)
{
    char *const colon = strrchr(text, ':');
    if (!colon)
        fail("--control takes HOST:PORT, not '%s'", text);
    *colon = '\0';
    registration->control_host = text;
    registration->control_port = (uint16_t)number("control", colon + 1, 1, 65535);
}

static enum raw raw_kind(const char *text)
{
    static const char *const kinds[] = {[RAW_ECHO] = "echo", [RAW_SINK] = "sink", [RAW_SOURCE] = "source",
                                        [RAW_MIXED] = "mixed"};
    for (enum raw kind = RAW_ECHO; kind <= RAW_MIXED; kind++)
        if (strcmp(text, kinds[kind]) == 0)
            return kind;
    fail("--raw takes echo, sink, source or mixed, not '%s'", text);
}

static char *read_file(const char *path)
{
    FILE *const file = fopen(path, "r");
    char *const text = calloc(1, FILE_LIMIT + 1);
    if (!file || !text || fread(text, 1, FILE_LIMIT, file) == 0)
        fail("cannot read %s", path);
    fclose(file);
    return text;
}

static struct options read_options(int count, char **arguments)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},      {"reply-size", required_argument, NULL, 'r'},
        {"control", required_argument, NULL, 'c'},   {"path", required_argument, NULL, 'u'},
        {"sessions", required_argument, NULL, 's'},  {"reuse-streams", no_argument, NULL, 'k'},
        {"window", required_argument, NULL, 'd'},
        {"certificate", required_argument, NULL, 'e'}, {"key", required_argument, NULL, 'y'},
        {"raw", required_argument, NULL, 'w'},       {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct options options = {
        .registration = {.control_host = "127.0.0.1", .control_port = 9999},
        .sessions = 1,
        .window = INITIAL_WINDOW,
        .reply_size = 6,
    };
    for (int name; (name = getopt_long(count, arguments, "", names, NULL)) != -1;) {
        switch (name) {
        case 'p': options.registration.port = (uint16_t)number("port", optarg, 1, 65535); break;
        case 'r': options.reply_size = (size_t)number("reply-size", optarg, 0, 16 << 20); break;
        case 'c': read_control(&options.registration, optarg); break;
        case 'u':
            if (options.path_count == PATHS)
                fail("more than %d paths", PATHS);
            options.paths[options.path_count++] = optarg;
            break;
        case 's': options.sessions = (int)number("sessions", optarg, 1, 1024); break;
        case 'd': options.window = (uint32_t)number("window", optarg, INITIAL_WINDOW, 64 << 20); break;
        case 'e': options.registration.certificate = read_file(optarg); break;
        case 'y': options.registration.key = read_file(optarg); break;
        case 'w': options.raw = raw_kind(optarg); break;
        case 'k': options.registration.reuse_streams = true; break;
        case 'h': fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); exit(64);
        }
    }
    if (options.path_count == 0)
        options.paths[options.path_count++] = "/";
    options.registration.is_raw = options.raw != NOT_RAW;
    return options;
}

// What a source says, which is no HTTP.
static struct reply make_chunk(enum raw raw)
{
    uint8_t *const bytes = malloc(SOURCE_CHUNK);
    if (!bytes)
        fail("no memory for %d bytes", SOURCE_CHUNK);
    memset(bytes, 'x', SOURCE_CHUNK);
    return (struct reply){bytes, SOURCE_CHUNK, raw};
}

// The reply as it goes over the wire. Its body is text, so that a person can look at it with curl.
static struct reply make_reply(size_t body_length)
{
    static const char text[] = "hello\n";
    char head[128];
    const int head_length = snprintf(
        head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", body_length);
    const size_t length = (size_t)head_length + body_length;
    uint8_t *const bytes = malloc(length);
    if (!bytes)
        fail("no memory for a reply of %zu bytes", length);
    memcpy(bytes, head, (size_t)head_length);
    for (size_t i = 0; i < body_length; i++)
        bytes[(size_t)head_length + i] = (uint8_t)text[i % (sizeof text - 1)];
    return (struct reply){bytes, (uint32_t)length, NOT_RAW};
}

int main(int count, char **arguments)
{
    if (count < 2) {
        fputs(usage, stderr);
        return 64;
    }
    const struct options options = read_options(count - 1, arguments + 1);
    const struct reply reply = options.raw ? make_chunk(options.raw) : make_reply(options.reply_size);
    if (strcmp(arguments[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (options.registration.port == 0)
        fail("--port is missing");
    if (strcmp(arguments[1], "plain") == 0 && reply.raw)
        serve_plain_raw(options.registration.port, reply);
    if (strcmp(arguments[1], "plain") == 0)
        serve_plain(options.registration.port, reply);
    if (strcmp(arguments[1], "yamux") == 0)
        serve_yamux(&options.registration, options.paths, options.path_count, options.sessions, reply,
                    options.window);
    fputs(usage, stderr);
    return 64;
}
