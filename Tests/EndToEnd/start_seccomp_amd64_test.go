package endtoend

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The numbers of calls are those of x86-64, and so is the name of this file.
const (
	ioUringSetup    = 425
	ioUringEnter    = 426
	ioUringRegister = 427
	clone3          = 435
	getrandom       = 318
)

var errnos = []syscall.Errno{syscall.EPERM, syscall.EACCES, syscall.ENOSYS}

// forbidding is the command that runs the program with a filter.
func forbidding(rules ...string) []string {
	return []string{filepath.Join(os.Getenv("E2E_BINARIES"), "forbidding"), strings.Join(rules, ","), program()}
}

func rule(call int, errno syscall.Errno) string { return fmt.Sprintf("%d=%d", call, int(errno)) }

// expectRefusedStart checks that the program ends at once with the code and one sentence, which has the words.
func expectRefusedStart(t *testing.T, what string, command []string, code int, words ...string) {
	t.Helper()
	arguments := append(command[1:len(command):len(command)], "--bind", fmt.Sprint("127.0.0.1:", freePort(t)))
	p := startProcess(t, command[0], arguments...)
	if got := p.exitCode(); got != code {
		t.Errorf("%s: exit code %d, not %d: %s", what, got, code, p.stderr.text())
		return
	}
	expectOneSentence(t, what, p, words...)
}

// expectOneSentence checks that the last line is the sentence, and that nothing else but the log stands before it.
func expectOneSentence(t *testing.T, what string, p *process, words ...string) {
	t.Helper()
	expectSentence(t, what, p, words...)
	count := 0
	for _, line := range p.stderr.copy() {
		if strings.HasPrefix(line, "socketmaster: ") {
			count++
			if !strings.HasSuffix(line, ".") {
				t.Errorf("%s: %q is no sentence", what, line)
			}
		} else if !strings.Contains(line, " notice ") && !strings.Contains(line, " warning ") {
			t.Errorf("%s: it says %q", what, line)
		}
	}
	if count != 1 {
		t.Errorf("%s: there are %d sentences: %s", what, count, p.stderr.text())
	}
}

func TestAStartWithoutIOUringNamesTheCallAndTheWayOut(t *testing.T) {
	calls := map[string]int{
		"io_uring_setup": ioUringSetup, "io_uring_enter": ioUringEnter, "io_uring_register": ioUringRegister,
	}
	for name, call := range calls {
		for _, errno := range errnos {
			what := fmt.Sprintf("%s answered with %v", name, errno)
			expectRefusedStart(t, what, forbidding(rule(call, errno)), 69, name, "seccomp")
		}
		// What no filter of a container engine says, and no kernel that is new enough.
		expectRefusedStart(t, name, forbidding(rule(call, syscall.EINVAL)), 69, name, "new enough", "seccomp")
		expectRefusedStart(t, name, forbidding(rule(call, syscall.ENOTTY)), 71, name, "seccomp")
		// Nothing is done, and that is called a success.
		expectRefusedStart(t, name, forbidding(rule(call, 0)), 69, name, "seccomp")
		expectRefusedStart(t, name, forbidding(rule(call, syscall.ENOMEM)), 71, "memory", "ulimit -l")
	}
}

func TestAStartWithoutACallThatIsNeededNamesIt(t *testing.T) {
	calls := map[string]int{
		"getrandom": getrandom, "epoll_create1": syscall.SYS_EPOLL_CREATE1, "epoll_ctl": syscall.SYS_EPOLL_CTL,
		"epoll_wait": syscall.SYS_EPOLL_WAIT, "eventfd2": syscall.SYS_EVENTFD2, "signalfd4": syscall.SYS_SIGNALFD4,
		"accept4": syscall.SYS_ACCEPT4, "bind": syscall.SYS_BIND, "listen": syscall.SYS_LISTEN,
		"getsockname": syscall.SYS_GETSOCKNAME, "getpeername": syscall.SYS_GETPEERNAME,
		"setsockopt": syscall.SYS_SETSOCKOPT, "getsockopt": syscall.SYS_GETSOCKOPT, "recvfrom": syscall.SYS_RECVFROM,
		"sendto": syscall.SYS_SENDTO, "sendmsg": syscall.SYS_SENDMSG, "shutdown": syscall.SYS_SHUTDOWN,
		"fcntl": syscall.SYS_FCNTL, "ioctl": syscall.SYS_IOCTL, "connect": syscall.SYS_CONNECT,
		"futex": syscall.SYS_FUTEX,
	}
	turn := 0
	for name, call := range calls {
		errno := errnos[turn%len(errnos)]
		turn++
		what := fmt.Sprintf("%s answered with %v", name, errno)
		expectRefusedStart(t, what, forbidding(rule(call, errno)), 71, name, "seccomp")
	}
	expectRefusedStart(t, "clone3", forbidding(rule(clone3, syscall.EPERM)), 71, "clone3", "seccomp")
	// As RLIMIT_NPROC and the pids of a cgroup have it.
	expectRefusedStart(t, "no process left", forbidding(rule(clone3, syscall.EAGAIN)), 71, "ulimit -u", "pids.max")
	expectRefusedStart(t, "no sockets", forbidding(rule(syscall.SYS_SOCKET, syscall.EPERM)), 77, "policy")
	expectRefusedStart(t, "no IPv4", forbidding(rule(syscall.SYS_SOCKET, syscall.EAFNOSUPPORT)), 78, "no IPv4")
	expectRefusedStart(t, "no signals", forbidding(rule(syscall.SYS_RT_SIGPROCMASK, syscall.EPERM)), 71, "signals")
}

func TestAStartGoesOnWithoutWhatOnlyMakesItBetter(t *testing.T) {
	skipIfSanitized(t) // it needs some of these calls itself
	turn := 0
	each := func(call int, warning string, flags ...string) {
		t.Helper()
		errno := errnos[turn%len(errnos)]
		turn++
		p := startProxyBy(t, forbidding(rule(call, errno)), append(flags, "--reactors", "2")...)
		port := freePort(t)
		p.serve(onPath(port, "/"), text("served"))
		expectServed(t, port, "/", "served")
		if warning != "" && !strings.Contains(p.stderr.text(), warning) {
			t.Errorf("%d, %v: it does not say %q: %s", call, errno, warning, p.stderr.text())
		}
	}
	each(syscall.SYS_SPLICE, "bulk is copied")
	each(syscall.SYS_PIPE2, "bulk is copied")
	each(syscall.SYS_SCHED_SETAFFINITY, "sched_setaffinity is refused", "--pin")
	each(syscall.SYS_SCHED_GETAFFINITY, "")
	each(syscall.SYS_PRCTL, "prctl is refused")
	each(syscall.SYS_PRLIMIT64, "")
	each(syscall.SYS_UNAME, "")
	each(syscall.SYS_MLOCK, "")
	each(319, "")                        // memfd_create
	each(syscall.SYS_TIMERFD_CREATE, "") // has never been used
}
