package endtoend

import (
	"syscall"
	"testing"
)

func TestTheLogSaysHowManySessionsARouteHasLeft(t *testing.T) {
	p := onceWaiting(t)
	port := freePort(t)
	var peers []*peer
	for index := 0; index < 3; index++ {
		peers = append(peers, p.dialPeer(onPath(port, "/")))
	}
	next := 0
	for index, left := range []string{"2 sessions left", "1 session left", "no session is left"} {
		peers[index].Close()
		next = p.awaitLog(`session lost: \*/ on .*: the (service closed it|connection broke), `+left+`$`, next)
	}
	next = p.awaitLog(`held: `, next)
	p.dialPeer(onPath(port, "/"))
	p.awaitLog(`released .* after \d+ ms: nobody is waiting$`, next)
}

// A service that says that it goes has lost nothing, and neither have its clients.
func TestAnEndThatIsAnnouncedIsNoLoss(t *testing.T) {
	p := onceWaiting(t)
	port := freePort(t)
	p.serve(onPath(port, "/"), text("sibling"))
	for name, leave := range map[string]func(*peer){
		"it waits for the end": func(*peer) {},
		"it closes at once":    func(leaving *peer) { leaving.Close() },
	} {
		from := p.stderr.count()
		leaving := p.dialPeer(onPath(port, "/"))
		leaving.Send(goAway)
		leave(leaving)
		line := p.awaitLog(sessionLost, from) - 1
		if text := p.stderr.copy()[line]; !logLine.MatchString(text) || p.matching(`session ended: .*, 1 session left$`, line) != 1 {
			t.Errorf("%s: %q", name, text)
		}
	}
	if p.matching(`session lost|held`, 0) != 0 {
		t.Error("a loss, or a hold, without one")
	}
}

// Nobody comes back to a proxy that stops.
func TestAProxyThatStopsHoldsNothing(t *testing.T) {
	p := onceWaiting(t, "--drain", "5s")
	port := freePort(t)
	listener := p.serve(onPath(port, "/"), text("x"))
	client := dial(t, port)
	client.send("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
	p.signal(syscall.SIGTERM)
	p.dead = true
	from := p.awaitLog("stopping by SIGTERM", 0)
	listener.Close()
	client.Close()
	if code := p.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if p.matching(`held`, from) != 0 {
		t.Errorf("the log says:\n%s", p.stderr.text())
	}
}
