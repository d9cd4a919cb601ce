package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lines collects what a process prints, and wakes those who wait for a line.
type lines struct {
	lock    sync.Mutex
	changed *sync.Cond
	all     []string
	ended   bool
}

func collect(reader io.Reader) *lines {
	l := &lines{}
	l.changed = sync.NewCond(&l.lock)
	go func() {
		scanner := bufio.NewScanner(reader)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			l.lock.Lock()
			l.all = append(l.all, scanner.Text())
			l.changed.Broadcast()
			l.lock.Unlock()
		}
		io.Copy(io.Discard, reader)
		l.lock.Lock()
		l.ended = true
		l.changed.Broadcast()
		l.lock.Unlock()
	}()
	return l
}

// find waits for a line from the given one on that matches, and returns its number, or -1.
func (l *lines) find(pattern string, from int) int {
	expression := regexp.MustCompile(pattern)
	deadline := time.Now().Add(patience)
	timer := time.AfterFunc(patience, func() {
		l.lock.Lock()
		defer l.lock.Unlock()
		l.changed.Broadcast()
	})
	defer timer.Stop()
	l.lock.Lock()
	defer l.lock.Unlock()
	for next := from; ; {
		for ; next < len(l.all); next++ {
			if expression.MatchString(l.all[next]) {
				return next
			}
		}
		if l.ended || time.Now().After(deadline) {
			return -1
		}
		l.changed.Wait()
	}
}

// awaitEnd waits until the program has closed its end, so that its last line is there.
func (l *lines) awaitEnd() {
	l.find(neverMatches, 0)
}

const neverMatches = `[^\s\S]`

func (l *lines) count() int {
	l.lock.Lock()
	defer l.lock.Unlock()
	return len(l.all)
}

func (l *lines) copy() []string {
	l.lock.Lock()
	defer l.lock.Unlock()
	return append([]string{}, l.all...)
}

func (l *lines) whole() string {
	l.lock.Lock()
	defer l.lock.Unlock()
	return strings.Join(l.all, "\n")
}

// text is for people: what is much has only its ends.
func (l *lines) text() string {
	l.lock.Lock()
	defer l.lock.Unlock()
	kept := l.all
	if len(kept) > 80 {
		kept = append(append(append([]string{}, kept[:30]...), "..."), kept[len(kept)-50:]...)
	}
	return strings.Join(kept, "\n")
}

// process is a program that runs during a test.
type process struct {
	t       *testing.T
	command *exec.Cmd
	stdout  *lines
	stderr  *lines
	exited  chan struct{} // closed after state is set
	state   error
}

func startProcess(t *testing.T, path string, arguments ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(path, arguments...))
}

// startCommand is startProcess with an environment or files of the process's own.
func startCommand(t *testing.T, command *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, command: command, exited: make(chan struct{})}
	// An end of ours of each pipe: with Cmd.StdoutPipe, Wait could close it before the last line was read.
	pipe := func() (*os.File, *lines) {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		return writer, collect(reader)
	}
	var output, errors *os.File
	output, p.stdout = pipe()
	errors, p.stderr = pipe()
	p.command.Stdout, p.command.Stderr = output, errors
	// A test that dies must not leave its programs behind. Each has a group of its own: of one whose shell goes away the
	// kernel lets those go on that a test has stopped.
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	err := p.command.Start()
	output.Close()
	errors.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		p.state = p.command.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

func (p *process) signal(signal syscall.Signal) { p.command.Process.Signal(signal) }

// suspend stops the process and returns when none of its threads runs any more.
// Until one of them has seen the signal, all others run on.
func (p *process) suspend(t *testing.T) {
	t.Helper()
	p.signal(syscall.SIGSTOP)
	eventually(t, "the process is stopped", func() bool { return p.isIn("T", t) })
}

// isAsleep tells whether all threads of the process wait for something.
func (p *process) isAsleep(t *testing.T) bool {
	t.Helper()
	return p.isIn("S", t)
}

// isIn tells whether all threads of the process are in a state as /proc tells it.
func (p *process) isIn(state string, t *testing.T) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.command.Process.Pid))
	if err != nil || len(threads) == 0 {
		t.Fatal("no threads", err)
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		// The state is behind the name, which is the only thing in parentheses.
		if err == nil && !strings.Contains(string(stat), ") "+state+" ") {
			return false
		}
	}
	return true
}

// kill ends the process the hard way and returns when it is gone.
func (p *process) kill() {
	p.command.Process.Kill()
	<-p.exited
}

func (p *process) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// exitCode waits for the end. A signal counts as 128 and its number.
func (p *process) exitCode() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Errorf("%s %q did not end in %v; stderr:\n%s", p.command.Path, p.command.Args[1:], patience, p.stderr.text())
		p.kill()
		return -1
	}
	p.stdout.awaitEnd()
	p.stderr.awaitEnd()
	status := p.command.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// startService starts cmd/test-service and waits until it has registered.
func (p *proxy) startService(flags ...string) *process {
	p.t.Helper()
	path := filepath.Join(os.Getenv("E2E_BINARIES"), "test-service")
	s := startProcess(p.t, path, append([]string{"-control", p.control}, flags...)...)
	if s.stdout.find("^registered$", 0) < 0 {
		p.t.Fatalf("test-service %q did not register: %s", flags, s.stderr.text())
	}
	return s
}

// killService kills a service's process and waits until the proxy has noticed.
func (p *proxy) killService(s *process) {
	p.t.Helper()
	from := p.stderr.count()
	s.kill()
	p.awaitLog(sessionLost, from)
}
