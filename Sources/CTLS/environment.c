// What is set once: OpenSSL itself, and what all contexts have in common.

#include "private.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>

// The "intermediate" configuration of Mozilla, without finite-field Diffie-Hellman: no client of the last ten years
// needs it, and it costs a server forty times of what it costs who asks for it.
#define SUITES_TLS12                                                                                                   \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                                       \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                                       \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define SUITES_TLS13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256"

enum { SESSION_SECONDS = 8 * 3600 };

static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static bool is_started;
static enum ct_start_failure start_result;
static int minimum_version;
static OSSL_LIB_CTX *library;
static SSL_CTX *context_of_hellos;

OSSL_LIB_CTX *ct_library(void) { return library; }

SSL_CTX *ct_context_of_hellos(void) { return context_of_hellos; }

SSL_CTX *ct_context_make(void) {
    SSL_CTX *context = SSL_CTX_new_ex(library, NULL, TLS_server_method());
    if (context == NULL) return NULL;
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE
                                     | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE
                                  | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    // One look at the input for many records.
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(context, SESSION_SECONDS);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_client_hello_cb(context, ct_client_hello, NULL);
    SSL_CTX_set_alpn_select_cb(context, ct_select_protocol, NULL);
    if (SSL_CTX_set_min_proto_version(context, minimum_version) == 1
        && SSL_CTX_set_cipher_list(context, SUITES_TLS12) == 1
        && SSL_CTX_set_ciphersuites(context, SUITES_TLS13) == 1 && SSL_CTX_set1_groups_list(context, GROUPS) == 1
        && SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ct_ticket_key) == 1) {
        return context;
    }
    SSL_CTX_free(context);
    return NULL;
}

/// By these names OpenSSL finds out how strong the signatures of a chain are; without them every chain counts as weak.
static bool add_digests(void) {
    return EVP_add_digest(EVP_sha224()) == 1 && EVP_add_digest(EVP_sha256()) == 1 && EVP_add_digest(EVP_sha384()) == 1
        && EVP_add_digest(EVP_sha512()) == 1;
}

static enum ct_start_failure start(bool requires_tls13) {
    minimum_version = requires_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (!ct_use_memory()) return CT_START_LATE;
    // Without names of algorithms of former times, every walk over all names is a short one. Without its configuration
    // file, OpenSSL does the same everywhere.
    uint64_t options = OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_ADD_ALL_DIGESTS | OPENSSL_INIT_NO_LOAD_CONFIG;
    if (OPENSSL_init_ssl(options, NULL) != 1) return CT_START_PROVIDER;
    if (!add_digests()) return CT_START_PROVIDER;
    library = ct_library_make();
    if (library == NULL || !ct_tickets_start() || !ct_engines_start()) return CT_START_PROVIDER;
    context_of_hellos = ct_context_make();
    return context_of_hellos != NULL ? CT_START_FINE : CT_START_CONTEXT;
}

enum ct_start_failure ct_start(bool requires_tls13) {
    pthread_mutex_lock(&starting);
    if (!is_started) start_result = start(requires_tls13);
    is_started = true;
    pthread_mutex_unlock(&starting);
    return start_result;
}

void *ct_algorithms(void) { return library; }

const char *ct_version(void) { return OpenSSL_version(OPENSSL_VERSION); }

bool ct_random(uint8_t *bytes, size_t count) { return RAND_priv_bytes_ex(library, bytes, count, 0) == 1; }

void ct_take_reason(char *text, size_t capacity) {
    if (capacity == 0) return;
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    text[0] = 0;
    if (reason != NULL) strncat(text, reason, capacity - 1);
    ERR_clear_error();
}
