/* SPDX-License-Identifier: MIT */
#include "mbedtls/tls_net.h"

#include <limits.h>
#include <string.h>

#include <mbedtls/net_sockets.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#if defined(MBEDTLS_SSL_PROTO_TLS1_3)
#include <psa/crypto.h>
#endif

#include "hal/assert.h"

/** Messages that bring no data (tickets, warnings) and are taken in one call; honest servers send
 *  one or two. */
#define EMPTY_MESSAGES_MAX 16U

/* RFC 8446, section 5.1 */
#define RECORD_ALERT 21U
#define RECORD_TYPE_MIN 20U
#define RECORD_TYPE_MAX 24U
#define RECORD_LEN_MAX (16384U + 2048U)

/* In the library's error codes the high bits are the module's. */
#define IS_X509_ERROR(rc) ((rc) <= -0x2000 && (rc) > -0x2A00)
#define IS_PK_ERROR(rc) ((rc) <= -0x3900 && (rc) > -0x4000)

static struct tls_net *self_of(struct hal_net *net)
{
    return (struct tls_net *)(void *)net;
}

static void copy_info(struct tls_net *self)
{
    self->net.info.bytes_sent = self->lower->info.bytes_sent;
    self->net.info.bytes_recv = self->lower->info.bytes_recv;
}

/* ---- Random numbers ------------------------------------------------------------------------- */

static int seed_from(void *ctx, uint8_t *out, size_t len)
{
    return hal_entropy_fill(ctx, out, len) == KWM_OK ? 0
                                                     : MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED;
}

/** Seed once; tried again at each connection until it works. */
static bool seed(struct tls_net *self)
{
    if (!self->is_seeded) {
        self->is_seeded =
            mbedtls_ctr_drbg_seed(&self->random, seed_from, self->config.entropy, NULL, 0) == 0;
    }
    return self->is_seeded;
}

#if defined(MBEDTLS_PSA_CRYPTO_EXTERNAL_RNG)
/** TLS 1.3 draws its random numbers without saying for whom: it is the object whose call is on. */
static struct tls_net *random_owner;

psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context,
                                             uint8_t *output, size_t output_size,
                                             size_t *output_length)
{
    (void)context;
    if (random_owner == NULL ||
        mbedtls_ctr_drbg_random(&random_owner->random, output, output_size) != 0) {
        return PSA_ERROR_INSUFFICIENT_ENTROPY;
    }
    *output_length = output_size;
    return PSA_SUCCESS;
}
#endif

/* ---- The wrapped net ------------------------------------------------------------------------ */

static int lower_result(struct tls_net *self, int rc, int later)
{
    if (rc > 0) {
        return rc;
    }
    if (rc == 0) {
        self->is_lower_later = true;
        return later;
    }
    self->lower_err = rc;
    return rc == KWM_ERR_CLOSED ? MBEDTLS_ERR_SSL_CONN_EOF : MBEDTLS_ERR_NET_CONN_RESET;
}

static int bio_send(void *ctx, const uint8_t *data, size_t len)
{
    struct tls_net *self = ctx;
    const int rc = hal_net_send(self->lower, data, len);
    self->out_left = rc > 0 ? len - (size_t)rc : len; /* it always hands in all that it has */
    return lower_result(self, rc, MBEDTLS_ERR_SSL_WANT_WRITE);
}

static size_t record_len(const struct tls_record *record)
{
    return (size_t)record->head[3] << 8 | record->head[4];
}

/** Follow the records in what is received, so that a failure can say what there was. */
static void track(struct tls_record *record, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len;) {
        if (record->head_len == sizeof(record->head) && record->body_len >= record_len(record)) {
            record->head_len = 0;
        }
        if (record->head_len < sizeof(record->head)) {
            record->head[record->head_len] = data[i];
            record->head_len++;
            record->body_len = 0;
            i++;
            continue;
        }
        const size_t missing = record_len(record) - record->body_len;
        const size_t part = len - i < missing ? len - i : missing;
        if (record->body_len <= 1 && record->body_len + part > 1) {
            record->alert = data[i + 1 - record->body_len];
        }
        record->body_len += part;
        i += part;
    }
}

static int bio_recv(void *ctx, uint8_t *data, size_t cap)
{
    struct tls_net *self = ctx;
    const int rc = hal_net_recv(self->lower, data, cap);
    if (rc > 0) {
        track(&self->record, data, (size_t)rc);
    }
    return lower_result(self, rc, MBEDTLS_ERR_SSL_WANT_READ);
}

/* ---- Sessions ------------------------------------------------------------------------------- */

static void drop_session(struct tls_net *self)
{
    mbedtls_platform_zeroize(self->session, self->session_len);
    self->session_len = 0;
}

/** Keep the session of the connection, if it has a new one. */
static void save_session(struct tls_net *self)
{
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    size_t len = 0;
    drop_session(self);
    if (mbedtls_ssl_get_session(&self->ssl, &session) == 0 &&
        mbedtls_ssl_session_save(&session, self->session, sizeof(self->session), &len) == 0) {
        self->session_len = len;
        self->session_not_before_s = self->net.info.not_before_s;
        self->session_not_after_s = self->net.info.not_after_s;
        memcpy(self->session_digest, self->peer_digest, TLS_DIGEST_LEN);
    }
    mbedtls_ssl_session_free(&session);
}

/** Offer the kept session to the server, if it is one for this peer and still good. */
static void offer_session(struct tls_net *self)
{
    const bool is_for_peer = self->session_len > 0 &&
                             memcmp(self->session_digest, self->peer_digest, TLS_DIGEST_LEN) == 0;
    if (!is_for_peer) {
        return;
    }
    if (!self->config.insecure_skip_verify &&
        tls_verify_period(self->verify.wall, self->session_not_before_s,
                          self->session_not_after_s) != 0) {
        drop_session(self);
        return;
    }
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    if (mbedtls_ssl_session_load(&session, self->session, self->session_len) != 0 ||
        mbedtls_ssl_set_session(&self->ssl, &session) != 0) {
        drop_session(self);
    }
    mbedtls_ssl_session_free(&session);
}

static void digest_peer(struct tls_net *self, const struct hal_net_peer *peer)
{
    uint8_t all[TLS_DIGEST_LEN + 2U + HAL_NET_HOST_LEN_MAX];
    const size_t host_len = strlen(peer->host);
    KWM_ASSERT(host_len <= HAL_NET_HOST_LEN_MAX);
    memcpy(all, self->credentials.digest, TLS_DIGEST_LEN);
    all[TLS_DIGEST_LEN] = (uint8_t)(peer->port >> 8);
    all[TLS_DIGEST_LEN + 1] = (uint8_t)peer->port;
    memcpy(all + TLS_DIGEST_LEN + 2, peer->host, host_len);
    const int rc = mbedtls_sha256(all, TLS_DIGEST_LEN + 2 + host_len, self->peer_digest, 0);
    KWM_ASSERT(rc == 0);
}

/* ---- Failures ------------------------------------------------------------------------------- */

static void free_ssl(struct tls_net *self)
{
    if (self->has_ssl) {
        mbedtls_ssl_free(&self->ssl);
        self->has_ssl = false;
    }
    self->out_left = 0;
    self->net.info.is_secure = false;
}

/** The connection is over, for a reason that is in text. */
static int fail_text(struct tls_net *self, int err, int platform_error)
{
    free_ssl(self);
    self->state = TLS_FAILED;
    self->net.platform_error = platform_error;
    self->net.detail = self->text;
    return err;
}

/** The connection is over, for what the wrapped net says. */
static int fail_lower(struct tls_net *self, int err)
{
    free_ssl(self);
    self->state = TLS_FAILED;
    self->net.platform_error = self->lower->platform_error;
    self->net.detail = self->lower->detail;
    return err;
}

static const char *name_of_alert(uint8_t alert)
{
    static const struct {
        uint8_t alert;
        const char *name;
    } names[] = {
        {MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE,
         "handshake failure: no cipher in common, or a client certificate is missing"},
        {MBEDTLS_SSL_ALERT_MSG_BAD_CERT, "bad certificate"},
        {MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT, "unsupported certificate"},
        {MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED, "certificate expired"},
        {MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN, "certificate not accepted"},
        {MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA, "unknown CA"},
        {MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION, "no TLS version in common"},
        {MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME, "unknown server name"},
        {MBEDTLS_SSL_ALERT_MSG_CERT_REQUIRED, "client certificate required"},
        {MBEDTLS_SSL_ALERT_MSG_NO_APPLICATION_PROTOCOL, "no HTTP/1.1"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].alert == alert) {
            return names[i].name;
        }
    }
    return "";
}

static void tell_alert(struct tls_net *self, struct tls_text *text)
{
    const bool is_readable = self->record.head[0] == RECORD_ALERT && record_len(&self->record) == 2;
    const char *name = is_readable ? name_of_alert(self->record.alert) : "";
    tls_text_add(text, "the server refused the TLS connection");
    if (is_readable) {
        tls_text_add(text, " (alert ");
        tls_text_add_uint(text, self->record.alert);
        tls_text_add(text, name[0] != '\0' ? ", " : "");
        tls_text_add(text, name);
        tls_text_add(text, ")");
    }
}

/** @return whether what was received last begins as a TLS record does. */
static bool is_record(const struct tls_record *record)
{
    return record->head[0] >= RECORD_TYPE_MIN && record->head[0] <= RECORD_TYPE_MAX;
}

/** Text for a record that does not fit our buffer. @return false if it would. */
static bool tell_too_large(struct tls_net *self, struct tls_text *text)
{
    const struct tls_record *record = &self->record;
    if (record->head_len < sizeof(record->head) || !is_record(record) ||
        record_len(record) > RECORD_LEN_MAX || record_len(record) <= MBEDTLS_SSL_IN_CONTENT_LEN) {
        return false;
    }
    tls_text_add(text, "the server sent a TLS record of ");
    tls_text_add_uint(text, record_len(record));
    tls_text_add(text, " bytes, more than the ");
    tls_text_add_uint(text, MBEDTLS_SSL_IN_CONTENT_LEN);
    tls_text_add(text, " of the input buffer");
    return true;
}

/** Text for a certificate that the library could not even read. */
static void tell_unreadable(struct tls_text *text, int rc)
{
    if (rc == MBEDTLS_ERR_X509_INVALID_EXTENSIONS + MBEDTLS_ERR_ASN1_UNEXPECTED_TAG ||
        rc == MBEDTLS_ERR_X509_FEATURE_UNAVAILABLE) {
        tls_text_add(text, "certificate has a critical extension that is not supported "
                           "(name constraints are one)");
    } else if (IS_PK_ERROR(rc)) {
        tls_text_add(text, "certificate has a kind of key that is not supported (");
        tls_text_add_code(text, rc);
        tls_text_add(text, ")");
    } else {
        tls_text_add(text, "certificate cannot be read (");
        tls_text_add_code(text, rc);
        tls_text_add(text, ")");
    }
}

static bool is_bad_certificate(int rc)
{
    return IS_X509_ERROR(rc) || IS_PK_ERROR(rc) || rc == MBEDTLS_ERR_SSL_BAD_CERTIFICATE ||
           rc == MBEDTLS_ERR_SSL_CA_CHAIN_REQUIRED;
}

/** Text for a handshake that failed by itself. @return the code for the caller. */
static int tell_handshake(struct tls_net *self, int rc, struct tls_text *text)
{
    if (self->verify.fault != TLS_FAULT_NONE && is_bad_certificate(rc)) {
        tls_text_add(text, self->verify.text);
        return KWM_ERR_VERIFY;
    }
    if (rc == MBEDTLS_ERR_SSL_BAD_CERTIFICATE || rc == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED) {
        tls_text_add(text, "certificate may not be used by this server: key usage or curve");
        return KWM_ERR_VERIFY;
    }
    if (is_bad_certificate(rc)) {
        tell_unreadable(text, rc);
        return KWM_ERR_VERIFY;
    }
    if (rc == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        tell_alert(self, text);
        return KWM_ERR_PROTO;
    }
    if (self->record.head_len > 0 && !is_record(&self->record)) {
        tls_text_add(text, "the server does not speak TLS on this port");
        return KWM_ERR_PROTO;
    }
    if ((rc == MBEDTLS_ERR_SSL_INVALID_RECORD || rc == MBEDTLS_ERR_SSL_BAD_INPUT_DATA) &&
        tell_too_large(self, text)) {
        return KWM_ERR_PROTO;
    }
    if (rc == MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION) {
        tls_text_add(text, "no TLS version in common with the server");
        return KWM_ERR_PROTO;
    }
    tls_text_add(text, "the TLS handshake failed (");
    tls_text_add_code(text, rc);
    tls_text_add(text, ")");
    return KWM_ERR_PROTO;
}

/** @return true and the sentence, if memory ran out since the connection began: what the library
 *  says then is not what is wrong. */
static bool tell_memory(struct tls_net *self, struct tls_text *text)
{
    if (tls_heap_failures() == self->failures_before) {
        return false;
    }
    tls_text_add(text, "out of memory in the TLS connection: its ");
    tls_text_add_uint(text, tls_heap_len());
    tls_text_add(text, " bytes do not suffice");
    return true;
}

static int fail_handshake(struct tls_net *self, int rc)
{
    struct tls_text text;
    tls_text_init(&text, self->text, sizeof(self->text));
    if (self->lower_err != KWM_ERR_IO) {
        drop_session(self); /* it may be what the server cannot live with */
    }
    if (tell_memory(self, &text)) {
        return fail_text(self, KWM_ERR_IO, rc);
    }
    if (self->lower_err == KWM_ERR_CLOSED) {
        tls_text_add(&text, "the server closed the connection during the TLS handshake");
        return fail_text(self, KWM_ERR_CLOSED, rc);
    }
    if (self->lower_err != 0) {
        return fail_lower(self, self->lower_err);
    }
    const int err = tell_handshake(self, rc, &text);
    return fail_text(self, err, rc);
}

/** The open connection failed in send() or recv(). */
static int fail_open(struct tls_net *self, int rc)
{
    struct tls_text text;
    tls_text_init(&text, self->text, sizeof(self->text));
    if (rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
        tls_text_add(&text, "the server closed the connection");
        return fail_text(self, KWM_ERR_CLOSED, rc);
    }
    if (tell_memory(self, &text)) {
        return fail_text(self, KWM_ERR_IO, rc);
    }
    if (self->lower_err == KWM_ERR_CLOSED) {
        tls_text_add(&text, "the connection ended without TLS's closing message");
        return fail_text(self, KWM_ERR_IO, rc);
    }
    if (self->lower_err != 0) {
        return fail_lower(self, self->lower_err);
    }
    if ((rc == MBEDTLS_ERR_SSL_INVALID_RECORD || rc == MBEDTLS_ERR_SSL_BAD_INPUT_DATA) &&
        tell_too_large(self, &text)) {
        return fail_text(self, KWM_ERR_NOSPC, rc);
    }
    if (rc == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        tls_text_add(&text, "the server ended the TLS connection with an alert");
    } else {
        tls_text_add(&text, "the TLS connection failed (");
        tls_text_add_code(&text, rc);
        tls_text_add(&text, ")");
    }
    return fail_text(self, KWM_ERR_IO, rc);
}

/* ---- Handshake ------------------------------------------------------------------------------ */

/** Before a call into the library. */
static void enter(struct tls_net *self)
{
    self->is_lower_later = false;
#if defined(MBEDTLS_PSA_CRYPTO_EXTERNAL_RNG)
    random_owner = self;
#endif
}

/**
 * After a call into the library that may have ended early.
 * @return true if it is to be called again at once: what it met was a ticket, which is kept, or
 *         another message without data; rounds counts these.
 */
static bool again(struct tls_net *self, int rc, unsigned *rounds)
{
    const bool is_ticket = rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
    if (is_ticket) {
        save_session(self);
    }
    *rounds += 1;
    return *rounds < EMPTY_MESSAGES_MAX &&
           (is_ticket || (rc == MBEDTLS_ERR_SSL_WANT_READ && !self->is_lower_later));
}

static bool is_later(const struct tls_net *self, int rc)
{
    return self->is_lower_later &&
           (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE);
}

static const char *server_name(const struct tls_net *self)
{
    return self->config.server_name != NULL ? self->config.server_name : "";
}

#if defined(MBEDTLS_SSL_PROTO_TLS1_3)
static bool wants_tls13(const struct tls_config *config)
{
    return config->allow_tls13 || config->require_tls13;
}
#endif

/** Choose what the hello offers: 1.2, 1.3, or both. */
static void set_versions(struct tls_net *self)
{
    mbedtls_ssl_config *out = &self->ssl_config;
    mbedtls_ssl_conf_min_tls_version(out, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(out, MBEDTLS_SSL_VERSION_TLS1_2);
    self->offers_both = false;
#if defined(MBEDTLS_SSL_PROTO_TLS1_3)
    const bool is_12_peer =
        self->has_12_peer && memcmp(self->digest_12_peer, self->peer_digest, TLS_DIGEST_LEN) == 0;
    if (self->config.require_tls13) {
        mbedtls_ssl_conf_max_tls_version(out, MBEDTLS_SSL_VERSION_TLS1_3);
        mbedtls_ssl_conf_min_tls_version(out, MBEDTLS_SSL_VERSION_TLS1_3);
    } else if (self->config.allow_tls13 && !is_12_peer) {
        mbedtls_ssl_conf_max_tls_version(out, MBEDTLS_SSL_VERSION_TLS1_3);
        self->offers_both = true;
    }
#endif
}

/** Make the connection's TLS state. @return 0 or an error of the library. */
static int begin_handshake(struct tls_net *self, uint64_t now_ms)
{
    self->begun_ms = now_ms;
    self->record = (struct tls_record){.head_len = 0};
    set_versions(self);
    self->verify.wall = self->config.wall.now(self->config.wall.ctx);
    mbedtls_ssl_init(&self->ssl);
    self->has_ssl = true;
    int rc = mbedtls_ssl_setup(&self->ssl, &self->ssl_config);
    if (rc == 0) {
        /* NULL: no name is sent, and verify looks for the address. */
        rc = mbedtls_ssl_set_hostname(&self->ssl,
                                      self->verify.ip_len > 0 ? NULL : self->verify.host);
    }
    if (rc == 0) {
        mbedtls_ssl_set_bio(&self->ssl, self, bio_send, bio_recv, NULL);
        offer_session(self);
    }
    return rc;
}

static void end_handshake(struct tls_net *self, uint64_t now_ms)
{
    struct hal_net_info *info = &self->net.info;
    if (self->verify.has_seen) {
        info->full_handshakes++;
        info->not_before_s = self->verify.not_before_s;
        info->not_after_s = self->verify.not_after_s;
    } else {
        info->resumed_handshakes++;
        info->not_before_s = self->session_not_before_s;
        info->not_after_s = self->session_not_after_s;
    }
    info->handshake_ms = (uint32_t)(now_ms - self->begun_ms);
    info->is_secure = !self->config.insecure_skip_verify;
    self->state = TLS_OPEN;
    if (mbedtls_ssl_get_version_number(&self->ssl) == MBEDTLS_SSL_VERSION_TLS1_2) {
        save_session(self); /* 1.3: with the ticket */
    }
    if (self->config.insecure_skip_verify) {
        struct tls_text text;
        tls_text_init(&text, self->text, sizeof(self->text));
        tls_text_add(&text, "the server's certificate is not checked (insecure_skip_verify)");
        if (self->verify.fault != TLS_FAULT_NONE) {
            tls_text_add(&text, "; it would be refused: ");
            tls_text_add(&text, self->verify.text);
        }
        self->net.detail = self->text;
    }
}

/**
 * Whether the handshake failed over a fault of the library that offering 1.2 alone avoids: with
 * both versions on offer it lists RSA-PSS signatures, and if the server then chooses 1.2 and such a
 * signature, which 1.2 allows as well (RFC 8446, section 4.2.3), it refuses what it has offered.
 */
static bool is_pss_refused(const struct tls_net *self, int rc)
{
    return self->offers_both && rc == MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER && self->lower_err == 0 &&
           mbedtls_ssl_get_version_number(&self->ssl) == MBEDTLS_SSL_VERSION_TLS1_2;
}

/** Connect anew, offering 1.2 alone, to this peer for good. @return 0, or an error. */
static int begin_again_with_12(struct tls_net *self, uint64_t now_ms)
{
    free_ssl(self);
    hal_net_close(self->lower);
    self->has_12_peer = true;
    memcpy(self->digest_12_peer, self->peer_digest, TLS_DIGEST_LEN);
    const int rc = hal_net_open(self->lower, &self->peer, now_ms);
    if (rc != KWM_OK) {
        return fail_lower(self, rc);
    }
    self->state = TLS_CONNECTING;
    return 0;
}

static int step_handshake(struct tls_net *self, uint64_t now_ms)
{
    int rc = 0;
    unsigned rounds = 0;
    do {
        enter(self);
        rc = mbedtls_ssl_handshake(&self->ssl);
    } while (again(self, rc, &rounds));
    if (is_later(self, rc)) {
        return 0;
    }
    if (is_pss_refused(self, rc)) {
        return begin_again_with_12(self, now_ms);
    }
    if (rc != 0) {
        return fail_handshake(self, rc);
    }
    end_handshake(self, now_ms);
    return 1;
}

static int step_connecting(struct tls_net *self, uint64_t now_ms)
{
    const int lower_rc = hal_net_poll(self->lower, now_ms);
    if (lower_rc == 0) {
        return 0;
    }
    if (lower_rc < 0) {
        return fail_lower(self, lower_rc);
    }
    enter(self);
    if (!seed(self)) {
        struct tls_text text;
        tls_text_init(&text, self->text, sizeof(self->text));
        tls_text_add(&text, "no random numbers to be had yet, and TLS needs them");
        return fail_text(self, KWM_ERR_IO, 0);
    }
    const int rc = begin_handshake(self, now_ms);
    if (rc != 0) {
        return fail_handshake(self, rc);
    }
    self->state = TLS_HANDSHAKE;
    return 0;
}

/* ---- hal_net -------------------------------------------------------------------------------- */

static int tls_open(struct hal_net *net, const struct hal_net_peer *peer, uint64_t now_ms)
{
    struct tls_net *self = self_of(net);
    if (self->state != TLS_CLOSED) {
        return KWM_ERR_STATE;
    }
    if (peer->host == NULL || strlen(peer->host) > HAL_NET_HOST_LEN_MAX) {
        return KWM_ERR_INVAL;
    }
    net->detail = "";
    net->platform_error = 0;
    const int rc = hal_net_open(self->lower, peer, now_ms);
    if (rc != KWM_OK) {
        net->detail = self->lower->detail;
        return rc;
    }
    self->peer = *peer;
    digest_peer(self, peer);
    const char *name = server_name(self);
    tls_verify_begin(&self->verify, name[0] != '\0' ? name : peer->host,
                     (struct hal_wall){.state = HAL_WALL_UNKNOWN});
    self->failures_before = tls_heap_failures();
    self->lower_err = 0;
    self->state = TLS_CONNECTING;
    return KWM_OK;
}

static int tls_poll(struct hal_net *net, uint64_t now_ms)
{
    struct tls_net *self = self_of(net);
    enum tls_state before;
    int rc = KWM_ERR_STATE;
    do { /* a state is left for the next, at most twice for the one before */
        before = self->state;
        if (before == TLS_CONNECTING) {
            rc = step_connecting(self, now_ms);
        } else if (before == TLS_HANDSHAKE) {
            rc = step_handshake(self, now_ms);
        } else {
            rc = before == TLS_OPEN ? 1 : KWM_ERR_STATE;
        }
    } while (rc == 0 && self->state != before);
    copy_info(self);
    return rc;
}

/** Send what waits in the output buffer. @return 1 nothing waits, 0 later, or an error code of the
 *  library. */
static int flush(struct tls_net *self)
{
    /* The library wants the call that it broke off repeated with the same data, which the caller
     * may have changed since. It does not read them again, for the record is made: none will do as
     * well. */
    static const uint8_t none[1];
    unsigned rounds = 0;
    while (self->out_left > 0) {
        enter(self);
        const int rc = mbedtls_ssl_write(&self->ssl, none, 0);
        if (is_later(self, rc)) {
            return 0;
        }
        if (rc < 0 && !again(self, rc, &rounds)) {
            return rc;
        }
    }
    return 1;
}

static int tls_send(struct hal_net *net, const uint8_t *data, size_t len)
{
    struct tls_net *self = self_of(net);
    if (self->state != TLS_OPEN) {
        return KWM_ERR_STATE;
    }
    KWM_ASSERT(len > 0 && len <= INT_MAX);
    int rc = flush(self);
    if (rc > 0) {
        const int record_max = mbedtls_ssl_get_max_out_record_payload(&self->ssl);
        KWM_ASSERT(record_max > 0);
        const size_t part = len < (size_t)record_max ? len : (size_t)record_max;
        unsigned rounds = 0;
        do {
            enter(self);
            rc = mbedtls_ssl_write(&self->ssl, data, part);
        } while (again(self, rc, &rounds));
        /* Once a part of the record waits, all of it is taken. */
        rc = is_later(self, rc) && self->out_left > 0 ? (int)part : rc;
    }
    copy_info(self);
    return rc < 0 ? fail_open(self, rc) : rc;
}

static int tls_recv(struct hal_net *net, uint8_t *data, size_t cap)
{
    struct tls_net *self = self_of(net);
    if (self->state != TLS_OPEN) {
        return KWM_ERR_STATE;
    }
    KWM_ASSERT(cap > 0 && cap <= INT_MAX);
    int rc = flush(self);
    if (rc >= 0) {
        unsigned rounds = 0;
        do {
            enter(self);
            rc = mbedtls_ssl_read(&self->ssl, data, cap);
            /* 0 is the end, or the second of two empty records. */
        } while (again(self, rc, &rounds) ||
                 (rc == 0 && self->lower_err == 0 && rounds < EMPTY_MESSAGES_MAX));
    }
    copy_info(self);
    if (rc > 0) {
        return rc;
    }
    return is_later(self, rc) ? 0 : fail_open(self, rc);
}

static void tls_close(struct hal_net *net)
{
    struct tls_net *self = self_of(net);
    if (self->state == TLS_OPEN) {
        enter(self);
        /* As good as it gets: if it does not fit the socket's buffer, the peer learns it from FIN.
         * */
        (void)mbedtls_ssl_close_notify(&self->ssl);
    }
    free_ssl(self);
    hal_net_close(self->lower);
    copy_info(self);
    self->state = TLS_CLOSED;
}

/* ---- Configuration -------------------------------------------------------------------------- */

/** Ready what TLS 1.3 needs. @return true, also if 1.3 is only allowed and the library lacks it. */
static bool begin_tls13(const struct tls_config *config)
{
#if defined(MBEDTLS_SSL_PROTO_TLS1_3)
    return !wants_tls13(config) || psa_crypto_init() == PSA_SUCCESS;
#else
    return !config->require_tls13;
#endif
}

/** Make out from config and credentials that will be in self. @return 0 or an error of the library.
 *  */
static int make_ssl_config(struct tls_net *self, const struct tls_config *config,
                           const struct tls_credentials *credentials, mbedtls_ssl_config *out)
{
    static const char *alpn[] = {"http/1.1", NULL};
#if defined(MBEDTLS_SSL_PROTO_TLS1_3)
    /* For a hello with both versions; see is_pss_refused(): a server that goes by the client's
     * order (Go, nginx) takes PKCS #1 in 1.2, and in 1.3 passes it over. */
    static const uint16_t signatures[] = {
        MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256,
        MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
        MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,
        MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,
        MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,
        MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256,
        MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384,
        MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512,
        MBEDTLS_TLS1_3_SIG_NONE,
    };
#endif
    int rc = mbedtls_ssl_config_defaults(out, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                         MBEDTLS_SSL_PRESET_DEFAULT);
    if (rc == 0) {
        rc = mbedtls_ssl_conf_alpn_protocols(out, alpn);
    }
    if (rc == 0 && credentials->has_cert) {
        rc = mbedtls_ssl_conf_own_cert(out, &self->credentials.cert, &self->credentials.key);
    }
#if defined(MBEDTLS_SSL_PROTO_TLS1_3)
    if (wants_tls13(config)) {
        mbedtls_ssl_conf_sig_algs(out, signatures);
        mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
            out, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
    }
#endif
    mbedtls_ssl_conf_rng(out, mbedtls_ctr_drbg_random, &self->random);
    mbedtls_ssl_conf_ca_chain(out, credentials->root_count > 0 ? &self->credentials.roots : NULL,
                              NULL);
    mbedtls_ssl_conf_authmode(out, config->insecure_skip_verify ? MBEDTLS_SSL_VERIFY_OPTIONAL
                                                                : MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_verify(out, tls_verify_callback, &self->verify);
    return rc;
}

/** What can be said against config without its PEM texts. */
static int check(struct tls_net *self, const struct tls_config *config, struct tls_text *text)
{
    if (config->server_name != NULL && strlen(config->server_name) > HAL_NET_HOST_LEN_MAX) {
        tls_text_add(text, "tls_server_name is longer than 253 bytes");
        return KWM_ERR_INVAL;
    }
    const bool has_key = config->key_pem != NULL && config->key_pem[0] != '\0';
    if (has_key && !seed(self)) {
        tls_text_add(text, "no random numbers to be had yet, and tls_key needs them");
        return KWM_ERR_IO;
    }
    if (!begin_tls13(config)) {
        tls_text_add(text, config->require_tls13 ? "TLS 1.3 is required and not to be had"
                                                 : "TLS 1.3 cannot be made ready");
        return KWM_ERR_INVAL;
    }
    return KWM_OK;
}

/** Put a new configuration in the place of the old one. */
static void install(struct tls_net *self, const struct tls_config *config,
                    const struct tls_credentials *credentials, const mbedtls_ssl_config *ssl_config)
{
    mbedtls_ssl_config_free(&self->ssl_config);
    tls_credentials_free(&self->credentials);
    self->ssl_config = *ssl_config;
    self->credentials = *credentials;
    self->config = *config;
    self->config.ca_pem = NULL;
    self->config.cert_pem = NULL;
    self->config.key_pem = NULL;
    self->config.key_password = NULL;
    self->verify.roots = credentials->root_count > 0 ? &self->credentials.roots : NULL;
    self->verify.root_count = credentials->root_count;
    self->verify.root_skipped = credentials->root_skipped;
    self->verify.roots_name = config->ca_name;
}

int tls_net_configure(struct tls_net *self, const struct tls_config *config)
{
    KWM_ASSERT(config->ca_name != NULL && config->wall.now != NULL && config->entropy != NULL);
    if (self->state != TLS_CLOSED) {
        return KWM_ERR_STATE;
    }
    struct tls_text text;
    tls_text_init(&text, self->text, sizeof(self->text));
    self->net.detail = self->text;
    enter(self);
    int rc = check(self, config, &text);
    if (rc != KWM_OK) {
        return rc;
    }
    struct tls_credentials credentials;
    rc = tls_credentials_init(&credentials, config, &self->random, &text);
    if (rc != KWM_OK) {
        return rc;
    }
    mbedtls_ssl_config ssl_config;
    mbedtls_ssl_config_init(&ssl_config);
    if (make_ssl_config(self, config, &credentials, &ssl_config) != 0) {
        mbedtls_ssl_config_free(&ssl_config);
        tls_credentials_free(&credentials);
        tls_text_add(&text, "the TLS configuration does not fit its memory");
        return KWM_ERR_NOSPC;
    }
    install(self, config, &credentials, &ssl_config);
    self->net.detail = "";
    return KWM_OK;
}

int tls_net_init(struct tls_net *self, struct hal_net *lower, const struct tls_config *config)
{
    static const struct hal_net_ops ops = {
        .open = tls_open,
        .poll = tls_poll,
        .send = tls_send,
        .recv = tls_recv,
        .close = tls_close,
    };
    memset(self, 0, sizeof(*self));
    self->net.ops = &ops;
    self->net.detail = "";
    self->lower = lower;
    self->state = TLS_CLOSED;
    self->config.entropy = config->entropy;
    mbedtls_ctr_drbg_init(&self->random);
    mbedtls_ssl_config_init(&self->ssl_config);
    mbedtls_x509_crt_init(&self->credentials.roots);
    mbedtls_x509_crt_init(&self->credentials.cert);
    mbedtls_pk_init(&self->credentials.key);
    return tls_net_configure(self, config);
}

unsigned tls_net_root_count(const struct tls_net *self)
{
    return self->credentials.root_count;
}

unsigned tls_net_root_skipped(const struct tls_net *self)
{
    return self->credentials.root_skipped;
}

void tls_net_free(struct tls_net *self)
{
    hal_net_close(&self->net);
    drop_session(self);
    mbedtls_ssl_config_free(&self->ssl_config);
    tls_credentials_free(&self->credentials);
    mbedtls_ctr_drbg_free(&self->random);
}
