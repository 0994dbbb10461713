# SPDX-License-Identifier: MIT
"""Children under measurement: started, read, and ended by their pid.

CPU is the kernel's clock of the whole process, in nanoseconds and with threads that have ended;
/proc/PID/stat knows steps of 10 ms only. Instructions are callgrind's, of user space.
"""

import os
import re
import shutil
import signal
import subprocess
import threading
import time

END_SECONDS = 30  # valgrind is slow to end
_CPUCLOCK_PROCESS = 2


class Failed(Exception):
    """Something could not be measured; the text says what, why, and what to do."""


_children = []
_stopping = threading.Event()


def pause(seconds):
    """Sleep, unless the whole run is being ended. Raises Failed then."""
    if _stopping.wait(seconds):
        raise Failed("interrupted")


def stop_all():
    """End every child that is left, and everything that waits in `pause`."""
    _stopping.set()
    for child in list(_children):
        child.kill()


class Child:
    """A process with its output in a file."""

    def __init__(self, command, log, env=None):
        self.name = os.path.basename(str(command[0]))
        self.log = log
        with open(log, "wb") as output:
            self._process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, env={**os.environ, **(env or {})},
            )
        self.pid = self._process.pid
        _children.append(self)

    def last_words(self):
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " | ".join(lines[-3:]) or "it said nothing"

    def need_alive(self):
        code = self._process.poll()
        if code is not None:
            raise Failed(f"{self.name} ended with {code}: {self.last_words()}")

    def cpu_ms(self):
        """User and system time so far."""
        self.need_alive()
        return time.clock_gettime_ns((~self.pid << 3) | _CPUCLOCK_PROCESS) / 1e6

    def memory(self):
        """{rss, pss, peak} in bytes."""
        self.need_alive()
        with open(f"/proc/{self.pid}/smaps_rollup", encoding="ascii") as rollup, \
                open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as status:
            return memory_of(rollup.read() + status.read())

    def stop(self):
        """End it by TERM; it must end by itself, and well."""
        self.need_alive()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"{self.name} did not end in {END_SECONDS} s after TERM") from None
        finally:
            _children.remove(self)
        if code != 0:
            raise Failed(f"{self.name} ended with {code} after TERM: {self.last_words()}")

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def memory_of(text):
    """{rss, pss, peak} in bytes, of the text of smaps_rollup and status."""
    found = dict(re.findall(r"^(Rss|Pss|VmHWM):\s+(\d+) kB$", text, re.MULTILINE))
    names = {"rss": "Rss", "pss": "Pss", "peak": "VmHWM"}
    return {name: int(found[key]) * 1024 for name, key in names.items()}


def need_built(path):
    if not path.exists():
        raise Failed(f"there is no {path}; build it: cmake --preset linux && "
                     "cmake --build --preset linux")


def need_valgrind():
    if not shutil.which("valgrind"):
        raise Failed("valgrind, which counts instructions, is not installed; run tools/setup")


def callgrind(out):
    """The words before a command that have its user instructions counted into a file."""
    need_valgrind()
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]


def instructions_of(out):
    """What callgrind counted into its file. Raises Failed."""
    try:
        with open(out, encoding="utf-8", errors="replace") as file:
            return total_of(file.read())
    except OSError as error:
        raise Failed(f"callgrind left no count: {error}") from None


def total_of(text):
    """All instructions of the text that callgrind writes, of all its parts. Raises Failed."""
    if not re.search(r"^events: Ir$", text, re.MULTILINE):
        raise Failed("callgrind's file does not count instructions")
    totals = re.findall(r"^totals: (\d+)$", text, re.MULTILINE)
    if not totals:
        raise Failed("callgrind's file has no total: was the program killed?")
    return sum(map(int, totals))
