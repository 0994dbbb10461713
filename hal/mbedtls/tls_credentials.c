/* SPDX-License-Identifier: MIT */
#include "mbedtls/tls_credentials.h"

#include <string.h>

#include <mbedtls/pem.h>
#include <mbedtls/sha256.h>

#include "hal/assert.h"
#include "mbedtls/tls_heap.h"

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/** Add text and its length, so that no two configurations read the same. */
static int digest_add(mbedtls_sha256_context *sha256, const char *text)
{
    const size_t len = text != NULL ? strlen(text) : 0;
    uint8_t head[8];
    for (size_t i = 0; i < sizeof(head); i++) {
        head[i] = (uint8_t)((uint64_t)len >> (8 * i));
    }
    int rc = mbedtls_sha256_update(sha256, head, sizeof(head));
    if (rc == 0 && len > 0) {
        rc = mbedtls_sha256_update(sha256, (const uint8_t *)text, len);
    }
    return rc;
}

static void digest_of(const struct tls_config *config, uint8_t *out)
{
    const char *flags[] = {config->allow_tls13 ? "+13" : "", config->require_tls13 ? "13" : "",
                           config->insecure_skip_verify ? "insecure" : ""};
    const char *const texts[] = {
        config->ca_pem, config->cert_pem, config->key_pem, config->server_name,
        flags[0],       flags[1],         flags[2]};
    mbedtls_sha256_context sha256;
    mbedtls_sha256_init(&sha256);
    int rc = mbedtls_sha256_starts(&sha256, 0);
    for (size_t i = 0; rc == 0 && i < sizeof(texts) / sizeof(texts[0]); i++) {
        rc = digest_add(&sha256, texts[i]);
    }
    if (rc == 0) {
        rc = mbedtls_sha256_finish(&sha256, out);
    }
    mbedtls_sha256_free(&sha256);
    KWM_ASSERT(rc == 0); /* in software it cannot fail */
}

static unsigned count_of(const mbedtls_x509_crt *list)
{
    unsigned count = 0;
    for (; list != NULL && list->raw.p != NULL; list = list->next) {
        count++;
    }
    return count;
}

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----"

static unsigned begin_count(const char *pem)
{
    unsigned count = 0;
    for (const char *at = strstr(pem, PEM_BEGIN); at != NULL; at = strstr(at + 1, PEM_BEGIN)) {
        count++;
    }
    return count;
}

/** Parse PEM certificates. @return how many could not be read, or an error with its sentence. */
static int parse_certs(mbedtls_x509_crt *out, const char *pem, const char *name,
                       struct tls_text *text)
{
    const int rc = mbedtls_x509_crt_parse(out, (const uint8_t *)pem, strlen(pem) + 1);
    const unsigned begun = begin_count(pem);
    /* A certificate without an end is passed over by the library: the file was cut. */
    const bool is_cut =
        rc == MBEDTLS_ERR_PEM_BAD_INPUT_DATA || (rc >= 0 && count_of(out) + (unsigned)rc != begun);
    if (rc >= 0 && !is_cut) {
        return rc;
    }
    tls_text_add(text, name);
    if (is_cut) {
        tls_text_add(text, " ends in the middle of a certificate");
    } else if (begun == 0) {
        tls_text_add(text, " has no certificate in it: PEM is needed, with a line " PEM_BEGIN);
    } else {
        tls_text_add(text, " has no certificate that can be read (");
        tls_text_add_code(text, rc);
        tls_text_add(text, ")");
    }
    return KWM_ERR_INVAL;
}

static int load_roots(struct tls_credentials *credentials, const struct tls_config *config,
                      struct tls_text *text)
{
    if (!is_set(config->ca_pem)) {
        if (config->insecure_skip_verify) {
            return KWM_OK;
        }
        tls_text_add(text, config->ca_name);
        tls_text_add(text, " is empty: without a CA no server can be trusted");
        return KWM_ERR_INVAL;
    }
    const int rc = parse_certs(&credentials->roots, config->ca_pem, config->ca_name, text);
    if (rc < 0) {
        return rc;
    }
    credentials->root_count = count_of(&credentials->roots);
    credentials->root_skipped = (unsigned)rc;
    return KWM_OK;
}

static void tell_key(struct tls_text *text, const char *key_pem, int rc)
{
    tls_text_add(text, "tls_key ");
    if (rc == MBEDTLS_ERR_PK_PASSWORD_MISMATCH) {
        tls_text_add(text, "cannot be decrypted with tls_key_pwd");
    } else if (strstr(key_pem, "ENCRYPTED") != NULL) {
        tls_text_add(text, "is encrypted in a way that is not supported: "
                           "write it without a password (openssl pkey -in KEY -out NEWKEY)");
    } else {
        tls_text_add(text, "cannot be read (");
        tls_text_add_code(text, rc);
        tls_text_add(text, ")");
    }
}

static int load_client(struct tls_credentials *credentials, const struct tls_config *config,
                       mbedtls_ctr_drbg_context *random, struct tls_text *text)
{
    const bool has_cert = is_set(config->cert_pem);
    if (!has_cert && !is_set(config->key_pem)) {
        return KWM_OK;
    }
    if (!has_cert || !is_set(config->key_pem)) {
        tls_text_add(text, has_cert ? "tls_cert is set without tls_key"
                                    : "tls_key is set without tls_cert");
        return KWM_ERR_INVAL;
    }
    const int skipped = parse_certs(&credentials->cert, config->cert_pem, "tls_cert", text);
    if (skipped < 0) {
        return skipped;
    }
    if (skipped > 0) {
        tls_text_add(text, "tls_cert has a certificate that cannot be read");
        return KWM_ERR_INVAL;
    }
    const char *password = is_set(config->key_password) ? config->key_password : NULL;
    int rc = mbedtls_pk_parse_key(&credentials->key, (const uint8_t *)config->key_pem,
                                  strlen(config->key_pem) + 1, (const uint8_t *)password,
                                  password != NULL ? strlen(password) : 0, mbedtls_ctr_drbg_random,
                                  random);
    if (rc != 0) {
        tell_key(text, config->key_pem, rc);
        return KWM_ERR_INVAL;
    }
    rc = mbedtls_pk_check_pair(&credentials->cert.pk, &credentials->key, mbedtls_ctr_drbg_random,
                               random);
    if (rc != 0) {
        tls_text_add(text, "tls_key is not the key of the certificate in tls_cert");
        return KWM_ERR_INVAL;
    }
    credentials->has_cert = true;
    return KWM_OK;
}

int tls_credentials_init(struct tls_credentials *credentials, const struct tls_config *config,
                         mbedtls_ctr_drbg_context *random, struct tls_text *text)
{
    const uint32_t failures = tls_heap_failures();
    *credentials = (struct tls_credentials){.root_count = 0};
    mbedtls_x509_crt_init(&credentials->roots);
    mbedtls_x509_crt_init(&credentials->cert);
    mbedtls_pk_init(&credentials->key);
    digest_of(config, credentials->digest);

    int rc = load_roots(credentials, config, text);
    if (rc == KWM_OK) {
        rc = load_client(credentials, config, random, text);
    }
    if (tls_heap_failures() != failures) {
        /* Whatever else was said, it is the consequence. */
        tls_text_init(text, text->out, text->cap);
        tls_text_add(text, "the certificates do not fit the TLS memory of ");
        tls_text_add_uint(text, tls_heap_len());
        tls_text_add(text, " bytes");
        rc = KWM_ERR_NOSPC;
    }
    if (rc != KWM_OK) {
        tls_credentials_free(credentials);
    }
    return rc;
}

void tls_credentials_free(struct tls_credentials *credentials)
{
    mbedtls_x509_crt_free(&credentials->roots);
    mbedtls_x509_crt_free(&credentials->cert);
    mbedtls_pk_free(&credentials->key);
}
