#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/bench: what it reads, counts and works out. Nothing here depends on a machine's speed."""

import argparse
import json
import math
import os
import socket
import sqlite3
import struct
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from benchmark import agent, cli, encode, figures, process, servers  # noqa: E402
from benchmark.process import Failed  # noqa: E402
from benchmark.relay import Relay  # noqa: E402

CALLGRIND = """\
version: 1
creator: callgrind-3.19.0
pid: 7
part: 1
positions: line
events: Ir

fl=(1) a.c
fn=(1) main
12 totals: 5
totals: 1200
"""
BENCH_ENCODE = """\
encode.bytes_per_line 98.0
encode.ns_per_line 20.50
encode.ns_per_line_snprintf 615.00
encode.ns_per_line_memcpy 4.10
encode.times_faster_than_snprintf 30.0
"""
ROLLUP = """\
55d0-7ffe ---p 00000000 00:00 0    [rollup]
Rss:                1900 kB
Pss:                 700 kB
Pss_Dirty:           600 kB
VmHWM:\t    2000 kB
VmRSS:\t    1900 kB
"""


def wait_for(condition):
    """Whether it comes true within some seconds."""
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


class Callgrind(unittest.TestCase):
    def test_the_total_of_all_parts_counts(self):
        cases = [
            ("one part", CALLGRIND, 1200),
            ("two parts", CALLGRIND + CALLGRIND, 2400),
        ]
        for name, text, total in cases:
            with self.subTest(name):
                self.assertEqual(process.total_of(text), total)

    def test_a_file_without_a_count_fails(self):
        cases = [
            ("empty", ""),
            ("no total", CALLGRIND.replace("\ntotals:", "\n#")),
            ("more events", CALLGRIND.replace("events: Ir", "events: Ir Dr")),
        ]
        for name, text in cases:
            with self.subTest(name), self.assertRaises(Failed):
                process.total_of(text)
        with self.assertRaises(Failed):
            process.instructions_of("/nonexistent/callgrind.out")

    def test_per_field_is_of_the_difference(self):
        self.assertEqual(agent.per_field((9000, 10), (19000, 30)), 500)
        for longer in ((19000, 10), (19000, 9)):
            with self.assertRaises(Failed):
                agent.per_field((9000, 10), longer)


class Process(unittest.TestCase):
    def test_memory_is_in_bytes(self):
        self.assertEqual(process.memory_of(ROLLUP),
                         {"rss": 1900 * 1024, "pss": 700 * 1024, "peak": 2000 * 1024})

    def test_a_child_is_read_and_ended(self):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            code = ("import signal, sys\n"
                    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
                    "print('up', flush=True)\nsignal.pause()")
            child = process.Child([sys.executable, "-c", code], log)
            self.assertTrue(wait_for(lambda: log.read_text() == "up\n"))
            self.assertGreater(child.cpu_ms(), 0)
            self.assertGreaterEqual(child.memory()["rss"], child.memory()["pss"])
            child.stop()
            with self.assertRaisesRegex(Failed, "ended with 0: up"):
                child.cpu_ms()

    def test_the_clock_of_a_process_agrees_with_its_own(self):
        clock = (~os.getpid() << 3) | process._CPUCLOCK_PROCESS
        before = time.clock_gettime_ns(time.CLOCK_PROCESS_CPUTIME_ID)
        read = time.clock_gettime_ns(clock)
        after = time.clock_gettime_ns(time.CLOCK_PROCESS_CPUTIME_ID)
        self.assertTrue(before <= read <= after, (before, read, after))

    def test_a_child_that_fails_says_its_last_words(self):
        with tempfile.TemporaryDirectory() as folder:
            child = process.Child([sys.executable, "-c", "raise SystemExit('no such thing')"],
                                  Path(folder) / "log")
            self.assertTrue(wait_for(lambda: child._process.poll() is not None))
            with self.assertRaisesRegex(Failed, "ended with 1: no such thing"):
                child.need_alive()


class Encode(unittest.TestCase):
    def test_what_bench_encode_prints(self):
        self.assertEqual(encode.times_of(BENCH_ENCODE),
                         {"kwm": 20.5, "snprintf": 615.0, "memcpy": 4.1})

    def test_of_several_runs_the_shortest_times_count(self):
        runs = [{"kwm": 20.5, "snprintf": 700.0, "memcpy": 9.0},
                {"kwm": 33.0, "snprintf": 615.0, "memcpy": 4.1}]
        self.assertEqual(encode.time_figures(runs), {
            "encode.ns_per_line": 20.5,
            "encode.snprintf_ns_per_line": 615.0,
            "encode.memcpy_ns_per_line": 4.1,
            "encode.times_faster_than_snprintf": 30.0,
        })

    def test_a_missing_line_is_named(self):
        text = BENCH_ENCODE.replace("encode.ns_per_line_memcpy", "encode.else")
        with self.assertRaisesRegex(Failed, "ns_per_line_memcpy"):
            encode.times_of(text)


class StoredFields(unittest.TestCase):
    COLUMNS = [
        ["k_timestamp", "TIMESTAMPTZ", 3, 1, "data"], ["usage", "FLOAT8", 0, 0, "data"],
        ["in", "INT8", 0, 0, "data"], ["host", "VARCHAR", 64, 1, "primary tag"],
        ["site", "VARCHAR", 64, 0, "tag"],
    ]

    def test_values_that_are_not_null_count_without_time_and_tags(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.sqlite"
            link = sqlite3.connect(path)
            link.execute("create table _kwdb_tables (name text, columns text)")
            link.execute("insert into _kwdb_tables values ('cpu', ?)", (json.dumps(self.COLUMNS),))
            link.execute('create table cpu (k_timestamp, usage, "in", host, site)')
            link.executemany("insert into cpu values (?, ?, ?, ?, ?)", [
                (1, 0.0, 5, "a", "x"), (2, None, 6, "a", "x"), (3, None, None, "b", None),
            ])
            link.commit()
            link.close()
            self.assertEqual(servers.stored_fields(path), 3)


class Collectd(unittest.TestCase):
    def test_values_of_putval_lines(self):
        line = "PUTVAL bench/interface-eth0/if_octets interval=1.000 1764.123:{}\r\n"
        cases = [
            ("one", line.format("5"), 1, ""),
            ("two in a line, two lines", line.format("5:6.5") * 2, 4, ""),
            ("unknown ones do not count", line.format("U:6:nan"), 1, ""),
            ("nothing", "", 0, ""),
            ("something else", line.format("1") + "GETVAL x\r\n", 1, "GETVAL x\r\n"),
            ("no value", "PUTVAL a/b/c interval=1.000 1764.123\r\n", 0,
             "PUTVAL a/b/c interval=1.000 1764.123"),
        ]
        for name, text, count, strange in cases:
            with self.subTest(name):
                self.assertEqual(servers.putval_fields(text), (count, strange.strip()))

    @staticmethod
    def values(*pairs):
        kinds = bytes(kind for kind, _ in pairs)
        raw = b"".join(struct.pack("<d" if kind == 1 else ">q", value) for kind, value in pairs)
        return struct.pack(">HHH", 6, 6 + 9 * len(pairs), len(pairs)) + kinds + raw

    def test_values_of_packets(self):
        host = struct.pack(">HH", 0, 10) + b"bench\0"
        cases = [
            ("empty", b"", 0),
            ("no values", host, 0),
            ("a gauge", host + self.values((1, 0.5)), 1),
            ("two counters, then a gauge", self.values((2, 7), (2, 8)) + host
             + self.values((1, 1.0)), 3),
            ("a gauge that is none", self.values((1, math.nan), (1, 2.0)), 1),
            ("a counter with a gauge's bits of none", self.values((2, 0xF87F)), 1),
        ]
        for name, data, count in cases:
            with self.subTest(name):
                self.assertEqual(servers.packet_fields(data), count)

    def test_a_broken_packet_is_refused(self):
        cases = [
            ("cut head", b"\0\6\0", struct.error),
            ("length below its head", struct.pack(">HH", 0, 3), ValueError),
            ("longer than the packet", struct.pack(">HH", 0, 9) + b"a", ValueError),
            ("more values than there are", struct.pack(">HHH", 6, 7, 9) + b"\1", IndexError),
        ]
        for name, data, error in cases:
            with self.subTest(name), self.assertRaises((error, struct.error)):
                servers.packet_fields(data)


class CountingRelay(unittest.TestCase):
    def test_bytes_of_both_ways_and_the_end(self):
        listener = socket.create_server(("127.0.0.1", 0))

        def answer():
            link, _ = listener.accept()
            with link:
                got = b""
                while chunk := link.recv(1000):
                    got += chunk
                link.sendall(got[:3])

        threading.Thread(target=answer, daemon=True).start()
        relay = Relay(listener.getsockname()[1])
        with socket.create_connection(("127.0.0.1", relay.port), timeout=5) as client:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(10), b"hel")
            self.assertEqual(client.recv(10), b"")
        self.assertEqual(relay.bytes(), (5, 3))
        self.assertEqual(relay.connections, 1)
        relay.close()
        listener.close()
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", relay.port), timeout=5)


class Figures(unittest.TestCase):
    def test_a_window(self):
        before = {"cpu_ms": 10.0, "fields": 100, "wire": 1000}
        after = {"cpu_ms": 16.0, "fields": 600, "wire": 21000}
        got = agent.steady_figures(before, after, {"rss": 3, "pss": 2, "peak": 4})
        self.assertEqual(got, {
            "cpu_ms_per_1000_fields": 12.0, "wire_bytes_per_field": 40.0, "rss_bytes": 3,
            "pss_bytes": 2, "peak": 4, "fields": 500,
        })
        with self.assertRaises(Failed):
            agent.steady_figures(before, before, {"rss": 3, "pss": 2, "peak": 4})

    def test_the_first_connection_is_no_reconnect(self):
        self.assertEqual(figures.resumed_share(1, 40), 1.0)
        self.assertEqual(figures.resumed_share(3, 38), 0.95)
        self.assertEqual(figures.resumed_share(41, 0), 0.0)
        self.assertIsNone(figures.resumed_share(1, 0))

    def test_aims_have_two_senses_and_hold_at_the_figure_itself(self):
        cases = [
            ("encode.instructions_per_line", 400, True),
            ("encode.instructions_per_line", 400.5, False),
            ("encode.times_faster_than_snprintf", 15.0, True),
            ("encode.times_faster_than_snprintf", 14.9, False),
            ("tls.resumed_share", 0.95, True),
            ("tls.resumed_share", 0.94, False),
        ]
        for key, value, met in cases:
            with self.subTest(key=key, value=value):
                self.assertIs(figures.is_met(key, value), met)
                self.assertIn("met" if met else "MISSED", figures.aim_text(key, value))
        self.assertIn("not measured", figures.aim_text("agent.rss_bytes", None))
        self.assertEqual(figures.aim_text("agent.pss_bytes", 5), "")

    def test_numbers(self):
        cases = [(None, "-"), (0, "0"), (1234567, "1,234,567"), (1234.6, "1,235"),
                 (3.14159, "3.14"), (769.04, "769.0"), (0.95, "0.95")]
        for value, text in cases:
            with self.subTest(value=value):
                self.assertEqual(figures.number(value), text)

    def test_the_summary_names_what_is_missed(self):
        text = figures.summary({"agent.rss_bytes": 2_500_001, "agent.binary_bytes": 300_000})
        self.assertEqual(text, "1 of 2 aims met; missed: agent.rss_bytes")
        self.assertIn("nothing", figures.summary({"agent.rss_bytes": None}))

    def test_the_keys_of_each_part(self):
        siblings = {"": True, ".collectd_write_http": True, ".collectd_network": False}
        got = figures.json_object({"agent.rss_bytes": 5, "agent.wire_bytes_per_field": 1.23456},
                                  cli.PARTS, siblings)
        self.assertEqual(got["agent.rss_bytes"], 5)
        self.assertEqual(got["agent.wire_bytes_per_field"], 1.235)
        self.assertIsNone(got["encode.instructions_per_line"])
        self.assertIn("tls.resumed_handshakes.collectd_write_http", got)
        self.assertNotIn("tls.resumed_handshakes.collectd_network", got)
        self.assertEqual(len(got), 7 + 3 * 6 + 2 * 2)
        self.assertEqual(list(figures.json_object({}, ("tls",), {"": True})),
                         ["tls.full_handshakes", "tls.resumed_handshakes"])

    def test_the_table_stands_in_columns(self):
        values = {"agent.rss_bytes": 1_900_000, "agent.rss_bytes.x": 20_000_000}
        lines = figures.agent_table(values, {"": "kwmote", ".x": "peer"}, ("agent", "peers"))
        rss = next(line for line in lines if line.startswith("RSS"))
        self.assertRegex(rss, r"^RSS, bytes +1,900,000 +20,000,000  <= 2,500,000: met$")
        self.assertFalse([line for line in lines if "handshakes" in line])
        self.assertEqual(lines[0].index("peer") + 4, rss.index("20,000,000") + 10)


class Cli(unittest.TestCase):
    def test_a_failure_is_told_and_the_key_is_null(self):
        options = argparse.Namespace(only="peers", seconds=5, build=Path("/nonexistent"))
        bench = cli.Bench(options, Path("/nonexistent"))
        self.assertFalse(bench._take("collectd", Failed("it did not start")))
        self.assertIn("not measured: collectd: it did not start", bench.report())
        with self.assertRaises(ZeroDivisionError):
            bench._take("collectd", ZeroDivisionError())

    def test_a_build_that_is_not_there_says_what_to_do(self):
        with self.assertRaisesRegex(Failed, "cmake --preset linux"):
            agent.Kwmote(Path("/nonexistent"))


if __name__ == "__main__":
    unittest.main()
