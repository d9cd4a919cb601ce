package endtoend

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"socketmaster/endtoend/service"
)

func TestHoldClientsOfAKilledServiceAreServedWhenItReturns(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		first := p.startService("-port", portText(port), "-path", "/", "-text", "first")
		kept := dial(t, port)
		kept.get("/", "first")
		p.killService(first)
		body := pattern(1, 5<<20)
		kept.send("GET /kept HTTP/1.1\r\nHost: x\r\n\r\n")
		var waiting []*wire
		for index := 0; index < 50; index++ {
			w := dial(t, port)
			w.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", index))
			waiting = append(waiting, w)
		}
		upload := dial(t, port)
		go func() {
			fmt.Fprintf(upload, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(body))
			upload.Write(body)
		}()
		pipelined := dial(t, port)
		pipelined.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
		kept.expectSilence()
		waiting[0].expectSilence()
		upload.expectSilence()
		p.startService("-port", portText(port), "-path", "/", "-text", "second")
		kept.expectReply("GET", 200, "second")
		for _, w := range waiting {
			w.expectReply("GET", 200, "second")
			w.get("/again", "second")
		}
		upload.expectReply("POST", 200, "second")
		pipelined.expectReply("GET", 200, "second")
		pipelined.expectReply("GET", 200, "second")
	})
}

func TestHoldBodiesOfWaitingClientsArriveExactly(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		first := p.listen(onPath(port, "/"))
		p.endSession(first)
		var waiting []*wire
		var bodies [][]byte
		for index, size := range []int{0, 10, 10_000, 300_000, 3 << 20} {
			body := pattern(int64(index), size)
			bodies = append(bodies, body)
			w := dial(t, port)
			go func() {
				fmt.Fprintf(w, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(body))
				w.Write(body)
			}()
			waiting = append(waiting, w)
		}
		waiting[4].expectSilence()
		p.serve(onPath(port, "/"), digest())
		for index, w := range waiting {
			w.expectReply("POST", 200, digestOf("POST", bodies[index]))
		}
	})
}

// endSession closes a session of this process and waits until the proxy has noticed.
func (p *proxy) endSession(listener *service.Listener) {
	p.t.Helper()
	from := p.stderr.count()
	listener.Close()
	p.awaitLog(sessionLost, from)
}

func TestHoldRawClientsAreServedWhenTheServiceReturns(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		first := p.startService("-port", portText(port), "-mode", "raw-echo")
		p.killService(first)
		silent, speaking, ending := dial(t, port), dial(t, port), dial(t, port)
		large := dial(t, port)
		body := pattern(1, 2<<20)
		speaking.send("hello")
		ending.send("all")
		ending.CloseWrite()
		go func() {
			large.Write(body)
			large.CloseWrite()
		}()
		silent.expectSilence()
		speaking.expectSilence()
		p.startService("-port", portText(port), "-mode", "raw-greet", "-text", "welcome")
		silent.expect("welcome")
		speaking.expect("welcomehello")
		ending.expect("welcomeall")
		ending.expectEnd()
		large.expect("welcome")
		echo, err := io.ReadAll(large.reader)
		if diff := difference(echo, body); diff != "" || err != nil {
			t.Errorf("%s, %v", diff, err)
		}
		speaking.exchange([]byte("more"))
	})
}

func TestHoldEndsWith503AndTheListenerCloses(t *testing.T) {
	eachWaiting(t, []string{"--hold", "3s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.endSession(p.serve(onPath(port, "/"), text("x")))
		from := p.stderr.count()
		w := dial(t, port)
		w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		r := w.expectReply("GET", 503, "*")
		if seconds, err := strconv.Atoi(r.Header.Get("Retry-After")); err != nil || seconds < 1 {
			t.Errorf("Retry-After is %q", r.Header.Get("Retry-After"))
		}
		p.awaitLog(listenerClosed, from)
		eventually(t, "the port is closed", func() bool {
			connection, err := net.Dial("tcp", address(port))
			if err == nil {
				connection.Close()
			}
			return err != nil
		})
		// The port can be opened again.
		p.serve(onPath(port, "/"), text("back"))
		expectServed(t, port, "/", "back")
	})
}

func TestHoldEndsForRawClientsByClosing(t *testing.T) {
	eachWaiting(t, []string{"--hold", "3s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.endSession(p.serveStreams(raw(port), echoStream))
		silent, speaking := dial(t, port), dial(t, port)
		speaking.send("hello")
		silent.expectClosed()
		speaking.expectClosed()
	})
}

func TestHoldEndsForOneRouteWhileTheListenerServesAnother(t *testing.T) {
	eachWaiting(t, []string{"--hold", "3s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/live"), text("live"))
		p.endSession(p.serve(onPath(port, "/gone"), text("gone")))
		w := dial(t, port)
		w.send("GET /gone HTTP/1.1\r\nHost: x\r\n\r\n")
		w.expectReply("GET", 503, "*")
		expectServed(t, port, "/live", "live")
		// After that nobody is registered for it any more.
		eventually(t, "404", func() bool { return get(t, port, "/gone").StatusCode == 404 })
		expectServed(t, port, "/live", "live")
	})
}

func TestHoldHeldRoutesDoNotFallThroughToShorterOnes(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), text("root"))
		api := p.serve(onPath(port, "/api"), text("api"))
		p.serve(onHost(port, "a.example", "/"), text("a root"))
		p.endSession(api)
		w := dial(t, port)
		w.send("GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n")
		w.expectSilence()
		expectServed(t, port, "/other", "root")
		// A longer domain goes before the held path.
		other := dial(t, port)
		other.send("GET /api HTTP/1.1\r\nHost: a.example\r\n\r\n")
		other.expectReply("GET", 200, "a root")
		p.serve(onPath(port, "/api"), text("api again"))
		w.expectReply("GET", 200, "api again")
	})
}

func TestHoldAnyRegistrationOfTheRouteReleasesTheWaiting(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.endSession(p.serve(onHost(port, "Held.Example", "/a"), text("x")))
		w := dial(t, port)
		w.send("GET /a HTTP/1.1\r\nHost: held.example\r\n\r\n")
		w.expectSilence()
		p.serve(onHost(port, "held.example", "/b"), text("another route"))
		w.expectSilence()
		p.serve(onHost(port, "held.example", "/a"), text("the same route, written otherwise"))
		w.expectReply("GET", 200, "the same route, written otherwise")
	})
}

func TestHoldIsBoundedByTheHoldLimit(t *testing.T) {
	each(t, []string{"--hold-limit", "3"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.endSession(p.serve(onPath(port, "/"), text("x")))
		var waiting []*wire
		for index := 0; index < 3; index++ {
			w := dial(t, port)
			w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			w.expectSilence()
			waiting = append(waiting, w)
		}
		w := dial(t, port)
		w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if r := w.expectReply("GET", 503, "*"); r.Header.Get("Retry-After") == "" {
			t.Error("the 503 has no Retry-After")
		}
		// A waiting client that leaves makes room.
		waiting[0].Close()
		waiting[1].reset()
		p.awaitWaiting(1)
		waiting[0] = dial(t, port)
		waiting[0].send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		waiting[0].expectSilence()
		p.serve(onPath(port, "/"), text("back"))
		waiting[0].expectReply("GET", 200, "back")
		waiting[2].expectReply("GET", 200, "back")
	})
}

func TestHoldStartGraceLetsClientsWaitForWhoeverComes(t *testing.T) {
	each(t, []string{"--start-grace", "60s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/a"), text("a"))
		w := dial(t, port)
		w.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
		w.expectSilence()
		expectServed(t, port, "/a", "a")
		p.serve(onPath(port, "/b"), text("b"))
		w.expectReply("GET", 200, "b")
	})
}

func TestHoldStartGraceEndsWith404(t *testing.T) {
	eachWaiting(t, []string{"--start-grace", "1s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/a"), text("a"))
		if r := get(t, port, "/b"); r.StatusCode != 404 {
			t.Errorf("got %d %q", r.StatusCode, r.body)
		}
		expectServed(t, port, "/a", "a")
	})
}

func TestHoldRequestUnderWayGets502WhenItsServiceDies(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		hanging := p.startService("-port", portText(port), "-path", "/", "-mode", "hang")
		w := dial(t, port)
		w.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
		if hanging.stdout.find("^request POST /x 3$", 0) < 0 {
			t.Fatal("the request did not arrive")
		}
		p.killService(hanging)
		w.expectReply("POST", 502, "*")
	})
}

func TestHoldReplyUnderWayEndsWithItsConnection(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		dying := p.startService("-port", portText(port), "-path", "/", "-mode", "half", "-text", "half")
		w := dial(t, port)
		w.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
		if head, err := readHead(w.reader); err != nil || !strings.HasPrefix(head, "HTTP/1.1 200 ") {
			t.Fatalf("got %q, %v", head, err)
		}
		w.expect("half")
		p.killService(dying)
		w.expectClosed()
	})
}

func TestHoldServiceThatRestartsAgainAndAgainServesEverybodyWhoWaits(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		current := p.serve(onPath(port, "/"), text("0"))
		stop := make(chan struct{})
		results := make(chan error, 4)
		for worker := 0; worker < cap(results); worker++ {
			go func() { results <- askUntil(port, stop) }()
		}
		for generation := 1; generation <= 10; generation++ {
			// Politely: no new streams, the open ones end, then the session. That it waits for its own streams is the
			// service's part; that nobody notices the gap is the proxy's.
			from := p.stderr.count()
			current.Drain(patience)
			p.awaitLog(sessionLost, from)
			current = p.serve(onPath(port, "/"), text(fmt.Sprint(generation)))
		}
		close(stop)
		for worker := 0; worker < cap(results); worker++ {
			if err := await(t, "the end of a worker", results); err != nil {
				t.Error(err)
			}
		}
	})
}

// askUntil makes requests, a connection for every third, until it is stopped.
func askUntil(port int, stop <-chan struct{}) error {
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: patience}
	for number := 1; ; number++ {
		select {
		case <-stop:
			return nil
		default:
		}
		response, err := client.Get("http://" + address(port))
		if err != nil {
			return fmt.Errorf("request %d: %w", number, err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		// A request that was under way to a session that ended is not sent again, and says so.
		if err != nil || response.StatusCode != 200 && response.StatusCode != 502 {
			return fmt.Errorf("request %d: %d %q, %v", number, response.StatusCode, body, err)
		}
		if number%3 == 0 {
			transport.CloseIdleConnections()
		}
	}
}

func TestHoldEveryKindOfEndIsNoticed(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		for what, end := range map[string]func(*peer){
			"FIN":       func(peer *peer) { peer.Close() },
			"half FIN":  func(peer *peer) { peer.Conn.(*net.TCPConn).CloseWrite() },
			"reset":     func(peer *peer) { peer.Conn.(*net.TCPConn).SetLinger(0); peer.Close() },
			"bad frame": func(peer *peer) { peer.Send(service.Frame{Version: 9}) },
		} {
			peer := p.dialPeer(onPath(port, "/"))
			from := p.stderr.count()
			end(peer)
			p.awaitLog(sessionLost, from)
			w := dial(t, port)
			w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			w.expectSilence()
			listener := p.serve(onPath(port, "/"), http.HandlerFunc(
				func(writer http.ResponseWriter, request *http.Request) { io.WriteString(writer, what) }))
			w.expectReply("GET", 200, what)
			p.endSession(listener)
		}
	})
}
