package endtoend

import (
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

const chaosServices = 100

// TestChaos lets a hundred services register, die in every way and come back at random, while all of their routes are
// under load. CHAOS_SECONDS says how long, CHAOS_SEED repeats a run's choices.
func TestChaos(t *testing.T) {
	duration, seed := 5*time.Second, time.Now().UnixNano()
	if seconds, err := strconv.Atoi(os.Getenv("CHAOS_SECONDS")); err == nil {
		duration = time.Duration(seconds) * time.Second
	}
	if number, err := strconv.ParseInt(os.Getenv("CHAOS_SEED"), 10, 64); err == nil {
		seed = number
	}
	for _, reactors := range []string{"1", "4"} {
		t.Run("reactors="+reactors, func(t *testing.T) {
			t.Logf("CHAOS_SEED=%d", seed)
			p := startProxy(t, "--reactors", reactors)
			chaos(t, p, duration/2, seed)
		})
	}
}

func chaos(t *testing.T, p *proxy, duration time.Duration, seed int64) {
	port := freePort(t)
	var services sync.WaitGroup
	stopping := make(chan struct{})
	complaints := make(chan string, 1000)
	// The proxy has taken the descriptors that it keeps spare.
	p.figures("notice now")
	before := p.descriptors()
	for index := 0; index < chaosServices; index++ {
		s := &chaosService{
			random:     rand.New(rand.NewSource(seed + int64(index))),
			control:    p.control,
			definition: onPath(port, fmt.Sprintf("/%d/", index)),
			text:       fmt.Sprint(index),
		}
		if err := s.register(); err != nil {
			t.Fatal(err)
		}
		services.Add(1)
		go func() {
			defer services.Done()
			if err := s.run(stopping); err != nil {
				complaints <- err.Error()
			}
		}()
	}
	l := &load{stopping: make(chan struct{})}
	for index := 0; index < 8*loadClients; index++ {
		random := rand.New(rand.NewSource(seed - int64(index)))
		l.run(func(keep *keptClient) error {
			number := fmt.Sprint(random.Intn(chaosServices))
			return keep.ask(port, "/"+number+"/", []string{number})
		}, index%2 == 0)
	}
	time.Sleep(duration / 2)
	memory := p.resident()
	time.Sleep(duration / 2)
	l.stop(t)
	close(stopping)
	services.Wait()
	for len(complaints) > 0 {
		t.Error(<-complaints)
	}
	eventually(t, "every pool at its level at rest", func() bool {
		time.Sleep(20 * time.Millisecond)
		return strings.Contains(p.figures("notice now"), atRest)
	})
	t.Log(p.figures("notice now"))
	t.Log(p.figures("notice on"))
	// The listener's sockets stay, for its routes are held.
	if after := p.descriptors(); after > before+2*4 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	p.expectGrowth(memory, 16)
}

// atRest is what a proxy without clients and services says of itself.
const atRest = "now: connections 0, waiting 0, sessions 0, streams 0, blocks 0, kept 0, handshakes 0, pipes 0;"

// chaosService is a service that dies and comes back.
type chaosService struct {
	random     *rand.Rand
	control    string
	definition service.Definition
	text       string
	connection *net.TCPConn
	listener   *service.Listener
}

func (s *chaosService) register() error {
	connection, err := service.Dial(s.control)
	if err != nil {
		return err
	}
	if _, err := service.Register(connection, s.definition); err != nil {
		return err
	}
	listener, err := service.Serve(connection)
	if err != nil {
		return err
	}
	serveHTTP(listener, http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		time.Sleep(time.Duration(rand.Int63n(int64(3 * time.Millisecond))))
		io.WriteString(writer, s.text)
	}))
	s.connection, s.listener = connection.(*net.TCPConn), listener
	return nil
}

func (s *chaosService) sleep(atMost time.Duration) {
	time.Sleep(time.Duration(s.random.Int63n(int64(atMost))))
}

// run lives and dies until it is told to stop, and ends without a session.
func (s *chaosService) run(stopping chan struct{}) error {
	for {
		// Long enough for nobody to meet three deaths in a row.
		time.Sleep(100 * time.Millisecond)
		s.sleep(700 * time.Millisecond)
		select {
		case <-stopping:
			s.listener.Close()
			return nil
		default:
		}
		old, listener := s.connection, s.listener
		switch s.random.Intn(5) {
		case 0: // It ends, and comes back after a while.
			listener.Close()
			s.sleep(300 * time.Millisecond)
		case 1: // It crashes.
			old.SetLinger(0)
			old.Close()
			s.sleep(300 * time.Millisecond)
		case 2: // It is drained, and comes back after a while.
			listener.Drain(patience)
			s.sleep(300 * time.Millisecond)
		case 3: // A new one takes over from a drained one.
			defer listener.Close()
			if err := s.register(); err != nil {
				return err
			}
			listener.Drain(patience)
			continue
		case 4: // A new one takes over from one that crashes.
			if err := s.register(); err != nil {
				return err
			}
			old.SetLinger(0)
			old.Close()
			continue
		}
		if err := s.register(); err != nil {
			return err
		}
	}
}
