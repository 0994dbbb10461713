# SPDX-License-Identifier: MIT
"""What the stand-in's tests share: a server in a process of its own, and a bare HTTPS client."""

import atexit
import base64
import http.client
import json
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "kwdb-standin"
sys.path.insert(0, str(ROOT / "tools"))

TABLES = """
create table sensor (k_timestamp timestamp not null, temp float8, cnt int8, msg varchar(32))
    tags (host varchar(64) not null, site varchar(16)) primary tags (host);
create table swap (k_timestamp timestamp not null, total int8, "in" int8)
    tags (host varchar(64) not null) primary tags (host);
"""
ROOT_USER, KWDB_USER = "root:kwdbpassword", "kwdb:kwdbpass"
STAMP = 1687898010000
START_SECONDS = 20

_certs = tempfile.mkdtemp(prefix="kwdb-standin-test-")
atexit.register(shutil.rmtree, _certs, ignore_errors=True)


def basic(user):
    return "Basic " + base64.b64encode(user.encode()).decode()


def lines(count, first=0, table="sensor", value="temp=1"):
    """So many good lines of one table, a millisecond apart."""
    return "\n".join(f"{table},host=a {value} {STAMP + first + at}" for at in range(count))


class Standin:
    """A running stand-in. `folder` holds its files and outlives it."""

    def __init__(self, *options, certs=None, schema=TABLES):
        self.folder = Path(tempfile.mkdtemp(prefix="kwdb-standin-test-"))
        self.certs = certs or _certs
        self.options = list(options)
        if schema:
            script = self.folder / "schema.sql"
            script.write_text(schema, encoding="utf-8")
            self.options += ["--schema", str(script)]
        self.start()

    def start(self):
        self._process = subprocess.Popen(
            [sys.executable, str(TOOL), "--port", "0", "--control", "0", "--certs", self.certs,
             "--db", str(self.folder / "rows.db"), *self.options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        if not select.select([self._process.stdout], [], [], START_SECONDS)[0]:
            raise AssertionError("the stand-in is not ready in time")
        ready = self._process.stdout.readline()
        if not ready.startswith("ready "):
            raise AssertionError(f"the stand-in did not start: {self._process.communicate()}")
        fields = dict(word.split("=", 1) for word in ready.split()[1:])
        self.url, self.ca, self.control_url = fields["url"], fields["ca"], fields["control"]
        self.port = int(self.url.rpartition(":")[2])

    def stop(self, number=signal.SIGTERM):
        """End it. Returns (exit code, counters that it printed, what stood on stderr)."""
        self._process.send_signal(number)
        out, errors = self._process.communicate(timeout=10)
        return self._process.returncode, json.loads(out) if out else None, errors

    def remove(self):
        if self._process.poll() is None:
            self.stop()
        self._process.stdout.close()
        self._process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def control(self, path, **fields):
        """GET of a path, or POST of fields to it."""
        posts = fields or path in ("/reset", "/clear", "/clear-rows", "/stop", "/forget-tokens")
        data = json.dumps(fields).encode() if posts else None
        with urllib.request.urlopen(self.control_url + path, data, timeout=10) as reply:
            return json.load(reply)

    def counters(self):
        return self.control("/status")["counters"]

    def rows(self, table="sensor"):
        return self.control(f"/rows?table={table}")

    def client_context(self, **options):
        context = ssl.create_default_context(cafile=self.ca)
        for name, value in options.items():
            setattr(context, name, value)
        return context

    def tls(self, context=None, name="localhost", session=None):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        context = context or self.client_context()
        try:
            return context.wrap_socket(plain, server_hostname=name, session=session)
        except BaseException:
            plain.close()
            raise

    def connection(self):
        """An http.client connection, which a test may keep alive."""
        return http.client.HTTPSConnection(
            "localhost", self.port, context=self.client_context(), timeout=5
        )

    def request(self, path, body=None, user=ROOT_USER, method=None, headers=None, connection=None):
        """(status, headers, body) of one request, on a connection of its own unless given one."""
        sent = {"Authorization": basic(user)} if user else {}
        sent.update(headers or {})
        link = connection or self.connection()
        try:
            if isinstance(body, str):
                body = body.encode()
            link.request(method or ("GET" if body is None else "POST"), path, body, sent)
            reply = link.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            if connection is None:
                link.close()

    def post(self, body, user=ROOT_USER, db="db1", **options):
        """The JSON reply to a batch."""
        return json.loads(self.request(f"/restapi/telegraf?db={db}", body, user, **options)[2])

    def sql(self, path, text, user=ROOT_USER, db="db1"):
        """The JSON reply of /restapi/ddl or /restapi/query."""
        return json.loads(self.request(f"/restapi/{path}?db={db}", text, user)[2])

    def raw(self, data, context=None):
        """All that comes back for these bytes until the server closes."""
        with self.tls(context) as link:
            link.sendall(data)
            got = b""
            try:
                while True:
                    more = link.recv(1 << 16)
                    if not more:
                        return got
                    got += more
            except (ConnectionError, ssl.SSLError):
                return got

    def wire_end(self, data):
        """How a connection ends that carries these bytes: "fin", "reset", or "said" if TLS or HTTP
        said anything before."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    link.sendall(outgoing.read())
                    incoming.write(link.recv(1 << 16))
            tls.write(data)
            link.sendall(outgoing.read())
            try:
                return "said" if link.recv(1) else "fin"
            except ConnectionResetError:
                return "reset"


class StandinTest(unittest.TestCase):
    """A class of tests that share one stand-in, emptied before each of them."""

    options = ()
    schema = TABLES

    @classmethod
    def setUpClass(cls):
        cls.server = Standin(*cls.options, schema=cls.schema)
        cls.addClassCleanup(cls.server.remove)

    def setUp(self):
        self.server.control("/clear")
        self.server.control("/clear-rows")
        self.server.control("/reset")
