#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check the tree against the rules that no compiler knows.

    tools/tidy.py [ROOT]

Each finding is one line, `file:line: what; why`. Exit 1 if there is an error; warnings pass.
"""

import os
import re
import sys
from pathlib import Path

FUNCTION_LINES_MAX = 70
HEADER_LINES_MAX = 120
COLUMNS_MAX = 100

SKIPPED_FOLDERS = {".git", "build", "__pycache__"}
C_SUFFIXES = {".c", ".h"}
SCRIPT_SUFFIXES = {".py", ".sh", ".cmake"}
TEXT_SUFFIXES = C_SUFFIXES | SCRIPT_SUFFIXES | {".md", ".json", ".txt", ".service", ".yml"}

FREESTANDING = {
    "float.h", "iso646.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h",
    "stdint.h", "stdnoreturn.h",
}
C_LIBRARY = FREESTANDING | {
    "assert.h", "ctype.h", "errno.h", "inttypes.h", "math.h", "stdio.h", "stdlib.h", "string.h",
    "time.h",
}

HEAP = re.compile(
    r"(?<![\w.>])(?:malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|strdup|strndup"
    r"|asprintf|vasprintf|alloca)\b|(?<![\w.>])free\s*\("
)
BANNED = {
    "gets": "it cannot know the size of its buffer",
    "strcpy": "it cannot know the size of its buffer; copy by length",
    "strcat": "it cannot know the size of its buffer; append by length",
    "sprintf": "it cannot know the size of its buffer; use snprintf or kwm/text.h",
    "vsprintf": "it cannot know the size of its buffer; use vsnprintf or kwm/text.h",
    "strtok": "it keeps hidden state and writes to its input",
    "atoi": "it cannot report an error",
    "atol": "it cannot report an error",
    "atof": "it cannot report an error and obeys the locale",
    "rand": "it is not random; use a hal_entropy, or support_random() in tests",
    "srand": "see rand",
    "gethostbyname": "it is not reentrant and knows no IPv6",
    "longjmp": "it jumps over cleanup",
    "setlocale": "the agent's numbers must not depend on the user's language",
}
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
TYPEDEF = re.compile(r"(?<!\w)typedef\b")
WEAK = re.compile(r"__attribute__\s*\(\(.*\b(?:__)?weak(?:__)?\b|#\s*pragma\s+weak\b")
OPEN_ENDS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}/])(/(?:home|root|Users|work|export)/[A-Za-z0-9_.-]+)")
# Written in two parts, for this file is checked too.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"),
        ("crates", "io"), ("golang", "org"), ("rubygems", "org"), ("docker", "io"), ("ghcr", "io"),
        ("quay", "io"), ("gcr", "io"), ("maven", "org"), ("deb", "debian.org"),
        ("ftp", "debian.org"), ("security", "debian.org"), ("snapshot", "debian.org"),
        ("archive", "ubuntu.com"), ("anaconda", "org"), ("nodesource", "com"),
    )
]
REGISTRY = re.compile(r"(?<![\w-])(?:[\w-]+\.)*(?:" + "|".join(map(re.escape, REGISTRIES)) + r")\b")
INCLUDE = re.compile(r'\s*#\s*include\s+(?:<([^>]+)>|"([^"]+)")')
CONDITIONAL = re.compile(r"\s*#\s*(if|ifdef|ifndef|elif)\b\s*(\w*)")


def blank_out(match):
    """Spaces for everything but line ends, so that lines and columns stay."""
    return re.sub(r"[^\n]", " ", match.group(0))


LITERALS = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)


def code_of(text):
    """C text with comments, strings and character constants blanked out."""
    return LITERALS.sub(blank_out, text)


class Tidy:
    """One run over one tree."""

    def __init__(self, root):
        self.root = Path(root)
        self.errors = []
        self.warnings = []

    def error(self, path, line, what, why):
        self.errors.append(f"{path}:{line}: {what}; {why}")

    def warn(self, path, line, what, why):
        self.warnings.append(f"{path}:{line}: warning: {what}; {why}")

    def files(self):
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
            for name in sorted(names):
                yield (Path(folder) / name).relative_to(self.root)

    def run(self):
        count = 0
        for path in self.files():
            kind = self.kind_of(path)
            if kind is None:
                continue
            count += 1
            try:
                text = (self.root / path).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                self.error(path, 1, "not UTF-8", "every text of the project is")
                continue
            self.check_text(path, kind, text)
            if kind == "c":
                self.check_c(path, text)
        return count

    def kind_of(self, path):
        """'c', 'script' or 'text'; None for what is data (test inputs, corpora)."""
        if path.suffix in C_SUFFIXES:
            return "c"
        if path.suffix in SCRIPT_SUFFIXES or path.name == "CMakeLists.txt":
            return "script"
        if path.parts[0] == "tests":
            return None
        if path.suffix == "" and path.name[:1] != ".":
            head = (self.root / path).read_bytes()[:2]
            return "script" if head == b"#!" else None
        return "text" if path.suffix in TEXT_SUFFIXES else None

    # ------------------------------------------------------------ any text

    def check_text(self, path, kind, text):
        lines = text.splitlines()
        if kind in ("c", "script"):
            self.check_licence(path, kind, lines)
        for number, line in enumerate(lines, 1):
            if kind in ("c", "script") and len(line) > COLUMNS_MAX:
                self.error(path, number, f"{len(line)} columns", f"the limit is {COLUMNS_MAX}")
            if OPEN_ENDS.search(line):
                self.error(path, number, f"'{OPEN_ENDS.search(line).group(1)}'",
                           "finish it, or write down the limit as a fact")
            if REGISTRY.search(line):
                self.error(path, number, f"'{REGISTRY.search(line).group(0)}'",
                           "no host of a package registry is named; derive it from the machine")
            if MACHINE_PATH.search(line):
                self.error(path, number, f"'{MACHINE_PATH.search(line).group(1)}'",
                           "a path of one machine; make it relative or configurable")

    def check_licence(self, path, kind, lines):
        mark = "SPDX-License-Identifier: MIT"
        if kind == "c":
            ok = lines[:1] == [f"/* {mark} */"]
        else:
            ok = f"# {mark}" in lines[:2]
        if not ok:
            self.error(path, 1, "no SPDX line", f"a file begins with '{mark}' in a comment")

    # ------------------------------------------------------------ C

    def check_c(self, path, text):
        code = code_of(text)
        layer = path.parts[0]
        if layer in ("core", "hal", "firmware", "boards", "tests"):
            self.check_includes(path, text)
            self.check_functions(path, code)
            self.check_calls(path, code)
        if layer in ("core", "firmware"):
            self.check_conditionals(path, code)
        if path.suffix == ".h" and layer in ("core", "hal", "firmware", "boards"):
            self.check_header(path, text, code)
        if layer == "core":
            self.check_module(path, code)

    def check_includes(self, path, text):
        for number, line in enumerate(text.splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            name = match.group(1) or match.group(2)
            if ".." in name.split("/"):
                self.error(path, number, f"include of '{name}'", "no way up; include by layer")
                continue
            why = self.refusal(path, name, is_system=match.group(1) is not None)
            if why:
                self.error(path, number, f"include of '{name}'", why)

    def refusal(self, path, name, is_system):
        """Why this file may not include `name`; None if it may."""
        layer = path.parts[0]
        if path.parts[:2] == ("hal", "include"):
            if name in FREESTANDING or name.startswith("hal/"):
                return None
            return "hal/include may use freestanding C headers and hal/* only"
        if layer == "core":
            allowed = FREESTANDING | {"string.h", "picohttpparser.h"}
            if name in allowed or name.startswith(("hal/", "kwm/")) or self.is_own(path, name):
                return None
            return "core may use freestanding C headers, string.h, hal/*, kwm/* only"
        if layer == "firmware":
            if name == "cJSON.h":
                return None if path.suffix == ".c" else "cJSON stays inside firmware's .c files"
            allowed = FREESTANDING | {"string.h", "board.h"}
            if name in allowed or name.startswith(("hal/", "kwm/")) or self.is_own(path, name):
                return None
            return "firmware may use freestanding C headers, string.h, kwm/*, hal/*, board.h only"
        if layer == "hal":
            return self.refusal_in_hal(path, name, is_system)
        if layer == "boards":
            return self.refusal_in_boards(path, name)
        return None

    def is_own(self, path, name):
        """A header beside the file itself."""
        return "/" not in name and (self.root / path.parent / name).is_file()

    def refusal_in_hal(self, path, name, is_system):
        impl = path.parts[1]
        if name.startswith(("hal/", impl + "/")) or self.is_own(path, name):
            return None
        if name.startswith("kwm/") or name == "board.h":
            return "hal knows neither core nor boards"
        if impl == "linux":
            return None if is_system else "hal/linux adapts POSIX; it may not use another layer"
        if name in C_LIBRARY - {"time.h"}:
            return None
        if impl == "mbedtls" and name.startswith("psa/"):
            return None
        return f"hal/{impl} may use hal/*, the C library and what it adapts"

    def refusal_in_boards(self, path, name):
        folder = name.split("/")[0]
        others = {p.name for p in (self.root / "boards").iterdir() if p.is_dir()}
        others -= set(path.parts) | {"linux"}  # <linux/x.h> is the kernel's, "linux/x.h" is hal's
        if folder == "boards" or ("/" in name and folder in others and
                                  not (self.root / "hal" / folder).is_dir()):
            return "a board may not use another board"
        if folder in ("tests", "support"):
            return "what belongs to tests is never linked into a product"
        return None

    def check_functions(self, path, code):
        """A body begins where a brace at depth 0 follows a closing parenthesis."""
        depth, start, last = 0, None, ""
        line = 1
        for char in code:
            if char == "\n":
                line += 1
            elif char == "{":
                if depth == 0 and last == ")":
                    start = line
                depth += 1
            elif char == "}":
                depth -= 1
                if depth == 0 and start is not None:
                    length = line - start + 1
                    if length > FUNCTION_LINES_MAX:
                        self.error(path, start, f"a function of {length} lines",
                                   f"the limit is {FUNCTION_LINES_MAX}; give its parts names")
                    start = None
            if not char.isspace():
                last = char

    def check_calls(self, path, code):
        no_heap = path.parts[0] in ("core", "firmware") or path.parts[:2] == ("hal", "include")
        is_test = path.parts[0] == "tests"
        for number, line in enumerate(code.splitlines(), 1):
            if no_heap and HEAP.search(line):
                self.error(path, number, f"'{HEAP.search(line).group(0).strip('( ')}'",
                           "no heap here; the caller owns all memory")
            match = BANNED_CALL.search(line)
            if match:
                self.error(path, number, f"'{match.group(1)}'", BANNED[match.group(1)])
            if not is_test and TYPEDEF.search(line):
                self.error(path, number, "a typedef", "structs and enums are used by their tags")
            if not is_test and WEAK.search(line):
                self.error(path, number, "a weak symbol",
                           "a function that a board forgets must fail to link")

    def check_conditionals(self, path, code):
        lines = code.splitlines()
        guard_seen = path.suffix != ".h"
        for number, line in enumerate(lines, 1):
            match = CONDITIONAL.match(line)
            if not match:
                continue
            following = lines[number].split() if number < len(lines) else []
            is_guard = match.group(1) == "ifndef" and following[:2] == ["#define", match.group(2)]
            if not guard_seen and is_guard:
                guard_seen = True
                continue
            self.error(path, number, f"'#{match.group(1)}'",
                       "features are chosen by linking a file or passing a pointer")

    def check_header(self, path, text, code):
        total = len(text.splitlines())
        if total <= HEADER_LINES_MAX:
            return
        bare = sum(1 for line in code.splitlines() if line.strip())
        if bare > HEADER_LINES_MAX:
            self.error(path, 1, f"{bare} lines of declarations",
                       f"a header is at most {HEADER_LINES_MAX} lines; split the module")
        else:
            self.warn(path, 1, f"{total} lines",
                      f"a header is at most {HEADER_LINES_MAX} lines, comments included")

    def check_module(self, path, code):
        """A module is kwm/x.h with core/src/x.c, and x_part.c where it is large."""
        folder = self.root / "core"
        if path.suffix == ".c":
            words = path.stem.split("_")
            names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
            headers = [f"kwm/{n}.h" for n in names if (folder / f"include/kwm/{n}.h").is_file()]
            for name in names:
                headers += [file.name for file in (folder / "src").glob(f"{name}*.h")]
            text = (self.root / path).read_text(encoding="utf-8")
            if not headers:
                self.error(path, 1, "a module without a header", f"it needs kwm/{path.stem}.h")
            elif not any(f'"{header}"' in text for header in headers):
                self.error(path, 1, "its own header is not included",
                           f"include {headers[0]}, so that the two are compared")
        elif path.parts[:3] == ("core", "include", "kwm"):
            sources = (folder / "src").glob(f"{path.stem}*.c")
            if not any(s.stem == path.stem or s.stem.startswith(path.stem + "_") for s in sources):
                outside = re.sub(r"\{[^{}]*\}", " ", re.sub(r"\{[^{}]*\}", " ", code))
                if re.search(r"\w\s*\([^;{}#]*\)\s*;", outside):
                    self.error(path, 1, "a header without a module",
                               f"what it declares belongs in core/src/{path.stem}.c")


def main(argv):
    root = argv[1] if len(argv) > 1 else Path(__file__).resolve().parent.parent
    tidy = Tidy(root)
    count = tidy.run()
    for finding in tidy.warnings + tidy.errors:
        print(finding)
    print(f"tidy: {count} files, {len(tidy.errors)} errors, {len(tidy.warnings)} warnings")
    return 1 if tidy.errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
