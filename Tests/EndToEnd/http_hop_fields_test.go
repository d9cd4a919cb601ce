package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Fields that belong to one hop: where the proxy relays that hop they belong to its ends.

// elements are the members of a list that may stand on several lines, in lower case.
func elements(header http.Header, name string) string {
	list := strings.ToLower(strings.Join(header[name], ","))
	return strings.ReplaceAll(strings.ReplaceAll(list, " ", ""), "\t", "")
}

func TestHopFieldsOf407And426AreKept(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		asking := []string{"Proxy-Authenticate: Basic realm=\"a, b\"", "Proxy-Authenticate: Digest realm=\"c\""}
		p.serveScripts(onPath(port, ""), map[string]string{
			"/426":        counted("426 Upgrade Required", "newer", "Upgrade: TLS/1.2, HTTP/2.0", "Connection: Upgrade"),
			"/426-unsaid": counted("426 Upgrade Required", "newer", "Upgrade: websocket"),
			"/407":        counted("407 Proxy Authentication Required", "who", asking...),
			"d.test:1":    counted("407 Proxy Authentication Required", "who", asking...),
			"/200":        counted("200 OK", "x", append(asking, "Upgrade: h3")...),
		})
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
			w := dial(t, port)
			body := func(text string) string {
				if method == "HEAD" {
					return ""
				}
				return text
			}
			w.send(method + " /426 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
			r := w.expectReply(method, 426, body("newer"))
			if upgrade, option := elements(r.Header, "Upgrade"), elements(r.Header, "Connection"); upgrade != "tls/1.2,http/2.0" ||
				!strings.Contains(option, "upgrade") || r.Close {
				t.Errorf("%s: Upgrade is %q, Connection %q", method, upgrade, option)
			}
			w.send(method + " /426-unsaid HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
			if r := w.expectReply(method, 426, body("newer")); elements(r.Header, "Upgrade") != "websocket" {
				t.Errorf("%s: Upgrade is %q", method, r.Header["Upgrade"])
			}
			w.send(method + " /407 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
			if r := w.expectReply(method, 407, body("who")); len(r.Header["Proxy-Authenticate"]) != 2 {
				t.Errorf("%s: Proxy-Authenticate is %q", method, r.Header["Proxy-Authenticate"])
			}
			// A reply of another status keeps what it kept before: nothing.
			w.send(method + " /200 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
			if r := w.expectReply(method, 200, body("x")); r.Header["Upgrade"] != nil || r.Header["Proxy-Authenticate"] != nil {
				t.Errorf("%s: the fields of 200 are %v", method, r.Header)
			}
		}
		w := dial(t, port)
		w.send(connect("d.test:1"))
		if r := w.expectReply("GET", 407, "who"); strings.Join(r.Header["Proxy-Authenticate"], "|") !=
			"Basic realm=\"a, b\"|Digest realm=\"c\"" {
			t.Errorf("Proxy-Authenticate is %q", r.Header["Proxy-Authenticate"])
		}
	})
}

func TestHopFieldProxyAuthorizationPassesOnConnectAlone(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		seen := p.serveScripts(onPath(port, ""), nil)
		const field = "Proxy-Authorization: Basic c2VjcmV0"
		w := dial(t, port)
		w.send(connect("d.test:1", strings.ToUpper(field[:19])+field[19:], "X-Other: 1"))
		if head, err := readHead(w.reader); err != nil || !strings.HasPrefix(head, "HTTP/1.1 200 ") {
			t.Fatalf("got %q, %v", head, err)
		}
		if head := strings.ToLower(seen.last()); !strings.Contains(head, "\r\n"+strings.ToLower(field)+"\r\n") {
			t.Errorf("a service that is a forward proxy got %q", head)
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", "CONNECTED"} {
			w := dial(t, port)
			w.send(method + " /x HTTP/1.1\r\nHost: x\r\n" + field + "\r\nContent-Length: 0\r\n\r\n")
			w.expectReply(method, 200, "*")
			if head := seen.last(); strings.Contains(head, "c2VjcmV0") {
				t.Errorf("%s: the service got %q", method, head)
			}
		}
	})
}

// upgradable answers by 101 with the first protocol that it was offered, and by 200 without one.
func upgradable(heads chan<- string) func(net.Conn) {
	return func(stream net.Conn) {
		reader := bufio.NewReader(stream)
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		offered := elements(request.Header, "Upgrade")
		heads <- fmt.Sprintf("%s|%s|%s", offered, elements(request.Header, "Connection"), request.Header.Get("HTTP2-Settings"))
		if offered == "" {
			io.WriteString(stream, counted("200 OK", "plain"))
		} else {
			first, _, _ := strings.Cut(offered, ",")
			io.WriteString(stream, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+first+"\r\n\r\n")
		}
		io.Copy(stream, reader)
	}
}

func TestHopFieldUpgradeLosesH2cAlone(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		heads := make(chan string, 16)
		p.serveStreams(onPath(port, ""), upgradable(heads))
		for _, row := range []struct{ fields, wanted string }{
			{"Upgrade: websocket, h2c\r\n", "websocket"},
			{"Upgrade: h2c, websocket\r\n", "websocket"},
			{"Upgrade: websocket,h2c,echo\r\n", "websocket,echo"},
			{"Upgrade: h2c , echo/1.0\t, H2C\r\n", "echo/1.0"},
			{"Upgrade: h2c\r\nUpgrade: websocket\r\n", "websocket"},
			{"Upgrade: websocket\r\nUpgrade: H2c\r\n", "websocket"},
			{"Upgrade: websocket\r\nX-Between: 1\r\nUpgrade: echo, h2c\r\n", "websocket,echo"},
			{"Upgrade: websocket\r\n", "websocket"},
			{"Upgrade: h2cx\r\n", "h2cx"},
			{"Upgrade: xh2c, h2\r\n", "xh2c,h2"},
		} {
			for _, option := range []string{"Upgrade", "Upgrade, HTTP2-Settings", "keep-alive, upgrade"} {
				w := dial(t, port)
				w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: " + option + "\r\n" + row.fields + "HTTP2-Settings: AAMA\r\n\r\n")
				head := await(t, "a head", heads)
				got := strings.Split(head, "|")
				if got[0] != row.wanted || !strings.Contains(got[1], "upgrade") {
					t.Errorf("%q with %q went on as %q", row.fields, option, head)
					w.Close()
					continue
				}
				if strings.Contains(option, "Settings") && got[2] != "" {
					t.Errorf("HTTP2-Settings went on although Connection names it")
				}
				response, err := http.ReadResponse(w.reader, nil)
				if err != nil || response.StatusCode != 101 {
					t.Fatalf("%q: %v, %v; wanted 101", row.fields, response, err)
				}
				w.exchange([]byte("hello"))
				w.Close()
			}
		}
		for _, fields := range []string{"Upgrade: h2c\r\n", "Upgrade: H2C, h2c\r\n", "Upgrade: h2c\r\nUpgrade: h2c\r\n"} {
			w := dial(t, port)
			w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n" + fields + "HTTP2-Settings: AAMA\r\n\r\n")
			w.expectReply("GET", 200, "plain")
			if head := await(t, "a head", heads); head != "||" {
				t.Errorf("%q went on as %q", fields, head)
			}
		}
	})
}

// A tunnel's credentials are passed on by their own name alone, not by one that only folds onto it.
func TestHopFieldsOfATunnelGoByTheirOwnNames(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		seen := p.serveScripts(onPath(port, ""), map[string]string{"a.test:1": counted("403 Forbidden", "")})
		for _, spelling := range spellings("Proxy-Authorization") {
			w := dial(t, port)
			w.send(connect("a.test:1", spelling+": secret"))
			w.expectReply("GET", 403, "")
			w.Close()
			if isPassed := strings.Contains(seen.last(), "secret"); isPassed == strings.Contains(spelling, "_") {
				t.Errorf("%s is passed on: %v", spelling, isPassed)
			}
		}
	})
}
