// The algorithms. OpenSSL finds everything by name, over and over within each handshake, and walks over all names
// that it knows. So a provider of our own passes on those algorithms of the default one that TLS
// needs, and no others; and it puts better code in the place of two of them:
//
// - TLS13-KDF, the key schedule: schedule.c.
// - The making of an X25519 key. OpenSSL 3.0 multiplies the base point by code that takes longer than its own
//   multiplication of any other point, so the base point is multiplied by the latter.
//
// Everything secret is done by OpenSSL's code still, but for the key schedule, which is HMAC over its SHA-2.

#include "private.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <string.h>

enum {
    ALGORITHMS = 32,           // of one operation, at most
    FUNCTIONS = 64,            // of one algorithm
    OPERATIONS = OSSL_OP__HIGHEST + 1,
    X25519_BYTES = 32
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

// Making X25519 keys

static OSSL_DISPATCH x25519_functions[FUNCTIONS];
static OSSL_FUNC_keymgmt_new_fn *key_new;
static OSSL_FUNC_keymgmt_free_fn *key_free;
static OSSL_FUNC_keymgmt_import_fn *key_import;
static OSSL_FUNC_keymgmt_gen_init_fn *making_init;
static OSSL_FUNC_keymgmt_gen_set_params_fn *making_set;
static OSSL_FUNC_keymgmt_gen_settable_params_fn *making_settable;
static OSSL_FUNC_keymgmt_gen_fn *making_make;
static OSSL_FUNC_keymgmt_gen_cleanup_fn *making_cleanup;
static OSSL_FUNC_keyexch_newctx_fn *exchange_new;
static OSSL_FUNC_keyexch_init_fn *exchange_init;
static OSSL_FUNC_keyexch_set_peer_fn *exchange_set_peer;
static OSSL_FUNC_keyexch_derive_fn *exchange_derive;
static OSSL_FUNC_keyexch_freectx_fn *exchange_free;

/// Whose public key is the base point (RFC 7748 4.1).
static void *base_key;

struct making {
    void *original;
    int selection;
};

static void *make_key(const uint8_t *public_key, const uint8_t *private_key) {
    OSSL_PARAM parameters[3] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)public_key, X25519_BYTES),
        OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end()};
    if (private_key != NULL) {
        parameters[1] =
            OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)private_key, X25519_BYTES);
    }
    int selection = private_key != NULL ? OSSL_KEYMGMT_SELECT_KEYPAIR : OSSL_KEYMGMT_SELECT_PUBLIC_KEY;
    void *key = key_new(default_context);
    if (key == NULL || key_import(key, selection, parameters) == 1) return key;
    key_free(key);
    return NULL;
}

/// Multiplies the base point. A key cannot be without its public half, so it begins with a wrong one.
static bool multiply_base(const uint8_t *private_key, uint8_t *public_key) {
    static const uint8_t base[X25519_BYTES] = {9};
    size_t count = 0;
    void *key = make_key(base, private_key);
    void *exchange = key != NULL ? exchange_new(default_context) : NULL;
    bool is_done = exchange != NULL && exchange_init(exchange, key, NULL) == 1
        && exchange_set_peer(exchange, base_key) == 1
        && exchange_derive(exchange, public_key, &count, X25519_BYTES) == 1 && count == X25519_BYTES;
    if (exchange != NULL) exchange_free(exchange);
    if (key != NULL) key_free(key);
    return is_done;
}

static void *x25519_make(void *context, OSSL_CALLBACK *progress, void *argument) {
    struct making *making = context;
    if ((making->selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0) {
        return making_make(making->original, progress, argument);
    }
    uint8_t private_key[X25519_BYTES];
    uint8_t public_key[X25519_BYTES];
    if (RAND_priv_bytes_ex(default_library, private_key, sizeof private_key, 0) != 1) return NULL;
    private_key[0] &= 248;
    private_key[31] = (private_key[31] & 127) | 64;
    void *key = multiply_base(private_key, public_key) ? make_key(public_key, private_key) : NULL;
    OPENSSL_cleanse(private_key, sizeof private_key);
    return key;
}

static void *x25519_making_init(void *context, int selection, const OSSL_PARAM parameters[]) {
    struct making *making = OPENSSL_malloc(sizeof *making);
    if (making == NULL) return NULL;
    making->selection = selection;
    making->original = making_init(context, selection, parameters);
    if (making->original != NULL) return making;
    OPENSSL_free(making);
    return NULL;
}

static int x25519_making_set(void *context, const OSSL_PARAM parameters[]) {
    return making_set(((struct making *)context)->original, parameters);
}

static const OSSL_PARAM *x25519_making_settable(void *context, void *provider) {
    struct making *making = context;
    return making_settable(making != NULL ? making->original : NULL, provider);
}

static void x25519_making_cleanup(void *context) {
    struct making *making = context;
    if (making == NULL) return;
    making_cleanup(making->original);
    OPENSSL_free(making);
}

/// Remembers one function of the original, and puts ours in its place where there is one.
static void take_key_function(OSSL_DISPATCH *entry) {
    typedef void (*function)(void);
    switch (entry->function_id) {
    case OSSL_FUNC_KEYMGMT_NEW: key_new = OSSL_FUNC_keymgmt_new(entry); break;
    case OSSL_FUNC_KEYMGMT_FREE: key_free = OSSL_FUNC_keymgmt_free(entry); break;
    case OSSL_FUNC_KEYMGMT_IMPORT: key_import = OSSL_FUNC_keymgmt_import(entry); break;
    case OSSL_FUNC_KEYMGMT_GEN_INIT:
        making_init = OSSL_FUNC_keymgmt_gen_init(entry);
        entry->function = (function)x25519_making_init;
        break;
    case OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS:
        making_set = OSSL_FUNC_keymgmt_gen_set_params(entry);
        entry->function = (function)x25519_making_set;
        break;
    case OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS:
        making_settable = OSSL_FUNC_keymgmt_gen_settable_params(entry);
        entry->function = (function)x25519_making_settable;
        break;
    case OSSL_FUNC_KEYMGMT_GEN:
        making_make = OSSL_FUNC_keymgmt_gen(entry);
        entry->function = (function)x25519_make;
        break;
    case OSSL_FUNC_KEYMGMT_GEN_CLEANUP:
        making_cleanup = OSSL_FUNC_keymgmt_gen_cleanup(entry);
        entry->function = (function)x25519_making_cleanup;
        break;
    default: break;
    }
}

static void take_exchange_function(const OSSL_DISPATCH *entry) {
    switch (entry->function_id) {
    case OSSL_FUNC_KEYEXCH_NEWCTX: exchange_new = OSSL_FUNC_keyexch_newctx(entry); break;
    case OSSL_FUNC_KEYEXCH_INIT: exchange_init = OSSL_FUNC_keyexch_init(entry); break;
    case OSSL_FUNC_KEYEXCH_SET_PEER: exchange_set_peer = OSSL_FUNC_keyexch_set_peer(entry); break;
    case OSSL_FUNC_KEYEXCH_DERIVE: exchange_derive = OSSL_FUNC_keyexch_derive(entry); break;
    case OSSL_FUNC_KEYEXCH_FREECTX: exchange_free = OSSL_FUNC_keyexch_freectx(entry); break;
    default: break;
    }
}

/// Whether all that making a key takes was found. If not, OpenSSL's own way stays.
static bool can_make_x25519(void) {
    static const uint8_t base[X25519_BYTES] = {9};
    if (key_new == NULL || key_free == NULL || key_import == NULL || making_init == NULL || making_set == NULL
        || making_settable == NULL || making_make == NULL || making_cleanup == NULL || exchange_new == NULL
        || exchange_init == NULL || exchange_set_peer == NULL || exchange_derive == NULL || exchange_free == NULL) {
        return false;
    }
    base_key = make_key(base, NULL);
    return base_key != NULL;
}

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

static void replace_x25519(void) {
    OSSL_ALGORITHM *keys = passed_named(OSSL_OP_KEYMGMT, "X25519");
    OSSL_ALGORITHM *exchange = passed_named(OSSL_OP_KEYEXCH, "X25519");
    if (keys == NULL || exchange == NULL) return;
    size_t count = 0;
    for (const OSSL_DISPATCH *entry = keys->implementation; entry->function_id != 0; entry++) {
        if (count + 1 == FUNCTIONS) return;
        x25519_functions[count] = *entry;
        take_key_function(&x25519_functions[count++]);
    }
    for (const OSSL_DISPATCH *entry = exchange->implementation; entry->function_id != 0; entry++) {
        take_exchange_function(entry);
    }
    if (can_make_x25519()) keys->implementation = x25519_functions;
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
    replace_x25519();
    replace_schedule();
    OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
    if (library == NULL || OSSL_PROVIDER_add_builtin(library, "tls", provider_init) != 1) return NULL;
    return OSSL_PROVIDER_load(library, "tls") != NULL ? library : NULL;
}
