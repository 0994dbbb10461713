/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hal/assert.h"
#include "hal/log.h"

#ifndef KWM_TESTS_DIR
#define KWM_TESTS_DIR "tests"
#endif

static char last_line[1024];
static unsigned line_count;

_Noreturn void kwm_panic(const char *file, int line)
{
    mock_assert(0, "KWM_ASSERT", file, line);
    fprintf(stderr, "%s:%d: assertion failed outside expect_assert_failure\n", file, line);
    abort();
}

void hal_log_write(enum hal_log_level level, const char *text, size_t len)
{
    (void)level;
    const size_t kept = len < sizeof(last_line) - 1 ? len : sizeof(last_line) - 1;
    memcpy(last_line, text, kept);
    last_line[kept] = '\0';
    line_count++;
}

const char *support_log_last(void)
{
    return last_line;
}

unsigned support_log_count(void)
{
    return line_count;
}

void support_log_clear(void)
{
    last_line[0] = '\0';
    line_count = 0;
}

uint64_t support_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1DULL;
}

uint64_t support_seed(void)
{
    const char *text = getenv("KWM_SEED");
    const uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 20260711U;
    return seed != 0 ? seed : 1;
}

unsigned support_runs(unsigned usual)
{
    const char *text = getenv("KWM_RUNS");
    return text != NULL ? (unsigned)strtoul(text, NULL, 0) : usual;
}

size_t support_read_file(const char *path, char *out, size_t cap)
{
    char full[512];
    (void)snprintf(full, sizeof(full), "%s/%s", KWM_TESTS_DIR, path);
    FILE *file = fopen(full, "rb");
    if (file == NULL) {
        fail_msg("%s: cannot be opened", full);
    }
    const size_t len = fread(out, 1, cap, file);
    const int is_whole = feof(file) || fgetc(file) == EOF;
    (void)fclose(file);
    assert_true(is_whole);
    return len;
}
