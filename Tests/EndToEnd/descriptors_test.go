package endtoend

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"socketmaster/endtoend/service"
)

// withShell runs a program by a line of the shell, in which "$0" "$@" is the program.
func withShell(line, path string) []string { return []string{"sh", "-c", line, path} }

// expectNull checks that a descriptor is /dev/null, for reading or for writing.
func (p *process) expectNull(fd int) {
	p.t.Helper()
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", p.command.Process.Pid, fd))
	if err != nil || target != "/dev/null" {
		p.t.Errorf("descriptor %d is %q, %v", fd, target, err)
	}
	information, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", p.command.Process.Pid, fd))
	isForReading := strings.Contains(string(information), "flags:\t0100000\n")
	if err != nil || isForReading != (fd == 0) {
		p.t.Errorf("descriptor %d: %q, %v", fd, information, err)
	}
}

func TestStandardDescriptorsThatAreClosedAreNull(t *testing.T) {
	for redirections, closed := range map[string][]int{
		"<&- >&- 2>&-": {0, 1, 2}, "2>&-": {2}, ">&-": {1}, "<&-": {0}, "<&- 2>&-": {0, 2},
	} {
		p := startProxyBy(t, withShell(`exec "$0" "$@" `+redirections, program()))
		port := freePort(t)
		p.serve(onPath(port, "/"), text("x"))
		expectServed(t, port, "/", "x")
		for _, fd := range closed {
			p.expectNull(fd)
		}
	}
}

func TestPublishHasStandardDescriptors(t *testing.T) {
	p := once(t)
	port := freePort(t)
	path := filepath.Join(os.Getenv("E2E_SWIFT"), "socketmaster-publish")
	s := startProcess(t, "sh", "-c", `exec "$0" "$@" <&- >&- 2>&-`, path,
		"--proxy", p.control, "--port", portText(port), "--http", "--to", target(t, text("published")))
	p.awaitLog("registered", 0)
	expectServed(t, port, "/", "published")
	for fd := 0; fd <= 2; fd++ {
		s.expectNull(fd)
	}
	s.signal(syscall.SIGTERM)
	if code := s.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A file that may not grow is like a full disk: the line is lost, and nothing else.
func TestLogAtTheLimitOfAFilesSizeEndsNothing(t *testing.T) {
	skipIfSanitized(t) // its memory is a file, and limited
	file := filepath.Join(t.TempDir(), "log")
	p := startProxyBy(t, withShell(`ulimit -f 4; exec "$0" "$@" 2>`+file, program()))
	port := freePort(t)
	for round := 0; round < 60; round++ {
		listener, err := service.Listen(p.control, onPath(port, fmt.Sprint("/", strings.Repeat("x", 40), round)))
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
	}
	if information, err := os.Stat(file); err != nil || information.Size() < 2048 {
		t.Fatalf("the log does not reach its limit: %v, %v", information, err)
	}
	p.signal(syscall.SIGXFSZ)
	p.serve(onPath(port, "/"), text("x"))
	expectServed(t, port, "/", "x")
}
