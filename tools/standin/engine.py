# SPDX-License-Identifier: MIT
"""INSERT on behalf of a user: privileges, then KWDB's checks in KWDB's order, then the rows."""

import time

from standin import coltypes
from standin.coltypes import SqlError
from standin.gotext import float_text, quoted
from standin.sqltext import Statement
from standin.store import Written

# What a configured user may do in every database unless a REVOKE says otherwise.
_USER_PRIVILEGES = ("SELECT", "INSERT")


class Engine:
    """All that runs on the store. `dedup_rule` is KWDB's `ts.dedup.rule`."""

    def __init__(self, store, dedup_rule="override"):
        self.store = store
        self.dedup_rule = dedup_rule

    def allowed(self, user, db, table, privilege):
        if user == "root":
            return True
        if user not in self.store.users:
            return False
        granted = self.store.grant(user, db, table, privilege)
        return privilege in _USER_PRIVILEGES if granted is None else granted

    def require(self, user, table, privilege):
        if not self.allowed(user, table.db, table.name, privilege):
            kind = "timeseries table" if table.is_time_series else "relation"
            raise SqlError(
                f"user {user} does not have {privilege} privilege on {kind} {table.name}"
            )

    def find_table(self, parts, db):
        """The table of a name of one to three parts, or None."""
        tables = self.store.tables
        if len(parts) == 1:
            return tables.get((db, parts[0]))
        if len(parts) == 2:
            owner = db if parts[0] == "public" else parts[0]
            return tables.get((owner, parts[1]))
        if len(parts) == 3 and parts[1] == "public":
            return tables.get((parts[0], parts[2]))
        return None

    def table(self, parts, db):
        found = self.find_table(parts, db)
        if found is None:
            raise SqlError(f'relation {quoted(".".join(parts))} does not exist')
        return found

    def insert(self, user, db, text):
        """Run one INSERT. Returns Written of all its rows; raises ParseError or SqlError."""
        statement = Statement(text).parse_insert()
        table = self.table(statement.table, db)
        self.require(user, table, "INSERT")
        columns = self._target_columns(table, statement.columns)
        if table.is_time_series:
            rows = self._series_rows(table, columns, statement.rows)
            write = [self.store.write_series_row(table, row, self.dedup_rule) for row in rows]
        else:
            rows = self._relational_rows(table, columns, statement.rows)
            write = [self._write_relational(table, row) for row in rows]
        return Written(*(sum(parts) for parts in zip(*write)))

    @staticmethod
    def _target_columns(table, names):
        if names is None:
            return list(table.columns)
        seen, columns = set(), []
        for name in names:
            column = table.by_name.get(name)
            if column is None:
                raise SqlError(f"column {quoted(name)} does not exist")
            if name in seen:
                raise SqlError(f'multiple assignments to the same column "{name}"')
            seen.add(name)
            columns.append(column)
        return columns

    def _series_rows(self, table, columns, rows):
        position = {column.name: at for at, column in enumerate(columns)}
        if any(column.name not in position for column in table.keys):
            names = " ".join(column.name for column in table.keys)
            raise SqlError(f"need to specify all primary tag [{names}]")
        self._check_counts(rows, len(columns))
        for row in rows:
            for column in table.columns:
                at = position.get(column.name)
                if at is not None:
                    coltypes.check_kind(row[at], column)
        return [self._series_values(table, position, row) for row in rows]

    @staticmethod
    def _check_counts(rows, wanted):
        for at, row in enumerate(rows):
            if len(row) != wanted:
                more = ("expressions than target columns" if len(row) > wanted
                        else "target columns than expressions")
                raise SqlError(
                    f"insert (row {at + 1}) has more {more}, "
                    f"{len(row)} expressions for {wanted} targets"
                )

    @staticmethod
    def _series_values(table, position, row):
        now_ns = time.time_ns()
        values = {}
        for column in table.check_order:
            at = position.get(column.name)
            if at is not None:
                values[column.name] = coltypes.to_time_series(row[at], column, now_ns)
            elif column.not_null:
                raise coltypes.not_null_error(column)
        return values

    @staticmethod
    def _relational_rows(table, columns, rows):
        now_ns = time.time_ns()
        made = []
        for row in rows:
            if len(row) != len(columns):
                more = ("expressions than target columns" if len(row) > len(columns)
                        else "target columns than expressions")
                raise SqlError(f"INSERT has more {more}, {len(row)} expressions for "
                               f"{len(columns)} targets")
            values = {
                column.name: coltypes.to_relational(value, column, now_ns)
                for column, value in zip(columns, row)
            }
            for column in table.columns:
                if column.not_null and values.get(column.name) is None:
                    raise coltypes.not_null_error(column)
            made.append(values)
        return made

    def _write_relational(self, table, values):
        written = self.store.write_relational_row(table, values)
        if written is None:
            names = ",".join(column.name for column in table.keys)
            texts = ",".join(_datum(values[column.name]) for column in table.keys)
            raise SqlError(
                f"duplicate key value ({names})=({texts}) violates unique constraint \"primary\""
            )
        return written


def _datum(value):
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return float_text(value) if isinstance(value, float) else str(value)
