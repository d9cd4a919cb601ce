"""`perf/compare http` and `perf/compare connections`: requests through each proxy in turn."""

from . import load, programs, rounds
from .options import add_connections, sizes
from .peers import Job


def add_options(parser):
    add_connections(parser, "--connections", [16, 64, 256])
    parser.add_argument("--replies", "--reply-size", type=sizes, default=[6], metavar="BYTES,BYTES",
                        help="bytes of body in a reply, each measured by itself (6)")
    parser.add_argument("--post-size", type=int, default=0, metavar="BYTES", help="POST so much instead of GET")
    parser.add_argument("--load", choices=["wrk", "own"], default="wrk", help="what makes the requests (wrk)")


def compare(options):
    """One table for each size of replies."""
    programs.build(programs.SERVICE, programs.FLOOR, programs.LOAD)
    post = options.post_size
    generate = load.wrk(post) if options.load == "wrk" else load.own("http", "--post", str(post))
    for size in options.replies:
        name = "http" + (f"-post-{post}" if post else "") + (f"-{size}" if size != 6 else "")
        yield rounds.run(name, "requests", options, Job(reply_size=size), options.connections, generate,
                         post_size=post)


def add_connection_options(parser):
    add_connections(parser, "--connections", [16, 64], "at once")


def compare_connections(options):
    """A connection for every request, which the proxy ends."""
    programs.build(programs.SERVICE, programs.FLOOR, programs.LOAD)
    yield rounds.run("connections", "requests", options, Job(closes=True), options.connections,
                     load.own("http", "--close"))
