#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Certificates for the tests of TLS: make_certs.py DIRECTORY

Made anew at each run by the openssl command, so that no key lies in the repository. All periods are
fixed dates: the tests bring their own clock. NAME.pem is what a server sends, NAME.key its key,
CA.pem what a client trusts.
"""
import os
import subprocess
import sys

CONFIG = """
[ca]
default_ca = own
[own]
database = {db}
new_certs_dir = .
unique_subject = no
policy = any
default_md = sha256
rand_serial = yes
email_in_dn = no
preserve = yes
copy_extensions = none
[any]
countryName = optional
organizationName = optional
organizationalUnitName = optional
commonName = optional
[req]
distinguished_name = dn
[dn]
"""

HOSTS = "DNS:localhost,IP:127.0.0.1,IP:::1"
ELSEWHERE = "DNS:db.example,DNS:*.wild.example,IP:10.0.0.1,IP:2001:db8::1"
CA = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"]
SERVER = ["keyUsage=critical,digitalSignature,keyEncipherment",
          "extendedKeyUsage=serverAuth,clientAuth"]
USUAL = ("20250101000000Z", "20300101000000Z")
LONG = ("20200101000000Z", "20450101000000Z")


def openssl(*args):
    result = subprocess.run(["openssl", *args], stdin=subprocess.DEVNULL, capture_output=True,
                            text=True)
    if result.returncode != 0:
        sys.exit("openssl %s\n%s" % (" ".join(args), result.stderr))


def make_key(name, kind):
    if kind.startswith("rsa"):
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:" + kind[3:], "-out",
                name + ".key")
    else:
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:" + kind, "-out",
                name + ".key")


def make_cert(name, subject, extensions, issuer=None, key=None, period=USUAL, digest="sha256"):
    """Write name.pem; signed by issuer (a name), or by itself."""
    if key is not None and key != name:
        with open(key + ".key", encoding="ascii") as file, \
                open(name + ".key", "w", encoding="ascii") as out:
            out.write(file.read())
    with open(name + ".ext", "w", encoding="ascii") as file:
        file.write("\n".join(["[ext]", *extensions, ""]))
    openssl("req", "-new", "-config", "ca.cnf", "-key", name + ".key", "-subj", subject, "-out",
            name + ".csr")
    signer = ["-selfsign", "-keyfile", name + ".key"] if issuer is None else \
        ["-cert", issuer + ".pem", "-keyfile", issuer + ".key"]
    openssl("ca", "-batch", "-notext", "-config", "ca.cnf", "-in", name + ".csr", "-out",
            name + ".pem", "-extfile", name + ".ext", "-extensions", "ext", "-startdate", period[0],
            "-enddate", period[1], "-md", digest, *signer)


def make_ca(name, subject, kind, issuer=None, **more):
    if kind is not None:
        make_key(name, kind)
    extensions = CA + more.pop("extensions", [])
    make_cert(name, subject, extensions, issuer, period=more.pop("period", LONG), **more)


def join(out, *names):
    with open(out + ".pem", "w", encoding="ascii") as file:
        for name in names:
            with open(name + ".pem", encoding="ascii") as part:
                file.write(part.read())
    os.link(names[0] + ".key", out + ".key")


def make_all():
    san = ["subjectAltName=" + HOSTS]
    make_ca("ca", "/O=KWDB/CN=KWDB CA", "rsa2048")
    make_ca("ca_namesake", "/O=KWDB/CN=KWDB CA", "P-256")
    make_ca("ca_other", "/CN=Other CA", "P-256")
    make_ca("ca_ec", "/CN=EC CA", "P-256")
    make_ca("ca_expired", "/O=KWDB/CN=KWDB CA", None, key="ca",
            period=("20150101000000Z", "20260131000000Z"))
    make_ca("ca_sha1", "/O=KWDB/CN=KWDB CA", None, key="ca", digest="sha1")
    make_ca("ca_constrained", "/CN=Constrained CA", "P-256",
            extensions=["nameConstraints=critical,permitted;DNS:localhost"])
    make_ca("middle", "/O=KWDB/CN=Middle CA", "P-256", "ca")
    make_ca("middle_constrained", "/CN=Constrained CA", None, "ca", key="ca_constrained",
            extensions=["nameConstraints=critical,permitted;DNS:localhost"])
    make_ca("ca_1024", "/CN=Short CA", "rsa1024")
    make_key("rsa", "rsa2048")
    make_key("ec", "P-256")
    make_key("rsa1024", "rsa1024")

    node = "/O=KWDB/CN=node"
    make_cert("good_rsa", node, SERVER + san, "ca", "rsa")
    make_cert("good_ec", node, SERVER + san, "ca_ec", "ec", digest="sha384")
    make_cert("expired", node, SERVER + san, "ca", "ec", ("20200101000000Z", "20260131120000Z"))
    make_cert("future", node, SERVER + san, "ca", "ec", ("20270101000000Z", "20300101000000Z"))
    make_cert("elsewhere", node, SERVER + ["subjectAltName=" + ELSEWHERE], "ca", "ec")
    make_cert("nameless", "/CN=localhost", SERVER, "ca", "ec")
    make_cert("client_only", node, ["extendedKeyUsage=clientAuth"] + san, "ca", "ec")
    make_cert("self", "/CN=localhost", SERVER + san, None, "ec")
    make_cert("leaf", node, SERVER + san, "middle", "ec")
    make_cert("sha1", node, SERVER + san, "ca", "ec", digest="sha1")
    make_cert("rsa1024", node, SERVER + san, "ca", "rsa1024")
    make_cert("by_1024", node, SERVER + san, "ca_1024", "ec")
    make_cert("leaf_constrained", node, SERVER + san, "middle_constrained", "ec")
    make_cert("critical", node, SERVER + san + ["1.2.3.4=critical,ASN1:NULL"], "ca", "ec")
    make_cert("odd", "/O=evil \x07 name/CN=" + "x" * 64, SERVER + san, "ca_other", "ec")
    make_cert("client", "/CN=gateway 17", ["extendedKeyUsage=clientAuth"], "ca", "ec")
    openssl("pkey", "-in", "ec.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key")

    join("chain", "leaf", "middle")
    join("chain_constrained", "leaf_constrained", "middle_constrained")
    join("cas", "ca_other", "ca", "ca_ec")
    join("cas_renewed", "ca_expired", "ca")


def main():
    os.chdir(sys.argv[1])
    with open("ca.cnf", "w", encoding="ascii") as file:
        file.write(CONFIG.format(db="index.txt"))
    open("index.txt", "w", encoding="ascii").close()
    make_all()


if __name__ == "__main__":
    main()
