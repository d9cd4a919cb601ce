"""Loads with names: what a profile, or a count of instructions, is taken under."""

from . import load
from .peers import Job

BULK_REPLY = 1 << 20


def named(certificate):
    """name: the job of the proxy and its service, connections, what makes the requests."""
    http = load.own("http")
    return {
        "http-16": (Job(), 16, http),
        "http-64": (Job(), 64, http),
        "http-256": (Job(), 256, http),
        "http-4k": (Job(reply_size=4096), 64, http),
        "http-64k": (Job(reply_size=65536), 64, http),
        "post-4k": (Job(), 64, load.own("http", "--post", "4096")),
        "connections": (Job(), 16, load.own("http", "--close")),
        "tls-handshakes": (Job(certificate=certificate), 16, load.own("tls")),
        "tls-bulk": (Job(BULK_REPLY, certificate), 4, load.own("tls", "--keep")),
        "tcp-down": (Job(raw="source"), 4, load.own("raw", "--kind", "down")),
        "tcp-up": (Job(raw="sink"), 4, load.own("raw", "--kind", "up")),
        "tcp-echo": (Job(raw="echo"), 64, load.own("raw")),
    }


NAMES = list(named(None))

# Those that can be had as an exact number of requests: connections, the reply, the flags of perf/load.
EXACT = {
    "http-1": (1, 6, []),
    "http-16": (16, 6, []),
    "http-64": (64, 6, []),
    "http-4k": (16, 4096, []),
    "http-64k": (16, 65536, []),
    "post-4k": (16, 6, ["--post", "4096"]),
    "connections": (16, 6, ["--close"]),
}
