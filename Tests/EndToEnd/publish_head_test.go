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

// headFirst is a target that writes a reply's head apart from its body, and ends every third connection in between.
func headFirst(t *testing.T, head string, broken *atomic.Int32) net.Addr {
	var count atomic.Int32
	return serveOwnPort(t, func(connection net.Conn) {
		isBroken := count.Add(1)%3 == 2
		if _, err := readHead(bufio.NewReader(connection)); err != nil {
			return
		}
		io.WriteString(connection, head)
		time.Sleep(time.Millisecond)
		if isBroken {
			broken.Add(1)
			connection.(*net.TCPConn).SetLinger(0)
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
			var broken atomic.Int32
			running := publish(t, p.control, "--port", portText(port), "--http", "--to", headFirst(t, head, &broken).String())
			running.stderr.find(published, 0)
			for round := 0; round < 12; round++ {
				w := dial(t, port)
				w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				want := map[string]string{"counted": "5\r\nhello\r\n0\r\n\r\n", "chunked": "hello"}[name]
				w.expectReply("GET", 200, want)
			}
			if broken.Load() == 0 {
				t.Error("the target has ended nothing")
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
