// Command demo-service registers a path of a port and answers every request with a text.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"socketmaster/endtoend/service"
)

func main() {
	control := flag.String("control", "127.0.0.1:9999", "the proxy's control address, host:port or unix:PATH")
	port := flag.Int("port", 8000, "the public port")
	domain := flag.String("domain", "", "the domain suffix, empty for all hosts")
	path := flag.String("path", "/", "the path prefix")
	text := flag.String("text", "Hello", "what is answered")
	certificate := flag.String("cert", "", "a file with the certificate for HTTPS, PEM")
	key := flag.String("key", "", "a file with its key")
	flag.Parse()

	definition := service.Definition{Port: *port, HTTP: &service.HTTP{DomainSuffix: *domain, PathPrefix: *path}}
	var err error
	if definition.TLS, err = service.ReadTLS(*certificate, *key); err != nil {
		fmt.Fprintln(os.Stderr, "demo-service:", err)
		os.Exit(1)
	}
	listener, err := service.Listen(*control, definition)
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo-service: cannot register at %s: %v\n", *control, err)
		os.Exit(1)
	}
	fmt.Println("registered")

	// Leaving politely, so that a restart costs nobody a reply: no new requests, the open ones finish, then the end.
	var leaving atomic.Bool
	left := make(chan struct{})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		leaving.Store(true)
		listener.Drain(5 * time.Second)
		close(left)
	}()

	err = http.Serve(listener, http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		fmt.Fprintln(writer, *text)
	}))
	if leaving.Load() {
		<-left
		return
	}
	if !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintf(os.Stderr, "demo-service: the session has ended: %v\n", err)
		os.Exit(1)
	}
}
