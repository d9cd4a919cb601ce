"""`perf/compare idle`: what clients and sessions that do nothing cost in memory."""

import json
import select
import subprocess
import sys
import time

from . import peers, programs, registrar, report, rounds
from .options import positive
from .peers import Job
from .process import LOAD_CPU, ROOT, Failure, prepare_child, resident_bytes
from .programs import LOAD

SETTLE_SECONDS = 1


def add_options(parser):
    most = min(10000, peers.most_clients() - 100)
    parser.add_argument("--clients", type=positive, default=most, help=f"idle clients after a request each ({most})")
    parser.add_argument("--sessions", type=positive, default=1000, help="idle sessions of ours (1000)")


class IdleClients:
    """Keep-alive clients that have had one reply each, for as long as the `with` lasts."""

    def __init__(self, port, count):
        self.command = [str(LOAD), "idle", "--port", str(port), "--connections", str(count)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True,
                                        preexec_fn=lambda: prepare_child((LOAD_CPU,)))
        ready = select.select([self.process.stdout], [], [], 120)[0]
        line = self.process.stdout.readline() if ready else ""
        if not line or "connections" not in json.loads(line):
            self.process.kill()
            raise Failure(f"idle clients: {self.process.communicate()[1].strip() or 'no answer in 120 s'}")
        return self

    def __exit__(self, *_):
        self.process.communicate()


def grow(peer, count, add):
    """How much more is resident while `add` holds what is counted."""
    adding = add()
    time.sleep(SETTLE_SECONDS)
    before = resident_bytes(peer.proxy.pid)
    with adding:
        time.sleep(SETTLE_SECONDS)
        after = resident_bytes(peer.proxy.pid)
    return {"bytes_each": (after - before) / count, "resident_before": before, "resident_after": after,
            "resident_megabytes": after / 1e6}


class IdleSessions:
    """Sessions that registered and say nothing more; for less time than it takes until they are pinged."""

    def __init__(self, peer, count):
        self.peer, self.count, self.sockets = peer, count, []

    def __enter__(self):
        for _ in range(self.count):
            self.sockets.append(registrar.register(self.peer.control, self.peer.port, "/"))
        return self

    def __exit__(self, *_):
        for connection in self.sockets:
            connection.close()


class MoreIdleSessions(IdleSessions):
    """The same beside as many others: what the first ones touch once for all is not counted."""

    def __init__(self, peer, count):
        super().__init__(peer, count)
        self.first = IdleSessions(peer, count).__enter__()

    def __exit__(self, *_):
        super().__exit__()
        self.first.__exit__()


def take_sample(name, options, count, add):
    """With a process of its own, since nobody gives memory back."""
    peer = peers.make(name, options.program)
    try:
        peer.start(Job())
        return grow(peer, count, lambda: add(peer)), peer.describe()
    finally:
        peer.stop()


def run(comparison, options, names, count, add):
    samples, described = [], {}
    for round_number in range(options.rounds):
        for name in names:
            sample, described[name] = take_sample(name, options, count, add)
            samples.append({"round": round_number, "connections": count, "peer": name} | sample)
            print(report.progress(samples[-1], "idle"), file=sys.stderr, flush=True)
    return rounds.results(comparison, "idle", options, "perf/load idle", described, samples, connections=[count])


def compare(options):
    programs.build(programs.SERVICE, programs.LOAD)
    clients, sessions = options.clients, options.sessions
    yield run("idle-clients", options, options.peers, clients, lambda peer: IdleClients(peer.port, clients))
    if "socketmaster" in options.peers:
        yield run("idle-sessions", options, ["socketmaster"], sessions, lambda peer: MoreIdleSessions(peer, sessions))
