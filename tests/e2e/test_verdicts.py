# SPDX-License-Identifier: MIT
"""What the program makes of each verdict of the server, over TLS, with both as processes.

In every case: rows that could be stored are stored once, the others are accounted for, one message
says why, and no request is made beyond what the verdict allows.
"""

import contextlib
import math
import socket
import ssl
import subprocess
import threading
import time

from harness import Standin, new_folder, wait_until
from judge import (
    NET_TABLE, Interfaces, Judged, eths, net_agent, net_config, once, side_by_side, stopped,
)

load_tests = side_by_side

STORED, CONFIG, REFUSED, NOT_DELIVERED = 0, 1, 2, 3  # exit codes of --once
COUNT = 200
BLOCKED_SECONDS = 15  # a mistake ends --once at once, not after its 60 s or the first back-off
HURRY = {"outputs": {"http": {"timeout": "3s"}}}
MEM = {"mem": {"fieldinclude": ["total", "used_percent"]}}
MEM_TABLE = ("create table mem (k_timestamp timestamp not null, total int8, used_percent float8) "
             "tags (host varchar(64) not null) primary tags (host);")


class Once(Judged):
    """One batch by --once, of interfaces unless other inputs are given."""

    def once(self, server, changes=None, names=None, env=None):
        self.machine = Interfaces(names or eths(COUNT))
        return once(net_config(server, changes), self.machine, env)

    def assert_all_stored(self, log, server, count=COUNT):
        self.assertEqual(log.code, STORED, log.text)
        self.assert_account(log, server, collected=count, stored=count)
        found = server.query("select interface from net order by interface")
        self.assertEqual([name for (name,) in found], sorted(eths(count)))

    def assert_nothing_stored(self, log, server, code=NOT_DELIVERED):
        self.assertEqual(log.code, code, log.text)
        self.assert_account(log, server, collected=COUNT, waiting=COUNT)
        self.assertEqual(server.row_count(), 0)


class Proxy:
    """In front of a stand-in: ends TLS 1.2 and 1.3, asks for a client certificate of the same CA,
    and passes the bytes on."""

    def __init__(self, server):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(server.certs / "node.crt", server.certs / "node.key")
        self._context.load_verify_locations(server.ca)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._to = ssl.create_default_context(cafile=server.ca)
        self._port = server.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = (f"https://localhost:{self._listener.getsockname()[1]}"
                    "/restapi/telegraf?db=db1")

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                link = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link):
        with contextlib.suppress(OSError), link:
            link.settimeout(20)
            with self._context.wrap_socket(link, server_side=True) as here, \
                 socket.create_connection(("localhost", self._port), 20) as plain, \
                 self._to.wrap_socket(plain, server_hostname="localhost") as there:
                threading.Thread(target=self._pass, args=(there, here), daemon=True).start()
                self._pass(here, there)

    @staticmethod
    def _pass(source, sink):
        with contextlib.suppress(OSError):
            while True:
                data = source.recv(1 << 14)
                if not data:
                    return
                sink.sendall(data)


class Mistakes(Once):
    """What nobody but a person can mend: said plainly, once, and everything is kept."""

    def blocked(self, *options, posts=0, changes=None, host="localhost"):
        with Standin(*options, schema=NET_TABLE) as server:
            changes = changes or {}
            url = {"outputs": {"http": {"url": server.url(host)}}}
            log = self.once(server, changes or url)
            self.assert_nothing_stored(log, server)
            self.assertLess(log.seconds, BLOCKED_SECONDS)
            self.assert_posts(server, posts)
        return log

    def test_password(self):
        log = self.blocked(posts=1, changes={"outputs": {"http": {"password": "nope"}}})
        self.assert_told(log, r"refuses the credentials of user root: can not find token, need "
                              r"login first; check user name and password; rows are kept")
        self.assertNotIn("nope", log.text)

    def test_expired(self):
        log = self.blocked("--ecdsa", "--cert-expired")
        self.assert_told(log, r"certificate of .*CN=node\" expired on \d{4}-\d\d-\d\d, it is "
                              r"\d{4}-\d\d-\d\d; nothing was sent; .*rows are kept")

    def test_not_yet_valid(self):
        log = self.blocked("--ecdsa", "--cert-not-yet")
        self.assert_told(log, r"certificate .* is not valid before \d{4}-\d\d-\d\d, it is "
                              r"\d{4}-\d\d-\d\d; nothing was sent")

    def test_wrong_name(self):
        log = self.blocked("--ecdsa", "--cert-name", "other.example")
        self.assert_told(log, "certificate is for other.example, not for localhost; nothing")

    def test_wrong_address(self):
        log = self.blocked("--ecdsa", "--cert-name", "localhost", host="127.0.0.1")
        self.assert_told(log, "certificate is for localhost, not for 127.0.0.1; nothing was sent")

    def test_unknown_ca(self):
        log = self.blocked("--ecdsa", "--cert-unknown-ca")
        self.assert_told(log, "issued by .*KWDB CA.*: it belongs to another installation; nothing")

    def test_system_bundle_does_not_know_it(self):
        with Standin(schema=NET_TABLE) as server:
            log = self.once(server, {"outputs": {"http": {"tls_ca": None}}})
            self.assert_nothing_stored(log, server)
            self.assert_posts(server, 0)
        self.assert_told(log, "certificate .*KWDB CA.*nothing was sent; see tls_ca")

    def test_tls13_required_of_a_server_without(self):
        with Standin(schema=NET_TABLE) as server:
            machine = Interfaces(eths(3))
            with net_agent(server, machine,
                           {"outputs": {"http": {"tls_min_version": "TLS13"}}}) as agent:
                agent.wait_for("does not take rows")
                log = stopped(agent)
            self.assert_posts(server, 0)
            self.assert_account(log, server, stored=0, refused=0)
        self.assert_told(log, "(?i)tls.*version.*rows are kept")


class Measurements(Once):
    """Schema and grants: the one measurement is held, the others go on."""

    def held(self, why, schema, setup="", changes=None):
        """One of two measurements cannot be stored. Returns the log."""
        with Standin(schema=schema) as server:
            if setup:
                server.sql(setup)
            log = self.once(server, {"inputs": {"net": {}, **MEM}, **(changes or {})})
            self.assertEqual(log.code, REFUSED, log.text)
            self.assert_account(log, server, collected=COUNT + 1, stored=COUNT, waiting=1)
            self.assertEqual(server.query("select count(*) from net"), [(COUNT,)])
            self.assertEqual(sum(post["lines"] for post in server.requests("/restapi/telegraf")),
                             COUNT + 1)  # in two batches: no line is sent twice
            self.assert_posts(server, 2)
        self.assert_told(log, why)
        return log

    def test_table(self):
        self.held(r"rows of mem are held, the others go on: pq: relation \"mem\" does not exist; "
                  r"`kwmote schema --diff` shows", NET_TABLE)

    def test_column(self):
        self.held(r"rows of mem are held.*: pq: column \"used_percent\" does not exist",
                  NET_TABLE + MEM_TABLE.replace(", used_percent float8", ""))

    def test_tag(self):
        table = MEM_TABLE.replace("not null) primary", "not null, rack varchar(9) not null)"
                                  " primary")
        self.held(r"rows of mem are held.*: pq: null value in column \"rack\" violates not-null",
                  NET_TABLE + table)

    def test_privilege(self):
        self.held(r"rows of mem are held.*: pq: user kwdb does not have INSERT privilege on",
                  NET_TABLE + MEM_TABLE, "revoke insert on table mem from kwdb",
                  {"outputs": {"http": {"username": "kwdb", "password": "kwdbpass"}}})

    def test_database(self):
        with Standin(schema=NET_TABLE) as server:
            url = {"outputs": {"http": {"url": server.url(database="db2")}}}
            log = self.once(server, url)
            self.assert_nothing_stored(log, server, REFUSED)
            self.assert_posts(server, 1)
        self.assert_told(log, "rows of net are held.*does not exist")

    def test_table_that_comes_later(self):
        """A missing table is asked for again after a minute, not before, and nothing is lost."""
        machine = Interfaces(eths(5))
        with Standin(schema=MEM_TABLE) as server, net_agent(
            server, machine, {"inputs": {"net": {}, **MEM}}
        ) as agent:
            agent.wait_for("rows of net are held")
            wait_until(lambda: server.query("select count(*) from mem")[0][0] >= 2, 20, "mem")
            server.sql(NET_TABLE)
            time.sleep(1.5)
            log = stopped(agent)
            self.assertEqual(server.query("select count(*) from net"), [(0,)])
            account = self.assert_account(log, server, refused=0, dropped=0, unknown=0)
            self.assertEqual(account.waiting, account.collected - account.stored)
            self.assertEqual(account.waiting % 5, 0)
            held = [post for post in server.requests("/restapi/telegraf") if post["code"] != 0]
            self.assertEqual(len(held), 1, "the missing table was tried again within a minute")
        self.assert_told(log, "rows of net are held")


class BadRows(Once):
    """Rows that the server refuses for what they are."""

    def poisoned(self, bad, *options, names=None, changes=None, count=COUNT):
        """`bad` is the set of interfaces whose names are too long. Returns log and server."""
        names = names or [f"interface{at}" if at in bad else f"eth{at}" for at in range(count)]
        with Standin(*options, schema=NET_TABLE) as server:
            log = self.once(server, changes, names)
            self.assertEqual(log.code, REFUSED, log.text)
            self.assert_account(log, server, collected=count, stored=count - len(bad),
                                refused=len(bad))
            stored = {name for (name,) in server.query("select interface from net")}
            self.assertEqual(stored, {name for name in names if len(name) <= 8})
            posts = server.requests("/restapi/telegraf")
        self.assert_told(log, r"a row of net is refused by the server and set aside \(\w+\): pq: "
                              r"value 'interface\d+' too long for type VARCHAR\(8\) \(column "
                              r"interface\); the row: net,host='gw-1',interface='interface\d+' ")
        return log, posts

    def test_one_in_200(self):
        log, posts = self.poisoned({77})
        self.assertEqual(len(posts), 1)
        self.assertIn("(refused_line)", log.text)

    def test_forty_in_200(self):
        _log, posts = self.poisoned(set(range(3, 200, 5)))
        self.assertEqual(len(posts), 1)

    def test_first_and_last(self):
        _log, posts = self.poisoned({0, 199})
        self.assertEqual(len(posts), 1)

    def test_release_2_2(self):
        _log, posts = self.poisoned({5, 6, 150}, "--release", "2.2")
        self.assertEqual(len(posts), 1)

    def assert_halving(self, posts, bad, count):
        """At most 2k(ceil(log2(n/k))+1)+1 requests for k of n lines that are not stored."""
        bound = 2 * bad * (math.ceil(math.log2(count / bad)) + 1) + 1
        self.assertLessEqual(len(posts), bound)
        self.assertGreater(len(posts), 1, "a reply that does not add up was believed")

    def test_release_2_1_one_in_200(self):
        _log, posts = self.poisoned({77}, "--release", "2.1")
        self.assert_halving(posts, 1, COUNT)

    def test_release_2_1_three_in_64(self):
        _log, posts = self.poisoned({0, 40, 63}, "--release", "2.1", count=64)
        self.assert_halving(posts, 3, 64)

    def test_out_of_range(self):
        """A number that the column cannot hold, and one that the others of its rows do not mind."""
        table = NET_TABLE.replace("bytes_recv int8", "bytes_recv int2")
        with Standin(schema=table) as server:
            machine = Interfaces(eths(3))
            machine.set(eths(3), bytes_recv=32768)
            log = once(net_config(server), machine)
            self.assertEqual(log.code, REFUSED)
            self.assert_account(log, server, collected=3, refused=3)
            self.assert_posts(server, 1)
        self.assert_told(log, r"set aside \(refused_line\): pq: integer .?.32768.* out of range "
                              r"for type INT2 \(column bytes_recv\)")

    def test_bad_row_whose_reply_was_lost(self):
        """What is refused after it was in doubt is counted as such."""
        with Standin("--fault", "drop-after:1", schema=NET_TABLE) as server:
            names = [*eths(9), "interface9"]
            log = self.once(server, None, names)
            self.assertEqual(log.code, REFUSED)
            self.assert_account(log, server, collected=10, stored=9, refused=1)
            self.assert_posts(server, 2)
        self.assertIn("(refused_unknown)", log.text)

    def test_refused_and_held_in_one_batch(self):
        """Each measurement and each row has its own verdict, from one reply."""
        machine = Interfaces([*eths(5), "interface5"])
        with Standin(schema=NET_TABLE) as server:
            log = once(net_config(server, {"inputs": {"net": {}, **MEM}}), machine)
            self.assertEqual(log.code, REFUSED)
            self.assert_account(log, server, collected=7, stored=5, refused=1, waiting=1)
            self.assert_posts(server, 1)
        self.assertEqual(len(log.troubles), 2, log.text)
        self.assertEqual(len([line for line in log.troubles if "rows of mem are held" in line]), 1)
        self.assertEqual(len([line for line in log.troubles if "a row of net is" in line]), 1)


class Faults(Once):
    """What goes wrong on the way: everything is kept and sent again, and stored once."""

    def fault(self, fault, why, posts=2, resent=0, changes=None, count=COUNT, options=()):
        """One fault, after which all is well. `resent` rows were stored by a request whose reply
        was lost. Returns log and the record of the batches."""
        with Standin("--fault", fault, *options, schema=NET_TABLE) as server:
            log = self.once(server, changes, eths(count))
            self.assert_all_stored(log, server, count)
            found = self.assert_posts(server, posts)
            counters = server.status()["counters"]
            self.assertEqual(counters["rows_overwritten"], resent)
        self.assert_told(log, *([why] if why else []))
        return log, found, counters

    def test_drop_before(self):
        self.fault("drop-before:1", "the connection ended .*; rows are kept; next try in")

    def test_drop_after(self):
        self.fault("drop-after:1", "the connection ended .*; rows are kept", resent=COUNT)

    def test_drop_after_where_duplicates_are_discarded(self):
        self.fault("drop-after:1", "the connection ended", options=("--dedup", "discard"))

    def test_reset_before(self):
        self.fault("reset-before:1", "Connection reset by peer; rows are kept")

    def test_reset_after(self):
        self.fault("reset-after:1", "Connection reset by peer; rows are kept", resent=COUNT)

    def test_truncated_in_its_head(self):
        self.fault("truncate=40:1", "the connection ended .*; rows are kept", resent=COUNT)

    def test_truncated_in_its_body(self):
        self.fault("truncate=300:1", "the connection ended .*; rows are kept", resent=COUNT)

    def test_truncated_again_and_again(self):
        """The third cut reply in a row is taken for one too large: half as many lines."""
        _log, posts, _counters = self.fault("truncate=300:3", "the connection ended", posts=5,
                                            resent=COUNT * 3)
        self.assertEqual([post["lines"] for post in posts], [200, 200, 200, 128, 72])

    def test_not_found_at_startup(self):
        with Standin("--fault", "not-found=1500", schema=NET_TABLE) as server:
            log = self.once(server)
            self.assert_all_stored(log, server)
            answers = [post["status"] for post in server.requests("/restapi/telegraf")]
        self.assertEqual(set(answers[:-1]), {404})
        self.assertLessEqual(len(answers), 8, "more tries than the back-off allows")
        self.assert_told(log, "answers HTTP 404 without a verdict .*: 404 page not found; rows")

    def test_empty(self):
        self.fault("empty:1", "answers HTTP 200 without a verdict on the rows: the "
                               "reply is empty; rows are kept")

    def test_html(self):
        self.fault("html:1", "answers HTTP 200 without a verdict on the rows: .*Guest network.*; "
                             "rows are kept")

    def test_hang(self):
        self.fault("hang:1", "no complete reply within 3000 ms; rows are kept", changes=HURRY)

    def test_reply_after_the_deadline(self):
        self.fault("delay=4000:1", "no complete reply within 3000 ms; rows are kept",
                   resent=COUNT, changes=HURRY)

    def test_reply_within_the_deadline(self):
        self.fault("delay=1500:1", None, posts=1)

    def test_drip(self):
        self.fault("drip=5:1", None, posts=1, count=20)

    def test_status(self):
        for status in 500, 502:
            with self.subTest(status=status):
                self.fault(f"status={status}:1", f"answers HTTP {status} without a verdict")

    def test_retry_after(self):
        _log, posts, _counters = self.fault("unavailable=3:1", "answers HTTP 503 without .*Service "
                                                               "Unavailable.*next try in 3 s")
        self.assertGreaterEqual(posts[1]["at"] - posts[0]["at"], 2.99)

    def test_too_large(self):
        """413: half as many lines, until they fit. Nothing is wrong with the rows."""
        _log, posts, _counters = self.fault("too-large=20000", None, posts=5)
        taken = [post["lines"] for post in posts if post["status"] == 200]
        self.assertEqual(taken, [64, 64, 72])

    def test_one_row_too_large(self):
        """What is too large alone is held, not sent for ever."""
        with Standin("--fault", "too-large=10", schema=NET_TABLE) as server:
            log = self.once(server, None, eths(4))
            self.assert_account(log, server, collected=4, waiting=4)
            self.assertLessEqual(len(server.requests("/restapi/telegraf")), 7)
        self.assertEqual(log.code, REFUSED, log.text)
        self.assert_told(log, "rows of net are held")

    def test_huge_reply(self):
        self.fault("huge:1", None, posts=1)

    def test_transient(self):
        """A third of the lines: the measurement is held for a second, probed, and drained."""
        _log, posts, _counters = self.fault("transient=3:1", "rows of net are held.*: pq: insert "
                                            "failed, reason: .*next try in", posts=3, resent=133)
        self.assertEqual([post["lines"] for post in posts], [200, 2, 197])

    def test_altering(self):
        self.fault("altering=3:1", "rows of net are held.* Please wait for success", posts=3,
                   resent=133)

    def test_draining(self):
        """A node that shuts down sets nothing aside."""
        self.fault("draining=200", "rows of net are held.*(draining|node unavail|failed to send)",
                   posts=3, resent=67)

    def test_internal(self):
        """A reply that does not add up: halved until every line has its verdict."""
        _log, posts, _counters = self.fault("internal=50:1", None, posts=3, resent=196)
        self.assertEqual([post["lines"] for post in posts], [200, 128, 72])

    def test_close(self):
        self.fault("close:1", None, posts=1)

    def test_connect_close(self):
        self.fault("connect-close:1", "closed the connection during the TLS handshake; rows are",
                   posts=1)

    def test_connect_reset(self):
        self.fault("connect-reset:1", "Connection reset by peer; rows are kept", posts=1)

    def test_connect_hang(self):
        self.fault("connect-hang:1", "no connection within 3000 ms; rows are kept", posts=1,
                   changes=HURRY)

    def test_tls13(self):
        for http in {}, {"tls_min_version": "TLS13"}:
            with self.subTest(http=http), Standin("--tls13", schema=NET_TABLE) as server:
                log = self.once(server, {"outputs": {"http": http}})
                self.assert_all_stored(log, server)
                self.assert_posts(server, 1)
                self.assert_told(log)
                self.assertEqual(server.status()["counters"]["failed_handshakes"], 0)

    def test_address_in_the_url(self):
        with Standin("--ecdsa", schema=NET_TABLE) as server:
            log = self.once(server, {"outputs": {"http": {"url": server.url("127.0.0.1")}}})
            self.assert_all_stored(log, server)
            self.assert_told(log)

    def test_skipped_verification_shouts(self):
        with Standin("--ecdsa", "--cert-expired", schema=NET_TABLE) as server:
            log = self.once(server, {"outputs": {"http": {"insecure_skip_verify": True}}})
            self.assert_all_stored(log, server)
        self.assertRegex(log.text, "warning: outputs.http.insecure_skip_verify")


class ClientCertificate(Once):
    """A reverse proxy that asks for one."""

    def proxied(self, server, http):
        """--once through a proxy in front of the server."""
        with Proxy(server) as proxy:
            return self.once(server, {"outputs": {"http": {"url": proxy.url, **http}}})

    def make(self, server, *key_options):
        """A certificate of the server's CA. Returns its paths."""
        folder = new_folder()
        for command in (
            ["req", "-newkey", "rsa:2048", "-subj", "/O=KWDB/CN=gw-1", "-keyout", "key", "-out",
             "request", *key_options],
            ["x509", "-req", "-in", "request", "-CA", server.certs / "ca.crt", "-CAkey",
             server.certs / "ca.key", "-set_serial", "77", "-days", "1", "-out", "cert"],
        ):
            subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
        return {"tls_cert": str(folder / "cert"), "tls_key": str(folder / "key")}

    def test_is_shown(self):
        with Standin(schema=NET_TABLE) as server:
            log = self.proxied(server, self.make(server, "-nodes"))
            self.assert_all_stored(log, server)
            self.assert_posts(server, 1)
            self.assert_told(log)

    def test_key_that_cannot_be_read(self):
        """Said before anything runs, with what to do."""
        with Standin(schema=NET_TABLE) as server:
            http = self.make(server, "-passout", "pass:se cret")
            for password in "se cret", "another":
                log = self.once(server, {"outputs": {"http": {**http, "tls_key_pwd": password}}})
                self.assertEqual(log.code, CONFIG, log.text)
                self.assert_told(log, "^tls_key .*openssl")
                self.assertNotIn(password, log.text)
            self.assertEqual(server.status()["counters"]["connections"], 0)

    def test_is_missing(self):
        with Standin(schema=NET_TABLE) as server, Proxy(server) as proxy:
            with net_agent(server, Interfaces(eths(2)),
                           {"outputs": {"http": {"url": proxy.url}}}) as agent:
                agent.wait_for("does not take rows")
                log = stopped(agent)
            self.assert_posts(server, 0)
        self.assertEqual(log.account.stored, 0)
        self.assertGreaterEqual(len(log.troubles), 1)
        # Which of the two the program sees is a race: the alert, or the end of the connection.
        for trouble in log.troubles:
            self.assertRegex(trouble, "TLS.*; rows are kept|connection to .*; rows are kept")


class Tokens(Once):
    """`"auth": "token"`."""

    CHANGES = {"outputs": {"http": {"auth": "token"}}}

    def token(self, logins, posts, fault=None):
        faults = ("--fault", fault) if fault else ()
        with Standin(*faults, schema=NET_TABLE) as server:
            log = self.once(server, self.CHANGES)
            self.assert_all_stored(log, server)
            self.assert_posts(server, posts)
            found = server.requests("/restapi/login")
            self.assertEqual(len(found), logins, found)
            self.assertEqual(server.status()["counters"]["tokens_issued"], logins)
        return log

    def test_logs_in_once(self):
        self.assert_told(self.token(1, 1))

    def test_refused_token(self):
        self.assert_told(self.token(2, 2, "forget-tokens:1"))

    def test_keeps_its_token(self):
        with Standin(schema=NET_TABLE) as server:
            with net_agent(server, Interfaces(eths(2)), self.CHANGES) as agent:
                wait_until(lambda: server.row_count() >= 8, 20, "rows")
                server.forget_tokens()
                before = server.row_count()
                wait_until(lambda: server.row_count() >= before + 4, 20, "rows after a new login")
                log = stopped(agent)
            self.assert_account(log, server, refused=0, unknown=0, waiting=0, dropped=0)
            self.assertEqual(len(server.requests("/restapi/login")), 2)
        self.assert_told(log)

    def test_wrong_password(self):
        with Standin(schema=NET_TABLE) as server:
            log = self.once(server, {"outputs": {"http": {"auth": "token", "password": "nope"}}})
            self.assert_nothing_stored(log, server)
            self.assert_posts(server, 0)
            self.assertEqual(len(server.requests("/restapi/login")), 1)
        self.assert_told(log, "refuses the credentials of user root: the provided username and "
                              "password did not match any credentials")


class Running(Judged):
    """The program as a service, flushing each second."""

    def test_connection_is_kept(self):
        with Standin(schema=NET_TABLE) as server:
            with net_agent(server, Interfaces(eths(2))) as agent:
                wait_until(lambda: server.row_count() >= 8, 20, "rows")
                log = stopped(agent)
            self.assert_account(log, server, refused=0, unknown=0, waiting=0, dropped=0)
            posts = server.requests("/restapi/telegraf")
            self.assertEqual(len({post["connection"] for post in posts}), 1)
            self.assertEqual(server.status()["counters"]["full_handshakes"], 1)
        self.assert_told(log)

    def test_each_connection_closed(self):
        """Reconnects take up the TLS session, and cost no row and no word."""
        for fault in "close", "close-silent":
            with self.subTest(fault=fault), Standin("--fault", fault, schema=NET_TABLE) as server:
                with net_agent(server, Interfaces(eths(2))) as agent:
                    wait_until(lambda: server.row_count() >= 12, 20, "rows")
                    log = stopped(agent)
                self.assert_account(log, server, refused=0, unknown=0, waiting=0, dropped=0)
                counters = server.status()["counters"]
                self.assertEqual(counters["full_handshakes"], 1)
                self.assertGreaterEqual(counters["resumed_handshakes"], 4)
                self.assertEqual(counters["rows_overwritten"], 0)
                self.assert_told(log)

    def test_stale_connection(self):
        """A kept connection that ends as it is used is retried at once, and no trouble is told."""
        with Standin("--fault", "drop-reused:1", schema=NET_TABLE) as server:
            with net_agent(server, Interfaces(eths(2))) as agent:
                wait_until(lambda: server.row_count() >= 8, 20, "rows")
                log = stopped(agent)
            self.assert_account(log, server, refused=0, unknown=0, waiting=0, dropped=0)
            posts = server.requests("/restapi/telegraf")
            at = [post["fault"] for post in posts].index("drop-reused")
            self.assertLess(posts[at + 1]["at"] - posts[at]["at"], 1)
            self.assertEqual(server.status()["counters"]["rows_overwritten"], 0)
        self.assert_told(log)

    def test_next_url(self):
        """A node that is gone: the next one takes the rows; both hold no row twice."""
        with Standin(schema=NET_TABLE) as first, Standin(schema=NET_TABLE) as second:
            urls = {"outputs": {"http": {"url": None, "urls": [first.url(), second.url()],
                                         "tls_ca": str(first.ca)}}}
            with net_agent(first, Interfaces(eths(2)), urls) as agent:
                wait_until(lambda: first.row_count() >= 4, 20, "rows at the first")
                first.kill()
                wait_until(lambda: second.row_count() >= 4, 30, "rows at the second")
                log = stopped(agent)
            account = log.account
            stamps = "select interface, k_timestamp from net"
            both = set(first.query(stamps)) | set(second.query(stamps))
            self.assertEqual(account.waiting + account.refused + account.dropped, 0, account)
            self.assertEqual(len(both), account.stored)
            self.assertEqual(account.stored, account.collected)
        # A failure of the first alone is worth a message; that the second works, another.
        self.assertLessEqual(len(log.troubles), 1, log.text)

    def test_first_url_dead_from_the_start(self):
        with Standin(schema=NET_TABLE) as server, socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            dead = f"https://localhost:{held.getsockname()[1]}/restapi/telegraf?db=db1"
            log = once(net_config(server, {"outputs": {"http": {
                "url": None, "urls": [dead, server.url()]}}}), Interfaces(eths(9)))
            self.assertEqual(log.code, STORED, log.text)
            self.assert_account(log, server, collected=9, stored=9)
            self.assert_posts(server, 1)

    def gone(self, seconds, *options):
        """The server is killed and comes again. Returns the log."""
        with Standin(schema=NET_TABLE) as server:
            with net_agent(server, Interfaces(eths(2))) as agent:
                wait_until(lambda: server.row_count() >= 4, 20, "rows")
                server.kill()
                time.sleep(seconds)
                before = server.query("select count(*) from net")[0][0]
                server.start(*options)
                server.reset()
                # The last back-off is up to four times the absence.
                wait_until(lambda: server.row_count() > before + 2 * seconds,
                           4 * seconds + 20, "rows after the absence")
                log = stopped(agent)
            account = self.assert_account(log, server, refused=0, unknown=0, waiting=0, dropped=0)
            self.assertGreaterEqual(account.stored, 2 * seconds)
            self.assert_on_time(server, "net")
            self.assertLessEqual(len(log.troubles), 3, log.text)
        return log

    def test_server_gone(self):
        log = self.gone(12)
        self.assertRegex(log.troubles[-1], "Connection refused; rows are kept; next try in")
        self.assertRegex(log.lines("I")[-2], "takes rows and confirms them")

    def test_server_restarts_with_404s(self):
        log = self.gone(1, "--fault", "not-found=2000")
        self.assertRegex(log.text, "takes rows and confirms them")

    def test_account_holds_while_the_server_is_bad(self):
        """Faults at random for ten seconds: nothing is lost, and nothing stands twice."""
        faults = ("drop-after:every=3", "transient=2:every=4", "reset-before:every=5",
                  "empty:every=7")
        with Standin(schema=NET_TABLE) as server:
            for fault in faults:
                server.fault(fault)
            machine = Interfaces([*eths(4), "interface4"])
            with net_agent(server, machine) as agent:
                time.sleep(10)
                server.clear()
                time.sleep(6)
                log = stopped(agent)
            account = self.assert_account(log, server, dropped=0)
            ticks = account.collected // 5
            self.assertEqual(account.collected, ticks * 5)
            self.assertGreaterEqual(ticks, 14)
            self.assertLessEqual(account.refused, ticks)
            if account.waiting == 0:
                self.assertEqual(account.stored, ticks * 4)
                self.assertEqual(account.refused, ticks)
        self.assertIn("too long for type VARCHAR(8)", log.text)


if __name__ == "__main__":
    import unittest
    unittest.main()
