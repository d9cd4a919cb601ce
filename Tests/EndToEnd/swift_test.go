package endtoend

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// swiftProgram is a program of the Swift package: an example, or socketmaster-publish.
func swiftProgram(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(os.Getenv("E2E_SWIFT"), name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; Tests/EndToEnd/run builds it", err)
	}
	return path
}

// startSwift starts a Swift program that has to be ended by the test, or is killed after it.
func startSwift(t *testing.T, name string, arguments ...string) *process {
	t.Helper()
	p := startProcess(t, swiftProgram(t, name), arguments...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("stderr of %s:\n%s", name, p.stderr.text())
		}
	})
	return p
}

// behindProxies runs a test behind the real proxy, and behind the least that a proxy can be, with attributes and without.
// Debian's yamux, which the latter is made of, reads nothing more of a stream that it has closed itself: behind it a
// client must not end its side first.
func behindProxies(t *testing.T, test func(t *testing.T, control string, halfCloses bool)) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) { test(t, startProxy(t, v.flags...).control, true) })
	}
	t.Run("minimal", func(t *testing.T) { test(t, startMinimalProxy(t, true).control.Addr().String(), false) })
	t.Run("original", func(t *testing.T) { test(t, startMinimalProxy(t, false).control.Addr().String(), false) })
}

// restartUnderLoad replaces a service by SIGTERM again and again, and expects that nobody who asks meanwhile notices.
func restartUnderLoad(t *testing.T, load *load, running *process, start func() *process) {
	t.Helper()
	for round := 0; round < 5; round++ {
		load.awaitMore(t)
		running.signal(syscall.SIGTERM)
		if code := running.exitCode(); code != 0 {
			t.Errorf("it ended with %d", code)
		}
		running = start()
	}
	load.awaitMore(t)
	load.stop(t)
}

// awaitEcho waits until the service echoes: a port is open before its service is there, and whoever ends his side while he
// waits counts as gone.
func awaitEcho(t *testing.T, port int) {
	t.Helper()
	eventually(t, fmt.Sprint("port ", port, " echoes"), func() bool {
		w, err := tryDial(port)
		if err != nil {
			return false
		}
		defer w.Close()
		w.SetDeadline(time.Now().Add(2 * time.Second))
		io.WriteString(w, "x")
		_, err = io.ReadFull(w, make([]byte, 1))
		return err == nil
	})
}

// awaitReply waits until a URL is answered with 200.
func awaitReply(t *testing.T, client *http.Client, url string) {
	t.Helper()
	eventually(t, url+" is answered", func() bool {
		reply, err := client.Get(url)
		if err == nil {
			io.Copy(io.Discard, reply.Body)
			reply.Body.Close()
		}
		return err == nil && reply.StatusCode == 200
	})
}

// echoExactly sends a body, ends its side, at once or when it has got the echo, and expects the body and the end.
func echoExactly(t *testing.T, port int, body []byte, endsFirst bool) {
	t.Helper()
	w := dial(t, port)
	w.SetDeadline(time.Now().Add(3 * patience))
	go func() {
		w.Write(body)
		if endsFirst {
			w.CloseWrite()
		}
	}()
	echo := make([]byte, len(body))
	count, err := io.ReadFull(w.reader, echo)
	w.CloseWrite()
	w.expectEnd()
	echo = echo[:count]
	if diff := difference(echo, body); diff != "" || err != nil {
		t.Fatalf("the echo: %s, %v", diff, err)
	}
}

func TestSwiftRawEchoOf50MegabytesIsExact(t *testing.T) {
	behindProxies(t, func(t *testing.T, control string, halfCloses bool) {
		port := freePort(t)
		startSwift(t, "example-raw-echo", portText(port), control)
		awaitEcho(t, port)
		echoExactly(t, port, pattern(50, 50<<20), halfCloses)
		for _, text := range []string{"this", strings.Repeat("0123456789", 20_000), ""} {
			echoExactly(t, port, []byte(text), halfCloses)
		}
	})
}

func TestSwift3000ConnectionsAtOnce(t *testing.T) {
	behindProxies(t, func(t *testing.T, control string, halfCloses bool) {
		port := freePort(t)
		startSwift(t, "example-raw-echo", portText(port), control)
		awaitEcho(t, port)
		const count = 3000
		var next atomic.Int64
		var group sync.WaitGroup
		connections := make([]net.Conn, count)
		each := func(work func(index int) error) {
			next.Store(0)
			for worker := 0; worker < 50; worker++ {
				group.Add(1)
				go func() {
					defer group.Done()
					for index := int(next.Add(1)) - 1; index < count; index = int(next.Add(1)) - 1 {
						if err := work(index); err != nil {
							t.Errorf("connection %d: %v", index, err)
							return
						}
					}
				}()
			}
			group.Wait()
		}
		each(func(index int) (err error) {
			connections[index], err = net.DialTimeout("tcp", address(port), patience)
			return err
		})
		for round := 0; round < 2 && !t.Failed(); round++ {
			each(func(index int) error {
				connection := connections[index]
				connection.SetDeadline(time.Now().Add(2 * patience))
				body := pattern(int64(index), 200)
				answer := make([]byte, len(body))
				if _, err := connection.Write(body); err != nil {
					return err
				}
				if _, err := io.ReadFull(connection, answer); err != nil {
					return err
				}
				if diff := difference(answer, body); diff != "" {
					return errors.New(diff)
				}
				return nil
			})
		}
		for _, connection := range connections {
			if connection != nil {
				connection.Close()
			}
		}
	})
}

func TestSwiftExamplesShareAPort(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		startSwift(t, "example-http", "/a", "From A", portText(port), p.control)
		startSwift(t, "example-http", "/b", "From B", portText(port), p.control)
		for _, name := range []string{"a", "b"} {
			awaitReply(t, client(t), "http://"+address(port)+"/"+name+"/")
			expectServed(t, port, "/"+name+"/x", "From "+strings.ToUpper(name))
		}
		w := dial(t, port)
		for round := 0; round < 20; round++ {
			w.get("/a/", "From A")
			w.get("/b/", "From B")
		}
	})
}

// Services on bare channels are replaced as quietly as any other.
func TestSwiftServiceIsRestartedBySIGTERMUnderLoadWithoutAFailure(t *testing.T) {
	p := startProxy(t, "--reactors", "2")
	port := freePort(t)
	start := func() *process { return startSwift(t, "example-http", "/", "hello", portText(port), p.control) }
	running := start()
	awaitReply(t, client(t), "http://"+address(port)+"/")
	restartUnderLoad(t, startLoad(port, "/", "hello"), running, start)
}

// After SIGTERM a raw connection goes on until its client ends it. Then the service ends with 0, and another one may take
// its place.
func TestSwiftRawConnectionsOutliveSIGTERM(t *testing.T) {
	behindProxies(t, func(t *testing.T, control string, halfCloses bool) {
		port := freePort(t)
		for round := 0; round < 2; round++ {
			running := startSwift(t, "example-raw-echo", portText(port), control)
			awaitEcho(t, port)
			w := dial(t, port)
			w.send("before")
			w.expect("before")
			running.signal(syscall.SIGTERM)
			for message := 0; message < 20; message++ {
				w.send("after")
				w.expect("after")
				time.Sleep(5 * time.Millisecond)
			}
			if halfCloses {
				w.CloseWrite()
				w.expectEnd()
			}
			w.Close()
			if code := running.exitCode(); code != 0 {
				t.Errorf("it ended with %d", code)
			}
		}
	})
}

// The same where the proxy tells clients' addresses.
func TestSwiftConnectionsOutliveSIGTERM(t *testing.T) {
	p := startProxy(t)
	port := freePort(t)
	running := startSwift(t, "example-connections", portText(port), p.control)
	p.awaitLog("registered raw", 0)
	w := dial(t, port)
	w.expect("Hello 127.0.0.1\n")
	running.signal(syscall.SIGTERM)
	p.awaitLog("draining", 0)
	w.send("after")
	w.expect("after")
	w.CloseWrite()
	w.expectEnd()
	if code := running.exitCode(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

func TestSwiftServiceReturnsToAProxyThatWasKilled(t *testing.T) {
	port := freePort(t)
	p := startProxy(t, "--reactors", "2")
	startSwift(t, "example-http", "/", "hello", portText(port), p.control)
	awaitReply(t, client(t), "http://"+address(port)+"/")
	for round := 0; round < 3; round++ {
		p.kill()
		p.dead = true
		p = startProxyAt(t, p.control, "--reactors", "2", "--start-grace", "10s")
		start := time.Now()
		eventually(t, "the service is back", func() bool {
			w, err := tryDial(port)
			if err != nil {
				return false
			}
			defer w.Close()
			if _, err := io.WriteString(w, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
				return false
			}
			reply, err := w.tryReply("GET")
			return err == nil && reply.StatusCode == 200
		})
		if took := time.Since(start); took > 5*time.Second && os.Getenv("E2E_PATIENCE") == "" {
			t.Errorf("the service was back after %v", took)
		}
	}
}

// A proxy that speaks nonsense costs its session, and nothing else.
func TestSwiftServiceSurvivesProxiesThatSpeakNonsense(t *testing.T) {
	control := address(freePort(t))
	listener, err := net.Listen("tcp", control)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	minimal := startMinimalProxy(t, true)
	nonsense := [][]byte{
		bytes.Repeat([]byte{0xFF}, 100_000), make([]byte, 12),
		{0, 0, 0, 1, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF}, {0, 1, 0, 1, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, bytes := range nonsense {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			if _, _, _, err := minimal.readRegistration(connection); err != nil {
				t.Error(err)
			}
			answer := append(service.String("OK"), service.Int(0)...)
			connection.Write(append(answer, bytes...))
			io.Copy(io.Discard, connection)
			connection.Close()
		}
		listener.Close()
	}()
	startSwift(t, "example-raw-echo", portText(port), control)
	await(t, "all of it has been said", done)
	startProxyAt(t, control)
	awaitEcho(t, port)
	echoExactly(t, port, pattern(1, 100_000), true)
}
