package endtoend

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// hold has so many clients wait for a path, with bodies of so many bytes, and returns those that do.
func (p *proxy) hold(t *testing.T, port int, path string, clients, body int) (waiting []*wire) {
	for index := 0; index < clients; index++ {
		w := dial(t, port)
		w.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, body))
		w.send(strings.Repeat("x", body))
		w.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := w.tryReply("POST"); err != nil && isTimeout(err) {
			w.SetReadDeadline(time.Time{})
			waiting = append(waiting, w)
		}
	}
	return waiting
}

func TestARouteThatIsStuckLeavesItsPortToOthers(t *testing.T) {
	for name, flags := range map[string][]string{"clients": {"--hold-limit", "4"}, "bytes": {"--hold-bytes", "64k"}} {
		t.Run(name, func(t *testing.T) {
			eachWaiting(t, flags, func(t *testing.T, p *proxy) {
				port := freePort(t)
				p.endSession(p.serve(onPath(port, "/stuck"), digest()))
				restarted := p.serve(onPath(port, "/restarted"), digest())
				body := map[string]int{"clients": 1, "bytes": 15_000}[name]
				stuck := len(p.hold(t, port, "/stuck", 8, body))
				if stuck != 4 {
					t.Fatalf("%d clients of the stuck route wait", stuck)
				}
				p.endSession(restarted)
				waiting := p.hold(t, port, "/restarted", 4, body)
				if len(waiting) != stuck {
					t.Errorf("%d clients of the restarted route wait, of the stuck one %d", len(waiting), stuck)
				}
				p.serve(onPath(port, "/restarted"), digest())
				for _, w := range waiting {
					w.expectReply("POST", 200, digestOf("POST", []byte(strings.Repeat("x", body))))
				}
			})
		})
	}
}

func TestHoweverManyRoutesAreStuckAnotherOneFindsRoom(t *testing.T) {
	eachWaiting(t, []string{"--hold-limit", "2"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), digest())
		for index := 0; index < 24; index++ {
			path := fmt.Sprintf("/stuck-%d/", index)
			p.endSession(p.serve(onPath(port, path), digest()))
			for client := 0; client < 3; client++ {
				dial(t, port).send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
			}
		}
		// A port has what sixteen routes may have, and none of them has all of it.
		p.awaitWaiting(32)
		restarted := p.serve(onPath(port, "/restarted"), digest())
		p.endSession(restarted)
		waiting := p.hold(t, port, "/restarted", 1, 1)
		if len(waiting) != 1 {
			t.Fatal("the client of another route does not wait")
		}
		p.serve(onPath(port, "/restarted"), digest())
		waiting[0].expectReply("POST", 200, digestOf("POST", []byte("x")))
	})
}

func TestARouteThatIsStuckLeavesConnectionsToOthers(t *testing.T) {
	eachWaiting(t, []string{"--max-connections", "32"}, func(t *testing.T, p *proxy) {
		port, other := freePort(t), freePort(t)
		p.endSession(p.serve(onPath(port, "/"), digest()))
		restarted := p.serve(onPath(other, "/"), digest())
		p.hold(t, port, "/", 40, 1)
		if figures := p.figures("notice now: "); !strings.Contains(figures, "waiting 28,") {
			t.Error(figures)
		}
		w := dial(t, other)
		w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		w.expectReply("GET", 200, digestOf("GET", nil))
		p.endSession(restarted)
		w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		w.expectSilence()
		p.serve(onPath(other, "/"), digest())
		w.expectReply("GET", 200, digestOf("GET", nil))
	})
}

func TestARouteThatIsAloneMayHaveAllConnectionsWait(t *testing.T) {
	eachWaiting(t, []string{"--max-connections", "16"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.endSession(p.serve(onPath(port, "/"), digest()))
		waiting := p.hold(t, port, "/", 16, 1)
		if len(waiting) != 16 {
			t.Errorf("%d clients wait", len(waiting))
		}
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
		time.Sleep(5 * time.Millisecond)
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
	each(t, []string{"--max-connections", "16"}, func(t *testing.T, p *proxy) {
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
