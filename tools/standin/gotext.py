# SPDX-License-Identifier: MIT
"""Texts as Go's standard library prints them: JSON, floats, quoted strings, base64 errors.

Text that came from a request is a str in which a byte that is no UTF-8 is a lone surrogate
(Python's `surrogateescape`); Go prints such a byte as U+FFFD.
"""

import base64
import re

_JSON_SPECIAL = re.compile("[\x00-\x1f\"\\\\<>&\u2028\u2029\ud800-\udfff]")
_JSON_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _json_escape(match):
    char = match.group()
    if char in _JSON_SHORT:
        return _JSON_SHORT[char]
    return "\\ufffd" if "\ud800" <= char <= "\udfff" else f"\\u{ord(char):04x}"


def json_string(text):
    """encoding/json: HTML characters are escaped, and a broken byte is U+FFFD."""
    return '"' + _JSON_SPECIAL.sub(_json_escape, text) + '"'


def _float_parts(value):
    """Shortest decimal digits that read back equal, and the decimal exponent of the first."""
    mantissa, exponent = f"{value!r}".lower(), 0
    if "e" in mantissa:
        mantissa, _, power = mantissa.partition("e")
        exponent = int(power)
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    exponent += len(whole) - 1
    stripped = digits.lstrip("0")
    exponent -= len(digits) - len(stripped)
    return stripped.rstrip("0") or "0", exponent


def _fixed(digits, exponent):
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    if len(digits) <= exponent + 1:
        return digits + "0" * (exponent + 1 - len(digits))
    return digits[: exponent + 1] + "." + digits[exponent + 1 :]


def _scientific(digits, exponent, exponent_digits):
    point = "." + digits[1:] if len(digits) > 1 else ""
    sign = "-" if exponent < 0 else "+"
    return f"{digits[0]}{point}e{sign}{abs(exponent):0{exponent_digits}d}"


def json_float(value):
    """encoding/json of a float64: an exponent below 1e-6 and from 1e21 on, without zeros in it."""
    if value == 0:
        return "0"
    digits, exponent = _float_parts(abs(value))
    sign = "-" if value < 0 else ""
    if -6 <= exponent < 21:
        return sign + _fixed(digits, exponent)
    return sign + _scientific(digits, exponent, 1 if exponent < 0 else 2)


def float_text(value):
    """strconv.FormatFloat(value, 'g', -1, 64), and at least one digit after a whole number."""
    if value == int(value):
        return f"{value:.1f}"
    digits, exponent = _float_parts(abs(value))
    sign = "-" if value < 0 else ""
    if -4 <= exponent < 21:
        return sign + _fixed(digits, exponent)
    return sign + _scientific(digits, exponent, 2)


def quoted(text):
    """fmt's %q, for the texts that reach a message."""
    out = text.replace("\\", "\\\\").replace('"', '\\"')
    out = out.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return '"' + re.sub("[\x00-\x1f\x7f]", lambda m: f"\\x{ord(m.group()):02x}", out) + '"'


class CorruptInput(Exception):
    """base64.CorruptInputError, with its text."""

    def __init__(self, offset):
        super().__init__(f"illegal base64 data at input byte {offset}")


_ALPHABET = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def base64_decode(text):
    """base64.StdEncoding.DecodeString: padding required; the error names the byte that Go names."""
    data = text.encode("utf-8", "surrogateescape")
    at, in_quantum = 0, 0
    kept = bytearray()
    while at < len(data):
        byte = data[at]
        at += 1
        if byte in b"\r\n":
            continue
        if byte in _ALPHABET:
            kept.append(byte)
            in_quantum = (in_quantum + 1) % 4
            continue
        if byte != ord("=") or in_quantum < 2:
            raise CorruptInput(at - 1)
        if in_quantum == 2:
            if at == len(data):
                raise CorruptInput(len(data))
            if data[at] != ord("="):
                raise CorruptInput(at - 1)
            at += 1
        if at < len(data):
            raise CorruptInput(at)
        return base64.b64decode(bytes(kept) + b"=" * (4 - in_quantum))
    if in_quantum:
        raise CorruptInput(at - in_quantum)
    return base64.b64decode(bytes(kept))
