/* SPDX-License-Identifier: MIT */
/* Goal:   what one line of the workload `env` costs: measurement env, tags host and site, three
 *         fixed-point floats of scale 2 or 3, one integer, a stamp of 13 digits.
 * Method: the encoder, snprintf of doubles with the same digits, and memcpy of the finished line,
 *         over the same 1024 lines; the median of rounds that take turns, after one that is not
 *         counted.
 *
 *   bench_encode                            print `key value` lines
 *   bench_encode --mode M --lines N         only encode N lines by kwm, snprintf or memcpy: under
 *                                           callgrind, the difference of two N is the lines' own
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kwm/line.h"

#define LINES 1024U /* different ones */
#define LINE_CAP 256U
#define ROUNDS 31U
#define LINES_PER_ROUND (16U * LINES)
#define FIELDS 4U
#define STAMP_MS 1790000000000

struct line {
    struct hal_value values[FIELDS];
    double numbers[FIELDS - 1U]; /* the same as doubles */
    int64_t stamp_ms;
    size_t len;
    char text[LINE_CAP];
};

static uint8_t decl_bytes[256];
static uint8_t template[512];
static struct kwm_line_losses losses;
static struct line lines[LINES];
static char out[LINE_CAP];
/* Where no compiler can see that these are the arrays above, as in the agent. */
static char *volatile hidden_out = out;
static uint8_t *volatile hidden_template = template;

static const unsigned scales[FIELDS - 1U] = {3, 2, 2};
static const int64_t powers[FIELDS - 1U] = {1000, 100, 100};

static size_t print_line(const struct line *line)
{
    const double *const x = line->numbers;
    return (size_t)snprintf(
        out, sizeof(out),
        "%s,host='%s',site='%s' temp=%.3f,hum=%.2f,pressure=%.2f,count=%" PRId64 "i %" PRId64,
        "env", "gw-17", "plant-3", x[0], x[1], x[2], line->values[3].i, line->stamp_ms);
}

static size_t by_kwm(unsigned long count)
{
    size_t total = 0;
    char *const to = hidden_out;
    const uint8_t *const from = hidden_template;
    for (unsigned long i = 0; i < count; i++) {
        const struct line *const line = &lines[i % LINES];
        total += (size_t)kwm_line_encode(to, LINE_CAP, from, line->values, line->stamp_ms, &losses);
    }
    return total;
}

static size_t by_snprintf(unsigned long count)
{
    size_t total = 0;
    for (unsigned long i = 0; i < count; i++) {
        total += print_line(&lines[i % LINES]);
    }
    return total;
}

static size_t by_memcpy(unsigned long count)
{
    size_t total = 0;
    for (unsigned long i = 0; i < count; i++) {
        const struct line *const line = &lines[i % LINES];
        memcpy(out, line->text, line->len);
        total += line->len;
    }
    return total;
}

/** Each makes so many lines and says how many bytes they had. */
static const struct mode {
    const char *name;
    size_t (*make)(unsigned long count);
} modes[] = {{"kwm", by_kwm}, {"snprintf", by_snprintf}, {"memcpy", by_memcpy}};

#define MODES (sizeof(modes) / sizeof(modes[0]))

static struct hal_text text_of(const char *s)
{
    return (struct hal_text){s, (uint16_t)strlen(s)};
}

static void add_field(struct kwm_decl_builder *builder, const char *name, uint8_t kind,
                      unsigned scale)
{
    const struct kwm_decl_field field = {text_of(name), kind, (uint8_t)scale};
    kwm_decl_build_field(builder, &field);
}

static int make_template(void)
{
    struct kwm_decl_builder builder;
    struct kwm_decl decl;
    kwm_decl_build(&builder, decl_bytes, sizeof(decl_bytes), text_of("env"));
    kwm_decl_build_tag(&builder,
                       &(struct kwm_decl_tag){text_of("host"), text_of("gw-17"), HAL_TAG_PRIMARY});
    kwm_decl_build_tag(
        &builder, &(struct kwm_decl_tag){text_of("site"), text_of("plant-3"), HAL_TAG_CONSTANT});
    add_field(&builder, "temp", HAL_KIND_FIXED, scales[0]);
    add_field(&builder, "hum", HAL_KIND_FIXED, scales[1]);
    add_field(&builder, "pressure", HAL_KIND_FIXED, scales[2]);
    add_field(&builder, "count", HAL_KIND_INT, 0);
    const int len = kwm_decl_build_end(&builder);
    const int err = len < 0 ? len : kwm_decl_parse(&decl, decl_bytes, (size_t)len);
    return err != KWM_OK
               ? err
               : kwm_line_template(template, sizeof(template), KWM_DIALECT_KWDB, &decl, &losses);
}

/** A step of a random walk that turns back at the bounds. */
static int64_t walk(int64_t now, int64_t step_max, int64_t min, int64_t max)
{
    static uint32_t state = 1;
    state = state * 1664525U + 1013904223U;
    const int64_t next = now + (int64_t)(state >> 16) % (2 * step_max + 1) - step_max;
    return next < min || next > max ? now : next;
}

static void make_values(void)
{
    int64_t now[FIELDS] = {21437, 4512, 101325, 123456};
    for (unsigned i = 0; i < LINES; i++) {
        struct line *const line = &lines[i];
        now[0] = walk(now[0], 50, -20000, 45000);
        now[1] = walk(now[1], 20, 500, 9900);
        now[2] = walk(now[2], 20, 97000, 104000);
        now[3] += 17;
        for (unsigned f = 0; f < FIELDS - 1U; f++) {
            line->values[f] = (struct hal_value){
                .kind = HAL_KIND_FIXED, .scale = (uint8_t)scales[f], .i = now[f]};
            line->numbers[f] = (double)now[f] / (double)powers[f];
        }
        line->values[3] = (struct hal_value){.kind = HAL_KIND_INT, .i = now[3]};
        line->stamp_ms = STAMP_MS + (int64_t)i * 1000;
    }
}

/** @return whether the encoder and snprintf agree on all lines. */
static bool make_lines(void)
{
    for (unsigned i = 0; i < LINES; i++) {
        struct line *const line = &lines[i];
        const int len =
            kwm_line_encode(out, sizeof(out), template, line->values, line->stamp_ms, &losses);
        if (len <= 0) {
            fprintf(stderr, "line %u: the encoder answers %d\n", i, len);
            return false;
        }
        line->len = (size_t)len;
        memcpy(line->text, out, line->len);
        if (print_line(line) != line->len || memcmp(out, line->text, line->len) != 0) {
            fprintf(stderr, "line %u: the encoder made\n%.*s\nand snprintf\n%s\n", i,
                    (int)line->len, line->text, out);
            return false;
        }
    }
    return true;
}

static double now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static int measure(void)
{
    static double ns[MODES][ROUNDS];
    size_t total = 0;
    for (unsigned round = 0; round <= ROUNDS; round++) {
        for (size_t m = 0; m < MODES; m++) {
            const double begin_ns = now_ns();
            total += modes[m].make(LINES_PER_ROUND);
            const double line_ns = (now_ns() - begin_ns) / (double)LINES_PER_ROUND;
            if (round > 0) {
                ns[m][round - 1U] = line_ns;
            }
        }
    }
    for (size_t m = 0; m < MODES; m++) {
        qsort(ns[m], ROUNDS, sizeof(ns[m][0]), compare);
    }
    const double bytes = (double)total / (double)((ROUNDS + 1U) * MODES * LINES_PER_ROUND);
    printf("encode.bytes_per_line %.1f\n", bytes);
    printf("encode.ns_per_line %.2f\n", ns[0][ROUNDS / 2U]);
    printf("encode.ns_per_line_snprintf %.2f\n", ns[1][ROUNDS / 2U]);
    printf("encode.ns_per_line_memcpy %.2f\n", ns[2][ROUNDS / 2U]);
    printf("encode.times_faster_than_snprintf %.1f\n", ns[1][ROUNDS / 2U] / ns[0][ROUNDS / 2U]);
    return 0;
}

static int run_mode(const char *name, const char *text)
{
    char *end;
    const unsigned long count = strtoul(text, &end, 10);
    for (size_t m = 0; m < MODES && *end == '\0'; m++) {
        if (strcmp(modes[m].name, name) == 0) {
            return modes[m].make(count) > 0 || count == 0 ? 0 : 1;
        }
    }
    return -1;
}

int main(int argc, char **argv)
{
    if (make_template() <= 0) {
        fputs("no template\n", stderr);
        return 1;
    }
    make_values();
    if (!make_lines()) {
        return 1;
    }
    int rc = -1;
    if (argc == 1) {
        rc = measure();
    } else if (argc == 5 && strcmp(argv[1], "--mode") == 0 && strcmp(argv[3], "--lines") == 0) {
        rc = run_mode(argv[2], argv[4]);
    }
    if (rc < 0) {
        fputs("usage: bench_encode [--mode kwm|snprintf|memcpy --lines N]\n", stderr);
        return 2;
    }
    return rc;
}
