package endtoend

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What socketmaster-publish says of its target.
const (
	targetGone = `refuses connections; withdrawn`
	targetBack = ` is back`
)

// startTarget starts cmd/test-target, and waits until it listens.
func startTarget(t *testing.T, listen, text string) *process {
	t.Helper()
	path := filepath.Join(os.Getenv("E2E_BINARIES"), "test-target")
	running := startProcess(t, path, "-listen", listen, "-text", text)
	if running.stdout.find("^listening$", 0) < 0 {
		t.Fatalf("test-target does not listen at %s: %s", listen, running.stderr.text())
	}
	return running
}

// end ends a target, and waits until it has.
func end(target *process, signal syscall.Signal) {
	target.signal(signal)
	<-target.exited
}

// eachEnd runs a test for both ways in which a target ends.
func eachEnd(t *testing.T, test func(t *testing.T, p *proxy, signal syscall.Signal)) {
	for name, signal := range map[string]syscall.Signal{"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) { test(t, startProxy(t, "--reactors", "2"), signal) })
	}
}

// Nobody but the target's own process notices that it is restarted: its clients wait.
func TestPublishedTargetIsRestartedTenTimesWithoutAFailedGET(t *testing.T) {
	eachEnd(t, func(t *testing.T, p *proxy, signal syscall.Signal) {
		port, to := freePort(t), address(freePort(t))
		target := startTarget(t, to, "hello")
		running := publish(t, p.control, "--port", portText(port), "--http", "--to", to)
		running.stderr.find(published, 0)
		load := startLoad(port, "/", "hello")
		from := 0
		for round := 0; round < 10; round++ {
			awaitEveryClient(t, load)
			end(target, signal)
			from = running.stderr.find(targetGone, from) + 1
			target = startTarget(t, to, "hello")
			from = running.stderr.find(targetBack, from) + 1
		}
		load.awaitMore(t)
		load.stop(t)
		expectNoFlood(t, running, 10)
	})
}

// awaitEveryClient waits until nobody is left whose request was lost before: what is lost three times is not repeated.
func awaitEveryClient(t *testing.T, load *load) {
	t.Helper()
	before := load.answered()
	eventually(t, "answers for everybody", func() bool { return load.answered() >= before+20*loadClients })
}

// expectNoFlood checks that each time that the target was away cost a few lines, and that they are sentences of ours.
func expectNoFlood(t *testing.T, running *process, times int) {
	t.Helper()
	log := running.stderr.whole()
	for _, foreign := range []string{"NIO", "IOError", "errno", "could not be initialized"} {
		if strings.Contains(log, foreign) {
			t.Errorf("the log says %q", foreign)
		}
	}
	// Gone, back, and a line for each session.
	if lines := running.stderr.count(); lines > 8*(times+1) {
		t.Errorf("the log has %d lines for %d times", lines, times)
	}
}

// With another program that serves the same, nobody waits for the one that is away.
func TestPublishedTargetIsRestartedBesideASiblingWithoutAFailedGET(t *testing.T) {
	eachEnd(t, func(t *testing.T, p *proxy, signal syscall.Signal) {
		port, to := freePort(t), address(freePort(t))
		first := startTarget(t, to, "one")
		running := publish(t, p.control, "--port", portText(port), "--http", "--to", to)
		running.stderr.find(published, 0)
		publish(t, p.control, "--port", portText(port), "--http", "--to", target(t, text("two"))).
			stderr.find(published, 0)
		load := startLoad(port, "/", "one", "two")
		from := 0
		for round := 0; round < 10; round++ {
			load.awaitMore(t)
			end(first, signal)
			from = running.stderr.find(targetGone, from) + 1
			load.awaitMore(t)
			first = startTarget(t, to, "one")
			from = running.stderr.find(targetBack, from) + 1
		}
		load.stop(t)
	})
}

// What a command had not answered goes to a sibling, and so does whoever comes while publish sees that it has ended.
func TestACommandThatIsKilledCostsNoGETBesideASibling(t *testing.T) {
	p := startProxy(t, "--reactors", "2")
	port := freePort(t)
	publish(t, p.control, "--port", portText(port), "--http", "--to", target(t, text("two"))).stderr.find(published, 0)
	load := startLoad(port, "/", "one", "two")
	binary := filepath.Join(os.Getenv("E2E_BINARIES"), "test-target")
	for round := 0; round < 5; round++ {
		to := address(freePort(t))
		// The shell tells the number of what it becomes.
		running := publish(t, p.control, "--port", portText(port), "--http", "--to", to, "--",
			"sh", "-c", `echo pid $$; exec "$0" -listen "$1" -text one`, binary, to)
		running.stderr.find(published, 0)
		load.awaitMore(t)
		var pid int
		fmt.Sscanf(running.stdout.copy()[0], "pid %d", &pid)
		syscall.Kill(pid, syscall.SIGKILL)
		if code := running.exitCode(); code != 137 {
			t.Errorf("it ended with %d", code)
		}
	}
	load.awaitMore(t)
	load.stop(t)
}

// What comes while the target is away has not been accepted, and so nothing of it is lost: not even what may not be done
// twice, and raw connections.
func TestWhatComesWhileTheTargetIsAwayIsHeld(t *testing.T) {
	for name, echoes := range map[string]bool{"raw": true, "POST": false} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, "--reactors", "2")
			port, to := freePort(t), "unix:"+filepath.Join(t.TempDir(), "target")
			says, hears := "hello", "HTTP/1.1 200 OK"
			flags := []string{"--port", portText(port), "--http", "--to", to}
			if echoes {
				says, hears, flags = "", "raw", []string{"--port", portText(port), "--to", to}
			}
			running := publish(t, p.control, flags...)
			running.stderr.find(published, 0)
			var waiting sync.WaitGroup
			for index := 0; index < 20; index++ {
				w := dial(t, port)
				if echoes {
					w.send("raw")
				} else {
					w.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
				}
				waiting.Add(1)
				go func() {
					defer waiting.Done()
					got := make([]byte, len(hears))
					if _, err := io.ReadFull(w.reader, got); err != nil || string(got) != hears {
						t.Errorf("a client got %q, %v", got, err)
					}
				}()
			}
			if running.stderr.find(`is not there; withdrawn until`, 0) < 0 {
				t.Error("it is not withdrawn")
			}
			p.awaitLog("held", 0)
			startTarget(t, to, says)
			waiting.Wait()
		})
	}
}

// A connection that was relayed when the target stopped listening is none of its affair.
func TestRelayedConnectionsGoOnWhileTheTargetIsWithdrawn(t *testing.T) {
	p := startProxy(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	running := publish(t, p.control, "--port", portText(port), "--to", listener.Addr().String(), "--drain", "100ms")
	running.stderr.find(published, 0)
	old := dial(t, port)
	old.send("before")
	server, _ := listener.Accept()
	go io.Copy(server, server)
	old.expect("before")
	listener.Close()
	young := dial(t, port)
	young.send("x")
	from := running.stderr.find(targetGone, 0)
	// Longer than what is left of the drain of a session that ends.
	for round := 0; round < 4; round++ {
		old.send("while")
		old.expect("while")
		time.Sleep(100 * time.Millisecond)
	}
	if listener, err = net.Listen("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	running.stderr.find(targetBack, from)
	again, _ := listener.Accept() // who asked whether it is back
	for again.SetDeadline(time.Now().Add(patience)) == nil {
		if _, err := again.Read(make([]byte, 1)); err == nil {
			break
		}
		again, _ = listener.Accept()
	}
	again.Write([]byte("y"))
	young.expect("y")
	old.send("after")
	old.expect("after")
	running.signal(syscall.SIGTERM)
	if code := running.exitCode(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// full is a socket that listens, and whose queue has no room.
func full(t *testing.T, domain int, place syscall.Sockaddr, network, dials string) *os.File {
	t.Helper()
	fd, err := syscall.Socket(domain, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "full")
	t.Cleanup(func() { file.Close() })
	syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err := syscall.Bind(fd, place); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for {
		connection, err := net.DialTimeout(network, dials, 500*time.Millisecond)
		if err != nil {
			return file
		}
		t.Cleanup(func() { connection.Close() })
	}
}

// A target that hangs is withdrawn as one that is away, and comes back as soon as it accepts.
func TestATargetThatAcceptsNothingIsWithdrawnAfterItsTimeout(t *testing.T) {
	for _, place := range []string{"port", "socket"} {
		t.Run(place, func(t *testing.T) {
			p := startProxy(t, "--reactors", "1")
			port, hanging := freePort(t), freePort(t)
			to := address(hanging)
			var file *os.File
			if place == "port" {
				file = full(t, syscall.AF_INET, &syscall.SockaddrInet4{Port: hanging, Addr: [4]byte{127, 0, 0, 1}}, "tcp", to)
			} else {
				path := filepath.Join(t.TempDir(), "full")
				to = "unix:" + path
				file = full(t, syscall.AF_UNIX, &syscall.SockaddrUnix{Name: path}, "unix", path)
			}
			running := publish(t, p.control, "--port", portText(port), "--http", "--to", to, "--target-timeout", "300ms")
			running.stderr.find(published, 0)
			served := make(chan int, 1)
			go func() { served <- get(t, port, "/").StatusCode }()
			if running.stderr.find(`does not answer within 300ms; withdrawn`, 0) < 0 {
				t.Error("it is not withdrawn")
			}
			p.awaitLog("held", 0)
			// Now it accepts, and closes what has waited for that.
			listener, err := net.FileListener(file)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			serveHTTP(listener, text("here"))
			if status := await(t, "a reply", served); status != 200 {
				t.Errorf("it is %d", status)
			}
		})
	}
}

// A queue that is full for less than the timeout is waited for, and a name is tried at all its addresses.
func TestATargetThatIsReachedLateIsServed(t *testing.T) {
	p := startProxy(t, "--reactors", "1")
	port, path := freePort(t), filepath.Join(t.TempDir(), "full")
	file := full(t, syscall.AF_UNIX, &syscall.SockaddrUnix{Name: path}, "unix", path)
	running := publish(t, p.control, "--port", portText(port), "--http", "--to", "unix:"+path, "--target-timeout", "1h")
	running.stderr.find(published, 0)
	served := make(chan int, 1)
	go func() { served <- get(t, port, "/").StatusCode }()
	time.Sleep(200 * time.Millisecond)
	listener, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	serveHTTP(listener, text("here"))
	if status := await(t, "a reply", served); status != 200 || strings.Contains(running.stderr.whole(), "withdrawn") {
		t.Errorf("it is %d, and publish said %q", status, running.stderr.whole())
	}

	_, place, _ := net.SplitHostPort(target(t, text("by name")))
	port = freePort(t)
	publish(t, p.control, "--port", portText(port), "--http", "--to", "localhost:"+place).stderr.find(published, 0)
	expectServed(t, port, "/", "by name")
}

// The timeout of the target bounds how long it may take to accept, and not how long it thinks.
func TestATargetThatThinksForLongerThanItsTimeoutIsServed(t *testing.T) {
	p := startProxy(t, "--reactors", "1")
	port := freePort(t)
	slow := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		time.Sleep(400 * time.Millisecond)
		io.WriteString(writer, "thought")
	})
	running := publish(t, p.control, "--port", portText(port), "--http", "--to", target(t, slow), "--target-timeout", "50ms")
	running.stderr.find(published, 0)
	expectServed(t, port, "/", "thought")
	if strings.Contains(running.stderr.whole(), "withdrawn") {
		t.Error("it was withdrawn")
	}
}

// What a target breaks off without a byte is a reset: an empty reply is none, and another program may be asked.
func TestWhatATargetBreaksOffIsReset(t *testing.T) {
	for name, linger := range map[string]int{"FIN": -1, "RST": 0} {
		t.Run(name, func(t *testing.T) {
			to := breakingTarget(t, linger)
			p := startMinimalProxy(t, true)
			port := freePort(t)
			publish(t, p.control.Addr().String(), "--port", portText(port), "--http", "--to", to).stderr.find(published, 0)
			stream, err := p.open(port)
			if err != nil {
				t.Fatal(err)
			}
			stream.SetDeadline(time.Now().Add(patience))
			io.WriteString(stream, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if _, err := stream.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "reset") {
				t.Errorf("the stream ended with %v", err)
			}
		})
	}
}

// breakingTarget reads of each connection, and breaks it off.
func breakingTarget(t *testing.T, linger int) string {
	t.Helper()
	return serveOwnPort(t, func(connection net.Conn) {
		connection.Read(make([]byte, 1<<10))
		connection.(*net.TCPConn).SetLinger(linger)
	}).String()
}

// All sessions of a process are known as one program's, and those of another one as another's.
func TestRegistrationsTellTheirInstance(t *testing.T) {
	p := startMinimalProxy(t, true)
	seen := map[string]int{}
	for index := 0; index < 2; index++ {
		running := publish(t, p.control.Addr().String(), "--port", portText(freePort(t)), "--path", "/a", "--path", "/b",
			"--to", target(t, text("x")))
		for session := 0; session < 4; session++ {
			from := 0
			for count := 0; count <= session; count++ {
				from = running.stderr.find(published, from) + 1
			}
		}
	}
	for _, attributes := range p.registrations() {
		if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(attributes["instance"]) {
			t.Errorf("the instance is %q", attributes["instance"])
		}
		seen[attributes["instance"]]++
	}
	if len(seen) != 2 {
		t.Errorf("two programs are %v", seen)
	}
}

// A target may take a connection and reset it before there is anything to pass on. Whether it comes to that is the
// kernel's affair, so it has many chances.
func TestTargetThatResetsAtOnceIsToldInASentence(t *testing.T) {
	p := startProxy(t)
	to := serveOwnPort(t, func(connection net.Conn) { connection.(*net.TCPConn).SetLinger(0) })
	port := freePort(t)
	running := publish(t, p.control, "--port", portText(port), "--http", "--to", to.String())
	running.stderr.find(published, 0)
	const line = "connections could not be initialized"
	eventually(t, "a reset before there was anything to pass on", func() bool {
		for round := 0; round < 20; round++ {
			get(t, port, "/")
		}
		return strings.Contains(running.stderr.whole(), line)
	})
	for _, told := range strings.Split(running.stderr.whole(), "\n") {
		if strings.Contains(told, line) && !strings.Contains(told, "the target has reset the connection") {
			t.Errorf("the log says %q", told)
		}
	}
}
