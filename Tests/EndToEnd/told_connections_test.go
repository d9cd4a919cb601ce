package endtoend

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func TestEachConnectionThatIsEndedIsToldOf(t *testing.T) {
	p := onceWaiting(t, append([]string{"--tls-handshake-timeout", "4s"}, shortTimes...)...)
	certificate := issue("p256", "a.example")
	// secured is a client of a service by TLS.
	secured := func(act func(t *testing.T, port int)) func(*testing.T, *proxy, int) {
		return func(t *testing.T, p *proxy, port int) {
			p.serve(certificate.with(onPath(port, "/a")), text("a"))
			act(t, port)
		}
	}
	// shaking makes a handshake with some change that lets it fail.
	shaking := func(change func(*tls.Config)) func(*testing.T, *proxy, int) {
		return secured(func(t *testing.T, port int) {
			config := secure("a.example")
			change(config)
			if _, err := trySecure(port, config); err == nil {
				t.Error("it is served")
			}
		})
	}
	// words are what a client says that is no handshake.
	words := func(text string) func(*testing.T, *proxy, int) {
		return secured(func(t *testing.T, port int) {
			w := dial(t, port)
			w.send(text)
			io.Copy(io.Discard, w)
		})
	}
	expectTold(t, p, []turnedAway{
		{"version", shaking(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }),
			`TLS handshake failed, the client speaks no version as new as --tls-min 1.2`, "TLS no version"},
		{"suite", shaking(func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
		}), `TLS handshake failed, there was no cipher suite, curve or`, "TLS no suite"},
		{"protocol", shaking(func(c *tls.Config) { c.NextProtos = []string{"h2"} }),
			`TLS handshake failed, the client wanted another protocol`, "TLS no protocol"},
		{"trust", shaking(func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }),
			`TLS handshake failed, the client gave up by an alert`, "TLS given up"},
		{"no TLS", words("SSH-2.0-x\r\n"), `TLS handshake failed, the client did not speak TLS`, "TLS not spoken"},
		{"plain HTTP", words("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), `request got 400, it came without TLS`,
			"400 without TLS"},
		{"TLS broken", words("\x16\x03\x01\x00\x04\x01\x00\x00\x00"), `TLS handshake failed, what the client said`,
			"TLS broken"},
		{"slow", words("\x16\x03\x01"), `TLS handshake failed, it took longer than --tls-handshake-timeout 4s`,
			"TLS too slow"},
		{"records", secured(func(t *testing.T, port int) {
			plain := dial(t, port)
			secure := tls.Client(plain, secure("a.example"))
			if err := secure.Handshake(); err != nil {
				t.Error(err)
			}
			plain.send("\x17\x03\x03\x00\x20" + strings.Repeat("x", 32))
		}), `connection was closed, its records of TLS were broken`, "closed bad records"},
		{"stalled relay", func(t *testing.T, p *proxy, port int) {
			p.serveStreams(raw(port), func(stream net.Conn) { flood(stream, 1, 1000000000, 256<<10) })
			w := dial(t, port)
			w.CloseWrite()
		}, `connection was reset, one side had ended`, "reset stalled relay"},
	})
	isLeft := func() bool {
		figures := figuresIn(p.figures(`now: `))
		causes := 0
		for _, cause := range []string{"TLS no version", "TLS no suite", "TLS no protocol", "TLS given up",
			"TLS not spoken", "TLS too slow", "TLS left", "TLS broken", "TLS too many", "TLS no memory",
			"TLS no certificate", "TLS stopping"} {
			causes += figures[cause]
		}
		return causes == figures["handshakes failed"]
	}
	t.Cleanup(func() {
		if !isLeft() {
			t.Errorf("causes of failed handshakes do not add up")
		}
	})
}

func TestRelaysAndRepliesThatAreIdleAreToldOf(t *testing.T) {
	p := onceWaiting(t, "--relay-idle-timeout", "500ms")
	expectTold(t, p, []turnedAway{
		{"relay", func(t *testing.T, p *proxy, port int) {
			p.serveStreams(raw(port), echoStream)
			dial(t, port)
		}, `connection was closed, nothing moved for --relay-idle-timeout 500ms`, "closed idle relay"},
		{"reply", meeting(saying(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 0),
			`reply was cut, nothing moved for --relay-idle-timeout 500ms`, "cut idle reply"},
	})
}

func TestWhoFindsTooManyWaitingIsToldOf(t *testing.T) {
	const tail = " HTTP/1.1\r\nHost: x\r\n"
	crowded := func(definition func(port int) turnedAwayRoute, request string, size int, isHTTP bool) func(*testing.T, *proxy, int) {
		return func(t *testing.T, p *proxy, port int) {
			p.serve(onPath(port, "/stays"), text("stays"))
			from := p.stderr.count()
			definition(port)(p)
			p.awaitLog(fmt.Sprintf(`held: .*:%d for `, port), from)
			said := request + strings.Repeat("x", size)
			dial(t, port).send(said)
			eventually(t, "the first one waits", func() bool {
				figures := p.figures(fmt.Sprintf(`notice on 127\.0\.0\.1:%d: `, port))
				return strings.Contains(figures, fmt.Sprintf("waiting 1 with %d bytes", len(said)))
			})
			w := dial(t, port)
			w.send(said)
			if isHTTP {
				w.expectReply("GET", 503, "*")
			} else {
				w.expectClosed()
			}
		}
	}
	post := "POST /a" + tail + "Content-Length: 40000\r\n\r\n"
	t.Run("count", func(t *testing.T) {
		expectTold(t, onceWaiting(t, "--hold-limit", "1"), []turnedAway{
			{"request", crowded(webRoute, "GET /a"+tail+"\r\n", 0, true),
				`request got 503, too many clients waited for services; look at --hold-limit 1`, "503 hold limit"},
			{"raw", crowded(rawRoute, "\x00", 0, false),
				`connection was closed, too many clients waited for services; look at --hold-limit 1`, "closed hold limit"},
		})
	})
	t.Run("bytes", func(t *testing.T) {
		expectTold(t, onceWaiting(t, "--hold-bytes", "64k"), []turnedAway{
			{"request", crowded(webRoute, post, 40000, true),
				`request got 503, waiting clients had said too much; look at --hold-bytes 64k`, "503 hold bytes"},
			{"raw", crowded(rawRoute, "\x00", 40000, false),
				`connection was closed, waiting clients had said too much; look at --hold-bytes 64k`, "closed hold bytes"},
		})
	})
}

// A client that says nothing at first is one of the raw routes', and there is none any more.
func TestRawClientsWithoutARouteAreToldOf(t *testing.T) {
	p := onceWaiting(t, "--hold", "0s")
	for began := time.Now(); ; {
		port := freePort(t)
		p.serve(onPath(port, "/a"), text("a"))
		service := p.serveStreams(raw(port), echoStream)
		from, dialed := p.stderr.count(), time.Now()
		w := dial(t, port)
		eventually(t, "the client is there", func() bool { return p.figure("connections") == 1 })
		service.Close()
		p.awaitLog(sessionLost, from)
		if time.Since(dialed) > 800*time.Millisecond && time.Since(began) < patience {
			// Its second of silence may have been over before: the raw service had it.
			w.Close()
			eventually(t, "the client has gone", func() bool { return p.figure("connections") == 0 })
			continue
		}
		w.expectEnd()
		p.expectTold(port, `connection was closed, no route for raw connections`, "closed no route")
		return
	}
}

func TestClientsThatHoldTooMuchAreToldOf(t *testing.T) {
	p := once(t, "--buffer-limit", "1m")
	port := freePort(t)
	p.serveStreams(onPath(port, "/a"), floodAfterHead)
	// The kernel takes some of what each of them has to be sent.
	for client := 0; client < 150; client++ {
		w := dial(t, port)
		w.SetReadBuffer(4096)
		w.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	p.awaitLog(`failed on 127.0.0.1:.* reset, (it|they) held more bytes than others and took none; look at --buffer-limit 1m`, 0)
	if p.figureOn(port, "reset over limit") == 0 {
		t.Error("nobody is counted")
	}
}

func TestClientsThatWaitForASlotAreToldOf(t *testing.T) {
	eachWaiting(t, []string{"--max-connections", "4"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveStreams(raw(port), echoStream)
		var open []*wire
		for client := 0; client < 4; client++ {
			w := dial(t, port)
			w.send("x")
			w.expect("x")
			open = append(open, w)
		}
		w := dial(t, port)
		next := p.awaitLog(`warning all 4 connections of --max-connections are in use, new clients wait`, 0)
		w.send("y")
		w.expectSilence()
		open[0].Close()
		open[1].Close()
		w.expect("y")
		p.awaitLog(`notice new clients are let in again after `, next)
		if p.figureOn(port, "waited for a slot") == 0 || p.figure("pauses at --max-connections") == 0 {
			t.Error("nobody is counted")
		}
	})
}

func TestClientsThatTheKernelDoesNotLetInAreToldOf(t *testing.T) {
	p := onceWaiting(t, "--reactors", "1", "--max-connections", "2")
	port := freePort(t)
	p.serveStreams(raw(port), echoStream)
	// An accept keeps the limit with which it was begun: this makes the next one begin.
	first, second, third := dial(t, port), dial(t, port), dial(t, port)
	p.awaitLog(`all 2 connections of --max-connections`, 0)
	before := p.limitDescriptors(t, 3)
	first.Close()
	second.Close()
	third.send("x")
	third.expect("x")
	w := dial(t, port)
	next := p.awaitLog(`warning new clients wait, .*Too many open files; .*LimitNOFILE`, 0)
	p.limitDescriptors(t, before)
	w.send("y")
	w.expect("y")
	p.awaitLog(`notice new clients are let in again after `, next)
	if p.figure("pauses by errors") == 0 {
		t.Error("no pause is counted")
	}
}

// limitDescriptors sets the soft limit of the running program, and returns what it was.
func (p *proxy) limitDescriptors(t *testing.T, count uint64) uint64 {
	t.Helper()
	var before syscall.Rlimit
	limit := func(new, old *syscall.Rlimit) {
		_, _, number := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(p.command.Process.Pid), syscall.RLIMIT_NOFILE,
			uintptr(unsafe.Pointer(new)), uintptr(unsafe.Pointer(old)), 0, 0)
		if number != 0 {
			t.Fatal(os.NewSyscallError("prlimit", number))
		}
	}
	limit(nil, &before)
	limit(&syscall.Rlimit{Cur: count, Max: before.Max}, nil)
	return before.Cur
}

// A proxy that stops tells of those whom that has cost something, up to the end.
func TestClientsThatAStopTurnsAwayAreToldOf(t *testing.T) {
	p := onceWaiting(t, "--drain", "6s", "--tls-handshake-timeout", "30s")
	port, rawPort, tlsPort := freePort(t), freePort(t), freePort(t)
	p.serve(onPath(port, "/stays"), text("stays"))
	p.serve(onPath(port, "/a"), text("a")).Close()
	p.serveStreams(raw(rawPort), echoStream)
	p.serve(issue("p256", "a.example").with(onPath(tlsPort, "")), text("a"))
	p.awaitLog(`held: `, 0)
	waiting, relayed, shaking := dial(t, port), dial(t, rawPort), dial(t, tlsPort)
	waiting.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	relayed.send("x")
	relayed.expect("x")
	shaking.send(string(captureHello(t)))
	shaking.reader.ReadByte()
	p.awaitWaiting(1)
	p.dead = true
	p.signal(syscall.SIGTERM)
	waiting.expectReply("GET", 503, "*")
	shaking.SetReadDeadline(time.Now().Add(patience))
	io.Copy(io.Discard, shaking)
	for name, wanted := range map[string]int{"handshakes failed": 1, "TLS too slow": 0, "TLS stopping": 1} {
		if count := figuresIn(p.figures(`now: `))[name]; count != wanted {
			t.Errorf("%q is %d, wanted %d", name, count, wanted)
		}
	}
	if code := p.exitCode(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	for port, line := range map[int]string{
		port: `1 request got 503, .*the proxy stops`, tlsPort: `1 TLS handshake failed, the proxy stops`,
		rawPort: `1 connection was cut off, it had not ended within --drain 6s`,
	} {
		p.awaitLog(fmt.Sprintf(`failed on 127\.0\.0\.1:%d: %s`, port, line), 0)
	}
}
