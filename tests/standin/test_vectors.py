# SPDX-License-Identifier: MIT
"""Goal: the stand-in answers as KWDB did to every recorded body, and stores what KWDB stored.

Method: the cases of tests/data/kwdb-vectors.json, each on empty tables as user kwdb, posted over
TLS; then batches of them, whose replies must be the cases' pieces one after the other.
"""

import base64
import json
import random
import re
import sqlite3
import time
import unittest

from support import KWDB_USER, ROOT, StandinTest

from standin.gotext import float_text

VECTORS = json.loads((ROOT / "tests/data/kwdb-vectors.json").read_text(encoding="utf-8"))
BATCHES, BATCH_LINES_MAX = 60, 60
ESCAPED = re.compile("U([0-9A-F]{8})")


def schema():
    text = ""
    for table in VECTORS["tables"]:
        columns = ", ".join(
            f"{c['name']} {c['type']}" + (" not null" if c.get("not_null") else "")
            for c in table["columns"]
        )
        tags = ", ".join(
            f"{t['name']} {t['type']}{' not null' if {'primary', 'not_null'} & t.keys() else ''}"
            for t in table["tags"]
        )
        primary = ", ".join(tag["name"] for tag in table["tags"] if tag.get("primary"))
        text += f"create table {table['name']} ({columns}) tags ({tags}) primary tags ({primary});"
        for user in table.get("no_insert_privilege", ()):
            text += f"revoke insert on {table['name']} from {user};"
    return text


def body_of(case):
    if "body_base64" in case:
        return base64.b64decode(case["body_base64"])
    return case["body"].encode()


def without_time(reply):
    return {name: value for name, value in reply.items() if name != "time"}


def as_recorded(value):
    """A stored value in the notation of the recorded cases."""
    if isinstance(value, str):
        return {"string": value}
    return float_text(value) if isinstance(value, float) else str(value)


class VectorTest(StandinTest):
    schema = schema()

    def recorded_rows(self, case):
        """The case's rows with text unescaped, booleans as stored and nothing where NULL is."""
        rows = []
        for row in case.get("stored", ()):
            row = dict(row)
            for name, value in row.items():
                if isinstance(value, dict):
                    text = ESCAPED.sub(lambda match: chr(int(match.group(1), 16)), value["string"])
                    row[name] = {"string": text}
                elif value in ("true", "false"):
                    row[name] = "1" if value == "true" else "0"
            rows.append(row)
        return rows

    def stored_rows(self):
        """What stands in the SQLite file, as anybody may read it."""
        rows = []
        for table in VECTORS["tables"]:
            for row in self.file.execute(f"select * from {table['name']}"):
                kept = {name: row[name] for name in row.keys() if row[name] is not None}
                rows.append({"table": table["name"]})
                rows[-1].update((name, as_recorded(value)) for name, value in kept.items())
        return rows

    def setUp(self):
        super().setUp()
        self.file = sqlite3.connect(self.server.folder / "rows.db")
        self.file.row_factory = sqlite3.Row
        self.addCleanup(self.file.close)
        self.link = self.server.connection()
        self.addCleanup(self.link.close)

    def test_every_case(self):
        self.assertEqual(118, len(VECTORS["cases"]))
        for case in VECTORS["cases"]:
            body = body_of(case)
            with self.subTest(body[:80]):
                before = time.time_ns()
                reply = self.server.post(body, KWDB_USER, connection=self.link)
                self.assertEqual(case["reply"], without_time(reply))
                expected, stored = self.recorded_rows(case), self.stored_rows()
                for row, got in zip(expected, stored):
                    if row["k_timestamp"] == "<server clock>":
                        now = int(got["k_timestamp"])
                        self.assertTrue(before <= now <= time.time_ns())
                        row["k_timestamp"] = got["k_timestamp"]
                self.assertEqual(expected, stored)
                if stored:
                    self.server.control("/clear-rows")

    def test_batches_are_concatenations(self):
        seed = random.randrange(1 << 32)
        chosen = random.Random(seed)
        cases = [case for case in VECTORS["cases"] if b"\n" not in body_of(case) and body_of(case)]
        for _ in range(BATCHES):
            batch = chosen.choices(cases, k=chosen.randint(2, BATCH_LINES_MAX))
            # A line's own carriage return would become a part of the line end.
            batch = [case for case in batch if not body_of(case).endswith(b"\r")]
            with self.subTest(seed=seed):
                body = b"\n".join(map(body_of, batch))
                reply = self.server.post(body, KWDB_USER, connection=self.link)
                desc = "".join(case["reply"]["desc"] for case in batch)
                rows = sum(case["reply"]["rows"] for case in batch)
                code = min(case["reply"]["code"] for case in batch)
                self.assertEqual({"code": code, "desc": desc, "rows": rows}, without_time(reply))


if __name__ == "__main__":
    unittest.main()
