/* SPDX-License-Identifier: MIT */
/**
 * @file config_tables.h
 * @brief Which keys the firmware's own objects have: agent, outputs.http, and what inputs share.
 *
 * The tables say type, limits, default and help of each key (config_options.h reads by them,
 * config_sample.h writes by them), and which keys of Telegraf's are refused, and why.
 *
 * Memory:  constants.   Context: any.   Bounds: none.
 */
#ifndef KWM_CONFIG_TABLES_H
#define KWM_CONFIG_TABLES_H

#include "config_options.h"

/** Places of the options in the agent's table. */
enum kwm_config_agent_key {
    KWM_AGENT_INTERVAL,
    KWM_AGENT_ROUND_INTERVAL,
    KWM_AGENT_COLLECTION_JITTER,
    KWM_AGENT_COLLECTION_OFFSET,
    KWM_AGENT_FLUSH_INTERVAL,
    KWM_AGENT_FLUSH_JITTER,
    KWM_AGENT_BATCH_SIZE,
    KWM_AGENT_BUFFER_LIMIT,
    KWM_AGENT_SPOOL,
    KWM_AGENT_HOSTNAME,
    KWM_AGENT_OMIT_HOSTNAME,
    KWM_AGENT_DEBUG,
    KWM_AGENT_QUIET,
    KWM_AGENT_LOGFILE,
    KWM_AGENT_COUNT,
};

enum kwm_config_http_key {
    KWM_HTTP_URL,
    KWM_HTTP_URLS,
    KWM_HTTP_DIALECT,
    KWM_HTTP_USERNAME,
    KWM_HTTP_PASSWORD,
    KWM_HTTP_PASSWORD_FILE,
    KWM_HTTP_AUTH,
    KWM_HTTP_HEADERS,
    KWM_HTTP_TIMEOUT,
    KWM_HTTP_IDLE,
    KWM_HTTP_TLS_CA,
    KWM_HTTP_TLS_CERT,
    KWM_HTTP_TLS_KEY,
    KWM_HTTP_TLS_KEY_PWD,
    KWM_HTTP_TLS_SERVER_NAME,
    KWM_HTTP_TLS_MIN_VERSION,
    KWM_HTTP_SKIP_VERIFY,
    KWM_HTTP_COUNT,
};

/** What every input may have beside its own options. */
enum kwm_config_input_key {
    KWM_INPUT_INTERVAL,
    KWM_INPUT_COLLECTION_JITTER,
    KWM_INPUT_COLLECTION_OFFSET,
    KWM_INPUT_ALIAS,
    KWM_INPUT_TAGS,
    KWM_INPUT_NAME_OVERRIDE,
    KWM_INPUT_FIELDINCLUDE,
    KWM_INPUT_FIELDEXCLUDE,
    KWM_INPUT_COUNT,
};

extern const struct hal_option_def kwm_config_agent_defs[];
extern const struct hal_option_def kwm_config_http_defs[];
extern const struct hal_option_def kwm_config_input_defs[];

extern const struct kwm_config_foreign kwm_config_agent_foreign[];
extern const struct kwm_config_foreign kwm_config_http_foreign[];
extern const struct kwm_config_foreign kwm_config_input_foreign[];

/** Sections of a Telegraf document, and outputs, that we do not have. */
extern const struct kwm_config_foreign kwm_config_root_foreign[];
extern const struct kwm_config_foreign kwm_config_output_foreign[];

#endif
