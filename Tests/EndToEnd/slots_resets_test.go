package endtoend

import (
	"testing"
	"time"
)

// resettable are states of a relay in which little or nothing is received of its client, or sent to it.
var resettable = []struct {
	name    string
	prepare func(c *relayClient, stream *relayStream)
}{
	{"nothing has happened", func(*relayClient, *relayStream) {}},
	{"the service reads nothing", func(c *relayClient, stream *relayStream) {
		stream.stop()
		c.fill(1<<20, standstill)
	}},
	{"the service reads nothing and has ended", func(c *relayClient, stream *relayStream) {
		stream.stop()
		stream.finish()
		c.fill(1<<20, standstill)
	}},
	{"the service reads nothing, then ends", func(c *relayClient, stream *relayStream) {
		stream.stop()
		c.fill(1<<20, standstill)
		stream.finish()
	}},
	{"the service reads nothing, the client has ended", func(c *relayClient, stream *relayStream) {
		stream.stop()
		c.fill(1<<20, standstill)
		c.finish()
	}},
	{"the client reads nothing", func(c *relayClient, stream *relayStream) {
		stream.fill(1<<20, standstill)
	}},
	{"the client reads nothing and has ended", func(c *relayClient, stream *relayStream) {
		c.finish()
		stream.fill(1<<20, standstill)
	}},
	{"the client reads nothing, the service has ended", func(c *relayClient, stream *relayStream) {
		stream.fill(1<<20, standstill)
		stream.finish()
	}},
	{"nobody reads anything", func(c *relayClient, stream *relayStream) {
		stream.stop()
		c.fill(1<<20, standstill)
		stream.fill(1<<20, standstill)
	}},
	{"nobody reads anything, the service has ended", func(c *relayClient, stream *relayStream) {
		stream.stop()
		c.fill(1<<20, standstill)
		stream.fill(1<<20, standstill)
		stream.finish()
	}},
	{"the service has ended", func(c *relayClient, stream *relayStream) { stream.finish() }},
	{"the client has ended", func(c *relayClient, stream *relayStream) {
		c.finish()
		eventually(stream.session.t, "the client's end", stream.hasEnded)
	}},
}

// A client that resets is seen at once in each of these states, and not when something has been stalled for long enough.
func TestResetsOfClientsAreSeenAtOnceInEveryState(t *testing.T) {
	eachKind(t, []string{"--stall-timeout", "1m"}, func(t *testing.T, p *proxy, kind relayKind) {
		// The state may have been noticed when the reset comes, or be noticed together with it.
		for _, pause := range []time.Duration{0, 50 * time.Millisecond} {
			for _, state := range resettable {
				port := freePort(t)
				session := kind.dialStreams(p, port)
				c := kind.mustOpen(t, port, state.name)
				stream := session.await(state.name)
				state.prepare(c, stream)
				time.Sleep(pause)
				c.reset()
				if !p.slotsComeBack(0) {
					t.Fatalf("where %s, a reset %v later is not seen", state.name, pause)
				}
				eventually(t, "the service's reset where "+state.name, stream.isReset)
				session.expectAlive()
				session.peer.Close()
			}
		}
	})
}
