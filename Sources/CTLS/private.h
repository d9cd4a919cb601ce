#ifndef CTLS_PRIVATE_H
#define CTLS_PRIVATE_H

// What the files of this target share.

#include "CTLS.h"

#include <CNIOBoringSSL_ssl.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// environment.c

/// A context with all settings, without a certificate.
SSL_CTX *ct_context_make(void);
/// What connections begin with, before they have said a name.
SSL_CTX *ct_context_of_hellos(void);
/// Puts ChaCha20 before AES for one connection.
bool ct_prefer_chacha(SSL *state);

// choice.c

enum ssl_select_cert_result_t ct_client_hello(const SSL_CLIENT_HELLO *hello);
int ct_select_protocol(SSL *state, const uint8_t **selected, uint8_t *selected_count, const uint8_t *offered,
                       unsigned offered_count, void *unused);

// tickets.c

extern const SSL_TICKET_AEAD_METHOD ct_ticket_method;

// engine.c

/// Before there is an engine, and before there are threads.
bool ct_engines_start(void);

struct ct_io *ct_io_of(const SSL *state);

#endif
