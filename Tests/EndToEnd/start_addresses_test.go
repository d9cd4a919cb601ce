package endtoend

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"socketmaster/endtoend/service"
)

// withoutIPv6 are commands that run the program on a machine without IPv6: one where it is not built in or not allowed,
// and one where it is switched off, as far as a namespace of the network can be had.
func withoutIPv6(t *testing.T, errno int) map[string][]string {
	filter := fmt.Sprintf("41/10=%d", errno) // socket, AF_INET6: 97 is EAFNOSUPPORT
	commands := map[string][]string{
		"forbidden": {filepath.Join(os.Getenv("E2E_BINARIES"), "forbidding"), filter, program()},
	}
	script := `echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && ip link set lo up && exec "$0" "$@"`
	command := []string{"unshare", "--net", "--mount", "bash", "-c", "mount -t proc proc /proc; " + script}
	if exec.Command(command[0], append(command[1:], "true")...).Run() == nil {
		commands["switched off"] = append(command, program())
	} else {
		t.Log("without the machine where IPv6 is switched off: no namespace of the network can be had")
	}
	return commands
}

func TestAllAddressesAreThoseOfIPv4WhereThereIsNoIPv6(t *testing.T) {
	for _, errno := range []int{97, 1, 13} { // EAFNOSUPPORT, EPERM, EACCES
		command := withoutIPv6(t, errno)["forbidden"]
		port, public := freePort(t), freePort(t)
		p := startProxyByAt(t, fmt.Sprint("127.0.0.1:", port), command, "--bind", fmt.Sprint("*:", freePort(t)))
		p.awaitLog(`control address \*:\d+, by IPv4 alone`, 0)
		p.awaitLog(`any machine that reaches`, 0)
		definition := onPath(public, "/")
		definition.Address = ""
		p.serve(definition, text("served"))
		expectServed(t, public, "/", "served")
		p.awaitLog(`listener opened: \*:\d+, by IPv4 alone`, 0)
	}
}

func TestAnAddressOfIPv6IsRefusedWhereThereIsNone(t *testing.T) {
	for what, command := range withoutIPv6(t, 97) {
		for _, bind := range []string{"[::1]:9999", "[2001:db8::1]:9999"} {
			p := startProcess(t, command[0], append(command[1:len(command):len(command)], "--bind", bind)...)
			if code := p.exitCode(); code != 78 {
				t.Errorf("%s: %s: exit code %d: %s", what, bind, code, p.stderr.text())
			}
			expectSentence(t, what, p, bind, "IPv6")
		}
	}
}

func TestASwitchedOffIPv6KeepsNobodyFromAllAddresses(t *testing.T) {
	command, found := withoutIPv6(t, 97)["switched off"]
	if !found {
		t.Skip("no namespace of the network can be had")
	}
	p := startProcess(t, command[0], append(command[1:], "--bind", "*:9999")...)
	if p.stderr.find("descriptors at most", 0) < 0 {
		t.Errorf("it does not start: %s", p.stderr.text())
	}
}

// The reason in a word, and the addresses that are refused for it.
var unusable = map[string][]string{
	"link-local":       {"fe80::1", "[fe80::1]", "febf::1", "FE80:0:0:0:0:0:0:1"},
	"an interface (%)": {"fe80::1%lo", "[fe80::1%lo]", "fe80::1%25eth0", "::1%1"},
	"multicast":        {"224.0.0.1", "239.255.255.250", "ff02::1", "[ff05::2]", "::ffff:224.0.0.1"},
	"broadcast":        {"255.255.255.255", "::ffff:255.255.255.255"},
	"0.0.0.0/8":        {"0.0.0.1", "0.1.2.3", "::ffff:0.0.0.9"},
}

func TestAddressesOnWhichNobodyIsServedAreRefusedAtTheStart(t *testing.T) {
	for word, addresses := range unusable {
		for _, address := range addresses[:2] {
			bind := address + ":9999"
			if strings.Contains(address, ":") && address[0] != '[' {
				bind = "[" + address + "]:9999"
			}
			p := startProcess(t, program(), "--bind", bind)
			if code := p.exitCode(); code != usage {
				t.Errorf("%s: exit code %d", bind, code)
			}
			expectSentence(t, bind, p, word, "give")
		}
	}
}

func TestAddressesOnWhichNobodyIsServedAreRefusedToServices(t *testing.T) {
	p := startProxy(t)
	for word, addresses := range unusable {
		for _, address := range addresses {
			definition := onPath(freePort(t), "/")
			definition.Address = address
			listener, err := service.Listen(p.control, definition)
			if err == nil {
				listener.Close()
				t.Errorf("%s is listened on", address)
			} else if said := err.Error(); !strings.Contains(said, word) || strings.Contains(said, "try again") {
				t.Errorf("%s: %q", address, said)
			}
		}
	}
	// The forms of all addresses, and of loopback, are no such.
	for _, address := range []string{"", "::", "[::]", "0.0.0.0", "::ffff:0.0.0.0", "::ffff:127.0.0.1", "127.0.0.2"} {
		definition := onPath(freePort(t), "/")
		definition.Address = address
		listener, err := service.Listen(p.control, definition)
		if err != nil {
			t.Errorf("%q: %v", address, err)
			continue
		}
		listener.Close()
	}
	// It is refused as one that is not of this machine, which may change.
	definition := onPath(freePort(t), "/")
	definition.Address = net.IPv4(203, 0, 113, 7).String()
	if _, err := service.Listen(p.control, definition); err == nil || !strings.Contains(err.Error(), "not one of its machine") {
		t.Errorf("an address of another machine: %v", err)
	}
}
