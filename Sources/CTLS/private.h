#ifndef CTLS_PRIVATE_H
#define CTLS_PRIVATE_H

// What the files of this target share.

#include "CTLS.h"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/types.h>

// environment.c

/// What every algorithm is fetched from.
OSSL_LIB_CTX *ct_library(void);
/// A context with all settings, without a certificate.
SSL_CTX *ct_context_make(void);
/// What connections begin with, before they have said a name.
SSL_CTX *ct_context_of_hellos(void);

// memory.c

/// Makes OpenSSL use our memory. False: it has allocated already.
bool ct_use_memory(void);

// provider.c

/// A library context whose algorithms are those that TLS needs. NULL: not to be had.
OSSL_LIB_CTX *ct_library_make(void);

// schedule.c

/// The key schedule of TLS 1.3 as an algorithm of a provider.
extern const OSSL_DISPATCH ct_schedule_functions[];

// choice.c

int ct_client_hello(SSL *state, int *alert, void *unused);
int ct_select_protocol(SSL *state, const unsigned char **selected, unsigned char *selected_count,
                       const unsigned char *offered, unsigned int offered_count, void *unused);

// tickets.c

int ct_ticket_key(SSL *state, unsigned char *name, unsigned char *vector, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                  int seals);
bool ct_tickets_start(void);

// engine.c

/// Before there is an engine, and before there are threads.
bool ct_engines_start(void);

struct ct_io *ct_io_of(const SSL *state);

/// From now on what this thread gives back to OpenSSL's memory is overwritten, or not any more.
void ct_wipe_what_is_freed(bool wipes_now);

#endif
