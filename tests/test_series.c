/* SPDX-License-Identifier: MIT */
/*
 * Goal:   the table finds a series again, makes room by letting the least recently used one go, and
 *         what it gives back is what was put in, however often the pool was moved.
 * Method: a small table, random use beside a model that only knows the declarations.
 */
#include <stdio.h>
#include <string.h>

#include "kwm/series.h"
#include "support.h"

#define SLOTS 6U
#define NAMES 40U

static struct kwm_series slots[SLOTS];
static struct kwm_measurement measurements[3];
static uint8_t pool[700];
static struct kwm_series_table table;

static void begin(void)
{
    table = (struct kwm_series_table){.slots = slots,
                                      .measurements = measurements,
                                      .pool = pool,
                                      .pool_cap = sizeof(pool),
                                      .slot_cap = SLOTS,
                                      .measurement_cap = 3};
    kwm_series_init(&table, KWM_DIALECT_KWDB);
}

static size_t declare(unsigned n, unsigned fields, uint8_t *out, size_t cap)
{
    char unit[8];
    struct kwm_decl_builder builder;
    kwm_decl_build(&builder, out, cap,
                   (struct hal_text){n % 2 == 0 ? "even" : "odd", n % 2 == 0 ? 4 : 3});
    const struct hal_text value = {unit, (uint16_t)snprintf(unit, sizeof(unit), "u%u", n)};
    kwm_decl_build_tag(&builder, &(struct kwm_decl_tag){.key = {"unit", 4}, .value = value});
    for (unsigned i = 0; i < fields; i++) {
        const char name[2] = {'f', (char)('a' + i)};
        kwm_decl_build_field(&builder,
                             &(struct kwm_decl_field){.name = {name, 2}, .kind = HAL_KIND_INT});
    }
    const int len = kwm_decl_build_end(&builder);
    assert_true(len > 0);
    return (size_t)len;
}

static int intern(unsigned n, unsigned fields)
{
    uint8_t bytes[512];
    const size_t len = declare(n, fields, bytes, sizeof(bytes));
    return kwm_series_intern(&table, bytes, len);
}

static void assert_slot(unsigned slot, unsigned n, unsigned fields)
{
    uint8_t bytes[512];
    const size_t len = declare(n, fields, bytes, sizeof(bytes));
    struct kwm_decl decl;
    kwm_series_decl(&table, slot, &decl);
    assert_int_equal(decl.len, len);
    assert_memory_equal(decl.bytes, bytes, len);
    assert_string_equal(measurements[slots[slot].measurement].name, n % 2 == 0 ? "even" : "odd");
}

static void test_found_again(void **state)
{
    (void)state;
    begin();
    const int a = intern(1, 2);
    const int b = intern(2, 2);
    assert_true(a >= 0 && b >= 0 && a != b);
    assert_int_equal(intern(1, 2), a);
    assert_int_equal(intern(2, 2), b);
    assert_int_not_equal(intern(1, 3), a); /* another list of fields is another declaration */
    assert_int_equal(table.measurement_count, 2);
}

static void test_least_recently_used_goes(void **state)
{
    (void)state;
    begin();
    int first[SLOTS];
    for (unsigned n = 0; n < SLOTS; n++) {
        first[n] = intern(n, 1);
    }
    assert_int_equal(intern(0, 1), first[0]); /* used: now 1 is the oldest */
    assert_int_equal(intern(SLOTS, 1), first[1]);
    assert_int_equal(table.retired, 1);
    assert_int_equal(intern(0, 1), first[0]);
}

static void test_random_use_with_templates(void **state)
{
    (void)state;
    begin();
    uint64_t random = support_seed();
    print_message("  seed %llu\n", (unsigned long long)random);
    for (unsigned i = 0; i < 20000; i++) {
        const uint64_t bits = support_random(&random);
        const unsigned n = (unsigned)(bits % NAMES);
        const unsigned fields = 1 + (unsigned)(bits >> 8) % 6;
        const int slot = intern(n, fields);
        assert_true(slot >= 0);
        assert_slot((unsigned)slot, n, fields);
        if (bits % 3 == 0) {
            const uint8_t *template = kwm_series_template(&table, (unsigned)slot);
            struct hal_value values[6] = {{.kind = HAL_KIND_INT, .i = 7}};
            char line[256];
            char expected[64];
            assert_non_null(template);
            const int len = kwm_line_encode(line, sizeof(line), template, values,
                                            INT64_C(1790000000000), &table.losses);
            (void)snprintf(expected, sizeof(expected), "%s,unit='u%u' fa=7i 1790000000000",
                           n % 2 == 0 ? "even" : "odd", n);
            assert_int_equal(len, strlen(expected));
            assert_memory_equal(line, expected, strlen(expected));
            assert_slot((unsigned)slot, n, fields);
        }
        assert_true(table.pool_len <= table.pool_cap);
    }
    assert_true(table.retired > 1000);
}

static void test_newest_tick_is_inherited(void **state)
{
    (void)state;
    begin();
    const int slot = intern(4, 1);
    slots[slot].tick_newest = 77;
    const int grown = intern(4, 2);
    assert_int_equal(slots[grown].tick_newest, 77);
    assert_int_equal(slots[intern(5, 2)].tick_newest, 0);
}

static void test_limits(void **state)
{
    (void)state;
    begin();
    uint8_t large[KWM_DECL_LEN_MAX];
    struct kwm_decl_builder builder;
    kwm_decl_build(&builder, large, sizeof(large), (struct hal_text){"even", 4});
    for (unsigned i = 0; i < 60; i++) {
        char name[40];
        const struct hal_text text = {
            name, (uint16_t)snprintf(name, sizeof(name), "f%u_of_some_length_x", i)};
        kwm_decl_build_field(&builder, &(struct kwm_decl_field){.name = text, .kind = 1});
    }
    const int len = kwm_decl_build_end(&builder);
    assert_true(len > (int)sizeof(pool));
    assert_int_equal(kwm_series_intern(&table, large, (size_t)len), KWM_ERR_NOSPC);
    assert_int_equal(kwm_series_intern(&table, large, 7), KWM_ERR_CORRUPT);
    assert_true(intern(1, 1) >= 0);
    assert_true(kwm_series_measurement(&table, (struct hal_text){"third", 5}) >= 0);
    assert_int_equal(kwm_series_measurement(&table, (struct hal_text){"fourth", 6}), KWM_ERR_NOSPC);
    assert_int_equal(kwm_series_measurement(&table, (struct hal_text){"even", 4}), 0);
}

static void test_template_that_cannot_be(void **state)
{
    (void)state;
    begin();
    uint8_t bytes[128];
    struct kwm_decl_builder builder;
    kwm_decl_build(&builder, bytes, sizeof(bytes), (struct hal_text){"even", 4});
    kwm_decl_build_field(&builder,
                         &(struct kwm_decl_field){.name = {"x", 1}, .kind = HAL_KIND_INT});
    const int len = kwm_decl_build_end(&builder);
    const int slot = kwm_series_intern(&table, bytes, (size_t)len);
    assert_null(kwm_series_template(&table, (unsigned)slot)); /* kwdb needs a tag */
    kwm_series_set_dialect(&table, KWM_DIALECT_INFLUX);
    assert_non_null(kwm_series_template(&table, (unsigned)slot));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_again),
        cmocka_unit_test(test_least_recently_used_goes),
        cmocka_unit_test(test_random_use_with_templates),
        cmocka_unit_test(test_newest_tick_is_inherited),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_template_that_cannot_be),
    };
    return cmocka_run_group_tests_name("series", tests, NULL, NULL);
}
