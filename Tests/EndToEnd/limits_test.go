package endtoend

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

func TestThousandHalfHeadsStopNobody(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), text("served"))
		const whole = "GET / HTTP/1.1\r\nHost: half.example\r\nUser-Agent: slow\r\n\r\n"
		var halves []*wire
		for index := 0; index < 1000; index++ {
			w := dial(t, port)
			w.send(whole[:1+index%(len(whole)-1)])
			halves = append(halves, w)
		}
		w := dial(t, port)
		for round := 0; round < 100; round++ {
			w.get("/", "served")
			expectServed(t, port, "/", "served")
		}
		for index, w := range halves {
			w.extend()
			w.send(whole[1+index%(len(whole)-1):])
		}
		for _, w := range halves {
			w.expectReply("GET", 200, "served")
		}
	})
}

func TestAtMostMaxConnectionsAreServedAtOnce(t *testing.T) {
	each(t, []string{"--max-connections", "64"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), text("served"))
		// The bound may be rounded up per reactor, and beyond it the kernel's backlog holds whoever comes. Everybody gets
		// a turn as soon as others leave.
		var open []*wire
		for index := 0; index < 64; index++ {
			open = append(open, dial(t, port))
		}
		for _, w := range open[:8] {
			w.get("/", "served")
		}
		var waiting []*wire
		for index := 0; index < 100; index++ {
			w := dial(t, port)
			w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			waiting = append(waiting, w)
		}
		for _, w := range open {
			w.Close()
		}
		for _, w := range waiting {
			w.extend()
			w.expectReply("GET", 200, "served")
		}
	})
}

func TestManyWhoSpeakAtOnceAreServedWithFewBuffers(t *testing.T) {
	each(t, []string{"--receive-buffers", "8"}, func(t *testing.T, p *proxy) {
		const clients = 800
		port := freePort(t)
		p.serve(onPath(port, "/"), text("served"))
		var all []*wire
		for index := 0; index < clients; index++ {
			w := dial(t, port)
			w.get("/", "served")
			all = append(all, w)
		}
		before := p.figure("receives without a buffer")
		p.suspend(t)
		for _, w := range all {
			w.extend()
			w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		p.signal(syscall.SIGCONT)
		for _, w := range all {
			w.expectReply("GET", 200, "served")
		}
		// Who has found none asks again when it can have one, and not in every turn of the others.
		if starved := p.figure("receives without a buffer") - before; starved == 0 || starved > 4*clients {
			t.Errorf("%d receives found no buffer", starved)
		}
	})
}

func TestSilentClientsAreLetInWhereClientsSpeakFirst(t *testing.T) {
	eachWaiting(t, []string{"--head-timeout", "1s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), text("served"))
		// Without a first byte the kernel keeps a client to itself for a second, which no client must notice.
		silent, slow, finished := dial(t, port), dial(t, port), dial(t, port)
		finished.CloseWrite()
		finished.expectEnd()
		slow.expectSilence()
		slow.get("/", "served")
		silent.expectEnd()
		// A service of raw connections may speak first, whoever had the port before.
		p.serveStreams(raw(port), func(stream net.Conn) { io.WriteString(stream, "welcome") })
		greeted := dial(t, port)
		greeted.expect("welcome")
		greeted.expectEnd()
	})
}

func TestAServiceThatDoesNotAcceptGetsAtMost256Streams(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port, otherPort := freePort(t), freePort(t)
		peer := p.dialPeer(raw(port))
		p.serve(onPath(otherPort, "/"), text("other"))
		const clients = 300
		for index := 0; index < clients; index++ {
			dial(t, port).send("x")
		}
		var opened []uint32
		for len(opened) < 256 {
			opened = append(opened, peer.await("a stream", isOpening).Stream)
		}
		expectServed(t, otherPort, "/", "other")
		peer.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if frame, err := peer.Await(isOpening); !isTimeout(err) {
			t.Fatalf("after 256 streams came %v, %v", frame, err)
		}
		peer.SetReadDeadline(time.Now().Add(patience))
		for _, id := range opened {
			peer.Send(service.WindowUpdate(service.FlagACK, id, 0))
		}
		for len(opened) < clients {
			opened = append(opened, peer.await("a stream", isOpening).Stream)
		}
	})
}

func TestFINOfARawClientWaitsForTheServicesFirstFrame(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(raw(port))
		isFIN := func(frame service.Frame) bool { return frame.Flags&service.FlagFIN != 0 }
		for _, accepts := range []bool{true, false} {
			w := dial(t, port)
			w.send("all")
			ended := time.Now()
			w.CloseWrite()
			opening := peer.await("a stream", func(frame service.Frame) bool { return frame.Flags&service.FlagSYN != 0 })
			if opening.Flags&service.FlagFIN != 0 {
				t.Fatalf("the FIN came with %v", opening)
			}
			if accepts {
				peer.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
				frame, err := peer.Await(isFIN)
				if !isTimeout(err) && (err != nil || time.Since(ended) < 900*time.Millisecond) {
					t.Fatalf("before the service's first frame came %v, %v", frame, err)
				}
				peer.SetReadDeadline(time.Now().Add(patience))
				peer.Send(service.WindowUpdate(service.FlagACK, opening.Stream, 0))
				if err == nil {
					continue // this has taken so long that the FIN was due
				}
			}
			// For a service that reads to the end before it says anything it is not held back for ever.
			peer.await("the FIN", isFIN)
		}
	})
}

// That of a client that has not ended itself; http_client_end_test.go is about those that have.
func TestFINOfARequestComesWithTheEndOfTheReply(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, "/"))
		isFIN := func(frame service.Frame) bool { return frame.Flags&service.FlagFIN != 0 }
		w := dial(t, port)
		w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		stream := peer.awaitStream()
		peer.SetReadDeadline(time.Now().Add(1500 * time.Millisecond))
		if frame, err := peer.Await(isFIN); !isTimeout(err) {
			t.Fatalf("before the reply came %v, %v", frame, err)
		}
		peer.SetReadDeadline(time.Now().Add(patience))
		peer.Send(service.Data(0, stream, []byte("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndo")))
		peer.Send(service.Data(0, stream, []byte("ne")))
		// Without waiting for the service's own FIN, which older libraries send only after ours.
		peer.await("the FIN", isFIN)
		w.expectReply("GET", 200, "done")
		w.expectEnd()
		peer.Send(service.WindowUpdate(service.FlagFIN, stream, 0))
		if !peer.isAlive() {
			t.Error("the session has ended")
		}
	})
}

func TestSYNTravelsWithTheRequestAndAtOnceForRawClients(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		httpPort, rawPort := freePort(t), freePort(t)
		web, plain := p.dialPeer(onPath(httpPort, "/")), p.dialPeer(raw(rawPort))
		// A raw service may be the one that speaks first, so that its stream does not wait for a byte of the client.
		dial(t, rawPort)
		plain.await("a stream", isOpening)
		dial(t, httpPort).send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
		opening := web.await("a stream", isOpening)
		if !strings.HasPrefix(string(opening.Payload), "GET /first HTTP/1.1\r\n") {
			t.Errorf("the stream was opened with %v %q", opening, opening.Payload)
		}
	})
}

func TestIdleSessionsLast(t *testing.T) {
	p := onceWaiting(t)
	port := freePort(t)
	p.serve(onPath(port, "/"), text("still here"))
	expectServed(t, port, "/", "still here")
	time.Sleep(24 * time.Second) // longer than the 10 s until a ping and the 10 s for its answer
	expectServed(t, port, "/", "still here")
}

func TestFewDescriptorsAreSharedOut(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			command := []string{"/bin/bash", "-c", `ulimit -n 200 && exec "$0" "$@"`, program()}
			p := startProxyBy(t, command, v.flags...)
			port := freePort(t)
			p.serve(onPath(port, "/"), text("served"))
			var idle, waiting []*wire
			for index := 0; index < 180; index++ {
				idle = append(idle, dial(t, port))
			}
			for index := 0; index < 120; index++ {
				w := dial(t, port)
				w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				waiting = append(waiting, w)
			}
			// There are descriptors to spare for whoever registers.
			other := freePort(t)
			p.serve(onPath(other, "/"), text("registered"))
			for _, w := range idle {
				w.Close()
			}
			for _, w := range waiting {
				w.extend()
				w.expectReply("GET", 200, "served")
			}
			expectServed(t, other, "/", "registered")
		})
	}
}

func TestGoAwayMeansNoNewStreamsAndEverythingOpenGoesOn(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		started, proceed := make(chan struct{}, 1), make(chan struct{})
		leaving := p.serve(onPath(port, "/"), http.HandlerFunc(
			func(writer http.ResponseWriter, request *http.Request) {
				started <- struct{}{}
				sleepless(proceed, patience)
				io.WriteString(writer, "old")
			}))
		w := dial(t, port)
		w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		await(t, "the request", started)
		if err := leaving.GoAway(); err != nil {
			t.Fatal(err)
		}
		if err := leaving.Ping(); err != nil { // the answer comes after the proxy has understood
			t.Fatal(err)
		}
		p.serve(onPath(port, "/"), text("new"))
		for round := 0; round < 10; round++ {
			expectServed(t, port, "/", "new")
		}
		close(proceed)
		w.expectReply("GET", 200, "old")
		w.get("/", "new")
	})
}

func TestManyRegistrationsOfOneServiceAreAllUsed(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		var listeners []net.Listener
		for index := 0; index < 32; index++ {
			listeners = append(listeners, p.serve(onPath(port, "/"), text("served")))
		}
		for round := 0; round < 40; round++ {
			expectServed(t, port, "/", "served")
		}
		// All but one end, while requests go on: none is lost on a connection that begins after the session is gone.
		from := p.stderr.count()
		for _, listener := range listeners[1:] {
			listener.Close()
		}
		for range listeners[1:] {
			from = p.awaitLog(sessionLost, from)
		}
		for round := 0; round < 40; round++ {
			expectServed(t, port, "/", "served")
		}
	})
}

func TestResidentMemoryReturnsAfterLoad(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		body := pattern(11, 1<<20)
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			writer.Write(body)
		}))
		client := client(t)
		load := func() {
			errors := make(chan error, 20)
			for worker := 0; worker < 20; worker++ {
				go func() {
					response, err := client.Get("http://" + address(port))
					if err == nil {
						var answer []byte
						answer, err = io.ReadAll(response.Body)
						response.Body.Close()
						if diff := difference(answer, body); err == nil && diff != "" {
							err = fmt.Errorf("%s", diff)
						}
					}
					errors <- err
				}()
			}
			for worker := 0; worker < 20; worker++ {
				if err := await(t, "a reply", errors); err != nil {
					t.Error(err)
				}
			}
		}
		load()
		before := p.resident()
		for round := 0; round < 5; round++ {
			load()
		}
		p.expectGrowth(before, 16)
	})
}

// Above --buffer-limit only streams whose client takes its bytes get credit, and a quarter above it the stalled
// connections that hold most are reset; whoever takes bytes notices nothing.
func TestBytesThatWaitAreBoundedByTheBufferLimit(t *testing.T) {
	// What lies in pipes takes none of it: there are few.
	eachThoroughly(t, []string{"--buffer-limit", "8m", "--pipes", "4"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		const size = 8 << 20
		body := pattern(5, size)
		p.serveStreams(raw(port), func(stream net.Conn) {
			first := make([]byte, 1)
			io.ReadFull(stream, first)
			if first[0] == 'e' {
				io.Copy(stream, stream)
			} else {
				stream.Write(body)
			}
		})
		expectEcho := func() {
			w := dial(t, port)
			w.send("e")
			w.exchange(pattern(4, 50_000))
			w.Close()
		}
		expectEcho()
		before := p.resident()
		stopped := make([]*wire, 0, 100)
		for index := 0; index < cap(stopped); index++ {
			w := dial(t, port)
			w.SetReadBuffer(128 << 10)
			w.send("w")
			stopped = append(stopped, w)
		}
		for round := 0; round < 15; round++ {
			expectEcho()
			time.Sleep(100 * time.Millisecond)
		}
		p.expectGrowth(before, 64)
		// Now they read: those that were not reset get every byte.
		whole := 0
		for _, w := range stopped {
			w.extend()
			got, err := io.ReadAll(io.LimitReader(w.reader, size))
			if err == nil && len(got) == size {
				whole++
				if !bytes.Equal(got, body) {
					t.Fatal("wrong bytes")
				}
			}
			w.Close()
		}
		if whole == 0 || whole == len(stopped) {
			t.Errorf("%d of %d stalled connections were kept", whole, len(stopped))
		}
		expectEcho()
	})
}
