# SPDX-License-Identifier: MIT
"""Rows, tables, users and grants in one SQLite file.

A table of the default database is the SQLite table of the same name, a table of another database
is `DATABASE.TABLE`, so that `sqlite3 FILE 'select * from cpu'` shows what an agent delivered. Times
are integers in the column's own unit. What else is kept stands in tables that begin with `_kwdb`.

Memory:  the catalogue is held in memory and written through; rows are not.
Context: one connection; the caller holds `lock` around everything from the first call to commit.
"""

import json
import sqlite3
import threading
from collections import namedtuple

from standin.coltypes import Column, ColType

_SCHEMA = """
create table if not exists _kwdb_databases (name text primary key, kind text);
create table if not exists _kwdb_tables (
    db text, name text, kind text, columns text, created integer primary key autoincrement,
    unique (db, name));
create table if not exists _kwdb_grants (
    user text, db text, tbl text, privilege text, allowed integer,
    unique (user, db, tbl, privilege));
create table if not exists _kwdb_users (name text primary key, password text);
"""

TIME_SERIES, RELATIONAL = "TIME SERIES", "RELATIONAL"

# What became of a row: rows that it counts, and whether it took the place of another row.
Written = namedtuple("Written", "rows replaced changed")


class Table:
    """A table's name and columns: data columns first, then tags, each in the order of creation."""

    def __init__(self, db, name, kind, columns):
        self.db, self.name, self.kind = db, name, kind
        self.columns = [column for column in columns if not column.is_tag]
        self.columns += [column for column in columns if column.is_tag]
        self.by_name = {column.name: column for column in self.columns}
        key_role = "primary tag" if kind == TIME_SERIES else "key"
        self.keys = [column for column in self.columns if column.role == key_role]
        self.tags = [column for column in self.columns if column.role == "tag"]
        # The order in which KWDB checks values: primary tags, all tags, data.
        all_tags = [column for column in self.columns if column.is_tag]
        self.check_order = [*self.keys, *(tag for tag in all_tags if tag not in self.keys)]
        self.check_order += [c for c in self.columns if not c.is_tag and c not in self.keys]

    @property
    def is_time_series(self):
        return self.kind == TIME_SERIES


def _quote(name):
    return '"' + name.replace('"', '""') + '"'


class Store:
    """The file. `path` may be ":memory:"."""

    def __init__(self, path, default_db):
        self.lock = threading.RLock()
        self.default_db = default_db
        self._sqlite = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._sqlite.execute("pragma journal_mode=wal")
        self._sqlite.execute("pragma synchronous=off")
        self._sqlite.executescript(_SCHEMA)
        self._load()
        self._statements = {}
        self.create_database("defaultdb", RELATIONAL)
        self.create_database(default_db, TIME_SERIES)

    def _load(self):
        rows = self._sqlite.execute("select name, kind from _kwdb_databases")
        self.databases = dict(rows)
        self.tables = {}
        for db, name, kind, text in self._sqlite.execute(
            "select db, name, kind, columns from _kwdb_tables order by created"
        ):
            columns = [
                Column(name, ColType(base, width), bool(not_null), role)
                for name, base, width, not_null, role in json.loads(text)
            ]
            self.tables[db, name] = Table(db, name, kind, columns)
        self.users = dict(self._sqlite.execute("select name, password from _kwdb_users"))
        self._grants = {
            tuple(row[:4]): bool(row[4])
            for row in self._sqlite.execute(
                "select user, db, tbl, privilege, allowed from _kwdb_grants"
            )
        }

    def begin(self):
        if not self._sqlite.in_transaction:
            self._sqlite.execute("begin")

    def commit(self):
        if self._sqlite.in_transaction:
            self._sqlite.execute("commit")

    def close(self):
        with self.lock:
            self.commit()
            self._sqlite.close()

    # Databases, tables, columns

    def sqlite_name(self, table):
        plain = table.db == self.default_db and not table.name.startswith("_kwdb")
        return table.name if plain else f"{table.db}.{table.name}"

    def create_database(self, name, kind):
        self._sqlite.execute("insert or ignore into _kwdb_databases values (?, ?)", (name, kind))
        self.databases.setdefault(name, kind)

    def drop_database(self, name):
        for table in [table for table in self.tables.values() if table.db == name]:
            self.drop_table(table)
        self._sqlite.execute("delete from _kwdb_databases where name = ?", (name,))
        del self.databases[name]

    def create_table(self, table):
        columns = ", ".join(f"{_quote(c.name)} {c.type.sql()}" for c in table.columns)
        unique = [column.name for column in table.keys]
        if table.is_time_series:
            unique.append(table.columns[0].name)
        key = ", ".join(_quote(name) for name in unique)
        constraint = f", unique ({key})" if unique else ""
        self._sqlite.execute(
            f"create table {_quote(self.sqlite_name(table))} ({columns}{constraint})"
        )
        self._sqlite.execute(
            "insert into _kwdb_tables (db, name, kind, columns) values (?, ?, ?, ?)",
            (table.db, table.name, table.kind, self._columns_text(table)),
        )
        self.tables[table.db, table.name] = table

    @staticmethod
    def _columns_text(table):
        return json.dumps([[c.name, *c.type, int(c.not_null), c.role] for c in table.columns])

    def drop_table(self, table):
        self._sqlite.execute(f"drop table {_quote(self.sqlite_name(table))}")
        self._sqlite.execute(
            "delete from _kwdb_tables where db = ? and name = ?", (table.db, table.name)
        )
        del self.tables[table.db, table.name]
        self._statements.clear()

    def alter_table(self, table, columns):
        """Give the table these columns; what is new is added, what is missing goes."""
        name = _quote(self.sqlite_name(table))
        altered = Table(table.db, table.name, table.kind, columns)
        for column in altered.columns:
            if column.name not in table.by_name:
                declared = f"{_quote(column.name)} {column.type.sql()}"
                self._sqlite.execute(f"alter table {name} add column {declared}")
        for column in table.columns:
            if column.name not in altered.by_name:
                self._sqlite.execute(f"alter table {name} drop column {_quote(column.name)}")
        self._sqlite.execute(
            "update _kwdb_tables set columns = ? where db = ? and name = ?",
            (self._columns_text(altered), table.db, table.name),
        )
        self.tables[table.db, table.name] = altered
        self._statements.clear()

    # Users and grants

    def set_user(self, name, password):
        self._sqlite.execute("insert or replace into _kwdb_users values (?, ?)", (name, password))
        self.users[name] = password

    def set_grant(self, user, db, table, privilege, allowed):
        """Allow or deny; `table` is "" for all tables of the database."""
        self._sqlite.execute(
            "insert or replace into _kwdb_grants values (?, ?, ?, ?, ?)",
            (user, db, table, privilege, int(allowed)),
        )
        self._grants[user, db, table, privilege] = allowed

    def grant(self, user, db, table, privilege):
        """True or False as granted or revoked, the table's own word first; else None."""
        allowed = self._grants.get((user, db, table, privilege))
        return self._grants.get((user, db, "", privilege)) if allowed is None else allowed

    # Rows

    def _row_statements(self, table):
        """(select by key, select tags by primary tags, insert) of a table, made once."""
        made = self._statements.get((table.db, table.name))
        if made is None:
            name = _quote(self.sqlite_name(table))
            columns = ", ".join(_quote(column.name) for column in table.columns)
            keys = " and ".join(f"{_quote(column.name)} = ?" for column in table.keys) or "0"
            tags = ", ".join(_quote(column.name) for column in table.tags) or "1"
            time_key = f" and {_quote(table.columns[0].name)} = ?" if table.is_time_series else ""
            marks = ", ".join("?" * len(table.columns))
            made = (
                f"select {columns} from {name} where {keys}{time_key}",
                f"select {tags} from {name} where {keys} limit 1",
                f"insert or replace into {name} ({columns}) values ({marks})",
            )
            self._statements[table.db, table.name] = made
        return made

    def write_series_row(self, table, values, rule):
        """Write one row, given as {column name: value}, under a rule for duplicates."""
        by_key, tags_by_key, insert = self._row_statements(table)
        key = [values[column.name] for column in table.keys]
        if table.tags:
            tags = self._sqlite.execute(tags_by_key, key).fetchone()
            if tags is not None:
                values = {**values, **{c.name: tag for c, tag in zip(table.tags, tags)}}
        row = tuple(values.get(column.name) for column in table.columns)
        old = self._sqlite.execute(by_key, [*key, row[0]]).fetchone()
        if old is not None and rule == "discard":
            return Written(0, False, False)
        if old is not None and rule == "merge":
            row = tuple(was if new is None else new for was, new in zip(old, row))
        self._sqlite.execute(insert, row)
        return Written(1, old is not None, old is not None and old != row)

    def write_relational_row(self, table, values):
        """Write one row. Returns None if a row of its primary key is there already."""
        by_key, _, insert = self._row_statements(table)
        if table.keys:
            key = [values.get(column.name) for column in table.keys]
            if self._sqlite.execute(by_key, key).fetchone() is not None:
                return None
        self._sqlite.execute(insert, [values.get(column.name) for column in table.columns])
        return Written(1, False, False)

    def count(self, table):
        name = _quote(self.sqlite_name(table))
        return self._sqlite.execute(f"select count(*) from {name}").fetchone()[0]

    def clear(self, table):
        self._sqlite.execute(f"delete from {_quote(self.sqlite_name(table))}")

    def newest(self, table, limit):
        """The rows of a table as lists of values in the columns' order, oldest of them first."""
        name, first = _quote(self.sqlite_name(table)), _quote(table.columns[0].name)
        rows = self._sqlite.execute(
            f"select * from {name} order by {first} desc, rowid desc limit ?", (limit,)
        )
        names = [entry[0] for entry in rows.description]
        order = [names.index(column.name) for column in table.columns]
        return [[row[at] for at in order] for row in reversed(rows.fetchall())]

    def select(self, statement):
        """Run a SELECT that can change nothing. Returns (names, rows)."""
        self._sqlite.execute("pragma query_only=on")
        try:
            cursor = self._sqlite.execute(statement)
            return [entry[0] for entry in cursor.description], cursor.fetchall()
        finally:
            self._sqlite.execute("pragma query_only=off")
