/* SPDX-License-Identifier: MIT */
/* Goal:   kwm/name.h knows which names KWDB takes bare, in double quotes, or not at all.
 * Method: tables; KWDB's 134 words and all their neighbours against the decoder's own list. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kwm/name.h"
#include "line_decoder.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* By a copy without a NUL behind it: reading on is seen. */
static bool ask(bool (*question)(const char *name, size_t len), const char *name, size_t len)
{
    char *const copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, name, len);
    const bool answer = question(copy, len);
    free(copy);
    return answer;
}

static void test_valid(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_valid;
    } rows[] = {
        {"temp", true},       {"_", true},      {"a1", true},           {"usage_user", true},
        {"in", true},         {"_9", true},     {"k_timestamp", false}, {"k_timestamp_", true},
        {"k_timestam", true}, {"", false},      {"9a", false},          {"Temp", false},
        {"te-mp", false},     {"te.mp", false}, {"te mp", false},       {"tem\xC3\xA9", false},
        {"temp\x7F", false},  {"a\"b", false},  {"a'b", false},         {"a`", false},
        {"a{", false},        {"a@", false},    {"a[", false},          {"a/", false},
        {"a:", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (ask(kwm_name_is_valid, rows[i].name, strlen(rows[i].name)) != rows[i].is_valid) {
            fail_msg("\"%s\"", rows[i].name);
        }
    }
    assert_false(ask(kwm_name_is_valid, "a\0b", 3));
}

static void test_length(void **state)
{
    (void)state;
    char name[KWM_NAME_LEN_MAX + 2];
    memset(name, 'x', sizeof(name));
    assert_true(kwm_name_is_valid(name, KWM_NAME_LEN_MAX));
    assert_false(kwm_name_is_valid(name, KWM_NAME_LEN_MAX + 1));
}

static bool is_listed(const char *name)
{
    for (size_t i = 0; line_reserved_words[i] != NULL; i++) {
        if (strcmp(line_reserved_words[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void expect(const char *name)
{
    const bool is_column = is_listed(name);
    const bool is_table = is_column && strcmp(name, "family") != 0 && strcmp(name, "index") != 0 &&
                          strcmp(name, "nothing") != 0;
    if (ask(kwm_name_is_reserved_column, name, strlen(name)) != is_column ||
        ask(kwm_name_is_reserved_table, name, strlen(name)) != is_table) {
        fail_msg("\"%s\"", name);
    }
}

static void test_reserved(void **state)
{
    (void)state;
    size_t count = 0;
    for (; line_reserved_words[count] != NULL; count++) {
        char name[64];
        const char *const word = line_reserved_words[count];
        const size_t len = strlen(word);
        expect(word);
        assert_true(kwm_name_is_valid(word, len));
        for (size_t cut = 0; cut <= len; cut++) {
            (void)snprintf(name, sizeof(name), "%.*s", (int)cut, word); /* its beginnings */
            expect(name);
            expect(word + cut); /* and its ends */
        }
        (void)snprintf(name, sizeof(name), "%s_", word);
        expect(name);
        (void)snprintf(name, sizeof(name), "%s%s", word, line_reserved_words[0]);
        expect(name);
        (void)snprintf(name, sizeof(name), "%s %s", word, line_reserved_words[count + 1]);
        expect(name); /* two neighbours of the list are no word */
    }
    assert_int_equal(count, 134);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_reserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
