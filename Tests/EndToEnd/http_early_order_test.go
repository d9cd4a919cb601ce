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

// Early replies where more happens at the same time: bulk under way, TLS, a service that resets or goes.

// answersBehind serves requests whose path names how much of their body is read before the reply.
func answersBehind(stream net.Conn) {
	reader := bufio.NewReader(stream)
	head, err := readHead(reader)
	if err != nil {
		return
	}
	var count int64
	fmt.Sscanf(strings.Fields(head)[1], "/%d", &count)
	if _, err := io.CopyN(io.Discard, reader, count); err == nil {
		io.WriteString(stream, counted("413 Content Too Large", "big"))
	}
	io.Copy(io.Discard, reader)
}

func TestEarlyReplyInTheMiddleOfBulk(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveStreams(onPath(port, ""), answersBehind)
		part := strings.Repeat("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", 200_000)
		for _, read := range []int{1_000_000, 6_000_000} {
			for _, left := range []int{1, 100_000, 256 << 10, 256<<10 + 1, 10_000_000} {
				what := fmt.Sprint(read, " bytes read, ", left, " left")
				w := dial(t, port)
				w.send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", read, read+left))
				w.send(part[:read]) // and nothing more before the reply
				r := w.expectReply("POST", 413, "big")
				if r.Close != (left > 256<<10) {
					t.Errorf("%s: announced %v", what, r.Close)
				} else if r.Close {
					w.expectEnd()
				} else {
					w.send(part[:left] + "POST /0 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
					if r, err := w.tryReply("POST"); err != nil || r.body != "big" {
						t.Errorf("%s: the next request got %v, %v", what, r.Response, err)
					}
				}
				w.Close()
			}
		}
	})
}

func TestEarlyReplyKeepsAConnectionWithTLS(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveScripts(issue("p256", "a.example").with(onPath(port, "")), early())
		connection := dialSecure(t, port, secure("a.example"))
		reader := bufio.NewReader(connection)
		reply := func() (*http.Response, string) {
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			return response, string(body)
		}
		for _, left := range []int{1, 20_000, 256 << 10} {
			fmt.Fprintf(connection, "POST /counted HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\nhello", 5+left)
			if response, body := reply(); response.StatusCode != 413 || body != "big" || response.Close {
				t.Fatalf("%d left: got %v %q", left, response, body)
			}
			io.WriteString(connection, strings.Repeat("x", left)+"GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n")
			if response, body := reply(); response.StatusCode != 200 || body != "/next" {
				t.Fatalf("%d left: the next request got %v %q", left, response, body)
			}
		}
	})
}

func TestEarlyReplyThatEndsWithItsConnectionEndsIt(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		body := strings.Repeat("to the end", 5_000)
		p.serveStreams(onPath(port, ""), script("HTTP/1.1 413 Content Too Large\r\n\r\n"+body))
		for _, left := range []int{10, 1_000_000} {
			w := dial(t, port)
			w.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nhello", 5+left))
			if r := w.expectReply("POST", 413, body); !r.Close {
				t.Errorf("%d left: the end is not announced", left)
			}
			w.expectEnd()
		}
	})
}

// Whatever a service does behind its whole reply, the promise was the proxy's.
func TestEarlyReplyIsKeptThoughItsServiceEnds(t *testing.T) {
	for what, end := range map[string]func(*peer, uint32) []service.Frame{
		"by a FIN": func(_ *peer, stream uint32) []service.Frame {
			return []service.Frame{service.WindowUpdate(service.FlagFIN, stream, 0)}
		},
		"by a reset": func(_ *peer, stream uint32) []service.Frame {
			return []service.Frame{service.WindowUpdate(service.FlagRST, stream, 0)}
		},
		"in silence": func(_ *peer, stream uint32) []service.Frame { return nil },
		"altogether": func(_ *peer, stream uint32) []service.Frame { return []service.Frame{{Version: 9}} },
	} {
		for _, isOneSegment := range []bool{true, false} {
			what, isOneSegment, end := what, isOneSegment, end
			each(t, nil, func(t *testing.T, p *proxy) {
				port := freePort(t)
				peer := p.dialPeer(onPath(port, "/early"))
				p.serveScripts(onPath(port, "/next"), nil)
				w := dial(t, port)
				w.send("POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhello")
				stream := peer.awaitStream()
				frames := append([]service.Frame{service.Data(0, stream, []byte(counted("413 No", "big")))}, end(peer, stream)...)
				if isOneSegment {
					peer.Write(segment(frames...))
				} else {
					for _, frame := range frames {
						peer.Send(frame)
					}
				}
				if r := w.expectReply("POST", 413, "big"); r.Close {
					t.Errorf("%s: the reply ends the connection", what)
				}
				w.send(strings.Repeat("x", 995))
				w.get("/next", "/next")
			})
		}
	}
}

func TestEarlyReplyAnnouncesItsEndThoughItsServiceResets(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		for what, framing := range map[string]string{
			"counted": "Content-Length: 1000000\r\n\r\nhello", "chunked": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		} {
			w := dial(t, port)
			w.send("POST / HTTP/1.1\r\nHost: x\r\n" + framing)
			stream := peer.awaitStream()
			peer.Write(segment(service.Data(0, stream, []byte(counted("413 No", "big"))), service.WindowUpdate(service.FlagRST, stream, 0)))
			if r := w.expectReply("POST", 413, "big"); !r.Close {
				t.Errorf("%s: the end is not announced", what)
			}
			w.expectEnd()
		}
	})
}
