/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <string.h>

#include "hal/err.h"
#include "hal/log.h"
#include "kwm/delivery.h"
#include "kwm/text.h"

#define REPORT_LEN_MAX 768U

static void append_wait(struct kwm_text *text, uint32_t wait_ms)
{
    kwm_text_append(text, "; next try in ");
    if (wait_ms < 1000U) {
        kwm_text_append_uint(text, wait_ms);
        kwm_text_append(text, " ms");
    } else {
        kwm_text_append_uint(text, wait_ms / 1000U);
        kwm_text_append(text, " s");
    }
}

static void append_url(const struct report *report, struct kwm_text *text, unsigned index)
{
    const struct kwm_config_output *output = &report->config->output;
    const struct kwm_endpoint *endpoint =
        &output->endpoints[index < output->endpoint_count ? index : 0];
    kwm_text_append(text, endpoint->host);
    kwm_text_append_char(text, ':');
    kwm_text_append_uint(text, endpoint->port);
}

static const char *err_text(int err)
{
    switch (err) {
#define CASE(name, value, words) \
    case value:                  \
        return words;
        KWM_ERR_TABLE(CASE)
#undef CASE
    default:
        return "unknown error";
    }
}

/** What was said, without the blank that stands for the line end of a server's page. */
static void append_reason(struct kwm_text *text, const struct kwm_event *event)
{
    size_t len = strlen(event->text);
    while (len > 0 && event->text[len - 1U] == ' ') {
        len--;
    }
    if (len > 0) {
        kwm_text_append_bytes(text, event->text, len);
    } else {
        kwm_text_append(text, event->err == KWM_OK ? "the reply is empty" : err_text(event->err));
    }
}

static enum hal_log_level failing(const struct report *report, const struct kwm_event *event,
                                  struct kwm_text *text)
{
    append_url(report, text, event->endpoint);
    if (event->err == KWM_OK) {
        kwm_text_append(text, " answers HTTP ");
        kwm_text_append_uint(text, event->status);
        kwm_text_append(text, " without a verdict on the rows: ");
    } else {
        kwm_text_append(text, " does not take rows: ");
    }
    append_reason(text, event);
    if (event->err == KWM_ERR_VERIFY) {
        kwm_text_append(text, "; nothing was sent; see tls_ca, tls_server_name and the clock");
    }
    kwm_text_append(text, "; rows are kept");
    append_wait(text, event->wait_ms);
    return event->err == KWM_ERR_VERIFY ? HAL_LOG_ERROR : HAL_LOG_WARN;
}

static enum hal_log_level auth(const struct report *report, const struct kwm_event *event,
                               struct kwm_text *text)
{
    append_url(report, text, event->endpoint);
    kwm_text_append(text, " refuses the credentials");
    if (report->config->output.user[0] != '\0') {
        kwm_text_append(text, " of user ");
        kwm_text_append(text, report->config->output.user);
    }
    kwm_text_append(text, ": ");
    append_reason(text, event);
    kwm_text_append(text, "; check user name and password; rows are kept");
    append_wait(text, event->wait_ms);
    return HAL_LOG_ERROR;
}

static enum hal_log_level mistake(const struct report *report, const struct kwm_event *event,
                                  struct kwm_text *text)
{
    append_url(report, text, event->endpoint);
    kwm_text_append(text, " answers HTTP ");
    kwm_text_append_uint(text, event->status);
    kwm_text_append(text, ": ");
    append_reason(text, event);
    kwm_text_append(text,
                    "; check the URL's path and database, and the user's rights; rows are kept");
    append_wait(text, event->wait_ms);
    return HAL_LOG_ERROR;
}

static enum hal_log_level paused(const struct kwm_event *event, struct kwm_text *text)
{
    kwm_text_append(text, "rows of ");
    kwm_text_append(text, event->name);
    kwm_text_append(text, " are held, the others go on: ");
    append_reason(text, event);
    if (event->reason == KWM_PIECE_MEASUREMENT) {
        kwm_text_append(text, "; `kwmote schema --diff` shows what the table lacks");
    }
    append_wait(text, event->wait_ms);
    return HAL_LOG_WARN;
}

static enum hal_log_level refused(const struct kwm_event *event, struct kwm_text *text)
{
    kwm_text_append(text, "a row of ");
    kwm_text_append(text, event->name);
    kwm_text_append(text, " is refused by the server and set aside (");
    kwm_text_append(text, kwm_fate_name((enum kwm_fate)event->reason));
    kwm_text_append(text, "): ");
    append_reason(text, event);
    kwm_text_append(text, "; the row: ");
    kwm_text_append_bytes(text, event->line, event->line_len);
    return HAL_LOG_WARN;
}

static const char *drop_advice(unsigned fate)
{
    switch (fate) {
    case KWM_FATE_DROPPED_ROOM:
    case KWM_FATE_UNKNOWN:
        return "the queue is full, so the oldest rows go; make spool larger or see why delivery "
               "fails";
    case KWM_FATE_DROPPED_NO_ROOM:
        return "there is no room for another row or series";
    case KWM_FATE_DROPPED_TOO_LONG:
        return "the line does not fit the buffer, or the database cannot carry its names";
    case KWM_FATE_DROPPED_NO_TIME:
        return "its time is not between 2001 and 2286; see the clock";
    default:
        return "it could not be read back";
    }
}

static enum hal_log_level dropped(const struct kwm_event *event, struct kwm_text *text)
{
    kwm_text_append(text, "rows are lost (");
    kwm_text_append(text, kwm_fate_name((enum kwm_fate)event->reason));
    kwm_text_append(text, "), the first of ");
    kwm_text_append(text, event->name);
    kwm_text_append(text, ": ");
    kwm_text_append(text, drop_advice(event->reason));
    return HAL_LOG_WARN;
}

static enum hal_log_level conflict(const struct kwm_event *event, struct kwm_text *text)
{
    kwm_text_append(text, event->name);
    kwm_text_append(text, " and ");
    kwm_text_append(text, event->text);
    kwm_text_append(text, " both give the field ");
    kwm_text_append_bytes(text, event->line, event->line_len);
    kwm_text_append(text, " of one row; the first one counts: rename a field or set a tag");
    return HAL_LOG_ERROR;
}

static enum hal_log_level replaced(const struct kwm_event *event, struct kwm_text *text)
{
    kwm_text_append(text, "rows of ");
    kwm_text_append(text, event->name);
    kwm_text_append(text, " hold what the database cannot take: each such character becomes _, and "
                          "a number over its range the highest; the first such row: ");
    kwm_text_append_bytes(text, event->line, event->line_len);
    return HAL_LOG_WARN;
}

static enum hal_log_level make_text(const struct report *report, const struct kwm_event *event,
                                    struct kwm_text *text)
{
    switch (event->code) {
    case KWM_EVENT_FAILING:
        return failing(report, event, text);
    case KWM_EVENT_AUTH:
        return auth(report, event, text);
    case KWM_EVENT_MISTAKE:
        return mistake(report, event, text);
    case KWM_EVENT_PAUSED:
        return paused(event, text);
    case KWM_EVENT_REFUSED:
        return refused(event, text);
    case KWM_EVENT_DROPPED:
        return dropped(event, text);
    case KWM_EVENT_CONFLICT:
        return conflict(event, text);
    case KWM_EVENT_REPLACED:
        return replaced(event, text);
    case KWM_EVENT_PHASES_WORN:
        kwm_text_append(text, "the clock went back over times that were given, for the tenth time: "
                              "from now on a row may overwrite an earlier one; see the clock");
        return HAL_LOG_WARN;
    case KWM_EVENT_DELIVERING:
        append_url(report, text, event->endpoint);
        kwm_text_append(text, " takes rows and confirms them");
        return HAL_LOG_INFO;
    case KWM_EVENT_RESUMED:
        kwm_text_append(text, "rows of ");
        kwm_text_append(text, event->name);
        kwm_text_append(text, " are taken again");
        return HAL_LOG_INFO;
    case KWM_EVENT_SENSOR:
        kwm_text_append(text, event->name);
        kwm_text_append(text, ": ");
        append_reason(text, event);
        return HAL_LOG_WARN;
    case KWM_EVENT_SENSOR_OK:
        kwm_text_append(text, event->name);
        kwm_text_append(text, ": works again");
        return HAL_LOG_INFO;
    default:
        return HAL_LOG_DEBUG;
    }
}

static void put(void *ctx, const struct kwm_event *event)
{
    char line[REPORT_LEN_MAX];
    struct kwm_text text;
    kwm_text_init(&text, line, sizeof(line));
    const enum hal_log_level level = make_text(ctx, event, &text);
    hal_log_write(level, text.out, text.len);
}

struct kwm_event_sink report_sink(struct report *report)
{
    return (struct kwm_event_sink){.put = put, .ctx = report};
}
