# SPDX-License-Identifier: MIT
"""Whole agents at work on this machine: kwmote, and collectd where it is.

All collect cpu, mem, disk, net and system each second, and deliver each second.
"""

import json
import shutil
import subprocess
import time
from pathlib import Path

from benchmark import servers
from benchmark.process import (
    Child, Failed, callgrind, instructions_of, need_built, need_valgrind, pause,
)

ROOT = Path(__file__).resolve().parent.parent.parent

FIRST_SECONDS = 60   # until the first delivery, under valgrind on a busy machine
WARM_SECONDS = 4     # before a window begins: the first rates, the handshake
SHORT_SECONDS = 10   # the shorter one of two counted runs
QUIET_SECONDS = 0.25  # nothing arrives for so long: a delivery is over
RECONNECTS = 40
IGNORED_FILE_SYSTEMS = (
    "tmpfs", "devtmpfs", "devfs", "iso9660", "overlay", "aufs", "squashfs",
)


class Kwmote:
    """The agent itself. `sibling` is what its keys end in: nothing."""

    title, sibling, has_tls = "kwmote", "", True

    def __init__(self, build):
        self._program = build / "kwmote"
        self._stripped = build / "kwmote.stripped"
        for path in (self._program, self._stripped):
            need_built(path)

    def binary_bytes(self):
        return self._stripped.stat().st_size

    def make_server(self, folder, certs, closes):
        config = self._configure(folder, certs, 1)
        done = subprocess.run([str(self._program), "--config", str(config), "schema"],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"kwmote schema ended with {done.returncode}: {done.stderr.strip()}")
        schema = folder / "schema.sql"
        schema.write_text(done.stdout, encoding="utf-8")
        return servers.Standin(folder, certs, schema, closes)

    def command(self, folder, certs, port):
        return [self._program, "--config", self._configure(folder, certs, port)], {}

    @staticmethod
    def _configure(folder, certs, port):
        path = folder / "kwmote.json"
        path.write_text(json.dumps({
            "agent": {"interval": "1s", "flush_interval": "1s", "hostname": "bench"},
            "outputs": {"http": {
                "url": f"https://127.0.0.1:{port}/restapi/telegraf?db={servers.DATABASE}",
                "username": "kwdb", "password": "kwdbpass", "tls_ca": str(certs / "ca.crt"),
            }},
            "inputs": {"cpu": {}, "mem": {}, "disk": {}, "net": {}, "system": {}},
        }), encoding="utf-8")
        return path


class CollectdFiles:
    """Where collectd is: unpacked by tools/setup, or installed. Raises Failed if it is nowhere."""

    def __init__(self):
        own = ROOT / "build" / "third_party" / "collectd" / "usr"
        if (own / "sbin" / "collectd").exists():
            self.daemon, self.home = own / "sbin" / "collectd", own
            folders = sorted((own / "lib").glob("*-linux-gnu*"))
            self.env = {"LD_LIBRARY_PATH": ":".join(map(str, folders))}
        else:
            found = shutil.which("collectd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
            if not found:
                raise Failed("absent: no collectd here; tools/setup unpacks one")
            self.daemon, self.env = Path(found), {}
            self.home = self.daemon.parent.parent
        self.plugins = self.home / "lib" / "collectd"
        self.types = self.home / "share" / "collectd" / "types.db"


class Collectd:
    """collectd with one of its outputs: the same inputs, otherwise as it comes."""

    _INPUTS = ("cpu", "memory", "df", "interface", "load", "uptime", "users")

    def __init__(self, output):
        self._files = CollectdFiles()
        self._output = output
        self.title, self.sibling = f"collectd {output}", f".collectd_{output}"
        self.has_tls = output == "write_http"
        for plugin in (*self._INPUTS, output):
            if not self._plugin(plugin).exists():
                raise Failed(f"absent: this collectd has no plugin {plugin}")

    def _plugin(self, name):
        return self._files.plugins / f"{name}.so"

    def binary_bytes(self):
        """The daemon and the plugins that it loads; its libraries, TLS among them, left out."""
        paths = [self._files.daemon, *map(self._plugin, (*self._INPUTS, self._output))]
        return sum(path.stat().st_size for path in paths)

    def make_server(self, _folder, certs, closes):
        return servers.HttpsSink(certs, closes) if self.has_tls else servers.UdpSink()

    def command(self, folder, certs, port):
        path = folder / "collectd.conf"
        path.write_text(self._config(folder, certs, port), encoding="utf-8")
        return [self._files.daemon, "-f", "-C", path], self._files.env

    def _config(self, folder, certs, port):
        ignored = "\n".join(f'  FSType "{name}"' for name in IGNORED_FILE_SYSTEMS)
        inputs = "\n".join(f"LoadPlugin {name}" for name in self._INPUTS)
        # write_http holds values back until its buffer is full, unless it is flushed. The buffer
        # holds more than a second: one request a second, as kwmote makes.
        outputs = {
            "network": f'LoadPlugin network\n<Plugin network>\n  Server "127.0.0.1" "{port}"\n'
                       "</Plugin>\n",
            "write_http": f"""\
<LoadPlugin write_http>
  FlushInterval 1
</LoadPlugin>
<Plugin write_http>
  <Node "bench">
    URL "https://127.0.0.1:{port}/write"
    User "kwdb"
    Password "kwdbpass"
    VerifyPeer true
    VerifyHost true
    CACert "{certs}/ca.crt"
    BufferSize 65536
  </Node>
</Plugin>
""",
        }
        return f"""\
Hostname "bench"
FQDNLookup false
BaseDir "{folder}"
PIDFile "{folder}/collectd.pid"
PluginDir "{self._files.plugins}"
TypesDB "{self._files.types}"
Interval 1
{inputs}
<Plugin cpu>
  ReportByCpu true
  ValuesPercentage true
</Plugin>
<Plugin df>
{ignored}
  IgnoreSelected true
  ReportInodes true
  ValuesPercentage true
</Plugin>
<Plugin interface>
  Interface "lo"
  IgnoreSelected true
</Plugin>
{outputs[self._output]}"""


class Run:
    """One agent at work, and the server that it delivers to."""

    def __init__(self, subject, folder, certs, prefix=(), closes=False):
        folder.mkdir()
        self.server = subject.make_server(folder, certs, closes)
        try:
            command, env = subject.command(folder, certs, self.server.port)
            self.child = Child([*prefix, *command], folder / "agent.log", env)
        except BaseException:
            self.server.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.child.kill()
        self.server.close()

    def await_first(self):
        """Until something has arrived."""
        end = time.monotonic() + FIRST_SECONDS
        while not self.server.arrived():
            self.child.need_alive()
            if time.monotonic() > end:
                raise Failed(f"{self.child.name} delivered nothing in {FIRST_SECONDS} s: "
                             + self.child.last_words())
            pause(0.05)

    def snapshot(self):
        """{cpu_ms, fields, wire} just after a delivery, so that two of them enclose whole ones."""
        seen, changed_at = self.server.arrived(), None
        end = time.monotonic() + FIRST_SECONDS
        while True:
            pause(0.05)
            now, arrived = time.monotonic(), self.server.arrived()
            if arrived != seen:
                seen, changed_at = arrived, now
            elif changed_at is not None and now - changed_at >= QUIET_SECONDS:
                return {"cpu_ms": self.child.cpu_ms(), "fields": self.server.fields(),
                        "wire": sum(self.server.wire())}
            if now > end:
                raise Failed(f"{self.child.name} does not deliver each second: "
                             + self.child.last_words())

    def stop(self):
        self.child.stop()
        self.server.need_nothing_refused()


def count_run(subject, folder, certs, seconds):
    """(user instructions, field values) of a whole life that goes on for so long."""
    out = folder.with_suffix(".callgrind")
    with Run(subject, folder, certs, callgrind(out)) as run:
        run.await_first()
        pause(seconds)
        run.stop()
        pause(QUIET_SECONDS)  # what a sink has not read yet
        return instructions_of(out), run.server.fields()


def instruction_jobs(subject, folder, certs, seconds):
    """Two runs, to go on side by side: of their difference, the start is no part."""
    need_valgrind()
    return [
        lambda: count_run(subject, folder / f"short{subject.sibling}", certs, SHORT_SECONDS),
        lambda: count_run(subject, folder / f"long{subject.sibling}", certs,
                          SHORT_SECONDS + seconds),
    ]


def per_field(short, long):
    """Instructions a field of two (instructions, fields). Raises Failed."""
    fields = long[1] - short[1]
    if fields <= 0:
        raise Failed(f"the longer run delivered {long[1]} field values, the shorter {short[1]}")
    return (long[0] - short[0]) / fields


def steady(subject, folder, certs, seconds):
    """CPU, memory and wire of one run, without valgrind."""
    with Run(subject, folder / f"steady{subject.sibling}", certs) as run:
        run.await_first()
        pause(WARM_SECONDS)
        before = run.snapshot()
        pause(seconds)
        after = run.snapshot()
        memory = run.child.memory()
        run.stop()
    return steady_figures(before, after, memory)


def steady_figures(before, after, memory):
    """The figures of a window between two snapshots."""
    fields = after["fields"] - before["fields"]
    if fields <= 0:
        raise Failed("no field value arrived in the window")
    return {
        "cpu_ms_per_1000_fields": (after["cpu_ms"] - before["cpu_ms"]) / fields * 1000,
        "wire_bytes_per_field": (after["wire"] - before["wire"]) / fields,
        "rss_bytes": memory["rss"],
        "pss_bytes": memory["pss"],
        "peak": memory["peak"],
        "fields": fields,
    }


def handshakes(subject, folder, certs):
    """(full, resumed) of a run whose server closes each connection after one reply."""
    with Run(subject, folder / f"closing{subject.sibling}", certs, closes=True) as run:
        end = time.monotonic() + FIRST_SECONDS + 2 * RECONNECTS
        while sum(run.server.handshakes()) <= RECONNECTS:
            run.child.need_alive()
            if time.monotonic() > end:
                raise Failed(f"{run.child.name} made only {sum(run.server.handshakes())} "
                             f"connections: {run.child.last_words()}")
            pause(0.2)
        run.stop()
        return run.server.handshakes()
