/* SPDX-License-Identifier: MIT */
#include "config_expand.h"

#include <string.h>

static bool is_name_char(char c, bool is_first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!is_first && c >= '0' && c <= '9');
}

static int fail(struct kwm_config_expand *expand, const char *reason)
{
    expand->reason = reason;
    return KWM_ERR_INVAL;
}

/* Copies the name that begins here. @return its length, 0 if it is none or too long. */
static size_t read_name(struct kwm_config_expand *expand, const char *text)
{
    size_t len = 0;
    while (len < KWM_CONFIG_VARIABLE_LEN_MAX && is_name_char(text[len], len == 0)) {
        expand->variable[len] = text[len];
        len++;
    }
    expand->variable[len] = '\0';
    return is_name_char(text[len], false) ? 0 : len;
}

/* One variable; text is behind its ${. @return where the text goes on, or NULL. */
static const char *put_variable(struct kwm_config_expand *expand, struct kwm_text *out,
                                const struct kwm_config_env *env, const char *text)
{
    const size_t name_len = read_name(expand, text);
    const char *rest = text + name_len;
    const char *end = strchr(rest, '}');
    const bool has_default = strncmp(rest, ":-", 2) == 0;
    if (name_len == 0 || end == NULL || (!has_default && end != rest)) {
        expand->variable[0] = '\0';
        (void)fail(expand,
                   "after ${ a variable is expected, as in ${NAME} or ${NAME:-default}; write "
                   "$${ for a plain ${");
        return NULL;
    }
    const char *value = env->getenv != NULL ? env->getenv(env->ctx, expand->variable) : NULL;
    if (has_default && (value == NULL || value[0] == '\0')) {
        kwm_text_append_bytes(out, rest + 2, (size_t)(end - rest) - 2);
    } else if (value != NULL) {
        kwm_text_append(out, value);
    } else {
        (void)fail(expand, "is not set; set it, or give a default as in ${NAME:-default}");
        return NULL;
    }
    expand->has_variable = true;
    return end + 1;
}

int kwm_config_expand(struct kwm_config_expand *expand, struct kwm_text *out,
                      const struct kwm_config_env *env, const char *text)
{
    *expand = (struct kwm_config_expand){.reason = ""};
    while (text[0] != '\0') {
        if (strncmp(text, "$${", 3) == 0) {
            kwm_text_append(out, "${");
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            text = put_variable(expand, out, env, text + 2);
            if (text == NULL) {
                return KWM_ERR_INVAL;
            }
        } else {
            kwm_text_append_char(out, *text++);
        }
    }
    return KWM_OK;
}
