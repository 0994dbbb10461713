# SPDX-License-Identifier: MIT
"""The influx dialect against a real database: InfluxDB 1.6 with HTTPS and passwords.

What is queried back by its HTTP API has to be what was collected, and its verdicts have to be
taken for what they are.
"""

import atexit
import base64
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest
import urllib.parse
import urllib.request

import harness
from harness import (
    Agent, Standin, make_certificates, new_folder, run_agent, wait_until, write_config,
)
from judge import Interfaces, eths, once, side_by_side, stopped

load_tests = side_by_side

UNPACKED = harness.ROOT / "build" / "third_party" / "influxdb" / "usr" / "bin" / "influxd"
USER, PASSWORD = "agent", "in flux's"
START_SECONDS, QUERY_SECONDS = 30, 10
STORED, REFUSED, NOT_DELIVERED = 0, 2, 3
INT_MAX = 2**63 - 1
_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{other_port}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = true
  https-enabled = true
  https-certificate = "{certs}/node.crt"
  https-private-key = "{certs}/node.key"
  log-enabled = false
[monitor]
  store-enabled = false
"""


def _free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


class InfluxDb:
    """A running influxd. Its files go with the tests' folder; stop() ends it."""

    def __init__(self):
        self.folder = new_folder("influxdb-")
        certs = Standin().certs
        make_certificates(certs, ())
        self.ca = certs / "ca.crt"
        self.port = _free_port()
        self._context = ssl.create_default_context(cafile=self.ca)
        path = self.folder / "influxdb.conf"
        path.write_text(_CONFIG.format(folder=self.folder, port=self.port, certs=certs,
                                       other_port=_free_port()), encoding="utf-8")
        program = str(UNPACKED) if UNPACKED.exists() else shutil.which("influxd")
        with open(self.folder / "log", "wb") as log:
            self._process = subprocess.Popen([program, "-config", str(path)], stdout=log,
                                             stderr=log, stdin=subprocess.DEVNULL,
                                             env={**os.environ, "HOME": str(self.folder)})
        atexit.register(self.stop)
        wait_until(self._is_there, START_SECONDS, "influxd")
        self.query(f"create user {USER} with password '{self._quoted(PASSWORD)}' "
                   "with all privileges", method="POST")

    def stop(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @staticmethod
    def _quoted(text):
        return text.replace("'", "\\'")

    def _is_there(self):
        if self._process.poll() is not None:
            raise AssertionError((self.folder / "log").read_text(encoding="utf-8"))
        try:
            self._request("/ping", "GET")
            return True
        except OSError:
            return False

    def _request(self, path, method, data=None):
        request = urllib.request.Request(f"https://localhost:{self.port}{path}", data,
                                         method=method)
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
        with urllib.request.urlopen(request, timeout=QUERY_SECONDS, context=self._context) as reply:
            return reply.read()

    def query(self, text, database="", method="GET"):
        """Series of the answer, as InfluxDB gives them."""
        fields = urllib.parse.urlencode({"q": text, "db": database, "epoch": "ns"})
        answer = json.loads(self._request(f"/query?{fields}", method))["results"][0]
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer.get("series", [])

    def rows(self, database, measurement):
        """The rows of a measurement as dicts, tags among them."""
        found = self.query(f'select * from "{measurement}"', database)
        return [dict(zip(series["columns"], row)) for series in found for row in series["values"]]

    def write(self, database, line):
        """Write a row as any other client would."""
        self._request(f"/write?db={database}", "POST", line.encode())

    def url(self, database):
        return f"https://localhost:{self.port}/write?db={database}"


_lock = threading.Lock()
_servers = []


def influxdb():
    """The one that all tests share, each with a database of its own."""
    if not UNPACKED.exists() and not shutil.which("influxd"):
        raise unittest.SkipTest("there is no influxd: tools/setup fetches it")
    with _lock:
        if not _servers:
            _servers.append(InfluxDb())
        return _servers[0]


class Influx(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.server = influxdb()
        self.database = self.id().rsplit(".", 1)[1]
        self.server.query(f'create database "{self.database}"', method="POST")

    def config(self, inputs=None, http=None, **more):
        output = {"url": self.server.url(self.database), "username": USER, "password": PASSWORD,
                  "tls_ca": str(self.server.ca), **(http or {})}
        return {"agent": {"interval": "1s", "flush_interval": "1s", "hostname": "gw-1"},
                "outputs": {"http": output}, "inputs": inputs or {"net": {}}, **more}

    def rows(self, measurement):
        return self.server.rows(self.database, measurement)

    def assert_account(self, log, code, **fates):
        self.assertEqual(log.code, code, log.text)
        account = log.account
        self.assertEqual({name: getattr(account, name) for name in fates}, fates, log.text)

    def files(self, texts, **options):
        """A `file` input with one file for each field; texts are what stands in them."""
        folder = new_folder()
        channels = []
        for name, text in texts.items():
            (folder / name).write_text(text + "\n", encoding="utf-8")
            channels.append({"path": str(folder / name), "field": name,
                             **(options.get(name) or {})})
        return {"name": "room", "files": channels}


class Values(Influx):
    """What is written is what is read."""

    NAMES = ("plain", "two words", "a,b=c", "it's", '"quoted"', "back\\slash", "back\\,comma",
             "\\start", "per%cent", "gr\u00fc\u00df", "\u6e29\u5ea6", "\U0001f321\ufe0f", "#hash",
             "semi;colon", "a==b,,c  d", "'", '"', "=", "{}[]()<>|&$!?*", "0x10", "1e5", "true",
             "-")

    def test_awkward_tags(self):
        """As values of an interface's tag, of a global tag, and of an input's own."""
        log = once(self.config({"net": {"tags": {"the rack, no.": 'a "b" c=d, \u00e9\\e'}}},
                               global_tags={"site=x y": "Werk 3, 'S\u00fcd' \\ #1"}),
                   Interfaces(self.NAMES))
        count = len(self.NAMES)
        self.assert_account(log, STORED, collected=count, stored=count)
        rows = self.rows("net")
        self.assertEqual({row["interface"]: row["bytes_recv"] for row in rows},
                         {name: at for at, name in enumerate(self.NAMES)})
        for row in rows:
            self.assertEqual(row["site=x y"], "Werk 3, 'S\u00fcd' \\ #1")
            self.assertEqual(row["the rack, no."], 'a "b" c=d, \u00e9\\e')
            self.assertEqual((row["host"], row["speed"]), ("gw-1", -1))
            self.assertEqual(row["time"] % 10_000_000, 0)  # stamps are whole 10 ms

    def test_what_no_tag_can_hold(self):
        """A backslash at the end would escape what follows: it is left out, and the row arrives."""
        log = once(self.config(), Interfaces(["end\\", "good"]))
        self.assert_account(log, STORED, collected=2, stored=2)
        self.assertEqual(sorted(row["interface"] for row in self.rows("net")), ["end", "good"])

    def test_awkward_strings(self):
        texts = {f"s{at}": text for at, text in enumerate((
            'a "quoted" word', "back\\slash", "end\\", 'both\\"', "comma, equals = and 'single'",
            "1e5", "true", "12i", "'", '"', "\\n is no line end", "#;{}[]()<>|&$!?*~^`",
        ))}
        log = once(self.config({"file": self.files(
            texts, **{name: {"kind": "string"} for name in texts})}))
        self.assert_account(log, STORED, collected=1, stored=1)
        row = self.rows("room")[0]
        self.assertEqual({name: row[name] for name in texts}, texts)

    def test_integers(self):
        numbers = {"zero": 0, "one": -1, "most": INT_MAX, "least": -INT_MAX, "big": 10**18,
                   "billion": -10**9}
        log = once(self.config({"file": self.files(
            {name: str(number) for name, number in numbers.items()},
            **{name: {"kind": "int"} for name in numbers})}))
        self.assert_account(log, STORED, collected=1, stored=1)
        row = self.rows("room")[0]
        self.assertEqual({name: row[name] for name in numbers}, numbers)
        self.assertEqual({type(row[name]) for name in numbers}, {int})

    def test_unsigned_beyond_signed(self):
        """Counters of 64 bits: what an INT64 cannot hold is clipped, as Telegraf does."""
        machine = Interfaces(["eth0"])
        machine.set(["eth0"], bytes_recv=2**64 - 1, bytes_sent=2**63, drop_in=2**63 - 1,
                    packets_recv=2**32)
        log = once(self.config(), machine)
        self.assert_account(log, STORED, collected=1, stored=1)
        row = self.rows("net")[0]
        self.assertEqual([row[name] for name in ("bytes_recv", "bytes_sent", "drop_in",
                                                 "packets_recv")],
                         [INT_MAX, INT_MAX, INT_MAX, 2**32])

    def test_fixed_point(self):
        """Milli and micro: exact, whatever their size and sign."""
        cases = {"milli": ("21437", 3, 21.437), "micro": ("-1", 6, -0.000001),
                 "nano": ("999999999999999999", 9, 999999999.999999999),
                 "zero": ("0", 3, 0.0), "whole": ("5000", 3, 5.0), "below": ("-999", 3, -0.999),
                 "none": ("-40", 0, -40.0)}
        log = once(self.config({"file": self.files(
            {name: text for name, (text, _scale, _value) in cases.items()},
            **{name: {"scale": scale} for name, (_text, scale, _value) in cases.items()})}))
        self.assert_account(log, STORED, collected=1, stored=1)
        row = self.rows("room")[0]
        self.assertEqual({name: float(row[name]) for name in cases},
                         {name: value for name, (_text, _scale, value) in cases.items()})

    def test_doubles(self):
        """The shortest text that reads back equal, without an exponent."""
        texts = {"tenth": "0.1", "third": "0.33333333333333331", "tiny": "0.00000000000000001",
                 "large": "123456789012345678", "minus": "-273.15", "half": "-0.5",
                 "sum": "0.30000000000000004"}
        log = once(self.config({"file": self.files(
            texts, **{name: {"kind": "float"} for name in texts})}))
        self.assert_account(log, STORED, collected=1, stored=1)
        row = self.rows("room")[0]
        self.assertEqual({name: float(row[name]) for name in texts},
                         {name: float(text) for name, text in texts.items()})

    def test_bools(self):
        texts = {"yes": "1", "no": "0", "on": "on", "off": "N"}
        log = once(self.config({"file": self.files(
            texts, **{name: {"kind": "bool"} for name in texts})}))
        self.assert_account(log, STORED, collected=1, stored=1)
        row = self.rows("room")[0]
        self.assertEqual({name: row[name] for name in texts},
                         {"yes": True, "no": False, "on": True, "off": False})

    def test_this_machine(self):
        """All inputs, as they are here; rates and percentages read back as they were printed."""
        inputs = {name: {} for name in ("cpu", "mem", "system", "kernel", "processes", "internal")}
        log = once(self.config(inputs))
        account = log.account
        self.assertEqual((log.code, account.stored), (STORED, account.collected), log.text)
        self.assertGreaterEqual(account.stored, 7)
        memory = self.rows("mem")[0]
        self.assertGreater(memory["total"], 1 << 20)
        self.assertAlmostEqual(memory["used_percent"], 100 * memory["used"] / memory["total"])

    def test_no_row_twice(self):
        machine = Interfaces(eths(3))
        with Agent(self.config(), env=machine.env) as agent:
            wait_until(lambda: len(self.rows("net")) >= 12, 20, "rows")
            log = stopped(agent)
        account = log.account
        self.assertEqual(len(self.rows("net")), account.stored)
        self.assertEqual(account.stored, account.collected)
        self.assertEqual(log.troubles, [])


class Verdicts(Influx):
    def test_field_of_another_type(self):
        """400 `partial write`: halved until each bad row is found; here all of them are."""
        self.server.write(self.database, "net,host=gw-1,interface=eth17 speed=1.5")
        log = once(self.config(), Interfaces(eths(40)))
        self.assert_account(log, REFUSED, collected=40, refused=40, stored=0, waiting=0)
        self.assertEqual(len(log.troubles), 1, log.text)
        self.assertIn("field type conflict", log.troubles[0])

    def test_one_bad_row_of_many(self):
        """One measurement's rows conflict, those of the others in the same request do not."""
        self.server.write(self.database, "room,host=gw-1 temp=\"warm\"")
        log = once(self.config({"net": {}, "file": self.files({"temp": "21"})}),
                   Interfaces(eths(60)))
        self.assert_account(log, REFUSED, collected=61, stored=60, refused=1, waiting=0)
        self.assertEqual(len(self.rows("net")), 60)
        self.assertEqual([row["temp"] for row in self.rows("room")], ["warm"])
        self.assertEqual(len(log.troubles), 1, log.text)
        self.assertRegex(log.troubles[0], r"a row of room is refused .*: .*field type conflict.*; "
                                          r"the row: room,host=gw-1 temp=21")

    def test_database_that_is_not_there(self):
        """404: a mistake, told once; everything is kept."""
        machine = Interfaces(eths(5))
        log = once(self.config(http={"url": self.server.url("nowhere")}), machine)
        self.assert_account(log, NOT_DELIVERED, collected=5, waiting=5)
        self.assertLess(log.seconds, 15)
        self.assertEqual(len(log.troubles), 1, log.text)
        self.assertRegex(log.troubles[0], "answers HTTP 404: .*database not found.*nowhere.*; "
                         "check "
                                          "the URL's path and database.*; rows are kept")

    def test_database_that_comes_later(self):
        machine = Interfaces(eths(2))
        config = self.config(http={"url": self.server.url("later")})
        with Agent(config, env=machine.env) as agent:
            agent.wait_for("answers HTTP 404")
            time.sleep(2)
            self.server.query("create database later", method="POST")
            agent.reload()  # which does not wait for the back-off
            wait_until(lambda: len(self.server.rows("later", "net")) >= 6, 20, "rows")
            log = stopped(agent)
        account = log.account
        self.assertEqual(account.stored, account.collected, log.text)
        self.assertEqual(len(self.server.rows("later", "net")), account.stored)
        self.assertEqual(len(log.troubles), 1, log.text)

    def test_wrong_password(self):
        """401: as above."""
        log = once(self.config(http={"password": "nope"}), Interfaces(eths(5)))
        self.assert_account(log, NOT_DELIVERED, collected=5, waiting=5)
        self.assertEqual(len(log.troubles), 1, log.text)
        self.assertRegex(log.troubles[0], f"refuses the credentials of user {USER}: authorization "
                                          "failed; check user name and password; rows are kept")

    def test_kwdb_dialect_is_for_its_path(self):
        """What the URL decides, an option can override."""
        done = run_agent(["--test"], write_config(self.config(http={"dialect": "kwdb"})), 20,
                         Interfaces(eths(1)).env)
        self.assertRegex(done.stdout, r"> net,host='gw-1',interface='eth0' .* \d{13}\n")


if __name__ == "__main__":
    unittest.main()
