"""Medians and tables of what was measured, and the files that keep it."""

import json
import statistics
import time

from .process import ROOT, relative

RESULTS = ROOT / "perf" / "results"
# Whose best one the others are divided by, by the beginning of their names.
OTHERS = ("haproxy", "nginx", "envoy")


def number(title, key, form, bold=False):
    """A column of medians. Where a row has none of them the cell is empty."""

    def cell(row):
        if row.get(key) is None:
            return ""
        text = format(row[key], form)
        return f"**{text}**" if bold else text

    return title, cell


def spread(form):
    return "lowest - highest", lambda row: f"{row['lowest']:{form}} - {row['highest']:{form}}"


CONNECTIONS = ("connections", lambda row: f"{row['connections']}")
PROXY = ("proxy", lambda row: row["peer"])
OF_BEST = number("of the best other", "of_best", ".2f")
CPU, CPU_PLAIN = (number("CPU us/request", "proxy_cpu_us", ".2f", bold) for bold in (True, False))
USER = number("in user mode", "proxy_user_share", ".0%")
RATE = number("requests/s", "requests_per_second", ".0f")
LATENCIES = [number(f"{name} us", key, ".0f") for name, key in
             (("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us"))]
BUSY = number("busy", "proxy_busy", ".0%")
SERVICE = number("service us", "service_cpu_us", ".2f")
CALM = ("calm samples", lambda row: f"{row['calm']} of {row['samples']}")

# name: what is measured, its unit, and the columns of the table
TABLES = {
    "requests": ("proxy_cpu_us", "us/request",
                 [CONNECTIONS, PROXY, CPU, spread(".2f"), OF_BEST, USER, RATE, *LATENCIES, BUSY, SERVICE, CALM]),
    "handshakes": ("proxy_cpu_us", "us/request",
                   [CONNECTIONS, PROXY, CPU, spread(".1f"), OF_BEST, USER, RATE, *LATENCIES[:2], BUSY, CALM]),
    "bulk": ("proxy_cpu_seconds_per_gib", "s/GiB",
             [CONNECTIONS, PROXY, number("CPU s/GiB", "proxy_cpu_seconds_per_gib", ".3f", True), spread(".3f"), OF_BEST,
              USER, number("GiB/s", "gib_per_second", ".2f"), BUSY, CALM]),
    "distance": ("gib_per_second", "GiB/s",
                 [CONNECTIONS, PROXY, number("GiB/s", "gib_per_second", ".4f", True), spread(".4f"),
                  number("of the line", "of_line", ".0%"), number("CPU s/GiB", "proxy_cpu_seconds_per_gib", ".3f"),
                  CALM]),
    "messages": ("proxy_cpu_us", "us/message",
                 [CONNECTIONS, PROXY, number("CPU us/message", "proxy_cpu_us", ".2f", True), spread(".2f"), OF_BEST,
                  USER, number("messages/s", "requests_per_second", ".0f"), *LATENCIES, BUSY, CALM]),
    "latency": ("p99_us", "us at p99",
                [CONNECTIONS, PROXY, *LATENCIES[:1], number("p99 us", "p99_us", ".0f", True), LATENCIES[2],
                 spread(".0f"), OF_BEST, number("longest us", "max_us", ".0f"), RATE,
                 number("unfinished", "unfinished", ".0f"), CPU_PLAIN, BUSY, CALM]),
    "idle": ("bytes_each", "bytes each",
             [number("how many", "connections", "d"), PROXY, number("resident bytes each", "bytes_each", ".0f", True),
              spread(".0f"), OF_BEST, number("resident MB in all", "resident_megabytes", ".1f")]),
    "scale": ("proxy_cpu_us", "us/request",
              [CONNECTIONS, PROXY, CPU, spread(".2f"), number("of the first", "of_first", ".2f"), USER, RATE,
               *LATENCIES, number("busiest reactor's share", "reactor_share", ".0%"), BUSY, SERVICE, CALM]),
}

# Units, as plots say them.
LABELS = {"us/request": "CPU µs per request", "s/GiB": "CPU s per GiB", "us/message": "CPU µs per message",
          "us at p99": "p99 µs", "bytes each": "resident bytes each", "GiB/s": "GiB per second"}


def progress(sample, table):
    """A sample on one line, for whoever watches."""
    measure, unit, _ = TABLES[table]
    rate = f"{sample['requests_per_second']:8.0f}/s" if "requests_per_second" in sample else ""
    calm = sample.get("calm", True)
    remark = "" if calm else f"  not calm: others {sample['others_share']:.0%}, slowness {sample['slowness']:.2f}"
    return (f"round {sample['round'] + 1}  {sample['connections']:5} connections  {sample['peer']:<18} "
            f"{sample[measure]:9.3f} {unit} {rate}{remark}")


def median_row(connections, peer, samples, measure):
    """The medians of the calm samples, or of all where less than half of them are calm."""
    calm = [sample for sample in samples if sample.get("calm", True)]
    chosen = calm if 2 * len(calm) >= len(samples) else samples
    row = {"connections": connections, "peer": peer, "samples": len(samples), "calm": len(calm)}
    for key, value in samples[0].items():
        if isinstance(value, (int, float)) and key not in ("round", "connections", "calm"):
            row[key] = statistics.median(sample[key] for sample in chosen)
    row["lowest"] = min(sample[measure] for sample in chosen)
    row["highest"] = max(sample[measure] for sample in chosen)
    return row


def add_ratios(rows, measure):
    """Each row beside the best of the other proxies, and beside the first row, of as many connections."""
    for row in rows:
        alike = [other for other in rows if other["connections"] == row["connections"]]
        others = [other[measure] for other in alike if other["peer"].startswith(OTHERS)]
        row["of_best"] = row[measure] / min(others) if others and min(others) > 0 else None
        row["of_first"] = row[measure] / alike[0][measure] if alike[0][measure] else None


def medians(results):
    """One row for every number of connections and peer, in the order of the run."""
    measure = TABLES[results["table"]][0]
    groups = {}
    for sample in results["samples"]:
        groups.setdefault((sample["connections"], sample["peer"]), []).append(sample)
    rows = [median_row(connections, peer, samples, measure) for (connections, peer), samples in groups.items()]
    order = {peer: place for place, peer in enumerate(results["peers"])}
    rows.sort(key=lambda row: (row["connections"], order[row["peer"]]))
    add_ratios(rows, measure)
    return rows


def table(results):
    """The medians as a Markdown table, without the columns that are empty in all rows."""
    rows = medians(results)
    cells = [[title, *(cell(row) for row in rows)] for title, cell in TABLES[results["table"]][2]]
    columns = [column for column in cells if any(column[1:])]
    lines = ["| " + " | ".join(words) + " |" for words in zip(*columns)]
    return "\n".join([lines[0], "|" + " ---: | :--- |" + " ---: |" * (len(columns) - 2), *lines[1:]])


def heading(results):
    """What was compared where, in a few lines."""
    machine, options, commit = results["machine"], results["options"], results["commit"]
    chosen = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in options.items()
                       if name not in ("rounds", "seconds", "tries", "patience", "connections"))
    identity = commit["id"][:12] if commit["id"] else "none"
    lines = [
        f"{results['comparison']}: {machine['cpus']} x {machine['processor']}, Linux {machine['kernel']}, "
        f"{machine['congestion_control']}; {options['rounds']} rounds of {options['seconds']} s; "
        f"{chosen + '; ' if chosen else ''}"
        f"commit {identity}{' with changes' if commit['changed'] else ''}",
        f"- load: {results['load_generator']}",
    ]
    lines += [f"- {name}: {peer['version']}" for name, peer in results["peers"].items()]
    return "\n".join(lines)


def read(path):
    """Results as they were kept. Those of before results named their table are understood, too."""
    results = json.loads(path.read_text())
    tables = {"tls-bulk": "bulk", "tls-handshakes": "handshakes"}
    results.setdefault("table", tables.get(results["comparison"], "requests"))
    return results


def save(results):
    """Keeps the raw results and returns the path as seen from the top of the checkout."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime(f"{results['comparison']}-%Y%m%d-%H%M%S.json", time.gmtime())
    path.write_text(text(results | {"medians": medians(results)}))
    return relative(path)


def text(results):
    """JSON with a line for each sample, each median and each peer: a difference between two files can be read."""
    members = []
    for key, value in results.items():
        if isinstance(value, list) and value:
            lines = ",\n".join(f"  {json.dumps(item)}" for item in value)
            members.append(f" {json.dumps(key)}: [\n{lines}\n ]")
        elif isinstance(value, dict) and all(isinstance(item, dict) for item in value.values()) and value:
            lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(item)}" for name, item in value.items())
            members.append(f" {json.dumps(key)}: {{\n{lines}\n }}")
        else:
            members.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(members) + "\n}\n"
