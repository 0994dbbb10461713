# SPDX-License-Identifier: MIT
"""/restapi/query: SHOW ..., and SELECT, which SQLite runs once the tables' names are put in.

Results are text, as KWDB makes them: NULL is `NULL`, a time is `2023-06-27 20:33:30 +0000 +0000`.
Times in a WHERE clause are integers in the column's own unit.
"""

import datetime
import re
import sqlite3

from standin import ddl
from standin.coltypes import SqlError, TIMES
from standin.gotext import float_text, quoted
from standin.sqltext import Scanner, Statement


_SAME_TYPE = re.compile(r"(?:min|max)\((.*)\)\Z", re.IGNORECASE)
_UNLIMITED = 9223372036854775807
_LENGTHS = {"BOOL": 1, "INT2": 2, "INT4": 4, "INT8": 8, "FLOAT4": 4, "FLOAT8": 8,
            "TIMESTAMP": 8, "TIMESTAMPTZ": 8}


def time_text(value, width):
    """A time as date, time and what is not zero of the fraction."""
    unit = 10**width
    seconds, fraction = divmod(value, unit)
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    digits = f"{fraction:0{width}d}".rstrip("0") if fraction else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}" + ("." + digits if digits else "")


def _cell(value, column_type):
    if value is None:
        return "NULL"
    base = column_type.base if column_type else ""
    if base in TIMES:
        try:
            return time_text(value, column_type.width) + " +0000 +0000"
        except OverflowError:
            return str(value)
    if base == "BOOL":
        return "true" if value else "false"
    if isinstance(value, float):
        text = float_text(value)
        return text[:-2] if text.endswith(".0") else text
    return str(value).replace("\n", "").replace("\t", " ")


def _meta(name, column_type, sample):
    if column_type is None:
        base = {int: "INT8", float: "FLOAT8"}.get(type(sample), "TEXT")
        return [name, base, _LENGTHS.get(base, _UNLIMITED)]
    base, width = column_type
    return [name, base, _LENGTHS.get(base) or width or _UNLIMITED]


class Query:
    """Runs one statement of a user. `run` returns (column meta, rows of text)."""

    def __init__(self, engine, user, db):
        self._engine = engine
        self._store = engine.store
        self._user = user
        self._db = db

    def run(self, text):
        """Raises ParseError or SqlError."""
        statement = Statement(text)
        if statement.accept_word("show"):
            return self._show(statement)
        statement.expect_word("select", "with", "explain")
        return self._select(text.rstrip().rstrip(";"))

    # SHOW

    def _show(self, statement):
        word = statement.expect_word("create", "tables", "databases", "columns")
        return getattr(self, "_show_" + word)(statement)

    @staticmethod
    def _texts(names, rows):
        return [[name, "TEXT", _UNLIMITED] for name in names], rows

    def _show_create(self, statement):
        statement.expect_word("table")
        parts = statement.dotted_name()
        statement.end()
        table = self._engine.table(parts, self._db)
        self._require_any(table)
        text = ddl.create_statement(table)
        row = [_cell(table.name, None), _cell(text, None)]
        return self._texts(["table_name", "create_statement"], [row])

    def _require_any(self, table):
        if not any(
            self._engine.allowed(self._user, table.db, table.name, privilege)
            for privilege in ("SELECT", "INSERT", "CREATE", "DROP")
        ):
            kind = "timeseries table" if table.is_time_series else "relation"
            raise SqlError(f"user {self._user} has no privileges on {kind} {table.name}")

    def _show_tables(self, statement):
        db = statement.name() if statement.accept_word("from") else self._db
        statement.end()
        if db not in self._store.databases:
            raise SqlError(f"target database or schema does not exist: {quoted(db)}")
        rows = [
            [table.name, "TIME SERIES TABLE" if table.is_time_series else "BASE TABLE"]
            for table in self._store.tables.values() if table.db == db
        ]
        return self._texts(["table_name", "table_type"], sorted(rows))

    def _show_databases(self, statement):
        statement.end()
        rows = [[name, kind] for name, kind in sorted(self._store.databases.items())]
        return self._texts(["database_name", "engine_type"], rows)

    def _show_columns(self, statement):
        statement.expect_word("from")
        parts = statement.dotted_name()
        statement.end()
        table = self._engine.table(parts, self._db)
        self._require_any(table)
        rows = [
            [column.name, column.type.sql(), "false" if column.not_null else "true",
             "true" if column.is_tag else "false"]
            for column in table.columns
        ]
        return self._texts(["column_name", "data_type", "is_nullable", "is_tag"], rows)

    # SELECT

    def _select(self, text):
        statement, tables = self._with_sqlite_names(text)
        for table in tables:
            self._engine.require(self._user, table, "SELECT")
        try:
            names, rows = self._store.select(statement)
        except sqlite3.Error as error:
            raise SqlError(str(error)) from None
        types = [self._type_of(name, tables) for name in names]
        meta = [
            _meta(name.partition("(")[0].lower(), column_type, rows[0][at] if rows else None)
            for at, (name, column_type) in enumerate(zip(names, types))
        ]
        return meta, [[_cell(value, kind) for value, kind in zip(row, types)] for row in rows]

    @staticmethod
    def _type_of(name, tables):
        """The type of a result: of a column, or of `min(column)` and the like; else None."""
        call = _SAME_TYPE.match(name)
        column = call.group(1).strip('"') if call else name
        for table in tables:
            if column in table.by_name:
                return table.by_name[column].type
        return None

    def _with_sqlite_names(self, text):
        """The statement with each table after FROM or JOIN under its name in SQLite."""
        scanner, out, tables = Scanner(text), [], []
        done, expects_table = 0, False
        while True:
            token = scanner.next()
            if token.kind in ("eof", "error"):
                return "".join(out) + text[done:], tables
            if expects_table and token.kind == "ident":
                start = scanner.pos - len(token.text) - (2 if token.quoted else 0)
                parts, end = self._dotted(scanner, token)
                table = self._engine.table(parts, self._db)
                tables.append(table)
                name = self._store.sqlite_name(table).replace('"', '""')
                out += [text[done:start], f'"{name}"']
                done = end
            expects_table = token.kind == "ident" and token.text in ("from", "join")

    @staticmethod
    def _dotted(scanner, first):
        parts, end = [first.text], scanner.pos
        while scanner.text[end : end + 1] == ".":
            scanner.pos = end + 1
            parts.append(scanner.next().text)
            end = scanner.pos
        return tuple(parts), end
