package endtoend

import (
	"fmt"
	"testing"
	"time"
)

// Services on the client library in Swift accept ids that go round, as any hashicorp library does.

func TestStreamIDsGoRoundForSwiftRawServices(t *testing.T) {
	each(t, nearBorder, func(t *testing.T, p *proxy) {
		port := freePort(t)
		startSwift(t, "example-raw-echo", portText(port), p.control)
		awaitEcho(t, port)
		var lasting []*wire
		for index := 0; index < 20; index++ {
			w := dial(t, port)
			w.exchange([]byte("hello"))
			lasting = append(lasting, w)
		}
		var works []func() error
		for worker := 0; worker < 8; worker++ {
			works = append(works, func() error {
				for round := 0; round < 50; round++ {
					if err := echoOnce(port, pattern(int64(round), 100*round)); err != nil {
						return fmt.Errorf("round %d: %w", round, err)
					}
					if round%5 == 0 {
						if w, err := tryDial(port); err == nil {
							w.Write([]byte("hello"))
							w.reset()
						}
					}
				}
				return nil
			})
		}
		together(t, works...)
		for _, w := range lasting {
			w.extend()
			w.exchange(pattern(9, 100_000))
			w.CloseWrite()
			w.expectEnd()
		}
		p.expectNoLoss(0)
	})
}

func TestStreamIDsGoRoundForSwiftWebServices(t *testing.T) {
	each(t, nearBorder, func(t *testing.T, p *proxy) {
		port := freePort(t)
		startSwift(t, "example-http", "/", "hello", portText(port), p.control)
		awaitReply(t, client(t), "http://"+address(port)+"/")
		load := startLoad(port, "/", "hello")
		for deadline := time.Now().Add(patience); load.answered() < 1000 && time.Now().Before(deadline); {
			load.awaitMore(t)
		}
		load.stop(t)
		p.expectNoLoss(0)
	})
}

// Across the border a service is replaced as quietly as anywhere.
func TestSwiftServicesAreRestartedAcrossTheBorder(t *testing.T) {
	p := startProxy(t, append([]string{"--reactors", "2"}, nearBorder...)...)
	port := freePort(t)
	start := func() *process { return startSwift(t, "example-http", "/", "hello", portText(port), p.control) }
	running := start()
	awaitReply(t, client(t), "http://"+address(port)+"/")
	restartUnderLoad(t, startLoad(port, "/", "hello"), running, start)
}
