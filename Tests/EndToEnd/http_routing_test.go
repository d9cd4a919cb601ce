package endtoend

import (
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

func TestHTTPRequestsGoToTheMostSpecificRoute(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		for _, route := range []struct{ domain, path string }{
			{"", "/"}, {"", "/a"}, {"", "/a/b"}, {"", "/long/path"},
			{"example.com", "/"}, {"example.com", "/a"}, {"api.example.com", ""},
			{".wild.example", "/"}, {"only.example", "/only"}, {"Mixed.Example", "/"},
			{fmt.Sprint("ported.example:", port), "/"},
		} {
			p.serve(onHost(port, route.domain, route.path), text(route.domain+" "+route.path))
		}
		for _, row := range []struct{ host, path, wanted string }{
			{"test.example", "/", " /"},
			{"test.example", "/a", " /a"},
			{"test.example", "/ab", " /a"}, // the prefix is compared byte by byte
			{"test.example", "/a/b/c", " /a/b"},
			{"test.example", "/a/?x=/a/b", " /a"},
			{"test.example", "/A", " /"},
			{"test.example", "/%61/x", " /a"},
			{"test.example", "/x/../a", " /a"},
			{"test.example", "/x/%2e%2e/a", " /a"},
			{"test.example", "/./a", " /a"},
			{"test.example", "/a/..", " /"},
			{"example.com", "/", "example.com /"},
			{"example.com", "/a", "example.com /a"},
			{"example.com", "/long/path", "example.com /"}, // the domain goes before the path
			{"EXAMPLE.com", "/", "example.com /"},
			{"example.com.", "/", "example.com /"},
			{"example.com:1234", "/", "example.com /"},
			{"sub.example.com", "/a", "example.com /a"},
			{"api.example.com", "/a", "api.example.com "},
			{"v1.api.example.com:80", "/", "api.example.com "},
			{"notexample.com", "/", " /"}, // whole labels only
			{"a.wild.example", "/", ".wild.example /"},
			{"b.a.wild.example", "/", ".wild.example /"},
			{"wild.example", "/", " /"}, // a leading dot means sub-domains alone
			{"only.example", "/only/x", "only.example /only"},
			{"only.example", "/other", " /"},
			{"mixed.example", "/", "Mixed.Example /"},
			{"ported.example", "/", fmt.Sprintf("ported.example:%d /", port)},
			{"127.0.0.1", "/", " /"},
			{"[::1]:80", "/", " /"},
		} {
			w := dial(t, port)
			w.send("GET " + row.path + " HTTP/1.1\r\nHost: " + row.host + "\r\n\r\n")
			if r := w.reply("GET"); r.StatusCode != 200 || r.body != row.wanted {
				t.Errorf("%s %s went to %d %q, not %q", row.host, row.path, r.StatusCode, r.body, row.wanted)
			}
			w.Close()
		}
	})
}

func TestHTTPAbsoluteTargetReplacesTheHost(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		host := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			io.WriteString(writer, "right "+request.Host)
		})
		p.serve(onHost(port, "right.example", "/a"), host)
		p.serve(onHost(port, "", "/"), text("wrong"))
		w := dial(t, port)
		w.send("GET http://right.example/a HTTP/1.1\r\nHost: wrong.example\r\n\r\n")
		w.expectReply("GET", 200, "right right.example")
		w.send("GET http://right.example:8000/a?b HTTP/1.1\r\nHost: wrong.example\r\n\r\n")
		w.expectReply("GET", 200, "right right.example:8000")
	})
}

func TestHTTPTargetGoesOnAsItWasWritten(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			io.WriteString(writer, request.Method+" "+request.RequestURI)
		}))
		w := dial(t, port)
		for _, target := range []string{
			"/", "/a/../b", "/%61%2F?q=%20&r=/../x", "/a//b", "/?", "/;p=1", "/~x/-_.!$&'()*+,=:@", "/%E2%82%AC",
		} {
			w.get(target, "GET "+target)
		}
		w.send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
		if r := w.reply("OPTIONS"); r.StatusCode != 200 {
			t.Errorf("OPTIONS * is answered with %d %q", r.StatusCode, r.body)
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "PROPFIND", "X-my~method!"} {
			w.send(method + " /m HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
			w.expectReply(method, 200, method+" /m")
		}
	})
}

// threeServices shares one port between /a, /b and /c. Each answers with its name and the rest of the path; /a is slow.
func threeServices(p *proxy) int {
	port := freePort(p.t)
	for _, name := range []string{"a", "b", "c"} {
		name := name
		p.serve(onPath(port, "/"+name+"/"), http.HandlerFunc(
			func(writer http.ResponseWriter, request *http.Request) {
				body, _ := io.ReadAll(request.Body)
				if name == "a" {
					time.Sleep(3 * time.Millisecond)
				}
				fmt.Fprintf(writer, "%s %s %s", name, request.URL.Path, body)
			}))
	}
	return port
}

func TestHTTPEveryRequestOfAConnectionIsRoutedAnew(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := threeServices(p)
		w := dial(t, port)
		for round := 0; round < 60; round++ {
			name := "abc"[round%3 : round%3+1]
			path := fmt.Sprintf("/%s/%d", name, round)
			w.get(path, name+" "+path+" ")
		}
	})
}

func TestHTTPPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := threeServices(p)
		w := dial(t, port)
		var requests strings.Builder
		var wanted []string
		for number := 0; number < 90; number++ {
			name := "abc"[number%3 : number%3+1]
			path := fmt.Sprintf("/%s/%d", name, number)
			body := strings.Repeat("x", number*7)
			switch number % 4 {
			case 0: // a body of known length
				fmt.Fprintf(&requests, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
			case 1: // a chunked body
				fmt.Fprintf(&requests, "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%s",
					path, chunked([]byte(body), 10))
			default:
				body = ""
				fmt.Fprintf(&requests, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
			}
			wanted = append(wanted, name+" "+path+" "+body)
		}
		go io.WriteString(w, requests.String())
		for _, body := range wanted {
			w.expectReply("GET", 200, body)
		}
		w.get("/b/last", "b /b/last ")
	})
}

func TestHTTPRequestsMayArriveByteByByte(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := threeServices(p)
		w := dial(t, port)
		request := "POST /b/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
			chunked([]byte("0123456789abcdef!"), 5, "X-Trailer: 1") + "GET /a/y HTTP/1.1\r\nHost: x\r\n\r\n"
		for _, letter := range request {
			w.send(string(letter))
		}
		w.expectReply("POST", 200, "b /b/x 0123456789abcdef!")
		w.expectReply("GET", 200, "a /a/y ")
	})
}

func TestHTTPManyServicesShareAPort(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		const count = 60
		for index := 0; index < count; index++ {
			name := fmt.Sprintf("/service-%02d", index)
			p.serve(onHost(port, fmt.Sprintf("s%d.example", index%7), name), text(name))
		}
		w := dial(t, port)
		for index := count - 1; index >= 0; index-- {
			name := fmt.Sprintf("/service-%02d", index)
			w.send(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: s%d.example\r\n\r\n", name, index%7))
			w.expectReply("GET", 200, name)
		}
	})
}

func TestHTTP800RequestsOn40ConnectionsTo3Services(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		for _, name := range []string{"a", "b", "c"} {
			name := name
			p.serve(onPath(port, "/"+name), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
				var seed int64
				var size int
				fmt.Sscanf(request.URL.RawQuery, "%d-%d", &seed, &size)
				body, err := io.ReadAll(request.Body)
				if err != nil || string(body) != string(pattern(seed, size)) {
					http.Error(writer, "the body differs", 500)
					return
				}
				writer.Header().Set("X-Service", name)
				writer.Write(pattern(seed+1, size))
			}))
		}
		seed := time.Now().UnixNano()
		t.Logf("seed %d", seed)
		var group sync.WaitGroup
		for connection := 0; connection < 40; connection++ {
			random := rand.New(rand.NewSource(seed + int64(connection)))
			group.Add(1)
			go func() {
				defer group.Done()
				if err := mixedRequests(port, random, 20); err != nil {
					t.Error(err)
				}
			}()
		}
		group.Wait()
	})
}

// mixedRequests makes requests of mixed sizes on one connection.
func mixedRequests(port int, random *rand.Rand, count int) error {
	transport := &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: 2 * patience}
	for number := 0; number < count; number++ {
		name := "abc"[random.Intn(3):][:1]
		size := []int{0, 1, 100, 4000, 70_000, 300_000}[random.Intn(6)]
		seed := random.Int63n(1 << 40)
		body := io.Reader(strings.NewReader(string(pattern(seed, size))))
		if random.Intn(2) == 0 {
			body = io.MultiReader(body) // hides the length, so that it goes in chunks
		}
		url := fmt.Sprintf("http://%s/%s?%d-%d", address(port), name, seed, size)
		response, err := client.Post(url, "application/octet-stream", body)
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return err
		}
		if response.StatusCode != 200 || response.Header.Get("X-Service") != name {
			return fmt.Errorf("%s: %d from %q: %s", url, response.StatusCode, response.Header.Get("X-Service"),
				shorten(string(answer)))
		}
		if diff := difference(answer, pattern(seed+1, size)); diff != "" {
			return fmt.Errorf("%s: the reply: %s", url, diff)
		}
	}
	return nil
}

func TestHTTPEqualRegistrationsShareTheLoad(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		const services, requests = 4, 400
		counts := make([]atomic.Int64, services)
		for index := range counts {
			count := &counts[index]
			p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
				count.Add(1)
				time.Sleep(2 * time.Millisecond)
				io.WriteString(writer, "x")
			}))
		}
		var group sync.WaitGroup
		for worker := 0; worker < 20; worker++ {
			group.Add(1)
			go func() {
				defer group.Done()
				for number := 0; number < requests/20; number++ {
					w, err := net.DialTimeout("tcp", address(port), patience)
					if err != nil {
						t.Error(err)
						return
					}
					w.SetDeadline(time.Now().Add(patience))
					io.WriteString(w, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
					answer, _ := io.ReadAll(w)
					w.Close()
					if !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
						t.Errorf("got %s", shorten(string(answer)))
					}
				}
			}()
		}
		group.Wait()
		for index := range counts {
			if count := counts[index].Load(); count < requests/services/5 {
				t.Errorf("service %d got %d of %d requests", index, count, requests)
			}
		}
	})
}

func TestHTTPClientRightAfterOKIsRouted(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		for round := 0; round < 50; round++ {
			path := fmt.Sprintf("/%d/", round)
			p.serve(onPath(port, path), text(path))
			expectServed(t, port, path, path)
		}
		for round := 0; round < 10; round++ {
			port := freePort(t)
			p.serve(onPath(port, "/"), text("new port"))
			expectServed(t, port, "/", "new port")
		}
	})
}

func TestHTTPUnknownRouteIsNotFoundAtOnce(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onHost(port, "known.example", "/known"), text("known"))
		for _, row := range []struct{ host, path string }{{"known.example", "/"}, {"other.example", "/known"}} {
			w := dial(t, port)
			w.send("GET " + row.path + " HTTP/1.1\r\nHost: " + row.host + "\r\n\r\n")
			r := w.reply("GET")
			if r.StatusCode != 404 || !strings.Contains(r.body, "no service is registered for this host and path") {
				t.Errorf("%v: got %d %q", row, r.StatusCode, r.body)
			}
		}
		// The refusal of one request is not the end of its connection, as long as its body can be told from the next request.
		w := dial(t, port)
		w.send("GET / HTTP/1.1\r\nHost: nobody\r\n\r\n")
		if r := w.expectReply("GET", 404, "*"); !r.Close {
			w.send("GET /known HTTP/1.1\r\nHost: known.example\r\n\r\n")
			w.expectReply("GET", 200, "known")
		}
	})
}

// countingListener counts the streams.
type countingListener struct {
	*service.Listener
	accepted atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	stream, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return stream, err
}

func TestHTTPEveryRequestTakesAFreshStream(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		listener := &countingListener{Listener: p.listen(onPath(port, "/"))}
		serveHTTP(listener, text("x"))
		w := dial(t, port)
		for number := 0; number < 20; number++ {
			w.get("/", "x")
		}
		if streams := listener.accepted.Load(); streams != 20 {
			t.Errorf("20 requests took %d streams", streams)
		}
		eventually(t, "the streams are closed on both sides", func() bool { return listener.Streams() == 0 })
	})
}

func TestHTTPStreamsAreReusedIfTheServiceSaysSo(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		definition := onPath(port, "/")
		definition.Attributes = map[string]string{"reuse-streams": "true", "unknown": "is ignored"}
		listener := &countingListener{Listener: p.listen(definition)}
		// Only on a connection whose reads can be woken does net/http get to a second request.
		serveHTTP(service.Waking(listener), digest())
		w := dial(t, port)
		for number := 0; number < 20; number++ {
			w.get("/", digestOf("GET", nil))
		}
		if streams := listener.accepted.Load(); streams >= 20 {
			t.Errorf("20 requests one after another took %d streams", streams)
		}
		body := pattern(1, 100_000)
		w.send(fmt.Sprintf("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		w.expectReply("PUT", 200, digestOf("PUT", body))
	})
}
