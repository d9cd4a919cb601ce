package endtoend

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// leftOut is how many lines the log says that it left out, from the given line on.
func (p *proxy) leftOut(from int) (count int) {
	for _, line := range p.stderr.copy()[from:] {
		if match := regexp.MustCompile(`warning (\d+) lines? left out`).FindStringSubmatch(line); match != nil {
			number, _ := strconv.Atoi(match[1])
			count += number
		}
	}
	return count
}

// matching counts the lines from the given one on that match.
func (p *proxy) matching(pattern string, from int) (count int) {
	expression := regexp.MustCompile(pattern)
	for _, line := range p.stderr.copy()[from:] {
		if expression.MatchString(line) {
			count++
		}
	}
	return count
}

// loop registers and leaves again and again, as one service or another.
func (p *proxy) loop(rounds int, definition func(round int) service.Definition) {
	p.t.Helper()
	for round := 0; round < rounds; round++ {
		connection, err := service.Dial(p.control)
		if err != nil {
			p.t.Fatal(err)
		}
		connection.SetDeadline(time.Now().Add(patience))
		service.Register(connection, definition(round))
		connection.Close()
	}
}

func TestALoopOfRegistrationsDoesNotFillTheLog(t *testing.T) {
	skipIfSanitized(t) // registrations come too slowly for any bound
	t.Parallel()
	cases := map[string]func(port, round int) service.Definition{
		"one route":  func(port, _ int) service.Definition { return onPath(port, "/") },
		"raw":        func(port, _ int) service.Definition { return raw(port) },
		"free ports": func(int, int) service.Definition { return raw(0) },
		"bad ones": func(port, round int) service.Definition {
			return service.Definition{Address: fmt.Sprint("x", round), Port: port}
		},
		"other names": func(port, round int) service.Definition {
			definition := onPath(port, "/")
			definition.Attributes = map[string]string{"name": fmt.Sprint(round, strings.Repeat("x", 100))}
			return definition
		},
	}
	for name, definition := range cases {
		definition := definition
		t.Run(name, func(t *testing.T) {
			p := onceWaiting(t, "--log-level", "trace")
			port := freePort(t)
			const rounds = 300
			from, begin := p.stderr.count(), time.Now()
			p.loop(rounds, func(round int) service.Definition { return definition(port, round) })
			p.awaitLog(`warning \d+ lines left out: `, from)
			// It has lasted for a second: until then nobody says what was left out.
			if written := len(p.stderr.whole()); float64(written)/time.Since(begin).Seconds() > 100_000 {
				t.Errorf("%d bytes in %v", written, time.Since(begin))
			}
			// Nothing more happens, and still everything is told: a line or two for each round.
			eventually(t, "all lines are written or counted", func() bool {
				return p.matching(`registered|refused`, from)+p.leftOut(from) >= rounds
			})
		})
	}
}

// sessionsOf registers a session for each path, several at a time.
func sessionsOf(p *proxy, port, count int) []net.Conn {
	sessions := make([]net.Conn, count)
	var group sync.WaitGroup
	for first := 0; first < 16; first++ {
		group.Add(1)
		go func(first int) {
			defer group.Done()
			for index := first; index < count; index += 16 {
				connection, err := service.Dial(p.control)
				if err == nil {
					_, err = service.Register(connection, onPath(port, fmt.Sprintf("/%d/", index)))
				}
				if err != nil {
					p.t.Error(err)
					return
				}
				sessions[index] = connection
			}
		}(first)
	}
	group.Wait()
	return sessions
}

func TestLinesOfManyRoutesAtOnceAllGetThrough(t *testing.T) {
	count := 2000
	if os.Getenv("E2E_PATIENCE") != "" {
		// Builds that check themselves look at every route for each of them.
		count = 300
	}
	p := once(t)
	for _, session := range sessionsOf(p, freePort(t), count) {
		if session != nil {
			session.Close()
		}
	}
	for _, event := range []string{"registered ", "session lost: ", "held: "} {
		eventually(t, "all are told", func() bool { return p.matching(`info `+event, 0) == count })
	}
	if left := p.leftOut(0); left != 0 {
		t.Errorf("%d lines left out", left)
	}
}

// startIntoPipe starts a proxy whose log nobody reads until somebody does.
func startIntoPipe(t *testing.T, flags ...string) (*proxy, *os.File, *exec.Cmd) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	control := fmt.Sprint("127.0.0.1:", freePort(t))
	arguments := append(withDefault(flags, "--drain", "300ms"), "--bind", control, "--start-grace", "0s")
	command := exec.Command(program(), arguments...)
	command.Stderr = writer
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	t.Cleanup(func() {
		reader.Close()
		command.Process.Kill()
		command.Wait()
	})
	p := &proxy{process: &process{t: t, command: command}, control: control}
	awaitListening(t, control)
	return p, reader, command
}

// More than a pipe holds lies there until its reader goes on; it has lost nothing, and the end waits for it.
func TestALogReaderThatStopsForAMomentLosesNothing(t *testing.T) {
	p, reader, command := startIntoPipe(t)
	const count = 300
	port := freePort(t)
	for _, session := range sessionsOf(p, port, count) {
		if session != nil {
			session.Close()
		}
	}
	lines := collect(reader)
	eventually(t, "all are held", func() bool { return strings.Count(lines.whole(), "held: ") >= count })
	command.Process.Signal(syscall.SIGTERM)
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
	lines.awaitEnd()
	for _, event := range []string{"registered ", "session lost: "} {
		if told := strings.Count(lines.whole(), event); told != count {
			t.Errorf("%d times %q", told, event)
		}
	}
	if !strings.HasSuffix(lines.whole(), "notice stopped") {
		t.Errorf("the log ends with:\n%s", lines.text())
	}
}

func TestALogThatNobodyReadsIsCountedAndKeepsNobodyFromTheEnd(t *testing.T) {
	p, reader, command := startIntoPipe(t, "--drain", "0s")
	port := freePort(t)
	for index := 0; index < 300; index++ {
		connection, err := service.Dial(p.control)
		if err != nil {
			t.Fatal(err)
		}
		service.Register(connection, onPath(port, fmt.Sprintf("/%d/", index)))
		connection.Close()
	}
	command.Process.Signal(syscall.SIGTERM)
	begin := time.Now()
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > patience {
		t.Errorf("the end took %v", took)
	}
	scanner := bufio.NewScanner(reader)
	for scanner.Scan() {
		if !regexp.MustCompile(`^2\d{3}-.*Z [a-z]+ `).MatchString(scanner.Text()) && scanner.Text() != "" {
			// The last one may be cut.
			if scanner.Scan() {
				t.Errorf("no line of the log: %q", scanner.Text())
			}
		}
	}
}
