package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// CGI, WSGI, PHP and others know no difference between `_` and `-` in a field's name. A name that becomes one of the
// proxy's own when they read it is no client's to set.

// spellings are all mixes of `-` and `_` of a name, each in one of several cases.
func spellings(name string) (all []string) {
	parts := strings.Split(name, "-")
	for mix := 0; mix < 1<<(len(parts)-1); mix++ {
		spelling := parts[0]
		for place, part := range parts[1:] {
			spelling += string("-_"[mix>>place&1]) + part
		}
		all = append(all, spelling, strings.ToLower(spelling), strings.ToUpper(spelling))
	}
	return all
}

// folding are the spellings with a `_` at least.
func folding(name string) (all []string) {
	for _, spelling := range spellings(name) {
		if strings.Contains(spelling, "_") {
			all = append(all, spelling)
		}
	}
	return all
}

func TestNamesThatFoldOntoTheProxysAreDropped(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		heads := fieldsAt(p, port, emptyReply)
		for _, name := range []string{
			"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Keep-Alive", "Proxy-Connection",
			"Proxy-Authenticate", "Proxy-Authorization",
		} {
			for _, spelling := range folding(name) {
				for _, space := range []string{"", " ", "\t "} {
					w := dial(t, port)
					w.send("GET /x HTTP/1.1\r\nHost: a\r\nX_First: 1\r\n" + spelling + ":" + space + "6.6.6.6\r\nX-Last: 2\r\n\r\n")
					w.expectReply("GET", 200, "")
					w.Close()
					expectFields(t, spelling, await(t, "a head", heads), "GET /x HTTP/1.1", "host: a", "x_first: 1", "x-last: 2",
						"x-forwarded-for: 127.0.0.1", "x-forwarded-host: a", "x-forwarded-proto: http")
				}
			}
		}
	})
}

func TestNamesThatOnlyLookLikeTheProxysPass(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		heads := fieldsAt(p, port, emptyReply)
		names := []string{
			"X_Forwarded_Server", "X-Forwarded_Port", "XX_Forwarded_For", "X_Forwarded_Fo", "X_Forwarded_Form",
			"X__Forwarded_For", "X_Real_IP", "X-Real-IP", "Forwarded", "Content_Type", "Content_Lengthy", "_Content_Length",
			"Transfer_Encodings", "Proxy_Status", "Keep_Alive_", "Te_", "_Host", "X_Forwarded.For", "Accept_Encoding",
		}
		wanted := []string{
			"GET / HTTP/1.1", "host: a", "x-forwarded-for: 127.0.0.1", "x-forwarded-host: a", "x-forwarded-proto: http",
		}
		fields := ""
		for _, name := range names {
			fields += name + ": v\r\n"
			wanted = append(wanted, strings.ToLower(name)+": v")
		}
		w := dial(t, port)
		w.send("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n")
		w.expectReply("GET", 200, "")
		expectFields(t, "names of others", await(t, "a head", heads), wanted...)
	})
}

func TestNamesThatFoldOntoFramingAreRefused(t *testing.T) {
	for _, flags := range [][]string{nil, {"--trust-forwarded", "127.0.0.0/8"}} {
		each(t, flags, func(t *testing.T, p *proxy) {
			port := freePort(t)
			seen := p.serveScripts(onPath(port, ""), nil)
			for name, value := range map[string]string{"Content-Length": "5", "Transfer-Encoding": "chunked"} {
				for _, spelling := range folding(name) {
					for what, fields := range map[string]string{
						"alone":            spelling + ": " + value + "\r\n",
						"empty":            spelling + ":\r\n",
						"beside a length":  "Content-Length: 5\r\n" + spelling + ": " + value + "\r\n",
						"before a length":  spelling + ": 0\r\nContent-Length: 5\r\n",
						"beside chunks":    "Transfer-Encoding: chunked\r\n" + spelling + ": " + value + "\r\n",
						"named as a field": "Connection: " + spelling + "\r\n" + spelling + ": " + value + "\r\n",
					} {
						w := dial(t, port)
						w.send("POST /x HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n")
						r, err := w.tryReply("POST")
						if err != nil || r.StatusCode != 400 || !r.Close {
							t.Errorf("%s, %s: got %v, %v; wanted 400 and the end", spelling, what, r.Response, err)
						}
						w.Close()
					}
				}
			}
			seen.expectNever(t, "")
		})
	}
}

// Who is believed is believed in both spellings; who is not is not.
func TestNamesOfForwardingFieldsAreBelievedByNetworkAlone(t *testing.T) {
	each(t, []string{"--trust-forwarded", "127.0.0.0/8"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		heads := fieldsAt(p, port, emptyReply)
		for name, value := range map[string]string{
			"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "outer.test",
		} {
			for _, spelling := range spellings(name) {
				w := dial(t, port)
				w.send("GET / HTTP/1.1\r\nHost: a\r\n" + spelling + ": " + value + "\r\n\r\n")
				w.expectReply("GET", 200, "")
				w.Close()
				if head := await(t, "a head", heads); !strings.Contains(head, value) {
					t.Errorf("%s of a trusted client is not in %q", spelling, head)
				}
			}
		}
		for _, spelling := range folding("Proxy-Authorization") {
			w := dial(t, port)
			w.send("GET / HTTP/1.1\r\nHost: a\r\n" + spelling + ": Basic secret\r\n\r\n")
			w.expectReply("GET", 200, "")
			w.Close()
			if head := await(t, "a head", heads); strings.Contains(head, "secret") {
				t.Errorf("%s went on: %q", spelling, head)
			}
		}
	})
}

// trailing serves requests with chunks and answers with their trailer section as it came.
func trailing(stream net.Conn) {
	reader := bufio.NewReader(stream)
	if _, err := readHead(reader); err != nil {
		return
	}
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		var size int
		if _, err := fmt.Sscanf(line, "%x", &size); err != nil {
			return
		}
		if size == 0 {
			break
		}
		io.CopyN(io.Discard, reader, int64(size)+2)
	}
	section, err := readHead(reader)
	if err == nil {
		io.WriteString(stream, counted("200 OK", section))
		io.Copy(io.Discard, reader)
	}
}

// ownTrailers are names that no trailer may bring: what the proxy sets, drops and frames by.
func ownTrailers() (names []string) {
	for _, name := range []string{
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Host", "Content-Length", "Transfer-Encoding",
		"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "TE", "Upgrade",
	} {
		names = append(names, spellings(name)...)
	}
	return names
}

func expectTrailers(t *testing.T, what, got, wanted string) {
	t.Helper()
	if strings.ToLower(got) != strings.ToLower(wanted) {
		t.Errorf("%s: the service's trailers are %s, wanted %s", what, shorten(got), shorten(wanted))
	}
}

func TestNamesOfTheProxyInTrailersAreDropped(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveStreams(onPath(port, ""), trailing)
		w := dial(t, port)
		ask := func(what, wanted string, lines ...string) {
			t.Helper()
			w.extend()
			w.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked([]byte("hello"), 3, lines...))
			expectTrailers(t, what, w.expectReply("POST", 200, "*").body, wanted)
		}
		ask("none", "\r\n")
		ask("others", "X-Sum: 1\r\nx_sum: 2\r\nContent-MD5: 3\r\nX_Forward_Port: 4\r\n\r\n",
			"X-Sum: 1", "x_sum: 2", "Content-MD5: 3", "X_Forward_Port: 4")
		for _, name := range ownTrailers() {
			for _, value := range []string{" 5", "", " a, b"} {
				ask(name+", alone", "\r\n", name+":"+value)
				ask(name+", between", "X-Sum: 1\r\nX-End: 2\r\n\r\n", "X-Sum: 1", name+":"+value, "X-End: 2")
			}
			ask(name+", twice", "X-Sum: 1\r\n\r\n", name+": 1", "X-Sum: 1", name+": 2")
		}
	})
}

// Every split on a connection of its own: all say the first part, then all the second.
func TestNamesInTrailersAreDroppedWhereverTheyAreSplit(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveStreams(onPath(port, ""), trailing)
		const head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		body := chunked([]byte("hello"), 5, "X-Sum: 1", "X_Forwarded-For: 6.6.6.6", "Host: evil", "X-Mid: 2",
			"Content_Length: 7", "Transfer-Encoding: chunked", "X_Forward_Fo: 3", "connection: close", "X-End: 4")
		clients := make([]*wire, len(body)+1)
		for split := range clients {
			clients[split] = dial(t, port)
			clients[split].send(head + body[:split])
		}
		time.Sleep(50 * time.Millisecond) // so that the parts are read one after the other
		for split, w := range clients {
			w.send(body[split:])
		}
		for split, w := range clients {
			w.extend()
			expectTrailers(t, fmt.Sprintf("split behind %q", body[:split]), w.expectReply("POST", 200, "*").body,
				"X-Sum: 1\r\nX-Mid: 2\r\nX_Forward_Fo: 3\r\nX-End: 4\r\n\r\n")
		}
	})
}

func TestNamesInTrailersAreDroppedByteByByte(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveStreams(onPath(port, ""), trailing)
		w := dial(t, port)
		request := "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
			chunked([]byte("hello"), 2, "x-forwarded-for: 6.6.6.6", "X-Sum: 1", "CONTENT_LENGTH: 9")
		for _, letter := range request {
			w.send(string(letter))
			time.Sleep(200 * time.Microsecond)
		}
		expectTrailers(t, "byte by byte", w.expectReply("POST", 200, "*").body, "X-Sum: 1\r\n\r\n")
	})
}
