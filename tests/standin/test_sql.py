# SPDX-License-Identifier: MIT
"""Goal: DDL, queries, grants, duplicates and types are KWDB's beyond what the recorded cases show.

Method: statements and lines over TLS; tables of inputs with the text or the value that must come.
"""

import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from support import KWDB_USER, STAMP, TOOL, Standin, StandinTest

STAMPED = f" {STAMP}"
UNRESOLVED = 'pq: could not resolve "{}" as {} type (column {});'


class TypeTest(StandinTest):
    schema = """
        create table kinds (k_timestamp timestamptz not null, f8 float8, f4 float4, i2 int2,
            i4 int4, i8 int8, b bool, c char(3), n nchar(3), nv nvarchar, ts timestamp,
            "select" int8)
            tags (host varchar not null, num int4 not null, "group" varchar(8))
            primary tags (host, num);
        create database plain;
        create table plain.rel (k_timestamp int8, host varchar(64), temp float8, n int8, b bool,
            primary key (k_timestamp, host));
        create table plain.times (k_timestamp timestamp, host varchar(64));
    """

    def verdict(self, fields, tags="host=a,num=1", stamp=STAMPED, table="kinds"):
        return self.server.post(f"{table},{tags} {fields}{stamp}")["desc"]

    def test_values_that_are_stored(self):
        cases = (
            ("f8=1.5i", "f8", 1.5), ("f8=-0.000001", "f8", -0.000001),
            ("f8=123456789012345678901", "f8", 123456789012345680000.0),
            ("f4=0.1", "f4", 0.1), ("f4=-16777217", "f4", -16777216.0),
            ("i2=32767", "i2", 32767), ("i4=-2147483648i", "i4", -2147483648), ("i8=007", "i8", 7),
            ("i8=3.0", "i8", 3), ("b=of", "b", 0), ("b=ON", "b", 1), ("b=y", "b", 1),
            ("b='t'", "b", 1), ("c='äb'", "c", "äb"), ("n='äöü'", "n", "äöü"),
            ("nv='it''s'", "nv", "it's"), ("ts=5", "ts", 5),
            ("ts='2023-06-27'", "ts", 1687824000000),
            ("ts=2023-06-27T01:02:03.5+01:00", "ts", 1687824123500),
            ('"select"=4', "select", 4), ("F8=2", "f8", 2.0),
        )
        for fields, name, value in cases:
            with self.subTest(fields):
                self.assertEqual("success;", self.verdict(fields))
                self.assertEqual(value, self.server.rows("kinds")[0][name])

    def test_values_that_are_refused(self):
        over = 'pq: {} "{}" out of range for type {} (column {});'
        cases = (
            ("f8=1e5", UNRESOLVED.format("1e5", "FLOAT8", "f8")),
            ("f8=.", UNRESOLVED.format(".", "FLOAT8", "f8")),
            ("f4=1" + "0" * 39, over.format("float", "1" + "0" * 39, "FLOAT4", "f4")),
            ("f4=0." + "0" * 45 + "1", over.format("float", "0." + "0" * 45 + "1", "FLOAT4", "f4")),
            ("i2=32768", over.format("integer", "32768", "INT2", "i2")),
            ("i4=-2147483649", over.format("integer", "-2147483649", "INT4", "i4")),
            ("i8=9223372036854775808", "pq: numeric constant out of int64 range;"),
            ("i8=1.5", UNRESOLVED.format("1.5", "INT8", "i8")),
            ("i8='1'", UNRESOLVED.format("1", "INT8", "i8")),
            ("b=1.5", UNRESOLVED.format("1.5", "BOOL", "b")),
            ("b=o", UNRESOLVED.format("o", "BOOL", "b")),
            ('b="true"', UNRESOLVED.format('"true"', "BOOL", "b")),
            ("c=007", UNRESOLVED.format("7", "CHAR(3)", "c")),
            ("c=-5", UNRESOLVED.format("-5", "CHAR(3)", "c")),
            ("c='äöü'", "pq: value 'äöü' too long for type CHAR(3) (column c);"),
            ("n='äöüß'", "pq: value 'äöüß' too long for type NCHAR(3) (column n);"),
            ("ts=soon", UNRESOLVED.format("soon", "TIMESTAMP(3)", "ts")),
            ("ts=31556995200001", over.format("value", "31556995200001", "TIMESTAMP(3)", "ts")),
        )
        for fields, desc in cases:
            with self.subTest(fields[:40]):
                self.assertEqual(desc, self.verdict(fields))
        self.assertEqual([], self.server.rows("kinds"))

    def test_stamps(self):
        column = ("TIMESTAMPTZ(3)", "k_timestamp")
        cases = (
            (" now()", "success;"), (" '2023-06-27'", "success;"), (" 0x10", "success;"),
            (" 1e12", "success;"), (" 5 and more", "success;"),
            (" 1+1", "pq: unsupported input type BinaryOperator;"),
            (" random()", 'pq: unsupported function input "random";'),
            (" null", 'pq: null value in column "k_timestamp" violates not-null constraint;'),
            (" true", UNRESOLVED.format("true", *column)),
            (" '5'", UNRESOLVED.format("5", *column)),
            (" -9e14", 'pq: value "-900000000000000" out of range for type TIMESTAMPTZ(3) '
                       "(column k_timestamp);"),
            (" 1e99999999999", "pq: numeric constant out of int64 range;"),
            (" 1e-9999999999", UNRESOLVED.format("1e-9999999999", *column)),
            (" 1e", "pq: lexical error: invalid floating point literal"),
            (" 0x", "pq: lexical error: invalid hexadecimal numeric literal"),
            (" 12abc", 'pq: lexical error: trailing junk after numeric literal at or near "12a"'),
            (" 5);--", "pq: insert (row 1) has more target columns than expressions, "
                       "1 expressions for 4 targets;"),
            (" /*", "pq: lexical error: unterminated comment"),
        )
        for stamp, desc in cases:
            with self.subTest(stamp):
                self.assertEqual(desc, self.verdict("f8=1", stamp=stamp))

    def test_names_and_tags(self):
        cases = (
            ("f8=1", "host=a", "pq: need to specify all primary tag [host num];"),
            ("select=1", "host=a,num=1", 'pq: at or near "select": syntax error'),
            ("f8=1", "host=a,num=1,group=x", 'pq: at or near "group": syntax error'),
            ("f8=1", 'host=a,num=1,"group"=x', "success;"),
            ("f8=1,c=abcd", "host=5,num=x", UNRESOLVED.format("5", "VARCHAR(64)", "host")),
            ("f8=1,c=abcd", "host=a,num=x", UNRESOLVED.format("x", "INT4", "num")),
            ("f8.x=1", "host=a,num=1", 'pq: at or near ".": syntax error'),
        )
        for fields, tags, desc in cases:
            with self.subTest(fields + tags):
                self.assertEqual(desc, self.verdict(fields, tags))

    def test_relational_tables(self):
        def verdict(line, db="plain"):
            return self.server.post(line, db=db)["desc"]

        self.assertEqual("success;", verdict("rel,host=a temp=1e5,b=true,n=3i 1687898010000"))
        self.assertEqual(
            "pq: duplicate key value (k_timestamp,host)=(1687898010000,'a') violates unique "
            'constraint "primary";', verdict("rel,host=a temp=1 1687898010000"),
        )
        self.assertEqual(
            'pq: value type int doesn\'t match type varchar of column "host";',
            verdict("rel,host=42 temp=1 1687898010000"),
        )
        self.assertEqual(
            'pq: value type int doesn\'t match type timestamp of column "k_timestamp";',
            verdict("times host=a 1687898010000"),
        )
        self.assertEqual("success;", verdict("plain.rel,host=b temp=1 1687898010000", "db1"))


class DuplicateTest(unittest.TestCase):
    """The later row of equal primary tags and stamp: what becomes of both."""

    def rows(self, rule):
        server = Standin("--dedup", rule)
        self.addCleanup(server.remove)
        first = server.post(f"sensor,host=a,site=x temp=1,cnt=5 {STAMP}")
        again = server.post(f"sensor,host=a,site=y temp=2 {STAMP}")
        same = server.post(f"sensor,host=a,site=y temp=2 {STAMP}")
        other = server.post(f"sensor,host=a temp=3 {STAMP + 1}\n"
                            f"sensor,host=b,site=z temp=4 {STAMP}")
        self.assertEqual((0, 0, 0, 0), tuple(r["code"] for r in (first, again, same, other)))
        self.assertEqual(2, other["rows"])
        stored = sorted(
            (row["host"], row["k_timestamp"] - STAMP, row["site"], row["temp"], row["cnt"])
            for row in server.rows()
        )
        self.assertEqual([("a", 1, "x", 3.0, None), ("b", 0, "z", 4.0, None)], stored[1:])
        return stored[0], again["rows"], server.counters()

    def test_override_replaces_the_whole_row(self):
        row, counted, counters = self.rows("override")
        self.assertEqual(("a", 0, "x", 2.0, None), row)
        self.assertEqual(1, counted)
        self.assertEqual((2, 1), (counters["rows_overwritten"], counters["rows_changed"]))

    def test_merge_lays_fields_over(self):
        row, counted, _ = self.rows("merge")
        self.assertEqual(("a", 0, "x", 2.0, 5), row)
        self.assertEqual(1, counted)

    def test_discard_keeps_the_first(self):
        row, counted, _ = self.rows("discard")
        self.assertEqual(("a", 0, "x", 1.0, 5), row)
        self.assertEqual(0, counted)


class DdlTest(StandinTest):
    def ddl(self, text, user="root:kwdbpassword", db="db1"):
        return self.server.sql("ddl", text, user, db)["desc"]

    def query(self, text, user="root:kwdbpassword", db="db1"):
        return self.server.sql("query", text, user, db)

    def test_round_trip(self):
        self.assertEqual(["success", "success"], self.ddl(
            "create ts database db2;create table db2.swap (k_timestamp timestamp not null, "
            'total int8, "in" int8, note varchar) tags (host varchar(64) not null, site varchar(16)'
            ') primary tags (host)'
        ))
        reply = self.query("show create table swap", db="db2")
        self.assertEqual(["code", "desc", "time", "column_meta", "data", "rows"], list(reply))
        self.assertEqual([[
            "swap",
            'CREATE TABLE swap ( k_timestamp TIMESTAMPTZ(3) NOT NULL, total INT8 NULL, "in" INT8 '
            "NULL, note VARCHAR(254) NULL) TAGS ( host VARCHAR(64) NOT NULL, site VARCHAR(16) ) "
            "PRIMARY TAGS(host) retentions 0s",
        ]], reply["data"])
        for change in ("add column out int8", "add tag rack varchar(8)"):
            self.assertEqual(["success"], self.ddl("alter table swap " + change, db="db2"))
        reply = self.server.post(f'swap,host=a,rack=r "in"=5i,out=6i {STAMP}', db="db2")
        self.assertEqual(0, reply["code"])
        reply = self.query('select "in", out, host, rack, note, k_timestamp from swap', db="db2")
        self.assertEqual([["5", "6", "a", "r", "NULL", "2023-06-27 20:33:30 +0000 +0000"]],
                         reply["data"])
        self.assertEqual(["in", "INT8", 8], reply["column_meta"][0])
        self.assertEqual(["success"], self.ddl("drop table swap", db="db2"))
        self.assertEqual('pq: relation "swap" does not exist',
                         self.query("show create table swap", db="db2")["desc"])
        self.assertEqual(["success"], self.ddl("drop database db2 cascade"))

    def test_what_create_table_refuses(self):
        times, tags = "k_timestamp timestamp not null", "host varchar(64) not null"
        cases = (
            (f"({times}) tags ({tags}) primary tags (host)", "at least 2 columns"),
            (f"(v int8, {times}) tags ({tags}) primary tags (host)", "1st column"),
            (f"({times}, v int8)", "at least one tag"),
            (f"({times}, v int8) tags (host varchar(64)) primary tags (host)", "not null"),
            (f"({times}, v int8) tags (host varchar(129) not null) primary tags (host)", "exceeds"),
            (f"({times}, v int8) tags (host float8 not null) primary tags (host)", "unsupported"),
            (f"({times}, v int8) tags ({tags}) primary tags (site)", "not a tag"),
            (f"({times}, v int8, v int4) tags ({tags}) primary tags (host)", "duplicate"),
            (f"({times}, v decimal) tags ({tags}) primary tags (host)", "does not exist"),
            (f"({times}, in int8) tags ({tags}) primary tags (host)", "syntax error"),
        )
        for text, piece in cases:
            with self.subTest(text):
                desc = self.ddl("create table refused " + text)
                self.assertIn(piece, ",".join(desc))
        self.assertEqual(['pq: relation "sensor" already exists'], self.ddl(
            f"create table sensor ({times}, v int8) tags ({tags}) primary tags (host)"))

    def test_statements_are_split_and_sifted(self):
        self.assertEqual(["wrong statement for ddl interface and please check", "success"],
                         self.ddl("show tables;\nuse db1;"))
        # Line ends vanish, so what stood on two lines becomes one word.
        self.assertEqual(['pq: at or near "tablesensor": syntax error'],
                         self.ddl("drop table\nsensor"))
        # A comma in a text splits it.
        self.assertEqual(['pq: at or near "', '": syntax error'], self.ddl("drop table ,"))

    def test_a_reply_that_would_be_no_json_is_not_sent(self):
        body = self.server.request("/restapi/ddl?db=db1", "drop table 'a\\q'")[2]
        self.assertEqual(b"", body)

    def test_queries(self):
        self.server.post(f"sensor,host=a temp=1.5 {STAMP}\nsensor,host=b cnt=2 {STAMP + 1}")
        reply = self.query("select count(*), max(k_timestamp), sum(temp) from sensor")
        self.assertEqual([["2", "2023-06-27 20:33:30.001 +0000 +0000", "1.5"]], reply["data"])
        self.assertEqual(["count", "max", "sum"], [meta[0] for meta in reply["column_meta"]])
        reply = self.query("select host from db1.sensor order by k_timestamp desc limit 1;")
        self.assertEqual([["b"]], reply["data"])
        names = [row[0] for row in self.query("show tables")["data"]]
        self.assertEqual(["sensor", "swap"], names)
        self.assertIn(["db1", "TIME SERIES"], self.query("show databases")["data"])

    def test_what_query_refuses(self):
        cases = (
            ("insert into sensor values (1)", "do not support insert statement for query"),
            ("create table x (a int)", "do not support create statement for query"),
            ("select 1; select 2;", "only support single statement for each query"),
            ("select * from nothing", 'pq: relation "nothing" does not exist'),
            ("select nothing from sensor", "pq: "),
        )
        for text, piece in cases:
            with self.subTest(text):
                reply = self.query(text)
                self.assertEqual(-1, reply["code"])
                self.assertIn(piece, reply["desc"])
        self.assertEqual(['at or near "selekt": syntax error'], self.query("selekt 1")["desc"])

    def test_grants(self):
        line = f"sensor,host=a temp=1 {STAMP}"
        denied = "pq: user kwdb does not have INSERT privilege on timeseries table sensor;"
        self.assertEqual("success;", self.server.post(line, KWDB_USER)["desc"])
        self.assertEqual(["success"], self.ddl("revoke insert on table sensor from kwdb"))
        self.assertEqual(denied, self.server.post(line, KWDB_USER)["desc"])
        self.assertEqual("success;", self.server.post(line)["desc"])
        self.assertEqual(["success"], self.ddl("grant insert on sensor to kwdb"))
        self.assertEqual("success;", self.server.post(line, KWDB_USER)["desc"])
        self.assertEqual(
            ["pq: user kwdb does not have CREATE privilege on database db1"],
            self.ddl("create table t (k_timestamp timestamp not null, v int8) "
                     "tags (host varchar(64) not null) primary tags (host)", KWDB_USER),
        )
        self.assertEqual(["success"], self.ddl("create user eve with password 'pw'"))
        self.assertEqual("success;", self.server.post(line, "eve:pw")["desc"])


class ProcessTest(unittest.TestCase):
    def test_rows_survive_a_kill_and_a_schema_may_run_again(self):
        server = Standin()
        self.addCleanup(server.remove)
        server.post(f"sensor,host=a temp=1 {STAMP}")
        server.sql("ddl", "revoke insert on sensor from kwdb")
        server.stop(signal.SIGKILL)
        server.start()
        self.assertEqual(1.0, server.rows()[0]["temp"])
        reply = server.post(f"sensor,host=a temp=2 {STAMP}", KWDB_USER)
        self.assertIn("does not have INSERT", reply["desc"])

    def test_the_end_is_clean_and_tells_the_counters(self):
        server = Standin("--user", "ann:secret")
        self.addCleanup(server.remove)
        server.post(f"sensor,host=a temp=1 {STAMP}\nnothing", "ann:secret")
        code, counters, errors = server.stop()
        self.assertEqual((0, ""), (code, errors))
        expected = {"posts": 1, "lines": 2, "rows_stored": 1, "refused": 1, "connections": 1,
                    "requests_by_path": {"/restapi/telegraf": 1}}
        self.assertEqual(expected, {name: counters[name] for name in expected})
        dump = subprocess.run(
            [sys.executable, str(TOOL), "--dump", "--db", str(server.folder / "rows.db")],
            capture_output=True, text=True, check=True,
        ).stdout
        self.assertIn("db1.sensor: 1 rows", dump)
        self.assertRegex(dump, r"(?m)^2023-06-27 20:33:30\.000  1\.0   -    -    a     -$")

    def test_a_password_may_cost_time(self):
        server = Standin("--bcrypt-cost-ms", "50")
        self.addCleanup(server.remove)
        started = time.monotonic()
        self.assertEqual(0, server.post(f"sensor,host=a temp=1 {STAMP}")["code"])
        self.assertGreaterEqual(time.monotonic() - started, 0.05)

    def test_mistakes_in_options(self):
        with tempfile.TemporaryDirectory(prefix="kwdb-standin-test-") as folder:
            script = Path(folder, "bad.sql")
            script.write_text("create table x", encoding="utf-8")
            cases = (
                (["--fault", "mars"], "unknown fault 'mars'; known: drop-before"),
                (["--user", "ann"], "--user ann: must be NAME:PASSWORD"),
                (["--dump", "--db", folder + "/none"], "no file"),
                (["--schema", folder + "/none"], "No such file"),
                (["--schema", str(script)], 'at or near "EOF": syntax error'),
                (["--make-certs-only"], "needs --certs DIR"),
            )
            for options, message in cases:
                with self.subTest(options[0]):
                    run = subprocess.run([sys.executable, str(TOOL), "--port", "0", *options],
                                         capture_output=True, text=True, timeout=20, check=False)
                    self.assertEqual((1, ""), (run.returncode, run.stdout))
                    self.assertIn(message, run.stderr)

    def test_certificates_alone(self):
        with tempfile.TemporaryDirectory(prefix="kwdb-standin-test-") as folder:
            subprocess.run([sys.executable, str(TOOL), "--make-certs-only", "--ecdsa",
                            "--certs", folder], capture_output=True, check=True)
            names = {path.name for path in Path(folder).iterdir()}
        self.assertLessEqual({"ca.crt", "ca.key", "node.crt", "node.key"}, names)

    def test_stop_by_the_control_port(self):
        server = Standin()
        self.addCleanup(server.remove)
        self.assertEqual({"ok": True}, server.control("/stop"))
        self.assertEqual(0, server._process.wait(10))


if __name__ == "__main__":
    unittest.main()
