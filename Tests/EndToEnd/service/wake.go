package service

import (
	"net"
	"os"
	"sync"
	"time"
)

// Waking wraps a listener so that SetReadDeadline ends a read that is blocked already. Streams of older yamux versions
// look at the deadline only when a read begins, while net/http ends its background read by a deadline in the past,
// before Hijack and before the next request of a connection: without this it hangs until the peer says something.
func Waking(listener net.Listener) net.Listener {
	return wakingListener{listener}
}

type wakingListener struct{ net.Listener }

func (l wakingListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	waking := &wakingConnection{Conn: connection}
	waking.changed = sync.NewCond(&waking.lock)
	go waking.pump()
	return waking, nil
}

// wakingConnection reads on a goroutine of its own, at most one buffer ahead. A reader waits only for this side's lock.
type wakingConnection struct {
	net.Conn
	lock     sync.Mutex
	changed  *sync.Cond
	pending  []byte
	err      error // of the read that ended the pump
	deadline time.Time
	timer    *time.Timer
}

func (c *wakingConnection) pump() {
	buffer := make([]byte, 32<<10)
	for {
		count, err := c.Conn.Read(buffer)
		c.lock.Lock()
		c.pending, c.err = buffer[:count], err
		c.changed.Broadcast()
		for len(c.pending) > 0 {
			c.changed.Wait()
		}
		c.lock.Unlock()
		if err != nil {
			return
		}
	}
}

func (c *wakingConnection) Read(bytes []byte) (int, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	for {
		if !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
			return 0, os.ErrDeadlineExceeded
		}
		if len(c.pending) > 0 {
			count := copy(bytes, c.pending)
			c.pending = c.pending[count:]
			c.changed.Broadcast()
			return count, nil
		}
		if c.err != nil {
			return 0, c.err
		}
		c.changed.Wait()
	}
}

func (c *wakingConnection) SetReadDeadline(deadline time.Time) error {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.deadline = deadline
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if wait := time.Until(deadline); !deadline.IsZero() && wait > 0 {
		c.timer = time.AfterFunc(wait, c.wake)
	}
	c.changed.Broadcast()
	return nil
}

func (c *wakingConnection) wake() {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.changed.Broadcast()
}

func (c *wakingConnection) SetDeadline(deadline time.Time) error {
	c.SetReadDeadline(deadline)
	return c.Conn.SetWriteDeadline(deadline)
}

// Close drops what is pending, so that the pump comes to the end that closing gives it.
func (c *wakingConnection) Close() error {
	err := c.Conn.Close()
	c.lock.Lock()
	defer c.lock.Unlock()
	c.pending = nil
	if c.err == nil {
		c.err = net.ErrClosed
	}
	c.changed.Broadcast()
	return err
}
