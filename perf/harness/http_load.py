"""`perf/compare http`: keep-alive requests through each proxy in turn."""

import json
import os
import subprocess
import sys
import time

from . import machine, peers, report
from .machine import OTHERS_LIMIT, SLOWNESS_LIMIT
from .process import LOAD_CPU, ROOT, CPUTime, Failure, ended_children_seconds, machine_ticks, prepare_child

WARM_UP_SECONDS = 1


def run_wrk(port, connections, seconds):
    """Runs wrk with one thread and returns its figures."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", "perf/harness/wrk.lua"]
    run = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: prepare_child(LOAD_CPU),
    )
    if run.returncode != 0:
        raise Failure(f"wrk failed: {run.stderr.strip() or run.stdout.strip()}")
    return json.loads(run.stdout.strip().splitlines()[-1])


class Meter:
    """Everything that is read before and after a load, and the difference."""

    def __init__(self, peer):
        self.peer = peer
        self.begin = self.read()

    def read(self):
        busy, stolen = machine_ticks()
        return {
            "time": time.monotonic(),
            "proxy": CPUTime(self.peer.proxy.pid),
            "service": CPUTime(self.peer.service.pid),
            "load": ended_children_seconds(),
            "busy": busy,
            "stolen": stolen,
        }

    def difference(self):
        begin, end = self.begin, self.read()
        proxy, proxy_user_share = end["proxy"].since(begin["proxy"])
        service, load = end["service"].since(begin["service"])[0], end["load"] - begin["load"]
        ticks_per_second = os.sysconf("SC_CLK_TCK")
        capacity = (end["time"] - begin["time"]) * os.cpu_count()
        others = (end["busy"] - begin["busy"]) / ticks_per_second - proxy - service - load
        return {
            "proxy_cpu_seconds": proxy,
            "proxy_user_share": proxy_user_share,
            "service_cpu_seconds": service,
            "load_cpu_seconds": load,
            "others_share": max(0.0, others / capacity),
            "stolen_share": (end["stolen"] - begin["stolen"]) / ticks_per_second / capacity,
        }


def take_sample(peer, connections, seconds):
    run_wrk(peer.port, connections, WARM_UP_SECONDS)
    meter = Meter(peer)
    sample = run_wrk(peer.port, connections, seconds)
    sample |= meter.difference()
    if sample["errors"] or not sample["requests"]:
        failed = f"{sample['errors']} of {sample['requests']} requests"
        raise Failure(f"{peer.name} failed {failed} at {connections} connections")
    sample["requests_per_second"] = sample["requests"] / sample["seconds"]
    for part in ("proxy", "service", "load"):
        sample[f"{part}_cpu_us"] = sample[f"{part}_cpu_seconds"] * 1e6 / sample["requests"]
    sample["proxy_busy"] = sample["proxy_cpu_seconds"] / sample["seconds"]
    return sample


def take_calm_sample(peer, connections, pace, options, take=take_sample):
    """The least disturbed of a few tries; the first one that is calm if any is."""
    best = None
    for _ in range(options.tries):
        pace.wait_until_calm(options.patience)
        slowness = pace.slowness()
        sample = take(peer, connections, options.seconds)
        sample["slowness"] = max(slowness, pace.slowness())
        sample["calm"] = sample["others_share"] <= OTHERS_LIMIT and sample["slowness"] <= SLOWNESS_LIMIT
        if best is None or sample["calm"] or sample["others_share"] < best["others_share"]:
            best = sample
        if best["calm"]:
            break
    return best


def take_rounds(running, options, take=take_sample, progress=report.progress):
    """Interleaves the peers, each round beginning with another one, so that a slow minute hits all of them."""
    samples, pace = [], machine.Pace()
    for round_number in range(options.rounds):
        for connections in options.connections:
            first = round_number % len(running)
            for peer in running[first:] + running[:first]:
                sample = take_calm_sample(peer, connections, pace, options, take)
                samples.append({"round": round_number, "connections": connections, "peer": peer.name} | sample)
                print(progress(samples[-1]), file=sys.stderr, flush=True)
    return samples


def compare(options):
    """Runs the comparison and returns its results."""
    machine.prepare()
    peers.build_service()
    running = [peers.make(name, options.program) for name in options.peers]
    try:
        for peer in running:
            peer.start(options.reply_size)
            peer.wait_until_ready(options.reply_size)
        samples = take_rounds(running, options)
        described = {peer.name: peer.describe() for peer in running}
    finally:
        for peer in running:
            peer.stop()
    return {
        "comparison": "http",
        "options": {
            "rounds": options.rounds,
            "seconds": options.seconds,
            "connections": options.connections,
            "reply_size": options.reply_size,
        },
        "commit": machine.commit(),
        "machine": machine.describe(),
        "load_generator": machine.first_line(["wrk", "-v"]),
        "peers": described,
        "samples": samples,
    }
