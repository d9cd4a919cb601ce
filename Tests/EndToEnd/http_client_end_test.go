package endtoend

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// A client that goes is told of: its FIN goes on as that of the stream, after the whole body, the last request of the
// pipeline, and the first frame that acknowledges the stream. Its reset is a reset.

func isOpening(frame service.Frame) bool {
	return frame.Type <= service.TypeWindowUpdate && frame.Flags&service.FlagSYN != 0
}

// isEnd is a frame that ends a stream.
func isEnd(stream uint32) func(service.Frame) bool {
	return func(frame service.Frame) bool {
		return frame.Stream == stream && frame.Type <= service.TypeWindowUpdate &&
			frame.Flags&(service.FlagFIN|service.FlagRST) != 0
	}
}

// expectNone checks that no such frame comes for a moment; pings are answered meanwhile.
func (p *peer) expectNone(what string, condition func(service.Frame) bool) {
	p.t.Helper()
	p.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
	if frame, err := p.Await(condition); !isTimeout(err) {
		p.t.Fatalf("%s: got %v, %v", what, frame, err)
	}
	p.SetDeadline(time.Now().Add(patience))
}

// expectNoneBeforePong is expectNone up to everything that the proxy has sent before it hears a ping.
func (p *peer) expectNoneBeforePong(what string, condition func(service.Frame) bool) {
	p.t.Helper()
	p.Send(service.Frame{Type: service.TypePing, Flags: service.FlagSYN, Length: 4711})
	p.await("the pong", func(frame service.Frame) bool {
		if frame.Type <= service.TypeWindowUpdate && condition(frame) {
			p.t.Errorf("%s: got %v", what, frame)
		}
		return frame.Type == service.TypePing && frame.Flags&service.FlagACK != 0 && frame.Length == 4711
	})
}

func (p *peer) accept(stream uint32) { p.Send(service.WindowUpdate(service.FlagACK, stream, 0)) }

// awaitFIN waits for the FIN of a stream, which is no reset.
func (p *peer) awaitFIN(stream uint32) {
	p.t.Helper()
	if end := p.await("the FIN", isEnd(stream)); end.Flags&service.FlagRST != 0 {
		p.t.Errorf("the stream was reset: %v", end)
	}
}

// requestsOfAll are whole requests of every framing and version.
func requestsOfAll() map[string]string {
	return map[string]string{
		"GET":         "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"HEAD":        "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
		"closing":     "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"of 1.0":      "GET / HTTP/1.0\r\nHost: x\r\n\r\n",
		"empty":       "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"counted":     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		"chunked":     "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"with a foot": "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n",
	}
}

// contexts is a handler that tells when it was called, and how its request's context ended.
func contexts(started chan<- string, ended chan<- error) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		io.Copy(io.Discard, request.Body)
		started <- request.URL.Path
		select {
		case <-request.Context().Done():
			ended <- nil
		case <-time.After(patience):
			ended <- fmt.Errorf("%s %s was not cancelled", request.Method, request.URL)
		}
		writer.Header().Set("Content-Length", "4")
		io.WriteString(writer, "late")
	})
}

func TestClientThatClosesEndsItsRequestsContext(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		for _, wrap := range []func(net.Listener) net.Listener{
			func(listener net.Listener) net.Listener { return listener }, service.Waking,
		} {
			port, secured := freePort(t), freePort(t)
			started, ended := make(chan string, 1), make(chan error, 1)
			plain := p.listen(onPath(port, ""))
			serveHTTP(wrap(plain), contexts(started, ended))
			encrypted := p.listen(issue("p256", "a.example").with(onPath(secured, "")))
			serveHTTP(wrap(encrypted), contexts(started, ended))
			for what, request := range requestsOfAll() {
				for _, isSecured := range []bool{false, true} {
					at := port
					if isSecured {
						at = secured
					}
					connection := dialHost(t, "127.0.0.1", at, isSecured)
					io.WriteString(connection, request)
					await(t, "the request "+what, started)
					connection.Close()
					if err := await(t, "the end of "+what, ended); err != nil {
						t.Fatalf("%s, TLS: %v: %v", what, isSecured, err)
					}
				}
			}
			eventually(t, "the streams are gone", func() bool { return plain.Streams()+encrypted.Streams() == 0 })
		}
	})
}

func TestClientThatHalfClosesEndsTheContextAndGetsItsReply(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port, secured := freePort(t), freePort(t)
		started, ended := make(chan string, 1), make(chan error, 1)
		p.serve(onPath(port, ""), contexts(started, ended))
		p.serve(issue("p256", "a.example").with(onPath(secured, "")), contexts(started, ended))
		for what, request := range requestsOfAll() {
			w := dial(t, port)
			w.send(request)
			await(t, "the request "+what, started)
			w.CloseWrite()
			if err := await(t, "the end of "+what, ended); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if what == "HEAD" {
				w.expectReply("HEAD", 200, "")
			} else {
				w.expectReply("GET", 200, "late")
			}
			w.expectEnd()
		}
		// close_notify is such an end; the rest of the connection goes on.
		connection := dialSecure(t, secured, secure("a.example"))
		io.WriteString(connection, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
		await(t, "the request", started)
		connection.CloseWrite()
		if err := await(t, "the end", ended); err != nil {
			t.Fatal(err)
		}
		expectWholeTLS(t, connection, "late")
	})
}

// expectWholeTLS reads a reply and then the end, by close_notify.
func expectWholeTLS(t *testing.T, connection *tls.Conn, body string) {
	t.Helper()
	all, err := io.ReadAll(connection)
	if text := string(all); err != nil || len(text) < len(body) || text[len(text)-len(body):] != body {
		t.Errorf("got %s, %v; wanted a reply of %q", shorten(string(all)), err, body)
	}
}

func TestClientsFINWaitsForTheServicesFirstFrame(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		for what, request := range requestsOfAll() {
			for _, first := range []service.Frame{
				service.WindowUpdate(service.FlagACK, 0, 0), service.WindowUpdate(service.FlagACK, 0, 1000),
				service.Data(service.FlagACK, 0, []byte("HTTP/1.1 103 Early Hints\r\n\r\n")), service.Data(0, 0, []byte("HTTP/1.1 2")),
			} {
				port := freePort(t)
				peer := p.dialPeer(onPath(port, ""))
				w := dial(t, port)
				w.send(request)
				w.CloseWrite()
				opening := peer.await("a stream", isOpening)
				if isEnd(opening.Stream)(opening) {
					t.Fatalf("%s: the FIN came with %v", what, opening)
				}
				if first.Type == service.TypeWindowUpdate && first.Length == 0 { // a moment for some will do
					peer.expectNone(what+", before the acknowledgement", isEnd(opening.Stream))
				} else {
					peer.expectNoneBeforePong(what+", before the acknowledgement", isEnd(opening.Stream))
				}
				first.Stream = opening.Stream
				peer.Send(first)
				peer.awaitFIN(opening.Stream)
				// The reply comes all the same, and no second FIN behind it.
				peer.Send(service.Data(0, opening.Stream, replyBehind(first)))
				peer.Send(service.WindowUpdate(service.FlagFIN, opening.Stream, 0))
				for {
					r, err := w.tryReply(map[bool]string{true: "HEAD", false: "GET"}[what == "HEAD"])
					if err != nil || r.StatusCode >= 200 {
						if err != nil || r.StatusCode != 200 {
							t.Fatalf("%s: got %v, %v", what, r.Response, err)
						}
						break
					}
				}
				w.expectEnd()
				peer.expectNoneBeforePong(what+", behind the reply", isEnd(opening.Stream))
				peer.Close()
			}
		}
	})
}

// replyBehind is a reply, or what a first frame has left of it.
func replyBehind(first service.Frame) []byte {
	reply := counted("200 OK", "")
	if string(first.Payload) == "HTTP/1.1 2" {
		return []byte(reply[len(first.Payload):])
	}
	return []byte(reply)
}
