// Connections, and the BIO that all of a reactor's share: it reads where `ct_io` says and writes to its sink.

#include "private.h"

#include <CNIOBoringSSL_bio.h>
#include <CNIOBoringSSL_err.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct ct_engine {
    struct ct_io *io;
    BIO *bio;
};

// The BIO

static int bio_read(BIO *bio, char *bytes, int capacity) {
    struct ct_io *io = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (capacity <= 0) return 0;
    size_t count = io->input_count < (size_t)capacity ? io->input_count : (size_t)capacity;
    if (count == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(bytes, io->input, count);
    io->input += count;
    io->input_count -= count;
    return (int)count;
}

static int bio_write(BIO *bio, const char *bytes, int count) {
    struct ct_io *io = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (count <= 0) return 0;
    return io->write(io->sink, (const uint8_t *)bytes, (size_t)count) ? count : -1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

bool ct_engines_start(void) {
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory of a reactor");
    return method != NULL && BIO_meth_set_read(method, bio_read) == 1 && BIO_meth_set_write(method, bio_write) == 1
        && BIO_meth_set_ctrl(method, bio_control) == 1;
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
    // What only a handshake needs goes with it.
    SSL_set_shed_handshake_config(state, 1);
    ct_state_adopt(engine, state);
    return state;
}

void ct_state_adopt(struct ct_engine *engine, ct_state *state) {
    if (SSL_get_rbio(state) == engine->bio) return;
    // One reference is enough for both ways.
    BIO_up_ref(engine->bio);
    SSL_set_bio(state, engine->bio, engine->bio);
}

void ct_state_free(ct_state *state) { SSL_free(state); }

// Calls

static uint8_t failure_of(uint32_t error) {
    int reason = ERR_GET_REASON(error);
    if (reason == ERR_R_MALLOC_FAILURE) return CT_FAILURE_MEMORY;
    if (ERR_GET_LIB(error) != ERR_LIB_SSL) return CT_FAILURE_BROKEN;
    switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST: return CT_FAILURE_HTTP;
    case SSL_R_WRONG_VERSION_NUMBER: return CT_FAILURE_NOT_TLS;
    case SSL_R_UNSUPPORTED_PROTOCOL: return CT_FAILURE_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUP:
    case SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS:
    case SSL_R_WRONG_CURVE: return CT_FAILURE_CIPHER;
    case SSL_R_NO_APPLICATION_PROTOCOL: return CT_FAILURE_PROTOCOL;
    default: return reason > SSL_AD_REASON_OFFSET ? CT_FAILURE_ALERT : CT_FAILURE_BROKEN;
    }
}

/// What a call that has done nothing means. Looks at BoringSSL's errors only where there are some.
static struct ct_result explain(SSL *state, int returned) {
    struct ct_result result = {.outcome = CT_OUTCOME_FAILED};
    uint32_t error;
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

/// Many clients of 1.3 say in the clear that they do not like the certificate, where we expect what is encrypted. It is
/// believed as far as anybody's word is who has proved nothing: for the log.
static bool ends_with_alert(const uint8_t *end, size_t count, uint8_t *alert) {
    enum { ALERT_RECORD = 7, TYPE_ALERT = 21 };
    if (count < ALERT_RECORD) return false;
    const uint8_t *record = end - ALERT_RECORD;
    if (record[0] != TYPE_ALERT || record[1] != 3 || record[3] != 0 || record[4] != 2) return false;
    *alert = record[6];
    return true;
}

struct ct_result ct_shake(struct ct_engine *engine, ct_state *state) {
    const uint8_t *input = engine->io->input;
    int returned = SSL_do_handshake(state);
    if (returned == 1) return (struct ct_result){.outcome = CT_OUTCOME_DONE};
    struct ct_result result = explain(state, returned);
    if (result.outcome == CT_OUTCOME_FAILED && result.failure == CT_FAILURE_BROKEN && input != NULL
        && ends_with_alert(engine->io->input, (size_t)(engine->io->input - input), &result.alert)) {
        result.failure = CT_FAILURE_ALERT;
    }
    return result;
}

struct ct_result ct_read(struct ct_engine *engine, ct_state *state, void *bytes, size_t capacity) {
    (void)engine;
    int returned = SSL_read(state, bytes, capacity < INT_MAX ? (int)capacity : INT_MAX);
    if (returned > 0) return (struct ct_result){.outcome = CT_OUTCOME_DONE, .count = (size_t)returned};
    return explain(state, returned);
}

struct ct_result ct_write(struct ct_engine *engine, ct_state *state, const void *bytes, size_t count) {
    (void)engine;
    struct ct_result result = {.outcome = CT_OUTCOME_DONE};
    while (result.count < count) {
        size_t left = count - result.count;
        int returned = SSL_write(state, (const uint8_t *)bytes + result.count, left < INT_MAX ? (int)left : INT_MAX);
        if (returned <= 0) {
            struct ct_result failed = explain(state, returned);
            failed.count = result.count;
            return failed;
        }
        result.count += (size_t)returned;
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
