package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// On a port with HTTP and raw services the first bytes decide, and until they do they wait. However they were cut, the
// head that they begin is found.

// headOfSize is a request whose head has so many bytes; the size of a field makes up for the rest.
func headOfSize(method string, size int) string {
	start := method + " / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
	for size-len(start) > 10_000 {
		start += "X-B: " + strings.Repeat("b", 993) + "\r\n"
	}
	return start + "X-A: " + strings.Repeat("a", size-len(start)-9) + "\r\n\r\n"
}

// shared registers an HTTP and a raw service on one port.
func shared(p *proxy) int {
	port := freePort(p.t)
	p.serveStreams(raw(port), func(stream net.Conn) {
		io.WriteString(stream, "raw:")
		io.Copy(stream, stream)
	})
	p.serve(onPath(port, ""), text("http"))
	return port
}

// sendInTurn has all clients say their first parts, then all their second, and so on, with a moment between, so that
// each part is read by itself.
func sendInTurn(t *testing.T, port int, rows map[string][]string) map[string]*wire {
	clients := map[string]*wire{}
	for turn, isDone := 0, false; !isDone; turn++ {
		isDone = true
		for what, parts := range rows {
			if clients[what] == nil {
				clients[what] = dial(t, port)
			}
			if turn < len(parts) {
				clients[what].send(parts[turn])
				isDone = false
			}
		}
		time.Sleep(30 * time.Millisecond)
	}
	return clients
}

// expectHTTP checks that all of them are answered by the HTTP service.
func expectHTTP(t *testing.T, clients map[string]*wire) {
	t.Helper()
	for what, w := range clients {
		w.extend()
		if r, err := w.tryReply("GET"); err != nil || r.StatusCode != 200 || r.body != "http" {
			t.Errorf("%s: got %v %s, %v", what, r.Response, shorten(r.body), err)
		}
		w.Close()
	}
}

func TestSharedPortFindsTheHeadBehindAnyFirstSegment(t *testing.T) {
	eachWaiting(t, []string{"--head-timeout", "10s"}, func(t *testing.T, p *proxy) {
		port := shared(p)
		for _, method := range []string{"GET", "POST", "OPTIONS", "PROPFIND", "X"} {
			// A few at a time: all of a client's parts have to come within a second.
			for _, size := range []int{100, 3_000, 4_080, 4_096, 4_097, 4_200, 5_000, 8_190, 8_200, 20_000, 60_000} {
				head, rows := headOfSize(method, size), map[string][]string{}
				for first := 1; first <= 9; first++ {
					rows[fmt.Sprintf("%s of %d bytes, first %d", method, size, first)] = []string{head[:first], head[first:]}
				}
				expectHTTP(t, sendInTurn(t, port, rows))
			}
		}
	})
}

func TestSharedPortFindsTheHeadInAnyPieces(t *testing.T) {
	eachWaiting(t, []string{"--head-timeout", "10s"}, func(t *testing.T, p *proxy) {
		port := shared(p)
		for _, size := range []int{4_090, 4_200, 9_000, 30_000} {
			head, rows := headOfSize("GET", size), map[string][]string{}
			for _, cuts := range [][]int{
				{1, 2, 3, 4}, {1, 4095}, {1, 4096}, {1, 4097}, {2, size - 1}, {1, size - 2}, {3, size - 3}, {1, size - 4, size - 2},
				{1, 1000, 2000, 3000, 4000}, {4, 5, size - 1}, {1, size / 2, size - 3}, {7, 4088, 4089},
			} {
				parts, from := []string{}, 0
				for _, cut := range cuts {
					if cut > from && cut < size {
						parts, from = append(parts, head[from:cut]), cut
					}
				}
				rows[fmt.Sprintf("%d bytes cut at %v", size, cuts)] = append(parts, head[from:])
			}
			expectHTTP(t, sendInTurn(t, port, rows))
		}
	})
}

// The same with a body and a second request behind the head, which must be found, too.
func TestSharedPortFindsWhatFollowsTheHead(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveStreams(raw(port), echoStream)
		p.serve(onPath(port, ""), digest())
		rows := map[string][]string{}
		for _, size := range []int{200, 4_200, 12_000} {
			head := strings.Replace(headOfSize("PUT", size), "Content-Length: 0", "Content-Length: 5", 1)
			for first := 1; first <= 5; first++ {
				rows[fmt.Sprintf("%d bytes, first %d", size, first)] = []string{head[:first], head[first:] + "hello" + plainGET}
			}
		}
		for what, w := range sendInTurn(t, port, rows) {
			w.extend()
			r, err := w.tryReply("PUT")
			if err != nil || r.body != digestOf("PUT", []byte("hello")) {
				t.Errorf("%s: got %v %s, %v", what, r.Response, shorten(r.body), err)
				continue
			}
			w.expectReply("GET", 200, digestOf("GET", nil))
			w.Close()
		}
	})
}

// With TLS it is records that cut the head.
func TestSharedPortFindsTheHeadInAnyRecords(t *testing.T) {
	eachWaiting(t, []string{"--head-timeout", "10s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveStreams(issue("p256", "a.example").with(raw(port)), echoStream)
		p.serve(onPath(port, ""), text("http"))
		head := headOfSize("GET", 9_000)
		var works []func() error
		for first := 1; first <= 9; first++ {
			first := first
			works = append(works, func() error {
				connection, err := trySecure(port, secure("a.example"))
				if err != nil {
					return err
				}
				defer connection.Close()
				io.WriteString(connection, head[:first])
				time.Sleep(30 * time.Millisecond)
				io.WriteString(connection, head[first:])
				reply, err := http.ReadResponse(bufio.NewReader(connection), nil)
				if err != nil || reply.StatusCode != 200 {
					return fmt.Errorf("first %d: got %v, %v", first, reply, err)
				}
				return nil
			})
		}
		together(t, works...)
	})
}

// What turns out to be no request goes to the raw service, with all that it had said.
func TestSharedPortGivesWhatIsNoRequestToTheRawService(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := shared(p)
		rows := map[string][]string{}
		for _, first := range []string{"G", "GE", "P", "OPTION"} {
			for _, size := range []int{10, 5_000, 30_000} {
				rows[fmt.Sprint(first, size)] = []string{first, "\x00" + strings.Repeat("binary", size/6)}
			}
		}
		for what, w := range sendInTurn(t, port, rows) {
			w.extend()
			w.expect("raw:" + strings.Join(rows[what], ""))
			w.Close()
		}
	})
}

// Of one who has ended, what may only become a request never does.
func TestSharedPortGivesTheBeginningOfARequestAndItsEndToTheRawService(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port, secured := shared(p), freePort(t)
		p.serveStreams(issue("p256", "a.example").with(raw(secured)), func(stream net.Conn) {
			io.WriteString(stream, "raw:")
			io.Copy(stream, stream)
		})
		p.serve(onPath(secured, ""), text("http"))
		var works []func() error
		for _, said := range []string{"G", "GE", "GET", "GET ", "OPTIONS http:", "HELLO", "x"} {
			for _, isSecured := range []bool{false, true} {
				for _, pause := range []time.Duration{0, 30 * time.Millisecond} {
					said, at, isSecured, pause := said, port, isSecured, pause
					if isSecured {
						at = secured
					}
					works = append(works, func() error { return echoesToTheEnd(at, isSecured, said, pause) })
				}
			}
		}
		together(t, works...)
	})
}

// echoesToTheEnd is a client that says something, ends, and gets all of it back from the raw service.
func echoesToTheEnd(port int, isSecured bool, said string, pause time.Duration) error {
	var connection interface {
		net.Conn
		CloseWrite() error
	}
	var err error
	if isSecured {
		connection, err = trySecure(port, secure("a.example"))
	} else {
		connection, err = tryDial(port)
	}
	if err != nil {
		return err
	}
	defer connection.Close()
	io.WriteString(connection, said)
	time.Sleep(pause)
	connection.CloseWrite()
	if all, err := io.ReadAll(connection); string(all) != "raw:"+said || err != nil {
		return fmt.Errorf("%q, by TLS: %v: got %q, %v", said, isSecured, all, err)
	}
	return nil
}
