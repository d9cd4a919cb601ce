package endtoend

import (
	"strconv"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

func portText(port int) string { return strconv.Itoa(port) }

// peer is a session driven frame by frame within a test.
type peer struct {
	t *testing.T
	*service.Peer
}

func (p *proxy) dialPeer(definition service.Definition) *peer {
	p.t.Helper()
	session, err := service.DialPeer(p.control, definition)
	if err != nil {
		p.t.Fatalf("registering %+v: %v", definition, err)
	}
	p.t.Cleanup(func() { session.Close() })
	session.SetDeadline(time.Now().Add(patience))
	return &peer{p.t, session}
}

// await reads frames until one satisfies the condition, for no longer than its patience.
func (p *peer) await(what string, condition func(service.Frame) bool) service.Frame {
	p.t.Helper()
	p.SetDeadline(time.Now().Add(patience))
	frame, err := p.Await(condition)
	if err != nil {
		p.t.Fatalf("waiting for %s: %v", what, err)
	}
	return frame
}

// awaitStream waits for the next stream that the proxy opens and accepts it.
func (p *peer) awaitStream() uint32 {
	p.t.Helper()
	opening := p.await("a stream", func(frame service.Frame) bool {
		return frame.Flags&service.FlagSYN != 0 &&
			frame.Type <= service.TypeWindowUpdate
	})
	p.Send(service.WindowUpdate(service.FlagACK, opening.Stream, 0))
	return opening.Stream
}

// expectLost reads until the proxy has ended the session.
func (p *peer) expectLost() {
	p.t.Helper()
	_, err := p.Await(func(service.Frame) bool { return false })
	if isTimeout(err) {
		p.t.Errorf("the session was not ended")
	}
}

// isAlive checks that the session still answers pings.
func (p *peer) isAlive() bool {
	p.SetDeadline(time.Now().Add(patience))
	if p.Send(service.Frame{Type: service.TypePing, Flags: service.FlagSYN, Length: 77}) != nil {
		return false
	}
	_, err := p.Await(func(frame service.Frame) bool {
		return frame.Type == service.TypePing && frame.Flags&service.FlagACK != 0 && frame.Length == 77
	})
	return err == nil
}

func isTimeout(err error) bool {
	timeout, isTimeout := err.(interface{ Timeout() bool })
	return isTimeout && timeout.Timeout()
}
