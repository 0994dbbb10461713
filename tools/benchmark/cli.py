# SPDX-License-Identifier: MIT
"""Options of tools/bench, and the parts of a run."""

import argparse
import json
import os
import platform
import re
import signal
import sys
import tempfile
from pathlib import Path

from benchmark import agent, encode, figures, servers
from benchmark.process import Failed, stop_all
from benchmark.progress import Progress

PARTS = ("encode", "agent", "tls", "peers")
PEERS = ("write_http", "network")
SECONDS_DEFAULT, SECONDS_MIN = 40, 5
BUSY_LOAD = 1.0

DESCRIPTION = """\
What kwmote costs, beside its peers and its aims. All of it stays on loopback.

parts (--only):
  encode  one line of the workload `env` (two tags, three fixed-point floats, one integer), beside
          snprintf and memcpy of the same bytes
  agent   kwmote with cpu, mem, disk, net, system each second, delivering each second over TLS to
          the stand-in for KWDB
  tls     kwmote while the server closes each connection after one reply, over 40 reconnects
  peers   collectd with the same inputs, with write_http over TLS and with network (UDP, in clear),
          where tools/setup has unpacked it or it is installed

Instructions are user space's, counted by callgrind, as the difference of a short and a long run,
so that the start is no part of it. A field is a value that the server stored (kwmote) or took
(collectd). Memory is read at the end of the window. Bytes on the wire are TCP's or UDP's payload,
both ways, TLS included. The binary is kwmote.stripped with its TLS; of collectd the daemon and the
plugins that are loaded, without the libraries that they need.

keys (--json), each of agent.* and tls.* again for each peer, with the peer's name behind it, as in
agent.rss_bytes.collectd_write_http and agent.rss_bytes.collectd_network; null is not measured, and
a peer that is absent has no keys:
"""


def _keys_text():
    names = [f"encode.{name}" for name in figures.ENCODE_KEYS]
    names += [f"agent.{name}" for name in figures.AGENT_KEYS]
    names += [f"tls.{name}" for name in figures.TLS_KEYS]
    return "\n".join(f"  {name}" for name in names)


def _options(words):
    parser = argparse.ArgumentParser(
        prog="tools/bench", description=DESCRIPTION + _keys_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true",
                        help="print the keys as JSON; the table goes to stderr")
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--seconds", type=int, default=SECONDS_DEFAULT, metavar="N",
                        help="length of a window; default %(default)s")
    parser.add_argument("--build", type=Path, default=agent.ROOT / "build" / "linux",
                        metavar="DIR", help="where kwmote is built; default build/linux")
    options = parser.parse_args(words)
    if options.seconds < SECONDS_MIN:
        parser.error(f"--seconds must be {SECONDS_MIN} at least")
    return options


class Bench:
    """One run: what is measured, what came of it, and what could not be."""

    def __init__(self, options, folder):
        self._options, self._folder = options, folder
        self.parts = (options.only,) if options.only else PARTS
        self.figures, self.notes, self.failures = {}, [], []
        self.subjects = []
        load = os.getloadavg()[0]
        if load > BUSY_LOAD:
            self.notes.append(f"the machine was busy at the start (load {load:.1f}): "
                              "times, unlike counts, are not to be trusted")
        if options.only != "encode" and options.only != "peers":
            self.subjects.append(agent.Kwmote(options.build))
        if "peers" in self.parts:
            self._find_peers()

    def _find_peers(self):
        for output in PEERS:
            try:
                self.subjects.append(agent.Collectd(output))
            except Failed as absence:
                self.notes.append(f"collectd {output}: {absence}")

    def _is_measured(self, subject):
        return ("peers" if subject.sibling else "agent") in self.parts

    def _is_reconnected(self, subject):
        return subject.has_tls and ("peers" if subject.sibling else "tls") in self.parts

    def run(self):
        measured = [subject for subject in self.subjects if self._is_measured(subject)]
        steps = 2 * ("encode" in self.parts) + bool(self.subjects) + len(measured)
        progress = Progress(steps)
        if "encode" in self.parts:
            self._encode(progress)
        if self.subjects:
            certs = self._folder / "certs"
            servers.make_certificates(certs)
            self._count(progress, certs, measured)
            for subject in measured:
                self._steady(progress, certs, subject)

    def _take(self, what, result):
        """Note a failure. Returns whether it was none."""
        if not isinstance(result, BaseException):
            return True
        if not isinstance(result, (Failed, OSError)):
            raise result
        self.failures.append(f"{what}: {result}")
        return False

    def _encode(self, progress):
        program = self._options.build / "bench_encode"
        for label, seconds, job in (
            ("encoder: time", 6, lambda: encode.measure_times(program)),
            ("encoder: instructions", 15,
             lambda: encode.measure_instructions(program, self._folder)),
        ):
            (result,) = progress.run(label, seconds, [job])
            if self._take(label, result):
                self.figures.update(result)

    def _count(self, progress, certs, measured):
        """All that counts and does not time, side by side: instructions and handshakes."""
        plan, jobs, seconds = [], [], 0
        for subject in self.subjects:
            if subject in measured:
                try:
                    jobs += agent.instruction_jobs(subject, self._folder, certs,
                                                   self._options.seconds)
                    plan += [(subject, "short"), (subject, "long")]
                    seconds = max(seconds, agent.SHORT_SECONDS + self._options.seconds + 15)
                except Failed as failure:
                    self.failures.append(f"{subject.title}: {failure}")
            if self._is_reconnected(subject):
                jobs.append(lambda subject=subject: agent.handshakes(subject, self._folder, certs))
                plan.append((subject, "handshakes"))
                seconds = max(seconds, agent.RECONNECTS + 5)
        results = progress.run("agents: instructions and handshakes", seconds, jobs) if jobs else []
        self._sort_counts(dict(zip(plan, results)))

    def _sort_counts(self, results):
        for (subject, what), result in results.items():
            if not self._take(f"{subject.title}, {what}", result):
                continue
            name = subject.sibling
            if what == "handshakes":
                full, resumed = result
                self.figures[f"tls.full_handshakes{name}"] = full
                self.figures[f"tls.resumed_handshakes{name}"] = resumed
                self.figures[f"tls.resumed_share{name}"] = figures.resumed_share(full, resumed)
            short = results.get((subject, "short"))
            if what == "long" and not isinstance(short, BaseException):
                try:
                    self.figures[f"agent.instructions_per_field{name}"] = agent.per_field(
                        short, result)
                except Failed as failure:
                    self.failures.append(f"{subject.title}: {failure}")

    def _steady(self, progress, certs, subject):
        label = f"{subject.title}: CPU, memory, wire"
        (result,) = progress.run(
            label, agent.WARM_SECONDS + self._options.seconds + 5,
            [lambda: agent.steady(subject, self._folder, certs, self._options.seconds)],
        )
        self.figures[f"agent.binary_bytes{subject.sibling}"] = subject.binary_bytes()
        if self._take(label, result):
            self.figures.update(
                {f"agent.{key}{subject.sibling}": value for key, value in result.items()})

    def report(self):
        """The tables and what is to be said about them, as text."""
        lines = [f"{_machine()}", ""]
        if "encode" in self.parts:
            lines += [*figures.encode_table(self.figures), ""]
        if self.subjects:
            titles = {subject.sibling: subject.title for subject in self.subjects}
            lines += [*figures.agent_table(self.figures, titles, self.parts), ""]
        lines += self.notes + [f"not measured: {failure}" for failure in self.failures]
        return "\n".join([*lines, figures.summary(self.figures)])

    def json(self):
        siblings = {subject.sibling: subject.has_tls for subject in self.subjects}
        return json.dumps(figures.json_object(self.figures, self.parts, siblings), indent=2)


def _machine():
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    except OSError:
        model = None
    name = model.group(1) if model else platform.machine()
    return f"{name}, {os.cpu_count()} CPUs, Linux {platform.release()}"


def main(words=None):
    options = _options(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="kwmote-bench-") as folder:
            bench = Bench(options, Path(folder))
            try:
                bench.run()
            finally:
                stop_all()
    except Failed as failure:
        print(f"tools/bench: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ntools/bench: interrupted", file=sys.stderr)
        return 130
    print(bench.report(), file=sys.stderr if options.json else sys.stdout)
    if options.json:
        print(bench.json())
    return 1 if bench.failures else 0
