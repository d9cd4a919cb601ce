"""`perf/compare scale`: ours beside ours, with more reactors, sessions and routes."""

from . import load, peers, programs, registrar, rounds
from .options import add_connections, add_parts, positive
from .peers import BUILD_FIRST, OURS, Job, Socketmaster
from .process import LOAD_CPU, PROXY_CPU
from .programs import find

PARTS = ["reactors", "sessions", "routes", "alternate"]
BOTH = (PROXY_CPU, LOAD_CPU)
ROUTES_PATH = "/route"


def add_options(parser):
    add_connections(parser, "--connections", [256])
    add_parts(parser, PARTS)
    parser.add_argument("--routes", type=positive, default=10000, help="of which all but one are held (10000)")


class Variant(Socketmaster):
    """Ours, set up in one of several ways."""

    def __init__(self, options, name, reactors=1, sessions=1, cpus=(PROXY_CPU,), paths=("/",), alternates=False,
                 routes=1, flags=()):
        super().__init__(name, options.program.get("socketmaster") or find("socketmaster", OURS, BUILD_FIRST))
        self.proxy_cpus, self.routes = cpus, routes
        self.proxy_flags = ["--reactors", str(reactors), *flags] + (["--hold", "1h"] if routes > 1 else [])
        at_paths = [word for path in paths for word in ("--path", path)]
        self.registration_flags = [*at_paths, "--sessions", str(sessions)]
        self.path = paths[0]
        self.load_flags = [*at_paths, *(["--alternate"] if alternates else [])]

    def start(self, job):
        super().start(job)
        others = [f"{ROUTES_PATH}/{number}" for number in range(self.routes) if f"{ROUTES_PATH}/{number}" != self.path]
        if self.routes > 1:
            registrar.leave_routes(self.control, self.port, others)


def generate(peer, connections, seconds):
    return load.own("http", *peer.load_flags)(peer, connections, seconds)


generate.description = "perf/load http"


def plural(count, thing):
    return f"{count} {thing}{'' if count == 1 else 's'}"


def variants(part, options):
    """What a part puts side by side. What takes two reactors has both CPUs, the load on one of them, in all of it."""
    if part == "reactors":
        return [Variant(options, plural(count, "reactor"), count, count, BOTH) for count in (1, 2)]
    if part == "sessions":
        return [Variant(options, plural(count, "session"), sessions=count) for count in (1, 8, 64)]
    if part == "routes":
        path = f"{ROUTES_PATH}/{options.routes // 2}"
        return [Variant(options, plural(count, "route"), paths=[path], routes=count) for count in (1, options.routes)]
    # The services of two paths: each is on a reactor of its own.
    return [Variant(options, name, 2, 1, BOTH, ("/a", "/b"), alternates)
            for name, alternates in (("steady", False), ("alternating", True))]


def add_reactor_shares(results):
    """The share that the busiest reactor has of what all reactors spend."""
    for sample in results["samples"]:
        reactors = [used for name, used in sample["proxy_threads"].items() if name.startswith("reactor")]
        sample["reactor_share"] = max(reactors) / sum(reactors) if sum(reactors) else 1.0


def compare(options):
    programs.build(programs.SERVICE, programs.LOAD)
    for part in options.parts:
        results = rounds.run(f"scale-{part}", "scale", options, Job(), options.connections, generate,
                             variants(part, options))
        add_reactor_shares(results)
        yield results
