#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The other end of the tests of hal_net: servers on loopback that do what they are told.

    tls_peer.py [--listen NAME[,OPTION...]]...

prints one line "NAME PORT" for each server, then "ready", and ends when its standard input does.
Options of a server:
    cert=FILE key=FILE   TLS with this certificate (and chain); plain TCP without
    client_ca=FILE       a client certificate is required
    min=1.3 max=1.2      TLS versions
    ciphers=LIST         OpenSSL's notation, of TLS 1.2
    chunk=N              most bytes in one write, and so in a TLS record
    no_tickets           sessions cannot be resumed
    silent               TCP only, and never a byte
    ends                 TCP only, closed after the client's first bytes
    http                 TCP only, answers the client's first bytes as a web server does
Two more need none: "refused", a port without a server, and "stuck", one that never completes a
connection.

On a connection the client sends commands, each a line "VERB N":
    echo N    and N bytes, which come back
    count N   and N bytes of the pattern, read slowly; "ok\n" or "bad\n" comes back
    send N    N bytes of the pattern come back
    burst N   the same, in one write
    info 0    a line about the TLS session comes back
    close 0   "bye" comes back, then the connection is closed
    reset 0   the connection is reset
    drop 0    the connection ends without TLS's closing message
    garbage 0 bytes that are no TLS record come back
"""
import argparse
import os
import socket
import ssl
import struct
import sys
import threading
import time

CHUNK = 65536


def pattern(start, length):
    """Byte i is (i * 7 + i // 256) % 256, as in conformance_net.c."""
    return bytes((i * 7 + i // 256) & 255 for i in range(start, start + length))


PATTERN = pattern(0, 65536)  # it repeats after so many bytes


def pattern_of(length):
    return (PATTERN * (length // len(PATTERN) + 1))[:length]


def read_line(stream):
    line = b""
    while not line.endswith(b"\n"):
        byte = stream.recv(1)
        if not byte:
            return None
        line += byte
    return line.decode("ascii").split()


def read_slowly(stream, length):
    """Nothing at first, so that the sender's buffers fill, then in gulps."""
    data = bytearray()
    gulp_end = 0
    while len(data) < length:
        if len(data) >= gulp_end:
            time.sleep(0.02)
            gulp_end += 1000000
        part = stream.recv(min(CHUNK, length - len(data)))
        if not part:
            break
        data += part
    return bytes(data)


def send(stream, data, chunk):
    for start in range(0, len(data), chunk):
        stream.sendall(data[start:start + chunk])


def echo(stream, length, chunk):
    while length > 0:
        part = stream.recv(min(CHUNK, length))
        if not part:
            return
        send(stream, part, chunk)
        length -= len(part)


def describe(stream, names):
    if not isinstance(stream, ssl.SSLSocket):
        return "plain\n"
    cert = stream.getpeercert() or {}
    subject = dict(part[0] for part in cert.get("subject", ()))
    return "sni=%s resumed=%d alpn=%s version=%s client=%s\n" % (
        names.get(stream, "-"), stream.session_reused, stream.selected_alpn_protocol(),
        stream.version(), subject.get("commonName", "-"))


def reset(stream):
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(stream.detach())


def obey(stream, raw_fd, names, chunk):
    while True:
        command = read_line(stream)
        if command is None:
            return
        verb, number = command[0], int(command[1])
        if verb == "echo":
            echo(stream, number, chunk)
        elif verb == "send":
            send(stream, pattern_of(number), chunk)
        elif verb == "burst":
            stream.sendall(pattern_of(number))
        elif verb == "count":
            time.sleep(0.2)
            data = read_slowly(stream, number)
            stream.sendall(b"ok\n" if data == pattern_of(number) else b"bad\n")
        elif verb == "info":
            stream.sendall(describe(stream, names).encode())
        elif verb == "close":
            stream.sendall(b"bye")
            if isinstance(stream, ssl.SSLSocket):
                stream.settimeout(2)
                stream.unwrap()
            return
        elif verb == "reset":
            reset(stream)
            return
        elif verb == "drop":
            return
        elif verb == "garbage":
            os.write(raw_fd, b"HTTP/1.1 400 this is not TLS\r\n\r\n")


def make_context(options, names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0" if "ciphers" not in options else options["ciphers"])
    context.load_cert_chain(options["cert"], options["key"])
    context.set_alpn_protocols(["http/1.1"])
    versions = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
    context.maximum_version = versions[options.get("max", "1.3")]
    context.minimum_version = versions[options.get("min", "1.2")]
    if "no_tickets" in options:
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    if "client_ca" in options:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(options["client_ca"])
    context.sni_callback = lambda stream, name, _: names.__setitem__(stream, name or "-")
    return context


def serve_one(connection, context, names, chunk):
    connection.settimeout(20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = connection
    try:
        if context is not None:
            stream = context.wrap_socket(connection, server_side=True,
                                         suppress_ragged_eofs=True)
        obey(stream, stream.fileno(), names, chunk)
    except (OSError, ValueError, IndexError):
        pass
    finally:
        stream.close()


def serve(listener, options):
    names = {}
    context = make_context(options, names) if "cert" in options else None
    chunk = int(options.get("chunk", CHUNK))
    kept = []
    while True:
        connection, _ = listener.accept()
        if "silent" in options:
            kept.append(connection)
            continue
        if "ends" in options or "http" in options:
            connection.recv(CHUNK)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" if "http" in options else b"")
            connection.close()
            continue
        threading.Thread(target=serve_one, args=(connection, context, names, chunk),
                         daemon=True).start()


def listen():
    """A dual-stack socket: both loopback addresses lead here."""
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    # What is on its way is bounded, so that a slow reader is felt by the sender.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    listener.bind(("::", 0))
    return listener


def make_stuck():
    """A server whose queue is full: the handshake of TCP does not complete."""
    listener = socket.socket(socket.AF_INET)
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(3):
        filler = socket.socket(socket.AF_INET)
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    return listener, fillers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", action="append", default=[], metavar="NAME[,OPTION...]")
    args = parser.parse_args()
    for text in args.listen:
        name, *parts = text.split(",")
        options = dict(part.partition("=")[::2] for part in parts)
        listener = listen()
        listener.listen(16)
        print(name, listener.getsockname()[1])
        threading.Thread(target=serve, args=(listener, options), daemon=True).start()
    refused = listen()  # bound, never listening, so that nobody else gets the port
    print("refused", refused.getsockname()[1])
    stuck = make_stuck()
    print("stuck", stuck[0].getsockname()[1])
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
