# SPDX-License-Identifier: MIT
"""The DDL that an agent's tables need: databases, time-series and plain tables, users, grants."""

from standin import coltypes
from standin.coltypes import Column, SqlError
from standin.gotext import quoted
from standin.sqltext import Statement, quote_ident
from standin.store import RELATIONAL, TIME_SERIES, Table

PRIMARY_TAGS_MAX = 4
DATA_COLUMNS_MAX = 4096
TAGS_MAX = 128
NAME_BYTES_MAX = 128
PRIMARY_TAG_BYTES_MAX = 128
PRIMARY_TAG_BYTES_DEFAULT = 64
TEXT_BYTES_MAX = {"VARCHAR": 65534, "CHAR": 1023, "NCHAR": 254, "NVARCHAR": 65534,
                  "VARBYTES": 65534}

_PRIVILEGES = ("SELECT", "INSERT", "CREATE", "DROP", "UPDATE", "DELETE")
_NOT_IN_A_TAG = ("TIMESTAMP", "TIMESTAMPTZ", "NVARCHAR")


class Ddl:
    """Runs DDL statements for one request, which may change its database by USE."""

    def __init__(self, engine, user, db):
        self._engine = engine
        self._store = engine.store
        self._user = user
        self._db = db

    def run(self, text):
        """Run one statement. Raises ParseError or SqlError."""
        statement = Statement(text)
        word = statement.expect_word("create", "drop", "use", "alter", "grant", "revoke")
        getattr(self, "_" + word)(statement)

    def _require_create(self, db):
        if not self._engine.allowed(self._user, db, "", "CREATE"):
            raise SqlError(f"user {self._user} does not have CREATE privilege on database {db}")

    def _require_admin(self, what):
        if self._user != "root":
            raise SqlError(f"only users with the admin role are allowed to {what}")

    @staticmethod
    def _if_exists(statement, negated=False):
        if not statement.accept_word("if"):
            return False
        if negated:
            statement.expect_word("not")
        statement.expect_word("exists")
        return True

    @staticmethod
    def _skip_rest(statement):
        """Pass over clauses that change nothing here (RETENTIONS, ACTIVETIME, PARTITION ...)."""
        while statement.token.kind != "eof" and not statement.is_op(";"):
            statement.take()
        statement.end()

    # CREATE

    def _create(self, statement):
        if statement.accept_word("user", "role"):
            return self._create_user(statement)
        if statement.accept_word("table"):
            return self._create_table(statement)
        kind = TIME_SERIES if statement.accept_word("ts") else RELATIONAL
        statement.expect_word("database")
        return self._create_database(statement, kind)

    def _create_database(self, statement, kind):
        lenient = self._if_exists(statement, negated=True)
        name = statement.name()
        self._skip_rest(statement)
        self._require_admin("create a database")
        if name in self._store.databases:
            if not lenient:
                raise SqlError(f"database {quoted(name)} already exists")
            return
        self._store.create_database(name, kind)

    def _create_user(self, statement):
        lenient = self._if_exists(statement, negated=True)
        name = statement.name()
        statement.accept_word("with")
        password = ""
        if statement.accept_word("password"):
            token = statement.take()
            if token.kind != "str":
                statement.fail()
            password = token.text
        statement.end()
        self._require_admin("create a user")
        if name not in self._store.users:
            self._store.set_user(name, password)
        elif not lenient:
            raise SqlError(f"a user named {name} already exists")

    def _split_name(self, parts):
        """(database, table) of a new table's name."""
        if len(parts) == 1 or len(parts) == 2 and parts[0] == "public":
            return self._db, parts[-1]
        return parts[0], parts[-1]

    def _create_table(self, statement):
        lenient = self._if_exists(statement, negated=True)
        db, name = self._split_name(statement.dotted_name())
        kind = self._store.databases.get(db)
        relational = kind != TIME_SERIES
        statement.expect_op("(")
        columns, primary = self._column_list(statement, relational)
        if statement.accept_word("tags", "attributes"):
            columns += self._tag_clause(statement)
            relational = False
        self._skip_rest(statement)
        if kind is None:
            raise SqlError(f"database {quoted(db)} does not exist")
        self._require_create(db)
        if (db, name) in self._store.tables:
            if not lenient:
                raise SqlError(f"relation {quoted(name)} already exists")
            return
        self._check_names(name, columns)
        if kind == TIME_SERIES:
            columns = self._checked_series_columns(columns)
        elif relational:
            columns = self._with_keys(columns, primary)
        else:
            raise SqlError("can not create timeseries table in relational database")
        self._store.create_table(Table(db, name, kind, columns))

    def _column_list(self, statement, relational):
        """Column definitions up to the closing bracket, and the names of a PRIMARY KEY."""
        columns, primary = [], []
        while True:
            if statement.accept_word("constraint"):
                statement.name()
            if statement.accept_word("primary"):
                statement.expect_word("key")
                primary = statement.name_list()
            else:
                column = self._column(statement, "data", relational)
                columns.append(column)
                if statement.accept_word("primary"):
                    statement.expect_word("key")
                    primary = [column.name]
            if not statement.accept_op(","):
                statement.expect_op(")")
                return columns, primary

    def _column(self, statement, role, relational=False):
        name = statement.name()
        word, width = self._type_words(statement)
        not_null = False
        while True:
            if statement.accept_word("not"):
                statement.expect_word("null")
                not_null = True
            elif statement.accept_word("default", "comment"):
                statement.take()
            elif not statement.accept_word("null"):
                break
        return Column(name, self._type(word, width, role, relational), not_null, role)

    @staticmethod
    def _type_words(statement):
        """The name of a type, and its width or None."""
        if statement.token.kind != "ident":
            statement.fail()
        word = statement.take().text
        if word == "double":
            statement.accept_word("precision")
        if not statement.accept_op("("):
            return word, None
        size = statement.take()
        statement.expect_op(")")
        if size.kind != "num" or not size.text.isdigit():
            raise SqlError(f"unsupported width {size.text} of type {word}")
        return word, int(size.text)

    @staticmethod
    def _type(word, width, role, relational):
        if role == "primary tag" and word == "varchar" and width is None:
            width = PRIMARY_TAG_BYTES_DEFAULT
        made = coltypes.from_name(word, width, relational)
        if made is None:
            raise SqlError(f"type {quoted(word)} does not exist")
        if made.base in coltypes.TIMES and made.width not in (3, 6, 9):
            raise SqlError(f"unsupported precision {made.width} of type {made.base}")
        if made.width > TEXT_BYTES_MAX.get(made.base, made.width):
            raise SqlError(f"unsupported width {made.width} of type {made.base}")
        return made

    def _tag_clause(self, statement):
        """The tags, with the primary ones marked as such."""
        clause = statement.mark()
        self._tags(statement, ())
        statement.expect_word("primary")
        statement.expect_word("tags", "attributes")
        primary = statement.name_list()
        # Once more, now that it is known which are primary: their type has a default of its own.
        after = statement.mark()
        statement.back_to(clause)
        tags = self._tags(statement, primary)
        statement.back_to(after)
        known = {tag.name for tag in tags}
        for name in primary:
            if name not in known:
                raise SqlError(f"primary tag {quoted(name)} is not a tag")
        if len(primary) > PRIMARY_TAGS_MAX:
            raise SqlError(f"number of primary tags exceeds the limit {PRIMARY_TAGS_MAX}")
        return tags

    def _tags(self, statement, primary):
        statement.expect_op("(")
        tags = []
        while True:
            is_primary = statement.token.text in primary
            tags.append(self._column(statement, "primary tag" if is_primary else "tag"))
            if is_primary:
                self._check_primary_tag(tags[-1])
            if not statement.accept_op(","):
                statement.expect_op(")")
                return tags

    @staticmethod
    def _check_primary_tag(tag):
        if not tag.not_null:
            raise SqlError(f"primary tag {quoted(tag.name)} must be not null")
        if tag.type.base in ("FLOAT4", "FLOAT8", "VARBYTES"):
            raise SqlError(f"unsupported type {tag.type.sql()} of primary tag {quoted(tag.name)}")
        if tag.type.base == "VARCHAR" and tag.type.width > PRIMARY_TAG_BYTES_MAX:
            raise SqlError(f"length of primary tag {quoted(tag.name)} exceeds the limit "
                           f"{PRIMARY_TAG_BYTES_MAX}")

    @staticmethod
    def _check_names(table, columns):
        seen = set()
        for name in [table, *(column.name for column in columns)]:
            if len(name.encode()) > NAME_BYTES_MAX:
                raise SqlError(f"name {quoted(name)} exceeds {NAME_BYTES_MAX} bytes")
        for column in columns:
            if column.name in seen:
                raise SqlError(f"duplicate column name: {quoted(column.name)}")
            seen.add(column.name)

    @staticmethod
    def _checked_series_columns(columns):
        data = [column for column in columns if not column.is_tag]
        tags = [column for column in columns if column.is_tag]
        if not tags:
            raise SqlError("time-series table must have at least one tag")
        if len(data) < 2:
            raise SqlError("time-series table must have at least 2 columns")
        if len(data) > DATA_COLUMNS_MAX or len(tags) > TAGS_MAX:
            raise SqlError(f"at most {DATA_COLUMNS_MAX} columns and {TAGS_MAX} tags are allowed")
        first = data[0]
        if first.type.base not in coltypes.TIMES or not first.not_null:
            raise SqlError("the 1st column's type in timeseries table must be Timestamp, not null")
        for tag in tags:
            if tag.type.base in _NOT_IN_A_TAG:
                raise SqlError(f"unsupported type {tag.type.sql()} of tag {quoted(tag.name)}")
        first = first._replace(type=first.type._replace(base="TIMESTAMPTZ"))
        return [first, *data[1:], *tags]

    @staticmethod
    def _with_keys(columns, primary):
        known = {column.name for column in columns}
        for name in primary:
            if name not in known:
                raise SqlError(f"column {quoted(name)} does not exist")
        return [
            column._replace(role="key", not_null=True) if column.name in primary else column
            for column in columns
        ]

    # DROP, USE, ALTER

    def _drop(self, statement):
        what = statement.expect_word("table", "database")
        lenient = self._if_exists(statement)
        if what == "database":
            name = statement.name()
            statement.accept_word("cascade", "restrict")
            statement.end()
            self._require_admin("drop a database")
            if name in self._store.databases:
                self._store.drop_database(name)
            elif not lenient:
                raise SqlError(f"database {quoted(name)} does not exist")
            return
        names = [statement.dotted_name()]
        while statement.accept_op(","):
            names.append(statement.dotted_name())
        statement.accept_word("cascade", "restrict")
        statement.end()
        for parts in names:
            if lenient and self._engine.find_table(parts, self._db) is None:
                continue
            table = self._engine.table(parts, self._db)
            self._engine.require(self._user, table, "DROP")
            self._store.drop_table(table)

    def _use(self, statement):
        name = statement.name()
        statement.end()
        if name not in self._store.databases:
            raise SqlError(f"database {quoted(name)} does not exist")
        self._db = name

    def _alter(self, statement):
        statement.expect_word("table")
        self._if_exists(statement)
        parts = statement.dotted_name()
        verb = statement.expect_word("add", "drop")
        role = "tag" if statement.accept_word("tag", "attribute") else "data"
        if role == "data":
            statement.accept_word("column")
        lenient = self._if_exists(statement, negated=verb == "add")
        column = self._column(statement, role) if verb == "add" else None
        name = column.name if column else statement.name()
        self._skip_rest(statement)
        table = self._engine.table(parts, self._db)
        self._engine.require(self._user, table, "CREATE")
        known = name in table.by_name
        if lenient and known == (verb == "add"):
            return
        if verb == "add":
            self._store.alter_table(table, self._with_added(table, column))
        else:
            self._store.alter_table(table, self._without(table, name, role))

    @staticmethod
    def _with_added(table, column):
        if column.name in table.by_name:
            what = "tag" if column.is_tag else "column"
            raise SqlError(f"duplicate {what} name: {quoted(column.name)}")
        if column.not_null:
            raise SqlError(f"cannot add not null column {quoted(column.name)} to a table with data")
        return [*table.columns, column]

    @staticmethod
    def _without(table, name, role):
        column = table.by_name.get(name)
        if column is None or column.is_tag != (role == "tag"):
            raise SqlError(f"column {quoted(name)} does not exist")
        if column in table.keys or column is table.columns[0]:
            raise SqlError(f"cannot drop column {quoted(name)}: rows are told apart by it")
        return [kept for kept in table.columns if kept is not column]

    # GRANT, REVOKE

    def _grant(self, statement):
        self._change_grants(statement, True, "to")

    def _revoke(self, statement):
        self._change_grants(statement, False, "from")

    def _change_grants(self, statement, allowed, preposition):
        privileges = []
        while True:
            word = statement.take().text.upper()
            if word == "ALL":
                statement.accept_word("privileges")
                privileges += _PRIVILEGES
            elif word in _PRIVILEGES:
                privileges.append(word)
            else:
                raise SqlError(f"not a valid privilege: {quoted(word.lower())}")
            if not statement.accept_op(","):
                break
        statement.expect_word("on")
        on_database = statement.accept_word("database")
        statement.accept_word("table")
        parts = statement.dotted_name()
        statement.expect_word(preposition)
        users = [statement.name()]
        while statement.accept_op(","):
            users.append(statement.name())
        statement.end()
        self._require_admin("change grants")
        if on_database:
            db, table = parts[0], ""
            if db not in self._store.databases:
                raise SqlError(f"database {quoted(db)} does not exist")
        else:
            found = self._engine.table(parts, self._db)
            db, table = found.db, found.name
        for user in users:
            if user not in self._store.users:
                raise SqlError(f"user or role {user} does not exist")
            for privilege in privileges:
                self._store.set_grant(user, db, table, privilege, allowed)


def create_statement(table):
    """The CREATE TABLE of a table, as SHOW CREATE TABLE words it."""
    def line(column):
        return f"\n\t{quote_ident(column.name)} {column.type.sql()}"

    data = [column for column in table.columns if not column.is_tag]
    tags = [column for column in table.columns if column.is_tag]
    text = f"CREATE TABLE {quote_ident(table.name)} ("
    text += ",".join(line(c) + (" NOT NULL" if c.not_null else " NULL") for c in data)
    keys = ", ".join(quote_ident(column.name) for column in table.keys)
    if not table.is_time_series:
        key = [f",\n\tCONSTRAINT \"primary\" PRIMARY KEY ({keys})"] if table.keys else []
        return text + "".join(key) + "\n)"
    text += "\n) TAGS ("
    text += ",".join(line(c) + (" NOT NULL" if c.not_null else "") for c in tags)
    return f"{text} ) PRIMARY TAGS({keys})\n\tretentions 0s"
