package endtoend

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every domain is published with every path, on every port, and nothing else is.
func TestPublishOfSeveralDomainsPathsAndPorts(t *testing.T) {
	p := startProxy(t, "--reactors", "1")
	one, two := freePort(t), freePort(t)
	running := publish(t, p.control, "--port", portText(one), "--port="+portText(two), "--domain", "a.test", "--domain",
		"b.test", "--path", "/x", "--path", "/y", "--to", target(t, text("here")))
	for count, from := 0, 0; count < 8; count++ {
		from = running.stderr.find(published, from) + 1
	}
	for _, port := range []int{one, two} {
		for host, paths := range map[string]map[string]int{
			"a.test": {"/x": 200, "/y": 200, "/z": 404}, "b.test": {"/x": 200, "/y": 200}, "c.test": {"/x": 404},
		} {
			for path, status := range paths {
				w := dial(t, port)
				w.send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
				if got := w.reply("GET").StatusCode; got != status {
					t.Errorf("%s%s on %d gives %d", host, path, port, got)
				}
			}
		}
	}
}

// expectRefused starts publish, which must end with 64 and say so.
func expectRefused(t *testing.T, control, says string, flags ...string) {
	t.Helper()
	running := publish(t, control, flags...)
	code := running.exitCode()
	if said := running.stderr.whole(); code != 64 || !strings.Contains(said, says) {
		t.Errorf("%q ended with %d and said %q", flags, code, said)
	}
}

func TestPublishRefusesWhatItWouldForget(t *testing.T) {
	control, to := "127.0.0.1:1", "127.0.0.1:2"
	for flag, value := range map[string]string{
		"--to": to, "--address": "127.0.0.1", "--cert": "x", "--key": "x", "--name": "n", "--sessions": "1", "--drain": "1s",
		"--wait-timeout": "1s", "--target-timeout": "1s", "--log-level": "info", "--proxy": control,
	} {
		expectRefused(t, control, flag+" is given twice", "--port", "80", "--to", to, "--cert", "x", "--key", "x",
			"--wait-for-target", "--wait-timeout", "1s", flag, value, flag+"="+value)
	}
	expectRefused(t, control, "Port 80 is given twice", "--port", "80", "--port", "80", "--to", to)
	expectRefused(t, control, "the domain a.Test and the path /x is given twice", "--port", "80", "--domain", "A.test",
		"--domain", "a.Test", "--path", "/x", "--to", to)
	expectRefused(t, control, "name the port", "--port", "0", "--path", "/a", "--path", "/b", "--to", to)
	many := []string{"--port", "80", "--to", to}
	for count := 0; count < 9; count++ {
		many = append(many, "--domain", "d"+portText(count), "--path", "/"+portText(count))
	}
	expectRefused(t, control, "more than 64 registrations", many...)
	expectRefused(t, control, "must be greater than 0", "--port", "80", "--to", to, "--target-timeout", "0s")
	// What belongs to the command is the command's.
	ended := publish(t, startProxy(t).control, "--port", "0", "--to", address(freePort(t)), "--", "sh", "-c", "exit 3",
		"--to", "--to")
	if code := ended.exitCode(); code != 3 {
		t.Errorf("it ended with %d", code)
	}
}

func TestTheProxyRefusesFlagsThatItWouldForget(t *testing.T) {
	for flag, value := range map[string]string{"--hold": "1s", "--reactors": "1", "--drain": "1s", "--head-limit": "8k"} {
		running := startProcess(t, program(), flag, value, flag+"="+value, "--print-limits")
		if code := running.exitCode(); code != 64 || running.stderr.find(flag+" is given twice", 0) < 0 {
			t.Errorf("%s twice: it ended with %d and said %q", flag, code, running.stderr.whole())
		}
	}
	many := startProcess(t, program(), "--bind", "127.0.0.1:1", "--bind", "127.0.0.1:2", "--trust-forwarded", "10.0.0.0/8",
		"--trust-forwarded", "127.0.0.0/8", "--print-limits")
	if code := many.exitCode(); code != 0 {
		t.Errorf("it ended with %d: %s", code, many.stderr.whole())
	}
}

// ownAddress is an address of an interface of this machine that is not loopback, if there is one.
func ownAddress() string {
	addresses, _ := net.InterfaceAddrs()
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && !network.IP.IsLoopback() && network.IP.To4() != nil {
			return network.IP.String()
		}
	}
	return "127.9.9.9"
}

// A port that is published to itself would make of one client as many as there is room for.
func TestPublishRefusesThePortThatItPublishes(t *testing.T) {
	folder := t.TempDir()
	socket := filepath.Join(folder, "control")
	p := startProxyAt(t, "127.0.0.1:"+portText(freePort(t)), "--bind", "unix:"+socket)
	os.Symlink(socket, filepath.Join(folder, "link"))
	const own = "would be published to itself"
	for _, control := range []string{p.control, "unix:" + socket, "localhost" + p.control[strings.Index(p.control, ":"):]} {
		port := portText(freePort(t))
		for _, host := range []string{
			"127.0.0.1", "localhost", "127.1.2.3", "127.1", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", ownAddress(),
		} {
			expectRefused(t, control, own, "--port", port, "--to", host+":"+port)
			expectRefused(t, control, own, "--port", "1", "--port", port, "--http", "--to", host+":"+port)
		}
	}
	const registers = "where the proxy takes registrations"
	expectRefused(t, p.control, registers, "--port", "1", "--to", p.control)
	expectRefused(t, p.control, registers, "--port", "1", "--to", strings.Replace(p.control, "127.0.0.1", "0.0.0.0", 1))
	expectRefused(t, "unix:"+socket, registers, "--port", "1", "--to", "unix:"+folder+"/link")

	// Another address, or another host, is another port.
	port := freePort(t)
	listener, err := net.Listen("tcp", address(port))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	serveHTTP(listener, text("here"))
	running := publish(t, p.control, "--address", "127.0.0.2", "--port", portText(port), "--http", "--to", address(port))
	if running.stderr.find(published, 0) < 0 {
		t.Error("it is refused at another address")
	}
	away := publish(t, "nowhere.invalid:9999", "--port", portText(port), "--http", "--to", address(port))
	if away.stderr.find("not registered; trying again", 0) < 0 {
		t.Error("it is refused for a proxy on another host")
	}
}

// The port that the proxy chooses is known when it has chosen.
func TestPublishEndsWhenTheProxyChoosesThePortOfItsTarget(t *testing.T) {
	p := startMinimalProxy(t, true)
	to := freePort(t)
	p.answers["port"] = portText(to)
	expectRefused(t, p.control.Addr().String(), "would be published to itself", "--port", "0", "--to", address(to))
}
