/* SPDX-License-Identifier: MIT */
/* Goal:   code that was used once is no longer resident, and what is used again comes back.
 * Method: the kernel's own count of this process. */
#include "support.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "linux/give_back.h"

/** KiB that are resident of mappings of files that this process cannot write to. */
static unsigned resident_kib(void)
{
    char line[512];
    unsigned total = 0;
    unsigned kib;
    bool is_code = false;
    FILE *file = fopen("/proc/self/smaps", "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        char rights[5];
        char end;
        if (sscanf(line, "%*x-%*x %4s %c", rights, &end) == 2) {
            is_code = strcmp(rights, "r-xp") == 0;
        } else if (is_code && sscanf(line, "Rss: %u kB", &kib) == 1) {
            total += kib;
        }
    }
    (void)fclose(file);
    return total;
}

static void test_code_is_given_back(void **state)
{
    (void)state;
    const unsigned before = resident_kib();
    give_back_code();
    const unsigned after = resident_kib();
    print_message("  %u KiB, then %u KiB\n", before, after);
    assert_true(after < before);
    assert_true(after > 0); /* this very code has come back */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
