package endtoend

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// proxyHeader reads a PROXY protocol header of version 2 and returns what it tells of both ends.
func proxyHeader(reader io.Reader) (string, error) {
	fixed := make([]byte, 16)
	if _, err := io.ReadFull(reader, fixed); err != nil {
		return "", err
	}
	if !bytes.Equal(fixed[:13], []byte("\r\n\r\n\x00\r\nQUIT\n\x21")) {
		return "", fmt.Errorf("no header: %q", fixed)
	}
	rest := make([]byte, binary.BigEndian.Uint16(fixed[14:]))
	if _, err := io.ReadFull(reader, rest); err != nil {
		return "", err
	}
	size := map[byte]int{0x11: 4, 0x21: 16}[fixed[13]]
	if size == 0 || len(rest) != 2*size+4 {
		return "", fmt.Errorf("family %#x with %d bytes", fixed[13], len(rest))
	}
	end := func(number int) string {
		port := binary.BigEndian.Uint16(rest[2*size+2*number:])
		return net.JoinHostPort(net.IP(rest[number*size:(number+1)*size]).String(), fmt.Sprint(port))
	}
	return end(0) + " " + end(1), nil
}

// withAddress is a raw definition that asks for the clients' addresses.
func withAddress(port int) service.Definition {
	return service.Definition{Port: port, Attributes: map[string]string{"client-address": "proxy-v2"}}
}

func TestRawStreamsBeginWithTheClientsAddressWhereItWasAskedFor(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		listener := p.serveStreams(withAddress(port), func(stream net.Conn) {
			header, err := proxyHeader(stream)
			fmt.Fprintf(stream, "%s %v\n", header, err)
			io.Copy(stream, stream)
		})
		if listener.Attributes["client-address"] == "" {
			t.Error("the response does not say so")
		}
		for _, host := range []string{"127.0.0.1", "::1"} {
			for _, speaks := range []string{"", "hello"} {
				connection, err := net.Dial("tcp", net.JoinHostPort(host, portText(port)))
				if err != nil {
					t.Fatal(err)
				}
				connection.SetDeadline(time.Now().Add(patience))
				io.WriteString(connection, speaks)
				connection.(*net.TCPConn).CloseWrite()
				answer, err := io.ReadAll(connection)
				wanted := fmt.Sprintf("%v %v <nil>\n%s", connection.LocalAddr(), connection.RemoteAddr(), speaks)
				if string(answer) != wanted || err != nil {
					t.Errorf("it is %q, %v, and not %q", answer, err, wanted)
				}
				connection.Close()
			}
		}
	})
}

func TestRawStreamsAndRequestsAreUntouchedWhereItWasNot(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		for _, attributes := range []map[string]string{nil, {}, {"client-address": "false"}} {
			port := freePort(t)
			listener := p.serveStreams(service.Definition{Port: port, Attributes: attributes}, echoStream)
			if listener.Attributes["client-address"] != "" {
				t.Error("the response says so")
			}
			echoExactly(t, port, []byte("only this"), true)
		}
		port := freePort(t)
		definition := onPath(port, "/")
		definition.Attributes = map[string]string{"client-address": "proxy-v2"}
		p.serve(definition, text("plain"))
		expectServed(t, port, "/", "plain")
	})
}

// What a session has not accepted goes to another one, which gets the header that it has asked for, or none.
func TestConnectionsThatMoveOnBeginAsTheirNewSessionWants(t *testing.T) {
	for name, second := range map[string]bool{"asked": true, "not asked": false} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, "--reactors", "1")
			port := freePort(t)
			asking := withAddress(port)
			asking.Address = raw(port).Address
			first := p.dialPeer(map[bool]service.Definition{true: raw(port), false: asking}[second])
			w := dial(t, port)
			w.send("hello")
			opening := first.await("a stream", func(frame service.Frame) bool { return frame.Flags&service.FlagSYN != 0 })
			first.Send(service.WindowUpdate(service.FlagRST, opening.Stream, 0))
			first.Close()
			got := make(chan string, 1)
			p.serveStreams(map[bool]service.Definition{true: asking, false: raw(port)}[second],
				func(stream net.Conn) {
					header := ""
					if second {
						header, _ = proxyHeader(stream)
					}
					word := make([]byte, 5)
					io.ReadFull(stream, word)
					got <- header + "|" + string(word)
				})
			wanted := "|hello"
			if second {
				wanted = fmt.Sprintf("%v %v|hello", w.LocalAddr(), w.RemoteAddr())
			}
			if header := await(t, "the stream", got); header != wanted {
				t.Errorf("it began with %q, not %q", header, wanted)
			}
		})
	}
}

func TestSwiftServicesKnowTheirClients(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		startSwift(t, "example-connections", portText(port), p.control)
		awaitEcho(t, port)
		for _, host := range []string{"127.0.0.1", "::1"} {
			connection, err := net.Dial("tcp", net.JoinHostPort(host, portText(port)))
			if err != nil {
				t.Fatal(err)
			}
			connection.SetDeadline(time.Now().Add(patience))
			io.WriteString(connection, "and then")
			connection.(*net.TCPConn).CloseWrite()
			answer, err := io.ReadAll(connection)
			if string(answer) != "Hello "+host+"\nand then" || err != nil {
				t.Errorf("it said %q, %v", answer, err)
			}
			connection.Close()
		}
	})
}

func TestPublishedTargetsKnowTheirClients(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		port := freePort(t)
		publish(t, p.control, "--port", portText(port), "--send-proxy", "--to", listener.Addr().String()).
			stderr.find("registered", 0)
		w := dial(t, port)
		w.send("hello")
		connection, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		connection.SetDeadline(time.Now().Add(patience))
		header, err := proxyHeader(connection)
		word := make([]byte, 5)
		io.ReadFull(connection, word)
		if wanted := fmt.Sprintf("%v %v", w.LocalAddr(), w.RemoteAddr()); header != wanted || err != nil {
			t.Errorf("it is %q, %v, and not %q", header, err, wanted)
		}
		if string(word) != "hello" {
			t.Errorf("behind the header is %q", word)
		}
	})
}
