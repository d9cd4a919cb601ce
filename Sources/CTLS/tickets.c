// Keys of session tickets (RFC 5077, RFC 8446 4.6.1): of the whole process, so that a session resumes on any reactor.
//
// One thread makes new ones, all others read without a lock. A slot is written only when two younger keys have been
// published since it was current, and a reader that has been stopped for that long finds out: the slot's number is odd
// while it is written, and another one afterwards.

#include "private.h"

#include <CNIOBoringSSL_aead.h>
#include <CNIOBoringSSL_err.h>
#include <CNIOBoringSSL_mem.h>
#include <CNIOBoringSSL_rand.h>
#include <stdatomic.h>
#include <string.h>

enum {
    SLOTS = 4,                 // current, two that still open, one to write
    NAME_BYTES = 16,
    SECRET_BYTES = 32,
    NONCE_BYTES = 12,          // of AES-GCM-SIV (RFC 8452), which bears that two are equal
    HEAD_BYTES = NAME_BYTES + NONCE_BYTES,
    WORDS = (NAME_BYTES + SECRET_BYTES) / 8
};

struct slot {
    _Atomic uint64_t number;   // even: complete; 0: never written
    _Atomic uint64_t words[WORDS];
};

struct key {
    uint8_t name[NAME_BYTES];
    uint8_t secret[SECRET_BYTES];
};

_Static_assert(sizeof(struct key) == WORDS * 8, "a key is what the words are");

static struct slot slots[SLOTS];
static _Atomic uint32_t current;       // counts up; its remainder is the slot

bool ct_tickets_renew(void) {
    uint64_t words[WORDS];
    if (RAND_bytes((uint8_t *)words, sizeof words) != 1) return false;
    uint32_t next = atomic_load_explicit(&current, memory_order_relaxed) + 1;
    struct slot *slot = &slots[next % SLOTS];
    uint64_t number = atomic_load_explicit(&slot->number, memory_order_relaxed);
    atomic_store_explicit(&slot->number, number + 1, memory_order_seq_cst);
    for (int place = 0; place < WORDS; place++) {
        atomic_store_explicit(&slot->words[place], words[place], memory_order_seq_cst);
    }
    atomic_store_explicit(&slot->number, number + 2, memory_order_seq_cst);
    atomic_store_explicit(&current, next, memory_order_seq_cst);
    OPENSSL_cleanse(words, sizeof words);
    return true;
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
    bool is_whole = atomic_load_explicit(&slot->number, memory_order_seq_cst) == number;
    if (is_whole) memcpy(key, words, sizeof *key);
    OPENSSL_cleanse(words, sizeof words);
    return is_whole;
}

// A ticket: the key's name, a nonce, what is sealed. What comes in and what goes out lie apart: BoringSSL may hand the
// same bytes for both, but does not, and then there is no ticket.

static size_t ticket_overhead(SSL *state) {
    (void)state;
    return HEAD_BYTES + EVP_AEAD_max_overhead(EVP_aead_aes_256_gcm_siv());
}

/// False: with this key there is nothing to be had of it.
static bool use_key(const struct key *key, bool seals, const uint8_t *nonce, uint8_t *out, size_t *out_count,
                    size_t capacity, const uint8_t *in, size_t in_count) {
    EVP_AEAD_CTX cipher;
    if (EVP_AEAD_CTX_init(&cipher, EVP_aead_aes_256_gcm_siv(), key->secret, SECRET_BYTES,
                          EVP_AEAD_DEFAULT_TAG_LENGTH, NULL) != 1) {
        return false;
    }
    int is_done = (seals ? EVP_AEAD_CTX_seal : EVP_AEAD_CTX_open)(&cipher, out, out_count, capacity, nonce,
                                                                  NONCE_BYTES, in, in_count, NULL, 0);
    EVP_AEAD_CTX_cleanup(&cipher);
    OPENSSL_cleanse(&cipher, sizeof cipher);
    return is_done == 1;
}

static int seal_ticket(SSL *state, uint8_t *out, size_t *out_count, size_t capacity, const uint8_t *in,
                       size_t in_count) {
    (void)state;
    struct key key;
    uint8_t *nonce = out + NAME_BYTES;
    *out_count = 0;            // none is sent
    if (in == out || capacity < HEAD_BYTES) return 1;
    if (!take_key(atomic_load_explicit(&current, memory_order_seq_cst), &key)) return 1;
    size_t sealed_count = 0;
    bool is_sealed = RAND_bytes(nonce, NONCE_BYTES) == 1
        && use_key(&key, true, nonce, out + HEAD_BYTES, &sealed_count, capacity - HEAD_BYTES, in, in_count);
    memcpy(out, key.name, NAME_BYTES);
    OPENSSL_cleanse(&key, sizeof key);
    if (is_sealed) *out_count = HEAD_BYTES + sealed_count;
    return is_sealed;
}

/// What is sealed with none of our keys, or broken, makes the handshake a full one.
static enum ssl_ticket_aead_result_t open_ticket(SSL *state, uint8_t *out, size_t *out_count, size_t capacity,
                                                 const uint8_t *in, size_t in_count) {
    (void)state;
    enum ssl_ticket_aead_result_t result = ssl_ticket_aead_ignore_ticket;
    uint32_t newest = atomic_load_explicit(&current, memory_order_seq_cst);
    struct key key;
    if (in == out || in_count < HEAD_BYTES) return result;
    for (uint32_t age = 0; age < SLOTS - 1; age++) {
        if (!take_key(newest - age, &key) || CRYPTO_memcmp(in, key.name, NAME_BYTES) != 0) continue;
        if (use_key(&key, false, in + NAME_BYTES, out, out_count, capacity, in + HEAD_BYTES, in_count - HEAD_BYTES)) {
            result = ssl_ticket_aead_success;
        }
        break;
    }
    OPENSSL_cleanse(&key, sizeof key);
    // What is left there would be taken for an error of the handshake.
    if (result != ssl_ticket_aead_success) ERR_clear_error();
    return result;
}

const SSL_TICKET_AEAD_METHOD ct_ticket_method = {ticket_overhead, seal_ticket, open_ticket};
