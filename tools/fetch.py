#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fetch the third-party trees of kwmote below build/third_party; called by tools/setup.

Sources come from Debian source packages, each from the suite that the table names, through a
private apt root for that suite: apt itself checks the archive's signature, and nothing of the
machine's own apt state is touched. The mirrors are those that the machine's apt already uses, with
the suite replaced. third_party/lock.json holds version and SHA-256 of each archive:

* the version in the lock is fetched if the archive still has it, with the same SHA-256;
* a newer, signed version of the same branch (point releases replace the old one) is accepted with a
  warning and written to the lock;
* an older version, or another branch, is refused.
"""

import fcntl
import fnmatch
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEST = ROOT / "build" / "third_party"
LOCK = ROOT / "third_party" / "lock.json"

# name: group, suite, source package, branch (a pattern of versions), folder to keep ("" is all).
SOURCES = {
    "mbedtls": ("demo", "trixie", "mbedtls", "3.6.*", ""),
    "cjson": ("demo", "trixie", "cjson", "1.7.*", ""),
    "picohttpparser": ("demo", "bookworm", "h2o", "2.2.*", "deps/picohttpparser"),
}

# name: group, binary packages that are unpacked (never installed: no server may start),
# whether kwmote's own tests need it.
BINARIES = {
    "influxdb": ("all", ["influxdb"], True),
    "collectd": ("all", ["collectd-core", "libyajl2", "libltdl7", "libcurl3-gnutls"], False),
}

GROUPS = {"demo": ("demo",), "all": ("demo", "all")}

SUITE = re.compile(
    r"(?:stable|oldstable|testing|unstable|sid|bullseye|bookworm|trixie|forky)"
    r"(-updates|-security)?"
)


class FetchError(Exception):
    """What could not be had, why, and what to do."""


def run(*command, cwd=None):
    """Run quietly. Return what it printed, or raise CalledProcessError with its words in stderr."""
    env = dict(os.environ, LC_ALL="C.UTF-8")
    return subprocess.run(
        command, cwd=cwd, env=env, check=True, capture_output=True, text=True
    ).stdout


def words_of(error):
    """The lines that say why a command failed."""
    lines = (error.stderr or error.stdout or "").strip().splitlines()
    telling = [line for line in lines if line.startswith(("E:", "W:", "dpkg"))]
    return "\n".join("    " + line for line in (telling or lines)[-6:])


# ---------------------------------------------------------------- the machine's apt sources


def parse_deb822(text):
    """Yield each stanza as {lower-case field: value}; continuation lines stay in the value."""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        fields, last = {}, None
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and last:
                fields[last] += "\n" + line
            elif ":" in line:
                key, value = line.split(":", 1)
                last = key.strip().lower()
                fields[last] = value.strip()
        if fields:
            yield fields


def parse_one_line(text):
    """Yield each line of a sources.list in the form of parse_deb822."""
    for line in text.splitlines():
        match = re.match(r"\s*(deb|deb-src)\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if not match:
            continue
        kind, options, uri, suite, components = match.groups()
        fields = {"types": kind, "uris": uri, "suites": suite, "components": components.strip()}
        for option in (options or "").split():
            key, _, value = option.partition("=")
            fields[key.lower()] = value.replace(",", " ")
        yield fields


def is_debian(fields):
    """True for Debian's own archive; a vendor's brings a key of its own."""
    key = fields.get("signed-by", "")
    own_key = not key or "\n" in key or "debian-archive" in key
    uris_ok = not fields.get("uris", "").startswith("cdrom:")
    enabled = fields.get("enabled", "yes").lower() not in ("no", "false", "0")
    return own_key and uris_ok and enabled and "main" in fields.get("components", "").split()


def derive_sources(stanzas, suite):
    """Make a deb822 text of `suite`'s source packages from the machine's stanzas."""
    made = []
    for fields in stanzas:
        suffixes = {
            match.group(1) or ""
            for match in map(SUITE.fullmatch, fields.get("suites", "").split())
            if match
        }
        if not suffixes or not is_debian(fields):
            continue
        suites = " ".join(suite + suffix for suffix in sorted(suffixes))
        lines = ["Types: deb-src", f"URIs: {fields['uris']}", f"Suites: {suites}"]
        lines.append("Components: main")
        # Trusted and the Allow options are left out on purpose: the signature is always checked.
        for key in ("signed-by", "check-valid-until"):
            if key in fields:
                lines.append(f"{key.title()}: {fields[key]}")
        stanza = "\n".join(lines)
        if stanza not in made:
            made.append(stanza)
    return "\n\n".join(made) + "\n" if made else ""


def machine_stanzas():
    """Read what the machine's apt reads."""
    shell = run(
        "apt-config", "shell", "MAIN", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"
    )
    places = dict(re.findall(r"(\w+)='([^']*)'", shell))
    files = [Path(places.get("MAIN", ""))]
    parts = Path(places.get("PARTS", ""))
    if parts.is_dir():
        files += sorted(p for p in parts.iterdir() if p.suffix in (".list", ".sources"))
    stanzas = []
    for file in files:
        if file.is_file():
            parse = parse_deb822 if file.suffix == ".sources" else parse_one_line
            stanzas += parse(file.read_text(encoding="utf-8", errors="replace"))
    return stanzas


# ---------------------------------------------------------------- source packages


class Suite:
    """A private apt root for the source packages of one suite."""

    def __init__(self, name):
        self.name = name
        self.home = DEST / ".apt" / name
        self.ready = False

    def apt(self, tool, *args, cwd=None):
        return run(tool, "-c", str(self.home / "apt.conf"), *args, cwd=cwd)

    def update(self):
        sources = derive_sources(machine_stanzas(), self.name)
        if not sources:
            raise FetchError(
                "apt's configuration on this machine names no Debian archive, so there is\n"
                "nowhere to fetch library sources from. Add Debian's archive to\n"
                "/etc/apt/sources.list.d, or name your own trees with -DKWM_MBEDTLS_DIR=,\n"
                "-DKWM_CJSON_DIR= and -DKWM_PICOHTTPPARSER_DIR= when you run cmake."
            )
        for folder in ("etc", "lists/partial", "cache/archives/partial"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        (self.home / "etc" / "debian.sources").write_text(sources, encoding="utf-8")
        (self.home / "status").write_text("", encoding="utf-8")
        (self.home / "apt.conf").write_text(
            f'Dir::Etc::sourcelist "/dev/null";\n'
            f'Dir::Etc::sourceparts "{self.home}/etc";\n'
            f'Dir::Etc::preferences "/dev/null";\n'
            f'Dir::Etc::preferencesparts "/dev/null";\n'
            f'Dir::State::lists "{self.home}/lists";\n'
            f'Dir::State::status "{self.home}/status";\n'
            f'Dir::Cache "{self.home}/cache";\n'
            f'APT::Sandbox::User "root";\n'
            f'APT::Update::Error-Mode "any";\n'
            f'Acquire::Retries "3";\n'
            f'Acquire::Languages "none";\n',
            encoding="utf-8",
        )
        try:
            self.apt("apt-get", "-q", "update")
        except subprocess.CalledProcessError as error:
            hint = "Check the network and the proxy settings, then run tools/setup again."
            if "NO_PUBKEY" in (error.stderr or ""):
                hint = (
                    f"The machine's Debian keyring is too old for the keys of '{self.name}'.\n"
                    "As root: apt-get update; apt-get install --only-upgrade "
                    "debian-archive-keyring;\nthen run tools/setup again."
                )
            raise FetchError(
                f"the package index of Debian '{self.name}' could not be fetched:\n"
                f"{words_of(error)}\n{hint}"
            ) from error
        self.ready = True

    def versions(self, package):
        """All versions of a source package that the index has, newest first."""
        try:
            text = self.apt("apt-cache", "showsrc", "--only-source", package)
        except subprocess.CalledProcessError:
            return []
        found = {f["version"] for f in parse_deb822(text) if f.get("package") == package}
        return sorted(found, key=version_key, reverse=True)

    def archives(self, package, version):
        """[(file name, bytes)] of one version."""
        text = self.apt("apt-get", "source", "-q", "--print-uris", f"{package}={version}")
        found = re.findall(r"^'[^']+' (\S+) (\d+)", text, re.MULTILINE)
        return [(name, int(size)) for name, size in found]

    def download(self, package, version, folder):
        self.apt("apt-get", "source", "-q", "--download-only", f"{package}={version}", cwd=folder)


class version_key:  # a sort key, hence the name
    """Order of Debian versions, as dpkg sees it."""

    def __init__(self, text):
        self.text = text

    def __lt__(self, other):
        command = ["dpkg", "--compare-versions", self.text, "lt", other.text]
        return subprocess.run(command, check=False).returncode == 0


def choose_version(name, branch, available, locked):
    """Return (version, warning or None), or raise FetchError."""
    fitting = [version for version in available if fnmatch.fnmatch(version, branch)]
    if locked in fitting:
        if fitting[0] == locked:
            return locked, None
        return locked, (
            f"the archive also has {name} {fitting[0]}; to take it, remove {name} from "
            "third_party/lock.json and build/third_party, then run tools/setup again"
        )
    if not fitting:
        raise FetchError(
            f"the archive has no version {branch} of {name}; it has: "
            f"{', '.join(available) or 'none'}\n"
            "Another branch is not taken unseen: it may behave differently. Check kwmote against\n"
            "it, then change the branch in tools/fetch.py; or name a tree of your own with\n"
            f"-DKWM_{name.upper()}_DIR= when you run cmake."
        )
    newest = fitting[0]
    if locked is None:
        return newest, f"{name} {newest} was not in third_party/lock.json; it is now"
    if version_key(newest) < version_key(locked):
        raise FetchError(
            f"the archive has {name} {newest}, which is older than {locked} in\n"
            "third_party/lock.json. A step back is refused, for it may undo a security fix.\n"
            "Is the mirror out of date? Use another one in /etc/apt, then run tools/setup again."
        )
    return newest, f"the archive replaced {name} {locked} by {newest}; the lock follows"


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_archives(name, version, sums, locked):
    """The same version must be the same bytes."""
    if locked and locked["version"] == version and locked["sha256"] != sums:
        changed = [f"    {n} {h}" for n, h in sums.items() if locked["sha256"].get(n) != h]
        raise FetchError(
            f"{name} {version} has other contents than third_party/lock.json says,\n"
            "although the archive's signature is right. Do not go on before you know why.\n"
            "These came, with these SHA-256:\n" + "\n".join(changed)
        )


def short(version):
    """1:3.6.6-0.1~deb13u1 -> 3.6.6"""
    return re.sub(r"^\d+:|[-+~].*", "", version)


def fetch_source(name, suite, lock, progress):
    _, _, package, branch, keep = SOURCES[name]
    locked = lock.get(name)
    version, warning = choose_version(
        name, branch, suite.versions(package), locked and locked["version"]
    )
    size = sum(size for _, size in suite.archives(package, version))
    progress.begin(f"fetching {name} {short(version)} ... {size / 1e6:.1f} MB")
    work = DEST / ".work" / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        suite.download(package, version, work)
        sums = {p.name: sha256_of(p) for p in sorted(work.iterdir()) if p.is_file()}
        check_archives(name, version, sums, locked)
        (dsc,) = work.glob("*.dsc")
        run("dpkg-source", "--no-check", "-x", dsc.name, "tree", cwd=work)
    except subprocess.CalledProcessError as error:
        raise FetchError(
            f"{name} {version} could not be fetched and unpacked:\n{words_of(error)}\n"
            "Check the network and the free disk space, then run tools/setup again."
        ) from error
    install_tree(name, work / "tree" / keep, version)
    lock[name] = {"suite": suite.name, "package": package, "version": version, "sha256": sums}
    shutil.rmtree(work)
    progress.end()
    if warning:
        progress.warn(warning)


def install_tree(name, tree, version):
    """Put a tree in its place and note its version; an interrupted run leaves no note."""
    target, note = DEST / name, DEST / f"{name}.version"
    note.unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    tree.rename(target)
    note.write_text(version + "\n", encoding="utf-8")


# ---------------------------------------------------------------- binary packages


def download_package(package, folder):
    try:
        run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package, cwd=folder)
    except subprocess.CalledProcessError:
        if os.geteuid() != 0:
            raise
        run("apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update")
        run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package, cwd=folder)


def fetch_binary(name, progress):
    _, packages, needed = BINARIES[name]
    progress.begin(f"fetching and unpacking {name}")
    work = DEST / ".work" / name
    shutil.rmtree(work, ignore_errors=True)
    (work / "tree").mkdir(parents=True)
    try:
        for package in packages:
            download_package(package, work)
        for deb in sorted(work.glob("*.deb")):
            run("dpkg-deb", "-x", str(deb), str(work / "tree"))
    except subprocess.CalledProcessError as error:
        what = f"{' '.join(packages)} could not be fetched:\n{words_of(error)}\n"
        if needed:
            raise FetchError(
                what + "The test against a real database needs it. Does /etc/apt name Debian's\n"
                "archive? As root: apt-get update, then tools/setup again."
            ) from error
        progress.end()
        progress.warn(what + f"Only the comparison of tools/bench with {name} is left out.")
        return
    versions = [run("dpkg-deb", "-f", str(deb), "Version").strip() for deb in work.glob("*.deb")]
    install_tree(name, work / "tree", " ".join(versions))
    shutil.rmtree(work)
    progress.end()


# ---------------------------------------------------------------- the whole


class Progress:
    """Says which step of how many goes on, and how long it took."""

    def __init__(self, total):
        self.total, self.done, self.started = total, 0, 0.0

    def begin(self, text):
        self.done, self.started = self.done + 1, time.monotonic()
        print(f"[{self.done}/{self.total}] {text}", end="", flush=True)

    def end(self):
        print(f", {time.monotonic() - self.started:.1f} s", flush=True)

    def warn(self, text):
        print(f"      warning: {text}", flush=True)


def has(name, version):
    """True if this tree is there in this version (None: any)."""
    note = DEST / f"{name}.version"
    if not note.is_file() or not (DEST / name).is_dir():
        return False
    return version is None or note.read_text(encoding="utf-8").strip() == version


def fetch(group):
    lock = json.loads(LOCK.read_text(encoding="utf-8")) if LOCK.is_file() else {}
    sources = [
        name
        for name, row in SOURCES.items()
        if row[0] in GROUPS[group] and not (name in lock and has(name, lock[name]["version"]))
    ]
    binaries = [
        name for name, row in BINARIES.items() if row[0] in GROUPS[group] and not has(name, None)
    ]
    suites = {SOURCES[name][1]: Suite(SOURCES[name][1]) for name in sources}
    progress = Progress(len(suites) + len(sources) + len(binaries))
    for suite in suites.values():
        progress.begin(f"fetching Debian's index of source packages, suite {suite.name}")
        suite.update()
        progress.end()
        for name in sources:
            if SOURCES[name][1] == suite.name:
                fetch_source(name, suite, lock, progress)
                LOCK.write_text(json.dumps(lock, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for name in binaries:
        fetch_binary(name, progress)
    for leftover in (".apt", ".work"):
        shutil.rmtree(DEST / leftover, ignore_errors=True)
    wanted = [n for n, row in SOURCES.items() if row[0] in GROUPS[group]]
    state = ", ".join(f"{name} {short(lock[name]['version'])}" for name in wanted)
    print(f"tools/setup: '{group}' is ready: {state}")


def main(argv):
    if len(argv) != 2 or argv[1] not in GROUPS:
        print("usage: tools/fetch.py demo|all (tools/setup calls it)", file=sys.stderr)
        return 2
    DEST.mkdir(parents=True, exist_ok=True)
    with open(DEST / ".lock", "w", encoding="utf-8") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # a second run waits rather than disturb the first
        try:
            fetch(argv[1])
        except FetchError as error:
            print(f"\ntools/setup: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
