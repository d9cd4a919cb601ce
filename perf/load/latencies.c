#include "latencies.h"

#include <stdio.h>

// The middle of a bucket.
static double value_of(int bucket)
{
    const int shift = (bucket >> LATENCY_BITS) > 1 ? (bucket >> LATENCY_BITS) - 1 : 0;
    const uint64_t mantissa = (uint64_t)(bucket - (shift << LATENCY_BITS));
    return ((double)(mantissa << shift) + (double)((1ull << shift) - 1) / 2) / 1000;
}

double latencies_at(const struct latencies *latencies, double share)
{
    uint64_t left = (uint64_t)((double)latencies->count * share);
    for (int bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
        if (left < latencies->counts[bucket])
            return value_of(bucket);
        left -= latencies->counts[bucket];
    }
    return (double)latencies->highest / 1000;
}

void latencies_print(const struct latencies *latencies)
{
    printf("\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f",
           latencies_at(latencies, 0.5), latencies_at(latencies, 0.9), latencies_at(latencies, 0.99),
           latencies_at(latencies, 0.999), (double)latencies->highest / 1000);
}
