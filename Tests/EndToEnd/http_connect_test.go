package endtoend

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// danger follows a CONNECT before it is answered. If that is refused it is nobody's request (RFC 9931).
const danger = "POST /danger HTTP/1.1\r\nHost: known.test\r\nContent-Length: 2\r\n\r\nhi"

func connect(target string, fields ...string) string {
	return "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
}

func TestConnectThatTheServiceRefusesEndsItsConnection(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		answers := map[string]string{
			"forbidden.test:1":  counted("403 Forbidden", "no"),
			"asking.test:1":     counted("407 Proxy Authentication Required", "who?", "Proxy-Authenticate: Basic realm=\"x\""),
			"chunked.test:1":    "HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
			"empty.test:1":      counted("502 Bad Gateway", ""),
			"redirect.test:443": counted("302 Found", "there", "Location: /x"),
			"interim.test:1":    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + counted("405 Method Not Allowed", "no"),
			"keeping.test:1":    counted("403 Forbidden", "no", "Connection: keep-alive"),
			"unread.test:1":     "HTTP/1.1 304 Not Modified\r\n\r\n",
			"large.test:1":      counted("400 Bad Request", strings.Repeat("no", 200_000)),
		}
		seen := p.serveScripts(onPath(port, ""), answers)
		for target, answer := range answers {
			for _, isLate := range []bool{false, true} {
				w := dial(t, port)
				if isLate {
					w.send(connect(target))
				} else {
					w.send(connect(target) + danger)
				}
				r := w.final("GET")
				if !strings.Contains(answer, fmt.Sprint("HTTP/1.1 ", r.StatusCode)) || !r.Close {
					t.Errorf("%s: got %d, and that the connection ends: %v", target, r.StatusCode, r.Close)
				}
				// Behind the refusal as well as before it; whether it can still be written does not matter.
				io.WriteString(w, danger)
				w.expectEnd()
				w.Close()
			}
		}
		expectServed(t, port, "/last", "/last")
		seen.expectNever(t, "danger")
	})
}

func TestConnectRefusedByAReplyThatEndsWithItsConnection(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		seen := p.serveScripts(onPath(port, ""), nil)
		p.serveStreams(onHost(port, "cut.test", ""), script("HTTP/1.1 403 Forbidden\r\n\r\nno"))
		w := dial(t, port)
		w.send(connect("cut.test:1") + danger)
		w.expectReply("GET", 403, "no")
		w.expectEnd()
		expectServed(t, port, "/last", "/last")
		seen.expectNever(t, "danger")
	})
}

func TestConnectThatTheProxyRefusesEndsItsConnection(t *testing.T) {
	flags := []string{"--hold", "4s", "--reply-timeout", "3s"}
	eachWaiting(t, flags, func(t *testing.T, p *proxy) {
		port := freePort(t)
		seen := p.serveScripts(onHost(port, "known.test", ""), nil)
		p.serveStreams(onHost(port, "silent.test", ""), func(stream net.Conn) { io.Copy(io.Discard, stream) })
		p.serveStreams(onHost(port, "broken.test", ""), script("nonsense\r\n\r\n"))
		p.serveStreams(onHost(port, "ending.test", ""), func(stream net.Conn) {})
		away := p.serve(onHost(port, "away.test", ""), text("away"))
		from := p.stderr.count()
		away.Close()
		p.awaitLog(sessionLost, from)
		for _, row := range []struct {
			target string
			status int
		}{
			{"away.test:1", 503}, // while it is held
			{"nobody.test:443", 404}, {"silent.test:1", 504}, {"broken.test:1", 502}, {"ending.test:1", 502},
			{"known.test:0", 400}, {"known.test", 400},
		} {
			target, status := row.target, row.status
			w := dial(t, port)
			w.send(connect(target) + danger)
			r, err := w.tryReply("GET")
			if err != nil || r.StatusCode != status || !r.Close {
				t.Errorf("%s: got %v, %v; wanted %d and the end", target, r.Response, err, status)
			}
			w.expectEnd()
		}
		w := dial(t, port)
		w.send("GET /last HTTP/1.1\r\nHost: known.test\r\n\r\n")
		w.expectReply("GET", 200, "/last")
		seen.expectNever(t, "danger")
	})
}

func TestConnectOfEveryGoodStatusTakesWhatFollows(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		for _, status := range []string{"200 OK", "204 No Content", "299 Odd"} {
			host := fmt.Sprintf("s%s.test", status[:3])
			p.serveStreams(onHost(port, host, ""), func(stream net.Conn) {
				got := make([]byte, len(connect(host+":1"))+len(danger))
				head, _ := io.ReadFull(stream, got[:1])
				io.WriteString(stream, "HTTP/1.1 "+status+"\r\n\r\n")
				// All of it comes back, so that the test need not know how the head was edited.
				stream.Write(got[:head])
				io.Copy(stream, stream)
			})
			w := dial(t, port)
			w.send(connect(host+":1") + danger)
			if head, err := readHead(w.reader); err != nil || !strings.HasPrefix(head, "HTTP/1.1 "+status) {
				t.Fatalf("got %q, %v", head, err)
			}
			if head, err := readHead(w.reader); err != nil || !strings.HasPrefix(head, "CONNECT "+host+":1 ") {
				t.Fatalf("the service got %q, %v", head, err)
			}
			w.expect(danger)
			w.CloseWrite()
			w.expectEnd()
		}
	})
}

func TestConnectGoesByItsTargetAlone(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		a := p.serveScripts(onHost(port, "a.test", ""), map[string]string{"a.test:80": counted("403 Forbidden", "a")})
		b := p.serveScripts(onHost(port, "b.test", ""), map[string]string{"a.test:80": counted("403 Forbidden", "b")})
		for _, host := range []string{"b.test", "b.test:80", "a.test:81", "a.test:80", "a.test"} {
			w := dial(t, port)
			w.send("CONNECT a.test:80 HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
			if r := w.reply("GET"); r.body != "a" {
				t.Errorf("with Host: %s it went to %q", host, r.body)
			}
			if head := strings.ToLower(a.last()); !strings.Contains(head, "\r\nhost: a.test:80\r\n") {
				t.Errorf("with Host: %s the head is %q", host, head)
			}
		}
		w := dial(t, port)
		w.send("CONNECT a.test:80 HTTP/1.0\r\n\r\n")
		if r := w.reply("GET"); r.body != "a" || hostOf(a.last()) != "a.test:80" {
			t.Errorf("without Host it went to %q as %q", r.body, a.last())
		}
		b.expectNever(t, "")
	})
}

func TestConnectNeedsAHostAndAPort(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		seen := p.serveScripts(onPath(port, ""), nil)
		for _, target := range []string{
			"a.test:0", "a.test:00", "a.test:00000", "[::1]:0", "127.0.0.1:0", "a.test", "a.test:", ":80", "a.test:65536",
			"a.test:99999", "a.test:80x", "a.test:-1", "a.test:+80", "user@a.test:80", "http://a.test:80", "/", "*",
			"a.test:80/", "[::1", "a.test:80?q",
		} {
			w := dial(t, port)
			w.send("CONNECT " + target + " HTTP/1.1\r\nHost: a.test:80\r\n\r\n" + danger)
			if r, err := w.tryReply("GET"); err != nil || r.StatusCode != 400 {
				t.Errorf("%s: got %v %s, %v; wanted 400", target, r.Response, shorten(r.body), err)
				continue
			}
			w.expectEnd()
		}
		seen.expectNever(t, "")
	})
}
