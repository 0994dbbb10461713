# SPDX-License-Identifier: MIT
"""Goal: HTTP, authentication and framing are those of KWDB, its oddities included.

Method: requests over TLS by http.client, and bytes by hand where http.client would not send them.
"""

import base64
import json
import socket
import unittest

from support import KWDB_USER, ROOT_USER, STAMP, Standin, StandinTest, basic, lines

GOOD = f"sensor,host=a temp=1 {STAMP}"
NO_BASIC = "can not find Basic attribute, please check"
WRONG_FORM = "wrong username or password, please check"
NO_TOKEN = "can not find token, need login first"


def encoded(text):
    return base64.b64encode(text.encode()).decode()


class AuthTest(StandinTest):
    options = ("--user", "ha:hAt")

    def desc(self, header, path="/restapi/telegraf?db=db1", body=GOOD, method=None):
        headers = {} if header is None else {"Authorization": header}
        status, _, reply = self.server.request(path, body, None, method, headers)
        self.assertEqual(200, status)
        return json.loads(reply)

    def test_each_form_of_the_header(self):
        cases = {
            None: WRONG_FORM,
            "Basic": NO_BASIC,
            "Bearer " + encoded(ROOT_USER): NO_BASIC,
            "basic " + encoded(ROOT_USER): NO_BASIC,
            "Basic  " + encoded(ROOT_USER): NO_BASIC,
            "Basic " + encoded(ROOT_USER) + " x": NO_BASIC,
            encoded(ROOT_USER): NO_BASIC,
            "Basic !": "illegal base64 data at input byte 0",
            "Basic cm9vd!": "illegal base64 data at input byte 5",
            "Basic cm9vdDp4eA": "illegal base64 data at input byte 8",
            "Basic cm9vdDp4eA=": "illegal base64 data at input byte 11",
            "Basic " + encoded("rootkwdbpassword"): WRONG_FORM,
            "Basic " + encoded("root:kwdb:password"): WRONG_FORM,
            "Basic aEE6aEF0": NO_TOKEN,  # base64 of hA:hAt, and hex as well
            "Basic 0123456789abcdef0123456789abcdef": NO_TOKEN,
            basic("root:wrong"): NO_TOKEN,
            basic("nobody:kwdbpassword"): NO_TOKEN,
            basic("root:"): NO_TOKEN,
        }
        for header, desc in cases.items():
            with self.subTest(header):
                self.assertEqual({"code": -1, "desc": desc}, self.desc(header))
        self.assertEqual([], self.server.rows())

    def test_a_name_in_upper_case_may_log_in_and_do_nothing(self):
        reply = self.server.post(GOOD, "KWDB:kwdbpass")
        self.assertEqual(
            "pq: user KWDB does not have INSERT privilege on timeseries table sensor;",
            reply["desc"],
        )

    def test_login(self):
        login = "/restapi/login"
        wrong = "the provided username and password did not match any credentials on the server."
        cases = (
            (basic("root:wrong"), login, "GET", wrong),
            (None, login, "GET", NO_BASIC),
            ("Basic !", login, "GET", WRONG_FORM),
            (basic(ROOT_USER), login, "POST", "support only GET method."),
            (basic(ROOT_USER), login + "?db=db1", "GET", "wrong db parameter for login."),
        )
        for header, path, method, desc in cases:
            with self.subTest(desc):
                body = "x" if method == "POST" else None
                self.assertEqual({"code": -1, "desc": desc}, self.desc(header, path, body, method))
        reply = self.desc(basic(KWDB_USER), login, None)
        self.assertEqual(["code", "token"], list(reply))
        self.assertRegex(reply["token"], "^[0-9a-f]{32}$")
        self.assertEqual(0, self.desc("Basic " + reply["token"])["code"])
        self.assertEqual(1, self.server.counters()["tokens_issued"])
        self.server.control("/forget-tokens")
        self.assertEqual(NO_TOKEN, self.desc("Basic " + reply["token"])["desc"])

    def test_an_empty_credential_at_login_would_kill_a_node(self):
        head = b"GET /restapi/login HTTP/1.1\r\nHost: x\r\nAuthorization: Basic\r\n\r\n"
        self.assertEqual(b"", self.server.raw(head))
        self.assertEqual(1, self.server.counters()["crash_markers"])

    def test_a_plain_request_leaves_its_credentials_to_all(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=5) as link:
            link.sendall(b"POST /restapi/telegraf?db=db1 HTTP/1.1\r\nHost: node:8080\r\n"
                         b"Authorization: " + basic(ROOT_USER).encode() +
                         b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            reply = b"".join(iter(lambda: link.recv(4096), b""))
        self.assertTrue(reply.startswith(b"HTTP/1.1 307 Temporary Redirect\r\n"), reply)
        self.assertIn(b"Location: https://node:8080/restapi/telegraf?db=db1\r\n", reply)
        self.assertEqual(0, self.desc(None)["code"])
        self.assertEqual("root", self.server.control("/requests")[-1]["user"])
        self.assertEqual(200, self.server.request("/restapi/login")[0])
        self.assertEqual(WRONG_FORM, self.desc(None)["desc"])


class HttpTest(StandinTest):
    def test_the_reply_head(self):
        status, headers, body = self.server.request("/restapi/telegraf?db=db1", GOOD)
        self.assertEqual(200, status)
        expected = {"Content-Type": "application/json", "Cache-control": "no-cache",
                    "X-Frame-Options": "DENY", "Content-Length": str(len(body))}
        for name, value in expected.items():
            self.assertEqual(value, headers[name])
        self.assertRegex(headers["Date"], r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
        reply = json.loads(body)
        self.assertEqual(["code", "desc", "time", "rows"], list(reply))
        self.assertTrue(body.startswith(b'{"code":0,"desc":"success;","time":'))

    def test_a_reply_of_more_than_2048_bytes_is_chunked(self):
        for count, framing in ((200, "Content-Length"), (300, "Transfer-Encoding")):
            _, headers, body = self.server.request("/restapi/telegraf?db=db1", lines(count))
            self.assertIsNotNone(headers[framing])
            self.assertEqual(count, json.loads(body)["rows"])

    def test_html_characters_are_escaped(self):
        body = "sensor,host=a temp='<&>\"' 1"
        raw = self.server.request("/restapi/telegraf?db=db1", body)[2]
        self.assertIn(rb'resolve \"\u003c\u0026\u003e\"\" as FLOAT8', raw)

    def test_a_byte_that_is_no_utf8(self):
        cases = (
            (b"sensor,host='\xff' temp=1 1", "pq: lexical error: invalid UTF-8 byte sequence"),
            (b"sensor,host=a temp=1 \xff", "pq: unsupported input type relation \"\ufffd\" "
                                           "(column k_timestamp);"),
        )
        for body, desc in cases:
            self.assertEqual(desc, self.server.post(body)["desc"])

    def test_keep_alive_and_close(self):
        link = self.server.connection()
        for _ in range(3):
            self.server.post(GOOD, connection=link)
        self.assertEqual(1, self.server.counters()["connections"])
        headers = self.server.request("/restapi/telegraf", GOOD, connection=link,
                                      headers={"Connection": "close"})[1]
        self.assertEqual("close", headers["Connection"])
        link.close()

    def test_paths_and_methods(self):
        get, post = None, GOOD
        cases = (
            ("/restapi/telegraf", get, 200, b"only support POST method"),
            ("/restapi/telegraf", b"", 200, b"invalid request body"),
            ("/restapi/nothing", post, 404, b"404 page not found\n"),
            ("/restapi/telegraf/", post, 404, b"404 page not found\n"),
            ("/nothing", get, 404, b"404 page not found\n"),
            ("/health", get, 200, b"nodeId"),
            ("//restapi/telegraf?db=db1", post, 301, b""),
            ("/restapi/telegraf?db=db1&tz=Mars%20X", post, 200, b"pq: invalid value for parameter"),
        )
        for path, body, status, piece in cases:
            with self.subTest(path):
                got, headers, reply = self.server.request(
                    path, body, method="GET" if body is None else "POST"
                )
                self.assertEqual(status, got)
                self.assertIn(piece, reply)
                if status == 301:
                    self.assertEqual("/restapi/telegraf?db=db1", headers["Location"])
        self.assertIn(b"wrong username", self.server.request("/restapi/nothing", post, None)[2])
        self.assertEqual(200, self.server.request("/health", user=None)[0])

    def test_bytes_by_hand(self):
        path = b"POST /restapi/telegraf?db=db1 HTTP/1.1\r\n"
        auth = b"Authorization: " + basic(ROOT_USER).encode() + b"\r\n"
        head, close = path + auth + b"Host: x\r\n", b"Connection: close\r\n"
        body = GOOD.encode()
        chunks = b"\r\n5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (body[:5], len(body[5:]), body[5:])
        measured = b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        cases = {
            "no Host": (path + auth + measured, b"HTTP/1.1 400 Bad Request: missing"),
            "no version": (b"GET /health\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
            "chunked": (head + close + b"Transfer-Encoding: chunked\r\n" + chunks,
                        b"HTTP/1.1 200 OK"),
            "expect": (head + close + b"Expect: 100-continue\r\n" + measured,
                       b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"),
            "1.0": (path.replace(b"1.1", b"1.0") + auth + measured, b"HTTP/1.0 200 OK"),
            "two at once": (head + measured + head + close + measured, b"HTTP/1.1 200 OK"),
        }
        for name, (data, start) in cases.items():
            with self.subTest(name):
                got = self.server.raw(data)
                self.assertTrue(got.startswith(start), got[:200])
        self.assertEqual(2, got.count(b'"code":0'))

    def test_gzip(self):
        headers = {"Accept-Encoding": "gzip"}
        reply = self.server.request("/restapi/telegraf?db=db1", GOOD, headers=headers)
        self.assertEqual("gzip", reply[1]["Content-Encoding"])
        self.assertEqual(b"\x1f\x8b", reply[2][:2])

    def test_a_compressed_body_is_read_as_text(self):
        reply = self.server.post(b"\x1f\x8b\x08\x00", headers={"Content-Encoding": "gzip"})
        self.assertEqual("wrong telegraf insert statement and please check;", reply["desc"])


class ReleaseTest(unittest.TestCase):
    BODY = f"{GOOD}\nsensor,host=it's temp=1 1\nnothing,host=a temp=1 1"

    def replies(self, release):
        server = Standin("--release", release)
        self.addCleanup(server.remove)
        batches = (self.BODY, self.BODY.rpartition("\n")[0], GOOD)
        got = [server.post(batch) for batch in batches]
        return [(r["code"], r["desc"], r["rows"]) for r in got], server.post(GOOD, db="none")

    def test_2_1_tells_of_the_last_line_only(self):
        got, _ = self.replies("2.1")
        self.assertEqual([
            (-1, 'pq: relation "nothing" does not exist', 0),
            (-1, 'pq: at or near "s": syntax error', 0),
            (0, "success", 1),
        ], got)

    def test_2_2_ends_parse_errors_too(self):
        got, missing = self.replies("2.2")
        self.assertEqual([
            (-1, 'success;pq: at or near "s": syntax error;'
                 'pq: relation "nothing" does not exist;', 1),
            (-1, 'success;pq: at or near "s": syntax error;', 1),
            (0, "success;", 1),
        ], got)
        self.assertEqual({"code": -1, "desc": 'pq: database "none" does not exist'}, missing)


if __name__ == "__main__":
    unittest.main()
