package endtoend

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// What asks which of two streams came first must not be wrong at the border: acceptance, which goes by order, and what is
// taken back.

// awaitOpenings waits for so many streams without accepting them. Each id must be the next one.
func (p *peer) awaitOpenings(id *uint32, count int) (ids []uint32) {
	p.t.Helper()
	for len(ids) < count {
		opening := p.await("a stream", isOpening)
		if opening.Stream != *id {
			p.t.Fatalf("stream %d was opened, wanted %d", opening.Stream, *id)
		}
		ids = append(ids, *id)
		*id = next(*id)
	}
	return ids
}

// expectNoOpening looks for a moment whether a stream comes that must not.
func (p *peer) expectNoOpening() {
	p.t.Helper()
	p.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if frame, err := p.Await(isOpening); !isTimeout(err) {
		p.t.Fatalf("a stream came that must not: %v, %v", frame, err)
	}
	p.SetReadDeadline(time.Now().Add(patience))
}

// awaitResets waits until all these streams have been reset.
func (p *peer) awaitResets(ids []uint32) {
	p.t.Helper()
	left := map[uint32]bool{}
	for _, id := range ids {
		left[id] = true
	}
	for len(left) > 0 {
		frame := p.await("resets", func(frame service.Frame) bool { return frame.Flags&service.FlagRST != 0 })
		delete(left, frame.Stream)
	}
}

func dialMany(t *testing.T, port, count int) (all []*wire) {
	t.Helper()
	for index := 0; index < count; index++ {
		w := dial(t, port)
		w.send("hello")
		all = append(all, w)
	}
	return all
}

// Of 256 streams that nobody has accepted 200 are reset by their clients: they lie in the service's queue, until the
// acceptance of one that came after them tells that they do no more.
func TestAcceptanceBehindTheBorderCountsForTheStreamsBeforeIt(t *testing.T) {
	each(t, nearBorder, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(raw(port))
		id := firstStreamID
		var clients []*wire
		var ids []uint32
		for index := 0; index < 256; index++ { // one after the other, so that each is known to be its stream's
			clients = append(clients, dialMany(t, port, 1)...)
			ids = append(ids, peer.awaitOpenings(&id, 1)...)
		}
		for _, w := range clients[:200] {
			w.reset()
		}
		peer.awaitResets(ids[:200])
		more := dialMany(t, port, 60)
		peer.expectNoOpening()
		// Streams are accepted in the order of their opening, so the first of those that live vouches for all before it.
		for _, id := range ids[200:] {
			peer.Send(service.WindowUpdate(service.FlagACK, id, 0))
		}
		peer.awaitOpenings(&id, len(more))
		if !peer.isAlive() {
			t.Error("the session is lost")
		}
	})
}

// The same where all of them are reset: a stream now and then asks whether the service accepts again.
func TestProbesBehindTheBorderFindTheServiceAgain(t *testing.T) {
	eachWaiting(t, nearBorder, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(raw(port))
		id := firstStreamID
		clients := dialMany(t, port, 256)
		ids := peer.awaitOpenings(&id, 256)
		for _, w := range clients {
			w.reset()
		}
		peer.awaitResets(ids)
		more := dialMany(t, port, 50)
		for range more {
			stream := peer.awaitOpenings(&id, 1)[0]
			peer.Send(service.Data(service.FlagACK, stream, []byte("welcome")))
		}
		for _, w := range more {
			w.expect("welcome")
		}
	})
}

// Clients that reset in masses while the ids go round, at a service on the library: it accepts, closes and serves on.
func TestMassesOfResetsAtTheBorderCostNothing(t *testing.T) {
	each(t, nearBorder, func(t *testing.T, p *proxy) {
		port := freePort(t)
		accepting := make(chan struct{})
		listener := p.listen(raw(port))
		go func() {
			<-accepting
			serveEach(listener, echoStream)
		}()
		for _, w := range dialMany(t, port, 200) {
			w.reset()
		}
		eventually(t, "the slots are back", func() bool { return p.figure("connections") == 0 })
		close(accepting)
		for round := 0; round < 300; round++ {
			if err := echoOnce(port, pattern(1, 1000)); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if round%3 == 0 {
				w := dial(t, port)
				w.send("hello")
				w.reset()
			}
		}
		expectRound(t, []*service.Listener{listener})
		eventually(t, "the streams are gone", func() bool { return listener.Streams() == 0 })
	})
}

// What a service does not accept is taken back and goes to its sibling, with ids of both sides of the border; when the
// sibling has gone, the slow one is asked again.
func TestStreamsAreTakenBackAcrossTheBorder(t *testing.T) {
	eachWaiting(t, nearBorder, func(t *testing.T, p *proxy) {
		port := freePort(t)
		slow := p.dialPeer(onPath(port, "/"))
		id := firstStreamID
		for index := 0; index < beforeBorder-5; index++ {
			w := dial(t, port)
			w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			stream := slow.awaitOpenings(&id, 1)[0]
			slow.reply(stream)
			w.expectReply("GET", 200, "ok")
		}
		var waiting []*wire
		for index := 0; index < 20; index++ {
			w := dial(t, port)
			if index%2 == 0 {
				w.send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", index))
			} else {
				w.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", index))
			}
			waiting = append(waiting, w)
		}
		ids := slow.awaitOpenings(&id, len(waiting))
		sibling := p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			io.WriteString(writer, "sibling")
		}))
		slow.awaitResets(ids)
		// The answer to the ping behind the resets is the proof that none of them was delivered.
		alive := make(chan bool, 1)
		go func() { alive <- slow.isAlive() }()
		for index, w := range waiting {
			method := []string{"POST", "GET"}[index%2]
			w.expectReply(method, 200, "sibling")
		}
		if !await(t, "the slow session", alive) {
			t.Error("the slow session is lost")
		}
		p.endSession(sibling)
		late := dial(t, port)
		late.SetDeadline(time.Now().Add(2 * patience))
		slow.SetDeadline(time.Now().Add(2 * patience))
		late.send("GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
		stream := slow.awaitOpenings(&id, 1)[0]
		slow.Send(service.WindowUpdate(service.FlagACK, stream, 0))
		slow.reply(stream)
		late.expectReply("GET", 200, "ok")
	})
}

// The same with the library, under load: services that accept slowly say GoAway, and others take over.
func TestNothingIsDeliveredTwiceAcrossTheBorder(t *testing.T) {
	each(t, nearBorder, func(t *testing.T, p *proxy) {
		port := freePort(t)
		journal := &deliveries{seen: map[string]int{}}
		start := func() *service.Listener {
			listener := p.listen(raw(port))
			go journal.acceptSlowly(listener)
			return listener
		}
		current := start()
		stopping := make(chan struct{})
		works := []func() error{}
		for index := 0; index < 16; index++ {
			index := index
			works = append(works, func() error {
				for number := 0; ; number++ {
					select {
					case <-stopping:
						return nil
					default:
					}
					// One that was accepted in the moment in which it was taken back is reset.
					if err := sayOnce(port, fmt.Sprintf("%d-%d\n", index, number)); err != nil && !errors.Is(err, syscall.ECONNRESET) {
						return err
					}
				}
			})
		}
		go func() {
			defer close(stopping)
			for round := 0; round < 6; round++ {
				// Enough for the border to lie behind it.
				old := current
				for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
					if _, last := old.Opened(); last != 0 && last < firstStreamID && last > 20 {
						break
					}
				}
				current = start()
				old.GoAway()
				time.AfterFunc(time.Second, func() { old.Drain(patience) })
			}
		}()
		together(t, works...)
		journal.lock.Lock()
		defer journal.lock.Unlock()
		for id, count := range journal.seen {
			if count != 1 {
				t.Errorf("%q was delivered %d times", id, count)
			}
		}
		t.Logf("%d deliveries", len(journal.seen))
	})
}
