package endtoend

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"socketmaster/endtoend/service"
)

// A service that says GoAway may still answer what lies in its queue. Until somebody else can, it is left to it.

var goAway = service.Frame{Type: service.TypeGoAway}

func isReset(stream uint32) func(service.Frame) bool {
	return func(frame service.Frame) bool {
		return frame.Stream == stream && frame.Type <= service.TypeWindowUpdate && frame.Flags&service.FlagRST != 0
	}
}

func TestGoAwayLeavesTheOnlyServiceWhatItHasNotAccepted(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		for what, request := range requestsOfAll() {
			for _, isOneSegment := range []bool{false, true} {
				port := freePort(t)
				peer := p.dialPeer(onPath(port, ""))
				w := dial(t, port)
				w.send(request)
				opening := peer.await("a stream", isOpening)
				reply := service.Data(service.FlagACK|service.FlagFIN, opening.Stream, []byte(counted("200 OK", "")))
				if isOneSegment {
					peer.Write(segment(goAway, reply))
				} else {
					peer.Send(goAway)
					peer.expectNoneBeforePong(what, isReset(opening.Stream))
					peer.Send(reply)
				}
				if r, err := w.tryReply(map[bool]string{true: "HEAD", false: "GET"}[what == "HEAD"]); err != nil || r.StatusCode != 200 {
					t.Errorf("%s, in one segment: %v: got %v, %v", what, isOneSegment, r.Response, err)
				}
				peer.Close()
			}
		}
	})
}

func TestGoAwayBeforeAcceptExecutesARequestOnce(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		for what, request := range requestsOfAll() {
			port := freePort(t)
			var executed atomic.Int32
			listener := p.listen(onPath(port, ""))
			w := dial(t, port)
			w.send(request)
			eventually(t, "the stream lies in the queue", func() bool { return listener.Streams() == 1 })
			if err := listener.GoAway(); err != nil {
				t.Fatal(err)
			}
			if err := listener.Ping(); err != nil {
				t.Fatal(err)
			}
			serveHTTP(listener, http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
				executed.Add(1)
				io.Copy(io.Discard, request.Body)
				writer.WriteHeader(http.StatusNoContent)
			}))
			if r, err := w.tryReply("GET"); err != nil || r.StatusCode != 204 || executed.Load() != 1 {
				t.Fatalf("%s: got %v, %v; it was executed %d times", what, r.Response, err, executed.Load())
			}
			listener.Close()
		}
	})
}

func TestGoAwayWithASiblingTakesBackAtOnce(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		for _, request := range []string{requestsOfAll()["GET"], requestsOfAll()["counted"], requestsOfAll()["chunked"]} {
			port := freePort(t)
			peer := p.dialPeer(onPath(port, ""))
			w := dial(t, port)
			w.send(request)
			opening := peer.await("a stream", isOpening)
			sibling := p.serve(onPath(port, ""), text("sibling"))
			peer.Send(goAway)
			peer.await("the reset", isReset(opening.Stream))
			go peer.Await(func(service.Frame) bool { return false }) // the pong shows that it has not seen it
			w.expectReply("GET", 200, "sibling")
			peer.Close()
			sibling.Close()
		}
	})
}

func TestGoAwayTakesBackWhenASiblingHasCome(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		for _, request := range []string{requestsOfAll()["GET"], requestsOfAll()["counted"], requestsOfAll()["chunked"]} {
			port := freePort(t)
			peer := p.dialPeer(onPath(port, ""))
			w := dial(t, port)
			w.send(request)
			opening := peer.await("a stream", isOpening)
			peer.Send(goAway)
			peer.expectNone("while nobody else is there", isReset(opening.Stream))
			// Whoever comes now waits, and gets no stream of this service.
			other := dial(t, port)
			other.send("GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
			peer.expectNone("a request behind GoAway", isOpening)
			sibling := p.serve(onPath(port, ""), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
				body, _ := io.ReadAll(request.Body)
				fmt.Fprint(writer, request.Method, " ", request.URL.Path, " ", string(body))
			}))
			peer.await("the reset", isReset(opening.Stream))
			go peer.Await(func(service.Frame) bool { return false })
			wanted := strings.Fields(request)[0] + " / "
			if strings.Contains(request, "hello") {
				wanted += "hello"
			}
			w.expectReply("GET", 200, wanted)
			other.expectReply("GET", 200, "GET /other ")
			peer.Close()
			sibling.Close()
		}
	})
}

// What may be executed twice gets what clients of a held route get then; of everything else nobody knows.
func TestGoAwayLeavesARequestNoLongerThanItsHold(t *testing.T) {
	eachWaiting(t, []string{"--hold", "3s"}, func(t *testing.T, p *proxy) {
		for request, status := range map[string]int{"GET": 503, "counted": 502} {
			port := freePort(t)
			peer := p.dialPeer(onPath(port, ""))
			w := dial(t, port)
			w.send(requestsOfAll()[request])
			opening := peer.await("a stream", isOpening)
			peer.Send(goAway)
			peer.expectNone("within the hold", isReset(opening.Stream))
			peer.await("the reset", isReset(opening.Stream))
			if r := w.expectReply("GET", status, "*"); status == 503 && r.Header.Get("Retry-After") == "" {
				t.Error("the 503 has no Retry-After")
			}
			peer.Close()
		}
	})
}

func TestGoAwayAndTheEndLeaveARequestToTheNextService(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		w := dial(t, port)
		w.send(plainGET)
		opening := peer.await("a stream", isOpening)
		peer.Send(goAway)
		peer.expectNoneBeforePong("before the end", isReset(opening.Stream))
		from := p.stderr.count()
		peer.Close()
		p.awaitLog(sessionLost, from)
		p.serve(onPath(port, ""), text("next"))
		w.expectReply("GET", 200, "next")
	})
}

func TestGoAwayLeavesTheOnlyRawServiceWhatItHasNotAccepted(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		for _, hello := range []string{"", "hello"} {
			port := freePort(t)
			listener := p.listen(raw(port))
			w := dial(t, port)
			w.send(hello)
			eventually(t, "the stream lies in the queue", func() bool { return listener.Streams() == 1 })
			if err := listener.GoAway(); err != nil {
				t.Fatal(err)
			}
			if err := listener.Ping(); err != nil {
				t.Fatal(err)
			}
			stream, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			go echoStream(stream)
			w.expect(hello)
			w.exchange([]byte("and more"))
			listener.Close()
		}
	})
}

// reusing is a definition whose streams may carry several requests.
func reusing(port int) service.Definition {
	definition := onPath(port, "")
	definition.Attributes = map[string]string{"reuse-streams": "true"}
	return definition
}

func TestAStreamThatCarriedABodyIsNotReused(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		for what, request := range map[string]string{
			"PUT":     "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
			"chunked": "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
			"empty":   "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			"DELETE":  "DELETE / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
			"GET":     "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
			"POST":    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
			"OPTIONS": "OPTIONS / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		} {
			port := freePort(t)
			peer := p.dialPeer(reusing(port))
			w := dial(t, port)
			exchange := func(request string) service.Frame {
				w.send(request)
				end := request[strings.Index(request, "\r\n\r\n")+4:]
				got := ""
				var first service.Frame
				peer.await("the request", func(frame service.Frame) bool {
					if frame.Type == service.TypeData && len(frame.Payload) > 0 {
						if got == "" {
							first = frame
						}
						got += string(frame.Payload)
					}
					return strings.HasSuffix(got, "\r\n\r\n"+end)
				})
				if first.Flags&service.FlagSYN != 0 {
					peer.accept(first.Stream)
				}
				peer.replyWith(first.Stream, "ok")
				w.expectReply("GET", 200, "ok")
				return first
			}
			first := exchange(plainGET)
			if second := exchange(plainGET); second.Flags&service.FlagSYN != 0 || second.Stream != first.Stream {
				t.Fatalf("a second GET took %v", second)
			}
			carried := exchange(request)
			if next := exchange(plainGET); next.Flags&service.FlagSYN == 0 && next.Stream == carried.Stream {
				t.Errorf("%s: a GET took its stream: %v", what, next)
			}
			peer.Close()
		}
	})
}
