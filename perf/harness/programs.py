"""Programs that a comparison needs: where those of others lie, how those of perf/ are compiled, a certificate."""

import glob
import os
import shutil
import socket
import subprocess

from .process import BUILD, ROOT, Failure, relative

PACKAGES = BUILD / "venv" / "lib" / "python3*" / "site-packages"
SERVICE, LOAD, FLOOR = BUILD / "service", BUILD / "load", BUILD / "floor"
LINE = BUILD / "line"
ALLOCATIONS, CLOCK, STEP = BUILD / "allocations.so", BUILD / "clock.so", BUILD / "step"

# What a program of perf/ is made of: the files, as patterns below perf, and the libraries.
OWN = {
    SERVICE: (["service/*.c"], []),
    LOAD: (["load/*.c", "ring/*.c"], ["-luring", "-lssl", "-lcrypto", "-lpthread"]),
    FLOOR: (["floor/*.c", "ring/*.c", "service/buffer.c"], ["-luring"]),
    LINE: (["line/*.c"], ["-lpthread"]),
    STEP: (["step/*.c"], []),
    ALLOCATIONS: (["allocations/*.c"], ["-shared", "-fPIC"]),
    CLOCK: (["clock/*.c"], ["-shared", "-fPIC", "-ldl"]),
}


def compile_c(target, patterns, flags):
    """Compiles files of perf/, which takes a second."""
    BUILD.mkdir(parents=True, exist_ok=True)
    sources = [str(path) for pattern in patterns for path in sorted((ROOT / "perf").glob(pattern))]
    always = ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    if subprocess.run(["cc", *always, "-o", str(target), *sources, *flags], check=False).returncode != 0:
        raise Failure(f"{relative(target)} does not compile: run perf/install")


def build(*programs):
    for program in programs:
        compile_c(program, *OWN[program])


def find(name, pattern, hint):
    """A program's path: the newest that matches below .build, else the one that the system has."""
    found = sorted(glob.glob(str(pattern)))
    if found:
        return found[-1]
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        raise Failure(f"{name} is missing: {hint}")
    return path


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Certificate:
    """One for localhost, ECDSA with P-256, that signs itself; made anew in every run."""

    def __init__(self):
        BUILD.mkdir(parents=True, exist_ok=True)
        self.chain, self.key, self.both = (BUILD / name for name in ("chain.pem", "key.pem", "both.pem"))
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        command += ["-keyout", str(self.key), "-out", str(self.chain)]
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            raise Failure("openssl makes no certificate")
        self.both.write_text(self.chain.read_text() + self.key.read_text())
