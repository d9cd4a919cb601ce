package endtoend

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Replies after which a connection ends. What is asked for is always the same: all of the reply, then a FIN (and
// close_notify before it), whatever the client does meanwhile.

// large answers /SIZE by so many bytes, with a length; /cut/SIZE without one, so that its end is the connection's.
func large(writer http.ResponseWriter, request *http.Request) {
	words := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	size, _ := strconv.Atoi(words[len(words)-1])
	body := make([]byte, size)
	for place := range body {
		body[place] = byte(place * 7)
	}
	if words[0] != "cut" {
		writer.Header().Set("Content-Length", strconv.Itoa(size))
	}
	writer.Write(body)
}

func isLarge(body []byte, size int) bool {
	for place, value := range body {
		if value != byte(place*7) {
			return false
		}
	}
	return len(body) == size
}

// small is a client whose kernel takes little, so that most of a reply waits in the proxy's.
func small(t *testing.T, port int) *net.TCPConn {
	t.Helper()
	connection := dial(t, port).TCPConn
	connection.SetReadBuffer(64 << 10)
	return connection
}

func asking(path string, fields ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: a.example\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
}

// expectReplies reads replies of these sizes and then the end.
func expectReplies(t *testing.T, what string, from io.Reader, sizes ...int) {
	t.Helper()
	reader := bufio.NewReader(from)
	for number, size := range sizes {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Errorf("%s, reply %d: %v", what, number, err)
			return
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || !isLarge(body, size) {
			t.Errorf("%s, reply %d: %d bytes of %d, %v", what, number, len(body), size, err)
			return
		}
	}
	if rest, err := io.ReadAll(reader); err != nil || len(rest) > 0 {
		t.Errorf("%s: %d bytes and %v where the connection should end", what, len(rest), err)
	}
}

// A client may say all that it wants and finish, and read only then. Its last request may wait until the reply before
// it is nearly out, or be another reactor's.
func TestEndPipelinesAreAnsweredAfterTheClientsFIN(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port, secured := freePort(t), freePort(t)
		for _, path := range []string{"/a", "/b"} {
			p.serve(onPath(port, path), http.HandlerFunc(large))
			p.serve(issue("p256", "a.example").with(onPath(secured, path)), http.HandlerFunc(large))
		}
		for size := 3_600_000; size < 4_600_000; size += 45_000 {
			words := []string{asking(fmt.Sprintf("/a/%d", size)), asking("/b/10")}
			plain := small(t, port)
			encrypted := tls.Client(small(t, secured), secure("a.example"))
			for _, word := range words {
				io.WriteString(plain, word)
				io.WriteString(encrypted, word)
				time.Sleep(5 * time.Millisecond)
			}
			plain.CloseWrite()
			encrypted.CloseWrite()
			time.Sleep(5 * time.Millisecond)
			expectReplies(t, fmt.Sprint("plain, ", size), plain, size, 10)
			expectReplies(t, fmt.Sprint("TLS, ", size), encrypted, size, 10)
		}
	})
}

// Whatever a client sends behind its last request meets a socket that still takes it: a reset would destroy what the
// client has not read (RFC 9112 9.6).
func TestEndRepliesAreWholeAlthoughTheClientSendsMore(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port, secured := freePort(t), freePort(t)
		p.serve(onPath(port, ""), http.HandlerFunc(large))
		p.serve(issue("p256", "a.example").with(onPath(secured, "")), http.HandlerFunc(large))
		for _, size := range []int{0, 1000, 60_000, 300_000, 1_000_000, 4_000_000} {
			for what, head := range map[string]string{
				"close": asking(fmt.Sprint("/", size), "Connection: close"),
				"cut":   strings.Replace(asking(fmt.Sprint("/cut/", size)), "HTTP/1.1", "HTTP/1.0", 1),
			} {
				plain := small(t, port)
				encrypted := tls.Client(small(t, secured), secure("a.example"))
				for name, connection := range map[string]net.Conn{"plain": plain, "TLS": encrypted} {
					io.WriteString(connection, head)
					time.Sleep(10 * time.Millisecond)
					io.WriteString(connection, asking("/1"))
					expectReplies(t, fmt.Sprint(name, ", ", what, ", ", size), connection, size)
				}
			}
		}
	})
}

// Who reads slowly, and never stops, gets everything, however long the kernels' buffers make it look like a stop.
func TestEndSlowReadersAreNotStalled(t *testing.T) {
	p := once(t, "--stall-timeout", "1s")
	port := freePort(t)
	p.serve(onPath(port, ""), http.HandlerFunc(large))
	together(t, func() error { return readSlowly(port, 8_000_000, "Connection: close") },
		func() error { return readSlowly(port, 8_000_000) })
}

// readSlowly takes some seconds over the beginning of a reply, of which the kernels cannot hold all.
func readSlowly(port, size int, fields ...string) error {
	connection, err := net.Dial("tcp", address(port))
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(patience))
	io.WriteString(connection, asking(fmt.Sprint("/", size), fields...))
	response, err := http.ReadResponse(bufio.NewReaderSize(connection, 16), nil)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	for piece := 0; piece < 25; piece++ {
		if _, err := io.CopyN(&body, response.Body, 30_000); err != nil {
			return fmt.Errorf("after %d bytes: %w", body.Len(), err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if _, err := io.Copy(&body, response.Body); err != nil {
		return fmt.Errorf("after %d bytes: %w", body.Len(), err)
	}
	if !isLarge(body.Bytes(), size) {
		return fmt.Errorf("%d bytes are others", body.Len())
	}
	return nil
}

// A request that waits for a service that is away is given up with its client, and not the reply before it.
func TestEndRepliesAreWholeBeforeARequestThatWaits(t *testing.T) {
	p := once(t, "--hold", "30s")
	port := freePort(t)
	p.serve(onPath(port, "/a"), http.HandlerFunc(large))
	gone := p.serve(onPath(port, "/b"), http.HandlerFunc(large))
	from := p.stderr.count()
	gone.Close()
	p.awaitLog(sessionLost, from)
	for size := 3_600_000; size < 4_600_000; size += 60_000 {
		connection := small(t, port)
		io.WriteString(connection, asking(fmt.Sprintf("/a/%d", size))+asking("/b/1"))
		time.Sleep(5 * time.Millisecond)
		connection.CloseWrite()
		time.Sleep(5 * time.Millisecond)
		expectReplies(t, fmt.Sprint(size), connection, size)
	}
}
