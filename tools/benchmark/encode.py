# SPDX-License-Identifier: MIT
"""The line encoder beside snprintf and memcpy of the same bytes: build/linux/bench_encode."""

import re
import subprocess

from benchmark.process import Failed, callgrind, instructions_of, need_built

MODES = {"kwm": "", "snprintf": "snprintf_", "memcpy": "memcpy_"}
LINES = 20 * 1024  # of 1024 different ones, in turn
TIMED_RUNS = 5


def times_of(text):
    """{mode: ns} of what bench_encode prints. Raises Failed."""
    printed = dict(re.findall(r"^encode\.(\S+) ([\d.]+)$", text, re.MULTILINE))
    names = {"kwm": "ns_per_line", "snprintf": "ns_per_line_snprintf",
             "memcpy": "ns_per_line_memcpy"}
    try:
        return {mode: float(printed[name]) for mode, name in names.items()}
    except KeyError as missing:
        raise Failed(f"bench_encode does not print encode.{missing.args[0]}") from None


def time_figures(runs):
    """The figures of several runs' times: of each mode the shortest, which was disturbed least."""
    times = {mode: min(run[mode] for run in runs) for mode in MODES}
    figures = {f"encode.{MODES[mode]}ns_per_line": ns for mode, ns in times.items()}
    figures["encode.times_faster_than_snprintf"] = times["snprintf"] / times["kwm"]
    return figures


def _run(command):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def measure_times(program):
    need_built(program)
    return time_figures([times_of(_run([program])) for _ in range(TIMED_RUNS)])


def measure_instructions(program, folder):
    """Per line and mode: the difference of N and 2 N lines, so that the start is taken out."""
    need_built(program)
    figures = {}
    for mode, prefix in MODES.items():
        counts = []
        for lines in (LINES, 2 * LINES):
            out = folder / f"callgrind.{mode}.{lines}"
            _run([*callgrind(out), program, "--mode", mode, "--lines", lines])
            counts.append(instructions_of(out))
        figures[f"encode.{prefix}instructions_per_line"] = (counts[1] - counts[0]) / LINES
    return figures
