package endtoend

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// Greedy clients ask one service for much more than may wait here, and take nothing. They may lose what they asked for;
// their session may not end, and clients of other services notice nothing.

const (
	greedyClients = 400
	greedySize    = 1 << 20
)

var fewBuffers = []string{"--buffer-limit", "8m"}

// greed is a way of asking for much.
type greed struct {
	name    string
	kind    relayKind // how the client comes to the service; requests are made on it by themselves
	isRaw   bool
	request string
	body    int  // what the client sends behind it
	burst   bool // all of them ask in the same moment
}

func (g greed) String() string { return g.name }

var webKind = relayKind{route: func(port int) service.Definition { return onHost(port, "a.example", "/") }}

func requestFor(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a.example\r\n\r\n" }

var greeds = []greed{
	{name: "counted bodies", kind: webKind, request: requestFor("/counted")},
	{name: "chunked bodies", kind: webKind, request: requestFor("/chunked")},
	{name: "bodies until the end", kind: webKind, request: requestFor("/until-close")},
	{name: "large heads", kind: webKind, request: requestFor("/head")},
	{name: "many small replies", kind: webKind, request: strings.Repeat(requestFor("/medium"), 100)},
	{name: "upgraded connections", kind: webKind, request: "GET /upgrade HTTP/1.1\r\nHost: a.example\r\n" +
		"Connection: Upgrade\r\nUpgrade: echo\r\n\r\n"},
	{name: "raw connections", kind: rawKind, isRaw: true, request: "GET /raw\r\n\r\n"},
	{name: "a burst of requests", kind: webKind, request: requestFor("/counted"), burst: true},
	{name: "a burst of raw connections", kind: rawKind, isRaw: true, request: "GET /raw\r\n\r\n", burst: true},
	{name: "counted uploads", kind: webKind, body: greedySize,
		request: fmt.Sprintf("POST /unread HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n", greedySize)},
	{name: "chunked uploads", kind: webKind, body: greedySize, request: "POST /unread HTTP/1.1\r\nHost: a.example\r\n" +
		fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", greedySize)},
	{name: "raw uploads", kind: rawKind, isRaw: true, request: "GET /unread\r\n\r\n", body: greedySize},
	{name: "counted bodies by TLS", kind: webKind.byTLS(), request: requestFor("/counted")},
	{name: "uploads by TLS", kind: webKind.byTLS(), body: greedySize,
		request: fmt.Sprintf("POST /unread HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n", greedySize)},
	{name: "raw connections by TLS", kind: rawKind.byTLS(), isRaw: true, request: "GET /raw\r\n\r\n"},
}

// serveGreedily answers a head by its path. A reply is written at once, as far as windows go.
func serveGreedily(over <-chan struct{}) func(stream net.Conn) {
	body := strings.Repeat("0123456789abcdef", greedySize/16)
	replies := map[string]string{
		"/small":       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall",
		"/counted":     fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
		"/chunked":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked([]byte(body), 10_000),
		"/until-close": "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body,
		"/head": "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Large: "+body[:1000]+"\r\n", 60) +
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body),
		"/medium":  fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 50_000, body[:50_000]),
		"/upgrade": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n" + body,
		"/raw":     body,
	}
	return func(stream net.Conn) {
		head, err := readHead(bufio.NewReader(stream))
		if err != nil {
			return
		}
		path := strings.Fields(head)[1]
		if path == "/unread" {
			<-over
		}
		io.WriteString(stream, replies[path])
	}
}

// begin asks, and takes nothing.
func (g greed) begin(port int, asking <-chan struct{}) (*net.TCPConn, error) {
	socket, err := dialTight(port)
	if err != nil {
		return nil, err
	}
	var connection net.Conn = socket
	if g.kind.secure {
		secured := tls.Client(socket, unnamed())
		socket.SetDeadline(time.Now().Add(patience))
		if err := secured.Handshake(); err != nil {
			return socket, err
		}
		connection = secured
	}
	go func() {
		<-asking
		connection.SetDeadline(time.Now().Add(4 * patience))
		io.WriteString(connection, g.request)
		connection.Write(make([]byte, g.body))
	}()
	return socket, nil
}

// beginAll makes all greedy clients ask, and returns what lets them go.
func (g greed) beginAll(t *testing.T, p *proxy, port int) (end func()) {
	t.Helper()
	asking := make(chan struct{})
	if !g.burst {
		close(asking)
	}
	var lock sync.Mutex
	var sockets []*net.TCPConn
	var group sync.WaitGroup
	for worker := 0; worker < 8; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for index := 0; index < greedyClients/8; index++ {
				socket, err := g.begin(port, asking)
				if err != nil {
					t.Errorf("a greedy client: %v", err)
				}
				lock.Lock()
				sockets = append(sockets, socket)
				lock.Unlock()
			}
		}()
	}
	group.Wait()
	if g.burst {
		p.suspend(t)
		close(asking)
		time.Sleep(100 * time.Millisecond)
		p.signal(syscall.SIGCONT)
	}
	return func() {
		for _, socket := range sockets {
			if socket != nil {
				socket.SetLinger(0)
				socket.Close()
			}
		}
	}
}

// neighbours are two other services and clients who ask them all the time: one on the greedy clients' port, if it takes
// requests, and one on another.
func (g greed) neighbours(p *proxy, port int) []*load {
	config, issued := (*tls.Config)(nil), func(definition service.Definition) service.Definition { return definition }
	if g.kind.secure {
		config, issued = unnamed(), issue("p256", "x").with
	}
	shared := port
	if g.isRaw {
		shared = freePort(p.t)
	}
	other := freePort(p.t)
	p.serve(issued(onHost(shared, "x", "/")), text("neighbour"))
	p.serve(onPath(other, "/"), text("another"))
	return []*load{startLoadBy(config, shared, "/", "neighbour"), startLoad(other, "/", "another")}
}

// expectNoLoss checks that no session has been lost since a line of the log.
func (p *proxy) expectNoLoss(from int) {
	p.t.Helper()
	lost := regexp.MustCompile(sessionLost)
	for _, line := range p.stderr.copy()[from:] {
		if lost.MatchString(line) {
			p.t.Errorf("a session was lost: %s", line)
		}
	}
}

func TestGreedyClientsCostNobodyElse(t *testing.T) {
	for index, g := range greeds {
		g := g
		t.Run(g.name, func(t *testing.T) {
			if index%6 == 0 && thorough() {
				each(t, fewBuffers, g.run)
			} else {
				g.run(t, startProxy(t, append(plain.flags, fewBuffers...)...))
			}
		})
	}
}

func (g greed) run(t *testing.T, p *proxy) {
	port := freePort(t)
	over := make(chan struct{})
	defer close(over)
	p.serveStreams(g.kind.route(port), serveGreedily(over))
	neighbours := g.neighbours(p, port)
	from := p.stderr.count()
	for _, load := range neighbours {
		load.awaitMore(t)
	}
	end := g.beginAll(t, p, port)
	for round := 0; round < 10; round++ {
		time.Sleep(100 * time.Millisecond)
		for _, load := range neighbours {
			load.awaitMore(t)
		}
	}
	for _, load := range neighbours {
		load.stop(t)
	}
	end()
	p.expectSlotsBack(0)
	g.expectServed(t, port)
	p.expectNoLoss(from)
}

// expectServed checks that the greedy clients' service serves a normal one.
func (g greed) expectServed(t *testing.T, port int) {
	t.Helper()
	client, err := tryDial(port)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var connection net.Conn = client
	if g.kind.secure {
		connection = tls.Client(client.TCPConn, unnamed())
	}
	io.WriteString(connection, requestFor("/small"))
	answer := make([]byte, len("HTTP/1.1 200 OK"))
	if count, err := io.ReadFull(connection, answer); string(answer) != "HTTP/1.1 200 OK" {
		t.Errorf("afterwards the service answers %q, %v", answer[:count], err)
	}
}

// Clients of the same service that take their bytes, slowly or not, are not those who have to go.
func TestGreedyClientsCostNobodyWhoReads(t *testing.T) {
	for _, g := range []greed{greeds[0], greeds[1], greeds[6]} {
		t.Run(g.name, func(t *testing.T) {
			p := startProxy(t, append(plain.flags, fewBuffers...)...)
			port := freePort(t)
			over := make(chan struct{})
			defer close(over)
			p.serveStreams(g.kind.route(port), serveGreedily(over))
			var works []func() error
			begun := make(chan struct{}, 8)
			for index := 0; index < cap(begun); index++ {
				works = append(works, func() error { return g.readSlowly(port, begun) })
			}
			works = append(works, func() error {
				for index := 0; index < cap(begun); index++ {
					<-begun
				}
				end := g.beginAll(t, p, port)
				time.Sleep(2 * time.Second)
				end()
				return nil
			})
			together(t, works...)
		})
	}
}

// readSlowly takes a megabyte in two or three seconds, and tells when it has been at it for a while.
func (g greed) readSlowly(port int, begun chan<- struct{}) error {
	var once sync.Once
	begin := func() { once.Do(func() { begun <- struct{}{} }) }
	defer begin()
	socket, err := dialTight(port)
	if err != nil {
		return err
	}
	defer socket.Close()
	socket.SetDeadline(time.Now().Add(2 * patience))
	io.WriteString(socket, g.request)
	got, space := 0, make([]byte, 8<<10)
	for got < greedySize {
		count, err := io.ReadFull(socket, space)
		got += count
		if err != nil && got < greedySize {
			return fmt.Errorf("a slow reader got %d bytes, %w", got, err)
		}
		if got >= 128<<10 {
			begin()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}
