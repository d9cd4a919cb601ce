"""`perf/compare flags`: ours beside ours, with the flags that tune it."""

import dataclasses

from . import load, programs, rounds
from .options import add_parts
from .peers import Job
from .process import PROXY_CPU
from .scale import BOTH, Variant, add_reactor_shares


@dataclasses.dataclass(frozen=True)
class Part:
    """A load, and what is tried under it beside the defaults."""

    connections: int
    flags: list
    generate: object
    job: Job = Job()
    table: str = "scale"
    reactors: int = 1


RECEIVE = ["--receive-buffers 64", "--receive-buffers 1024", "--receive-buffer-size 2k", "--receive-buffer-size 32k"]
RINGS = ["--ring-entries 64", "--ring-entries 4096"]

PARTS = {
    "one": Part(1, ["--busy-poll 20", "--busy-poll 100"], load.own("http")),
    "small": Part(256, RINGS + RECEIVE, load.own("http")),
    "posts": Part(64, RINGS + RECEIVE, load.own("http", "--post", "65536")),
    "replies": Part(64, RINGS + RECEIVE, load.own("http"), Job(reply_size=65536)),
    "connections": Part(256, ["--backlog 8", "--backlog 64"], load.own("http", "--close")),
    "reactors": Part(256, ["--pin"], load.own("http"), reactors=2),
    "bulk": Part(8, ["--no-splice", "--pipe-size 64k", "--pipe-size 1m"], load.own("raw", "--kind", "down"),
                 Job(raw="source"), "bulk"),
}


def add_options(parser):
    add_parts(parser, PARTS)


def compare(options):
    """One table for each load; its first line is without the flags."""
    programs.build(programs.SERVICE, programs.LOAD)
    for name in options.parts:
        part = PARTS[name]
        cpus = (PROXY_CPU,) if part.reactors == 1 else BOTH
        running = [Variant(options, flags or "defaults", part.reactors, part.reactors, cpus, flags=flags.split())
                   for flags in ["", *part.flags]]
        results = rounds.run(f"flags-{name}", part.table, options, part.job, [part.connections], part.generate, running)
        if part.reactors > 1:
            add_reactor_shares(results)
        yield results
