package endtoend

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// dribble writes its first bytes one by one, or in two pieces.
type dribble struct {
	net.Conn
	cut int // where the bytes so far are cut in two; negative: everywhere
	at  int
}

func (d *dribble) Write(bytes []byte) (int, error) {
	for place := range bytes {
		if d.cut < 0 || d.at+place == d.cut {
			if d.cut >= 0 {
				if _, err := d.Conn.Write(bytes[:place]); err != nil {
					return 0, err
				}
				d.at += len(bytes)
				time.Sleep(time.Millisecond) // so that the pieces mostly arrive apart
				_, err := d.Conn.Write(bytes[place:])
				return len(bytes), err
			}
			if _, err := d.Conn.Write(bytes[place : place+1]); err != nil {
				return place, err
			}
		}
	}
	if d.cut < 0 {
		return len(bytes), nil
	}
	d.at += len(bytes)
	return d.Conn.Write(bytes)
}

func (d *dribble) exchange(config *tls.Config) error {
	connection := tls.Client(d, config)
	connection.SetDeadline(time.Now().Add(patience))
	status, body, err := ask(connection, "a.example", "/")
	if status != 200 || body != "a" {
		return fmt.Errorf("cut at %d: %d, %q, %v", d.cut, status, body, err)
	}
	return connection.Close()
}

func TestTLSRecordsMayComeInAnyPieces(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(issue("p256", "a.example").with(onPath(port, "")), text("a"))
		var group sync.WaitGroup
		places := make(chan int)
		for worker := 0; worker < 16; worker++ {
			group.Add(1)
			go func() {
				defer group.Done()
				for cut := range places {
					plain, err := net.Dial("tcp", address(port))
					if err != nil {
						t.Error(err)
						continue
					}
					config := secure("a.example")
					if cut%2 == 0 {
						config.MaxVersion = tls.VersionTLS12
					}
					if err := (&dribble{Conn: plain, cut: cut}).exchange(config); err != nil {
						t.Error(err)
					}
					plain.Close()
				}
			}()
		}
		for cut := -4; cut < 420; cut++ {
			places <- cut
		}
		close(places)
		group.Wait()
	})
}

func TestTLSBrokenHellosHurtNobody(t *testing.T) {
	p := once(t)
	port := freePort(t)
	p.serve(issue("p256", "a.example").with(onPath(port, "")), text("a"))
	kept := dialSecure(t, port, secure("a.example"))
	before := p.descriptors()
	hello := captureHello(t)
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewSource(seed))
	for count := 0; count < 1000; count++ {
		broken := append([]byte{}, hello...)
		switch count % 4 {
		case 0: // a few bytes are others
			for changes := 1 + random.Intn(8); changes > 0; changes-- {
				broken[random.Intn(len(broken))] = byte(random.Intn(256))
			}
		case 1: // cut short
			broken = broken[:1+random.Intn(len(broken)-1)]
		case 2: // a handshake record of nonsense
			random.Read(broken[5:])
		case 3: // nonsense
			random.Read(broken)
		}
		connection, err := net.Dial("tcp", address(port))
		if err != nil {
			t.Fatal(err)
		}
		connection.Write(broken)
		if count%8 == 1 {
			connection.(*net.TCPConn).SetLinger(0)
		}
		if count%3 == 0 {
			connection.(*net.TCPConn).CloseWrite()
			connection.SetReadDeadline(time.Now().Add(patience))
			io.Copy(io.Discard, connection)
		}
		connection.Close()
		if count%100 == 0 {
			expectAnswer(t, dialSecure(t, port, secure("a.example")), "a.example", "/", "a")
		}
	}
	expectAnswer(t, kept, "a.example", "/", "a")
	eventually(t, "all connections are closed", func() bool { return p.descriptors() <= before+12 })
}

// captureHello is what Go's client says first.
func captureHello(t *testing.T) []byte {
	t.Helper()
	client, server := net.Pipe()
	go tls.Client(client, secure("a.example")).Handshake()
	hello := make([]byte, 4096)
	count, err := io.ReadAtLeast(server, hello, 100)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	server.Close()
	return hello[:count]
}

func TestTLSSlowHandshakesHoldNobodyUpAndEnd(t *testing.T) {
	p := once(t, "--tls-handshake-timeout", "2s")
	port := freePort(t)
	p.serve(issue("p256", "a.example").with(onPath(port, "")), text("a"))
	hello := captureHello(t)
	var slow []net.Conn
	for count := 0; count < 400; count++ {
		connection, err := net.Dial("tcp", address(port))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		connection.Write(hello[:(count%4)*len(hello)/4])
		slow = append(slow, connection)
	}
	for count := 0; count < 50; count++ {
		connection := dialSecure(t, port, secure("a.example"))
		expectAnswer(t, connection, "a.example", "/", "a")
		connection.Close()
	}
	for _, connection := range slow {
		connection.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, connection); isTimeout(err) {
			t.Fatal("a slow handshake was not ended")
		}
	}
}

func TestTLSTheOldestHandshakeEndsWhenThereAreTooMany(t *testing.T) {
	p := once(t, "--reactors", "1", "--tls-handshakes", "16", "--tls-handshake-timeout", "1h")
	port := freePort(t)
	p.serve(issue("p256", "a.example").with(onPath(port, "")), text("a"))
	hello := captureHello(t)
	var slow []net.Conn
	for count := 0; count < 17; count++ {
		connection, err := net.Dial("tcp", address(port))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		connection.Write(hello[:50])
		slow = append(slow, connection)
	}
	slow[0].SetReadDeadline(time.Now().Add(patience))
	if _, err := slow[0].Read(make([]byte, 1)); isTimeout(err) {
		t.Error("the oldest handshake was not ended")
	}
	expectAnswer(t, dialSecure(t, port, secure("a.example")), "a.example", "/", "a")
}

func TestTLSClientThatComesDuringARestartGetsItsHandshakeAndWaits(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		certificate := issue("p256", "a.example")
		folder := t.TempDir()
		chain, key := filepath.Join(folder, "chain.pem"), filepath.Join(folder, "key.pem")
		os.WriteFile(chain, []byte(certificate.chain), 0o600)
		os.WriteFile(key, []byte(certificate.keyText()), 0o600)
		flags := []string{"-port", portText(port), "-text", "a", "-cert", chain, "-key", key}
		p.killService(p.startService(flags...))
		connection := dialSecure(t, port, secure("a.example"))
		certificate.expect(t, "while held", leaf(connection))
		answered := make(chan error, 1)
		go func() {
			status, body, err := ask(connection, "a.example", "/")
			if status != 200 || body != "a" {
				err = fmt.Errorf("%d, %q, %v", status, body, err)
			}
			answered <- err
		}()
		p.awaitWaiting(1)
		p.startService(flags...)
		if err := await(t, "the answer", answered); err != nil {
			t.Error(err)
		}
	})
}

func TestTLSRenewalCostsNoRequest(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		current := issue("p256", "a.example")
		service := p.serve(current.with(onPath(port, "")), text("a"))
		kept := dialSecure(t, port, secure("a.example"))
		var requests, failures atomic.Int64
		stop := make(chan struct{})
		var group sync.WaitGroup
		for client := 0; client < 4; client++ {
			group.Add(1)
			go func() {
				defer group.Done()
				for {
					select {
					case <-stop:
						return
					default:
					}
					connection, err := trySecure(port, secure("a.example"))
					if err == nil {
						_, _, err = ask(connection, "a.example", "/")
						connection.Close()
					}
					if err != nil && failures.Add(1) == 1 {
						t.Errorf("a request during a renewal: %v", err)
					}
					requests.Add(1)
				}
			}()
		}
		for renewal := 0; renewal < 5; renewal++ {
			next := issue("p256", "a.example")
			renewed := p.serve(next.with(onPath(port, "")), text("a"))
			next.expect(t, "after the renewal", leaf(dialSecure(t, port, secure("a.example"))))
			service.Drain(patience)
			service, current = renewed, next
			before := requests.Load()
			eventually(t, "requests go on", func() bool { return requests.Load() > before+20 })
		}
		close(stop)
		group.Wait()
		current.expect(t, "at the end", leaf(dialSecure(t, port, secure("a.example"))))
		expectAnswer(t, kept, "a.example", "/", "a")
	})
}

func TestTLSOtherClientsAreServed(t *testing.T) {
	p := onceWaiting(t)
	port, rawPort := freePort(t), freePort(t)
	certificate := issue("p256", "localhost")
	p.serve(certificate.with(onPath(port, "")), text("hello"))
	p.serveStreams(certificate.with(raw(rawPort)), echoStream)
	trusted := filepath.Join(t.TempDir(), "root.pem")
	os.WriteFile(trusted, []byte(block("CERTIFICATE", testAuthority().root.Raw)), 0o600)
	url := fmt.Sprintf("https://localhost:%d/", port)
	python := fmt.Sprintf(`
import socket, ssl
context = ssl.create_default_context(cafile=%q)
with context.wrap_socket(socket.create_connection(("127.0.0.1", %d)), server_hostname="localhost") as client:
    client.sendall(b"hello")
    received = client.recv(5)
    client.unwrap().close()
    print(received.decode())
`, trusted, rawPort)
	resolved := fmt.Sprintf("localhost:%d:127.0.0.1", port)
	for _, command := range [][]string{
		{"curl", "-sS", "--cacert", trusted, "--resolve", resolved, url},
		{"curl", "-sS", "--tls-max", "1.2", "--cacert", trusted, "--resolve", resolved, url},
		{"python3", "-c", python},
		{"openssl", "s_client", "-quiet", "-no_ign_eof", "-verify_return_error", "-CAfile", trusted, "-servername",
			"localhost", "-connect", address(rawPort)},
	} {
		if _, err := exec.LookPath(command[0]); err != nil {
			t.Logf("%s is not here", command[0])
			continue
		}
		run := exec.Command(command[0], command[1:]...)
		if command[0] == "openssl" {
			run.Stdin = io.MultiReader(strings.NewReader("hello"), &late{after: 5 * time.Second})
		}
		output, err := run.CombinedOutput()
		if err != nil || !strings.Contains(string(output), "hello") {
			t.Errorf("%s: %q, %v", command[0], output, err)
		}
	}
}

// late is an end that comes after a while.
type late struct{ after time.Duration }

func (l *late) Read([]byte) (int, error) {
	time.Sleep(l.after)
	return 0, io.EOF
}

func TestTLSKeysGetIntoNoCoreDumpUnlessAllowed(t *testing.T) {
	for _, flags := range [][]string{nil, {"--allow-core-dumps"}} {
		p := once(t, flags...)
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.command.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		isForbidden := false
		for _, line := range strings.Split(string(limits), "\n") {
			fields := strings.Fields(line)
			isForbidden = isForbidden || strings.HasPrefix(line, "Max core file size") && fields[4] == "0" && fields[5] == "0"
		}
		if isForbidden != (flags == nil) {
			t.Errorf("%q: core dumps are forbidden: %v", flags, isForbidden)
		}
	}
}

func TestTLSManyClientsKeepTheirConnections(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		for sessions := 0; sessions < 3; sessions++ {
			p.serve(issue("p256", "a.example").with(onPath(port, "")), http.HandlerFunc(
				func(writer http.ResponseWriter, request *http.Request) {
					fmt.Fprint(writer, request.URL.Path, strings.Repeat(".", len(request.URL.Path)*400))
				}))
		}
		var group sync.WaitGroup
		for client := 0; client < 40; client++ {
			connection := dialSecure(t, port, secure("a.example"))
			client := client
			group.Add(1)
			go func() {
				defer group.Done()
				for request := 0; request < 60; request++ {
					path := fmt.Sprintf("/%d/%d", client, request)
					wanted := path + strings.Repeat(".", len(path)*400)
					if status, body, err := ask(connection, "a.example", path); status != 200 || body != wanted {
						t.Errorf("%s: %d, %d bytes, %v", path, status, len(body), err)
						return
					}
				}
			}()
		}
		group.Wait()
	})
}
