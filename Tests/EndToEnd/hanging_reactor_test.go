package endtoend

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

const (
	ptraceSeize     = 0x4206
	ptraceInterrupt = 0x4207
)

// hang stops one thread of the proxy, as if it had gone into an endless loop. Where the system forbids it the test is
// skipped.
func (p *proxy) hang(name string) {
	p.t.Helper()
	number := p.thread(name)
	stopped := make(chan error)
	go func() {
		// Only the thread that traces may say what becomes of the traced one. It does not end with this function: what
		// other tests have started from it would be killed with it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for _, request := range []uintptr{ptraceSeize, ptraceInterrupt} {
			if _, _, err := syscall.RawSyscall6(syscall.SYS_PTRACE, request, uintptr(number), 0, 0, 0, 0); err != 0 {
				stopped <- err
				return
			}
		}
		var status syscall.WaitStatus
		_, err := syscall.Wait4(number, &status, syscall.WALL, nil)
		stopped <- err
		// A thread that is traced has to be waited for, or its process does not end.
		for err == nil && !status.Exited() && !status.Signaled() {
			_, err = syscall.Wait4(number, &status, syscall.WALL, nil)
		}
	}()
	if err := <-stopped; err != nil {
		p.t.Skipf("no thread of another process may be stopped here: %v", err)
	}
}

// startHanging starts a proxy with a request under way, and stops one of its reactors.
func startHanging(t *testing.T, flags ...string) *proxy {
	t.Helper()
	// A process whose memory nobody may look at cannot be traced, either.
	p := once(t, append(flags, "--allow-core-dumps")...)
	port := freePort(t)
	p.serve(onPath(port, "/"), text("x"))
	expectServed(t, port, "/", "x")
	p.dead = true
	p.hang("reactor 1")
	return p
}

func TestHangingReactorIsNamedAndEndsWithTheTimeToDrain(t *testing.T) {
	t.Parallel()
	p := startHanging(t, "--drain", "1500ms")
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(); code != 70 {
		t.Errorf("exit code %d", code)
	}
	expectSentence(t, "a reactor that hangs", p.process, "reactor 1 does not take commands", "reactor 1 does not stop")
	if strings.Contains(p.stderr.whole(), "reactor 0 does") {
		t.Errorf("the other one is accused:\n%s", p.stderr.text())
	}
}

func TestHangingReactorDoesNotKeepASecondSignal(t *testing.T) {
	for _, drain := range []string{"600s", "0s"} {
		p := startHanging(t, "--drain", drain)
		p.signal(syscall.SIGTERM)
		p.awaitLog("stopping by SIGTERM", 0)
		p.signal(syscall.SIGTERM)
		if code := p.exitCode(); code != 128+int(syscall.SIGTERM) {
			t.Errorf("--drain %s: exit code %d", drain, code)
		}
	}
}

// Each registration has all others of its route looked after, so that a queue that nobody empties is full soon.
func (p *proxy) fillQueue() {
	p.t.Helper()
	port := freePort(p.t)
	for sent := 0; sent < 2000; sent++ {
		// So many have filled the queue. From then on nobody else is let in, and a dial may wait in vain.
		if sent > 200 && strings.Contains(p.stderr.whole(), "does not take commands") {
			return
		}
		connection, err := service.Dial(p.control)
		if failure, ok := err.(net.Error); ok && failure.Timeout() {
			continue
		}
		if err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { connection.Close() })
		if _, err := connection.Write(raw(port).Encode()); err != nil {
			p.t.Fatal(err)
		}
		if sent > 400 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	p.awaitLog("reactor 1 does not take commands", 0)
}

func TestHangingReactorWithAFullQueueDoesNotKeepSignals(t *testing.T) {
	t.Parallel()
	for _, drain := range []string{"100ms", "600s"} {
		drain := drain
		t.Run(fmt.Sprint("drain ", drain), func(t *testing.T) {
			t.Parallel()
			p := startHanging(t, "--drain", drain)
			p.fillQueue()
			p.signal(syscall.SIGHUP)
			p.awaitLog("SIGHUP", 0)
			p.figures("now: ")
			p.signal(syscall.SIGTERM)
			p.awaitLog("stopping by SIGTERM", 0)
			code := 70
			if drain == "600s" {
				p.signal(syscall.SIGINT)
				code = 128 + int(syscall.SIGINT)
			}
			if got := p.exitCode(); got != code {
				t.Errorf("exit code %d, not %d", got, code)
			}
		})
	}
}
