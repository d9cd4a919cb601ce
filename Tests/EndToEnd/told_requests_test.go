package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"math/rand"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// shortTimes let what waits for a time come to pass soon.
var shortTimes = []string{
	"--head-timeout", "2s", "--stall-timeout", "2s", "--reply-timeout", "3s", "--hold", "4s",
}

// requesting is a request to a service at /a that gets a reply of the proxy's own.
func requesting(request string, status int) func(*testing.T, *proxy, int) {
	return func(t *testing.T, p *proxy, port int) {
		p.serve(onPath(port, "/a"), text("a"))
		w := dial(t, port)
		w.send(request)
		w.expectReply("GET", status, "*")
	}
}

// meeting is a client that meets a service of its own kind. The status is that of the reply, or 0.
func meeting(serve func(net.Conn), request string, status int) func(*testing.T, *proxy, int) {
	return func(t *testing.T, p *proxy, port int) {
		p.serveStreams(onPath(port, "/a"), serve)
		w := dial(t, port)
		go io.WriteString(w, request)
		if status > 0 {
			w.expectReply("POST", status, "*")
		}
	}
}

// saying is a service that reads a head, says something, and holds its stream until the test is over.
func saying(t *testing.T, words string) func(net.Conn) {
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	return func(stream net.Conn) {
		if _, err := readHead(bufio.NewReaderSize(stream, 16)); err == nil {
			io.WriteString(stream, words)
			<-over
		}
	}
}

// leaving is a client of a route whose service has gone, beside another service that stays.
func leaving(definition func(port int) turnedAwayRoute, request string, isHTTP bool) func(*testing.T, *proxy, int) {
	return func(t *testing.T, p *proxy, port int) {
		p.serve(onPath(port, "/stays"), text("stays"))
		from := p.stderr.count()
		definition(port)(p)
		p.awaitLog(fmt.Sprintf(`held: .*:%d for `, port), from)
		w := dial(t, port)
		w.send(request)
		if isHTTP {
			w.expectReply("GET", 503, "*")
		} else {
			w.expectEnd()
		}
	}
}

// turnedAwayRoute registers a route and leaves it.
type turnedAwayRoute func(p *proxy)

func webRoute(port int) turnedAwayRoute {
	return func(p *proxy) { p.serve(onPath(port, "/a"), text("a")).Close() }
}

func rawRoute(port int) turnedAwayRoute {
	return func(p *proxy) { p.serveStreams(raw(port), echoStream).Close() }
}

func TestEachRefusedRequestIsToldOf(t *testing.T) {
	const tail = " HTTP/1.1\r\nHost: x\r\n"
	const chunkedPost = "POST /a" + tail + "Transfer-Encoding: chunked\r\n\r\n"
	const post = "POST /a" + tail + "Content-Length: 3000000\r\n\r\n"
	upload := post + strings.Repeat("x", 3000000)
	begun := "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun"
	p := onceWaiting(t, shortTimes...)
	expectTold(t, p, []turnedAway{
		{"first line", requesting("G(T /a"+tail+"\r\n", 400), `request got 400, its first line`, "400 first line"},
		{"TLS", requesting("\x16\x03\x01\x02\x00\x01", 400), `request got 400, it was a TLS handshake`, "400 TLS"},
		{"field", requesting("GET /a"+tail+"Bad Name: x\r\n\r\n", 400), `request got 400, a line of its head`, "400 field"},
		{"host", requesting("GET /a HTTP/1.1\r\n\r\n", 400), `request got 400, its Host`, "400 host"},
		{"length", requesting("POST /a"+tail+"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
			`request got 400, where it ends`, "400 length"},
		{"path", requesting("GET /a/%zz"+tail+"\r\n", 400), `request got 400, its path`, "400 path"},
		{"chunks", meeting(saying(t, ""), chunkedPost+"zz\r\n", 400), `request got 400, the chunks`, "400 chunks"},
		{"route", requesting("GET /b"+tail+"\r\n", 404), `request got 404, no route for its host and path`, "404 no route"},
		{"TRACE", requesting("TRACE /a"+tail+"Max-Forwards: 0\r\n\r\n", 405), `request got 405, it was a TRACE`, "405 TRACE"},
		{"late head", requesting("GET /a HT", 408), `request got 408, its head took longer than --head-timeout 2s`, "408 head"},
		{"late body", meeting(saying(t, ""), "POST /a"+tail+"Content-Length: 9\r\n\r\nabc", 408),
			`request got 408, its body stood still for --stall-timeout 2s`, "408 body"},
		{"target", requesting("GET /a"+strings.Repeat("a", 20000)+tail+"\r\n", 414),
			`request got 414, its target was longer than 16.0 KiB`, "414 target"},
		{"large head", requesting("GET /a"+tail+"X: "+strings.Repeat("x", 70000)+"\r\n\r\n", 431),
			`request got 431, its head was larger than --head-limit 64k`, "431 size"},
		{"many fields", requesting("GET /a"+tail+strings.Repeat("X: x\r\n", 200)+"\r\n", 431),
			`request got 431, its head had more than 128 fields`, "431 fields"},
		{"method", requesting(strings.Repeat("A", 300)+" /a"+tail+"\r\n", 501), `request got 501, its method`, "501 method"},
		{"coding", requesting("POST /a"+tail+"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
			`request got 501, its transfer coding`, "501 coding"},
		{"version", requesting("GET /a HTTP/3.0\r\nHost: x\r\n\r\n", 505), `request got 505, its version`, "505 version"},
		{"hold", leaving(webRoute, "GET /a"+tail+"\r\n", true),
			`request got 503, no service took it before --hold 4s was over`, "503 hold over"},
		{"raw hold", leaving(rawRoute, "\x00", false),
			`connection was closed, no service took it before --hold 4s was over`, "closed hold over"},
		{"reply", meeting(saying(t, ""), "GET /a"+tail+"\r\n", 504),
			`request got 504, the service did not reply within --reply-timeout 3s`, "504 no reply"},
		{"body", meeting(saying(t, ""), upload, 504),
			`request got 504, the service took nothing of the request's body for --stall-timeout 2s`, "504 body not taken"},
		{"service", meeting(script(""), "POST /a"+tail+"Content-Length: 0\r\n\r\n", 502),
			`request got 502, it may have been executed`, "502 may have run"},
		{"reply cut by its service", meeting(script(begun), "GET /a"+tail+"\r\n", 0),
			`connection was cut, its service ended in the middle of a reply`, "cut"},
		{"reply cut by chunks", func(t *testing.T, p *proxy, port int) {
			p.serveStreams(onPath(port, "/a"), saying(t, begun))
			w := dial(t, port)
			w.send(chunkedPost + "1\r\nx\r\n")
			w.reader.ReadString('n')
			w.send("zz\r\n")
		}, `reply was cut, the chunks of its request`, "cut bad request chunks"},
		{"reply cut by a body", meeting(saying(t, begun), upload, 0),
			`reply was cut, the service took nothing of the request for --stall-timeout 2s`, "cut body not taken"},
		{"stalled client", meeting(floodAfterHead, "GET /a"+tail+"\r\n", 0),
			`connection was reset, its client took nothing for --stall-timeout 2s`, "reset stalled client"},
	})
}

func floodAfterHead(stream net.Conn) {
	if _, err := readHead(bufio.NewReader(stream)); err == nil {
		io.WriteString(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
		flood(stream, 1, 1000000000, 256<<10)
	}
}

// An upload may take longer than the service has for its reply. That time begins with the last byte.
func TestAReplyIsAwaitedFromTheLastByteOfItsRequest(t *testing.T) {
	p := startProxy(t, "--reply-timeout", "2s")
	port := freePort(t)
	p.serveStreams(onPath(port, "/"), func(stream net.Conn) {
		reader := bufio.NewReader(stream)
		if _, err := readHead(reader); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, reader, 8); err == nil {
			io.WriteString(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	w := dial(t, port)
	w.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n")
	for index := 0; index < 8; index++ {
		time.Sleep(500 * time.Millisecond)
		w.send("x")
	}
	w.extend()
	if head, err := readHead(w.reader); err != nil || !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Errorf("it is %q, %v", head, err)
	}
}

// A flood makes one line a second, with the number of all that were turned away.
func TestAFloodOfRefusedRequestsMakesOneLineASecond(t *testing.T) {
	p := once(t)
	port := freePort(t)
	p.serve(onPath(port, "/a"), text("a"))
	const clients, requests = 4, 500
	began := time.Now()
	var group sync.WaitGroup
	for client := 0; client < clients; client++ {
		w := dial(t, port)
		group.Add(1)
		go func() {
			defer group.Done()
			for request := 0; request < requests; request++ {
				io.WriteString(w, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
				if r, err := w.tryReply("GET"); err != nil || r.StatusCode != 404 {
					t.Error(r, err)
					return
				}
			}
		}()
	}
	group.Wait()
	told := func() (sum, lines int) {
		for _, line := range p.stderr.copy() {
			if at := strings.Index(line, "failed on "); at >= 0 {
				var count int
				fmt.Sscanf(line[strings.Index(line[at:], ": ")+at+2:], "%d", &count)
				sum, lines = sum+count, lines+1
			}
		}
		return sum, lines
	}
	eventually(t, "all are told of", func() bool { sum, _ := told(); return sum == clients*requests })
	if _, lines := told(); lines > int(time.Since(began)/time.Second)+1 {
		t.Errorf("%d lines in %v", lines, time.Since(began))
	}
}

// Nobody is counted twice, and nobody is forgotten.
func TestFiguresOfTurnedAwayRequestsAddUp(t *testing.T) {
	eachWaiting(t, shortTimes, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/a"), text("a"))
		p.serveStreams(onPath(port, "/lost"), script(""))
		asked := []struct {
			request string
			figure  string
		}{
			{"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", ""},
			{"GET /b HTTP/1.1\r\nHost: x\r\n\r\n", "404 no route"},
			{"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400 path"},
			{"GET /a HTTP/1.1\r\n\r\n", "400 host"},
			{"GET /a HTTP/4.0\r\nHost: x\r\n\r\n", "505 version"},
			{"GET /a HTTP/1.1\r\nHost: x\r\n x\r\n\r\n", "400 field"},
			{"OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n", "200 OPTIONS"},
			{"POST /lost HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "502 may have run"},
			{"GET /lost HTTP/1.1\r\nHost: x\r\n\r\n", "502 after all attempts"},
			{"GET /a HT", "408 head"},
		}
		seed := time.Now().UnixNano()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewSource(seed))
		wanted, failures := map[string]int{}, 0
		var group sync.WaitGroup
		for client := 0; client < 60; client++ {
			choice := asked[random.Intn(len(asked))]
			wanted[choice.figure]++
			if choice.figure != "" && choice.figure != "200 OPTIONS" {
				failures++
			}
			w := dial(t, port)
			group.Add(1)
			go func() {
				defer group.Done()
				io.WriteString(w, choice.request)
				if _, err := w.tryReply("GET"); err != nil {
					t.Errorf("%q: %v", choice.request, err)
				}
			}()
		}
		group.Wait()
		figures := p.figuresOn(port)
		for _, choice := range asked {
			if figures[choice.figure] != wanted[choice.figure] && choice.figure != "" {
				t.Errorf("%q is %d, wanted %d", choice.figure, figures[choice.figure], wanted[choice.figure])
			}
		}
		if figures["failures"] != failures {
			t.Errorf("%d failures, wanted %d", figures["failures"], failures)
		}
	})
}
