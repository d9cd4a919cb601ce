"""Samples, rounds and runs: what all comparisons share."""

import os
import sys
import time

from . import load, machine, peers, report
from .machine import OTHERS_LIMIT, SLOWNESS_LIMIT
from .process import CPUTime, Failure, ended_children_seconds, machine_ticks


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
            "service": CPUTime(self.peer.service.pid) if self.peer.service else None,
            "load": ended_children_seconds(),
            "busy": busy,
            "stolen": stolen,
        }

    def difference(self):
        begin, end = self.begin, self.read()
        proxy, proxy_user_share = end["proxy"].since(begin["proxy"])
        service = end["service"].since(begin["service"])[0] if end["service"] else 0.0
        used = end["load"] - begin["load"]
        ticks_per_second = os.sysconf("SC_CLK_TCK")
        capacity = (end["time"] - begin["time"]) * os.cpu_count()
        others = (end["busy"] - begin["busy"]) / ticks_per_second - proxy - service - used
        return {
            "proxy_cpu_seconds": proxy,
            "proxy_user_share": proxy_user_share,
            "proxy_threads": end["proxy"].by_thread(begin["proxy"]),
            "service_cpu_seconds": service,
            "load_cpu_seconds": used,
            "others_share": max(0.0, others / capacity),
            "stolen_share": (end["stolen"] - begin["stolen"]) / ticks_per_second / capacity,
        }


def add_figures(sample):
    """What follows from what was counted: rates, and CPU for each request or GiB."""
    seconds, requests = sample["seconds"], sample["requests"]
    sample["proxy_busy"] = sample["proxy_cpu_seconds"] / seconds
    if requests:
        sample["requests_per_second"] = requests / seconds
        for part in ("proxy", "service", "load"):
            sample[f"{part}_cpu_us"] = sample[f"{part}_cpu_seconds"] * 1e6 / requests
    if sample.get("bytes"):
        sample["proxy_cpu_seconds_per_gib"] = sample["proxy_cpu_seconds"] * (1 << 30) / sample["bytes"]
        sample["gib_per_second"] = sample["bytes"] / seconds / (1 << 30)
        sample["of_line"] = sample["bytes"] * 8 / seconds / peers.DistantSocketmaster.bits_per_second


def take_sample(peer, connections, seconds, generate):
    generate(peer, connections, load.WARM_UP_SECONDS)
    meter = Meter(peer)
    sample = generate(peer, connections, seconds)
    sample |= meter.difference()
    if sample["errors"] or sample.get("resumed") or not (sample["requests"] or sample.get("bytes")):
        raise Failure(f"{peer.name} failed {sample['errors']} of {sample['requests']} requests at {connections} "
                      f"connections; {sample.get('resumed', 0)} handshakes were resumed")
    add_figures(sample)
    return sample


def take_calm_sample(peer, connections, pace, options, generate):
    """The least disturbed of a few tries; the first one that is calm if any is."""
    best = None
    for _ in range(options.tries):
        pace.wait_until_calm(options.patience)
        slowness = pace.slowness()
        sample = take_sample(peer, connections, options.seconds, generate)
        sample["slowness"] = max(slowness, pace.slowness())
        sample["calm"] = sample["others_share"] <= OTHERS_LIMIT and sample["slowness"] <= SLOWNESS_LIMIT
        if best is None or sample["calm"] or sample["others_share"] < best["others_share"]:
            best = sample
        if best["calm"]:
            break
    return best


def take_rounds(running, connections, options, table, generate):
    """Interleaves the peers, each round beginning with another one, so that a slow minute hits all of them."""
    samples, pace = [], machine.Pace()
    for round_number in range(options.rounds):
        for number in connections:
            first = round_number % len(running)
            for peer in running[first:] + running[:first]:
                sample = take_calm_sample(peer, number, pace, options, generate)
                samples.append({"round": round_number, "connections": number, "peer": peer.name} | sample)
                print(report.progress(samples[-1], table), file=sys.stderr, flush=True)
    return samples


def results(comparison, table, options, description, described, samples, **more):
    """What is kept of a run."""
    return {
        "comparison": comparison,
        "table": table,
        "options": {name: getattr(options, name) for name in ("rounds", "seconds", "tries", "patience")} | more,
        "commit": machine.commit(),
        "machine": machine.describe(),
        "load_generator": description,
        "peers": described,
        "samples": samples,
    }


def run(comparison, table, options, job, connections, generate, running=None, **more):
    """Runs every peer, all of them from the beginning to the end, and returns the results."""
    running = running or [peers.make(name, options.program) for name in options.peers]
    try:
        for peer in running:
            peer.start(job)
        samples = take_rounds(running, connections, options, table, generate)
        described = {peer.name: peer.describe() for peer in running}
    finally:
        for peer in running:
            peer.stop()
    size = {} if job.raw else {"reply_size": job.reply_size}
    more = {"connections": connections, **size, **more}
    return results(comparison, table, options, generate.description, described, samples, **more)
