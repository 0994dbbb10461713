/* SPDX-License-Identifier: MIT */
/**
 * @file mbedtls/tls_verify.h
 * @brief What is checked of a server's certificate beyond Mbed TLS's own checks, and the sentence
 *        that says what failed.
 *
 * Mbed TLS checks signatures up to a root, key and hash strength, usage, and DNS names. Added here,
 * as its verify callback:
 * - Validity, against a clock that may be unknown. SET: the whole period counts. FLOOR: refused if
 *   it ended before the floor; one that has not begun yet is accepted, for the clock may be behind.
 *   UNKNOWN: nothing can be said. The narrowest period of the chain is kept for whoever learns the
 *   time later. Roots are checked too; one that was renewed with the same key counts by its newest
 *   certificate.
 * - IP addresses, by the subject alternative names of that type alone (RFC 9110, section 4.3.5).
 * - The extended key usage, for its sentence; Mbed TLS refuses it as well.
 *
 * Memory:  the caller owns the struct.   Context: main loop only.   Bounds: linear in chain and
 *          roots.
 */
#ifndef TLS_VERIFY_H
#define TLS_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mbedtls/x509_crt.h>

#include "hal/clock.h"
#include "hal/net.h"
#include "mbedtls/tls_text.h"

#define TLS_TEXT_CAP 512U

/** What was wrong; the greatest one is told. */
enum tls_fault {
    TLS_FAULT_NONE,
    TLS_FAULT_WEAK,
    TLS_FAULT_USAGE,
    TLS_FAULT_DATE,
    TLS_FAULT_NAME,
    TLS_FAULT_UNKNOWN_CA,
};

struct tls_verify {
    const mbedtls_x509_crt *roots; /**< list; may be empty when nothing is to be verified */
    unsigned root_count;
    unsigned root_skipped;  /**< certificates beside them that could not be read */
    const char *roots_name; /**< where they are from, for sentences: "tls_ca" */
    struct hal_wall wall;
    char host[HAL_NET_HOST_LEN_MAX + 1U]; /**< the name or address that the certificate must have */
    uint8_t ip[16];
    size_t ip_len; /**< 4 or 16 if host is an address, 0 if it is a name */

    bool has_seen; /**< a certificate came by: it is a full handshake */
    int64_t not_before_s;
    int64_t not_after_s;
    enum tls_fault fault;
    const mbedtls_x509_crt *parent; /**< of the certificate in hand, NULL at the top */
    char text[TLS_TEXT_CAP];        /**< the sentence, "" if nothing was wrong */
};

/** Begin a handshake with host at the time wall. What is said of roots stays. A trailing dot and
 *  an IPv6 zone are taken off. @param host at most HAL_NET_HOST_LEN_MAX bytes. */
void tls_verify_begin(struct tls_verify *verify, const char *host, struct hal_wall wall);

/** For mbedtls_ssl_conf_verify(); ctx is a struct tls_verify. Adds to flags, always returns 0. */
int tls_verify_callback(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags);

/** @return whether a period lies in what wall allows; see the file's comment. 0, or
 *  MBEDTLS_X509_BADCERT_EXPIRED or MBEDTLS_X509_BADCERT_FUTURE. */
uint32_t tls_verify_period(struct hal_wall wall, int64_t not_before_s, int64_t not_after_s);

#endif
