package endtoend

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// --relay-idle-timeout ends relays on which nobody has said a byte for so long. It is off unless it is asked for.

// idleFigure is how many relays were ended for their silence, whatever words are around it.
const idleFigure = `; so far: .*idle[a-z ]*`

func TestRelayIdleTimeoutIsATime(t *testing.T) {
	control := fmt.Sprint("127.0.0.1:", freePort(t))
	for _, value := range []string{"x", "-1s", "", "5", "1y"} {
		p := startProcess(t, program(), "--bind", control, "--relay-idle-timeout", value)
		if code := p.exitCode(); code != usage {
			t.Errorf("%q: exit code %d", value, code)
		}
		expectSentence(t, value, p, "relay-idle-timeout")
	}
	help := startProcess(t, program(), "--help")
	help.exitCode()
	if !strings.Contains(help.stdout.whole(), "--relay-idle-timeout ") {
		t.Error("--help does not know --relay-idle-timeout")
	}
}

// expectGone waits until the relay's client has been told, and its service.
func (c *relayClient) expectGone(t *testing.T, what string, stream *relayStream) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, c.reader); isTimeout(err) {
		t.Errorf("%s: the client was not told", what)
	}
	eventually(t, what+": the service is told", func() bool { return stream.isReset() || stream.hasEnded() })
}

func TestRelaysWithoutAByteAreEnded(t *testing.T) {
	eachKind(t, []string{"--relay-idle-timeout", "1s"}, func(t *testing.T, p *proxy, kind relayKind) {
		port := freePort(t)
		session := kind.dialStreams(p, port)
		silences := []string{"at once", "after some bytes", "the client has ended", "the service has ended"}
		var clients []*relayClient
		for _, silence := range silences {
			c := kind.mustOpen(t, port, silence)
			stream := session.await(silence)
			switch silence {
			case "after some bytes":
				c.fill(1000, patience)
				stream.fill(1000, patience)
			case "the client has ended":
				c.finish()
			case "the service has ended":
				stream.finish()
			}
			clients = append(clients, c)
		}
		for index, silence := range silences {
			clients[index].expectGone(t, silence, session.await(silence))
		}
		p.expectSlotsBack(0)
		if idle := p.figure(idleFigure); idle != len(silences) {
			t.Errorf("%d relays are said to have been idle, %d were", idle, len(silences))
		}
		session.expectAlive()
	})
}

// Nor need there ever have been a byte.
func TestRelaysOnWhichNobodySpeaksAreEnded(t *testing.T) {
	eachWaiting(t, []string{"--relay-idle-timeout", "1s"}, func(t *testing.T, p *proxy) {
		silent := func(stream net.Conn) { io.Copy(io.Discard, stream) }
		ports := map[string]int{}
		for what, definition := range map[string]service.Definition{
			"raw": raw(0), "with an address": withAddress(0),
			"TLS": issue("p256", "a.example").with(raw(0)), "beside HTTP": raw(0), "nobody accepts": raw(0),
		} {
			definition.Port = freePort(t)
			ports[what] = definition.Port
			switch what {
			case "beside HTTP":
				p.serve(onPath(definition.Port, ""), text("x"))
				p.serveStreams(definition, silent)
			case "nobody accepts":
				peer := p.dialPeer(definition)
				go peer.Await(func(service.Frame) bool { return false })
			default:
				p.serveStreams(definition, silent)
			}
		}
		const clients = 6
		var ends []func() error
		for what, port := range ports {
			what, port := what, port
			for number := 0; number < clients; number++ {
				ends = append(ends, func() error { return isEnded(what, port) })
			}
		}
		together(t, ends...)
		p.expectSlotsBack(0)
		if idle := p.figure(idleFigure); idle != len(ends) {
			t.Errorf("%d relays are said to have been idle, %d were", idle, len(ends))
		}
	})
}

// isEnded is a client that only waits for its end.
func isEnded(what string, port int) error {
	w, err := tryDial(port)
	if err != nil {
		return err
	}
	defer w.Close()
	connection := net.Conn(w)
	if what == "TLS" {
		connection = tls.Client(w, secure("a.example"))
		if err := connection.(*tls.Conn).Handshake(); err != nil {
			return err
		}
	}
	if count, err := io.Copy(io.Discard, connection); count > 0 || isTimeout(err) {
		return fmt.Errorf("%s: got %d bytes, %w", what, count, err)
	}
	return nil
}

// A byte in either direction is enough.
func TestRelaysWithAByteNowAndThenLive(t *testing.T) {
	eachKind(t, []string{"--relay-idle-timeout", "4s"}, func(t *testing.T, p *proxy, kind relayKind) {
		port := freePort(t)
		session := kind.dialStreams(p, port)
		talker, listener := kind.mustOpen(t, port, "talker"), kind.mustOpen(t, port, "listener")
		ended, deaf := kind.mustOpen(t, port, "ended"), kind.mustOpen(t, port, "deaf")
		ended.finish()
		session.await("deaf").finish()
		const rounds = 16
		for round := 0; round < rounds; round++ {
			time.Sleep(300 * time.Millisecond)
			talker.fill(1, patience)
			deaf.fill(1, patience)
			session.await("listener").fill(1, patience)
			session.await("ended").fill(1, patience)
		}
		for _, name := range []string{"talker", "deaf"} {
			stream := session.await(name)
			eventually(t, "what the client says to "+name, func() bool { return stream.has(rounds) })
		}
		for _, c := range []*relayClient{listener, ended} {
			c.SetReadDeadline(time.Now().Add(patience))
			if count, err := io.ReadFull(c.reader, make([]byte, rounds)); err != nil {
				t.Errorf("only %d bytes came, %v", count, err)
			}
		}
		if idle := p.figure(idleFigure); idle != 0 {
			t.Errorf("%d relays are said to have been idle", idle)
		}
	})
}

// Bulk that goes through pipes is no silence.
func TestBulkOfRelaysIsNoSilence(t *testing.T) {
	p := startProxy(t, append(plain.flags, "--relay-idle-timeout", "2s")...)
	port := freePort(t)
	serveFloods(p, raw(port))
	together(t,
		func() error { return down(port, 48<<20, 20*time.Millisecond) },
		func() error { return up(port, 1, 64<<20, 256<<10) })
}

// Who waits for a service that has gone is held, not idle.
func TestHeldClientsAreNotIdle(t *testing.T) {
	eachWaiting(t, []string{"--relay-idle-timeout", "1s", "--hold", "30s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.endSession(p.serveStreams(raw(port), echoStream))
		w := dial(t, port)
		w.send("hello")
		time.Sleep(2500 * time.Millisecond)
		p.serveStreams(raw(port), echoStream)
		w.expect("hello")
	})
}

// answerBeforeTheEnd is a service whose reply begins before the request's end: it echoes chunks.
func answerBeforeTheEnd(stream net.Conn) {
	reader := bufio.NewReader(stream)
	request, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	io.WriteString(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for piece := make([]byte, 100); ; {
		count, err := request.Body.Read(piece)
		if count > 0 {
			fmt.Fprintf(stream, "%x\r\n%s\r\n", count, piece[:count])
		}
		if err != nil {
			io.WriteString(stream, "0\r\n\r\n")
			return
		}
	}
}

// beginDuplex is a client within such an exchange.
func beginDuplex(t *testing.T, port int) *wire {
	t.Helper()
	w := dial(t, port)
	w.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	if head, err := readHead(w.reader); err != nil || !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Fatalf("got %q, %v", head, err)
	}
	w.expect("5\r\nhello\r\n")
	return w
}

// An exchange in which both may be silent counts as a relay.
func TestDuplexExchangesWithoutAByteAreEnded(t *testing.T) {
	eachWaiting(t, []string{"--relay-idle-timeout", "1s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		listener := p.serveStreams(onPath(port, "/"), answerBeforeTheEnd)
		w := beginDuplex(t, port)
		if rest, err := io.ReadAll(w.reader); len(rest) > 0 || isTimeout(err) {
			t.Errorf("got %q, %v; wanted the end", rest, err)
		}
		p.expectSlotsBack(0)
		eventually(t, "the stream is gone", func() bool { return listener.Streams() == 0 })
	})
}

func TestDuplexExchangesWithAByteNowAndThenLive(t *testing.T) {
	// Without the bound they live as long as their ends like, whatever --stall-timeout says.
	for _, flags := range [][]string{{"--relay-idle-timeout", "4s", "--stall-timeout", "1s"}, {"--stall-timeout", "1s"}} {
		flags := flags
		t.Run(fmt.Sprint(flags[0]), func(t *testing.T) {
			eachWaiting(t, flags, func(t *testing.T, p *proxy) {
				port := freePort(t)
				p.serveStreams(onPath(port, "/"), answerBeforeTheEnd)
				w := beginDuplex(t, port)
				for round := 0; round < 5; round++ {
					time.Sleep(1300 * time.Millisecond)
					w.extend()
					w.send("3\r\nnow\r\n")
					w.expect("3\r\nnow\r\n")
				}
				w.send("0\r\n\r\n")
				w.expect("0\r\n\r\n")
			})
		})
	}
}

// A reply that has begun and does not go on keeps its client waiting as a relay does. What is missing of it shows.
func TestRepliesThatStandStillAreEnded(t *testing.T) {
	eachWaiting(t, []string{"--relay-idle-timeout", "1s"}, func(t *testing.T, p *proxy) {
		for framing, isReset := range map[string]bool{
			"Content-Length: 100\r\n": false, "Transfer-Encoding: chunked\r\n": false, "": true,
		} {
			port := freePort(t)
			listener := p.serveStreams(onPath(port, ""), func(stream net.Conn) {
				io.WriteString(stream, "HTTP/1.1 200 OK\r\n"+framing+"\r\n")
				io.WriteString(stream, map[bool]string{true: "1\r\nx\r\n", false: "x"}[strings.HasPrefix(framing, "T")])
				io.Copy(io.Discard, stream)
			})
			w := dial(t, port)
			w.send(plainGET)
			rest, err := io.ReadAll(w.reader)
			if isTimeout(err) || (err != nil) != isReset || !strings.Contains(string(rest), "x") {
				t.Errorf("%q: got %s, %v; wanted the beginning and an end", framing, shorten(string(rest)), err)
			}
			eventually(t, "the stream is gone", func() bool { return listener.Streams() == 0 })
		}
		p.expectSlotsBack(0)
	})
}
