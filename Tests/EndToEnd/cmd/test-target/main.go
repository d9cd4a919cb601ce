// Command test-target listens on a port or unix socket of its own and knows nothing of a proxy: it answers every request
// with a text, or echoes. A signal ends it as it ends any program that does not care.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

func main() {
	address := flag.String("listen", "127.0.0.1:3000", "where it listens, host:port or unix:PATH")
	text := flag.String("text", "", "what is answered to requests; empty: every connection is echoed")
	flag.Parse()

	network, place := "tcp", *address
	if strings.HasPrefix(place, "unix:") {
		network, place = "unix", strings.TrimPrefix(place, "unix:")
		os.Remove(place)
	}
	listener, err := net.Listen(network, place)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test-target:", err)
		os.Exit(1)
	}
	fmt.Println("listening")
	if *text != "" {
		http.Serve(listener, http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			io.WriteString(writer, *text)
		}))
		return
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(connection, connection)
			connection.Close()
		}()
	}
}
