# SPDX-License-Identifier: MIT
"""What the agents deliver to, each counting the field values that arrived.

    Standin    tools/kwdb-standin in a process of its own, for kwmote: counts what it stored
    HttpsSink  takes collectd's PUTVAL posts over TLS, for write_http
    UdpSink    takes collectd's binary protocol, for network

The two that speak TLS have the same certificate and versions (1.2 alone, as KWDB), are reached
through a counting relay, and can close each connection after one reply.
"""

import http.server
import json
import math
import re
import socket
import socketserver
import sqlite3
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from benchmark.process import Child, Failed, pause
from benchmark.relay import Relay

STANDIN = Path(__file__).resolve().parent.parent / "kwdb-standin"
START_SECONDS = 30
DATABASE = "db1"


def make_certificates(folder):
    """Make ca.crt, node.crt and node.key in a folder, for 127.0.0.1."""
    done = subprocess.run(
        [sys.executable, str(STANDIN), "--certs", str(folder), "--make-certs-only"],
        capture_output=True, text=True, check=False,
    )
    if done.returncode != 0:
        raise Failed(f"no certificates: {done.stderr.strip()}")


class Standin:
    """The stand-in for KWDB, on tables of a DDL script."""

    def __init__(self, folder, certs, schema, closes):
        self._rows = folder / "rows.sqlite"
        ready = folder / "standin.ready"
        command = [
            sys.executable, STANDIN, "--port", "0", "--control", "0", "--certs", certs, "--db",
            self._rows, "--database", DATABASE, "--schema", schema, "--ready-file", ready,
        ]
        self._child = Child(command + (["--fault", "close"] if closes else []),
                            folder / "standin.log")
        words = self._await_ready(ready)
        self._control = words["control"]
        self._relay = Relay(int(words["url"].rpartition(":")[2]))
        self.port = self._relay.port

    def _await_ready(self, ready):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            self._child.need_alive()
            if ready.exists() and ready.read_text(encoding="utf-8").endswith("\n"):
                words = ready.read_text(encoding="utf-8").split()
                return dict(word.split("=", 1) for word in words[1:])
            pause(0.05)
        raise Failed(f"the stand-in was not ready in {START_SECONDS} s")

    def counters(self):
        with urllib.request.urlopen(self._control + "/status", timeout=10) as reply:
            return json.load(reply)["counters"]

    def arrived(self):
        """A number that changes when something was stored."""
        return self.counters()["rows_stored"]

    def fields(self):
        return stored_fields(self._rows)

    def wire(self):
        return self._relay.bytes()

    def handshakes(self):
        counters = self.counters()
        return counters["full_handshakes"], counters["resumed_handshakes"]

    def need_nothing_refused(self):
        refused = self.counters()["refused"]
        if refused:
            raise Failed(f"the stand-in refused {refused} rows: does the schema not fit?")

    def close(self):
        self._relay.close()
        self._child.stop()


def stored_fields(path):
    """Field values in the stand-in's file: all that are not null, tags and time left out."""
    link = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        total = 0
        for name, text in link.execute("select name, columns from _kwdb_tables").fetchall():
            data = [column[0] for column in json.loads(text) if not column[-1].endswith("tag")]
            if len(data) > 1:
                counts = ", ".join(f'count("{column}")' for column in data[1:])
                total += sum(link.execute(f'select {counts} from "{name}"').fetchone())
        return total
    finally:
        link.close()


class HttpsSink:
    """A server for collectd's write_http in the format Command."""

    def __init__(self, certs, closes):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certs / "node.crt", certs / "node.key")
        self._server = _SinkServer(context, closes)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self._relay = Relay(self._server.server_address[1])
        self.port = self._relay.port

    def arrived(self):
        return self.fields()

    def fields(self):
        return self._server.fields

    def wire(self):
        return self._relay.bytes()

    def handshakes(self):
        return self._server.full, self._server.resumed

    def need_nothing_refused(self):
        if self._server.strange:
            raise Failed(f"collectd posted what is no PUTVAL: {self._server.strange}")

    def close(self):
        self._relay.close()
        self._server.shutdown()
        self._server.server_close()


class _SinkServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, context, closes):
        self._context, self.closes = context, closes
        self._lock = threading.Lock()
        self.fields = self.full = self.resumed = 0
        self.strange = ""
        super().__init__(("127.0.0.1", 0), _SinkHandler)

    def finish_request(self, request, client_address):
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with self._context.wrap_socket(request, server_side=True) as link:
                with self._lock:
                    if link.session_reused:
                        self.resumed += 1
                    else:
                        self.full += 1
                _SinkHandler(link, client_address, self)
        except OSError:
            pass  # the client's way to end

    def shutdown_request(self, request):
        request.close()

    def take(self, text):
        count, strange = putval_fields(text)
        with self._lock:
            self.fields += count
            self.strange = self.strange or strange


class _SinkHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.take(body.decode("utf-8", "replace"))
        self.send_response_only(200)
        self.send_header("Content-Length", "0")
        if self.server.closes:
            self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_arguments):
        pass


_PUTVAL = re.compile(r"PUTVAL \S+ interval=[\d.]+ [\d.]+((?::[^:\s]+)+)$")


def putval_fields(text):
    """(values in PUTVAL lines without those that are unknown, the first line that is none)."""
    count, strange = 0, ""
    for line in text.splitlines():
        found = _PUTVAL.match(line.strip())
        if found:
            values = found.group(1)[1:].split(":")
            count += sum(value not in ("U", "nan") for value in values)
        elif line.strip():
            strange = strange or line[:100]
    return count, strange


class UdpSink:
    """A receiver of collectd's network protocol. What counts as wire is the datagrams' payload."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._fields = self._bytes = 0
        self._strange = ""
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self):
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except OSError:
                return
            try:
                count = packet_fields(data)
            except (struct.error, IndexError, ValueError) as error:
                self._strange = self._strange or str(error)
                continue
            self._bytes += len(data)
            self._fields += count

    def arrived(self):
        return self._fields

    def fields(self):
        return self._fields

    def wire(self):
        return self._bytes, 0

    def handshakes(self):
        return 0, 0

    def need_nothing_refused(self):
        if self._strange:
            raise Failed(f"collectd sent a packet that cannot be read: {self._strange}")

    def close(self):
        self._socket.close()


_PART_VALUES = 0x0006
_GAUGE = 1


def packet_fields(data):
    """Values in a packet of collectd's binary protocol, without those that are not a number.

    Parts are {type: u16, length: u16 with this head, content}; a part of values has their count,
    a byte of kind for each, and 8 bytes for each, a gauge's in little endian.
    """
    count, at = 0, 0
    while at < len(data):
        kind, length = struct.unpack_from(">HH", data, at)
        if length < 4 or at + length > len(data):
            raise ValueError(f"a part of {length} bytes at {at} of {len(data)}")
        if kind == _PART_VALUES:
            (values,) = struct.unpack_from(">H", data, at + 4)
            for nth in range(values):
                raw = struct.unpack_from("<d", data, at + 6 + values + 8 * nth)[0]
                count += not (data[at + 6 + nth] == _GAUGE and math.isnan(raw))
        at += length
    return count
