package endtoend

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"socketmaster/endtoend/service"
)

// What a service said before it reset a stream is passed on before the cut, although both came in one segment.

// cut is something that a service says and then breaks off.
type cut struct {
	what, request, head, body string
	isReset                   bool // nothing but a reset tells the client that it is not all
}

func cuts(size int) []cut {
	body := string(pattern(int64(size), size))
	return []cut{
		{"upgraded", "GET /" + upgrade, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n", body, true},
		{"tunnel", connect("d.test:1"), "HTTP/1.1 200 OK\r\n\r\n", body, true},
		{"to the end", plainGET, "HTTP/1.1 200 OK\r\n\r\n", body, true},
		{"counted", plainGET, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", body, false},
		{"chunked", plainGET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", fmt.Sprintf("%x\r\n%s\r\n", size, body), false},
		{"part of a chunk", plainGET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "fffff\r\n" + body, false},
	}
}

// segment is frames as the bytes of one write.
func segment(frames ...service.Frame) (bytes []byte) {
	for _, frame := range frames {
		bytes = append(append(bytes, frame.Header()...), frame.Payload...)
	}
	return bytes
}

// expectCut reads what was said, and then the end that is none.
func (w *wire) expectCut(what, body string, isReset bool) {
	w.t.Helper()
	got, err := io.ReadAll(w.reader)
	if diff := difference(got, []byte(body)); diff != "" {
		w.t.Errorf("%s: %s, then %v", what, diff, err)
	}
	if isReset && !errors.Is(err, syscall.ECONNRESET) {
		w.t.Errorf("%s: the connection ended with %v", what, err)
	}
}

func TestCutRepliesAndRelaysArePassedOnToTheCut(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		for _, size := range []int{1, 10, 5_000, 40_000} {
			for _, c := range cuts(size) {
				// The head before, or all of it in one segment.
				for _, isBegun := range []bool{true, false} {
					what := fmt.Sprintf("%s, %d bytes, begun: %v", c.what, size, isBegun)
					port := freePort(t)
					peer := p.dialPeer(onPath(port, ""))
					w := dial(t, port)
					w.send(c.request)
					stream := peer.awaitStream()
					reset := service.WindowUpdate(service.FlagRST, stream, 0)
					if isBegun {
						peer.Send(service.Data(0, stream, []byte(c.head)))
						w.headOf(what)
						peer.Write(segment(service.Data(0, stream, []byte(c.body)), reset))
					} else {
						peer.Write(segment(service.Data(0, stream, []byte(c.head+c.body)), reset))
						w.headOf(what)
					}
					w.expectCut(what, c.body, c.isReset)
					peer.Close()
				}
			}
		}
	})
}

func TestCutRawConnectionsArePassedOnToTheCut(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		for _, size := range []int{1, 10, 5_000, 40_000} {
			for _, isAccepted := range []bool{true, false} {
				what := fmt.Sprintf("%d bytes, accepted: %v", size, isAccepted)
				port, secured := freePort(t), freePort(t)
				body := string(pattern(9, size))
				for at, definition := range map[int]service.Definition{
					port: raw(port), secured: issue("p256", "a.example").with(raw(secured)),
				} {
					peer := p.dialPeer(definition)
					var read func() ([]byte, error)
					if at == secured {
						connection := dialSecure(t, secured, secure("a.example"))
						read = func() ([]byte, error) { return io.ReadAll(connection) }
					} else {
						w := dial(t, port)
						read = func() ([]byte, error) { return io.ReadAll(w.reader) }
					}
					stream := peer.await("a stream", isOpening).Stream
					if isAccepted {
						peer.accept(stream)
					}
					half := len(body) / 2
					peer.Write(segment(service.Data(0, stream, []byte(body[:half])), service.Data(0, stream, []byte(body[half:])),
						service.WindowUpdate(service.FlagRST, stream, 0)))
					got, err := read()
					if diff := difference(got, []byte(body)); diff != "" || err == nil {
						t.Errorf("%s, TLS: %v: %s, then %v", what, at == secured, diff, err)
					}
					peer.Close()
				}
			}
		}
	})
}

// A reply that was whole before the reset is whole, and its connection goes on.
func TestCutBehindAWholeReplyIsNone(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		w := dial(t, port)
		for what, reply := range map[string]string{
			"counted": counted("200 OK", "whole"),
			"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n",
		} {
			for _, request := range []string{plainGET, requestsOfAll()["counted"]} {
				w.send(request)
				stream := peer.awaitStream()
				peer.Write(segment(service.Data(0, stream, []byte(reply)), service.WindowUpdate(service.FlagRST, stream, 0)))
				if r, err := w.tryReply("GET"); err != nil || r.body != "whole" || r.Close {
					t.Fatalf("%s to %q: got %v %s, %v", what, request, r.Response, shorten(r.body), err)
				}
			}
		}
	})
}

// Resets among replies that are whole, all in one segment.
func TestCutOfAReplyIsNoneOfItsSiblings(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		var clients []*wire
		var answer []byte
		for number := 0; number < 20; number++ {
			w := dial(t, port)
			w.send(plainGET)
			clients = append(clients, w)
			stream := peer.awaitStream()
			reply := fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Number: %d\r\nContent-Length: 5\r\n\r\n", number)
			if number%2 == 0 {
				answer = append(answer, segment(service.Data(0, stream, []byte(reply+"he")), service.WindowUpdate(service.FlagRST, stream, 0))...)
			} else {
				answer = append(answer, segment(service.Data(service.FlagFIN, stream, []byte(reply+"hello")))...)
			}
		}
		peer.Write(answer)
		for number, w := range clients {
			w.headOf(fmt.Sprint("reply ", number))
			if number%2 == 0 {
				w.expectCut(fmt.Sprint("reply ", number), "he", false)
			} else {
				w.expect("hello")
			}
		}
	})
}
