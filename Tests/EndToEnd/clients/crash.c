// Crashes on a thread of its own, prepared as a reactor is, in the way that is asked for:
//   crash overflow|address|instruction|trap|abort|call

#include "CKernel.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

// Each call needs room on the stack, and none is the last: what is asked for is never there.
static int overflow(volatile char *outer) {
    volatile char room[4096];
    room[0] = outer[0];
    return room[0] == 1 ? 0 : overflow(room) + room[0];
}

// As a container's profile does that wants to see what it forbids.
static void forbid_getppid(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void *reactor(void *argument) {
    const char *way = argument;
    char room[1] = {0};
    pthread_setname_np(pthread_self(), "reactor 7");
    ck_use_crash_stack();
    if (strcmp(way, "overflow") == 0) room[0] = (char)overflow(room);
    if (strcmp(way, "address") == 0) *(volatile int *)(intptr_t)room[0] = 1;
    if (strcmp(way, "instruction") == 0) __builtin_trap();
    if (strcmp(way, "trap") == 0) raise(SIGTRAP);
    if (strcmp(way, "abort") == 0) abort();
    if (strcmp(way, "call") == 0) forbid_getppid(), syscall(SYS_getppid);
    return NULL;
}

int main(int count, char **arguments) {
    pthread_t thread;
    if (count != 2) return 64;
    ck_prepare_signals();
    ck_use_crash_stack();
    ck_report_crashes();
    if (pthread_create(&thread, NULL, reactor, arguments[1]) != 0) return 71;
    pthread_join(thread, NULL);
    // It should not have come back.
    return 1;
}
