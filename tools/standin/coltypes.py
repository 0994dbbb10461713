# SPDX-License-Identifier: MIT
"""Column types, and what each of them makes of a value: KWDB's texts where it takes none.

A time-series column is strict: a number that stands in quotes stays text, a number never becomes
text. A relational column parses a quoted value to its own type. Values come as the tuples of
sqltext; what is stored is an int, a float, a str or None.
"""

import datetime
import math
import re
import struct
import sys
from collections import namedtuple
from fractions import Fraction

from standin.gotext import quoted

sys.set_int_max_str_digits(0)  # a literal may have any length

EXPONENT_MAX = 1000  # beyond it a literal is out of every range, or no integer
INT64_MAX = (1 << 63) - 1
FLOAT4_MAX = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
FLOAT4_MIN = struct.unpack("<f", b"\x01\x00\x00\x00")[0]

# Seconds of 0000-01-01, 2970-01-01 and 2262-01-01: what a time column can hold.
_SECONDS_MIN, _SECONDS_MAX, _NANO_SECONDS_MAX = -62167219200, 31556995200, 9214646400

INT_BITS = {"INT2": 16, "INT4": 32, "INT8": 64}
TEXT_WIDTH = {"VARCHAR": 254, "CHAR": 1, "NCHAR": 1, "NVARCHAR": 63, "VARBYTES": 254, "STRING": 0}
TIMES = ("TIMESTAMP", "TIMESTAMPTZ")

_ALIASES = {
    "int": "INT4", "integer": "INT4", "int4": "INT4", "int2": "INT2", "smallint": "INT2",
    "int8": "INT8", "int64": "INT8", "bigint": "INT8", "float4": "FLOAT4", "real": "FLOAT4",
    "float8": "FLOAT8", "float": "FLOAT8", "double": "FLOAT8", "bool": "BOOL", "boolean": "BOOL",
    "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMPTZ", "varchar": "VARCHAR", "char": "CHAR",
    "nchar": "NCHAR", "nvarchar": "NVARCHAR", "varbytes": "VARBYTES", "string": "STRING",
    "text": "STRING",
}
_BOOL_WORDS = (("true", True), ("false", False), ("yes", True), ("no", False))
_DATE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?"
    r"(Z|[+-]\d{2}(?::?\d{2})?)?\Z"
)


class SqlError(Exception):
    """The text of a statement that was refused when it ran, as it stands after `pq: `."""


class ColType(namedtuple("ColType", "base width")):
    """A type by its base name, with its width in bytes or characters, or its precision."""

    __slots__ = ()

    def sql(self):
        if self.base in TIMES or self.base in TEXT_WIDTH and self.width:
            return f"{self.base}({self.width})"
        return self.base


def from_name(name, width=None, relational=False):
    """The type of a name in a DDL statement, or None if there is none of that name."""
    base = _ALIASES.get(name)
    if relational and name in ("int", "integer"):
        base = "INT8"
    if base in TIMES:
        return ColType(base, 3 if width is None else width)
    if base in TEXT_WIDTH:
        return ColType(base, TEXT_WIDTH[base] if width is None else width)
    return ColType(base, 0) if base else None


class Column(namedtuple("Column", "name type not_null role")):
    """A column. Its role is "data", "tag", "primary tag" or, in a relational table, "key"."""

    __slots__ = ()

    @property
    def is_tag(self):
        return self.role in ("tag", "primary tag")


def _unresolved(text, column):
    return SqlError(
        f'could not resolve "{text}" as {column.type.sql()} type (column {column.name})'
    )


def _out_of_range(kind, text, column):
    return SqlError(
        f'{kind} "{text}" out of range for type {column.type.sql()} (column {column.name})'
    )


def _number(value):
    """A literal as (exact value, text with its sign)."""
    _, text, negative = value
    if text[1:2] in ("x", "X"):
        exact = Fraction(int(text, 16))
    else:
        mantissa, _, exponent = text.lower().partition("e")
        power = max(-EXPONENT_MAX, min(int(exponent or 0), EXPONENT_MAX))
        exact = Fraction(mantissa) * Fraction(10) ** power
    return (-exact, "-" + text) if negative else (exact, text)


def _int64(value, column):
    if value[1].isdigit():
        exact, text = int(value[1]) * (-1 if value[2] else 1), value[1]
    else:
        exact, text = _number(value)
    if exact.denominator != 1:
        raise _unresolved(text, column)
    if not -INT64_MAX - 1 <= exact <= INT64_MAX:
        raise SqlError("numeric constant out of int64 range")
    return int(exact)


def shortest_float4(value):
    """The float4 nearest to a value, as the shortest decimal that reads back to that float4."""
    packed = struct.pack("<f", value)
    nearest = struct.unpack("<f", packed)[0]
    for digits in range(1, 9):
        short = float(f"{nearest:.{digits}g}")
        if struct.pack("<f", short) == packed:
            return short
    return float(f"{nearest:.9g}")


def _float(value, column):
    text = ("-" if value[2] else "") + value[1]
    number = float(text) if text.lower().find("x") < 0 else float(_number(value)[0])
    size = abs(number)
    if column.type.base == "FLOAT8":
        if size == math.inf:
            raise _out_of_range("float", text, column)
        return number
    if size and not FLOAT4_MIN <= size <= FLOAT4_MAX:
        raise _out_of_range("float", text, column)
    return shortest_float4(number)


def _int(value, column):
    number = _int64(value, column)
    half = 1 << INT_BITS[column.type.base] - 1
    if not -half <= number < half:
        raise _out_of_range("integer", number, column)
    return number


def check_time(number, text, column):
    """Refuse a time that the column's precision cannot hold."""
    unit = 10 ** column.type.width
    least, most = _SECONDS_MIN * unit, _SECONDS_MAX * unit
    if column.type.width == 9:
        least, most = 0, _NANO_SECONDS_MAX * unit
    if not least <= number <= most:
        raise _out_of_range("value", text, column)
    return number


def parse_time(text, column):
    """A date or a date with a time, UTC unless it says otherwise, in the column's unit."""
    match = _DATE.match(text.strip())
    try:
        if match is None:
            raise ValueError
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
        moment = datetime.datetime(year, month, day, hour, minute, second)
    except ValueError:
        raise _unresolved(text, column) from None
    seconds = (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(seconds=1)
    zone = match.group(8)
    if zone and zone != "Z":
        away = int(zone[1:3]) * 3600 + int(zone[3:].lstrip(":") or 0) * 60
        seconds -= away if zone[0] == "+" else -away
    nanos = int((match.group(7) or "").ljust(9, "0"))
    unit = 10 ** column.type.width
    return check_time(seconds * unit + nanos * unit // 10**9, text, column)


def parse_bool(text):
    """Any prefix of true, false, yes, no, on (2 letters), off (2 letters), 0, 1; else None."""
    word = text.strip().lower()
    if word in ("0", "1"):
        return word == "1"
    for full, flag in _BOOL_WORDS:
        if word and full.startswith(word):
            return flag
    if word == "on":
        return True
    return False if word in ("of", "off") else None


def _text(text, column):
    base, width = column.type
    if base in ("NCHAR", "NVARCHAR"):
        size = len(text)
    else:
        size = len(text.encode())
    if width and size > width:
        raise SqlError(
            f"value '{text}' too long for type {column.type.sql()} (column {column.name})"
        )
    return text


def _from_number(value, column):
    base = column.type.base
    if base in INT_BITS:
        return _int(value, column)
    if base in ("FLOAT4", "FLOAT8"):
        return _float(value, column)
    if base in TIMES:
        number = _int64(value, column)
        return check_time(number, number, column)
    exact, text = _number(value)
    if base == "BOOL" and exact in (0, 1):
        return int(exact)
    raise _unresolved(text, column)


def _from_string(text, column):
    base = column.type.base
    if base in TEXT_WIDTH:
        return _text(text, column)
    if base in TIMES:
        return parse_time(text, column)
    flag = parse_bool(text) if base == "BOOL" else None
    if flag is None:
        raise _unresolved(text, column)
    return int(flag)


def check_kind(value, column):
    """What an INSERT into a time-series table refuses before it looks at any value."""
    kind = value[0]
    if kind == "bool" and column.type.base != "BOOL" and column.type.base not in INT_BITS:
        raise _unresolved("true" if value[1] else "false", column)
    if kind == "func" and value[1] != "now":
        raise SqlError(f'unsupported function input "{value[1]}"')
    if kind == "name":
        raise SqlError(f'unsupported input type relation "{value[1]}" (column {column.name})')
    if kind == "binary":
        raise SqlError("unsupported input type BinaryOperator")
    if kind == "other":
        raise SqlError(f"unsupported input type {value[1]}")


def not_null_error(column):
    return SqlError(f"null value in column {quoted(column.name)} violates not-null constraint")


def to_time_series(value, column, now_ns):
    """The value that a time-series column stores."""
    kind = value[0]
    if kind == "num":
        return _from_number(value, column)
    if kind == "str":
        return _from_string(value[1], column)
    if kind == "bool":
        return int(value[1])
    if kind == "func":
        if column.type.base not in TIMES:
            raise _unresolved("now()", column)
        return now_ns // 10 ** (9 - column.type.width)
    if column.not_null:
        raise not_null_error(column)
    return None


_LITERAL_TYPES = {"num": "int", "bool": "bool", "func": "timestamptz"}
_RELATIONAL_NAMES = {"INT2": "int2", "INT4": "int4", "INT8": "int", "FLOAT4": "float4",
                     "FLOAT8": "float", "BOOL": "bool", "STRING": "string"}


def _mismatch(value, column):
    given = _LITERAL_TYPES.get(value[0], "string")
    if value[0] == "num" and _number(value)[0].denominator != 1:
        given = "decimal"
    base = column.type.base
    wanted = _RELATIONAL_NAMES.get(base, base.lower())
    return SqlError(f'value type {given} doesn\'t match type {wanted} of column "{column.name}"')


def _parse_relational(text, column):
    base = column.type.base
    if base in INT_BITS or base in ("FLOAT4", "FLOAT8"):
        name = "int" if base in INT_BITS else "float"
        try:
            return int(text) if base in INT_BITS else float(text)
        except ValueError:
            raise SqlError(
                f'could not parse "{text}" as type {name}: strconv.Parse'
                f'{name.title()}: parsing {quoted(text)}: invalid syntax'
            ) from None
    flag = parse_bool(text)
    if flag is None:
        raise SqlError(f'could not parse "{text}" as type bool: invalid bool value')
    return int(flag)


def to_relational(value, column, now_ns):
    """The value that a column of an ordinary table stores: text is parsed to the column's type."""
    kind, base = value[0], column.type.base
    if kind == "null":
        if column.not_null:
            raise not_null_error(column)
        return None
    if kind == "str":
        if base in TEXT_WIDTH:
            return _text(value[1], column)
        if base in TIMES:
            return parse_time(value[1], column)
        return _parse_relational(value[1], column)
    if kind == "num" and (base in INT_BITS or base in ("FLOAT4", "FLOAT8")):
        return _from_number(value, column)
    if kind == "bool" and base == "BOOL":
        return int(value[1])
    if kind == "func" and value[1] == "now" and base in TIMES:
        return now_ns // 10 ** (9 - column.type.width)
    if kind == "name":
        raise SqlError(f'column {quoted(value[1])} does not exist')
    raise _mismatch(value, column)
