# SPDX-License-Identifier: MIT
"""Connections: HTTP/1.1 as Go's server speaks it, and what goes wrong on the way.

A reply's head and body are handed to TLS in one write.

Context: one thread for each connection; no deadlines, as the real server has none.
"""

import email.utils
import gzip
import http.client
import socket
import socketserver
import sys
import threading
import time

from standin import rest
from standin.auth import HandlerPanic
from standin.rest import JSON, PLAIN, Request, Response
from standin.stream import HANDSHAKE_RECORD, Closed, Stream

HEAD_BYTES_MAX = 900 << 10
DRAIN_BYTES_MAX = 256 << 10
LENGTH_BYTES_MAX = 2048


class BadRequest(Exception):
    """A request that net/http answers by itself, with a status and close."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Exchange:
    """One request on a stream: its head, then its body when somebody asks for it."""

    def __init__(self, stream, data):
        self._stream = stream
        self._data = data
        self._body = None
        self.method, self.target, self.version, self.headers = self._read_head()
        self.chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        length = self.headers.get("content-length", "0")
        if not length.isdigit():
            raise BadRequest(400, "400 Bad Request")
        self.length = 0 if self.chunked else int(length)

    def _more(self):
        self._data += self._stream.read()

    def _read_head(self):
        while b"\r\n\r\n" not in self._data:
            if len(self._data) > HEAD_BYTES_MAX:
                raise BadRequest(431, "431 Request Header Fields Too Large")
            self._more()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise BadRequest(400, "400 Bad Request")
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise BadRequest(400, "400 Bad Request")
            value = value.strip(" \t").encode("latin-1").decode("utf-8", "surrogateescape")
            headers.setdefault(name.lower(), value)
        if words[2] == "HTTP/1.1" and "host" not in headers:
            raise BadRequest(400, "400 Bad Request: missing required Host header")
        return words[0], words[1], words[2], headers

    @property
    def keeps_alive(self):
        wish = self.headers.get("connection", "").lower()
        return "close" not in wish and (self.version == "HTTP/1.1" or "keep-alive" in wish)

    def read_body(self):
        if self._body is None:
            if "100-continue" in self.headers.get("expect", "").lower():
                self._stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._body = self._read_chunks() if self.chunked else self._take(self.length)
        return self._body

    def _take(self, count):
        while len(self._data) < count:
            self._more()
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def _line(self):
        while b"\r\n" not in self._data:
            self._more()
        line, _, self._data = self._data.partition(b"\r\n")
        return line

    def _read_chunks(self):
        body = bytearray()
        while True:
            try:
                size = int(self._line().split(b";")[0], 16)
            except ValueError:
                raise BadRequest(400, "400 Bad Request") from None
            body += self._take(size)
            line = self._line()
            while not size and line:
                line = self._line()
            if not size:
                return bytes(body)

    def can_be_drained(self):
        """Read away a body that nobody asked for, if it is small. Else the connection must end."""
        if self._body is None and self.length > DRAIN_BYTES_MAX:
            return False
        self.read_body()
        return True

    def rest(self):
        return self._data


def reply_bytes(response, exchange, close):
    """Head and body of a reply, as Go's server puts them."""
    body, headers = response.body, [("Cache-control", "no-cache"), ("X-Frame-Options", "DENY")]
    if body or response.status != 200:
        headers.append(("Content-Type", response.kind))
    headers += response.headers
    if body and "gzip" in exchange.headers.get("accept-encoding", ""):
        body = gzip.compress(body)
        headers.append(("Content-Encoding", "gzip"))
    headers.append(("Date", email.utils.formatdate(usegmt=True)))
    if len(body) <= LENGTH_BYTES_MAX:
        headers.append(("Content-Length", str(len(body))))
    elif exchange.version == "HTTP/1.1":
        headers.append(("Transfer-Encoding", "chunked"))
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    if close:
        headers.append(("Connection", "close"))
    elif exchange.version == "HTTP/1.0":
        headers.append(("Connection", "keep-alive"))
    reason = http.client.responses.get(response.status, "status code")
    lines = [f"{exchange.version} {response.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection:
    """One accepted connection, until it ends."""

    def __init__(self, server, sock, number):
        self._server = server
        self._stats = server.stats
        self._stream = Stream(sock, server.stats)
        self._number = number

    def run(self):
        try:
            if self._meets_fault():
                return
            if self._stream.first_bytes(1)[0] == HANDSHAKE_RECORD:
                self._stream.start_tls(self._server.context, self._server.new_context)
                self._serve(self._answer)
            else:
                self._serve(self._answer_plain)
        except Closed:
            pass
        finally:
            self._stream.close(notify=False)

    def _meets_fault(self):
        fault = self._server.faults.of_connection()
        if fault is None:
            return False
        self._stats.add("faults_met")
        if fault.name == "connect-hang":
            self._server.stopping.wait(fault.arg / 1000)
        if fault.name == "connect-reset":
            self._stream.reset()
        return True

    def _serve(self, answer):
        data, nth = b"", 0
        while True:
            nth += 1
            try:
                exchange = Exchange(self._stream, data)
                if not answer(exchange, nth):
                    self._stream.close()
                    return
            except BadRequest as error:
                text = (f"HTTP/1.1 {error}\r\nContent-Type: {PLAIN}\r\nConnection: close\r\n\r\n"
                        f"{error}")
                self._stream.write(text.encode())
                self._stream.close()
                return
            data = exchange.rest()

    def _answer_plain(self, exchange, _nth):
        """What a plain request on the TLS port gets; its credentials stay behind."""
        request = Request(exchange.method, exchange.target, exchange.headers, exchange.read_body)
        self._stats.add("plain_requests")
        if request.path == "/health":
            response = Response('{"nodeId":1}')
        else:
            self._server.auth.remembered = request.authorization
            location = "https://" + exchange.headers.get("host", "") + exchange.target
            response = Response(b"", 307, rest.HTML, [("Location", location)])
        keep = exchange.can_be_drained() and exchange.keeps_alive
        self._stream.write(reply_bytes(response, exchange, not keep))
        return keep

    def _answer(self, exchange, nth):
        """Answer one request. Returns whether the connection goes on."""
        request = Request(exchange.method, exchange.target, exchange.headers, exchange.read_body)
        request.fault = self._server.faults.of_request(request.path, nth)
        if request.fault:
            self._stats.add("faults_met")
        entry = {
            "at": round(time.time(), 3), "connection": self._number, "on_connection": nth,
            "method": request.method, "path": request.path, "status": None,
            "fault": request.fault.name if request.fault else None,
        }
        self._stats.record(entry)
        try:
            response = self._response(request, exchange)
        except HandlerPanic as panic:
            self._stats.add("crash_markers")
            print(f"kwdb-standin: a real node would have ended here: unexpected panic: {panic}",
                  file=sys.stderr, flush=True)
            response = None
        entry.update(request.note)
        if response is None:
            self._stream.close(notify=False)
            return False
        entry["status"] = response.status
        return self._send(request, exchange, response)

    def _response(self, request, exchange):
        """The reply, or None where a fault leaves none."""
        name = request.fault.name if request.fault else None
        if name in ("drop-before", "drop-reused", "reset-before", "hang"):
            exchange.read_body()
            if name == "hang":
                self._server.stopping.wait(request.fault.arg / 1000)
            if name == "reset-before":
                self._stream.reset()
            return None
        made = self._made_by_fault(name, request, exchange)
        if made:
            return made
        response = self._server.rest.handle(request)
        if name in ("drop-after", "reset-after"):
            if name == "reset-after":
                self._stream.reset()
            return None
        return response

    @staticmethod
    def _made_by_fault(name, request, exchange):
        arg = request.fault.arg if request.fault else None
        if name == "not-found":
            return rest.not_found()
        if name == "empty":
            return Response(b"", 200, JSON)
        if name == "html":
            return Response(rest.PORTAL, 200, rest.HTML)
        if name == "unavailable":
            return Response("Service Unavailable\n", 503, PLAIN, [("Retry-After", str(arg))])
        if name == "status":
            return Response("\n", arg, PLAIN)
        if name == "too-large" and len(exchange.read_body()) > arg:
            return Response("Request Entity Too Large\n", 413, PLAIN)
        return None

    def _send(self, request, exchange, response):
        """Send a reply, as a fault may have it. Returns whether the connection goes on."""
        fault = request.fault
        name = fault.name if fault else None
        keep = exchange.can_be_drained() and exchange.keeps_alive and name != "close"
        data = reply_bytes(response, exchange, not keep)
        if name == "delay":
            self._server.stopping.wait(fault.arg / 1000)
        if name == "truncate":
            self._stream.write(data[: fault.arg])
            self._stream.close(notify=False)
            return False
        if name == "drip":
            for at in range(len(data)):
                self._stream.write(data[at : at + 1])
                if self._server.stopping.wait(fault.arg / 1000):
                    return False
        else:
            self._stream.write(data)
        return keep and name != "close-silent"


class Server(socketserver.ThreadingTCPServer):
    """The listener. `stopping` is set when the process is asked to end."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address, make_context, rest_endpoints, auth, fault_set, stats):
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.new_context = make_context
        self.context = make_context()
        self.rest, self.auth, self.faults, self.stats = rest_endpoints, auth, fault_set, stats
        self.stopping = threading.Event()
        self._accepted = 0
        super().__init__(address, None)

    def finish_request(self, request, _client_address):
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._accepted += 1
        self.stats.add("connections")
        Connection(self, request, self._accepted).run()

    def shutdown_request(self, request):
        request.close()

    def handle_error(self, _request, client_address):
        if not self.stopping.is_set():
            super().handle_error(_request, client_address)
