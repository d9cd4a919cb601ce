// Preloaded into a proxy whose instructions are counted, it makes the proxy's time as slow as the proxy is then. What
// happens once a second would else happen every few requests, and be counted with them.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { NANOSECONDS = 1000000000 };

// What the harness writes: since when time is slow, on the monotonic clock, or 0; and how many times slower.
struct pace {
    _Atomic int64_t since;
    _Atomic int64_t divisor;
};

static struct pace as_ever;
static struct pace *pace = &as_ever;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void open_pace(void)
{
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *const path = getenv("CLOCK_PACE");
    const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *const memory = mmap(NULL, sizeof *pace, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (memory != MAP_FAILED)
        pace = memory;
}

static int64_t nanoseconds(struct timespec time) { return (int64_t)time.tv_sec * NANOSECONDS + time.tv_nsec; }

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (!real)
        open_pace();
    const int result = real(clock, time);
    const int64_t since = atomic_load_explicit(&pace->since, memory_order_acquire);
    if (result != 0 || since == 0 || (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME))
        return result;
    struct timespec now = *time;
    if (clock == CLOCK_REALTIME)
        real(CLOCK_MONOTONIC, &now);
    const int64_t passed = nanoseconds(now) - since;
    const int64_t slow = nanoseconds(*time) - (passed - passed / atomic_load(&pace->divisor));
    *time = (struct timespec){.tv_sec = slow / NANOSECONDS, .tv_nsec = slow % NANOSECONDS};
    return 0;
}
