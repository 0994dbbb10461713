/* SPDX-License-Identifier: MIT */
#include "config_json.h"

#include "cJSON.h"

/* cJSON's hooks take no context. Set during a parse only. */
static struct kwm_config_arena *hook_arena;

static void *CJSON_CDECL hook_alloc(size_t len)
{
    return kwm_config_arena_scratch(hook_arena, len);
}

static void CJSON_CDECL hook_free(void *memory)
{
    (void)memory; /* the whole scratch is released at once */
}

const struct cJSON *kwm_config_json_parse(struct kwm_config_arena *arena, const char *text,
                                          size_t len)
{
    cJSON_Hooks hooks = {.malloc_fn = hook_alloc, .free_fn = hook_free};
    hook_arena = arena;
    cJSON_InitHooks(&hooks);
    const struct cJSON *root = cJSON_ParseWithLength(text, len);
    cJSON_InitHooks(NULL);
    hook_arena = NULL;
    return root;
}

enum kwm_config_json_kind kwm_config_json_kind(const struct cJSON *node)
{
    if (cJSON_IsObject(node)) {
        return KWM_CONFIG_JSON_OBJECT;
    }
    if (cJSON_IsArray(node)) {
        return KWM_CONFIG_JSON_ARRAY;
    }
    if (cJSON_IsString(node)) {
        return KWM_CONFIG_JSON_STRING;
    }
    if (cJSON_IsNumber(node)) {
        return KWM_CONFIG_JSON_NUMBER;
    }
    return cJSON_IsBool(node) ? KWM_CONFIG_JSON_BOOL : KWM_CONFIG_JSON_NULL;
}

const struct cJSON *kwm_config_json_first(const struct cJSON *node)
{
    return node->child;
}

const struct cJSON *kwm_config_json_next(const struct cJSON *node)
{
    return node->next;
}

const char *kwm_config_json_key(const struct cJSON *node)
{
    return node->string;
}

const char *kwm_config_json_string(const struct cJSON *node)
{
    return node->valuestring;
}

double kwm_config_json_number(const struct cJSON *node)
{
    return node->valuedouble;
}

bool kwm_config_json_bool(const struct cJSON *node)
{
    return cJSON_IsTrue(node);
}
