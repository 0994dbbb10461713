# SPDX-License-Identifier: MIT
"""The endpoints: which checks come in which order, and the reply to each outcome.

A handler gets a Request and gives a Response; what it learned about a batch it writes into
`request.note`, which ends up in the record of requests.
"""

import json
import posixpath
import re
import time
import urllib.parse

from standin import faults, telegraf
from standin.auth import AuthError
from standin.coltypes import SqlError
from standin.ddl import Ddl
from standin.gotext import json_float, json_string, quoted
from standin.query import Query
from standin.sqltext import ParseError

DDL_WORDS = re.compile(r"\b(?:create|drop|delete|use|alter|update|grant|revoke)\b")
NOT_A_QUERY = ("insert", "set", "drop", "alter", "delete", "update")
ZONE = re.compile(r"[+-]?\d{1,2}\Z|[A-Za-z]+(?:/[A-Za-z_+0-9-]+)*\Z")
JSON = "application/json"
HTML = "text/html; charset=utf-8"
PLAIN = "text/plain; charset=utf-8"

PORTAL = (b"<!DOCTYPE html><html><head><title>Guest network</title></head>"
          b"<body><h1>Please log in to use this network</h1></body></html>")

RELEASES = ("2.1", "2.2", "current")


class Request:
    """One request; `read_body()` is called only by those handlers that read the body."""

    def __init__(self, method, target, headers, read_body):
        self.method = method
        self.path, _, query = target.partition("?")
        self.path = urllib.parse.unquote(self.path)
        self.raw_query = query
        # Of several values of one name the first counts.
        self.query = dict(reversed(urllib.parse.parse_qsl(query, keep_blank_values=True)))
        self.headers = headers
        self.read_body = read_body
        self.fault = None
        self.note = {}

    @property
    def authorization(self):
        return self.headers.get("authorization", "")


class Response:
    """A status, a body and its type, and further headers."""

    def __init__(self, body, status=200, kind=JSON, headers=()):
        self.body = body if isinstance(body, bytes) else body.encode("utf-8", "replace")
        self.status = status
        self.kind = kind
        self.headers = list(headers)
        self.close = False


def failure(desc):
    return Response(f'{{"code":-1,"desc":{json_string(desc)}}}')


def not_found():
    headers = [("X-Content-Type-Options", "nosniff")]
    return Response("404 page not found\n", 404, PLAIN, headers)


def _clean(path):
    cleaned = posixpath.normpath(path)
    cleaned = "/" + cleaned.lstrip("/")
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def _hand_made(text):
    """A reply that KWDB puts together by hand; if it is no JSON, nothing at all is written."""
    try:
        json.loads(text)
    except ValueError:
        return Response(b"")
    return Response(text)


def _desc_array(desc):
    """`desc` of ddl and insert: what stands between commas, each in quotes."""
    desc = desc.replace('"""', '"').replace('""', '"').rstrip(",")
    return "[" + ",".join(f'"{part}"' for part in desc.split(",")).rstrip(",") + "]"


def _escaped(error):
    return str(error).replace('"', '\\"')


class Rest:
    """The endpoints of one server."""

    def __init__(self, engine, auth, stats, release="current"):
        self._engine = engine
        self._store = engine.store
        self._auth = auth
        self._stats = stats
        self._release = release
        self._routes = {
            "/restapi/telegraf": self._telegraf, "/restapi/ddl": self._ddl,
            "/restapi/query": self._query, "/restapi/insert": self._insert,
        }

    def handle(self, request):
        """The reply to a request. Raises auth.HandlerPanic where a real node would end."""
        if request.path == "/health":
            return Response('{"nodeId":1}')
        cleaned = _clean(request.path)
        if cleaned != request.path:
            target = cleaned + ("?" + request.raw_query if request.raw_query else "")
            return Response(b"", 301, HTML, [("Location", target)])
        if not request.path.startswith("/restapi/"):
            return not_found()
        if request.fault and request.fault.name == "forget-tokens":
            self._auth.forget_tokens()
        if request.path == "/restapi/login":
            return self._login(request)
        try:
            credentials = self._auth.parse(request.authorization)
        except AuthError as error:
            return failure(str(error))
        handler = self._routes.get(request.path)
        return handler(request, credentials) if handler else not_found()

    def _login(self, request):
        if request.query.get("db"):
            return failure("wrong db parameter for login.")
        if request.method != "GET":
            return failure("support only GET method.")
        request.read_body()
        try:
            if request.fault and request.fault.name == "wrong-password":
                raise AuthError("the provided username and password did not match any "
                                "credentials on the server.")
            token = self._auth.login(request.authorization)
        except AuthError as error:
            return failure(str(error))
        self._stats.add("tokens_issued")
        return Response(f'{{"code":0,"token":"{token}"}}')

    def _opened(self, request, credentials):
        """(user, database, body) of a POST. Raises AuthError with the `desc` that refuses it."""
        self._auth.refresh_remembered(request.authorization)
        if request.method != "POST":
            raise AuthError("only support POST method")
        body = request.read_body()
        request.note["body_bytes"] = len(body)
        if not body:
            raise AuthError("invalid request body")
        if request.fault and request.fault.name == "wrong-password":
            raise AuthError("can not find token, need login first")
        user = self._auth.user_of(credentials)
        request.note["user"] = user
        zone = request.query.get("tz", "").strip("'")
        if zone and not ZONE.match(zone):
            raise AuthError(f'pq: invalid value for parameter "timezone": {quoted(zone)}')
        db = request.query.get("db") or "defaultdb"
        return user, db, body.decode("utf-8", "surrogateescape")

    # telegraf

    def _telegraf(self, request, credentials):
        try:
            user, db, body = self._opened(request, credentials)
        except AuthError as error:
            request.note["code"] = -1
            return failure(str(error))
        if self._release == "2.2" and db not in self._store.databases:
            return failure(f'pq: database "{db}" does not exist')
        started = time.perf_counter()
        lines = telegraf.split_lines(body)
        with self._store.lock:
            self._store.begin()
            try:
                verdicts = [
                    self._line(user, db, line, faults.line_piece(request.fault, at))
                    for at, line in enumerate(lines)
                ]
            finally:
                self._store.commit()
        return self._telegraf_reply(request, verdicts, time.perf_counter() - started)

    def _line(self, user, db, line, faulty):
        """(piece of desc, rows or None if the line was refused)"""
        if faulty:
            return faulty, None
        statement = telegraf.insert_statement(line)
        if statement is None:
            return telegraf.WRONG_LINE, None
        if statement.count(";") > 1:
            return telegraf.TWO_STATEMENTS, None
        try:
            written = self._engine.insert(user, db, statement)
        except ParseError as error:
            end = ";" if self._release == "2.2" else ""
            return f"pq: {error}{end}", None
        except SqlError as error:
            return f"pq: {error};", None
        if written.replaced:
            self._stats.add("rows_overwritten", written.replaced)
        if written.changed:
            self._stats.add("rows_changed", written.changed)
        return "success;", written.rows

    def _telegraf_reply(self, request, verdicts, seconds):
        stored = [rows for _, rows in verdicts if rows is not None]
        refused = len(verdicts) - len(stored)
        code = -1 if refused else 0
        rows, desc = sum(stored), "".join(piece for piece, _ in verdicts)
        self._stats.add("lines", len(verdicts))
        self._stats.add("rows_stored", rows)
        self._stats.add("refused", refused)
        request.note.update(lines=len(verdicts), code=code, rows=rows, stored=rows)
        if self._release == "2.1":
            last, last_rows = verdicts[-1]
            desc = last[:-1] if last.endswith(";") else last
            rows = last_rows or 0
            request.note["rows"] = rows
        notice = ""
        if request.fault and request.fault.name == "huge":
            notice = '"notice":"' + "x" * request.fault.arg + '",'
        return Response(f'{{{notice}"code":{code},"desc":{json_string(desc)},'
                        f'"time":{json_float(seconds)},"rows":{rows}}}')

    # ddl, insert

    @staticmethod
    def _statements(body):
        """The statements of a body: line ends vanish, and `;` splits, in quotes too."""
        parts = body.replace("\r\n", "").replace("\n", "").split(";")
        return [part for part in parts if part]

    def _ddl(self, request, credentials):
        try:
            user, db, body = self._opened(request, credentials)
        except AuthError as error:
            return failure(str(error))
        desc, code, started = "", 0, time.perf_counter()
        with self._store.lock:
            ddl = Ddl(self._engine, user, db)
            for statement in self._statements(body):
                lower = statement.lower()
                if not DDL_WORDS.search(lower) or "show create" in lower:
                    desc += "wrong statement for ddl interface and please check,"
                    code = -1
                    continue
                try:
                    ddl.run(statement)
                    desc += "success,"
                except (ParseError, SqlError) as error:
                    desc += f"pq: {_escaped(error)},"
                    code = -1
            self._store.commit()
        seconds = time.perf_counter() - started
        request.note["code"] = code
        return _hand_made(f'{{"code":{code},"desc":{_desc_array(desc)},"time":{seconds:f}}}')

    def _insert(self, request, credentials):
        try:
            user, db, body = self._opened(request, credentials)
        except AuthError as error:
            return failure(str(error))
        desc, code, rows, started = "", 0, 0, time.perf_counter()
        with self._store.lock:
            self._store.begin()
            for statement in self._statements(body):
                if not statement.lower().startswith("insert into"):
                    desc += "can not find insert statement and please check,"
                    code = -1
                    continue
                try:
                    rows += self._engine.insert(user, db, statement).rows
                    desc += "success,"
                except (ParseError, SqlError) as error:
                    desc += f"pq: {_escaped(error)},"
                    code = -1
            self._store.commit()
        seconds = time.perf_counter() - started
        request.note.update(code=code, rows=rows)
        self._stats.add("rows_stored", rows)
        return _hand_made(f'{{"code":{code},"desc":{_desc_array(desc)},"rows":{rows},'
                          f'"notice":null,"time":{seconds:f}}}')

    # query

    def _query(self, request, credentials):
        try:
            user, db, text = self._opened(request, credentials)
        except AuthError as error:
            return failure(str(error))
        lower = text.lower()
        if text.count(";") > 1:
            return failure("only support single statement for each query interface, please check.")
        if lower.startswith("create"):
            return failure("do not support create statement for query interface, please check.")
        for word in NOT_A_QUERY:
            if lower.startswith(word):
                return failure(
                    f"do not support {word} statement for query interface, please check."
                )
        started = time.perf_counter()
        try:
            with self._store.lock:
                meta, rows = Query(self._engine, user, db).run(text)
        except ParseError as error:
            desc = _desc_array(_escaped(error))
            return _hand_made(f'{{"code":-1,"desc":{desc},"time":0.000000}}')
        except SqlError as error:
            return failure(f"pq: {error}")
        return self._query_reply(meta, rows, time.perf_counter() - started)

    @staticmethod
    def _query_reply(meta, rows, seconds):
        columns = ",".join(
            f"[{json_string(name)},{json_string(kind)},{length}]" for name, kind, length in meta
        )
        data = ",".join("[" + ",".join(map(json_string, row)) + "]" for row in rows)
        return Response(f'{{"code":0,"desc":"success","time":{json_float(seconds)},'
                        f'"column_meta":[{columns}],"data":[{data}],"rows":{len(rows)}}}')
