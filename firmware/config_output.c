/* SPDX-License-Identifier: MIT */
#include "config_output.h"

#include <string.h>

#include "config_options.h"
#include "config_tables.h"

#define HEADERS_LEN_MAX 512U
#define KWDB_LOOKUP_MS 10000 /* KWDB may look a user up for so long */

/* One "http" object while it is read. */
struct http {
    struct kwm_config_reader *reader;
    const struct kwm_config_place *place;
    struct hal_options options;
    struct kwm_config_output *output;
    struct hal_text header_authorization; /**< from "headers"; s NULL: none */
    bool has_header_authorization;
};

static const struct hal_option *option(const struct http *http, enum kwm_config_http_key key)
{
    return &http->options.list[key];
}

static const char *text_of(const struct http *http, enum kwm_config_http_key key)
{
    const char *text = option(http, key)->text.s;
    return text != NULL ? text : "";
}

static void fail(const struct http *http, enum kwm_config_http_key key, const char *reason)
{
    const struct kwm_config_place place =
        kwm_config_report_find(http->place, kwm_config_http_defs[key].key);
    kwm_config_report_error(http->reader, &place, KWM_CONFIG_AT_VALUE, reason);
}

static void warn(const struct http *http, enum kwm_config_http_key key, const char *reason)
{
    const struct kwm_config_place place =
        kwm_config_report_find(http->place, kwm_config_http_defs[key].key);
    kwm_config_report_warning(http->reader, &place, KWM_CONFIG_AT_VALUE, reason);
}

static bool is_kwdb(const struct http *http)
{
    return http->output->dialect == KWM_DIALECT_KWDB;
}

/* ---- URLs ------------------------------------------------------------------------------------ */

static void read_url(struct http *http, const struct kwm_config_place *place, struct hal_text url,
                     struct kwm_endpoint *endpoint)
{
    struct kwm_config_output *output = http->output;
    const char *chosen = text_of(http, KWM_HTTP_DIALECT);
    const char *reason = "";
    if (kwm_url_parse(endpoint, url.s, url.len, &reason) != KWM_OK) {
        kwm_config_report_error(http->reader, place, KWM_CONFIG_AT_VALUE, reason);
        return;
    }
    if (chosen[0] != '\0') {
        endpoint->dialect = strcmp(chosen, "kwdb") == 0 ? KWM_DIALECT_KWDB : KWM_DIALECT_INFLUX;
    }
    if (output->endpoint_count > 0 && endpoint->dialect != output->endpoints[0].dialect) {
        kwm_config_report_error(http->reader, place, KWM_CONFIG_AT_VALUE,
                                "all urls must lead to servers of one kind: a queue is sent to "
                                "whichever answers");
        return;
    }
    if (!endpoint->is_secure && endpoint->dialect == KWM_DIALECT_KWDB) {
        kwm_config_report_error(http->reader, place, KWM_CONFIG_AT_VALUE,
                                "KWDB needs https: a password sent to it in clear is kept by the "
                                "server and lets everybody in");
        return;
    }
    if (!endpoint->is_secure) {
        kwm_config_report_warning(http->reader, place, KWM_CONFIG_AT_VALUE,
                                  "http: rows and credentials cross the network in clear");
    }
    output->dialect = endpoint->dialect;
    output->endpoint_count++;
}

static void read_url_list(struct http *http, struct kwm_endpoint *endpoints)
{
    const struct hal_option *urls = option(http, KWM_HTTP_URLS);
    const struct kwm_config_place array = kwm_config_report_find(http->place, "urls");
    struct kwm_config_place place = kwm_config_report_first(&array);
    if (urls->texts.list == NULL) {
        return; /* reported, or the arena is full */
    }
    if (urls->texts.count == 0) {
        fail(http, KWM_HTTP_URLS, "at least one URL is needed");
        return;
    }
    for (uint16_t i = 0; i < urls->texts.count; i++) {
        if (http->output->endpoint_count == KWM_ENDPOINTS_MAX) {
            kwm_config_report_error(http->reader, &place, KWM_CONFIG_AT_VALUE,
                                    "too many: at most 4 urls");
            return;
        }
        read_url(http, &place, urls->texts.list[i], &endpoints[http->output->endpoint_count]);
        kwm_config_report_next(&place);
    }
}

static void read_urls(struct http *http)
{
    const bool has_url = option(http, KWM_HTTP_URL)->is_given;
    const bool has_urls = option(http, KWM_HTTP_URLS)->is_given;
    if (has_url == has_urls) {
        fail(http, KWM_HTTP_URLS,
             has_url ? "give url or urls, not both"
                     : "\"url\" is missing: \"https://host:port/restapi/telegraf?db=name\"");
        return;
    }
    const uint16_t given = has_urls ? option(http, KWM_HTTP_URLS)->texts.count : 1;
    const uint16_t count = given < KWM_ENDPOINTS_MAX ? given : KWM_ENDPOINTS_MAX;
    struct kwm_endpoint *endpoints =
        kwm_config_arena_alloc(&http->reader->arena, count * sizeof(*endpoints));
    if (endpoints == NULL) {
        return;
    }
    http->output->endpoints = endpoints;
    if (has_urls) {
        read_url_list(http, endpoints);
    } else if (option(http, KWM_HTTP_URL)->text.s != NULL) {
        const struct kwm_config_place place = kwm_config_report_find(http->place, "url");
        read_url(http, &place, option(http, KWM_HTTP_URL)->text, &endpoints[0]);
    }
}

/* ---- headers --------------------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_same_name(const char *a, const char *b)
{
    while (*a != '\0' && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return *a == *b;
}

/* RFC 9110, section 5.6.2: token. */
static bool is_token(const char *name)
{
    for (const char *c = name; *c != '\0'; c++) {
        const bool is_alphanumeric =
            (lower(*c) >= 'a' && lower(*c) <= 'z') || (*c >= '0' && *c <= '9');
        if (!is_alphanumeric && strchr("!#$%&'*+-.^_`|~", *c) == NULL) {
            return false;
        }
    }
    return *name != '\0';
}

static const char *check_header_name(const struct http *http, const char *name)
{
    static const char *const own[] = {"Host", "Content-Length", "Content-Type", "User-Agent",
                                      "Connection"};
    static const char *const never[] = {
        "Transfer-Encoding", "Content-Encoding", "Accept-Encoding", "Expect", "TE",
        "Trailer",           "Upgrade"};
    if (!is_token(name)) {
        return "not the name of a header: letters, digits and - are allowed";
    }
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (is_same_name(name, own[i])) {
            return "kwmote sets this header itself: remove it";
        }
    }
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        if (is_same_name(name, never[i])) {
            return "this header would change how request or reply are encoded: remove it";
        }
    }
    if (is_kwdb(http) && (is_same_name(name, "Username") || is_same_name(name, "Password"))) {
        return "KWDB does not read this header, whatever its documentation says: use the keys "
               "username and password of this output";
    }
    return NULL;
}

/* Visible characters and blanks, none at the ends: RFC 9110, section 5.5. */
static bool is_header_value(const struct hal_text *value)
{
    for (uint16_t i = 0; i < value->len; i++) {
        if ((uint8_t)value->s[i] < 0x20 || value->s[i] == 0x7f) {
            return false;
        }
    }
    return value->len > 0 && value->s[0] != ' ' && value->s[value->len - 1] != ' ';
}

static bool is_named_before(const struct kwm_config_place *place)
{
    struct kwm_config_place other = kwm_config_report_first(place->parent);
    for (; other.index < place->index; kwm_config_report_next(&other)) {
        if (is_same_name(kwm_config_json_key(other.node), kwm_config_json_key(place->node))) {
            return true;
        }
    }
    return false;
}

static void read_header(struct http *http, const struct kwm_config_place *place,
                        struct kwm_text *headers)
{
    struct kwm_config_reader *reader = http->reader;
    const char *name = kwm_config_json_key(place->node);
    const bool is_authorization = is_same_name(name, "Authorization");
    struct hal_text value;
    const char *reason = check_header_name(http, name);
    if (reason == NULL && is_named_before(place)) {
        reason = "this header was given before";
    }
    if (reason != NULL) {
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_KEY, reason);
        return;
    }
    http->has_header_authorization = http->has_header_authorization || is_authorization;
    if (!kwm_config_options_text(reader, place, &value)) {
        return;
    }
    if (!is_header_value(&value)) {
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE,
                                "a header's value is not empty, has no control characters, and no "
                                "blank at its ends");
        return;
    }
    if (is_authorization) {
        http->header_authorization = value;
        return;
    }
    kwm_text_append(headers, name);
    kwm_text_append(headers, ": ");
    kwm_text_append(headers, value.s);
    kwm_text_append(headers, "\r\n");
}

static void read_headers(struct http *http)
{
    char buffer[HEADERS_LEN_MAX + 1];
    struct kwm_text headers;
    const struct hal_option *given = option(http, KWM_HTTP_HEADERS);
    const struct kwm_config_place object = kwm_config_report_find(http->place, "headers");
    http->output->headers = "";
    if (!given->is_given || kwm_config_json_kind(object.node) != KWM_CONFIG_JSON_OBJECT ||
        kwm_config_report_crowd(http->reader, &object)) {
        return;
    }
    kwm_text_init(&headers, buffer, sizeof(buffer));
    struct kwm_config_place child = kwm_config_report_first(&object);
    for (; child.node != NULL; kwm_config_report_next(&child)) {
        read_header(http, &child, &headers);
    }
    if (headers.is_cut) {
        fail(http, KWM_HTTP_HEADERS, "too long: at most 512 bytes of headers");
        return;
    }
    const char *copy = kwm_config_arena_copy(&http->reader->arena, headers.out, headers.len);
    http->output->headers = copy != NULL ? copy : "";
}

/* ---- who we are to the server ---------------------------------------------------------------- */

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *digit = c != '\0' ? strchr(digits, c) : NULL;
    return digit != NULL ? (int)(digit - digits) : -1;
}

/* The user in "Basic <base64>", for messages. The password is not decoded any further. */
static const char *user_of(struct kwm_config_reader *reader, const char *authorization)
{
    char user[KWM_AUTHORIZATION_LEN_MAX];
    size_t len = 0;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    if (strncmp(authorization, "Basic ", 6) != 0) {
        return "";
    }
    for (const char *c = authorization + 6; base64_digit(*c) >= 0 && len < sizeof(user); c++) {
        bits = (bits << 6 | (uint32_t)base64_digit(*c)) & 0xfff;
        bit_count += 6;
        if (bit_count < 8) {
            continue;
        }
        bit_count -= 8;
        user[len] = (char)(bits >> bit_count & 0xff);
        if (user[len] == ':') {
            const char *copy = kwm_config_arena_copy(&reader->arena, user, len);
            return copy != NULL ? copy : "";
        }
        len++;
    }
    return "";
}

static bool has_upper(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text >= 'A' && *text <= 'Z') {
            return true;
        }
    }
    return false;
}

/* Reads the file into buffer, without its last line end. @return whether there is a password. */
static bool read_password_file(struct http *http, char *buffer, size_t cap)
{
    const struct kwm_config_env *env = http->reader->env;
    const char *path = text_of(http, KWM_HTTP_PASSWORD_FILE);
    const int got =
        env->read_file != NULL ? env->read_file(env->ctx, path, buffer, cap - 1) : KWM_ERR_NOENT;
    if (got < 0) {
        fail(http, KWM_HTTP_PASSWORD_FILE,
             got == KWM_ERR_NOSPC   ? "the file is too long for a password"
             : got == KWM_ERR_NOENT ? "there is no such file"
                                    : "the file cannot be read: check its owner and mode");
        return false;
    }
    size_t len = (size_t)got;
    if (len > 0 && buffer[len - 1] == '\n') {
        len--;
    }
    if (len > 0 && buffer[len - 1] == '\r') {
        len--;
    }
    buffer[len] = '\0';
    if (strlen(buffer) != len || strchr(buffer, '\n') != NULL) {
        fail(http, KWM_HTTP_PASSWORD_FILE, "the file must hold one line, the password alone");
        return false;
    }
    return true;
}

static void use_password(struct http *http)
{
    char from_file[KWM_AUTHORIZATION_LEN_MAX + 1];
    char value[KWM_AUTHORIZATION_LEN_MAX + 1];
    const bool has_file = option(http, KWM_HTTP_PASSWORD_FILE)->is_given;
    const enum kwm_config_http_key source = has_file ? KWM_HTTP_PASSWORD_FILE : KWM_HTTP_PASSWORD;
    const char *user = option(http, KWM_HTTP_USERNAME)->text.s;
    const char *password = option(http, source)->text.s;
    const char *reason = "";
    if (user == NULL || password == NULL) {
        return; /* reported when they were read */
    }
    if (has_file) {
        if (!read_password_file(http, from_file, sizeof(from_file))) {
            return;
        }
        password = from_file;
    }
    const int len = kwm_authorization(value, sizeof(value), user, password, &reason);
    memset(from_file, 0, sizeof(from_file));
    if (len < 0) {
        fail(http, source, reason);
        return;
    }
    http->output->authorization = kwm_config_arena_copy(&http->reader->arena, value, (size_t)len);
    http->output->user = user;
    if (is_kwdb(http) && has_upper(user)) {
        warn(
            http, KWM_HTTP_USERNAME,
            "KWDB folds upper case when it checks the password, but not when it checks privileges: "
            "write the user's name as it was created, in lower case");
    }
}

static void use_header(struct http *http)
{
    const struct kwm_config_place headers = kwm_config_report_find(http->place, "headers");
    struct kwm_config_place place = kwm_config_report_first(&headers);
    const char *value = http->header_authorization.s;
    const char *reason = "";
    if (value == NULL) {
        return; /* reported when it was read */
    }
    while (!is_same_name(kwm_config_json_key(place.node), "Authorization")) {
        kwm_config_report_next(&place);
    }
    if (kwm_authorization_check(value, http->output->dialect, &reason) != KWM_OK) {
        kwm_config_report_error(http->reader, &place, KWM_CONFIG_AT_VALUE, reason);
        return;
    }
    http->output->authorization = value;
    http->output->user = user_of(http->reader, value);
    if (is_kwdb(http) && has_upper(http->output->user)) {
        kwm_config_report_warning(http->reader, &place, KWM_CONFIG_AT_VALUE,
                                  "the user's name in it has upper case: KWDB folds that when it "
                                  "checks the password, but not when it checks privileges");
    }
}

static void read_credentials(struct http *http)
{
    const bool has_user = option(http, KWM_HTTP_USERNAME)->is_given;
    const bool has_password = option(http, KWM_HTTP_PASSWORD)->is_given;
    const bool has_file = option(http, KWM_HTTP_PASSWORD_FILE)->is_given;
    const bool has_pair = has_user || has_password || has_file;
    http->output->user = "";
    if (has_pair && http->has_header_authorization) {
        fail(http,
             has_user   ? KWM_HTTP_USERNAME
             : has_file ? KWM_HTTP_PASSWORD_FILE
                        : KWM_HTTP_PASSWORD,
             "there is an Authorization header too: give one of the two");
    } else if (has_password && has_file) {
        fail(http, KWM_HTTP_PASSWORD_FILE, "give password or password_file, not both");
    } else if (has_pair && !has_user) {
        fail(http, has_file ? KWM_HTTP_PASSWORD_FILE : KWM_HTTP_PASSWORD,
             "\"username\" is missing");
    } else if (has_user && !has_password && !has_file) {
        fail(http, KWM_HTTP_USERNAME, "\"password\" or \"password_file\" is missing");
    } else if (has_pair) {
        use_password(http);
    } else if (http->has_header_authorization) {
        use_header(http);
    } else if (is_kwdb(http)) {
        fail(http, KWM_HTTP_USERNAME,
             "KWDB takes no rows without a user: give \"username\" and \"password\" or "
             "\"password_file\", or \"headers\": {\"Authorization\": \"Basic ...\"}");
    }
}

static void read_auth(struct http *http)
{
    http->output->use_token = strcmp(text_of(http, KWM_HTTP_AUTH), "token") == 0;
    if (!http->output->use_token) {
        return;
    }
    if (!is_kwdb(http)) {
        fail(http, KWM_HTTP_AUTH, "only KWDB has a login for tokens: use \"basic\"");
        return;
    }
    warn(http, KWM_HTTP_AUTH,
         "a login at the same moment as another client's request can crash a KWDB node; \"basic\" "
         "cannot");
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void read_tls(struct http *http)
{
    struct kwm_config_output *output = http->output;
    output->tls_ca = text_of(http, KWM_HTTP_TLS_CA);
    output->tls_cert = text_of(http, KWM_HTTP_TLS_CERT);
    output->tls_key = text_of(http, KWM_HTTP_TLS_KEY);
    output->tls_key_pwd = text_of(http, KWM_HTTP_TLS_KEY_PWD);
    output->tls_server_name = text_of(http, KWM_HTTP_TLS_SERVER_NAME);
    output->tls_min_13 = strcmp(text_of(http, KWM_HTTP_TLS_MIN_VERSION), "TLS13") == 0;
    output->insecure_skip_verify = option(http, KWM_HTTP_SKIP_VERIFY)->flag;
    if ((output->tls_cert[0] == '\0') != (output->tls_key[0] == '\0')) {
        fail(http, output->tls_cert[0] != '\0' ? KWM_HTTP_TLS_CERT : KWM_HTTP_TLS_KEY,
             "tls_cert and tls_key belong together: give both or none");
    }
    if (output->tls_min_13 && is_kwdb(http)) {
        warn(http, KWM_HTTP_TLS_MIN_VERSION,
             "KWDB speaks TLS 1.2 only: this works through a proxy that speaks 1.3");
    }
    if (output->insecure_skip_verify) {
        warn(http, KWM_HTTP_SKIP_VERIFY,
             "THE SERVER'S CERTIFICATE IS NOT CHECKED: whoever sits in between reads the password "
             "and can take the rows; give tls_ca instead");
    }
}

static void read_times(struct http *http)
{
    const int64_t timeout_ms = option(http, KWM_HTTP_TIMEOUT)->number;
    http->output->timeout_ms = (uint32_t)timeout_ms;
    http->output->idle_ms_max = (uint32_t)option(http, KWM_HTTP_IDLE)->number;
    if (is_kwdb(http) && timeout_ms > 0 && timeout_ms < KWDB_LOOKUP_MS) {
        warn(http, KWM_HTTP_TIMEOUT,
             "KWDB may take 10s to look the user up: rows are then sent again although nothing is "
             "wrong; \"10s\" is the default");
    }
}

static void read_http(struct kwm_config_reader *reader, const struct kwm_config_place *place)
{
    static const struct kwm_config_keys keys = {.own = kwm_config_http_defs,
                                                .foreign = kwm_config_http_foreign};
    struct http http = {.reader = reader, .place = place, .output = &reader->config->output};
    if (kwm_config_json_kind(place->node) != KWM_CONFIG_JSON_OBJECT) {
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE, "an object is expected");
        return;
    }
    kwm_config_options_read(reader, place, &keys, &http.options, NULL);
    if (http.options.list == NULL) {
        return;
    }
    read_urls(&http);
    read_headers(&http);
    if (http.output->endpoint_count > 0) { /* else it is not known what the server wants */
        read_credentials(&http);
        read_auth(&http);
    }
    read_tls(&http);
    read_times(&http);
}

/* An object, or an array of one. */
static void read_one(struct kwm_config_reader *reader, const struct kwm_config_place *place)
{
    if (kwm_config_json_kind(place->node) != KWM_CONFIG_JSON_ARRAY) {
        read_http(reader, place);
        return;
    }
    struct kwm_config_place child = kwm_config_report_first(place);
    if (child.node == NULL) {
        kwm_config_report_error(reader, place, KWM_CONFIG_AT_VALUE, "one output is needed");
        return;
    }
    read_http(reader, &child);
    kwm_config_report_next(&child);
    if (child.node != NULL) {
        kwm_config_report_error(reader, &child, KWM_CONFIG_AT_VALUE,
                                "one output only; for several nodes of one cluster use \"urls\"");
    }
}

void kwm_config_output_read(struct kwm_config_reader *reader,
                            const struct kwm_config_place *outputs)
{
    static const struct hal_option_def defs[] = {
        {.key = "http", .help = "", .kind = KWM_CONFIG_ANY},
        {.key = NULL},
    };
    static const struct kwm_config_keys keys = {.own = defs, .foreign = kwm_config_output_foreign};
    struct hal_options options;
    reader->config->output.dialect = KWM_DIALECT_INFLUX; /* the less strict, until it is known */
    kwm_config_options_read(reader, outputs, &keys, &options, NULL);
    if (options.list == NULL) {
        return;
    }
    if (!options.list[0].is_given) {
        kwm_config_report_error(
            reader, outputs, KWM_CONFIG_AT_VALUE,
            "an output is needed: \"http\": {\"url\": \"https://host:port/restapi/"
            "telegraf?db=name\", ...}");
        return;
    }
    const struct kwm_config_place http = kwm_config_report_find(outputs, "http");
    read_one(reader, &http);
}
