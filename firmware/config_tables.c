/* SPDX-License-Identifier: MIT */
#include "config_tables.h"

#include "kwm/delivery.h"
#include "kwm/name.h"

#define SECOND_MS INT64_C(1000)
#define DAY_MS (86400 * SECOND_MS)
#define INTERVAL_MS_MIN 100 /* stamps have steps of 10 ms */
#define TIMEOUT_MS_MAX (600 * SECOND_MS)
#define KIB INT64_C(1024)
#define PATH_MAX_LEN 255
#define CREDENTIAL_LEN_MAX 255

static const struct hal_option_def spool_members[] = {
    {.key = "size",
     .help = "bytes of the queue, as in \"4MB\"",
     .fallback = NULL,
     .min = 16 * KIB,
     .max = 256 * KIB * KIB,
     .kind = KWM_CONFIG_SIZE},
    {.key = NULL},
};

const struct hal_option_def kwm_config_agent_defs[] = {
    [KWM_AGENT_INTERVAL] = {.key = "interval",
                            .help = "how often every input is read, unless it says otherwise",
                            .fallback = "\"10s\"",
                            .min = INTERVAL_MS_MIN,
                            .max = DAY_MS,
                            .kind = HAL_OPTION_DURATION},
    [KWM_AGENT_ROUND_INTERVAL] = {.key = "round_interval",
                                  .help = "read at multiples of the interval, as :00, :10, :20",
                                  .fallback = "true",
                                  .kind = HAL_OPTION_BOOL},
    [KWM_AGENT_COLLECTION_JITTER] = {.key = "collection_jitter",
                                     .help = "read each input up to so much later, at random",
                                     .fallback = "\"0s\"",
                                     .min = 0,
                                     .max = DAY_MS,
                                     .kind = HAL_OPTION_DURATION},
    [KWM_AGENT_COLLECTION_OFFSET] = {.key = "collection_offset",
                                     .help = "read so much after the multiple of the interval",
                                     .fallback = "\"0s\"",
                                     .min = 0,
                                     .max = DAY_MS,
                                     .kind = HAL_OPTION_DURATION},
    [KWM_AGENT_FLUSH_INTERVAL] =
        {.key = "flush_interval",
         .help = "how often rows are sent; each request with a password costs KWDB 62 ms of CPU",
         .fallback = "\"60s\"",
         .min = SECOND_MS,
         .max = DAY_MS,
         .kind = HAL_OPTION_DURATION},
    [KWM_AGENT_FLUSH_JITTER] = {.key = "flush_jitter",
                                .help = "send up to so much later, at random",
                                .fallback = "\"0s\"",
                                .min = 0,
                                .max = DAY_MS,
                                .kind = HAL_OPTION_DURATION},
    [KWM_AGENT_BATCH_SIZE] = {.key = "metric_batch_size",
                              .help = "rows in a request at most; a full batch is sent at once",
                              .fallback = "200",
                              .min = 1,
                              .max = KWM_BATCH_LINES_MAX,
                              .kind = HAL_OPTION_INT},
    [KWM_AGENT_BUFFER_LIMIT] =
        {.key = "metric_buffer_limit",
         .help = "about how many rows are kept while they cannot be sent; the oldest go first",
         .fallback = "10000",
         .min = 200,
         .max = 1000000,
         .kind = HAL_OPTION_INT},
    [KWM_AGENT_SPOOL] = {.key = "spool",
                         .help = "the size of that queue in bytes, instead of metric_buffer_limit",
                         .fallback = "[]",
                         .min = 1,
                         .max = 1,
                         .members = spool_members,
                         .kind = HAL_OPTION_OBJECTS},
    [KWM_AGENT_HOSTNAME] =
        {.key = "hostname",
         .help = "the tag \"host\" of all rows; \"\" makes one of this machine's name",
         .fallback = "\"\"",
         .min = 0,
         .max = KWM_CONFIG_HOSTNAME_LEN_MAX,
         .kind = HAL_OPTION_STRING},
    [KWM_AGENT_OMIT_HOSTNAME] =
        {.key = "omit_hostname",
         .help = "no tag \"host\" (not for KWDB, which tells devices apart by it)",
         .fallback = "false",
         .kind = HAL_OPTION_BOOL},
    [KWM_AGENT_DEBUG] = {.key = "debug",
                         .help = "say more",
                         .fallback = "false",
                         .kind = HAL_OPTION_BOOL},
    [KWM_AGENT_QUIET] = {.key = "quiet",
                         .help = "say errors only",
                         .fallback = "false",
                         .kind = HAL_OPTION_BOOL},
    [KWM_AGENT_LOGFILE] = {.key = "logfile",
                           .help = "where messages go; \"\" is standard error",
                           .fallback = "\"\"",
                           .min = 0,
                           .max = PATH_MAX_LEN,
                           .kind = HAL_OPTION_STRING},
    [KWM_AGENT_COUNT] = {.key = NULL},
};

static const char *const dialects[] = {"kwdb", "influx", NULL};
static const char *const auths[] = {"basic", "token", NULL};
static const char *const tls_versions[] = {"TLS12", "TLS13", NULL};

const struct hal_option_def kwm_config_http_defs[] = {
    [KWM_HTTP_URL] = {.key = "url",
                      .help = "KWDB's Telegraf endpoint, with the database behind db=",
                      .fallback = "\"\"",
                      .min = 1,
                      .max = KWM_CONFIG_TEXT_LEN_MAX,
                      .kind = HAL_OPTION_STRING},
    [KWM_HTTP_URLS] = {.key = "urls",
                       .help =
                           "instead of url: several nodes, the next one is taken when one fails",
                       .fallback = "[]",
                       .min = 1,
                       .max = KWM_CONFIG_TEXT_LEN_MAX,
                       .kind = HAL_OPTION_STRINGS},
    [KWM_HTTP_DIALECT] =
        {.key = "dialect",
         .help =
             "\"kwdb\" or \"influx\", if the URL's path does not tell: /restapi/telegraf is kwdb",
         .fallback = "\"\"",
         .choices = dialects,
         .min = 0,
         .max = 6,
         .kind = HAL_OPTION_STRING},
    [KWM_HTTP_USERNAME] = {.key = "username",
                           .help = "a user with INSERT on the tables; lower case",
                           .fallback = "\"\"",
                           .min = 0,
                           .max = CREDENTIAL_LEN_MAX,
                           .kind = HAL_OPTION_STRING},
    [KWM_HTTP_PASSWORD] = {.key = "password",
                           .help = "may come from the environment, as in \"${KWDB_PASSWORD}\"",
                           .fallback = "\"\"",
                           .min = 0,
                           .max = CREDENTIAL_LEN_MAX,
                           .kind = HAL_OPTION_STRING},
    [KWM_HTTP_PASSWORD_FILE] = {.key = "password_file",
                                .help = "instead of password: a file that holds nothing else",
                                .fallback = "\"\"",
                                .min = 1,
                                .max = PATH_MAX_LEN,
                                .kind = HAL_OPTION_STRING},
    [KWM_HTTP_AUTH] =
        {.key = "auth",
         .help =
             "\"basic\", or \"token\": log in once. Tokens can crash a KWDB node, so they are off",
         .fallback = "\"basic\"",
         .choices = auths,
         .min = 0,
         .max = 5,
         .kind = HAL_OPTION_STRING},
    [KWM_HTTP_HEADERS] =
        {.key = "headers",
         .help = "further headers; \"Authorization\" stands in place of username and password",
         .fallback = "",
         .kind = KWM_CONFIG_TABLE},
    [KWM_HTTP_TIMEOUT] = {.key = "timeout",
                          .help = "of one request; KWDB may take 10s to look a user up",
                          .fallback = "\"10s\"",
                          .min = SECOND_MS,
                          .max = TIMEOUT_MS_MAX,
                          .kind = HAL_OPTION_DURATION},
    [KWM_HTTP_IDLE] = {.key = "idle_conn_timeout",
                       .help = "a connection idle for longer is not used again; \"0s\": no limit",
                       .fallback = "\"0s\"",
                       .min = 0,
                       .max = DAY_MS,
                       .kind = HAL_OPTION_DURATION},
    [KWM_HTTP_TLS_CA] = {.key = "tls_ca",
                         .help = "file with the certificates to trust; \"\" takes the system's",
                         .fallback = "\"\"",
                         .min = 0,
                         .max = PATH_MAX_LEN,
                         .kind = HAL_OPTION_STRING},
    [KWM_HTTP_TLS_CERT] = {.key = "tls_cert",
                           .help = "client certificate, for a proxy that asks for one",
                           .fallback = "\"\"",
                           .min = 0,
                           .max = PATH_MAX_LEN,
                           .kind = HAL_OPTION_STRING},
    [KWM_HTTP_TLS_KEY] = {.key = "tls_key",
                          .help = "its private key",
                          .fallback = "\"\"",
                          .min = 0,
                          .max = PATH_MAX_LEN,
                          .kind = HAL_OPTION_STRING},
    [KWM_HTTP_TLS_KEY_PWD] = {.key = "tls_key_pwd",
                              .help = "the key's password",
                              .fallback = "\"\"",
                              .min = 0,
                              .max = CREDENTIAL_LEN_MAX,
                              .kind = HAL_OPTION_STRING},
    [KWM_HTTP_TLS_SERVER_NAME] = {.key = "tls_server_name",
                                  .help = "name the certificate must have, if not the URL's host",
                                  .fallback = "\"\"",
                                  .min = 0,
                                  .max = HAL_NET_HOST_LEN_MAX,
                                  .kind = HAL_OPTION_STRING},
    [KWM_HTTP_TLS_MIN_VERSION] = {.key = "tls_min_version",
                                  .help = "\"TLS12\", or \"TLS13\" for a proxy that speaks it",
                                  .fallback = "\"TLS12\"",
                                  .choices = tls_versions,
                                  .min = 0,
                                  .max = 5,
                                  .kind = HAL_OPTION_STRING},
    [KWM_HTTP_SKIP_VERIFY] =
        {.key = "insecure_skip_verify",
         .help = "true takes any certificate: whoever sits in between reads the password",
         .fallback = "false",
         .kind = HAL_OPTION_BOOL},
    [KWM_HTTP_COUNT] = {.key = NULL},
};

const struct hal_option_def kwm_config_input_defs[] = {
    [KWM_INPUT_INTERVAL] = {.key = "interval",
                            .help = "how often this input is read",
                            .fallback = "\"0s\"",
                            .min = INTERVAL_MS_MIN,
                            .max = DAY_MS,
                            .kind = HAL_OPTION_DURATION},
    [KWM_INPUT_COLLECTION_JITTER] = {.key = "collection_jitter",
                                     .help = "its own jitter",
                                     .fallback = "\"0s\"",
                                     .min = 0,
                                     .max = DAY_MS,
                                     .kind = HAL_OPTION_DURATION},
    [KWM_INPUT_COLLECTION_OFFSET] = {.key = "collection_offset",
                                     .help = "its own offset",
                                     .fallback = "\"0s\"",
                                     .min = 0,
                                     .max = DAY_MS,
                                     .kind = HAL_OPTION_DURATION},
    [KWM_INPUT_ALIAS] = {.key = "alias",
                         .help = "a name for messages",
                         .fallback = "\"\"",
                         .min = 0,
                         .max = 64,
                         .kind = HAL_OPTION_STRING},
    [KWM_INPUT_TAGS] = {.key = "tags",
                        .help = "tags for its rows alone",
                        .fallback = "",
                        .kind = KWM_CONFIG_TABLE},
    [KWM_INPUT_NAME_OVERRIDE] = {.key = "name_override",
                                 .help = "another name for its measurement",
                                 .fallback = "\"\"",
                                 .min = 1,
                                 .max = KWM_NAME_LEN_MAX,
                                 .kind = HAL_OPTION_STRING},
    [KWM_INPUT_FIELDINCLUDE] = {.key = "fieldinclude",
                                .help = "only the fields that fit one of these globs",
                                .fallback = "[]",
                                .min = 1,
                                .max = KWM_NAME_LEN_MAX,
                                .kind = HAL_OPTION_STRINGS},
    [KWM_INPUT_FIELDEXCLUDE] = {.key = "fieldexclude",
                                .help = "not the fields that fit one of these globs",
                                .fallback = "[]",
                                .min = 1,
                                .max = KWM_NAME_LEN_MAX,
                                .kind = HAL_OPTION_STRINGS},
    [KWM_INPUT_COUNT] = {.key = NULL},
};

/* ---- keys of Telegraf's that are refused ----------------------------------------------------- */

static const char no_rotation[] =
    "kwmote does not rotate its log: let logrotate or the journal do it, and remove this key";
static const char no_processors[] = "kwmote has no processors or aggregators: remove this key";
static const char no_proxy[] = "kwmote uses no HTTP proxy: remove this key";
static const char one_connection[] =
    "kwmote keeps one connection, with one request in flight: remove this key";
static const char no_oauth[] =
    "KWDB knows user and password only: give username and password, and remove this key";
static const char no_line_options[] =
    "kwmote writes each row as its URL's server reads it: remove this key";

const struct kwm_config_foreign kwm_config_agent_foreign[] = {
    {"precision", "0s|1ms|",
     "stamps are whole milliseconds: KWDB overwrites rows of one series and stamp, so coarser ones "
     "lose rows, and finer ones it does not have; remove this key"},
    {"logformat", "text", "kwmote writes its log as text: only \"text\" is allowed"},
    {"logtarget", "stderr|file", "use logfile for a file; standard error is the default"},
    {"log_with_timezone", "", "kwmote's log carries UTC: remove this key"},
    {"logfile_rotation_interval", "0h|0s|0d", no_rotation},
    {"logfile_rotation_max_size", "0MB|0", no_rotation},
    {"logfile_rotation_max_archives", NULL, no_rotation},
    {"statefile", "", "kwmote keeps its state in its spool: remove this key"},
    {"always_include_local_tags", "false", no_processors},
    {"always_include_global_tags", "false", no_processors},
    {"skip_processors_before_aggregators", "true|false", no_processors},
    {"skip_processors_after_aggregators", "true|false", no_processors},
    {"buffer_strategy", "memory", "rows wait in the board's spool: only \"memory\" is allowed"},
    {"buffer_directory", NULL,
     "rows wait in the board's spool: give \"spool\" and its size instead"},
    {"buffer_disk_sync", "true", "rows wait in the board's spool: remove this key"},
    {"snmp_translator", NULL, "kwmote has no SNMP: remove this key"},
    {"metric_separator", NULL, "only Telegraf's aggregators use it: remove this key"},
    {NULL, NULL, NULL},
};

const struct kwm_config_foreign kwm_config_http_foreign[] = {
    {"method", "POST|post",
     "only \"POST\": KWDB answers PUT with \"only support POST method\" and stores nothing, "
     "whatever "
     "its documentation says"},
    {"data_format", "influx",
     "only \"influx\", which changes nothing: the URL's path, or \"dialect\", decides the format"},
    {"content_encoding", "identity",
     "only \"identity\": KWDB ignores Content-Encoding and would read the compressed bytes as "
     "text"},
    {"use_batch_format", "true", "only true: rows are always sent in batches"},
    {"non_retryable_statuscodes", "[]",
     "only []: kwmote gives no row up for a status code; it reads the reply's verdict on each row"},
    {"tls_enable", "true", "only true: whether TLS is used is decided by https or http in the URL"},
    {"tls_cipher_suites", NULL, "kwmote offers what KWDB and it have in common: remove this key"},
    {"tls_renegotiation_method", "never", "kwmote never renegotiates: only \"never\" is allowed"},
    {"max_idle_conn", NULL, one_connection},
    {"max_idle_conn_per_host", NULL, one_connection},
    {"response_timeout", NULL, "one deadline covers the whole request: use \"timeout\""},
    {"local_address", NULL, "kwmote leaves the local address to the system: remove this key"},
    {"use_system_proxy", "false", no_proxy},
    {"http_proxy_url", NULL, no_proxy},
    {"client_id", NULL, no_oauth},
    {"client_secret", NULL, no_oauth},
    {"token_url", NULL, no_oauth},
    {"audience", NULL, no_oauth},
    {"scopes", NULL, no_oauth},
    {"cookie_auth_url", NULL, no_oauth},
    {"aws_service", NULL, no_oauth},
    {"google_application_credentials", NULL, no_oauth},
    {"influx_max_line_bytes", NULL, no_line_options},
    {"influx_sort_fields", "false", no_line_options},
    {"influx_uint_support", "false", "only false: integers go out signed, as KWDB has no others"},
    {"influx_omit_timestamp", "false",
     "only false: a row without its own stamp would be stored twice "
     "when it is sent again"},
    {"json_timestamp_units", NULL, no_line_options},
    {"metric_batch_size", NULL, "there is one output: give metric_batch_size in \"agent\""},
    {"metric_buffer_limit", NULL, "there is one output: give metric_buffer_limit in \"agent\""},
    {"flush_interval", NULL, "there is one output: give flush_interval in \"agent\""},
    {"flush_jitter", NULL, "there is one output: give flush_jitter in \"agent\""},
    {"alias", "", "there is one output: it needs no name"},
    {"startup_error_behavior", "retry|ignore",
     "kwmote starts without its server, and tries again: "
     "remove this key"},
    {"log_level", "", "kwmote has one log level: use debug or quiet in \"agent\""},
    {"token", NULL,
     "for a token of your own use \"headers\": {\"Authorization\": ...}; for KWDB's "
     "login tokens \"auth\": \"token\""},
    {NULL, NULL, NULL},
};

static const char filter_by_input[] = "each input has its own options for what it collects: use "
                                      "those, or fieldinclude and fieldexclude";
static const char fixed_tags[] =
    "an input's own tags tell its rows apart and cannot be left out: remove this key";

const struct kwm_config_foreign kwm_config_input_foreign[] = {
    {"fieldpass", NULL, "the old name of \"fieldinclude\": use that"},
    {"fielddrop", NULL, "the old name of \"fieldexclude\": use that"},
    {"precision", "0s|1ms|", "stamps are whole milliseconds: remove this key"},
    {"time_source", "metric|collection_start",
     "rows carry the instant at which their collection was due: remove this key"},
    {"name_prefix", "", "give the whole name with \"name_override\""},
    {"name_suffix", "", "give the whole name with \"name_override\""},
    {"namepass", "[]", filter_by_input},
    {"namedrop", "[]", filter_by_input},
    {"tagpass", NULL, filter_by_input},
    {"tagdrop", NULL, filter_by_input},
    {"metricpass", "", filter_by_input},
    {"taginclude", "[]", fixed_tags},
    {"tagexclude", "[]", fixed_tags},
    {"log_level", "", "kwmote has one log level: use debug or quiet in \"agent\""},
    {"startup_error_behavior", "error|retry|ignore|probe",
     "an input that fails is counted and tried again: remove this key"},
    {"always_include_local_tags", "false", no_processors},
    {"always_include_global_tags", "false", no_processors},
    {NULL, NULL, NULL},
};

const struct kwm_config_foreign kwm_config_root_foreign[] = {
    {"tags", NULL, "tags of all rows stand in \"global_tags\""},
    {"processors", NULL, no_processors},
    {"aggregators", NULL, no_processors},
    {"secretstores", NULL,
     "kwmote has no secret stores: use password_file, or ${NAME} from the environment"},
    {NULL, NULL, NULL},
};

static const char only_http[] = "only \"http\" is there: KWDB takes it at "
                                "https://host:port/restapi/telegraf?db=name, InfluxDB at "
                                "https://host:port/write?db=name";

const struct kwm_config_foreign kwm_config_output_foreign[] = {
    {"influxdb", NULL, only_http},
    {"influxdb_v2", NULL, only_http},
    {"opentsdb", NULL, only_http},
    {"postgresql", NULL, only_http},
    {"sql", NULL, only_http},
    {"file", NULL, "only \"http\" is there; --test prints the rows instead of sending them"},
    {NULL, NULL, NULL},
};
