#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/sim: the same seed gives the same run; its JSON and messages; every planted bug is caught
by the invariant that it is to show."""

import concurrent.futures
import json
import os
import re
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SIM = ROOT / "tools" / "sim"
LIMIT_S = 600

KEYS = {
    "runs", "violations", "virtual_hours", "device_hours_per_cpu_second", "rows_collected",
    "rows_stored", "rows_refused", "rows_dropped", "rows_unknown", "rows_waiting", "faults",
    "fault_share", "hash",
}
# Every invariant has a planted bug.
INVARIANTS = {
    "accounts", "stored", "once", "value", "time", "retry", "order", "requests", "backoff",
    "deadline", "recovery", "corrupt", "panic",
}


def sim(*words):
    return subprocess.run([SIM, *map(str, words)], capture_output=True, text=True, timeout=LIMIT_S,
                          check=False)


def as_json(*words):
    ended = sim("--json", *words)
    return json.loads(ended.stdout), ended


def plants():
    """{name: invariant}, as --plants lists them."""
    lines = sim("--plants").stdout.splitlines()
    return {line.split()[0]: line.split()[1] for line in lines}


def setUpModule():
    for option in ("--help", "--plants"):  # both programs are built once, before they run together
        ended = sim(option)
        if ended.returncode != 0:
            raise RuntimeError(ended.stderr)


class Runs(unittest.TestCase):
    def test_many_seeds_add_up(self):
        told, ended = as_json("--seeds", 8, "--hours", 6)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertLessEqual(KEYS, told.keys())
        self.assertEqual((told["runs"], told["violations"]), (8, 0))
        self.assertAlmostEqual(told["virtual_hours"], 48, places=2)
        self.assertGreater(told["fault_share"], 0.5)
        self.assertGreater(told["faults"], 8 * 10)
        self.assertGreater(told["rows_collected"], 8 * 6 * 3 * 300)
        self.assertEqual(told["rows_waiting"], 0)
        self.assertEqual(
            told["rows_collected"],
            sum(told[f"rows_{fate}"] for fate in ("stored", "refused", "dropped", "unknown")),
        )

    def test_the_same_seed_gives_the_same_run(self):
        first = sim("--seed", 5, "--hours", 4, "--trace")
        again = sim("--seed", 5, "--hours", 4, "--trace")
        strip = re.compile(r"[\d.]+ a CPU second")
        self.assertEqual(strip.sub("", first.stdout), strip.sub("", again.stdout))
        self.assertGreater(len(first.stdout.splitlines()), 100)
        hashes = {as_json("--seed", seed, "--hours", 2)[0]["hash"] for seed in (5, 5, 6)}
        self.assertEqual(len(hashes), 2)

    def test_the_trace_tells_faults_requests_and_events(self):
        told = sim("--seed", 2, "--hours", 4, "--trace").stdout
        for word in ("start", "fault", "over", "request", "event", "rest", "end"):
            self.assertRegex(told, rf"(?m)^ +\d+:\d\d:\d\d\.\d{{3}}  {word}\b")

    def test_each_net_call_fails(self):
        told, ended = as_json("--scenario", "fail-net")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertGreater(told["runs"], 60)
        self.assertEqual(told["rows_stored"], told["rows_collected"])

    def test_mistakes_are_told(self):
        for words, text in (
            (("--seed", "x"), "--seed x: not a number"),
            (("--hours", "0"), "--hours 0"),
            (("--scenario", "none"), "--scenario none"),
            (("--colour", "red"), "--colour red: there is no such option"),
            (("--trace", "--seeds", "2"), "--trace"),
            (("--plant", "none"), "--plant none"),
        ):
            with self.subTest(words=words):
                ended = sim(*words)
                self.assertEqual(ended.returncode, 2)
                self.assertIn(text, ended.stderr)


class Plants(unittest.TestCase):
    def test_every_invariant_has_one(self):
        self.assertEqual(set(plants().values()), INVARIANTS)

    def test_each_is_caught_by_its_invariant(self):
        listed = plants()
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            for (name, invariant), ended in zip(
                listed.items(), pool.map(lambda name: sim("--plant", name), listed)
            ):
                with self.subTest(plant=name):
                    self.assertEqual(ended.returncode, 1)
                    self.assertRegex(ended.stderr, rf"(?m)^seed \d+, after [\d:]+: {invariant}: ")
                    self.assertRegex(ended.stderr,
                                     rf"tools/sim --plant {name} --seed \d+ --trace")

    def test_without_one_nothing_is_found(self):
        """The wrapped program behaves as the plain one."""
        plain, _ = as_json("--seed", 3, "--hours", 2)
        program = ROOT / "build" / "sim-release" / "kwmote_plants"
        wrapped = subprocess.run([program, "--json", "--seed", "3", "--hours", "2"],
                                 capture_output=True, text=True, timeout=LIMIT_S, check=True)
        self.assertEqual(json.loads(wrapped.stdout)["hash"], plain["hash"])


if __name__ == "__main__":
    unittest.main()
