// Certificates and keys out of PEM. Runs on the control thread; a service may have sent anything.

#define _GNU_SOURCE
#include "private.h"

#include <CNIOBoringSSL_bio.h>
#include <CNIOBoringSSL_digest.h>
#include <CNIOBoringSSL_ec_key.h>
#include <CNIOBoringSSL_err.h>
#include <CNIOBoringSSL_evp.h>
#include <CNIOBoringSSL_mem.h>
#include <CNIOBoringSSL_nid.h>
#include <CNIOBoringSSL_pem.h>
#include <CNIOBoringSSL_x509.h>
#include <string.h>

/// Shorter RSA keys have less than 112 bits of strength.
enum { RSA_BITS_AT_LEAST = 2048 };

/// Asked for the password of an encrypted key: there is none.
static int refuse_password(char *password, int capacity, int writes, void *was_asked) {
    (void)password, (void)capacity, (void)writes;
    if (was_asked != NULL) *(bool *)was_asked = true;
    return -1;
}

static bool is_error(uint32_t error, int library, int reason) {
    return ERR_GET_LIB(error) == library && ERR_GET_REASON(error) == reason;
}

/// The next certificate of the text, or NULL; `ended` says whether there is none at all.
static X509 *read_certificate(BIO *text, bool *ended) {
    X509 *certificate = PEM_read_bio_X509(text, NULL, refuse_password, NULL);
    if (certificate == NULL) *ended = is_error(ERR_peek_last_error(), ERR_LIB_PEM, PEM_R_NO_START_LINE);
    return certificate;
}

struct chain {
    X509 *leaf;
    STACK_OF(X509) *others;
};

static enum ct_identity_failure read_chain(BIO *text, struct chain *chain, uint16_t *place) {
    bool ended = false;
    chain->others = sk_X509_new_null();
    chain->leaf = read_certificate(text, &ended);
    if (chain->others == NULL) return CT_IDENTITY_REFUSED;
    if (chain->leaf == NULL) return ended ? CT_IDENTITY_CERTIFICATE_MISSING : CT_IDENTITY_CERTIFICATE_BROKEN;
    for (*place = 1;; *place += 1) {
        X509 *next = read_certificate(text, &ended);
        if (next == NULL) break;
        if (*place == CT_CHAIN_CERTIFICATES || sk_X509_push(chain->others, next) == 0) {
            X509_free(next);
            return CT_IDENTITY_CHAIN_LONG;
        }
    }
    if (!ended) return CT_IDENTITY_CHAIN_BROKEN;
    // That the text has ended is no fault.
    ERR_clear_error();
    return CT_IDENTITY_FINE;
}

static bool has_key_block(const char *text, size_t count) {
    static const char mark[] = "PRIVATE KEY-----";
    return memmem(text, count, mark, sizeof mark - 1) != NULL;
}

/// BoringSSL says so of other kinds, and of other curves.
static bool is_of_unknown_kind(void) {
    uint32_t error = ERR_peek_error();
    return is_error(error, ERR_LIB_EVP, EVP_R_UNSUPPORTED_ALGORITHM)
        || is_error(error, ERR_LIB_EC, EC_R_UNKNOWN_GROUP);
}

static enum ct_identity_failure read_key(const char *text, size_t count, EVP_PKEY **key) {
    bool was_asked = false;
    if (!has_key_block(text, count)) return CT_IDENTITY_KEY_MISSING;
    BIO *bio = count <= INT32_MAX ? BIO_new_mem_buf(text, (ossl_ssize_t)count) : NULL;
    if (bio == NULL) return CT_IDENTITY_REFUSED;
    *key = PEM_read_bio_PrivateKey(bio, NULL, refuse_password, &was_asked);
    BIO_free(bio);
    if (*key != NULL) {
        ERR_clear_error();
        return CT_IDENTITY_FINE;
    }
    static const char mark[] = "ENCRYPTED";
    bool is_encrypted = was_asked || memmem(text, count, mark, sizeof mark - 1) != NULL;
    if (!is_encrypted && is_of_unknown_kind()) return CT_IDENTITY_KEY_KIND;
    return is_encrypted ? CT_IDENTITY_KEY_ENCRYPTED : CT_IDENTITY_KEY_BROKEN;
}

/// False: a kind of key that we do not serve with.
static bool scheme_of(const EVP_PKEY *key, uint16_t *scheme) {
    *scheme = 0;
    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA: return true;
    case EVP_PKEY_ED25519: *scheme = 0x0807; return true;
    case EVP_PKEY_EC: break;
    default: return false;
    }
    switch (EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)))) {
    case NID_X9_62_prime256v1: *scheme = 0x0403; return true;
    case NID_secp384r1: *scheme = 0x0503; return true;
    case NID_secp521r1: *scheme = 0x0603; return true;
    default: return false;
    }
}

/// A client that fetches the whole chain and reads none of it makes us hold it for the socket.
static bool is_chain_large(const struct chain *chain) {
    int bytes = i2d_X509(chain->leaf, NULL);
    for (size_t place = 0; place < sk_X509_num(chain->others) && bytes <= CT_CHAIN_BYTES; place++) {
        bytes += i2d_X509(sk_X509_value(chain->others, place), NULL);
    }
    return bytes > CT_CHAIN_BYTES;
}

static int64_t seconds_of(const ASN1_TIME *time) {
    int64_t seconds;
    return time != NULL && ASN1_TIME_to_posix(time, &seconds) == 1 ? seconds : 0;
}

/// Whether a key is what clients believe today; of curves BoringSSL knows no smaller ones.
static bool has_small_key(X509 *certificate) {
    EVP_PKEY *key = X509_get_pubkey(certificate);
    bool is_small = true;
    switch (key != NULL ? EVP_PKEY_id(key) : EVP_PKEY_NONE) {
    case EVP_PKEY_RSA: is_small = EVP_PKEY_bits(key) < RSA_BITS_AT_LEAST; break;
    case EVP_PKEY_EC:
    case EVP_PKEY_ED25519: is_small = false; break;
    default: break;
    }
    EVP_PKEY_free(key);
    return is_small;
}

/// Whether clients would not believe the signature; that of a root, nobody looks at.
static bool has_weak_signature(X509 *certificate) {
    int digest = NID_undef;
    if (X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0) return false;
    if (OBJ_find_sigid_algs(X509_get_signature_nid(certificate), &digest, NULL) != 1) return false;
    return digest == NID_sha1 || digest == NID_md5 || digest == NID_md4;
}

/// What every client would refuse is not waited for until they do.
static enum ct_identity_failure check_strength(const struct chain *chain) {
    for (size_t place = 0; place <= sk_X509_num(chain->others); place++) {
        X509 *certificate = place == 0 ? chain->leaf : sk_X509_value(chain->others, place - 1);
        if (has_small_key(certificate)) return CT_IDENTITY_KEY_SMALL;
        if (has_weak_signature(certificate)) return CT_IDENTITY_SIGNATURE_WEAK;
    }
    return CT_IDENTITY_FINE;
}

static enum ct_identity_failure put_together(const struct chain *chain, EVP_PKEY *key, struct ct_identity *identity) {
    unsigned digest_count = sizeof identity->fingerprint;
    if (is_chain_large(chain)) return CT_IDENTITY_CHAIN_LARGE;
    // A signature takes the cube of an RSA key's length, and all clients of the reactor wait for it.
    if (EVP_PKEY_id(key) == EVP_PKEY_RSA && EVP_PKEY_bits(key) > CT_RSA_BITS) return CT_IDENTITY_KEY_LARGE;
    if (!scheme_of(key, &identity->scheme)) return CT_IDENTITY_KEY_KIND;
    if (X509_check_private_key(chain->leaf, key) != 1) return CT_IDENTITY_MISMATCH;
    enum ct_identity_failure failure = check_strength(chain);
    if (failure != CT_IDENTITY_FINE) return failure;
    SSL_CTX *context = ct_context_make();
    identity->context = context;
    if (context == NULL || X509_digest(chain->leaf, EVP_sha256(), identity->fingerprint, &digest_count) != 1
        || SSL_CTX_use_certificate(context, chain->leaf) != 1 || SSL_CTX_set1_chain(context, chain->others) != 1
        || SSL_CTX_use_PrivateKey(context, key) != 1) {
        return CT_IDENTITY_REFUSED;
    }
    // A ticket is good for the certificate under which it was given, and for no other.
    if (SSL_CTX_set_session_id_context(context, identity->fingerprint, SSL_MAX_SID_CTX_LENGTH) != 1) {
        return CT_IDENTITY_REFUSED;
    }
    identity->not_before = seconds_of(X509_get0_notBefore(chain->leaf));
    identity->not_after = seconds_of(X509_get0_notAfter(chain->leaf));
    return CT_IDENTITY_FINE;
}

/// BoringSSL wipes what it frees, but not what its functions have left behind on the stack.
static __attribute__((noinline)) void wipe_stack(void) {
    uint8_t left[64 << 10];
    OPENSSL_cleanse(left, sizeof left);
}

static enum ct_identity_failure read_identity(const char *chain_text, size_t chain_count, const char *key_text,
                                              size_t key_count, struct ct_identity *identity) {
    struct chain chain = {NULL, NULL};
    EVP_PKEY *key = NULL;
    memset(identity, 0, sizeof *identity);
    ERR_clear_error();
    BIO *text = chain_count <= INT32_MAX ? BIO_new_mem_buf(chain_text, (ossl_ssize_t)chain_count) : NULL;
    enum ct_identity_failure failure =
        text != NULL ? read_chain(text, &chain, &identity->place) : CT_IDENTITY_REFUSED;
    if (failure == CT_IDENTITY_FINE) failure = read_key(key_text, key_count, &key);
    if (failure == CT_IDENTITY_FINE) failure = put_together(&chain, key, identity);
    if (failure != CT_IDENTITY_FINE) {
        SSL_CTX_free(identity->context);
        identity->context = NULL;
    }
    EVP_PKEY_free(key);
    X509_free(chain.leaf);
    sk_X509_pop_free(chain.others, X509_free);
    BIO_free(text);
    return failure;
}

enum ct_identity_failure ct_identity_read(const char *chain, size_t chain_count, const char *key, size_t key_count,
                                          struct ct_identity *identity) {
    enum ct_identity_failure failure = read_identity(chain, chain_count, key, key_count, identity);
    wipe_stack();
    return failure;
}

static void take_string(const ASN1_STRING *string, void *taker, void (*take)(void *, const char *, size_t)) {
    take(taker, (const char *)ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
}

static void take_common_name(X509 *certificate, void *taker, void (*take)(void *, const char *, size_t)) {
    X509_NAME *subject = X509_get_subject_name(certificate);
    int place = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (place >= 0) take_string(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, place)), taker, take);
}

void ct_identity_names(ct_context *context, void *taker, void (*take)(void *taker, const char *text, size_t count)) {
    X509 *certificate = SSL_CTX_get0_certificate(context);
    if (certificate == NULL) return;
    bool has_names = false;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (size_t place = 0; place < sk_GENERAL_NAME_num(names); place++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, place);
        if (name->type != GEN_DNS) continue;
        has_names = true;
        take_string(name->d.dNSName, taker, take);
    }
    GENERAL_NAMES_free(names);
    if (!has_names) take_common_name(certificate, taker, take);
    ERR_clear_error();
}

void ct_context_retain(ct_context *context) { SSL_CTX_up_ref(context); }

void ct_context_release(ct_context *context) { SSL_CTX_free(context); }
