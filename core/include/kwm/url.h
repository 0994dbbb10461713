/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/url.h
 * @brief Splits an https URL and makes the Authorization value, with KWDB's rules for credentials.
 */
#ifndef KWM_URL_H
#define KWM_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/err.h"
#include "hal/net.h"
#include "kwm/line.h"

#define KWM_URL_TARGET_LEN_MAX 255U
#define KWM_AUTHORIZATION_LEN_MAX 255U

/** Where requests go. All texts NUL-terminated. */
struct kwm_endpoint {
    char host[HAL_NET_HOST_LEN_MAX + 1];     /**< without brackets */
    char target[KWM_URL_TARGET_LEN_MAX + 1]; /**< path and query, begins with / */
    uint16_t port;
    bool is_secure;           /**< https */
    bool is_ipv6;             /**< host is an IPv6 address: the Host header needs brackets */
    bool has_port;            /**< the URL named a port: the Host header carries it */
    enum kwm_dialect dialect; /**< by path: /restapi/telegraf is kwdb, any other influx */
};

/**
 * @param[out] reason a sentence that says what is wrong and what is allowed; set on error.
 * @return KWM_OK or KWM_ERR_INVAL (not http(s), user info or fragment in it, no host, bad port,
 *         control characters or spaces, too long, /restapi/influxdb, telegraf without ?db=).
 */
KWM_NODISCARD int kwm_url_parse(struct kwm_endpoint *endpoint, const char *url, size_t len,
                                const char **reason);

/**
 * "Basic " + base64(user:password) in the exact form KWDB reads: standard alphabet, padded, one
 * space.
 * @param[out] reason as above.
 * @return length without the NUL, or KWM_ERR_INVAL: user or password empty, ':' in either, base64
 * text that consists of hex digits only (KWDB reads that as a token), too long.
 */
KWM_NODISCARD int kwm_authorization(char *out, size_t cap, const char *user, const char *password,
                                    const char **reason);

/** Check a ready-made Authorization value by the same rules. @return KWM_OK or KWM_ERR_INVAL. */
KWM_NODISCARD int kwm_authorization_check(const char *value, enum kwm_dialect dialect,
                                          const char **reason);

#endif
