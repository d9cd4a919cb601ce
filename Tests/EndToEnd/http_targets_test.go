package endtoend

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// What routes a request is what is passed on: the target in origin-form, and the host that it names.

// hostOf is the value of a head's only Host.
func hostOf(head string) string {
	hosts := []string{}
	for _, line := range normalized(head)[1:] {
		if name, value, _ := strings.Cut(line, ": "); name == "host" {
			hosts = append(hosts, value)
		}
	}
	return strings.Join(hosts, " and ")
}

func TestTargetInAbsoluteFormGoesOnInOriginForm(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		heads := fieldsAt(p, port, emptyReply)
		for _, row := range []struct{ method, target, wanted, host string }{
			{"GET", "http://a.test/p?q", "/p?q", "a.test"},
			{"GET", "http://a.test", "/", "a.test"},
			{"GET", "http://a.test/", "/", "a.test"},
			{"GET", "http://a.test?q", "/?q", "a.test"},
			{"GET", "http://a.test?", "/?", "a.test"},
			{"GET", "http://a.test:8080/p", "/p", "a.test:8080"},
			{"GET", "http://a.test:8080", "/", "a.test:8080"},
			{"GET", "http://a.test:8080?q=/x", "/?q=/x", "a.test:8080"},
			{"GET", "HTTP://a.test/P", "/P", "a.test"},
			{"GET", "hTTp://a.test/p/%61/./x/../y?z", "/p/%61/./x/../y?z", "a.test"},
			{"GET", "http://127.0.0.1/p", "/p", "127.0.0.1"},
			{"GET", "http://[::1]:80/p", "/p", "[::1]:80"},
			{"GET", "http://[::1]", "/", "[::1]"},
			{"GET", "http://a.test//p", "//p", "a.test"},
			{"GET", "http://a.test/http://b.test/", "/http://b.test/", "a.test"},
			{"POST", "http://a.test", "/", "a.test"},
			{"PUT", "http://a.test/" + strings.Repeat("long", 3000), "/" + strings.Repeat("long", 3000), "a.test"},
			{"DELETE", "http://a.test?q", "/?q", "a.test"},
			{"OPTIONS", "http://a.test", "*", "a.test"},
			{"OPTIONS", "http://a.test:80", "*", "a.test:80"},
			{"OPTIONS", "http://a.test/", "/", "a.test"},
			{"OPTIONS", "http://a.test/p", "/p", "a.test"},
			{"OPTIONS", "http://a.test?q", "/?q", "a.test"},
			{"OPTIONS", "*", "*", "b.test"},
			{"GET", "/http://a.test/", "/http://a.test/", "b.test"},
			{"GET", "/p?http://a.test", "/p?http://a.test", "b.test"},
		} {
			for _, version := range []string{"1.1", "1.0"} {
				w := dial(t, port)
				w.send(row.method + " " + row.target + " HTTP/" + version + "\r\nHost: b.test\r\nContent-Length: 0\r\n\r\n")
				w.expectReply(row.method, 200, "")
				head := await(t, "a head", heads)
				if line, _, _ := strings.Cut(head, "\r\n"); line != row.method+" "+row.wanted+" HTTP/1.1" {
					t.Errorf("%s %s arrived as %s", row.method, shorten(row.target), shorten(line))
				}
				if host := hostOf(head); host != row.host {
					t.Errorf("%s %s: Host is %q, wanted %q", row.method, shorten(row.target), host, row.host)
				}
				if row.host == "a.test" && strings.Contains(head, ": b.test\r\n") {
					t.Errorf("%s %s: the host that did not count went on: %q", row.method, shorten(row.target), head)
				}
				w.Close()
			}
		}
	})
}

func TestTargetWithAHostDecidesAgainstHost(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		for _, host := range []string{"a.test", "b.test"} {
			host := host
			for _, path := range []string{"/", "/p"} {
				path := path
				p.serve(onHost(port, host, path), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
					fmt.Fprint(writer, host, path, " ", request.RequestURI, " ", request.Host)
				}))
			}
		}
		w := dial(t, port)
		for target, wanted := range map[string]string{
			"http://a.test/":        "a.test/ / a.test",
			"http://a.test":         "a.test/ / a.test",
			"http://a.test:7/p?x":   "a.test/p /p?x a.test:7",
			"http://b.test/p/http:": "b.test/p /p/http: b.test",
		} {
			for _, host := range []string{"b.test", "a.test", "c.test", ""} {
				w.send("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
				if r := w.reply("GET"); r.body != wanted {
					t.Errorf("%s with Host: %s got %q", target, host, r.body)
				}
			}
		}
	})
}

// dialHost connects to an address of this machine, with TLS or without.
func dialHost(t *testing.T, host string, port int, isSecured bool) net.Conn {
	t.Helper()
	connection, err := net.DialTimeout("tcp", net.JoinHostPort(host, portText(port)), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	connection.SetDeadline(time.Now().Add(patience))
	if isSecured {
		return tls.Client(connection, unnamed())
	}
	return connection
}

// answerOnce tells a request's head and answers it with nothing.
func answerOnce(stream net.Conn, heads chan<- string) {
	if head, err := readHead(bufio.NewReader(stream)); err == nil {
		heads <- head
		io.WriteString(stream, emptyReply)
	}
}

func TestTargetOfVersion10NeedsNoHost(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		for _, host := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
			port, secured := freePort(t), freePort(t)
			heads := make(chan string, 4)
			answer := func(stream net.Conn) { answerOnce(stream, heads) }
			everywhere := service.Definition{Port: port, HTTP: &service.HTTP{}}
			p.serveStreams(everywhere, answer)
			everywhere.Port = secured
			p.serveStreams(issue("p256", "a.example").with(everywhere), answer)
			for _, method := range []string{"GET", "POST", "HEAD"} {
				for _, at := range []int{port, secured} {
					connection := dialHost(t, host, at, at == secured)
					io.WriteString(connection, method+" /p HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
					head := await(t, "a head", heads)
					if got, wanted := hostOf(head), net.JoinHostPort(host, portText(at)); got != wanted {
						t.Errorf("Host is %q, wanted %q", got, wanted)
					}
					if line, _, _ := strings.Cut(head, "\r\n"); line != method+" /p HTTP/1.1" {
						t.Errorf("the line is %q", line)
					}
				}
			}
			// What it says counts, and so does the target.
			for request, wanted := range map[string]string{
				"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n": "a.test", "GET http://a.test:7/ HTTP/1.0\r\n\r\n": "a.test:7",
			} {
				connection := dialHost(t, host, port, false)
				io.WriteString(connection, request)
				if got := hostOf(await(t, "a head", heads)); got != wanted {
					t.Errorf("%q: Host is %q", request, got)
				}
			}
		}
	})
}

func TestForwardsAreCountedForOptionsAndTraceAlone(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		seen := p.serveScripts(onPath(port, ""), nil)
		forwards := func(head string) (values []string) {
			for _, line := range normalized(head)[1:] {
				if name, value, _ := strings.Cut(line, ": "); name == "max-forwards" {
					values = append(values, value)
				}
			}
			return values
		}
		w := dial(t, port)
		for _, row := range []struct{ method, target, value, wanted string }{
			{"OPTIONS", "/x", "1", "0"}, {"TRACE", "/x", "1", "0"}, {"OPTIONS", "*", "10", "9"}, {"TRACE", "/x", "100", "99"},
			{"OPTIONS", "/x", "", ""}, {"TRACE", "/x", "", ""}, {"GET", "/x", "0", "0"}, {"POST", "/x", "0", "0"},
			{"HEAD", "/x", "1", "1"}, {"PUT", "/x", "0", "0"}, {"GET", "/x", "10", "10"},
		} {
			field := ""
			if row.value != "" {
				field = "max-Forwards: " + row.value + "\r\n"
			}
			w.send(row.method + " " + row.target + " HTTP/1.1\r\nHost: x\r\n" + field + "\r\n")
			w.expectReply(row.method, 200, "*")
			if got := strings.Join(forwards(seen.last()), " and "); got != row.wanted {
				t.Errorf("%s %s with %q: the service got %q", row.method, row.target, row.value, got)
			}
		}
		before := len(seen.asked())
		for _, row := range []struct {
			method, target, fields string
			status                 int
		}{
			{"OPTIONS", "/x", "Max-Forwards: 0\r\n", 200},
			{"OPTIONS", "*", "MAX-FORWARDS:0\r\n", 200},
			{"OPTIONS", "http://a.test/x", "Max-Forwards: \t0 \r\n", 200},
			{"TRACE", "/x", "Max-Forwards: 0\r\nCookie: secret\r\n", 405},
			{"TRACE", "http://a.test", "Cookie: secret\r\nMax-Forwards: 0\r\n", 405},
		} {
			w.send(row.method + " " + row.target + " HTTP/1.1\r\nHost: x\r\n" + row.fields + "\r\n")
			r := w.reply(row.method)
			if r.StatusCode != row.status || row.status == 200 && r.body != "" ||
				strings.Contains(fmt.Sprint(r.Header, r.body), "secret") {
				t.Errorf("%s %s with %q: got %d %v %q", row.method, row.target, row.fields, r.StatusCode, r.Header, r.body)
			}
			if r.Close {
				w.expectEnd()
				w = dial(t, port)
			}
		}
		if after := seen.asked(); len(after) != before {
			t.Errorf("the service got %q", after[before:])
		}
	})
}
