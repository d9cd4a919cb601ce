"""Processes pinned to a CPU, and the CPU time that a whole tree of them has used."""

import ctypes
import os
import pathlib
import resource
import signal
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build" / "perf"

# The proxy under test has a CPU for itself; the service and the load generator share the other one.
PROXY_CPU, LOAD_CPU = 0, 1

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """Something that a person has to mend, said in a sentence."""


def relative(path):
    """A path as it is written into results: as seen from the top of the checkout."""
    path = str(path)
    return path[len(str(ROOT)) + 1 :] if path.startswith(f"{ROOT}/") else path


def prepare_child(cpus):
    """Pins the child that is about to run, and lets it die with the harness."""
    os.sched_setaffinity(0, set(cpus))
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start(command, cpus, log, environment=None):
    """Starts a command at the top of the checkout. What it says goes into a file of that name below .build/perf."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(BUILD / f"{log}.log", "wb") as output:
        return subprocess.Popen(
            [relative(word) for word in command],
            cwd=ROOT,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=lambda: prepare_child(cpus),
        )


def stop(process):
    """Ends a process: SIGTERM, and SIGKILL for one that has not gone after 5 s."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def children(root):
    """The ids of a process and everything below it."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    family = [root]
    for member in family:
        family += [pid for pid, parent in parents.items() if parent == member]
    return family


class CPUTime:
    """CPU time of a tree of processes at one moment.

    The scheduler's own sum, in nanoseconds a thread, is exact but forgets threads that have ended; utime + stime of a
    process counts those too, in ticks of 10 ms. The second one is used where a thread went away in between.
    """

    def __init__(self, root):
        self.threads, self.names, self.user_ticks, self.system_ticks = {}, {}, 0, 0
        for pid in children(root):
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                self.threads[task.name] = int((task / "schedstat").read_text().split()[0])
                self.names[task.name] = (task / "comm").read_text().strip()
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            self.user_ticks += int(fields[11])
            self.system_ticks += int(fields[12])

    def since(self, earlier):
        """What was used between two moments: seconds, and the share of them in user mode."""
        user = self.user_ticks - earlier.user_ticks
        ticks = user + self.system_ticks - earlier.system_ticks
        if earlier.threads.keys() <= self.threads.keys():
            seconds = (sum(self.threads.values()) - sum(earlier.threads.values())) / 1e9
        else:
            seconds = ticks / os.sysconf("SC_CLK_TCK")
        return seconds, user / ticks if ticks else 0.0

    def by_thread(self, earlier):
        """Seconds that each thread has used between two moments, by its name."""
        used = {}
        for task, nanoseconds in self.threads.items():
            name = self.names[task]
            used[name] = used.get(name, 0) + (nanoseconds - earlier.threads.get(task, 0)) / 1e9
        return used


def resident_bytes(root):
    """What a tree of processes has in memory, pages that it shares with others included."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in children(root))


def ended_children_seconds():
    """CPU time of all the children that have been waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def machine_ticks():
    """Busy and stolen ticks of all CPUs together since the machine started."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, interrupt, soft_interrupt, steal = map(int, file.readline().split()[1:9])
    return user + nice + system + interrupt + soft_interrupt, steal
