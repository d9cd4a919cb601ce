package endtoend

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// once runs a test that does not depend on reactors in the plain variant alone.
func once(t *testing.T, flags ...string) *proxy {
	return startProxy(t, plain.with(flags)...)
}

// onceWaiting is once beside others.
func onceWaiting(t *testing.T, flags ...string) *proxy {
	t.Parallel()
	return once(t, flags...)
}

func TestRegistrationAtTheBoundsIsAccepted(t *testing.T) {
	p := once(t)
	attributes := map[string]string{}
	for index := 0; index < 63; index++ {
		attributes[fmt.Sprint("name", index)] = strings.Repeat("v", 64)
	}
	attributes["name"] = "at the bounds"
	label := strings.Repeat("a", 61)
	suffix := strings.Repeat(label+".", 4) + "aaaaa" // 253 bytes
	port := freePort(t)
	prefix := "/" + strings.Repeat("p", 8191)
	definition := onHost(port, suffix, prefix)
	definition.Attributes = attributes
	p.serve(definition, text("bounds"))
	w := dial(t, port)
	w.send("GET " + prefix + "/x HTTP/1.1\r\nHost: " + suffix + "\r\n\r\n")
	w.expectReply("GET", 200, "bounds")
}

func TestRegistrationTellsThePortAndTheReactors(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			p := startProxy(t, v.flags...)
			definition := onPath(0, "/")
			definition.Attributes = map[string]string{"name": "x", "nobody-knows": "this"}
			listener := p.serve(definition, text("any port"))
			var port int
			fmt.Sscan(listener.Attributes["port"], &port)
			if port < 1 || port > 65535 {
				t.Fatalf("the attributes are %v", listener.Attributes)
			}
			if listener.Attributes["reactors"] != v.flags[1] {
				t.Errorf("%q reactors, wanted %s", listener.Attributes["reactors"], v.flags[1])
			}
			if _, echoed := listener.Attributes["nobody-knows"]; echoed {
				t.Errorf("an unknown attribute is echoed: %v", listener.Attributes)
			}
			expectServed(t, port, "/", "any port")
		})
	}
}

func TestRegistrationAddresses(t *testing.T) {
	p := once(t)
	for _, row := range []struct {
		address string
		dial    []string
	}{
		{"", []string{"127.0.0.1", "[::1]"}},
		{"localhost", []string{"127.0.0.1"}},
		{"127.0.0.1", []string{"127.0.0.1"}},
		{"0.0.0.0", []string{"127.0.0.1"}},
		{"::", []string{"[::1]"}},
		{"::1", []string{"[::1]"}},
		{"[::1]", []string{"[::1]"}},
		{"0:0:0:0:0:0:0:1", []string{"[::1]"}},
		{"127.0.0.2", []string{"127.0.0.2"}},
	} {
		port := freePort(t)
		definition := onPath(port, "/")
		definition.Address = row.address
		p.serve(definition, text("at "+row.address))
		for _, host := range row.dial {
			response, err := client(t).Get(fmt.Sprintf("http://%s:%d/", host, port))
			if err != nil {
				t.Errorf("%q at %s: %v", row.address, host, err)
				continue
			}
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if string(body) != "at "+row.address {
				t.Errorf("%q at %s is answered with %q", row.address, host, body)
			}
		}
	}
}

func TestRegistrationsOfOneAddressWrittenDifferentlyShareItsListener(t *testing.T) {
	p := once(t)
	port := freePort(t)
	for index, address := range []string{"::1", "[::1]", "0:0::1"} {
		definition := onPath(port, fmt.Sprint("/", index))
		definition.Address = address
		p.serve(definition, text(address))
	}
	for index, address := range []string{"::1", "[::1]", "0:0::1"} {
		response, err := client(t).Get(fmt.Sprintf("http://[::1]:%d/%d", port, index))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if string(body) != address {
			t.Errorf("%q answers for %q", body, address)
		}
	}
}

func TestRegistrationMayArriveInAnyPieces(t *testing.T) {
	p := once(t)
	port := freePort(t)
	for what, pieces := range map[string]int{"byte by byte": 1, "in threes": 3, "at once": 1 << 20} {
		connection, err := service.Dial(p.control)
		if err != nil {
			t.Fatal(err)
		}
		definition := onPath(port, "/"+fmt.Sprint(pieces))
		for rest := definition.Encode(); len(rest) > 0; {
			count := pieces
			if count > len(rest) {
				count = len(rest)
			}
			connection.Write(rest[:count])
			rest = rest[count:]
		}
		if _, err := service.ReadResponse(connection, false); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		listener, err := service.Serve(connection)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		serveHTTP(listener, text(what))
		expectServed(t, port, fmt.Sprint("/", pieces), what)
	}
}

func TestRegistrationMayBeFollowedByFramesAtOnce(t *testing.T) {
	p := once(t)
	port := freePort(t)
	connection, err := service.Dial(p.control)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(patience))
	ping := service.Frame{Type: service.TypePing, Flags: service.FlagSYN, Length: 4711}
	connection.Write(append(raw(port).Encode(), ping.Header()...))
	if _, err := service.ReadResponse(connection, false); err != nil {
		t.Fatal(err)
	}
	peer := &peer{t, &service.Peer{Conn: connection}}
	peer.await("the answer to the ping", func(frame service.Frame) bool {
		return frame.Type == service.TypePing && frame.Flags&service.FlagACK != 0 && frame.Length == 4711
	})
	dial(t, port)
	peer.awaitStream()
}

func TestRegistrationAtAUnixSocket(t *testing.T) {
	path := t.TempDir() + "/control"
	p := once(t, "--bind", "unix:"+path)
	p.awaitControl("unix:" + path)
	listener, err := service.Listen("unix:"+path, onPath(freePort(t), "/"))
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	port := freePort(t)
	p.control = "unix:" + path
	p.serve(onPath(port, "/"), text("by a path"))
	expectServed(t, port, "/", "by a path")
}

func TestRegistrationsAtManyControlAddresses(t *testing.T) {
	other := fmt.Sprint("127.0.0.1:", freePort(t))
	p := once(t, "--bind", other)
	port := freePort(t)
	p.serve(onPath(port, "/a"), text("a"))
	p.awaitControl(other)
	p.control = other
	p.serve(onPath(port, "/b"), text("b"))
	expectServed(t, port, "/a", "a")
	expectServed(t, port, "/b", "b")
}

func TestRegistrationAndItsEndAreLogged(t *testing.T) {
	p := onceWaiting(t, "--hold", "300ms")
	port := freePort(t)
	from := p.stderr.count()
	listener := p.serve(onHost(port, "logged.example", "/path"), text("x"))
	p.awaitLog(`(?i)listener.*opened|opened.*listener`, from)
	p.awaitLog(`(?i)registered.*logged\.example|logged\.example.*registered`, from)
	p.expectRefused("a bad one", head("nowhere.example", port, 0))
	p.awaitLog(`(?i)refused`, from)
	listener.Close()
	p.awaitLog(sessionLost, from)
	p.awaitLog(`(?i)held`, from)
	p.awaitLog(`(?i)released|given up|hold.*(over|ended)|no longer held`, from)
	p.awaitLog(listenerClosed, from)
}
