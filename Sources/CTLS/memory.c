// OpenSSL's memory. A handshake allocates and frees about a thousand times, in a few dozen sizes that are the same for
// each; every thread keeps what it frees, by size, and takes it from there again. Measured: 7 of 181 us a handshake.
//
// A block may be freed by another thread than the one that took it: it lands in that one's lists. What a thread keeps
// of a size is bounded, so blocks that wander do not pile up.

#include "private.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define USES_PLAIN_MEMORY 1
#endif
#endif

enum {
    SMALL_STEP = 32,           // sizes to 256 in steps of 32, then four steps between powers of two
    SMALL_CLASSES = 8,
    CLASSES = SMALL_CLASSES + 4 * 8 + 1,       // to 64 KiB
    KEPT_BYTES = 512 * 1024    // of one class, by one thread
};

// In front of each block. 16 bytes, so that what follows is aligned for anything.
struct header {
    uint32_t class;            // CLASSES: of no class
    uint32_t unused;
    uint64_t size;             // as asked for
};

struct kept {
    struct kept *next;
};

struct list {
    struct kept *first;
    size_t count;
};

static _Thread_local struct list lists[CLASSES];

/// What this thread frees is overwritten: copies of keys lie in it.
static _Thread_local bool wipes;

void ct_wipe_what_is_freed(bool wipes_now) { wipes = wipes_now; }

static unsigned class_of(size_t size) {
    if (size <= SMALL_STEP * SMALL_CLASSES) return size == 0 ? 0 : (unsigned)((size - 1) / SMALL_STEP);
    unsigned power = 63 - (unsigned)__builtin_clzll(size - 1);
    unsigned step = (unsigned)((size - 1) >> (power - 2)) & 3;
    unsigned class = SMALL_CLASSES + (power - 8) * 4 + step;
    return class < CLASSES ? class : CLASSES;
}

static size_t size_of(unsigned class) {
    if (class < SMALL_CLASSES) return (size_t)(class + 1) * SMALL_STEP;
    unsigned power = (class - SMALL_CLASSES) / 4 + 8;
    return (size_t)(5 + (class - SMALL_CLASSES) % 4) << (power - 2);
}

static struct header *header_of(void *memory) { return (struct header *)memory - 1; }

static void *take(size_t size, const char *file, int line) {
    (void)file, (void)line;
    if (size == 0 || size > SIZE_MAX - sizeof(struct header)) return NULL;
    unsigned class = class_of(size);
    if (class < CLASSES && lists[class].first != NULL) {
        struct kept *block = lists[class].first;
        lists[class].first = block->next;
        lists[class].count -= 1;
        header_of(block)->size = size;
        return block;
    }
    struct header *header = malloc(sizeof *header + (class < CLASSES ? size_of(class) : size));
    if (header == NULL) return NULL;
    header->class = class;
    header->size = size;
    return header + 1;
}

static void give_back(void *memory, const char *file, int line) {
    (void)file, (void)line;
    if (memory == NULL) return;
    unsigned class = header_of(memory)->class;
    if (wipes) OPENSSL_cleanse(memory, class < CLASSES ? size_of(class) : header_of(memory)->size);
    if (class >= CLASSES || lists[class].count * size_of(class) >= KEPT_BYTES) {
        free(header_of(memory));
        return;
    }
    struct kept *block = memory;
    block->next = lists[class].first;
    lists[class].first = block;
    lists[class].count += 1;
}

static void *resize(void *memory, size_t size, const char *file, int line) {
    if (memory == NULL) return take(size, file, line);
    if (size == 0) {
        give_back(memory, file, line);
        return NULL;
    }
    struct header *header = header_of(memory);
    if (header->class < CLASSES && size <= size_of(header->class)) {
        header->size = size;
        return memory;
    }
    void *larger = take(size, file, line);
    if (larger == NULL) return NULL;
    memcpy(larger, memory, header->size < size ? header->size : size);
    give_back(memory, file, line);
    return larger;
}

bool ct_use_memory(void) {
#ifdef USES_PLAIN_MEMORY
    // The sanitizers have to see every block.
    (void)take, (void)give_back, (void)resize;
    return true;
#else
    return CRYPTO_set_mem_functions(take, resize, give_back) == 1;
#endif
}
