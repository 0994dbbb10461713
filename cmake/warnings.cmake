# SPDX-License-Identifier: MIT
# How our own code is compiled. Third-party code gets none of this.

add_library(kwm_flags INTERFACE)
target_compile_options(kwm_flags INTERFACE
    -Wall -Wextra -Wpedantic -Werror -Wconversion -Wshadow -Wundef -Wstrict-prototypes
    -Wmissing-prototypes -Wdouble-promotion -Wvla -Wimplicit-fallthrough)
