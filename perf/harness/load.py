"""The load generators: wrk, and the one of perf/load."""

import json
import subprocess

from .machine import first_line
from .process import LOAD_CPU, ROOT, Failure, prepare_child
from .programs import LOAD

WARM_UP_SECONDS = 1


def figures(name, command):
    """Runs a load generator to its end and returns its last line."""
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False,
                         preexec_fn=lambda: prepare_child((LOAD_CPU,)))
    if run.returncode != 0:
        raise Failure(f"{name} failed: {run.stderr.strip() or run.stdout.strip()}")
    return json.loads(run.stdout.strip().splitlines()[-1])


def wrk(post_size=0):
    """A load of keep-alive requests by wrk with one thread."""

    def run(peer, connections, seconds):
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", "perf/harness/wrk.lua"]
        return figures("wrk", [*command, f"http://127.0.0.1:{peer.port}/", "--", str(post_size)])

    run.description = first_line(["wrk", "-v"])
    return run


def exactly(port, connections, requests, flags):
    """So many requests by perf/load and no more."""
    command = [str(LOAD), "http", "--port", str(port), "--connections", str(connections)]
    return figures("perf/load", [*command, "--requests", str(requests), *flags])


def own(kind, *flags):
    """A load of a kind by perf/load."""

    def run(peer, connections, seconds):
        command = [str(LOAD), kind, "--port", str(peer.port), "--connections", str(connections)]
        return figures("perf/load", [*command, "--seconds", str(seconds), *flags])

    run.description = " ".join(["perf/load", kind, *flags])
    return run
