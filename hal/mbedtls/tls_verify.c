/* SPDX-License-Identifier: MIT */
#include "mbedtls/tls_verify.h"

#include <string.h>

#include <mbedtls/oid.h>
#include <mbedtls/pk.h>

#include "hal/assert.h"

/** What the library's default profile asks of an RSA key. */
#define RSA_BITS_MIN 2048U

void tls_verify_begin(struct tls_verify *verify, const char *host, struct hal_wall wall)
{
    size_t len = strcspn(host, "%");
    KWM_ASSERT(len < sizeof(verify->host));
    if (len > 1 && host[len - 1] == '.') {
        len--;
    }
    memcpy(verify->host, host, len);
    verify->host[len] = '\0';
    verify->ip_len = mbedtls_x509_crt_parse_cn_inet_pton(verify->host, verify->ip);
    verify->wall = wall;
    verify->has_seen = false;
    verify->not_before_s = 0;
    verify->not_after_s = 0;
    verify->fault = TLS_FAULT_NONE;
    verify->parent = NULL;
    verify->text[0] = '\0';
}

/** Begin the sentence of a fault. @return false if a greater or equal one was told already. */
static bool begin(struct tls_verify *verify, enum tls_fault fault, struct tls_text *text)
{
    if (fault <= verify->fault) {
        return false;
    }
    verify->fault = fault;
    tls_text_init(text, verify->text, sizeof(verify->text));
    return true;
}

static void add_owner(struct tls_text *text, const mbedtls_x509_crt *crt, int depth)
{
    tls_text_add(text, depth > 0 ? "CA certificate of " : "certificate of ");
    tls_text_add_name(text, &crt->subject);
}

static bool is_equal(const mbedtls_x509_buf *a, const mbedtls_x509_buf *b)
{
    return a->len == b->len && a->len > 0 && memcmp(a->p, b->p, a->len) == 0;
}

uint32_t tls_verify_period(struct hal_wall wall, int64_t not_before_s, int64_t not_after_s)
{
    const int64_t now_s = wall.unix_ms / 1000;
    if (wall.state == HAL_WALL_UNKNOWN) {
        return 0;
    }
    if (now_s > not_after_s) {
        return MBEDTLS_X509_BADCERT_EXPIRED;
    }
    const bool is_future = wall.state == HAL_WALL_SET && now_s < not_before_s;
    return is_future ? MBEDTLS_X509_BADCERT_FUTURE : 0;
}

static uint32_t check_period(struct hal_wall wall, const mbedtls_x509_crt *crt)
{
    return tls_verify_period(wall, tls_unix_s(&crt->valid_from), tls_unix_s(&crt->valid_to));
}

/** @return crt, or if it is a root whose time is over (or to come) one of equal name and key that
 *  is valid now. */
static const mbedtls_x509_crt *best_of_equal(const struct tls_verify *verify,
                                             const mbedtls_x509_crt *crt)
{
    const mbedtls_x509_crt *equal = NULL;
    bool is_root = false;
    for (const mbedtls_x509_crt *root = verify->roots; root != NULL; root = root->next) {
        is_root = is_root || root == crt;
        if (is_equal(&root->subject_raw, &crt->subject_raw) &&
            is_equal(&root->pk_raw, &crt->pk_raw) && check_period(verify->wall, root) == 0) {
            equal = root;
        }
    }
    const bool is_replaced = is_root && equal != NULL && check_period(verify->wall, crt) != 0;
    return is_replaced ? equal : crt;
}

static void tell_date(struct tls_verify *verify, const mbedtls_x509_crt *crt, int depth,
                      uint32_t flag)
{
    struct tls_text text;
    if (!begin(verify, TLS_FAULT_DATE, &text)) {
        return;
    }
    const bool is_expired = flag == MBEDTLS_X509_BADCERT_EXPIRED;
    const int64_t date_s = tls_unix_s(is_expired ? &crt->valid_to : &crt->valid_from);
    const int64_t now_s = verify->wall.unix_ms / 1000;
    void (*add)(struct tls_text *, int64_t) =
        date_s / 86400 == now_s / 86400 ? tls_text_add_time : tls_text_add_day;
    add_owner(&text, crt, depth);
    tls_text_add(&text, is_expired ? " expired on " : " is not valid before ");
    add(&text, date_s);
    tls_text_add(&text, verify->wall.state == HAL_WALL_SET ? ", it is " : ", it is at least ");
    add(&text, now_s);
}

static uint32_t check_dates(struct tls_verify *verify, const mbedtls_x509_crt *given, int depth)
{
    const mbedtls_x509_crt *crt = best_of_equal(verify, given);
    const int64_t not_before_s = tls_unix_s(&crt->valid_from);
    const int64_t not_after_s = tls_unix_s(&crt->valid_to);
    if (!verify->has_seen || not_before_s > verify->not_before_s) {
        verify->not_before_s = not_before_s;
    }
    if (!verify->has_seen || not_after_s < verify->not_after_s) {
        verify->not_after_s = not_after_s;
    }
    verify->has_seen = true;
    const uint32_t flag = check_period(verify->wall, crt);
    if (flag != 0) {
        tell_date(verify, crt, depth, flag);
    }
    return flag;
}

static uint32_t check_ip(const struct tls_verify *verify, const mbedtls_x509_crt *crt)
{
    for (const mbedtls_x509_sequence *san = &crt->subject_alt_names; san != NULL; san = san->next) {
        const unsigned type = (unsigned)san->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK;
        if (san->buf.p != NULL && type == MBEDTLS_X509_SAN_IP_ADDRESS &&
            san->buf.len == verify->ip_len && memcmp(san->buf.p, verify->ip, verify->ip_len) == 0) {
            return 0;
        }
    }
    return MBEDTLS_X509_BADCERT_CN_MISMATCH;
}

static void tell_name(struct tls_verify *verify, const mbedtls_x509_crt *crt)
{
    struct tls_text text;
    if (begin(verify, TLS_FAULT_NAME, &text)) {
        tls_text_add(&text, "certificate is for ");
        tls_text_add_hosts(&text, crt);
        tls_text_add(&text, ", not for ");
        tls_text_add(&text, verify->host);
    }
}

static void tell_unknown_ca(struct tls_verify *verify, const mbedtls_x509_crt *crt, int depth)
{
    struct tls_text text;
    if (!begin(verify, TLS_FAULT_UNKNOWN_CA, &text)) {
        return;
    }
    if (crt->raw.p == NULL) {
        /* The library leaves such a certificate out of the chain. */
        tls_text_add(&text, "certificate is signed by an algorithm that is not supported");
        return;
    }
    bool is_name_known = false;
    for (const mbedtls_x509_crt *root = verify->roots; root != NULL; root = root->next) {
        is_name_known = is_name_known || is_equal(&root->subject_raw, &crt->issuer_raw);
    }
    add_owner(&text, crt, depth);
    if (is_equal(&crt->subject_raw, &crt->issuer_raw)) {
        tls_text_add(&text, " is signed by itself and not among the ");
    } else {
        tls_text_add(&text, " is issued by ");
        tls_text_add_name(&text, &crt->issuer);
        if (is_name_known) {
            tls_text_add(&text, ", and the CA of that name in ");
            tls_text_add(&text, verify->roots_name);
            tls_text_add(&text, " has another key: it belongs to another installation");
            return;
        }
        tls_text_add(&text, " and not signed by any of the ");
    }
    tls_text_add_uint(&text, verify->root_count);
    tls_text_add(&text, verify->root_count == 1 ? " CA in " : " CAs in ");
    tls_text_add(&text, verify->roots_name);
    if (verify->root_skipped > 0) {
        tls_text_add(&text, " (");
        tls_text_add_uint(&text, verify->root_skipped);
        tls_text_add(&text, " more there could not be read)");
    }
}

static const char *name_of_hash(const mbedtls_x509_crt *crt)
{
    if (MBEDTLS_OID_CMP(MBEDTLS_OID_PKCS1_SHA1, &crt->sig_oid) == 0 ||
        MBEDTLS_OID_CMP(MBEDTLS_OID_ECDSA_SHA1, &crt->sig_oid) == 0) {
        return "SHA-1";
    }
    return "a hash";
}

static bool is_key_short(const mbedtls_x509_crt *crt)
{
    return mbedtls_pk_get_type(&crt->pk) == MBEDTLS_PK_RSA &&
           mbedtls_pk_get_bitlen(&crt->pk) < RSA_BITS_MIN;
}

static void tell_weak(struct tls_verify *verify, const mbedtls_x509_crt *crt, int depth,
                      uint32_t flags)
{
    struct tls_text text;
    if (!begin(verify, TLS_FAULT_WEAK, &text)) {
        return;
    }
    if ((flags & MBEDTLS_X509_BADCERT_BAD_MD) != 0) {
        add_owner(&text, crt, depth);
        tls_text_add(&text, " is signed with ");
        tls_text_add(&text, name_of_hash(crt));
        tls_text_add(&text, ", which is too weak");
        return;
    }
    /* The flag stands at the certificate that the key has signed, but for the server's own key. */
    const bool is_own = is_key_short(crt) || verify->parent == NULL;
    const mbedtls_x509_crt *owner = is_own ? crt : verify->parent;
    add_owner(&text, owner, is_own ? depth : depth + 1);
    if (is_key_short(owner)) {
        tls_text_add(&text, " has an RSA key of ");
        tls_text_add_uint(&text, mbedtls_pk_get_bitlen(&owner->pk));
        tls_text_add(&text, " bits, at least 2048 are needed");
    } else {
        tls_text_add(&text, " has a kind of key that is not supported");
    }
}

static void check_usage(struct tls_verify *verify, const mbedtls_x509_crt *crt)
{
    struct tls_text text;
    if (mbedtls_x509_crt_check_extended_key_usage(crt, MBEDTLS_OID_SERVER_AUTH,
                                                  MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)) == 0) {
        return;
    }
    if (begin(verify, TLS_FAULT_USAGE, &text)) {
        add_owner(&text, crt, 0);
        tls_text_add(&text, " is not for servers: its extended key usage lacks serverAuth");
    }
}

int tls_verify_callback(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    struct tls_verify *verify = ctx;
    if (depth == 0) {
        if (verify->ip_len > 0) {
            *flags |= check_ip(verify, crt);
        }
        check_usage(verify, crt);
    }
    *flags |= check_dates(verify, crt, depth);
    /* Where the hash is refused, whether the CA has signed is not known: SHA-1 is not computed. */
    if ((*flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0 &&
        (*flags & MBEDTLS_X509_BADCERT_BAD_MD) == 0) {
        tell_unknown_ca(verify, crt, depth);
    }
    if ((*flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) != 0) {
        tell_name(verify, crt);
    }
    const uint32_t weak =
        MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_KEY | MBEDTLS_X509_BADCERT_BAD_PK;
    if ((*flags & weak) != 0) {
        tell_weak(verify, crt, depth, *flags);
    }
    verify->parent = crt;
    return 0;
}
