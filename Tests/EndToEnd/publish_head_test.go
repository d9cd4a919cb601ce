package endtoend

import (
	"bufio"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// headFirst is a target that writes a reply's head apart from its body, and ends every third connection in between.
func headFirst(t *testing.T, head string, broken *atomic.Int32) net.Addr {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for index := 0; ; index++ {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			isBroken := index%3 == 1
			go func() {
				defer connection.Close()
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
			}()
		}
	}()
	return listener.Addr()
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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	goOn := make(chan struct{})
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				reader := bufio.NewReader(connection)
				for {
					head, err := readHead(reader)
					if err != nil {
						return
					}
					if head[:5] == "HEAD " {
						io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
						continue
					}
					io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
					<-goOn
					io.WriteString(connection, "hello")
				}
			}()
		}
	}()
	p := startProxy(t, plain.flags...)
	port := freePort(t)
	running := publish(t, p.control, "--port", portText(port), "--http", "--to", listener.Addr().String())
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
