package endtoend

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// relayKind is a way in which a client and a service come to a relay.
type relayKind struct {
	name    string
	route   func(port int) service.Definition
	request string // the head by which the client asks for it, if there is one
	answer  string // the head by which the service grants it
	secure  bool
}

var (
	rawKind      = relayKind{name: "raw", route: raw}
	upgradedKind = relayKind{
		name: "upgraded", route: func(port int) service.Definition { return onPath(port, "/") },
		request: "GET /socket" + upgrade,
		answer:  "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
	}
	connectKind = relayKind{
		name: "CONNECT", route: func(port int) service.Definition { return onHost(port, "far.example", "/") },
		request: "CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n\r\n",
		answer:  "HTTP/1.1 200 Connected\r\n\r\n",
	}
	relayKinds = []relayKind{rawKind, upgradedKind, connectKind, rawKind.byTLS(), upgradedKind.byTLS()}
)

func (k relayKind) byTLS() relayKind {
	plain := k.route
	k.name, k.secure = k.name+" by TLS", true
	k.route = func(port int) service.Definition { return issue("p256", "a.example").with(plain(port)) }
	return k
}

// eachKind runs a test for all kinds of relays and all variants, side by side.
func eachKind(t *testing.T, flags []string, test func(t *testing.T, p *proxy, kind relayKind)) {
	t.Parallel()
	for _, kind := range relayKinds {
		kind := kind
		for _, v := range variants {
			v := v
			t.Run(kind.name+"/"+v.name, func(t *testing.T) {
				t.Parallel()
				test(t, startProxy(t, v.with(flags)...), kind)
			})
		}
	}
}

// serve registers a service whose relays begin with a line that tells it what to do. It says "ready" and does it; then it
// closes the stream.
func (k relayKind) serve(p *proxy, port int, act func(command string, stream net.Conn, reader io.Reader)) *service.Listener {
	return p.serveStreams(k.route(port), func(stream net.Conn) {
		reader := bufio.NewReader(stream)
		if k.request != "" {
			if _, err := readHead(reader); err != nil {
				return
			}
		}
		io.WriteString(stream, k.answer)
		command, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(stream, "ready\n")
		act(strings.TrimSpace(command), stream, reader)
	})
}

// relayClient is a client of a relay, with little room in its socket.
type relayClient struct {
	net.Conn
	socket *net.TCPConn
	reader *bufio.Reader
	sent   int  // by fill
	filled bool // no more went
}

// open makes a relay and tells its service what to do.
func (k relayKind) open(port int, command string) (*relayClient, error) {
	socket, err := dialTight(port)
	if err != nil {
		return nil, err
	}
	c := &relayClient{Conn: socket, socket: socket}
	c.SetDeadline(time.Now().Add(patience))
	if k.secure {
		secured := tls.Client(socket, secure("a.example"))
		if err := secured.Handshake(); err != nil {
			socket.Close()
			return nil, err
		}
		c.Conn = secured
	}
	c.reader = bufio.NewReaderSize(c.Conn, 4<<10)
	if err := k.begin(c, command); err != nil {
		socket.Close()
		return nil, err
	}
	c.SetDeadline(time.Time{})
	return c, nil
}

func (k relayKind) begin(c *relayClient, command string) error {
	if k.request != "" {
		io.WriteString(c, k.request)
		if head, err := readHead(c.reader); err != nil || head[:9] != "HTTP/1.1 " {
			return fmt.Errorf("%q was answered, %w", head, err)
		}
	}
	io.WriteString(c, command+"\n")
	if line, err := c.reader.ReadString('\n'); line != "ready\n" {
		return fmt.Errorf("%q was said instead of ready, %w", line, err)
	}
	return nil
}

// mustOpen is open for the test's own goroutine.
func (k relayKind) mustOpen(t *testing.T, port int, command string) *relayClient {
	t.Helper()
	c, err := k.open(port, command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.socket.Close() })
	c.SetReadDeadline(time.Now().Add(patience))
	return c
}

// standstill is how long nothing goes until nothing goes any more. E2E_PATIENCE scales it, too.
var standstill = 300 * time.Millisecond

// fill sends until nothing has gone for a while, or so many bytes are out. Returns how many are. What the stream's window
// holds goes in any case, however long it takes.
func (c *relayClient) fill(atMost int, while time.Duration) (sent int) {
	chunk := make([]byte, 32<<10)
	for sent < atMost && !c.filled {
		if len(chunk) > atMost-sent {
			chunk = chunk[:atMost-sent]
		}
		limit := while
		if c.sent < service.InitialWindow {
			limit = patience
		}
		c.SetWriteDeadline(time.Now().Add(limit))
		count, err := c.Write(chunk)
		sent, c.sent = sent+count, c.sent+count
		c.filled = err != nil
	}
	c.SetWriteDeadline(time.Time{})
	return sent
}

// finish ends the client's direction. Where nothing goes any more, close_notify does not go either.
func (c *relayClient) finish() {
	if secured, isSecure := c.Conn.(*tls.Conn); isSecure && !c.filled {
		secured.CloseWrite()
	} else {
		c.socket.CloseWrite()
	}
}

func (c *relayClient) reset() {
	c.socket.SetLinger(0)
	c.socket.Close()
}

// dialTight is a client for whom neither its own kernel nor the proxy's keeps much.
func dialTight(port int) (*net.TCPConn, error) {
	dialer := net.Dialer{Timeout: patience, Control: func(_, _ string, socket syscall.RawConn) (err error) {
		failure := socket.Control(func(fd uintptr) {
			for _, option := range [][3]int{
				{syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8 << 10}, {syscall.SOL_SOCKET, syscall.SO_SNDBUF, 16 << 10},
				{syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1448},
			} {
				if err == nil {
					err = syscall.SetsockoptInt(int(fd), option[0], option[1], option[2])
				}
			}
		})
		if failure != nil {
			return failure
		}
		return err
	}}
	connection, err := dialer.Dial("tcp", address(port))
	if err != nil {
		return nil, err
	}
	return connection.(*net.TCPConn), nil
}

// slotsComeBack waits until so few clients are left, for no longer than a slot may take to come back.
func (p *proxy) slotsComeBack(left int) bool {
	p.t.Helper()
	for deadline := time.Now().Add(patience * 12 / 20); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if p.figure("connections") <= left {
			return true
		}
	}
	return false
}

func (p *proxy) expectSlotsBack(left int) {
	p.t.Helper()
	if !p.slotsComeBack(left) {
		p.t.Fatalf("%d connections still have their slots, wanted %d", p.figure("connections"), left)
	}
}
