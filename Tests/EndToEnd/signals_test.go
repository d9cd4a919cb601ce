package endtoend

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	sigpoll   = syscall.Signal(29)
	sigrtmin  = syscall.Signal(34)
	sigrtmax  = syscall.Signal(64)
	internal1 = syscall.Signal(32) // the C library's own
	internal2 = syscall.Signal(33)
)

func TestSignalsWithoutAMeaningEndNothing(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		request := p.beginRequest(port)
		for signal, line := range map[syscall.Signal]string{
			syscall.SIGHUP:    `SIGHUP .*will reopen the log`,
			syscall.SIGUSR2:   `SIGUSR2 .*will take over`,
			syscall.SIGALRM:   `SIGALRM .*changes nothing`,
			sigpoll:           `SIGIO .*changes nothing`,
			syscall.SIGSTKFLT: `SIGSTKFLT .*changes nothing`,
			sigrtmin:          `signal 34 .*changes nothing`,
			sigrtmax:          `signal 64 .*changes nothing`,
		} {
			p.signal(signal)
			p.awaitLog("notice "+line, 0)
		}
		before := p.stderr.count()
		for _, signal := range []syscall.Signal{
			syscall.SIGPIPE, syscall.SIGXFSZ, syscall.SIGVTALRM, syscall.SIGPROF, syscall.SIGTTIN, syscall.SIGTTOU,
			syscall.SIGURG, syscall.SIGWINCH, syscall.SIGCHLD, syscall.SIGCONT, internal1, internal2,
		} {
			p.signal(signal)
		}
		request.end()
		p.figures("now: ")
		if after := p.stderr.copy()[before:]; len(after) > 2 {
			t.Errorf("signals that are ignored say %q", after)
		}
		request.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
		request.extend()
		request.expectReply("GET", 200, "begun, done")
	})
}

func TestSignalsThatEndTheProgramLetRequestsEnd(t *testing.T) {
	for signal, code := range map[syscall.Signal]int{
		syscall.SIGQUIT: 0, syscall.SIGINT: 0, syscall.SIGTERM: 0, syscall.SIGPWR: 0,
		syscall.SIGXCPU: 128 + int(syscall.SIGXCPU),
	} {
		t.Run(signal.String(), func(t *testing.T) {
			p := once(t, "--drain", "600s")
			request := p.beginRequest(freePort(t))
			p.signal(signal)
			next := p.awaitLog(`stopping by SIG`, 0)
			// What means nothing is no second signal, and neither is what the kernel says once a second.
			for _, harmless := range []syscall.Signal{syscall.SIGHUP, syscall.SIGXCPU, syscall.SIGPWR, syscall.SIGUSR2} {
				p.signal(harmless)
			}
			p.awaitLog("SIGUSR2", next)
			request.end()
			request.expectEnd()
			p.dead = true
			if got := p.exitCode(); got != code {
				t.Errorf("exit code %d, not %d", got, code)
			}
		})
	}
}

func TestSignalQUITEndsTheProgramAtOnceTheSecondTime(t *testing.T) {
	for _, second := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGINT} {
		p := once(t, "--drain", "600s")
		request := p.beginRequest(freePort(t))
		p.signal(syscall.SIGQUIT)
		p.awaitLog("stopping by SIGQUIT", 0)
		p.signal(second)
		p.dead = true
		if code := p.exitCode(); code != 128+int(second) {
			t.Errorf("%v: exit code %d", second, code)
		}
		close(request.proceed)
	}
}

func TestSignalsInAFloodDoNotFillTheLog(t *testing.T) {
	p := once(t)
	start := time.Now()
	for sent := 0; sent < 5000; sent++ {
		p.signal(syscall.SIGHUP)
		p.signal(sigrtmin)
	}
	// Those who ask for figures get them, but not each of them his own.
	for sent := 0; sent < 500; sent++ {
		p.signal(syscall.SIGUSR1)
	}
	p.figures("now: ")
	p.awaitLog("SIGHUP", 0)
	p.awaitLog("signal 34", 0)
	seconds := int(time.Since(start)/time.Second) + 2
	for words, bound := range map[string]int{"SIGHUP": seconds, "signal 34": seconds, "now: ": 20 * seconds} {
		if told := strings.Count(p.stderr.whole(), words); told > bound {
			t.Errorf("%q is in the log %d times after %d seconds", words, told, seconds)
		}
	}
	eventually(t, "the next line counts the others", func() bool {
		p.signal(syscall.SIGHUP)
		time.Sleep(50 * time.Millisecond)
		return strings.Contains(p.stderr.whole(), " more since it was told last")
	})
}

// Whoever starts the program may block and ignore what he likes, and signals may be there before it is.
func TestSignalsAreTakenWhateverWasInherited(t *testing.T) {
	for name, command := range map[string][]string{
		"nohup":   {"nohup"},
		"ignored": {"env", "--ignore-signal"},
		"blocked": {"env", "--block-signal"},
	} {
		t.Run(name, func(t *testing.T) {
			p := startProxyBy(t, append(command, program()), "--drain", "600s")
			p.signal(syscall.SIGHUP)
			p.awaitLog("SIGHUP", 0)
			request := p.beginRequest(freePort(t))
			p.signal(syscall.SIGINT)
			p.awaitLog("stopping by SIGINT", 0)
			request.end()
			p.dead = true
			if code := p.exitCode(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestSignalsThatComeAtTheStartAreTakenThen(t *testing.T) {
	early := func(signal string) []string {
		script := "kill -" + signal + ` $$; exec "$0" "$@"`
		return []string{"env", "--block-signal=" + signal, "sh", "-c", script, program()}
	}
	for _, signal := range []string{"HUP", "USR2", "ALRM", "USR1"} {
		p := startProxyBy(t, early(signal))
		p.awaitLog(map[string]string{"USR1": "now: "}[signal]+map[bool]string{true: "SIG" + signal}[signal != "USR1"], 0)
	}
	for _, signal := range []string{"TERM", "INT", "QUIT"} {
		command := append(early(signal), "--bind", "127.0.0.1:0")
		p := startProcess(t, command[0], command[1:]...)
		if code := p.exitCode(); code != 0 {
			t.Errorf("%s: exit code %d", signal, code)
		}
		expectSentence(t, signal, p, "stopping by SIG"+signal)
	}
}
