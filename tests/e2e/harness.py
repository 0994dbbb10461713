# SPDX-License-Identifier: MIT
"""What the end-to-end tests share: the stand-in for KWDB and the program, each as a process.

    with Standin() as server:                         # tables: schema=TABLES, or make_tables()
        done = run_agent(["--once"], make_config(server))
        account = parse_account(done.stderr)
        rows = server.query("select host, total from mem")

Everything is on loopback, every wait has an end, and what was started is ended: stand-ins and
agents by their `with`, files when the tests are over. The program is build/linux/kwmote, or what
KWM_PROGRAM names.
"""

import atexit
import copy
import json
import os
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import namedtuple
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STANDIN = ROOT / "tools" / "kwdb-standin"
PROGRAM = Path(os.environ.get("KWM_PROGRAM", ROOT / "build" / "linux" / "kwmote"))

ROOT_USER, ROOT_PASSWORD = "root", "kwdbpassword"
USER, PASSWORD = "kwdb", "kwdbpass"

START_SECONDS = 30  # an RSA key takes a while on a busy machine
STOP_SECONDS = 20
CONTROL_SECONDS = 10

_folder = Path(tempfile.mkdtemp(prefix="kwmote-e2e-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
_certificates_lock = threading.Lock()
_certificate_options = ("--ecdsa", "--cert-expired", "--cert-not-yet", "--cert-unknown-ca")


def new_folder(prefix="test-"):
    """A folder that goes when the tests are over."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_folder))


def wait_until(condition, seconds, what="it"):
    """Wait until condition() is true, and return its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)


# The stand-in


def _certificates_for(options):
    """A folder for the certificates of these options; equal ones share it, and so the CA."""
    names, values = [], iter(options)
    for option in values:
        if option in _certificate_options:
            names.append(option)
        elif option in ("--san", "--cert-name"):
            names += [option, next(values)]
    return _folder / ("certs" + re.sub(r"[^a-z0-9-]", "_", "".join(names)))


def make_certificates(folder, options):
    """Make them once, however many stand-ins start side by side."""
    with _certificates_lock:
        if not (folder / "node.crt").exists():
            subprocess.run([sys.executable, str(STANDIN), "--certs", str(folder), *options,
                            "--make-certs-only"],
                           stdout=subprocess.DEVNULL, timeout=START_SECONDS, check=True)


class Standin:
    """A running stand-in for KWDB.

    options   further options of tools/kwdb-standin, as `"--fault", "empty:3"`
    schema    DDL text to run before it serves
    certs     folder of the certificates; by default one that equal options share
    port      0: any

    It keeps port, rows and tables over stop() and start().
    """

    def __init__(self, *options, schema="", certs=None, port=0):
        self.folder = new_folder("standin-")
        self.database = self.folder / "rows.sqlite"
        self.options = list(options)
        self.certs = Path(certs) if certs else _certificates_for(self.options)
        self.ca = self.certs / "ca.crt"
        self.port = port
        self.counters = None
        self._process = None
        if schema:
            script = self.folder / "schema.sql"
            script.write_text(schema, encoding="utf-8")
            self.options += ["--schema", str(script)]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        if self._process:
            self.stop()

    def start(self, *options):
        """Start it, with more options for this time."""
        make_certificates(self.certs, self.options)
        self._errors = open(self.folder / "errors.txt", "ab")
        self._process = subprocess.Popen(
            [sys.executable, str(STANDIN), "--port", str(self.port), "--control", "0",
             "--certs", str(self.certs), "--db", str(self.database), *self.options, *options],
            stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )
        is_there = select.select([self._process.stdout], [], [], START_SECONDS)[0]
        ready = self._process.stdout.readline() if is_there else ""
        if not ready.startswith("ready "):
            self.kill()
            raise AssertionError(f"the stand-in did not start: {self.errors()}")
        fields = dict(word.split("=", 1) for word in ready.split()[1:])
        self.port = int(fields["url"].rpartition(":")[2])
        self.control_url = fields["control"]

    def stop(self):
        """End it as a service manager would. Returns the counters that it prints."""
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            out, _ = process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AssertionError("the stand-in did not stop") from None
        finally:
            self._errors.close()
        self.counters = json.loads(out)
        return self.counters

    def kill(self):
        """End it at once, as a power cut would."""
        process, self._process = self._process, None
        process.kill()
        process.communicate()
        self._errors.close()

    def errors(self):
        """What it said on stderr."""
        return (self.folder / "errors.txt").read_text(encoding="utf-8", errors="replace")

    def url(self, host="localhost", database="db1"):
        """What outputs.http.url is to be."""
        return f"https://{host}:{self.port}/restapi/telegraf?db={database}"

    # Control port

    def _ask(self, path, fields=None):
        data = None if fields is None else json.dumps(fields).encode()
        request = urllib.request.Request(self.control_url + path, data=data)
        try:
            with urllib.request.urlopen(request, timeout=CONTROL_SECONDS) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()}") from None

    def status(self):
        """Counters, faults that are set, rows of each table."""
        return self._ask("/status")

    def requests(self, path=None):
        """The record of requests, as dicts; of one path if given."""
        return self._ask("/requests" + (f"?path={urllib.parse.quote(path)}" if path else ""))

    def fault(self, fault):
        """Set a fault: `"drop-after:2:on=any"`; see tools/kwdb-standin --help."""
        self._ask("/fault", {"fault": fault})

    def clear(self, name=None):
        """Clear a fault, or all."""
        self._ask("/clear", {"name": name} if name else {})

    def sql(self, sql):
        """Run DDL as root."""
        self._ask("/sql", {"sql": sql})

    def clear_rows(self, table=None):
        """Empty a table, or all."""
        self._ask("/clear-rows", {"table": table} if table else {})

    def reset(self):
        """Set counters and the record of requests to nothing."""
        self._ask("/reset", {})

    def forget_tokens(self):
        self._ask("/forget-tokens", {})

    # Rows

    def query(self, sql, *values):
        """Rows of a SELECT on its SQLite file, as tuples; also when it is stopped."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def tables(self):
        """Names of the tables of the default database."""
        rows = self.query("select name from _kwdb_tables where db = 'db1' order by name")
        return [name for (name,) in rows]

    def row_count(self):
        """Rows in all tables of the default database."""
        return sum(self.query(f'select count(*) from "{name}"')[0][0] for name in self.tables())


# Configuration


def merge(base, changes):
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict) and key != "inputs":
            merge(base[key], value)
        else:
            base[key] = value


def make_config(server, changes=None):
    """A configuration for a server, which may be a Standin or an URL. `changes` are merged in;
    inputs among them take the place of mem and internal, and a value of None takes a key out."""
    config = {
        "agent": {"interval": "1s", "flush_interval": "1s", "hostname": "gw-1"},
        "outputs": {"http": {"url": server if isinstance(server, str) else server.url(),
                             "username": USER, "password": PASSWORD}},
        "inputs": {"mem": {}, "internal": {}},
    }
    if isinstance(server, Standin):
        config["outputs"]["http"]["tls_ca"] = str(server.ca)
    merge(config, copy.deepcopy(changes or {}))
    return without_none(config)


def without_none(value):
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return value


def write_config(config, path=None):
    """Write a configuration, a dict or text, to a file of its own or this one."""
    path = Path(path) if path else new_folder("config-") / "kwmote.json"
    text = config if isinstance(config, str) else json.dumps(config, indent=2)
    path.write_text(text, encoding="utf-8")
    return path


# The program


def _command(arguments, config):
    if not PROGRAM.exists():
        raise AssertionError(
            f"{PROGRAM} is missing: cmake --preset linux && cmake --build --preset linux"
        )
    command = [str(PROGRAM)]
    if config is not None:
        path = config if isinstance(config, Path) else write_config(config)
        command += ["--config", str(path)]
    return command + list(arguments)


def _environment(changes):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("KWMOTE_")}
    return {**kept, **(changes or {})}


def run_agent(arguments, config=None, timeout=30, env=None):
    """Run the program to its end. `config` is a dict, text, a Path or None for no --config; `env`
    goes on top of the environment. It has no terminal. Returns a CompletedProcess with texts."""
    return subprocess.run(
        _command(arguments, config), env=_environment(env), timeout=timeout, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        errors="replace", check=False, start_new_session=True,
    )


def make_tables(server, config, user=ROOT_USER, password=ROOT_PASSWORD):
    """Make the tables that a configuration needs, by `kwmote schema --apply`."""
    done = run_agent(["schema", "--apply", "--user", user], config,
                     env={"KWMOTE_APPLY_PASSWORD": password})
    if done.returncode != 0:
        raise AssertionError(f"schema --apply: {done.returncode}\n{done.stdout}{done.stderr}")
    server.reset()


class Agent:
    """A running agent; its log is taken down as it comes.

    with Agent(config) as agent:
        agent.wait_for("takes rows")
        agent.stop()
        agent.account
    """

    def __init__(self, config, arguments=(), env=None):
        self.config_path = config if isinstance(config, Path) else write_config(config)
        self._command = _command(arguments, self.config_path)
        self._env = _environment(env)
        self._lines = []
        self._more = threading.Condition()
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        if self.process.poll() is None:
            self.kill()

    def start(self):
        self.process = subprocess.Popen(
            self._command, env=self._env, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._more:
                self._lines.append(line.rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self._more.notify_all()

    @property
    def lines(self):
        """The log so far."""
        with self._more:
            return list(self._lines)

    @property
    def log(self):
        return "\n".join(self.lines)

    def count(self, pattern):
        """How many lines of the log match."""
        return sum(1 for line in self.lines if re.search(pattern, line))

    def wait_for(self, pattern, seconds=20, first=0):
        """Wait for a line that matches, from number `first` on.

        Returns the match; the number of the line is in `agent.found`."""
        end = time.monotonic() + seconds
        at = first
        with self._more:
            while True:
                while at < len(self._lines):
                    match = re.search(pattern, self._lines[at])
                    if match:
                        self.found = at
                        return match
                    at += 1
                left = end - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    log = "\n".join(self._lines)
                    raise AssertionError(f"no line matches {pattern!r}:\n{log}")
                self._more.wait(min(left, 0.2))

    def reload(self):
        """Let it read its configuration anew; write_config(..., agent.config_path) before."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self, seconds=STOP_SECONDS):
        """End it by SIGTERM, which lets it flush. Returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self):
        """End it by SIGKILL."""
        self.process.kill()
        return self.wait(STOP_SECONDS)

    def wait(self, seconds):
        """Wait for its end. Returns its exit status."""
        try:
            status = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the agent did not end:\n{self.log}") from None
        finally:
            self._reader.join(timeout=STOP_SECONDS)
            self.process.stderr.close()
        return status

    @property
    def account(self):
        """The last account in the log."""
        return parse_account(self.log)


# The account of rows

Account = namedtuple("Account", "collected stored refused dropped unknown waiting")

_ACCOUNT = re.compile(
    r"(\d+) rows collected: (\d+) stored, (\d+) refused, (\d+) dropped, (\d+) unknown, "
    r"(\d+) waiting"
)


def parse_account(log):
    """The last account in a log. Its numbers must add up."""
    found = _ACCOUNT.findall(log)
    if not found:
        raise AssertionError(f"there is no account of rows:\n{log}")
    account = Account(*map(int, found[-1]))
    if account.collected != sum(account[1:]):
        raise AssertionError(f"the account does not add up: {account}")
    return account


def check_account(account, rows):
    """The server may hold more than what is stored, but not more than is in doubt. `rows` is what
    it holds."""
    in_doubt = account.unknown + account.waiting
    if not account.stored <= rows <= account.stored + in_doubt:
        raise AssertionError(f"the server holds {rows} rows: {account}")
