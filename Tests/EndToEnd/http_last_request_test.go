package endtoend

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"socketmaster/endtoend/service"
)

// Which request is the last of a connection: nothing that lies behind it can become one any more once the client has
// ended, and a client of HTTP/1.0 that is not told otherwise has asked for the last time.

// noRequests are bytes behind a request of which none will ever become.
func noRequests() map[string]string {
	return map[string]string{
		"nothing":                "",
		"half an empty line":     "\r",
		"an empty line":          "\r\n", // RFC 9112 §2.2: some clients send one behind a body
		"empty lines":            "\r\n\r\n\r\n",
		"a letter":               "G",
		"half a line":            "GET /behind",
		"a line":                 "GET /behind HTTP/1.1\r\n",
		"a head without end":     "GET /behind HTTP/1.1\r\nHost: x\r\n",
		"with half its end":      "GET /behind HTTP/1.1\r\nHost: x\r\n\r",
		"behind empty lines":     "\r\n\r\nGET /behind HTTP/1.1\r\nHost: x\r\n",
		"a long one":             "GET /behind HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("x", 20_000),
		"garbage":                "\x00\x00\x00",
		"garbage with an end":    "\x00\x00\x00\r\n\r\n",
		"a long line of it":      strings.Repeat("\x16", 20_000),
		"a word and an end":      "nonsense\r\n\r\n",
		"a large one and an end": "nonsense" + strings.Repeat("x", 6_000) + "\r\n\r\n",
		"half a body too much":   "lo, world",
	}
}

func TestLastRequestIsToldOfWhateverLiesBehindIt(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		for what, request := range requestsOfAll() {
			for behindIt, rest := range noRequests() {
				for _, isLater := range []bool{false, true} {
					what := fmt.Sprintf("%s, %s behind it, later: %v", what, behindIt, isLater)
					w := dial(t, port)
					if isLater {
						w.send(request)
					} else {
						w.send(request + rest)
					}
					opening := peer.await("a stream", isOpening)
					if isLater {
						w.send(rest)
					}
					w.CloseWrite()
					peer.expectNoneBeforePong(what+", before the acknowledgement", isEnd(opening.Stream))
					peer.accept(opening.Stream)
					if end, err := peer.Await(isEnd(opening.Stream)); err != nil || end.Flags&service.FlagRST != 0 {
						t.Fatalf("%s: got %v, %v in place of the FIN", what, end, err)
					}
					peer.expectLastReply(w, opening.Stream, strings.HasPrefix(request, "HEAD"))
				}
			}
		}
	})
}

// expectLastReply answers a request whose client has ended: it gets the reply, whatever for what lies behind, and the
// end. The service gets nothing more, not even another stream.
func (p *peer) expectLastReply(w *wire, stream uint32, isHEAD bool) {
	p.t.Helper()
	method := "GET"
	if isHEAD {
		method = "HEAD"
	}
	p.Send(service.Data(service.FlagFIN, stream, []byte(counted("200 OK", ""))))
	w.expectReply(method, 200, "")
	if rest, err := io.ReadAll(w.reader); isTimeout(err) || len(rest) > 0 && !isRefusal(string(rest)) {
		p.t.Errorf("behind the reply came %s, %v", shorten(string(rest)), err)
	}
	w.Close()
	p.expectNoneBeforePong("behind the reply", func(frame service.Frame) bool {
		return isOpening(frame) || isEnd(stream)(frame)
	})
}

// isRefusal is what a head gets that is none: 501 is for a method that is longer than any.
func isRefusal(reply string) bool {
	return strings.HasPrefix(reply, "HTTP/1.1 4") || strings.HasPrefix(reply, "HTTP/1.1 501")
}

func TestLastRequestOfAClientThatClosesIsToldOf(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port, secured := freePort(t), freePort(t)
		plain := p.dialPeer(onPath(port, ""))
		encrypted := p.dialPeer(issue("p256", "a.example").with(onPath(secured, "")))
		for _, isSecured := range []bool{false, true} {
			at, peer := port, plain
			if isSecured {
				at, peer = secured, encrypted
			}
			for what, rest := range noRequests() {
				connection := dialHost(t, "127.0.0.1", at, isSecured)
				io.WriteString(connection, requestsOfAll()["counted"]+rest)
				stream := peer.awaitStream()
				connection.Close()
				if _, err := peer.Await(isEnd(stream)); err != nil {
					t.Fatalf("%s behind it, TLS: %v: %v", what, isSecured, err)
				}
				peer.Send(service.WindowUpdate(service.FlagRST, stream, 0))
			}
		}
		eventually(t, "nobody is connected", func() bool { return p.figure("connections") == 0 })
	})
}

// A whole request is one, wherever it lies: those before it are not the last.
func TestLastRequestIsNoneBeforeAWholeOne(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		for what, second := range map[string]string{
			"a request":            "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n",
			"behind empty lines":   "\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n",
			"of 1.0":               "GET /2 HTTP/1.0\r\n\r\n",
			"with a body":          "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
			"with a large head":    "GET /2 HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("x", 20_000) + "\r\n\r\n",
			"before an empty line": "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n\r\n",
			"before half a one":    "GET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHo",
			"before garbage":       "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n\x00\x00\r\n\r\n",
		} {
			for name, first := range requestsOfAll() {
				if name == "closing" || name == "of 1.0" {
					continue
				}
				w := dial(t, port)
				w.send(first + second)
				stream := peer.awaitStream()
				w.CloseWrite()
				peer.expectNoneBeforePong(name+" and "+what, isEnd(stream))
				peer.Send(service.Data(service.FlagFIN, stream, []byte(counted("200 OK", ""))))
				w.expectReply(map[bool]string{true: "HEAD", false: "GET"}[name == "HEAD"], 200, "")
				stream = peer.awaitStream()
				peer.awaitFIN(stream)
				peer.expectLastReply(w, stream, false)
			}
		}
	})
}

// Behind a request that says so itself none is served, be it whole or not.
func TestLastRequestIsOneThatSaysSo(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		for what, first := range map[string]string{
			"closing":      "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"with a body":  "PUT / HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nhi",
			"of 1.0":       "GET / HTTP/1.0\r\nHost: x\r\n\r\n",
			"1.0, closing": "GET / HTTP/1.0\r\nHost: x\r\nConnection: close\r\n\r\n",
		} {
			for _, second := range []string{"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n", "\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3"} {
				w := dial(t, port)
				w.send(first + second)
				stream := peer.awaitStream()
				w.CloseWrite()
				if _, err := peer.Await(isEnd(stream)); err != nil {
					t.Fatalf("%s, before %q: %v in place of the FIN", what, second, err)
				}
				peer.expectLastReply(w, stream, false)
			}
		}
	})
}

// switchRequests are requests behind which another protocol may begin, and the replies that begin it.
func switchRequests() map[string][2]string {
	const upgrade, switched = "Host: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n", "HTTP/1.1 101 Now\r\nConnection: " +
		"upgrade\r\nUpgrade: echo\r\n\r\n"
	return map[string][2]string{
		"GET":                  {"GET / HTTP/1.1\r\n" + upgrade + "\r\n", switched},
		"counted":              {"POST / HTTP/1.1\r\n" + upgrade + "Content-Length: 2\r\n\r\nhi", switched},
		"chunked":              {"POST / HTTP/1.1\r\n" + upgrade + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", switched},
		"closing":              {"GET / HTTP/1.1\r\nConnection: close\r\n" + upgrade + "\r\n", switched},
		"CONNECT":              {connect("x:1"), "HTTP/1.1 200 OK\r\n\r\n"},
		"CONNECT with a body":  {connect("x:1", "Content-Length: 2") + "hi", "HTTP/1.1 200 OK\r\n\r\n"},
		"CONNECT of 1.0":       {"CONNECT x:1 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"},
		"CONNECT that closes":  {connect("x:1", "Connection: close"), "HTTP/1.1 200 OK\r\n\r\n"},
		"CONNECT, many fields": {connect("x:1", "X-A: "+strings.Repeat("x", 9_000)), "HTTP/1.1 204 OK\r\n\r\n"},
	}
}

// What lies behind such a request is the other protocol's: it goes on once that has begun, and the end after it.
func TestLastRequestBeforeATunnelLosesNothingBehindIt(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		rests := noRequests()
		rests["a request"] = "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
		for what, exchange := range switchRequests() {
			for behindIt, rest := range rests {
				for _, isDenied := range []bool{false, true} {
					if isDenied && behindIt == "a request" { // behind an upgrade that came to nothing it is one
						continue
					}
					w := dial(t, port)
					w.send(exchange[0] + rest)
					opening := peer.await("a stream", isOpening)
					w.CloseWrite()
					peer.accept(opening.Stream)
					reply := exchange[1]
					if isDenied {
						reply = counted("403 Forbidden", "no")
					}
					if what := what + ", " + behindIt + " behind it"; isDenied {
						peer.expectDenial(what, w, opening, reply)
					} else {
						peer.expectTunnel(what, w, opening, reply, rest)
					}
					if p.hasExited() {
						t.Fatalf("%s, %s behind it, denied: %v: the program has ended", what, behindIt, isDenied)
					}
				}
			}
		}
	})
}

// expectTunnel begins the other protocol behind a client's end: the service gets the rest and the end.
func (p *peer) expectTunnel(what string, w *wire, opening service.Frame, reply, rest string) {
	p.t.Helper()
	if rest != "" {
		p.expectNoneBeforePong(what+", before the reply", func(frame service.Frame) bool {
			opening.Payload = append(opening.Payload, frame.Payload...)
			return isEnd(opening.Stream)(frame)
		})
	}
	p.Send(service.Data(0, opening.Stream, []byte(reply+"its answer")))
	got := string(opening.Payload)
	end, err := p.Await(func(frame service.Frame) bool {
		got += string(frame.Payload)
		return isEnd(opening.Stream)(frame)
	})
	if err != nil || end.Flags&service.FlagRST != 0 || !strings.HasSuffix(got, rest) {
		p.t.Fatalf("%s: %v, %v, the service got %s", what, end, err, shorten(got))
	}
	p.Send(service.WindowUpdate(service.FlagFIN, opening.Stream, 0))
	all, err := io.ReadAll(w.reader)
	if err != nil || !strings.HasPrefix(string(all), reply[:12]) || !strings.HasSuffix(string(all), "its answer") {
		p.t.Errorf("%s: the client got %s, %v", what, shorten(string(all)), err)
	}
	w.Close()
}

// expectDenial replies that it does not begin: the service gets no more than the end, whatever lies behind.
func (p *peer) expectDenial(what string, w *wire, opening service.Frame, reply string) {
	p.t.Helper()
	p.Send(service.Data(service.FlagFIN, opening.Stream, []byte(reply)))
	if r, err := w.tryReply("GET"); err != nil || r.StatusCode != 403 {
		p.t.Fatalf("%s: got %v, %v", what, r.Response, err)
	}
	w.reset()
	p.expectNoneBeforePong(what+", denied", isOpening)
}

// What the proxy says itself ends the connection of such a client, unless it says that it does not.
func TestLastRequestIsOneOf10WithoutAWordOfKeepAlive(t *testing.T) {
	eachWaiting(t, ownFlags, func(t *testing.T, p *proxy) {
		port, _ := serveOwn(p)
		const kept, body = " HTTP/1.0\r\nConnection: keep-alive\r\n", "Content-Length: 5\r\n\r\nhello"
		var works []func() error
		for _, request := range []string{
			"GET /none" + kept + "\r\n", "HEAD /none" + kept + "\r\n", "POST /none" + kept + body, "OPTIONS /none" + kept + "\r\n",
			"OPTIONS /known" + kept + "Max-Forwards: 0\r\n\r\n", "OPTIONS *" + kept + "Max-Forwards: 0\r\n\r\n",
			"TRACE /known" + kept + "Max-Forwards: 0\r\n\r\n", "GET /none" + kept + "Host: x\r\n\r\n",
			"GET /none HTTP/1.0\r\nConnection: Keep-Alive, x\r\n\r\n", "GET /none HTTP/1.0\r\nKeep-Alive: 5\r\n\r\n",
			"GET /none HTTP/1.0\r\n\r\n", "GET /away" + kept + "\r\n", "GET /silent" + kept + "\r\n", "GET /ending" + kept + "\r\n",
			"GET /broken" + kept + "\r\n", "GET known" + kept + "\r\n", "CONNECT none.test:1" + kept + "\r\n",
		} {
			request := request
			works = append(works, func() error { return endsUnlessKept(port, request) })
		}
		together(t, works...)
	})
}

// endsUnlessKept looks at what becomes of a client of HTTP/1.0 behind its reply.
func endsUnlessKept(port int, request string) error {
	w, err := tryDial(port)
	if err != nil {
		return err
	}
	defer w.Close()
	io.WriteString(w, request)
	all, err := io.ReadAll(w.reader)
	head, _, _ := strings.Cut(string(all), "\r\n\r\n")
	if isKept := strings.Contains(strings.ToLower(head), "\r\nconnection: keep-alive"); (err == nil) == isKept {
		return fmt.Errorf("%q: it is kept: %v, its end: %v, behind %s", request, isKept, err, shorten(string(all)))
	}
	return nil
}
