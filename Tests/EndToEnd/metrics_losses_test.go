package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// Figures of what was lost, sent again, or had to wait.

// mayHaveWaited are figures of clients that need not wait.
var mayHaveWaited = tally{"held": anything, "released": anything, "hold_duration_seconds_count": anything}

// refusedBy reads the proxy's own reply to a request that was passed on as far as it was said.
func (b *book) refusedBy(m *meter, route, method string, wanted int, more tally) error {
	status, body, err := m.hear(method)
	if err != nil || status != wanted {
		return fmt.Errorf("%s: %d %s, %v; wanted %d", route, status, shorten(body), err, wanted)
	}
	b.note(route, answeredByUs(status).add(more).add(m.gave()).add(m.took()))
	return nil
}

func TestMetricsSayWhyExchangesFailed(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		const begun = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun"
		const get, post = "GET %s" + tail + "\r\n", "POST %s" + tail + "Content-Length: 2\r\n\r\nhi"
		const chunks = "POST %s" + tail + "Transfer-Encoding: chunked\r\n\r\n"
		put := "PUT %s" + tail + "Content-Length: 300000\r\n\r\n" + strings.Repeat("x", 300_000)
		port, b := freePort(t), newBook()
		failed := func(why string) tally { return tally{"failed " + why: 1} }
		headless := tally{"first_byte_seconds_count": 1}
		// takeAll takes all of a request, and ends without a word.
		takeAll := func(stream net.Conn) {
			if request, err := http.ReadRequest(bufio.NewReader(stream)); err == nil {
				io.Copy(io.Discard, request.Body)
			}
		}
		var works []func() error
		for _, row := range []struct {
			path    string
			serve   func(net.Conn)
			request string
			status  int
			more    tally
		}{
			{"/run", takeAll, post, 502, failed("may_have_run")},
			{"/kept", takeAll, put, 502, failed("not_kept")},
			// Who may be what kills its service waits until that is fit for it.
			{"/spent", script(""), get, 502, failed("spent").add(tally{"repeated reset": 2}).add(mayHaveWaited)},
			{"/words", script("nonsense\r\n\r\n"), post, 502, failed("broken_reply")},
			{"/field", script("HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n"), get, 502, failed("broken_reply")},
			{"/length", script("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), get, 502, failed("broken_reply")},
			{"/large", script("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100_000) + "\r\n\r\n"), get, 502,
				failed("broken_reply")},
			{"/many", script("HTTP/1.1 200 OK\r\n" + strings.Repeat("X: x\r\n", 300) + "\r\n"), get, 502, failed("broken_reply")},
			{"/switch", script("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n"), get, 502,
				failed("broken_reply").add(headless)},
			// It is the client's fault. Its request had found a route.
			{"/chunks", saying(t, ""), chunks + "zz\r\n", 400, tally{"request_bytes": anything}},
		} {
			o.serveStreams(onPath(port, row.path), row.serve)
			for client := 0; client < 2; client++ {
				row, m := row, dialMeter(t, port)
				works = append(works, func() error {
					go m.Conn.Write([]byte(fmt.Sprintf(row.request, row.path)))
					m.wrote = len(fmt.Sprintf(row.request, row.path))
					return b.refusedBy(m, on(port, row.path), strings.Fields(row.request)[0], row.status, row.more)
				})
			}
		}
		// Replies that are cut have the class that they had begun with.
		for path, reply := range map[string]string{
			"/cut": begun, "/cut/chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
			"/cut/moved": "HTTP/1.1 301 Moved\r\nContent-Length: 9\r\n\r\nx",
		} {
			o.serveStreams(onPath(port, path), script(reply))
			path, m := path, dialMeter(t, port)
			works = append(works, func() error {
				m.say(fmt.Sprintf(get, path))
				_, _, err := m.hear("GET")
				io.Copy(io.Discard, m.reader)
				status := 200
				if path == "/cut/moved" {
					status = 301
				}
				b.note(on(port, path), answered(status).add(failed("cut")).add(m.gave()).add(m.took()))
				if err == nil {
					return fmt.Errorf("%s: the reply is whole", path)
				}
				return nil
			})
		}
		together(t, works...)
		o.expect(b.routes, nil)
		rejected := tally{"bad_chunks": 2}
		if difference := o.scrape().rejected(port).difference(rejected); difference != "" {
			t.Error(difference)
		}
	})
}

// What stands still ends after its time, and it is told whose fault that was.
func TestMetricsCountWhatStandsStill(t *testing.T) {
	flags := []string{
		"--relay-idle-timeout", "500ms", "--stall-timeout", "2s", "--reply-timeout", "1s", "--head-timeout", "1s",
	}
	eachObserved(t, flags, func(t *testing.T, o *observed) {
		port, plain, b := freePort(t), freePort(t), newBook()
		o.serveStreams(raw(plain), echoStream)
		o.serveStreams(onPath(port, "/idle"), saying(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"))
		o.serveStreams(onPath(port, "/flood"), floodAfterHead)
		o.serveStreams(onPath(port, "/silent"), saying(t, ""))
		idle, relay, head := dialMeter(t, port), dialMeter(t, plain), dialMeter(t, port)
		reply, body, late := dialMeter(t, port), dialMeter(t, port), dialMeter(t, port)
		idle.say("GET /idle" + tail + "\r\n")
		flooded := dialNarrow(t, port)
		flooded.send("GET /flood" + tail + "\r\n")
		head.say("GET /idle HT")
		reply.say("GET /silent" + tail + "\r\n")
		late.say("POST /silent" + tail + "Content-Length: 9\r\n\r\nabc")
		go body.Conn.Write(append([]byte("POST /silent"+tail+"Content-Length: 3000000\r\n\r\n"), make([]byte, 3_000_000)...))

		timeout := tally{"failed timeout": 1}
		if _, _, err := idle.hear("GET"); err == nil {
			t.Error("an idle reply is whole")
		}
		b.note(on(port, "/idle"), answered(200).add(timeout).add(idle.gave()).add(idle.took()))
		if err := relay.end(); err != nil {
			t.Error(err)
		}
		b.note(place(address(plain), "", ""), tally{"relays": 1}.add(timeout))
		// Its client has got a part of it.
		b.note(on(port, "/flood"), left.add(tally{"first_byte_seconds_count": 1,
			"request_bytes": float64(len("GET /flood" + tail + "\r\n")), "response_bytes": anything}))
		together(t,
			func() error { return b.refusedBy(reply, on(port, "/silent"), "GET", 504, timeout) },
			func() error { return b.refusedBy(body, on(port, "/silent"), "POST", 504, timeout) },
			// This one is the client's fault. Its request had found a route.
			func() error { return b.refusedBy(late, on(port, "/silent"), "POST", 408, nil) })
		b.routes[on(port, "/silent")]["request_bytes"] = anything
		if status, _, err := head.hear("GET"); status != 408 || err != nil {
			t.Error(status, err)
		}
		o.expect(b.routes, tally{"requests 4xx": 1}.add(head.took()))
		e := o.scrape()
		rejected := tally{"stalled_client": 1, "head_timeout": 1, "body_timeout": 1}
		if difference := e.rejected(port).difference(rejected); difference != "" {
			t.Error(difference)
		}
		if difference := e.rejected(plain).difference(tally{"relay_idle": 1}); difference != "" {
			t.Error(difference)
		}
	})
}

// A service that passes its requests back makes one of each of them, until the proxy has seen it too often.
func TestMetricsOfARequestThatComesBackCountEachPass(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		port := freePort(t)
		var passes atomic.Int32
		o.serve(marked(port, "/"), back(t, port, &passes))
		m := dialMeter(t, port)
		m.say("GET /" + tail + "\r\n")
		if status, _, err := m.hear("GET"); status != 508 || err != nil {
			t.Fatal(status, err)
		}
		count := float64(passes.Load())
		o.expect(map[string]tally{on(port, "/"): {
			"requests 5xx": count + 1, "request_duration_seconds_count": count + 1, "first_byte_seconds_count": count,
			"request_bytes": anything, "response_bytes": anything,
		}}, nil)
		if loops := o.scrape().rejected(port)["loop"]; loops != 1 {
			t.Errorf("%v loops", loops)
		}
	})
}

// It has begun with a status, and is cut by its service's end: by an end that is too soon where it has a length, and by a
// reset where it would have ended with its connection.
func TestMetricsOfAReplyThatIsCutHaveItsClass(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		port, b := freePort(t), newBook()
		for _, mode := range []string{"half", "until-close"} {
			route := on(port, "/"+mode)
			dying := o.startService("-port", portText(port), "-path", "/"+mode, "-mode", mode, "-text", "begun")
			m := dialMeter(t, port)
			m.say("GET /" + mode + tail + "\r\n")
			if head, err := readHead(m.reader); err != nil || !strings.HasPrefix(head, "HTTP/1.1 200 ") {
				t.Fatalf("%q, %v", head, err)
			}
			if _, err := io.ReadFull(m.reader, make([]byte, len("begun"))); err != nil {
				t.Fatal(err)
			}
			o.killService(dying)
			if err := m.end(); (err != nil) != (mode == "until-close") {
				t.Errorf("%s: %v", mode, err)
			}
			b.note(route, answered(200).add(tally{"failed cut": 1}).add(m.gave()).add(m.took()))
		}
		o.expect(b.routes, nil)
	})
}

func TestMetricsCountWhatAKilledServiceHadUnderWay(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		port, b, route := freePort(t), newBook(), ""
		route = on(port, "/")
		hanging := o.startService("-port", portText(port), "-path", "/", "-mode", "hang")
		var gets, posts []*meter
		for index := 0; index < 10; index++ {
			get, post := dialMeter(t, port), dialMeter(t, port)
			if index%2 == 0 {
				get.say(fmt.Sprintf("GET /%d", index) + tail + "\r\n")
			} else {
				// It is kept to be sent again, and counts once.
				get.say(fmt.Sprintf("PUT /%d", index) + tail + "Content-Length: 50000\r\n\r\n" + string(pattern(1, 50_000)))
			}
			post.say(fmt.Sprintf("POST /%d", index) + tail + "Content-Length: 2\r\n\r\nhi")
			gets, posts = append(gets, get), append(posts, post)
		}
		eventually(t, "all are there", func() bool { return countLines(hanging.stdout, "request") == 20 })
		// What is under way is told, and what may yet be sent again is not counted as passed on.
		o.expect(map[string]tally{route: {"requests_open": 20, "request_bytes": anything, "route_sessions": 1}}, nil)
		o.killService(hanging)
		for _, post := range posts {
			if err := b.refusedBy(post, route, "POST", 502, tally{"failed may_have_run": 1}); err != nil {
				t.Error(err)
			}
		}
		waiting := tally{}.add(b.routes[route]).add(tally{
			"requests_open": 10, "waiting": 10, "held": 10, "repeated ended": 10,
		})
		o.expect(map[string]tally{route: waiting}, nil)
		o.startService("-port", portText(port), "-path", "/", "-text", "back")
		for _, get := range gets {
			if err := b.finish(get, route, "GET", 200); err != nil {
				t.Error(err)
			}
			b.note(route, tally{"held": 1, "released": 1, "hold_duration_seconds_count": 1, "repeated ended": 1})
		}
		o.expect(b.routes, nil)
	})
}

func TestMetricsSayHowExchangesWereLostThatAreSentAgain(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		port, b := freePort(t), newBook()
		// The first stream of two ends without a reply.
		var streams int32
		o.serveStreams(onPath(port, "/reset"), func(stream net.Conn) {
			if _, err := readHead(bufio.NewReader(stream)); err == nil && atomic.AddInt32(&streams, 1)%2 == 0 {
				io.WriteString(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		})
		m := dialMeter(t, port)
		for round := 0; round < 3; round++ {
			if err := b.exchange(m, on(port, "/reset"), "GET /reset"+tail+"\r\n", 200); err != nil {
				t.Fatal(err)
			}
			b.note(on(port, "/reset"), tally{"repeated reset": 1})
		}
		o.expect(b.routes, nil)

		// A stream that is reset first was never taken.
		peer := o.dialPeer(onPath(port, "/refused"))
		m = dialMeter(t, port)
		m.say("POST /refused" + tail + "Content-Length: 2\r\n\r\nhi")
		refused := peer.await("a stream", isOpening).Stream
		peer.Send(service.WindowUpdate(service.FlagRST, refused, 0))
		taken := peer.awaitStream()
		peer.Send(service.Data(0, taken, []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")))
		if err := b.finish(m, on(port, "/refused"), "POST", 200); err != nil {
			t.Fatal(err)
		}
		// Meanwhile it may have waited for the session.
		b.note(on(port, "/refused"), mayHaveWaited.add(tally{"repeated refused": 1}))
		o.expect(b.routes, nil)

		// It lives and answers pings, and never accepts: what lies there goes to its sibling.
		slow := o.dialPeer(onPath(port, "/slow"))
		slow.SetDeadline(time.Time{})
		go slow.Await(func(service.Frame) bool { return false })
		var waiting []*meter
		for index := 0; index < 5; index++ {
			get, post := dialMeter(t, port), dialMeter(t, port)
			get.say("GET /slow" + tail + "\r\n")
			post.say("POST /slow" + tail + "Content-Length: 2\r\n\r\nhi")
			waiting = append(waiting, get, post)
		}
		o.expect(map[string]tally{
			on(port, "/reset"): b.routes[on(port, "/reset")], on(port, "/refused"): b.routes[on(port, "/refused")],
			on(port, "/slow"): {"requests_open": 10},
		}, nil)
		o.serve(onPath(port, "/slow"), text("sibling"))
		for index, m := range waiting {
			if err := b.finish(m, on(port, "/slow"), []string{"GET", "POST"}[index%2], 200); err != nil {
				t.Fatal(err)
			}
			b.note(on(port, "/slow"), mayHaveWaited.add(tally{"repeated taken_back": 1}))
		}
		o.expect(b.routes, nil)
	})
}

func TestMetricsCountClientsThatWait(t *testing.T) {
	eachObserved(t, []string{"--hold-limit", "5"}, func(t *testing.T, o *observed) {
		port, plain, b := freePort(t), freePort(t), newBook()
		o.serve(onPath(port, "/stays"), text("stays"))
		back, silent := on(port, "/back"), place(address(plain), "", "")
		o.endSession(o.serve(onPath(port, "/back"), text("first")))
		o.endSession(o.serveStreams(raw(plain), echoStream))
		var waiting []*meter
		for index := 0; index < 5; index++ {
			m := dialMeter(t, port)
			m.say("GET /back" + tail + "\r\n")
			waiting = append(waiting, m)
		}
		held := tally{"requests_open": 5, "waiting": 5, "held": 5}
		o.expect(map[string]tally{back: held, silent: {}, on(port, "/stays"): {}}, nil)
		// The sixth is one too many.
		crowded := dialMeter(t, port)
		crowded.say("GET /back" + tail + "\r\n")
		if err := b.refusedBy(crowded, back, "GET", 503, tally{"refused": 1, "request_bytes": anything}); err != nil {
			t.Fatal(err)
		}
		// Two leave, each in its own way, and one of them has said that it is done.
		waiting[3].Conn.(*net.TCPConn).SetLinger(0)
		waiting[3].Close()
		waiting[4].Conn.(*net.TCPConn).CloseWrite()
		b.note(back, left.add(left).add(tally{"held": 2, "hold_duration_seconds_count": 2}))
		relay := dialMeter(t, plain)
		relay.say("hello")
		o.expect(map[string]tally{
			back:   b.routes[back].add(tally{"requests_open": 3, "waiting": 3, "held": 3}),
			silent: {"relays": 1, "route_connections": 1, "waiting": 1, "held": 1}, on(port, "/stays"): {},
		}, nil)
		if waits := o.scrape().rejected(port)["hold_limit"]; waits != 1 {
			t.Errorf("%v clients found too many waiting", waits)
		}
		o.serve(onPath(port, "/back"), text("second"))
		o.serveStreams(raw(plain), echoStream)
		released := tally{"held": 1, "released": 1, "hold_duration_seconds_count": 1}
		for _, m := range waiting[:3] {
			if err := b.finish(m, back, "GET", 200); err != nil {
				t.Fatal(err)
			}
			b.note(back, released)
		}
		if _, err := io.ReadFull(relay.reader, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		relay.Conn.(*net.TCPConn).CloseWrite()
		if err := relay.end(); err != nil {
			t.Fatal(err)
		}
		b.note(silent, released.add(relay.gave()).add(relay.took()).add(tally{"relays": 1}))
		b.note(on(port, "/stays"), nil)
		b.routes[back]["request_bytes"] = 3 * float64(len("GET /back"+tail+"\r\n"))
		o.expect(b.routes, nil)
	})
}

// Nobody comes in time. The route goes with its last figures, which the sums keep.
func TestMetricsCountClientsThatWaitInVain(t *testing.T) {
	eachObserved(t, []string{"--hold", "4s"}, func(t *testing.T, o *observed) {
		port, plain, b := freePort(t), freePort(t), newBook()
		o.serve(onPath(port, "/stays"), text("stays"))
		o.endSession(o.serve(onPath(port, "/gone"), text("first")))
		o.endSession(o.serveStreams(raw(plain), echoStream))
		expired := tally{"held": 1, "expired": 1, "hold_duration_seconds_count": 1}
		relay := dialMeter(t, plain)
		var waiting []*meter
		for index := 0; index < 3; index++ {
			m := dialMeter(t, port)
			m.say("GET /gone" + tail + "\r\n")
			waiting = append(waiting, m)
		}
		for _, m := range waiting {
			if err := b.refusedBy(m, on(port, "/gone"), "GET", 503, expired); err != nil {
				t.Fatal(err)
			}
		}
		if err := relay.end(); err != nil {
			t.Error(err)
		}
		b.note(place(address(plain), "", ""), expired)
		b.routes[on(port, "/gone")]["request_bytes"] = 0
		o.expectSums(b, nil)
		if difference := o.scrape().rejected(port).difference(tally{"hold_over": 3}); difference != "" {
			t.Error(difference)
		}
	})
}

// A client may wait for a route that nobody has registered yet: that is one wait, too, whoever comes.
func TestMetricsCountAClientThatWaitsForAnUnknownRouteOnce(t *testing.T) {
	eachObserved(t, []string{"--start-grace", "60s"}, func(t *testing.T, o *observed) {
		port, b := freePort(t), newBook()
		o.serve(onPath(port, "/known"), text("known"))
		m := dialMeter(t, port)
		m.say("GET /later" + tail + "\r\n")
		eventually(t, "it waits", func() bool { return o.scrape().totals()["held"] == 1 })
		o.serve(onPath(port, "/later"), text("later"))
		if err := b.finish(m, on(port, "/later"), "GET", 200); err != nil {
			t.Fatal(err)
		}
		b.note(on(port, "/known"), nil)
		b.note(on(port, "/later"), tally{"held": 1, "released": 1, "hold_duration_seconds_count": 1})
		o.expect(b.routes, nil)
	})
}

// A client waits for the longest of the routes that there are. When a longer one comes it goes there, and has waited once.
func TestMetricsOfAWaitForAnotherRouteAddUp(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		port, b := freePort(t), newBook()
		o.endSession(o.serve(onPath(port, "/"), text("short")))
		m := dialMeter(t, port)
		m.say("GET /longer" + tail + "\r\n")
		waits := tally{"requests_open": 1, "waiting": 1, "held": 1}
		o.expect(map[string]tally{on(port, "/"): waits}, nil)
		o.serve(onPath(port, "/longer"), text("longer"))
		if err := b.finish(m, on(port, "/longer"), "GET", 200); err != nil {
			t.Fatal(err)
		}
		b.note(on(port, "/longer"), tally{"held": 1, "released": 1, "hold_duration_seconds_count": 1})
		b.note(on(port, "/"), tally{"held": 1})
		o.expect(b.routes, tally{"held": -1})
	})
}
