"""The machine a run happens on: made fair before it, and described in its results."""

import fcntl
import hashlib
import os
import pathlib
import platform
import resource
import shutil
import socket
import struct
import subprocess
import time

from .process import LIBC, LOAD_CPU, PROXY_CPU, ROOT, Failure, machine_ticks

CONGESTION = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control")
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1

# A sample is calm if others used less than this of all CPUs, and the proxy's CPU was no slower than this around it.
OTHERS_LIMIT, SLOWNESS_LIMIT, IDLE_LIMIT = 0.05, 1.15, 0.92


def bring_loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def use_cubic():
    """Cubic for everybody: BBR paces its packets by timers, and a benchmark on loopback would measure those.

    Where the machine's default is another one, the run moves into a network namespace of its own. A namespace is born
    with the default of its parent and may not choose what the parent does not allow, so the parent's is changed for the
    moment of the birth. Nothing has to be put back at the end of the run, however it ends.
    """
    before = CONGESTION.read_text().strip()
    if before == "cubic":
        return
    try:
        setting = os.open(CONGESTION, os.O_WRONLY)
    except PermissionError as error:
        raise Failure(
            f"TCP congestion control is {before} here and must be cubic: run this as root, or set "
            "net.ipv4.tcp_congestion_control=cubic with sysctl"
        ) from error
    os.write(setting, b"cubic")
    try:
        if LIBC.unshare(CLONE_NEWNET) != 0:
            raise Failure("cannot make a network namespace: set net.ipv4.tcp_congestion_control=cubic by sysctl")
    finally:
        os.pwrite(setting, before.encode(), 0)
        os.close(setting)
    bring_loopback_up()


def prepare():
    """Makes the run fair. Call it once, before anything is started."""
    if os.cpu_count() < 2 or not {PROXY_CPU, LOAD_CPU} <= os.sched_getaffinity(0):
        raise Failure(f"this needs the CPUs {PROXY_CPU} and {LOAD_CPU}: one for the proxy, one for everything else")
    use_cubic()
    os.sched_setaffinity(0, {LOAD_CPU})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def idle_share(seconds):
    """How idle the machine is, looked at for so long."""
    before = machine_ticks()[0]
    time.sleep(seconds)
    ticks = machine_ticks()[0] - before
    return 1 - ticks / (seconds * os.sysconf("SC_CLK_TCK") * os.cpu_count())


class Pace:
    """How slow the proxy's CPU is now, as a multiple of the best seen in this run.

    A virtual machine's CPU loses a third of its speed for seconds at a time, when its host is busy, without one stolen
    tick. A fixed piece of work, mostly system calls as in a proxy, tells when.
    """

    def __init__(self):
        self.event = os.eventfd(0)
        self.best = min(self.work() for _ in range(20))

    def work(self):
        """Nanoseconds for one write and one read of an eventfd: the best of ten attempts, 15 ms in all."""
        os.sched_setaffinity(0, {PROXY_CPU})
        attempts = []
        for _ in range(10):
            begin = time.perf_counter_ns()
            for _ in range(2000):
                os.eventfd_write(self.event, 1)
                os.eventfd_read(self.event)
            attempts.append((time.perf_counter_ns() - begin) / 2000)
        os.sched_setaffinity(0, {LOAD_CPU})
        return min(attempts)

    def slowness(self):
        work = self.work()
        self.best = min(self.best, work)
        return work / self.best

    def wait_until_calm(self, patience):
        """Waits until others leave the machine alone and it is fast, but for `patience` seconds at most."""
        end = time.monotonic() + patience
        while (idle_share(0.25) < IDLE_LIMIT or self.slowness() > SLOWNESS_LIMIT) and time.monotonic() < end:
            time.sleep(0.5)


def first_line(command):
    """The first line that a command says, on whatever output."""
    if not shutil.which(command[0]):
        raise Failure(f"{command[0]} is missing: run perf/install")
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = (run.stdout + run.stderr).strip().splitlines()
    return lines[0] if lines else ""


def checksum(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def commit():
    """The commit of the checkout, and whether there are changes on top of it. None where there is no commit yet."""

    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changes = git("status", "--porcelain", "--", "Sources", "Package.swift", "perf", ":!perf/results")
    return {"id": git("rev-parse", "--verify", "-q", "HEAD") or None, "changed": bool(changes)}


def describe():
    return {
        "processor": processor(),
        "cpus": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME"),
        "congestion_control": CONGESTION.read_text().strip(),
        "proxy_cpu": PROXY_CPU,
        "load_cpu": LOAD_CPU,
    }
