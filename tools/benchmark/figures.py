# SPDX-License-Identifier: MIT
"""The keys, the aims, and the table that is printed of them."""

ENCODE_KEYS = (
    "instructions_per_line", "snprintf_instructions_per_line", "memcpy_instructions_per_line",
    "ns_per_line", "snprintf_ns_per_line", "memcpy_ns_per_line", "times_faster_than_snprintf",
)
AGENT_KEYS = (
    "instructions_per_field", "cpu_ms_per_1000_fields", "rss_bytes", "pss_bytes", "binary_bytes",
    "wire_bytes_per_field",
)
TLS_KEYS = ("full_handshakes", "resumed_handshakes")

# key: (at most or at least, the figure)
AIMS = {
    "encode.instructions_per_line": ("<=", 400),
    "encode.times_faster_than_snprintf": (">=", 15),
    "agent.instructions_per_field": ("<=", 2000),
    "agent.rss_bytes": ("<=", 2_500_000),
    "agent.binary_bytes": ("<=", 300_000),
    "tls.resumed_share": (">=", 0.95),
}

ENCODE_ROWS = (
    ("user instructions a line", "{}instructions_per_line"),
    ("ns a line", "{}ns_per_line"),
)
AGENT_ROWS = (
    ("user instructions a field", "agent.instructions_per_field"),
    ("CPU ms a 1000 fields", "agent.cpu_ms_per_1000_fields"),
    ("RSS, bytes", "agent.rss_bytes"),
    ("PSS, bytes", "agent.pss_bytes"),
    ("peak RSS, bytes", "agent.peak"),
    ("binary, stripped, bytes", "agent.binary_bytes"),
    ("bytes on the wire a field", "agent.wire_bytes_per_field"),
    ("fields in the window", "agent.fields"),
    ("full handshakes", "tls.full_handshakes"),
    ("resumed handshakes", "tls.resumed_handshakes"),
    ("reconnects resumed, share", "tls.resumed_share"),
)


def resumed_share(full, resumed):
    """Of all connections after the first, which cannot be resumed. None without a reconnect."""
    reconnects = full + resumed - 1
    return resumed / reconnects if reconnects > 0 else None


def is_met(key, value):
    """Whether the aim of a key is met."""
    sense, aim = AIMS[key]
    return value <= aim if sense == "<=" else value >= aim


def number(value):
    """A figure as text: three digits at least, thousands apart, and nothing for what is none."""
    if value is None:
        return "-"
    if isinstance(value, int) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def aim_text(key, value):
    """What stands beside a figure."""
    if key not in AIMS:
        return ""
    sense, aim = AIMS[key]
    verdict = "not measured" if value is None else "met" if is_met(key, value) else "MISSED"
    return f"{sense} {number(aim)}: {verdict}"


def json_object(figures, parts, siblings):
    """{key: figure or None} of the parts that were asked for; what has no figure is null."""
    keys = []
    if "encode" in parts:
        keys += [f"encode.{name}" for name in ENCODE_KEYS]
    for sibling, has_tls in siblings.items():
        if "agent" in parts and not sibling or "peers" in parts and sibling:
            keys += [f"agent.{name}{sibling}" for name in AGENT_KEYS]
        if ("tls" in parts and not sibling or "peers" in parts and sibling) and has_tls:
            keys += [f"tls.{name}{sibling}" for name in TLS_KEYS]
    return {key: round_figure(figures.get(key)) for key in keys}


def round_figure(value):
    """Enough digits for any use, and no more."""
    return round(value, 3) if isinstance(value, float) else value


def _aligned(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1])]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return lines


def encode_table(figures):
    rows = [("encoder", "kwmote", "snprintf", "memcpy", "aim")]
    for label, form in ENCODE_ROWS:
        keys = ["encode." + form.format(prefix) for prefix in ("", "snprintf_", "memcpy_")]
        cells = [number(figures.get(key)) for key in keys]
        rows.append((label, *cells, aim_text(keys[0], figures.get(keys[0]))))
    key = "encode.times_faster_than_snprintf"
    rows.append(("times faster than snprintf", number(figures.get(key)), "", "",
                 aim_text(key, figures.get(key))))
    return _aligned(rows)


def agent_table(figures, titles, parts):
    """`titles` is {sibling: title} of what was measured, kwmote's own first."""
    rows = [("agent", *titles.values(), "aim")]
    for label, key in AGENT_ROWS:
        values = [figures.get(key + sibling) for sibling in titles]
        wanted = ("tls" if key.startswith("tls.") else "agent") in parts
        if wanted or any(value is not None for value in values):
            aim = aim_text(key, values[0]) if "" in titles and wanted else ""
            rows.append((label, *map(number, values), aim))
    return _aligned(rows)


def summary(figures):
    """How many aims are met, of those that have a figure."""
    judged = {key: is_met(key, figures[key]) for key in AIMS if figures.get(key) is not None}
    if not judged:
        return "nothing was measured that has an aim"
    missed = [key for key, met in judged.items() if not met]
    text = f"{len(judged) - len(missed)} of {len(judged)} aims met"
    return text + (f"; missed: {', '.join(missed)}" if missed else "")
