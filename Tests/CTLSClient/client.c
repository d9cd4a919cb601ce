#include "CTLSClient.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

struct tc_client {
    SSL_CTX *context;
    SSL *state;
    BIO *in;
    BIO *out;
    SSL_SESSION *ticket;
    int reason;
};

static int keep_ticket(SSL *state, SSL_SESSION *ticket) {
    struct tc_client *client = SSL_get_app_data(state);
    SSL_SESSION_free(client->ticket);
    client->ticket = ticket;
    return 1;
}

static bool trust(SSL_CTX *context, const char *root) {
    if (root == NULL) return true;
    BIO *text = BIO_new_mem_buf(root, -1);
    X509 *certificate = PEM_read_bio_X509(text, NULL, NULL, NULL);
    bool is_trusted =
        certificate != NULL && X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) == 1;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    X509_free(certificate);
    BIO_free(text);
    return is_trusted;
}

static bool set_wishes(SSL_CTX *context, const struct tc_wish *wish) {
    return trust(context, wish->root)
        && (wish->suites12 == NULL || SSL_CTX_set_cipher_list(context, wish->suites12) == 1)
        && (wish->suites13 == NULL || SSL_CTX_set_ciphersuites(context, wish->suites13) == 1)
        && (wish->groups == NULL || SSL_CTX_set1_groups_list(context, wish->groups) == 1)
        && (wish->schemes == NULL || SSL_CTX_set1_sigalgs_list(context, wish->schemes) == 1)
        && (wish->oldest == 0 || SSL_CTX_set_min_proto_version(context, wish->oldest) == 1)
        && (wish->newest == 0 || SSL_CTX_set_max_proto_version(context, wish->newest) == 1)
        && (wish->protocol_count == 0
            || SSL_CTX_set_alpn_protos(context, wish->protocols, (unsigned)wish->protocol_count) == 0);
}

struct tc_client *tc_client_make(const struct tc_wish *wish) {
    struct tc_client *client = calloc(1, sizeof *client);
    if (client == NULL) return NULL;
    client->context = SSL_CTX_new(TLS_client_method());
    if (client->context == NULL) return NULL;
    SSL_CTX_set_security_level(client->context, 0);
    if (!set_wishes(client->context, wish)) return NULL;
    SSL_CTX_set_session_cache_mode(client->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client->context, keep_ticket);
    client->state = SSL_new(client->context);
    client->in = BIO_new(BIO_s_mem());
    client->out = BIO_new(BIO_s_mem());
    if (client->state == NULL || client->in == NULL || client->out == NULL) return NULL;
    BIO_set_mem_eof_return(client->in, -1);
    SSL_set_bio(client->state, client->in, client->out);
    SSL_set_app_data(client->state, client);
    SSL_set_connect_state(client->state);
    if (wish->name != NULL && SSL_set_tlsext_host_name(client->state, wish->name) != 1) return NULL;
    return client;
}

void tc_client_free(struct tc_client *client) {
    SSL_free(client->state);
    SSL_SESSION_free(client->ticket);
    SSL_CTX_free(client->context);
    ERR_clear_error();
    free(client);
}

// Gives the client a copy of the former one's ticket: OpenSSL's client spoils the session of a connection that ends
// without a word.
static bool set_session(struct tc_client *client, const struct tc_client *former, uint32_t early_data) {
    SSL_SESSION *copy = former->ticket != NULL ? SSL_SESSION_dup(former->ticket) : NULL;
    bool is_set = copy != NULL && (early_data == 0 || SSL_SESSION_set_max_early_data(copy, early_data) == 1)
        && SSL_set_session(client->state, copy) == 1;
    SSL_SESSION_free(copy);
    return is_set;
}

bool tc_client_resume(struct tc_client *client, const struct tc_client *former) {
    return set_session(client, former, 0);
}

bool tc_client_resume_early(struct tc_client *client, const struct tc_client *former, const uint8_t *bytes,
                            size_t count) {
    size_t written = 0;
    return set_session(client, former, UINT32_MAX)
        && SSL_write_early_data(client->state, bytes, count, &written) == 1 && written == count;
}

size_t tc_client_spoil_ticket(struct tc_client *client, size_t place) {
    const unsigned char *ticket = NULL;
    size_t count = 0;
    if (client->ticket != NULL) SSL_SESSION_get0_ticket(client->ticket, &ticket, &count);
    if (place < count) ((unsigned char *)ticket)[place] ^= 0x10;
    return count;
}

void tc_client_take(struct tc_client *client, const uint8_t *bytes, size_t count) {
    if (count > 0) BIO_write(client->in, bytes, (int)count);
}

size_t tc_client_give(struct tc_client *client, uint8_t *bytes, size_t capacity) {
    int count = BIO_read(client->out, bytes, (int)capacity);
    return count > 0 ? (size_t)count : 0;
}

static enum tc_outcome outcome(struct tc_client *client, int returned) {
    if (returned == 1) return TC_DONE;
    enum tc_outcome outcome = TC_FAILED;
    switch (SSL_get_error(client->state, returned)) {
    case SSL_ERROR_WANT_READ: outcome = TC_MORE; break;
    case SSL_ERROR_ZERO_RETURN: outcome = TC_ENDED; break;
    default:
        if (client->reason == 0) client->reason = ERR_GET_REASON(ERR_peek_error());
        break;
    }
    ERR_clear_error();
    return outcome;
}

enum tc_outcome tc_client_shake(struct tc_client *client) {
    return outcome(client, SSL_do_handshake(client->state));
}

enum tc_outcome tc_client_read(struct tc_client *client, uint8_t *bytes, size_t capacity, size_t *count) {
    *count = 0;
    return outcome(client, SSL_read_ex(client->state, bytes, capacity, count));
}

enum tc_outcome tc_client_write(struct tc_client *client, const uint8_t *bytes, size_t count) {
    size_t written = 0;
    return outcome(client, SSL_write_ex(client->state, bytes, count, &written));
}

enum tc_outcome tc_client_finish(struct tc_client *client) {
    return SSL_shutdown(client->state) >= 0 ? TC_DONE : TC_FAILED;
}

bool tc_client_update_keys(struct tc_client *client) {
    return SSL_key_update(client->state, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(client->state) == 1;
}

bool tc_client_resumed(const struct tc_client *client) { return SSL_session_reused(client->state) == 1; }

uint16_t tc_client_version(const struct tc_client *client) { return (uint16_t)SSL_version(client->state); }

size_t tc_client_protocol(const struct tc_client *client, uint8_t *bytes, size_t capacity) {
    const unsigned char *name = NULL;
    unsigned int count = 0;
    SSL_get0_alpn_selected(client->state, &name, &count);
    if (count == 0 || count > capacity) return 0;
    memcpy(bytes, name, count);
    return count;
}

bool tc_client_fingerprint(const struct tc_client *client, uint8_t fingerprint[32]) {
    X509 *certificate = SSL_get0_peer_certificate(client->state);
    unsigned int count = 0;
    return certificate != NULL && X509_digest(certificate, EVP_sha256(), fingerprint, &count) == 1 && count == 32;
}

int tc_client_reason(struct tc_client *client) { return client->reason; }
