# SPDX-License-Identifier: MIT
"""Goal: each fault does what its line in --help says, to the requests that it names, and no more.

Method: every fault is set by the control port, met over TLS and told by three things: what the
client sees, which rows are there afterwards, and what the record of requests says.
"""

import http.client
import json
import ssl
import time
import unittest

from support import ROOT_USER, STAMP, Standin, StandinTest, basic, lines

from standin.faults import FAULTS, Fault, FaultError

GOOD = f"sensor,host=a temp=1 {STAMP}"
PATH = "/restapi/telegraf?db=db1"
CUT = (http.client.HTTPException, ConnectionError, ssl.SSLError)


def request_bytes(body, more="Connection: close\r\n"):
    head = (f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(ROOT_USER)}\r\n"
            f"{more}Content-Length: {len(body)}\r\n\r\n")
    return (head + body).encode()


class FaultTest(StandinTest):
    def fault(self, text):
        self.server.control("/fault", fault=text)

    def stored(self):
        return len(self.server.rows())

    def test_no_reply(self):
        for name, stored in (("drop-before", 0), ("drop-after", 1), ("reset-before", 0),
                             ("reset-after", 1)):
            with self.subTest(name):
                self.setUp()
                self.fault(name + ":1")
                end = self.server.wire_end(request_bytes(GOOD))
                self.assertEqual("reset" if name.startswith("reset") else "fin", end)
                self.assertEqual(stored, self.stored())
                self.assertEqual(0, self.server.post(GOOD)["code"])
                record = self.server.control("/requests?path=/restapi/telegraf")
                self.assertEqual([(name, None), (None, 200)],
                                 [(entry["fault"], entry["status"]) for entry in record])

    def test_drop_reused_spares_the_first_request(self):
        self.fault("drop-reused")
        link = self.server.connection()
        self.assertEqual(0, self.server.post(GOOD, connection=link)["code"])
        with self.assertRaises(CUT):
            self.server.post(GOOD, connection=link)
        link.close()

    def test_truncate(self):
        whole = len(self.server.raw(request_bytes(GOOD)))
        for size in (0, 1, 60, whole - 1):
            self.fault(f"truncate={size}:1")
            self.assertEqual(size, len(self.server.raw(request_bytes(GOOD))))
        self.assertEqual(1, self.stored())

    def test_statuses(self):
        cases = (
            ("unavailable=7:1", 503, "Retry-After", "7"),
            ("too-large=10:1", 413, None, None),
            ("status=502:1", 502, None, None),
            ("html:1", 200, "Content-Type", "text/html; charset=utf-8"),
            ("empty:1", 200, "Content-Length", "0"),
            ("not-found=5000:1", 404, "Content-Type", "text/plain; charset=utf-8"),
        )
        for text, status, name, value in cases:
            with self.subTest(text):
                self.fault(text)
                got, headers, _ = self.server.request(PATH, GOOD)
                self.assertEqual(status, got)
                if name:
                    self.assertEqual(value, headers[name])
                self.assertEqual(0, self.stored())
        self.fault("too-large=1000")
        self.assertEqual(0, self.server.post(GOOD)["code"])

    def test_not_found_ends_by_itself(self):
        self.fault("not-found=1000")
        self.assertEqual(404, self.server.request("/restapi/login")[0])
        time.sleep(1)
        self.assertEqual(200, self.server.request("/restapi/login")[0])

    def test_waiting(self):
        for text, least, stored in (("hang=200:1", 0.2, 0), ("delay=200:1", 0.2, 1),
                                    ("drip=1:1", 0.2, 1)):
            with self.subTest(text):
                self.setUp()
                self.fault(text)
                started = time.monotonic()
                try:
                    self.assertEqual(0, self.server.post(GOOD)["code"])
                except CUT:
                    self.assertEqual("hang=200:1", text)
                self.assertGreaterEqual(time.monotonic() - started, least)
                self.assertEqual(stored, self.stored())

    def test_a_request_is_on_record_while_it_hangs(self):
        self.fault("hang:1")
        link = self.server.connection()
        link.request("POST", PATH, GOOD.encode(), {"Authorization": basic(ROOT_USER)})
        time.sleep(0.1)
        self.assertEqual(1, self.server.counters()["posts"])
        link.close()

    def test_texts_of_lines(self):
        good = "success;"
        transient = "pq: insert failed, reason: replica is not available;"
        draining = ("pq: cannot acquire lease when draining;",
                    "pq: node unavailable; try another peer;")
        internal = 'internal executor error: connection to node \\"n1\\" is lost,'
        cases = (
            ("transient:1", transient * 4, 0),
            ("transient=2:1", (good + transient) * 2, 2),
            ("altering=4:1", good * 3 + "pq: table is being altered by another job. "
                                        "Please wait for success;", 3),
            ("draining=60000:1", good + draining[0] * 2 + good, 2),
            ("internal=3:1", good * 2 + internal + good, 3),
        )
        for text, desc, rows in cases:
            with self.subTest(text):
                self.setUp()
                self.fault(text)
                reply = self.server.post(lines(4))
                self.assertEqual((-1, desc, rows), (reply["code"], reply["desc"], reply["rows"]))
                self.assertEqual(rows, self.stored())

    def test_draining_ends_by_itself(self):
        self.fault("draining=100")
        self.assertEqual(-1, self.server.post(lines(4))["code"])
        time.sleep(0.1)
        self.assertEqual(0, self.server.post(lines(4))["code"])

    def test_closing(self):
        for text, says_so in (("close", True), ("close-silent", False)):
            with self.subTest(text):
                self.setUp()
                self.fault(text)
                got = self.server.raw(request_bytes(GOOD, "") * 2)
                self.assertEqual(1, got.count(b"HTTP/1.1 200"))
                self.assertEqual(says_so, b"Connection: close\r\n" in got)

    def test_huge(self):
        self.fault("huge=100000:1")
        _, headers, body = self.server.request(PATH, GOOD)
        self.assertEqual("chunked", headers["Transfer-Encoding"])
        self.assertEqual(100000, len(json.loads(body)["notice"]))

    def test_credentials(self):
        desc = "can not find token, need login first"
        self.fault("wrong-password:1")
        self.assertEqual({"code": -1, "desc": desc}, self.server.post(GOOD))
        token = json.loads(self.server.request("/restapi/login")[2])["token"]
        header = {"Authorization": "Basic " + token}
        self.assertEqual(0, self.server.post(GOOD, None, headers=header)["code"])
        self.fault("forget-tokens:1")
        self.assertEqual(desc, self.server.post(GOOD, None, headers=header)["desc"])

    def test_connections(self):
        for name in ("connect-close", "connect-reset"):
            self.fault(name + ":1")
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                self.server.tls().close()
        self.fault("connect-hang=200:1")
        started = time.monotonic()
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.server.tls().close()
        self.assertGreaterEqual(time.monotonic() - started, 0.2)
        self.assertEqual(0, self.server.post(GOOD)["code"])
        self.assertEqual(3, self.server.counters()["faults_met"])

    def test_how_often_and_where(self):
        self.fault("status=500:every=3:after=1:2")
        got = [self.server.request(PATH, GOOD)[0] for _ in range(12)]
        self.assertEqual([4, 7], [at for at, status in enumerate(got, 1) if status == 500])
        self.server.control("/clear")
        self.fault("status=501:on=query")
        self.assertEqual(200, self.server.request(PATH, GOOD)[0])
        self.assertEqual(501, self.server.request("/restapi/query?db=db1", "show tables")[0])
        self.server.control("/clear", name="status")
        self.assertEqual(200, self.server.request("/restapi/query?db=db1", "show tables")[0])

    def test_what_is_not_understood(self):
        for text in ("nothing", "empty=3", "truncate=x", "drip:x", "drip:on=mars", "drip:a=1"):
            with self.subTest(text):
                with self.assertRaises(FaultError):
                    Fault(text)
        for name in FAULTS:
            self.assertEqual(name, Fault(name).name)


class StartTest(unittest.TestCase):
    def test_faults_from_the_command_line(self):
        server = Standin("--fault", "status=500:1", "--fault", "drop-after:after=1:1")
        self.addCleanup(server.remove)
        self.assertEqual(500, server.request(PATH, GOOD)[0])
        self.assertEqual("said", server.wire_end(request_bytes(GOOD)))
        self.assertEqual("fin", server.wire_end(request_bytes(GOOD)))
        self.assertEqual(200, server.request(PATH, GOOD)[0])


if __name__ == "__main__":
    unittest.main()
