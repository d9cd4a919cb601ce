// Counts the instructions that one thread runs in user mode, one step at a time, and where they lie.
//
//     step THREAD      until SIGTERM; says `ready` when it has begun, then a line `ADDRESS COUNT` for each instruction
//
// A virtual machine may have no counters, and valgrind 3.19 lets no other thread run while one waits in io_uring_enter.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "../service/failure.h"

enum { PLACES = 1 << 18 };

struct place {
    uint64_t address, count;
};

static struct place places[PLACES];  // open addressing, and never near full: a loop has few addresses
static volatile sig_atomic_t must_end;

static void caught(int signal)
{
    if (signal == SIGTERM)
        must_end = 1;
}

// SIGTERM may come just before a wait begins: a tick of the clock interrupts each wait, so that it is seen then.
static void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = caught};  // without SA_RESTART
    const struct itimerval tick = {.it_interval.tv_usec = 50000, .it_value.tv_usec = 50000};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &tick, NULL);
}

static void note(uint64_t address)
{
    uint64_t slot = address * 0x9E3779B97F4A7C15u >> 46;
    for (int tries = 0; places[slot].address != address; tries++, slot = (slot + 1) % PLACES) {
        if (places[slot].address == 0)
            places[slot].address = address;
        else if (tries == PLACES)
            fail("too many addresses");
        else
            continue;
        break;
    }
    places[slot].count++;
}

static void demand(long result, const char *what)
{
    if (result < 0)
        fail("%s: %s", what, strerror(errno));
}

// The signal that the thread has stopped with. If it waits in a system call when this is to end, that call ends as if
// by a signal.
static int wait_for(pid_t thread)
{
    int status;
    while (waitpid(thread, &status, __WALL) < 0) {
        if (errno != EINTR)
            fail("waitpid: %s", strerror(errno));
        if (must_end)
            demand(ptrace(PTRACE_INTERRUPT, thread, NULL, NULL), "PTRACE_INTERRUPT");
    }
    if (!WIFSTOPPED(status))
        fail("the thread has ended");
    return WSTOPSIG(status);
}

static void step_until_end(pid_t thread)
{
    int passed_on = 0;
    while (!must_end) {
        demand(ptrace(PTRACE_SINGLESTEP, thread, NULL, passed_on), "PTRACE_SINGLESTEP");
        const int stop = wait_for(thread);
        passed_on = stop == SIGTRAP ? 0 : stop;
        errno = 0;
        const long address = ptrace(PTRACE_PEEKUSER, thread, offsetof(struct user, regs.rip), NULL);
        demand(errno ? -1 : 0, "PTRACE_PEEKUSER");
        note((uint64_t)address);
    }
}

int main(int count, char **arguments)
{
    const pid_t thread = count == 2 ? (pid_t)strtol(arguments[1], NULL, 10) : 0;
    if (thread <= 0)
        fail("usage: step THREAD");
    catch_signals();
    demand(ptrace(PTRACE_SEIZE, thread, NULL, NULL), "PTRACE_SEIZE");
    demand(ptrace(PTRACE_INTERRUPT, thread, NULL, NULL), "PTRACE_INTERRUPT");
    wait_for(thread);
    puts("ready");
    fflush(stdout);
    step_until_end(thread);
    ptrace(PTRACE_DETACH, thread, NULL, NULL);
    for (int i = 0; i < PLACES; i++)
        if (places[i].count > 0)
            printf("%llx %llu\n", (unsigned long long)places[i].address, (unsigned long long)places[i].count);
    return 0;
}
