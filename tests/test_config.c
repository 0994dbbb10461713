/* SPDX-License-Identifier: MIT */
/* Goal:   every mistake in a document is reported with its path, line, column and a reason; every
 *         right document gives the values that it says, whatever the memory's size.
 * Method: a table of mistakes, each in an otherwise right document; documents with their values;
 *         against inputs made up here. ' stands for " in the documents, ` for '. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "config_expand.h"
#include "config_scan.h"
#include "config_value.h"

#define ARENA_CAP (96U * 1024U)

/* ---- a board --------------------------------------------------------------------------------- */

static const char *const modes[] = {"fast", "slow", NULL};

static const struct hal_option_def cpu_options[] = {
    {.key = "percpu", .help = "each core", .fallback = "true", .kind = HAL_OPTION_BOOL},
    {.key = "totalcpu", .help = "all cores", .fallback = "true", .kind = HAL_OPTION_BOOL},
    {.key = "retries", .help = "", .fallback = "3", .min = 0, .max = 9, .kind = HAL_OPTION_INT},
    {.key = "mode",
     .help = "",
     .fallback = "\"fast\"",
     .min = 0,
     .max = 8,
     .choices = modes,
     .kind = HAL_OPTION_STRING},
    {.key = NULL},
};

static const struct hal_option_def disk_options[] = {
    {.key = "ignore_fs",
     .help = "file systems left out",
     .fallback = "[\"tmpfs\",\"overlay\"]",
     .min = 1,
     .max = 16,
     .kind = HAL_OPTION_STRINGS},
    {.key = "wait",
     .help = "",
     .fallback = "\"1m30s\"",
     .min = 10,
     .max = 100000,
     .kind = HAL_OPTION_DURATION},
    {.key = NULL},
};

static const struct hal_option_def channel_members[] = {
    {.key = "path",
     .help = "file with the number",
     .fallback = NULL,
     .min = 1,
     .max = 64,
     .kind = HAL_OPTION_STRING},
    {.key = "scale", .help = "", .fallback = "0", .min = -9, .max = 9, .kind = HAL_OPTION_INT},
    {.key = "names", .help = "", .fallback = "[]", .min = 1, .max = 8, .kind = HAL_OPTION_STRINGS},
    {.key = NULL},
};

static const struct hal_option_def file_options[] = {
    {.key = "measurement",
     .help = "name of the rows",
     .fallback = NULL,
     .min = 1,
     .max = 63,
     .kind = HAL_OPTION_STRING},
    {.key = "channels",
     .help = "",
     .fallback = "[]",
     .min = 1,
     .max = 3,
     .members = channel_members,
     .kind = HAL_OPTION_OBJECTS},
    {.key = NULL},
};

static const struct hal_option_def no_options[] = {{.key = NULL}};

static const struct hal_input_def inputs[] = {
    {.name = "cpu", .help = "processors", .options = cpu_options},
    {.name = "disk", .help = "file systems", .options = disk_options},
    {.name = "file", .help = "numbers in files", .options = file_options},
    {.name = "mem", .help = "memory", .options = no_options},
    {.name = NULL},
};

static const char *board_getenv(void *ctx, const char *name)
{
    static const struct {
        const char *name, *value;
    } variables[] = {
        {"PW", "hidden"}, {"EMPTY", ""},        {"COLON", "a:b"},    {"LF", "a\nb"},
        {"TRUE", "true"}, {"NUMBER", "77"},     {"NINE", "9"},       {"BAD", "a\xff"},
        {"TEN", "10s"},   {"aAzZ_09", "named"}, {"SITE", "plant-3"}, {"HOSTLF", "a\rb"},
    };
    (void)ctx;
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        if (strcmp(variables[i].name, name) == 0) {
            return variables[i].value;
        }
    }
    return NULL;
}

static int board_read_file(void *ctx, const char *path, char *out, size_t cap)
{
    static const struct {
        const char *path, *content;
    } files[] = {
        {"/pw", "secret\n"}, {"/pw-crlf", "secret\r\n"}, {"/two-lines", "a\nb\n"},
        {"/empty", ""},      {"/newline", "\n"},         {"/colon", "a:b\n"},
    };
    (void)ctx;
    if (strcmp(path, "/long") == 0) {
        return KWM_ERR_NOSPC;
    }
    if (strcmp(path, "/denied") == 0) {
        return KWM_ERR_IO;
    }
    if (strcmp(path, "/full") == 0) {
        memset(out, 'x', cap);
        return (int)cap;
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        const size_t len = strlen(files[i].content);
        if (strcmp(files[i].path, path) == 0 && len <= cap) {
            memcpy(out, files[i].content, len);
            return (int)len;
        }
    }
    return KWM_ERR_NOENT;
}

static const struct kwm_config_env board = {
    .inputs = inputs, .getenv = board_getenv, .read_file = board_read_file};

/* ---- reading a document ---------------------------------------------------------------------- */

static struct kwm_config config;
static struct kwm_config_errors errors;
static uint8_t arena[ARENA_CAP];

static int read_with(const struct kwm_config_env *env, const char *text, size_t arena_cap)
{
    const size_t len = strlen(text);
    char *document = malloc(len > 0 ? len : 1); /* exactly: one byte too many would be seen */
    assert_non_null(document);
    for (size_t i = 0; i < len; i++) {
        document[i] = text[i] == '\'' ? '"' : text[i] == '`' ? '\'' : text[i];
    }
    memset(arena, 0xa5, sizeof(arena));
    /* Not aligned, on purpose. */
    const int rc = kwm_config_read(&config, &errors, env, document, len, arena + 1, arena_cap - 1);
    free(document); /* nothing may point into it */
    return rc;
}

static int read_text(const char *text)
{
    return read_with(&board, text, ARENA_CAP);
}

static void print_errors(void)
{
    for (uint8_t i = 0; i < errors.count; i++) {
        print_message("  %s:%u:%u: %s\n", errors.list[i].path, (unsigned)errors.list[i].line,
                      (unsigned)errors.list[i].column, errors.list[i].reason);
    }
}

static void read_good(const char *text)
{
    if (read_text(text) != KWM_OK) {
        print_message("%s\n", text);
        print_errors();
        fail_msg("a right document was refused");
    }
}

#define URL "'url':'https://h:8080/restapi/telegraf?db=d'"
#define USER "'username':'u','password':'p'"
#define OUTPUTS "'outputs':{'http':{" URL "," USER "}}"
#define INFLUX_OUTPUTS "'outputs':{'http':{'url':'https://h/write?db=d'}}"
#define INPUTS "'inputs':{'cpu':{}}"

/* What a row gives stands in line 2 from column 1. */
#define AGENT(x) "{'agent':{\n" x "}," OUTPUTS "," INPUTS "}"
#define TAGS(x) "{'global_tags':{\n" x "}," OUTPUTS "," INPUTS "}"
#define INFLUX_TAGS(x) "{'global_tags':{\n" x "}," INFLUX_OUTPUTS "," INPUTS "}"
#define HTTP(x) "{'outputs':{'http':{\n" x "}}," INPUTS "}"
#define SECURE(x) HTTP(URL "," USER ",\n" x) /* line 3 */
#define INPUT(x) "{" OUTPUTS ",'inputs':{\n" x "}}"
#define CPU(x) INPUT("'cpu':{\n" x "}") /* line 3 */
#define ROOT(x) "{" OUTPUTS "," INPUTS ",\n" x "}"

/* ---- mistakes -------------------------------------------------------------------------------- */

struct mistake {
    const char *text;
    const char *path;
    uint32_t line, column;
    const char *reason; /* a part of it */
};

/* Each gives exactly one error. */
static const struct mistake mistakes[] = {
    /* the text itself */
    {"", "", 1, 1, "ends here"},
    {"  \n ", "", 2, 2, "ends here"},
    {"[]", "", 1, 1, "an object is expected"},
    {"7", "", 1, 1, "an object is expected"},
    {"{}x", "", 1, 3, "nothing may follow"},
    {"{", "", 1, 2, "ends here"},
    {"{'agent':{}", "", 1, 12, "ends here"},
    {"{\n 'agent' {}}", "", 2, 10, "a colon is expected"},
    {"{'a':1,}", "", 1, 8, "no comma may stand before }"},
    {"{'a':[1,]}", "", 1, 9, "no comma may stand before ]"},
    {"{'a':[1 2]}", "", 1, 9, "a comma or ] is expected"},
    {"{'a':1\n'b':2}", "", 2, 1, "a comma or } is expected"},
    {"{a:1}", "", 1, 2, "a key in double quotes"},
    {"{`a`:1}", "", 1, 2, "double quotes"},
    {"{'a':`b`}", "", 1, 6, "double quotes"},
    {"{'a':yes}", "", 1, 6, "a value is expected"},
    {"{'a':}", "", 1, 6, "a value is expected"},
    {"{'a':01}", "", 1, 6, "not a number"},
    {"{'a':1.}", "", 1, 6, "not a number"},
    {"{'a':-}", "", 1, 6, "not a number"},
    {"{'a':1e}", "", 1, 6, "not a number"},
    {"{'a':11111111111111111111111111111111111111111}", "", 1, 6, "at most 40"},
    {"{'a':'b}\n", "", 1, 6, "not closed on its line"},
    {"{'a':'b\n'}", "", 1, 6, "not closed on its line"},
    {"{'a':'b\t'}", "", 1, 8, "a control character"},
    {"{'a':'\\x'}", "", 1, 7, "no such escape"},
    {"{'a':'\\u12g4'}", "", 1, 7, "no such escape"},
    {"{'a':'\\u0000'}", "", 1, 7, "not \\u0000"},
    {"{'a':'\\ud800'}", "", 1, 7, "no such escape"},
    {"{'a':'\\ud800\\u0041'}", "", 1, 7, "no such escape"},
    {"{'a':'\\udc00'}", "", 1, 7, "no such escape"},
    {"{'\xc3\xa4\xc3\xa4':'\xff'}", "", 1, 8, "not UTF-8"},
    {"{'a':'\xed\xa0\x80'}", "", 1, 7, "not UTF-8"},
    {"{'a':'\xc0\xaf'}", "", 1, 7, "not UTF-8"},
    {"{'a':'\xf4\x90\x80\x80'}", "", 1, 7, "not UTF-8"},
    {"{'a':[[[[[[[1]]]]]]],'b':[[[[[[[[1]]]]]]]]}", "", 1, 33, "deeper than 8"},
    {"{'a':1 # no\n}", "", 1, 8, "a comment begins with //"},
    {"{'a':1 /* no */}", "", 1, 8, "a comment begins with //"},
    {"{ // 'agent\n 'agent:{}}", "", 2, 2, "not closed"},

    {"{'a':'\\", "", 1, 7, "no such escape"},
    {"{'a':'\\u12", "", 1, 7, "no such escape"},
    {"{'a':'\\ud800\\udc0", "", 1, 7, "no such escape"},
    {"{'a':'\xe2\x82", "", 1, 7, "not UTF-8"},
    {"{'a':tru", "", 1, 6, "a value is expected"},
    {"{'a'", "", 1, 5, "ends here"},
    {"/", "", 1, 1, "a comment begins with //"},

    {"{'a':'\\ud800zudc00'}", "", 1, 7, "no such escape"},
    {"{'a':'\\ud800\\zdc00'}", "", 1, 7, "no such escape"},

    /* sections */
    {ROOT("'Agent':{}"), "Agent", 2, 1, "did you mean \"agent\"?"},
    {ROOT("'input':{}"), "input", 2, 1, "did you mean \"inputs\"?"},
    {ROOT("'zzz':{}"), "zzz", 2, 1, "allowed are agent, global_tags, outputs, inputs"},
    {ROOT("'processors':{}"), "processors", 2, 1, "no processors"},
    {ROOT("'secretstores':{}"), "secretstores", 2, 1, "password_file"},
    {ROOT("'tags':{}"), "tags", 2, 1, "global_tags"},
    {ROOT("'agent':7"), "agent", 2, 9, "an object is expected"},
    {ROOT("'agent':[]"), "agent", 2, 9, "an object is expected"},
    {ROOT("'global_tags':null"), "global_tags", 2, 15, "an object is expected"},
    {ROOT("'inputs':{'mem':{}}"), "inputs", 2, 1, "given before, in line 1"},
    {"{" OUTPUTS "}", "", 1, 1, "at least one input"},
    {"{" OUTPUTS ",\n'inputs':{}}", "inputs", 2, 10, "at least one input"},
    {"{" INPUTS "}", "", 1, 1, "an output is needed"},
    {"{" INPUTS ",\n'outputs':{}}", "outputs", 2, 11, "an output is needed"},
    {"{" INPUTS ",\n'outputs':'http'}", "outputs", 2, 11, "an object is expected"},

    /* agent */
    {AGENT("'intervall':'10s'"), "agent.intervall", 2, 1, "did you mean \"interval\"?"},
    {AGENT("'fulsh_interval':1"), "agent.fulsh_interval", 2, 1, "did you mean \"flush_interval\"?"},
    {AGENT("'zzzzz':1"), "agent.zzzzz", 2, 1, "allowed are interval, round_interval"},
    {AGENT("'a\\u001bb':1"), "agent.a?b", 2, 1, "unknown key"},
    {AGENT("'a2345678901234567890123456789012':1"), "agent.a2345678901234567890123456789012", 2, 1,
     "unknown key"},
    {AGENT("'a23456789012345678901234567890123':1"), "agent.a23456789012345678901234567890123", 2,
     1, "unknown key"},
    {AGENT("'a234567890123456789012345678901234567890123':1"),
     "agent.a234567890123456789012345678901234567890", 2, 1, "unknown key"},
    {AGENT("'interval':'10'  ,\n'interval':'10s'"), "agent.interval", 3, 1, "in line 2"},
    {AGENT("'interval':'10sec'"), "agent.interval", 2, 12, "not a duration"},
    {AGENT("'interval':''"), "agent.interval", 2, 12, "not a duration"},
    {AGENT("'interval':'1m30'"), "agent.interval", 2, 12, "not a duration"},
    {AGENT("'interval':'1500us'"), "agent.interval", 2, 12, "finer than a millisecond"},
    {AGENT("'interval':'-1s'"), "agent.interval", 2, 12, "not a duration"},
    {AGENT("'interval':-1"), "agent.interval", 2, 12, "not negative"},
    {AGENT("'interval':1.0001"), "agent.interval", 2, 12, "finer than a millisecond"},
    {AGENT("'interval':1e300"), "agent.interval", 2, 12, "longer than 400 days"},
    {AGENT("'interval':'99999999999999999999h'"), "agent.interval", 2, 12, "longer than 400 days"},
    {AGENT("'interval':true"), "agent.interval", 2, 12, "a duration such as"},
    {AGENT("'interval':'10ms'"), "agent.interval", 2, 12, "too small: allowed are 100ms to 24h"},
    {AGENT("'interval':'25h'"), "agent.interval", 2, 12, "too large: allowed are 100ms to 24h"},
    {AGENT("'flush_interval':'0s'"), "agent.flush_interval", 2, 18, "allowed are 1s to 24h"},
    {AGENT("'round_interval':1"), "agent.round_interval", 2, 18, "true or false"},
    {AGENT("'round_interval':'true'"), "agent.round_interval", 2, 18, "true or false"},
    {AGENT("'round_interval':'${PW}'"), "agent.round_interval", 2, 18, "neither true nor false"},
    {AGENT("'metric_batch_size':0"), "agent.metric_batch_size", 2, 21, "allowed are 1 to 1000"},
    {AGENT("'metric_batch_size':1.5"), "agent.metric_batch_size", 2, 21, "a whole number"},
    {AGENT("'metric_batch_size':1e400"), "agent.metric_batch_size", 2, 21, "a whole number"},
    {AGENT("'metric_batch_size':'200'"), "agent.metric_batch_size", 2, 21, "a whole number"},
    {AGENT("'metric_batch_size':'${PW}'"), "agent.metric_batch_size", 2, 21, "not a whole number"},
    {AGENT("'metric_batch_size':'${NUMBER}00'"), "agent.metric_batch_size", 2, 21, "too large"},
    {AGENT("'metric_buffer_limit':5"), "agent.metric_buffer_limit", 2, 23, "200 to 1000000"},
    {AGENT("'metric_buffer_limit':900,'spool':{'size':'1MB'}"), "agent.spool", 2, 35, "not both"},
    {AGENT("'spool':{'size':'1KB'}"), "agent.spool.size", 2, 17, "16KiB to 256MiB"},
    {AGENT("'spool':{'size':'4M'}"), "agent.spool.size", 2, 17, "not a size"},
    {AGENT("'spool':{'size':true}"), "agent.spool.size", 2, 17, "a size such as"},
    {AGENT("'spool':{}"), "agent.spool", 2, 9, "\"size\" is missing"},
    {AGENT("'spool':'4MB'"), "agent.spool", 2, 9, "an object is expected"},
    {AGENT("'hostname':'a b'"), "agent.hostname", 2, 12, "KWDB splits lines"},
    {AGENT("'hostname':7"), "agent.hostname", 2, 12, "a string in double quotes"},
    {AGENT("'hostname':'1234567890123456789012345678901234567890123456789012345678901234+'"),
     "agent.hostname", 2, 12, "too large: allowed are 0 to 64 bytes"},
    {AGENT("'omit_hostname':true"), "agent.omit_hostname", 2, 17, "tells devices apart"},
    {AGENT("'debug':true,'quiet':true"), "agent.quiet", 2, 22, "contradict"},
    {AGENT("'precision':'1s'"), "agent.precision", 2, 1, "whole milliseconds"},
    {AGENT("'buffer_strategy':'disk'"), "agent.buffer_strategy", 2, 1, "\"memory\""},
    {AGENT("'statefile':'/x'"), "agent.statefile", 2, 1, "spool"},
    {AGENT("'logformat':'json'"), "agent.logformat", 2, 1, "\"text\""},
    {AGENT("'logfile_rotation_max_archives':5"), "agent.logfile_rotation_max_archives", 2, 1,
     "does not rotate"},

    /* variables */
    {AGENT("'logfile':'${NOPE}'"), "agent.logfile", 2, 11, "variable NOPE is not set"},
    {AGENT("'logfile':'${PW'"), "agent.logfile", 2, 11, "after ${ a variable"},
    {AGENT("'logfile':'${}'"), "agent.logfile", 2, 11, "after ${ a variable"},
    {AGENT("'logfile':'${1A}'"), "agent.logfile", 2, 11, "after ${ a variable"},
    {AGENT("'logfile':'${PW:=x}'"), "agent.logfile", 2, 11, "after ${ a variable"},
    {AGENT("'logfile':'${PW PW}'"), "agent.logfile", 2, 11, "after ${ a variable"},

    {AGENT("'logfile':'${A234567890123456789012345678901234567890123456789012345678901234}'"),
     "agent.logfile", 2, 11, "after ${ a variable"},
    {AGENT("'logfile':'${A2345678901234567890123456789012345678901234567890123456789012}'"),
     "agent.logfile", 2, 11, "789012 is not set"},
    {AGENT("'logfile':'${A-B}'"), "agent.logfile", 2, 11, "after ${ a variable"},

    /* global_tags */
    {TAGS("'Site':'x'"), "global_tags.Site", 2, 1, "no upper case"},
    {TAGS("'1a':'x'"), "global_tags.1a", 2, 1, "no digit first"},
    {TAGS("'':'x'"), "global_tags.", 2, 1, "not empty"},
    {TAGS("'a-b':'x'"), "global_tags.a-b", 2, 1, "allowed are a-z, 0-9 and _"},
    {TAGS("'k_timestamp':'x'"), "global_tags.k_timestamp", 2, 1, "for its stamps"},
    {TAGS("'host':'x'"), "global_tags.host", 2, 1, "\"hostname\" in \"agent\""},
    {TAGS("'site':''"), "global_tags.site", 2, 8, "must not be empty"},
    {TAGS("'site':'a,b'"), "global_tags.site", 2, 8, "KWDB splits lines"},
    {TAGS("'site':'a;b'"), "global_tags.site", 2, 8, "KWDB splits lines"},
    {TAGS("'site':'a=b'"), "global_tags.site", 2, 8, "KWDB splits lines"},
    {TAGS("'site':'a\\nb'"), "global_tags.site", 2, 8, "control characters"},
    {TAGS("'site':'${BAD}'"), "global_tags.site", 2, 8, "not UTF-8"},
    {TAGS("'site':7"), "global_tags.site", 2, 8, "a string in double quotes"},
    {TAGS("'site':'a','site':'b'"), "global_tags.site", 2, 12, "given before, in line 2"},
    {TAGS("'a':'1','b':'1','c':'1','d':'1','e':'1','f':'1','g':'1','h':'1','i':'1','j':'1','k':'1',"
          "'l':'1','m':'1','n':'1','o':'1','p':'1'"),
     "global_tags.p", 2, 121, "at most 16"},
    {INFLUX_TAGS("'time':'x'"), "global_tags.time", 2, 1, "for its stamps"},
    {INFLUX_TAGS("'a':'x\\\\'"), "global_tags.a", 2, 5, "\\ at the end"},
    {INFLUX_TAGS("'a':'x\\u0007'"), "global_tags.a", 2, 5, "control characters"},

    /* outputs */
    {"{" INPUTS ",'outputs':{\n'influxdb':{},'http':{" URL "," USER "}}}", "outputs.influxdb", 2, 1,
     "write?db="},
    {"{'outputs':{\n'http':[]}," INPUTS "}", "outputs.http", 2, 8, "one output is needed"},
    {"{'outputs':{\n'http':7}," INPUTS "}", "outputs.http", 2, 8, "an object is expected"},
    {"{'outputs':{'http':[{" URL "," USER "},\n{}]}," INPUTS "}", "outputs.http[1]", 2, 1,
     "one output"},
    {"{'outputs':{'http':[\n{}]}," INPUTS "}", "outputs.http[0]", 2, 1, "\"url\" is missing"},
    {HTTP(USER), "outputs.http", 1, 20, "\"url\" is missing"},
    {HTTP("'url':'https://h:8080/restapi/telegraf'," USER), "outputs.http.url", 2, 7,
     "no database"},
    {HTTP("'url':'ftp://h/'," USER), "outputs.http.url", 2, 7, "https://"},
    {HTTP("'url':'https://your-host-ip:port/restapi/telegraf?db=db1'," USER), "outputs.http.url", 2,
     7, "port must be a number"},
    {HTTP("'url':'https://u:p@h/restapi/telegraf?db=d'," USER), "outputs.http.url", 2, 7,
     "user name"},
    {HTTP("'url':'https://h/restapi/influxdb?db=d'," USER), "outputs.http.url", 2, 7, "batch mode"},
    {HTTP("'url':'http://h:8080/restapi/telegraf?db=d'," USER), "outputs.http.url", 2, 7, "https"},
    {HTTP("'url':'http://h/x','dialect':'kwdb'," USER), "outputs.http.url", 2, 7, "needs https"},
    {HTTP("'url':7," USER), "outputs.http.url", 2, 7, "a string in double quotes"},
    {HTTP("'url':''," USER), "outputs.http.url", 2, 7, "allowed are 1 to"},
    {HTTP(URL ",\n'urls':[]," USER), "outputs.http.urls", 3, 8, "not both"},
    {HTTP("'urls':[]," USER), "outputs.http.urls", 2, 8, "at least one URL"},
    {HTTP("'urls':'https://h/'," USER), "outputs.http.urls", 2, 8, "an array of strings"},
    {HTTP("'urls':['https://h/restapi/telegraf?db=d',\n'https://h',"
          "'x:'],'username':'u'"),
     "outputs.http.urls[2]", 3, 13, "https://"},
    {HTTP("'urls':['https://a/w','https://b/w','https://c/w','https://d/w',\n'https://e/w']"),
     "outputs.http.urls[4]", 3, 1, "at most 4"},
    {HTTP("'urls':['https://a/w',\n7]"), "outputs.http.urls[1]", 3, 1, "a string"},
    {HTTP("'urls':['https://a/w',\n'https://h/restapi/telegraf?db=d']"), "outputs.http.urls[1]", 3,
     1, "one kind"},
    {SECURE("'dialect':'influxdb'"), "outputs.http.dialect", 3, 11, "allowed are 0 to 6"},
    {SECURE("'dialect':'json'"), "outputs.http.dialect", 3, 11, "\"kwdb\", \"influx\""},
    {SECURE("'method':'PUT'"), "outputs.http.method", 3, 1, "only support POST method"},
    {SECURE("'content_encoding':'gzip'"), "outputs.http.content_encoding", 3, 1,
     "ignores Content-Encoding"},
    {SECURE("'data_format':'json'"), "outputs.http.data_format", 3, 1, "\"influx\""},
    {SECURE("'use_batch_format':false"), "outputs.http.use_batch_format", 3, 1, "only true"},
    {SECURE("'non_retryable_statuscodes':[409]"), "outputs.http.non_retryable_statuscodes", 3, 1,
     "verdict"},
    {SECURE("'use_system_proxy':true"), "outputs.http.use_system_proxy", 3, 1, "no HTTP proxy"},
    {SECURE("'timeout':'0s'"), "outputs.http.timeout", 3, 11, "1s to 10m"},
    {SECURE("'time_out':'10s'"), "outputs.http.time_out", 3, 1, "did you mean \"timeout\"?"},
    {SECURE("'auth':'digest'"), "outputs.http.auth", 3, 8, "allowed are 0 to 5"},
    {SECURE("'tls_cert':'c.pem'"), "outputs.http.tls_cert", 3, 12, "belong together"},
    {SECURE("'tls_key':'k.pem'"), "outputs.http.tls_key", 3, 11, "belong together"},
    {SECURE("'tls_min_version':'TLS11'"), "outputs.http.tls_min_version", 3, 19,
     "\"TLS12\", \"TLS13\""},
    {SECURE("'password':'x'"), "outputs.http.password", 3, 1, "given before, in line 2"},
    {SECURE("'password_file':'/pw'"), "outputs.http.password_file", 3, 17, "not both"},
    {SECURE("'headers':{'Authorization':'Basic YTpi'}"), "outputs.http.username", 2, 57,
     "one of the two"},
    {HTTP(URL), "outputs.http", 1, 20, "takes no rows without a user"},
    {HTTP(URL ",\n'username':'u'"), "outputs.http.username", 3, 12, "is missing"},
    {HTTP(URL ",\n'password':'u'"), "outputs.http.password", 3, 12, "\"username\" is missing"},
    {HTTP(URL ",\n'password_file':'/pw'"), "outputs.http.password_file", 3, 17,
     "\"username\" is missing"},
    {HTTP(URL ",\n'username':'','password':'p'"), "outputs.http.password", 3, 26,
     "user name is empty"},
    {HTTP(URL ",\n'username':'u','password':''"), "outputs.http.password", 3, 27,
     "password is empty"},
    {HTTP(URL ",\n'username':'u','password':'${EMPTY}'"), "outputs.http.password", 3, 27,
     "is empty"},
    {HTTP(URL ",\n'username':'u','password':'${COLON}'"), "outputs.http.password", 3, 27, "':'"},
    {HTTP(URL ",\n'username':'a:u','password':'p'"), "outputs.http.password", 3, 29, "':'"},
    {HTTP(URL ",\n'username':'hA','password':'hAt'"), "outputs.http.password", 3, 28, "token"},
    {HTTP(URL ",\n'username':'u','password_file':'/nope'"), "outputs.http.password_file", 3, 32,
     "no such file"},
    {HTTP(URL ",\n'username':'u','password_file':'/denied'"), "outputs.http.password_file", 3, 32,
     "cannot be read"},
    {HTTP(URL ",\n'username':'u','password_file':'/long'"), "outputs.http.password_file", 3, 32,
     "too long"},
    {HTTP(URL ",\n'username':'u','password_file':'/two-lines'"), "outputs.http.password_file", 3,
     32, "one line"},
    {HTTP(URL ",\n'username':'u','password_file':'/newline'"), "outputs.http.password_file", 3, 32,
     "is empty"},
    {HTTP(URL ",\n'username':'u','password_file':'/full'"), "outputs.http.password_file", 3, 32,
     "too long"},
    {HTTP(URL ",\n'username':'u','password_file':'/empty'"), "outputs.http.password_file", 3, 32,
     "is empty"},
    {HTTP(URL ",\n'username':'u','password_file':'/colon'"), "outputs.http.password_file", 3, 32,
     "':'"},
    {HTTP(URL ",'headers':{\n'Authorization':'Bearer abc'}"), "outputs.http.headers.Authorization",
     3, 17, "\"Basic\""},
    {HTTP(URL ",'headers':{\n'authorization':'Basic'}"), "outputs.http.headers.authorization", 3,
     17, "\"Basic\""},
    {HTTP(URL ",'headers':{\n'Authorization':'Basic aEE6aEF0'}"),
     "outputs.http.headers.Authorization", 3, 17, "token"},
    {HTTP(URL ",'headers':{\n'Authorization':''}"), "outputs.http.headers.Authorization", 3, 17,
     "not empty"},
    {HTTP(URL ",'headers':{\n'Authorization':7}"), "outputs.http.headers.Authorization", 3, 17,
     "a string"},
    {HTTP(URL ",'headers':{'Authorization':'Basic YTpi',\n'AUTHORIZATION':'Basic YTpi'}"),
     "outputs.http.headers.AUTHORIZATION", 3, 1, "given before"},
    {SECURE("'headers':{'a b':'x'}"), "outputs.http.headers.a?b", 3, 12,
     "not the name of a header"},
    {SECURE("'headers':{'Host':'x'}"), "outputs.http.headers.Host", 3, 12, "itself"},
    {SECURE("'headers':{'content-encoding':'x'}"), "outputs.http.headers.content-encoding", 3, 12,
     "encoded"},
    {SECURE("'headers':{'Username':'x'}"), "outputs.http.headers.Username", 3, 12, "does not read"},
    {SECURE("'headers':{'x':'${LF}'}"), "outputs.http.headers.x", 3, 16, "control characters"},
    {SECURE("'headers':{'x':' y'}"), "outputs.http.headers.x", 3, 16, "no blank at its ends"},
    {SECURE("'headers':{'x':'y '}"), "outputs.http.headers.x", 3, 16, "no blank at its ends"},
    {SECURE("'headers':{'x':''}"), "outputs.http.headers.x", 3, 16, "not empty"},
    {SECURE("'headers':{'':'y'}"), "outputs.http.headers.", 3, 12, "not the name of a header"},
    {SECURE("'headers':[]"), "outputs.http.headers", 3, 11, "an object is expected"},
    {HTTP("'url':'https://h/write','auth':'token','username':'u','password':'p'"),
     "outputs.http.auth", 2, 32, "only KWDB"},

    /* inputs */
    {INPUT("'cqu':{}"), "inputs.cqu", 2, 1, "did you mean \"cpu\"?"},
    {INPUT("'docker':{}"), "inputs.docker", 2, 1, "it has cpu, disk, file, mem"},
    {INPUT("'cpu':{},'cpu':{}"), "inputs.cpu", 2, 10, "given before"},
    {INPUT("'cpu':true"), "inputs.cpu", 2, 7, "an object of options"},
    {INPUT("'cpu':[]"), "inputs.cpu", 2, 7, "the array is empty"},
    {INPUT("'cpu':[{},\n7]"), "inputs.cpu[1]", 3, 1, "an object of options"},
    {CPU("'percpus':true"), "inputs.cpu.percpus", 3, 1, "did you mean \"percpu\"?"},
    {CPU("'intervla':'1s'"), "inputs.cpu.intervla", 3, 1, "did you mean \"interval\"?"},
    {CPU("'x':1"), "inputs.cpu.x", 3, 1, "allowed are percpu, totalcpu, retries, mode, interval"},
    {CPU("'retries':10"), "inputs.cpu.retries", 3, 11, "allowed are 0 to 9"},
    {CPU("'mode':'medium'"), "inputs.cpu.mode", 3, 8, "\"fast\", \"slow\""},
    {CPU("'interval':'1s','collection_offset':'1s'"), "inputs.cpu.collection_offset", 3, 37,
     "shorter"},
    {CPU("'interval':'1s','collection_jitter':'2s'"), "inputs.cpu.collection_jitter", 3, 37,
     "longer"},
    {CPU("'interval':'1ms'"), "inputs.cpu.interval", 3, 12, "100ms to 24h"},
    {CPU("'fieldpass':['a']"), "inputs.cpu.fieldpass", 3, 1, "\"fieldinclude\""},
    {CPU("'namepass':['a']"), "inputs.cpu.namepass", 3, 1, "fieldinclude and fieldexclude"},
    {CPU("'fieldinclude':['']"), "inputs.cpu.fieldinclude[0]", 3, 17, "1 to 63 bytes"},
    {CPU("'name_override':'CPU'"), "inputs.cpu.name_override", 3, 17, "no upper case"},
    {CPU("'tags':{'host':'a'}"), "inputs.cpu.tags.host", 3, 9, "\"hostname\""},
    {CPU("'tags':{'a':' '}"), "inputs.cpu.tags.a", 3, 13, "KWDB splits"},
    {CPU("'tags':'a'"), "inputs.cpu.tags", 3, 8, "an object is expected"},
    {INPUT("'disk':{'ignore_fs':['a','',\n7]}"), "inputs.disk.ignore_fs[1]", 2, 26,
     "1 to 16 bytes"},
    {INPUT("'disk':{'wait':'1ms'}"), "inputs.disk.wait", 2, 16, "10ms to 100s"},
    {INPUT("'file':{}"), "inputs.file", 2, 8, "\"measurement\" is missing: name of the rows"},
    {INPUT("'file':[{'measurement':'m'},{'measurement':'m',\n'channels':[]}]"),
     "inputs.file[1].channels", 3, 12, "allowed are 1 to 3 objects"},
    {INPUT("'file':{'measurement':'m','channels':[{},\n{'path':'p'}]}"), "inputs.file.channels[0]",
     2, 39, "\"path\" is missing"},
    {INPUT("'file':{'measurement':'m','channels':[\n7]}"), "inputs.file.channels[0]", 3, 1,
     "an object is expected"},
    {INPUT("'file':{'measurement':'m','channels':[{'path':'p'},\n{'path':'p','scale':10}]}"),
     "inputs.file.channels[1].scale", 3, 21, "-9 to 9"},
    {INPUT("'file':{'measurement':'m','channels':[{'path':'p',\n'pth':'p'}]}"),
     "inputs.file.channels[0].pth", 3, 1, "did you mean \"path\"?"},
    {INPUT("'file':{'measurement':'m','channels':[{'path':'p',\n'path':'p'}]}"),
     "inputs.file.channels[0].path", 3, 1, "given before"},
};

static bool is_as_expected(const struct mistake *row, const struct kwm_config_error *error)
{
    return strcmp(error->path, row->path) == 0 && error->line == row->line &&
           error->column == row->column && strstr(error->reason, row->reason) != NULL;
}

/* Rows that have two errors on purpose name the last one. */
static bool has_two(const struct mistake *row)
{
    return strstr(row->text, "'https://h','x:'") != NULL || strstr(row->text, "'',\n7") != NULL;
}

static void test_mistakes(void **state)
{
    (void)state;
    const size_t count = sizeof(mistakes) / sizeof(mistakes[0]);
    unsigned wrong = 0;
    assert_true(count > 80);
    for (size_t i = 0; i < count; i++) {
        const struct mistake *row = &mistakes[i];
        const int rc = read_text(row->text);
        bool is_right = rc == KWM_ERR_INVAL && errors.count == 1;
        is_right = (is_right || has_two(row)) && is_as_expected(row, &errors.list[0]);
        if (has_two(row)) {
            is_right = false;
            for (uint8_t j = 0; j < errors.count; j++) {
                is_right = is_right || is_as_expected(row, &errors.list[j]);
            }
        }
        if (!is_right) {
            print_message("row %zu: %s\nexpected %s:%u:%u: ...%s...\ngot %d, %u errors\n", i,
                          row->text, row->path, (unsigned)row->line, (unsigned)row->column,
                          row->reason, rc, (unsigned)errors.count);
            print_errors();
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void test_several_at_once(void **state)
{
    (void)state;
    assert_int_equal(read_text("{\n'inputs':{'cpu':{'x':1,'retries':-1}},\n"
                               "'outputs':{'http':{'url':'https://h','metho':1}},\n"
                               "'agent':{'interval':'x','debug':1}}"),
                     KWM_ERR_INVAL);
    static const uint32_t lines[] = {2, 2, 3, 4, 4};
    assert_int_equal(errors.count, 5);
    for (uint8_t i = 0; i < errors.count; i++) {
        assert_int_equal(errors.list[i].line, lines[i]);
    }
    assert_false(errors.is_more);
    assert_string_equal(errors.list[1].path, "inputs.cpu.retries");
}

static void test_more_than_fit(void **state)
{
    (void)state;
    assert_int_equal(read_text(AGENT("'a':1,'b':1,'c':1,'d':1,'e':1,'f':1,'g':1,'h':1,'i':1,'j':1,"
                                     "'k':1,'l':1,'m':1,'n':1,'o':1,'p':1,'q':1")),
                     KWM_ERR_INVAL);
    assert_int_equal(errors.count, KWM_CONFIG_ERRORS_MAX);
    assert_true(errors.is_more);
}

static void test_too_many_keys(void **state)
{
    (void)state;
    static char buffer[4096];
    struct kwm_text text;
    kwm_text_init(&text, buffer, sizeof(buffer));
    kwm_text_append(&text, "{'agent':{'k0':1");
    for (unsigned i = 1; i < KWM_CONFIG_KEYS_MAX + 1U; i++) {
        kwm_text_append(&text, ",'k");
        kwm_text_append_uint(&text, i);
        kwm_text_append(&text, "':1");
    }
    kwm_text_append(&text, "}," OUTPUTS "," INPUTS "}");
    assert_int_equal(read_text(buffer), KWM_ERR_INVAL);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.list[0].path, "agent.k64");
    assert_non_null(strstr(errors.list[0].reason, "at most 64 keys"));
}

static void test_too_long(void **state)
{
    (void)state;
    static char text[KWM_CONFIG_LEN_MAX + 2];
    memset(text, ' ', sizeof(text) - 1);
    text[0] = '{';
    text[1] = '}';
    assert_int_equal(read_text(text), KWM_ERR_INVAL);
    assert_non_null(strstr(errors.list[0].reason, "too long"));
    assert_int_equal(errors.list[0].line, 0);
}

/* As many "mem" as given, and what else. */
static void write_inputs(char *buffer, size_t cap, unsigned count, const char *rest)
{
    struct kwm_text text;
    kwm_text_init(&text, buffer, cap);
    kwm_text_append(&text, "{" OUTPUTS ",'inputs':{'mem':[{}");
    for (unsigned i = 1; i < count; i++) {
        kwm_text_append(&text, ",{}");
    }
    kwm_text_append(&text, "]");
    kwm_text_append(&text, rest);
    kwm_text_append(&text, "}}");
}

static void test_too_many_inputs(void **state)
{
    (void)state;
    static char buffer[2048];
    write_inputs(buffer, sizeof(buffer), KWM_CONFIG_INPUTS_MAX, "");
    read_good(buffer);
    assert_int_equal(config.input_count, KWM_CONFIG_INPUTS_MAX);
    assert_string_equal(config.inputs[31].label, "inputs.mem[31]");
    write_inputs(buffer, sizeof(buffer), KWM_CONFIG_INPUTS_MAX, ",'cpu':{}");
    assert_int_equal(read_text(buffer), KWM_ERR_INVAL);
    assert_string_equal(errors.list[0].path, "inputs.cpu");
    assert_non_null(strstr(errors.list[0].reason, "at most 32"));
}

/* A value may be a secret: none may appear in a report, whatever is wrong with it. */
static void test_values_stay_secret(void **state)
{
    (void)state;
    static const char *const rows[] = {
        HTTP("'url':'https://hunter2','username':'hunter2','password':'hunter2:'"),
        HTTP("'url':'hunter2','password':'hunter2'"),
        HTTP(URL ",'username':'u','password':'hunter2','method':'hunter2','timeout':'hunter2'"),
        HTTP(URL ",'headers':{'Authorization':'hunter2','x':'hunter2 '}"),
        HTTP(URL ",'headers':{'Authorization':'Basic hunter2'}"),
        AGENT("'interval':'hunter2','debug':'hunter2','hostname':'hunter2 ','spool':'hunter2'"),
        TAGS("'site':'hunter2;'"),
        CPU("'mode':'hunter2','retries':'${X:-hunter2}'"),
        SECURE("'tls_key_pwd':'${NOPE:hunter2}'"),
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(read_text(rows[i]), KWM_ERR_INVAL);
        assert_true(errors.count > 0);
        for (uint8_t j = 0; j < errors.count; j++) {
            assert_null(strstr(errors.list[j].reason, "hunter2"));
            assert_null(strstr(errors.list[j].path, "hunter2"));
        }
    }
}

/* ---- warnings -------------------------------------------------------------------------------- */

static void test_warnings(void **state)
{
    (void)state;
    static const struct mistake rows[] = {
        {SECURE("'timeout':'5s'"), "outputs.http.timeout", 3, 11, "may take 10s"},
        {SECURE("'auth':'token'"), "outputs.http.auth", 3, 8, "crash"},
        {SECURE("'insecure_skip_verify':true"), "outputs.http.insecure_skip_verify", 3, 24,
         "NOT CHECKED"},
        {SECURE("'tls_min_version':'TLS13'"), "outputs.http.tls_min_version", 3, 19,
         "TLS 1.2 only"},
        {HTTP(URL ",'username':'Kwdb','password':'p'"), "outputs.http.username", 2, 57,
         "lower case"},
        {HTTP(URL ",'headers':{\n'Authorization':'Basic Uk9PVDprd2Ri'}"),
         "outputs.http.headers.Authorization", 3, 17, "upper case"},
        {HTTP("'url':'http://h/write'"), "outputs.http.url", 2, 7, "in clear"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        read_good(rows[i].text);
        assert_int_equal(errors.warning_count, 1);
        const struct kwm_config_error *warning = &errors.warnings[0];
        assert_string_equal(warning->path, rows[i].path);
        assert_int_equal(warning->line, rows[i].line);
        assert_int_equal(warning->column, rows[i].column);
        assert_non_null(strstr(warning->reason, rows[i].reason));
    }
    read_good(SECURE("'timeout':'10s'"));
    assert_int_equal(errors.warning_count, 0);
}

/* ---- values ---------------------------------------------------------------------------------- */

static const struct hal_option *option(const struct hal_options *options, const char *key)
{
    for (uint16_t i = 0; i < options->count; i++) {
        if (strcmp(options->list[i].def->key, key) == 0) {
            return &options->list[i];
        }
    }
    fail_msg("no option %s", key);
    return NULL;
}

static void test_defaults(void **state)
{
    (void)state;
    read_good("{" OUTPUTS "," INPUTS "}");
    assert_int_equal(config.interval_ms, 10000);
    assert_true(config.round_interval);
    assert_int_equal(config.collection_jitter_ms, 0);
    assert_int_equal(config.collection_offset_ms, 0);
    assert_int_equal(config.flush_interval_ms, 60000);
    assert_int_equal(config.flush_jitter_ms, 0);
    assert_int_equal(config.metric_batch_size, 200);
    assert_int_equal(config.spool_len, 1000000);
    assert_string_equal(config.hostname, "");
    assert_false(config.omit_hostname);
    assert_false(config.debug);
    assert_false(config.quiet);
    assert_string_equal(config.logfile, "");
    assert_int_equal(config.global_tags.count, 0);

    const struct kwm_config_output *output = &config.output;
    assert_int_equal(output->endpoint_count, 1);
    assert_string_equal(output->endpoints[0].host, "h");
    assert_int_equal(output->endpoints[0].port, 8080);
    assert_int_equal(output->dialect, KWM_DIALECT_KWDB);
    assert_string_equal(output->authorization, "Basic dTpw");
    assert_string_equal(output->user, "u");
    assert_false(output->use_token);
    assert_false(output->insecure_skip_verify);
    assert_string_equal(output->headers, "");
    assert_int_equal(output->timeout_ms, 10000);
    assert_int_equal(output->idle_ms_max, 0);
    assert_string_equal(output->tls_ca, "");
    assert_string_equal(output->tls_cert, "");
    assert_string_equal(output->tls_key, "");
    assert_string_equal(output->tls_key_pwd, "");
    assert_string_equal(output->tls_server_name, "");
    assert_false(output->tls_min_13);

    assert_int_equal(config.input_count, 1);
    const struct kwm_config_input *input = &config.inputs[0];
    assert_ptr_equal(input->def, &inputs[0]);
    assert_string_equal(input->label, "inputs.cpu");
    assert_string_equal(input->alias, "");
    assert_string_equal(input->name_override, "");
    assert_int_equal(input->interval_ms, 10000);
    assert_int_equal(input->tags.count, 0);
    assert_int_equal(input->fieldinclude_count, 0);
    assert_int_equal(input->fieldexclude_count, 0);
    assert_int_equal(input->options.count, 4);
    assert_true(option(&input->options, "percpu")->flag);
    assert_int_equal(option(&input->options, "retries")->number, 3);
    assert_string_equal(option(&input->options, "mode")->text.s, "fast");
    assert_false(option(&input->options, "mode")->is_given);
}

static void test_every_agent_key(void **state)
{
    (void)state;
    read_good(AGENT("'interval':'1m30s','round_interval':false,'collection_jitter':1.5,"
                    "'collection_offset':'250ms','flush_interval':300,'flush_jitter':'5s',"
                    "'metric_batch_size':24,'metric_buffer_limit':500,'hostname':'gw-17',"
                    "'omit_hostname':false,'debug':true,'quiet':false,'logfile':'/var/log/k',"
                    // What Telegraf has and changes nothing here.
                    "'precision':'0s','logformat':'text','buffer_strategy':'memory','statefile':'',"
                    "'logfile_rotation_interval':'0h','skip_processors_after_aggregators':true"));
    assert_int_equal(config.interval_ms, 90000);
    assert_false(config.round_interval);
    assert_int_equal(config.collection_jitter_ms, 1500);
    assert_int_equal(config.collection_offset_ms, 250);
    assert_int_equal(config.flush_interval_ms, 300000);
    assert_int_equal(config.flush_jitter_ms, 5000);
    assert_int_equal(config.metric_batch_size, 24);
    assert_int_equal(config.spool_len, 50000);
    assert_string_equal(config.hostname, "gw-17");
    assert_true(config.debug);
    assert_string_equal(config.logfile, "/var/log/k");
    assert_int_equal(config.inputs[0].interval_ms, 90000);
    assert_int_equal(config.inputs[0].collection_jitter_ms, 1500);
    assert_int_equal(config.inputs[0].collection_offset_ms, 250);

    read_good(AGENT("'spool':{'size':'64KiB'}"));
    assert_int_equal(config.spool_len, 65536);
    read_good(AGENT("'spool':[{'size':4000000}]"));
    assert_int_equal(config.spool_len, 4000000);
}

static void test_every_http_key(void **state)
{
    (void)state;
    read_good(
        HTTP("'urls':['https://a:1/restapi/telegraf?db=d','https://[::1]/restapi/telegraf?db=d'],"
             "'username':'root','password_file':'/pw-crlf','auth':'token',"
             "'headers':{'X-Site':'${SITE}','X-B':'b c'},'timeout':'30s',"
             "'idle_conn_timeout':'90s','tls_ca':'ca.crt','tls_cert':'c','tls_key':'k',"
             "'tls_key_pwd':'kp','tls_server_name':'n','tls_min_version':'TLS12',"
             "'method':'POST','data_format':'influx','use_batch_format':true,"
             "'content_encoding':'identity','non_retryable_statuscodes':[],'tls_enable':true"));
    const struct kwm_config_output *output = &config.output;
    assert_int_equal(output->endpoint_count, 2);
    assert_string_equal(output->endpoints[0].host, "a");
    assert_string_equal(output->endpoints[1].host, "::1");
    assert_string_equal(output->authorization, "Basic cm9vdDpzZWNyZXQ=");
    assert_string_equal(output->user, "root");
    assert_true(output->use_token);
    assert_string_equal(output->headers, "X-Site: plant-3\r\nX-B: b c\r\n");
    assert_int_equal(output->timeout_ms, 30000);
    assert_int_equal(output->idle_ms_max, 90000);
    assert_string_equal(output->tls_ca, "ca.crt");
    assert_string_equal(output->tls_cert, "c");
    assert_string_equal(output->tls_key, "k");
    assert_string_equal(output->tls_key_pwd, "kp");
    assert_string_equal(output->tls_server_name, "n");

    read_good(HTTP("'url':'https://h/write?db=d','headers':{'Authorization':'Token abc'}"));
    assert_int_equal(config.output.dialect, KWM_DIALECT_INFLUX);
    assert_string_equal(config.output.authorization, "Token abc");
    assert_string_equal(config.output.user, "");

    read_good(HTTP("'url':'https://h/proxied','dialect':'kwdb'," USER));
    assert_int_equal(config.output.dialect, KWM_DIALECT_KWDB);
    assert_int_equal(config.output.endpoints[0].dialect, KWM_DIALECT_KWDB);

    read_good("{'outputs':{'http':[{" URL "," USER "}]}," INPUTS "}");
    assert_int_equal(config.output.endpoint_count, 1);

    read_good("{'agent':{'omit_hostname':true}," INFLUX_OUTPUTS "," INPUTS "}");
    assert_true(config.omit_hostname);
    assert_null(config.output.authorization);
}

/* The block of KWDB's documentation for Telegraf, key by key, once host and port are put in. */
static void test_documented_block(void **state)
{
    (void)state;
    read_good("{\n"
              "  'agent': { 'interval': '10s', 'flush_interval': '60s', 'flush_jitter': '5s',\n"
              "             'hostname': 'gw-17', 'metric_batch_size': 200 },\n"
              "  'global_tags': { 'site': 'plant-3' }, // where it stands\n"
              "  'outputs': { 'http': {\n"
              "      'url': 'https://kwdb.example:8080/restapi/telegraf?db=db1',\n"
              "      'timeout': '5s', 'method': 'POST',\n"
              "      'headers': { 'Authorization': 'Basic cm9vdDprd2RicGFzc3dvcmQ=' },\n"
              "      'data_format': 'influx' } },\n"
              "  'inputs': { 'cpu': {}, 'mem': {} }\n"
              "}\n");
    assert_string_equal(config.output.endpoints[0].host, "kwdb.example");
    assert_string_equal(config.output.endpoints[0].target, "/restapi/telegraf?db=db1");
    assert_string_equal(config.output.authorization, "Basic cm9vdDprd2RicGFzc3dvcmQ=");
    assert_string_equal(config.output.user, "root");
    assert_int_equal(config.output.timeout_ms, 5000);
    assert_int_equal(config.global_tags.count, 1);
    assert_string_equal(config.global_tags.list[0].key.s, "site");
    assert_string_equal(config.global_tags.list[0].value.s, "plant-3");
    assert_int_equal(config.input_count, 2);
}

/* A tag of an input that replaces a global one takes no room of its own. */
static void test_room_for_tags(void **state)
{
    (void)state;
#define FIFTEEN                                                                                \
    "{'global_tags':{'a':'1','b':'1','c':'1','d':'1','e':'1','f':'1','g':'1','h':'1','i':'1'," \
    "'j':'1','k':'1','l':'1','m':'1','n':'1','o':'1'}," OUTPUTS ",'inputs':{'mem':{'tags':"
    read_good(FIFTEEN "{'a':'2','o':'2'}}}}");
    assert_int_equal(config.inputs[0].tags.count, 2);
    assert_int_equal(read_text(FIFTEEN "{'a':'2','z':'2'}}}}"), KWM_ERR_INVAL);
    assert_string_equal(errors.list[0].path, "inputs.mem.tags.z");
    assert_non_null(strstr(errors.list[0].reason, "at most 16"));
}

static void test_longest_tag(void **state)
{
    (void)state;
    char buffer[512];
    for (unsigned len = 255; len <= 256; len++) {
        struct kwm_text text;
        kwm_text_init(&text, buffer, sizeof(buffer));
        kwm_text_append(&text, "{'global_tags':{'a':'");
        for (unsigned i = 0; i < len; i++) {
            kwm_text_append_char(&text, 'x');
        }
        kwm_text_append(&text, "'}," INFLUX_OUTPUTS "," INPUTS "}");
        assert_int_equal(read_text(buffer), len == 255 ? KWM_OK : KWM_ERR_INVAL);
    }
    assert_non_null(strstr(errors.list[0].reason, "at most 255 bytes"));
}

static void test_inputs(void **state)
{
    (void)state;
    read_good(
        "{'global_tags':{'site':'a','line':'3'}," OUTPUTS ",'inputs':{"
        "'file':[{'measurement':'oven','channels':[{'path':'/a','scale':-3},{'path':'/b',"
        "'names':['x','y']}]},"
        "{'measurement':'tank','channels':{'path':'/c'},'interval':'1s','collection_jitter':'1s',"
        "'collection_offset':'900ms','alias':'the tank','tags':{'site':'b','row':'7'},"
        "'name_override':'in','fieldinclude':['a*','b'],'fieldexclude':['c']}],"
        "'disk':{'ignore_fs':[],'wait':50}}}");
    assert_int_equal(config.input_count, 3);
    const struct kwm_config_input *oven = &config.inputs[0];
    assert_string_equal(oven->label, "inputs.file[0]");
    const struct hal_option *channels = option(&oven->options, "channels");
    assert_int_equal(channels->objects.count, 2);
    assert_string_equal(option(&channels->objects.list[0], "path")->text.s, "/a");
    assert_int_equal(option(&channels->objects.list[0], "scale")->number, -3);
    assert_int_equal(option(&channels->objects.list[0], "names")->texts.count, 0);
    assert_int_equal(option(&channels->objects.list[1], "scale")->number, 0);
    assert_string_equal(option(&channels->objects.list[1], "names")->texts.list[1].s, "y");

    const struct kwm_config_input *tank = &config.inputs[1];
    assert_string_equal(tank->label, "inputs.file[1]");
    assert_int_equal(option(&tank->options, "channels")->objects.count, 1);
    assert_int_equal(tank->interval_ms, 1000);
    assert_int_equal(tank->collection_jitter_ms, 1000);
    assert_int_equal(tank->collection_offset_ms, 900);
    assert_string_equal(tank->alias, "the tank");
    assert_string_equal(tank->name_override, "in");
    assert_int_equal(tank->tags.count, 2);
    assert_string_equal(tank->tags.list[0].value.s, "b");
    assert_int_equal(tank->fieldinclude_count, 2);
    assert_string_equal(tank->fieldinclude[0].s, "a*");
    assert_int_equal(tank->fieldexclude_count, 1);
    assert_string_equal(tank->fieldexclude[0].s, "c");

    const struct hal_options *disk = &config.inputs[2].options;
    assert_int_equal(option(disk, "ignore_fs")->texts.count, 0);
    assert_true(option(disk, "ignore_fs")->is_given);
    assert_int_equal(option(disk, "wait")->number, 50000);

    read_good(INPUT("'disk':{}"));
    const struct hal_option *ignored = option(&config.inputs[0].options, "ignore_fs");
    assert_int_equal(ignored->texts.count, 2);
    assert_string_equal(ignored->texts.list[1].s, "overlay");
    assert_int_equal(option(&config.inputs[0].options, "wait")->number, 90000);
}

static void test_variables(void **state)
{
    (void)state;
    read_good("{'agent':{'interval':'${TEN}','metric_batch_size':'${NUMBER}','debug':'${TRUE}',"
              "'logfile':'$a$$-${PW}-$$${PW}-${NOPE:-d}${EMPTY:-e}${EMPTY}$${x}'},"
              "'global_tags':{'site':'${SITE}'},"
              "'outputs':{'http':{" URL ",'username':'u','password':'${PW:-no}'}},"
              "'inputs':{'cpu':{'retries':'${NINE}'}}}");
    assert_int_equal(config.interval_ms, 10000);
    assert_int_equal(config.metric_batch_size, 77);
    assert_true(config.debug);
    assert_string_equal(config.logfile, "$a$$-hidden-$${PW}-de${x}");
    assert_string_equal(config.global_tags.list[0].value.s, "plant-3");
    assert_string_equal(config.output.authorization, "Basic dTpoaWRkZW4=");
    assert_int_equal(option(&config.inputs[0].options, "retries")->number, 9);
}

static void test_more_variables(void **state)
{
    (void)state;
    read_good(AGENT("'quiet':'${NOPE:-false}','logfile':'${aAzZ_09}$'"));
    assert_false(config.quiet);
    assert_string_equal(config.logfile, "named$");
    read_good(SECURE("'headers':{'X-09az':'y'}"));
    assert_string_equal(config.output.headers, "X-09az: y\r\n");
    static const char *const users[] = {"aAz", "aZz", "Root"};
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        char buffer[256];
        struct kwm_text text;
        kwm_text_init(&text, buffer, sizeof(buffer));
        kwm_text_append(&text, "{'outputs':{'http':{" URL ",'password':'p','username':'");
        kwm_text_append(&text, users[i]);
        kwm_text_append(&text, "'}}," INPUTS "}");
        read_good(buffer);
        assert_int_equal(errors.warning_count, 1);
    }
}

static void test_escapes_and_comments(void **state)
{
    (void)state;
    read_good("\xef\xbb\xbf// first\r\n{" INFLUX_OUTPUTS ", // '}\n'inputs':{'cpu':{}},"
              "'agent':{'hostname':'\\u00fc\\ud83d\\ude00','logfile':'http://x//\\'//y\\/'}}//");
    assert_string_equal(config.hostname, "\xc3\xbc\xf0\x9f\x98\x80");
    assert_string_equal(config.logfile, "http://x//\"//y/");
}

static void test_board_without_files_and_environment(void **state)
{
    (void)state;
    static const struct kwm_config_env bare = {.inputs = inputs};
    assert_int_equal(read_with(&bare, AGENT("'logfile':'${PW}'"), ARENA_CAP), KWM_ERR_INVAL);
    assert_non_null(strstr(errors.list[0].reason, "PW is not set"));
    assert_int_equal(read_with(&bare, HTTP(URL ",'username':'u','password_file':'/pw'"), ARENA_CAP),
                     KWM_ERR_INVAL);
    assert_non_null(strstr(errors.list[0].reason, "no such file"));
}

static void test_find_clash(void **state)
{
    (void)state;
    static const struct hal_tag_def tags[] = {{"cpu", HAL_TAG_PRIMARY}};
    static const struct hal_field_def fields[] = {{"idle", HAL_KIND_DOUBLE, 0}};
    static const struct hal_schema schema = {"cpu", tags, fields, 1, 1};
    static const struct {
        const char *text, *key;
    } rows[] = {
        {"{'global_tags':{'site':'a'}," OUTPUTS ",'inputs':{'cpu':{'tags':{'row':'1'}}}}", NULL},
        {"{'global_tags':{'site':'a'}," OUTPUTS ",'inputs':{'cpu':{'tags':{'cpu':'1'}}}}", "cpu"},
        {"{'global_tags':{'idle':'a'}," OUTPUTS ",'inputs':{'cpu':{'tags':{'row':'1'}}}}", "idle"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        read_good(rows[i].text);
        const char *key = kwm_config_find_clash(&config, &config.inputs[0], &schema);
        if (rows[i].key == NULL) {
            assert_null(key);
        } else {
            assert_string_equal(key, rows[i].key);
        }
    }
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* With every size of the arena: the same result, or the plain statement that it does not fit. */
static void test_every_arena(void **state)
{
    (void)state;
    static const char text[] =
        "{'agent':{'interval':'${TEN}','x':1},'global_tags':{'site':'a'},"
        "'outputs':{'http':{'urls':['https://h/restapi/telegraf?db=d']," USER ","
        "'timeout':'5s','headers':{'x':'y'}}},"
        "'inputs':{'file':[{'measurement':'m','channels':[{'path':'/a'}],'tags':{'a':'b'}}],"
        "'disk':{}}}";
    size_t fits = 0;
    for (size_t cap = 1; cap < ARENA_CAP; cap += cap < 40000 ? 7 : 4096) {
        const int rc = read_with(&board, text, cap);
        assert_int_equal(errors.count, 1);
        if (rc == KWM_ERR_NOSPC) {
            assert_int_equal(fits, 0);
            assert_string_equal(errors.list[0].path, "");
            assert_non_null(strstr(errors.list[0].reason, "memory"));
            continue;
        }
        assert_int_equal(rc, KWM_ERR_INVAL);
        assert_string_equal(errors.list[0].path, "agent.x");
        assert_int_equal(errors.warning_count, 1);
        assert_true(config.arena_len_max < cap);
        fits = fits > 0 ? fits : cap;
    }
    assert_true(fits > 0);
    print_message("fits from %zu bytes on\n", fits);
}

/* ---- notation -------------------------------------------------------------------------------- */

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } rows[] = {
        {"0", 0},
        {"0s", 0},
        {"10", 10000},
        {"10s", 10000},
        {"1.5", 1500},
        {"1m30s", 90000},
        {"500ms", 500},
        {"1h", 3600000},
        {"1.5h", 5400000},
        {"1d", 86400000},
        {"2000us", 2},
        {"2000\xc2\xb5s", 2},
        {"1000000ns", 1},
        {"0.5s", 500},
        {"1s500ms", 1500},
        {"400d", 34560000000},
        {"0.001s", 1},
        {"1.25d", 108000000},
        {"0.25m", 15000},
        {"0.000000s", 0},
        {"", -1},
        {"s", -1},
        {"1x", -1},
        {"1 s", -1},
        {" 1s", -1},
        {"1s ", -1},
        {"+1s", -1},
        {"1.s", -1},
        {".5s", -1},
        {"1..5s", -1},
        {"1s2", -1},
        {"1sm", -1},
        {"401d", -1},
        {"400d1ms", -1},
        {"1ns", -1},
        {"0.0001s", -1},
        {"1e3s", -1},
        {"99999999999999999999", -1},
        {"1.00000000001ms", -1},
        {"1M", -1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ms = -1;
        const char *reason = NULL;
        const int rc = kwm_config_value_duration(rows[i].text, strlen(rows[i].text), &ms, &reason);
        if (rows[i].ms < 0) {
            assert_int_equal(rc, KWM_ERR_INVAL);
            assert_non_null(reason);
        } else {
            assert_int_equal(rc, KWM_OK);
            assert_int_equal(ms, rows[i].ms);
        }
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes; /* -1: refused */
    } rows[] = {
        {"0", 0},         {"512", 512},        {"512B", 512},
        {"10KB", 10000},  {"10MB", 10000000},  {"1GB", 1000000000},
        {"64KiB", 65536}, {"2MiB", 2097152},   {"1GiB", 1073741824},
        {"", -1},         {"MB", -1},          {"1mb", -1},
        {"1.5MB", -1},    {"1 MB", -1},        {"-1", -1},
        {"1K", -1},       {"99999999GiB", -1}, {"99999999999999999999", -1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t bytes = -1;
        const char *reason = NULL;
        const int rc = kwm_config_value_size(rows[i].text, strlen(rows[i].text), &bytes, &reason);
        if (rows[i].bytes < 0) {
            assert_int_equal(rc, KWM_ERR_INVAL);
            assert_non_null(reason);
        } else {
            assert_int_equal(rc, KWM_OK);
            assert_int_equal(bytes, rows[i].bytes);
        }
    }
}

static void test_notation_back(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } durations[] = {{0, "0s"},      {1, "1ms"},     {1500, "1500ms"},
                     {90000, "90s"}, {120000, "2m"}, {86400000, "24h"}};
    static const struct {
        int64_t bytes;
        const char *text;
    } sizes[] = {{0, "0B"}, {1000, "1000B"}, {65536, "64KiB"}, {1 << 20, "1MiB"}};
    char buffer[32];
    struct kwm_text text;
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        kwm_text_init(&text, buffer, sizeof(buffer));
        kwm_config_value_append_duration(&text, durations[i].ms);
        assert_string_equal(buffer, durations[i].text);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        kwm_text_init(&text, buffer, sizeof(buffer));
        kwm_config_value_append_size(&text, sizes[i].bytes);
        assert_string_equal(buffer, sizes[i].text);
    }
}

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        size_t expected;
    } rows[] = {
        {"", 0, 0},
        {"a", 1, 1},
        {"\0", 1, 1},
        {"\xc2\x80", 2, 2},
        {"\xdf\xbf", 2, 2},
        {"\xe0\xa0\x80", 3, 3},
        {"\xc2\x80", 1, 0},
        {"\xc3\xa4", 2, 2},
        {"\xc3", 1, 0},
        {"\x80", 1, 0},
        {"\xc1\xbf", 2, 0},
        {"\xe2\x82\xac", 3, 3},
        {"\xe0\x9f\xbf", 3, 0},
        {"\xed\x9f\xbf", 3, 3},
        {"\xed\xa0\x80", 3, 0},
        {"\xf0\x90\x80\x80", 4, 4},
        {"\xf0\x8f\xbf\xbf", 4, 0},
        {"\xf4\x8f\xbf\xbf", 4, 4},
        {"\xf4\x90\x80\x80", 4, 0},
        {"\xf5\x80\x80\x80", 4, 0},
        {"\xe2\x82", 2, 0},
        {"\xe2\x28\xac", 3, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(kwm_config_scan_utf8(rows[i].text, rows[i].len), rows[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_several_at_once),
        cmocka_unit_test(test_more_than_fit),
        cmocka_unit_test(test_too_many_keys),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_too_many_inputs),
        cmocka_unit_test(test_values_stay_secret),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_agent_key),
        cmocka_unit_test(test_every_http_key),
        cmocka_unit_test(test_documented_block),
        cmocka_unit_test(test_room_for_tags),
        cmocka_unit_test(test_longest_tag),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_more_variables),
        cmocka_unit_test(test_escapes_and_comments),
        cmocka_unit_test(test_board_without_files_and_environment),
        cmocka_unit_test(test_find_clash),
        cmocka_unit_test(test_every_arena),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_notation_back),
        cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
