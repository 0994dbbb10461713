#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/fleet: a hundred devices come back after ten minutes. All is delivered, the server is not
asked for more than twice as much as at ease, and the same seed gives the same run."""

import json
import subprocess
import tempfile
import unittest
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent.parent
FLEET = ROOT / "tools" / "fleet"
SMALL = ("--devices", "100", "--outage", "600", "--after", "1800")
LOST = ("refused_line", "refused_schema", "refused_unknown", "dropped_room", "dropped_no_room",
        "dropped_too_long", "dropped_no_time", "dropped_corrupt", "unknown")


def fleet(*words):
    return subprocess.run([FLEET, *words], capture_output=True, text=True, timeout=600, check=False)


def run(*words):
    """{variant: run}"""
    ended = fleet(*words, "--json")
    if ended.returncode != 0:
        raise AssertionError(ended.stderr)
    return json.loads(ended.stdout)


def only(runs):
    (data,) = runs.values()
    return data


class Recovery(unittest.TestCase):
    def check_rows(self, data):
        self.assertEqual(sum(data[key] for key in LOST), 0)
        self.assertEqual(data["collected"], data["stored"] + data["waiting"])
        self.assertGreaterEqual(data["server_rows"], data["stored"])
        self.assertLessEqual(data["server_rows"], data["stored"] + data["waiting"])
        # Four rows every 10 s on each device, and a little less for those that began later.
        seconds = len(data["series"]) * data["sample_s"]
        self.assertGreater(data["collected"], data["devices"] * 0.4 * (seconds - 960))
        # At ease again: less than what comes in two intervals waits.
        self.assertLess(data["waiting"], data["devices"] * 48)

    def test_password(self):
        data = only(run("--scenario", "a", *SMALL))
        self.check_rows(data)
        self.assertAlmostEqual(data["steady_per_s"], 100 / 60, delta=0.05)
        self.assertLessEqual(data["peak_60s"], 2 * data["steady_per_s"])
        self.assertLessEqual(data["peak_10s"], 2 * data["steady_per_s"])
        self.assertIsNotNone(data["recovered_s"])
        self.assertLessEqual(data["recovered_s"], 900)
        self.assertLessEqual(data["queue_peak"], 10)
        self.assertEqual(data["abandoned"], 0)

    def test_backlog_of_an_hour(self):
        """Eight requests of catch-up each. In 10 s of so few devices there is too much chance."""
        data = only(run("--scenario", "a", "--devices", "100"))
        self.check_rows(data)
        self.assertEqual(data["lines_max"], 200)
        self.assertLessEqual(data["peak_60s"], 2 * data["steady_per_s"])
        self.assertIsNotNone(data["recovered_s"])
        self.assertLessEqual(data["recovered_s"], 900)

    def test_token_after_restart(self):
        data = only(run("--scenario", "c", *SMALL))
        self.check_rows(data)
        self.assertIsNotNone(data["recovered_s"])
        self.assertLessEqual(data["peak_60s"], 2 * data["steady_per_s"])
        logins = [sample[1] for sample in data["series"]]
        after = data["outage_end_s"] // data["sample_s"]
        self.assertEqual(sum(logins[after:]), 100)
        self.assertLessEqual(max(logins[after:]), 10)

    def test_overload_is_seen(self):
        """The model does queue: without phases all come at the same moment."""
        data = only(run("--scenario", "a", *SMALL, "--no-phase", "--no-jitter"))
        self.assertGreater(data["queue_steady"], 90)
        self.assertGreater(data["peak_1s"], 90)

    def test_same_seed_same_run(self):
        first, second, other = (
            run("--scenario", "a", *SMALL, "--seed", seed) for seed in ("7", "7", "8"))
        self.assertEqual(first, second)
        self.assertNotEqual(first, other)


class Command(unittest.TestCase):
    def test_plot(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fleet.svg"
            ended = fleet("--scenario", "a", "--devices", "20", "--outage", "600", "--svg", path)
            self.assertEqual(ended.returncode, 0, ended.stderr)
            lines = ElementTree.parse(path).getroot().iter("{http://www.w3.org/2000/svg}polyline")
            self.assertEqual(len(list(lines)), 16)  # four panels of four lines

    def test_mistakes(self):
        for words in (("--scenario", "d"), ("--scenario", "a", "--devices", "0"),
                      ("--scenario", "a", "--cores", "65"), ()):
            ended = fleet(*words)
            self.assertEqual(ended.returncode, 2)
            self.assertIn("error:", ended.stderr)


if __name__ == "__main__":
    unittest.main()
