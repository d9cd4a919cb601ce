package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"math/rand"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// dieAt registers a service whose session is broken off by the first request for a target, unanswered; what it answers
// otherwise is the target. The channel is closed when it has died.
func (p *proxy) dieAt(definition service.Definition, target string, deaths *atomic.Int32) <-chan struct{} {
	p.t.Helper()
	connection, listener := p.register(definition)
	dead := make(chan struct{})
	go func() {
		defer close(dead)
		serveEach(listener, func(stream net.Conn) {
			head, err := readHead(bufio.NewReader(stream))
			if err != nil {
				return
			}
			asked := strings.Fields(head)[1]
			if strings.HasPrefix(asked, target) {
				deaths.Add(1)
				resetSession(connection)
				return
			}
			io.WriteString(stream, counted("200 OK", asked))
		})
	}()
	return dead
}

// register registers a service whose session the test breaks off itself.
func (p *proxy) register(definition service.Definition) (net.Conn, *service.Listener) {
	p.t.Helper()
	connection, err := service.Dial(p.control)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := service.Register(connection, definition); err != nil {
		p.t.Fatal(err)
	}
	listener, err := service.Serve(connection)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { connection.Close() })
	return connection, listener
}

func resetSession(connection net.Conn) {
	connection.(*net.TCPConn).SetLinger(0)
	connection.Close()
}

func TestARequestOutlivesServicesThatDieBeforeTheyHaveAnsweredAnything(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		var deaths atomic.Int32
		dead := p.dieAt(onPath(port, "/"), "/", &deaths)
		w := dial(t, port)
		w.send("GET /asked HTTP/1.1\r\nHost: x\r\n\r\n")
		for index := 0; index < 6; index++ {
			// From the third on it has to live for a moment to get the request.
			await(t, "the service has died", dead)
			dead = p.dieAt(onPath(port, "/"), "/", &deaths)
		}
		await(t, "the service has died", dead)
		p.serveScripts(onPath(port, "/"), nil)
		w.extend()
		w.expectReply("GET", 200, "/asked")
		if deaths.Load() != 7 {
			t.Errorf("%d services got the request and died", deaths.Load())
		}
	})
}

// supervise registers such a service again whenever it has died.
func (p *proxy) supervise(definition service.Definition, target string, deaths *atomic.Int32) (stop func()) {
	stopped, done := make(chan struct{}), make(chan struct{})
	dead := p.dieAt(definition, target, deaths)
	go func() {
		defer close(done)
		for {
			select {
			case <-stopped:
				return
			case <-dead:
				dead = p.dieAt(definition, target, deaths)
			}
		}
	}()
	return func() {
		close(stopped)
		<-done
	}
}

func TestARequestThatKillsThreeServicesThatWereWellGets502(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		var deaths atomic.Int32
		defer p.supervise(onPath(port, "/"), "/kill", &deaths)()
		expectServed(t, port, "/well", "/well")
		w := dial(t, port)
		w.send("GET /kill HTTP/1.1\r\nHost: x\r\n\r\n")
		w.expectReply("GET", 502, "*")
		expectServed(t, port, "/well", "/well")
		if count := deaths.Load(); count < 3 || count > 11 {
			t.Errorf("it has killed %d", count)
		}
		p.awaitLog("failed on .*502", 0)
	})
}

// What may be deadly is tried when nobody else can be hurt by it, and others are served meanwhile.
func TestARequestThatHasLostTwoUnprovenServicesComesLast(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		var deaths atomic.Int32
		for index := 0; index < 2; index++ {
			dead := p.dieAt(onPath(port, "/"), "/kill", &deaths)
			if index == 0 {
				killer := dial(t, port)
				killer.send("GET /kill HTTP/1.1\r\nHost: x\r\n\r\n")
			}
			await(t, "the service has died", dead)
		}
		var others []*wire
		for index := 0; index < 5; index++ {
			w := dial(t, port)
			w.send(fmt.Sprintf("GET /other-%d HTTP/1.1\r\nHost: x\r\n\r\n", index))
			w.expectSilence()
			others = append(others, w)
		}
		// Where clients still go from reactor to reactor it may come before them after all; they lose nothing by it.
		defer p.supervise(onPath(port, "/"), "/kill", &deaths)()
		for index, w := range others {
			w.expectReply("GET", 200, fmt.Sprintf("/other-%d", index))
		}
	})
}

// A service that is well gets a request that kills, and another one; it dies when both are there, long after it has
// come. What was lost beside the deadly one has done nothing.
func TestWhatIsLostBesideARequestThatKillsIsSentAgain(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		var deaths atomic.Int32
		var killer, other *wire
		for index := 0; index < 2; index++ {
			dead := p.dieAt(onPath(port, "/"), "/kill", &deaths)
			if index == 0 {
				killer, other = dial(t, port), dial(t, port)
				killer.send("GET /kill HTTP/1.1\r\nHost: x\r\n\r\n")
			}
			await(t, "the service has died", dead)
		}
		for round := 0; round < 3; round++ {
			die, killed, lost := p.dieWhenTold(onPath(port, "/"))
			expectServed(t, port, "/well", "/well")
			await(t, "the deadly one has come", killed)
			if round == 0 {
				other.send("GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
			}
			await(t, "the other one has come", lost)
			time.Sleep(150 * time.Millisecond) // no session that has just come
			die()
		}
		killer.extend()
		killer.expectReply("GET", 502, "*")
		p.serveScripts(onPath(port, "/"), nil)
		other.extend()
		other.expectReply("GET", 200, "/other")
	})
}

// dieWhenTold registers a service that answers "/well" alone, and tells when "/kill" and "/other" have come.
func (p *proxy) dieWhenTold(definition service.Definition) (die func(), killed, lost <-chan struct{}) {
	connection, listener := p.register(definition)
	come := map[string]chan struct{}{"/kill": make(chan struct{}), "/other": make(chan struct{})}
	go serveEach(listener, func(stream net.Conn) {
		input := bufio.NewReader(stream)
		head, err := readHead(input)
		if err != nil {
			return
		}
		asked := strings.Fields(head)[1]
		if there := come[asked]; there != nil {
			close(there)
			readHead(input) // until the end
			return
		}
		io.WriteString(stream, counted("200 OK", asked))
	})
	return func() { resetSession(connection) }, come["/kill"], come["/other"]
}

// Six routes whose services die again and again as soon as they are there, some by GoAway, some replaced before; the
// clients of all of them are served in the end.
func TestNoRequestFailsInACrashLoop(t *testing.T) {
	skipIfSanitized(t) // services live for less time than it takes to look at them
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		stop := make(chan struct{})
		var services, clients sync.WaitGroup
		for route := 0; route < 6; route++ {
			path := fmt.Sprintf("/%d/", route)
			p.endSession(p.listen(onPath(port, path)))
			services.Add(1)
			go func() {
				defer services.Done()
				p.crashLoop(onPath(port, path), stop)
			}()
		}
		var served, failed atomic.Int32
		for client := 0; client < 24; client++ {
			client := client
			clients.Add(1)
			go func() {
				defer clients.Done()
				target := fmt.Sprintf("/%d/%d", client%6, client)
				for round := 0; round < 40; round++ {
					var kept keptClient
					answer, err := kept.exchange(port, "GET "+target+" HTTP/1.1\r\nHost: x\r\n\r\n", "GET")
					kept.close()
					if err != nil || answer != target {
						failed.Add(1)
						t.Errorf("%s: %q, %v", target, answer, err)
						return
					}
					served.Add(1)
				}
			}()
		}
		clients.Wait()
		close(stop)
		services.Wait()
		if served.Load() != 24*40 {
			t.Errorf("%d served, %d failed", served.Load(), failed.Load())
		}
	})
}

// crashLoop registers a service that lives for some milliseconds, again and again; one in eight lives for longer.
func (p *proxy) crashLoop(definition service.Definition, stop <-chan struct{}) {
	for round := 0; ; round++ {
		select {
		case <-stop:
			return
		default:
		}
		listener, err := service.Listen(p.control, definition)
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		go serveEach(listener, func(stream net.Conn) {
			if head, err := readHead(bufio.NewReader(stream)); err == nil {
				io.WriteString(stream, counted("200 OK", strings.Fields(head)[1]))
			}
		})
		life := time.Duration(rand.Intn(3)) * time.Millisecond
		if round%8 == 7 {
			life = 200 * time.Millisecond
		}
		time.Sleep(life)
		if round%3 == 1 {
			listener.GoAway()
		}
		listener.Close()
	}
}

// byInstance is a definition of a program that says which one it is.
func byInstance(port int, instance string) service.Definition {
	definition := onPath(port, "/")
	definition.Attributes = map[string]string{"instance": instance}
	return definition
}

func TestWhatAProgramHasBrokenOffIsRepeatedAtAnotherOne(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		var broken atomic.Int32
		refuse := func(stream net.Conn) {
			if _, err := readHead(bufio.NewReader(stream)); err == nil {
				broken.Add(1)
			}
		}
		for session := 0; session < 6; session++ {
			p.serveStreams(byInstance(port, "the one that breaks off"), refuse)
		}
		p.serveScripts(byInstance(port, "the one that is well"), nil)
		for round := 0; round < 40; round++ {
			before := broken.Load()
			w := dial(t, port)
			w.send("GET /asked HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			w.expectReply("GET", 200, "/asked")
			if broken.Load() > before+1 {
				t.Fatal("it was repeated at the program that had just broken it off")
			}
		}
		if broken.Load() == 0 {
			t.Error("nothing was broken off")
		}
	})
}
