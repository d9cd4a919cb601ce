"""`perf/compare tls`: full handshakes, and bulk replies, through each proxy in turn."""

import json
import subprocess

from . import http_load, machine, peers, report
from .process import LOAD_CPU, ROOT, Failure, prepare_child

# Replies of a handshake's one request, and of bulk.
SMALL, LARGE = 6, 1 << 20


def run_load(port, connections, seconds, *flags):
    command = [str(peers.LOAD), "--port", str(port), "--connections", str(connections), "--seconds", str(seconds)]
    run = subprocess.run(
        [*command, *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: prepare_child(LOAD_CPU),
    )
    if run.returncode != 0:
        raise Failure(f"the load generator failed: {run.stderr.strip()}")
    return json.loads(run.stdout)


def take_sample(peer, connections, seconds, *flags):
    run_load(peer.port, connections, http_load.WARM_UP_SECONDS, *flags)
    meter = http_load.Meter(peer)
    sample = run_load(peer.port, connections, seconds, *flags)
    sample |= meter.difference()
    if sample["errors"] or sample["resumed"] or not sample["requests"]:
        failed = f"{sample['errors']} of {sample['requests']} requests, {sample['resumed']} were resumed"
        raise Failure(f"{peer.name} failed {failed} at {connections} connections")
    sample["requests_per_second"] = sample["requests"] / sample["seconds"]
    for part in ("proxy", "service", "load"):
        sample[f"{part}_cpu_us"] = sample[f"{part}_cpu_seconds"] * 1e6 / sample["requests"]
    sample["proxy_cpu_seconds_per_gib"] = sample["proxy_cpu_seconds"] * (1 << 30) / sample["bytes"]
    sample["proxy_busy"] = sample["proxy_cpu_seconds"] / sample["seconds"]
    return sample


def take_bulk_sample(peer, connections, seconds):
    return take_sample(peer, connections, seconds, "--keep")


def measure(options, reply_size, connections, take):
    """Runs every peer with replies of one size. Returns the samples, and what the peers are."""
    options.connections = connections
    certificate = peers.Certificate()
    running = [peers.make(name, options.program, certificate) for name in options.peers]
    try:
        for peer in running:
            peer.start(reply_size)
            peer.wait_until_ready(reply_size)
        samples = http_load.take_rounds(running, options, take, report.tls_progress)
        return samples, {peer.name: peer.describe() for peer in running}
    finally:
        for peer in running:
            peer.stop()


def compare(options):
    """Runs the comparison and returns its results, one for handshakes and one for bulk."""
    machine.prepare()
    peers.build_service()
    peers.build_load()
    handshakes, bulk = options.handshakes, options.bulk
    both = []
    for name, size, connections, take in [
        ("tls-handshakes", SMALL, handshakes, take_sample),
        ("tls-bulk", LARGE, bulk, take_bulk_sample),
    ]:
        samples, described = measure(options, size, connections, take)
        both.append({
            "comparison": name,
            "options": {
                "rounds": options.rounds,
                "seconds": options.seconds,
                "connections": connections,
                "reply_size": size,
            },
            "commit": machine.commit(),
            "machine": machine.describe(),
            "load_generator": "perf/load with " + machine.first_line(["openssl", "version"]),
            "peers": described,
            "samples": samples,
        })
    return both
