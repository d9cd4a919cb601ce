package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// Slots of streams are few where clients are few. What nobody uses, idle streams and those that wait for a service's FIN,
// must make room for whoever needs one.

const (
	scarceClients  = 42
	scarceSessions = 104
	scarceStreams  = 2*scarceClients + 4096 // slots of a reactor, which need not be known to pass
)

// gate answers requests when so many of them are there; each is on a stream of its own then.
type gate struct {
	lock    sync.Mutex
	opened  *sync.Cond
	wanted  int
	waiting int
	passed  int // generations of it
}

func newGate(wanted int) *gate {
	g := &gate{wanted: wanted}
	g.opened = sync.NewCond(&g.lock)
	return g
}

func (g *gate) pass() {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.waiting++
	if g.waiting >= g.wanted {
		g.waiting, g.wanted = 0, 1 // and from now on each at once
		g.passed++
		g.opened.Broadcast()
		return
	}
	for passed := g.passed; passed == g.passed; {
		g.opened.Wait()
	}
}

// serveGated answers request after request on each stream, and never ends one by itself.
func serveGated(p *proxy, definition service.Definition, g *gate) {
	listener := p.listen(definition)
	go func() {
		for {
			stream, err := listener.Accept()
			if err != nil {
				return
			}
			go answerGated(stream, g)
		}
	}()
}

func answerGated(stream net.Conn, g *gate) {
	reader := bufio.NewReader(stream)
	for {
		head, err := readHead(reader)
		if err != nil {
			return // without a FIN of its own
		}
		if strings.HasPrefix(head, "POST ") {
			io.CopyN(io.Discard, reader, 4)
		}
		g.pass()
		io.WriteString(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

// fillSessions makes each of these sessions have so many unused streams: by requests that are all there at once.
func fillSessions(t *testing.T, port, sessions, streams int) {
	t.Helper()
	var clients []*wire
	for index := 0; index < streams; index++ {
		clients = append(clients, dial(t, port))
	}
	for session := 0; session < sessions; session++ {
		for _, w := range clients {
			w.extend()
			w.send(fmt.Sprintf("GET /%d/ HTTP/1.1\r\nHost: x\r\n\r\n", session))
		}
		for _, w := range clients {
			w.expectReply("GET", 200, "ok")
		}
	}
	for _, w := range clients {
		w.Close()
	}
}

// withIdleStreams is a proxy whose slots of streams are taken by idle ones, or were until it made room.
func withIdleStreams(t *testing.T, p *proxy) (port int) {
	t.Helper()
	port = freePort(t)
	register := func(index, wanted int) {
		definition := onPath(port, fmt.Sprintf("/%d/", index))
		definition.Attributes = map[string]string{"reuse-streams": "true"}
		serveGated(p, definition, newGate(wanted))
	}
	for index := 0; index < scarceSessions; index++ {
		register(index, 40)
	}
	fillSessions(t, port, scarceSessions, 40)
	// The few that are left.
	rest := scarceStreams - 40*scarceSessions
	register(scarceSessions, rest)
	var clients []*wire
	for index := 0; index < rest; index++ {
		w := dial(t, port)
		w.send(fmt.Sprintf("GET /%d/ HTTP/1.1\r\nHost: x\r\n\r\n", scarceSessions))
		clients = append(clients, w)
	}
	for _, w := range clients {
		w.expectReply("GET", 200, "ok")
		w.Close()
	}
	return port
}

// atOnce gives a connection much less time than an unused stream may live.
func atOnce(t *testing.T, port int) *wire {
	t.Helper()
	w := dial(t, port)
	w.limit = patience / 2
	w.extend()
	return w
}

func TestIdleStreamsMakeRoomForWhoeverNeedsOne(t *testing.T) {
	flags := []string{"--max-connections", fmt.Sprint(scarceClients)}
	each(t, flags, func(t *testing.T, p *proxy) {
		port := withIdleStreams(t, p)
		t.Logf("%d streams are open", p.figure("streams"))
		rawPort, freshPort := freePort(t), freePort(t)
		// On a session that has idle streams, which this request may use.
		for index := 0; index <= scarceSessions; index += 13 {
			w := atOnce(t, port)
			w.send(fmt.Sprintf("GET /%d/ HTTP/1.1\r\nHost: x\r\n\r\n", index))
			w.expectReply("GET", 200, "ok")
		}
		// What may not be sent on a stream that has been used.
		for index := 0; index < 30; index++ {
			w := atOnce(t, port)
			w.send(fmt.Sprintf("POST /%d/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", index))
			w.expectReply("POST", 200, "ok")
			w.Close()
		}
		// On sessions that have none.
		p.serve(onPath(freshPort, "/"), text("fresh"))
		p.serveStreams(raw(rawPort), echoStream)
		for index := 0; index < 30; index++ {
			w := atOnce(t, freshPort)
			w.get("/", "fresh")
			w.Close()
			w = atOnce(t, rawPort)
			w.exchange([]byte("hello"))
			w.Close()
		}
	})
}

// As many clients as there may be, all at once, each with a request that needs a stream of its own.
func TestIdleStreamsMakeRoomForAllClientsAtOnce(t *testing.T) {
	flags := []string{"--max-connections", fmt.Sprint(scarceClients)}
	each(t, flags, func(t *testing.T, p *proxy) {
		withIdleStreams(t, p)
		freshPort := freePort(t)
		serveGated(p, onPath(freshPort, "/"), newGate(scarceClients))
		var clients []*wire
		for index := 0; index < scarceClients; index++ {
			w := atOnce(t, freshPort)
			w.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
			clients = append(clients, w)
		}
		for _, w := range clients {
			w.expectReply("POST", 200, "ok")
		}
	})
}

// Services that never say FIN leave a stream behind with every request.
func TestStreamsOfServicesThatNeverEndThemMakeRoom(t *testing.T) {
	flags := []string{"--max-connections", fmt.Sprint(scarceClients)}
	each(t, flags, func(t *testing.T, p *proxy) {
		port := freePort(t)
		const sessions = 6
		for index := 0; index < sessions; index++ {
			peer := p.dialPeer(onPath(port, fmt.Sprintf("/%d/", index)))
			peer.SetDeadline(time.Time{})
			go answerWithoutFIN(peer)
		}
		var group sync.WaitGroup
		for index := 0; index < sessions; index++ {
			index := index
			group.Add(1)
			go func() {
				defer group.Done()
				client := &keptClient{}
				defer client.close()
				for round := 0; round < 1000; round++ {
					request := fmt.Sprintf("GET /%d/ HTTP/1.1\r\nHost: x\r\n\r\n", index)
					if _, err := client.exchange(port, request, "GET"); err != nil {
						t.Errorf("request %d: %v", round, err)
						return
					}
				}
			}()
		}
		group.Wait()
		t.Logf("%d streams are open", p.figure("streams"))
		// Idle ones beside them.
		idlePort, freshPort := freePort(t), freePort(t)
		for index := 0; index < 4; index++ {
			definition := onPath(idlePort, fmt.Sprintf("/%d/", index))
			definition.Attributes = map[string]string{"reuse-streams": "true"}
			serveGated(p, definition, newGate(40))
		}
		fillSessions(t, idlePort, 4, 40)
		p.serve(onPath(freshPort, "/"), text("fresh"))
		for index := 0; index < 30; index++ {
			w := atOnce(t, freshPort)
			w.get("/", "fresh")
			w.Close()
			w = atOnce(t, port)
			w.send(fmt.Sprintf("POST /%d/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", index%sessions))
			w.expectReply("POST", 200, "ok")
			w.Close()
		}
	})
}

// answerWithoutFIN answers every request, and never ends a stream.
func answerWithoutFIN(peer *peer) {
	for {
		opening, err := peer.Await(isOpening)
		if err != nil {
			return
		}
		peer.Send(service.Data(service.FlagACK, opening.Stream, []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")))
	}
}
