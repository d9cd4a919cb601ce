#ifndef CTLS_H
#define CTLS_H

// BoringSSL as the target TLS needs it: a BIO over memory of ours, callbacks that choose a certificate, a protocol and
// a ticket key. Only this target sees BoringSSL, and Swift sees none of its headers.
//
// One environment a process, one engine a reactor, one context a certificate, one state a connection. A state belongs
// to one thread at a time; contexts and the environment are shared by all.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Called by the data plane. BoringSSL allocates and locks behind it; our own code does not.
#define CT_HOT __attribute__((swift_attr("@_noLocks")))

/// A connection's TLS (an SSL).
typedef struct ssl_st ct_state;
/// A certificate with its key and all settings (an SSL_CTX).
typedef struct ssl_ctx_st ct_context;

// The environment

/// Sets up what all connections share, once a process and before anything else here is called. Later calls do nothing
/// and say the same. False: it cannot be had; `ct_take_reason` knows why.
/// `requires_tls13`: connections with less are refused.
bool ct_start(bool requires_tls13);

/// BoringSSL's reason for the oldest failure that has not been asked for, in its words, and forgets all others.
void ct_take_reason(char *text, size_t capacity);

// Certificates and keys

enum ct_identity_failure {
    CT_IDENTITY_FINE = 0,
    CT_IDENTITY_CERTIFICATE_MISSING,   // no PEM block of a certificate
    CT_IDENTITY_CERTIFICATE_BROKEN,
    CT_IDENTITY_CHAIN_BROKEN,          // a later certificate; `place` says which, the first being 0
    CT_IDENTITY_CHAIN_LONG,
    CT_IDENTITY_CHAIN_LARGE,           // more than CT_CHAIN_BYTES
    CT_IDENTITY_KEY_MISSING,
    CT_IDENTITY_KEY_ENCRYPTED,
    CT_IDENTITY_KEY_BROKEN,
    CT_IDENTITY_KEY_KIND,              // neither RSA nor ECDSA nor Ed25519
    CT_IDENTITY_KEY_SMALL,             // less than 112 bits of strength
    CT_IDENTITY_KEY_LARGE,             // RSA of more than CT_RSA_BITS
    CT_IDENTITY_MISMATCH,              // the key is not the certificate's
    CT_IDENTITY_SIGNATURE_WEAK,        // a certificate of the chain is signed by way of SHA-1 or MD5
    CT_IDENTITY_REFUSED                // by BoringSSL, for a reason of its own
};

/// What a chain may have, its certificates' bytes together, and the longest RSA key.
enum { CT_CHAIN_CERTIFICATES = 16, CT_CHAIN_BYTES = 64 << 10, CT_RSA_BITS = 4096 };

struct ct_identity {
    ct_context *context;       // of the caller, who frees it
    int64_t not_before;        // seconds since 1970
    int64_t not_after;
    uint8_t fingerprint[32];   // SHA-256 of the certificate
    /// The signature scheme (RFC 8446 4.2.3) that a client must know for this key; 0: RSA, which all know.
    uint16_t scheme;
    uint16_t place;            // of the certificate that a failure is about
};

/// Reads a chain of certificates and its key, both PEM. Not a byte of the key is kept but in the context.
enum ct_identity_failure ct_identity_read(const char *chain, size_t chain_count, const char *key, size_t key_count,
                                          struct ct_identity *identity);

/// The names that the certificate of the context is for, one call of `take` each: those of subjectAltName that are DNS
/// names, or else the common name.
void ct_identity_names(ct_context *context, void *taker, void (*take)(void *taker, const char *text, size_t count));

void ct_context_retain(ct_context *context);
/// The key is wiped when the last user of the context has gone.
void ct_context_release(ct_context *context);

// Which certificate a client gets

struct ct_offer {
    ct_context *context;       // NULL: none
    uint16_t scheme;
};

/// Two certificates for one name: clients that know the scheme of the first get that one.
struct ct_choice {
    struct ct_offer modern;
    struct ct_offer rsa;
};

struct ct_name {
    const uint8_t *text;       // in lower case; a wildcard begins with a star
    size_t count;
    struct ct_choice choice;
};

/// Names in the order of `ct_compare_names`, and the choice for clients that ask for none of them.
struct ct_table {
    const struct ct_name *names;
    size_t count;
    struct ct_choice first;
};

/// By length, then by bytes.
int ct_compare_names(const uint8_t *left, size_t left_count, const uint8_t *right, size_t right_count);

/// The choice for a name as a client writes it, in any case, with or without a dot at its end.
const struct ct_choice *ct_table_find(const struct ct_table *table, const uint8_t *name, size_t count);

// Keys of tickets

/// Makes a new key the one that tickets are sealed with; the two before it still open theirs. From one thread. False:
/// there is no randomness.
bool ct_tickets_renew(void);

// Connections

/// Where BoringSSL reads and writes. Set before each call on a state, and valid until it returns.
struct ct_io {
    const uint8_t *input;      // what is left of it after a call has not been read
    size_t input_count;
    void *sink;
    /// Takes all bytes, or says false, and the connection fails.
    bool (*write)(void *sink, const uint8_t *bytes, size_t count);
    const struct ct_table *table;      // during a handshake
    bool selects_http;         // the only application protocol is http/1.1
};

enum ct_outcome {
    CT_OUTCOME_DONE = 0,
    CT_OUTCOME_MORE,           // all input was read, and more is needed
    CT_OUTCOME_ENDED,          // close_notify
    CT_OUTCOME_FAILED
};

enum ct_failure {
    CT_FAILURE_BROKEN = 0,     // what no rule below names: broken records, broken handshakes
    CT_FAILURE_NOT_TLS,        // the first bytes are no record
    CT_FAILURE_HTTP,           // the first bytes are an HTTP request
    CT_FAILURE_VERSION,        // no common version
    CT_FAILURE_CIPHER,         // no common cipher suite, group or signature scheme
    CT_FAILURE_PROTOCOL,       // no common application protocol
    CT_FAILURE_ALERT,          // the client gave up; `alert` says why (RFC 8446 6)
    CT_FAILURE_OUTPUT,         // the sink took no more
    CT_FAILURE_MEMORY
};

struct ct_result {
    size_t count;              // bytes read or written
    uint8_t outcome;
    uint8_t failure;
    uint8_t alert;
};

struct ct_engine;

/// Whose BIO points at `io` for as long as the engine lives. NULL before `ct_start`.
struct ct_engine *ct_engine_make(struct ct_io *io);
/// All its states must have been freed, or have gone to another engine.
void ct_engine_free(struct ct_engine *engine);

/// A connection about to begin, or NULL for want of memory.
CT_HOT ct_state *ct_state_make(struct ct_engine *engine);
/// The state is this engine's from now on: it comes from another thread.
CT_HOT void ct_state_adopt(struct ct_engine *engine, ct_state *state);
CT_HOT void ct_state_free(ct_state *state);

/// Whether a handshake goes on.
CT_HOT bool ct_is_shaking(const ct_state *state);
CT_HOT struct ct_result ct_shake(struct ct_engine *engine, ct_state *state);
/// Decrypts up to `capacity` bytes.
CT_HOT struct ct_result ct_read(struct ct_engine *engine, ct_state *state, void *bytes, size_t capacity);
/// Encrypts all bytes, in records of at most 16 KiB.
CT_HOT struct ct_result ct_write(struct ct_engine *engine, ct_state *state, const void *bytes, size_t count);
/// Says close_notify: nothing will be written after it. What comes can still be read.
CT_HOT struct ct_result ct_finish(struct ct_engine *engine, ct_state *state);

struct ct_facts {
    uint16_t version;          // as on the wire: 0x0303, 0x0304
    uint16_t suite;
    bool resumed;
};

CT_HOT struct ct_facts ct_state_facts(const ct_state *state);

// Digests

/// 44 characters, and the byte behind them.
enum { CT_SHA256_TEXT = 45 };

/// SHA-256 in base64.
void ct_sha256_base64(const uint8_t *bytes, size_t count, char text[CT_SHA256_TEXT]);

#endif
