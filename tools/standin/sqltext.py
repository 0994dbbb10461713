# SPDX-License-Identifier: MIT
"""KWDB's SQL tokens, and the grammar of the one statement that matters most: INSERT ... VALUES.

A statement is read one token at a time, so that the first thing that is wrong is the thing that
the message names, be it a token or a lexical error. `Statement.parse_insert` gives an Insert whose
values are small tuples:

    ("num", text, negative)  ("str", text)  ("bool", flag)  ("null",)
    ("func", name)           ("name", text) ("binary",)     ("other", Go's name of the node)
"""

import re
from collections import namedtuple

Token = namedtuple("Token", "kind text quoted", defaults=(False,))
Insert = namedtuple("Insert", "table columns rows")

# Words that cannot stand unquoted where a column or a tag is named.
RESERVED = frozenset(
    """all analyse analyze and any array as asc assign asymmetric attribute attributes both case
    cast cast_check check collate collation column comment compress concurrently constraint
    continue create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user cursor ddlreplay default deferrable delimiter_eof desc distinct
    do each else elsif encode end endcase endhandler endif endloop endwhile except exit false
    family fetch fill for foreign found from full grant group handler having ilike in index
    initially inner intersect into is isnull join lateral leading left like limit localtime
    localtimestamp loop natural never none not nothing notnull null offset on only or order outer
    overlaps placing primary rebalance recurring references returning returns right sample select
    session_user similar some sqlexception symmetric syntax table tag tag_only tag_table tags then
    to trailing true union unique user using variadic when where while window with""".split()
)
# Fewer words are barred from the place of a table's name.
RESERVED_TABLE = RESERVED - {"family", "index", "nothing"}
# Reserved as names, and yet calls of functions without parentheses.
BARE_FUNCTIONS = frozenset(
    """current_catalog current_date current_role current_schema current_time current_timestamp
    current_user localtime localtimestamp session_user""".split()
)
# After a number only the name of a unit of time may follow without a space.
INTERVAL_UNITS = frozenset(
    """microsecond us nanosecond ns millisecond ms second s minute m hour h day d week w month mon
    year y""".split()
)

_MAY_BE_SPACE = " \n\t\r\f-/"
_PLAIN_NAME = re.compile(r"[a-z_\x80-\U0010ffff][a-z0-9_$\x80-\U0010ffff]*\Z")
_SPACE = re.compile(r"[ \n\t\r\f]+|--[^\n]*\n?")
_COMMENT = re.compile(r"/\*(?!\+)")
_COMMENT_MARK = re.compile(r"\*/|/\*")
_IDENT = re.compile(r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*")
_IDENT_START = re.compile(r"[A-Za-z_\x80-\U0010ffff]")
_NUMBER = re.compile(
    r"0[xX][0-9A-Fa-f]*|(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d*)?"
)
_STRINGS = {
    "'": re.compile(r"'([^']*(?:''[^']*)*)'(?!')"),
    '"': re.compile(r'"([^"]*(?:""[^"]*)*)"(?!")'),
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_BINARY = frozenset("+ - * / // % ^ || | & # << >> < > = <= >= <> != ~ && -> ->>".split())
_OPERATORS = re.compile(
    r"<<=|>>=|->>|:::|!~\*|#>>|\?\?|<<|>>|<>|<=|>=|!=|<@|@>|!~|~\*|\|\||//|&&|->|::|:=|\.\.|#>|#-"
    r"|\?\||\?&|\\\\"
)


class ParseError(Exception):
    """The text of a statement that does not parse, as KWDB words it after `pq: `."""


def quote_ident(name):
    """The name as a statement must carry it: quoted if it is reserved or not plainly lower case."""
    if _PLAIN_NAME.match(name) and name not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


class Scanner:
    """The tokens of one text."""

    def __init__(self, text):
        self.text = text
        self.pos = 0

    def _skip_space(self):
        """Step over space and comments. Returns an error token for a comment without an end."""
        while True:
            match = _SPACE.match(self.text, self.pos)
            if match:
                self.pos = match.end()
            elif _COMMENT.match(self.text, self.pos):
                depth, self.pos = 1, self.pos + 2
                while depth:
                    mark = _COMMENT_MARK.search(self.text, self.pos)
                    if mark is None:
                        return Token("error", "unterminated comment")
                    depth += 1 if mark.group() == "/*" else -1
                    self.pos = mark.end()
            else:
                return None

    def next(self):
        """The next token; at the end always Token("eof", "EOF")."""
        if self.text[self.pos : self.pos + 1] in _MAY_BE_SPACE:
            error = self._skip_space()
            if error:
                return error
        if self.pos >= len(self.text):
            return Token("eof", "EOF")
        char = self.text[self.pos]
        if char in "(),":
            self.pos += 1
            return Token("op", char)
        if char in "'\"":
            return self._string(char)
        following = self.text[self.pos + 1 : self.pos + 2]
        if char.isdigit() and char.isascii() or char == "." and following.isdigit():
            return self._number()
        if following == "'" and char in "bBeExX":
            return self._prefixed(char)
        match = _IDENT.match(self.text, self.pos)
        if match:
            self.pos = match.end()
            return Token("ident", match.group().lower())
        match = _OPERATORS.match(self.text, self.pos)
        end = match.end() if match else self.pos + 1
        text = self.text[self.pos : end]
        self.pos = end
        return Token("op", text)

    def _string(self, quote):
        match = _STRINGS[quote].match(self.text, self.pos)
        if match is None:
            self.pos = len(self.text)
            return Token("error", "unterminated string")
        self.pos = match.end()
        text = match.group(1).replace(quote * 2, quote)
        if _SURROGATE.search(text):
            return Token("error", "invalid UTF-8 byte sequence")
        return Token("str", text) if quote == "'" else Token("ident", text, True)

    def _prefixed(self, prefix):
        """b'..', B'..', e'..', x'..': none of them is a value that a line can carry."""
        match = _STRINGS["'"].match(self.text, self.pos + 1)
        if match is None:
            self.pos = len(self.text)
            return Token("error", "unterminated string")
        self.pos = match.end()
        body = match.group(1)
        if prefix == "B":
            odd = re.search("[^01]", body)
            if odd:
                return Token("error", f'"{odd.group()}" is not a valid binary digit')
            return Token("bits", body)
        if prefix in "xX" and (len(body) % 2 or re.search("[^0-9A-Fa-f]", body)):
            return Token("error", "invalid hexadecimal bytes literal")
        return Token("str", body)

    def _number(self):
        start = self.pos
        text = _NUMBER.match(self.text, start).group()
        self.pos = start + len(text)
        following = self.text[self.pos : self.pos + 1]
        is_hex = text[1:2] in ("x", "X")
        if following in ("x", "X") or is_hex and len(text) == 2:
            return Token("error", "invalid hexadecimal numeric literal")
        if not is_hex and text[-1] in "eE+-":
            return Token("error", "invalid floating point literal")
        if following and _IDENT_START.match(following):
            word = _IDENT.match(self.text, self.pos).group().lower()
            if word not in INTERVAL_UNITS:
                junk = text + following
                return Token("error", f'trailing junk after numeric literal at or near "{junk}"')
        if not is_hex and text.isdigit():
            text = text.lstrip("0") or "0"
        return Token("num", text)


class Statement:
    """A reader of one statement, with a token of look-ahead."""

    def __init__(self, text):
        self._scanner = Scanner(text)
        self.token = self._scanner.next()

    def fail(self):
        """Raise the error that names the current token."""
        if self.token.kind == "error":
            raise ParseError(f"lexical error: {self.token.text}")
        raise ParseError(f'at or near "{self.token.text}": syntax error')

    def take(self):
        token = self.token
        if token.kind == "error":
            self.fail()
        self.token = self._scanner.next()
        return token

    def mark(self):
        """A place that `back_to` returns to."""
        return self.token, self._scanner.pos

    def back_to(self, mark):
        self.token, self._scanner.pos = mark

    def is_word(self, *words):
        return self.token.kind == "ident" and not self.token.quoted and self.token.text in words

    def is_op(self, text):
        return self.token.kind == "op" and self.token.text == text

    def accept_word(self, *words):
        """Take the word if it is one of these, and say which."""
        return self.take().text if self.is_word(*words) else None

    def accept_op(self, text):
        return self.take() if self.is_op(text) else None

    def expect_word(self, *words):
        return self.accept_word(*words) or self.fail()

    def expect_op(self, text):
        return self.accept_op(text) or self.fail()

    def name(self, reserved=RESERVED):
        if self.token.kind != "ident":
            self.fail()
        if not self.token.quoted and self.token.text in reserved:
            self.fail()
        return self.take().text

    def dotted_name(self):
        """A table's name with what qualifies it; only the first word is barred from keywords."""
        parts = [self.name(RESERVED_TABLE)]
        while self.accept_op("."):
            parts.append(self.name(frozenset()))
        return tuple(parts)

    def name_list(self):
        self.expect_op("(")
        names = [self.name()]
        while self.accept_op(","):
            names.append(self.name())
        self.expect_op(")")
        return names

    def end(self):
        """The end of the statement, one `;` allowed. What follows it is never run here."""
        if self.accept_op(";"):
            self.accept_word("drop", "select", "insert", "delete", "update", "create", "alter")
        if self.token.kind != "eof":
            self.fail()

    def parse_insert(self):
        self.expect_word("insert")
        self.expect_word("into")
        table = self.dotted_name()
        columns = None if self.is_word("values") else self.name_list()
        self.expect_word("values")
        rows = [self._row()]
        while self.accept_op(","):
            rows.append(self._row())
        self.end()
        return Insert(table, columns, rows)

    def _row(self):
        self.expect_op("(")
        values = [self._expression()]
        while self.accept_op(","):
            values.append(self._expression())
        self.expect_op(")")
        return values

    def _expression(self):
        value = self._operand()
        while self.token.kind == "op":
            if self.token.text in _BINARY:
                self.take()
                self._operand()
                value = ("binary",)
            elif self.accept_op("::"):
                self.name(frozenset())
                value = ("other", "*tree.CastExpr")
            else:
                break
        return value

    def _operand(self):
        negative = False
        while self.is_op("-") or self.is_op("+"):
            negative ^= self.take().text == "-"
        token = self.token
        if token.kind == "num":
            return ("num", self.take().text, negative)
        if negative:
            return self._negated()
        if token.kind == "str":
            return ("str", self.take().text)
        if token.kind == "bits":
            self.take()
            return ("other", "*tree.DBitArray")
        if self.accept_op("("):
            self._expression()
            self.expect_op(")")
            return ("other", "*tree.ParenExpr")
        return self._word()

    def _negated(self):
        self._operand()
        return ("other", "*tree.UnaryExpr")

    def _word(self):
        if self.is_word("true", "false"):
            return ("bool", self.take().text == "true")
        if self.accept_word("null"):
            return ("null",)
        if self.accept_word("default"):
            return ("other", "tree.DefaultVal")
        if self.is_word(*BARE_FUNCTIONS):
            return ("func", self.take().text)
        parts = [self.name()]
        while self.accept_op("."):
            parts.append(self.name(frozenset()))
        if not self.accept_op("("):
            return ("name", ".".join(quote_ident(part) for part in parts))
        if not self.is_op(")"):
            self._expression()
            while self.accept_op(","):
                self._expression()
        self.expect_op(")")
        return ("func", parts[-1])
