package endtoend

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"socketmaster/endtoend/service"
)

// What else has to come before a client's FIN, and what becomes of it where a request changes its service.

// replyWith sends a whole reply on a stream.
func (p *peer) replyWith(stream uint32, body string) {
	p.Send(service.Data(0, stream, []byte(counted("200 OK", body))))
}

func TestClientsFINIsTheLastRequestsOfAPipeline(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		w := dial(t, port)
		w.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi" +
			"GET /3 HTTP/1.1\r\nHost: x\r\n\r\n")
		w.CloseWrite()
		for number := 1; number <= 3; number++ {
			stream := peer.awaitStream()
			if number < 3 {
				peer.expectNone(fmt.Sprint("request ", number), isEnd(stream))
			} else {
				peer.awaitFIN(stream)
			}
			peer.replyWith(stream, fmt.Sprint(number))
			if number < 3 {
				peer.awaitFIN(stream)
			}
			peer.Send(service.WindowUpdate(service.FlagFIN, stream, 0))
			w.expectReply("GET", 200, fmt.Sprint(number))
		}
		w.expectEnd()
	})
}

func TestClientsFINIsNoneForAWholeRequestBeforeAPartOfOne(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		w := dial(t, port)
		w.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHo")
		stream := peer.awaitStream()
		w.CloseWrite()
		peer.replyWith(stream, "1")
		w.expectReply("GET", 200, "1")
		io.Copy(io.Discard, w.reader) // whatever it gets for the second, the service hears nothing of it
		peer.expectNoneBeforePong("half a request", isOpening)
	})
}

// A body longer than the window, so that its end is still here when the FIN comes.
func TestClientsFINWaitsForTheWholeBody(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		const size = 300_000
		body := string(pattern(4, size))
		for what, request := range map[string]string{
			"counted": fmt.Sprintf("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, body),
			"chunked": "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked([]byte(body), 50_000),
		} {
			port := freePort(t)
			peer := p.dialPeer(onPath(port, ""))
			w := dial(t, port)
			go func() {
				io.WriteString(w, request)
				w.CloseWrite()
			}()
			opening := peer.await("a stream", isOpening)
			peer.accept(opening.Stream)
			got := string(opening.Payload)
			end := peer.await("all of the window", func(frame service.Frame) bool {
				got += string(frame.Payload)
				return isEnd(opening.Stream)(frame) || len(got) >= service.InitialWindow
			})
			if isEnd(opening.Stream)(end) {
				t.Fatalf("%s: the end came behind %d bytes", what, len(got))
			}
			peer.expectNone(what+", without a window", isEnd(opening.Stream))
			peer.Send(service.WindowUpdate(0, opening.Stream, 200_000))
			end = peer.await("the FIN", func(frame service.Frame) bool {
				got += string(frame.Payload)
				return isEnd(opening.Stream)(frame)
			})
			if _, content, _ := strings.Cut(got, "\r\n\r\n"); content != request[strings.Index(request, "\r\n\r\n")+4:] {
				t.Errorf("%s: before %v came %d bytes of a body", what, end, len(content))
			}
			peer.replyWith(opening.Stream, "all")
			w.expectReply("PUT", 200, "all")
			w.expectEnd()
		}
	})
}

// A reset can come at any time, and is one: whether there was a FIN before it or not, accepted or not.
func TestClientsResetIsAReset(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		for _, request := range []string{
			requestsOfAll()["GET"], requestsOfAll()["counted"], "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello",
		} {
			for _, isAccepted := range []bool{true, false} {
				port := freePort(t)
				peer := p.dialPeer(onPath(port, ""))
				w := dial(t, port)
				w.send(request)
				stream := peer.await("a stream", isOpening).Stream
				if isAccepted {
					peer.accept(stream)
				}
				w.reset()
				if end := peer.await("the reset", isEnd(stream)); end.Flags&service.FlagRST == 0 {
					t.Errorf("%q: the end is %v", request, end)
				}
			}
		}
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		w := dial(t, port)
		w.send(requestsOfAll()["GET"])
		stream := peer.awaitStream()
		w.CloseWrite()
		peer.awaitFIN(stream)
		w.reset()
		if end := peer.await("the reset", isEnd(stream)); end.Flags != service.FlagRST {
			t.Errorf("behind the FIN came %v", end)
		}
		eventually(t, "nobody is connected", func() bool { return p.figure("connections") == 0 })
	})
}

// Half a body is not its end, and must not look like one.
func TestClientThatEndsInTheMiddleOfItsBodyIsAReset(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		for what, request := range map[string]string{
			"counted":    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello",
			"no body":    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
			"of 1.0":     "POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello",
			"a chunk":    "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
			"its part":   "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
			"last chunk": "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
		} {
			for _, end := range []func(*wire){func(w *wire) { w.CloseWrite() }, func(w *wire) { w.Close() }} {
				port := freePort(t)
				peer := p.dialPeer(onPath(port, ""))
				w := dial(t, port)
				w.send(request)
				stream := peer.awaitStream()
				end(w)
				if frame := peer.await("the reset", isEnd(stream)); frame.Flags&service.FlagFIN != 0 {
					t.Errorf("%s: the end is %v", what, frame)
				}
				peer.Close()
			}
		}
	})
}

// Who ends the connection beneath TLS has gone, too.
func TestClientThatBreaksOffTLSIsToldOf(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(issue("p256", "a.example").with(onPath(port, "")))
		for _, end := range []func(*net.TCPConn){
			func(connection *net.TCPConn) { connection.CloseWrite() }, func(connection *net.TCPConn) { connection.Close() },
			func(connection *net.TCPConn) { connection.SetLinger(0); connection.Close() },
		} {
			connection := dialSecure(t, port, secure("a.example"))
			io.WriteString(connection, plainGET)
			stream := peer.awaitStream()
			end(connection.NetConn().(*net.TCPConn))
			peer.await("an end", isEnd(stream))
		}
	})
}

// What close() leaves behind is told from a half-close by the reset with which the kernel answers the reply.
func TestClientThatHasClosedIsResetByItsReply(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		w := dial(t, port)
		w.send(requestsOfAll()["GET"])
		stream := peer.awaitStream()
		w.Close()
		peer.awaitFIN(stream)
		peer.Send(service.Data(0, stream, []byte("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello")))
		if end := peer.await("the reset", isEnd(stream)); end.Flags&service.FlagRST == 0 {
			t.Errorf("the end is %v", end)
		}
		eventually(t, "nobody is connected", func() bool { return p.figure("connections") == 0 })
	})
}

func TestClientsFINIsSaidAgainOnARepeat(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		for _, isEarly := range []bool{true, false} {
			port := freePort(t)
			first := p.dialPeer(onPath(port, ""))
			w := dial(t, port)
			w.send(requestsOfAll()["GET"])
			stream := first.awaitStream()
			if isEarly {
				w.CloseWrite()
				first.awaitFIN(stream)
			}
			second := p.dialPeer(onPath(port, ""))
			first.Close()
			opening := second.await("the repeat", isOpening)
			if isEnd(opening.Stream)(opening) {
				t.Fatalf("the FIN came with %v", opening)
			}
			if !isEarly {
				w.CloseWrite()
			}
			second.expectNone("before the acknowledgement", isEnd(opening.Stream))
			second.accept(opening.Stream)
			second.awaitFIN(opening.Stream)
			second.replyWith(opening.Stream, "again")
			w.expectReply("GET", 200, "again")
			w.expectEnd()
			second.expectNoneBeforePong("behind the reply", isEnd(opening.Stream))
			second.Close()
		}
	})
}

// A stream that has carried a request already has been acknowledged: the FIN goes at once, and nobody takes it then.
func TestClientsFINGoesAtOnceOnAStreamThatIsReused(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(reusing(port))
		w := dial(t, port)
		w.send(plainGET)
		stream := peer.awaitStream()
		peer.replyWith(stream, "first")
		w.expectReply("GET", 200, "first")
		w.send("GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
		peer.await("the second request", func(frame service.Frame) bool {
			return frame.Stream == stream && strings.HasPrefix(string(frame.Payload), "GET /second ")
		})
		w.CloseWrite()
		peer.awaitFIN(stream)
		peer.replyWith(stream, "second")
		w.expectReply("GET", 200, "second")
		w.expectEnd()
		other := dial(t, port)
		other.send(plainGET)
		if next := peer.awaitStream(); next == stream {
			t.Error("the stream was opened again")
		} else {
			peer.replyWith(next, "other")
		}
		other.expectReply("GET", 200, "other")
	})
}

// A stream with a FIN could not be taken back: while it is not accepted there is none on it.
func TestClientThatHasEndedIsTakenBackFromAServiceThatAcceptsNothing(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		slow := p.dialPeer(onPath(port, ""))
		var clients []*wire
		for _, request := range []string{requestsOfAll()["GET"], requestsOfAll()["counted"]} {
			w := dial(t, port)
			w.send(request)
			w.CloseWrite()
			clients = append(clients, w)
		}
		streams := []uint32{slow.await("a stream", isOpening).Stream, slow.await("a stream", isOpening).Stream}
		p.serve(onPath(port, ""), text("sibling"))
		for range streams {
			end := slow.await("a reset", func(frame service.Frame) bool {
				return isEnd(streams[0])(frame) || isEnd(streams[1])(frame)
			})
			if end.Flags != service.FlagRST {
				t.Errorf("the end is %v", end)
			}
		}
		go slow.Await(func(service.Frame) bool { return false }) // the pongs show that it has seen none of them
		for _, w := range clients {
			w.expectReply("GET", 200, "sibling")
			w.expectEnd()
		}
	})
}

func TestClientThatEndsWhileItIsHeldFreesItsPlace(t *testing.T) {
	each(t, []string{"--hold-limit", "1"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.endSession(p.serve(onPath(port, ""), text("x")))
		for what, end := range map[string]func(*wire){
			"half-close": func(w *wire) { w.CloseWrite() }, "close": func(w *wire) { w.Close() }, "reset": (*wire).reset,
		} {
			w := dial(t, port)
			w.send(requestsOfAll()["GET"])
			p.awaitWaiting(1)
			other := dial(t, port)
			other.send(requestsOfAll()["GET"])
			other.expectReply("GET", 503, "*")
			end(w)
			eventually(t, "the place is free after "+what, func() bool { return p.figure("waiting") == 0 })
		}
		p.serve(onPath(port, ""), text("back"))
		expectServed(t, port, "/", "back")
	})
}
