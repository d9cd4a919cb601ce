"""`perf/compare tcp`: bytes and messages through each proxy as a TCP relay."""

from . import load, programs, rounds
from .options import add_connections, positive
from .peers import Job


def add_options(parser):
    add_connections(parser, "--bulk", [1, 8], "for bulk")
    add_connections(parser, "--echo", [1, 64], "for messages")
    parser.add_argument("--message", type=positive, default=64, metavar="BYTES", help="of a message (64)")


def compare(options):
    """Bulk towards the client, bulk towards the service, and messages that come back."""
    programs.build(programs.SERVICE, programs.LOAD)
    yield rounds.run("tcp-down", "bulk", options, Job(raw="source"), options.bulk, load.own("raw", "--kind", "down"))
    yield rounds.run("tcp-up", "bulk", options, Job(raw="sink"), options.bulk, load.own("raw", "--kind", "up"))
    yield rounds.run("tcp-echo", "messages", options, Job(raw="echo"), options.echo,
                     load.own("raw", "--kind", "echo", "--message", str(options.message)), message=options.message)
