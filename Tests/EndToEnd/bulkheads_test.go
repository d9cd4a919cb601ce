package endtoend

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// crowd has so many clients ask for a path, with bodies of so many bytes. Nobody looks at what they get.
func crowd(t *testing.T, port int, path string, clients, body int) (all []*wire) {
	for index := 0; index < clients; index++ {
		w := dial(t, port)
		w.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, body))
		w.send(strings.Repeat("x", body))
		all = append(all, w)
	}
	return all
}

// awaitWaitingOn waits until so many clients wait on the port, and what is figured otherwise is there.
func (p *proxy) awaitWaitingOn(port, count int, figures ...string) {
	p.t.Helper()
	pattern := fmt.Sprintf(`notice on .*:%d: `, port)
	eventually(p.t, fmt.Sprint(count, " clients wait, ", figures), func() bool {
		line := p.figures(pattern)
		isThere := strings.Contains(line, fmt.Sprintf("waiting %d with", count))
		for _, figure := range figures {
			isThere = isThere && strings.Contains(line, figure)
		}
		return isThere
	})
}

func TestARouteThatIsStuckLeavesItsPortToOthers(t *testing.T) {
	for name, flags := range map[string][]string{"limit": {"--hold-limit", "4"}, "bytes": {"--hold-bytes", "64k"}} {
		name, flags := name, flags
		t.Run(name, func(t *testing.T) {
			eachWaiting(t, flags, func(t *testing.T, p *proxy) {
				port := freePort(t)
				p.endSession(p.serve(onPath(port, "/stuck"), digest()))
				restarted := p.serve(onPath(port, "/restarted"), digest())
				body := map[string]int{"limit": 1, "bytes": 15_000}[name]
				crowd(t, port, "/stuck", 8, body)
				p.awaitWaitingOn(port, 4, "503 hold "+name+" 4")
				p.endSession(restarted)
				waiting := crowd(t, port, "/restarted", 4, body)
				p.awaitWaitingOn(port, 8)
				p.serve(onPath(port, "/restarted"), digest())
				for _, w := range waiting {
					w.expectReply("POST", 200, digestOf("POST", []byte(strings.Repeat("x", body))))
				}
			})
		})
	}
}

func TestHoweverManyRoutesAreStuckAnotherOneFindsRoom(t *testing.T) {
	eachWaiting(t, []string{"--hold-limit", "4"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), digest())
		for index := 0; index < 20; index++ {
			path := fmt.Sprintf("/stuck-%d/", index)
			p.endSession(p.serve(onPath(port, path), digest()))
			crowd(t, port, path, 5, 1)
		}
		// A port has what sixteen routes may have, and none of them has all of it.
		eventually(t, "the port is full", func() bool {
			return strings.Contains(p.figures("notice on "), ": waiting 6")
		})
		restarted := p.serve(onPath(port, "/restarted"), digest())
		p.endSession(restarted)
		waiting := crowd(t, port, "/restarted", 1, 1)
		waiting[0].expectSilence()
		p.serve(onPath(port, "/restarted"), digest())
		waiting[0].expectReply("POST", 200, digestOf("POST", []byte("x")))
	})
}

func TestARouteThatIsStuckLeavesConnectionsToOthers(t *testing.T) {
	eachWaiting(t, []string{"--max-connections", "32"}, func(t *testing.T, p *proxy) {
		port, other := freePort(t), freePort(t)
		p.endSession(p.serve(onPath(port, "/"), digest()))
		restarted := p.serve(onPath(other, "/"), digest())
		crowd(t, port, "/", 40, 1)
		p.awaitWaitingOn(port, 28, "503 hold limit 12")
		w := dial(t, other)
		w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		w.expectReply("GET", 200, digestOf("GET", nil))
		p.endSession(restarted)
		w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		p.awaitWaitingOn(other, 1)
		p.serve(onPath(other, "/"), digest())
		w.expectReply("GET", 200, digestOf("GET", nil))
	})
}

func TestARouteThatIsAloneMayHaveAllConnectionsWait(t *testing.T) {
	eachWaiting(t, []string{"--max-connections", "16"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.endSession(p.serve(onPath(port, "/"), digest()))
		waiting := crowd(t, port, "/", 16, 1)
		p.awaitWaitingOn(port, 16)
		p.serve(onPath(port, "/"), digest())
		for _, w := range waiting {
			w.expectReply("POST", 200, digestOf("POST", []byte("x")))
		}
	})
}

// keptClients have had a reply each, one after the other, and say nothing more.
func (p *proxy) keptClients(t *testing.T, port, count int) (kept []*wire) {
	for index := 0; index < count; index++ {
		w := dial(t, port)
		w.send("GET /kept HTTP/1.1\r\nHost: x\r\n\r\n")
		w.expectReply("GET", 200, "/kept")
		kept = append(kept, w)
		time.Sleep(50 * time.Millisecond)
	}
	return kept
}

func TestIdleClientsMakeRoomTheLongestIdleFirst(t *testing.T) {
	each(t, []string{"--max-connections", "8"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveScripts(onPath(port, "/"), map[string]string{"/slow": "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"})
		busy := dial(t, port)
		busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
		busy.expect("HTTP/1.1 200 OK\r\n")
		kept := p.keptClients(t, port, 7)
		for index := 0; index < 3; index++ {
			w := dial(t, port)
			w.send(fmt.Sprintf("GET /new-%d HTTP/1.1\r\nHost: x\r\n\r\n", index))
			w.expectReply("GET", 200, fmt.Sprintf("/new-%d", index))
			time.Sleep(5 * time.Millisecond)
		}
		for _, w := range kept[:3] {
			w.expectEnd()
		}
		for _, w := range kept[3:] {
			w.send("GET /kept HTTP/1.1\r\nHost: x\r\n\r\n")
			w.expectReply("GET", 200, "/kept")
		}
	})
}

func TestAFullHouseOfIdleClientsKeepsNobodyOut(t *testing.T) {
	eachWaiting(t, []string{"--max-connections", "16"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), text("served"))
		for index := 0; index < 100; index++ {
			w := dial(t, port)
			w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			w.expectReply("GET", 200, "served")
		}
		if figures := p.figures("notice on "); !strings.Contains(figures, "made room") {
			t.Error(figures)
		}
	})
}
