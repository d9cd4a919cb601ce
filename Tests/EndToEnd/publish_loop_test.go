package endtoend

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// headerOf is the header of the PROXY protocol that tells these two addresses.
func headerOf(source, destination *net.TCPAddr) []byte {
	header := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, 0x11, 0, 12)
	header = append(append(header, source.IP.To4()...), destination.IP.To4()...)
	header = binary.BigEndian.AppendUint16(header, uint16(source.Port))
	return binary.BigEndian.AppendUint16(header, uint16(destination.Port))
}

// A client that is a connection of publish's own has come in a circle, by whatever name the target goes.
func TestClientsThatAreConnectionsOfItsOwnAreReset(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	public := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: freePort(t)}
	p := startMinimalProxy(t, true)
	p.answers["client-address"] = "proxy-v2"
	running := publish(t, p.control.Addr().String(), "--port", portText(public.Port), "--to", listener.Addr().String())
	running.stderr.find(published, 0)

	open := func(source *net.TCPAddr) net.Conn {
		stream, err := p.open(public.Port)
		if err != nil {
			t.Fatal(err)
		}
		stream.SetDeadline(time.Now().Add(patience))
		stream.Write(headerOf(source, public))
		return stream
	}
	client := open(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5})
	io.WriteString(client, "hello")
	outgoing, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(outgoing, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	for round := 0; round < 3; round++ {
		stream := open(outgoing.RemoteAddr().(*net.TCPAddr))
		if _, err := stream.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "reset") {
			t.Errorf("the stream ended with %v", err)
		}
	}
	outgoing.Close()
	client.Close()
	if code := running.exitCode(); code != 64 || running.stderr.find("leads back to the port", 0) < 0 {
		t.Errorf("it ended with %d", code)
	}
}

// forward passes connections on to a port, each with a header in front of it that tells whose it is: a proxy that
// speaks the PROXY protocol.
func forward(t *testing.T, port int, header func(source, destination *net.TCPAddr) []byte) net.Addr {
	return serveOwnPort(t, func(client net.Conn) {
		server, err := net.Dial("tcp", address(port))
		if err != nil {
			return
		}
		defer server.Close()
		server.Write(header(client.RemoteAddr().(*net.TCPAddr), client.LocalAddr().(*net.TCPAddr)))
		go io.Copy(client, server)
		io.Copy(server, client)
	})
}

// Where a proxy between publish and its target tells whose connections it passes on, a circle is seen by that.
func TestCirclesThroughAProxyThatTellsAddressesEnd(t *testing.T) {
	headers := map[string]func(source, destination *net.TCPAddr) []byte{
		"version 2": headerOf,
		"version 1": func(source, destination *net.TCPAddr) []byte {
			return []byte(fmt.Sprintf("PROXY TCP4 %s %s %d %d\r\n", source.IP, destination.IP, source.Port, destination.Port))
		},
	}
	for name, header := range headers {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, plain.flags...)
			port := freePort(t)
			running := publish(t, p.control, "--port", portText(port), "--drain", "300ms",
				"--to", forward(t, port, header).String())
			running.stderr.find(published, 0)
			// The third that comes round ends it, and a client may be more than one of them.
			for client := 0; client < 3; client++ {
				if connection, err := net.Dial("tcp", address(port)); err == nil {
					defer connection.Close()
					io.WriteString(connection, "hello")
				}
			}
			if code := running.exitCode(); code != 64 || running.stderr.find("leads back to the port", 0) < 0 {
				t.Errorf("it ended with %d", code)
			}
		})
	}
}
