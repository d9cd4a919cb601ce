package endtoend

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// What holds a slot must end: a connection whose bytes nobody takes any more, and whose other direction is over.

// scarce: so few clients at once that a slot that does not come back stops new ones.
var scarce = []string{"--max-connections", "8", "--stall-timeout", "2s"}

// serveEnds serves relays whose service does what the client's line says.
func (k relayKind) serveEnds(p *proxy, port int) {
	over := make(chan struct{})
	p.t.Cleanup(func() { close(over) })
	k.serve(p, port, func(command string, stream net.Conn, reader io.Reader) {
		switch command {
		case "close": // and read no more, which is what Close of a stream means
		case "echo":
			io.Copy(stream, reader)
		case "flood and close":
			floodUntilNothingGoes(stream)
		case "flood and wait":
			floodUntilNothingGoes(stream)
			<-over
		}
	})
}

func floodUntilNothingGoes(stream net.Conn) {
	for chunk := make([]byte, 32<<10); ; {
		stream.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := stream.Write(chunk); err != nil {
			return
		}
	}
}

// takeAllSlots opens as many relays as there are slots, all at once, and does something with each.
func (k relayKind) takeAllSlots(t *testing.T, port int, command func(index int) string, act func(index int, c *relayClient)) {
	t.Helper()
	var group sync.WaitGroup
	for index := 0; index < 8; index++ {
		index := index
		group.Add(1)
		go func() {
			defer group.Done()
			c, err := k.open(port, command(index))
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { c.socket.Close() })
			act(index, c)
		}()
	}
	group.Wait()
}

// expectEcho checks that a new client is served.
func (k relayKind) expectEcho(t *testing.T, port int) {
	t.Helper()
	c := k.mustOpen(t, port, "echo")
	body := pattern(1, 50_000)
	go c.Write(body)
	echo := make([]byte, len(body))
	count, err := io.ReadFull(c.reader, echo)
	if diff := difference(echo[:count], body); diff != "" {
		t.Errorf("the echo: %s, %v", diff, err)
	}
	c.socket.Close()
}

// The ways in which a client that has sent until nothing goes may go on.
var clientEnds = []func(c *relayClient){
	(*relayClient).reset,
	(*relayClient).finish,
	func(*relayClient) {}, // silence
	func(c *relayClient) { c.finish(); time.Sleep(20 * time.Millisecond); c.reset() },
	func(c *relayClient) { c.socket.Close() },
	func(c *relayClient) { c.filled = false; go c.fill(64<<20, patience) },
	func(c *relayClient) { go io.Copy(io.Discard, c.reader); c.finish() },
	func(c *relayClient) { c.socket.CloseRead(); c.finish() },
}

func TestSlotsComeBackWhenTheServiceHasEndedAndReadsNoMore(t *testing.T) {
	eachKind(t, scarce, func(t *testing.T, p *proxy, kind relayKind) {
		port := freePort(t)
		kind.serveEnds(p, port)
		for round := 0; round < 2; round++ {
			closing := func(int) string { return "close" }
			kind.takeAllSlots(t, port, closing, func(index int, c *relayClient) {
				c.fill(16<<20, standstill)
				clientEnds[index](c)
			})
			p.expectSlotsBack(0)
			kind.expectEcho(t, port)
			p.expectSlotsBack(0)
		}
	})
}

func TestSlotsComeBackWhenTheClientHasEndedAndReadsNoMore(t *testing.T) {
	eachKind(t, scarce, func(t *testing.T, p *proxy, kind relayKind) {
		port := freePort(t)
		kind.serveEnds(p, port)
		commands := []string{"flood and close", "flood and wait"}
		kind.takeAllSlots(t, port, func(index int) string { return commands[index%2] }, func(index int, c *relayClient) {
			c.finish()
			if index >= 4 {
				time.Sleep(500 * time.Millisecond)
				c.reset()
			}
		})
		p.expectSlotsBack(0)
		kind.expectEcho(t, port)
	})
}

// The service has ended in good order, and its client takes nothing of what it has said.
func TestSlotsComeBackWhenTheServiceHasEndedAndItsClientReadsNothing(t *testing.T) {
	eachKind(t, scarce, func(t *testing.T, p *proxy, kind relayKind) {
		port := freePort(t)
		kind.serveEnds(p, port)
		kind.takeAllSlots(t, port, func(int) string { return "flood and close" }, func(int, *relayClient) {})
		p.expectSlotsBack(0)
		kind.expectEcho(t, port)
	})
}

// A service that computes for as long as it likes when its client has ended: no bytes wait, so nothing is stalled.
func TestHalfClosedRelaysLiveWhileTheServiceComputes(t *testing.T) {
	eachKind(t, []string{"--stall-timeout", "1s"}, func(t *testing.T, p *proxy, kind relayKind) {
		port := freePort(t)
		kind.serve(p, port, func(_ string, stream net.Conn, reader io.Reader) {
			question, _ := io.ReadAll(reader)
			time.Sleep(3500 * time.Millisecond)
			stream.Write(append([]byte("the answer to "), question...))
		})
		c := kind.mustOpen(t, port, "compute")
		io.WriteString(c, "everything")
		c.finish()
		if answer, err := io.ReadAll(c.reader); string(answer) != "the answer to everything" || err != nil {
			t.Errorf("got %q, %v", answer, err)
		}
	})
}

// The same the other way round: the service has ended, and its client says nothing for a while.
func TestHalfClosedRelaysLiveWhileTheClientComputes(t *testing.T) {
	eachKind(t, []string{"--stall-timeout", "2s"}, func(t *testing.T, p *proxy, kind relayKind) {
		port := freePort(t)
		session := kind.dialStreams(p, port)
		c := kind.mustOpen(t, port, "1")
		stream := session.await("1")
		stream.finish()
		if rest, err := io.ReadAll(c.reader); len(rest) > 0 || err != nil {
			t.Fatalf("got %q, %v; wanted the service's end", rest, err)
		}
		time.Sleep(5 * time.Second)
		late := pattern(2, 400_000)
		go func() {
			c.Write(late)
			c.finish()
		}()
		eventually(t, "all of it arrives", func() bool { return stream.has(len(late)) && stream.hasEnded() })
	})
}

// Whoever takes something now and then is not stalled, however little it is.
func TestHalfClosedRelaysLiveWhileTheirBytesAreTakenSlowly(t *testing.T) {
	eachKind(t, []string{"--stall-timeout", "2s"}, func(t *testing.T, p *proxy, kind relayKind) {
		port := freePort(t)
		session := kind.dialStreams(p, port)
		c := kind.mustOpen(t, port, "1")
		stream := session.await("1")
		stream.stop()
		stream.finish()
		const size = 1 << 20
		go c.Write(make([]byte, size))
		eventually(t, "the window is used up", func() bool { return stream.has(256 << 10) })
		for round := 0; round < 25; round++ {
			time.Sleep(200 * time.Millisecond)
			stream.take(1000)
		}
		stream.read()
		eventually(t, "the rest arrives", func() bool { return stream.has(size) })
		if stream.isReset() {
			t.Error("the stream was reset")
		}
	})
}
