package endtoend

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// Figures of routes that come and go, of many, and of those with strange names.

// watch scrapes all the time. It is an error if anything falls that may only rise.
type watch struct {
	o       *observed
	stop    chan struct{}
	stopped sync.WaitGroup
	scrapes int
	faults  []string
}

func (o *observed) watch() *watch {
	w := &watch{o: o, stop: make(chan struct{})}
	w.stopped.Add(1)
	go func() {
		defer w.stopped.Done()
		var last *exposition
		// What a port has refused goes on when it is opened again.
		refused := map[string]float64{}
		for {
			select {
			case <-w.stop:
				return
			default:
			}
			_, body, err := o.tryFetch("/metrics")
			if err != nil {
				w.faults = append(w.faults, err.Error())
				return
			}
			next, err := readExposition(body)
			if err != nil {
				w.faults = append(w.faults, err.Error())
				return
			}
			if last != nil {
				w.faults = append(w.faults, next.falls(last)...)
			}
			for series, value := range next.series {
				if !strings.HasPrefix(series, "socketmaster_rejected_total{") {
					continue
				}
				if value < refused[series] {
					w.faults = append(w.faults, fmt.Sprintf("%s was %v, and is %v", series, refused[series], value))
				}
				refused[series] = value
			}
			last = next
			w.scrapes++
		}
	}()
	return w
}

func (w *watch) end(t *testing.T) {
	t.Helper()
	close(w.stop)
	w.stopped.Wait()
	t.Logf("%d scrapes", w.scrapes)
	if len(w.faults) > 0 {
		t.Errorf("%d faults: %s", len(w.faults), strings.Join(w.faults, "\n"))
	}
}

// Ports are opened and closed, and routes come and go, many more than have figures of their own; with somebody who
// scrapes, so that figures go to other routes, and without. The sums are those of all that has ever been.
func TestMetricsSumsStayExactWhileRoutesComeAndGo(t *testing.T) {
	for _, isWatched := range []bool{true, false} {
		isWatched := isWatched
		t.Run(fmt.Sprint("watched=", isWatched), func(t *testing.T) {
			eachObserved(t, []string{"--metrics-routes", "4", "--hold", "0s"}, func(t *testing.T, o *observed) {
				var w *watch
				if isWatched {
					w = o.watch()
				}
				b, again, rejected := newBook(), freePort(t), 0
				unrouted := tally{}
				for round := 0; round < 4; round++ {
					o.churn(round, b, again, &rejected, &unrouted)
				}
				o.serve(onPath(again, "/last"), answering())
				if w != nil {
					w.end(t)
				}
				o.expectSums(b, unrouted)
				eventually(t, "the port tells of all whom it has refused", func() bool {
					return o.scrape().rejected(again)["no_route"] == float64(rejected)
				})
			})
		})
	}
}

// churn lets routes come, be used, and go: on a port that is there in every round, and on one that is not.
func (o *observed) churn(round int, b *book, again int, rejected *int, unrouted *tally) {
	t := o.t
	once, plain := freePort(t), freePort(t)
	var routes []*service.Listener
	var kept *meter
	var works []func() error
	for index := 0; index < 4; index++ {
		for _, port := range []int{again, once} {
			path := fmt.Sprintf("/%d-%d", round, index)
			if index == 0 {
				path = "/every"
			}
			routes = append(routes, o.serve(onPath(port, path), answering()))
			m, route := dialMeter(t, port), on(port, path)
			kept = m
			works = append(works, func() (err error) {
				for request := 0; request < 3 && err == nil; request++ {
					err = b.exchange(m, route, "GET "+path+tail+"\r\n", 200)
				}
				return err
			})
		}
	}
	echoing := o.serveStreams(raw(plain), echoStream)
	relay := dialMeter(t, plain)
	together(t, append(works, func() error { return relay.echo([]byte("before")) })...)
	lost := dialMeter(t, again)
	lost.say("GET /nowhere" + tail + "\r\n")
	if status, _, err := lost.hear("GET"); status != 404 || err != nil {
		t.Fatal(status, err)
	}
	*rejected++
	*unrouted = unrouted.add(tally{"requests 4xx": 1}).add(lost.took())
	// The relay is there when its route is no more, and counts until it ends.
	echoing.GoAway()
	if err := relay.echo([]byte("after")); err != nil {
		t.Fatal(err)
	}
	for _, listener := range routes {
		listener.Close()
	}
	eventually(t, "both ports are closed", func() bool {
		for _, port := range []int{again, once} {
			if connection, err := net.Dial("tcp", address(port)); err == nil {
				connection.Close()
				return false
			}
		}
		return true
	})
	// Who has stayed finds no route any more.
	kept.say("GET /1" + tail + "\r\n")
	if status, _, err := kept.hear("GET"); status != 404 || err != nil {
		t.Fatal(status, err)
	}
	*unrouted = unrouted.add(tally{"requests 4xx": 1}).add(kept.took())
	if err := relay.echo([]byte("at last")); err != nil {
		t.Fatal(err)
	}
	relay.Conn.(*net.TCPConn).CloseWrite()
	if err := relay.end(); err != nil {
		t.Fatal(err)
	}
	b.note(place(address(plain), "", ""), tally{"relays": 1}.add(relay.gave()).add(relay.took()))
}

func TestMetricsOfRoutesBeyondTheBoundAreTogether(t *testing.T) {
	eachObserved(t, []string{"--metrics-routes", "2", "--hold", "0s"}, func(t *testing.T, o *observed) {
		port := freePort(t)
		b := newBook()
		get := func(path, counted string) {
			t.Helper()
			if err := b.exchange(dialMeter(t, port), counted, "GET "+path+tail+"\r\n", 200); err != nil {
				t.Fatal(err)
			}
		}
		serve := func(path string) *service.Listener { return o.serve(onPath(port, path), answering()) }
		first := serve("/1")
		serve("/2")
		get("/1", on(port, "/1"))
		get("/2", on(port, "/2"))
		b.routes[on(port, "/1")]["route_sessions"] = 1
		o.expect(b.routes, nil)
		serve("/3")
		serve("/4")
		serve("/4")
		for index := 0; index < 3; index++ {
			get("/3", others)
			get("/4", others)
		}
		b.routes[others]["route_sessions"] = 3
		o.expect(b.routes, nil)

		// A route that goes makes room once its last figures have been told, and the sums keep them.
		o.endSession(first)
		eventually(t, "it is not told of any more", func() bool { return o.scrape().routes()[on(port, "/1")] == nil })
		gone := b.routes[on(port, "/1")]
		delete(b.routes, on(port, "/1"))
		serve("/5")
		get("/5", on(port, "/5"))
		get("/3", others)
		b.routes[on(port, "/5")]["route_sessions"] = 1
		o.expect(b.routes, gone)
		// When it comes back there is none left.
		serve("/1")
		get("/1", others)
		b.routes[others]["route_sessions"] = 4
		o.expect(b.routes, gone)
	})
}

func TestMetricsOfNoRouteAtAllHaveTheirSums(t *testing.T) {
	o := observe(t, plain.with([]string{"--metrics-routes", "0"})...)
	port, b := freePort(t), newBook()
	for index := 0; index < 3; index++ {
		path := fmt.Sprint("/", index)
		o.serve(onPath(port, path), answering())
		if err := b.exchange(dialMeter(t, port), others, "GET "+path+tail+"\r\n", 200); err != nil {
			t.Fatal(err)
		}
	}
	o.expect(b.routes, nil)
}

// Services are killed while clients ask all the time. Each request is counted once, however often it was sent.
func TestMetricsOfRestartsUnderLoadAddUp(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		port := freePort(t)
		start := func() *process {
			return o.startService("-port", portText(port), "-path", "/", "-text", "hello", "-delay", "5ms", "-quiet")
		}
		running := start()
		w := o.watch()
		load := startLoad(port, "/", "hello")
		for round := 0; round < 3; round++ {
			load.awaitMore(t)
			o.killService(running)
			time.Sleep(gap / 5)
			running = start()
		}
		load.awaitMore(t)
		load.stop(t)
		w.end(t)
		count := float64(load.count)
		request := len("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		eventually(t, "all is counted", func() bool { return o.scrape().totals()["requests 2xx"] >= count })
		figures := o.scrape().routes()[on(port, "/")]
		wanted := tally{
			"requests 2xx": count, "request_bytes": count * float64(request), "response_bytes": anything,
			"request_duration_seconds_count": count, "first_byte_seconds_count": count, "route_sessions": 1,
			"repeated ended": anything, "repeated reset": anything, "repeated taken_back": anything, "held": figures["held"],
			"released": figures["held"], "hold_duration_seconds_count": figures["held"],
		}
		if difference := figures.difference(wanted); difference != "" {
			t.Error(difference)
		}
		if figures["repeated ended"] == 0 || figures["held"] == 0 {
			t.Errorf("nothing was lost, or nobody waited: %v", figures)
		}
	})
}

// gentleLoad is load that leaves the processors to others, too.
func gentleLoad(port int, path, text string) *load {
	l := &load{stopping: make(chan struct{})}
	for _, keeps := range []bool{true, false} {
		l.run(func(keep *keptClient) error {
			sleepless(l.stopping, time.Millisecond)
			return keep.ask(port, path, []string{text})
		}, keeps)
	}
	return l
}

func TestMetricsOfABusyProxyAreCleanForPromtool(t *testing.T) {
	eachObserved(t, []string{"--start-grace", "60s"}, func(t *testing.T, o *observed) {
		port, secured, plain := freePort(t), freePort(t), freePort(t)
		o.serve(onPath(port, "/"), text("hello"))
		o.serve(onHost(port, "a.example", "/a"), text("hello"))
		o.serve(issue("p256", "a.example", "*.b.example").with(onPath(secured, "/")), text("hello"))
		o.serveStreams(raw(plain), echoStream)
		o.endSession(o.serve(onPath(port, "/held"), text("held")))
		waiting := dial(t, port)
		waiting.send("GET /held" + tail + "\r\n")
		dial(t, plain).exchange([]byte("hello"))
		if _, err := trySecure(secured, unnamed()); err != nil {
			t.Fatal(err)
		}
		load := gentleLoad(port, "/", "hello")
		for round := 0; round < 3; round++ {
			load.awaitMore(t)
			metrics := o.fetch("/metrics")
			expectClean(t, metrics)
			if _, err := readExposition(metrics); err != nil {
				t.Error(err)
			}
		}
		// The other format is for whoever asks for it.
		open := o.fetch("/metrics", "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
		if !strings.HasSuffix(open, "\n# EOF\n") || !strings.Contains(open, "# TYPE socketmaster_proxy_requests counter\n") {
			t.Errorf("OpenMetrics are %s", shorten(open))
		}
		load.stop(t)
	})
}

// Whatever services call themselves, metrics stay metrics, and JSON stays JSON, with every route and its own sessions.
func TestMetricsOfStrangeNamesAreValid(t *testing.T) {
	t.Parallel()
	o := observe(t, plain.with(nil)...)
	port := freePort(t)
	long := strings.Repeat("\"\\\n", 2720)
	paths := []string{
		"/", `/"`, `/\`, `/\"`, `/\n`, "/a\nb", "/a\r\nb", "/\x00", "/\x7f", "/\x1b[31m", `/{path="x"} 1`, "/# HELP x y",
		"/</script><b>", "/'", "/%22", "/ ", "/a b", "/\u00e9", "/e\u0301", "/\u202eabc", "/\u2028", "/\ufeff", "/\ufffd",
		"/\U0001f600", "/\U0010ffff", "/~2", "/\u2026", "/" + strings.Repeat("x", 8191), "/" + strings.Repeat("x", 8190) + "y",
		"/" + long + "1", "/" + long + "2", "/" + strings.Repeat("\u00e9", 4095), "/" + strings.Repeat("\x01", 8191),
	}
	names := map[string]string{}
	for index, path := range paths {
		definition := onPath(port, path)
		name := path
		if len(name) > 4000 {
			name = name[:4000]
		}
		definition.Attributes = map[string]string{"name": strings.ToValidUTF8(name, "")}
		o.serve(definition, text(fmt.Sprint(index)))
		names[path] = fmt.Sprint(index)
	}
	// What is no text is not registered.
	for _, definition := range []service.Definition{
		onPath(port, "/\xff"), onPath(port, "/\xc3"), onPath(port, "/\xed\xa0\x80"), onHost(port, "\xff.example", "/"),
		onHost(port, "a\".example", "/"), onHost(port, "a\\n.example", "/"), onHost(port, "a\n.example", "/"),
	} {
		if _, err := service.Listen(o.control, definition); err == nil {
			t.Errorf("%+v is registered", definition.HTTP)
		}
	}
	w := dial(t, port)
	for _, asked := range []struct{ target, path string }{
		{"/%22", `/"`}, {"/%5C", `/\`}, {"/%0a", "/"}, {"/a%0Ab", "/a\nb"}, {"/%C3%A9", "/\u00e9"}, {"/e%CC%81", "/e\u0301"},
	} {
		w.send("GET " + asked.target + tail + "\r\n")
		w.expectReply("GET", 200, names[asked.path])
	}

	metrics := o.fetch("/metrics")
	expectClean(t, metrics)
	read, err := readExposition(metrics)
	if err != nil {
		t.Fatal(err)
	}
	if routes := read.routes(); len(routes) != len(paths) {
		t.Errorf("the metrics have %d routes of %d", len(routes), len(paths))
	}
	for name, figures := range read.routes() {
		if figures["route_sessions"] != 1 {
			t.Errorf("%s has %v sessions", name, figures["route_sessions"])
		}
	}
	if sum := read.sum("socketmaster_requests_total"); sum != 6 {
		t.Errorf("%v requests, wanted 6", sum)
	}

	o.expectNamed(o.status(), paths)
	// An event is one line of JSON.
	stream := o.follow()
	o.expectNamed(stream.next(t), paths)
}

// expectNamed checks that the status has the routes, and that each session is told with its own one.
func (o *observed) expectNamed(s *status, paths []string) {
	t := o.t
	t.Helper()
	ids := map[string]string{}
	wanted := map[string]bool{}
	for _, path := range paths {
		wanted[path] = true
	}
	for _, route := range s.Routes {
		if other, isThere := ids[route.ID]; isThere {
			t.Errorf("%s and %s have the id %s", shorten(other), shorten(route.Path), shorten(route.ID))
		}
		ids[route.ID] = route.Path
		if !wanted[route.Path] {
			t.Errorf("there is a route %s", shorten(route.Path))
		}
		delete(wanted, route.Path)
	}
	for path := range wanted {
		t.Errorf("the route %s is not there", shorten(path))
	}
	if len(s.Session) != len(paths) {
		t.Errorf("%d sessions, wanted %d", len(s.Session), len(paths))
	}
	served := map[string]int{}
	for _, session := range s.Session {
		served[session.Route]++
	}
	for id, path := range ids {
		if served[id] != 1 {
			t.Errorf("%d sessions are said to be those of %s", served[id], shorten(path))
		}
	}
}

// Three hundred routes are a page of megabytes. Who takes it slowly, or leaves in the middle of it, is nobody's concern.
// It is not beside other tests: who takes nothing for half a minute is given up.
func TestMetricsOfManyRoutesDisturbNobody(t *testing.T) {
	// The sessions are nobody who would answer pings.
	o := observe(t, plain.with([]string{"--ping-interval", "1h"})...)
	port, figuresPort := freePort(t), portOf(o.figuresAt)
	const count = 300
	for _, session := range sessionsOf(o.proxy, port, count) {
		if session != nil {
			defer session.Close()
		}
	}
	o.serve(onPath(port, "/busy"), text("hello"))
	load := gentleLoad(port, "/busy", "hello")
	ask := "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
	slow := map[*wire]*bytes.Buffer{}
	for len(slow) < 2 {
		w := dialNarrow(t, figuresPort)
		w.send(ask)
		slow[w] = &bytes.Buffer{}
	}
	for round := 0; round < 2; round++ {
		leaving := dialNarrow(t, figuresPort)
		leaving.send(ask)
		if _, err := io.ReadFull(leaving.reader, make([]byte, 5000)); err != nil {
			t.Fatal(err)
		}
		if round%2 == 0 {
			leaving.reset()
		} else {
			leaving.Close()
		}
		if routes := o.scrape().routes(); len(routes) != count+1 {
			t.Errorf("%d routes, wanted %d", len(routes), count+1)
		}
		load.awaitMore(t)
		for w, taken := range slow {
			// Who took nothing at all would be given up in a while.
			w.extend()
			if _, err := io.CopyN(taken, w.reader, 200_000); err != nil {
				t.Fatal(err)
			}
		}
	}
	load.stop(t)
	// Who is slow gets all of it, as it was.
	for w, taken := range slow {
		w.extend()
		w.reader = bufio.NewReader(io.MultiReader(taken, w.reader))
		r := w.reply("GET")
		read, err := readExposition(r.body)
		if err != nil || r.StatusCode != http.StatusOK || len(read.routes()) != count+1 {
			t.Errorf("%d %s, %v", r.StatusCode, shorten(r.body), err)
		}
	}
}
