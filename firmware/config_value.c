/* SPDX-License-Identifier: MIT */
#include "config_value.h"

#include <stdbool.h>
#include <string.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_MAX (INT64_C(400) * 86400 * 1000 * NS_PER_MS)
#define SIZE_LIMIT (INT64_C(1) << 50)

static const char not_a_duration[] = "not a duration: allowed are such as \"10s\", \"1m30s\", "
                                     "\"500ms\", \"1h\", or a number of seconds";
static const char too_fine[] = "finer than a millisecond";
static const char too_long[] = "longer than 400 days";

struct unit {
    const char *name;
    int64_t factor;
};

/* Names are compared whole, so that the order does not matter. */
static const struct unit times[] = {
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000},
    {"ms", NS_PER_MS},
    {"s", 1000 * NS_PER_MS},
    {"m", 60 * 1000 * NS_PER_MS},
    {"h", 3600 * 1000 * NS_PER_MS},
    {"d", 86400 * 1000 * NS_PER_MS},
    {NULL, 0},
};

static const struct unit sizes[] = {
    {"B", 1},      {"KB", 1000},         {"MB", 1000 * 1000},         {"GB", 1000 * 1000 * 1000},
    {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024 * 1024 * 1024}, {NULL, 0},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t count_digits(const char *text, size_t len)
{
    size_t count = 0;
    while (count < len && is_digit(text[count])) {
        count++;
    }
    return count;
}

static size_t count_letters(const char *text, size_t len)
{
    size_t count = 0;
    while (count < len && !is_digit(text[count]) && text[count] != '.') {
        count++;
    }
    return count;
}

/* @return the factor of a unit, 0 if there is none of this name. */
static int64_t find_unit(const struct unit *units, const char *name, size_t len)
{
    for (; units->name != NULL; units++) {
        if (strlen(units->name) == len && memcmp(units->name, name, len) == 0) {
            return units->factor;
        }
    }
    return 0;
}

/* Whole number of len digits times factor. @return -1 if over the limit. */
static int64_t scale(const char *digits, size_t len, int64_t factor, int64_t limit)
{
    int64_t number = 0;
    for (size_t i = 0; i < len; i++) {
        number = number * 10 + (digits[i] - '0');
        if (number > limit / factor) {
            return -1;
        }
    }
    return number * factor;
}

/* Digits behind the point. @return -1 if finer than a nanosecond. */
static int64_t scale_fraction(const char *digits, size_t len, int64_t factor)
{
    int64_t sum = 0;
    for (size_t i = 0; i < len; i++) {
        if (digits[i] != '0' && (factor == 0 || factor % 10 != 0)) {
            return -1;
        }
        factor /= 10;
        sum += (digits[i] - '0') * factor;
    }
    return sum;
}

/* One part such as "1.5h". @return bytes read, or 0 with a reason. */
static size_t read_part(const char *text, size_t len, int64_t *ns, const char **reason)
{
    const size_t whole = count_digits(text, len);
    const bool has_point = whole < len && text[whole] == '.';
    const size_t point = has_point ? 1 : 0;
    const size_t fraction = count_digits(text + whole + point, len - whole - point);
    const size_t number_len = whole + point + fraction;
    const size_t unit_len = count_letters(text + number_len, len - number_len);
    const bool is_bare = unit_len == 0 && number_len == len;
    const int64_t factor =
        is_bare ? 1000 * NS_PER_MS : find_unit(times, text + number_len, unit_len);
    *reason = not_a_duration;
    if (whole == 0 || (has_point && fraction == 0) || factor == 0) {
        return 0;
    }
    const int64_t big = scale(text, whole, factor, NS_MAX);
    const int64_t small = scale_fraction(text + whole + point, fraction, factor);
    if (big < 0 || small < 0) {
        *reason = big < 0 ? too_long : too_fine;
        return 0;
    }
    *ns = big + small;
    return number_len + unit_len;
}

int kwm_config_value_duration(const char *text, size_t len, int64_t *ms, const char **reason)
{
    int64_t sum_ns = 0;
    size_t off = 0;
    *reason = not_a_duration;
    if (len == 0) {
        return KWM_ERR_INVAL;
    }
    /* A number without unit is seconds only when it is all there is: "1m30" is refused. */
    const bool has_no_unit = is_digit(text[len - 1]);
    while (off < len) {
        int64_t ns = 0;
        const size_t step = read_part(text + off, len - off, &ns, reason);
        if (step == 0) {
            return KWM_ERR_INVAL;
        }
        if (has_no_unit && step < len) {
            *reason = not_a_duration;
            return KWM_ERR_INVAL;
        }
        off += step;
        sum_ns += ns;
        if (sum_ns > NS_MAX) {
            *reason = too_long;
            return KWM_ERR_INVAL;
        }
    }
    if (sum_ns % NS_PER_MS != 0) {
        *reason = too_fine;
        return KWM_ERR_INVAL;
    }
    *ms = sum_ns / NS_PER_MS;
    return KWM_OK;
}

int kwm_config_value_seconds(double seconds, int64_t *ms, const char **reason)
{
    const double limit_s = (double)(NS_MAX / NS_PER_MS / 1000);
    if (!(seconds >= 0.0)) {
        *reason = "a duration is not negative";
        return KWM_ERR_INVAL;
    }
    if (seconds > limit_s) {
        *reason = too_long;
        return KWM_ERR_INVAL;
    }
    *ms = (int64_t)(seconds * 1000.0 + 0.5);
    const double rest = seconds * 1000.0 - (double)*ms;
    if (rest > 1e-4 || rest < -1e-4) {
        *reason = too_fine;
        return KWM_ERR_INVAL;
    }
    return KWM_OK;
}

int kwm_config_value_size(const char *text, size_t len, int64_t *bytes, const char **reason)
{
    const size_t whole = count_digits(text, len);
    const int64_t factor = whole == len ? 1 : find_unit(sizes, text + whole, len - whole);
    if (whole == 0 || factor == 0) {
        *reason = "not a size: allowed are such as \"10MB\", \"64KiB\", or a number of bytes";
        return KWM_ERR_INVAL;
    }
    *bytes = scale(text, whole, factor, SIZE_LIMIT);
    if (*bytes < 0) {
        *reason = "too large a size";
        return KWM_ERR_INVAL;
    }
    return KWM_OK;
}

/* The largest of the units that divides it. */
static void append_in(struct kwm_text *text, int64_t value, const struct unit *units, size_t count)
{
    size_t at = 0;
    while (at + 1 < count && (value == 0 || value % units[at].factor != 0)) {
        at++;
    }
    kwm_text_append_int(text, value / units[at].factor);
    kwm_text_append(text, units[at].name);
}

void kwm_config_value_append_duration(struct kwm_text *text, int64_t ms)
{
    static const struct unit units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    if (ms == 0) {
        kwm_text_append(text, "0s");
        return;
    }
    append_in(text, ms, units, sizeof(units) / sizeof(units[0]));
}

void kwm_config_value_append_size(struct kwm_text *text, int64_t bytes)
{
    static const struct unit units[] = {
        {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};
    append_in(text, bytes, units, sizeof(units) / sizeof(units[0]));
}
