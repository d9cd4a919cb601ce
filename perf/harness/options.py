"""Flags that all comparisons have, and what their values may be."""

import argparse

from . import peers


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def counts(text):
    return [positive(word) for word in text.split(",")]


def sizes(text):
    return [int(word) for word in text.split(",")]


def names(text):
    chosen = text.split(",")
    for name in chosen:
        if name not in peers.PEERS:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(peers.PEERS)}")
    return chosen


def program(text):
    name, _, path = text.partition("=")
    if name not in peers.PEERS or not path:
        raise argparse.ArgumentTypeError("takes PEER=PATH")
    return name, path


def add_connections(parser, flag, default, what="of the load generator"):
    """A list of numbers of connections, each measured by itself."""
    shown = ",".join(map(str, default))
    parser.add_argument(flag, type=counts, default=default, metavar="N,N", help=f"connections {what} ({shown})")


def add_parts(parser, parts):
    """Some of the parts of a comparison, all by default."""

    def some(text):
        chosen = text.split(",")
        if not set(chosen) <= set(parts):
            raise argparse.ArgumentTypeError(f"takes some of {','.join(parts)}")
        return chosen

    parser.add_argument("--parts", type=some, default=list(parts), metavar="NAME,NAME",
                        help=f"of {','.join(parts)} (all)")


def add_common(parser, default_peers):
    parser.add_argument("--rounds", type=positive, default=5, help="samples of each peer (5)")
    parser.add_argument("--seconds", type=positive, default=5, help="length of a sample (5)")
    if default_peers:
        parser.add_argument("--peers", type=names, default=default_peers, metavar="NAME,NAME",
                            help=f"which ones, of {', '.join(peers.PEERS)} ({','.join(default_peers)})")
    parser.add_argument("--program", type=program, action="append", default=[], metavar="PEER=PATH",
                        help="another program for a peer; repeatable")
    parser.add_argument("--tries", type=positive, default=3, help="at a sample that nothing disturbs (3)")
    parser.add_argument("--patience", type=int, default=30, metavar="SECONDS",
                        help="how long a try waits for a calm machine (30)")
    parser.add_argument("--quick", action="store_true",
                        help="2 rounds of 2 s, whatever disturbs them: a look, not kept")


def settle(options):
    """What the flags come to."""
    options.program = dict(options.program)
    # Ours is one program under several names.
    if "socketmaster" in options.program:
        options.program.setdefault("socketmaster-reuse", options.program["socketmaster"])
    if options.quick:
        options.rounds, options.seconds, options.tries, options.patience = 2, 2, 1, 0
    return options
