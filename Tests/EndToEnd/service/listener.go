package service

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// Listener accepts the streams of one session.
type Listener struct {
	session    *yamux.Session
	checker    *Checker
	complaints *complaints

	// Attributes of the proxy's response, nil if the definition had none.
	Attributes map[string]string
}

// Listen registers at a control address and returns the session as a listener.
func Listen(control string, definition Definition) (*Listener, error) {
	connection, err := Dial(control)
	if err != nil {
		return nil, err
	}
	connection.SetDeadline(time.Now().Add(30 * time.Second))
	attributes, err := Register(connection, definition)
	if err != nil {
		connection.Close()
		return nil, err
	}
	connection.SetDeadline(time.Time{})
	listener, err := Serve(connection)
	if err != nil {
		connection.Close()
		return nil, err
	}
	listener.Attributes = attributes
	return listener, nil
}

// Serve makes a listener of a connection whose handshake is done.
func Serve(connection net.Conn) (*Listener, error) {
	listener := &Listener{checker: NewChecker(), complaints: &complaints{}}
	configuration := yamux.DefaultConfig()
	configuration.LogOutput = listener.complaints
	session, err := yamux.Server(listener.checker.Wrap(connection), configuration)
	if err != nil {
		return nil, err
	}
	listener.session = session
	return listener, nil
}

// Accept waits for the next stream.
func (l *Listener) Accept() (net.Conn, error) { return l.session.Accept() }

// Close ends the session at once, and with it all streams.
func (l *Listener) Close() error { return l.session.Close() }

// Addr is the local end of the session.
func (l *Listener) Addr() net.Addr { return l.session.Addr() }

// Done is closed when the session has ended.
func (l *Listener) Done() <-chan struct{} { return l.session.CloseChan() }

// Streams is the number of streams that are not closed on both sides.
func (l *Listener) Streams() int { return l.session.NumStreams() }

// Opened are the ids of the streams that were opened first and last.
func (l *Listener) Opened() (first, last uint32) { return l.checker.Opened() }

// GoAway tells the proxy to open no more streams.
func (l *Listener) GoAway() error { return l.session.GoAway() }

// Ping waits for the proxy's answer, which comes after it has understood everything sent before.
func (l *Listener) Ping() error {
	_, err := l.session.Ping()
	return err
}

// Drain ends the session politely: no new streams, the open ones may finish until the limit.
func (l *Listener) Drain(limit time.Duration) {
	deadline := time.Now().Add(limit)
	if l.GoAway() == nil {
		for l.Streams() > 0 && !l.session.IsClosed() && time.Now().Before(deadline) {
			time.Sleep(5 * time.Millisecond)
		}
	}
	l.Close()
}

// Violations are the rules of yamux that the proxy broke on this session.
func (l *Listener) Violations() []string {
	return append(l.checker.Violations(), l.complaints.all()...)
}

// complaints keeps those messages of the yamux library that only a peer's fault can cause.
type complaints struct {
	lock     sync.Mutex
	messages []string
}

func (c *complaints) Write(message []byte) (int, error) {
	// What the library says when its own session was closed in the middle of a frame.
	if bytes.Contains(message, []byte("failed to send go away: session shutdown")) {
		return len(message), nil
	}
	for _, fault := range []string{
		"receive window exceeded", "duplicate stream", "nvalid protocol version", "go away", "inflight SYN",
		"unexpected frame flag", "backlog exceeded",
	} {
		if strings.Contains(string(message), fault) {
			c.lock.Lock()
			c.messages = append(c.messages, fmt.Sprintf("yamux says: %s", bytes.TrimSpace(message)))
			c.lock.Unlock()
			break
		}
	}
	return len(message), nil
}

func (c *complaints) all() []string {
	c.lock.Lock()
	defer c.lock.Unlock()
	return append([]string(nil), c.messages...)
}
