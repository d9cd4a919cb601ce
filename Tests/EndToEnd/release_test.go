package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// figures makes the proxy log its figures and returns the line that matches.
func (p *proxy) figures(pattern string) string {
	p.t.Helper()
	from := p.stderr.count()
	p.signal(syscall.SIGUSR1)
	next := p.awaitLog(pattern, from)
	return p.stderr.copy()[next-1]
}

// awaitWaiting waits until so many clients wait on the only listener.
func (p *proxy) awaitWaiting(count int) {
	p.t.Helper()
	want := fmt.Sprintf(": waiting %d with", count)
	eventually(p.t, want, func() bool {
		time.Sleep(10 * time.Millisecond)
		return strings.Contains(p.figures(`notice on `), want)
	})
}

// opened is a stream that a peer was given, with its first bytes.
type opened struct {
	id   uint32
	text string
}

// collect takes streams until none has come for a moment, without accepting any of them.
func (p *peer) collect(known *[]opened) (fresh []opened) {
	p.t.Helper()
	p.SetDeadline(time.Now().Add(patience))
	for {
		frame, err := p.Receive()
		if isTimeout(err) {
			p.SetDeadline(time.Now().Add(patience))
			*known = append(*known, fresh...)
			return fresh
		}
		if err != nil {
			p.t.Fatal(err)
		}
		switch {
		case frame.Type == service.TypePing && frame.Flags&service.FlagSYN != 0:
			p.Send(service.Frame{Type: service.TypePing, Flags: service.FlagACK, Length: frame.Length})
		case frame.Flags&service.FlagSYN != 0:
			fresh = append(fresh, opened{frame.Stream, string(frame.Payload)})
			p.SetDeadline(time.Now().Add(200 * time.Millisecond))
		case frame.Type == service.TypeData && frame.Flags&service.FlagRST == 0:
			for index := range fresh {
				if fresh[index].id == frame.Stream {
					fresh[index].text += string(frame.Payload)
				}
			}
		}
	}
}

func (p *peer) answer(streams []opened) {
	for _, stream := range streams {
		p.Send(service.WindowUpdate(service.FlagACK, stream.id, 0))
		p.reply(stream.id)
	}
}

func TestWaitingRequestsAreReleasedInOrderAndAtAPace(t *testing.T) {
	for _, reactors := range []string{"1", "4"} {
		reactors := reactors
		t.Run("reactors="+reactors, func(t *testing.T) {
			t.Parallel()
			p := startProxy(t, "--reactors", reactors)
			port := freePort(t)
			p.endSession(p.listen(onPath(port, "/")))
			var leaving []*wire
			for index := 0; index < 50; index++ {
				w := dial(t, port)
				w.send(fmt.Sprintf("GET /%02d HTTP/1.1\r\nHost: x\r\n\r\n", index))
				if index%10 == 9 {
					leaving = append(leaving, w)
				}
			}
			p.awaitWaiting(50)
			for _, w := range leaving {
				w.Close()
			}
			p.awaitWaiting(45)
			time.Sleep(3 * time.Second)
			// As many at once as were answered, and 8 more; twice as many for each second without an answer.
			allowed, answered := 8, time.Now()
			bad := p.dialPeer(onPath(port, "/"))
			var all []opened
			for len(all) < 45 {
				fresh := bad.collect(&all)
				for seconds := (time.Since(answered) + 100*time.Millisecond) / time.Second; seconds > 0 && allowed < 45; seconds-- {
					allowed *= 2
				}
				if len(fresh) > allowed {
					t.Fatalf("%d requests at once after %d answers", len(fresh), len(all)-len(fresh))
				}
				answered = time.Now()
				bad.answer(fresh)
				allowed += len(fresh)
			}
			seen := map[string]bool{}
			last := ""
			for _, stream := range all {
				path := strings.Fields(stream.text)[1]
				if seen[path] || strings.HasSuffix(path, "9") {
					t.Errorf("%s was delivered twice, or after its client had left", path)
				}
				seen[path] = true
				if reactors == "1" && path < last {
					t.Errorf("%s was delivered after %s", path, last)
				}
				last = path
			}
			if figures := p.figures("notice on "); !strings.Contains(figures, "held 50, released 45,") {
				t.Error(figures)
			}
		})
	}
}

func TestWaitingRawConnectionsAreReleasedInOrder(t *testing.T) {
	t.Parallel()
	p := startProxy(t, "--reactors", "1")
	port := freePort(t)
	p.endSession(p.listen(raw(port)))
	for index := 0; index < 20; index++ {
		dial(t, port).send(fmt.Sprintf("%02d", index))
	}
	p.awaitWaiting(20)
	bad := p.dialPeer(raw(port))
	var all []opened
	for len(all) < 20 {
		for _, stream := range bad.collect(&all) {
			bad.Send(service.WindowUpdate(service.FlagACK, stream.id, 0))
		}
	}
	for index, stream := range all {
		if stream.text != fmt.Sprintf("%02d", index) {
			t.Errorf("connection %d said %q", index, stream.text)
		}
	}
}

func TestTenThousandWaitingClientsAreServedAtAPace(t *testing.T) {
	const clients = 10_000
	for _, reactors := range []string{"1", "4"} {
		t.Run("reactors="+reactors, func(t *testing.T) {
			p := startProxy(t, "--reactors", reactors, "--hold-limit", "20000")
			port := freePort(t)
			p.endSession(p.listen(onPath(port, "/")))
			waiting := make([]*wire, clients)
			for index := range waiting {
				waiting[index] = dial(t, port)
				waiting[index].send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			}
			p.awaitWaiting(clients)
			var now, done, excess atomic.Int64
			p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
				// The answer is counted first, for the proxy cannot have seen fewer than it was given.
				if current := now.Add(1); current > 8+done.Load() {
					excess.Add(1)
				}
				io.WriteString(writer, "served")
				done.Add(1)
				now.Add(-1)
			}))
			for _, w := range waiting {
				w.extend()
				w.expectReply("GET", 200, "served")
				w.Close()
			}
			if count := excess.Load(); count > 0 {
				t.Errorf("%d times more requests were under way than the pace allows", count)
			}
		})
	}
}

func TestReleaseRateIsKept(t *testing.T) {
	eachWaiting(t, []string{"--release-rate", "2"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.endSession(p.listen(onPath(port, "/")))
		for index := 0; index < 4; index++ {
			dial(t, port).send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		p.awaitWaiting(4)
		began := time.Now()
		bad := p.dialPeer(onPath(port, "/"))
		for count := 0; count < 4; count++ {
			bad.reply(bad.awaitStream())
		}
		// Late ones may come closer to each other, but never may all of them come sooner.
		if took := time.Since(began); took < time.Second {
			t.Errorf("4 clients were released within %v at 2 a second", took)
		}
	})
}

func TestWaitingClientsMoveToWhicheverSessionAppears(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.endSession(p.listen(onPath(port, "/")))
		var waiting []*wire
		for index := 0; index < 40; index++ {
			w := dial(t, port)
			w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			waiting = append(waiting, w)
		}
		p.awaitWaiting(40)
		// The first that comes back takes a few and answers none; the second serves all the others, and those too.
		silent := p.dialPeer(onPath(port, "/"))
		go silent.Await(func(service.Frame) bool { return false })
		p.awaitLog("released", 0)
		p.serve(onPath(port, "/"), text("served"))
		for _, w := range waiting {
			w.expectReply("GET", 200, "served")
		}
	})
}

func TestBytesOfWaitingClientsAreBounded(t *testing.T) {
	each(t, []string{"--hold-bytes", "64k"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.endSession(p.listen(onPath(port, "/")))
		var first []*wire
		post := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8000\r\n\r\n" + strings.Repeat("x", 8000)
		for index := 0; index < 7; index++ {
			w := dial(t, port)
			w.send(post)
			first = append(first, w)
		}
		p.awaitWaiting(7)
		for index := 0; index < 5; index++ {
			w := dial(t, port)
			w.send(post)
			w.send(post)
			if r := w.expectReply("POST", 503, "*"); r.Header.Get("Retry-After") == "" {
				t.Error("the 503 has no Retry-After")
			}
		}
		p.serve(onPath(port, "/"), digest())
		for _, w := range first {
			w.expectReply("POST", 200, digestOf("POST", []byte(strings.Repeat("x", 8000))))
		}
		if figures := p.figures("notice on "); !strings.Contains(figures, "waiting 0 with 0 bytes") {
			t.Error(figures)
		}
	})
}

func TestWhatASlowServiceDoesNotAcceptGoesToItsSibling(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port, rawPort := freePort(t), freePort(t)
		// It lives and answers pings, and never accepts.
		for _, definition := range []service.Definition{onPath(port, "/"), raw(rawPort)} {
			slow := p.dialPeer(definition)
			slow.SetDeadline(time.Time{})
			go slow.Await(func(service.Frame) bool { return false })
		}
		var waiting []*wire
		for index := 0; index < 10; index++ {
			get, post, connection := dial(t, port), dial(t, port), dial(t, rawPort)
			get.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			post.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
			connection.send("hello\n")
			waiting = append(waiting, get, post, connection)
		}
		waiting[0].expectSilence()
		var lock sync.Mutex
		seen := 0
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			lock.Lock()
			defer lock.Unlock()
			seen++
			io.WriteString(writer, "sibling")
		}))
		p.serveStreams(raw(rawPort), func(stream net.Conn) {
			line, _ := bufio.NewReader(stream).ReadString('\n')
			io.WriteString(stream, line)
		})
		for index := 0; index < len(waiting); index += 3 {
			waiting[index].expectReply("GET", 200, "sibling")
			waiting[index+1].expectReply("POST", 200, "sibling")
			waiting[index+2].expect("hello\n")
		}
		if seen != 20 {
			t.Errorf("20 requests were delivered %d times", seen)
		}
		// New work avoids it.
		for index := 0; index < 10; index++ {
			dial(t, port).get("/", "sibling")
		}
	})
}

func TestTheStoryOfARestartIsInTheLog(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		first := p.startService("-port", portText(port), "-path", "/", "-mode", "hang")
		get, post := dial(t, port), dial(t, port)
		get.send("GET /get HTTP/1.1\r\nHost: x\r\n\r\n")
		post.send("POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
		first.stdout.find("GET", 0)
		first.stdout.find("POST", 0)
		p.killService(first)
		post.expectReply("POST", 502, "*")
		// On its way to another reactor nobody waits yet.
		p.awaitWaiting(1)
		p.startService("-port", portText(port), "-path", "/", "-text", "back")
		get.expectReply("GET", 200, "back")
		next := 0
		for _, line := range []string{
			`session lost: .*; 1 exchange to be sent again; 1 request answered with 502$`, `held: .* for 30s$`,
			`registered `, `released .* after \d+ ms: 1 client was waiting on its port$`,
		} {
			next = p.awaitLog(line, next)
		}
		p.awaitLog(`warning failed on .*: 1 request got 502, it may have been executed`, 0)
	})
}

func TestServicesAreToldThatTheProxyEnds(t *testing.T) {
	each(t, []string{"--drain", "20s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		session := p.dialPeer(onPath(port, "/"))
		const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
		w, idle := dial(t, port), dial(t, port)
		idle.send(request)
		session.reply(session.awaitStream())
		idle.expectReply("GET", 200, "ok")
		w.send(request)
		stream := session.awaitStream()
		p.signal(syscall.SIGTERM)
		session.await("GoAway", func(frame service.Frame) bool { return frame.Type == service.TypeGoAway })
		idle.expectEnd()
		session.reply(stream)
		if r := w.expectReply("GET", 200, "ok"); !r.Close {
			t.Error("the reply does not say Connection: close")
		}
		w.expectEnd()
		p.dead = true
		if code := p.exitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

func TestAHalfClosedRequestIsSentAgain(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		first := p.startService("-port", portText(port), "-path", "/", "-mode", "hang")
		w := dial(t, port)
		w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		w.CloseWrite()
		first.stdout.find("GET", 0)
		p.killService(first)
		p.startService("-port", portText(port), "-path", "/", "-text", "back")
		w.expectReply("GET", 200, "back")
	})
}

func TestAHalfClosedRawConnectionIsTakenBack(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		slow := p.dialPeer(raw(port))
		slow.SetDeadline(time.Time{})
		go slow.Await(func(service.Frame) bool { return false })
		var clients []*wire
		for index := 0; index < 10; index++ {
			w := dial(t, port)
			w.send("hello")
			w.CloseWrite()
			clients = append(clients, w)
		}
		p.serveStreams(raw(port), echoStream)
		for _, w := range clients {
			w.expect("hello")
			w.expectEnd()
		}
	})
}

func TestTheTimeOfAHoldIsNotTheServices(t *testing.T) {
	eachWaiting(t, []string{"--reply-timeout", "2s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.endSession(p.listen(onPath(port, "/")))
		w := dial(t, port)
		w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		time.Sleep(3 * time.Second)
		p.startService("-port", portText(port), "-path", "/", "-text", "late", "-delay", "500ms")
		w.expectReply("GET", 200, "late")
	})
}

func TestInterimRepliesOpenNoPace(t *testing.T) {
	p := startProxy(t, plain.flags...)
	port := freePort(t)
	p.endSession(p.listen(onPath(port, "/")))
	for index := 0; index < 40; index++ {
		dial(t, port).send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	p.awaitWaiting(40)
	session := p.dialPeer(onPath(port, "/"))
	var all []opened
	first := session.collect(&all)
	for _, stream := range first {
		session.Send(service.WindowUpdate(service.FlagACK, stream.id, 0))
		session.Send(service.Data(0, stream.id, []byte("HTTP/1.1 103 Early Hints\r\n\r\n")))
	}
	// Once a second it is raised all the same; within that time nobody else may come.
	if more := session.collect(&all); len(first) != 8 || len(more) > 16 {
		t.Errorf("%d streams, and %d more after interim replies", len(first), len(more))
	}
}
