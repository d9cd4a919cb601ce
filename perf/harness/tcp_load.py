"""`perf/compare tcp`: bytes and messages through each proxy as a TCP relay; fairness and distance of ours."""

from . import load, peers, programs, rounds
from .options import add_connections, add_parts, positive, sizes
from .peers import Job

PARTS = ["bulk", "messages", "fairness", "distance"]
# Our service's window, for a line on which more than the usual one is under way.
DISTANT_WINDOW = 16 << 20


def add_options(parser):
    add_parts(parser, PARTS)
    add_connections(parser, "--bulk", [1, 8, 64], "for bulk")
    add_connections(parser, "--echo", [16], "for messages")
    parser.add_argument("--messages", type=sizes, default=[64, 1024, 4096, 16384, 65536, 262144], metavar="BYTES,BYTES",
                        help="of a message (64 to 262144)")
    parser.add_argument("--beside", type=positive, default=8, help="bulk flows beside the one that says little (8)")


def compare(options):
    """Bulk towards the client, bulk towards the service, messages that come back, and what only ours can tell."""
    programs.build(programs.SERVICE, programs.LOAD, programs.FLOOR, programs.LINE)
    if "bulk" in options.parts:
        yield rounds.run("tcp-down", "bulk", options, Job(raw="source"), options.bulk,
                         load.own("raw", "--kind", "down"))
        yield rounds.run("tcp-up", "bulk", options, Job(raw="sink"), options.bulk, load.own("raw", "--kind", "up"))
    if "messages" in options.parts:
        for size in options.messages:
            yield rounds.run(f"tcp-echo-{size}", "messages", options, Job(raw="echo"), options.echo,
                             load.own("raw", "--kind", "echo", "--message", str(size)), message=size)
    if "fairness" in options.parts:
        for kind in ("down", "up"):
            yield rounds.run(f"tcp-fairness-{kind}", "latency", options, Job(raw="mixed"), [options.beside],
                             load.own("fair", "--kind", kind), [make("socketmaster", options)])
    if "distance" in options.parts:
        flags = ("--window", str(DISTANT_WINDOW))
        for kind, does in (("down", "source"), ("up", "sink")):
            yield rounds.run(f"tcp-distance-{kind}", "distance", options, Job(raw=does, service_flags=flags), [1],
                             load.own("raw", "--kind", kind), [make("socketmaster-distant", options)])


def make(name, options):
    """A peer that is measured by itself."""
    return peers.make(name, options.program)
