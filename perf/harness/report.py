"""Medians and tables of what was measured, and the files that keep it."""

import json
import statistics
import time

from .process import ROOT, relative

RESULTS = ROOT / "perf" / "results"

COLUMNS = ["connections", "proxy", "CPU us/request", "lowest - highest", "in user mode", "requests/s", "p50 us"]
COLUMNS += ["p99 us", "p99.9 us", "busy", "service us", "calm samples"]


def progress(sample):
    """A sample on one line, for whoever watches."""
    remark = f"  not calm: others {sample['others_share']:.0%}, slowness {sample['slowness']:.2f}"
    rate = f"{sample['requests_per_second']:8.0f}/s"
    return (
        f"round {sample['round'] + 1}  {sample['connections']:4} connections  {sample['peer']:<18} "
        f"{sample['proxy_cpu_us']:6.2f} us/request  {rate}{'' if sample['calm'] else remark}"
    )


def tls_progress(sample):
    """The same for a sample of TLS, whose bytes count as well."""
    return f"{progress(sample)}  {sample['proxy_cpu_seconds_per_gib']:.3f} s/GiB"


def median_row(connections, peer, samples):
    """The medians of the calm samples, or of all where less than half of them are calm."""
    calm = [sample for sample in samples if sample["calm"]]
    chosen = calm if 2 * len(calm) >= len(samples) else samples
    row = {"connections": connections, "peer": peer, "samples": len(samples), "calm": len(calm)}
    for key, value in samples[0].items():
        if isinstance(value, (int, float)) and key not in ("round", "connections", "calm"):
            row[key] = statistics.median(sample[key] for sample in chosen)
    row["proxy_cpu_us_lowest"] = min(sample["proxy_cpu_us"] for sample in chosen)
    row["proxy_cpu_us_highest"] = max(sample["proxy_cpu_us"] for sample in chosen)
    return row


def medians(results):
    """One row for every number of connections and peer, in the order of the run."""
    groups = {}
    for sample in results["samples"]:
        groups.setdefault((sample["connections"], sample["peer"]), []).append(sample)
    return [
        median_row(connections, peer, groups[connections, peer])
        for connections in results["options"]["connections"]
        for peer in results["peers"]
    ]


def table(results):
    """The medians as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " ---: | :--- |" + " ---: |" * (len(COLUMNS) - 2)]
    for row in medians(results):
        cells = [
            f"{row['connections']}",
            row["peer"],
            f"**{row['proxy_cpu_us']:.2f}**",
            f"{row['proxy_cpu_us_lowest']:.2f} - {row['proxy_cpu_us_highest']:.2f}",
            f"{row['proxy_user_share']:.0%}",
            f"{row['requests_per_second']:.0f}",
            f"{row['p50_us']:.0f}",
            f"{row['p99_us']:.0f}",
            f"{row['p999_us']:.0f}",
            f"{row['proxy_busy']:.0%}",
            f"{row['service_cpu_us']:.2f}",
            f"{row['calm']} of {row['samples']}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def tls_table(results):
    """The medians of handshakes or of bulk."""
    columns = ["connections", "proxy", "CPU us/request", "CPU s/GiB", "in user mode", "requests/s", "p50 us", "p99 us"]
    columns += ["busy", "calm samples"]
    lines = ["| " + " | ".join(columns) + " |", "|" + " ---: | :--- |" + " ---: |" * (len(columns) - 2)]
    for row in medians(results):
        cells = [
            f"{row['connections']}",
            row["peer"],
            f"**{row['proxy_cpu_us']:.1f}**",
            f"{row['proxy_cpu_seconds_per_gib']:.3f}",
            f"{row['proxy_user_share']:.0%}",
            f"{row['requests_per_second']:.0f}",
            f"{row['p50_us']:.0f}",
            f"{row['p99_us']:.0f}",
            f"{row['proxy_busy']:.0%}",
            f"{row['calm']} of {row['samples']}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def heading(results):
    """What was compared where, in a few lines."""
    machine, options = results["machine"], results["options"]
    commit = results["commit"]["id"]
    lines = [
        f"{machine['cpus']} x {machine['processor']}, Linux {machine['kernel']}, {machine['congestion_control']}; "
        f"{options['rounds']} rounds of {options['seconds']} s, replies of {options['reply_size']} bytes; "
        f"commit {commit[:12] if commit else 'none'}{' with changes' if results['commit']['changed'] else ''}",
    ]
    lines += [f"- {name}: {peer['version']}" for name, peer in results["peers"].items()]
    return "\n".join(lines)


def save(results):
    """Keeps the raw results and returns the path as seen from the top of the checkout."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime(f"{results['comparison']}-%Y%m%d-%H%M%S.json", time.gmtime())
    path.write_text(json.dumps(results | {"medians": medians(results)}, indent=1) + "\n")
    return relative(path)
