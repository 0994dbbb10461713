/* SPDX-License-Identifier: MIT */
#include "config_sample.h"

#include <string.h>

#include "config_tables.h"
#include "hal/assert.h"
#include "kwm/text.h"

#define LINE_LEN_MAX 511U

struct writer {
    void (*put)(void *ctx, const char *text, size_t len);
    void *ctx;
    unsigned indent;   /* of the next line, in steps of two blanks */
    bool is_commented; /* the lines stand behind // */
    struct kwm_text line;
    char buffer[LINE_LEN_MAX + 1];
};

/* An option whose default cannot stand in a document, or is no good example. */
struct example {
    const char *key;
    const char *value; /* JSON */
    bool is_active;    /* else it stands behind // */
};

static const struct example agent_examples[] = {
    {"spool", "{ \"size\": \"4MB\" }", false},
    {NULL, NULL, false},
};

static const struct example http_examples[] = {
    {"url", "\"https://kwdb.example:8080/restapi/telegraf?db=db1\"", true},
    {"urls",
     "[\"https://kwdb-1.example:8080/restapi/telegraf?db=db1\", "
     "\"https://kwdb-2.example:8080/restapi/telegraf?db=db1\"]",
     false},
    {"dialect", "\"kwdb\"", false},
    {"username", "\"kwmote\"", true},
    {"password", "\"${KWDB_PASSWORD:-change-me}\"", true},
    {"password_file", "\"/etc/kwmote/password\"", false},
    {"headers", "{ \"Authorization\": \"Basic a3dtb3RlOmNoYW5nZS1tZQ==\" }", false},
    {NULL, NULL, false},
};

static const struct example no_examples[] = {{NULL, NULL, false}};

/* ---- lines ----------------------------------------------------------------------------------- */

static struct kwm_text *begin(struct writer *writer)
{
    kwm_text_init(&writer->line, writer->buffer, sizeof(writer->buffer));
    for (unsigned i = 0; i < writer->indent; i++) {
        kwm_text_append(&writer->line, "  ");
    }
    if (writer->is_commented) {
        kwm_text_append(&writer->line, "// ");
    }
    return &writer->line;
}

static void end(struct writer *writer)
{
    kwm_text_append_char(&writer->line, '\n');
    KWM_ASSERT(!writer->line.is_cut); /* a table with a longer text needs a longer line */
    writer->put(writer->ctx, writer->line.out, writer->line.len);
}

static void put_line(struct writer *writer, const char *text)
{
    kwm_text_append(begin(writer), text);
    end(writer);
}

/* A line that explains, wherever it stands. */
static void put_remark(struct writer *writer, const char *text)
{
    struct kwm_text *line = begin(writer);
    kwm_text_append(line, "// ");
    kwm_text_append(line, text);
    end(writer);
}

static void put_help(struct writer *writer, const char *help)
{
    if (help[0] != '\0') {
        put_remark(writer, help);
    }
}

static void put_open(struct writer *writer, const char *key)
{
    struct kwm_text *line = begin(writer);
    kwm_text_append_char(line, '"');
    kwm_text_append(line, key);
    kwm_text_append(line, "\": {");
    end(writer);
    writer->indent++;
}

static void put_blank(struct writer *writer)
{
    writer->put(writer->ctx, "\n", 1);
}

static void put_close(struct writer *writer, bool is_last)
{
    writer->indent--;
    put_line(writer, is_last ? "}" : "},");
}

/* ---- options --------------------------------------------------------------------------------- */

static const struct example *find_example(const struct example *examples, const char *key)
{
    KWM_ASSERT(key != NULL);
    while (examples->key != NULL && strcmp(examples->key, key) != 0) {
        examples++;
    }
    return examples->key != NULL ? examples : NULL;
}

/* Whether the default means "not given", and so may not be written down. */
static bool is_unwritable(const struct hal_option_def *def)
{
    static const char *const nothing[] = {"\"\"", "\"0s\"", "0"};
    bool is_nothing = def->kind == HAL_OPTION_OBJECTS;
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        is_nothing = is_nothing || strcmp(def->fallback, nothing[i]) == 0;
    }
    return is_nothing && (def->min > 0 || def->choices != NULL);
}

static bool is_active(const struct hal_option_def *def, const struct example *example)
{
    if (example != NULL) {
        return example->is_active;
    }
    return def->fallback == NULL || !is_unwritable(def);
}

/* A value of the right kind, for options that need one. */
static void append_placeholder(struct kwm_text *line, const struct hal_option_def *def)
{
    if (def->kind == HAL_OPTION_BOOL) {
        kwm_text_append(line, "true");
    } else if (def->kind == HAL_OPTION_INT) {
        kwm_text_append_int(line, def->min);
    } else if (def->kind == HAL_OPTION_DURATION) {
        kwm_text_append(line, "\"10s\"");
    } else {
        const char *text = def->choices != NULL ? def->choices[0] : "...";
        const bool is_list = def->kind == HAL_OPTION_STRINGS;
        kwm_text_append(line, is_list ? "[\"" : "\"");
        kwm_text_append(line, text);
        kwm_text_append(line, is_list ? "\"]" : "\"");
    }
}

static bool has_default(const struct hal_option_def *def)
{
    return def->fallback != NULL && !is_unwritable(def);
}

/* What members there are, each with its default. */
static void put_members(struct writer *writer, const struct hal_option_def *members)
{
    for (; members->key != NULL; members++) {
        struct kwm_text *line = begin(writer);
        kwm_text_append(line, "//   ");
        kwm_text_append(line, members->key);
        kwm_text_append(line, ": ");
        kwm_text_append(line, members->help);
        if (has_default(members)) {
            kwm_text_append(line, " (default ");
            kwm_text_append(line, members->fallback);
            kwm_text_append_char(line, ')');
        }
        end(writer);
    }
}

/* An array of one object, with the members that it must have. */
static void append_object(struct kwm_text *line, const struct hal_option_def *members)
{
    bool is_first = true;
    kwm_text_append(line, "[{");
    for (; members->key != NULL; members++) {
        if (members->fallback != NULL) {
            continue;
        }
        kwm_text_append(line, is_first ? " \"" : ", \"");
        kwm_text_append(line, members->key);
        kwm_text_append(line, "\": ");
        append_placeholder(line, members);
        is_first = false;
    }
    kwm_text_append(line, " }]");
}

static void put_option(struct writer *writer, const struct hal_option_def *def,
                       const struct example *example, bool is_last)
{
    const bool was_commented = writer->is_commented;
    put_help(writer, def->help);
    if (def->kind == HAL_OPTION_OBJECTS && example == NULL) {
        put_members(writer, def->members);
    }
    writer->is_commented = was_commented || !is_active(def, example);
    struct kwm_text *line = begin(writer);
    kwm_text_append_char(line, '"');
    kwm_text_append(line, def->key);
    kwm_text_append(line, "\": ");
    if (example != NULL) {
        kwm_text_append(line, example->value);
    } else if (has_default(def)) {
        kwm_text_append(line, def->fallback);
    } else if (def->kind == HAL_OPTION_OBJECTS) {
        append_object(line, def->members);
    } else {
        append_placeholder(line, def);
    }
    kwm_text_append(line, is_last ? "" : ",");
    end(writer);
    writer->is_commented = was_commented;
}

/* Options, at least one. The last active line comes last, so that all before it have a comma. */
static void put_options(struct writer *writer, const struct hal_option_def *defs,
                        const struct example *examples)
{
    size_t last = 0;
    bool has_active = false;
    for (size_t i = 0; defs[i].key != NULL; i++) {
        const bool is_this = is_active(&defs[i], find_example(examples, defs[i].key));
        if (is_this || !has_active) {
            last = i;
        }
        has_active = has_active || is_this;
    }
    for (size_t i = 0; defs[i].key != NULL; i++) {
        if (i != last) {
            put_option(writer, &defs[i], find_example(examples, defs[i].key), false);
        }
    }
    put_option(writer, &defs[last], find_example(examples, defs[last].key), true);
}

/* ---- sections -------------------------------------------------------------------------------- */

static bool has_required(const struct hal_input_def *input)
{
    for (const struct hal_option_def *def = input->options; def->key != NULL; def++) {
        if (def->fallback == NULL) {
            return true;
        }
    }
    return false;
}

static void put_input(struct writer *writer, const struct hal_input_def *input, bool is_last)
{
    put_help(writer, input->help);
    if (input->options[0].key == NULL) {
        struct kwm_text *line = begin(writer);
        kwm_text_append_char(line, '"');
        kwm_text_append(line, input->name);
        kwm_text_append(line, is_last ? "\": {}" : "\": {},");
        end(writer);
        return;
    }
    put_open(writer, input->name);
    put_options(writer, input->options, no_examples);
    put_close(writer, is_last);
}

/* Inputs that cannot work without being told something stand behind //. */
static void put_inputs(struct writer *writer, const struct hal_input_def *inputs)
{
    size_t last = 0;
    bool has_ready = false;
    for (size_t i = 0; inputs[i].name != NULL; i++) {
        if (!has_required(&inputs[i])) {
            last = i;
            has_ready = true;
        }
    }
    for (size_t i = 0; inputs[i].name != NULL; i++) {
        if (i != last) {
            writer->is_commented = !has_ready || has_required(&inputs[i]);
            put_input(writer, &inputs[i], false);
            writer->is_commented = false;
        }
    }
    if (inputs[0].name != NULL) {
        put_input(writer, &inputs[last], true);
    }
}

static void put_shared(struct writer *writer)
{
    put_remark(writer, "What is collected. Several of one kind: \"file\": [ {...}, {...} ]. Each "
                       "may also have");
    for (const struct hal_option_def *def = kwm_config_input_defs; def->key != NULL; def++) {
        struct kwm_text *line = begin(writer);
        kwm_text_append(line, "//   ");
        kwm_text_append(line, def->key);
        kwm_text_append(line, ": ");
        kwm_text_append(line, def->help);
        end(writer);
    }
}

void kwm_config_sample(const struct hal_input_def *inputs,
                       void (*put)(void *ctx, const char *text, size_t len), void *ctx)
{
    struct writer writer = {.put = put, .ctx = ctx};
    put_remark(&writer, "kwmote's configuration: JSON with // comments. Durations as \"10s\", "
                        "\"1m30s\", \"500ms\", sizes as");
    put_remark(&writer, "\"4MB\", \"64KiB\"; ${NAME} and ${NAME:-default} in strings come from the "
                        "environment. Check it with");
    put_remark(&writer, "`kwmote config check`. What stands here is the default, but for url, "
                        "username and password.");
    put_line(&writer, "{");
    writer.indent++;
    put_open(&writer, "agent");
    put_options(&writer, kwm_config_agent_defs, agent_examples);
    put_close(&writer, false);
    put_blank(&writer);
    put_remark(&writer, "Tags of all rows.");
    put_open(&writer, "global_tags");
    put_remark(&writer, "\"site\": \"plant-3\"");
    put_close(&writer, false);
    put_blank(&writer);
    put_remark(&writer, "Where the rows go.");
    put_open(&writer, "outputs");
    put_open(&writer, "http");
    put_options(&writer, kwm_config_http_defs, http_examples);
    put_close(&writer, true);
    put_close(&writer, false);
    put_blank(&writer);
    put_shared(&writer);
    put_open(&writer, "inputs");
    put_inputs(&writer, inputs);
    put_close(&writer, true);
    writer.indent--;
    put_line(&writer, "}");
}
