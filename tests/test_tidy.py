#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/tidy.py sees every violation that it is there for.

Each case plants one file in a tree that has no finding, and expects exactly one error at the line
that is named. The clean tree holds what comes close to a violation and is none.
"""

import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import tidy  # noqa: E402

C = "/* SPDX-License-Identifier: MIT */\n"
SCRIPT = "# SPDX-License-Identifier: MIT\n"
GUARD = C + "#ifndef KWM_X_H\n#define KWM_X_H\n"

CLEAN = {
    "core/include/kwm/good.h": C + "#ifndef KWM_GOOD_H\n#define KWM_GOOD_H\n"
    "#include <stdint.h>\n#include \"hal/err.h\"\nint kwm_good(void);\n#endif\n",
    "core/include/kwm/table.h": C + "#ifndef KWM_TABLE_H\n#define KWM_TABLE_H\n"
    "static inline int kwm_table(void)\n{\n    return 0;\n}\n#endif\n",
    "core/src/good.c": C + "#include \"kwm/good.h\"\n#include <string.h>\n"
    "/* malloc() in a comment, and \"strcpy(\" */\n"
    "int kwm_good(void)\n{\n    return (int)sizeof(\"free(x)\");\n}\n",
    "core/src/good_part.c": C + "#include \"good_inside.h\"\n",
    "core/src/good_inside.h": C,
    "firmware/config.c": C + "#include <cJSON.h>\n#include \"board.h\"\n#include \"kwm/good.h\"\n",
    "hal/include/hal/err.h": C
    + "#ifndef HAL_ERR_H\n#define HAL_ERR_H\n#include <stddef.h>\n#endif\n",
    "hal/linux/net.c": C + "#include \"linux/net.h\"\n#include <sys/socket.h>\n"
    "#include \"hal/err.h\"\n#ifdef __linux__\n#endif\nvoid f(void *p)\n{\n    free(p);\n}\n",
    "hal/linux/net.h": C,
    "hal/mbedtls/tls.c": C
    + "#include <mbedtls/ssl.h>\n#include <psa/crypto.h>\n#include <stdio.h>\n",
    "hal/sim/net.c": C + "#include <string.h>\n#include \"hal/err.h\"\nint y = is(flag.weak);\n",
    "boards/board.h": C,
    "boards/linux/board.c": C
    + "#include <linux/gpio.h>\n#include \"linux/net.h\"\n#include \"board.h\"\n",
    "boards/sim/board.c": C + "#include \"sim/net.h\"\n",
    "tests/test_good.c": C + "#include <stdlib.h>\n#include \"sim/net.h\"\ntypedef int x;\n",
    "tests/data/odd.txt": "a file of test data may say anything: /home/" + "somebody\n",
    "CMakeLists.txt": SCRIPT,
    "tools/x.py": "#!/usr/bin/env python3\n" + SCRIPT,
}


def function(lines):
    return "int kwm_good(void)\n{\n" + "    ;\n" * (lines - 2) + "}\n"


HEADER_LONG = GUARD + "#define A 1\n" * 120 + "#endif\n"

# what: (file, text, line of the finding, a piece of its message)
CASES = {
    "core includes the OS": ("core/src/good.c", C + "#include \"kwm/good.h\"\n#include <time.h>\n",
                             3, "'time.h'; core may"),
    "core includes stdio": ("core/src/good.c", C + "#include \"kwm/good.h\"\n#include <stdio.h>\n",
                            3, "'stdio.h'; core may"),
    "core includes a board": ("core/src/good.c",
                              C + "#include \"kwm/good.h\"\n#include \"board.h\"\n", 3,
                              "'board.h'; core may"),
    "core includes third party": ("core/include/kwm/good.h",
                                  GUARD + "#include \"mbedtls/ssl.h\"\n#endif\n", 4, "core may"),
    "core includes an implementation": ("core/src/good.c",
                                        C + "#include \"kwm/good.h\"\n#include \"sim/net.h\"\n", 3,
                                        "core may"),
    "a contract includes string.h": ("hal/include/hal/x.h", GUARD + "#include <string.h>\n#endif\n",
                                     4, "hal/include may"),
    "a contract includes core": ("hal/include/hal/x.h", GUARD + "#include \"kwm/good.h\"\n#endif\n",
                                 4, "hal/include may"),
    "hal includes core": ("hal/linux/x.c", C + "#include \"kwm/good.h\"\n", 2, "neither core nor"),
    "hal includes a board": ("hal/sim/x.c", C + "#include \"board.h\"\n", 2, "neither core nor"),
    "hal includes another implementation": ("hal/linux/x.c", C + "#include \"sim/net.h\"\n", 2,
                                            "may not use another layer"),
    "hal/mbedtls includes POSIX": ("hal/mbedtls/x.c", C + "#include <unistd.h>\n", 2,
                                   "what it adapts"),
    "hal/sim reads the clock": ("hal/sim/x.c", C + "#include <time.h>\n", 2, "what it adapts"),
    "firmware includes POSIX": ("firmware/x.c", C + "#include <unistd.h>\n", 2, "firmware may"),
    "firmware includes an implementation": ("firmware/x.c", C + "#include \"linux/net.h\"\n", 2,
                                            "firmware may"),
    "cJSON leaks out of firmware": ("firmware/x.h", GUARD + "#include \"cJSON.h\"\n#endif\n", 4,
                                    "cJSON stays"),
    "a board includes another": ("boards/sim/x.c", C + "#include \"boards/linux/x.h\"\n", 2,
                                 "another board"),
    "a product includes tests": ("boards/sim/x.c", C + "#include \"support/support.h\"\n", 2,
                                 "belongs to tests"),
    "a way up": ("boards/sim/x.c", C + "#include \"../board.h\"\n", 2, "no way up"),
    "a long function": ("core/src/good.c", C + "#include \"kwm/good.h\"\n" + function(71), 4,
                        "a function of 71 lines"),
    "malloc in core": ("core/src/good.c", C + "#include \"kwm/good.h\"\nvoid *p = malloc(3);\n", 3,
                       "'malloc'; no heap"),
    "calloc in firmware": ("firmware/x.c", C + "void *p = calloc(3, 3);\n", 2, "no heap"),
    "free in firmware": ("firmware/x.c", C + "void f(void)\n{\n    free(p);\n}\n", 4, "no heap"),
    "strdup in a contract": ("hal/include/hal/x.h", GUARD + "char *p = strdup(q);\n#endif\n", 4,
                             "no heap"),
    "realloc by address": ("firmware/x.c", C + "hooks.f = realloc;\n", 2, "no heap"),
    "strcpy": ("hal/linux/x.c", C + "strcpy(a, b);\n", 2, "'strcpy'"),
    "sprintf": ("tests/x.c", C + "sprintf(a, b);\n", 2, "'sprintf'"),
    "atoi": ("boards/linux/x.c", C + "int a = atoi(b);\n", 2, "'atoi'"),
    "typedef": ("boards/linux/x.h", C + "typedef int x_t;\n", 2, "a typedef"),
    "weak symbol": ("hal/sim/x.c", C + "__attribute__((weak)) void f(void);\n", 2, "weak"),
    "#if in core": ("core/src/good.c", C + "#include \"kwm/good.h\"\n#if X\n#endif\n", 3, "'#if'"),
    "#ifdef in a header of core": ("core/include/kwm/good.h", GUARD + "#ifdef X\n#endif\n#endif\n",
                                   4, "'#ifdef'"),
    "an overridable size in core": ("core/include/kwm/good.h",
                                    GUARD + "#ifndef A\n#define A 1\n#endif\n#endif\n", 4,
                                    "'#ifndef'"),
    "#if in firmware": ("firmware/x.c", C + "#ifndef A\n#define A 1\n#endif\n", 2, "'#ifndef'"),
    "an open end in C": ("hal/sim/x.c", C + "/* TO" + "DO: later */\n", 2, "finish it"),
    "an open end in a text": ("README.md", "# kwmote\n\nFIX" + "ME\n", 3, "finish it"),
    "a long line": ("hal/sim/x.c", C + "/* " + "x" * 95 + " */\n", 2, "101 columns"),
    "a long line in a script": ("tools/x.py", SCRIPT + "#" * 101 + "\n", 2, "101 columns"),
    "C without SPDX": ("hal/sim/x.c", "int x;\n", 1, "no SPDX"),
    "a script without SPDX": ("tools/x.py", "#!/usr/bin/env python3\n", 1, "no SPDX"),
    "a tool without suffix and SPDX": ("tools/x", "#!/bin/bash\n", 1, "no SPDX"),
    "a long header": ("firmware/x.h", HEADER_LONG, 1, "lines of declarations"),
    "a module without a header": ("core/src/lone.c", C, 1, "without a header"),
    "a header without a module": ("core/include/kwm/lone.h", GUARD + "int f(void);\n#endif\n", 1,
                                  "without a module"),
    "a module that does not include its header": ("core/src/good.c", C, 1, "not included"),
    "a part that does not include its header": ("core/src/good_part.c", C, 1, "not included"),
    "a path of one machine": ("tools/x.py", SCRIPT + "x = '/home/" + "me/kwmote'\n", 2,
                              "one machine"),
    "a registry": ("README.md", "From https://files.py" + "pi.org/simple\n", 1, "registry"),
    "a mirror": ("tools/x.py", SCRIPT + "x = 'deb." + "debian.org'\n", 2, "registry"),
    "not UTF-8": ("README.md", b"\xff\xfe", 1, "not UTF-8"),
}


class TidyTest(unittest.TestCase):
    def tree_with(self, files):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for path, text in files.items():
            file = Path(folder.name) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder.name

    def findings(self, files):
        run = tidy.Tidy(self.tree_with(files))
        run.run()
        return run

    def test_clean_tree_has_no_finding(self):
        run = self.findings(CLEAN)
        self.assertEqual([], run.errors + run.warnings)

    def test_each_violation_is_found_once_and_in_its_place(self):
        for name, (path, text, line, piece) in CASES.items():
            with self.subTest(name):
                run = self.findings({**CLEAN, path: text})
                self.assertEqual(1, len(run.errors), run.errors)
                self.assertTrue(run.errors[0].startswith(f"{path}:{line}: "), run.errors)
                self.assertIn(piece, run.errors[0])

    def test_limits_are_met_exactly(self):
        longest = {
            "core/src/good.c": C + '#include "kwm/good.h"\n' + function(tidy.FUNCTION_LINES_MAX),
            "hal/sim/x.c": C + "/* " + "ä" * 94 + " */\n",
            "firmware/x.h": GUARD + "#define A 1\n" * 117 + "#endif\n",
        }
        run = self.findings({**CLEAN, **longest})
        self.assertEqual([], run.errors)

    def test_a_header_that_is_long_by_its_comments_only_warns(self):
        text = GUARD + "/* why */\n" * 120 + "#endif\n"
        run = self.findings({**CLEAN, "firmware/x.h": text})
        self.assertEqual([], run.errors)
        self.assertEqual(1, len(run.warnings))

    def test_exit_code(self):
        self.assertEqual(0, tidy.main(["tidy", self.tree_with(CLEAN)]))
        self.assertEqual(1, tidy.main(["tidy", self.tree_with({"hal/sim/x.c": "int x;\n"})]))


if __name__ == "__main__":
    unittest.main()
