# SPDX-License-Identifier: MIT
"""Bytes to and from a peer, with TLS as KWDB's node has it.

TLS runs between the socket and us in memory, so that bytes on the wire are counted, a record can
be cut or reset anywhere, and a plain request on the TLS port is seen for what it is.
"""

import socket
import ssl
import struct

READ_BYTES = 1 << 16

_CIPHERS = ":".join((
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA", "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA",
))
_NO_PROTOCOL_ALERT = bytes((21, 3, 3, 0, 2, 2, 120))
HANDSHAKE_RECORD = 22
_TICKET_EXTENSION, _ALPN_EXTENSION = 35, 16


class Closed(Exception):
    """The connection is over."""


def tls_context(certificate, key, tls13):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_3 if tls13 else ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    return context


class _Hello:
    """What a ClientHello says that OpenSSL's server would treat otherwise than Go's."""

    def __init__(self, record):
        self.protocols, self.has_ticket_extension = [], False
        body = memoryview(record)[5:]
        at = 4 + 2 + 32
        self.has_session_id = body[at] > 0
        at += 1 + body[at]
        at += 2 + int.from_bytes(body[at : at + 2], "big")
        at += 1 + body[at]
        end = at + 2 + int.from_bytes(body[at : at + 2], "big")
        at += 2
        while at + 4 <= end:
            kind, size = struct.unpack(">HH", body[at : at + 4])
            value = bytes(body[at + 4 : at + 4 + size])
            at += 4 + size
            if kind == _TICKET_EXTENSION:
                self.has_ticket_extension = True
            elif kind == _ALPN_EXTENSION:
                self._read_protocols(value[2:])

    def _read_protocols(self, value):
        while value:
            self.protocols.append(value[1 : 1 + value[0]].decode("latin-1"))
            value = value[1 + value[0] :]


class Stream:
    """Bytes to and from a peer over a socket, with TLS on top once `start_tls` is done."""

    def __init__(self, sock, stats):
        self._sock = sock
        self._stats = stats
        self._tls = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._buffer = b""

    def _from_wire(self):
        try:
            data = self._sock.recv(READ_BYTES)
        except OSError:
            raise Closed from None
        if not data:
            raise Closed
        self._stats.add("bytes_in", len(data))
        return data

    def _to_wire(self, data):
        try:
            self._sock.sendall(data)
        except OSError:
            raise Closed from None
        self._stats.add("bytes_out", len(data))

    def _flush(self):
        data = self._outgoing.read()
        if data:
            self._to_wire(data)

    def first_bytes(self, count):
        """At least so many bytes as they came in, left to be read again."""
        while len(self._buffer) < count:
            self._buffer += self._from_wire()
        return self._buffer

    def start_tls(self, context, fresh_context):
        """The server's part of a handshake."""
        size = 5 + int.from_bytes(self.first_bytes(5)[3:5], "big")
        try:
            hello = _Hello(self.first_bytes(size)[:size])
        except (IndexError, struct.error):
            hello = None
        if hello and hello.protocols and "http/1.1" not in hello.protocols:
            self._to_wire(_NO_PROTOCOL_ALERT)
            raise Closed
        if hello and hello.has_session_id and not hello.has_ticket_extension:
            context = fresh_context()  # Go keeps no sessions: only a ticket resumes one
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._incoming.write(self._buffer)
        self._buffer = b""
        try:
            self._do(self._tls.do_handshake)
        except ssl.SSLError:
            self._stats.add("failed_handshakes")
            self._flush()  # the alert
            raise Closed from None
        resumed = self._tls.session_reused
        self._stats.add("resumed_handshakes" if resumed else "full_handshakes")
        self._flush()

    def _do(self, action, *arguments):
        while True:
            try:
                return action(*arguments)
            except ssl.SSLWantReadError:
                self._flush()
                self._incoming.write(self._from_wire())

    def read(self):
        """Some bytes; raises Closed at the end."""
        if self._buffer:
            data, self._buffer = self._buffer, b""
            return data
        if self._tls is None:
            return self._from_wire()
        try:
            data = self._do(self._tls.read, READ_BYTES)
        except ssl.SSLError:
            raise Closed from None
        if not data:
            raise Closed
        return data

    def write(self, data):
        if self._tls is None:
            self._to_wire(data)
            return
        sent = 0
        try:
            while sent < len(data):
                sent += self._tls.write(data[sent:])
        except ssl.SSLError:
            raise Closed from None
        self._flush()

    def close(self, notify=True):
        """close_notify and FIN; without `notify` a bare FIN."""
        if self._tls is not None and notify:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass
            try:
                self._flush()
            except Closed:
                pass
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._sock.close()

    def reset(self):
        linger = struct.pack("ii", 1, 0)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._sock.close()
