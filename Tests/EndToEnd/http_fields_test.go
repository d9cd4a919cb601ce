package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sort"
	"strings"
	"testing"
)

// fieldsAt serves a path whose requests' heads come out of the channel.
func fieldsAt(p *proxy, port int, answer string) chan string {
	heads := make(chan string, 16)
	p.serveStreams(onPath(port, "/"), func(stream net.Conn) {
		reader := bufio.NewReader(stream)
		head, err := readHead(reader)
		if err != nil {
			return
		}
		heads <- head
		io.WriteString(stream, answer)
	})
	return heads
}

const emptyReply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// normalized is a head's first line and its fields, names in lower case, sorted.
func normalized(head string) []string {
	lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
	for index, line := range lines[1:] {
		if name, value, found := strings.Cut(line, ":"); found {
			lines[index+1] = strings.ToLower(name) + ": " + strings.TrimSpace(value)
		}
	}
	sort.Strings(lines[1:])
	return lines
}

func expectFields(t *testing.T, what, head string, wanted ...string) {
	t.Helper()
	sort.Strings(wanted[1:])
	if got := normalized(head); strings.Join(got, "\n") != strings.Join(wanted, "\n") {
		t.Errorf("%s: the head is\n  %s\nwanted\n  %s", what, strings.Join(got, "\n  "), strings.Join(wanted, "\n  "))
	}
}

func TestHTTPFieldsOfRequestsGoOnExactly(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		heads := fieldsAt(p, port, emptyReply)
		forwarded := []string{"x-forwarded-for: 127.0.0.1", "x-forwarded-host: a.example:80", "x-forwarded-proto: http"}
		for _, row := range []struct {
			what   string
			fields []string
			wanted []string
		}{
			{"nothing to do", []string{"User-Agent: x", "Accept: */*", "Cookie: a=b; c=d", "X-Empty:"},
				[]string{"user-agent: x", "accept: */*", "cookie: a=b; c=d", "x-empty: "}},
			{"repeated fields", []string{"X-A: 1", "X-B: 2", "X-A: 3"}, []string{"x-a: 1", "x-b: 2", "x-a: 3"}},
			{"hop-by-hop fields", []string{"Connection: keep-alive", "Keep-Alive: timeout=5", "Proxy-Connection: x",
				"Proxy-Authorization: Basic x", "Proxy-Authenticate: x", "TE: deflate", "X-Kept: 1"}, []string{"x-kept: 1"}},
			{"what Connection names", []string{"X-Drop: 1", "Connection: x-drop, X-Also", "x-also: 2", "X-Kept: 1"},
				[]string{"x-kept: 1"}},
			{"what it cannot name", []string{"Connection: Host, Content-Length, X-Forwarded-For, X-Forwarded-Proto",
				"Content-Length: 0"}, []string{"content-length: 0"}},
			{"an Upgrade that is none", []string{"Upgrade: h2c"}, nil},
			{"forged forwarding fields", []string{"X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 7.7.7.7",
				"X-Forwarded-Proto: https", "X-Forwarded-Host: evil"}, nil},
			{"values with odd bytes", []string{"X-Odd: \xe4\xf6\t!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~"},
				[]string{"x-odd: \xe4\xf6\t!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~"}},
		} {
			w := dial(t, port)
			w.send("GET /x HTTP/1.1\r\nHost: a.example:80\r\n" + strings.Join(row.fields, "\r\n") + "\r\n\r\n")
			w.expectReply("GET", 200, "")
			wanted := append([]string{"GET /x HTTP/1.1", "host: a.example:80"}, append(row.wanted, forwarded...)...)
			expectFields(t, row.what, await(t, "a head", heads), wanted...)
		}
		// TE: trailers may go on, and must then be named by a Connection field.
		w := dial(t, port)
		w.send("GET /x HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
		w.expectReply("GET", 200, "")
		head := strings.ToLower(await(t, "a head", heads))
		if !strings.Contains(head, "\r\nte: trailers\r\n") {
			t.Errorf("TE: trailers did not go on: %q", head)
		}
	})
}

func TestHTTPOrderOfRepeatedFieldsIsKept(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		answer := "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-Z: z\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
		heads := fieldsAt(p, port, answer)
		w := dial(t, port)
		w.send("GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-B: x\r\nX-A: 2\r\nX-A: 3\r\n\r\n")
		r := w.expectReply("GET", 200, "")
		if cookies := strings.Join(r.Header["Set-Cookie"], " "); cookies != "a=1 b=2" {
			t.Errorf("the cookies are %q", cookies)
		}
		head := await(t, "a head", heads)
		first, second, third := strings.Index(head, "1\r\n"), strings.Index(head, "X-A: 2"), strings.Index(head, "X-A: 3")
		if first < 0 || second < first || third < second {
			t.Errorf("the order has changed: %q", head)
		}
	})
}

func TestHTTPFieldsOfRepliesGoOnExactly(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		fieldsAt(p, port, "HTTP/1.1 200 Fine\r\nServer: x\r\nConnection: X-Drop\r\nX-Drop: 1\r\nKeep-Alive: timeout=5\r\n"+
			"Proxy-Connection: x\r\nX-Kept: 1\r\nContent-Length: 2\r\nUpgrade: h2c\r\n\r\nok")
		w := dial(t, port)
		w.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		head, err := readHead(w.reader)
		if err != nil {
			t.Fatal(err)
		}
		expectFields(t, "reply", undated(head), "HTTP/1.1 200 Fine", "server: x", "x-kept: 1", "content-length: 2")
		w.expect("ok")
	})
}

func TestHTTPTrustedForwardingFieldsAreAppendedTo(t *testing.T) {
	each(t, []string{"--trust-forwarded", "10.0.0.0/8", "--trust-forwarded", "127.0.0.0/8"},
		func(t *testing.T, p *proxy) {
			port := freePort(t)
			heads := fieldsAt(p, port, emptyReply)
			for _, row := range []struct{ what, fields, chain, proto, host string }{
				{"all three", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outer\r\n",
					"6.6.6.6, 127.0.0.1", "https", "outer"},
				{"none", "", "127.0.0.1", "http", "a"},
				{"two lines", "X-Forwarded-For: 1.1.1.1\r\nX-Other: x\r\nx-forwarded-for: 2.2.2.2, 3.3.3.3\r\n",
					"1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1", "http", "a"},
			} {
				w := dial(t, port)
				w.send("GET / HTTP/1.1\r\nHost: a\r\n" + row.fields + "\r\n")
				w.expectReply("GET", 200, "")
				values := map[string]string{}
				for _, line := range normalized(await(t, "a head", heads))[1:] {
					name, value, _ := strings.Cut(line, ": ")
					if values[name] != "" {
						value = values[name] + ", " + value
					}
					values[name] = value
				}
				got := fmt.Sprint(values["x-forwarded-for"], "|", values["x-forwarded-proto"], "|", values["x-forwarded-host"])
				if wanted := row.chain + "|" + row.proto + "|" + row.host; sortedChain(got) != sortedChain(wanted) {
					t.Errorf("%s: got %q, wanted %q", row.what, got, wanted)
				}
			}
		})
}

// sortedChain makes up for the sorting of normalized, where several lines of one name may have changed places.
func sortedChain(text string) string {
	chain, rest, _ := strings.Cut(text, "|")
	addresses := strings.Split(chain, ", ")
	sort.Strings(addresses)
	return strings.Join(addresses, ", ") + "|" + rest
}

func TestHTTPUntrustedNetworksAreNotBelieved(t *testing.T) {
	each(t, []string{"--trust-forwarded", "10.0.0.0/8"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		heads := fieldsAt(p, port, emptyReply)
		w := dial(t, port)
		w.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n")
		w.expectReply("GET", 200, "")
		expectFields(t, "untrusted", await(t, "a head", heads), "GET / HTTP/1.1", "host: a",
			"x-forwarded-for: 127.0.0.1", "x-forwarded-host: a", "x-forwarded-proto: http")
	})
}
