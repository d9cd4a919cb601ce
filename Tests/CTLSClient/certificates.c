#define _GNU_SOURCE
#include "CTLSClient.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

static EVP_PKEY *make_key(enum tc_kind kind) {
    switch (kind) {
    case TC_P256: return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    case TC_P384: return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
    case TC_P521: return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521");
    case TC_SECP256K1: return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1");
    case TC_RSA2048: return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    case TC_RSA1024: return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    case TC_ED25519: return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    }
    return NULL;
}

static bool add_alternatives(X509 *certificate, const char *alternatives) {
    if (alternatives == NULL) return true;
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternatives);
    bool is_added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_added;
}

static bool add_authority(X509 *certificate, bool is_authority) {
    if (!is_authority) return true;
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    bool is_added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_added;
}

static X509 *make_unsigned(const struct tc_order *order, EVP_PKEY *key) {
    X509 *certificate = X509_new();
    if (certificate == NULL) return NULL;
    uint64_t serial = 0;
    RAND_bytes((unsigned char *)&serial, sizeof serial);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), (long)order->begins_in);
    X509_gmtime_adj(X509_getm_notAfter(certificate), (long)order->ends_in);
    X509_set_pubkey(certificate, key);
    X509_NAME *name = X509_get_subject_name(certificate);
    if (order->common_name != NULL) {
        X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)order->common_name, -1,
                                   -1, 0);
    }
    if (add_alternatives(certificate, order->alternatives) && add_authority(certificate, order->is_authority)) {
        return certificate;
    }
    X509_free(certificate);
    return NULL;
}

static bool sign_by_itself(X509 *certificate, EVP_PKEY *key) {
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    return X509_sign(certificate, key, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256()) > 0;
}

static bool sign_by_issuer(X509 *certificate, const struct tc_order *order) {
    BIO *text = BIO_new_mem_buf(order->issuer, -1);
    BIO *key_text = BIO_new_mem_buf(order->issuer_key, -1);
    X509 *issuer = PEM_read_bio_X509(text, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(key_text, NULL, NULL, NULL);
    bool is_signed = issuer != NULL && key != NULL
        && X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1
        && X509_sign(certificate, key, order->is_sha1 ? EVP_sha1() : EVP_sha256()) > 0;
    X509_free(issuer);
    EVP_PKEY_free(key);
    BIO_free(text);
    BIO_free(key_text);
    return is_signed;
}

static X509 *make_certificate(const struct tc_order *order, EVP_PKEY *key) {
    X509 *certificate = make_unsigned(order, key);
    if (certificate == NULL) return NULL;
    if (order->issuer != NULL ? sign_by_issuer(certificate, order) : sign_by_itself(certificate, key)) {
        return certificate;
    }
    X509_free(certificate);
    return NULL;
}

static bool write_key(BIO *text, EVP_PKEY *key, enum tc_key_form form) {
    switch (form) {
    case TC_PKCS8: return PEM_write_bio_PKCS8PrivateKey(text, key, NULL, NULL, 0, NULL, NULL) == 1;
    case TC_TRADITIONAL: return PEM_write_bio_PrivateKey_traditional(text, key, NULL, NULL, 0, NULL, NULL) == 1;
    }
    return false;
}

static bool copy_text(BIO *text, char *to, size_t capacity) {
    char *bytes = NULL;
    long count = BIO_get_mem_data(text, &bytes);
    if (count <= 0 || (size_t)count >= capacity) return false;
    memcpy(to, bytes, (size_t)count);
    to[count] = 0;
    return true;
}

bool tc_certificate(const struct tc_order *order, char *certificate, size_t certificate_capacity, char *key,
                    size_t key_capacity) {
    EVP_PKEY *made = make_key(order->kind);
    X509 *signed_one = made != NULL ? make_certificate(order, made) : NULL;
    BIO *certificate_text = BIO_new(BIO_s_mem());
    BIO *key_text = BIO_new(BIO_s_mem());
    bool is_made = signed_one != NULL && PEM_write_bio_X509(certificate_text, signed_one) == 1
        && write_key(key_text, made, order->form) && copy_text(certificate_text, certificate, certificate_capacity)
        && copy_text(key_text, key, key_capacity);
    BIO_free(certificate_text);
    BIO_free(key_text);
    X509_free(signed_one);
    EVP_PKEY_free(made);
    ERR_clear_error();
    return is_made;
}
