// Command test-service is a service in a process of its own, for tests that kill it. It prints "registered", then a
// line for every request or connection that reaches it.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"socketmaster/endtoend/service"
)

var (
	text  = flag.String("text", "", "what is answered")
	delay = flag.Duration("delay", 0, "how long an answer takes")
	quiet = flag.Bool("quiet", false, "print no line for what arrives")
)

// modes are the ways to serve.
var modes = map[string]func(net.Listener) error{
	"text":        serveHTTP(answer),
	"hang":        serveHTTP(hang),
	"half":        serveHTTP(half),
	"until-close": func(l net.Listener) error { return serveHTTP(untilClose)(service.Waking(l)) },
	"raw-echo":    echo,
	"raw-greet":   greet,
	"raw-flood":   flood,
}

func main() {
	control := flag.String("control", "127.0.0.1:9999", "the proxy's control address")
	address := flag.String("address", "127.0.0.1", "the public address")
	port := flag.Int("port", 8000, "the public port")
	domain := flag.String("domain", "", "the domain suffix")
	path := flag.String("path", "", "the path prefix")
	mode := flag.String("mode", "text", "text, hang, half, until-close, raw-echo, raw-greet or raw-flood")
	certificate := flag.String("cert", "", "a file with a certificate, PEM")
	key := flag.String("key", "", "a file with its key")
	flag.Parse()

	serve := modes[*mode]
	if serve == nil {
		fail(fmt.Errorf("there is no mode %q", *mode))
	}
	definition := service.Definition{Address: *address, Port: *port}
	if !strings.HasPrefix(*mode, "raw-") {
		definition.HTTP = &service.HTTP{DomainSuffix: *domain, PathPrefix: *path}
	}
	var err error
	if definition.TLS, err = service.ReadTLS(*certificate, *key); err != nil {
		fail(err)
	}
	listener, err := service.Listen(*control, definition)
	if err != nil {
		fail(err)
	}
	fmt.Println("registered")
	fail(serve(listener))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "test-service:", err)
	os.Exit(1)
}

func serveHTTP(handler http.HandlerFunc) func(net.Listener) error {
	return func(listener net.Listener) error {
		return http.Serve(listener, http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			body, _ := io.ReadAll(request.Body)
			if !*quiet {
				fmt.Println("request", request.Method, request.RequestURI, len(body))
			}
			time.Sleep(*delay)
			handler(writer, request)
		}))
	}
}

func answer(writer http.ResponseWriter, request *http.Request) {
	io.WriteString(writer, *text)
}

// hang never answers.
func hang(writer http.ResponseWriter, request *http.Request) {
	select {}
}

// half sends the first half of a counted reply and then nothing.
func half(writer http.ResponseWriter, request *http.Request) {
	writer.Header().Set("Content-Length", fmt.Sprint(2*len(*text)))
	io.WriteString(writer, *text)
	writer.(http.Flusher).Flush()
	select {}
}

// untilClose begins a reply that would end with its connection, and does not end it.
func untilClose(writer http.ResponseWriter, request *http.Request) {
	connection, _, err := writer.(http.Hijacker).Hijack()
	if err == nil {
		io.WriteString(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"+*text)
	}
	select {}
}

func echo(listener net.Listener) error {
	for {
		stream, err := listener.Accept()
		if err != nil {
			return err
		}
		fmt.Println("connection")
		go func() {
			defer stream.Close()
			io.Copy(stream, stream)
		}()
	}
}

// greet is a service that speaks first and then echoes.
func greet(listener net.Listener) error {
	for {
		stream, err := listener.Accept()
		if err != nil {
			return err
		}
		fmt.Println("connection")
		go func() {
			defer stream.Close()
			io.WriteString(stream, *text)
			io.Copy(stream, stream)
		}()
	}
}

// flood writes without end.
func flood(listener net.Listener) error {
	for {
		stream, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			bytes := make([]byte, 256<<10)
			for {
				if _, err := stream.Write(bytes); err != nil {
					stream.Close()
					return
				}
			}
		}()
	}
}
