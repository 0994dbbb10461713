#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/fetch.py: sources from any form of apt configuration, and the rules of the lock."""

import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import fetch  # noqa: E402

KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEB822 = f"""\
# a comment
Types: deb
URIs: http://mirror.example/debian
# another
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: {KEY}

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Check-Valid-Until: no
Trusted: yes

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""
ONE_LINE = """\
# deb http://off.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
http://mirror.example/debian stable main # why
deb-src http://mirror.example/debian stable main
deb cdrom:[Debian]/ bookworm main
deb [trusted=yes] http://mirror.example/debian-security stable-security main
"""
VENDOR = """\
Types: deb
URIs: https://vendor.example/apt
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/vendor.gpg
"""
INLINE_KEY = """\
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
"""


def stanzas_of(text):
    return list(fetch.parse_deb822(text))


class SourcesTest(unittest.TestCase):
    def test_deb822(self):
        made = stanzas_of(fetch.derive_sources(stanzas_of(DEB822), "trixie"))
        self.assertEqual(
            [
                {
                    "types": "deb-src",
                    "uris": "http://mirror.example/debian",
                    "suites": "trixie trixie-updates",
                    "components": "main",
                    "signed-by": KEY,
                },
                {
                    "types": "deb-src",
                    "uris": "http://mirror.example/debian-security",
                    "suites": "trixie-security",
                    "components": "main",
                    "check-valid-until": "no",
                },
            ],
            made,
        )

    def test_one_line(self):
        made = stanzas_of(
            fetch.derive_sources(list(fetch.parse_one_line(ONE_LINE)), "bookworm")
        )
        self.assertEqual(
            [
                ("http://mirror.example/debian", "bookworm", KEY),
                ("http://mirror.example/debian", "bookworm", None),
                ("http://mirror.example/debian-security", "bookworm-security", None),
            ],
            [(s["uris"], s["suites"], s.get("signed-by")) for s in made],
        )

    def test_signature_check_cannot_be_switched_off(self):
        for text in (DEB822, DEB822.replace("Trusted: yes", "Allow-Insecure: yes")):
            self.assertNotRegex(fetch.derive_sources(stanzas_of(text), "trixie"), "Trust|Allow")
        made = fetch.derive_sources(list(fetch.parse_one_line(ONE_LINE)), "trixie")
        self.assertNotRegex(made.lower(), "trusted")

    def test_inline_key_stays_whole(self):
        made = fetch.derive_sources(stanzas_of(INLINE_KEY), "trixie")
        self.assertIn("Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n", made)

    def test_vendors_archive_is_left_alone(self):
        self.assertEqual("", fetch.derive_sources(stanzas_of(VENDOR), "trixie"))

    def test_no_source_at_all(self):
        self.assertEqual("", fetch.derive_sources([], "trixie"))


class LockTest(unittest.TestCase):
    def choose(self, available, locked):
        return fetch.choose_version("mbedtls", "3.6.*", available, locked)

    def test_locked_version_is_taken_although_a_newer_one_is_there(self):
        version, warning = self.choose(["3.6.7-1", "3.6.6-1"], "3.6.6-1")
        self.assertEqual("3.6.6-1", version)
        self.assertIn("also has mbedtls 3.6.7-1", warning)
        self.assertEqual(("3.6.6-1", None), self.choose(["3.6.6-1", "3.6.5-1"], "3.6.6-1"))

    def test_newer_version_of_the_branch_is_taken_with_a_warning(self):
        version, warning = self.choose(["4.0.0-1", "3.6.10-1"], "3.6.9-1")
        self.assertEqual("3.6.10-1", version)
        self.assertIn("3.6.9-1", warning)

    def test_first_time(self):
        version, warning = self.choose(["3.6.6-1"], None)
        self.assertEqual("3.6.6-1", version)
        self.assertIn("was not in third_party/lock.json", warning)

    def test_older_version_is_refused(self):
        with self.assertRaisesRegex(fetch.FetchError, "older than 3.6.10-1"):
            self.choose(["3.6.9-1"], "3.6.10-1")

    def test_other_branch_is_refused(self):
        for available in (["4.0.0-1"], ["3.5.9-1"], ["3.60.1-1"], []):
            with self.assertRaisesRegex(fetch.FetchError, "KWM_MBEDTLS_DIR"):
                self.choose(available, "3.6.6-1")

    def test_versions_are_ordered_as_dpkg_does(self):
        ordered = ["1.0~rc1", "1.0", "1.0-1+deb13u1", "1.9", "1.10", "1:0.1"]
        self.assertEqual(ordered, sorted(reversed(ordered), key=fetch.version_key))

    def test_same_version_with_other_bytes_is_refused(self):
        locked = {"version": "3.6.6-1", "sha256": {"a.tar.xz": "11"}}
        fetch.check_archives("mbedtls", "3.6.6-1", {"a.tar.xz": "11"}, locked)
        fetch.check_archives("mbedtls", "3.6.7-1", {"b.tar.xz": "22"}, locked)
        with self.assertRaisesRegex(fetch.FetchError, "other contents"):
            fetch.check_archives("mbedtls", "3.6.6-1", {"a.tar.xz": "22"}, locked)

    def test_short_version(self):
        self.assertEqual("3.6.6", fetch.short("1:3.6.6-0.1~deb13u1"))
        self.assertEqual("2.2.5", fetch.short("2.2.5+dfsg2-7"))


if __name__ == "__main__":
    unittest.main()
