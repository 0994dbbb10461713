# SPDX-License-Identifier: MIT
"""The loopback port by which tests look at the server and change what goes wrong.

    GET  /status              counters, faults that are set, rows of each table
    GET  /requests[?path=P]   the record of requests
    GET  /rows?table=T[&limit=N]          rows as objects, the newest last
    POST /fault {"fault": "NAME=ARG:..."}          set a fault
    POST /clear {"name": "NAME"} or {}             clear faults
    POST /sql {"sql": "...", "db": D}              run DDL as root
    POST /clear-rows {"table": T} or {}            empty a table, or all
    POST /reset {}            counters and record to nothing
    POST /forget-tokens {}    all login tokens are lost
    POST /stop {}             stop as by SIGTERM

A table T is called as in SQLite: TABLE, or DATABASE.TABLE outside the default database.
"""

import http.server
import json
import urllib.parse

from standin.coltypes import SqlError
from standin.ddl import Ddl
from standin.faults import FaultError
from standin.sqltext import ParseError

_ROWS_DEFAULT = 1000


def split_script(text):
    """The statements of a file: split at `;` outside quotes, lines that begin with -- left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    parts, quote = [""], None
    for char in "\n".join(lines):
        if char == quote:
            quote = None
        elif quote is None and char in "'\"":
            quote = char
        if char == ";" and quote is None:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


def run_script(engine, text, db, lenient=False):
    """Run DDL as root; if lenient, pass over what exists already. Raises SqlError, ParseError."""
    ddl = Ddl(engine, "root", db)
    with engine.store.lock:
        for statement in split_script(text):
            try:
                ddl.run(statement)
            except SqlError as error:
                if not lenient or "already exists" not in str(error):
                    raise
        engine.store.commit()


class Control:
    """What the port can do, apart from HTTP."""

    def __init__(self, engine, auth, fault_set, stats, stop):
        self._engine = engine
        self._store = engine.store
        self._auth = auth
        self._faults = fault_set
        self._stats = stats
        self._stop = stop

    def status(self):
        with self._store.lock:
            tables = {
                self._store.sqlite_name(table): self._store.count(table)
                for table in self._tables()
            }
        return {"counters": self._stats.counters(), "faults": self._faults.list(), "rows": tables}

    def _tables(self, name=None):
        """The table of a name in SQLite, or all. Raises KeyError."""
        found = [
            table for table in self._store.tables.values()
            if name in (None, self._store.sqlite_name(table))
        ]
        if name and not found:
            raise KeyError(name)
        return found

    def rows(self, fields):
        with self._store.lock:
            table = self._tables(fields["table"])[0]
            names = [column.name for column in table.columns]
            found = self._store.newest(table, int(fields.get("limit", _ROWS_DEFAULT)))
        return [dict(zip(names, row)) for row in found]

    def get(self, path, fields):
        if path == "/status":
            return self.status()
        if path == "/requests":
            return self._stats.requests(fields.get("path"))
        return self.rows(fields) if path == "/rows" else None

    def post(self, path, fields):
        if path == "/fault":
            self._faults.set(fields["fault"])
        elif path == "/clear":
            self._faults.clear(fields.get("name"))
        elif path == "/sql":
            run_script(self._engine, fields["sql"], fields.get("db", self._store.default_db))
        elif path == "/clear-rows":
            with self._store.lock:
                for table in self._tables(fields.get("table")):
                    self._store.clear(table)
        elif path == "/reset":
            self._stats.reset()
        elif path == "/forget-tokens":
            self._auth.forget_tokens()
        elif path == "/stop":
            self._stop()
        else:
            return None
        return {"ok": True}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _reply(self, act):
        try:
            answer = act()
            status = 404 if answer is None else 200
        except (KeyError, ValueError, FaultError, SqlError, ParseError) as error:
            answer, status = {"error": f"{type(error).__name__}: {error}"}, 400
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        fields = dict(urllib.parse.parse_qsl(url.query))
        self._reply(lambda: self.server.control.get(url.path, fields))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._reply(lambda: self.server.control.post(self.path, json.loads(body or b"{}")))

    def log_message(self, *_arguments):
        pass


class ControlServer(http.server.ThreadingHTTPServer):
    """The port itself, on loopback only."""

    daemon_threads = True

    def __init__(self, port, control):
        self.control = control
        super().__init__(("127.0.0.1", port), _Handler)
