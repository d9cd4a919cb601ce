package service

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
)

// accept plays the proxy for one registration: it notes the bytes, answers, and opens streams as yamux's client.
func accept(t *testing.T, definition Definition, response []byte) (string, chan *yamux.Session, chan []byte) {
	t.Helper()
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close() })
	sessions, registrations := make(chan *yamux.Session, 1), make(chan []byte, 1)
	go func() {
		connection, err := control.Accept()
		if err != nil {
			return
		}
		registration := make([]byte, len(definition.Encode()))
		io.ReadFull(connection, registration)
		registrations <- registration
		connection.Write(response)
		configuration := yamux.DefaultConfig()
		configuration.LogOutput = io.Discard
		session, err := yamux.Client(connection, configuration)
		if err == nil {
			sessions <- session
		}
	}()
	return control.Addr().String(), sessions, registrations
}

func open(t *testing.T, definition Definition) (*Listener, *yamux.Session) {
	t.Helper()
	control, sessions, _ := accept(t, definition, String("OK"))
	listener, err := Listen(control, definition)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	session := <-sessions
	t.Cleanup(func() { session.Close() })
	return listener, session
}

func TestRegistrationHasTheFieldsInTheirOrder(t *testing.T) {
	definition := Definition{
		Address: "localhost", Port: 8000, HTTP: &HTTP{"example.com", "/a"}, Attributes: map[string]string{"name": "x"},
	}
	response := append(String("OK"), append(Int(1), append(String("port"), String("8000")...)...)...)
	control, _, registrations := accept(t, definition, response)
	listener, err := Listen(control, definition)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	wanted := "\x00\x00\x00\x00\x00\x00\x00\x09localhost\x00\x00\x00\x00\x00\x00\x1f\x40\x05" +
		"\x00\x00\x00\x00\x00\x00\x00\x0bexample.com\x00\x00\x00\x00\x00\x00\x00\x02/a" +
		"\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x04name\x00\x00\x00\x00\x00\x00\x00\x01x"
	if registration := string(<-registrations); registration != wanted {
		t.Errorf("registration is %q, not %q", registration, wanted)
	}
	if listener.Attributes["port"] != "8000" {
		t.Errorf("attributes are %v", listener.Attributes)
	}
}

func TestRefusalIsTheSentence(t *testing.T) {
	control, _, _ := accept(t, Definition{}, String("the port is taken"))
	_, err := Listen(control, Definition{})
	if !errors.Is(err, Refused{"the port is taken"}) {
		t.Errorf("the error is %v", err)
	}
}

func TestStreamsAreAcceptedAndFollowTheRules(t *testing.T) {
	listener, session := open(t, Definition{Port: 1})
	go func() {
		for {
			stream, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer stream.Close()
				io.Copy(stream, stream)
			}()
		}
	}()
	payload := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for round := 0; round < 3; round++ {
		stream, err := session.Open()
		if err != nil {
			t.Fatal(err)
		}
		go stream.Write(payload)
		echo := make([]byte, len(payload))
		if _, err := io.ReadFull(stream, echo); err != nil || !bytes.Equal(echo, payload) {
			t.Errorf("the echo differs, %v", err)
		}
		stream.Close()
	}
	if violations := listener.Violations(); len(violations) > 0 {
		t.Errorf("yamux's own client breaks rules: %q", violations)
	}
}

func TestCheckerNamesEveryBrokenRule(t *testing.T) {
	opening := WindowUpdate(FlagSYN, 1, 0)
	many := make([]byte, 0)
	for id := uint32(1); id < 2*258; id += 2 {
		many = append(many, WindowUpdate(FlagSYN, id, 0).Header()...)
	}
	join := func(frames ...Frame) (bytes []byte) {
		for _, frame := range frames {
			bytes = append(append(bytes, frame.Header()...), frame.Payload...)
		}
		return bytes
	}
	for wanted, bytes := range map[string][]byte{
		"no frame of yamux":   join(Frame{Version: 1}),
		"never opened":        join(Data(0, 3, []byte("x"))),
		"even":                join(WindowUpdate(FlagSYN, 2, 0)),
		"not above":           join(opening, opening),
		"acknowledgement":     join(opening, WindowUpdate(FlagACK, 1, 0)),
		"after the reset":     join(opening, WindowUpdate(FlagRST, 1, 0), WindowUpdate(0, 1, 0)),
		"second FIN":          join(opening, WindowUpdate(FlagFIN, 1, 0), WindowUpdate(FlagFIN, 1, 0)),
		"data or":             join(opening, WindowUpdate(FlagFIN, 1, 0), Data(0, 1, []byte("x"))),
		"exceeded by 1 bytes": join(opening, Data(0, 1, make([]byte, InitialWindow)), Data(0, 1, []byte("x"))),
		"not accepted":        many,
		"names a stream":      join(Frame{Type: TypePing, Flags: FlagSYN, Stream: 1}),
	} {
		// Byte by byte as well as whole: headers arrive in any pieces.
		for _, size := range []int{1, len(bytes)} {
			checker := NewChecker()
			for start := 0; start < len(bytes); start += size {
				checker.fromProxy.feed(bytes[start:start+size], checker.proxySent)
			}
			if violations := strings.Join(checker.Violations(), "; "); !strings.Contains(violations, wanted) {
				t.Errorf("in pieces of %d: %q does not name %q", size, violations, wanted)
			}
		}
	}
}

func TestGrantedWindowsMayBeUsed(t *testing.T) {
	checker := NewChecker()
	checker.fromProxy.feed(WindowUpdate(FlagSYN, 1, 0).Header(), checker.proxySent)
	checker.toProxy.feed(WindowUpdate(FlagACK, 1, 1000).Header(), checker.serviceSent)
	frame := Data(0, 1, make([]byte, InitialWindow+1000))
	checker.fromProxy.feed(append(frame.Header(), frame.Payload...), checker.proxySent)
	if violations := checker.Violations(); len(violations) > 0 {
		t.Errorf("violations: %q", violations)
	}
}

func TestIDsGoRoundAndStreamsAreAcceptedInTheOrderOfTheirOpening(t *testing.T) {
	const last = 1<<32 - 1
	checker := NewChecker()
	sent := func(frames ...Frame) {
		for _, frame := range frames {
			checker.fromProxy.feed(frame.Header(), checker.proxySent)
		}
	}
	open := func(id uint32) { sent(WindowUpdate(FlagSYN, id, 0)) }
	for id := uint32(last - 2*200); id != 401; id += 2 {
		open(id)
		if id == 1 {
			checker.toProxy.feed(WindowUpdate(FlagACK, id, 0).Header(), checker.serviceSent)
		}
	}
	if violations := checker.Violations(); len(violations) > 0 {
		t.Fatalf("violations: %q", violations)
	}
	if first, end := checker.Opened(); len(checker.unaccepted) != 199 || first != last-2*200 || end != 399 {
		t.Errorf("%d are not accepted, the first one is %d, the last one %d", len(checker.unaccepted), first, end)
	}
	// 401 would be next; one from before the border is not above it.
	open(last)
	if len(checker.Violations()) != 1 {
		t.Errorf("violations: %q", checker.Violations())
	}
}

func TestWakingConnectionEndsABlockedRead(t *testing.T) {
	listener, session := open(t, Definition{Port: 1})
	stream, err := session.Open()
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := Waking(listener).Accept()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := accepted.Read(make([]byte, 1))
		ended <- err
	}()
	time.Sleep(20 * time.Millisecond)
	accepted.SetReadDeadline(time.Unix(1, 0))
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the read ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the read did not end")
	}
	accepted.SetReadDeadline(time.Time{})
	stream.Write([]byte("hello"))
	answer := make([]byte, 5)
	if _, err := io.ReadFull(accepted, answer); err != nil || string(answer) != "hello" {
		t.Errorf("after the deadline: %q, %v", answer, err)
	}
	stream.Close()
	if _, err := accepted.Read(answer); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
	accepted.Close()
}

func TestHijackWorksOnAWakingConnection(t *testing.T) {
	listener, session := open(t, Definition{Port: 1})
	go http.Serve(Waking(listener), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		connection, buffered, err := writer.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer connection.Close()
		io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		io.Copy(connection, buffered)
	}))
	stream, err := session.Open()
	if err != nil {
		t.Fatal(err)
	}
	stream.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	head := make([]byte, len("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
	if _, err := io.ReadFull(stream, head); err != nil {
		t.Fatal(err)
	}
	io.WriteString(stream, "echo")
	echo := make([]byte, 4)
	if _, err := io.ReadFull(stream, echo); err != nil || string(echo) != "echo" {
		t.Errorf("%q, %v", echo, err)
	}
}
