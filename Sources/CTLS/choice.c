// What is decided from a client's hello: its certificate, by name and by what it can verify, and the protocol.

#include "private.h"

#include <openssl/ssl.h>
#include <openssl/tls1.h>
#include <string.h>
#include <strings.h>

enum {
    LONGEST_NAME = 253,
    EXTENSION_NAME = 0,        // server_name, RFC 6066 3
    EXTENSION_GROUPS = 10,     // supported_groups, RFC 8446 4.2.7
    EXTENSION_SCHEMES = 13,    // signature_algorithms, RFC 8446 4.2.3
    EXTENSION_VERSIONS = 43,   // supported_versions, RFC 8446 4.2.1
    VERSION_TLS13 = 0x0304
};

static unsigned read_number(const uint8_t *bytes) { return (unsigned)bytes[0] << 8 | bytes[1]; }

int ct_compare_names(const uint8_t *left, size_t left_count, const uint8_t *right, size_t right_count) {
    if (left_count != right_count) return left_count < right_count ? -1 : 1;
    return left_count == 0 ? 0 : memcmp(left, right, left_count);
}

static const struct ct_choice *find_exactly(const struct ct_table *table, const uint8_t *name, size_t count) {
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct ct_name *entry = &table->names[middle];
        int order = ct_compare_names(name, count, entry->text, entry->count);
        if (order == 0) return &entry->choice;
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

const struct ct_choice *ct_table_find(const struct ct_table *table, const uint8_t *name, size_t count) {
    uint8_t folded[LONGEST_NAME];
    if (count > 0 && name[count - 1] == '.') count -= 1;
    if (count == 0 || count > sizeof folded) return &table->first;
    for (size_t place = 0; place < count; place++) {
        uint8_t byte = name[place];
        folded[place] = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
    }
    const struct ct_choice *choice = find_exactly(table, folded, count);
    if (choice != NULL) return choice;
    // A star stands for one whole label (RFC 6125 6.4.3): it takes the place of the byte before the first dot.
    const uint8_t *dot = memchr(folded, '.', count);
    if (dot != NULL && dot != folded) {
        size_t start = (size_t)(dot - folded) - 1;
        folded[start] = '*';
        choice = find_exactly(table, folded + start, count - start);
    }
    return choice != NULL ? choice : &table->first;
}

// RFC 6066 3: a list of names, of which hosts are the only kind there is.
static bool take_name(SSL *state, const uint8_t **name, size_t *count) {
    const uint8_t *bytes;
    size_t size;
    if (SSL_client_hello_get0_ext(state, EXTENSION_NAME, &bytes, &size) != 1 || size < 5) return false;
    if (bytes[2] != 0 || read_number(bytes) != size - 2 || read_number(bytes + 3) > size - 5) return false;
    *name = bytes + 5;
    *count = read_number(bytes + 3);
    return true;
}

static bool lists_number(const uint8_t *bytes, size_t size, unsigned number) {
    for (size_t place = 0; place + 1 < size; place += 2) {
        if (read_number(bytes + place) == number) return true;
    }
    return false;
}

static bool knows_tls13(SSL *state) {
    const uint8_t *bytes;
    size_t size;
    return SSL_client_hello_get0_ext(state, EXTENSION_VERSIONS, &bytes, &size) == 1 && size > 1
        && lists_number(bytes + 1, size - 1, VERSION_TLS13);
}

static bool has_ecdsa_suite(SSL *state) {
    static const uint16_t suites[] = {0xC02B, 0xC02C, 0xCCA9};     // those of ours
    const uint8_t *bytes;
    size_t size = SSL_client_hello_get0_ciphers(state, &bytes);
    for (size_t place = 0; place < sizeof suites / sizeof suites[0]; place++) {
        if (lists_number(bytes, size, suites[place])) return true;
    }
    return false;
}

/// Before 1.3 the curve of a certificate's key has to be among those of the client (RFC 8422 5.1).
static bool knows_curve(SSL *state, uint16_t scheme) {
    unsigned group = scheme == 0x0403 ? 23 : scheme == 0x0503 ? 24 : scheme == 0x0603 ? 25 : 0;
    const uint8_t *bytes;
    size_t size;
    if (group == 0 || SSL_client_hello_get0_ext(state, EXTENSION_GROUPS, &bytes, &size) != 1 || size < 2) return true;
    return lists_number(bytes + 2, size - 2, group);
}

/// Whether the client can verify a signature of the scheme, and at 1.2 can agree on a suite for it.
static bool accepts(SSL *state, uint16_t scheme) {
    const uint8_t *bytes;
    size_t size;
    if (SSL_client_hello_get0_ext(state, EXTENSION_SCHEMES, &bytes, &size) != 1 || size < 2) return false;
    if (!lists_number(bytes + 2, size - 2, scheme)) return false;
    return knows_tls13(state) || (has_ecdsa_suite(state) && knows_curve(state, scheme));
}

static SSL_CTX *pick(SSL *state, const struct ct_choice *choice) {
    if (choice->rsa.context == NULL) return choice->modern.context;
    if (choice->modern.context == NULL) return choice->rsa.context;
    return accepts(state, choice->modern.scheme) ? choice->modern.context : choice->rsa.context;
}

int ct_client_hello(SSL *state, int *alert, void *unused) {
    (void)unused;
    const struct ct_io *io = ct_io_of(state);
    const uint8_t *name;
    size_t count;
    if (io == NULL || io->table == NULL) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    const struct ct_choice *choice =
        take_name(state, &name, &count) ? ct_table_find(io->table, name, count) : &io->table->first;
    SSL_CTX *context = pick(state, choice);
    if (context == NULL || SSL_set_SSL_CTX(state, context) == NULL) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_CLIENT_HELLO_ERROR;
    }
    return SSL_CLIENT_HELLO_SUCCESS;
}

/// RFC 7301: HTTP/1.1 is all that HTTP routes speak. Who offers only others is told so; where routes are raw, what the
/// protocol is remains between client and service.
int ct_select_protocol(SSL *state, const unsigned char **selected, unsigned char *selected_count,
                       const unsigned char *offered, unsigned int offered_count, void *unused) {
    (void)unused;
    static const char wanted[] = "http/1.1";
    const struct ct_io *io = ct_io_of(state);
    if (io == NULL || !io->selects_http) return SSL_TLSEXT_ERR_NOACK;
    unsigned int place = 0;
    while (place < offered_count) {
        unsigned int count = offered[place];
        if (count > offered_count - place - 1) break;
        if (count == sizeof wanted - 1 && memcmp(offered + place + 1, wanted, count) == 0) {
            *selected = offered + place + 1;
            *selected_count = (unsigned char)count;
            return SSL_TLSEXT_ERR_OK;
        }
        place += 1 + count;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}
