// Headers of yamux frames: for the service, and for the relay among the floors.
#pragma once

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

enum { TYPE_DATA, TYPE_WINDOW_UPDATE, TYPE_PING, TYPE_GO_AWAY };
enum { FLAG_SYN = 1, FLAG_ACK = 2, FLAG_FIN = 4, FLAG_RST = 8 };
enum { HEADER_LENGTH = 12, INITIAL_WINDOW = 256 << 10 };

// Returns where the payload begins.
static inline uint8_t *put_header(uint8_t *bytes, uint8_t type, uint16_t flags, uint32_t id, uint32_t length)
{
    const uint16_t wire_flags = htons(flags);
    const uint32_t wire_id = htonl(id), wire_length = htonl(length);
    bytes[0] = 0;
    bytes[1] = type;
    memcpy(bytes + 2, &wire_flags, 2);
    memcpy(bytes + 4, &wire_id, 4);
    memcpy(bytes + 8, &wire_length, 4);
    return bytes + HEADER_LENGTH;
}
