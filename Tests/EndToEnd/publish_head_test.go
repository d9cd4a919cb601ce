package endtoend

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// endings are the connections that a target has begun and done to end behind a head. Of late ones the head is rightly
// passed on: it is held for no longer than 10 ms.
type endings struct{ begun, done, late atomic.Int32 }

// headFirst is a target that writes a reply's head apart from its body, and ends every third connection in between.
func headFirst(t *testing.T, head string, endings *endings) net.Addr {
	var count atomic.Int32
	return serveOwnPort(t, func(connection net.Conn) {
		isBroken := count.Add(1)%3 == 2
		if _, err := readHead(bufio.NewReader(connection)); err != nil {
			return
		}
		if isBroken {
			endings.begun.Add(1)
		}
		written := time.Now()
		io.WriteString(connection, head)
		time.Sleep(time.Millisecond)
		if isBroken {
			connection.(*net.TCPConn).SetLinger(0)
			connection.Close()
			if time.Since(written) > 5*time.Millisecond {
				endings.late.Add(1)
			}
			endings.done.Add(1)
			return
		}
		io.WriteString(connection, "5\r\nhello\r\n0\r\n\r\n")
	})
}

func TestATargetThatDiesBehindTheHeadOfItsReplyHasNotAnswered(t *testing.T) {
	heads := map[string]string{
		"counted": "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	}
	for name, head := range heads {
		head := head
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, plain.flags...)
			port := freePort(t)
			var target endings
			running := publish(t, p.control, "--port", portText(port), "--http", "--to", headFirst(t, head, &target).String())
			running.stderr.find(published, 0)
			want := map[string]string{"counted": "5\r\nhello\r\n0\r\n\r\n", "chunked": "hello"}[name]
			deadline := time.Now().Add(patience)
			for round := 0; round < 12 || target.done.Load()-target.late.Load() < 3; round++ {
				if time.Now().After(deadline) {
					t.Fatalf("of %d connections the target has ended %d late", target.done.Load(), target.late.Load())
				}
				late := target.late.Load()
				w := dial(t, port)
				w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				r, err := w.tryReply("GET")
				eventually(t, "the target has ended it", func() bool { return target.done.Load() == target.begun.Load() })
				if isGood := err == nil && r.StatusCode == 200 && r.body == want; !isGood && target.late.Load() == late {
					t.Fatalf("got %v %s, %v", r.Response, shorten(r.body), err)
				}
			}
		})
	}
}

// Heads that promise nothing, and those whose body takes its time, are passed on.
func TestHeadsWithoutABodyComeAtOnceAndOthersAfterAMoment(t *testing.T) {
	goOn := make(chan struct{})
	target := serveOwnPort(t, func(connection net.Conn) {
		reader := bufio.NewReader(connection)
		for {
			head, err := readHead(reader)
			if err != nil {
				return
			}
			io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
			if strings.HasPrefix(head, "HEAD ") {
				continue
			}
			<-goOn
			io.WriteString(connection, "hello")
		}
	})
	p := startProxy(t, plain.flags...)
	port := freePort(t)
	running := publish(t, p.control, "--port", portText(port), "--http", "--to", target.String())
	running.stderr.find(published, 0)
	w := dial(t, port)
	for round := 0; round < 5; round++ {
		w.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
		w.expectReply("HEAD", 200, "")
	}
	w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	w.expect("HTTP/1.1 200 OK\r\n")
	close(goOn)
}
