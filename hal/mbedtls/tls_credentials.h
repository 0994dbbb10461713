/* SPDX-License-Identifier: MIT */
/**
 * @file mbedtls/tls_credentials.h
 * @brief The configuration of a TLS client, and what its PEM texts are turned into.
 *
 * Memory:  the caller owns the structs; parsed certificates and keys lie in tls_heap.
 * Context: main loop only.   Bounds: linear in the texts.
 */
#ifndef TLS_CREDENTIALS_H
#define TLS_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

#include "hal/clock.h"
#include "hal/entropy.h"
#include "hal/err.h"
#include "mbedtls/tls_text.h"

#define TLS_DIGEST_LEN 32U

/** PEM texts are NUL-terminated and only read during the call that gets this; "" or NULL is none.
 *  */
struct tls_config {
    const char *ca_pem;       /**< one root or more; needed unless insecure_skip_verify */
    const char *ca_name;      /**< what messages call it: "tls_ca", a path; stays valid */
    const char *cert_pem;     /**< client certificate, its intermediates after it */
    const char *key_pem;      /**< its key; needed with cert_pem */
    const char *key_password; /**< for an encrypted key, where the library is built to read one */
    const char *server_name;  /**< verified and sent instead of the peer's host; stays valid */
    bool allow_tls13;         /**< beside 1.2; ignored where the library is built without it */
    bool require_tls13;
    bool insecure_skip_verify; /**< any certificate will do: net.info.is_secure stays false and
                                    net.detail says so while connected */
    struct hal_wall_source wall;
    struct hal_entropy *entropy;
};

/** What a configuration is turned into. */
struct tls_credentials {
    mbedtls_x509_crt roots;
    mbedtls_x509_crt cert; /**< the client's, if has_cert */
    mbedtls_pk_context key;
    unsigned root_count;
    unsigned root_skipped; /**< certificates in ca_pem that could not be read */
    bool has_cert;
    uint8_t digest[TLS_DIGEST_LEN]; /**< of all that decides whom we trust and who we are */
};

/**
 * Parse the texts of a configuration.
 * @param random seeded if config has a key.
 * @param text   begun; gets the sentence of a failure.
 * @return KWM_OK, and credentials are to be freed; or KWM_ERR_INVAL or KWM_ERR_NOSPC (heap) and
 *         nothing is to be freed.
 */
KWM_NODISCARD int tls_credentials_init(struct tls_credentials *credentials,
                                       const struct tls_config *config,
                                       mbedtls_ctr_drbg_context *random, struct tls_text *text);

void tls_credentials_free(struct tls_credentials *credentials);

#endif
