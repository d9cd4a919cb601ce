#include "CKernel.h"

#include <linux/futex.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static uint64_t soft_limit(int resource) {
    struct rlimit value;
    return getrlimit(resource, &value) == 0 && value.rlim_cur != RLIM_INFINITY ? value.rlim_cur : UINT64_MAX;
}

uint64_t ck_address_space_limit(void) { return soft_limit(RLIMIT_AS); }

uint64_t ck_data_limit(void) { return soft_limit(RLIMIT_DATA); }

// /proc/self/statm counts pages: size, resident, shared, text, library, data and stack. Without it nothing is in use.
static uint64_t pages_in_use(int place) {
    char text[160];
    ssize_t count = -1;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        count = read(fd, text, sizeof text - 1);
        close(fd);
    }
    if (count <= 0) return 0;
    text[count] = 0;
    char *next = text;
    uint64_t pages = 0;
    for (int i = 0; i <= place; i++) pages = strtoull(next, &next, 10);
    return pages;
}

uint64_t ck_address_space_used(void) { return pages_in_use(0) * (uint64_t)sysconf(_SC_PAGESIZE); }

uint64_t ck_data_used(void) { return pages_in_use(5) * (uint64_t)sysconf(_SC_PAGESIZE); }

uint64_t ck_resident_bytes(void) { return pages_in_use(1) * (uint64_t)sysconf(_SC_PAGESIZE); }

int ck_try_reserve(size_t count) {
    void *memory = mmap(NULL, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return -errno;
    munmap(memory, count);
    return 0;
}

void ck_keep_heap_whole(void) {
    // By itself the threshold follows the largest block that was ever given back, up to 32 MiB. Snapshots would then
    // lie among what lives for long, each a little larger than all holes that the former ones have left.
    mallopt(M_MMAP_THRESHOLD, 64 << 10);
}

// Before the first line of Swift: what its runtime would only trap on is a sentence here, and nothing is allocated.

__attribute__((format(printf, 1, 2))) static int refuse(const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ck_write_all(STDERR_FILENO, text, count < (int)sizeof text ? (size_t)count : sizeof text - 1);
    return EX_OSERR_CODE;
}

// The stack of the first thread grows until it meets the limit that holds then, so raising it now is in time.
static uint64_t raise_stack_limit(void) {
    enum { WANTED = 8 << 20 };
    struct rlimit value;
    if (getrlimit(RLIMIT_STACK, &value) != 0 || value.rlim_cur >= WANTED) return UINT64_MAX;
    // Only a privileged process may raise the hard limit.
    struct rlimit raised = {.rlim_cur = WANTED, .rlim_max = value.rlim_max < WANTED ? WANTED : value.rlim_max};
    if (setrlimit(RLIMIT_STACK, &raised) == 0) return WANTED;
    raised = (struct rlimit){.rlim_cur = value.rlim_max < WANTED ? value.rlim_max : WANTED, .rlim_max = value.rlim_max};
    return setrlimit(RLIMIT_STACK, &raised) == 0 ? raised.rlim_cur : value.rlim_cur;
}

static int check_limit(const char *what, uint64_t limit, uint64_t used, const char *remedy) {
    enum { NEEDED = 64 << 20 };
    if (limit >= used && limit - used >= NEEDED) return 0;
    unsigned long long has = limit >> 10, needs = (used + NEEDED) >> 10;
    return refuse("socketmaster: The limit on the %s, %llu KiB, is too small to start, which takes %llu KiB at least; "
                  "raise it (%s).\n", what, has, needs, remedy);
}

static int refuse_call(const char *name, int error) {
    return refuse("socketmaster: The system call %s is forbidden (%s), most likely by a seccomp filter; allow it in "
                  "the profile of the container, or in SystemCallFilter= of the unit.\n", name, ck_error_text(error));
}

int ck_check_process(void) {
    enum { STACK_NEEDED = 512 << 10, TRIED = 64 << 20 };
    uint64_t seed, stack = raise_stack_limit();
    if (stack < STACK_NEEDED)
        return refuse("socketmaster: The limit on the stack, %llu KiB, is too small to start, which takes 512 KiB at "
                      "least; raise it (ulimit -s 8192, LimitSTACK=8M).\n", (unsigned long long)(stack >> 10));
    int code = check_limit("address space", ck_address_space_limit(), ck_address_space_used(),
                           "ulimit -v unlimited, LimitAS=infinity");
    if (code == 0)
        code = check_limit("data segment", ck_data_limit(), ck_data_used(), "ulimit -d unlimited, LimitDATA=infinity");
    if (code != 0) return code;
    int reserved = ck_try_reserve(TRIED);
    if (reserved < 0)
        return refuse("socketmaster: The kernel gives no memory to start with (%s); free some, or raise "
                      "vm.overcommit_ratio if vm.overcommit_memory is 2.\n", ck_error_text(-reserved));
    // BoringSSL and Swift's hashing end the program without a word where there is none, and glibc without futexes.
    while (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        if (errno != EINTR) return refuse_call("getrandom", errno);
    uint32_t word = 0;
    if (syscall(__NR_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) < 0) return refuse_call("futex", errno);
    return 0;
}
