"""`perf/compare latency`: at full load, and at half of what the slowest proxy can do."""

import statistics

from . import load, peers, programs, rounds
from .options import add_connections, positive
from .peers import Job


def add_options(parser):
    add_connections(parser, "--connections", [64])
    parser.add_argument("--rate", type=positive, help="requests a second instead of half of the slowest's")


def slowest_rate(full):
    """The requests/s of the slowest proxy at full load, floors apart."""
    by_peer = {}
    for sample in full["samples"]:
        if sample["peer"] not in peers.FLOORS:
            by_peer.setdefault(sample["peer"], []).append(sample["requests_per_second"])
    return min(statistics.median(rates) for rates in by_peer.values())


def compare(options):
    programs.build(programs.SERVICE, programs.FLOOR, programs.LOAD)
    full = rounds.run("latency-full", "latency", options, Job(), options.connections, load.own("http"))
    yield full
    rate = options.rate or int(slowest_rate(full) / 2)
    yield rounds.run("latency-half", "latency", options, Job(), options.connections,
                     load.own("http", "--rate", str(rate)), rate=rate)
