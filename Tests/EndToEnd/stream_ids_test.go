package endtoend

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"socketmaster/endtoend/service"
)

// A session lives for ever: after the last id of 32 bits comes 1, and ids still in use are passed over. The border is the
// place between both.

// beforeBorder is how many streams of a session have ids before the border in these tests.
const beforeBorder = 21

const lastStreamID, firstStreamID = uint32(1<<32 - 1), uint32(1<<32-1) - 2*(beforeBorder-1)

var nearBorder = []string{"--first-stream-id", fmt.Sprint(firstStreamID)}

func TestFirstStreamIDIsOddAndOf32Bits(t *testing.T) {
	control := fmt.Sprint("127.0.0.1:", freePort(t))
	for _, value := range []string{
		"0", "2", "-1", "4294967294", "4294967296", "4294967297", "18446744073709551617", "x", "", "1.5", "0x1", " 1", "1 ",
	} {
		p := startProcess(t, program(), "--bind", control, "--first-stream-id", value)
		if code := p.exitCode(); code != usage {
			t.Errorf("%q: exit code %d", value, code)
		}
		expectSentence(t, value, p, "first-stream-id")
	}
	help := startProcess(t, program(), "--help")
	help.exitCode()
	if strings.Contains(help.stdout.whole(), "first-stream-id") {
		t.Error("--help tells of a flag that is for tests alone")
	}
	for _, value := range []uint32{1, 3, 77, lastStreamID - 2, lastStreamID} {
		p := startProxy(t, "--reactors", "1", "--first-stream-id", fmt.Sprint(value))
		port := freePort(t)
		listener := p.serve(onPath(port, "/"), text("served"))
		for _, id := range []uint32{value, next(value), next(next(value))} {
			expectServed(t, port, "/", "served")
			if _, last := listener.Opened(); last != id {
				t.Errorf("from %d on: the id is %d and not %d", value, last, id)
			}
		}
	}
}

// next is the id that comes after one when none is in use.
func next(id uint32) uint32 { return id + 2 } // 1 comes after the last one by itself

// expectRound checks that sessions have got ids from both sides of the border.
func expectRound(t *testing.T, listeners []*service.Listener) {
	t.Helper()
	for index, listener := range listeners {
		if first, last := listener.Opened(); first != firstStreamID || last >= firstStreamID {
			t.Errorf("session %d got ids from %d to %d", index, first, last)
		}
	}
}

func TestStreamIDsGoRoundForRequests(t *testing.T) {
	for _, reuses := range []bool{false, true} {
		for sessions := 1; sessions <= 2; sessions++ {
			t.Run(fmt.Sprintf("reuse %v, %d sessions", reuses, sessions), func(t *testing.T) {
				each(t, nearBorder, func(t *testing.T, p *proxy) {
					port := freePort(t)
					definition := onPath(port, "/")
					if reuses {
						definition.Attributes = map[string]string{"reuse-streams": "true"}
					}
					var listeners []*service.Listener
					for index := 0; index < sessions; index++ {
						listener := p.listen(definition)
						listeners = append(listeners, listener)
						if reuses {
							serveHTTP(service.Waking(listener), digest())
						} else {
							serveHTTP(listener, digest())
						}
					}
					askInTurns(t, port)
					expectRound(t, listeners)
				})
			})
		}
	}
}

// askInTurns makes several hundred requests with bodies and without, on connections that are kept and on new ones.
func askInTurns(t *testing.T, port int) {
	t.Helper()
	var works []func() error
	for worker := 0; worker < 8; worker++ {
		worker := worker
		works = append(works, func() error {
			client := &keptClient{}
			defer client.close()
			for round := 0; round < 80; round++ {
				method, body := http.MethodGet, ""
				if round%2 == 0 {
					method, body = http.MethodPost, string(pattern(int64(round), 100*round))
				}
				head := fmt.Sprintf("%s / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", method, len(body))
				got, err := client.exchange(port, head+body, method)
				if wanted := digestOf(method, []byte(body)); err != nil || got != wanted {
					return fmt.Errorf("request %d: got %q, %v; wanted %q", round, got, err, wanted)
				}
				if worker%2 == 0 {
					client.close()
				}
			}
			return nil
		})
	}
	together(t, works...)
}

func TestStreamIDsGoRoundForRawConnections(t *testing.T) {
	for sessions := 1; sessions <= 2; sessions++ {
		t.Run(fmt.Sprintf("%d sessions", sessions), func(t *testing.T) {
			each(t, nearBorder, func(t *testing.T, p *proxy) {
				port := freePort(t)
				var listeners []*service.Listener
				for index := 0; index < sessions; index++ {
					listeners = append(listeners, p.serveStreams(raw(port), echoStream))
				}
				// These are there before the border, and are used behind it.
				var lasting []*wire
				for index := 0; index < 5*sessions; index++ {
					w := dial(t, port)
					w.exchange([]byte("hello"))
					lasting = append(lasting, w)
				}
				var group sync.WaitGroup
				for worker := 0; worker < 8; worker++ {
					group.Add(1)
					go func() {
						defer group.Done()
						for round := 0; round < 50; round++ {
							if err := echoOnce(port, pattern(int64(round), 100*round)); err != nil {
								t.Errorf("round %d: %v", round, err)
							}
						}
					}()
				}
				for round := 0; round < 20; round++ {
					for _, w := range lasting {
						w.extend()
						w.exchange(pattern(int64(round), 20_000))
					}
				}
				group.Wait()
				for _, w := range lasting {
					w.CloseWrite()
					w.expectEnd()
				}
				expectRound(t, listeners)
				for _, listener := range listeners {
					eventually(t, "the streams are gone", func() bool { return listener.Streams() == 0 })
				}
			})
		})
	}
}

// echoOnce sends a body on a connection of its own, ends its side and checks the echo.
func echoOnce(port int, body []byte) error {
	w, err := tryDial(port)
	if err != nil {
		return err
	}
	defer w.Close()
	go func() {
		w.Write(body)
		w.CloseWrite()
	}()
	echo, err := io.ReadAll(w.reader)
	if diff := difference(echo, body); diff != "" || err != nil {
		return fmt.Errorf("the echo: %s, %v", diff, err)
	}
	return nil
}

// To the letter: each id is the next one, and none of a stream that lives is used.
func TestStreamIDsComeOneAfterTheOther(t *testing.T) {
	for _, kind := range []relayKind{rawKind, upgradedKind} {
		t.Run(kind.name, func(t *testing.T) {
			each(t, nearBorder, func(t *testing.T, p *proxy) {
				port := freePort(t)
				session := kind.dialStreams(p, port)
				var lasting []*relayClient
				id := firstStreamID
				for index := 0; index < 3*beforeBorder; index++ {
					name := fmt.Sprint(index)
					c := kind.mustOpen(t, port, name)
					stream := session.await(name)
					if stream.id != id {
						t.Fatalf("stream %d has the id %d and not %d", index, stream.id, id)
					}
					switch index % 3 {
					case 0:
						lasting = append(lasting, c)
					case 1:
						c.reset()
					default:
						c.finish()
						stream.finish()
						c.socket.Close()
					}
					id = next(id)
				}
				for index, c := range lasting {
					stream := session.await(fmt.Sprint(3 * index))
					before := stream.received
					c.fill(1000, patience)
					eventually(t, "what is said on an old stream", func() bool { return stream.has(before + 1000) })
					stream.fill(2000, patience)
					if count, err := io.ReadFull(c.reader, make([]byte, 2000)); err != nil {
						t.Errorf("on an old stream came only %d bytes, %v", count, err)
					}
				}
				session.expectAlive()
			})
		})
	}
}

// Clients wait while the service is away; it returns and gets all of them, across the border.
func TestStreamIDsGoRoundBehindAHold(t *testing.T) {
	each(t, nearBorder, func(t *testing.T, p *proxy) {
		port, rawPort := freePort(t), freePort(t)
		for round := 0; round < 2; round++ {
			web := p.startService("-port", portText(port), "-path", "/", "-text", "first")
			plain := p.startService("-port", portText(rawPort), "-mode", "raw-echo")
			for index := 0; index < beforeBorder-5*round; index++ {
				expectServed(t, port, "/", "first")
				dial(t, rawPort).exchange([]byte("hello"))
			}
			p.killService(web)
			p.killService(plain)
			var waiting, connections []*wire
			for index := 0; index < 60; index++ {
				w, connection := dial(t, port), dial(t, rawPort)
				w.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", index))
				connection.send("hello")
				waiting, connections = append(waiting, w), append(connections, connection)
			}
			listeners := []*service.Listener{p.serve(onPath(port, "/"), text("second"))}
			listeners = append(listeners, p.serveStreams(raw(rawPort), func(stream net.Conn) { io.Copy(stream, stream) }))
			for index := range waiting {
				waiting[index].expectReply("GET", 200, "second")
				connections[index].expect("hello")
				connections[index].Close()
			}
			expectRound(t, listeners)
			p.endSession(listeners[0])
			p.endSession(listeners[1])
		}
	})
}
