#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes golden.bin from docs/SPEC.md alone: the log that test_golden_image makes.

Kept apart from the C code on purpose: if the two disagree, one of them left the specification.
"""
import struct
import sys


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def zigzag(value):
    return varint(value * 2 if value >= 0 else -value * 2 - 1)


def text(string):
    return bytes([len(string)]) + string.encode()


def record(kind, payload, sector_seq):
    body = bytes([kind]) + varint(len(payload)) + payload
    return body + struct.pack("<I", crc32c(body, sector_seq))


def header(sector_len, sectors, sector_seq, seq_first, base_tick, boot_id):
    head = b"KWML" + struct.pack("<BBHIIIIQQI", 1, 0, 0, sector_len, sectors, sector_seq, 0,
                                 seq_first, base_tick, boot_id)
    return head + struct.pack("<I", crc32c(head))


def image():
    base_ms, first_tick = 1790000000000, 100
    declaration = (text("m0") + bytes([1]) + bytes([0]) + text("unit") + text("a") +
                   bytes([2]) + bytes([4 | 2 << 3]) + text("temp") + bytes([6]) + text("text"))
    epoch = struct.pack("<IqBB", 1, (base_ms - 1000) // 10, 0, 1)
    full = varint(0) + varint(0) + zigzag(0) + zigzag(2143) + text("some text")
    partial = varint(0) + varint(1) + zigzag(100) + bytes([0b01]) + zigzag(-5)
    return (header(512, 4, 1, 0, first_tick, 1) + record(4, epoch, 1) + record(1, declaration, 1) +
            record(2, full, 1) + record(3, partial, 1))


if __name__ == "__main__":
    with open(sys.argv[1] if len(sys.argv) > 1 else "golden.bin", "wb") as out:
        out.write(image())
