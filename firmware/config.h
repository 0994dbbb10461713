/* SPDX-License-Identifier: MIT */
/**
 * @file config.h
 * @brief The configuration as structs, and the reader that makes them from a JSON document.
 *
 * Names, defaults and notation are Telegraf's where Telegraf has them. Everything is checked before
 * anything runs: an unknown or duplicate key, a wrong type, a value out of range is an error with
 * its path in the document, line and column, the reason, and what is allowed; up to
 * KWM_CONFIG_ERRORS_MAX of them are reported at once. What works but is not wise is a warning in
 * the same form. Neither ever repeats a value of the document: it may be a secret.
 *
 * Memory:  the caller gives an arena, in which all texts and options live for as long as the
 *          configuration is used. The document may go when the reader returns.
 * Context: start-up and reload. Not reentrant: cJSON's allocation hooks, which point into the arena
 *          while the document is parsed, are one for the whole process.
 * Bounds:  document of KWM_CONFIG_LEN_MAX bytes, nesting of KWM_CONFIG_DEPTH_MAX, objects of
 *          KWM_CONFIG_KEYS_MAX keys.
 */
#ifndef KWM_CONFIG_H
#define KWM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/input.h"
#include "hal/value.h"
#include "kwm/uplink.h"
#include "kwm/url.h"

#define KWM_CONFIG_LEN_MAX 65536U
#define KWM_CONFIG_DEPTH_MAX 8U
#define KWM_CONFIG_KEYS_MAX 64U
#define KWM_CONFIG_INPUTS_MAX 32U
#define KWM_CONFIG_ERRORS_MAX 16U
#define KWM_CONFIG_WARNINGS_MAX 16U
#define KWM_CONFIG_TEXT_LEN_MAX 1024U   /* of one string after substitution */
#define KWM_CONFIG_HOSTNAME_LEN_MAX 64U /* the host tag's column is VARCHAR(64) */
#define KWM_CONFIG_ROW_LEN 100U         /* bytes of the queue for each row of metric_buffer_limit */

struct kwm_config_tag {
    struct hal_text key;
    struct hal_text value;
};

struct kwm_config_tags {
    const struct kwm_config_tag *list;
    uint8_t count;
};

struct kwm_config_input {
    const struct hal_input_def *def;
    const char *label;             /**< "inputs.cpu", "inputs.file[1]" */
    const char *alias;             /**< "" if none */
    uint32_t interval_ms;          /**< the agent's unless given */
    uint32_t collection_jitter_ms; /**< the same */
    uint32_t collection_offset_ms; /**< the same */
    struct kwm_config_tags tags; /**< "tags" of the input; one wins over a global tag of its name */
    const char *name_override;   /**< measurement instead of the schema's; "" if none */
    const struct hal_text *fieldinclude; /**< globs; empty: all */
    const struct hal_text *fieldexclude;
    uint16_t fieldinclude_count;
    uint16_t fieldexclude_count;
    struct hal_options options;
};

struct kwm_config_output {
    const struct kwm_endpoint *endpoints; /**< "url" or "urls" */
    uint8_t endpoint_count;               /**< 1..KWM_ENDPOINTS_MAX */
    enum kwm_dialect dialect;             /**< by the URLs' path unless "dialect" says otherwise */
    const char *authorization;            /**< finished header value; NULL if none */
    const char *user;                     /**< user name, for messages; "" if none or not known */
    bool use_token;                       /**< "auth": "token" */
    bool insecure_skip_verify;
    const char *headers;  /**< further headers, each with CR LF; "" */
    uint32_t timeout_ms;  /**< default 10 s */
    uint32_t idle_ms_max; /**< idle_conn_timeout, 0: none */
    const char *tls_ca, *tls_cert, *tls_key, *tls_key_pwd, *tls_server_name; /**< "" if none */
    bool tls_min_13; /**< tls_min_version TLS13 */
};

struct kwm_config {
    /* agent */
    uint32_t interval_ms;          /**< 10 s */
    bool round_interval;           /**< true */
    uint32_t collection_jitter_ms; /**< 0 */
    uint32_t collection_offset_ms; /**< 0 */
    uint32_t flush_interval_ms;    /**< 60 s: a request with a password costs KWDB 62 ms of CPU */
    uint32_t flush_jitter_ms;      /**< 0 */
    uint16_t metric_batch_size;    /**< lines in a request, 200 */
    uint32_t spool_len;   /**< bytes of the queue: "spool" size, or "metric_buffer_limit" rows
                                        of KWM_CONFIG_ROW_LEN (10000) */
    const char *hostname; /**< "" = the board's identity */
    bool omit_hostname;
    bool debug, quiet;
    const char *logfile; /**< "" = standard error */
    struct kwm_config_tags global_tags;
    struct kwm_config_output output;       /**< one for now */
    const struct kwm_config_input *inputs; /**< in the order of the document */
    uint8_t input_count;                   /**< 1..KWM_CONFIG_INPUTS_MAX */
    size_t arena_len_max; /**< most bytes of the arena in use at once, while reading */
};

/** One thing that is wrong, or not wise. The texts live in the arena or are static. */
struct kwm_config_error {
    const char *path;      /**< "outputs.http.url"; "" for the document itself */
    uint32_t line, column; /**< from 1, in characters; 0 if it has no place */
    const char *reason;    /**< what is wrong, what is allowed */
};

/** In the order of the document. */
struct kwm_config_errors {
    struct kwm_config_error list[KWM_CONFIG_ERRORS_MAX];
    struct kwm_config_error warnings[KWM_CONFIG_WARNINGS_MAX];
    uint8_t count;
    uint8_t warning_count;
    bool is_more; /**< there were more errors or warnings than fit */
};

/** What the reader needs from the board. */
struct kwm_config_env {
    const struct hal_input_def *inputs; /**< list of the board, ends with name NULL */
    /** ${NAME}: @return the value or NULL. NULL: the board has no environment. */
    const char *(*getenv)(void *ctx, const char *name);
    /** Read a whole file (password_file). @return bytes, or an error (KWM_ERR_NOSPC: longer than
     * cap). NULL: the board has no files. */
    int (*read_file)(void *ctx, const char *path, char *out, size_t cap);
    void *ctx;
};

/**
 * Read and check a document.
 * @param[out] config  valid only with KWM_OK.
 * @param[out] errors  errors and warnings; there may be warnings with KWM_OK.
 * @param document     changed in place (comments become blanks).
 * @return KWM_OK; KWM_ERR_INVAL with at least one error; KWM_ERR_NOSPC with at least one error,
 *         when the arena is too small.
 */
KWM_NODISCARD int kwm_config_read(struct kwm_config *config, struct kwm_config_errors *errors,
                                  const struct kwm_config_env *env, char *document, size_t len,
                                  uint8_t *arena, size_t arena_cap);

/**
 * Which tags an input's rows would carry twice, for KWDB has one list of columns for tags and
 * fields. The schemas are known only when the input's sensor was made, so this is asked afterwards.
 * @return the key of a tag of the input, or a global one, that the schema has as a tag or field of
 *         its own; NULL if there is none.
 */
const char *kwm_config_find_clash(const struct kwm_config *config,
                                  const struct kwm_config_input *input,
                                  const struct hal_schema *schema);

#endif
