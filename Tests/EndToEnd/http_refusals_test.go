package endtoend

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// witness is a service that remembers every path it was asked for.
type witness struct {
	lock  sync.Mutex
	paths []string
}

func (s *witness) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	s.lock.Lock()
	s.paths = append(s.paths, request.URL.Path)
	s.lock.Unlock()
	_, err := io.Copy(io.Discard, request.Body)
	fmt.Fprint(writer, "seen ", err)
}

// others are the paths that the service saw besides the allowed ones.
func (s *witness) others(allowed ...string) (others []string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, path := range s.paths {
		if !strings.Contains(" "+strings.Join(allowed, " ")+" ", " "+path+" ") {
			others = append(others, path)
		}
	}
	return others
}

// smuggled follows every refused request on its connection. It must never be served.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

// refusals are heads that are never passed on, with the status that they get.
func refusals() map[string]struct {
	head     string
	statuses []int
} {
	type row = struct {
		head     string
		statuses []int
	}
	rows := map[string]row{}
	add := func(what string, head string, statuses ...int) { rows[what] = row{head, statuses} }
	post := func(fields string) string { return "POST /bad HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n" }
	get := func(fields string) string { return "GET /bad HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n" }

	add("length and coding", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400)
	add("coding and length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400)
	add("two lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n"), 400)
	for _, length := range []string{
		"+5", "-5", "", "5, 5", "5,6", "0x5", "5 5", "5;", "99999999999999999999", "18446744073709551616", "5\v", "१",
	} {
		add(fmt.Sprintf("length %q", length), post("Content-Length: "+length+"\r\n"), 400)
	}
	for _, coding := range []string{"gzip", "xchunked", "identity", "br", "gzip, chunked"} {
		add(fmt.Sprintf("coding %q", coding), post("Transfer-Encoding: "+coding+"\r\n"), 501, 400)
	}
	for _, coding := range []string{
		"chunked, gzip", "chunked, chunked", "", "chunked;x=1", "\"chunked\"", "chunked,", "\vchunked",
	} {
		add(fmt.Sprintf("coding %q", coding), post("Transfer-Encoding: "+coding+"\r\n"), 400, 501)
	}
	add("two codings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n"), 400, 501)
	add("coding in 1.0", "POST /bad HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400)

	add("space before the colon", get("X-A : b\r\n"), 400)
	add("tab before the colon", get("X-A\t: b\r\n"), 400)
	add("space before a field", "GET /bad HTTP/1.1\r\n Host: x\r\n\r\n", 400)
	add("folding", get("X-A: b\r\n c\r\n"), 400)
	add("folding by tab", get("X-A: b\r\n\tc\r\n"), 400)
	add("NUL in a value", get("X-A: b\x00c\r\n"), 400)
	add("NUL in a name", get("X\x00A: b\r\n"), 400)
	add("NUL in the target", "GET /b\x00ad HTTP/1.1\r\nHost: x\r\n\r\n", 400)
	add("bare CR in a value", get("X-A: b\rc\r\n"), 400)
	add("bare CR in the line", "GET /bad\r HTTP/1.1\r\nHost: x\r\n\r\n", 400)
	add("bare LF after a field", get("X-A: b\nX-B: c\r\n"), 400)
	add("bare LF after the line", "GET /bad HTTP/1.1\nHost: x\r\n\r\n", 400)
	add("bare LF at the end", "GET /bad HTTP/1.1\r\nHost: x\n\n", 400)
	add("no colon", get("X-A\r\n"), 400)
	add("no name", get(": b\r\n"), 400)
	add("bad name", get("X A: b\r\n"), 400)
	add("bad name 2", get("X(A): b\r\n"), 400)
	add("name with eighth bit", get("X\xe4: b\r\n"), 400)
	add("bad method", "G@T /bad HTTP/1.1\r\nHost: x\r\n\r\n", 400)
	add("bad method 2", "GET: /bad HTTP/1.1\r\nHost: x\r\n\r\n", 400)

	add("no host", "GET /bad HTTP/1.1\r\n\r\n", 400)
	add("two hosts", get("Host: x\r\n"), 400)
	add("two differing hosts", get("Host: y\r\n"), 400)
	for _, host := range []string{"a b", "a/b", "a@b", "a,b", "x:port", "x:99999999", "[::1", "a\\b", "a?b", "a#b"} {
		add(fmt.Sprintf("host %q", host), "GET /bad HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 400)
	}
	add("space in the target", "GET /bad x HTTP/1.1\r\nHost: x\r\n\r\n", 400)
	add("tab in the target", "GET /bad\tx HTTP/1.1\r\nHost: x\r\n\r\n", 400)
	add("two spaces", "GET  /bad HTTP/1.1\r\nHost: x\r\n\r\n", 400)
	add("no target", "GET HTTP/1.1\r\nHost: x\r\n\r\n", 400)
	add("relative target", "GET bad HTTP/1.1\r\nHost: x\r\n\r\n", 400)
	add("above the root", "GET /../bad HTTP/1.1\r\nHost: x\r\n\r\n", 400)
	add("above the root, later", "GET /bad/../../bad HTTP/1.1\r\nHost: x\r\n\r\n", 400)
	add("above the root, encoded", "GET /%2e%2E/bad HTTP/1.1\r\nHost: x\r\n\r\n", 400)

	add("no version", "GET /bad\r\nHost: x\r\n\r\n", 400)
	add("bad version", "GET /bad HTTP/1.x\r\nHost: x\r\n\r\n", 400)
	add("bad protocol", "GET /bad HTTPS/1.1\r\nHost: x\r\n\r\n", 400)
	add("lower-case protocol", "GET /bad http/1.1\r\nHost: x\r\n\r\n", 400)
	add("major version 2", "GET /bad HTTP/2.0\r\nHost: x\r\n\r\n", 505)
	add("major version 9", "GET /bad HTTP/9.1\r\nHost: x\r\n\r\n", 505)
	add("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, 400)

	add("long target", "GET /bad"+strings.Repeat("x", 16<<10)+" HTTP/1.1\r\nHost: x\r\n\r\n", 414)
	add("long target without end", "GET /bad"+strings.Repeat("x", 20<<10), 414)
	add("many fields", get(strings.Repeat("X-A: b\r\n", 129)), 431)
	add("long head", get("X-A: "+strings.Repeat("b", 66<<10)+"\r\n"), 431)
	kilobyte := "X-A: " + strings.Repeat("b", 1017) + "\r\n"
	add("long head without end", "GET /bad HTTP/1.1\r\nHost: x\r\n"+strings.Repeat(kilobyte, 68), 431)
	return rows
}

func TestHTTPRefusalsHaveTheirStatusAndReachNobody(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		seen := &witness{}
		p.serve(onPath(port, ""), seen)
		for what, row := range refusals() {
			w := dial(t, port)
			// On a connection that has had its good request already, so that it is in any state but new.
			w.get("/good", "seen <nil>")
			// In the background: of an endless head the proxy need not read everything.
			go io.WriteString(w, row.head+smuggled)
			r, err := w.tryReply("GET")
			if err != nil {
				t.Errorf("%s: no reply: %v", what, err)
				continue
			}
			if !strings.Contains(fmt.Sprint(" ", row.statuses, " "), fmt.Sprint(r.StatusCode)) {
				t.Errorf("%s: got %d %s, wanted %d", what, r.StatusCode, shorten(r.body), row.statuses)
			}
			if !r.Close {
				t.Errorf("%s: the refusal does not say that the connection ends", what)
			}
			if rest, _ := io.ReadAll(w.reader); len(rest) > 0 {
				t.Errorf("%s: after the refusal came %s", what, shorten(string(rest)))
			}
			w.Close()
		}
		expectServed(t, port, "/last", "seen <nil>")
		if others := seen.others("/good", "/last"); len(others) > 0 {
			t.Errorf("the service saw %q", others)
		}
	})
}

func TestHTTPBadChunksCloseAndAreNeverARequest(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		seen := &witness{}
		p.serve(onPath(port, ""), seen)
		for _, body := range []string{
			"g\r\nhello\r\n0\r\n\r\n", "\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n",
			"0x5\r\nhello\r\n0\r\n\r\n", "5 \rhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n",
			"5\r\nhello\n0\r\n\r\n", "5\r\nhello\rX0\r\n\r\n", "5\r\nhelloxx0\r\n\r\n", "5_0\r\nhello\r\n0\r\n\r\n",
			"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n", "10000000000000000\r\nhello\r\n0\r\n\r\n",
			"5;a\nb\r\nhello\r\n0\r\n\r\n",
			"5;" + strings.Repeat("a", 100_000) + "\r\nhello\r\n0\r\n\r\n", "0\r\nX : y\r\n\r\n", "0\r\n folded\r\n\r\n",
			"0\r\nX: y\n\r\n", "0\r\n" + strings.Repeat("X-A: "+strings.Repeat("b", 1000)+"\r\n", 100) + "\r\n",
		} {
			w := dial(t, port)
			go func() {
				io.WriteString(w, "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+body+smuggled)
			}()
			answer, err := io.ReadAll(w.reader)
			if err, isTimeout := err.(net.Error); isTimeout && err.Timeout() {
				t.Errorf("%s: the connection was not closed; it got %s", shorten(body), shorten(string(answer)))
			}
			if strings.HasPrefix(string(answer), "HTTP/1.1 200") && strings.Contains(string(answer), "seen <nil>") {
				t.Errorf("%s was taken for a body: %s", shorten(body), shorten(string(answer)))
			}
			w.Close()
		}
		expectServed(t, port, "/last", "seen <nil>")
		if others := seen.others("/body", "/last"); len(others) > 0 {
			t.Errorf("the service saw %q", others)
		}
	})
}

func TestHTTPWhatIsWithinTheLimitsPasses(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, ""), digest())
		kilobyte := "X-A: " + strings.Repeat("b", 1017) + "\r\n"
		for what, head := range map[string]string{
			"a target of 16 KiB": "GET /" + strings.Repeat("x", 16<<10-1) + " HTTP/1.1\r\nHost: x\r\n\r\n",
			"128 fields":         "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: b\r\n", 127) + "\r\n",
			"60 KiB of fields":   "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat(kilobyte, 60) + "\r\n",
			"one field of 60 KB": "GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("b", 60_000) + "\r\n\r\n",
			"space around":       "GET / HTTP/1.1\r\nHost:   x \t \r\nX-A:\t b \r\n\r\n",
			"no space":           "GET / HTTP/1.1\r\nHost:x\r\nX-A:b\r\n\r\n",
			"minor version 2":    "GET / HTTP/1.2\r\nHost: x\r\n\r\n",
			"an empty host":      "GET / HTTP/1.1\r\nHost:\r\n\r\n",
			"a line before":      "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
			"an eighth bit":      "GET / HTTP/1.1\r\nHost: x\r\nX-A: \xfc\xff\r\n\r\n",
		} {
			w := dial(t, port)
			w.send(head)
			if r, err := w.tryReply("GET"); err != nil || r.StatusCode != 200 || r.body != digestOf("GET", nil) {
				t.Errorf("%s: got %v %s, %v", what, r.Response, shorten(r.body), err)
			}
			w.Close()
		}
	})
}

func TestHTTPHeadLimitIsTheFlags(t *testing.T) {
	each(t, []string{"--head-limit", "8k"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, ""), text("served"))
		for size, status := range map[int]int{7 << 10: 200, 9 << 10: 431} {
			w := dial(t, port)
			go io.WriteString(w, "GET / HTTP/1.1\r\nHost: x\r\nX-A: "+strings.Repeat("b", size)+"\r\n\r\n")
			w.expectReply("GET", status, "*")
			w.Close()
		}
	})
}

func TestHTTPUnfinishedHeadsAndBodiesTimeOut(t *testing.T) {
	eachWaiting(t, []string{"--head-timeout", "500ms", "--stall-timeout", "500ms"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, ""), digest())
		for what, request := range map[string]string{
			"head":         "GET / HTTP/1.1\r\nHost: x\r\nX-A: ",
			"line":         "GE",
			"counted body": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello",
			"chunked body": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
			"whole chunk":  "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5",
		} {
			w := dial(t, port)
			w.send(request)
			r, err := w.tryReply("POST")
			if err != nil || r.StatusCode != 408 || !r.Close {
				t.Errorf("%s: got %v %s, %v; wanted 408", what, r.Response, shorten(r.body), err)
				continue
			}
			w.expectClosed()
		}
		// A dribble does not help: the head as a whole has its time.
		w := dial(t, port)
		go func() {
			for _, letter := range "GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("b", 400) {
				if _, err := io.WriteString(w, string(letter)); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		}()
		w.expectReply("GET", 408, "*")
		expectServed(t, port, "/", digestOf("GET", nil))
	})
}
