// The key schedule of TLS 1.3 (RFC 8446 7.1): HKDF-Extract and HKDF-Expand-Label (RFC 5869), for SHA-256 and SHA-384.
//
// A handshake asks for 14 values of it. OpenSSL's code looks up HMAC and the digest by name, makes their contexts and
// frees them for each: 16 of 174 us a handshake. This one hashes.

#define OPENSSL_SUPPRESS_DEPRECATED    // SHA256_Init and its like are what there is without a look-up

#include "private.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

enum {
    LONGEST_DIGEST = SHA384_DIGEST_LENGTH,
    LONGEST_SECRET = 128,      // a shared secret of a group, at most
    LONGEST_LABEL = 249,       // RFC 8446 7.1, the prefix apart
    LONGEST_PREFIX = 6,
    LONGEST_INFO = 2 + 1 + 255 + 1 + LONGEST_DIGEST + 1
};

enum mode { MODE_NONE = -1 };

struct bytes {
    uint16_t count;
    bool is_set;
};

struct schedule {
    int mode;
    uint8_t digest_bytes;      // 0: not said yet
    struct bytes key, salt, prefix, label, data;
    uint8_t key_bytes[LONGEST_SECRET];
    uint8_t salt_bytes[LONGEST_DIGEST];
    uint8_t prefix_bytes[LONGEST_PREFIX];
    uint8_t label_bytes[LONGEST_LABEL];
    uint8_t data_bytes[LONGEST_DIGEST];
};

// HMAC (RFC 2104); a key is never longer than a block here.

static void hmac_sha256(const uint8_t *key, size_t key_count, const uint8_t *text, size_t count, uint8_t *out) {
    uint8_t block[SHA256_CBLOCK] = {0};
    uint8_t inner[SHA256_DIGEST_LENGTH];
    SHA256_CTX hash;
    memcpy(block, key, key_count);
    for (size_t place = 0; place < sizeof block; place++) block[place] ^= 0x36;
    SHA256_Init(&hash);
    SHA256_Update(&hash, block, sizeof block);
    SHA256_Update(&hash, text, count);
    SHA256_Final(inner, &hash);
    for (size_t place = 0; place < sizeof block; place++) block[place] ^= 0x36 ^ 0x5c;
    SHA256_Init(&hash);
    SHA256_Update(&hash, block, sizeof block);
    SHA256_Update(&hash, inner, sizeof inner);
    SHA256_Final(out, &hash);
    OPENSSL_cleanse(block, sizeof block);
    OPENSSL_cleanse(inner, sizeof inner);
    OPENSSL_cleanse(&hash, sizeof hash);
}

static void hmac_sha384(const uint8_t *key, size_t key_count, const uint8_t *text, size_t count, uint8_t *out) {
    uint8_t block[SHA512_CBLOCK] = {0};
    uint8_t inner[SHA384_DIGEST_LENGTH];
    SHA512_CTX hash;
    memcpy(block, key, key_count);
    for (size_t place = 0; place < sizeof block; place++) block[place] ^= 0x36;
    SHA384_Init(&hash);
    SHA384_Update(&hash, block, sizeof block);
    SHA384_Update(&hash, text, count);
    SHA384_Final(inner, &hash);
    for (size_t place = 0; place < sizeof block; place++) block[place] ^= 0x36 ^ 0x5c;
    SHA384_Init(&hash);
    SHA384_Update(&hash, block, sizeof block);
    SHA384_Update(&hash, inner, sizeof inner);
    SHA384_Final(out, &hash);
    OPENSSL_cleanse(block, sizeof block);
    OPENSSL_cleanse(inner, sizeof inner);
    OPENSSL_cleanse(&hash, sizeof hash);
}

static bool hmac(const struct schedule *schedule, const uint8_t *key, size_t key_count, const uint8_t *text,
                 size_t count, uint8_t *out) {
    bool is_short = schedule->digest_bytes == SHA256_DIGEST_LENGTH;
    if (key_count > (is_short ? SHA256_CBLOCK : SHA512_CBLOCK)) return false;
    (is_short ? hmac_sha256 : hmac_sha384)(key, key_count, text, count, out);
    return true;
}

/// HKDF-Expand-Label with one block of output, which is all that TLS asks for.
static bool expand_label(const struct schedule *schedule, const uint8_t *secret, size_t secret_count,
                         const uint8_t *data, size_t data_count, uint8_t *out, size_t count) {
    uint8_t info[LONGEST_INFO];
    uint8_t block[LONGEST_DIGEST];
    size_t place = 0;
    size_t label_count = (size_t)schedule->prefix.count + schedule->label.count;
    if (count > schedule->digest_bytes || label_count > 255 || data_count > LONGEST_DIGEST) return false;
    info[place++] = (uint8_t)(count >> 8);
    info[place++] = (uint8_t)count;
    info[place++] = (uint8_t)label_count;
    memcpy(info + place, schedule->prefix_bytes, schedule->prefix.count);
    place += schedule->prefix.count;
    memcpy(info + place, schedule->label_bytes, schedule->label.count);
    place += schedule->label.count;
    info[place++] = (uint8_t)data_count;
    if (data_count > 0) memcpy(info + place, data, data_count);
    place += data_count;
    info[place++] = 1;
    if (!hmac(schedule, secret, secret_count, info, place, block)) return false;
    memcpy(out, block, count);
    OPENSSL_cleanse(block, sizeof block);
    return true;
}

/// The next secret of the schedule: Extract with, as the salt, what is derived from the secret before it.
static bool extract(const struct schedule *schedule, uint8_t *out, size_t count) {
    static const uint8_t zeros[LONGEST_DIGEST];
    uint8_t salt[LONGEST_DIGEST] = {0};
    size_t digest = schedule->digest_bytes;
    if (count != digest) return false;
    if (schedule->salt.is_set) {
        uint8_t empty[LONGEST_DIGEST];
        if (digest == SHA256_DIGEST_LENGTH) {
            SHA256(zeros, 0, empty);
        } else {
            SHA384(zeros, 0, empty);
        }
        if (!expand_label(schedule, schedule->salt_bytes, schedule->salt.count, empty, digest, salt, digest)) {
            return false;
        }
    }
    bool has_key = schedule->key.is_set;
    bool is_done = hmac(schedule, salt, digest, has_key ? schedule->key_bytes : zeros,
                        has_key ? schedule->key.count : digest, out);
    OPENSSL_cleanse(salt, sizeof salt);
    return is_done;
}

// What OpenSSL calls

static void *schedule_new(void *provider) {
    (void)provider;
    struct schedule *schedule = OPENSSL_malloc(sizeof *schedule);
    if (schedule == NULL) return NULL;
    memset(schedule, 0, offsetof(struct schedule, key_bytes));
    schedule->mode = MODE_NONE;
    return schedule;
}

static void schedule_free(void *context) {
    if (context == NULL) return;
    OPENSSL_cleanse(context, sizeof(struct schedule));
    OPENSSL_free(context);
}

static void schedule_reset(void *context) {
    struct schedule *schedule = context;
    OPENSSL_cleanse(schedule, sizeof *schedule);
    schedule->mode = MODE_NONE;
}

static bool take_bytes(const OSSL_PARAM *parameter, struct bytes *bytes, uint8_t *memory, size_t capacity) {
    if (parameter->data_type != OSSL_PARAM_OCTET_STRING || parameter->data_size > capacity) return false;
    if (parameter->data_size > 0) memcpy(memory, parameter->data, parameter->data_size);
    bytes->count = (uint16_t)parameter->data_size;
    bytes->is_set = true;
    return true;
}

static bool take_digest(const OSSL_PARAM *parameter, struct schedule *schedule) {
    if (parameter->data_type != OSSL_PARAM_UTF8_STRING || parameter->data == NULL) return false;
    const char *name = parameter->data;
    if (strcasecmp(name, "SHA256") == 0 || strcasecmp(name, "SHA2-256") == 0) {
        schedule->digest_bytes = SHA256_DIGEST_LENGTH;
    } else if (strcasecmp(name, "SHA384") == 0 || strcasecmp(name, "SHA2-384") == 0) {
        schedule->digest_bytes = SHA384_DIGEST_LENGTH;
    } else {
        return false;
    }
    return true;
}

static bool take_parameter(const OSSL_PARAM *parameter, struct schedule *schedule) {
    const char *name = parameter->key;
    if (strcmp(name, OSSL_KDF_PARAM_DIGEST) == 0) return take_digest(parameter, schedule);
    if (strcmp(name, OSSL_KDF_PARAM_MODE) == 0) return OSSL_PARAM_get_int(parameter, &schedule->mode) == 1;
    if (strcmp(name, OSSL_KDF_PARAM_KEY) == 0) {
        return take_bytes(parameter, &schedule->key, schedule->key_bytes, sizeof schedule->key_bytes);
    }
    if (strcmp(name, OSSL_KDF_PARAM_SALT) == 0) {
        return take_bytes(parameter, &schedule->salt, schedule->salt_bytes, sizeof schedule->salt_bytes);
    }
    if (strcmp(name, OSSL_KDF_PARAM_PREFIX) == 0) {
        return take_bytes(parameter, &schedule->prefix, schedule->prefix_bytes, sizeof schedule->prefix_bytes);
    }
    if (strcmp(name, OSSL_KDF_PARAM_LABEL) == 0) {
        return take_bytes(parameter, &schedule->label, schedule->label_bytes, sizeof schedule->label_bytes);
    }
    if (strcmp(name, OSSL_KDF_PARAM_DATA) == 0) {
        return take_bytes(parameter, &schedule->data, schedule->data_bytes, sizeof schedule->data_bytes);
    }
    return true;               // properties of a look-up that we do not make
}

static int schedule_set(void *context, const OSSL_PARAM parameters[]) {
    if (parameters == NULL) return 1;
    for (const OSSL_PARAM *parameter = parameters; parameter->key != NULL; parameter++) {
        if (!take_parameter(parameter, context)) return 0;
    }
    return 1;
}

static int schedule_derive(void *context, unsigned char *out, size_t count, const OSSL_PARAM parameters[]) {
    struct schedule *schedule = context;
    if (schedule_set(schedule, parameters) != 1 || schedule->digest_bytes == 0) return 0;
    switch (schedule->mode) {
    case EVP_KDF_HKDF_MODE_EXTRACT_ONLY: return extract(schedule, out, count);
    case EVP_KDF_HKDF_MODE_EXPAND_ONLY:
        return schedule->key.is_set
            && expand_label(schedule, schedule->key_bytes, schedule->key.count, schedule->data_bytes,
                            schedule->data.count, out, count);
    default: return 0;
    }
}

static const OSSL_PARAM *schedule_settable(void *context, void *provider) {
    (void)context, (void)provider;
    static const OSSL_PARAM parameters[] = {
        OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_PROPERTIES, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_int(OSSL_KDF_PARAM_MODE, NULL),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_PREFIX, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_LABEL, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_DATA, NULL, 0),
        OSSL_PARAM_END};
    return parameters;
}

static int schedule_get(void *context, OSSL_PARAM parameters[]) {
    OSSL_PARAM *size = OSSL_PARAM_locate(parameters, OSSL_KDF_PARAM_SIZE);
    return size != NULL ? OSSL_PARAM_set_size_t(size, ((struct schedule *)context)->digest_bytes) : 1;
}

static const OSSL_PARAM *schedule_gettable(void *context, void *provider) {
    (void)context, (void)provider;
    static const OSSL_PARAM parameters[] = {OSSL_PARAM_size_t(OSSL_KDF_PARAM_SIZE, NULL), OSSL_PARAM_END};
    return parameters;
}

const OSSL_DISPATCH ct_schedule_functions[] = {
    {OSSL_FUNC_KDF_NEWCTX, (void (*)(void))schedule_new},
    {OSSL_FUNC_KDF_FREECTX, (void (*)(void))schedule_free},
    {OSSL_FUNC_KDF_RESET, (void (*)(void))schedule_reset},
    {OSSL_FUNC_KDF_DERIVE, (void (*)(void))schedule_derive},
    {OSSL_FUNC_KDF_SETTABLE_CTX_PARAMS, (void (*)(void))schedule_settable},
    {OSSL_FUNC_KDF_SET_CTX_PARAMS, (void (*)(void))schedule_set},
    {OSSL_FUNC_KDF_GETTABLE_CTX_PARAMS, (void (*)(void))schedule_gettable},
    {OSSL_FUNC_KDF_GET_CTX_PARAMS, (void (*)(void))schedule_get},
    {0, NULL}};
