#include "CKernel.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

// What the process has used so far, of the machine's.

static double seconds(struct timeval time) { return (double)time.tv_sec + (double)time.tv_usec / 1e6; }

// A kernel from 6.2 on tells the count as the folder's size; others show each of them.
static uint64_t open_descriptors(void) {
    struct stat folder;
    if (stat("/proc/self/fd", &folder) != 0) return 0;
    if (folder.st_size > 0) return (uint64_t)folder.st_size;
    DIR *stream = opendir("/proc/self/fd");
    if (stream == NULL) return 0;
    uint64_t count = 0;
    while (readdir(stream) != NULL) count++;
    closedir(stream);
    // `.`, `..`, and the descriptor that is read here.
    return count > 3 ? count - 3 : 0;
}

struct ck_process ck_process_now(void) {
    struct ck_process process = {.descriptors = open_descriptors(), .resident_bytes = ck_resident_bytes()};
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) process.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) process.descriptor_limit = limit.rlim_cur;
    return process;
}

// Field 22 of /proc/self/stat, in ticks since the machine has started; the second one, a name in parentheses, may have
// spaces. /proc/stat, which knows when that was, cannot be seen under ProcSubset=pid.
static double ticks_at_start(void) {
    char text[1024];
    ssize_t count = ck_read_file("/proc/self/stat", text, sizeof text - 1);
    if (count <= 0) return -1;
    text[count] = 0;
    char *field = strrchr(text, ')');
    for (int i = 2; field != NULL && i < 22; i++) field = strchr(field + 1, ' ');
    return field == NULL ? -1 : (double)strtoull(field + 1, NULL, 10);
}

double ck_process_start(void) {
    struct timespec now, up;
    double ticks = ticks_at_start();
    if (ticks < 0 || clock_gettime(CLOCK_REALTIME, &now) != 0 || clock_gettime(CLOCK_BOOTTIME, &up) != 0) return 0;
    double boot = (double)(now.tv_sec - up.tv_sec) + (double)(now.tv_nsec - up.tv_nsec) / 1e9;
    return boot + ticks / (double)sysconf(_SC_CLK_TCK);
}
