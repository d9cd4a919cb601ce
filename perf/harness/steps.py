"""Instructions of a thread, counted one by one by perf/step, and the functions that they belong to."""

import bisect
import collections
import pathlib
import subprocess

from . import stacks
from .process import PROXY_CPU, Failure, prepare_child
from .programs import STEP


def thread_named(pid, name):
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return int(task.name)
    raise Failure(f"there is no thread '{name}'")


class Steps:
    """Counts while the `with` lasts. Afterwards `places` has the count of each address, but for those of one library."""

    def __init__(self, pid, thread_name, besides):
        self.pid, self.thread, self.besides, self.places = pid, thread_named(pid, thread_name), besides, {}

    def __enter__(self):
        # On the CPU of the thread: one of the two waits at any time.
        self.process = subprocess.Popen([str(STEP), str(self.thread)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, preexec_fn=lambda: prepare_child((PROXY_CPU,)))
        if self.process.stdout.readline() != "ready\n":
            raise Failure(self.process.communicate()[1].strip())
        return self

    def __exit__(self, *_):
        self.maps = read_maps(self.pid)
        self.process.terminate()
        said, complaint = self.process.communicate()
        if self.process.returncode != 0:
            raise Failure(complaint.strip())
        pairs = (line.split() for line in said.splitlines())
        counted = ((int(address, 16), int(count)) for address, count in pairs)
        self.places = {address: count for address, count in counted if not self.is_besides(address)}

    def is_besides(self, address):
        return self.maps.find(address)[1] == str(self.besides)

    def total(self):
        return sum(self.places.values())

    def by_function(self, program):
        """The counts of the program's functions, and of each library as a whole, the highest first."""
        counts = collections.Counter()
        symbols = Symbols(program)
        for address, count in self.places.items():
            start, path = self.maps.find(address)
            own = pathlib.Path(path) == pathlib.Path(program).resolve()
            counts[symbols.name(address - start) if own else f"({pathlib.Path(path).name or path})"] += count
        names = stacks.demangle(set(counts))
        merged = collections.Counter()
        for name, count in counts.items():
            merged[names.get(name, name)] += count
        return merged.most_common()


class Ranges:
    """What lies where: sorted beginnings, and what each of them stands for."""

    def __init__(self, pairs):
        self.pairs = sorted(pairs)
        self.begins = [begin for begin, _ in self.pairs]

    def find(self, address):
        return self.pairs[max(bisect.bisect_right(self.begins, address) - 1, 0)][1]


def read_maps(pid):
    """By the beginning of each mapping, the address that its file would have as a whole, and the file."""
    pairs, bases = [], {}
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        begin, offset = int(fields[0].partition("-")[0], 16), int(fields[2], 16)
        path = fields[5] if len(fields) > 5 else "anonymous"
        if offset == 0:
            bases[path] = begin
        pairs.append((begin, (bases.get(path, begin - offset), path)))
    return Ranges(pairs)


class Symbols:
    """Functions of a position-independent program by their addresses in the file."""

    def __init__(self, program):
        run = subprocess.run(["nm", "--defined-only", program], capture_output=True, text=True, check=False)
        fields = (line.split(maxsplit=2) for line in run.stdout.splitlines())
        self.ranges = Ranges([(int(field[0], 16), field[2]) for field in fields if field[1] in "tTwW"])
        if not self.ranges.pairs:
            raise Failure(f"{program} has no symbols")

    def name(self, address):
        return self.ranges.find(address)
