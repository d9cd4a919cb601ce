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
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

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
}

func TestPublishedTLSIsTheProxys(t *testing.T) {
	body := pattern(8, 5<<20)
	behindProxies(t, func(t *testing.T, control string, halfCloses bool) {
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
		publish(t, control, "--port", portText(port), "--path", "/", "--cert", files["cert"], "--key", files["key"],
			"--to", target(t, digest()))
		secureClient := secureClient(t, secure("published.example"))
		awaitReply(t, secureClient, "https://"+address(port)+"/")
		for round := 0; round < 3; round++ {
			reply, err := secureClient.Post("https://"+address(port), "application/octet-stream", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if text, _ := io.ReadAll(reply.Body); string(text) != digestOf("POST", body) {
				t.Errorf("the target got %q", text)
			}
		}
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
	restartUnderLoad(t, startLoad(port, "/", "hello"), running, start)
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

// Behind any proxy a target may end its side first.
func TestPublishedTargetsMayEndFirst(t *testing.T) {
	behindProxies(t, func(t *testing.T, control string, halfCloses bool) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		port := freePort(t)
		publish(t, control, "--port", portText(port), "--to", listener.Addr().String()).stderr.find(published, 0)
		var w *wire
		eventually(t, "the port is open", func() bool { w, err = tryDial(port); return err == nil })
		w.t = t
		defer w.Close()
		server, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		server.SetDeadline(time.Now().Add(patience))
		greeting := pattern(6, 1<<20)
		go func() {
			server.Write(greeting)
			server.(*net.TCPConn).CloseWrite()
		}()
		got, err := io.ReadAll(w.reader)
		if diff := difference(got, greeting); diff != "" || err != nil {
			t.Errorf("the client got %s, %v", diff, err)
		}
		w.send(string(greeting))
		w.CloseWrite()
		if got, err = io.ReadAll(server); err != nil {
			t.Error(err)
		}
		if diff := difference(got, greeting); diff != "" {
			t.Errorf("the target got %s", diff)
		}
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
}

// Who has nothing to publish says so, whatever the command thinks of its own success.
func TestPublishOfACommandThatEndsBeforeItListens(t *testing.T) {
	p := startProxy(t)
	for command, codes := range map[string][2]int{"exit 3": {3, 3}, "kill -9 $$": {137, 137}, "true": {0, 69}} {
		to := address(freePort(t))
		ended := publish(t, p.control, "--port", "0", "--to", to, "--", "sh", "-c", command)
		code := ended.exitCode()
		ended.stderr.awaitEnd()
		says := fmt.Sprintf("The command ended with %d before anything accepted connections at %s.", codes[0], to)
		if said := ended.stderr.whole(); code != codes[1] || !strings.Contains(said, says) {
			t.Errorf("%q ended with %d and said %q", command, code, said)
		}
	}
}

// A command that ends later is said to have, and its code is that of the program.
func TestPublishOfACommandThatEndsByItself(t *testing.T) {
	p := startProxy(t)
	for _, code := range []int{0, 5} {
		to := freePort(t)
		script := fmt.Sprintf(`python3 -m http.server %d --bind 127.0.0.1 >/dev/null 2>&1 & server=$!
			read -r line; kill $server; exit %d`, to, code)
		path := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		running := publish(
			t, p.control, "--port", "0", "--to", address(to), "--", "sh", "-c", "exec <"+path+"; "+script)
		fifo, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer fifo.Close()
		running.stderr.find(published, 0)
		io.WriteString(fifo, "\n")
		if got := running.exitCode(); got != code {
			t.Errorf("it ended with %d", got)
		}
		running.stderr.awaitEnd()
		if running.stderr.find(fmt.Sprintf("the command has ended with %d; draining", code), 0) < 0 {
			t.Errorf("it said %q", running.stderr.whole())
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
		{p.control, []string{"--port", "-1", "--to", silent}, 64, "no port -1"},
		{p.control, []string{"--port", "1", "--path", "a", "--to", silent}, 64, "slash"},
		{p.control, []string{"--port", "1", "--to", silent, "--wait-timeout", "1s"}, 64, "--wait-for-target"},
		{p.control, []string{"--port", "1", "--to", silent, "--", ""}, 64, "no name"},
		{p.control, []string{"--port", "1", "--to", silent, "--name", strings.Repeat("n", 5000)}, 64, "4092"},
		{p.control, []string{"--port", "1", "--to", "unix:/" + strings.Repeat("p", 110)}, 64, "107"},
		{p.control, []string{"--version"}, 0, ""},
		{p.control, []string{"--port", "1", "--to", "nowhere"}, 64, "HOST:PORT"},
		{p.control, []string{"--port", "1", "--cert", "x", "--to", silent}, 64, "belong together"},
		{p.control, []string{"--port", "1", "--http", "--send-proxy", "--to", silent}, 64, "X-Forwarded-For"},
		{p.control, []string{"--port", "1", "--cert", "/nowhere", "--key", "/nowhere", "--to", silent}, 66, "/nowhere"},
		{p.control, []string{"--port", port, "--to", silent}, 69, "refused"},
		{p.control, []string{"--port", "0", "--wait-for-target", "--wait-timeout", "100ms", "--to", silent}, 69, silent},
		{p.control, []string{"--port", "0", "--to", silent, "--", "/nowhere"}, 127, "/nowhere"},
		{other.Addr().String(), []string{"--port", "0", "--to", silent}, 76, "not a proxy"},
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
	waiting := publish(t, address(freePort(t)), "--port", "1", "--to", "127.0.0.1:2")
	waiting.stderr.find("trying again", 0)
	waiting.signal(syscall.SIGTERM)
	if code := waiting.exitCode(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// Whatever port the proxy chooses, it is one, for all sessions, and again after the proxy has been away.
func TestPublishOfAnyFreePortIsOnOnePort(t *testing.T) {
	p := startProxy(t, "--reactors", "4", "--hold", "0s")
	running := publish(t, p.control, "--port", "0", "--http", "--to", target(t, text("here")))
	for session := 0; session < 4; session++ {
		running.stderr.find(fmt.Sprintf(`session=%d \[SocketMaster\] registered`, session), 0)
	}
	opened := regexp.MustCompile(`listener opened: \*:(\d+)`).FindAllStringSubmatch(p.stderr.whole(), -1)
	if len(opened) != 1 {
		t.Fatalf("%d ports were opened", len(opened))
	}
	port, _ := strconv.Atoi(opened[0][1])
	expectServed(t, port, "/", "here")
	p.kill()
	p.dead = true
	p = startProxyAt(t, p.control, "--reactors", "4")
	awaitReply(t, client(t), "http://"+address(port)+"/")
}

// What a terminal does at ^C: the signal goes to the whole group. The command is still needed, and ends last.
func TestPublishDrainsAtAnInterruptOfItsGroup(t *testing.T) {
	p := startProxy(t)
	port, to := freePort(t), freePort(t)
	server := fmt.Sprintf(`import socket
listener = socket.create_server(("127.0.0.1", %d))
while True:
    client, _ = listener.accept()
    while said := client.recv(100): client.sendall(said)
    client.close()`, to)
	running := publish(t, p.control, "--port", portText(port), "--to", address(to), "--", "python3", "-c", server)
	running.stderr.find(published, 0)
	w := dial(t, port)
	w.send("before")
	w.expect("before")
	syscall.Kill(-running.command.Process.Pid, syscall.SIGINT)
	running.stderr.find("draining", 0)
	w.send("after")
	w.expect("after")
	w.CloseWrite()
	w.expectEnd()
	// Python's own way to end at SIGINT.
	if code := running.exitCode(); code != 130 && code != 1 {
		t.Errorf("it ended with %d", code)
	}
}

// A command that will not end has as long as connections had; a second signal ends it at once. Nothing of it is left.
func TestPublishOutlivesNoCommandThatIgnoresSignals(t *testing.T) {
	p := startProxy(t)
	for name, second := range map[string]bool{"in time": false, "second signal": true} {
		t.Run(name, func(t *testing.T) {
			drain := "200ms"
			if second {
				drain = "1h"
			}
			to := freePort(t)
			stubborn := fmt.Sprintf(`trap '' INT TERM; python3 -m http.server %d --bind 127.0.0.1 >/dev/null 2>&1`, to)
			running := publish(t, p.control, "--port", "0", "--http", "--to", address(to), "--drain", drain, "--",
				"sh", "-c", stubborn)
			running.stderr.find(published, 0)
			running.signal(syscall.SIGTERM)
			code := 137
			if second {
				running.stderr.find("draining", 0)
				running.signal(syscall.SIGINT)
				code = 130
			}
			if got := running.exitCode(); got != code {
				t.Errorf("it ended with %d", got)
			}
			eventually(t, "nobody listens any more", func() bool {
				_, err := net.Dial("tcp", address(to))
				return err != nil
			})
		})
	}
}

// Without a command to pass them on to, the signals of a terminal that goes drain as SIGTERM does.
func TestPublishEndsWithItsTerminal(t *testing.T) {
	p := startProxy(t)
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGQUIT} {
		running := publish(t, p.control, "--port", "0", "--to", address(freePort(t)))
		running.stderr.find(published, 0)
		running.signal(signal)
		if code := running.exitCode(); code != 0 {
			t.Errorf("%v ended it with %d", signal, code)
		}
	}
}

// A target that resets while it is written to, as one that was killed.
func TestPublishedRawResetsThatWritesMeetArePassedOn(t *testing.T) {
	p := startProxy(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connection.(*net.TCPConn).SetLinger(0)
			connection.Close()
		}
	}()
	port := freePort(t)
	publish(t, p.control, "--port", portText(port), "--to", listener.Addr().String()).stderr.find(published, 0)
	for round := 0; round < 100; round++ {
		// The reset may be quicker than the client, and meet whatever that does first.
		w, err := tryDial(port)
		if err == nil {
			_, err = io.WriteString(w, "hello")
		}
		var got []byte
		if err == nil {
			got, err = io.ReadAll(w.reader)
		}
		if w != nil {
			w.Close()
		}
		if len(got) > 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("got %q, %v; wanted a reset", got, err)
		}
	}
}

// However the proxy behaves, the end is not much later than --drain.
func TestPublishEndsInTimeBesideAProxyThatTakesNothing(t *testing.T) {
	p := startProxy(t)
	port := freePort(t)
	endless := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		for {
			if _, err := writer.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	running := publish(t, p.control, "--port", portText(port), "--http", "--to", target(t, endless), "--drain", "100ms")
	running.stderr.find(published, 0)
	w := dial(t, port)
	w.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	w.reader.Peek(1)
	p.suspend(t)
	running.signal(syscall.SIGTERM)
	start := time.Now()
	if code := running.exitCode(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	// Nothing but this bound would end it before the proxy counts as dead.
	if took := time.Since(start); took > 15*time.Second && os.Getenv("E2E_PATIENCE") == "" {
		t.Errorf("it ended after %v", took)
	}
	p.signal(syscall.SIGCONT)
}

// Whoever reads the log of socketmaster-publish slowly, or not at all, keeps no client waiting.
func TestPublishServesWhileNobodyReadsItsLog(t *testing.T) {
	p := startProxy(t)
	port, to := freePort(t), address(freePort(t))
	startTarget(t, to, "hello")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	const setPipeSize = 1031 // F_SETPIPE_SZ
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, writer.Fd(), setPipeSize, 4096); errno != 0 {
		t.Fatal(errno)
	}
	command := exec.Command(
		filepath.Join(os.Getenv("E2E_SWIFT"), "socketmaster-publish"),
		"--proxy", p.control, "--port", portText(port), "--http", "--to", to, "--log-level", "trace", "--drain", "1s")
	command.Stderr = writer
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() { command.Process.Kill() })
	p.awaitLog(`registered `, 0)
	for round := 0; round < 300; round++ {
		if reply := get(t, port, "/"); reply.StatusCode != 200 {
			t.Fatalf("round %d: it is %d", round, reply.StatusCode)
		}
	}
	command.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("it does not end while nobody reads its log")
	}
}
