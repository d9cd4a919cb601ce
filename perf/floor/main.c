// The floors that the kernel sets for the job of a proxy. README.md says what each of them does and leaves out.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../service/failure.h"
#include "floor.h"

static const char usage[] =
    "usage: floor server --port PORT [--reply-size BYTES] [--close]\n"
    "       floor relay --control PORT [--close] [--late-fin]\n"
    "       floor splice --port PORT --backend PORT\n"
    "\n"
    "  --port        where clients come in, on 127.0.0.1\n"
    "  --reply-size  bytes of body in every reply (6)\n"
    "  --backend     where bytes go, on 127.0.0.1\n"
    "  --control     where the one service registers, on 127.0.0.1\n"
    "  --close       every connection ends after its first reply\n"
    "  --late-fin    the end of a stream is told with the next request\n";

static uint32_t number(const char *name, const char *text, long least, long most)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (errno || *end || end == text || value < least || value > most)
        fail("--%s takes a number from %ld to %ld, not '%s'", name, least, most, text);
    return (uint32_t)value;
}

int main(int count, char **arguments)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},    {"reply-size", required_argument, NULL, 'r'},
        {"control", required_argument, NULL, 'c'}, {"close", no_argument, NULL, 'x'},
        {"late-fin", no_argument, NULL, 'l'},      {"backend", required_argument, NULL, 'b'},
        {0},
    };
    uint32_t port = 0, backend = 0, control = 0, reply_size = 6;
    bool closes = false, late_fin = false;
    for (int name; (name = getopt_long(count, arguments, "", names, NULL)) != -1;) {
        switch (name) {
        case 'p': port = number("port", optarg, 1, 65535); break;
        case 'b': backend = number("backend", optarg, 1, 65535); break;
        case 'c': control = number("control", optarg, 1, 65535); break;
        case 'r': reply_size = number("reply-size", optarg, 0, 16 << 20); break;
        case 'x': closes = true; break;
        case 'l': late_fin = true; break;
        default: fputs(usage, stderr); return 64;
        }
    }
    const char *const kind = optind < count ? arguments[optind] : "";
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(kind, "server") == 0 && port)
        run_server((uint16_t)port, reply_size, closes);
    if (strcmp(kind, "relay") == 0 && control)
        run_relay((uint16_t)control, closes, late_fin);
    if (strcmp(kind, "splice") == 0 && port && backend)
        run_splice((uint16_t)port, (uint16_t)backend);
    fputs(usage, stderr);
    return 64;
}
