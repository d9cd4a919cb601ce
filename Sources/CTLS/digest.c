// Digests of what is public.

#include "private.h"

#include <CNIOBoringSSL_base64.h>
#include <CNIOBoringSSL_sha2.h>

void ct_sha256_base64(const uint8_t *bytes, size_t count, char text[CT_SHA256_TEXT]) {
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256(bytes, count, digest);
    EVP_EncodeBlock((uint8_t *)text, digest, sizeof digest);
}
