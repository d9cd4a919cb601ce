package endtoend

import (
	"bufio"
	"crypto/tls"
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

// What the proxy counts is compared with what clients have seen: each figure of each route, and every sum, exactly.

// book is what clients have seen, by the routes that they have asked.
type book struct {
	lock   sync.Mutex
	routes map[string]tally
}

func newBook() *book { return &book{routes: map[string]tally{}} }

// note adds to a route's figures. With none it is there all the same.
func (b *book) note(route string, more tally) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.routes[route] = b.routes[route].add(more)
}

// meter is a client that counts the bytes that it writes and reads, those within TLS if it speaks that.
type meter struct {
	net.Conn
	reader *bufio.Reader
	wrote  int
	read   int // what the reader has got
	noted  int // of what was read
}

func measured(connection net.Conn) *meter {
	m := &meter{Conn: connection}
	m.reader = bufio.NewReader(readFunction(func(bytes []byte) (int, error) {
		m.SetReadDeadline(time.Now().Add(patience))
		count, err := connection.Read(bytes)
		m.read += count
		return count, err
	}))
	return m
}

type readFunction func([]byte) (int, error)

func (f readFunction) Read(bytes []byte) (int, error) { return f(bytes) }

func dialMeter(t *testing.T, port int) *meter { return measured(dial(t, port).TCPConn) }

func dialSecureMeter(t *testing.T, port int) *meter {
	return measured(dialSecure(t, port, secure("a.example")))
}

func (m *meter) say(text string) error {
	m.SetWriteDeadline(time.Now().Add(patience))
	_, err := io.WriteString(m.Conn, text)
	m.wrote += len(text)
	return err
}

// gave is what was written since it was asked for.
func (m *meter) gave() tally {
	count := m.wrote
	m.wrote = 0
	return tally{"request_bytes": float64(count)}
}

// took is what was read since it was asked for, and not only has come.
func (m *meter) took() tally {
	count := m.read - m.reader.Buffered() - m.noted
	m.noted += count
	return tally{"response_bytes": float64(count)}
}

// hear reads one reply.
func (m *meter) hear(method string) (status int, body string, err error) {
	response, err := http.ReadResponse(m.reader, &http.Request{Method: method})
	if err != nil {
		return 0, "", err
	}
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

// answered is a request that has got a reply of its service.
func answered(status int) tally {
	return tally{className(status): 1, "request_duration_seconds_count": 1, "first_byte_seconds_count": 1}
}

// answeredByUs is one that has got a reply of the proxy, instead of its service's.
func answeredByUs(status int) tally {
	return tally{className(status): 1, "request_duration_seconds_count": 1}
}

func className(status int) string { return fmt.Sprintf("requests %dxx", status/100) }

// exchange sends a request to a route and reads its reply.
func (b *book) exchange(m *meter, route, request string, wanted int) error {
	if err := m.say(request); err != nil {
		return err
	}
	return b.finish(m, route, strings.Fields(request)[0], wanted)
}

// finish reads the reply to what was said.
func (b *book) finish(m *meter, route, method string, wanted int) error {
	status, body, err := m.hear(method)
	if err != nil || status != wanted {
		return fmt.Errorf("%s: %d %s, %v; wanted %d", route, status, shorten(body), err, wanted)
	}
	b.note(route, answered(status).add(m.gave()).add(m.took()))
	return nil
}

const tail = " HTTP/1.1\r\nHost: x\r\n"

// answering is a service for requests of all kinds, which says what its paths ask for.
func answering() http.Handler {
	large := pattern(1, 1_000_000)
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		io.Copy(io.Discard, request.Body)
		words := strings.Split(request.URL.Path, "/")
		switch words[1] {
		case "code":
			status := 0
			fmt.Sscan(words[2], &status)
			writer.WriteHeader(status)
		case "chunks":
			writer.Header().Set("Trailer", "X-End")
			for index := 1; index < 10; index++ {
				writer.Write(large[:index*index*100])
				writer.(http.Flusher).Flush()
			}
			writer.Header().Set("X-End", "9")
		case "down":
			writer.Header().Set("Content-Length", fmt.Sprint(5*len(large)))
			for index := 0; index < 5; index++ {
				writer.Write(large)
			}
		default:
			writer.Write(large[:len(request.URL.Path)*7])
		}
	})
}

func TestMetricsSayWhatClientsWroteAndRead(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		port, secured := freePort(t), freePort(t)
		b := newBook()
		certificate := issue("p256", "a.example")
		paths := []string{"/keep", "/pipe", "/pipe/two", "/code", "/chunks", "/down", "/up", "/wait", "/old", "/lines"}
		for _, path := range paths {
			o.serve(onPath(port, path), answering())
			o.serve(certificate.with(onPath(secured, path)), answering())
		}
		o.serveStreams(onPath(port, "/ends"), script("HTTP/1.0 200 OK\r\n\r\n"+strings.Repeat("end", 100_000)))
		o.serveStreams(onPath(port, "/extended"), script("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+
			"5;a=b\r\nhello\r\n3 ; c=\"d;\"\r\nall\r\n0;e\r\nX-A: b\r\n\r\n"))
		connect := func(at int) *meter {
			if at == secured {
				return dialSecureMeter(t, at)
			}
			return dialMeter(t, at)
		}
		var works []func() error
		for _, at := range []int{port, secured} {
			at := at
			// with is a client's work, with a connection of its own.
			with := func(work func(m *meter) error) {
				m := connect(at)
				works = append(works, func() error { return work(m) })
			}
			for client := 0; client < 3; client++ {
				with(func(m *meter) (err error) {
					for index := 0; index < 40 && err == nil; index++ {
						path := "/keep" + strings.Repeat("x", index*index)
						err = b.exchange(m, on(at, "/keep"), "GET "+path+tail+"\r\n", 200)
					}
					return err
				})
			}
			with(func(m *meter) (err error) {
				m.say(strings.Repeat("GET /pipe/a"+tail+"\r\nHEAD /pipe/two"+tail+"\r\n", 20))
				each := m.gave()["request_bytes"] / 20
				for index := 0; index < 20 && err == nil; index++ {
					m.wrote = len("GET /pipe/a" + tail + "\r\n")
					if err = b.finish(m, on(at, "/pipe"), "GET", 200); err == nil {
						m.wrote = int(each) - len("GET /pipe/a"+tail+"\r\n")
						err = b.finish(m, on(at, "/pipe/two"), "HEAD", 200)
					}
				}
				return err
			})
			with(func(m *meter) (err error) {
				for _, status := range []int{200, 204, 304, 404, 500, 201, 302, 403, 503, 599, 205} {
					if err == nil {
						err = b.exchange(m, on(at, "/code"), fmt.Sprint("GET /code/", status, tail, "\r\n"), status)
					}
				}
				return err
			})
			with(func(m *meter) (err error) {
				head := "POST /chunks" + tail + "Transfer-Encoding: chunked\r\n\r\n"
				for _, body := range []string{
					"0\r\n\r\n", chunked(pattern(2, 300_000), 7_000), chunked(pattern(3, 100), 1, "X-A: b", "X-B: c"),
					"5;a=b\r\nhello\r\n0005 ; c\r\nagain\r\n000\r\n\r\n",
					// What only a head may carry is taken out on the way.
					chunked(pattern(4, 100), 40, "Content-Length: 9", "X-A: b", "Host: y"),
				} {
					if err == nil {
						err = b.exchange(m, on(at, "/chunks"), head+body, 200)
					}
				}
				return err
			})
			with(func(m *meter) error { return b.exchange(m, on(at, "/down"), "GET /down"+tail+"\r\n", 200) })
			with(func(m *meter) (err error) {
				for _, method := range []string{"POST", "PUT"} {
					if err == nil {
						head := method + " /up" + tail + "Content-Length: 3000000\r\n\r\n"
						err = b.exchange(m, on(at, "/up"), head+string(pattern(5, 3_000_000)), 200)
					}
				}
				return err
			})
			with(func(m *meter) error {
				m.say("POST /wait" + tail + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
				// An interim reply is no reply of its own; its bytes count.
				if status, _, err := m.hear("POST"); status != 100 || err != nil {
					return fmt.Errorf("%d, %v", status, err)
				}
				m.say("hello")
				return b.finish(m, on(at, "/wait"), "POST", 200)
			})
			with(func(m *meter) error {
				// Its chunks are taken off on the way.
				return b.exchange(m, on(at, "/old"), "GET /old HTTP/1.0\r\nHost: x\r\n\r\n", 200)
			})
		}
		for path, wanted := range map[string]int{"/ends": 200, "/extended": 200} {
			path, wanted, m := path, wanted, dialMeter(t, port)
			works = append(works, func() error {
				return b.exchange(m, on(port, path), "GET "+path+tail+"\r\n", wanted)
			})
		}
		together(t, works...)
		for _, at := range []int{port, secured} {
			// Between two requests: they belong to none.
			m := connect(at)
			m.say("\r\n\r\n")
			b.exchange(m, on(at, "/lines"), "GET /lines"+tail+"\r\n", 200)
		}
		o.expect(b.routes, nil)
		if e := o.scrape(); e.sum("socketmaster_spliced_bytes_total") == 0 {
			t.Error("nothing was spliced")
		}
	})
}

// Who finds no route has no route's figures: what is refused is told by its listener, and in the sums.
func TestMetricsOfRequestsWithoutARouteAreInTheSumsAlone(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		port, secured := freePort(t), freePort(t)
		o.serve(onHost(port, "x", "/known"), answering())
		o.serve(issue("p256", "a.example").with(onPath(secured, "/")), answering())
		known := place(address(port), "x", "/known")
		b, rejected := newBook(), tally{}
		var works []func() error
		for _, row := range []struct {
			request string
			status  int
			why     string
		}{
			{"GET /b" + tail + "\r\n", 404, "no_route"},
			{"GET /known HTTP/1.1\r\nHost: y\r\n\r\n", 404, "no_route"},
			{"POST /b" + tail + "Content-Length: 9\r\n\r\nsome body", 404, "no_route"},
			{"HEAD /b" + tail + "\r\n", 404, "no_route"},
			{"CONNECT far.example:1 HTTP/1.1\r\nHost: far.example:1\r\n\r\n", 404, "no_route"},
			{"G(T /known" + tail + "\r\n", 400, "bad_first_line"},
			{"\x16\x03\x01\x02\x00\x01", 400, "tls_to_plain"},
			{"GET /known" + tail + "Bad Name: x\r\n\r\n", 400, "bad_field"},
			{"GET /known HTTP/1.1\r\n\r\n", 400, "bad_host"},
			{"POST /known" + tail + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad_length"},
			{"GET /known/%zz" + tail + "\r\n", 400, "bad_path"},
			{"TRACE /known" + tail + "Max-Forwards: 0\r\n\r\n", 405, "trace"},
			{"GET /known" + strings.Repeat("a", 20000) + tail + "\r\n", 414, "long_target"},
			{"GET /known" + tail + "X: " + strings.Repeat("x", 70000) + "\r\n\r\n", 431, "large_head"},
			{"GET /known" + tail + strings.Repeat("X: x\r\n", 200) + "\r\n", 431, "many_fields"},
			{strings.Repeat("A", 300) + " /known" + tail + "\r\n", 501, "method"},
			{"POST /known" + tail + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "coding"},
			{"GET /known HTTP/3.0\r\nHost: x\r\n\r\n", 505, "version"},
			{"OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n", 200, ""},
		} {
			for _, behind := range []string{"nothing", "a reply", "a request"} {
				row, behind, m := row, behind, dialMeter(t, port)
				if row.why != "" {
					rejected[row.why]++
				}
				works = append(works, func() error {
					// Behind one that is served, it is for nobody all the same.
					good := "GET /known" + tail + "\r\n"
					switch behind {
					case "a reply":
						if err := b.exchange(m, known, good, 200); err != nil {
							return err
						}
						m.say(row.request)
					case "a request":
						m.say(good + row.request)
						m.wrote = len(good)
						if err := b.finish(m, known, "GET", 200); err != nil {
							return err
						}
					default:
						m.say(row.request)
					}
					status, body, err := m.hear(strings.Fields(row.request)[0])
					if err != nil || status != row.status {
						return fmt.Errorf("%s is answered with %d %s, %v", shorten(row.request), status, body, err)
					}
					b.note("none", tally{className(status): 1}.add(m.took()))
					m.gave()
					if row.status == 404 && row.request[0] == 'G' || row.why == "trace" || row.why == "" {
						return b.exchange(m, known, good, 200)
					}
					return nil
				})
			}
		}
		together(t, works...)
		m := dialMeter(t, secured)
		m.say("GET /" + tail + "\r\n")
		if status, _, err := m.hear("GET"); status != 400 || err != nil {
			t.Fatal(status, err)
		}
		b.note("none", tally{"requests 4xx": 1}.add(m.took()))
		b.note(on(secured, "/"), nil)
		unrouted := b.routes["none"]
		delete(b.routes, "none")
		o.expect(b.routes, unrouted)
		if difference := o.scrape().rejected(port).difference(rejected); difference != "" {
			t.Error(difference)
		}
		if difference := o.scrape().rejected(secured).difference(tally{"plain_to_tls": 1}); difference != "" {
			t.Error(difference)
		}
	})
}

// echo sends bytes through a relay and reads as many back.
func (m *meter) echo(bytes []byte) error {
	failed := make(chan error, 1)
	go func() {
		m.SetWriteDeadline(time.Now().Add(patience))
		_, err := m.Conn.Write(bytes)
		failed <- err
	}()
	got := make([]byte, len(bytes))
	count, err := io.ReadFull(m.reader, got)
	m.wrote += len(bytes)
	if diff := difference(got[:count], bytes); diff != "" {
		return fmt.Errorf("the echo: %s, %v", diff, err)
	}
	return <-failed
}

// end waits for the end of a relay, or of a reply, with nothing before it.
func (m *meter) end() error {
	rest, err := io.ReadAll(m.reader)
	if len(rest) > 0 {
		err = fmt.Errorf("got %s; wanted the end", shorten(string(rest)))
	}
	return err
}

func TestMetricsCountRelaysThatAreOpenAndThatWere(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		port, shared, plain, told := freePort(t), freePort(t), freePort(t), freePort(t)
		secured, short := freePort(t), freePort(t)
		certificate := issue("p256", "a.example")
		serveHTTP(service.Waking(o.listen(onPath(port, "/socket"))), upgrading(t))
		o.serveStreams(onHost(port, "far.example", "/"), func(stream net.Conn) {
			reader := bufio.NewReader(stream)
			if _, err := readHead(reader); err == nil {
				io.WriteString(stream, "HTTP/1.1 200 Connected\r\n\r\n")
				io.Copy(stream, reader)
			}
		})
		o.serveStreams(raw(plain), echoStream)
		definition := withAddress(told)
		definition.Address = "127.0.0.1"
		o.serveStreams(definition, func(stream net.Conn) {
			// The header is the proxy's: its client has not written it.
			if _, err := proxyHeader(stream); err == nil {
				echoStream(stream)
			}
		})
		o.serveStreams(certificate.with(raw(secured)), echoStream)
		dying := o.serveStreams(raw(short), echoStream)
		o.serve(onPath(shared, "/"), text("HTTP"))
		o.serveStreams(raw(shared), echoStream)

		b := newBook()
		b.note(on(shared, "/"), nil)
		var relays, ending []*meter
		var works []func() error
		open := func(m *meter, route string, size int, begin func() error) {
			relays = append(relays, m)
			works = append(works, func() error {
				if err := begin(); err != nil {
					return err
				}
				b.note(route, tally{"relays": 1, "route_connections": 1})
				err := m.echo(pattern(int64(size), size))
				b.note(route, m.gave().add(m.took()))
				return err
			})
		}
		nothing := func() error { return nil }
		for _, size := range []int{1, 1000, 3_000_000} {
			for _, at := range []int{plain, told} {
				open(dialMeter(t, at), place(address(at), "", ""), size, nothing)
			}
			open(dialSecureMeter(t, secured), place(address(secured), "", ""), size, nothing)
			m := dialMeter(t, shared)
			// It is not known to be raw until it says something.
			open(m, place(address(shared), "", ""), size, func() error { return m.echo([]byte("\x00")) })
			for request, route := range map[string]string{
				"GET /socket" + upgrade: on(port, "/socket"),
				"CONNECT far.example:1 HTTP/1.1\r\nHost: far.example:1\r\n\r\n": place(address(port), "far.example", "/"),
			} {
				m, request, route := dialMeter(t, port), request, route
				open(m, route, size, func() error {
					m.say(request)
					response, err := http.ReadResponse(m.reader, &http.Request{Method: request[:strings.Index(request, " ")]})
					if err == nil {
						b.note(route, tally{className(response.StatusCode): 1, "first_byte_seconds_count": 1})
					}
					return err
				})
			}
		}
		m := dialMeter(t, short)
		ending = append(ending, m)
		open(m, place(address(short), "", ""), 10, nothing)
		together(t, works...)
		o.expect(b.routes, nil)

		// One client resets, one loses its service, and the others end well.
		relays[0].Conn.(*net.TCPConn).SetLinger(0)
		relays[0].Close()
		b.note(place(address(plain), "", ""), tally{"client_aborts": 1})
		o.endSession(dying)
		b.note(place(address(short), "", ""), tally{"failed cut": 1})
		if err := ending[0].end(); err == nil {
			t.Error("a relay that was cut has ended well")
		}
		for _, m := range relays[1 : len(relays)-1] {
			m.Conn.(interface{ CloseWrite() error }).CloseWrite()
			if err := m.end(); err != nil {
				t.Error(err)
			}
		}
		for _, figures := range b.routes {
			delete(figures, "route_connections")
		}
		o.expect(b.routes, nil)
	})
}

// left is a request whose client has left, before its reply or within it.
var left = tally{"requests_abandoned": 1, "client_aborts": 1}

func TestMetricsCountClientsThatLeave(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		port := freePort(t)
		b := newBook()
		arrived, proceed := make(chan string, 100), make(chan struct{})
		o.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			wanted := make([]byte, 1000)
			switch request.URL.Path {
			case "/within":
				writer.Header().Set("Content-Length", "5000")
				writer.Write(wanted)
				writer.(http.Flusher).Flush()
			case "/body":
				io.ReadFull(request.Body, wanted)
			}
			arrived <- request.URL.Path
			<-proceed
		}))
		for _, path := range []string{"/before", "/within", "/body"} {
			for round := 0; round < 3; round++ {
				m := dialMeter(t, port)
				request := "GET " + path + tail + "\r\n"
				if path == "/body" {
					request = "POST " + path + tail + "Content-Length: 5000\r\n\r\n" + string(pattern(1, 1000))
				}
				m.say(request)
				await(t, "the request", arrived)
				if path == "/within" {
					if head, err := readHead(m.reader); err != nil || !strings.HasPrefix(head, "HTTP/1.1 200") {
						t.Fatalf("%q, %v", head, err)
					}
					if _, err := io.ReadFull(m.reader, make([]byte, 1000)); err != nil {
						t.Fatal(err)
					}
					b.note(on(port, "/"), tally{"first_byte_seconds_count": 1})
				}
				m.Conn.(*net.TCPConn).SetLinger(0)
				m.Close()
				b.note(on(port, "/"), left.add(m.gave()).add(m.took()))
			}
		}
		// Who only says no more is served.
		finishing := dialMeter(t, port)
		finishing.say("GET /finishing" + tail + "\r\n")
		finishing.Conn.(*net.TCPConn).CloseWrite()
		await(t, "the request", arrived)
		close(proceed)
		if err := b.finish(finishing, on(port, "/"), "GET", 200); err != nil {
			t.Fatal(err)
		}
		// Between two requests it leaves no route.
		idle, reset := dialMeter(t, port), dialMeter(t, port)
		for _, m := range []*meter{idle, reset} {
			if err := b.exchange(m, on(port, "/"), "GET /"+tail+"\r\n", 200); err != nil {
				t.Fatal(err)
			}
		}
		idle.Close()
		reset.Conn.(*net.TCPConn).SetLinger(0)
		reset.Close()
		o.expect(b.routes, tally{"client_aborts": 1})
	})
}

// An early reply ends its request, whatever of that is still to come: it is passed on no more.
func TestMetricsOfEarlyRepliesCountARequestOnce(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		port, b := freePort(t), newBook()
		o.serveStreams(onPath(port, "/closing"), script(counted("413 Too Large", "no", "Connection: close")))
		o.serveStreams(onPath(port, "/keeping"), script(counted("403 Forbidden", "no")))
		var works []func() error
		for path, status := range map[string]int{"/closing": 413, "/keeping": 403} {
			path, status := path, status
			for _, size := range []int{100, 100_000, 2_000_000} {
				size, m := size, dialMeter(t, port)
				works = append(works, func() error {
					sent := make(chan struct{})
					go func() {
						defer close(sent)
						fmt.Fprintf(m.Conn, "POST %s%sContent-Length: %d\r\n\r\n", path, tail, size)
						m.Conn.Write(make([]byte, size))
					}()
					err := b.finish(m, on(port, path), "POST", status)
					m.Close()
					<-sent
					return err
				})
			}
		}
		together(t, works...)
		for path := range b.routes {
			b.routes[path]["request_bytes"] = anything
		}
		// Who leaves with a rest of a body to be skipped may have left in the middle of something.
		o.expect(b.routes, tally{"client_aborts": anything})
	})
}

// Buckets and sums are of the times that clients have waited, at least.
func TestMetricsTimesAreThoseOfRequests(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		port, b := freePort(t), newBook()
		const pause, count = 600 * time.Millisecond, 4
		slow := http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
			time.Sleep(pause)
			io.WriteString(writer, "done")
		})
		first := o.serve(onPath(port, "/"), slow)
		ask := func(more tally) (ended chan struct{}) {
			var works []func() error
			for index := 0; index < count; index++ {
				m := dialMeter(t, port)
				works = append(works, func() error {
					defer b.note(on(port, "/"), more)
					return b.exchange(m, on(port, "/"), "GET /"+tail+"\r\n", 200)
				})
			}
			ended = make(chan struct{})
			go func() {
				together(t, works...)
				close(ended)
			}()
			return ended
		}
		await(t, "all replies", ask(nil))
		o.endSession(first)
		ended := ask(tally{"held": 1, "released": 1, "hold_duration_seconds_count": 1})
		eventually(t, "all wait", func() bool { return o.scrape().sum("socketmaster_waiting") == count })
		time.Sleep(pause)
		o.serve(onPath(port, "/"), slow)
		await(t, "all replies", ended)
		o.expect(b.routes, nil)
		e := o.scrape()
		for name, least := range map[string]float64{
			"request_duration_seconds": 3 * count * pause.Seconds(), "first_byte_seconds": 2 * count * pause.Seconds(),
			"hold_duration_seconds": count * pause.Seconds(),
		} {
			if sum := e.sum("socketmaster_" + name + "_sum"); sum < least {
				t.Errorf("%s is %v together, at least %v were waited", name, sum, least)
			}
			for _, s := range e.samples {
				if s.name == "socketmaster_"+name+"_bucket" && s.labels["le"] == "0.5" && s.value > 0 {
					t.Errorf("%v of %s are said to have been short", s.value, name)
				}
			}
		}
	})
}

func TestMetricsCountSessionsAndConnections(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		port, secured := freePort(t), freePort(t)
		staying := []*service.Listener{o.serve(onPath(port, "/"), text("a")), o.serve(onPath(port, "/"), text("a"))}
		o.serve(issue("p256", "a.example").with(onPath(secured, "/")), text("a"))
		o.endSession(o.serve(onPath(port, "/gone"), text("a")))
		peer := o.dialPeer(onPath(port, "/broken"))
		from := o.stderr.count()
		peer.Send(service.Frame{Version: 9})
		o.awaitLog(sessionLost, from)
		for _, definition := range []service.Definition{{Address: "x", Port: port}, onPath(portOf(o.control), "/")} {
			if _, err := service.Listen(o.control, definition); err == nil {
				t.Error("it is registered")
			}
		}
		for index := 0; index < 5; index++ {
			expectServed(t, port, "/", "a")
		}
		kept := dial(t, port)
		kept.get("/", "a")
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config := secure("a.example")
			config.MaxVersion = version
			expectAnswer(t, dialSecure(t, secured, config), "a.example", "/", "a")
		}
		if _, err := trySecure(secured, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
			t.Error("an old version is spoken")
		}
		var said string
		for deadline := time.Now().Add(patience); ; {
			e := o.scrape()
			got := tally{}
			for _, name := range []string{"connections", "connections_accepted_total", "sessions", "streams",
				"tls_handshakes_total", "tls_handshakes_open", "tls_handshakes_failed_total", "ready", "draining"} {
				got[name] = e.sum("socketmaster_" + name)
			}
			for _, s := range e.samples {
				switch s.name {
				case "socketmaster_registrations_total", "socketmaster_sessions_lost_total":
					if s.value > 0 {
						got[s.labels["result"]+s.labels["why"]] = s.value
					}
				}
			}
			said = got.difference(tally{
				"connections": 3, "connections_accepted_total": 9, "sessions": float64(len(staying) + 1),
				"tls_handshakes_total": 2, "tls_handshakes_failed_total": 1, "ready": 1,
				"ok": 5, "malformed": 1, "port": 1, "closed": 1, "breach": 1,
			})
			if said == "" || time.Now().After(deadline) {
				break
			}
		}
		if said != "" {
			t.Error(said)
		}
	})
}
