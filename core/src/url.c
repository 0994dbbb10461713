/* SPDX-License-Identifier: MIT */
#include "kwm/url.h"

#include <string.h>

#include "hal/assert.h"

#define PORT_HTTP 80U
#define PORT_HTTPS 443U
#define IPV6_LEN_MAX 45U
#define SCHEME_BASIC "Basic "
#define SCHEME_BASIC_LEN (sizeof(SCHEME_BASIC) - 1)

/* A part of the URL. */
struct part {
    const char *s;
    size_t len;
};

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int refuse(const char **reason, const char *text)
{
    *reason = text;
    return KWM_ERR_INVAL;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f');
}

static bool begins_with(struct part part, const char *text)
{
    const size_t len = strlen(text);
    return part.len >= len && memcmp(part.s, text, len) == 0;
}

static bool equals(struct part part, const char *text)
{
    return part.len == strlen(text) && begins_with(part, text);
}

/* @return bytes before the first one that is in the set, or all. */
static size_t find(struct part part, const char *set)
{
    size_t i = 0;
    while (i < part.len && strchr(set, part.s[i]) == NULL) {
        i++;
    }
    return i;
}

static struct part skip(struct part part, size_t len)
{
    return (struct part){part.s + len, part.len - len};
}

/* The scheme's case does not matter: RFC 3986 3.1. */
static bool take_scheme(struct part *url, const char *scheme)
{
    const size_t len = strlen(scheme);
    if (url->len < len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (lower(url->s[i]) != scheme[i]) {
            return false;
        }
    }
    *url = skip(*url, len);
    return true;
}

/* What is in every part: RFC 3986 2 allows no other bytes than these, and this is what keeps line
 * ends out of the request's head. */
static int check_characters(struct part url, const char **reason)
{
    for (size_t i = 0; i < url.len; i++) {
        const char c = url.s[i];
        if (c <= ' ' || c > '~' || strchr("\"<>\\^`{|}", c) != NULL) {
            return refuse(reason, "it holds a space, a control character or another character that "
                                  "a URL cannot hold; write it as % and two hexadecimal digits");
        }
        if (c == '%' && (url.len - i < 3 || !is_hex(url.s[i + 1]) || !is_hex(url.s[i + 2]))) {
            return refuse(reason, "a % must be followed by two hexadecimal digits");
        }
    }
    return KWM_OK;
}

static int parse_port(struct kwm_endpoint *endpoint, struct part digits, const char **reason)
{
    static const char allowed[] = "the port must be a number from 1 to 65535";
    uint32_t port = 0;
    if (digits.len == 0) {
        return refuse(reason, allowed);
    }
    for (size_t i = 0; i < digits.len; i++) {
        if (!is_digit(digits.s[i])) {
            return refuse(reason, allowed);
        }
        port = port * 10U + (uint32_t)(digits.s[i] - '0');
        if (port > UINT16_MAX) {
            return refuse(reason, allowed);
        }
    }
    if (port == 0) {
        return refuse(reason, allowed);
    }
    endpoint->port = (uint16_t)port;
    endpoint->has_port = true;
    return KWM_OK;
}

static int parse_name(struct kwm_endpoint *endpoint, struct part name, const char **reason)
{
    if (name.len == 0) {
        return refuse(reason, "it names no host; write https://HOST:PORT/restapi/telegraf?db=NAME");
    }
    if (name.len > HAL_NET_HOST_LEN_MAX) {
        return refuse(reason, "the host name is longer than 253 characters");
    }
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.s[i];
        if (!is_digit(c) && (lower(c) < 'a' || lower(c) > 'z') && c != '-' && c != '.' &&
            c != '_') {
            return refuse(reason,
                          "the host must be a name of letters, digits, '-', '_' and '.', an "
                          "IPv4 address, or an IPv6 address in brackets");
        }
    }
    memcpy(endpoint->host, name.s, name.len);
    return KWM_OK;
}

static int parse_ipv6(struct kwm_endpoint *endpoint, struct part address, const char **reason)
{
    unsigned colons = 0;
    bool is_good = address.len <= IPV6_LEN_MAX;
    for (size_t i = 0; i < address.len && is_good; i++) {
        colons += address.s[i] == ':';
        is_good = is_hex(address.s[i]) || address.s[i] == ':' || address.s[i] == '.';
    }
    if (!is_good || colons < 2) {
        return refuse(reason, "the brackets must hold an IPv6 address such as [2001:db8::1], "
                              "without a zone");
    }
    memcpy(endpoint->host, address.s, address.len);
    endpoint->is_ipv6 = true;
    return KWM_OK;
}

static int parse_authority(struct kwm_endpoint *endpoint, struct part authority,
                           const char **reason)
{
    if (find(authority, "@") < authority.len) {
        return refuse(reason, "it holds a user name; put user and password into username and "
                              "password, for a URL is shown in messages");
    }
    struct part port;
    int err;
    if (begins_with(authority, "[")) {
        const struct part rest = skip(authority, 1);
        const size_t len = find(rest, "]");
        if (len == rest.len) {
            return refuse(reason, "the bracket of the IPv6 address is not closed");
        }
        err = parse_ipv6(endpoint, (struct part){rest.s, len}, reason);
        port = skip(rest, len + 1);
    } else {
        const size_t len = find(authority, ":");
        err = parse_name(endpoint, (struct part){authority.s, len}, reason);
        port = skip(authority, len);
    }
    if (err != KWM_OK || port.len == 0) {
        return err;
    }
    if (port.s[0] != ':') {
        return refuse(reason, "only a colon and the port may follow the IPv6 address");
    }
    return parse_port(endpoint, skip(port, 1), reason);
}

/* KWDB takes the first db that it finds, and without one writes to defaultdb. */
static bool has_db(struct part query)
{
    while (query.len > 0) {
        const size_t len = find(query, "&");
        const struct part pair = {query.s, len};
        if (begins_with(pair, "db=")) {
            return pair.len > strlen("db=");
        }
        query = len < query.len ? skip(query, len + 1) : skip(query, len);
    }
    return false;
}

/* KWDB's paths are exact: with a slash behind it is 404, with two in front 301. */
static int check_path(struct kwm_endpoint *endpoint, struct part path, struct part query,
                      const char **reason)
{
    if (begins_with(path, "/restapi/influxdb")) {
        return refuse(reason, "/restapi/influxdb cannot be used: its batch mode says \"accepted\" "
                              "before it writes, so nobody learns of lost rows; use "
                              "/restapi/telegraf?db=NAME");
    }
    if (begins_with(path, "//")) {
        return refuse(reason, "its path begins with two slashes; KWDB takes one");
    }
    endpoint->dialect = KWM_DIALECT_INFLUX;
    if (equals(path, "/restapi/telegraf")) {
        endpoint->dialect = KWM_DIALECT_KWDB;
        if (!has_db(query)) {
            return refuse(reason, "it names no database; write /restapi/telegraf?db=NAME, in the "
                                  "database's exact case");
        }
    } else if (begins_with(path, "/restapi/") || equals(path, "/restapi")) {
        return refuse(reason, "KWDB takes line protocol at /restapi/telegraf?db=NAME only, without "
                              "a slash behind telegraf");
    }
    return KWM_OK;
}

/* What is asked for: the path, "/" if there is none, and the query, as they are. */
static int parse_target(struct kwm_endpoint *endpoint, struct part target, const char **reason)
{
    const size_t slash = begins_with(target, "/") ? 0 : 1;
    if (target.len + slash > KWM_URL_TARGET_LEN_MAX) {
        return refuse(reason, "path and query are longer than 255 characters");
    }
    endpoint->target[0] = '/';
    if (target.len > 0) {
        memcpy(endpoint->target + slash, target.s, target.len);
    }
    const struct part whole = {endpoint->target, target.len + slash};
    const size_t path_len = find(whole, "?");
    const struct part path = {whole.s, path_len};
    const struct part query = skip(whole, path_len < whole.len ? path_len + 1 : path_len);
    return check_path(endpoint, path, query, reason);
}

int kwm_url_parse(struct kwm_endpoint *endpoint, const char *url, size_t len, const char **reason)
{
    KWM_ASSERT(endpoint != NULL && reason != NULL);
    KWM_ASSERT(url != NULL || len == 0);
    struct part rest = {url, len};
    memset(endpoint, 0, sizeof(*endpoint));
    int err = check_characters(rest, reason);
    if (err != KWM_OK) {
        return err;
    }
    endpoint->is_secure = take_scheme(&rest, "https://");
    if (!endpoint->is_secure && !take_scheme(&rest, "http://")) {
        return refuse(reason, "it must begin with https:// (or http://)");
    }
    if (find(rest, "#") < rest.len) {
        return refuse(reason,
                      "it holds a fragment ('#'), which is never sent; write %23 for a '#'");
    }
    endpoint->port = endpoint->is_secure ? PORT_HTTPS : PORT_HTTP;
    const size_t authority_len = find(rest, "/?");
    err = parse_authority(endpoint, (struct part){rest.s, authority_len}, reason);
    if (err != KWM_OK) {
        return err;
    }
    return parse_target(endpoint, skip(rest, authority_len), reason);
}

/* -- Authorization ----------------------------------------------------------------------------- */

/* KWDB tries hexadecimal of an even length before base64, and takes it for a token. */
static bool is_token(struct part text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_hex(text.s[i])) {
            return false;
        }
    }
    return text.len % 2 == 0;
}

/* Byte i of user:password. */
static uint32_t pair_byte(struct part user, struct part password, size_t i)
{
    if (i < user.len) {
        return (uint8_t)user.s[i];
    }
    if (i == user.len) {
        return ':';
    }
    return i - user.len - 1 < password.len ? (uint8_t)password.s[i - user.len - 1] : 0;
}

/* RFC 4648 4: standard alphabet, padded. */
static size_t encode_pair(char *out, struct part user, struct part password)
{
    const size_t pair_len = user.len + 1 + password.len;
    size_t len = 0;
    for (size_t i = 0; i < pair_len; i += 3) {
        const uint32_t group = pair_byte(user, password, i) << 16 |
                               pair_byte(user, password, i + 1) << 8 |
                               pair_byte(user, password, i + 2);
        out[len] = base64_digits[group >> 18];
        out[len + 1] = base64_digits[group >> 12 & 63U];
        out[len + 2] = i + 1 < pair_len ? base64_digits[group >> 6 & 63U] : '=';
        out[len + 3] = i + 2 < pair_len ? base64_digits[group & 63U] : '=';
        len += 4;
    }
    return len;
}

int kwm_authorization(char *out, size_t cap, const char *user, const char *password,
                      const char **reason)
{
    KWM_ASSERT(out != NULL && reason != NULL);
    KWM_ASSERT(user != NULL && password != NULL);
    const struct part name = {user, strlen(user)};
    const struct part secret = {password, strlen(password)};
    if (name.len == 0) {
        return refuse(reason, "the user name is empty");
    }
    if (secret.len == 0) {
        return refuse(reason, "the password is empty; KWDB lets nobody in without a password");
    }
    if (find(name, ":") < name.len || find(secret, ":") < secret.len) {
        return refuse(reason, "user name and password cannot hold a ':', which separates them; "
                              "choose another");
    }
    const size_t len_max = cap > KWM_AUTHORIZATION_LEN_MAX ? KWM_AUTHORIZATION_LEN_MAX
                           : cap > 0                       ? cap - 1
                                                           : 0;
    const size_t pair_len = name.len + 1 + secret.len;
    if (pair_len > len_max || SCHEME_BASIC_LEN + (pair_len + 2) / 3 * 4 > len_max) {
        return refuse(reason, "user name and password together are too long (at most 185 bytes)");
    }
    memcpy(out, SCHEME_BASIC, SCHEME_BASIC_LEN);
    const size_t len = encode_pair(out + SCHEME_BASIC_LEN, name, secret);
    out[SCHEME_BASIC_LEN + len] = '\0';
    if (is_token((struct part){out + SCHEME_BASIC_LEN, len})) {
        out[0] = '\0';
        return refuse(reason,
                      "by an unlucky chance the base64 text of this user and password is all "
                      "hexadecimal digits, which KWDB takes for a token; choose another "
                      "password");
    }
    return (int)(SCHEME_BASIC_LEN + len);
}

/* What base64 text says, as far as it matters. */
struct pair {
    size_t user_len;
    size_t colons;
    size_t password_len;
};

/* @return whether it is base64 (RFC 4648 4), padded. */
static bool decode_pair(struct part text, struct pair *pair)
{
    *pair = (struct pair){0};
    size_t pad = 0;
    while (pad < 2 && pad < text.len && text.s[text.len - 1 - pad] == '=') {
        pad++;
    }
    if (text.len == 0 || text.len % 4 != 0) {
        return false;
    }
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < text.len - pad; i++) {
        const char *digit = memchr(base64_digits, text.s[i], sizeof(base64_digits) - 1);
        if (digit == NULL) {
            return false;
        }
        bits = bits << 6 | (uint32_t)(digit - base64_digits);
        count += 6;
        if (count < 8) {
            continue;
        }
        count -= 8;
        if ((bits >> count & 0xffU) == ':') {
            pair->colons++;
        } else if (pair->colons == 0) {
            pair->user_len++;
        } else {
            pair->password_len++;
        }
    }
    return true;
}

static int check_basic(struct part value, const char **reason)
{
    const struct part text = begins_with(value, SCHEME_BASIC) ? skip(value, SCHEME_BASIC_LEN)
                                                              : (struct part){value.s, 0};
    if (text.len == 0 || find(text, " ") < text.len) {
        return refuse(reason, "KWDB takes nothing but \"Basic\", one space, and the base64 text of "
                              "user:password; \"Basic\" alone ends KWDB's server process");
    }
    if (is_token(text)) {
        return refuse(reason,
                      "text of hexadecimal digits only is a login token to KWDB, and a token "
                      "ends after an hour; give user and password");
    }
    struct pair pair;
    if (!decode_pair(text, &pair)) {
        return refuse(reason,
                      "what follows \"Basic\" is not base64 in the standard alphabet, padded "
                      "with '='");
    }
    if (pair.colons != 1 || pair.user_len == 0 || pair.password_len == 0) {
        return refuse(reason, "the base64 text must hold user:password with exactly one ':', and "
                              "neither of them empty");
    }
    return KWM_OK;
}

int kwm_authorization_check(const char *value, enum kwm_dialect dialect, const char **reason)
{
    KWM_ASSERT(value != NULL && reason != NULL);
    const struct part whole = {value, strlen(value)};
    if (whole.len == 0) {
        return refuse(reason, "it is empty; leave it out if no credentials are wanted");
    }
    if (whole.len > KWM_AUTHORIZATION_LEN_MAX) {
        return refuse(reason, "it is longer than 255 characters");
    }
    for (size_t i = 0; i < whole.len; i++) {
        if (value[i] < ' ' || value[i] > '~') {
            return refuse(reason, "it holds a line end or another character that is not printable "
                                  "ASCII");
        }
    }
    if (dialect == KWM_DIALECT_KWDB) {
        return check_basic(whole, reason);
    }
    const size_t scheme_len = find(whole, " ");
    if (scheme_len == 0 || scheme_len + 1 >= whole.len || value[scheme_len + 1] == ' ' ||
        value[whole.len - 1] == ' ') {
        return refuse(reason,
                      "it must be a scheme, one space, and the credentials, such as \"Token "
                      "abc\"");
    }
    return KWM_OK;
}
