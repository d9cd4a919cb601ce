package endtoend

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// The pages beside the metrics: who gets them, and what they say.

// following is a stream of events.
type following struct {
	reader *bufio.Reader
	leave  func()
}

func (o *observed) follow() *following {
	t := o.t
	t.Helper()
	limit, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(limit, "GET", "http://"+o.figuresAt+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Transport{}).RoundTrip(request)
	if err != nil || response.StatusCode != 200 || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatal(response, err)
	}
	f := &following{bufio.NewReaderSize(response.Body, 1<<20), cancel}
	if greeting, err := f.reader.ReadString('\n'); err != nil || !strings.HasPrefix(greeting, "retry: ") {
		t.Fatalf("a stream begins with %q, %v", greeting, err)
	}
	f.reader.ReadString('\n')
	return f
}

// next is the status in the next event.
func (f *following) next(t *testing.T) *status {
	t.Helper()
	for {
		name, err := f.reader.ReadString('\n')
		if strings.HasPrefix(name, ":") {
			f.reader.ReadString('\n')
			continue // nothing but life
		}
		data, _ := f.reader.ReadString('\n')
		empty, _ := f.reader.ReadString('\n')
		if err != nil || name != "event: status\n" || !strings.HasPrefix(data, "data: {") || empty != "\n" {
			t.Fatalf("no event: %q %s %q, %v", name, shorten(data), empty, err)
		}
		read, err := readStatus(strings.TrimPrefix(data, "data: "))
		if err != nil {
			t.Fatal(err)
		}
		return read
	}
}

// until waits for an event in which a route is so.
func (f *following) until(t *testing.T, port int, path, what string, isSo func(route *statusRoute) bool) {
	t.Helper()
	// One comes each second.
	for tries := 0; tries < 2*int(patience.Seconds()); tries++ {
		s := f.next(t)
		var found *statusRoute
		for index := range s.Routes {
			if s.Routes[index].Listener == address(port) && s.Routes[index].Path == path {
				found = &s.Routes[index]
			}
		}
		if isSo(found) {
			return
		}
	}
	t.Fatal("no event says that " + what)
}

func TestEventsTellOfARouteThatComesIsHeldAndReturns(t *testing.T) {
	eachObserved(t, nil, func(t *testing.T, o *observed) {
		port := freePort(t)
		f, leaving := o.follow(), o.follow()
		f.until(t, port, "/", "it is not there", func(r *statusRoute) bool { return r == nil })
		first := o.serve(onPath(port, "/"), text("first"))
		isServed := func(r *statusRoute) bool { return r != nil && r.State == "served" && r.Sessions == 1 }
		f.until(t, port, "/", "it is served", isServed)
		// Who leaves takes nothing from others.
		leaving.next(t)
		leaving.leave()
		o.endSession(first)
		w := dial(t, port)
		w.send("GET /" + tail + "\r\n")
		f.until(t, port, "/", "it is held", func(r *statusRoute) bool {
			return r != nil && r.State == "held" && r.Sessions == 0 && r.Waiting == 1 && r.Open == 1 && r.HoldLeftSeconds > 0 &&
				r.HeldSeconds >= 0
		})
		o.serve(onPath(port, "/"), text("second"))
		w.expectReply("GET", 200, "second")
		f.until(t, port, "/", "it is served again", func(r *statusRoute) bool {
			return isServed(r) && r.Waiting == 0 && r.Open == 0 && r.Released == 1 && r.Replies["2xx"] == 1 && r.HeldSeconds == 0
		})
	})
}

// A balancer must not send anybody to a proxy that ends, and must not have it killed either.
func TestReadinessEndsWithTheFirstSignal(t *testing.T) {
	eachObserved(t, []string{"--drain", "30s"}, func(t *testing.T, o *observed) {
		port := freePort(t)
		request := o.beginRequest(port)
		ready := func() (status int) {
			status, _, err := o.tryFetch("/readyz")
			if err != nil {
				t.Fatal(err)
			}
			return status
		}
		if status := ready(); status != 200 || o.fetch("/healthz") == "" {
			t.Errorf("readiness is %d", status)
		}
		f := o.follow()
		f.next(t)
		o.dead = true
		o.signal(syscall.SIGTERM)
		eventually(t, "it is not ready", func() bool { return ready() == 503 })
		for round := 0; round < 3; round++ {
			o.fetch("/healthz")
			if status := ready(); status != 503 {
				t.Errorf("readiness is %d again", status)
			}
		}
		e := o.scrape()
		if e.sum("socketmaster_ready") != 0 || e.sum("socketmaster_draining") != 1 || e.sum("socketmaster_requests_open") != 1 {
			t.Errorf("ready %v, draining %v, %v requests", e.sum("socketmaster_ready"), e.sum("socketmaster_draining"),
				e.sum("socketmaster_requests_open"))
		}
		eventually(t, "an event tells of the drain", func() bool { s := f.next(t); return s.Program.Draining && !s.Program.Ready })
		// Neither a stream of events nor anybody who is connected keeps it from its end.
		dial(t, portOf(o.figuresAt))
		request.end()
		if code := o.exitCode(); code != 0 {
			t.Errorf("it ended with %d", code)
		}
	})
}

// portOf is the port of an address.
func portOf(at string) (port int) {
	fmt.Sscanf(at[strings.LastIndex(at, ":"):], ":%d", &port)
	return port
}

// A page of somebody else can make a browser look its own name up as our address.
func TestFiguresAreForNamesOfOursAlone(t *testing.T) {
	o := observe(t, plain.with([]string{"--metrics-host", "Proxy.Example", "--metrics-host", "other.example"})...)
	port := portOf(o.figuresAt)
	for host, status := range map[string]int{
		"evil.example": 421, "proxy.example.evil.example": 421, "evil.example:" + portText(port): 421, "xlocalhost": 421,
		"127.0.0.1.evil.example": 421, "[proxy.example]": 421, "": 421, "proxy.example:x": 421,
		"proxy.example": 200, "PROXY.example:" + portText(port): 200, "other.example": 200, "localhost": 200,
		"localhost:1": 200, "127.0.0.1": 200, o.figuresAt: 200, "192.0.2.7:80": 200, "[::1]": 200, "[2001:db8::1]:9": 200,
	} {
		for _, path := range []string{"/metrics", "/healthz", "/status.json", "/"} {
			w := dial(t, port)
			w.send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
			if r := w.reply("GET"); r.StatusCode != status || r.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%q gets %d %s, wanted %d", host, r.StatusCode, shorten(r.body), status)
			}
			w.Close()
		}
	}
	for request, status := range map[string]int{
		"GET /metrics HTTP/1.1\r\n\r\n": 400, "GET /metrics HTTP/1.0\r\n\r\n": 200,
		"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n": 400, "GE(T / HTTP/1.1\r\n\r\n": 400,
		"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n": 404, "GET /metrics?x HTTP/1.1\r\nHost: localhost\r\n\r\n": 200,
		"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 20_000) + "\r\n\r\n": 431,
	} {
		w := dial(t, port)
		w.send(request)
		if r := w.reply("GET"); r.StatusCode != status {
			t.Errorf("%s gets %d %s, wanted %d", shorten(request), r.StatusCode, shorten(r.body), status)
		}
		w.Close()
	}
}

func TestFiguresCanBeReadAndNotChanged(t *testing.T) {
	o := observe(t, plain.with(nil)...)
	for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/status.json", "/events"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} {
			w := dial(t, portOf(o.figuresAt))
			w.send(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
			if r := w.reply(method); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s gets %d, Allow: %q", method, path, r.StatusCode, r.Header.Get("Allow"))
			}
			w.Close()
		}
		w := dial(t, portOf(o.figuresAt))
		// The next one on the same connection tells whether anything came behind the head.
		w.send("HEAD " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		w.expectReply("HEAD", 200, "")
		w.expectReply("GET", 200, "*")
		w.Close()
	}
}

func TestFlagsOfFiguresAreRefusedWithASentence(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	inUse, control := taken.Addr().String(), address(freePort(t))
	free := address(freePort(t))
	for _, row := range []struct {
		flags []string
		code  int
		words string
	}{
		{[]string{"--metrics", inUse}, temporary, "cannot listen on " + inUse + ": the address is in use, perhaps by another " +
			"socketmaster; stop it or choose another --metrics."},
		{[]string{"--metrics", control}, temporary, "the address is in use"},
		{[]string{"--metrics", "203.0.113.5:9"}, configuration, "the address is not one of this machine; choose another --metrics."},
		{[]string{"--metrics", "unix:/tmp/figures"}, usage, "figures are told at ADDRESS:PORT; it is no unix socket"},
		{[]string{"--metrics", "unix:@figures"}, usage, "figures are told at ADDRESS:PORT; it is no unix socket"},
		{[]string{"--metrics", "127.0.0.1"}, usage, "--metrics"},
		{[]string{"--metrics", "127.0.0.1:99999"}, usage, "--metrics"},
		{[]string{"--metrics", "localhost:x"}, usage, "--metrics"},
		{[]string{"--metrics", free, "--metrics", free}, usage, "--metrics is given twice; give it once"},
		{[]string{"--metrics-host", "proxy.example"}, usage,
			"--metrics-host has no effect without --metrics; give both, or neither"},
		{[]string{"--metrics-routes", "16385"}, usage, "--metrics-routes is a number from 0 to 16384, not 16385"},
		{[]string{"--metrics-routes", "-1"}, usage, "--metrics-routes is a number from 0 to 16384, not -1"},
		{[]string{"--metrics-routes", "many"}, usage, "--metrics-routes"},
	} {
		p := startProcess(t, program(), append([]string{"--bind", control}, row.flags...)...)
		if code := p.exitCode(); code != row.code {
			t.Errorf("%q: exit code %d", row.flags, code)
		}
		expectSentence(t, fmt.Sprint(row.flags), p, row.words)
	}
}

func TestFiguresOnALowPortTakeAPermission(t *testing.T) {
	first, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil || strings.TrimSpace(string(first)) != "1024" || os.Getuid() != 0 {
		t.Skip("here everybody may, or nobody can become somebody who may not")
	}
	user := []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", program()}
	if !reaches(user) {
		t.Skip("nobody else can run the program from here")
	}
	p := startProcess(t, user[0], append(user[1:], "--bind", address(freePort(t)), "--metrics", "127.0.0.1:81")...)
	if code := p.exitCode(); code != noPermission {
		t.Errorf("exit code %d", code)
	}
	expectSentence(t, "a low port", p, "cannot listen on 127.0.0.1:81", "choose a port above 1023", "CAP_NET_BIND_SERVICE")
}
