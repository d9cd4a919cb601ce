package endtoend

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"

	"socketmaster/endtoend/service"
)

// onPath is a definition for a path prefix, on any host.
func onPath(port int, path string) service.Definition {
	return service.Definition{Address: "127.0.0.1", Port: port, HTTP: &service.HTTP{PathPrefix: path}}
}

// onHost is a definition for a domain suffix and a path prefix.
func onHost(port int, domain, path string) service.Definition {
	return service.Definition{
		Address: "127.0.0.1", Port: port, HTTP: &service.HTTP{DomainSuffix: domain, PathPrefix: path},
	}
}

// raw is a definition for raw connections.
func raw(port int) service.Definition {
	return service.Definition{Address: "127.0.0.1", Port: port}
}

// listen registers a service in this process. When the test is over, no rule of yamux may have been broken towards it.
func (p *proxy) listen(definition service.Definition) *service.Listener {
	p.t.Helper()
	listener, err := service.Listen(p.control, definition)
	if err != nil {
		p.t.Fatalf("registering %+v: %v", definition, err)
	}
	p.t.Cleanup(func() {
		listener.Close()
		if violations := listener.Violations(); len(violations) > 0 {
			p.t.Errorf("the proxy broke rules of yamux:\n%s", strings.Join(violations, "\n"))
		}
	})
	return listener
}

// serve registers and serves HTTP.
func (p *proxy) serve(definition service.Definition, handler http.Handler) *service.Listener {
	p.t.Helper()
	listener := p.listen(definition)
	serveHTTP(listener, handler)
	return listener
}

func serveHTTP(listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(listener)
}

// serveStreams registers and runs a function on every stream, as raw services do; the stream is closed after it.
func (p *proxy) serveStreams(definition service.Definition, serve func(net.Conn)) *service.Listener {
	p.t.Helper()
	listener := p.listen(definition)
	go serveEach(listener, serve)
	return listener
}

// serveEach runs a function on every connection that a listener takes, until that is closed. The connection is closed
// after it.
func serveEach(listener net.Listener, serve func(net.Conn)) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			serve(connection)
		}()
	}
}

// serveOwnPort is a program that listens on a port of its own, and runs a function on every connection.
func serveOwnPort(t *testing.T, serve func(net.Conn)) net.Addr {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go serveEach(listener, serve)
	return listener.Addr()
}

// text answers every request with a text.
func text(answer string) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		io.WriteString(writer, answer)
	})
}

// digest answers with the method, size and hash of the request's body.
func digest() http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		hash := sha256.New()
		count, err := io.Copy(hash, request.Body)
		fmt.Fprintf(writer, "%s %d %x %v", request.Method, count, hash.Sum(nil), err)
	})
}

// digestOf is what digest answers for a body.
func digestOf(method string, body []byte) string {
	hash := sha256.Sum256(body)
	return fmt.Sprintf("%s %d %s <nil>", method, len(body), hex.EncodeToString(hash[:]))
}

func echoStream(stream net.Conn) { io.Copy(stream, stream) }

// readHead reads a request's head from a stream, as it came over the wire.
func readHead(reader *bufio.Reader) (string, error) {
	var head strings.Builder
	for {
		line, err := reader.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String(), err
		}
	}
}

// script is a service that reads a head, hands it to the test, and answers with fixed bytes; then it closes its side.
func script(answer string) func(net.Conn) {
	return func(stream net.Conn) {
		if _, err := readHead(bufio.NewReader(stream)); err == nil {
			io.WriteString(stream, answer)
		}
	}
}
