# SPDX-License-Identifier: MIT
"""The program as its users meet it: its options, signals, secrets, and what it says."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time

import harness
from harness import (
    Agent, Standin, make_config, make_tables, new_folder, run_agent, wait_until, write_config,
)
from judge import (
    NET_TABLE, Interfaces, Judged, Log, eths, net_agent, net_config, once, side_by_side, stopped,
)

load_tests = side_by_side

OK, MISTAKE = 0, 1
FINISH_SECONDS = 5  # that TERM takes at most, by its own word
SLACK_SECONDS = 3  # of a busy machine
NOWHERE = "https://localhost:1/restapi/telegraf?db=db1"
BROKEN = """{
  "agent": {"interval": "1x", "intervall": "1s"},
  "outputs": {"http": {"url": "https://h:1/restapi/telegraf?db=d", "method": "PUT",
                       "username": "u", "password": "se:cret"}},
  "inputs": {"mem": {"foo": 1},
             "nope": {}}
}
"""
STATEMENTS = (
    (2, "agent.interval", "not a duration"),
    (2, "agent.intervall", 'did you mean "interval"'),
    (3, "outputs.http.method", 'only "POST"'),
    (4, "outputs.http.password", "cannot hold a ':'"),
    (5, "inputs.mem.foo", "unknown key"),
    (6, "inputs.nope", "no such input"),
)
INTERNAL_TABLES = """
create table internal_agent (k_timestamp timestamp not null, metrics_gathered int8, gathers int8,
    gather_errors int8, gather_timeouts int8, gather_missed int8, series int8, series_retired int8,
    values_altered int8, tls_heap_peak int8) tags (host varchar(64) not null) primary tags (host);
create table internal_write (k_timestamp timestamp not null, metrics_collected int8,
    metrics_written int8, metrics_rejected int8, metrics_dropped int8, metrics_unknown int8,
    metrics_waiting int8, buffer_size int8, buffer_limit int8, requests int8, errors int8,
    bytes_sent int8, bytes_received int8, handshakes_full int8, handshakes_resumed int8,
    handshake_ms int8, certificate_days int8)
    tags (host varchar(64) not null, output varchar(8) not null) primary tags (host, output);
"""


class CommandLine(Judged):
    def test_version(self):
        for arguments in ["version"], ["--version"]:
            done = run_agent(arguments)
            self.assertEqual((done.returncode, done.stderr), (OK, ""))
            self.assertRegex(done.stdout, r"^kwmote \d+\.\d+\.\d+\n$")

    def test_help(self):
        done = run_agent(["--help"])
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        self.assertTrue(done.stdout.startswith("usage: kwmote "))

    def test_unknown(self):
        for arguments in ["--nope"], ["frobnicate"], ["config"], ["config", "burn"]:
            with self.subTest(arguments=arguments):
                done = run_agent(arguments)
                self.assertEqual((done.returncode, done.stdout), (MISTAKE, ""))
                self.assertIn(f"unknown {'option' if '--' in arguments[0] else 'command'} "
                              f"{' '.join(arguments)}\n", done.stderr)
                self.assertIn("usage: kwmote ", done.stderr)

    def test_no_configuration(self):
        for arguments in [], ["--test"], ["--once"], ["config", "check"], ["schema"]:
            with self.subTest(arguments=arguments):
                done = run_agent(["--config", "/nonexistent/kwmote.json", *arguments])
                self.assertEqual((done.returncode, done.stdout), (MISTAKE, ""))
                self.assertIn("/nonexistent/kwmote.json: No such file or directory", done.stderr)

    def test_sample_is_fine(self):
        made = run_agent(["config", "create"])
        self.assertEqual((made.returncode, made.stderr), (OK, ""))
        done = run_agent(["config", "check"], made.stdout, env={"KWDB_PASSWORD": "x"})
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        self.assertIn(": fine: ", done.stdout)

    def test_all_mistakes_at_once(self):
        path = write_config(BROKEN)
        for arguments in ["config", "check"], ["--test"], ["--once"], []:
            with self.subTest(arguments=arguments):
                done = run_agent(arguments, path)
                self.assertEqual((done.returncode, done.stdout), (MISTAKE, ""))
                told = done.stderr.splitlines()
                self.assertEqual(len(told), len(STATEMENTS), done.stderr)
                for line, (number, key, why) in zip(told, STATEMENTS):
                    self.assertRegex(line, rf"^{re.escape(str(path))}:{number}:\d+: error: "
                                           rf"{re.escape(key)}: .*{re.escape(why)}")
                self.assertNotIn("cret", done.stderr)

    def test_input_that_cannot_be_made(self):
        """What only the input itself can tell is a mistake of the configuration all the same."""
        twice = {"file": {"name": "room", "files": [{"path": "/a", "field": "t"},
                                                    {"path": "/b", "field": "t"}]}}
        done = run_agent(["--once"], net_config(NOWHERE, {"inputs": twice}), 20)
        self.assertEqual(done.returncode, MISTAKE, done.stderr)
        self.assertIn("inputs.file", done.stderr)

    def test_lines_are_printed_and_not_sent(self):
        with Standin(schema=NET_TABLE) as server:
            machine = Interfaces(["eth0", "it's"])
            config = net_config(server, {"global_tags": {"site": "plant-3"}})
            done = run_agent(["--test"], config, 20, machine.env)
            self.assertEqual(done.returncode, OK)
            self.assertRegex(done.stdout, (
                r"\A> net,host='gw-1',interface='eth0',site='plant-3' bytes_recv=0i,.*speed=-1i "
                r"\d{13}\n> net,host='gw-1',interface='it''s',site='plant-3' bytes_recv=1i,.*\n\Z"))
            counters = server.status()["counters"]
            self.assertEqual((counters["connections"], server.row_count()), (0, 0))

    def test_lines_of_the_other_dialect(self):
        done = run_agent(["--test"], net_config("https://localhost:1/write?db=db1"), 20,
                         Interfaces(["a b,c=d"]).env)
        self.assertRegex(done.stdout,
                         r"\A> net,host=gw-1,interface=a\\ b\\,c\\=d bytes_recv=0i,.* \d{19}\n\Z")

    def test_rates_are_of_two_readings(self):
        done = run_agent(["--test"], make_config(NOWHERE, {"inputs": {"cpu": {}}}), 20)
        self.assertRegex(done.stdout, r"> cpu,cpu='cpu-total',host='gw-1' .*usage_idle=|"
                                      r"> cpu,host='gw-1',cpu='cpu-total' .*usage_idle=")


class Messages(Judged):
    def test_plan(self):
        with Standin(schema=NET_TABLE) as server:
            log = once(net_config(server, {"agent": {"flush_interval": "90s"}}),
                       Interfaces(eths(1)))
            plan = log.lines()[:2]
        self.assertRegex(plan[0], r"^kwmote \S+: host gw-1, every 1 s: inputs\.net$")
        self.assertRegex(plan[1], rf"^to KWDB at {re.escape(server.url())} as user root, "
                         "every 90 s$")

    def test_quiet(self):
        """Errors alone."""
        with Standin(schema=NET_TABLE) as server:
            machine = Interfaces([*eths(2), "interface2"])
            done = run_agent(["--once", "--quiet"], net_config(server), 20, machine.env)
            self.assertEqual((done.returncode, done.stderr), (2, ""))
            wrong = net_config(server, {"outputs": {"http": {"password": "nope"}}})
            done = run_agent(["--once", "--quiet"], wrong, 20, machine.env)
            told = Log(done.stderr, done.returncode)
            self.assertEqual(len(told.lines()), 1, done.stderr)
            self.assertIn("refuses the credentials", told.lines("E")[0])

    def test_states_are_told_and_no_heartbeats(self):
        with Standin(schema=NET_TABLE) as server:
            with net_agent(server, Interfaces(eths(2))) as agent:
                wait_until(lambda: server.row_count() >= 12, 20, "rows")
                log = stopped(agent)
        self.assertEqual(len(log.lines()), 4, log.text)  # plan, where to, it works, the end

    def test_logfile(self):
        path = new_folder() / "kwmote.log"
        with Standin(schema=NET_TABLE) as server:
            config = net_config(server, {"agent": {"logfile": str(path)}})
            log = once(config, Interfaces(eths(1)))
        self.assertEqual((log.code, log.text), (OK, ""))
        self.assertIn("1 rows collected: 1 stored", path.read_text(encoding="utf-8"))

    def test_configuration_of_names_that_a_terminal_would_obey(self):
        """Control characters from outside never reach the log."""
        with Standin("--fault", "html:1", schema=NET_TABLE) as server:
            log = once(net_config(server), Interfaces(["eth\x1b[31m", "\x07long-name"]))
            self.assert_account(log, server, collected=2)
        self.assertNotRegex(log.text, r"[\x00-\x09\x0b-\x1f\x7f]")


class Secrets(Judged):
    SECRET, BASE64 = "s3cret-PassWord", "cm9vdDpzM2NyZXQtUGFzc1dvcmQ"

    def run_with(self, http, env=None, code=OK):
        """--once as a user whose password is the secret, who may; nothing of it is ever told."""
        with Standin("--user", f"root:{self.SECRET}", schema=NET_TABLE) as server:
            config = net_config(server, {"outputs": {"http": {"password": None, **http}}})
            machine = Interfaces(eths(3))
            text = ""
            for option in "--debug", "--once", "config":
                arguments = {"config": ["config", "check"]}.get(option, ["--once", option])
                done = run_agent(arguments, config, 30, {**machine.env, **(env or {})})
                self.assertEqual(done.returncode, OK if option == "config" else code, done.stderr)
                text += done.stdout + done.stderr
            for secret in self.SECRET, self.BASE64:
                self.assertNotIn(secret, text)
            self.assertEqual(server.row_count() > 0, code == OK)
        return text

    def test_in_the_document(self):
        self.run_with({"password": self.SECRET})

    def test_from_a_file(self):
        for end in "", "\n", "\r\n":
            with self.subTest(end=end):
                path = new_folder() / "password"
                path.write_bytes((self.SECRET + end).encode())
                self.run_with({"password_file": str(path)})

    def test_from_the_environment(self):
        self.run_with({"password": "${THE_SECRET}"}, {"THE_SECRET": self.SECRET})

    def test_as_a_header(self):
        self.run_with({"username": None,
                       "headers": {"Authorization": f"Basic {self.BASE64}="}})

    def test_as_a_token(self):
        self.run_with({"password": self.SECRET, "auth": "token"})

    def test_missing_file(self):
        done = run_agent(["config", "check"], net_config(NOWHERE, {"outputs": {"http": {
            "username": "root", "password": None, "password_file": "/nonexistent/password"}}}))
        self.assertEqual(done.returncode, MISTAKE)
        self.assertRegex(done.stderr, "outputs.http.password_file: the file cannot be read")

    def test_missing_variable(self):
        done = run_agent(["config", "check"], net_config(NOWHERE, {"outputs": {"http": {
            "username": "root", "password": "${NOT_SET_ANYWHERE}"}}}))
        self.assertEqual(done.returncode, MISTAKE)
        self.assertRegex(done.stderr, "outputs.http.password: .*NOT_SET_ANYWHERE")

    def test_refused(self):
        """The server's refusal and a debugging log do not show it either."""
        with Standin(schema=NET_TABLE) as server:
            config = net_config(server, {"outputs": {"http": {"password": self.SECRET}}})
            done = run_agent(["--once", "--debug"], config, 30, Interfaces(eths(3)).env)
        self.assertIn("refuses the credentials", done.stderr)
        for secret in self.SECRET, self.BASE64:
            self.assertNotIn(secret, done.stderr)


class Signals(Judged):
    LATE = {"agent": {"flush_interval": "600s"}}

    def collected(self, server, machine, changes=None):
        """An agent that has delivered its first rows and holds some more."""
        agent = net_agent(server, machine, {**self.LATE, **(changes or {})})
        agent.start()
        self.addCleanup(lambda: agent.process.poll() is None and agent.kill())
        wait_until(server.row_count, 20, "the first rows")
        time.sleep(2.5)
        return agent

    def test_ends_with_a_flush(self):
        for number in signal.SIGTERM, signal.SIGINT:
            with self.subTest(number=number), Standin(schema=NET_TABLE) as server:
                agent = self.collected(server, Interfaces(eths(3)))
                self.assertEqual(server.row_count(), 3)
                agent.process.send_signal(number)
                self.assertEqual(agent.wait(FINISH_SECONDS), OK)
                log = Log(agent.log, OK)
                account = self.assert_account(log, server, waiting=0, unknown=0, refused=0)
                self.assertGreaterEqual(account.stored, 9)
                self.assertEqual(server.row_count(), account.collected)
                self.assertRegex(log.lines()[-1], "^stopped; .* 0 waiting$")

    def test_ends_without_a_server(self):
        with Standin(schema=NET_TABLE) as server:
            agent = self.collected(server, Interfaces(eths(3)))
            server.kill()
            log = stopped(agent, FINISH_SECONDS + SLACK_SECONDS)
            self.assertEqual((log.code, server.row_count()), (OK, 3))
            account = log.account
            self.assertEqual((account.stored, account.dropped, account.refused), (3, 0, 0))
            self.assertGreaterEqual(account.waiting + account.unknown, 6)
        self.assertRegex(log.lines()[-1], r"^stopped; .* \d+ waiting \(lost with this process: the "
                                          r"queue is in memory\)$")
        self.assert_told(log, "Connection refused|connection")

    def test_ends_with_a_server_that_says_nothing(self):
        with Standin(schema=NET_TABLE) as server:
            agent = self.collected(server, Interfaces(eths(3)))
            server.fault("hang")
            log = stopped(agent, FINISH_SECONDS + SLACK_SECONDS)
            self.assertGreaterEqual(log.seconds, FINISH_SECONDS - 1)
            account = self.assert_account(log, server, stored=3)
            self.assertGreaterEqual(account.waiting + account.unknown, 6)

    def test_reload_takes_interval_and_inputs(self):
        mem = ("create table mem (k_timestamp timestamp not null, total int8) "
               "tags (host varchar(64) not null) primary tags (host);")
        with Standin(schema=NET_TABLE + mem) as server:
            with net_agent(server, Interfaces(eths(1))) as agent:
                wait_until(lambda: server.row_count() >= 2, 20, "rows of net")
                write_config(net_config(server, {
                    "agent": {"interval": "200ms"},
                    "inputs": {"mem": {"fieldinclude": ["total"]}}}), agent.config_path)
                agent.reload()
                wait_until(lambda: server.query("select count(*) from mem")[0][0] >= 12, 20, "mem")
                before = server.query("select count(*) from net")
                log = stopped(agent)
                self.assertEqual(server.query("select count(*) from net"), before)
            self.assert_account(log, server, waiting=0, unknown=0, refused=0, dropped=0)
            stamps = [at for (at,) in server.query("select k_timestamp from mem order by 1")]
            steps = sorted(later - earlier for earlier, later in zip(stamps, stamps[1:]))
            self.assertEqual(steps[len(steps) // 2], 200)
        self.assertEqual(len([line for line in log.lines("I") if line.startswith("kwmote ")]), 2)

    def test_reload_keeps_the_queue(self):
        """Rows that wait for one server go to the one that a new configuration names."""
        with Standin(schema=NET_TABLE) as first, Standin(schema=NET_TABLE) as second:
            agent = self.collected(first, Interfaces(eths(3)))
            first.kill()
            write_config(net_config(second), agent.config_path)
            agent.reload()
            wait_until(lambda: second.row_count() >= 9, 20, "rows at the second")
            log = stopped(agent)
            account = log.account
            self.assertEqual((account.waiting, account.unknown, account.refused, account.dropped),
                             (0, 0, 0, 0), log.text)
            self.assertEqual(first.row_count() + second.row_count(), account.collected)
        self.assert_told(log)

    def test_reload_mends_a_password(self):
        with Standin(schema=NET_TABLE) as server:
            machine = Interfaces(eths(2))
            with net_agent(server, machine, {"outputs": {"http": {"password": "nope"}}}) as agent:
                agent.wait_for("refuses the credentials")
                write_config(net_config(server), agent.config_path)
                agent.reload()
                wait_until(lambda: server.row_count() >= 4, 20, "rows")
                log = stopped(agent)
            self.assert_account(log, server, waiting=0, unknown=0, refused=0, dropped=0)
        self.assert_told(log, "refuses the credentials")

    def broken(self, document, why):
        """A configuration that cannot be taken: told, and the old one goes on."""
        with Standin(schema=NET_TABLE) as server:
            with net_agent(server, Interfaces(eths(2))) as agent:
                wait_until(lambda: server.row_count() >= 4, 20, "rows")
                write_config(document(server), agent.config_path)
                agent.reload()
                agent.wait_for(why, 10)
                before = server.row_count()
                wait_until(lambda: server.row_count() >= before + 6, 20,
                           f"more rows under the old configuration\n{agent.log}\n")
                log = stopped(agent)
            self.assert_account(log, server, waiting=0, unknown=0, refused=0, dropped=0)
            self.assertEqual(len(re.findall(why, log.text)), 1, log.text)
            self.assertEqual(log.troubles.count("the configuration before goes on"), 1, log.text)

    def test_reload_of_nonsense(self):
        self.broken(lambda server: "{", "error: ")

    def test_reload_of_mistakes(self):
        self.broken(lambda server: BROKEN, "no such input")

    def test_reload_of_a_ca_that_is_not_there(self):
        self.broken(lambda server: net_config(server, {"outputs": {"http": {
            "tls_ca": "/nonexistent/ca.crt"}}}), "tls_ca: /nonexistent/ca.crt: No such file")

    def test_reload_of_a_ca_that_is_none(self):
        path = new_folder() / "ca.crt"
        path.write_text("not a certificate\n", encoding="utf-8")
        self.broken(lambda server: net_config(server, {"outputs": {"http": {
            "tls_ca": str(path)}}}), f"E! .*{re.escape(str(path))}")

    def test_reload_of_an_input_that_cannot_be_made(self):
        self.broken(lambda server: net_config(server, {"inputs": {"net": {}, "file": {
            "name": "room", "files": [{"path": "/a", "field": "t"},
                                      {"path": "/b", "field": "t"}]}}}), "inputs.file")


class Collecting(Judged):
    def test_dead_source_does_not_stop_the_rest(self):
        """A file that is never ready: the others are read on time, and it is told once."""
        folder = new_folder()
        os.mkfifo(folder / "fifo")
        (folder / "good").write_text("21437\n", encoding="utf-8")
        table = ("create table {} (k_timestamp timestamp not null, temp float8) "
                 "tags (host varchar(64) not null) primary tags (host);")
        files = [{"name": name, "files": [{"path": str(folder / path), "field": "temp",
                                           "scale": 3}]}
                 for name, path in (("stuck", "fifo"), ("room", "good"))]
        schema = NET_TABLE + table.format("stuck") + table.format("room")
        with Standin(schema=schema) as server:
            with net_agent(server, Interfaces(eths(1)),
                           {"inputs": {"file": files, "net": {}}}) as agent:
                wait_until(lambda: server.query("select count(*) from net")[0][0] >= 7, 20, "net")
                log = stopped(agent)
            self.assert_account(log, server, waiting=0, unknown=0, refused=0)
            self.assert_on_time(server, "net")
            self.assert_on_time(server, "room")
            self.assertEqual(server.query("select distinct temp from room"), [(21.437,)])
            self.assertEqual(server.query("select count(*) from stuck"), [(0,)])
        self.assertIn(len(log.troubles), (1, 2), log.text)  # late, and then left out
        for trouble in log.troubles:
            self.assertRegex(trouble, r"^inputs\.file\[0\]: .*answer")

    def test_source_that_comes_and_goes(self):
        path = new_folder() / "value"
        table = ("create table room (k_timestamp timestamp not null, temp float8) "
                 "tags (host varchar(64) not null) primary tags (host);")
        files = {"name": "room", "files": [{"path": str(path), "field": "temp"}]}
        with Standin(schema=table) as server:
            with Agent(net_config(server, {"inputs": {"file": files}})) as agent:
                agent.wait_for("inputs.file: .*No such file")
                path.write_text("7\n", encoding="utf-8")
                agent.wait_for("inputs.file: works again")
                wait_until(lambda: server.row_count() >= 2, 20, "rows")
                log = stopped(agent)
            self.assert_account(log, server, waiting=0, unknown=0, refused=0)
            self.assertEqual(server.query("select distinct temp from room"), [(7.0,)])
        self.assertEqual(len(log.troubles), 1, log.text)

    def test_own_state(self):
        """Rows of `internal` add up, never fall, and end where the account does."""
        with Standin(schema=NET_TABLE + INTERNAL_TABLES) as server:
            machine = Interfaces([*eths(3), "interface3"])
            with net_agent(server, machine, {"inputs": {"net": {}, "internal": {}}}) as agent:
                wait_until(lambda: server.query("select count(*) from internal_write")[0][0] >= 6,
                           20, "rows of internal_write")
                log = stopped(agent)
            account = self.assert_account(log, server, waiting=0, unknown=0, dropped=0)
            self.assertEqual(account.collected, account.stored + account.refused)
            names = ("collected", "written", "rejected", "dropped", "unknown", "waiting")
            rows = server.query(
                f"select {', '.join('metrics_' + name for name in names)}, requests, errors, "
                "handshakes_full, certificate_days, tls_heap_peak from internal_write "
                "join internal_agent using (k_timestamp) order by k_timestamp")
            ticks = server.query("select count(*) from internal_write")[0][0]
            counters = server.status()["counters"]
        self.assertEqual(account.collected, 6 * ticks)  # four interfaces, and two of its own
        self.assertEqual(account.refused, ticks)
        for number, row in enumerate(rows):
            self.assertEqual(row[0], sum(row[1:6]), row)
            self.assertGreaterEqual(row[0], 6 * number)
            self.assertLessEqual(row[0], 6 * (number + 1))
        self.assertEqual(sorted(rows), rows, "a counter fell")
        last = dict(zip((*names, "requests", "errors", "full", "days", "peak"), rows[-1]))
        self.assertLessEqual(account.stored - last["written"], 10)
        self.assertEqual((last["dropped"], last["unknown"], last["errors"]), (0, 0, 0))
        self.assertLessEqual(last["requests"], counters["posts"])
        self.assertEqual(last["full"], counters["full_handshakes"])
        self.assertIn(last["days"], range(5 * 366 - 3, 5 * 366 + 1))
        self.assertGreater(last["peak"], 1000)

    def test_room(self):
        """What the queue has no room for is dropped, the oldest first, and counted."""
        with Standin(schema=NET_TABLE) as server:
            machine = Interfaces(eths(100))
            small = {"agent": {"spool": {"size": "16KiB"}, "interval": "200ms",
                               "metric_batch_size": 1000, "flush_interval": "600s"}}
            with net_agent(server, machine, small) as agent:
                wait_until(server.row_count, 20, "the first rows")
                server.fault("status=503")
                agent.wait_for("rows are lost .*the queue is full, so the oldest rows go", 30)
                server.clear()
                log = stopped(agent)
            account = self.assert_account(log, server, waiting=0, unknown=0, refused=0)
            self.assertGreater(account.dropped, 0)
            self.assertEqual(server.row_count(), account.stored)
        reasons = re.findall(r"rows are lost \((\w+)\)", log.text)
        self.assertEqual(len(reasons), len(set(reasons)), log.text)


class FromTelegraf(Judged):
    """tools/import-telegraf, with what it makes put to use."""

    def imported(self, path):
        made = subprocess.run(
            [sys.executable, harness.ROOT / "tools" / "import-telegraf", path], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, check=True)
        lines = [line for line in made.stdout.splitlines() if not line.startswith("//")]
        return made.stdout, json.loads("\n".join(lines))

    def test_block_of_the_documentation(self):
        text, document = self.imported(harness.ROOT / "tests/data/telegraf/kwdb-block.conf")
        with Standin() as server:
            self.assertIn("https://your-host-ip:port/restapi/telegraf?db=db1", text)
            text = text.replace("your-host-ip:port", f"localhost:{server.port}")
            text = text.replace('"timeout"', f'"tls_ca": "{server.ca}",\n      "timeout"')
            checked = run_agent(["config", "check"], text)
            self.assertEqual(checked.returncode, OK, checked.stderr)
            make_tables(server, text)
            log = once(text)
            self.assertEqual(log.code, OK, log.text)
            account = self.assert_account(log, server, refused=0, waiting=0, unknown=0, dropped=0)
            self.assertGreaterEqual(account.stored, 5)
            filled = [name for name in server.tables()
                      if server.query(f'select count(*) from "{name}"')[0][0]]
            self.assertTrue({"cpu", "mem", "kernel", "processes", "system"} <= set(filled), filled)
        self.assertTrue(set(document["inputs"]) >= {"cpu", "mem", "swap", "system"})


if __name__ == "__main__":
    import unittest
    unittest.main()
