package endtoend

import (
	"errors"
	"io"
	"math/rand"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRaw3000ConnectionsAtOnce(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveStreams(raw(port), echoStream)
		const count = 3000
		before := p.descriptors()
		connections := make([]net.Conn, count)
		var next, failures atomic.Int64
		atOnce := func(work func(index int, connection net.Conn) error) {
			t.Helper()
			next.Store(0)
			var group sync.WaitGroup
			for worker := 0; worker < 50; worker++ {
				group.Add(1)
				go func() {
					defer group.Done()
					for index := int(next.Add(1)) - 1; index < count; index = int(next.Add(1)) - 1 {
						if err := work(index, connections[index]); err != nil && failures.Add(1) < 5 {
							t.Errorf("connection %d: %v", index, err)
						}
					}
				}()
			}
			group.Wait()
			if failures.Load() > 0 {
				t.Fatalf("%d failures", failures.Load())
			}
		}
		defer func() {
			for _, connection := range connections {
				if connection != nil {
					connection.Close()
				}
			}
		}()
		echo := func(index int, connection net.Conn) error {
			connection.SetDeadline(time.Now().Add(2 * patience))
			body := pattern(int64(index), 200)
			if _, err := connection.Write(body); err != nil {
				return err
			}
			answer := make([]byte, len(body))
			if _, err := io.ReadFull(connection, answer); err != nil {
				return err
			}
			if diff := difference(answer, body); diff != "" {
				return errors.New(diff)
			}
			return nil
		}
		atOnce(func(index int, _ net.Conn) (err error) {
			connections[index], err = net.DialTimeout("tcp", address(port), patience)
			return err
		})
		atOnce(echo)
		if open := p.descriptors(); open < count {
			t.Errorf("only %d descriptors are open", open)
		}
		atOnce(echo)
		atOnce(func(_ int, connection net.Conn) error { return connection.Close() })
		eventually(t, "the descriptors are closed", func() bool { return p.descriptors() <= before+20 })
	})
}

func TestRaw300Resets(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		listener := p.serveStreams(raw(port), echoStream)
		before := p.descriptors()
		seed := time.Now().UnixNano()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewSource(seed))
		for index := 0; index < 300; index++ {
			w := dial(t, port)
			switch random.Intn(4) {
			case 0: // at once
			case 1: // with bytes on their way
				w.send(string(pattern(1, random.Intn(100_000))))
			case 2: // in the middle of an echo
				w.send("hello")
				w.expect("hello")
				w.send(string(pattern(1, random.Intn(100_000))))
			case 3: // after a half-close
				w.send("hello")
				w.CloseWrite()
			}
			w.reset()
		}
		dial(t, port).exchange(pattern(2, 100_000))
		eventually(t, "only the last stream is left", func() bool { return listener.Streams() <= 1 })
		eventually(t, "the descriptors are closed", func() bool { return p.descriptors() <= before+20 })
	})
}

func TestRaw20StoppedReadersCostLittleAndStopNobody(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		const size = 32 << 20 // more than all buffers on the way
		body := pattern(3, size)
		var finished atomic.Int64
		p.serveStreams(raw(port), func(stream net.Conn) {
			first := make([]byte, 1)
			io.ReadFull(stream, first)
			if first[0] == 'e' {
				io.Copy(stream, stream)
			} else {
				stream.Write(body)
				finished.Add(1)
			}
		})
		expectEcho := func() {
			w := dial(t, port)
			w.send("e")
			w.exchange(pattern(4, 200_000))
			w.Close()
		}
		expectEcho()
		before := p.resident()
		var stopped []*wire
		for index := 0; index < 20; index++ {
			w := dial(t, port)
			w.send("w")
			if _, err := w.reader.Peek(1); err != nil {
				t.Fatal(err)
			}
			stopped = append(stopped, w)
		}
		for round := 0; round < 10; round++ {
			expectEcho() // through the same session
			time.Sleep(20 * time.Millisecond)
		}
		p.expectGrowth(before, 64)
		if count := finished.Load(); count > 0 {
			t.Errorf("%d writers were not stopped", count)
		}
		// Whoever goes on reading gets everything.
		for _, w := range stopped[:2] {
			w.extend()
			got := make([]byte, size)
			count, err := io.ReadFull(w.reader, got)
			if diff := difference(got[:count], body); diff != "" {
				t.Errorf("%s, %v", diff, err)
			}
		}
	})
}

func TestRaw20StoppedServicesCostLittleAndStopNobody(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		proceed := make(chan struct{})
		sums := make(chan int64, 20)
		p.serveStreams(raw(port), func(stream net.Conn) {
			first := make([]byte, 1)
			io.ReadFull(stream, first)
			if first[0] == 'e' {
				io.Copy(stream, stream)
				return
			}
			sleepless(proceed, patience)
			count, _ := io.Copy(io.Discard, stream)
			sums <- count
		})
		expectEcho := func() {
			w := dial(t, port)
			w.send("e")
			w.exchange(pattern(4, 200_000))
			w.Close()
		}
		expectEcho()
		before := p.resident()
		const size = 8 << 20
		for index := 0; index < 20; index++ {
			w := dial(t, port)
			go func() {
				w.Write(append([]byte("w"), make([]byte, size)...))
				w.CloseWrite()
			}()
		}
		for round := 0; round < 10; round++ {
			expectEcho()
			time.Sleep(20 * time.Millisecond)
		}
		p.expectGrowth(before, 64)
		close(proceed)
		for index := 0; index < 20; index++ {
			if count := await(t, "the end of a stream", sums); count != size {
				t.Errorf("%d of %d bytes arrived", count, size)
			}
		}
	})
}

func TestRawConnectionsAreSpreadOverEqualRegistrations(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		const services, connections = 4, 200
		counts := make([]atomic.Int64, services)
		for index := range counts {
			count := &counts[index]
			p.serveStreams(raw(port), func(stream net.Conn) {
				count.Add(1)
				io.Copy(stream, stream)
			})
		}
		for index := 0; index < connections; index++ {
			dial(t, port).exchange([]byte("hello"))
		}
		for index := range counts {
			if count := counts[index].Load(); count < connections/services/5 {
				t.Errorf("service %d got %d of %d connections", index, count, connections)
			}
		}
	})
}
