package endtoend

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// relayStreams is a session driven frame by frame whose streams are the services' ends of relays.
type relayStreams struct {
	t    *testing.T
	kind relayKind
	peer *peer

	lock    sync.Mutex
	streams map[uint32]*relayStream
	named   map[string]*relayStream
	pong    chan uint32
	failure error // of the session
}

// relayStream is one of them. It reads, and grants what it has read at once, until it is stopped.
type relayStream struct {
	session  *relayStreams
	id       uint32
	said     []byte // until the first line is whole
	isReady  bool
	received int
	stopped  bool
	owed     uint32 // what has been received and not been granted again
	window   int    // what may still be sent
	granted  *sync.Cond

	finSent, finReceived, resetSent, resetReceived bool
}

// dialStreams registers it. Each relay is known by the line with which its client begins.
func (k relayKind) dialStreams(p *proxy, port int) *relayStreams {
	p.t.Helper()
	s := &relayStreams{
		t: p.t, kind: k, peer: p.dialPeer(k.route(port)), streams: map[uint32]*relayStream{},
		named: map[string]*relayStream{}, pong: make(chan uint32, 1),
	}
	s.peer.SetDeadline(time.Time{})
	go func() {
		for {
			frame, err := s.peer.Receive()
			if err != nil {
				s.lock.Lock()
				s.failure = err
				s.lock.Unlock()
				return
			}
			s.received(frame)
		}
	}()
	return s
}

func (s *relayStreams) received(frame service.Frame) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if frame.Type == service.TypePing {
		if frame.Flags&service.FlagSYN != 0 {
			s.peer.Send(service.Frame{Type: service.TypePing, Flags: service.FlagACK, Length: frame.Length})
		} else {
			s.pong <- frame.Length
		}
	}
	if frame.Type > service.TypeWindowUpdate {
		return
	}
	if frame.Flags&service.FlagSYN != 0 {
		if old := s.streams[frame.Stream]; old != nil && !old.isOver() {
			s.t.Errorf("stream %d was opened a second time", frame.Stream)
		}
		s.open(frame.Stream)
	}
	if stream := s.streams[frame.Stream]; stream != nil {
		stream.note(frame)
	}
}

func (s *relayStreams) open(id uint32) {
	stream := &relayStream{session: s, id: id, window: service.InitialWindow, granted: sync.NewCond(&s.lock)}
	s.streams[id] = stream
	s.peer.Send(service.WindowUpdate(service.FlagACK, id, 0))
}

// isOver: the session's lock is held.
func (r *relayStream) isOver() bool {
	return r.resetSent || r.resetReceived || r.finSent && r.finReceived
}

func (r *relayStream) note(frame service.Frame) {
	r.finReceived = r.finReceived || frame.Flags&service.FlagFIN != 0
	r.resetReceived = r.resetReceived || frame.Flags&service.FlagRST != 0
	if frame.Type == service.TypeWindowUpdate {
		r.window += int(frame.Length)
	} else {
		payload := frame.Payload
		if !r.isReady {
			payload = r.begin(payload)
		}
		r.received += len(payload)
		r.owed += frame.Length
		if !r.stopped {
			r.grant(r.owed)
		}
	}
	r.granted.Broadcast()
}

// begin answers a client's head, and then its first line. Returns what lies behind it.
func (r *relayStream) begin(payload []byte) []byte {
	r.said = append(r.said, payload...)
	head := 0
	if r.session.kind.request != "" {
		end := bytes.Index(r.said, []byte("\r\n\r\n"))
		if end < 0 {
			return nil
		}
		head = end + 4
		if answer := r.session.kind.answer; answer != "" && r.window == service.InitialWindow {
			r.say([]byte(answer))
		}
	}
	line := bytes.IndexByte(r.said[head:], '\n')
	if line < 0 {
		return nil
	}
	r.isReady = true
	r.session.named[strings.TrimSpace(string(r.said[head:head+line]))] = r
	r.say([]byte("ready\n"))
	return r.said[head+line+1:]
}

func (r *relayStream) say(bytes []byte) {
	r.window -= len(bytes)
	r.session.peer.Send(service.Data(0, r.id, bytes))
}

func (r *relayStream) grant(count uint32) {
	if count > 0 && !r.isOver() {
		r.session.peer.Send(service.WindowUpdate(0, r.id, count))
	}
	r.owed -= count
}

// locked runs something with the session's lock held.
func (r *relayStream) locked(act func()) {
	r.session.lock.Lock()
	defer r.session.lock.Unlock()
	act()
}

// await is the stream of the relay with this name.
func (s *relayStreams) await(name string) (stream *relayStream) {
	s.t.Helper()
	eventually(s.t, "stream "+name, func() bool {
		s.lock.Lock()
		defer s.lock.Unlock()
		stream = s.named[name]
		return stream != nil
	})
	return stream
}

// fill sends until nothing has gone for a while, or so many bytes are out. Returns how many are.
func (r *relayStream) fill(atMost int, while time.Duration) (sent int) {
	r.session.lock.Lock()
	defer r.session.lock.Unlock()
	for chunk := make([]byte, 16<<10); sent < atMost; sent += len(chunk) {
		if len(chunk) > atMost-sent {
			chunk = chunk[:atMost-sent]
		}
		for deadline := time.Now().Add(while); r.window < len(chunk) && time.Now().Before(deadline) && !r.isOver(); {
			timer := time.AfterFunc(time.Until(deadline), r.granted.Broadcast)
			r.granted.Wait()
			timer.Stop()
		}
		if r.window < len(chunk) || r.isOver() || r.finSent {
			break
		}
		r.say(chunk)
	}
	return sent
}

func (r *relayStream) stop() { r.locked(func() { r.stopped = true }) }

// read takes what lies there, and everything that comes.
func (r *relayStream) read() {
	r.locked(func() {
		r.stopped = false
		r.grant(r.owed)
	})
}

// take takes some bytes of what lies there.
func (r *relayStream) take(count uint32) { r.locked(func() { r.grant(count) }) }

func (r *relayStream) finish() {
	r.locked(func() {
		if !r.finSent && !r.resetSent && !r.resetReceived {
			r.session.peer.Send(service.WindowUpdate(service.FlagFIN, r.id, 0))
		}
		r.finSent = true
	})
}

func (r *relayStream) reset() {
	r.locked(func() {
		if !r.isOver() {
			r.session.peer.Send(service.WindowUpdate(service.FlagRST, r.id, 0))
		}
		r.resetSent = true
	})
}

func (r *relayStream) has(count int) (has bool) {
	r.locked(func() { has = r.received >= count })
	return has
}

func (r *relayStream) hasEnded() (has bool) {
	r.locked(func() { has = r.finReceived })
	return has
}

func (r *relayStream) isReset() (is bool) {
	r.locked(func() { is = r.resetReceived })
	return is
}

// expectAlive checks that the session still answers pings.
func (s *relayStreams) expectAlive() {
	s.t.Helper()
	s.peer.Send(service.Frame{Type: service.TypePing, Flags: service.FlagSYN, Length: 77})
	if await(s.t, "the answer to a ping", s.pong) != 77 {
		s.t.Error("a ping was answered with another one's value")
	}
}
