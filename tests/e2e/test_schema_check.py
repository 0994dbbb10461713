# SPDX-License-Identifier: MIT
"""`schema` and `check`: the tables that inputs need, and what stands in the way of delivery.

Each test asks the program as a person would, and looks at what it says, at its exit status, and at
what the server has seen of it.
"""

import os
import pty
import re
import select
import subprocess
import time
import unittest

import harness
from harness import Standin, make_config, make_tables, run_agent

OK, CONFIG, FINDINGS = 0, 1, 2
TWO_INPUTS = {"inputs": {"mem": {"fieldinclude": ["total", "used_percent"]}, "swap": {}}}
NOWHERE = "https://localhost:1/restapi/telegraf?db=db1"
MIXED = {"inputs": {"cpu": {"name_override": "mem"}, "mem": {}}}
MIXED_WORDS = "inputs.cpu: table mem: the tag cpu tells rows apart, and other inputs of this table"
MEM = ("create table mem (k_timestamp timestamp not null, total int8, used_percent float8) "
       "tags (host varchar(64) not null) primary tags (host);")
SWAP = ('create table swap (k_timestamp timestamp not null, total int8, used int8, free int8, '
        'used_percent float8, "in" int8, "out" int8) '
        "tags (host varchar(64) not null) primary tags (host);")
SECRETS = (harness.PASSWORD, harness.ROOT_PASSWORD, "a3dkYjprd2RicGFzcw")


def with_site(table):
    """The CREATE TABLE with one more tag."""
    return table.replace("(host varchar(64) not null)",
                         "(host varchar(64) not null, site varchar(64))")


def lines_of(text, mark):
    """The lines of `check` with this mark, without it."""
    return [line[6:] for line in text.splitlines() if line.startswith(mark)]


class Case(unittest.TestCase):
    """What the tests below share: a program that never tells a secret."""

    def run_agent(self, arguments, config, status, **more):
        done = run_agent(arguments, config, **more)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, status, said)
        for secret in SECRETS:
            self.assertNotIn(secret, said)
        return done

    def check(self, config, status, **more):
        return self.run_agent(["check"], config, status, **more).stdout


class Schema(Case):
    """`schema` alone asks no server."""

    def test_prints_what_a_server_takes(self):
        config = make_config(NOWHERE, {**TWO_INPUTS, "global_tags": {"site": "a"}})
        done = self.run_agent(["schema"], config, OK)
        self.assertTrue(done.stdout.startswith("CREATE TS DATABASE db1;\nUSE db1;\n"))
        self.assertIn(
            "CREATE TABLE mem (\n    k_timestamp TIMESTAMPTZ(3) NOT NULL,\n    total INT8,\n"
            "    used_percent FLOAT8\n) TAGS (\n    host VARCHAR(64) NOT NULL,\n"
            "    site VARCHAR(64)\n) PRIMARY TAGS (host);\n", done.stdout)
        self.assertIn('"in" INT8', done.stdout)
        self.assertIn("-- GRANT INSERT ON TABLE db1.swap TO kwdb;\n", done.stdout)
        tables = done.stdout.partition("USE db1;")[2]
        with Standin(schema=tables) as server:
            self.assertEqual(server.tables(), ["mem", "swap"])

    def test_all_inputs_make_tables_that_keep_their_rows(self):
        """What the agent collects of this machine is stored in the tables that it asks for."""
        inputs = {name: {} for name in
                  ("cpu", "mem", "swap", "system", "disk", "diskio", "net", "temp", "kernel",
                   "processes", "internal")}
        with Standin() as server:
            config = make_config(server, {"inputs": inputs, "global_tags": {"site": "a"}})
            make_tables(server, config)
            done = self.run_agent(["--once"], config, OK)
            account = harness.parse_account(done.stderr)
            self.assertEqual(account.stored, account.collected)
            self.assertEqual(server.row_count(), account.stored)

    def test_influx_needs_none(self):
        config = make_config("http://127.0.0.1:1/write?db=db1")
        done = self.run_agent(["schema"], config, OK)
        self.assertIn("InfluxDB needs no tables", done.stdout)

    def test_a_table_that_cannot_be_is_named(self):
        config = make_config(NOWHERE, MIXED)
        done = self.run_agent(["schema"], config, CONFIG)
        self.assertIn(MIXED_WORDS, done.stderr)

    def test_arguments(self):
        config = make_config(NOWHERE)
        for arguments, words in (
            (["--apply"], "--apply needs --user"),
            (["--user", "root"], "--user goes with"),
            (["--drop"], "unknown argument --drop"),
            (["--apply", "--user", "ro:ot:pw"], "--user:"),
            (["--apply", "--user", "root"], "no password of root"),
        ):
            with self.subTest(arguments):
                done = self.run_agent(["schema", *arguments], config, CONFIG)
                self.assertIn(words, done.stderr)


class Difference(Case):
    """`schema --diff` and `--apply`."""

    def apply(self, config, status=OK, user="root:" + harness.ROOT_PASSWORD, **more):
        return self.run_agent(["schema", "--apply", "--user", user], config, status, **more).stdout

    def diff(self, config, status, *arguments):
        return self.run_agent(["schema", "--diff", *arguments], config, status).stdout

    def test_missing_tables_are_made(self):
        with Standin(schema=MEM) as server:
            config = make_config(server, TWO_INPUTS)
            before = self.diff(config, FINDINGS)
            self.assertTrue(before.startswith("CREATE TABLE swap ("), before)
            self.assertNotIn("TABLE mem", before)
            self.assertNotIn("DATABASE", before)
            self.assertEqual(server.tables(), ["mem"])
            done = self.apply(config)
            self.assertEqual(done.count("-- done"), 1)
            self.assertIn("-- GRANT INSERT ON TABLE db1.swap TO kwdb;", done)
            self.assertEqual(server.tables(), ["mem", "swap"])
            self.assertIn("nothing is missing: 2 tables", self.diff(config, OK))
            self.assertIn("nothing is missing: 2 tables", self.apply(config))

    def test_missing_columns_and_tags_are_added(self):
        schema = ("create table mem (k_timestamp timestamp not null, total int8) "
                  "tags (host varchar(64) not null) primary tags (host);")
        changes = {**TWO_INPUTS, "global_tags": {"site": "a", "group": "b"}}
        with Standin(schema=schema + SWAP) as server:
            config = make_config(server, changes)
            before = self.diff(config, FINDINGS).splitlines()
            wanted = ["ALTER TABLE mem ADD TAG site VARCHAR(64);",
                      'ALTER TABLE mem ADD TAG "group" VARCHAR(64);',
                      "ALTER TABLE mem ADD COLUMN used_percent FLOAT8;",
                      "ALTER TABLE swap ADD TAG site VARCHAR(64);",
                      'ALTER TABLE swap ADD TAG "group" VARCHAR(64);']
            self.assertEqual(sorted(before), sorted(wanted))
            self.assertEqual(self.apply(config).count("-- done"), len(wanted))
            self.assertIn("nothing is missing", self.diff(config, OK))
            self.run_agent(["--once"], config, OK)
            self.assertEqual(server.query('select site, "group" from mem'), [("a", "b")])

    def test_what_cannot_be_added_is_a_comment(self):
        schema = ("create table mem (k_timestamp timestamp not null, total int4, "
                  "used_percent int8) tags (host varchar(3) not null, a varchar(8) not null) "
                  "primary tags (a);" + SWAP)
        with Standin(schema=schema) as server:
            config = make_config(server, TWO_INPUTS)
            for said in (self.diff(config, FINDINGS), self.apply(config, FINDINGS)):
                self.assertEqual([line for line in said.splitlines()
                                  if not line.startswith("--")], [])
                self.assertIn("column total is INT4, which refuses a row whose value is beyond its "
                              "range", said)
                self.assertIn("ALTER TABLE mem ALTER COLUMN total TYPE INT8;", said)
                self.assertIn("column used_percent is INT8, which refuses every row whose value "
                              "has a fraction", said)
                self.assertIn("tag host is VARCHAR(3), which is too short for its value", said)
                self.assertIn("tag host is not primary", said)
                self.assertIn("tag a is primary and our rows lack it", said)
            self.assertEqual(server.requests("/restapi/ddl"), [])

    def test_database_is_made(self):
        with Standin() as server:
            config = make_config(server, TWO_INPUTS)
            config["outputs"]["http"]["url"] = server.url(database="Plant%2D3")
            said = self.diff(config, FINDINGS)
            self.assertTrue(said.startswith('CREATE TS DATABASE "Plant-3";\nCREATE TABLE mem ('))
            self.assertEqual(self.apply(config).count("-- done"), 3)
            self.assertIn("nothing is missing", self.diff(config, OK))
            self.run_agent(["--once"], config, OK)
            self.assertEqual(server.query('select count(*) from "Plant-3.mem"'), [(1,)])

    def test_a_user_who_may_not(self):
        with Standin(schema=MEM) as server:
            config = make_config(server, TWO_INPUTS)
            said = self.apply(config, FINDINGS, user="kwdb:" + harness.PASSWORD)
            self.assertIn("-- FAILED: pq: user kwdb does not have CREATE privilege", said)
            self.assertIn("name one who may by --user", said)

    def test_wrong_passwords(self):
        with Standin(schema=MEM) as server:
            config = make_config(server, TWO_INPUTS)
            said = self.apply(config, FINDINGS, user="root:guess")
            self.assertIn("wrong user or password", said)
            self.assertNotIn("guess", said)
            config["outputs"]["http"]["password"] = "guess"
            self.assertIn("wrong user or password", self.diff(config, FINDINGS))
            # The user of the call takes the place of the configured one.
            self.assertIn("CREATE TABLE swap",
                          self.diff(config, FINDINGS, "--user", "root:" + harness.ROOT_PASSWORD))

    def test_table_without_privilege(self):
        with Standin(schema=MEM + SWAP) as server:
            server.sql("revoke select, insert on table mem from kwdb")
            said = self.diff(make_config(server, TWO_INPUTS), FINDINGS)
            self.assertIn("-- table mem: pq: user kwdb has no privileges on", said)
            self.assertIn("-- GRANT INSERT ON TABLE db1.mem TO kwdb;", said)

    def test_password_from_the_environment(self):
        with Standin() as server:
            config = make_config(server, TWO_INPUTS)
            said = self.apply(config, user="root",
                              env={"KWMOTE_APPLY_PASSWORD": harness.ROOT_PASSWORD})
            self.assertEqual(said.count("-- done"), 2)

    def test_password_from_the_terminal(self):
        with Standin() as server:
            path = harness.write_config(make_config(server, TWO_INPUTS))
            master, slave = pty.openpty()
            process = subprocess.Popen(
                ["setsid", "--ctty", "--wait", str(harness.PROGRAM), "--config", str(path),
                 "schema", "--apply", "--user", "root"],
                stdin=slave, stdout=slave, stderr=slave)
            os.close(slave)
            said, end = b"", time.monotonic() + 20
            asked = False
            while time.monotonic() < end:
                if not select.select([master], [], [], 0.2)[0]:
                    continue
                try:
                    said += os.read(master, 65536)
                except OSError:  # the other side is closed
                    break
                if not asked and b"Password of root: " in said:
                    asked = True
                    os.write(master, harness.ROOT_PASSWORD.encode() + b"\n")
            os.close(master)
            self.assertEqual(process.wait(timeout=10), OK, said)
            self.assertEqual(said.count(b"-- done"), 2)
            self.assertNotIn(harness.ROOT_PASSWORD.encode(), said)

    def test_a_second_server_is_asked_when_the_first_is_gone(self):
        with Standin(schema=MEM + SWAP) as server:
            config = make_config(server, TWO_INPUTS)
            http = config["outputs"]["http"]
            http["urls"] = ["https://localhost:1/restapi/telegraf?db=db1", http.pop("url")]
            self.assertIn("nothing is missing", self.diff(config, OK))

    def test_no_server(self):
        config = make_config(NOWHERE)
        self.assertIn("refused", self.diff(config, FINDINGS))

    def test_long_tables_come_in_chunks(self):
        """More than 2048 bytes are sent in chunks; nothing is lost between them."""
        columns = ", ".join(f"a_quite_long_name_of_column_{at} varchar(254)" for at in range(200))
        schema = MEM.replace("total int8", f"total int8, {columns}") + SWAP
        with Standin(schema=schema) as server:
            self.assertIn("nothing is missing", self.diff(make_config(server, TWO_INPUTS), OK))

    def test_a_connection_that_breaks_and_a_second_call(self):
        schema = MEM.replace("used_percent float8", "other float8") + SWAP
        with Standin(schema=schema) as server:
            config = make_config(server, TWO_INPUTS)
            server.fault("drop-before:2:on=ddl")
            said = self.apply(config, FINDINGS)
            self.assertIn("-- FAILED: ", said)
            self.assertEqual(self.apply(config).count("-- done"), 1)


class Check(Case):
    """`check` goes as far as it can, and says of each step how it stands."""

    def test_all_is_well(self):
        with Standin(schema=MEM + SWAP) as server:
            said = self.check(make_config(server, TWO_INPUTS), OK)
            self.assertEqual(lines_of(said, "FAIL") + lines_of(said, "warn"), [])
            for pattern in (
                r"configuration: .*: 2 inputs", r"identity: host gw-1 ", r"clock: 20\d\d-",
                r"name: localhost is 127\.0\.0\.1", r"TCP: port \d+ answers",
                r"TLS: TLSv1\.2, TLS-",
                r'certificate: "O=KWDB, CN=node" for localhost, .*, from .* to .*\(\d+ days left\)',
                r"server: GET /health is answered", r"server's clock: .*, as this device's",
                r"credentials: user kwdb", r"database: db1", r"table mem: has all 4 columns",
                r"table swap: has all 8 columns",
            ):
                self.assertRegex("\n".join(lines_of(said, "ok")), pattern)
            self.assertIn("note  whether user kwdb may insert shows only when rows are sent", said)
            self.assertRegex(said, r"\n\d+ ok, 0 warnings, 0 failures: ready to deliver\n\Z")
            self.assertEqual(server.row_count(), 0)

    def only_failure(self, said, pattern):
        """The one failure matches, and what to do stands below it."""
        failures = lines_of(said, "FAIL")
        self.assertEqual(len(failures), 1, said)
        self.assertRegex(failures[0], pattern)
        self.assertRegex(said, r"FAIL  .*\n      -> \S")
        self.assertIn("1 failures: mend what FAILs", said)

    def test_certificates(self):
        for options, host, pattern in (
            (["--cert-expired"], "localhost", r"TLS: .*(expired|ended)"),
            (["--cert-not-yet"], "localhost", r"TLS: .*valid"),
            (["--cert-name", "kwdb.example"], "localhost", r"TLS: .*kwdb\.example"),
            (["--cert-unknown-ca"], "localhost", r"TLS: .*CA"),
        ):
            with self.subTest(options[0]), Standin(*options, schema=MEM + SWAP) as server:
                config = make_config(server, TWO_INPUTS)
                config["outputs"]["http"]["url"] = server.url(host)
                said = self.check(config, FINDINGS)
                self.only_failure(said, pattern)
                self.assertIn("no password was sent", said)
                self.assertEqual(server.requests(), [])

    def test_insecure_shouts(self):
        with Standin("--cert-unknown-ca", schema=MEM + SWAP) as server:
            config = make_config(server, TWO_INPUTS)
            config["outputs"]["http"]["insecure_skip_verify"] = True
            said = self.check(config, OK)
            self.assertRegex("\n".join(lines_of(said, "warn")), "NOBODY'S IDENTITY IS CHECKED")

    def test_nobody_there(self):
        said = self.check(make_config(NOWHERE), FINDINGS)
        self.only_failure(said, r"TCP: .*refused")
        self.assertIn("ok    name: localhost", said)

    def test_no_such_name(self):
        config = make_config("https://kwdb.invalid/restapi/telegraf?db=db1",
                             {"outputs": {"http": {"timeout": "20s"}}})
        self.only_failure(self.check(config, FINDINGS, timeout=60), r"name: kwdb\.invalid: ")

    def test_not_https(self):
        """The control port speaks plain HTTP."""
        with Standin(schema=MEM) as server:
            config = make_config(server, TWO_INPUTS)
            port = server.control_url.rpartition(":")[2]
            config["outputs"]["http"]["url"] = f"https://127.0.0.1:{port}/restapi/telegraf?db=db1"
            self.only_failure(self.check(config, FINDINGS), r"TLS: ")

    def test_wrong_password(self):
        with Standin(schema=MEM + SWAP) as server:
            config = make_config(server, TWO_INPUTS)
            config["outputs"]["http"]["password"] = "guess"
            said = self.check(config, FINDINGS)
            self.only_failure(said, r"credentials: user kwdb: .*can not find token")
            self.assertNotIn("guess", said)

    def test_no_database(self):
        with Standin() as server:
            config = make_config(server, TWO_INPUTS)
            config["outputs"]["http"]["url"] = server.url(database="DB1")
            self.only_failure(self.check(config, FINDINGS), r"database: DB1 does not exist")

    def test_tables(self):
        """Each finding, with the statement that mends it where there is one."""
        mem, swap = with_site(MEM), with_site(SWAP)
        for schema, mark, pattern, advice in (
            ("", "FAIL", r"table mem: does not exist", r"kwmote schema --apply"),
            (mem.replace("total int8, ", ""), "FAIL", r"column total is missing",
             r"ALTER TABLE mem ADD COLUMN total INT8;"),
            (MEM, "FAIL", r"tag site is missing", r"ALTER TABLE mem ADD TAG site VARCHAR\(64\);"),
            (mem.replace("total int8", "total float4"), "warn",
             r"column total is FLOAT4, which keeps 7 digits", None),
            (mem.replace("total int8", "total bool"), "FAIL",
             r"column total is BOOL, which refuses every row", None),
            (mem.replace("timestamp not", "timestamp(6) not"), "FAIL",
             r"k_timestamp has not the precision of milliseconds", None),
            (mem.replace("k_timestamp", "ts"), "FAIL", r"k_timestamp is missing", None),
            (mem.replace("float8)", "float8, x int8 not null)"), "FAIL",
             r"column x is NOT NULL and our rows lack it", None),
            (mem.replace("total int8", "total int8 not null"), "warn",
             r"column total is NOT NULL: a row that lacks it", None),
            (mem.replace("site varchar(64)", "site varchar(64) not null")
             .replace("primary tags (host)", "primary tags (site)"), "FAIL",
             r"tag host is not primary", None),
        ):
            with self.subTest(pattern), Standin(schema=schema + swap) as server:
                config = make_config(server, {**TWO_INPUTS, "global_tags": {"site": "a"}})
                said = self.check(config, FINDINGS if mark == "FAIL" else OK)
                found = [line for line in lines_of(said, mark) if re.search(pattern, line)]
                self.assertEqual(len(found), 1, said)
                if advice:
                    self.assertRegex(said, advice)

    def test_privilege(self):
        with Standin(schema=MEM + SWAP) as server:
            server.sql("revoke select, insert on table mem from kwdb")
            said = self.check(make_config(server, TWO_INPUTS), FINDINGS)
            self.only_failure(said, r"table mem: .*has no privileges")
            self.assertIn("GRANT INSERT ON TABLE db1.mem TO kwdb;", said)

    def test_each_url(self):
        with Standin(schema=MEM + SWAP) as server:
            config = make_config(server, TWO_INPUTS)
            http = config["outputs"]["http"]
            http["urls"] = ["https://localhost:1/restapi/telegraf?db=db1", http.pop("url")]
            said = self.check(config, FINDINGS)
            self.only_failure(said, r"TCP: ")
            self.assertIn("\nhttps://localhost:1\n", said)
            self.assertIn("ok    table mem", said)

    def test_remarks(self):
        with Standin(schema=MEM + SWAP) as server:
            config = make_config(server, {
                **TWO_INPUTS, "agent": {"hostname": "raspberrypi"},
                "outputs": {"http": {"auth": "token", "timeout": "5s"}}})
            said = self.check(config, OK)
            self.assertRegex(said, r"warn  configuration: outputs\.http\.auth is \"token\", which "
                                   r"is off by default: .*crash")
            self.assertIn("timeout is 5000 ms, but KWDB may take 10 s", said)
            self.assertIn("warn  identity: host raspberrypi is a name that every device has", said)
            self.assertEqual(len(server.requests("/restapi/login")), 1)

    def test_warnings_of_the_configuration_are_repeated(self):
        config = make_config("http://localhost:1/write?db=db1", TWO_INPUTS)
        done = self.run_agent(["check"], config, FINDINGS)
        self.assertRegex(done.stdout, r"warn  configuration: \d+:\d+: outputs\.http\.url: http: ")
        self.assertEqual(done.stderr, "")

    def test_mistake_in_the_configuration(self):
        done = self.run_agent(["check"], {"inputs": {}}, CONFIG)
        self.assertIn("FAIL  configuration: ", done.stdout)
        self.assertIn("error: ", done.stderr)

    def test_tables_that_cannot_be(self):
        with Standin() as server:
            said = self.check(make_config(server, MIXED), FINDINGS)
            self.only_failure(said, re.escape(MIXED_WORDS))

    def test_replies_that_are_none(self):
        for fault, pattern in (
            ("html:on=query", r"credentials: .*not what KWDB says"),
            ("empty:on=query", r"credentials: .*empty"),
            ("not-found=20000:on=any", r"credentials: .*404"),
            ("drop-before:on=query", r"credentials: "),
            ("truncate=60:on=query", r"credentials: "),
        ):
            with self.subTest(fault), Standin("--fault", fault, schema=MEM + SWAP) as server:
                said = self.check(make_config(server, TWO_INPUTS), FINDINGS)
                self.assertRegex("\n".join(lines_of(said, "FAIL")), pattern)

    def test_hang_ends(self):
        with Standin("--fault", "hang:on=query", schema=MEM) as server:
            config = make_config(server, {**TWO_INPUTS, "outputs": {"http": {"timeout": "1s"}}})
            said = self.check(config, FINDINGS)
            self.assertRegex("\n".join(lines_of(said, "FAIL")), r"credentials: .*within 1000 ms")

    def test_influx(self):
        """A server that knows no /ping: what can be said is said."""
        with Standin() as server:
            config = make_config(server, TWO_INPUTS)
            config["outputs"]["http"]["url"] = f"https://localhost:{server.port}/api/v2/write?x=1"
            said = self.check(config, OK)
            self.assertIn("warn  server: GET /ping: HTTP status 404", said)
            self.assertIn("note  credentials: only a write shows", said)


if __name__ == "__main__":
    unittest.main()
