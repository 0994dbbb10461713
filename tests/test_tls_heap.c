/* SPDX-License-Identifier: MIT */
/* Goal:   the memory of Mbed TLS is what it says: blocks do not overlap, are zeroed and aligned,
 *         come together again when freed, and a refusal is counted.
 * Method: random allocations and frees over a guarded arena, each block filled and checked; limits.
 * */
#include "support.h"

#include <stdbool.h>
#include <string.h>

#include <mbedtls/platform.h>

#include "mbedtls/tls_heap.h"

#define ARENA_LEN 8192U
#define GUARD_LEN 64U
#define BLOCKS_MAX 200U
#define HEADER_LEN (2U * sizeof(size_t))

static _Alignas(16) uint8_t memory[ARENA_LEN + GUARD_LEN];

static void begin(size_t len)
{
    memset(memory, 0xa5, sizeof(memory));
    tls_heap_init(memory, len);
    assert_int_equal(tls_heap_used(), 0);
    assert_int_equal(tls_heap_peak(), 0);
    assert_int_equal(tls_heap_failures(), 0);
    assert_int_equal(tls_heap_len(), len / HEADER_LEN * HEADER_LEN);
}

static bool is_all(const uint8_t *data, size_t len, uint8_t value)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != value) {
            return false;
        }
    }
    return true;
}

static void test_random(void **state)
{
    (void)state;
    static struct {
        uint8_t *data;
        size_t len;
        uint8_t value;
    } blocks[BLOCKS_MAX];
    uint64_t random = support_seed();
    begin(ARENA_LEN);
    size_t most = 0;
    uint32_t refused = 0;
    for (unsigned i = 0; i < 100000; i++) {
        const size_t k = support_random(&random) % BLOCKS_MAX;
        if (blocks[k].data != NULL) {
            assert_true(is_all(blocks[k].data, blocks[k].len, blocks[k].value));
            mbedtls_free(blocks[k].data);
            blocks[k].data = NULL;
        } else {
            const size_t len =
                1 + support_random(&random) % (support_random(&random) % 8 == 0 ? 2000 : 60);
            blocks[k].data = mbedtls_calloc(len % 3 == 0 ? len / 3 : len, len % 3 == 0 ? 3 : 1);
            if (blocks[k].data == NULL) {
                refused++;
                continue;
            }
            assert_int_equal((uintptr_t)blocks[k].data % HEADER_LEN, 0);
            assert_true(is_all(blocks[k].data, len, 0));
            blocks[k].len = len;
            blocks[k].value = (uint8_t)support_random(&random);
            memset(blocks[k].data, blocks[k].value, len);
        }
        most = tls_heap_used() > most ? tls_heap_used() : most;
        assert_int_equal(tls_heap_peak(), most);
        assert_int_equal(tls_heap_failures(), refused);
    }
    assert_true(refused > 100);
    assert_true(is_all(memory + ARENA_LEN, GUARD_LEN, 0xa5));
    for (size_t k = 0; k < BLOCKS_MAX; k++) {
        mbedtls_free(blocks[k].data);
        blocks[k].data = NULL;
    }
    /* All is one block again. */
    assert_int_equal(tls_heap_used(), 0);
    void *all = mbedtls_calloc(1, ARENA_LEN - HEADER_LEN);
    assert_non_null(all);
    assert_int_equal(tls_heap_used(), ARENA_LEN);
    assert_null(mbedtls_calloc(1, 1));
    mbedtls_free(all);
}

static void test_limits(void **state)
{
    (void)state;
    begin(1024 + 7);
    assert_null(mbedtls_calloc(1, 1024));
    assert_int_equal(tls_heap_failures(), 1);
    assert_null(mbedtls_calloc(SIZE_MAX / 2, 3));
    assert_null(mbedtls_calloc(3, SIZE_MAX / 2));
    assert_null(mbedtls_calloc(1, SIZE_MAX - 4));
    assert_int_equal(tls_heap_failures(), 4);
    assert_null(mbedtls_calloc(0, 5));
    assert_null(mbedtls_calloc(5, 0));
    assert_int_equal(tls_heap_failures(), 4);
    mbedtls_free(NULL);

    uint8_t *one = mbedtls_calloc(1, 1);
    assert_int_equal(tls_heap_used(), 2 * HEADER_LEN);
    expect_assert_failure(tls_heap_init(memory, 1024));
    mbedtls_free(one);
    expect_assert_failure(mbedtls_free(one));
    expect_assert_failure(tls_heap_init(memory, 1000));
    int elsewhere = 0;
    expect_assert_failure(mbedtls_free(&elsewhere));
}

static void test_odd_address(void **state)
{
    (void)state;
    memset(memory, 0xa5, sizeof(memory));
    tls_heap_init(memory + 3, 1024);
    assert_int_equal(tls_heap_len(), (1024 - (HEADER_LEN - 3)) / HEADER_LEN * HEADER_LEN);
    uint8_t *all = mbedtls_calloc(1, tls_heap_len() - HEADER_LEN);
    assert_non_null(all);
    assert_int_equal((uintptr_t)all % HEADER_LEN, 0);
    assert_true(all + tls_heap_len() - HEADER_LEN <= memory + 3 + 1024);
    assert_true(is_all(memory, 3, 0xa5));
    assert_true(is_all(memory + 3 + 1024, GUARD_LEN, 0xa5));
    mbedtls_free(all);
}

/** The smallest hole that fits is taken, so that the large one stays for what is large. */
static void test_best_fit(void **state)
{
    (void)state;
    begin(4096);
    void *big = mbedtls_calloc(1, 1000);
    void *wall = mbedtls_calloc(1, 50);
    void *small = mbedtls_calloc(1, 200);
    void *end = mbedtls_calloc(1, 50);
    mbedtls_free(small);
    mbedtls_free(big);
    assert_ptr_equal(mbedtls_calloc(1, 190), small);
    assert_ptr_equal(mbedtls_calloc(1, 1000), big);
    assert_non_null(wall);
    assert_non_null(end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_odd_address),
        cmocka_unit_test(test_best_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
