/* SPDX-License-Identifier: MIT */
/**
 * @file mbedtls/tls_text.h
 * @brief Sentences about certificates in a fixed buffer, without stdio.
 *
 * What does not fit is cut off and ends in "...". The text is NUL-terminated after every call.
 * Bytes of a certificate that are not printable ASCII become '?': a message must not carry a
 * terminal's escape sequences.
 *
 * Memory:  the caller owns struct and buffer.   Context: any.   Bounds: linear in the bytes added.
 */
#ifndef TLS_TEXT_H
#define TLS_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include <mbedtls/x509_crt.h>

struct tls_text {
    char *out;
    size_t cap; /**< NUL included; at least 4 */
    size_t len;
};

void tls_text_init(struct tls_text *text, char *out, size_t cap);
void tls_text_add(struct tls_text *text, const char *string);
void tls_text_add_bytes(struct tls_text *text, const uint8_t *bytes, size_t len);
void tls_text_add_uint(struct tls_text *text, uint64_t value);

/** Add an error code of Mbed TLS as its headers write it: -0x2700. */
void tls_text_add_code(struct tls_text *text, int code);

/** Add the name of a subject or issuer in quotes: "O=KWDB, CN=node". */
void tls_text_add_name(struct tls_text *text, const mbedtls_x509_name *name);

/** Add a day of UTC, 2026-01-31, or with its time, 2026-01-31 09:05:00 UTC. */
void tls_text_add_day(struct tls_text *text, int64_t unix_s);
void tls_text_add_time(struct tls_text *text, int64_t unix_s);

/** Add the DNS names and IP addresses that a certificate is for; its subject if it lists none. */
void tls_text_add_hosts(struct tls_text *text, const mbedtls_x509_crt *crt);

/** @return unix seconds of a certificate's time (UTC). */
int64_t tls_unix_s(const mbedtls_x509_time *time);

#endif
