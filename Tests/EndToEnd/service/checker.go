package service

import (
	"fmt"
	"net"
	"sync"
)

// backlog is how many streams a hashicorp/yamux server keeps that its application has not accepted yet.
const backlog = 256

// Checker follows both directions of a session and notes every rule that the proxy breaks towards the service. It is
// lenient by the time that frames are under way: what the service writes counts before the proxy can have seen it.
type Checker struct {
	lock       sync.Mutex
	fromProxy  headerScanner
	toProxy    headerScanner
	streams    map[uint32]*streamRecord
	unaccepted []uint32 // in the order of their opening; those aborted by the proxy stay, they lie in the backlog
	aborted    int      // how many of them are aborted
	first      uint32   // the id that was opened first; 0: none yet
	last       uint32   // the one that was opened last
	violations []string
}

type streamRecord struct {
	window                     int64 // what the proxy may still send
	finSent, resetSent, opened bool  // by the proxy
	accepted                   bool  // the service said anything on it
	finReceived, resetReceived bool  // said by the service
}

// isOver is whether the service's library has forgotten the stream.
func (r *streamRecord) isOver() bool {
	return r.resetSent || r.resetReceived || r.finSent && r.finReceived
}

// NewChecker returns a checker for one session, to be fed from the first byte after the handshake.
func NewChecker() *Checker {
	return &Checker{streams: map[uint32]*streamRecord{}}
}

// Violations are the broken rules so far.
func (c *Checker) Violations() []string {
	c.lock.Lock()
	defer c.lock.Unlock()
	return append([]string(nil), c.violations...)
}

// Opened are the ids of the streams that were opened first and last.
func (c *Checker) Opened() (first, last uint32) {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.first, c.last
}

// Wrap returns the connection with the checker listening on it.
func (c *Checker) Wrap(connection net.Conn) net.Conn {
	return &checkedConnection{connection, c}
}

type checkedConnection struct {
	net.Conn
	checker *Checker
}

func (c *checkedConnection) Read(bytes []byte) (int, error) {
	count, err := c.Conn.Read(bytes)
	c.checker.lock.Lock()
	c.checker.fromProxy.feed(bytes[:count], c.checker.proxySent)
	c.checker.lock.Unlock()
	return count, err
}

func (c *checkedConnection) Write(bytes []byte) (int, error) {
	c.checker.lock.Lock()
	c.checker.toProxy.feed(bytes, c.checker.serviceSent)
	c.checker.lock.Unlock()
	return c.Conn.Write(bytes)
}

func (c *Checker) violation(frame Frame, format string, arguments ...any) {
	if len(c.violations) < 20 {
		c.violations = append(c.violations, fmt.Sprintf(format, arguments...)+" ("+frame.String()+")")
	}
}

func (c *Checker) proxySent(frame Frame) {
	switch {
	case frame.Version != 0 || frame.Type > TypeGoAway:
		c.violation(frame, "no frame of yamux")
	case frame.Type == TypePing || frame.Type == TypeGoAway:
		if frame.Stream != 0 {
			c.violation(frame, "a session's frame that names a stream")
		}
	case frame.Flags&FlagSYN != 0:
		c.proxyOpened(frame)
		c.proxySentOnStream(frame)
	default:
		c.proxySentOnStream(frame)
	}
}

func (c *Checker) proxyOpened(frame Frame) {
	// Ids go round: what is above is a matter of serial arithmetic.
	old := c.streams[frame.Stream]
	isAbove := c.last == 0 || int32(frame.Stream-c.last) > 0
	if frame.Stream%2 != 1 || !isAbove || old != nil && !old.isOver() {
		c.violation(frame, "an id that is even, in use or not above the last one, %d", c.last)
		return
	}
	if c.first == 0 {
		c.first = frame.Stream
	}
	c.last = frame.Stream
	c.streams[frame.Stream] = &streamRecord{window: InitialWindow, opened: true}
	c.unaccepted = append(c.unaccepted, frame.Stream)
	// When all of them are aborted a probe a second is allowed. No test of ours lasts for more than a few of those.
	if len(c.unaccepted) > backlog && len(c.unaccepted)-1 > c.aborted || len(c.unaccepted) > backlog+60 {
		c.violation(frame, "%d streams that are not accepted, %d of them aborted", len(c.unaccepted), c.aborted)
	}
}

func (c *Checker) proxySentOnStream(frame Frame) {
	stream := c.streams[frame.Stream]
	if stream == nil {
		// The answer to a stream that the service opened is a reset: the only thing that may name an unknown stream.
		if frame.Stream%2 != 0 || frame.Flags != FlagRST {
			c.violation(frame, "a frame for a stream that was never opened")
		}
		return
	}
	if frame.Flags&FlagACK != 0 {
		c.violation(frame, "an acknowledgement of a stream that the proxy opened itself")
	}
	if stream.resetSent {
		c.violation(frame, "a frame after the reset")
	}
	if stream.finSent && (frame.Type == TypeData || frame.Flags&FlagFIN != 0) {
		c.violation(frame, "data or a second FIN after the FIN")
	}
	if frame.Type == TypeData {
		stream.window -= int64(frame.Length)
		if stream.window < 0 {
			c.violation(frame, "the window is exceeded by %d bytes", -stream.window)
		}
	}
	if frame.Flags&FlagFIN != 0 {
		stream.finSent = true
	}
	if frame.Flags&FlagRST != 0 && !stream.resetSent {
		stream.resetSent = true
		if !stream.accepted {
			c.aborted++
		}
	}
}

func (c *Checker) serviceSent(frame Frame) {
	stream := c.streams[frame.Stream]
	if stream == nil || frame.Type > TypeWindowUpdate {
		return
	}
	if frame.Type == TypeWindowUpdate {
		stream.window += int64(frame.Length)
	}
	stream.finReceived = stream.finReceived || frame.Flags&FlagFIN != 0
	stream.resetReceived = stream.resetReceived || frame.Flags&FlagRST != 0
	if frame.Flags&FlagRST != 0 {
		c.forget(func(id uint32) bool { return id == frame.Stream })
	} else if !stream.accepted {
		// Streams are accepted in the order of their opening, so this one vouches for all before it.
		isLater := false
		c.forget(func(id uint32) bool {
			matches := !isLater
			isLater = isLater || id == frame.Stream
			return matches
		})
	}
}

// forget takes streams out of those that are not accepted yet.
func (c *Checker) forget(matches func(uint32) bool) {
	kept := c.unaccepted[:0]
	for _, id := range c.unaccepted {
		if !matches(id) {
			kept = append(kept, id)
			continue
		}
		stream := c.streams[id]
		stream.accepted = true
		if stream.resetSent {
			c.aborted--
		}
	}
	c.unaccepted = kept
}

// headerScanner finds the headers in one direction of a session.
type headerScanner struct {
	header  []byte
	payload uint32 // bytes of it still to come
}

func (s *headerScanner) feed(bytes []byte, report func(Frame)) {
	for len(bytes) > 0 {
		if s.payload > 0 {
			skipped := len(bytes)
			if uint64(skipped) > uint64(s.payload) {
				skipped = int(s.payload)
			}
			s.payload -= uint32(skipped)
			bytes = bytes[skipped:]
			continue
		}
		missing := HeaderSize - len(s.header)
		if missing > len(bytes) {
			missing = len(bytes)
		}
		s.header = append(s.header, bytes[:missing]...)
		bytes = bytes[missing:]
		if len(s.header) == HeaderSize {
			frame := parseHeader(s.header)
			s.header = s.header[:0]
			if frame.Type == TypeData {
				s.payload = frame.Length
			}
			report(frame)
		}
	}
}
