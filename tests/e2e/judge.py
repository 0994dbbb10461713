# SPDX-License-Identifier: MIT
"""What the tests of delivery share: a machine that is not there to collect from, a log that is
judged against the server, and tests that run side by side."""

import concurrent.futures
import re
import time
import unittest

import harness
from harness import Agent, check_account, make_config, new_folder, parse_account, run_agent

AT_ONCE = 8  # tests side by side; they wait more than they compute
ONCE_SECONDS = 90  # `--once` gives up after 60
NET_FIELDS = ("bytes_recv", "bytes_sent", "drop_in", "drop_out", "err_in", "err_out",
              "packets_recv", "packets_sent", "speed")
NET_TABLE = (
    f"create table net (k_timestamp timestamp not null, {' int8, '.join(NET_FIELDS)} int8) "
    "tags (host varchar(64) not null, interface varchar(8) not null) "
    "primary tags (host, interface);"
)
ROOT_LOGIN = {"username": harness.ROOT_USER, "password": harness.ROOT_PASSWORD}
_DEV_HEAD = "Inter-| Receive | Transmit\n face |bytes packets |bytes packets\n"
_MEMINFO = "MemTotal: 1000 kB\nMemFree: 250 kB\nMemAvailable: 500 kB\n"
_DEV_COLUMNS = ("bytes_recv", "packets_recv", "err_in", "drop_in", "", "", "", "",
                "bytes_sent", "packets_sent", "err_out", "drop_out", "", "", "", "")


class Interfaces:
    """The network interfaces of a machine that is not there; each makes one row of `net`. It has a
    little memory, too."""

    def __init__(self, names):
        self._root = new_folder("machine-")
        (self._root / "proc" / "net").mkdir(parents=True)
        (self._root / "sys").mkdir()
        (self._root / "proc" / "meminfo").write_text(_MEMINFO, encoding="utf-8")
        self.set(names)

    def set(self, names, **numbers):
        """Let there be these interfaces; each field is its number in the list, or as given."""
        lines = []
        for at, name in enumerate(names):
            columns = [numbers.get(column, at) if column else 0 for column in _DEV_COLUMNS]
            lines.append(f"{name}: {' '.join(map(str, columns))}\n")
        path = self._root / "proc" / "net" / "dev"
        path.with_name("dev.new").write_text(_DEV_HEAD + "".join(lines), encoding="utf-8")
        path.with_name("dev.new").replace(path)

    @property
    def env(self):
        return {"HOST_PROC": str(self._root / "proc"), "HOST_SYS": str(self._root / "sys")}


def eths(count):
    return [f"eth{at}" for at in range(count)]


def net_config(server, changes=None):
    """A configuration that collects the interfaces alone, as root."""
    base = {"inputs": {"net": {}}}
    if not isinstance(server, str):
        base["outputs"] = {"http": dict(ROOT_LOGIN)}
    config = make_config(server, base)
    harness.merge(config, changes or {})
    return harness.without_none(config)


class Log:
    """What the program said of one run, however it was run."""

    def __init__(self, text, code, seconds=0.0):
        self.text, self.code, self.seconds = text, code, seconds

    def lines(self, levels="EWID"):
        """The texts of these levels, without time and level."""
        return re.findall(rf"^\S+Z [{levels}]! (.*)$", self.text, re.MULTILINE)

    @property
    def troubles(self):
        return self.lines("EW")

    @property
    def account(self):
        return parse_account(self.text)


def once(config, machine=None, env=None):
    """Run the program with --once."""
    started = time.monotonic()
    done = run_agent(["--once"], config, ONCE_SECONDS,
                     {**(machine.env if machine else {}), **(env or {})})
    return Log(done.stdout + done.stderr, done.returncode, time.monotonic() - started)


def stopped(agent, seconds=harness.STOP_SECONDS):
    """End an Agent by TERM. Returns its log."""
    started = time.monotonic()
    code = agent.stop(seconds)
    return Log(agent.log, code, time.monotonic() - started)


def net_agent(server, machine, changes=None):
    return Agent(net_config(server, changes), env=machine.env)


class Judged(unittest.TestCase):
    """What holds in every case: the account adds up, and the server agrees with it."""

    maxDiff = None

    def assert_account(self, log, server, **fates):
        """Check the account of a run against the server, and its numbers as given. Returns it."""
        account = log.account
        # What was in doubt when it was refused is told apart by its reason.
        in_doubt = account.refused if "(refused_unknown)" in log.text else 0
        check_account(account._replace(unknown=account.unknown + in_doubt), server.row_count())
        counters = server.status()["counters"]
        self.assertEqual(counters["rows_changed"], 0, "a row was overwritten by another one")
        self.assertEqual(counters["crash_markers"], 0, "a request that ends a KWDB node")
        self.assertEqual(counters["plain_requests"], 0, "a request in clear")
        got = {name: getattr(account, name) for name in fates}
        self.assertEqual(got, fates, f"{account}\n{log.text}")
        return account

    def assert_told(self, log, *patterns):
        """These are the warnings and errors in the log, in this order, and there are no others."""
        self.assertEqual(len(log.troubles), len(patterns), f"in the log:\n{log.text}")
        for trouble, pattern in zip(log.troubles, patterns):
            self.assertRegex(trouble, pattern)

    def assert_on_time(self, server, table):
        """A row each second, by the clock but for the first. A busy machine may be late once."""
        ticks = [at for (at,) in server.query(
            f"select distinct k_timestamp from {table} order by k_timestamp")]
        gaps = [later - earlier for earlier, later in zip(ticks[1:], ticks[2:])]
        self.assertGreaterEqual(gaps.count(1000), max(1, len(gaps) - 1), gaps)

    def assert_posts(self, server, count):
        posts = server.requests("/restapi/telegraf")
        self.assertEqual(len(posts), count, posts)
        return posts


# Tests side by side


class _Recorder(unittest.TestResult):
    """Keeps what a test says to its result, to be said again elsewhere."""

    def __init__(self):
        super().__init__()
        self.said = []


def _recording(name):
    def say(self, *arguments):
        self.said.append((name, arguments))
    return say


for _name in ("addSuccess", "addError", "addFailure", "addSkip", "addExpectedFailure",
              "addUnexpectedSuccess", "addSubTest"):
    setattr(_Recorder, _name, _recording(_name))


def _flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _flat(test)
        else:
            yield test


class _SideBySide(unittest.TestSuite):
    """Runs its tests in threads, reports each as it ends. No class or module set-up is run."""

    def run(self, result, debug=False):
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            recorders = {}
            for test in _flat(self):
                recorder = _Recorder()
                recorders[pool.submit(test.run, recorder)] = test, recorder
            for done in concurrent.futures.as_completed(recorders):
                test, recorder = recorders[done]
                done.result()
                result.startTest(test)
                for name, arguments in recorder.said:
                    getattr(result, name)(*arguments)
                result.stopTest(test)
        return result


def side_by_side(_loader, tests, _pattern):
    """What a module's load_tests is, so that its tests run side by side."""
    return _SideBySide([tests])
