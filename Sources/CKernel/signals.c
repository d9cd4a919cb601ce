#include "CKernel.h"

#include <signal.h>
#include <sys/prctl.h>

// Which signal does what is told by the table in the README at the top.

// Whatever else ends a process unasked and is neither ignored nor a crash is taken, too, and does nothing.
static void taken(sigset_t *set) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGPWR, SIGXCPU, SIGHUP,
                                  SIGUSR1, SIGUSR2, SIGALRM, SIGIO, SIGSTKFLT};
    sigemptyset(set);
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++) sigaddset(set, numbers[index]);
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++) sigaddset(set, number);
}

// SIGPIPE, SIGXFSZ: the write fails, which says it all. SIGTTIN, SIGTTOU: a program in the background is not stopped
// for its log. SIGVTALRM, SIGPROF: timers of whoever was there before exec; Swift's backtracer needs SIGPROF to get
// through, so it must not be blocked.
static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGTTIN, SIGTTOU, SIGVTALRM, SIGPROF};

static const struct {
    int number;
    const char *name;
} crashes[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGILL, "SIGILL"}, {SIGFPE, "SIGFPE"},
               {SIGABRT, "SIGABRT"}, {SIGTRAP, "SIGTRAP"}, {SIGSYS, "SIGSYS"}};
enum { CRASHES = sizeof crashes / sizeof *crashes };

void ck_prepare_signals(void) {
    sigset_t set;
    taken(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    // What was ignored by whoever started us, SIGHUP by nohup and SIGINT by shells, is taken nevertheless. It would
    // also be if it stayed ignored, but for the moment in which ck_restore_signals needs it to end the process.
    for (int number = 1; number <= SIGRTMAX; number++) {
        struct sigaction action;
        if (!sigismember(&set, number) || sigaction(number, NULL, &action) != 0) continue;
        if (action.sa_handler == SIG_IGN) signal(number, SIG_DFL);
    }
    for (size_t index = 0; index < sizeof ignored / sizeof *ignored; index++) signal(ignored[index], SIG_IGN);
    // The first real-time signal is the C library's, which uses it for pthread_cancel alone and lets nobody set it.
    enum { CANCELLATION = 32 };
    const struct {
        void (*handler)(int);
        unsigned long others[8];
    } action = {.handler = SIG_IGN};
    syscall(SYS_rt_sigaction, CANCELLATION, &action, NULL, 8);
}

int ck_signal_descriptor(void) {
    sigset_t set;
    taken(&set);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) return -errno;
    sigaddset(&set, SIGPIPE);
    int result = pthread_sigmask(SIG_BLOCK, &set, NULL);
    return result == 0 ? fd : -result;
}

int ck_next_signal(int fd) {
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

void ck_restore_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

// A crash. What follows runs where anything may be broken: no allocation, no lock, no buffer of the C library.

struct line {
    size_t count;
    char text[320];
};

static void put(struct line *line, const char *text) {
    while (*text != 0 && line->count < sizeof line->text) line->text[line->count++] = *text++;
}

// With zeros in front, so that there are at least that many digits.
static void put_number(struct line *line, uint64_t number, unsigned base, int width) {
    char digits[24];
    int place = sizeof digits - 1;
    digits[place] = 0;
    for (; number > 0 || width > 0 || digits[place] == 0; number /= base, width--)
        digits[--place] = "0123456789abcdef"[number % base];
    put(line, digits + place);
}

// As ck_timestamp has it, but gmtime_r takes a lock.
static void put_time(struct line *line) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    // Days and years as if they began with March: the day that may be missing is the last one (Hinnant's algorithm).
    int64_t days = now.tv_sec / 86400 + 719468, era = days / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day = day_of_era - (365 * year + year / 4 - year / 100), month = (5 * day + 2) / 153;
    int64_t second = now.tv_sec % 86400;
    put_number(line, (uint64_t)(year + era * 400 + (month >= 10)), 10, 4);
    put(line, "-");
    put_number(line, (uint64_t)(month < 10 ? month + 3 : month - 9), 10, 2);
    put(line, "-");
    put_number(line, (uint64_t)(day - (153 * month + 2) / 5 + 1), 10, 2);
    put(line, "T");
    put_number(line, (uint64_t)(second / 3600), 10, 2);
    put(line, ":");
    put_number(line, (uint64_t)(second / 60 % 60), 10, 2);
    put(line, ":");
    put_number(line, (uint64_t)(second % 60), 10, 2);
    put(line, ".");
    put_number(line, (uint64_t)(now.tv_nsec / 1000000), 10, 3);
    put(line, "Z");
}

static void put_thread(struct line *line) {
    char name[17] = "";
    prctl(PR_GET_NAME, name);
    put(line, " in thread ");
    put_number(line, (uint64_t)gettid(), 10, 1);
    put(line, " (");
    // The first one keeps the program's name, by which people find the process.
    put(line, gettid() == getpid() ? "control thread" : name);
    put(line, ")");
}

static void tell_of_crash(const char *name, const siginfo_t *info) {
    struct line line = {.count = 0};
    put_time(&line);
    put(&line, " critical ");
    put(&line, name);
    bool is_sent = info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL;
    if (is_sent && info->si_pid != getpid()) {
        put(&line, ", sent by process ");
        put_number(&line, (uint64_t)info->si_pid, 10, 1);
        put(&line, " of user ");
        put_number(&line, info->si_uid, 10, 1);
        put(&line, ",");
        put_thread(&line);
        put(&line, ": it ends the program at once\n");
    } else {
        if (!is_sent && info->si_signo != SIGSYS) {
            put(&line, " at address 0x");
            put_number(&line, (uint64_t)info->si_addr, 16, 1);
        }
        put_thread(&line);
        put(&line, ": a fault of this program ends it; please report it, with the lines before this one\n");
    }
    // Whoever does not read the log must not keep the process from ending.
    struct pollfd log = {.fd = 2, .events = POLLOUT};
    if (poll(&log, 1, 1000) > 0 && write(2, line.text, line.count) < 0) return;
}

// What was there before, of Swift's backtracer or a sanitizer. Written before there are threads.
static struct sigaction others[CRASHES];

static void crashed(int number, siginfo_t *info, void *context) {
    int error = errno, index = 0;
    while (index < CRASHES - 1 && crashes[index].number != number) index++;
    tell_of_crash(crashes[index].name, info);
    const struct sigaction *other = &others[index];
    if (other->sa_handler != SIG_DFL && other->sa_handler != SIG_IGN) {
        if (other->sa_flags & SA_SIGINFO) other->sa_sigaction(number, info, context);
        else other->sa_handler(number);
    }
    signal(number, SIG_DFL);
    // Once more, with all that the kernel has said of it. A return alone would end neither what was sent nor a call
    // that is forbidden.
    if (syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), number, info) != 0) tgkill(getpid(), gettid(), number);
    errno = error;
}

void ck_report_crashes(void) {
    sigset_t set;
    sigemptyset(&set);
    struct sigaction action = {.sa_sigaction = crashed};
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_NODEFER;
    sigfillset(&action.sa_mask);
    for (int index = 0; index < CRASHES; index++) {
        sigaddset(&set, crashes[index].number);
        sigdelset(&action.sa_mask, crashes[index].number);
    }
    for (int index = 0; index < CRASHES; index++) sigaction(crashes[index].number, &action, &others[index]);
    // The kernel ends a process without a word whose fault is blocked.
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void ck_use_crash_stack(void) {
    enum { SIZE = 64 << 10 };
    stack_t stack;
    // Sanitizers have their own, and take it down again.
    if (sigaltstack(NULL, &stack) != 0 || !(stack.ss_flags & SS_DISABLE)) return;
    void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) return;
    stack = (stack_t){.ss_sp = memory, .ss_size = SIZE};
    if (sigaltstack(&stack, NULL) != 0) munmap(memory, SIZE);
}
