# SPDX-License-Identifier: MIT
"""Options, start and stop of tools/kwdb-standin."""

import argparse
import json
import signal
import sys
import tempfile
import threading
from pathlib import Path

from standin import certs, control, faults, httpd, stream
from standin.auth import Auth
from standin.coltypes import SqlError, TIMES
from standin.engine import Engine
from standin.query import time_text
from standin.rest import RELEASES, Rest
from standin.sqltext import ParseError
from standin.stats import Stats
from standin.store import Store

DEFAULT_USERS = ("root:kwdbpassword", "kwdb:kwdbpass")
DUMP_ROWS = 10

_EPILOG = "faults, each NAME[=ARG][:COUNT][:every=N][:after=N][:on=WHICH]:\n" + "\n".join(
    f"  {name if arg is None else f'{name}={arg}':22}{what}"
    for name, (arg, what) in faults.FAULTS.items()
)


def _parser():
    parser = argparse.ArgumentParser(
        prog="kwdb-standin", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="An HTTPS server that answers as KWDB's REST endpoints do.",
    )
    add = parser.add_argument
    add("--listen", default="127.0.0.1", metavar="ADDRESS", help="default 127.0.0.1")
    add("--port", type=int, default=8080, help="0 picks one; default 8080")
    add("--control", type=int, metavar="PORT", help="loopback port for tests; 0 picks one")
    add("--ready-file", metavar="FILE", help="write the ready line there as well")
    add("--db", default=":memory:", metavar="FILE", help="SQLite file of the rows")
    add("--database", default="db1", metavar="NAME", help="KWDB database made at start")
    add("--schema", action="append", default=[], metavar="FILE", help="DDL to run at start")
    add("--user", action="append", default=[], metavar="NAME:PASSWORD",
        help="besides or instead of root:kwdbpassword and kwdb:kwdbpass")
    add("--dedup", choices=("override", "merge", "discard"), default="override")
    add("--release", choices=RELEASES, default="current",
        help="2.1: desc and rows of the last line only; 2.2: a `;` after parse errors too")
    add("--bcrypt-cost-ms", type=int, default=0, metavar="MS",
        help="CPU that a check of a password takes; a real server's is 62")
    add("--fault", action="append", default=[], metavar="FAULT", help="see below")
    add("--certs", metavar="DIR", help="ca.crt, ca.key, node.crt, node.key; made if missing")
    add("--san", default=",".join(certs.DEFAULT_SANS), metavar="NAMES",
        help="names and addresses in the certificate; default %(default)s")
    add("--ecdsa", action="store_true", help="P-256 keys instead of RSA-2048")
    add("--tls13", action="store_true", help="TLS 1.3 as well, as a reverse proxy has it")
    dates = parser.add_mutually_exclusive_group()
    dates.add_argument("--cert-expired", action="store_true")
    dates.add_argument("--cert-not-yet", action="store_true", help="valid in 30 days")
    add("--cert-name", metavar="NAME", help="a certificate for this name alone")
    add("--cert-unknown-ca", action="store_true", help="signed by a CA that is not ca.crt")
    add("--make-certs-only", action="store_true", help="make the certificates and end")
    add("--dump", action="store_true", help="print the newest rows of each table and end")
    add("--rows", type=int, default=DUMP_ROWS, metavar="N", help="of --dump; default %(default)s")
    return parser


def _wanted_certificate(options):
    names = (options.cert_name,) if options.cert_name else tuple(options.san.split(","))
    validity = "valid"
    if options.cert_expired or options.cert_not_yet:
        validity = "expired" if options.cert_expired else "not-yet"
    return certs.Wanted(names, options.ecdsa, validity, options.cert_unknown_ca)


def _dump_cell(value, column):
    if value is None:
        return "-"
    if column.type.base in TIMES:
        unit = 10**column.type.width
        seconds, fraction = divmod(value, unit)
        return f"{time_text(seconds, 0)}.{fraction:0{column.type.width}d}"
    if column.type.base == "BOOL":
        return "true" if value else "false"
    return str(value)


def _aligned(table, rows):
    cells = [[column.name for column in table.columns]]
    cells += [[_dump_cell(value, c) for value, c in zip(row, table.columns)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def dump(store, limit):
    """Every table as text, with its newest rows; times are UTC."""
    with store.lock:
        for table in sorted(store.tables.values(), key=lambda table: (table.db, table.name)):
            rows = store.newest(table, limit)
            print(f"{table.db}.{table.name}: {store.count(table)} rows")
            print(_aligned(table, rows), end="\n\n")


def _open_store(options):
    store = Store(options.db, options.database)
    for text in (*DEFAULT_USERS, *options.user):
        name, colon, password = text.partition(":")
        if not colon or not name or not password:
            raise SystemExit(f"kwdb-standin: --user {text}: must be NAME:PASSWORD")
        if text in options.user or name not in store.users:
            store.set_user(name.lower(), password)
    return store


def _run_schemas(engine, options):
    for path in options.schema:
        text = Path(path).read_text(encoding="utf-8")
        control.run_script(engine, text, options.database, lenient=True)


def _serve(options, folder):
    ca, certificate, key = certs.make(folder, _wanted_certificate(options))
    store, stats = _open_store(options), Stats()
    engine = Engine(store, options.dedup)
    _run_schemas(engine, options)
    auth, fault_set = Auth(store, options.bcrypt_cost_ms), faults.Faults(options.fault)
    server = httpd.Server(
        (options.listen, options.port),
        lambda: stream.tls_context(certificate, key, options.tls13),
        Rest(engine, auth, stats, options.release), auth, fault_set, stats,
    )
    steering = control.Control(engine, auth, fault_set, stats, server.stopping.set)
    control_url = "-"
    if options.control is not None:
        control_server = control.ControlServer(options.control, steering)
        control_url = f"http://127.0.0.1:{control_server.server_address[1]}"
        threading.Thread(target=control_server.serve_forever, daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stopping.set())
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    host = f"[{options.listen}]" if ":" in options.listen else options.listen
    ready = f"ready url=https://{host}:{server.server_address[1]} ca={ca} control={control_url}"
    if options.ready_file:
        Path(options.ready_file).write_text(ready + "\n", encoding="utf-8")
    print(ready, flush=True)
    server.stopping.wait()
    server.shutdown()
    server.server_close()
    print(json.dumps(steering.status()["counters"]), flush=True)
    store.close()


def main():
    options = _parser().parse_args()
    try:
        if options.dump:
            if not Path(options.db).exists():
                raise SystemExit(f"kwdb-standin: --dump: no file {options.db}; name it by --db")
            dump(Store(options.db, options.database), options.rows)
        elif options.certs:
            if options.make_certs_only:
                print(*certs.make(options.certs, _wanted_certificate(options)), sep="\n")
            else:
                _serve(options, options.certs)
        elif options.make_certs_only:
            raise SystemExit("kwdb-standin: --make-certs-only needs --certs DIR")
        else:
            with tempfile.TemporaryDirectory(prefix="kwdb-standin-") as folder:
                _serve(options, folder)
    except (certs.CertError, faults.FaultError, OSError) as error:
        sys.exit(f"kwdb-standin: {error}")
    except (SqlError, ParseError) as error:
        sys.exit(f"kwdb-standin: --schema: {error}")
