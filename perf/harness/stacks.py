"""Stacks of a running proxy by `perf record`, and what they say."""

import collections
import re
import shutil
import subprocess

from .process import BUILD, LOAD_CPU, ROOT, Failure, prepare_child

FREQUENCY = 1999
# What the compiler says it has made of a function.
PREFIXES = re.compile(r"^(?:(?:specialized|merged|outlined|partial apply for|thunk for|closure #\d+ in"
                      r"|generic specialization <.*?> of|function signature specialization <.*?> of) )*")
FRAME = re.compile(r"^\s+([0-9a-f]+) (.*?)(?:\+0x[0-9a-f]+)? \(([^()]*)\)$")


def record(pid, seconds, name):
    """Samples all threads of a process for so long. A virtual machine may have no counters, but it has a clock."""
    data = BUILD / f"{name}.perf"
    if not shutil.which("perf"):
        raise Failure("perf is missing: run perf/install")
    command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "-g", "-p", str(pid), "-o", str(data),
               "--", "sleep", str(seconds)]
    run = subprocess.run(command, capture_output=True, text=True, check=False,
                         preexec_fn=lambda: prepare_child((LOAD_CPU,)))
    if run.returncode != 0 or not data.exists():
        raise Failure(f"perf record failed: {run.stderr.strip()}")
    return data


def demangle(names):
    """Swift's names as people write them, without what their signatures say."""
    mangled = [name for name in names if name.startswith("$s")]
    if not mangled or not shutil.which("swift"):
        return {}
    run = subprocess.run(["swift", "demangle", "--compact", "--simplified"], input="\n".join(mangled),
                         capture_output=True, text=True, check=False)
    return dict(zip(mangled, map(shorten, run.stdout.splitlines())))


def shorten(name):
    name = re.sub(PREFIXES, "", name)
    name = re.sub(r"\(.*", "", name)
    return re.sub(r" in _[0-9A-F]{32}", "", name)


def read(data):
    """The stacks, each of (function, is kernel) with the outermost first."""
    command = ["perf", "script", "-i", str(data), "--no-inline", "-F", "comm,ip,sym,dso"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise Failure(f"perf script failed: {run.stderr.strip()}")
    stacks = []
    for block in run.stdout.split("\n\n"):
        thread, *lines = [line for line in block.splitlines() if line.strip()] or [""]
        frames = [FRAME.match(line) for line in lines]
        stack = [(frame[2] if frame[2] != "[unknown]" else f"({frame[3].rpartition('/')[2]})",
                  int(frame[1], 16) >> 63 == 1) for frame in frames if frame]
        if stack:
            stacks.append([(thread.strip(), False), *reversed(stack)])
    names = demangle({name for stack in stacks for name, _ in stack})
    return [[(names.get(name, name), is_kernel) for name, is_kernel in stack] for stack in stacks]


def hottest(stacks, is_kernel, count):
    """The functions that the samples were in, with their shares of all samples."""
    leaves = collections.Counter(stack[-1][0] for stack in stacks if stack[-1][1] == is_kernel)
    return [(name, samples / len(stacks)) for name, samples in leaves.most_common(count)]


def kernel_share(stacks):
    return sum(stack[-1][1] for stack in stacks) / len(stacks)
