"""What the harness computes, checked without a proxy: `python3 -m unittest harness.tests` in perf."""

import struct
import unittest

from . import flame, latency, load, loads, registrar, report, rounds, stacks, steps


def sample(peer, cpu, calm=True, connections=16):
    return {"round": 0, "connections": connections, "peer": peer, "calm": calm, "proxy_cpu_us": cpu,
            "requests_per_second": 1e6 / cpu}


def results(samples, table="requests"):
    return {"table": table, "peers": dict.fromkeys(sample["peer"] for sample in samples), "samples": samples}


class Report(unittest.TestCase):
    def test_medians_are_of_the_calm_samples(self):
        row = report.medians(results([sample("nginx", 10), sample("nginx", 12), sample("nginx", 90, calm=False)]))[0]
        self.assertEqual((row["proxy_cpu_us"], row["lowest"], row["highest"], row["calm"]), (11, 10, 12, 2))

    def test_medians_are_of_all_samples_where_few_are_calm(self):
        row = report.medians(results([sample("nginx", 10), *(sample("nginx", 20, calm=False) for _ in range(2))]))[0]
        self.assertEqual((row["proxy_cpu_us"], row["calm"], row["samples"]), (20, 1, 3))

    def test_the_best_other_is_neither_ours_nor_a_floor(self):
        rows = report.medians(results([sample("socketmaster", 5), sample("haproxy", 20), sample("nginx", 10),
                                       sample("relay", 4)]))
        self.assertEqual([row["of_best"] for row in rows], [0.5, 2, 1, 0.4])

    def test_ratios_are_within_a_number_of_connections(self):
        rows = report.medians(results([sample("haproxy", 20), sample("haproxy", 40, connections=64),
                                       sample("socketmaster", 10, connections=64)]))
        self.assertEqual([(row["connections"], row["of_best"]) for row in rows], [(16, 1), (64, 1), (64, 0.25)])

    def test_columns_without_a_value_are_left_out(self):
        lines = report.table(results([sample("socketmaster", 5)])).splitlines()
        self.assertNotIn("of the best other", lines[0])
        self.assertEqual(len({line.count("|") for line in lines}), 1)

    def test_kept_results_can_be_read(self):
        for path in report.RESULTS.glob("*.json"):
            results = report.read(path)
            for name in results["peers"]:
                self.assertIn(f"| {name} |", report.table(results), path.name)

    def test_every_unit_can_be_plotted(self):
        for name, (_, unit, _) in report.TABLES.items():
            self.assertIn(unit, report.LABELS, name)


class Figures(unittest.TestCase):
    def test_cpu_is_divided_by_requests_and_by_bytes(self):
        figures = {"seconds": 2.0, "requests": 1000, "bytes": 1 << 30, "proxy_cpu_seconds": 0.5,
                   "service_cpu_seconds": 0.1, "load_cpu_seconds": 0.2}
        rounds.add_figures(figures)
        self.assertEqual(figures["proxy_cpu_us"], 500)
        self.assertEqual(figures["proxy_cpu_seconds_per_gib"], 0.5)
        self.assertEqual(figures["proxy_busy"], 0.25)

    def test_the_slowest_rate_is_that_of_a_proxy(self):
        full = results([sample("nginx", 10), sample("envoy", 50), sample("relay", 100)])
        self.assertEqual(latency.slowest_rate(full), 1e6 / 50)


class Registration(unittest.TestCase):
    def test_a_registration_is_what_the_original_sends(self):
        wire = registrar.request(8000, "/a")
        address = struct.pack(">q", 9) + b"127.0.0.1"
        self.assertEqual(wire, address + struct.pack(">qB", 8000, 1) + bytes(8) + struct.pack(">q", 2) + b"/a")


class Profiles(unittest.TestCase):
    STACKS = [[("main", False), ("work", False), ("tcp_sendmsg", True)], [("main", False), ("idle<T>", False)]]

    def test_hottest_functions_are_those_the_samples_were_in(self):
        self.assertEqual(stacks.hottest(self.STACKS, True, 5), [("tcp_sendmsg", 0.5)])
        self.assertEqual(stacks.hottest(self.STACKS, False, 5), [("idle<T>", 0.5)])
        self.assertEqual(stacks.kernel_share(self.STACKS), 0.5)

    def test_a_flame_graph_is_the_same_for_the_same_stacks(self):
        picture = flame.svg(self.STACKS, "a & b")
        self.assertEqual(picture, flame.svg(self.STACKS, "a & b"))
        self.assertIn("idle&lt;T&gt;: 50.0%", picture)

    def test_names_lose_their_signatures(self):
        self.assertEqual(stacks.shorten("specialized Worker.take(_:) in _" + "0" * 32), "Worker.take")

    def test_an_address_belongs_to_what_begins_before_it(self):
        ranges = steps.Ranges([(100, "b"), (10, "a")])
        self.assertEqual([ranges.find(address) for address in (10, 99, 100, 5000)], ["a", "a", "b", "b"])


class Loads(unittest.TestCase):
    def test_every_named_load_says_what_it_is(self):
        for job, connections, generate in loads.named(None).values():
            self.assertTrue(generate.description.startswith("perf/load"))
            self.assertGreater(connections, 0)
            self.assertIn(job.raw, (None, "echo", "sink", "source"))

    def test_a_failing_load_generator_ends_the_run(self):
        with self.assertRaisesRegex(load.Failure, "sh failed: no"):
            load.figures("sh", ["sh", "-c", "echo no >&2; exit 1"])


if __name__ == "__main__":
    unittest.main()
