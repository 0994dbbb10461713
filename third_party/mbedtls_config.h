/* SPDX-License-Identifier: MIT */
/**
 * @file mbedtls_config.h
 * @brief What of Mbed TLS 3.6 is in the agent: a TLS client, and nothing that it does not use.
 *
 * The same file serves Linux and microcontrollers. The build may define three things:
 *   KWM_TLS13                       also TLS 1.3 (through PSA); for reverse proxies, on Linux
 *   KWM_TLS_IN_LEN, KWM_TLS_OUT_LEN record buffers in bytes
 *
 * What hal/mbedtls has to bring along:
 * - Memory: mbedtls_platform_set_calloc_free() before anything else, with functions that serve all
 *   of it from one static arena.
 * - Random bytes: none of the library's entropy sources are in. Seed CTR_DRBG from a hal_entropy;
 *   with KWM_TLS13 also define mbedtls_psa_external_get_random() on top of it.
 * - Dates: MBEDTLS_HAVE_TIME and MBEDTLS_HAVE_TIME_DATE are off on purpose, so the library never
 *   asks for the time and never sets BADCERT_EXPIRED or BADCERT_FUTURE: *an expired certificate
 *   passes unless our verify callback refuses it* by crt->valid_from and valid_to. Only there can
 *   the three states of our clock (unknown, floor, set) be told apart, each connection have the
 *   clock of its owner (a process may simulate many devices), and a message name the date. The
 *   library's way, one process-wide function that must return some time, can do none of these.
 *   The price: of two CA certificates with equal subject and key the first one found counts.
 * - With KWM_TLS13, signature algorithms: release 3.6.6 offers RSA-PSS for TLS 1.3, and then
 *   refuses it (-0x6600) from a TLS 1.2 server that chooses it, as Go's and OpenSSL's do. A list
 *   for mbedtls_ssl_conf_sig_algs() with RSA_PKCS1 before RSA_PSS cures it where the client's
 *   order counts (KWDB, OpenSSL's default); elsewhere, the next attempt after -0x6600 with at
 *   most TLS 1.2 does. Without KWM_TLS13, PSS is not offered and nothing of this is needed.
 *
 * Measured (x86-64, gcc 12, -Os, LTO, no unwind tables, in the agent): 94 KB of code with TLS 1.2,
 * 125 KB with 1.2 and 1.3. Peak of memory in use beside the CA certificates, with fixed-point
 * tables: 30 KB (1.2) and 35 KB (1.3), of which the record buffers are 20 KB; a client certificate
 * adds 3 to 6 KB.
 */
#ifndef KWM_MBEDTLS_CONFIG_H
#define KWM_MBEDTLS_CONFIG_H

/* Platform. No allocator but ours, not even libc's before ours is set: an early call crashes. */
#define MBEDTLS_HAVE_ASM
#define MBEDTLS_PLATFORM_C
#define MBEDTLS_PLATFORM_MEMORY
#define MBEDTLS_PLATFORM_STD_CALLOC NULL
#define MBEDTLS_PLATFORM_STD_FREE NULL
#define MBEDTLS_NO_PLATFORM_ENTROPY
#define MBEDTLS_CTR_DRBG_C
#define MBEDTLS_DEPRECATED_REMOVED

/* Protocol: client only. No renegotiation, no DTLS, no CBC and so no encrypt-then-MAC. */
#define MBEDTLS_SSL_TLS_C
#define MBEDTLS_SSL_CLI_C
#define MBEDTLS_SSL_PROTO_TLS1_2
#define MBEDTLS_SSL_ALL_ALERT_MESSAGES
#define MBEDTLS_SSL_EXTENDED_MASTER_SECRET
#define MBEDTLS_SSL_SESSION_TICKETS
#define MBEDTLS_SSL_ALPN
#define MBEDTLS_SSL_SERVER_NAME_INDICATION
#define MBEDTLS_KEY_EXCHANGE_ECDHE_ECDSA_ENABLED
#define MBEDTLS_KEY_EXCHANGE_ECDHE_RSA_ENABLED
#define MBEDTLS_KEY_EXCHANGE_RSA_ENABLED

#ifndef KWM_TLS_IN_LEN
#define KWM_TLS_IN_LEN 16384
#endif
#ifndef KWM_TLS_OUT_LEN
#define KWM_TLS_OUT_LEN 4096
#endif
#define MBEDTLS_SSL_IN_CONTENT_LEN KWM_TLS_IN_LEN
#define MBEDTLS_SSL_OUT_CONTENT_LEN KWM_TLS_OUT_LEN

/* Ciphers: the AEAD suites of KWDB's list (Go's), best first. What is left out of its list is CBC
 * with SHA-1. AES-128 leads: it is the cheapest where there are AES instructions, and ChaCha20,
 * cheapest without them, is one step away in a board's own list (mbedtls_ssl_conf_ciphersuites). */
#define MBEDTLS_AES_C
#define MBEDTLS_GCM_C
#define MBEDTLS_BLOCK_CIPHER_C /* GCM calls AES itself, not by way of CIPHER_C, which TLS needs */
#define MBEDTLS_CHACHA20_C
#define MBEDTLS_POLY1305_C
#define MBEDTLS_CHACHAPOLY_C
#define MBEDTLS_CIPHER_C
#define MBEDTLS_AES_FEWER_TABLES
#define MBEDTLS_AES_ROM_TABLES
#define MBEDTLS_BLOCK_CIPHER_NO_DECRYPT
#if defined(__x86_64__)
#define MBEDTLS_AESNI_C
#endif

#if defined(KWM_TLS13)
#define KWM_TLS13_SUITES                                                  \
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256, MBEDTLS_TLS1_3_AES_256_GCM_SHA384, \
        MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
#else
#define KWM_TLS13_SUITES
#endif
#define MBEDTLS_SSL_CIPHERSUITES                                      \
    KWM_TLS13_SUITES MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, \
        MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,                \
        MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,              \
        MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,                \
        MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,        \
        MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,          \
        MBEDTLS_TLS_RSA_WITH_AES_128_GCM_SHA256, MBEDTLS_TLS_RSA_WITH_AES_256_GCM_SHA384

/* Hashes, not unrolled: handshakes alone use them. SHA-1 is known by name and not computed: a root
 * that is signed with it could not be read otherwise, and its own signature is never checked;
 * elsewhere the default certificate profile refuses it. */
#define MBEDTLS_MD_C
#define MBEDTLS_MD_CAN_SHA1
#define MBEDTLS_SHA224_C
#define MBEDTLS_SHA256_C
#define MBEDTLS_SHA384_C
#define MBEDTLS_SHA512_C
#define MBEDTLS_SHA256_SMALLER
#define MBEDTLS_SHA512_SMALLER

/* Public keys. Window 4 and fixed-point tables: 40 % fewer instructions in a full handshake for 2 K
 * of flash and 1.8 K of heap on a Cortex-M3. With pointers of 64 bit they are 8 K, for 18 % where
 * certificates have keys of P-256, and for nothing with RSA keys. */
#define MBEDTLS_BIGNUM_C
#define MBEDTLS_ECP_C
#define MBEDTLS_ECDH_C
#define MBEDTLS_ECDSA_C
#define MBEDTLS_RSA_C
#define MBEDTLS_PKCS1_V15
#define MBEDTLS_PKCS1_V21
#define MBEDTLS_ECP_DP_CURVE25519_ENABLED
#define MBEDTLS_ECP_DP_SECP256R1_ENABLED
#define MBEDTLS_ECP_DP_SECP384R1_ENABLED
#define MBEDTLS_ECP_NIST_OPTIM
#define MBEDTLS_ECP_WINDOW_SIZE 4
#if defined(__LP64__)
#define MBEDTLS_ECP_FIXED_POINT_OPTIM 0
#else
#define MBEDTLS_ECP_FIXED_POINT_OPTIM 1
#endif
#define MBEDTLS_MPI_WINDOW_SIZE 2
#define MBEDTLS_MPI_MAX_SIZE 1024

/* Certificates and keys, PEM and DER; keys of a client certificate are not encrypted. */
#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C
#define MBEDTLS_OID_C
#define MBEDTLS_BASE64_C
#define MBEDTLS_PEM_PARSE_C
#define MBEDTLS_PK_C
#define MBEDTLS_PK_PARSE_C
#define MBEDTLS_X509_USE_C
#define MBEDTLS_X509_CRT_PARSE_C
#define MBEDTLS_X509_RSASSA_PSS_SUPPORT
#define MBEDTLS_X509_REMOVE_INFO
#define MBEDTLS_X509_MAX_INTERMEDIATE_CA 8

#if defined(KWM_TLS13)
#define MBEDTLS_SSL_PROTO_TLS1_3
#define MBEDTLS_SSL_TLS1_3_COMPATIBILITY_MODE
#define MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ENABLED
#define MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_EPHEMERAL_ENABLED
#define MBEDTLS_SSL_KEEP_PEER_CERTIFICATE
#define MBEDTLS_PSA_CRYPTO_C
#define MBEDTLS_PSA_CRYPTO_EXTERNAL_RNG
#define MBEDTLS_PSA_KEY_SLOT_COUNT 16

/* Of PSA, what TLS 1.3 asks for: the transcript's hash, HKDF and HMAC, the key exchange. Records,
 * signatures and certificates go the direct way. Nobody else writes our buffers meanwhile. */
#define MBEDTLS_PSA_ASSUME_EXCLUSIVE_BUFFERS
#define MBEDTLS_PSA_CRYPTO_CONFIG
#define MBEDTLS_PSA_CRYPTO_CONFIG_FILE MBEDTLS_CONFIG_FILE
#define PSA_WANT_ALG_SHA_256 1
#define PSA_WANT_ALG_SHA_384 1
#define PSA_WANT_ALG_SHA_512 1
#define PSA_WANT_ALG_HMAC 1
#define PSA_WANT_ALG_HKDF_EXTRACT 1
#define PSA_WANT_ALG_HKDF_EXPAND 1
#define PSA_WANT_ALG_ECDH 1
#define PSA_WANT_ECC_MONTGOMERY_255 1
#define PSA_WANT_ECC_SECP_R1_256 1
#define PSA_WANT_ECC_SECP_R1_384 1
#define PSA_WANT_KEY_TYPE_DERIVE 1
#define PSA_WANT_KEY_TYPE_HMAC 1
#define PSA_WANT_KEY_TYPE_ECC_PUBLIC_KEY 1
#define PSA_WANT_KEY_TYPE_ECC_KEY_PAIR_BASIC 1
#define PSA_WANT_KEY_TYPE_ECC_KEY_PAIR_EXPORT 1
#define PSA_WANT_KEY_TYPE_ECC_KEY_PAIR_GENERATE 1
#endif

#endif
