// A histogram of latencies: any time in nanoseconds to within 0.8 %, in 60 kB and no allocation.
#pragma once

#include <stdint.h>

enum { LATENCY_BITS = 7, LATENCY_BUCKETS = (64 - LATENCY_BITS + 1) << LATENCY_BITS };

struct latencies {
    uint64_t counts[LATENCY_BUCKETS];
    uint64_t count, highest;
};

// Buckets are exact up to 127 ns; above, each power of two has 128 of them.
static inline void latencies_note(struct latencies *latencies, uint64_t nanoseconds)
{
    const int length = 64 - __builtin_clzll(nanoseconds | 1);
    const int shift = length > LATENCY_BITS + 1 ? length - LATENCY_BITS - 1 : 0;
    latencies->counts[((uint64_t)shift << LATENCY_BITS) + (nanoseconds >> shift)]++;
    latencies->count++;
    if (nanoseconds > latencies->highest)
        latencies->highest = nanoseconds;
}

// Microseconds below which a share of them lies.
double latencies_at(const struct latencies *latencies, double share);

// `"p50_us": …, "p90_us": …, "p99_us": …, "p999_us": …, "max_us": …` on standard output.
void latencies_print(const struct latencies *latencies);
