// What is set once: what all contexts have in common.

#include "private.h"

#include <CNIOBoringSSL_crypto.h>
#include <CNIOBoringSSL_err.h>
#include <ctype.h>
#include <pthread.h>
#include <string.h>

// The "intermediate" configuration of Mozilla, without finite-field Diffie-Hellman: no client of the last ten years
// needs it, and it costs a server forty times of what it costs who asks for it.
#define AES_TLS12                                                                                                      \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                                       \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
#define CHACHA_TLS12 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
static const uint16_t suites_tls13[] = {
    SSL_CIPHER_AES_128_GCM_SHA256, SSL_CIPHER_AES_256_GCM_SHA384, SSL_CIPHER_CHACHA20_POLY1305_SHA256};
static const uint16_t chacha_first_tls13[] = {
    SSL_CIPHER_CHACHA20_POLY1305_SHA256, SSL_CIPHER_AES_128_GCM_SHA256, SSL_CIPHER_AES_256_GCM_SHA384};

// Without SHA-1, which BoringSSL would sign with for clients of 1.2 that know nothing else.
static const uint16_t schemes[] = {
    SSL_SIGN_ED25519,
    SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PKCS1_SHA256,
    SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA384, SSL_SIGN_RSA_PKCS1_SHA384,
    SSL_SIGN_ECDSA_SECP521R1_SHA512, SSL_SIGN_RSA_PSS_RSAE_SHA512, SSL_SIGN_RSA_PKCS1_SHA512};

// The first of them for those who fear that what is recorded today will be read by quantum computers.
#define GROUPS "X25519MLKEM768:X25519:P-256"

enum { SESSION_SECONDS = 8 * 3600 };

static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static bool is_started;
static bool start_result;
static int minimum_version;
static SSL_CTX *context_of_hellos;

SSL_CTX *ct_context_of_hellos(void) { return context_of_hellos; }

SSL_CTX *ct_context_make(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL) return NULL;
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(context, SESSION_SECONDS);
    SSL_CTX_set_session_psk_dhe_timeout(context, SESSION_SECONDS);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_ticket_aead_method(context, &ct_ticket_method);
    SSL_CTX_set_select_certificate_cb(context, ct_client_hello);
    SSL_CTX_set_alpn_select_cb(context, ct_select_protocol, NULL);
    if (SSL_CTX_set_min_proto_version(context, (uint16_t)minimum_version) == 1
        && SSL_CTX_set_strict_cipher_list(context, AES_TLS12 ":" CHACHA_TLS12) == 1
        && SSL_CTX_set1_tls13_ciphers(context, suites_tls13, NULL, COUNT(suites_tls13)) == 1
        && SSL_CTX_set_signing_algorithm_prefs(context, schemes, COUNT(schemes)) == 1
        && SSL_CTX_set1_groups_list(context, GROUPS) == 1) {
        return context;
    }
    SSL_CTX_free(context);
    return NULL;
}

bool ct_prefer_chacha(SSL *state) {
    return SSL_set_strict_cipher_list(state, CHACHA_TLS12 ":" AES_TLS12) == 1
        && SSL_set1_tls13_ciphers(state, chacha_first_tls13, NULL, COUNT(chacha_first_tls13)) == 1;
}

static bool start(bool requires_tls13) {
    minimum_version = requires_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (!ct_tickets_renew() || !ct_engines_start()) return false;
    context_of_hellos = ct_context_make();
    return context_of_hellos != NULL;
}

bool ct_start(bool requires_tls13) {
    pthread_mutex_lock(&starting);
    if (!is_started) start_result = start(requires_tls13);
    is_started = true;
    pthread_mutex_unlock(&starting);
    return start_result;
}

void ct_take_reason(char *text, size_t capacity) {
    if (capacity == 0) return;
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    text[0] = 0;
    if (reason != NULL) strncat(text, reason, capacity - 1);
    // BoringSSL's words are names of constants.
    for (char *character = text; *character != 0; character++) {
        *character = *character == '_' ? ' ' : (char)tolower((unsigned char)*character);
    }
    ERR_clear_error();
}
