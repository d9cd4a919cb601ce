// The algorithms. OpenSSL finds everything by name, over and over within each handshake, and walks over all names
// that it knows. So a provider of our own passes on those algorithms of the default one that TLS
// needs, and no others; and it puts cheaper code in the place of one of them: TLS13-KDF, the key schedule (schedule.c).
// Everything secret is done by OpenSSL's code still, but for that schedule, which is HMAC over its SHA-2.

#include "private.h"

#include <openssl/crypto.h>
#include <openssl/provider.h>
#include <string.h>

enum {
    ALGORITHMS = 32,           // of one operation, at most
    OPERATIONS = OSSL_OP__HIGHEST + 1
};

// Names between commas, of those operations that have far more algorithms than TLS needs. All of the others pass.
static const char *const needed[OPERATIONS] = {
    [OSSL_OP_DIGEST] = ",SHA2-256,SHA2-384,SHA2-512,SHA2-224,SHA1,MD5,MD5-SHA1,",
    [OSSL_OP_CIPHER] = ",AES-128-GCM,AES-256-GCM,ChaCha20-Poly1305,AES-256-CBC,AES-256-CTR,AES-256-ECB,",
    [OSSL_OP_MAC] = ",HMAC,",
    [OSSL_OP_KDF] = ",HKDF,TLS13-KDF,TLS1-PRF,",
    [OSSL_OP_RAND] = ",CTR-DRBG,SEED-SRC,",
    [OSSL_OP_KEYMGMT] = ",RSA,RSA-PSS,EC,X25519,ED25519,HMAC,TLS1-PRF,HKDF,",
    [OSSL_OP_KEYEXCH] = ",ECDH,X25519,TLS1-PRF,HKDF,",
    [OSSL_OP_SIGNATURE] = ",RSA,ECDSA,ED25519,HMAC,",
};

// The default provider, in a context of its own, and what it calls itself.
static OSSL_LIB_CTX *default_library;
static OSSL_PROVIDER *default_provider;
static void *default_context;

static OSSL_ALGORITHM passed[OPERATIONS][ALGORITHMS + 1];

// Passing on

static bool is_named(const char *names, const char *wanted) {
    size_t count = strcspn(names, ":");
    return strlen(wanted) == count && strncmp(names, wanted, count) == 0;
}

static bool is_needed(int operation, const char *names) {
    const char *list = needed[operation];
    if (list == NULL) return true;
    size_t count = strcspn(names, ":");
    for (const char *place = strstr(list, ","); place != NULL && place[1] != 0; place = strstr(place + 1, ",")) {
        if (strncmp(place + 1, names, count) == 0 && place[1 + count] == ',') return true;
    }
    return false;
}

static OSSL_ALGORITHM *passed_named(int operation, const char *name) {
    for (OSSL_ALGORITHM *algorithm = passed[operation]; algorithm->algorithm_names != NULL; algorithm++) {
        if (is_named(algorithm->algorithm_names, name)) return algorithm;
    }
    return NULL;
}

/// False: there are more than we have room for.
static bool pass_on(int operation) {
    int no_cache = 0;
    const OSSL_ALGORITHM *from = OSSL_PROVIDER_query_operation(default_provider, operation, &no_cache);
    int count = 0;
    for (; from != NULL && from->algorithm_names != NULL; from++) {
        if (!is_needed(operation, from->algorithm_names)) continue;
        if (count == ALGORITHMS) return false;
        passed[operation][count++] = *from;
    }
    return true;
}

static void replace_schedule(void) {
    OSSL_ALGORITHM *schedule = passed_named(OSSL_OP_KDF, "TLS13-KDF");
    if (schedule != NULL) schedule->implementation = ct_schedule_functions;
}

static bool is_large(int operation) { return needed[operation] != NULL; }

static const OSSL_ALGORITHM *query(void *context, int operation, int *no_cache) {
    (void)context;
    if (operation > 0 && operation < OPERATIONS && is_large(operation)) {
        *no_cache = 0;
        return passed[operation];
    }
    return OSSL_PROVIDER_query_operation(default_provider, operation, no_cache);
}

static int get_capabilities(void *context, const char *name, OSSL_CALLBACK *take, void *argument) {
    (void)context;
    return OSSL_PROVIDER_get_capabilities(default_provider, name, take, argument);
}

static const OSSL_DISPATCH provider_functions[] = {
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))get_capabilities},
    {0, NULL}};

/// The functions passed on are called with the context of the provider that they come from.
static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                         void **context) {
    (void)handle, (void)in;
    *out = provider_functions;
    *context = default_context;
    return 1;
}

OSSL_LIB_CTX *ct_library_make(void) {
    default_library = OSSL_LIB_CTX_new();
    if (default_library == NULL) return NULL;
    default_provider = OSSL_PROVIDER_load(default_library, "default");
    if (default_provider == NULL) return NULL;
    default_context = OSSL_PROVIDER_get0_provider_ctx(default_provider);
    for (int operation = 1; operation < OPERATIONS; operation++) {
        if (is_large(operation) && !pass_on(operation)) return NULL;
    }
    // The one switch of our key schedule: without this line OpenSSL's own is used, and nothing else changes.
    replace_schedule();
    OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
    if (library == NULL || OSSL_PROVIDER_add_builtin(library, "tls", provider_init) != 1) return NULL;
    return OSSL_PROVIDER_load(library, "tls") != NULL ? library : NULL;
}
