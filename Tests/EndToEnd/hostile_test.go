package endtoend

import (
	"io"
	"math/rand"
	"net"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// besideOthers runs a hostile session, which has the path /bad, on a port that a good service shares, and checks that
// this one is served before, during and after. The attack says whether its session must be lost.
func besideOthers(t *testing.T, p *proxy, attack func(port int, bad *peer) (mustBeLost bool)) {
	t.Helper()
	port := freePort(t)
	p.serve(onPath(port, "/"), text("good"))
	kept := dial(t, port)
	kept.get("/", "good")
	bad := p.dialPeer(onPath(port, "/bad"))
	from := p.stderr.count()
	before := p.resident()
	mustBeLost := attack(port, bad)
	expectServed(t, port, "/", "good")
	kept.extend()
	kept.get("/", "good")
	if mustBeLost {
		bad.expectLost()
		p.awaitLog(sessionLost, from)
	}
	bad.Close()
	expectServed(t, port, "/", "good")
	kept.extend()
	kept.get("/", "good")
	p.expectGrowth(before, 64)
}

// request makes the proxy open a stream to the hostile session, and accepts it.
func request(t *testing.T, port int, bad *peer) (*wire, uint32) {
	t.Helper()
	w := dial(t, port)
	// What may be sent again would wait for another service.
	w.send("POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
	return w, bad.awaitStream()
}

// reply answers a request in one frame and ends its stream.
func (p *peer) reply(stream uint32) {
	p.Send(service.Data(service.FlagFIN, stream, []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")))
}

func TestHostileFramesLoseTheirSessionAlone(t *testing.T) {
	for what, frame := range map[string]service.Frame{
		"wrong version":         {Version: 1, Type: service.TypeData},
		"version 255":           {Version: 255, Type: service.TypePing, Flags: service.FlagSYN},
		"wrong type":            {Type: 4},
		"type 255":              {Type: 255},
		"data for no stream":    service.Data(0, 9999, []byte("hello")),
		"window for no stream":  service.WindowUpdate(0, 9999, 1000),
		"data for stream 0":     service.Data(0, 0, []byte("hello")),
		"window for stream 0":   service.WindowUpdate(0, 0, 1000),
		"a SYN of our parity":   service.WindowUpdate(service.FlagSYN, 9999, 0),
		"go away, bad protocol": {Type: service.TypeGoAway, Length: 1},
		"go away, unknown":      {Type: service.TypeGoAway, Length: 4711},
	} {
		frame := frame
		t.Run(what, func(t *testing.T) {
			each(t, nil, func(t *testing.T, p *proxy) {
				besideOthers(t, p, func(port int, bad *peer) bool {
					bad.Send(frame)
					return true
				})
			})
		})
	}
}

func TestHostileFramesOnAnOpenStreamLoseTheirSessionAlone(t *testing.T) {
	type send func(bad *peer, stream uint32)
	for what, send := range map[string]send{
		"overflowed window": func(bad *peer, stream uint32) {
			bad.Send(service.WindowUpdate(0, stream, 0xffffffff))
			bad.Send(service.WindowUpdate(0, stream, 0xffffffff))
		},
		"exceeded window": func(bad *peer, stream uint32) {
			bad.Send(service.Data(0, stream, make([]byte, service.InitialWindow+1)))
		},
		"endless frame": func(bad *peer, stream uint32) {
			frame := service.Frame{Type: service.TypeData, Stream: stream, Length: 0xffffffff}
			bad.Write(frame.Header())
			for chunk := make([]byte, 64<<10); ; {
				if _, err := bad.Write(chunk); err != nil {
					return
				}
			}
		},
		"data after FIN": func(bad *peer, stream uint32) {
			bad.Send(service.Data(service.FlagFIN, stream, []byte("HTTP/1.1 200 OK\r\n")))
			bad.Send(service.Data(0, stream, []byte("Content-Length: 2\r\n\r\nok")))
		},
	} {
		send := send
		mustBeLost := what != "data after FIN" // which is allowed to cost the stream alone
		t.Run(what, func(t *testing.T) {
			each(t, nil, func(t *testing.T, p *proxy) {
				besideOthers(t, p, func(port int, bad *peer) bool {
					w, stream := request(t, port, bad)
					send(bad, stream)
					w.expectReply("GET", 502, "*")
					return mustBeLost
				})
			})
		})
	}
}

func TestHostileFramesOnEndedStreamsAreDropped(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		besideOthers(t, p, func(port int, bad *peer) bool {
			w, stream := request(t, port, bad)
			bad.reply(stream)
			w.expectReply("GET", 200, "ok")
			bad.await("the FIN", func(frame service.Frame) bool { return frame.Flags&service.FlagFIN != 0 })
			for round := 0; round < 10; round++ {
				bad.Send(service.Data(0, stream, []byte("late")))
				bad.Send(service.WindowUpdate(0, stream, 1000))
				bad.Send(service.WindowUpdate(service.FlagFIN, stream, 0))
				bad.Send(service.WindowUpdate(service.FlagRST, stream, 0))
			}
			if !bad.isAlive() {
				t.Error("the session is lost")
			}
			// And it still serves.
			w, stream = request(t, port, bad)
			bad.reply(stream)
			w.expectReply("GET", 200, "ok")
			return false
		})
	})
}

func TestHostileResetOfAClientsStreamWhileItsDataIsUnderWay(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		besideOthers(t, p, func(port int, bad *peer) bool {
			for round := 0; round < 20; round++ {
				w, stream := request(t, port, bad)
				bad.Send(service.Data(0, stream, []byte("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhello")))
				if _, err := w.reader.Peek(1); err != nil {
					t.Fatal(err)
				}
				w.reset()
				bad.Send(service.Data(0, stream, make([]byte, 50_000)))
				bad.Send(service.Data(service.FlagFIN, stream, make([]byte, 49_995)))
			}
			if !bad.isAlive() {
				t.Error("the session is lost")
			}
			return false
		})
	})
}

func TestHostileFloods(t *testing.T) {
	floods := map[string]func(index int) service.Frame{
		"200 000 SYNs": func(index int) service.Frame {
			return service.WindowUpdate(service.FlagSYN, uint32(2+2*index), 0)
		},
		"200 000 pings": func(index int) service.Frame {
			return service.Frame{Type: service.TypePing, Flags: service.FlagSYN, Length: uint32(index)}
		},
		"200 000 answers to no ping": func(index int) service.Frame {
			return service.Frame{Type: service.TypePing, Flags: service.FlagACK, Length: uint32(index)}
		},
		"200 000 windows of an ended stream": func(index int) service.Frame {
			return service.WindowUpdate(0, 1, 1)
		},
	}
	for what, frame := range floods {
		frame := frame
		t.Run(what, func(t *testing.T) {
			each(t, nil, func(t *testing.T, p *proxy) {
				besideOthers(t, p, func(port int, bad *peer) bool {
					w, stream := request(t, port, bad) // stream 1
					bad.reply(stream)
					w.expectReply("GET", 200, "ok")
					// Without ever reading: whatever the proxy answers piles up on its side.
					bad.SetWriteDeadline(time.Now().Add(patience))
					for index := 0; index < 200_000; {
						var batch []byte
						for end := index + 1000; index < end; index++ {
							batch = append(batch, frame(index).Header()...)
						}
						if _, err := bad.Write(batch); err != nil {
							break // lost already, or not read any more: both bound what it costs
						}
					}
					return false
				})
			})
		})
	}
}

func TestHostile10000PingsAreAnsweredOrEndTheSession(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		besideOthers(t, p, func(port int, bad *peer) bool {
			go func() {
				for index := 0; index < 10_000; index++ {
					ping := service.Frame{Type: service.TypePing, Flags: service.FlagSYN, Length: uint32(index)}
					if bad.Send(ping) != nil {
						return
					}
				}
			}()
			for answers := 0; answers < 10_000; answers++ {
				frame, err := bad.Receive()
				if isTimeout(err) {
					t.Errorf("after %d answers neither an answer nor the end", answers)
				}
				if err != nil {
					return false
				}
				if frame.Type == service.TypeGoAway {
					return true
				}
				if frame.Type == service.TypePing && frame.Flags == service.FlagACK && frame.Length != uint32(answers) {
					t.Fatalf("the answer to ping %d has the value %d", answers, frame.Length)
				}
			}
			return false
		})
	})
}

func TestHostileServiceMayOpenStreamsAndIsRefused(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		besideOthers(t, p, func(port int, bad *peer) bool {
			bad.Send(service.WindowUpdate(service.FlagSYN, 2, 0))
			bad.await("the refusal", func(frame service.Frame) bool {
				return frame.Stream == 2 && frame.Flags&service.FlagRST != 0
			})
			bad.Send(service.Data(service.FlagSYN, 4, []byte("hello")))
			bad.await("the refusal", func(frame service.Frame) bool {
				return frame.Stream == 4 && frame.Flags&service.FlagRST != 0
			})
			w, stream := request(t, port, bad)
			bad.reply(stream)
			w.expectReply("GET", 200, "ok")
			return false
		})
	})
}

func TestHostileHalfAFrameAndSilenceIsGivenUp(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		besideOthers(t, p, func(port int, bad *peer) bool {
			w, stream := request(t, port, bad)
			bad.Write(service.Data(0, stream, make([]byte, 100)).Header()[:7])
			// 10 s until the proxy's ping, and 10 s more until it gives up.
			bad.SetDeadline(time.Now().Add(patience + 20*time.Second))
			w.SetDeadline(time.Now().Add(patience + 20*time.Second))
			for err := error(nil); err == nil; {
				_, err = bad.Receive() // without answering
				if isTimeout(err) {
					t.Error("the session was not given up")
				}
			}
			w.expectReply("GET", 502, "*")
			return false
		})
	})
}

func TestHostileServiceThatDoesNotReadStopsNobody(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), text("good"))
		bad := p.dialPeer(onPath(port, "/bad"))
		bad.Conn.(*net.TCPConn).SetReadBuffer(4096)
		before := p.resident()
		for index := 0; index < 100; index++ {
			w := dial(t, port)
			go func() {
				io.WriteString(w, "POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
				w.Write(make([]byte, 10_000_000))
			}()
		}
		for round := 0; round < 20; round++ {
			expectServed(t, port, "/", "good")
			time.Sleep(10 * time.Millisecond)
		}
		p.expectGrowth(before, 64)
	})
}

func TestHostileRandomBytesHurtNobody(t *testing.T) {
	eachThoroughly(t, nil, func(t *testing.T, p *proxy) {
		seed := time.Now().UnixNano()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewSource(seed))
		port := freePort(t)
		p.serve(onPath(port, "/"), text("good"))
		from := p.stderr.count()
		for round := 0; round < 60; round++ {
			bad := p.dialPeer(onPath(port, "/bad"))
			w := dial(t, port)
			w.send("POST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
			stream := bad.awaitStream()
			for frames := random.Intn(20); frames > 0; frames-- {
				frame := service.Frame{
					Type: byte(random.Intn(4)), Flags: uint16(random.Intn(16)), Length: uint32(random.Intn(1 << 10)),
					Stream: []uint32{stream, stream, stream + 2, stream + 1, 0, random.Uint32()}[random.Intn(6)],
				}
				if frame.Type == service.TypeData {
					frame.Payload = pattern(int64(frames), int(frame.Length))
				}
				bad.Send(frame)
			}
			garbage := make([]byte, random.Intn(100))
			random.Read(garbage)
			bad.Write(garbage)
			bad.Close()
			w.Close()
			// Else the next round's request might still go to this session.
			from = p.awaitLog(sessionLost, from)
		}
		expectServed(t, port, "/", "good")
	})
}
