package endtoend

import (
	"fmt"
	"testing"

	"socketmaster/endtoend/service"
)

// A limit on descriptors that leaves few ports.
func startWithFewPorts(t *testing.T) *proxy {
	t.Helper()
	limited := []string{"bash", "-c", `ulimit -n 1024; exec "$0" "$@"`, program()}
	return startProxyBy(t, limited, "--reactors", "1")
}

func openAndLeave(t *testing.T, p *proxy, definition service.Definition) {
	t.Helper()
	connection, err := service.Dial(p.control)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := service.Register(connection, definition); err != nil {
		t.Fatalf("%+v: %v", definition, err)
	}
}

func TestPortsThatOneClientOpensAndLeavesAreThereForOthers(t *testing.T) {
	t.Parallel()
	for name, definition := range map[string]func() service.Definition{
		"that nobody has named": func() service.Definition { return raw(0) },
		"that are named":        func() service.Definition { return raw(freePort(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			p := startWithFewPorts(t)
			for round := 0; round < 200; round++ {
				openAndLeave(t, p, definition())
			}
			port := freePort(t)
			p.serve(onPath(port, "/"), text("served"))
			expectServed(t, port, "/", "served")
		})
	}
}

// The client library asks for the port that it got; until it is back its clients wait.
func TestAPortThatNobodyHasNamedIsHeldForItsService(t *testing.T) {
	p := onceWaiting(t)
	definition := onPath(0, "/")
	definition.Attributes = map[string]string{}
	listener := p.listen(definition)
	port := 0
	fmt.Sscan(listener.Attributes["port"], &port)
	from := p.stderr.count()
	listener.Close()
	p.awaitLog(sessionLost, from)
	client := dial(t, port)
	client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	p.awaitWaiting(1)
	p.serve(onPath(port, "/"), text("back"))
	client.expectReply("GET", 200, "back")
}
