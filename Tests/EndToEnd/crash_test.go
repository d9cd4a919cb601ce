package endtoend

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// crashes are the signals of faults, as the log names them.
var crashes = map[syscall.Signal]string{
	syscall.SIGSEGV: "SIGSEGV", syscall.SIGBUS: "SIGBUS", syscall.SIGILL: "SIGILL", syscall.SIGFPE: "SIGFPE",
	syscall.SIGABRT: "SIGABRT", syscall.SIGTRAP: "SIGTRAP", syscall.SIGSYS: "SIGSYS",
}

// thread is the number of a thread by its name.
func (p *proxy) thread(name string) int {
	p.t.Helper()
	number := 0
	// Control addresses are there before reactors are.
	eventually(p.t, "a thread "+name, func() bool {
		names, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", p.command.Process.Pid))
		for _, file := range names {
			if comm, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(comm)) == name {
				number, _ = strconv.Atoi(filepath.Base(filepath.Dir(file)))
			}
		}
		return number > 0
	})
	return number
}

func TestCrashSaysItsSignalAndThread(t *testing.T) {
	skipIfSanitized(t)
	// The runtime's own report costs a second each, and has a test below.
	t.Setenv("SWIFT_BACKTRACE", "enable=no")
	for signal, name := range crashes {
		p := once(t)
		// A thread that has just begun has no name of its own yet.
		p.thread("reactor 1")
		p.signal(signal)
		p.expectCrash(t, signal, fmt.Sprintf(
			`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z critical %s, sent by process %d of user %d, in thread \d+ \((control thread|reactor \d)\)`,
			name, os.Getpid(), os.Getuid()))
	}
	for _, signal := range []syscall.Signal{syscall.SIGSEGV, syscall.SIGILL} {
		p := once(t)
		number := p.thread("reactor 1")
		_, _, failure := syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(p.command.Process.Pid), uintptr(number), uintptr(signal))
		if failure != 0 {
			t.Fatal(failure)
		}
		p.expectCrash(t, signal, fmt.Sprintf(`%s.* in thread %d \(reactor 1\)`, crashes[signal], number))
	}
}

// skipIfSanitized leaves out what a sanitizer does otherwise: it has handlers of signals and memory of its own, and is
// slow.
func skipIfSanitized(t *testing.T) {
	if os.Getenv("ASAN_OPTIONS") != "" || os.Getenv("TSAN_OPTIONS") != "" {
		t.Skip("a sanitizer does that otherwise")
	}
}

func (p *proxy) expectCrash(t *testing.T, signal syscall.Signal, pattern string) {
	t.Helper()
	p.dead = true
	if code := p.exitCode(); code != 128+int(signal) || !p.command.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		t.Errorf("%v: it ended by %v", signal, p.command.ProcessState)
	}
	found := 0
	for _, line := range p.stderr.copy() {
		if regexp.MustCompile(pattern).MatchString(line) {
			found++
		}
	}
	if found != 1 {
		t.Errorf("%v: %d lines match %q:\n%s", signal, found, pattern, p.stderr.text())
	}
}

func TestCrashIsAlsoToldBySwiftsBacktracer(t *testing.T) {
	skipIfSanitized(t)
	// A program that brings its runtime along does not find it by itself.
	compiler, err := exec.LookPath("swift")
	if err == nil {
		compiler, err = filepath.EvalSymlinks(compiler)
	}
	backtracer := filepath.Join(filepath.Dir(compiler), "../libexec/swift/linux/swift-backtrace-static")
	if _, missing := os.Stat(backtracer); err != nil || missing != nil {
		t.Skipf("there is no backtracer: %v, %v", err, missing)
	}
	t.Setenv("SWIFT_BACKTRACE", "enable=yes,interactive=no,color=no,swift-backtrace="+backtracer)
	p := once(t)
	port := freePort(t)
	p.serve(onPath(port, "/"), text("x"))
	expectServed(t, port, "/", "x")
	eventually(t, "all threads sleep", func() bool { return p.isAsleep(t) })
	p.signal(syscall.SIGSEGV)
	p.expectCrash(t, syscall.SIGSEGV, `critical SIGSEGV, sent by`)
	for _, words := range []string{"Signal 11: Backtracing", `"reactor 0"`, `"reactor 1"`} {
		if !strings.Contains(p.stderr.whole(), words) {
			t.Errorf("the backtracer does not say %q:\n%s", words, p.stderr.whole())
		}
	}
}

// By a program of its own: ours cannot be made to, we hope.
func TestCrashOfEveryKindIsTold(t *testing.T) {
	for way, expected := range map[string]struct {
		signal syscall.Signal
		line   string
	}{
		"overflow":    {syscall.SIGSEGV, `SIGSEGV at address 0x[0-9a-f]{6,}`},
		"address":     {syscall.SIGSEGV, `SIGSEGV at address 0x0`},
		"instruction": {syscall.SIGILL, `SIGILL at address 0x[0-9a-f]{6,}`},
		"trap":        {syscall.SIGTRAP, `SIGTRAP`},
		"abort":       {syscall.SIGABRT, `SIGABRT`},
		"call":        {syscall.SIGSYS, `SIGSYS`},
	} {
		p := startProcess(t, filepath.Join(os.Getenv("E2E_BINARIES"), "crash"), way)
		if code := p.exitCode(); code != 128+int(expected.signal) {
			t.Errorf("%s: it ended by %v", way, p.command.ProcessState)
		}
		pattern := `^\S+Z critical ` + expected.line + ` in thread \d+ \(reactor 7\): a fault of this program ends it`
		if !regexp.MustCompile(pattern).MatchString(p.stderr.whole()) {
			t.Errorf("%s: %q", way, p.stderr.whole())
		}
	}
}
