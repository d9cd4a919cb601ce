package endtoend

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// One frame may open a window, end a stream and reset it, while a client has said what cannot go on. Each part of it may
// end the exchange; the next part must not take it for alive.

// flagMix is such a frame, and the moment in which it comes.
type flagMix struct {
	flags    uint16
	frame    string // what it carries
	underWay bool   // a reply has begun
	vanishes string // when the client resets: before the frame, after it, or never
}

func (m flagMix) String() string {
	moment := "before the reply"
	if m.underWay {
		moment = "within the reply"
	}
	var names []string
	for index, name := range []string{"SYN", "ACK", "FIN", "RST"} {
		if m.flags&(1<<index) != 0 {
			names = append(names, name)
		}
	}
	return fmt.Sprintf("%s with %v %s, the client vanishes %s", m.frame, names, moment, m.vanishes)
}

// carried makes the frame. Within a reply that counts 100 bytes, of which 3 are out, all of it is body.
var carried = map[string]func(m flagMix, stream uint32) service.Frame{
	"a window":  func(m flagMix, stream uint32) service.Frame { return service.WindowUpdate(m.flags, stream, 100_000) },
	"no window": func(m flagMix, stream uint32) service.Frame { return service.WindowUpdate(m.flags, stream, 0) },
	"no data":   func(m flagMix, stream uint32) service.Frame { return service.Data(m.flags, stream, nil) },
	"a whole reply": func(m flagMix, stream uint32) service.Frame {
		if m.underWay {
			return service.Data(m.flags, stream, make([]byte, 97))
		}
		return service.Data(m.flags, stream, []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	},
	"half a reply": func(m flagMix, stream uint32) service.Frame {
		if m.underWay {
			return service.Data(m.flags, stream, make([]byte, 50))
		}
		return service.Data(m.flags, stream, []byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"))
	},
	"more than a reply": func(m flagMix, stream uint32) service.Frame {
		rest := strings.Repeat("x", 1000)
		if m.underWay {
			return service.Data(m.flags, stream, []byte(rest))
		}
		return service.Data(m.flags, stream, []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"+rest))
	},
}

func flagMixes() (mixes []flagMix) {
	for flags := uint16(0); flags < 16; flags++ {
		if flags&service.FlagSYN != 0 {
			continue
		}
		for frame := range carried {
			for _, underWay := range []bool{false, true} {
				for _, vanishes := range []string{"never", "before it", "after it"} {
					mixes = append(mixes, flagMix{flags, frame, underWay, vanishes})
				}
			}
		}
	}
	return mixes
}

// breakOff sends more body than the window takes, with a chunk behind it that is none. Returns when the service has got
// the whole window, and the proxy the rest.
func breakOff(t *testing.T, p *proxy, port int, bad *peer) (*wire, uint32) {
	t.Helper()
	w := dial(t, port)
	chunk := strings.Repeat("x", 300_000)
	w.send(fmt.Sprintf("POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\nzz\r\n", len(chunk), chunk))
	opening := bad.await("a stream", isOpening)
	bad.Send(service.WindowUpdate(service.FlagACK, opening.Stream, 0))
	for received := len(opening.Payload); received < service.InitialWindow; {
		received += len(bad.await("the body", func(frame service.Frame) bool {
			return frame.Type == service.TypeData && frame.Stream == opening.Stream
		}).Payload)
	}
	eventually(t, "the rest lies aside", func() bool { return p.isAsleep(t) })
	return w, opening.Stream
}

// try goes through one mix and says what was wrong with it.
func (m flagMix) try(t *testing.T, p *proxy, port int, bad *peer) error {
	w, stream := breakOff(t, p, port, bad)
	defer w.Close()
	if m.underWay {
		bad.Send(service.Data(0, stream, []byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhel")))
		if _, err := w.reader.Peek(1); err != nil {
			return err
		}
	}
	if m.vanishes == "before it" {
		w.reset()
	}
	frame := carried[m.frame](m, stream)
	bad.Send(frame)
	if m.vanishes == "after it" {
		w.reset()
	}
	// The window that has not come yet: late where the stream has ended.
	bad.Send(service.WindowUpdate(0, stream, 100_000))
	if m.vanishes != "never" {
		return nil
	}
	answer, err := io.ReadAll(w.reader)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("after %s: %w", shorten(string(answer)), err)
	}
	replies := strings.Count(string(answer), "HTTP/1.1 ")
	mustBe400 := !m.underWay && m.frame == "a window" && m.flags&service.FlagRST == 0
	if replies != 1 || mustBe400 && !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
		return fmt.Errorf("%d replies: %s", replies, shorten(string(answer)))
	}
	return nil
}

func TestHostileMixesOfFlagsWhileABrokenChunkLiesAsideMakeOneReply(t *testing.T) {
	eachThoroughly(t, nil, func(t *testing.T, p *proxy) {
		besideOthers(t, p, func(port int, bad *peer) bool {
			for _, mix := range flagMixes() {
				bad.SetDeadline(time.Now().Add(patience))
				if err := mix.try(t, p, port, bad); err != nil {
					t.Errorf("%v: %v", mix, err)
				}
				if !bad.isAlive() {
					t.Fatalf("%v: the session is lost", mix)
				}
				w, stream := request(t, port, bad)
				bad.reply(stream)
				w.expectReply("POST", 200, "ok")
				w.Close()
			}
			return false
		})
	})
}
