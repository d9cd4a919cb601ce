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

// Whose turn it is: a body stalls only while its client has the next move. A service that keeps its client waiting is
// the affair of --reply-timeout, and in an exchange in which both may be silent nobody is late.

// longerThanAStall is slept by those who are not to be cut, and decides nothing for a right proxy.
const longerThanAStall = 5 * time.Second

var stalling = []string{"--stall-timeout", "2s", "--head-timeout", "2s", "--idle-timeout", "2s"}

func TestTurnOfAServiceThatTakesItsTimeToSay100(t *testing.T) {
	eachWaiting(t, stalling, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, ""), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			time.Sleep(longerThanAStall)
			digest().ServeHTTP(writer, request) // whose first read makes net/http send 100
		}))
		body := strings.Repeat("hello", 1000)
		var works []func() error
		for what, framing := range map[string]struct{ field, body string }{
			"counted": {fmt.Sprint("Content-Length: ", len(body)), body},
			"chunked": {"Transfer-Encoding: chunked", chunked([]byte(body), 700)},
		} {
			for _, expectation := range []string{"100-continue", "100-Continue, x", "x, 100-continue"} {
				what, expectation, framing := what, expectation, framing
				works = append(works, func() error {
					w, err := tryDial(port)
					if err != nil {
						return err
					}
					defer w.Close()
					io.WriteString(w, "PUT / HTTP/1.1\r\nHost: x\r\nExpect: "+expectation+"\r\n"+framing.field+"\r\n\r\n")
					if r, err := w.tryReply("PUT"); err != nil || r.StatusCode != 100 {
						return fmt.Errorf("%s, %s: got %v, %w in place of 100", what, expectation, r.Response, err)
					}
					w.extend()
					io.WriteString(w, framing.body)
					r, err := w.tryReply("PUT")
					if err != nil || r.StatusCode != 200 || r.body != digestOf("PUT", []byte(body)) {
						return fmt.Errorf("%s, %s: got %v, %s, %w", what, expectation, r.Response, shorten(r.body), err)
					}
					return nil
				})
			}
		}
		together(t, works...)
	})
}

func TestTurnOfTheClientBegins(t *testing.T) {
	eachWaiting(t, stalling, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, ""), digest())
		w := dial(t, port)
		w.send("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
		w.expectReply("PUT", 100, "")
		w.expectReply("PUT", 408, "*")
		w.expectEnd()
	})
}

// Who has begun with the body waits for nobody: a service that has seen some of it may leave 100 out (RFC 9110 §10.1.1).
func TestTurnIsTheClientsOnceItsBodyHasBegun(t *testing.T) {
	eachWaiting(t, stalling, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveStreams(onPath(port, ""), func(stream net.Conn) { io.Copy(io.Discard, stream) })
		for _, begun := range []string{"Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\na\r\nhello"} {
			for _, between := range []time.Duration{0, 50 * time.Millisecond} {
				w := dial(t, port)
				head, body, _ := strings.Cut(begun, "\r\n\r\n")
				head = "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n" + head + "\r\n\r\n"
				if between > 0 {
					w.send(head)
					time.Sleep(between)
					head = ""
				}
				w.send(head + body)
				w.expectReply("PUT", 408, "*")
				w.expectEnd()
			}
		}
	})
}

// With a limit for replies it is that one which ends a request whose service says nothing at all.
func TestTurnOfAServiceThatSaysNothingIsTheReplysTimeout(t *testing.T) {
	eachWaiting(t, append(stalling, "--reply-timeout", "3s"), func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveStreams(onPath(port, ""), func(stream net.Conn) { io.Copy(io.Discard, stream) })
		for _, framing := range []string{"Content-Length: 5", "Transfer-Encoding: chunked"} {
			w := dial(t, port)
			w.send("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n" + framing + "\r\n\r\n")
			w.expectReply("PUT", 504, "*")
		}
	})
}

// answerThenEcho answers at once and then echoes what comes, as gRPC and its like do.
func answerThenEcho(head string, isChunked bool) func(net.Conn) {
	return func(stream net.Conn) {
		reader := bufio.NewReader(stream)
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		io.WriteString(stream, head)
		say := func(text string) {
			if isChunked {
				text = fmt.Sprintf("%x\r\n%s\r\n", len(text), text)
			}
			io.WriteString(stream, text)
		}
		say("begun")
		part := make([]byte, 100)
		for {
			count, err := request.Body.Read(part)
			if count > 0 {
				say(string(part[:count]))
			}
			if err != nil {
				break
			}
		}
		if isChunked {
			io.WriteString(stream, "0\r\n\r\n")
		}
	}
}

func TestTurnOfNobodyOnceAReplyHasBegun(t *testing.T) {
	eachWaiting(t, stalling, func(t *testing.T, p *proxy) {
		var exchanges []func() error
		for what, answer := range map[string]struct {
			head      string
			isChunked bool
		}{
			"chunked":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true},
			"counted":      {"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n", false},
			"to the end":   {"HTTP/1.1 200 OK\r\n\r\n", false},
			"after a hint": {"HTTP/1.1 103 Hint\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true},
		} {
			port := freePort(t)
			p.serveStreams(onPath(port, ""), answerThenEcho(answer.head, answer.isChunked))
			for _, framing := range [][3]string{
				{"Transfer-Encoding: chunked", "6\r\nfirst,\r\n", "6\r\nsecond\r\n0\r\n\r\n"},
				{"Content-Length: 12", "first,", "second"},
			} {
				what, framing := what+", "+framing[0], framing
				exchanges = append(exchanges, func() error {
					if err := converse(port, framing); err != nil {
						return fmt.Errorf("%s: %w", what, err)
					}
					return nil
				})
			}
		}
		together(t, exchanges...)
	})
}

// converse hears the beginning of the reply, and then says two parts of its request, each after a silence, and hears
// their echoes.
func converse(port int, framing [3]string) error {
	w, err := tryDial(port)
	if err != nil {
		return err
	}
	defer w.Close()
	io.WriteString(w, "POST / HTTP/1.1\r\nHost: x\r\n"+framing[0]+"\r\n\r\n")
	response, err := http.ReadResponse(w.reader, nil)
	if err == nil && response.StatusCode == 103 {
		response, err = http.ReadResponse(w.reader, nil)
	}
	if err != nil || response.StatusCode != 200 {
		return fmt.Errorf("got %v, %w", response, err)
	}
	for part, wanted := range []string{"begun", "first,", "second"} {
		if part > 0 {
			time.Sleep(longerThanAStall)
			w.extend()
			io.WriteString(w, framing[part])
		}
		got := make([]byte, len(wanted))
		if count, err := io.ReadFull(response.Body, got); string(got) != wanted {
			return fmt.Errorf("got %q for %q, %w", got[:count], wanted, err)
		}
	}
	if rest, err := io.ReadAll(response.Body); len(rest) > 0 || err != nil {
		return fmt.Errorf("%q and %v in place of the end", rest, err)
	}
	return nil
}

func TestTurnOfTheClientIsNotOverByAnInterimReply(t *testing.T) {
	eachWaiting(t, stalling, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveStreams(onPath(port, ""), func(stream net.Conn) {
			io.WriteString(stream, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
			io.Copy(io.Discard, stream)
		})
		w := dial(t, port)
		w.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello")
		w.expectReply("POST", 103, "")
		w.expectReply("POST", 408, "*")
	})
}

// A reply has its own time from its first byte on, however long it was waited for. Clients come all over the time in
// which the proxy looks at each of them once, so that it looks at some in the moment in which their reply begins.
func TestTurnOfTheClientToTakeBeginsWithItsReply(t *testing.T) {
	eachWaiting(t, append(stalling, "--hold", "10s"), func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			time.Sleep(longerThanAStall)
			large(writer, request)
		}))
		p.endSession(p.serve(onPath(port, "/away"), text("away")))
		var clients []func() error
		for number := 0; number < 300; number++ {
			number := number
			clients = append(clients, func() error {
				time.Sleep(time.Duration(number) * 300 * time.Microsecond)
				if number%3 == 0 {
					return takes(port, "/100000", 200, 100_000)
				}
				return takes(port, "/away", 503, -1)
			})
		}
		together(t, clients...)
	})
}

// takes asks for a path and checks the status and, unless it is negative, the size.
func takes(port int, path string, status, size int) error {
	w, err := tryDial(port)
	if err != nil {
		return err
	}
	defer w.Close()
	io.WriteString(w, asking(path))
	r, err := w.tryReply("GET")
	if err != nil || r.StatusCode != status || size >= 0 && !isLarge([]byte(r.body), size) {
		return fmt.Errorf("%s: got %v with %d bytes, %v", path, r.Response, len(r.body), err)
	}
	return nil
}
