// Connections, and the BIO that all of a reactor's share: it reads where `ct_io` says and writes to its sink.

#include "private.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

struct ct_engine {
    struct ct_io *io;
    BIO *bio;
};

// The BIO

static int bio_read(BIO *bio, char *bytes, size_t capacity, size_t *count) {
    struct ct_io *io = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *count = io->input_count < capacity ? io->input_count : capacity;
    if (*count == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(bytes, io->input, *count);
    io->input += *count;
    io->input_count -= *count;
    return 1;
}

static int bio_write(BIO *bio, const char *bytes, size_t count, size_t *written) {
    struct ct_io *io = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *written = 0;
    if (!io->write(io->sink, (const uint8_t *)bytes, count)) return 0;
    *written = count;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_PUSH || command == BIO_CTRL_POP;
}

static BIO_METHOD *method;

bool ct_engines_start(void) {
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory of a reactor");
    return method != NULL && BIO_meth_set_read_ex(method, bio_read) == 1
        && BIO_meth_set_write_ex(method, bio_write) == 1 && BIO_meth_set_ctrl(method, bio_control) == 1;
}

struct ct_io *ct_io_of(const SSL *state) {
    BIO *bio = SSL_get_rbio(state);
    return bio != NULL ? BIO_get_data(bio) : NULL;
}

struct ct_engine *ct_engine_make(struct ct_io *io) {
    struct ct_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL || method == NULL || (engine->bio = BIO_new(method)) == NULL) {
        free(engine);
        return NULL;
    }
    engine->io = io;
    BIO_set_data(engine->bio, io);
    BIO_set_init(engine->bio, 1);
    return engine;
}

void ct_engine_free(struct ct_engine *engine) {
    BIO_free(engine->bio);
    free(engine);
}

// States

ct_state *ct_state_make(struct ct_engine *engine) {
    SSL *state = SSL_new(ct_context_of_hellos());
    if (state == NULL) {
        ERR_clear_error();
        return NULL;
    }
    SSL_set_accept_state(state);
    ct_state_adopt(engine, state);
    return state;
}

void ct_state_adopt(struct ct_engine *engine, ct_state *state) {
    // One reference is enough for both ways.
    BIO_up_ref(engine->bio);
    SSL_set_bio(state, engine->bio, engine->bio);
}

void ct_state_free(ct_state *state) { SSL_free(state); }

// Calls

static uint8_t failure_of(unsigned long error) {
    if (ERR_GET_LIB(error) != ERR_LIB_SSL) {
        return ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE ? CT_FAILURE_MEMORY : CT_FAILURE_BROKEN;
    }
    switch (ERR_GET_REASON(error)) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST: return CT_FAILURE_HTTP;
    case SSL_R_WRONG_VERSION_NUMBER: return CT_FAILURE_NOT_TLS;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW: return CT_FAILURE_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS: return CT_FAILURE_CIPHER;
    case SSL_R_NO_APPLICATION_PROTOCOL: return CT_FAILURE_PROTOCOL;
    case ERR_R_MALLOC_FAILURE: return CT_FAILURE_MEMORY;
    default: return ERR_GET_REASON(error) > SSL_AD_REASON_OFFSET ? CT_FAILURE_ALERT : CT_FAILURE_BROKEN;
    }
}

/// What a call that has done nothing means. Looks at OpenSSL's errors only where there are some.
static struct ct_result explain(SSL *state, int returned) {
    struct ct_result result = {.outcome = CT_OUTCOME_FAILED};
    unsigned long error;
    switch (SSL_get_error(state, returned)) {
    case SSL_ERROR_WANT_READ: result.outcome = CT_OUTCOME_MORE; return result;
    case SSL_ERROR_ZERO_RETURN: result.outcome = CT_OUTCOME_ENDED; return result;
    case SSL_ERROR_SYSCALL: result.failure = CT_FAILURE_OUTPUT; break;
    default:
        error = ERR_peek_error();
        result.failure = failure_of(error);
        if (result.failure == CT_FAILURE_ALERT) result.alert = (uint8_t)(ERR_GET_REASON(error) - SSL_AD_REASON_OFFSET);
    }
    ERR_clear_error();
    return result;
}

bool ct_is_shaking(const ct_state *state) { return !SSL_is_init_finished(state); }

struct ct_result ct_shake(struct ct_engine *engine, ct_state *state) {
    (void)engine;
    int returned = SSL_do_handshake(state);
    if (returned == 1) return (struct ct_result){.outcome = CT_OUTCOME_DONE};
    return explain(state, returned);
}

struct ct_result ct_read(struct ct_engine *engine, ct_state *state, void *bytes, size_t capacity) {
    (void)engine;
    struct ct_result result = {.outcome = CT_OUTCOME_DONE};
    int returned = SSL_read_ex(state, bytes, capacity, &result.count);
    return returned == 1 ? result : explain(state, returned);
}

struct ct_result ct_write(struct ct_engine *engine, ct_state *state, const void *bytes, size_t count) {
    (void)engine;
    struct ct_result result = {.outcome = CT_OUTCOME_DONE};
    while (result.count < count) {
        size_t written = 0;
        int returned = SSL_write_ex(state, (const uint8_t *)bytes + result.count, count - result.count, &written);
        if (returned != 1) {
            struct ct_result failed = explain(state, returned);
            failed.count = result.count;
            return failed;
        }
        result.count += written;
    }
    return result;
}

struct ct_result ct_finish(struct ct_engine *engine, ct_state *state) {
    (void)engine;
    // 0: the client's has not come yet.
    int returned = SSL_shutdown(state);
    return returned >= 0 ? (struct ct_result){.outcome = CT_OUTCOME_DONE} : explain(state, returned);
}

struct ct_facts ct_state_facts(const ct_state *state) {
    const SSL_CIPHER *suite = SSL_get_current_cipher(state);
    return (struct ct_facts){
        .version = (uint16_t)SSL_version(state),
        .suite = suite != NULL ? SSL_CIPHER_get_protocol_id(suite) : 0,
        .resumed = SSL_session_reused(state) == 1};
}
