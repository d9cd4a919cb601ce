package endtoend

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// reply is a reply with its body read.
type reply struct {
	*http.Response
	body string
}

// reply reads one reply to a request with the method.
func (w *wire) reply(method string) reply {
	w.t.Helper()
	w.extend()
	r, err := w.tryReply(method)
	if err != nil {
		w.t.Fatalf("no reply to %s: %v", method, err)
	}
	return r
}

func (w *wire) tryReply(method string) (reply, error) {
	response, err := http.ReadResponse(w.reader, &http.Request{Method: method})
	if err != nil {
		return reply{}, err
	}
	body, err := io.ReadAll(response.Body)
	return reply{response, string(body)}, err
}

// expectReply reads a reply with this status and, unless it is "*", this body.
func (w *wire) expectReply(method string, status int, body string) reply {
	w.t.Helper()
	r := w.reply(method)
	if r.StatusCode != status || body != "*" && r.body != body {
		w.t.Fatalf("got %d %s; wanted %d %s", r.StatusCode, shorten(r.body), status, shorten(body))
	}
	return r
}

// get asks for a path on an open connection and checks the reply.
func (w *wire) get(path, body string) {
	w.t.Helper()
	w.send("GET " + path + " HTTP/1.1\r\nHost: test.example\r\n\r\n")
	w.expectReply("GET", 200, body)
}

// get asks for a path on a connection of its own.
func get(t *testing.T, port int, path string) reply {
	t.Helper()
	w := dial(t, port)
	defer w.Close()
	w.send("GET " + path + " HTTP/1.1\r\nHost: test.example\r\n\r\n")
	return w.reply("GET")
}

// expectServed checks that a path is answered, for others to see that they are not disturbed.
func expectServed(t *testing.T, port int, path, body string) {
	t.Helper()
	if r := get(t, port, path); r.StatusCode != 200 || r.body != body {
		t.Fatalf("%s is answered with %d %s; wanted %s", path, r.StatusCode, shorten(r.body), shorten(body))
	}
}

// chunked encodes a body in chunks of at most size bytes, with the trailer section's lines at its end.
func chunked(body []byte, size int, trailer ...string) string {
	var encoded bytes.Buffer
	for len(body) > 0 {
		count := size
		if count > len(body) {
			count = len(body)
		}
		fmt.Fprintf(&encoded, "%x\r\n%s\r\n", count, body[:count])
		body = body[count:]
	}
	encoded.WriteString("0\r\n")
	for _, line := range trailer {
		encoded.WriteString(line + "\r\n")
	}
	encoded.WriteString("\r\n")
	return encoded.String()
}

// client is net/http's own client, without proxies, compression and endless waits.
func client(t *testing.T) *http.Client {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100, DisableKeepAlives: false}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 2 * patience}
}

// sleepless waits for a channel or for the given time, whichever is first.
func sleepless(channel <-chan struct{}, limit time.Duration) {
	select {
	case <-channel:
	case <-time.After(limit):
	}
}
