package endtoend

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTLSMinimumHoldsForOpenSSLsClient(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not here")
	}
	p := once(t, "--tls-min", "1.3")
	port := freePort(t)
	p.serve(issue("p256", "a.example").with(onPath(port, "")), text("a"))
	trusted := filepath.Join(t.TempDir(), "root.pem")
	os.WriteFile(trusted, []byte(block("CERTIFICATE", testAuthority().root.Raw)), 0o600)
	for version, words := range map[string]string{
		"-tls1_2": "alert protocol version", "-tls1_3": "Verify return code: 0 (ok)",
	} {
		run := exec.Command("openssl", "s_client", version, "-CAfile", trusted, "-servername", "a.example", "-connect",
			address(port))
		run.Stdin = strings.NewReader("")
		output, err := run.CombinedOutput()
		if !strings.Contains(string(output), words) || (err == nil) != (version == "-tls1_3") {
			t.Errorf("%s: %v, %s", version, err, output)
		}
	}
}

// A change of keys that is asked for has to be answered: a client that takes no answers would fill our memory.
func TestTLSClientThatFloodsWithKeyUpdatesIsEndedAndOthersAreServed(t *testing.T) {
	p := once(t, "--reactors", "1")
	port := freePort(t)
	p.serve(issue("p256", "a.example").with(onPath(port, "")), text("a"))
	kept := dialSecure(t, port, secure("a.example"))
	before := p.resident()
	var floods []chan error
	var outputs []*bytes.Buffer
	for client := 0; client < 2; client++ {
		flood := exec.Command(filepath.Join(os.Getenv("E2E_BINARIES"), "key-updates"), portText(port), "4000000")
		output := &bytes.Buffer{}
		flood.Stdout = output
		if err := flood.Start(); err != nil {
			t.Fatal(err)
		}
		defer flood.Process.Kill()
		ended := make(chan error, 1)
		go func() { ended <- flood.Wait() }()
		floods, outputs = append(floods, ended), append(outputs, output)
	}
	for request := 0; request < 20; request++ {
		expectAnswer(t, kept, "a.example", "/", "a")
		expectAnswer(t, dialSecure(t, port, secure("a.example")), "a.example", "/", "a")
	}
	for client, ended := range floods {
		if err := await(t, "the end of a flood", ended); err != nil {
			t.Errorf("the flood was not ended: %v", err)
		}
		t.Logf("ended after %s updates", strings.TrimSpace(outputs[client].String()))
	}
	p.expectGrowth(before, 8)
	expectAnswer(t, kept, "a.example", "/", "a")
}

// The numbers of the README, and the bound that the program tells at its start (tlsBytes and tlsHandshakeBytes of DataPlaneLimits), by 2000
// clients in each state.
func TestTLSConnectionsCostNoMoreThanIsSaid(t *testing.T) {
	const clients = 2000
	hello := captureHello(t)
	longest := lengthened(hello, 16384)
	states := []struct {
		name  string
		bound int // KiB
		begin func(port int) (net.Conn, error)
	}{
		{"plain and idle", 4, func(port int) (net.Conn, error) { return net.Dial("tcp", address(port)) }},
		{"idle", 6, func(port int) (net.Conn, error) { return tryIdle(port) }},
		{"within a record", 24, func(port int) (net.Conn, error) {
			connection, err := tryIdle(port)
			if err != nil {
				return nil, err
			}
			// The head of a record of 16 KiB, and less than all of it.
			part := append([]byte{23, 3, 3, 0x40, 0x10}, make([]byte, 15000)...)
			_, err = connection.NetConn().Write(part)
			return connection, err
		}},
		{"within the hello", 10, func(port int) (net.Conn, error) { return sayAllButTheLast(port, hello) }},
		{"within the longest hello", 48, func(port int) (net.Conn, error) { return sayAllButTheLast(port, longest) }},
		{"within the dearest handshake", 80, func(port int) (net.Conn, error) {
			connection, err := sayAndHear(port, dearestHello(190))
			if err == nil {
				_, err = connection.Write(append([]byte{22, 3, 3, 0x40, 0}, make([]byte, 16000)...))
			}
			return connection, err
		}},
		{"within the handshake", 10, func(port int) (net.Conn, error) {
			return sayAndHear(port, hello)
		}},
	}
	for _, state := range states {
		state := state
		t.Run(state.name, func(t *testing.T) {
			p := once(t, "--reactors", "1", "--tls-handshake-timeout", "1h", "--idle-timeout", "1h")
			port := freePort(t)
			if state.name == "plain and idle" {
				p.serve(onPath(port, ""), text("a"))
			} else {
				p.serve(issue("p256", "a.example").with(onPath(port, "")), text("a"))
			}
			// What is there once does not count.
			for warm := 0; warm < 20; warm++ {
				if connection, err := state.begin(port); err == nil {
					defer connection.Close()
				}
			}
			before := p.resident()
			for client := 0; client < clients; client++ {
				connection, err := state.begin(port)
				if err != nil {
					t.Fatalf("client %d: %v", client, err)
				}
				defer connection.Close()
			}
			last := 0
			eventually(t, "memory stands still", func() bool {
				time.Sleep(100 * time.Millisecond)
				former := last
				last = p.resident()
				return last == former
			})
			each := float64(last-before) / clients / 1024
			t.Logf("%.1f KiB a connection", each)
			if each > float64(state.bound) && os.Getenv("E2E_MEMORY") != "0" {
				t.Errorf("%.1f KiB a connection, the bound is %d", each, state.bound)
			}
		})
	}
}

// sayAllButTheLast is a client whose hello lacks a byte.
func sayAllButTheLast(port int, hello []byte) (net.Conn, error) {
	connection, err := net.Dial("tcp", address(port))
	if err == nil {
		_, err = connection.Write(hello[:len(hello)-1])
	}
	return connection, err
}

// sayAndHear is a client that has said its hello and heard of a certificate.
func sayAndHear(port int, hello []byte) (net.Conn, error) {
	connection, err := net.Dial("tcp", address(port))
	if err != nil {
		return nil, err
	}
	connection.Write(hello)
	connection.SetReadDeadline(time.Now().Add(patience))
	_, err = io.ReadAtLeast(connection, make([]byte, 4096), 300)
	return connection, err
}

// dearestHello is one of 1.2 and as long as may be, full of what a server keeps until the handshake is done: names of
// authorities, each of which is an object there, and numbers of groups.
func dearestHello(authorities int) []byte {
	extension := func(kind int, list []byte) []byte {
		size := len(list)
		return append([]byte{byte(kind >> 8), byte(kind), byte((size + 2) >> 8), byte(size + 2), byte(size >> 8),
			byte(size)}, list...)
	}
	names := bytes.Repeat([]byte{0, 2, 0x30, 0}, authorities)
	groups := bytes.Repeat([]byte{0x7a, 0x7a}, (16384-200-len(names))/2)
	extensions := extension(13, []byte{4, 3, 8, 4})
	extensions = append(extensions, extension(47, names)...)
	extensions = append(extensions, extension(10, append([]byte{0, 23}, groups...))...)
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0, byte(len(extensions)>>8), byte(len(extensions)))
	body = append(body, extensions...)
	message := append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	return append([]byte{22, 3, 1, byte(len(message) >> 8), byte(len(message))}, message...)
}

// A client may name authorities, and not without end.
func TestTLSClientsThatNameTooManyAuthoritiesAreRefused(t *testing.T) {
	p := once(t)
	port := freePort(t)
	p.serve(issue("p256", "a.example").with(onPath(port, "")), text("a"))
	for authorities, isServed := range map[int]bool{1: true, 192: true, 193: false, 4000: false} {
		connection, err := sayAndHear(port, dearestHello(authorities))
		if (err == nil) != isServed {
			t.Errorf("%d authorities: %v", authorities, err)
		}
		connection.Close()
	}
}

// lengthened is a hello whose message has so many bytes, by padding (RFC 7685): one record but for the last byte, which
// is the first of another long one.
func lengthened(hello []byte, size int) []byte {
	message := append([]byte{}, hello[5:]...)
	padding := size - len(message) - 4
	message = append(message, 0, 21, byte(padding>>8), byte(padding))
	message = append(message, make([]byte, padding)...)
	body := len(message) - 4
	message[1], message[2], message[3] = byte(body>>16), byte(body>>8), byte(body)
	// Behind version and random: session, suites, compressions, extensions.
	place := 4 + 2 + 32
	place += 1 + int(message[place])
	place += 2 + int(message[place])<<8 + int(message[place+1])
	place += 1 + int(message[place])
	extensions := len(message) - place - 2
	message[place], message[place+1] = byte(extensions>>8), byte(extensions)
	var records []byte
	last := len(message) - 1
	for _, part := range [][]byte{message[:last], append(message[last:], make([]byte, 16383)...)} {
		records = append(records, 22, 3, 1, byte(len(part)>>8), byte(len(part)))
		records = append(records, part...)
	}
	return records
}

// tryIdle is a client that has had one answer.
func tryIdle(port int) (*tls.Conn, error) {
	connection, err := trySecure(port, secure("a.example"))
	if err != nil {
		return nil, err
	}
	if status, _, err := ask(connection, "a.example", "/"); status != 200 {
		connection.Close()
		return nil, fmt.Errorf("status %d, %v", status, err)
	}
	return connection, nil
}
