package endtoend

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"socketmaster/endtoend/service"
)

// usage is EX_USAGE of sysexits(3).
const usage = 64

// expectSentence checks that something is said about the fault, and no crash report instead.
func expectSentence(t *testing.T, what string, p *process, words ...string) {
	t.Helper()
	said := p.stderr.text()
	if !strings.Contains(strings.TrimSpace(said), " ") || strings.Contains(said, "Fatal error") {
		t.Errorf("%s: %q is no sentence", what, said)
	}
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("%s: %q does not say %q", what, said, word)
		}
	}
}

func TestProgramTellsItsVersion(t *testing.T) {
	p := startProcess(t, program(), "--version")
	if code := p.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if p.stdout.find(`\d+\.\d+`, 0) < 0 {
		t.Errorf("the version is %q", p.stdout.text())
	}
}

func TestProgramTellsItsFlags(t *testing.T) {
	p := startProcess(t, program(), "--help")
	if code := p.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p.stdout.find("--version", 0)
	for _, flag := range []string{
		"--bind", "--reactors", "--pin", "--hold", "--start-grace", "--hold-limit", "--max-connections", "--max-sessions",
		"--backlog", "--ring-entries", "--receive-buffers", "--receive-buffer-size", "--head-limit", "--head-timeout",
		"--idle-timeout", "--stall-timeout", "--reply-timeout", "--buffer-limit", "--trust-forwarded", "--drain",
		"--log-level", "--version", "--busy-poll", "--print-limits",
	} {
		if !strings.Contains(p.stdout.whole(), flag+" ") && !strings.Contains(p.stdout.whole(), flag+"\n") {
			t.Errorf("--help does not know %s", flag)
		}
	}
	if strings.Contains(p.stdout.whole(), "force-hand-over") {
		t.Error("--help tells of a flag that is for tests alone")
	}
}

func TestProgramPrintsItsLimitsAndStartsNothing(t *testing.T) {
	control := fmt.Sprint("127.0.0.1:", freePort(t))
	// Its first word, whatever explains it, and the amount; a number before the word is how many there are.
	amount := regexp.MustCompile(`^ *(?:\d+ )?([a-z]+).*? {2,}(\d+)`)
	print := func(flags ...string) map[string]int {
		p := startProcess(t, program(), append(flags, "--bind", control, "--reactors", "3", "--print-limits")...)
		if code := p.exitCode(); code != 0 {
			t.Fatalf("exit code %d: %s", code, p.stderr.text())
		}
		descriptors, _, _ := strings.Cut(p.stdout.whole(), "\n\n")
		numbers := map[string]int{}
		for _, line := range strings.Split(descriptors, "\n") {
			if found := amount.FindStringSubmatch(line); found != nil {
				numbers[found[1]], _ = strconv.Atoi(found[2])
			}
		}
		return numbers
	}
	numbers := print("--max-connections", "1000", "--max-sessions", "100", "--max-pending", "10")
	if numbers["clients"] != 1000 || numbers["sessions"] != 100 || numbers["registrations"] != 10 {
		t.Errorf("it says %v", numbers)
	}
	sum := 0
	for _, part := range []string{"clients", "sessions", "registrations", "listeners", "pipes", "others"} {
		sum += numbers[part]
	}
	if sum != numbers["descriptors"] || sum < 1110 {
		t.Errorf("the parts are %d together, the sum is %d", sum, numbers["descriptors"])
	}
	p := startProcess(t, program(), "--max-connections", "900000000", "--print-limits")
	if code := p.exitCode(); code == 0 {
		t.Error("limits that cannot be are printed")
	}
}

func TestProgramThatPollsServesAndSleeps(t *testing.T) {
	each(t, []string{"--busy-poll", "200", "--hold", "5s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		first := p.serve(onPath(port, "/"), text("first"))
		kept := dial(t, port)
		for round := 0; round < 50; round++ {
			kept.get("/", "first")
		}
		first.Close()
		kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		p.serve(onPath(port, "/"), text("second"))
		kept.expectReply("GET", 200, "second")
		// It goes to sleep when nothing more comes: all threads do.
		eventually(t, "all threads sleep", func() bool { return p.isAsleep(t) })
	})
}

func TestProgramRefusesBadFlags(t *testing.T) {
	control := fmt.Sprint("127.0.0.1:", freePort(t))
	for _, flags := range [][]string{
		{"--nonsense"}, {"nonsense"}, {"--reactors", "0"}, {"--reactors", "-1"}, {"--reactors", "many"},
		{"--reactors", "100000"}, {"--busy-poll", "-1"}, {"--busy-poll", "20us"}, {"--hold", "banana"}, {"--hold", "-5s"}, {"--hold", ""},
		{"--hold", "99999999999999999999s"}, {"--drain", "5 s"}, {"--start-grace", "1x"}, {"--head-timeout", "s"},
		{"--bind", "nonsense"}, {"--bind", "127.0.0.1"}, {"--bind", "127.0.0.1:99999"}, {"--bind", "unix:"},
		{"--bind", "unix:" + strings.Repeat("x", 200)}, {"--max-connections", "-1"}, {"--max-connections", "0"},
		{"--trust-forwarded", "300.1.1.1/8"}, {"--trust-forwarded", "10.0.0.0/33"}, {"--trust-forwarded", "x"},
		{"--log-level", "shouting"}, {"--buffer-limit", "64q"}, {"--head-limit", "-1"}, {"--receive-buffers", "0"},
		{"--ring-entries", "0"}, {"--receive-buffer-size", "1"}, {"--backlog", "-1"}, {"--max-sessions", "-1"},
		{"--hold-limit", "-1"},
	} {
		arguments := flags
		if flags[0] != "--bind" {
			arguments = append([]string{"--bind", control}, flags...)
		}
		p := startProcess(t, program(), arguments...)
		if code := p.exitCode(); code != usage {
			t.Errorf("%q: exit code %d", flags, code)
		}
		expectSentence(t, fmt.Sprint(flags), p)
	}
}

func TestProgramUnderstandsDurationsAndSizes(t *testing.T) {
	once(t, "--hold", "2m", "--start-grace", "500ms", "--idle-timeout", "1h", "--buffer-limit", "64m",
		"--head-limit", "64k", "--reply-timeout", "30s", "--hold-limit", "100", "--backlog", "128", "--receive-buffers", "64",
		"--receive-buffer-size", "8k", "--ring-entries", "256", "--log-level", "debug", "--max-sessions", "10",
		"--trust-forwarded", "::1/128")
}

func TestProgramSaysWhatHinderedItsStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	running := once(t)
	directory := t.TempDir()
	for what, bind := range map[string]string{
		"a port of another program":  taken.Addr().String(),
		"a port of another proxy":    running.control,
		"an address of another host": "203.0.113.5:9999",
		"a folder that is not there": "unix:" + filepath.Join(directory, "no", "control"),
	} {
		p := startProcess(t, program(), "--bind", bind)
		if code := p.exitCode(); code <= usage || code > 78 {
			t.Errorf("%s: exit code %d", what, code)
		}
		expectSentence(t, what, p, strings.TrimPrefix(bind, "unix:"))
	}
}

func TestProgramsControlSocketIsForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	// Whatever the mask allows.
	defer syscall.Umask(syscall.Umask(0))
	p := once(t, "--bind", "unix:"+path)
	p.awaitControl("unix:" + path)
	information, err := os.Stat(path)
	if err != nil || information.Mode().Perm() != 0o600 || information.Mode().Type() != os.ModeSocket {
		t.Errorf("the socket is %v, %v", information.Mode(), err)
	}
	// One that somebody listens on is not taken away.
	second := startProcess(t, program(), "--bind", "unix:"+path)
	if code := second.exitCode(); code <= usage || code > 78 {
		t.Errorf("the second proxy at the path ended with %d", code)
	}
	p.awaitControl("unix:" + path)
}

func TestProgramsControlSocketOfAKilledProxyIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	first := once(t, "--bind", "unix:"+path)
	first.awaitControl("unix:" + path)
	first.dead = true
	first.kill()
	second := once(t, "--bind", "unix:"+path)
	second.awaitControl("unix:" + path)
}

func TestProgramTellsWhatItRunsWith(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			p := startProxy(t, v.flags...)
			for _, line := range []string{
				`(?i)version|socketmaster \d`, regexp.QuoteMeta(p.control),
				`(?i)\b` + v.flags[1] + ` reactor|reactors\D*` + v.flags[1] + `\b`,
				`(?i)io_uring|kernel`, `(?i)memory`, `(?i)descriptors`,
			} {
				p.awaitLog(line, 0)
			}
		})
	}
}

func TestProgramDrainsAfterSIGTERM(t *testing.T) {
	each(t, []string{"--drain", "60s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		started, proceed := make(chan struct{}, 1), make(chan struct{})
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			if request.URL.Path == "/slow" {
				io.WriteString(writer, "begun, ")
				writer.(http.Flusher).Flush()
				started <- struct{}{}
				sleepless(proceed, patience)
			}
			io.WriteString(writer, "done")
		}))
		idle := dial(t, port)
		idle.get("/", "done")
		w := dial(t, port)
		w.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
		await(t, "the request", started)
		p.signal(syscall.SIGTERM)
		idle.expectEnd()
		eventually(t, "nobody is accepted any more", func() bool {
			connection, err := net.Dial("tcp", address(port))
			if err == nil {
				connection.Close()
			}
			return err != nil
		})
		if p.hasExited() {
			t.Fatal("the proxy has ended with a request under way")
		}
		close(proceed)
		w.expectReply("GET", 200, "begun, done")
		w.expectEnd()
		p.dead = true
		if code := p.exitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

func TestProgramDrainsNoLongerThanTheFlagSays(t *testing.T) {
	eachWaiting(t, []string{"--drain", "400ms"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveStreams(raw(port), echoStream)
		w := dial(t, port)
		w.exchange([]byte("hello"))
		p.signal(syscall.SIGTERM)
		w.expectClosed()
		p.dead = true
		if code := p.exitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

func TestProgramEndsAtOnceAtASecondSignal(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			p := once(t, "--drain", "600s")
			port := freePort(t)
			listener := p.serveStreams(raw(port), echoStream)
			w := dial(t, port)
			w.exchange([]byte("hello"))
			p.signal(signal)
			p.awaitLog(`stopping by SIG`, 0)
			w.exchange([]byte("still there"))
			p.signal(signal)
			p.dead = true
			p.exitCode() // which fails when it lasts
			w.expectClosed()
			await(t, "the end of the session", listener.Done())
		})
	}
}

func TestProgramWithIdleClientsAndServicesEndsAtOnce(t *testing.T) {
	each(t, []string{"--drain", "600s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		listener := p.serve(onPath(port, "/"), text("x"))
		before := p.descriptors()
		for index := 0; index < 20; index++ {
			dial(t, port).get("/", "x")
			dial(t, port) // says nothing, and is let in nevertheless
		}
		eventually(t, "all are let in", func() bool { return p.descriptors() >= before+40 })
		silent, err := service.Dial(p.control)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		p.signal(syscall.SIGTERM)
		p.dead = true
		if code := p.exitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		await(t, "the end of the session", listener.Done())
	})
}

func TestProgramThatEndsServesRequestsThatHaveArrived(t *testing.T) {
	for _, buffers := range []string{"8", "256"} {
		each(t, []string{"--drain", "600s", "--receive-buffers", buffers}, func(t *testing.T, p *proxy) {
			port := freePort(t)
			p.serve(onPath(port, "/"), text("x"))
			var all []*wire
			for index := 0; index < 300; index++ {
				w := dial(t, port)
				w.get("/", "x")
				all = append(all, w)
			}
			// They lie in the kernel when the proxy wakes up to its end, some of them in the listeners' queues.
			p.suspend(t)
			for index := 0; index < 100; index++ {
				all = append(all, dial(t, port))
			}
			for _, w := range all {
				w.extend()
				w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			}
			p.signal(syscall.SIGTERM)
			p.signal(syscall.SIGCONT)
			for _, w := range all {
				w.expectReply("GET", 200, "x")
				w.expectEnd()
			}
			p.dead = true
			if code := p.exitCode(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestProgramThatEndsServesThoseWhoWaitForASlot(t *testing.T) {
	each(t, []string{"--drain", "600s", "--max-connections", "8"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		started, release := make(chan struct{}, 100), make(chan struct{})
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
			started <- struct{}{}
			<-release
			io.WriteString(writer, "x")
		}))
		var all []*wire
		for index := 0; index < 40; index++ {
			w := dial(t, port)
			w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			all = append(all, w)
		}
		for index := 0; index < 8; index++ {
			await(t, "a request", started)
		}
		p.signal(syscall.SIGTERM)
		p.awaitLog("stopping by SIGTERM", 0)
		close(release)
		for _, w := range all {
			w.extend()
			w.expectReply("GET", 200, "x")
			w.expectEnd()
		}
		p.dead = true
		if code := p.exitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

func TestProgramThatEndsDoesNotWaitForClientsThatComeThen(t *testing.T) {
	each(t, []string{"--drain", "600s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), text("x"))
		p.serveStreams(raw(port), echoStream)
		expectServed(t, port, "/", "x")
		// They are in the listener's queues when the proxy wakes up to its end, as a raw service may speak first.
		p.suspend(t)
		for index := 0; index < 5; index++ {
			dial(t, port)
		}
		p.signal(syscall.SIGTERM)
		p.signal(syscall.SIGCONT)
		p.dead = true
		if code := p.exitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

func TestProgramHasARouteForHundredServicesThatComeAndGo(t *testing.T) {
	each(t, []string{"--hold", "200ms"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), text("root"))
		before := p.descriptors()
		for round := 0; round < 4; round++ {
			var listeners []*service.Listener
			for index := 0; index < 25; index++ {
				path := fmt.Sprintf("/%d/%d", round, index)
				listeners = append(listeners, p.serve(onPath(port, path), text(path)))
			}
			for index := range listeners {
				path := fmt.Sprintf("/%d/%d", round, index)
				expectServed(t, port, path, path)
			}
			for _, listener := range listeners {
				listener.Close()
			}
		}
		eventually(t, "the sessions are closed", func() bool { return p.descriptors() <= before })
		expectServed(t, port, "/", "root")
	})
}

func TestProgramServesOnWhenNobodyReadsItsLog(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	control := fmt.Sprint("127.0.0.1:", freePort(t))
	command := exec.Command(program(), "--bind", control, "--start-grace", "0s", "--log-level", "debug")
	command.Stderr = writer
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	defer func() {
		command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			t.Error(err)
		}
	}()
	eventually(t, "a control address", func() bool {
		connection, err := service.Dial(control)
		if err == nil {
			connection.Close()
		}
		return err == nil
	})
	// Each of them makes several lines, more than any pipe holds.
	port := freePort(t)
	for round := 0; round < 500; round++ {
		listener, err := service.Listen(control, onPath(port, fmt.Sprint("/", strings.Repeat("long", 50), round)))
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
	}
	listener, err := service.Listen(control, onPath(port, "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	serveHTTP(listener, text("served"))
	expectServed(t, port, "/", "served")
}
