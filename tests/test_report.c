/* SPDX-License-Identifier: MIT */
/*
 * Goal:   each event becomes one line that says what, why and what to do, at the right level.
 * Method: a table of events and of words that the line must have.
 */
#include <string.h>

#include "hal/err.h"
#include "kwm/delivery.h"
#include "report.h"
#include "support.h"

static struct kwm_config config;
static const struct kwm_endpoint endpoints[] = {{.host = "kwdb.test", .port = 8080},
                                                {.host = "other.test", .port = 81}};

static const struct {
    struct kwm_event event;
    const char *words[4];
} cases[] = {
    {{.code = KWM_EVENT_DELIVERING}, {"kwdb.test:8080 takes rows"}},
    {{.code = KWM_EVENT_DELIVERING, .endpoint = 1}, {"other.test:81 "}},
    {{.code = KWM_EVENT_DELIVERING, .endpoint = 9}, {"kwdb.test:8080 "}},
    {{.code = KWM_EVENT_FAILING, .status = 503, .text = "busy", .wait_ms = 1500},
     {"HTTP 503", "busy", "rows are kept", "in 1 s"}},
    {{.code = KWM_EVENT_FAILING, .err = KWM_ERR_TIMEOUT, .wait_ms = 999},
     {"does not take rows", "in 999 ms"}},
    {{.code = KWM_EVENT_FAILING, .err = KWM_ERR_VERIFY, .text = "expired on Monday"},
     {"expired on Monday", "nothing was sent", "tls_ca"}},
    {{.code = KWM_EVENT_AUTH, .text = "no"},
     {"refuses the credentials of user ann", "no", "password"}},
    {{.code = KWM_EVENT_MISTAKE, .status = 404, .text = "no such database"},
     {"HTTP 404", "no such database", "database"}},
    {{.code = KWM_EVENT_PAUSED,
      .name = "air",
      .text = "relation \"air\" does not exist",
      .reason = KWM_PIECE_MEASUREMENT},
     {"rows of air are held", "does not exist", "schema --diff"}},
    {{.code = KWM_EVENT_PAUSED, .name = "air", .text = "odd", .reason = KWM_PIECE_UNKNOWN},
     {"rows of air are held", "odd; next try"}},
    {{.code = KWM_EVENT_RESUMED, .name = "air"}, {"rows of air are taken again"}},
    {{.code = KWM_EVENT_REFUSED,
      .name = "air",
      .text = "too long",
      .reason = KWM_FATE_REFUSED_LINE,
      .line = "air a=1i~~~",
      .line_len = 8},
     {"a row of air", "refused_line", "too long", "the row: air a=1i"}},
    {{.code = KWM_EVENT_DROPPED, .name = "air", .reason = KWM_FATE_DROPPED_ROOM},
     {"dropped_room", "air", "make spool larger"}},
    {{.code = KWM_EVENT_DROPPED, .name = "air", .reason = KWM_FATE_UNKNOWN},
     {"unknown", "make spool larger"}},
    {{.code = KWM_EVENT_DROPPED, .name = "air", .reason = KWM_FATE_DROPPED_NO_ROOM},
     {"dropped_no_room", "no room for another"}},
    {{.code = KWM_EVENT_DROPPED, .name = "air", .reason = KWM_FATE_DROPPED_TOO_LONG},
     {"dropped_too_long", "does not fit the buffer"}},
    {{.code = KWM_EVENT_DROPPED, .name = "air", .reason = KWM_FATE_DROPPED_NO_TIME},
     {"dropped_no_time", "clock"}},
    {{.code = KWM_EVENT_DROPPED, .name = "air", .reason = KWM_FATE_DROPPED_CORRUPT},
     {"dropped_corrupt", "read back"}},
    {{.code = KWM_EVENT_SENSOR, .name = "inputs.cpu", .text = "gone"}, {"inputs.cpu: gone"}},
    {{.code = KWM_EVENT_SENSOR_OK, .name = "inputs.cpu"}, {"inputs.cpu: works again"}},
    {{.code = KWM_EVENT_CONFLICT, .name = "one", .text = "two", .line = "shared", .line_len = 6},
     {"one and two both give the field shared"}},
    {{.code = KWM_EVENT_REPLACED, .name = "air", .line = "air a='b_c'", .line_len = 11},
     {"rows of air", "becomes _", "air a='b_c'"}},
    {{.code = KWM_EVENT_PHASES_WORN}, {"clock went back", "overwrite"}},
};

static void test_sentences(void **state)
{
    (void)state;
    struct report report = {.config = &config};
    const struct kwm_event_sink sink = report_sink(&report);
    config.output.endpoints = endpoints;
    config.output.endpoint_count = 2;
    config.output.user = "ann";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kwm_event event = cases[i].event;
        event.name = event.name != NULL ? event.name : "";
        event.text = event.text != NULL ? event.text : "";
        event.line = event.line != NULL ? event.line : "";
        support_log_clear();
        sink.put(sink.ctx, &event);
        assert_int_equal(support_log_count(), 1);
        for (size_t k = 0; k < 4 && cases[i].words[k] != NULL; k++) {
            if (strstr(support_log_last(), cases[i].words[k]) == NULL) {
                fail_msg("\"%s\" is not in: %s", cases[i].words[k], support_log_last());
            }
        }
        assert_null(strstr(support_log_last(), "~~~"));
    }
}

static void test_fate_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < KWM_FATE_COUNT; i++) {
        assert_true(strlen(kwm_fate_name((enum kwm_fate)i)) > 5);
        for (unsigned k = 0; k < i; k++) {
            assert_string_not_equal(kwm_fate_name((enum kwm_fate)i),
                                    kwm_fate_name((enum kwm_fate)k));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_fate_names),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
