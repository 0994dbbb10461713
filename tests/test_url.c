/* SPDX-License-Identifier: MIT */
/* Goal:   kwm/url.h takes what a server can be asked for and refuses the rest with the right
 * reason; no credential that KWDB misreads, or that ends its process, is ever made or let through.
 * Method: tables; base64 against an encoder written otherwise, and against RFC 4648's vectors;
 * every capacity over a guard byte; random bytes. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kwm/url.h"

struct good_url {
    const char *url;
    const char *host;
    uint16_t port;
    const char *target;
    bool is_secure, is_ipv6, has_port;
    enum kwm_dialect dialect;
};

static const struct good_url good_urls[] = {
    {"https://db.example:8080/restapi/telegraf?db=db1", "db.example", 8080,
     "/restapi/telegraf?db=db1", true, false, true, KWM_DIALECT_KWDB},
    {"https://db/restapi/telegraf?db=DB%201&tz=8", "db", 443, "/restapi/telegraf?db=DB%201&tz=8",
     true, false, false, KWM_DIALECT_KWDB},
    {"https://db/restapi/telegraf?tz=8&db=d", "db", 443, "/restapi/telegraf?tz=8&db=d", true, false,
     false, KWM_DIALECT_KWDB},
    {"HTTPS://10.0.0.1:443/restapi/telegraf?db=x", "10.0.0.1", 443, "/restapi/telegraf?db=x", true,
     false, true, KWM_DIALECT_KWDB},
    {"https://[2001:db8::1]:26257/restapi/telegraf?db=x", "2001:db8::1", 26257,
     "/restapi/telegraf?db=x", true, true, true, KWM_DIALECT_KWDB},
    {"https://[::ffff:10.0.0.1]/restapi/telegraf?db=x", "::ffff:10.0.0.1", 443,
     "/restapi/telegraf?db=x", true, true, false, KWM_DIALECT_KWDB},
    {"http://influx:8086/write?db=t&precision=ns", "influx", 8086, "/write?db=t&precision=ns",
     false, false, true, KWM_DIALECT_INFLUX},
    {"http://influx", "influx", 80, "/", false, false, false, KWM_DIALECT_INFLUX},
    {"http://influx?db=a", "influx", 80, "/?db=a", false, false, false, KWM_DIALECT_INFLUX},
    {"http://influx/?u=a/b?c", "influx", 80, "/?u=a/b?c", false, false, false, KWM_DIALECT_INFLUX},
    {"https://in_flux-1.:65535/a%2Fb", "in_flux-1.", 65535, "/a%2Fb", true, false, true,
     KWM_DIALECT_INFLUX},
    {"https://h/write?m=user@example", "h", 443, "/write?m=user@example", true, false, false,
     KWM_DIALECT_INFLUX},
    {"https://h/restapi2/influxdb", "h", 443, "/restapi2/influxdb", true, false, false,
     KWM_DIALECT_INFLUX},
};

static void test_good_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good_urls) / sizeof(good_urls[0]); i++) {
        const struct good_url *row = &good_urls[i];
        struct kwm_endpoint endpoint;
        const char *reason = "no reason";
        memset(&endpoint, 0xa5, sizeof(endpoint));
        print_message("%s\n", row->url);
        if (kwm_url_parse(&endpoint, row->url, strlen(row->url), &reason) != KWM_OK) {
            fail_msg("%s", reason);
        }
        assert_string_equal(endpoint.host, row->host);
        assert_string_equal(endpoint.target, row->target);
        assert_int_equal(endpoint.port, row->port);
        assert_int_equal(endpoint.is_secure, row->is_secure);
        assert_int_equal(endpoint.is_ipv6, row->is_ipv6);
        assert_int_equal(endpoint.has_port, row->has_port);
        assert_int_equal(endpoint.dialect, row->dialect);
    }
}

static void expect_refused(const char *url, size_t len, const char *word)
{
    struct kwm_endpoint endpoint;
    const char *reason = NULL;
    print_message("%.*s\n", (int)(len < 80 ? len : 80), url);
    char *copy = malloc(len > 0 ? len : 1); /* no NUL behind it: reading on is seen */
    assert_non_null(copy);
    memcpy(copy, url, len);
    const int rc = kwm_url_parse(&endpoint, copy, len, &reason);
    free(copy);
    assert_int_equal(rc, KWM_ERR_INVAL);
    assert_non_null(reason);
    if (strstr(reason, word) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", word, reason);
    }
}

static void test_bad_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *word; /* of the reason */
    } rows[] = {
        {"", "must begin with https://"},
        {"db.example/restapi/telegraf?db=x", "must begin with https://"},
        {"ftp://db/restapi/telegraf?db=x", "must begin with https://"},
        {"https:/db/restapi/telegraf?db=x", "must begin with https://"},
        {"https://", "names no host"},
        {"https:///restapi/telegraf?db=x", "names no host"},
        {"https://:8080/restapi/telegraf?db=x", "names no host"},
        {"https://kwdb:secret@db/restapi/telegraf?db=x", "username and password"},
        {"https://kwdb@db/restapi/telegraf?db=x", "username and password"},
        {"https://db/restapi/telegraf?db=x#top", "fragment"},
        {"https://db:/restapi/telegraf?db=x", "from 1 to 65535"},
        {"https://db:0/restapi/telegraf?db=x", "from 1 to 65535"},
        {"https://db:65536/restapi/telegraf?db=x", "from 1 to 65535"},
        {"https://db:4294967739/restapi/telegraf?db=x", "from 1 to 65535"},
        {"https://db:18446744073709551617/restapi/telegraf?db=x", "from 1 to 65535"},
        {"https://db:80a/restapi/telegraf?db=x", "from 1 to 65535"},
        {"https://db:-1/restapi/telegraf?db=x", "from 1 to 65535"},
        {"https://2001:db8::1/restapi/telegraf?db=x", "from 1 to 65535"},
        {"https://your-host;ip/restapi/telegraf?db=x", "letters, digits"},
        {"https://d%41b/restapi/telegraf?db=x", "letters, digits"},
        {"https://[2001:db8::1/restapi/telegraf?db=x", "not closed"},
        {"https://[2001:db8::1]8080/restapi/telegraf?db=x", "only a colon"},
        {"https://[fe80::1%25eth0]/restapi/telegraf?db=x", "without a zone"},
        {"https://[]/restapi/telegraf?db=x", "IPv6 address such as"},
        {"https://[db]/restapi/telegraf?db=x", "IPv6 address such as"},
        {"https://[1:2]/restapi/telegraf?db=x", "IPv6 address such as"},
        {"https://db/restapi/telegraf?db=a b", "hexadecimal digits"},
        {"https://db/restapi/telegraf?db=a\r\nX: y", "hexadecimal digits"},
        {"https://db/restapi/telegraf?db=a\t", "hexadecimal digits"},
        {"https://db/restapi/telegraf?db=\xc3\xa4", "hexadecimal digits"},
        {"https://db/restapi/telegraf?db=a\x7f", "hexadecimal digits"},
        {"https://db/restapi/telegraf?db=\"a\"", "hexadecimal digits"},
        {"https://db/restapi/telegraf?db=a%2", "% must be followed"},
        {"https://db/restapi/telegraf?db=a%zz", "% must be followed"},
        {"https://db/restapi/telegraf?db=a%", "% must be followed"},
        {"https://db/restapi/telegraf", "names no database"},
        {"https://db/restapi/telegraf?", "names no database"},
        {"https://db/restapi/telegraf?db=", "names no database"},
        {"https://db/restapi/telegraf?db=&db=x", "names no database"},
        {"https://db/restapi/telegraf?DB=x", "names no database"},
        {"https://db/restapi/telegraf?mydb=x", "names no database"},
        {"https://db/restapi/telegraf/?db=x", "without a slash"},
        {"https://db/restapi/insert?db=x", "/restapi/telegraf?db=NAME only"},
        {"https://db/restapi?db=x", "/restapi/telegraf?db=NAME only"},
        {"https://db//restapi/telegraf?db=x", "two slashes"},
        {"https://db/restapi/influxdb?db=x", "before it writes"},
        {"https://db/restapi/influxdb/?db=x", "before it writes"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_refused(rows[i].url, strlen(rows[i].url), rows[i].word);
    }
    expect_refused("https://db/w\0x", 14, "hexadecimal digits");
}

static void test_url_lengths(void **state)
{
    (void)state;
    char url[1024];
    struct kwm_endpoint endpoint;
    const char *reason = NULL;
    for (size_t host_len = HAL_NET_HOST_LEN_MAX - 1; host_len <= HAL_NET_HOST_LEN_MAX + 1;
         host_len++) {
        char host[HAL_NET_HOST_LEN_MAX + 2] = {0};
        memset(host, 'h', host_len);
        const int len = snprintf(url, sizeof(url), "https://%s/write", host);
        const int rc = kwm_url_parse(&endpoint, url, (size_t)len, &reason);
        assert_int_equal(rc, host_len <= HAL_NET_HOST_LEN_MAX ? KWM_OK : KWM_ERR_INVAL);
        if (rc == KWM_OK) {
            assert_string_equal(endpoint.host, host);
        }
    }
    for (size_t path_len = KWM_URL_TARGET_LEN_MAX - 1; path_len <= KWM_URL_TARGET_LEN_MAX + 1;
         path_len++) {
        for (int with_slash = 0; with_slash < 2; with_slash++) {
            char path[KWM_URL_TARGET_LEN_MAX + 2] = {0};
            memset(path, 'p', path_len);
            path[0] = '/';
            path[1] = '?';
            const int len = snprintf(url, sizeof(url), "https://h%s", path + 1 - with_slash);
            const int rc = kwm_url_parse(&endpoint, url, (size_t)len, &reason);
            assert_int_equal(rc, path_len <= KWM_URL_TARGET_LEN_MAX ? KWM_OK : KWM_ERR_INVAL);
            if (rc == KWM_OK) {
                assert_string_equal(endpoint.target, path);
            }
        }
    }
}

/* Whatever the bytes: a reason, or texts that can stand in a request's head. */
static void test_url_random(void **state)
{
    (void)state;
    uint64_t seed = support_seed();
    static const char alphabet[] = "htps:/[]@#?%20abd=&.:1\r\n \x80restapi/telegraf";
    unsigned good = 0;
    for (unsigned run = 0; run < support_runs(20000); run++) {
        char url[64] = "https://";
        size_t len = support_random(&seed) % 8 == 0 ? 0 : 8;
        const size_t more = support_random(&seed) % 40;
        for (size_t i = 0; i < more; i++) {
            url[len++] = alphabet[support_random(&seed) % (sizeof(alphabet) - 1)];
        }
        struct kwm_endpoint endpoint;
        const char *reason = NULL;
        if (kwm_url_parse(&endpoint, url, len, &reason) != KWM_OK) {
            assert_non_null(reason);
            continue;
        }
        good++;
        assert_true(endpoint.port > 0);
        assert_true(strlen(endpoint.host) > 0);
        assert_int_equal(endpoint.target[0], '/');
        for (const char *c = endpoint.target; *c != '\0'; c++) {
            assert_true(*c > ' ' && *c <= '~');
        }
    }
    assert_true(good > 10);
}

static void test_authorization(void **state)
{
    (void)state;
    static const struct {
        const char *user, *password, *value;
    } rows[] = {
        {"root", "kwdbpassword", "Basic cm9vdDprd2RicGFzc3dvcmQ="}, /* KWDB's documentation */
        {"a", "b", "Basic YTpi"},
        {"a", "bc", "Basic YTpiYw=="},
        {"a", "bcd", "Basic YTpiY2Q="},
        {"Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}, /* RFC 7617 2 */
        {"u", "\xff\xfb\xef~?>", "Basic dTr/++9+Pz4="},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[KWM_AUTHORIZATION_LEN_MAX + 1];
        const char *reason = "no reason";
        const int len =
            kwm_authorization(out, sizeof(out), rows[i].user, rows[i].password, &reason);
        assert_int_equal(len, strlen(rows[i].value));
        assert_string_equal(out, rows[i].value);
        assert_int_equal(kwm_authorization_check(out, KWM_DIALECT_KWDB, &reason), KWM_OK);
        assert_int_equal(kwm_authorization_check(out, KWM_DIALECT_INFLUX, &reason), KWM_OK);
    }
}

static void test_authorization_refused(void **state)
{
    (void)state;
    static const struct {
        const char *user, *password, *word;
    } rows[] = {
        {"", "b", "user name is empty"},
        {"", "", "user name is empty"},
        {"a", "", "password is empty"},
        {"a:b", "c", "':'"},
        {"a", "b:c", "':'"},
        {"a", ":", "':'"},
        {"hA", "hAt", "for a token"}, /* aEE6aEF0 */
    };
    char out[KWM_AUTHORIZATION_LEN_MAX + 1];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *reason = NULL;
        const int rc = kwm_authorization(out, sizeof(out), rows[i].user, rows[i].password, &reason);
        assert_int_equal(rc, KWM_ERR_INVAL);
        assert_non_null(reason);
        assert_non_null(strstr(reason, rows[i].word));
    }
}

/* Base64 bit by bit, unlike the encoder under test. */
static size_t encode_slowly(char *out, const char *text, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t count = 0;
    for (size_t bit = 0; bit < len * 8; bit += 6) {
        unsigned value = 0;
        for (size_t i = bit; i < bit + 6; i++) {
            const unsigned one = i < len * 8 ? (unsigned)((uint8_t)text[i / 8] >> (7 - i % 8)) : 0;
            value = value << 1 | (one & 1U);
        }
        out[count++] = digits[value];
    }
    while (count % 4 != 0) {
        out[count++] = '=';
    }
    out[count] = '\0';
    return count;
}

static void test_authorization_random(void **state)
{
    (void)state;
    uint64_t seed = support_seed();
    for (unsigned run = 0; run < support_runs(2000); run++) {
        char user[100] = {0}, password[100] = {0}, pair[256], expected[512], out[300];
        const size_t user_len = 1 + support_random(&seed) % 99;
        const size_t password_len = 1 + support_random(&seed) % 99;
        for (size_t i = 0; i < user_len; i++) {
            user[i] = (char)(';' + support_random(&seed) % 190);
        }
        for (size_t i = 0; i < password_len; i++) {
            password[i] = (char)(';' + support_random(&seed) % 190);
        }
        const int pair_len = snprintf(pair, sizeof(pair), "%s:%s", user, password);
        const int expected_len = snprintf(expected, sizeof(expected), "Basic ");
        const size_t whole =
            (size_t)expected_len + encode_slowly(expected + expected_len, pair, (size_t)pair_len);
        const char *reason = NULL;
        memset(out, '#', sizeof(out));
        const int rc = kwm_authorization(out, sizeof(out) - 1, user, password, &reason);
        if (whole > KWM_AUTHORIZATION_LEN_MAX) {
            assert_int_equal(rc, KWM_ERR_INVAL);
            assert_true(user_len + password_len > 185);
            assert_non_null(strstr(reason, "too long"));
            continue;
        }
        assert_int_equal(rc, whole);
        assert_string_equal(out, expected);
        assert_int_equal(kwm_authorization_check(out, KWM_DIALECT_KWDB, &reason), KWM_OK);
    }
}

static void test_authorization_every_capacity(void **state)
{
    (void)state;
    static const char value[] = "Basic cm9vdDprd2RicGFzc3dvcmQ=";
    for (size_t cap = 0; cap <= sizeof(value) + 1; cap++) {
        char out[sizeof(value) + 2];
        const char *reason = NULL;
        memset(out, '#', sizeof(out));
        const int rc = kwm_authorization(out, cap, "root", "kwdbpassword", &reason);
        assert_int_equal(rc, cap < sizeof(value) ? KWM_ERR_INVAL : (int)sizeof(value) - 1);
        for (size_t i = cap; i < sizeof(out); i++) {
            assert_int_equal(out[i], '#');
        }
    }
}

static void test_check(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *kwdb; /* word of the reason, NULL if it is good */
        const char *influx;
    } rows[] = {
        {"Basic cm9vdDprd2RicGFzc3dvcmQ=", NULL, NULL},
        {"", "empty", "empty"},
        {"Basic", "ends KWDB's server process", "a scheme, one space"},
        {"Basic ", "ends KWDB's server process", "a scheme, one space"},
        {"Basic  ", "nothing but", "a scheme, one space"},
        {"Basic  YTpi", "nothing but", "a scheme, one space"},
        {"Basic YTpi ", "nothing but", "a scheme, one space"},
        {" Basic YTpi", "nothing but", "a scheme, one space"},
        {"Basic YTpi YTpi", "nothing but", NULL},
        {"basic YTpi", "nothing but", NULL},
        {"BasicYTpi", "nothing but", "a scheme, one space"},
        {"cm9vdDprd2RicGFzc3dvcmQ=", "nothing but", "a scheme, one space"},
        {"Bearer abc", "nothing but", NULL},
        {"Token abc", "nothing but", NULL},
        {"Basic 0123456789abcdef0123456789abcdef", "login token", NULL},
        {"Basic aEE6aEF0", "login token", NULL},
        {"Basic abc", "not base64", NULL}, /* an odd number of digits is no token */
        {"Basic YTpiYw", "not base64", NULL},
        {"Basic YTpiYw=", "not base64", NULL},
        {"Basic YTpiY===", "not base64", NULL},
        {"Basic =YTp", "not base64", NULL},
        {"Basic YT=i", "not base64", NULL},
        {"Basic dTr_--9-Pz4=", "not base64", NULL},
        {"Basic ====", "not base64", NULL},
        {"Basic YWJj", "exactly one ':'", NULL},       /* abc */
        {"Basic YTpiOmM=", "exactly one ':'", NULL},   /* a:b:c */
        {"Basic OmJj", "neither of them empty", NULL}, /* :bc */
        {"Basic YWI6", "neither of them empty", NULL}, /* ab: */
        {"Basic Og==", "neither of them empty", NULL}, /* : */
        {"Basic YTpi\r\nX: y", "line end", "line end"},
        {"Basic YTpi\t", "line end", "line end"},
        {"Basic YTpi\xc3", "line end", "line end"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *const words[] = {rows[i].kwdb, rows[i].influx};
        static const enum kwm_dialect dialects[] = {KWM_DIALECT_KWDB, KWM_DIALECT_INFLUX};
        for (size_t k = 0; k < 2; k++) {
            const char *reason = NULL;
            print_message("\"%s\" for dialect %zu\n", rows[i].value, k);
            const int rc = kwm_authorization_check(rows[i].value, dialects[k], &reason);
            if (words[k] == NULL) {
                assert_int_equal(rc, KWM_OK);
                continue;
            }
            assert_int_equal(rc, KWM_ERR_INVAL);
            assert_non_null(reason);
            if (strstr(reason, words[k]) == NULL) {
                fail_msg("\"%s\" is not in \"%s\"", words[k], reason);
            }
        }
    }
    char long_value[KWM_AUTHORIZATION_LEN_MAX + 2] = "Token ";
    memset(long_value + 6, 'x', sizeof(long_value) - 7);
    const char *reason = NULL;
    assert_int_equal(kwm_authorization_check(long_value, KWM_DIALECT_INFLUX, &reason),
                     KWM_ERR_INVAL);
    assert_non_null(strstr(reason, "longer than 255"));
    long_value[KWM_AUTHORIZATION_LEN_MAX] = '\0';
    assert_int_equal(kwm_authorization_check(long_value, KWM_DIALECT_INFLUX, &reason), KWM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_urls),
        cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_url_lengths),
        cmocka_unit_test(test_url_random),
        cmocka_unit_test(test_authorization),
        cmocka_unit_test(test_authorization_refused),
        cmocka_unit_test(test_authorization_random),
        cmocka_unit_test(test_authorization_every_capacity),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
