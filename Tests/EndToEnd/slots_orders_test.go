package endtoend

import (
	"fmt"
	"io"
	"math/rand"
	"strings"
	"sync"
	"testing"
	"time"
)

// The states of a relay are those of its ends: each is open, has ended, is blocked or has reset. The orders in which they
// come about are generated from these events, all of them up to a length and some longer ones, instead of at random.

type relayEvent int

const (
	clientSends relayEvent = iota
	clientStops
	clientReads
	clientEndsIt
	clientResets
	serviceSends
	serviceStops
	serviceReads
	serviceEnds
	serviceResets
	relayEvents
)

var relayEventNames = []string{
	"client sends", "client stops", "client reads", "client ends", "client resets",
	"service sends", "service stops", "service reads", "service ends", "service resets",
}

// relayModel is what the rules say of a relay.
type relayModel struct {
	clientStopped, clientEnded, serviceStopped, serviceEnded, isReset bool
	forService, forClient                                             bool // bytes wait that nobody takes
}

// allows is whether the event can happen and changes something.
func (m relayModel) allows(event relayEvent) bool {
	if m.isReset || m.clientEnded && m.serviceEnded && !m.forService && !m.forClient {
		return false // it is over
	}
	switch event {
	case clientSends:
		return !m.clientEnded && !m.forService
	case clientStops:
		return !m.clientStopped
	case clientReads:
		return m.clientStopped
	case clientEndsIt:
		return !m.clientEnded
	case serviceSends:
		return !m.serviceEnded && !m.forClient
	case serviceStops:
		return !m.serviceStopped
	case serviceReads:
		return m.serviceStopped
	case serviceEnds:
		return !m.serviceEnded
	}
	return true
}

func (m *relayModel) note(event relayEvent) {
	switch event {
	case clientSends:
		m.forService = m.serviceStopped
	case clientStops, clientReads:
		m.clientStopped = event == clientStops
		m.forClient = m.forClient && m.clientStopped
	case clientEndsIt:
		m.clientEnded = true
	case serviceSends:
		m.forClient = m.clientStopped
	case serviceStops, serviceReads:
		m.serviceStopped = event == serviceStops
		m.forService = m.forService && m.serviceStopped
	case serviceEnds:
		m.serviceEnded = true
	case clientResets, serviceResets:
		m.isReset = true
	}
}

// mustEnd is whether the relay has to end by itself: by a reset, by both ends, or because bytes wait that nobody takes
// while one direction is over. Whatever else lives for as long as its ends like.
func (m relayModel) mustEnd() bool {
	oneEnded := m.clientEnded || m.serviceEnded
	return m.isReset || m.clientEnded && m.serviceEnded || oneEnded && (m.forService || m.forClient)
}

// relayOrders are all orders of events of a length, in which each event changes something.
func relayOrders(length int) (orders [][]relayEvent) {
	var extend func(m relayModel, order []relayEvent)
	extend = func(m relayModel, order []relayEvent) {
		if len(order) == length {
			orders = append(orders, append([]relayEvent{}, order...))
			return
		}
		for event := relayEvent(0); event < relayEvents; event++ {
			if m.allows(event) {
				next := m
				next.note(event)
				extend(next, append(order, event))
			}
		}
	}
	extend(relayModel{}, nil)
	return orders
}

// relayRun is one relay that goes through an order.
type relayRun struct {
	order  []relayEvent
	model  relayModel
	client *relayClient
	stream *relayStream

	sent, said int // by the client and by the service
	reading    chan struct{}
	lock       sync.Mutex
	stopped    bool
	got        int
}

func (r *relayRun) String() string {
	var names []string
	for _, event := range r.order {
		names = append(names, relayEventNames[event])
	}
	return strings.Join(names, ", ")
}

// How much is sent to whom reads, and to whom does not: more than the stream's window and the proxy's kernel take. What a
// client sends is little enough for all of it to leave the client's kernel: else its end would not leave it either, and
// nobody could know of it.
const littleAmount, blockingAmount, blockingClientAmount = 32 << 10, 512 << 10, 280 << 10

func (r *relayRun) act(event relayEvent) {
	switch event {
	case clientSends:
		if r.model.serviceStopped {
			r.sent += r.client.fill(blockingClientAmount, standstill)
		} else {
			r.sent += r.client.fill(littleAmount, patience)
		}
	case clientStops:
		r.pause()
	case clientReads:
		r.read()
	case clientEndsIt:
		r.client.finish()
	case clientResets:
		r.pause()
		r.client.reset()
	case serviceSends:
		if r.model.clientStopped {
			r.said += r.stream.fill(blockingAmount, standstill)
		} else {
			r.said += r.stream.fill(littleAmount, patience)
		}
	case serviceStops:
		r.stream.stop()
	case serviceReads:
		r.stream.read()
	case serviceEnds:
		r.stream.finish()
	case serviceResets:
		r.stream.reset()
	}
}

// read takes what the service says, until the client pauses.
func (r *relayRun) read() {
	r.lock.Lock()
	r.stopped = false
	r.lock.Unlock()
	r.client.SetReadDeadline(time.Time{})
	done := make(chan struct{})
	r.reading = done
	go func() {
		defer close(done)
		space := make([]byte, 4<<10)
		for {
			count, err := r.client.reader.Read(space)
			r.lock.Lock()
			r.got += count
			stopped := r.stopped
			r.lock.Unlock()
			if err != nil || stopped {
				return
			}
		}
	}()
}

func (r *relayRun) pause() {
	if r.model.clientStopped {
		return
	}
	r.lock.Lock()
	r.stopped = true
	r.lock.Unlock()
	r.client.SetReadDeadline(time.Unix(1, 0))
	<-r.reading
	// Read after the deadline would go on returning its error.
	r.client.reader.Reset(r.client.Conn)
}

// run goes through the order. What an end takes has been taken before the next event.
func (r *relayRun) run(kind relayKind, port int, session *relayStreams, name string) error {
	var err error
	if r.client, err = kind.open(port, name); err != nil {
		return err
	}
	r.stream = session.await(name)
	r.read()
	for _, event := range r.order {
		r.act(event)
		r.model.note(event)
		if err := r.settle(event); err != nil {
			return err
		}
	}
	if !r.model.mustEnd() {
		r.pause()
		r.client.reset()
	}
	return nil
}

func (r *relayRun) settle(event relayEvent) error {
	deadline := time.Now().Add(patience)
	for {
		r.lock.Lock()
		got := r.got
		r.lock.Unlock()
		switch {
		case event == clientSends && !r.model.serviceStopped && !r.stream.has(r.sent):
		case event == serviceSends && !r.model.clientStopped && got < r.said:
		default:
			return nil
		}
		if r.stream.isReset() || time.Now().After(deadline) {
			return fmt.Errorf("bytes did not arrive that somebody reads")
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// expectOrdersEnd runs relays through orders, all at once, and expects that each gives its slot back.
func expectOrdersEnd(t *testing.T, kind relayKind, orders [][]relayEvent, flags ...string) {
	t.Helper()
	eachThoroughly(t, append(flags, "--stall-timeout", "2s"), func(t *testing.T, p *proxy) {
		port := freePort(t)
		session := kind.dialStreams(p, port)
		runs := make([]*relayRun, len(orders))
		var works []func() error
		for index := range orders {
			run, name := &relayRun{order: orders[index]}, fmt.Sprint(index+1)
			runs[index] = run
			works = append(works, func() error {
				if err := run.run(kind, port, session, name); err != nil {
					return fmt.Errorf("%s: %w", run, err)
				}
				return nil
			})
		}
		defer func() {
			for _, run := range runs {
				if run.client != nil {
					run.client.socket.Close()
				}
			}
		}()
		together(t, works...)
		t.Logf("%d orders", len(orders))
		if !p.slotsComeBack(0) {
			session.tellLiving(runs)
			t.Errorf("%d connections still have their slots", p.figure("connections"))
		}
		for _, figure := range []string{"streams", "blocks", "pipes"} {
			eventually(t, "nothing is left of the "+figure, func() bool { return p.figure(figure) == 0 })
		}
		session.expectAlive()
		c := kind.mustOpen(t, port, "last")
		stream := session.await("last")
		stream.fill(100_000, patience)
		if count, err := io.ReadFull(c.reader, make([]byte, 100_000)); err != nil {
			t.Errorf("afterwards only %d bytes came, %v", count, err)
		}
	})
}

// tellLiving names the orders whose streams have not ended.
func (s *relayStreams) tellLiving(runs []*relayRun) {
	s.lock.Lock()
	defer s.lock.Unlock()
	shown := 0
	for _, run := range runs {
		if run.stream != nil && !run.stream.isOver() && shown < 20 {
			shown++
			s.t.Logf("this stream has not ended: %s", run)
		}
	}
}

func relayOrdersUpTo3() (orders [][]relayEvent) {
	for length := 1; length <= 3; length++ {
		orders = append(orders, relayOrders(length)...)
	}
	return orders
}

func TestEveryOrderOfUpTo3EventsGivesItsSlotBack(t *testing.T) {
	for _, kind := range []relayKind{rawKind, upgradedKind} {
		t.Run(kind.name, func(t *testing.T) { expectOrdersEnd(t, kind, relayOrdersUpTo3()) })
	}
}

// What a client has sent, and nobody takes, lies in the proxy's memory then and not in its socket: its end is seen.
func TestEveryOrderOfUpTo3EventsGivesItsSlotBackWhereBulkIsCopied(t *testing.T) {
	expectOrdersEnd(t, rawKind, relayOrdersUpTo3(), "--no-splice")
}

func TestEveryOrderOf2EventsGivesItsSlotBackForOtherRelays(t *testing.T) {
	for _, kind := range []relayKind{connectKind, rawKind.byTLS()} {
		t.Run(kind.name, func(t *testing.T) { expectOrdersEnd(t, kind, relayOrders(2)) })
	}
}

func TestSomeOrdersOf4And5EventsGiveTheirSlotsBack(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewSource(seed))
	orders := append(relayOrders(4), relayOrders(5)...)
	random.Shuffle(len(orders), func(a, b int) { orders[a], orders[b] = orders[b], orders[a] })
	expectOrdersEnd(t, rawKind, orders[:400])
}
