package endtoend

import (
	"io"
	"strings"
	"testing"
)

// What clients do every day is counted, but nobody is told.
func TestWhatClientsDoEveryDayIsNoFailure(t *testing.T) {
	p := onceWaiting(t, "--idle-timeout", "2s", "--head-timeout", "2s")
	port, tlsPort := freePort(t), freePort(t)
	p.serve(onPath(port, "/a"), text("a"))
	p.serveStreams(onPath(port, "/begun"), saying(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"))
	p.serve(onPath(port, "/held"), text("held")).Close()
	p.serve(issue("p256", "a.example").with(onPath(tlsPort, "")), text("a"))
	p.awaitLog(`held: `, 0)
	silent := dial(t, port)
	shaking := dial(t, tlsPort)
	shaking.send(string(captureHello(t)))
	shaking.reader.ReadByte()
	shaking.Close()
	waiting := dial(t, port)
	waiting.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
	p.awaitWaiting(1)
	waiting.Close()
	reader := dial(t, port)
	reader.send("GET /begun HTTP/1.1\r\nHost: x\r\n\r\n")
	reader.reader.ReadString('x')
	reader.reset()
	asked := dial(t, port)
	asked.send("OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n")
	asked.expectReply("OPTIONS", 200, "")
	asked.Close()
	idle := dial(t, port)
	idle.get("/a", "a")
	idle.expectEnd()
	silent.expectEnd()
	for figure, port := range map[string]int{
		"ended idle": port, "ended silent": port, "gone while waiting": port, "clients gone": port, "200 OPTIONS": port,
		"TLS left": tlsPort,
	} {
		eventually(t, figure, func() bool { return p.figureOn(port, figure) == 1 })
	}
	if failures := p.figureOn(port, "failures") + p.figureOn(tlsPort, "failures"); failures != 0 {
		t.Errorf("%d failures", failures)
	}
	for _, line := range p.stderr.copy() {
		if strings.Contains(line, "failed on ") {
			t.Error(line)
		}
	}
}

// A port may be closed before all of its clients have gone, and before the second is over.
func TestClientsOfPortsThatAreClosedAreToldOf(t *testing.T) {
	eachWaiting(t, []string{"--hold", "0s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		service := p.serve(onPath(port, "/a"), text("a"))
		staying := dial(t, port)
		staying.get("/a", "a")
		leaving := dial(t, port)
		leaving.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
		leaving.expectReply("GET", 404, "*")
		service.Close()
		p.awaitLog(listenerClosed, 0)
		staying.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
		staying.expectReply("GET", 404, "*")
		p.awaitLog(`failed on 127.0.0.1:`+portText(port)+`: 1 request got 404`, 0)
		p.awaitLog(`failed on ports that have been closed: 1 request got 404`, 0)
		figures := figuresIn(p.figures(`notice on ports that have been closed: `))
		// The one that was told of while the port was open, and the one behind it.
		if figures["404 no route"] != 2 || figures["failures"] != 2 {
			t.Errorf("the figures are %v", figures)
		}
		// Whoever opens the port again begins at 0.
		p.serve(onPath(port, "/a"), text("a"))
		if failures := p.figureOn(port, "failures"); failures != 0 {
			t.Errorf("%d failures at the start", failures)
		}
	})
}

func TestTheOldestOfTooManyHandshakesIsToldOf(t *testing.T) {
	p := onceWaiting(t, "--reactors", "1", "--tls-handshakes", "16")
	port := freePort(t)
	p.serve(issue("p256", "a.example").with(onPath(port, "")), text("a"))
	hello := string(captureHello(t))
	first := dial(t, port)
	first.send(hello)
	first.reader.ReadByte()
	for client := 0; client < 16; client++ {
		w := dial(t, port)
		w.send(hello)
		w.reader.ReadByte()
	}
	io.Copy(io.Discard, first)
	p.expectTold(port, `TLS handshake failed, it was the oldest of more than --tls-handshakes 16`, "TLS too many")
}
