package endtoend

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// What every reply of the proxy's own has: no content for HEAD, and a Date.

// ownFlags make all of its replies come soon.
var ownFlags = []string{
	"--hold", "5s", "--head-timeout", "1s", "--stall-timeout", "1500ms", "--reply-timeout", "2s",
}

// serveOwn registers services that make the proxy answer in their stead, and one that is well.
func serveOwn(p *proxy) (port, secured int) {
	port, secured = freePort(p.t), freePort(p.t)
	p.serveScripts(onPath(port, "/known"), nil)
	p.serveScripts(issue("p256", "a.example").with(onPath(secured, "/known")), nil)
	p.serveStreams(onPath(port, "/silent"), func(stream net.Conn) { io.Copy(io.Discard, stream) })
	p.serveStreams(onPath(port, "/broken"), script("nonsense\r\n\r\n"))
	p.serveStreams(onPath(port, "/ending"), func(stream net.Conn) {})
	away := p.serve(onPath(port, "/away"), text("away"))
	from := p.stderr.count()
	away.Close()
	p.awaitLog(sessionLost, from)
	return port, secured
}

// ownReplies are requests, behind METHOD, that the proxy answers itself, and their statuses.
func ownReplies() map[string]string {
	return map[string]string{
		"404 kept":           " /none HTTP/1.1\r\nHost: x\r\n\r\n",
		"404 to 1.0":         " /none HTTP/1.0\r\n\r\n",
		"404 to 1.0, kept":   " /none HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"404 closing":        " /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"404 with a body":    " /none HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		"404 before a body":  " /none HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhello",
		"404 with chunks":    " /none HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"404 with Expect":    " /none HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
		"400 two hosts":      " /known HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"400 no host":        " /known HTTP/1.1\r\n\r\n",
		"400 field":          " /known HTTP/1.1\r\nHost: x\r\nX-A : b\r\n\r\n",
		"400 length":         " /known HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
		"400 two framings":   " /known HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
		"400 framing of 1.0": " /known HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
		"400 line end":       " /known HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n",
		"400 target":         " known HTTP/1.1\r\nHost: x\r\n\r\n",
		"400 root":           " /../known HTTP/1.1\r\nHost: x\r\n\r\n",
		"400 version":        " /known HTTP/1.x\r\nHost: x\r\n\r\n",
		"400 blanks":         "  /known HTTP/1.1\r\nHost: x\r\n\r\n",
		"414":                " /known" + strings.Repeat("x", 17<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"431 fields":         " /known HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: b\r\n", 129) + "\r\n",
		"431 size":           " /known HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("b", 66<<10) + "\r\n\r\n",
		"431 unfinished":     " /known HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("b", 70<<10),
		"501":                " /known HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
		"502 broken":         " /broken HTTP/1.1\r\nHost: x\r\n\r\n",
		"502 ending":         " /ending HTTP/1.1\r\nHost: x\r\n\r\n",
		"503 held":           " /away HTTP/1.1\r\nHost: x\r\n\r\n",
		"503 closing":        " /away HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"503 to 1.0":         " /away HTTP/1.0\r\n\r\n",
		"504":                " /silent HTTP/1.1\r\nHost: x\r\n\r\n",
		"505":                " /known HTTP/2.0\r\nHost: x\r\n\r\n",
		"408 head":           " /known HTTP/1.1\r\nHost: x\r\nX-A:",
		"408 body":           " /silent HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello",
	}
}

// headOf reads the head of a reply as it stands.
func (w *wire) headOf(what string) string {
	w.t.Helper()
	head, err := readHead(w.reader)
	if err != nil {
		w.t.Fatalf("%s: %s, %v in place of a head", what, shorten(head), err)
	}
	return head
}

// dateFault tells what is wrong with the date of a head: there is one, in the form that is asked for, of just now.
func dateFault(head string, since time.Time) error {
	dates := 0
	for _, line := range strings.Split(head, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(name, "date") {
			continue
		}
		dates++
		date, err := time.Parse(http.TimeFormat, strings.TrimSpace(value))
		if err != nil || date.Before(since.Add(-3*time.Second)) || date.After(time.Now().Add(time.Second)) {
			return fmt.Errorf("%q is no date of now, %v", line, err)
		}
	}
	if dates != 1 {
		return fmt.Errorf("%d dates in %s", dates, shorten(head))
	}
	return nil
}

func expectDate(t *testing.T, what, head string, since time.Time) {
	t.Helper()
	if err := dateFault(head, since); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// own sends a request that is answered by the proxy, and behind it, if the connection goes on, a good one. It returns
// the head of the reply, and what came behind it, without the reply to the good request.
func own(port int, request string) (head, rest string, err error) {
	w, err := tryDial(port)
	if err != nil {
		return "", "", err
	}
	defer w.Close()
	go io.WriteString(w, request) // of an endless head the proxy need not read everything
	if head, err = readHead(w.reader); err != nil {
		return head, "", err
	}
	isKept := !strings.Contains(strings.ToLower(head), "connection: close")
	if isKept {
		if strings.Contains(request, "Expect") {
			io.WriteString(w, "hello")
		}
		io.WriteString(w, "GET /known HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	}
	all, _ := io.ReadAll(w.reader)
	rest = string(all)
	if isKept && strings.HasPrefix(rest, "HTTP/1.1 200 ") {
		rest = ""
	}
	return head, rest, nil
}

// eachOwn asks for all of the proxy's own replies at once: the clients of a service that is away wait for one hold.
func eachOwn(t *testing.T, port int, method string, check func(head, rest string) error) {
	var works []func() error
	for what, request := range ownReplies() {
		what, request := what, method+request
		works = append(works, func() error {
			head, rest, err := own(port, request)
			if err == nil && !strings.HasPrefix(head, "HTTP/1.1 "+what[:3]+" ") {
				err = fmt.Errorf("got %s", shorten(head))
			}
			if err == nil {
				err = check(head, rest)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		})
	}
	together(t, works...)
}

func TestOwnRepliesToHEADHaveNoContent(t *testing.T) {
	eachWaiting(t, ownFlags, func(t *testing.T, p *proxy) {
		port, secured := serveOwn(p)
		eachOwn(t, port, "HEAD", func(head, rest string) error {
			if rest != "" {
				return fmt.Errorf("behind the head came %s", shorten(rest))
			}
			return nil
		})
		w := dial(t, secured)
		w.send("HEAD /known HTTP/1.1\r\nHost: x\r\n\r\n") // without TLS
		if head := w.headOf("plain"); !strings.HasPrefix(head, "HTTP/1.1 400 ") {
			t.Errorf("plain: got %s", shorten(head))
		}
		w.expectEnd()
	})
}

func TestOwnRepliesToOtherMethodsHaveContent(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveScripts(onPath(port, "/known"), nil)
		for _, method := range []string{"GET", "POST", "HEADS", "HEA", "head", "DELETE", "OPTIONS"} {
			w := dial(t, port)
			w.send(method + " /none HTTP/1.1\r\nHost: x\r\n\r\n")
			if r := w.expectReply("GET", 404, "*"); r.body == "" {
				t.Errorf("%s: 404 without a word", method)
			}
			w = dial(t, port)
			w.send(method + " /known HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n")
			if r := w.expectReply("GET", 400, "*"); r.body == "" {
				t.Errorf("%s: 400 without a word", method)
			}
		}
	})
}

func TestOwnRepliesHaveADate(t *testing.T) {
	eachWaiting(t, ownFlags, func(t *testing.T, p *proxy) {
		port, secured := serveOwn(p)
		since := time.Now()
		eachOwn(t, port, "GET", func(head, rest string) error { return dateFault(head, since) })
		w := dial(t, secured)
		w.send("GET /known HTTP/1.1\r\nHost: x\r\n\r\n")
		expectDate(t, "plain", w.headOf("plain"), time.Now())
		w = dial(t, port)
		w.send("OPTIONS /known HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n")
		expectDate(t, "the last hop", w.headOf("the last hop"), time.Now())
	})
}

func TestRepliesOfServicesHaveADate(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveScripts(onPath(port, ""), map[string]string{
			"/counted":  counted("200 OK", "ok"),
			"/empty":    counted("200 OK", ""),
			"/chunked":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
			"/204":      "HTTP/1.1 204 No Content\r\n\r\n",
			"/304":      "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
			"/500":      counted("500 Oh", "oh"),
			"/similar":  counted("200 OK", "ok", "X-Date: 1", "Dates: 2", "Dat: 3", "Data: 4", "Last-Modified: 5", "Update: 6"),
			"/bare":     "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
			"d.test:80": counted("403 No", ""),
		})
		p.serveStreams(onPath(port, "/cut"), script("HTTP/1.1 200 OK\r\n\r\nok"))
		p.serveStreams(onPath(port, "/old"), script("HTTP/1.0 200 OK\r\nServer: x\r\n\r\nok"))
		for _, path := range []string{
			"/counted", "/empty", "/chunked", "/204", "/304", "/500", "/similar", "/bare", "/cut", "/old",
		} {
			for _, line := range []string{"GET " + path + " HTTP/1.1", "HEAD " + path + " HTTP/1.1", "GET " + path + " HTTP/1.0"} {
				w := dial(t, port)
				w.send(line + "\r\nHost: x\r\n\r\n")
				expectDate(t, line, w.headOf(line), time.Now())
				w.Close()
			}
		}
		w := dial(t, port)
		w.send(connect("d.test:80"))
		expectDate(t, "CONNECT", w.headOf("CONNECT"), time.Now())
		w = dial(t, port)
		w.send("POST /counted HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
		expectDate(t, "early", w.headOf("early"), time.Now())
	})
}

func TestDatesOfServicesAreTheirs(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		answers := map[string]string{}
		for path, field := range map[string]string{
			"/past": "Date: Tue, 15 Nov 1994 08:12:31 GMT", "/lower": "date: Tue, 15 Nov 1994 08:12:31 GMT", "/none": "Date: yesterday",
			"/upper": "DATE:Tue, 15 Nov 1994 08:12:31 GMT", "/obsolete": "Date: Sunday, 06-Nov-94 08:49:37 GMT",
		} {
			answers[path] = counted("200 OK", "ok", field)
		}
		p.serveScripts(onPath(port, ""), answers)
		p.serve(onPath(port, "/go"), text("ok"))
		for path, answer := range answers {
			w := dial(t, port)
			w.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
			head := w.headOf(path)
			expectFields(t, path, head, normalized(strings.TrimSuffix(answer, "ok"))...)
		}
		w := dial(t, port)
		w.send("GET /go HTTP/1.1\r\nHost: x\r\n\r\n") // net/http sets it itself
		expectDate(t, "net/http", w.headOf("net/http"), time.Now())
	})
}

// The text is made once a second, and after a longer sleep it is made anew.
func TestDatesAreOfNowAfterASilence(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveScripts(onPath(port, "/known"), nil)
		peer := p.dialPeer(onPath(port, "/late"))
		late := dial(t, port)
		late.send("GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
		stream := peer.awaitStream()
		for round := 0; round < 2; round++ {
			w := dial(t, port)
			w.send("GET /known HTTP/1.1\r\nHost: x\r\n\r\n")
			expectDate(t, "a service's", w.headOf("/known"), time.Now())
			w.expect("/known")
			w.send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
			expectDate(t, "its own", w.headOf("/none"), time.Now())
			if round == 0 {
				time.Sleep(4500 * time.Millisecond)
			}
		}
		late.extend()
		peer.Send(service.Data(service.FlagFIN, stream, []byte(counted("200 OK", ""))))
		expectDate(t, "a late one", late.headOf("/late"), time.Now())
	})
}
