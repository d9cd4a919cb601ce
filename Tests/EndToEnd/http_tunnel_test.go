package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"socketmaster/endtoend/service"
)

// upgrading is a handler that takes its connection over, as WebSocket libraries do, and echoes.
func upgrading(t *testing.T) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if request.Header.Get("Upgrade") != "echo" || !strings.EqualFold(request.Header.Get("Connection"), "upgrade") {
			fmt.Fprintf(writer, "plain %q %q", request.Header.Get("Connection"), request.Header.Get("Upgrade"))
			return
		}
		if request.URL.Path == "/denied" {
			http.Error(writer, "denied", http.StatusForbidden)
			return
		}
		connection, buffered, err := writer.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer connection.Close()
		io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(connection, buffered)
	})
}

const upgrade = " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

func (w *wire) expectSwitch() {
	w.t.Helper()
	r, err := http.ReadResponse(w.reader, &http.Request{Method: "GET"})
	if err != nil || r.StatusCode != 101 || r.Header.Get("Upgrade") != "echo" ||
		!strings.EqualFold(r.Header.Get("Connection"), "upgrade") {
		w.t.Fatalf("got %+v, %v; wanted 101", r, err)
	}
}

// exchange sends bytes and reads as many back while sending.
func (w *wire) exchange(bytes []byte) {
	w.t.Helper()
	go w.Write(bytes)
	echo := make([]byte, len(bytes))
	count, err := io.ReadFull(w.reader, echo)
	if diff := difference(echo[:count], bytes); diff != "" {
		w.t.Fatalf("the echo: %s, %v", diff, err)
	}
}

func TestHTTPUpgradeMakesARelay(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		listener := p.listen(onPath(port, "/"))
		serveHTTP(service.Waking(listener), upgrading(t))
		w := dial(t, port)
		w.get("/before", `plain "" ""`) // the relay begins in the middle of a connection's life
		w.send("GET /socket" + upgrade)
		w.expectSwitch()
		w.exchange([]byte("hello"))
		w.exchange(pattern(8, 400_000))
		w.expectSilence()
		w.exchange([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")) // is nothing but bytes now
		w.CloseWrite()
		w.expectEnd()
		eventually(t, "the stream is gone", func() bool { return listener.Streams() == 0 })
	})
}

// Many servers, those on SwiftNIO among them, switch with the first request of a connection or not at all.
func TestHTTPUpgradeTakesAFreshStream(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		definition := onPath(port, "/")
		definition.Attributes = map[string]string{"reuse-streams": "true"}
		listener := &countingListener{Listener: p.listen(definition)}
		serveHTTP(service.Waking(listener), upgrading(t))
		w := dial(t, port)
		for number := 0; number < 3; number++ {
			w.get("/before", `plain "" ""`)
		}
		before := listener.accepted.Load()
		w.send("GET /socket" + upgrade)
		w.expectSwitch()
		if streams := listener.accepted.Load(); streams != before+1 {
			t.Errorf("%d streams before the upgrade, %d with it", before, streams)
		}
		w.exchange([]byte("hello"))
	})
}

func TestHTTPUpgradeMayBeDenied(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		serveHTTP(service.Waking(p.listen(onPath(port, "/"))), upgrading(t))
		w := dial(t, port)
		w.send("GET /denied" + upgrade)
		w.expectReply("GET", 403, "denied\n")
		w.get("/after", `plain "" ""`)
		w.send("GET /socket" + upgrade)
		w.expectSwitch()
		w.exchange([]byte("hello"))
	})
}

func TestHTTPUpgradedServiceMaySpeakFirstAndEndFirst(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		greeting := pattern(9, 300_000)
		p.serveStreams(onPath(port, "/"), func(stream net.Conn) {
			if _, err := readHead(bufio.NewReader(stream)); err == nil {
				head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n"
				stream.Write(append([]byte(head), greeting...)) // in one write with the head
			}
		})
		w := dial(t, port)
		w.send("GET /" + upgrade)
		w.expectSwitch()
		w.expect(string(greeting))
		w.expectEnd()
	})
}

func TestHTTPUpgradedConnectionsEndWithAReset(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		listener := p.listen(onPath(port, "/"))
		serveHTTP(service.Waking(listener), upgrading(t))
		w := dial(t, port)
		w.send("GET /" + upgrade)
		w.expectSwitch()
		w.exchange([]byte("hello"))
		w.reset()
		eventually(t, "the stream is gone", func() bool { return listener.Streams() == 0 })
	})
}

func TestHTTPConnectMakesARelay(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveStreams(onHost(port, "far.example", "/"), func(stream net.Conn) {
			reader := bufio.NewReader(stream)
			head, err := readHead(reader)
			if err != nil {
				return
			}
			if !strings.HasPrefix(head, "CONNECT far.example:443 HTTP/1.1\r\n") {
				t.Errorf("the head is %q", head)
			}
			io.WriteString(stream, "HTTP/1.1 200 Connected\r\n\r\n")
			io.Copy(stream, reader)
			io.WriteString(stream, "bye")
		})
		w := dial(t, port)
		w.send("CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n\r\n")
		head, err := readHead(w.reader)
		if err != nil || !strings.HasPrefix(head, "HTTP/1.1 200 ") {
			t.Fatalf("got %q, %v", head, err)
		}
		w.exchange(pattern(10, 400_000))
		// Half-close: what the service says after it still arrives.
		w.CloseWrite()
		w.expect("bye")
		w.expectEnd()
	})
}

func TestHTTPConnectMayBeRefused(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			http.Error(writer, "no "+request.Method, http.StatusMethodNotAllowed)
		}))
		w := dial(t, port)
		w.send("CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n\r\n")
		w.expectReply("GET", 405, "no CONNECT\n")
		// Nobody's host: refused by the proxy itself.
		port = freePort(t)
		p.serve(onHost(port, "known.example", "/"), text("x"))
		w = dial(t, port)
		w.send("CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n\r\n")
		w.expectReply("GET", 404, "*")
	})
}
