#ifndef CTLSCLIENT_H
#define CTLSCLIENT_H

// For tests: an OpenSSL client over memory, as OpenSSL itself comes, and a maker of certificates.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tc_client;

struct tc_wish {
    const char *name;          // NULL: none is said
    const char *suites12;      // NULL: OpenSSL's
    const char *suites13;
    const char *groups;
    const char *schemes;
    const uint8_t *protocols;  // as on the wire
    size_t protocol_count;
    const char *root;          // PEM: the server's chain has to end here; NULL: any certificate will do
    uint16_t oldest;           // 0: any
    uint16_t newest;
};

struct tc_client *tc_client_make(const struct tc_wish *wish);
void tc_client_free(struct tc_client *client);
/// Resumes what the other one has a ticket for. False: it has none.
bool tc_client_resume(struct tc_client *client, const struct tc_client *former);

/// The same with early data (RFC 8446 2.3), whether the server has allowed it or not.
bool tc_client_resume_early(struct tc_client *client, const struct tc_client *former, const uint8_t *bytes,
                            size_t count);
/// Changes one byte of the ticket. Returns how many it has; 0: there is none.
size_t tc_client_spoil_ticket(struct tc_client *client, size_t place);

/// Bytes from the server.
void tc_client_take(struct tc_client *client, const uint8_t *bytes, size_t count);
/// Up to `capacity` bytes for the server.
size_t tc_client_give(struct tc_client *client, uint8_t *bytes, size_t capacity);

enum tc_outcome { TC_DONE = 0, TC_MORE, TC_ENDED, TC_FAILED };

enum tc_outcome tc_client_shake(struct tc_client *client);
enum tc_outcome tc_client_read(struct tc_client *client, uint8_t *bytes, size_t capacity, size_t *count);
enum tc_outcome tc_client_write(struct tc_client *client, const uint8_t *bytes, size_t count);
enum tc_outcome tc_client_finish(struct tc_client *client);
/// Asks for new keys in both directions.
bool tc_client_update_keys(struct tc_client *client);

bool tc_client_resumed(const struct tc_client *client);
uint16_t tc_client_version(const struct tc_client *client);
/// The protocol that was agreed on, as text; empty: none.
size_t tc_client_protocol(const struct tc_client *client, uint8_t *bytes, size_t capacity);
/// SHA-256 of the server's certificate.
bool tc_client_fingerprint(const struct tc_client *client, uint8_t fingerprint[32]);
/// OpenSSL's reason for the first failure; 0: none. An alert of the server is 1000 and its number.
int tc_client_reason(struct tc_client *client);

enum tc_kind { TC_P256 = 0, TC_P384, TC_P521, TC_SECP256K1, TC_RSA2048, TC_RSA1024, TC_ED25519 };
enum tc_key_form { TC_PKCS8 = 0, TC_TRADITIONAL };

struct tc_order {
    enum tc_kind kind;
    const char *common_name;   // NULL: none
    const char *alternatives;  // like "DNS:a.example,DNS:*.example"; NULL: none
    int64_t begins_in;         // seconds from now
    int64_t ends_in;
    enum tc_key_form form;
    bool is_authority;         // it may sign others
    bool is_sha1;              // signed by way of SHA-1
    const char *issuer;        // PEM: who signs it; NULL: it signs itself
    const char *issuer_key;
};

/// A certificate and its key, both PEM, ended by a zero byte. False: it cannot be made, or has no room.
bool tc_certificate(const struct tc_order *order, char *certificate, size_t certificate_capacity, char *key,
                    size_t key_capacity);

#endif
