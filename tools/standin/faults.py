# SPDX-License-Identifier: MIT
"""What goes wrong, and when.

A fault is written NAME[=ARG][:COUNT][:every=N][:after=N][:on=WHICH]:

    COUNT     how often it happens; without it, until it is cleared
    every=N   only at each Nth request that it could meet
    after=N   not at the first N of them
    on=WHICH  telegraf (default), login, query, ddl, insert, health or any

Faults of a connection (`connect-*`) count connections and know no `on`. Where several faults
could meet one request, the first that was set wins.
"""

import threading
import time

# name: (default of ARG or None, what happens)
FAULTS = {
    "drop-before": (None, "close without a reply; the request is not executed"),
    "drop-after": (None, "execute the request, then close without a reply"),
    "drop-reused": (None, "as drop-before, but only from a connection's second request on"),
    "reset-before": (None, "as drop-before, by a TCP reset"),
    "reset-after": (None, "as drop-after, by a TCP reset"),
    "truncate": (100, "execute, send the first ARG bytes of the reply, close"),
    "not-found": (500, "for ARG ms from setting it: 404 for every path below /restapi/"),
    "empty": (None, "200 with an empty body; not executed"),
    "html": (None, "200 with a captive portal's page; not executed"),
    "hang": (600000, "not executed; say nothing for ARG ms, then close"),
    "delay": (500, "execute, reply after ARG ms"),
    "drip": (20, "execute, send the reply byte by byte, ARG ms apart"),
    "transient": (1, "each ARGth line: `pq: insert failed, reason: ...;`, not stored"),
    "altering": (1, "each ARGth line: a text that ends in `Please wait for success`"),
    "draining": (200, "for ARG ms from the first: two of three lines get texts of a shutdown"),
    "internal": (1, "each ARGth line: an internal error, which has no `pq: ` before it"),
    "close": (None, "reply with `Connection: close`, then close"),
    "close-silent": (None, "reply as always, then close"),
    "too-large": (0, "413 for a body of more than ARG bytes; not executed"),
    "unavailable": (1, "503 with `Retry-After: ARG`; not executed"),
    "status": (500, "the HTTP status ARG; not executed"),
    "huge": (1 << 20, "execute, put ARG bytes of an unknown key before the rest of the reply"),
    "wrong-password": (None, "every credential is wrong"),
    "forget-tokens": (None, "all login tokens are lost before the request is looked at"),
    "connect-close": (None, "close each new connection at once"),
    "connect-reset": (None, "reset each new connection at once"),
    "connect-hang": (600000, "accept, say nothing for ARG ms, then close"),
}

_PATHS = ("telegraf", "login", "query", "ddl", "insert", "health")


class FaultError(ValueError):
    """A fault that cannot be understood, with what is allowed."""


class Fault:
    """One fault and how far it is."""

    def __init__(self, text):
        head, *options = text.split(":")
        self.text = text
        self.name, _, arg = head.partition("=")
        if self.name not in FAULTS:
            raise FaultError(f"unknown fault '{self.name}'; known: {', '.join(FAULTS)}")
        self.arg = FAULTS[self.name][0]
        if arg and self.arg is None:
            raise FaultError(f"fault '{self.name}' takes no argument")
        if arg:
            self.arg = _number(arg, text)
        self.left, self.every, self.after, self.where = None, 1, 0, "telegraf"
        for option in options:
            self._read_option(option, text)
        self.met = 0
        self.set_at = time.monotonic()
        self.first_met = None

    def _read_option(self, option, text):
        key, equals, value = option.partition("=")
        if not equals:
            self.left = _number(key, text)
        elif key == "every":
            self.every = max(1, _number(value, text))
        elif key == "after":
            self.after = _number(value, text)
        elif key == "on" and value in (*_PATHS, "any"):
            self.where = value
        else:
            raise FaultError(f"'{option}' in fault '{text}'; allowed: COUNT, every=N, after=N, "
                             f"on={'|'.join((*_PATHS, 'any'))}")

    @property
    def is_of_connection(self):
        return self.name.startswith("connect-")

    def _concerns(self, path, nth_on_connection):
        if self.name == "not-found":
            if time.monotonic() - self.set_at > self.arg / 1000:
                return False
            return path.startswith("/restapi/")
        if self.name == "drop-reused" and nth_on_connection == 1:
            return False
        return self.where == "any" or path in (f"/restapi/{self.where}", f"/{self.where}")

    def happens(self, path, nth_on_connection):
        """Whether it happens now; counts."""
        if self.left == 0 or not self.is_of_connection and not self._concerns(
            path, nth_on_connection
        ):
            return False
        if self.name == "draining" and self.first_met is not None:
            if time.monotonic() - self.first_met > self.arg / 1000:
                return False
        self.met += 1
        if self.met <= self.after or (self.met - self.after) % self.every:
            return False
        if self.first_met is None:
            self.first_met = time.monotonic()
        if self.left is not None:
            self.left -= 1
        return True


def _number(text, whole):
    if not text.isdigit():
        raise FaultError(f"'{text}' in fault '{whole}' is not a whole number")
    return int(text)


class Faults:
    """The faults that are set, in the order of their setting."""

    def __init__(self, texts=()):
        self._lock = threading.Lock()
        self._faults = [Fault(text) for text in texts]

    def set(self, text):
        fault = Fault(text)
        with self._lock:
            self._faults.append(fault)

    def clear(self, name=None):
        """Clear the faults of one name, or all."""
        with self._lock:
            self._faults = [fault for fault in self._faults if name and fault.name != name]

    def list(self):
        with self._lock:
            return [{"fault": f.text, "met": f.met, "left": f.left} for f in self._faults]

    def of_connection(self):
        """The fault that a new connection meets, or None."""
        with self._lock:
            return next((f for f in self._faults if f.is_of_connection and f.happens("", 1)), None)

    def of_request(self, path, nth_on_connection):
        """The fault that a request meets, or None."""
        with self._lock:
            return next(
                (f for f in self._faults
                 if not f.is_of_connection and f.happens(path, nth_on_connection)),
                None,
            )


_DRAINING = (
    "pq: cannot acquire lease when draining;",
    "pq: node unavailable; try another peer;",
    "pq: failed to send RPC: sending to all 1 replicas failed;",
)


def line_piece(fault, at):
    """The piece that a fault gives to the line of this index instead of executing it, or None."""
    if fault is None:
        return None
    nth = fault.name in ("transient", "altering", "internal") and (at + 1) % max(1, fault.arg) == 0
    if fault.name == "draining" and at % 3:
        return _DRAINING[at // 3 % len(_DRAINING)]
    if nth and fault.name == "transient":
        return "pq: insert failed, reason: replica is not available;"
    if nth and fault.name == "altering":
        return "pq: table is being altered by another job. Please wait for success;"
    if nth and fault.name == "internal":
        return 'internal executor error: connection to node \\"n1\\" is lost,'
    return None
