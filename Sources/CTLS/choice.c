// What is decided from a client's hello: its certificate, by name and by what it can verify, and the protocol.

#include "private.h"

#include <string.h>

enum {
    LONGEST_NAME = 253,
    MOST_AUTHORITIES = 192,    // Java's clients have about 140, where they are told to say them
    EXTENSION_NAME = 0,        // server_name, RFC 6066 3
    EXTENSION_GROUPS = 10,     // supported_groups, RFC 8446 4.2.7
    EXTENSION_SCHEMES = 13,    // signature_algorithms, RFC 8446 4.2.3
    EXTENSION_VERSIONS = 43,   // supported_versions, RFC 8446 4.2.1
    EXTENSION_AUTHORITIES = 47,    // certificate_authorities, RFC 8446 4.2.4
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

static bool find_extension(const SSL_CLIENT_HELLO *hello, uint16_t type, const uint8_t **bytes, size_t *size) {
    return SSL_early_callback_ctx_extension_get(hello, type, bytes, size) == 1;
}

// RFC 6066 3: a list of names, of which hosts are the only kind there is.
static bool take_name(const SSL_CLIENT_HELLO *hello, const uint8_t **name, size_t *count) {
    const uint8_t *bytes;
    size_t size;
    if (!find_extension(hello, EXTENSION_NAME, &bytes, &size) || size < 5) return false;
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

static bool knows_tls13(const SSL_CLIENT_HELLO *hello) {
    const uint8_t *bytes;
    size_t size;
    return find_extension(hello, EXTENSION_VERSIONS, &bytes, &size) && size > 1
        && lists_number(bytes + 1, size - 1, VERSION_TLS13);
}

static bool has_ecdsa_suite(const SSL_CLIENT_HELLO *hello) {
    static const uint16_t suites[] = {0xC02B, 0xC02C, 0xCCA9};     // those of ours
    for (size_t place = 0; place < COUNT(suites); place++) {
        if (lists_number(hello->cipher_suites, hello->cipher_suites_len, suites[place])) return true;
    }
    return false;
}

/// Before 1.3 the curve of a certificate's key has to be among those of the client (RFC 8422 5.1).
static bool knows_curve(const SSL_CLIENT_HELLO *hello, uint16_t scheme) {
    unsigned group = scheme == 0x0403 ? 23 : scheme == 0x0503 ? 24 : scheme == 0x0603 ? 25 : 0;
    const uint8_t *bytes;
    size_t size;
    if (group == 0 || !find_extension(hello, EXTENSION_GROUPS, &bytes, &size) || size < 2) return true;
    return lists_number(bytes + 2, size - 2, group);
}

/// Whether the client can verify a signature of the scheme, and at 1.2 can agree on a suite for it.
static bool accepts(const SSL_CLIENT_HELLO *hello, uint16_t scheme) {
    const uint8_t *bytes;
    size_t size;
    if (!find_extension(hello, EXTENSION_SCHEMES, &bytes, &size) || size < 2) return false;
    if (!lists_number(bytes + 2, size - 2, scheme)) return false;
    return knows_tls13(hello) || (has_ecdsa_suite(hello) && knows_curve(hello, scheme));
}

/// BoringSSL keeps the names of authorities until the handshake is done, each in objects of its own: of 4000 empty
/// ones, which a hello has room for, that would be a third of a megabyte. We do not choose by them.
static bool lists_too_many_authorities(const SSL_CLIENT_HELLO *hello) {
    const uint8_t *bytes;
    size_t size;
    size_t count = 0;
    if (!find_extension(hello, EXTENSION_AUTHORITIES, &bytes, &size)) return false;
    for (size_t place = 2; place + 2 <= size; place += 2 + read_number(bytes + place)) count += 1;
    return count > MOST_AUTHORITIES;
}

static SSL_CTX *pick(const SSL_CLIENT_HELLO *hello, const struct ct_choice *choice) {
    if (choice->rsa.context == NULL) return choice->modern.context;
    if (choice->modern.context == NULL) return choice->rsa.context;
    return accepts(hello, choice->modern.scheme) ? choice->modern.context : choice->rsa.context;
}

static bool is_one_of(const uint16_t *numbers, size_t count, unsigned number) {
    for (size_t place = 0; place < count; place++) {
        if (numbers[place] == number) return true;
    }
    return false;
}

/// Who names ChaCha20 before all else has no AES in hardware; who names it second or third just knows it. Numbers that
/// mean nothing here, among them those that clients make up (RFC 8701), do not count.
static bool prefers_chacha(const SSL_CLIENT_HELLO *hello) {
    static const uint16_t chacha[] = {0x1303, 0xCCA8, 0xCCA9};
    static const uint16_t aes[] = {0x1301, 0x1302, 0xC02B, 0xC02C, 0xC02F, 0xC030};
    for (size_t place = 0; place + 1 < hello->cipher_suites_len; place += 2) {
        unsigned suite = read_number(hello->cipher_suites + place);
        if (is_one_of(chacha, COUNT(chacha), suite)) return true;
        if (is_one_of(aes, COUNT(aes), suite)) return false;
    }
    return false;
}

enum ssl_select_cert_result_t ct_client_hello(const SSL_CLIENT_HELLO *hello) {
    const struct ct_io *io = ct_io_of(hello->ssl);
    const uint8_t *name;
    size_t count;
    if (io == NULL || io->table == NULL || lists_too_many_authorities(hello)) return ssl_select_cert_error;
    const struct ct_choice *choice =
        take_name(hello, &name, &count) ? ct_table_find(io->table, name, count) : &io->table->first;
    SSL_CTX *context = pick(hello, choice);
    if (context == NULL || SSL_set_SSL_CTX(hello->ssl, context) == NULL) return ssl_select_cert_error;
    if (prefers_chacha(hello) && !ct_prefer_chacha(hello->ssl)) return ssl_select_cert_error;
    return ssl_select_cert_success;
}

/// RFC 7301: HTTP/1.1 is all that HTTP routes speak. Who offers only others is told so; where routes are raw, what the
/// protocol is remains between client and service.
int ct_select_protocol(SSL *state, const uint8_t **selected, uint8_t *selected_count, const uint8_t *offered,
                       unsigned offered_count, void *unused) {
    (void)unused;
    static const char wanted[] = "http/1.1";
    const struct ct_io *io = ct_io_of(state);
    if (io == NULL || !io->selects_http) return SSL_TLSEXT_ERR_NOACK;
    unsigned place = 0;
    while (place < offered_count) {
        unsigned count = offered[place];
        if (count > offered_count - place - 1) break;
        if (count == sizeof wanted - 1 && memcmp(offered + place + 1, wanted, count) == 0) {
            *selected = offered + place + 1;
            *selected_count = (uint8_t)count;
            return SSL_TLSEXT_ERR_OK;
        }
        place += 1 + count;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}
