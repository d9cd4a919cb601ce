package endtoend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// refusal sends bytes to the control address, as far as they are taken, and returns the sentence of the refusal.
func (p *proxy) refusal(registration []byte) (string, error) {
	connection, err := service.Dial(p.control)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(patience))
	connection.Write(registration) // may break off: the proxy need not read what it refuses
	_, err = service.ReadResponse(connection, false)
	var refused service.Refused
	if !errors.As(err, &refused) {
		return "", fmt.Errorf("instead of a refusal: %v", err)
	}
	if rest, err := io.ReadAll(connection); len(rest) > 0 || isTimeout(err) {
		return "", fmt.Errorf("after %q came %q, %v; wanted the end", refused.Sentence, rest, err)
	}
	return refused.Sentence, nil
}

// expectRefused checks that a registration is refused with a sentence, in which all words must stand.
func (p *proxy) expectRefused(what string, registration []byte, words ...string) {
	p.t.Helper()
	sentence, err := p.refusal(registration)
	if err != nil {
		p.t.Errorf("%s: %v", what, err)
		return
	}
	if len(sentence) < 15 || !strings.Contains(sentence, " ") || strings.ContainsAny(sentence, "\n\x00") {
		p.t.Errorf("%s: %q is no sentence", what, sentence)
	}
	for _, word := range words {
		if !strings.Contains(strings.ToLower(sentence), strings.ToLower(word)) {
			p.t.Errorf("%s: %q does not say %q", what, sentence, word)
		}
	}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// head is a registration up to its flags.
func head(address string, port int, flags byte) []byte {
	return join(service.String(address), service.Int(port), []byte{flags})
}

func TestRegistrationOutOfBoundsIsRefused(t *testing.T) {
	p := once(t)
	port, otherPort := freePort(t), freePort(t)
	p.serve(onPath(port, "/"), text("served"))
	var many []byte
	for index := 0; index < 65; index++ {
		many = append(many, join(service.String(fmt.Sprint("name", index)), service.String("x"))...)
	}
	good := head("127.0.0.1", otherPort, service.FlagHTTP)
	for what, registration := range map[string][]byte{
		"address of a huge length":     join(service.Int(1<<62), []byte("x")),
		"address of a negative length": join(service.Int(-1), []byte("x")),
		"address of the least length":  join(service.Int(-1<<63), []byte("x")),
		"address of 256 bytes":         join(service.Int(256), bytes.Repeat([]byte("1"), 256)),
		"port -1":                      head("127.0.0.1", -1, 0),
		"port 65536":                   head("127.0.0.1", 65536, 0),
		"port of 2^32 + 80":            head("127.0.0.1", 1<<32+80, 0),
		"suffix of a negative length":  join(good, service.Int(-5)),
		"suffix of 254 bytes":          join(good, service.Int(254), bytes.Repeat([]byte("a"), 254)),
		"suffix with a space":          join(good, service.String("a b"), service.String("/")),
		"suffix with a foreign port":   join(good, service.String("a.example:1"), service.String("/")),
		"prefix of a negative length":  join(good, service.String(""), service.Int(-1)),
		"prefix of 8193 bytes":         join(good, service.String(""), service.Int(8193), bytes.Repeat([]byte("/"), 8193)),
		"prefix of a huge length":      join(good, service.String(""), service.Int(1<<40)),
		"prefix without a slash":       join(good, service.String(""), service.String("abc")),
		"certificate of 2 MiB": join(head("127.0.0.1", otherPort, service.FlagTLS), service.Int(2<<20),
			make([]byte, 2<<20)),
		"certificate of a negative length": join(head("127.0.0.1", otherPort, service.FlagTLS), service.Int(-1)),
		"certificate that is none": join(head("127.0.0.1", otherPort, service.FlagTLS), service.String("x"),
			service.String("y")),
		"unknown flag":    head("127.0.0.1", otherPort, 1<<3),
		"all flags":       head("127.0.0.1", otherPort, 0xff),
		"65 attributes":   join(head("127.0.0.1", otherPort, service.FlagAttributes), service.Int(65), many),
		"-1 attributes":   join(head("127.0.0.1", otherPort, service.FlagAttributes), service.Int(-1)),
		"2^61 attributes": join(head("127.0.0.1", otherPort, service.FlagAttributes), service.Int(1<<61)),
		"attribute of 5000": join(head("127.0.0.1", otherPort, service.FlagAttributes), service.Int(1),
			service.Int(5000)),
		"an address not of here":      head("203.0.113.5", otherPort, 0),
		"a name as address":           head("example.com", otherPort, 0),
		"half an address":             head("127.0.0", otherPort, 0),
		"an address with zeros":       head("127.0.0.1\x00", otherPort, 0),
		"an IPv6 address not of here": head("2001:db8::5", otherPort, 0),
		"an HTTP request":             []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
	} {
		p.expectRefused(what, registration)
	}
	expectServed(t, port, "/", "served")
}

func TestRegistrationThatOverlapsAnotherListenerIsRefused(t *testing.T) {
	p := once(t)
	port := freePort(t)
	p.serve(onPath(port, "/"), text("first"))
	p.expectRefused("all addresses", join(head("", port, 0)), fmt.Sprint(port))
	p.expectRefused("all IPv4 addresses", join(head("0.0.0.0", port, 0)), fmt.Sprint(port))
	port = freePort(t)
	everywhere := onPath(port, "/")
	everywhere.Address = ""
	p.serve(everywhere, text("second"))
	p.expectRefused("one address", join(head("127.0.0.1", port, 0)), fmt.Sprint(port))
	p.expectRefused("one IPv6 address", join(head("::1", port, 0)), fmt.Sprint(port))
	expectServed(t, port, "/", "second")
}

func TestRegistrationOfAPortOfAnotherProgramIsRefused(t *testing.T) {
	p := once(t)
	reusePort := net.ListenConfig{Control: func(_, _ string, connection syscall.RawConn) (err error) {
		connection.Control(func(fd uintptr) {
			const soReusePort = 15 // Go's syscall package has no name for it
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soReusePort, 1)
		})
		return err
	}}
	for what, configuration := range map[string]net.ListenConfig{"plain": {}, "SO_REUSEPORT": reusePort} {
		for _, address := range []string{"127.0.0.1", ""} {
			port := freePort(t)
			taken, err := configuration.Listen(context.Background(), "tcp", fmt.Sprint(address, ":", port))
			if err != nil {
				t.Fatal(err)
			}
			p.expectRefused(fmt.Sprintf("%s %q", what, address), head("127.0.0.1", port, 0), fmt.Sprint(port))
			taken.Close()
			// As soon as the other program has left, the port is ours.
			p.serve(onPath(port, "/"), text("ours"))
			expectServed(t, port, "/", "ours")
		}
	}
	// And the other way round: a port of ours is not anybody else's, whatever they set.
	port := freePort(t)
	p.serve(onPath(port, "/"), text("ours"))
	if stranger, err := reusePort.Listen(context.Background(), "tcp", address(port)); err == nil {
		stranger.Close()
		t.Error("a stranger could listen beside us")
	}
}

func TestRegistrationOfAPortOfAnotherProxyIsRefused(t *testing.T) {
	first, second := once(t), once(t)
	port := freePort(t)
	first.serve(onPath(port, "/"), text("first"))
	second.expectRefused("port of another proxy", head("127.0.0.1", port, 0), fmt.Sprint(port))
	for round := 0; round < 20; round++ {
		expectServed(t, port, "/", "first")
	}
}

func TestRegistrationThatIsTruncatedOrSilentTimesOut(t *testing.T) {
	p := onceWaiting(t)
	whole := onHost(freePort(t), "a.example", "/").Encode()
	var connections []net.Conn
	for cut := 0; cut < len(whole); cut += 5 {
		connection, err := service.Dial(p.control)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		connection.Write(whole[:cut])
		connections = append(connections, connection)
	}
	for index, connection := range connections {
		connection.SetDeadline(time.Now().Add(patience))
		_, err := service.ReadResponse(connection, false)
		var refused service.Refused
		if isTimeout(err) || err == nil {
			t.Errorf("cut at %d: %v", 5*index, err)
		} else if !errors.As(err, &refused) {
			t.Errorf("cut at %d: closed without a sentence: %v", 5*index, err)
		}
	}
	// One that is cut and ended is forgotten at once.
	before := p.descriptors()
	for cut := 0; cut < len(whole); cut++ {
		connection, err := service.Dial(p.control)
		if err != nil {
			t.Fatal(err)
		}
		connection.Write(whole[:cut])
		connection.Close()
	}
	eventually(t, "the connections are closed", func() bool { return p.descriptors() <= before })
}

func TestRegistrationIsNotDelayedBySilentOnes(t *testing.T) {
	p := once(t)
	for index := 0; index < 500; index++ {
		connection, err := service.Dial(p.control)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		if index%2 == 0 {
			connection.Write(service.Int(9))
		}
	}
	port := freePort(t)
	started := time.Now()
	p.serve(onPath(port, "/"), text("served"))
	expectServed(t, port, "/", "served")
	// The silent ones' own deadline is 5 s: having waited for them would show.
	if took := time.Since(started); took > 4*time.Second {
		t.Errorf("the registration took %v", took)
	}
}

func TestRegistrationOf300RandomOnesHurtsNobody(t *testing.T) {
	p := once(t)
	port := freePort(t)
	p.serve(onPath(port, "/"), text("served"))
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewSource(seed))
	for index := 0; index < 300; index++ {
		connection, err := service.Dial(p.control)
		if err != nil {
			t.Fatal(err)
		}
		garbage := make([]byte, random.Intn(2000))
		random.Read(garbage)
		if index%2 == 0 {
			// A good one with a few bytes changed. Its port is one that nobody has.
			garbage = onHost(freePort(t), "a.example", "/a/b").Encode()
			for changes := 1 + random.Intn(3); changes > 0; changes-- {
				garbage[random.Intn(len(garbage))] = byte(random.Intn(256))
			}
		}
		connection.Write(garbage)
		if index%3 == 0 {
			connection.(*net.TCPConn).SetLinger(0)
		}
		connection.Close()
		if index%30 == 0 {
			expectServed(t, port, "/", "served")
		}
	}
	expectServed(t, port, "/", "served")
	p.serve(onPath(port, "/new"), text("new"))
	expectServed(t, port, "/new", "new")
}

func TestRegistrationsAreBoundedByMaxSessions(t *testing.T) {
	p := once(t, "--max-sessions", "4")
	port := freePort(t)
	var listeners []*service.Listener
	for index := 0; index < 4; index++ {
		listeners = append(listeners, p.serve(onPath(port, "/"), text("served")))
	}
	p.expectRefused("the fifth", onPath(port, "/").Encode())
	expectServed(t, port, "/", "served")
	listeners[0].Close()
	eventually(t, "there is room for a session", func() bool {
		listener, err := service.Listen(p.control, onPath(port, "/new"))
		if err == nil {
			defer listener.Close()
		}
		return err == nil
	})
}
