# SPDX-License-Identifier: MIT
"""A line of /restapi/telegraf, turned into one INSERT exactly as naively as KWDB does it."""

import re

_NUMBER = re.compile(r"[+-]?[0-9]*[.]?[0-9]+[i]?\Z")

WRONG_LINE = "wrong telegraf insert statement and please check;"
TWO_STATEMENTS = "only support single statement for each telegraf interface and please check;"

STAMP_BYTES = 13


def split_lines(body):
    """The pieces of a body. Every piece counts, an empty one too."""
    return body.replace("\r\n", "\n").split("\n")


def value_text(value):
    """A value as it is pasted into the statement."""
    if _NUMBER.match(value):
        return value[:-1] if value[-1] == "i" else value
    if value.startswith("'") and value.endswith("'"):
        return value
    return "'" + value + "'"


def _cut_stamp(stamp):
    raw = stamp.encode("utf-8", "surrogateescape")[:STAMP_BYTES]
    return raw.decode("utf-8", "surrogateescape")


def insert_statement(line):
    """The statement that the line becomes, or None where KWDB's own reader gives up."""
    words = line.split(" ")
    if len(words) < 3:
        return None
    table, *pairs = words[0].split(",")
    pairs += words[1].split(",")
    keys, values = ["k_timestamp"], [_cut_stamp(words[2])]
    for pair in pairs:
        parts = pair.split("=")
        if len(parts) < 2:
            return None
        keys.append(parts[0])
        values.append(value_text(parts[1]))
    columns = ("(" + ",".join(keys)).rstrip(",")
    row = ("(" + ",".join(values)).rstrip(",")
    return f"insert into {table}{columns}) values{row})"
