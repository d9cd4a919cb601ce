package endtoend

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// webSocket shakes hands on a connection, and returns what speaks frames on it.
func webSocket(t *testing.T, connection net.Conn, path string) func(text string) string {
	t.Helper()
	io.WriteString(connection, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	reader := bufio.NewReader(connection)
	reply, err := http.ReadResponse(reader, nil)
	// The answer of RFC 6455 §1.3.
	if err != nil || reply.StatusCode != 101 || reply.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("instead of a WebSocket: %+v, %v", reply, err)
	}
	return func(text string) string {
		t.Helper()
		frame := []byte{0x81, 0x80 | 126, 0, 0, 1, 2, 3, 4}
		binary.BigEndian.PutUint16(frame[2:], uint16(len(text)))
		for place := range []byte(text) {
			frame = append(frame, text[place]^byte(1+place%4))
		}
		connection.Write(frame)
		head := make([]byte, 4)
		if _, err := io.ReadFull(reader, head); err != nil || head[0] != 0x81 || head[1] != 126 {
			t.Fatalf("instead of a frame: %x, %v", head, err)
		}
		said := make([]byte, binary.BigEndian.Uint16(head[2:]))
		if _, err := io.ReadFull(reader, said); err != nil {
			t.Fatal(err)
		}
		return string(said)
	}
}

// What an application of Hummingbird has configured is served behind a proxy as on a port of its own.
func TestHummingbirdServesAllThatTheApplicationHas(t *testing.T) {
	t.Setenv("LOG_LEVEL", "trace")
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		c := startHummingbird(t, p, "c", port)
		awaitReply(t, client(t), "http://"+address(port)+"/loop")
		for try := 0; try < 3; try++ {
			r := get(t, port, "/loop")
			if r.body != "the application's own" || r.Header.Get("Server") != "c" || r.Header.Get("Date") == "" {
				t.Errorf("on which event loops? %q; %v", r.body, r.Header)
			}
		}
		connection := dial(t, port)
		say := webSocket(t, connection, "/echo")
		text := strings.Repeat("WebSocket ", 100)
		if said := say(text); said != text {
			t.Errorf("the echo is %q", said)
		}
		upload := dial(t, port)
		upload.send("POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234")
		c.expectLog("hb.request.path=/length")
		c.signal(syscall.SIGTERM)
		c.expectLog("a handler has been told of the end")
		// What is under way goes on, and upgraded connections do.
		upload.send("56789")
		upload.expectReply("POST", 200, "10 bytes")
		if said := say(text); said != text {
			t.Errorf("after the signal the echo is %q", said)
		}
		connection.Close()
		if code := c.exitCode(); code != 0 {
			t.Errorf("it ended with %d", code)
		}
		c.expectLog("the server is about to start", "Server started and listening on port "+portText(port)+
			" by way of the proxy at "+p.control, "the server runs", "a handler has seen a request",
			"hb.connections=1.* Connection opened", "Not used.*: address of its configuration", "Connection closed")
		ids := map[string]bool{}
		for _, id := range regexp.MustCompile(`hb\.request\.id=(\w+)`).FindAllStringSubmatch(c.written(), -1) {
			ids[id[1]] = true
		}
		if len(ids) < 4 {
			t.Errorf("requests have the ids %v", ids)
		}
	})
}

func (p *process) written() string {
	p.stdout.awaitEnd()
	p.stderr.awaitEnd()
	return p.stdout.whole() + p.stderr.whole()
}

// expectLog waits for lines, in any order.
func (p *process) expectLog(patterns ...string) {
	p.t.Helper()
	for _, pattern := range patterns {
		if p.stderr.find(pattern, 0) < 0 {
			p.t.Errorf("it does not say %q but:\n%s", pattern, p.stderr.text())
		}
	}
}

// A group of services writes at debug what each of them is. None of that has the key.
func TestHummingbirdLogsNoKey(t *testing.T) {
	p := startProxy(t, "--log-level", "trace")
	certificate := issue("rsa", "c.example")
	t.Setenv("LOG_LEVEL", "trace")
	t.Setenv("CERTIFICATE", certificate.chain)
	t.Setenv("KEY", certificate.keyText())
	port := freePort(t)
	c := startHummingbird(t, p, "c", port)
	awaitReply(t, secureClient(t, secure("c.example")), "https://"+address(port)+"/loop")
	connection := dialSecure(t, port, secure("c.example"))
	say := webSocket(t, connection, "/echo")
	text := strings.Repeat("WebSocket ", 20)
	if said := say(text); said != text {
		t.Errorf("the echo is %q", said)
	}
	connection.Close()
	c.signal(syscall.SIGINT)
	if code := c.exitCode(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	c.written()
	c.expectLog(`SocketMasterService\(port 0 at `, "Hummingbird by way of the proxy at ")
	expectUntold(t, certificate.traces(certificate.keyText()), p.process, c)
}

// A server that waits for TLS or HTTP/2 would fail every request that a proxy brings: it does not start.
func TestHummingbirdServersThatNoProxyCanSpeakToAreRefused(t *testing.T) {
	build := hummingbirdBuild(t)
	words := map[string]string{"tls": "give the certificate to the SocketDefinition", "http2": "HTTP/2", "plaintext-http2": "HTTP/2"}
	for kind, words := range words {
		refused := startProcess(t, filepath.Join(build, "test-hummingbird-refused"), kind)
		refused.exitCode()
		if said := refused.written(); !strings.Contains(said, words) || strings.Contains(said, "is served") {
			t.Errorf("%s: it says %q", kind, said)
		}
	}
}

// The application's bound of connections holds, and whoever had to wait is served.
func TestHummingbirdTakesNoMoreConnectionsThanItWants(t *testing.T) {
	t.Setenv("LOG_LEVEL", "trace")
	t.Setenv("MAXIMUM", "2")
	p := startProxy(t)
	port := freePort(t)
	c := startHummingbird(t, p, "c", port)
	awaitReply(t, client(t), "http://"+address(port)+"/loop")
	uploads := make([]*wire, 10)
	for number := range uploads {
		uploads[number] = dial(t, port)
		uploads[number].send("POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234")
	}
	// Those that have come so far take both places.
	c.expectLog(`hb.connections=2.* Connection opened`)
	for _, upload := range uploads {
		upload.send("56789")
	}
	for _, upload := range uploads {
		upload.expectReply("POST", 200, "10 bytes")
	}
	c.signal(syscall.SIGTERM)
	c.exitCode()
	if text := c.written(); regexp.MustCompile(`hb\.connections=([3-9]|1\d)`).MatchString(text) {
		t.Errorf("there were more than two:\n%s", c.stderr.text())
	}
}

// SIGTERM ends the waiting for a proxy that is not there, of the application and of its other service.
func TestHummingbirdThatWaitsForItsProxyEndsWhenItIsTold(t *testing.T) {
	p := startProxy(t)
	p.signal(syscall.SIGTERM)
	p.exitCode()
	p.dead = true
	c := startHummingbird(t, p, "c", freePort(t))
	c.expectLog("not registered; trying again", "the server is about to start")
	c.signal(syscall.SIGTERM)
	if code := c.exitCode(); code != 0 {
		t.Errorf("it ended with %d and said:\n%s", code, c.written())
	}
}

// An application whose port is taken ends with the sentence of the proxy.
func TestHummingbirdThatCannotBePublishedSaysSo(t *testing.T) {
	p := startProxy(t)
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	a := startHummingbird(t, p, "a", taken.Addr().(*net.TCPAddr).Port)
	if code := a.exitCode(); code == 0 || !strings.Contains(a.written(), "refused the registration") {
		t.Errorf("it ended with %d and said:\n%s", code, fmt.Sprint(a.written()))
	}
}
