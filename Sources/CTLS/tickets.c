// Keys of session tickets (RFC 5077, RFC 8446 4.6.1): of the whole process, so that a session resumes on any reactor.
//
// One thread makes new ones, all others read without a lock. A slot is written only when two younger keys have been
// published since it was current, and a reader that has been stopped for that long finds out: the slot's number is odd
// while it is written, and another one afterwards.

#include "private.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdatomic.h>
#include <string.h>

enum {
    SLOTS = 4,                 // current, two that still open, one to write
    WORDS = CT_TICKET_SECRET / 8,
    NAME_BYTES = 16,
    SECRET_BYTES = 32,
    VECTOR_BYTES = 16
};

struct slot {
    _Atomic uint64_t number;   // even: complete; 0: never written
    _Atomic uint64_t words[WORDS];
};

// As OpenSSL takes it.
struct key {
    uint8_t name[NAME_BYTES];
    uint8_t cipher[SECRET_BYTES];
    uint8_t mac[SECRET_BYTES];
};

_Static_assert(sizeof(struct key) == CT_TICKET_SECRET, "a key is what a secret's bytes are");

static struct slot slots[SLOTS];
static _Atomic uint32_t current;       // counts up; its remainder is the slot
static EVP_CIPHER *ticket_cipher;

bool ct_tickets_start(void) {
    uint8_t secret[CT_TICKET_SECRET];
    ticket_cipher = EVP_CIPHER_fetch(ct_library(), "AES-256-CBC", NULL);
    if (ticket_cipher == NULL || !ct_random(secret, sizeof secret)) return false;
    ct_tickets_rotate(secret);
    OPENSSL_cleanse(secret, sizeof secret);
    return true;
}

void ct_tickets_rotate(const uint8_t secret[CT_TICKET_SECRET]) {
    uint32_t next = atomic_load_explicit(&current, memory_order_relaxed) + 1;
    struct slot *slot = &slots[next % SLOTS];
    uint64_t words[WORDS];
    memcpy(words, secret, sizeof words);
    uint64_t number = atomic_load_explicit(&slot->number, memory_order_relaxed);
    atomic_store_explicit(&slot->number, number + 1, memory_order_seq_cst);
    for (int place = 0; place < WORDS; place++) {
        atomic_store_explicit(&slot->words[place], words[place], memory_order_seq_cst);
    }
    atomic_store_explicit(&slot->number, number + 2, memory_order_seq_cst);
    atomic_store_explicit(&current, next, memory_order_seq_cst);
    OPENSSL_cleanse(words, sizeof words);
}

/// False: nothing was ever there, or it is being written.
static bool take_key(uint32_t place, struct key *key) {
    struct slot *slot = &slots[place % SLOTS];
    uint64_t words[WORDS];
    uint64_t number = atomic_load_explicit(&slot->number, memory_order_seq_cst);
    if (number == 0 || number % 2 == 1) return false;
    for (int index = 0; index < WORDS; index++) {
        words[index] = atomic_load_explicit(&slot->words[index], memory_order_seq_cst);
    }
    if (atomic_load_explicit(&slot->number, memory_order_seq_cst) != number) return false;
    memcpy(key, words, sizeof *key);
    OPENSSL_cleanse(words, sizeof words);
    return true;
}

static bool use_key(const struct key *key, const uint8_t *vector, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seals) {
    OSSL_PARAM parameters[3] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac, SECRET_BYTES),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0), OSSL_PARAM_construct_end()};
    return EVP_CipherInit_ex(cipher, ticket_cipher, NULL, key->cipher, vector, seals) == 1
        && EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

static int seal(uint32_t newest, unsigned char *name, unsigned char *vector, EVP_CIPHER_CTX *cipher,
                EVP_MAC_CTX *mac) {
    struct key key;
    if (!take_key(newest, &key) || !ct_random(vector, VECTOR_BYTES)) return 0;
    memcpy(name, key.name, NAME_BYTES);
    bool is_used = use_key(&key, vector, cipher, mac, 1);
    OPENSSL_cleanse(&key, sizeof key);
    return is_used ? 1 : -1;
}

/// 0: none of our keys; the handshake becomes a full one. 2: an older one; the client gets a new ticket.
static int open_with(uint32_t newest, const unsigned char *name, unsigned char *vector, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac) {
    int result = 0;
    struct key key;
    for (uint32_t age = 0; age < SLOTS - 1; age++) {
        if (!take_key(newest - age, &key) || CRYPTO_memcmp(name, key.name, NAME_BYTES) != 0) continue;
        result = !use_key(&key, vector, cipher, mac, 0) ? -1 : age == 0 ? 1 : 2;
        break;
    }
    OPENSSL_cleanse(&key, sizeof key);
    return result;
}

int ct_ticket_key(SSL *state, unsigned char *name, unsigned char *vector, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                  int seals) {
    (void)state;
    uint32_t newest = atomic_load_explicit(&current, memory_order_seq_cst);
    return seals ? seal(newest, name, vector, cipher, mac) : open_with(newest, name, vector, cipher, mac);
}
