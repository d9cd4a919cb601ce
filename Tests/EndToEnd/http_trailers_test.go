package endtoend

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"socketmaster/endtoend/service"
)

// Trailer fields of requests go through a filter, which holds bytes back and needs room for them: in the window, in
// the proxy's own space, and behind a reply that ends the request before its last line.

// wholeRecords is a client's configuration with records as long as may be, from the first one on.
func wholeRecords() *tls.Config {
	config := secure("a.example")
	config.DynamicRecordSizingDisabled = true
	return config
}

// One record of TLS brings more trailer fields than the smallest buffers hold.
func TestTrailersMayComeInOneRecordWhateverTheBuffersAre(t *testing.T) {
	for _, sizes := range [][2]string{{"1k", "1k"}, {"1k", "4k"}, {"4k", "1k"}, {"64k", "1k"}} {
		flags := []string{"--head-limit", sizes[0], "--receive-buffer-size", sizes[1]}
		each(t, flags, func(t *testing.T, p *proxy) {
			port := freePort(t)
			p.serveStreams(issue("p256", "a.example").with(onPath(port, "")), trailing)
			for _, line := range []string{
				"X-T: " + strings.Repeat("x", 16_000), strings.Repeat("X-T: 1\r\n", 2_000) + "X-End: 1",
				strings.Repeat("Host: 1\r\n", 1_700) + "X-End: 1", "Host: " + strings.Repeat("x", 16_000) + "\r\nX-End: 1",
			} {
				for _, before := range []string{"", "A: 1\r\n", "Transfer-Encodin"} {
					expectTrailersInOneRecord(t, port, before, line)
					if p.hasExited() {
						t.Fatalf("flags %v: %s behind %q has ended the program", flags, shorten(line), before)
					}
				}
			}
		})
	}
}

// expectTrailersInOneRecord sends the beginning of a trailer section, and the rest of it in one record. It is passed on
// but for the names of the proxy, or refused.
func expectTrailersInOneRecord(t *testing.T, port int, before, line string) {
	t.Helper()
	connection := dialSecure(t, port, wholeRecords())
	defer connection.Close()
	io.WriteString(connection, "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"+before)
	io.WriteString(connection, line+"\r\n\r\n")
	reply, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatalf("%s behind %q: %v", shorten(line), before, err)
	}
	body, _ := io.ReadAll(reply.Body)
	switch reply.StatusCode {
	case 200:
		wanted := ""
		for _, field := range strings.Split(before+line, "\r\n") {
			if !strings.HasPrefix(field, "Host:") {
				wanted += field + "\r\n"
			}
		}
		expectTrailers(t, fmt.Sprintf("behind %q", before), string(body), wanted+"\r\n")
	case 400, 431:
	default:
		t.Errorf("%s behind %q: got %d", shorten(line), before, reply.StatusCode)
	}
}

// chunksUpTo is a body and the beginning of its last chunk, as many bytes as are asked for.
func chunksUpTo(count int) string {
	size := count - len("12345\r\n\r\n0\r\n")
	return fmt.Sprintf("%05x\r\n%s\r\n0\r\n", size, strings.Repeat("x", size))
}

// beginTrailers is a request whose body leaves so many bytes of the window, with trailer fields behind it. It returns
// the stream, and what has come of the trailer section.
func (p *peer) beginTrailers(w *wire, left int, trailers string) (stream uint32, got string) {
	p.t.Helper()
	w.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	opening := p.await("a stream", isOpening)
	bulk := service.InitialWindow - left - len(opening.Payload)
	w.send(chunksUpTo(bulk) + trailers)
	for len(got) < bulk {
		got += string(p.await("the body", func(frame service.Frame) bool {
			return frame.Stream == opening.Stream && frame.Type == service.TypeData
		}).Payload)
	}
	return opening.Stream, got[bulk:]
}

// Whatever brings the window that they wait for, trailer fields go on by it.
func TestTrailersThatWaitForAWindowGoOnWhenItGrows(t *testing.T) {
	eachThoroughly(t, nil, func(t *testing.T, p *proxy) {
		const trailers = "X-Forwarded-For: 6.6.6.6\r\nX-Sum: 1\r\nHos: 2\r\n\r\n"
		const wanted = "X-Sum: 1\r\nHos: 2\r\n\r\n"
		update, data := service.WindowUpdate, service.Data
		early := []byte("HTTP/1.1 103 Early Hints\r\n\r\n")
		for what, frames := range map[string][]service.Frame{
			"with an acknowledgement":            {update(service.FlagACK, 0, 200_000)},
			"without one":                        {update(0, 0, 200_000)},
			"behind one":                         {update(service.FlagACK, 0, 0), update(0, 0, 200_000)},
			"acknowledged twice":                 {update(service.FlagACK, 0, 0), update(service.FlagACK, 0, 200_000)},
			"in two steps, the first with it":    {update(service.FlagACK, 0, 1), update(0, 0, 200_000)},
			"in two steps, the second with it":   {update(0, 0, 1), update(service.FlagACK, 0, 200_000)},
			"behind data with one":               {data(service.FlagACK, 0, early), update(0, 0, 200_000)},
			"behind data, with one":              {data(0, 0, early), update(service.FlagACK, 0, 200_000)},
			"behind no data":                     {data(service.FlagACK, 0, nil), update(0, 0, 200_000)},
			"behind the beginning of a reply":    {data(service.FlagACK, 0, []byte("HTTP/1.1 2")), update(service.FlagACK, 0, 200_000)},
			"by little more than what is needed": {update(service.FlagACK, 0, 38)},
		} {
			port := freePort(t)
			peer := p.dialPeer(onPath(port, ""))
			for left := 0; left <= 19; left++ {
				w := dial(t, port)
				stream, got := peer.beginTrailers(w, left, trailers)
				for _, frame := range frames {
					frame.Stream = stream
					peer.Send(frame)
				}
				_, err := peer.Await(func(frame service.Frame) bool {
					if frame.Stream == stream {
						got += string(frame.Payload)
					}
					return len(got) >= len(wanted) || isEnd(stream)(frame)
				})
				if got != wanted || err != nil {
					t.Fatalf("%s, %d bytes are left: got %q, %v", what, left, got, err)
				}
				w.reset()
				peer.await("the reset", isEnd(stream))
			}
			peer.Close()
		}
	})
}

// Within them a service that switches protocols would get what is left of them as bytes of the other one.
func TestTrailersHaveNoPlaceForASwitchOfProtocols(t *testing.T) {
	expectSwitchesOutsideOfTrailers(t, switching{
		"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
	})
}

func TestTrailersHaveNoPlaceForATunnel(t *testing.T) {
	expectSwitchesOutsideOfTrailers(t, switching{"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n", "HTTP/1.1 200 OK\r\n\r\n"})
}

// switching is a request behind which another protocol may begin, without its end, and the reply that begins it.
type switching struct{ request, reply string }

func expectSwitchesOutsideOfTrailers(t *testing.T, by switching) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		for section, filtered := range map[string]string{
			"X-Forwarded-For: 6.6.6.6\r\n\r\n": "\r\n", "X-Sum: 1\r\nHost: evil\r\n\r\n": "X-Sum: 1\r\n\r\n",
		} {
			for split := 1; split < len(section); split++ {
				peer.expectNoSwitch(by, port, section[:split], section[split:], filtered)
			}
			peer.expectSwitchBehind(by, port, section, filtered, "")
		}
		// Where there is none it may be before the end: the client finishes its request before it says anything else.
		peer.expectSwitchBehind(by, port, "\r", "\r", "\n")
		peer.expectSwitchBehind(by, port, "", "", "\r\n")
	})
}

// other is what the client says in the other protocol.
const other = "bytes of another protocol"

// begin sends a request whose trailer section has come so far when the service switches protocols. It returns what the
// service has got of the section.
func (s switching) begin(p *peer, port int, section string) (w *wire, stream uint32, got string) {
	p.t.Helper()
	w = dial(p.t, port)
	w.send(s.request + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + section)
	opening := p.await("a stream", isOpening)
	got = string(opening.Payload)
	for !strings.Contains(got, "\r\nhello\r\n0\r\n") {
		got += string(p.await("the body", func(frame service.Frame) bool { return frame.Stream == opening.Stream }).Payload)
	}
	p.Send(service.Data(service.FlagACK, opening.Stream, []byte(s.reply)))
	_, got, _ = strings.Cut(got, "\r\nhello\r\n0\r\n")
	return w, opening.Stream, got
}

func (p *peer) expectNoSwitch(by switching, port int, section, rest, filtered string) {
	p.t.Helper()
	w, stream, got := by.begin(p, port, section)
	head, err := readHead(w.reader)
	if !strings.HasPrefix(head, "HTTP/1.1 502 ") || !strings.Contains(strings.ToLower(head), "\r\nconnection: close\r\n") {
		p.t.Fatalf("%s, behind %q: got %q, %v", by.request, section, head, err)
	}
	io.WriteString(w, rest+other)
	p.await("the end", func(frame service.Frame) bool {
		if frame.Stream == stream {
			got += string(frame.Payload)
		}
		return isEnd(stream)(frame)
	})
	if got == filtered || !strings.HasPrefix(filtered, got) {
		p.t.Errorf("%s, behind %q: the service got %q", by.request, section, got)
	}
	w.Close()
}

// expectSwitchBehind has a service switch protocols where it may. Nothing is lost.
func (p *peer) expectSwitchBehind(by switching, port int, section, filtered, rest string) {
	p.t.Helper()
	w, stream, got := by.begin(p, port, section)
	if head, err := readHead(w.reader); err != nil || !strings.HasPrefix(head, by.reply[:12]) {
		p.t.Fatalf("%s, behind %q: got %q, %v", by.request, section, head, err)
	}
	w.send(rest + other)
	for wanted := filtered + rest + other; got != wanted; {
		if !strings.HasPrefix(wanted, got) {
			p.t.Fatalf("%s, behind %q: the service got %q", by.request, section, got)
		}
		got += string(p.await(wanted, func(frame service.Frame) bool { return frame.Stream == stream }).Payload)
	}
	p.Send(service.Data(0, stream, []byte("its answer")))
	w.expect("its answer")
	w.reset()
	p.await("the reset", isEnd(stream))
}
