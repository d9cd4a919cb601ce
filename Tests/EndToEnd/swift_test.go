package endtoend

import (
	"bytes"
	"crypto/sha256"
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
	load := startLoad(port, "/", "hello")
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

// After SIGTERM a raw connection goes on until its client ends it, and then the service ends with 0.
func TestSwiftRawConnectionsOutliveSIGTERM(t *testing.T) {
	for name, greets := range map[string]bool{"example-raw-echo": false, "example-connections": true} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t)
			port := freePort(t)
			running := startSwift(t, name, portText(port), p.control)
			p.awaitLog("registered raw", 0)
			w := dial(t, port)
			if greets {
				w.expect("Hello 127.0.0.1\n")
			}
			w.send("before")
			w.expect("before")
			running.signal(syscall.SIGTERM)
			p.awaitLog("draining", 0)
			w.send("after")
			w.expect("after")
			w.CloseWrite()
			w.expectEnd()
			if code := running.exitCode(); code != 0 {
				t.Errorf("it ended with %d", code)
			}
		})
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
		if took := time.Since(start); took > 2*time.Second && os.Getenv("E2E_PATIENCE") == "" {
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
			if _, _, err := minimal.readRegistration(connection); err != nil {
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

// published is what socketmaster-publish says when clients can reach its target.
const published = `\] registered`

// publish starts socketmaster-publish.
func publish(t *testing.T, control string, arguments ...string) *process {
	t.Helper()
	return startSwift(t, "socketmaster-publish", append([]string{"--proxy", control}, arguments...)...)
}

// target serves HTTP on a port of its own, as a program that knows nothing of us.
func target(t *testing.T, handler http.Handler) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	serveHTTP(listener, handler)
	return listener.Addr().String()
}

func TestPublishedBodiesAreExactBothWays(t *testing.T) {
	body := pattern(7, 50<<20)
	handler := http.NewServeMux()
	handler.Handle("/digest", digest())
	handler.HandleFunc("/body", func(writer http.ResponseWriter, request *http.Request) { writer.Write(body) })
	check := func(t *testing.T, client *http.Client, base string) {
		t.Helper()
		reply, err := client.Post(base+"/digest", "application/octet-stream", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(reply.Body)
		if string(text) != digestOf("POST", body) {
			t.Errorf("the service got %q", text)
		}
		if reply, err = client.Get(base + "/body"); err != nil {
			t.Fatal(err)
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, reply.Body); err != nil {
			t.Fatal(err)
		}
		if wanted := sha256.Sum256(body); !bytes.Equal(hash.Sum(nil), wanted[:]) {
			t.Error("the client got something else")
		}
	}
	behindProxies(t, func(t *testing.T, control string, halfCloses bool) {
		port := freePort(t)
		publish(t, control, "--port", portText(port), "--http", "--to", target(t, handler))
		awaitReply(t, client(t), "http://"+address(port)+"/body")
		check(t, client(t), "http://"+address(port))
	})
	t.Run("tls", func(t *testing.T) {
		p := startProxy(t, "--reactors", "2")
		certificate := issue("p256", "published.example")
		folder := t.TempDir()
		files := map[string]string{"cert": certificate.chain, "key": certificate.keyText()}
		for name, text := range files {
			files[name] = filepath.Join(folder, name)
			if err := os.WriteFile(files[name], []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		port := freePort(t)
		publish(t, p.control, "--port", portText(port), "--path", "/", "--cert", files["cert"], "--key", files["key"],
			"--to", target(t, handler))
		secureClient := secureClient(t, secure("published.example"))
		awaitReply(t, secureClient, "https://"+address(port)+"/body")
		check(t, secureClient, "https://"+address(port))
	})
}

func TestPublishedServiceIsRestartedBySIGTERMUnderLoadWithoutAFailure(t *testing.T) {
	p := startProxy(t, "--reactors", "2")
	port := freePort(t)
	slow := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		time.Sleep(3 * time.Millisecond)
		io.WriteString(writer, "hello")
	})
	to := target(t, slow)
	start := func() *process {
		running := publish(t, p.control, "--port", portText(port), "--path", "/", "--to", to)
		running.stderr.find(published, 0)
		return running
	}
	running := start()
	load := startLoad(port, "/", "hello")
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

// A raw target sees exactly what the client does, in both directions.
func TestPublishedRawConnectionsEndAsTheyDidWithoutUs(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		port := freePort(t)
		publish(t, p.control, "--port", portText(port), "--to", listener.Addr().String()).
			stderr.find(published, 0)
		accept := func() *net.TCPConn {
			t.Helper()
			connection, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			connection.SetDeadline(time.Now().Add(patience))
			return connection.(*net.TCPConn)
		}
		// The client ends first, and the target answers what it has got.
		w := dial(t, port)
		w.send("question")
		w.CloseWrite()
		server := accept()
		if got, err := io.ReadAll(server); string(got) != "question" || err != nil {
			t.Errorf("the target read %q, %v", got, err)
		}
		io.WriteString(server, "answer")
		server.Close()
		w.expect("answer")
		w.expectEnd()

		// The target speaks first and ends first; the client's bytes still arrive.
		w = dial(t, port)
		server = accept()
		io.WriteString(server, "greeting")
		server.CloseWrite()
		w.expect("greeting")
		w.expectEnd()
		w.send("still here")
		w.CloseWrite()
		if got, err := io.ReadAll(server); string(got) != "still here" || err != nil {
			t.Errorf("the target read %q, %v", got, err)
		}
		server.Close()
	})
}

func TestPublishedRawResetsArePassedOn(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		port := freePort(t)
		publish(t, p.control, "--port", portText(port), "--to", listener.Addr().String()).
			stderr.find(published, 0)

		w := dial(t, port)
		w.send("x")
		server, _ := listener.Accept()
		server.SetDeadline(time.Now().Add(patience))
		io.ReadFull(server, make([]byte, 1))
		server.(*net.TCPConn).SetLinger(0)
		server.Close()
		w.expectReset()

		w = dial(t, port)
		w.send("x")
		server, _ = listener.Accept()
		server.SetDeadline(time.Now().Add(patience))
		io.ReadFull(server, make([]byte, 1))
		w.reset()
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the target read %v", err)
		}
	})
}

// A connection whose target is away has never been accepted, so it may wait for the target's return.
func TestPublishedTargetThatIsAwayCostsNothingIfItReturns(t *testing.T) {
	p := startProxy(t, "--reactors", "1")
	port, to := freePort(t), freePort(t)
	publish(t, p.control, "--port", portText(port), "--http", "--to", address(to)).stderr.find(published, 0)
	if status := get(t, port, "/").StatusCode; status != 502 && status != 503 {
		t.Errorf("without a target it is %d", status)
	}
	listener, err := net.Listen("tcp", address(to))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	serveHTTP(listener, text("here"))
	eventually(t, "it is served", func() bool { return get(t, port, "/").StatusCode == 200 })
}

func TestPublishStartsACommandAndEndsWithItsCode(t *testing.T) {
	p := startProxy(t)
	port, to := freePort(t), freePort(t)
	// A shell that waits for its child may miss a signal that comes just before; one that sleeps sees it afterwards.
	script := fmt.Sprintf(`trap 'echo got HUP' HUP; trap 'echo got TERM; kill $server; exit 7' TERM
		python3 -m http.server %d --bind 127.0.0.1 >/dev/null 2>&1 & server=$!
		while true; do sleep 0.1; done`, to)
	running := publish(t, p.control, "--port", portText(port), "--http", "--to", address(to), "--", "sh", "-c", script)
	running.stderr.find(published, 0)
	if status := get(t, port, "/").StatusCode; status != 200 {
		t.Errorf("it is %d", status)
	}
	running.signal(syscall.SIGHUP)
	if running.stdout.find("got HUP", 0) < 0 {
		t.Error("SIGHUP was not passed on")
	}
	running.signal(syscall.SIGTERM)
	if code := running.exitCode(); code != 7 || running.stdout.find("got TERM", 0) < 0 {
		t.Errorf("it ended with %d, stdout %q", code, running.stdout.text())
	}
	for command, code := range map[string]int{"exit 3": 3, "kill -9 $$": 137, "true": 0} {
		ended := publish(t, p.control, "--port", "0", "--to", address(freePort(t)), "--", "sh", "-c", command)
		if got := ended.exitCode(); got != code {
			t.Errorf("%q ended with %d", command, got)
		}
	}
}

func TestPublishSaysWhatIsWrong(t *testing.T) {
	p := startProxy(t)
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := portText(taken.Addr().(*net.TCPAddr).Port)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	go func() {
		for {
			connection, err := other.Accept()
			if err != nil {
				return
			}
			io.WriteString(connection, "SSH-2.0-Other\r\n")
		}
	}()
	silent := address(freePort(t))
	for _, wrong := range []struct {
		control string
		flags   []string
		code    int
		says    string
	}{
		{p.control, []string{"--port", "8000"}, 64, "--to"},
		{p.control, []string{"--port", "70000", "--to", silent}, 64, "no port 70000"},
		{p.control, []string{"--port", "1", "--path", "a", "--to", silent}, 64, "slash"},
		{p.control, []string{"--port", "1", "--to", "nowhere"}, 64, "HOST:PORT"},
		{p.control, []string{"--port", "1", "--cert", "x", "--to", silent}, 64, "belong together"},
		{p.control, []string{"--port", "1", "--http", "--send-proxy", "--to", silent}, 64, "X-Forwarded-For"},
		{p.control, []string{"--port", "1", "--cert", "/nowhere", "--key", "/nowhere", "--to", silent}, 66, "/nowhere"},
		{p.control, []string{"--port", port, "--to", silent}, 69, "refused"},
		{p.control, []string{"--port", "0", "--wait-for-target", "--wait-timeout", "100ms", "--to", silent}, 69, silent},
		{p.control, []string{"--port", "0", "--to", silent, "--", "/nowhere"}, 127, "/nowhere"},
		{other.Addr().String(), []string{"--port", "0", "--to", silent}, 76, "no proxy"},
	} {
		running := publish(t, wrong.control, wrong.flags...)
		code := running.exitCode()
		running.stderr.awaitEnd()
		if said := running.stderr.whole(); code != wrong.code || !strings.Contains(said, wrong.says) {
			t.Errorf("%q ended with %d and said %q", wrong.flags, code, said)
		}
	}
}

// A proxy that is not there yet is waited for, and SIGTERM ends the waiting.
func TestPublishWaitsForItsProxy(t *testing.T) {
	control := address(freePort(t))
	port := freePort(t)
	running := publish(t, control, "--port", portText(port), "--http", "--to", target(t, text("here")))
	running.stderr.find("trying again", 0)
	startProxyAt(t, control)
	running.stderr.find(published, 0)
	expectServed(t, port, "/", "here")
	waiting := publish(t, address(freePort(t)), "--port", "1", "--to", "127.0.0.1:1")
	waiting.stderr.find("trying again", 0)
	waiting.signal(syscall.SIGTERM)
	if code := waiting.exitCode(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}
