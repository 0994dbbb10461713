#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Read this machine as the agent's inputs do, independently of them: "row.field number" a line, and
"~row.field number" for how far a value may be off (what changes by itself, or depends on when it is
read)."""

import os
import re


def say(row, field, number, slack=0):
    print(f"{row}.{field} {number!r}")
    if slack:
        print(f"~{row}.{field} {slack!r}")


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def cpu():
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest",
             "guest_nice")
    for line in re.findall(r"^cpu.*$", read("/proc/stat"), re.MULTILINE):
        name, *ticks = line.split()
        row = "cpu,cpu=" + ("cpu-total" if name == "cpu" else name)
        for key, count in zip(names, ticks):
            say(row, "time_" + key, int(count) / os.sysconf("SC_CLK_TCK"), 0.001)


def mem():
    facts = {}
    for line in read("/proc/meminfo").splitlines():
        key, rest = line.split(":")
        number, *unit = rest.split()
        facts[key] = int(number) * (1024 if unit == ["kB"] else 1)
    moving = 256 * 1024 * 1024  # other programs come and go
    for field, key in {
            "total": "MemTotal", "free": "MemFree", "available": "MemAvailable",
            "buffered": "Buffers", "active": "Active", "inactive": "Inactive", "dirty": "Dirty",
            "mapped": "Mapped", "page_tables": "PageTables", "shared": "Shmem", "slab": "Slab",
            "sreclaimable": "SReclaimable", "sunreclaim": "SUnreclaim", "swap_total": "SwapTotal",
            "swap_free": "SwapFree", "swap_cached": "SwapCached", "commit_limit": "CommitLimit",
            "committed_as": "Committed_AS", "vmalloc_total": "VmallocTotal",
            "vmalloc_used": "VmallocUsed", "vmalloc_chunk": "VmallocChunk",
            "write_back": "Writeback", "write_back_tmp": "WritebackTmp",
            "huge_pages_total": "HugePages_Total", "huge_pages_free": "HugePages_Free",
            "huge_page_size": "Hugepagesize"}.items():
        if key in facts:
            fixed = field.endswith(("_total", "_limit", "_size")) or field == "total"
            say("mem", field, facts[key], 0 if fixed else moving)
    say("mem", "cached", facts["Cached"] + facts["SReclaimable"], moving)
    used = facts["MemTotal"] - facts["MemAvailable"]
    percent = 100 * moving / facts["MemTotal"]
    say("mem", "used", used, moving)
    say("mem", "used_percent", 100 * used / facts["MemTotal"], percent)
    say("mem", "available_percent", 100 - 100 * used / facts["MemTotal"], percent)


def disk():
    table = "/proc/1/mountinfo"
    if not os.access(table, os.R_OK):
        table = "/proc/self/mountinfo"
    for line in read(table).splitlines():
        left, right = line.split(" - ")
        path = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), left.split(" ")[4])
        kind, source, options = right.split(" ", 2)
        if kind == "autofs" or not source.startswith("/dev/"):
            continue
        room = os.statvfs(path)
        mode = options.split(",")[0]
        row = f"disk,path={path},device={source[5:]},fstype={kind},mode={mode}"
        moving = 512 * 1024 * 1024
        used = (room.f_blocks - room.f_bfree) * room.f_frsize
        free = room.f_bavail * room.f_frsize
        say(row, "total", room.f_blocks * room.f_frsize)
        say(row, "free", free, moving)
        say(row, "used", used, moving)
        say(row, "used_percent", 100 * used / (used + free) if used + free else 0, 5)
        say(row, "inodes_total", room.f_files)
        say(row, "inodes_free", room.f_ffree, 100000)


def net():
    for line in read("/proc/net/dev").splitlines()[2:]:
        name, numbers = line.strip().rsplit(":", 1)
        counts = [int(number) for number in numbers.split()]
        for field, column in {"bytes_recv": 0, "packets_recv": 1, "err_in": 2, "drop_in": 3,
                              "bytes_sent": 8, "packets_sent": 9, "err_out": 10,
                              "drop_out": 11}.items():
            say(f"net,interface={name}", field, counts[column])


def system():
    for field, load in zip(("load1", "load5", "load15"), os.getloadavg()):
        say("system", field, load, 1.0)
    say("system", "n_cpus", os.sysconf("SC_NPROCESSORS_ONLN"))
    say("system", "uptime", int(float(read("/proc/uptime").split()[0])))


if __name__ == "__main__":
    for part in (cpu, mem, disk, net, system):
        part()
