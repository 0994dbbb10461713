# SPDX-License-Identifier: MIT
"""Goal: TLS is KWDB's: 1.2 alone, its ALPN and tickets, and certificates good and bad.

Method: Python's ssl as the client, `openssl s_client` where it cannot say what is needed.
"""

import socket
import ssl
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import STAMP, Standin, StandinTest

GOOD = f"sensor,host=a temp=1 {STAMP}"
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class TlsTest(StandinTest):
    def alpn(self, *protocols):
        context = self.server.client_context()
        context.set_alpn_protocols(protocols)
        with self.server.tls(context) as link:
            return link.selected_alpn_protocol()

    def test_version(self):
        with self.server.tls() as link:
            self.assertEqual("TLSv1.2", link.version())
        with self.assertRaisesRegex(ssl.SSLError, "PROTOCOL_VERSION"):
            self.server.tls(self.server.client_context(minimum_version=V13))

    def test_alpn(self):
        self.assertEqual("http/1.1", self.alpn("http/1.1"))
        self.assertEqual("http/1.1", self.alpn("h2", "http/1.1"))
        with self.server.tls() as link:
            self.assertIsNone(link.selected_alpn_protocol())
        with self.assertRaisesRegex(ssl.SSLError, "no application protocol"):
            self.alpn("http/1.0")

    def test_a_ticket_resumes(self):
        context = self.server.client_context()
        session = None
        for resumed in (False, True, True):
            with self.server.tls(context, session=session) as link:
                self.assertEqual(resumed, link.session_reused)
                session = link.session
                link.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertEqual(b"HTTP/1.1 200", link.recv(12))
        counters = self.server.counters()
        self.assertEqual((1, 2), (counters["full_handshakes"], counters["resumed_handshakes"]))

    def test_a_session_id_alone_does_not(self):
        context = self.server.client_context()
        context.options |= ssl.OP_NO_TICKET
        with self.server.tls(context) as link:
            session = link.session
            # A session that ended without close_notify could not be resumed anyway.
            link.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while link.recv(4096):
                pass
        with self.server.tls(context, session=session) as link:
            self.assertFalse(link.session_reused)
        self.assertEqual(2, self.server.counters()["full_handshakes"])

    def test_suites(self):
        for suite, accepted in (("ECDHE-RSA-CHACHA20-POLY1305", True), ("AES128-SHA", True),
                                ("AES128-CCM", False), ("DHE-RSA-AES128-GCM-SHA256", False)):
            with self.subTest(suite):
                context = self.server.client_context()
                context.set_ciphers(suite)
                if accepted:
                    self.server.tls(context).close()
                else:
                    with self.assertRaises(ssl.SSLError):
                        self.server.tls(context)
        self.assertEqual(2, self.server.counters()["failed_handshakes"])

    def test_the_leaf_alone_is_sent(self):
        run = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.server.port}", "-showcerts"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False,
        )
        self.assertEqual(1, run.stdout.count("BEGIN CERTIFICATE"))
        self.assertIn("subject=O = KWDB, CN = node", run.stdout)
        self.assertIn("No client certificate CA names sent", run.stdout)

    def test_a_slow_hello(self):
        context = self.server.client_context()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=5) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in outgoing.read():
                link.sendall(bytes((byte,)))
            self.assertEqual(22, link.recv(1)[0])


class CertificateTest(unittest.TestCase):
    def refusal(self, *options, name="localhost"):
        """What a client's check of the certificate says; None if it is content."""
        folder = tempfile.TemporaryDirectory(prefix="kwdb-standin-test-")
        self.addCleanup(folder.cleanup)
        server = Standin(*options, "--ecdsa", certs=folder.name)
        self.addCleanup(server.remove)
        try:
            server.tls(name=name).close()
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        finally:
            server.stop()
        return None

    def test_good_ones(self):
        for name in ("localhost", "127.0.0.1"):
            self.assertIsNone(self.refusal(name=name))
        self.assertIsNone(self.refusal("--san", "a.example,10.0.0.1", name="10.0.0.1"))

    def test_bad_ones(self):
        cases = (
            ("--cert-expired", "certificate has expired"),
            ("--cert-not-yet", "certificate is not yet valid"),
            ("--cert-name=wrong.example", "Hostname mismatch"),
            ("--cert-unknown-ca", "unable to get local issuer|certificate signature failure"),
        )
        for option, message in cases:
            with self.subTest(option):
                self.assertRegex(self.refusal(option) or "accepted", message)

    def test_a_start_with_other_options_keeps_the_ca(self):
        with tempfile.TemporaryDirectory(prefix="kwdb-standin-test-") as folder:
            seen = []
            for options in ((), (), ("--cert-name", "b.example")):
                server = Standin(*options, certs=folder)
                seen.append([Path(folder, name).read_bytes() for name in ("ca.crt", "node.crt")])
                server.remove()
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(seen[0][0], seen[2][0])
        self.assertNotEqual(seen[0][1], seen[2][1])

    def test_tls13_as_behind_a_proxy(self):
        server = Standin("--tls13")
        self.addCleanup(server.remove)
        context = server.client_context(minimum_version=V13)
        with server.tls(context) as link:
            self.assertEqual("TLSv1.3", link.version())
        server.tls(server.client_context(maximum_version=V12)).close()
        self.assertEqual(0, server.post(GOOD)["code"])


if __name__ == "__main__":
    unittest.main()
