# SPDX-License-Identifier: MIT
"""A relay on loopback that counts the bytes that pass: TCP's payload, so TLS with all its records.

Every agent delivers through one, so that all of them are measured the same way.
"""

import socket
import threading

_READ_BYTES = 1 << 16


class Relay:
    """Forwards connections to a port; `to_server`, `to_client` and `connections` count."""

    def __init__(self, server_port):
        self._server_port = server_port
        self._lock = threading.Lock()
        self.to_server = self.to_client = self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def bytes(self):
        with self._lock:
            return self.to_server, self.to_client

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port), timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _Link(self, client, server)

    def count(self, to_server, size):
        with self._lock:
            if to_server:
                self.to_server += size
            else:
                self.to_client += size


class _Link:
    """Two directions of one connection; the sockets are closed when both are over."""

    def __init__(self, relay, client, server):
        self._relay, self._pair = relay, (client, server)
        self._open = 2
        self._lock = threading.Lock()
        threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
        threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source, sink, to_server):
        try:
            while True:
                data = source.recv(_READ_BYTES)
                if not data:
                    break
                self._relay.count(to_server, len(data))
                sink.sendall(data)
        except OSError:
            pass
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        with self._lock:
            self._open -= 1
            if self._open == 0:
                for sock in self._pair:
                    sock.close()
