# SPDX-License-Identifier: MIT
"""A CA and a server certificate as `kwbase cert create-*` makes them, by the openssl command.

The folder holds ca.crt, ca.key, node.crt and node.key; node.json says for which options node.crt
was made, so that a start with others makes a new one under the same CA.
"""

import datetime
import ipaddress
import json
import subprocess
import tempfile
from collections import namedtuple
from pathlib import Path

CA_DAYS, LEAF_DAYS = 10 * 366, 5 * 366
DEFAULT_SANS = ("localhost", "127.0.0.1", "::1")

# What is wanted of the server's certificate. `validity` is "valid", "expired" or "not-yet".
Wanted = namedtuple("Wanted", "sans ecdsa validity unknown_ca",
                    defaults=(DEFAULT_SANS, False, "valid", False))

_CONFIG = """
[ca]
default_ca = it
[it]
dir = {folder}
new_certs_dir = {folder}
database = {folder}/index.txt
default_md = sha256
rand_serial = yes
policy = any
unique_subject = no
email_in_dn = no
[any]
organizationName = supplied
commonName = supplied
[req]
distinguished_name = dn
prompt = no
[dn]
O = KWDB
CN = {name}
[ca_ext]
basicConstraints = critical, CA:true, pathlen:1
keyUsage = critical, digitalSignature, keyEncipherment, keyCertSign
subjectKeyIdentifier = hash
[leaf_ext]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth, clientAuth
authorityKeyIdentifier = keyid
subjectAltName = {sans}
"""


class CertError(Exception):
    """openssl could not do what was asked."""


def _openssl(*arguments):
    try:
        run = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CertError("the openssl command is missing; install the package openssl") from None
    if run.returncode:
        raise CertError(f"openssl {arguments[0]} failed: {run.stderr.strip()}")


def _san(name):
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def _new_key(path, ecdsa):
    kind = ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"] if ecdsa else ["RSA", "-pkeyopt",
                                                                         "rsa_keygen_bits:2048"]
    _openssl("genpkey", "-algorithm", *kind, "-out", str(path))
    path.chmod(0o600)


def _sign(certificate, key, name, sans, issuer, start, days):
    """Make a certificate for a key, signed by issuer = (certificate, key) or by itself if None."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config")
        text = _CONFIG.format(folder=folder, name=name, sans=", ".join(map(_san, sans)))
        config.write_text(text, encoding="utf-8")
        Path(folder, "index.txt").touch()
        request = str(Path(folder, "request"))
        _openssl("req", "-new", "-config", str(config), "-key", str(key), "-out", request)
        dates = [f"{start + datetime.timedelta(days=late):%Y%m%d%H%M%SZ}" for late in (0, days)]
        by = ["-selfsign", "-keyfile", str(key)]
        if issuer:
            by = ["-cert", str(issuer[0]), "-keyfile", str(issuer[1])]
        _openssl(
            "ca", "-batch", "-notext", "-config", str(config), "-in", request,
            "-out", str(certificate), "-startdate", dates[0], "-enddate", dates[1],
            "-extensions", "leaf_ext" if issuer else "ca_ext", *by,
        )


def _ca(folder, stem, ecdsa, start):
    """(certificate, key) of the CA of this name, made if it is not there."""
    certificate, key = folder / f"{stem}.crt", folder / f"{stem}.key"
    if not certificate.exists():
        _new_key(key, ecdsa)
        _sign(certificate, key, "KWDB CA", DEFAULT_SANS, None, start, CA_DAYS)
    return certificate, key


def make(folder, wanted):
    """Make what is missing in the folder. Returns the paths of ca.crt, node.crt and node.key."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    day_before = now - datetime.timedelta(days=1)
    ca = _ca(folder, "ca", wanted.ecdsa, day_before)
    made_for = folder / "node.json"
    paths = ca[0], folder / "node.crt", folder / "node.key"
    wants = json.dumps(wanted._asdict())
    if made_for.exists() and made_for.read_text(encoding="utf-8") == wants:
        return paths
    issuer = _ca(folder, "other-ca", wanted.ecdsa, day_before) if wanted.unknown_ca else ca
    start, days = {
        "valid": (day_before, LEAF_DAYS),
        "expired": (now - datetime.timedelta(days=30), 29),
        "not-yet": (now + datetime.timedelta(days=30), LEAF_DAYS),
    }[wanted.validity]
    _new_key(paths[2], wanted.ecdsa)
    _sign(paths[1], paths[2], "node", wanted.sans, issuer, start, days)
    made_for.write_text(wants, encoding="utf-8")
    return paths
