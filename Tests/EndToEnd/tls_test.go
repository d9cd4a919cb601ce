package endtoend

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// secure is a TLS configuration for a client that asks for a name.
func secure(name string) *tls.Config {
	return &tls.Config{RootCAs: testAuthority().pool, ServerName: name}
}

// unnamed is one for a client that asks for none, and takes any certificate.
func unnamed() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func trySecure(port int, config *tls.Config) (*tls.Conn, error) {
	plain, err := net.DialTimeout("tcp", address(port), patience)
	if err != nil {
		return nil, err
	}
	plain.SetDeadline(time.Now().Add(patience))
	connection := tls.Client(plain, config)
	if err := connection.Handshake(); err != nil {
		plain.Close()
		return nil, err
	}
	return connection, nil
}

func dialSecure(t *testing.T, port int, config *tls.Config) *tls.Conn {
	t.Helper()
	connection, err := trySecure(port, config)
	if err != nil {
		t.Fatalf("the handshake: %v", err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

func leaf(connection *tls.Conn) *x509.Certificate {
	return connection.ConnectionState().PeerCertificates[0]
}

// ask sends a request for a host and returns the reply's status and body.
func ask(connection *tls.Conn, host, path string, fields ...string) (int, string, error) {
	connection.SetDeadline(time.Now().Add(patience))
	head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, host, strings.Join(fields, ""))
	if _, err := io.WriteString(connection, head); err != nil {
		return 0, "", err
	}
	reply, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return 0, "", err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	return reply.StatusCode, string(body), err
}

func expectAnswer(t *testing.T, connection *tls.Conn, host, path, wanted string) {
	t.Helper()
	status, body, err := ask(connection, host, path)
	if err != nil || status != 200 || body != wanted {
		t.Errorf("https://%s%s: status %d, %q, %v; expected %q", host, path, status, body, err, wanted)
	}
}

// secureClient is a client of net/http for one port, whatever the URL says.
func secureClient(t *testing.T, config *tls.Config) *http.Client {
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 2 * patience}
}

func TestTLSCertificateFollowsTheName(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		first, wide, exact := issue("p256", "a.example"), issue("p256", "*.b.example"), issue("p384", "x.b.example")
		p.serve(first.with(onHost(port, "a.example", "")), text("a"))
		p.serve(wide.with(onHost(port, "b.example", "")), text("b"))
		p.serve(exact.with(onHost(port, "x.b.example", "")), text("x"))
		for name, wanted := range map[string]struct {
			issued
			body string
		}{
			"a.example": {first, "a"}, "y.b.example": {wide, "b"}, "x.b.example": {exact, "x"}, "A.EXAMPLE": {first, "a"},
		} {
			connection := dialSecure(t, port, secure(name))
			wanted.expect(t, name, leaf(connection))
			expectAnswer(t, connection, name, "/", wanted.body)
		}
		for _, name := range []string{"", "elsewhere.example", "z.y.b.example"} {
			config := unnamed()
			config.ServerName = name
			connection := dialSecure(t, port, config)
			first.expect(t, "for "+name, leaf(connection))
			expectAnswer(t, connection, "a.example", "/", "a")
		}
	})
}

func TestTLSCertificateWithoutAlternativeNamesCountsByItsCommonName(t *testing.T) {
	p := once(t)
	port := freePort(t)
	p.serve(issue("p256", "first.example").with(onHost(port, "first.example", "")), text("first"))
	second := issue("p256", "second.example")
	p.serve(second.with(onHost(port, "second.example", "")), text("second"))
	connection := dialSecure(t, port, secure("second.example"))
	second.expect(t, "second", leaf(connection))
}

func TestTLSServiceLearnsOfHTTPS(t *testing.T) {
	p := once(t)
	port := freePort(t)
	p.serve(issue("p256", "a.example").with(onPath(port, "")), http.HandlerFunc(
		func(writer http.ResponseWriter, request *http.Request) {
			io.WriteString(writer, request.Header.Get("X-Forwarded-Proto"))
		}))
	expectAnswer(t, dialSecure(t, port, secure("a.example")), "a.example", "/", "https")
}

func TestTLSKeysOfAllKindsAndForms(t *testing.T) {
	p := once(t)
	for _, kind := range []string{"p256", "p384", "p521", "rsa", "ed25519"} {
		certificate := issue(kind, "a.example")
		definition := certificate.with(onPath(freePort(t), ""))
		p.serve(definition, text(kind))
		connection := dialSecure(t, definition.Port, secure("a.example"))
		certificate.expect(t, kind, leaf(connection))
		expectAnswer(t, connection, "a.example", "/", kind)
		if kind == "ed25519" {
			continue
		}
		definition.TLS.Key, definition.Port = certificate.oldKeyText(), freePort(t)
		p.serve(definition, text(kind))
		expectAnswer(t, dialSecure(t, definition.Port, secure("a.example")), "a.example", "/", kind)
	}
}

func TestTLSClientsGetTheKindOfKeyThatTheyKnow(t *testing.T) {
	p := once(t)
	port := freePort(t)
	old, modern := issue("rsa", "a.example"), issue("p256", "a.example")
	p.serve(old.with(onPath(port, "")), text("a"))
	p.serve(modern.with(onPath(port, "")), text("a"))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := secure("a.example")
		config.MaxVersion = version
		modern.expect(t, fmt.Sprintf("%#x", version), leaf(dialSecure(t, port, config)))
	}
	config := secure("a.example")
	config.MaxVersion = tls.VersionTLS12
	config.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	old.expect(t, "RSA alone", leaf(dialSecure(t, port, config)))
}

func TestTLSVersions(t *testing.T) {
	for minimum, refused := range map[string][]uint16{
		"1.2": {tls.VersionTLS10, tls.VersionTLS11},
		"1.3": {tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12},
	} {
		p := once(t, "--tls-min", minimum)
		port := freePort(t)
		p.serve(issue("p256", "a.example").with(onPath(port, "")), text("a"))
		for version := uint16(tls.VersionTLS10); version <= tls.VersionTLS13; version++ {
			config := secure("a.example")
			config.MinVersion, config.MaxVersion = version, version
			connection, err := trySecure(port, config)
			isRefused := false
			for _, other := range refused {
				isRefused = isRefused || version == other
			}
			if isRefused != (err != nil) || isRefused && !strings.Contains(err.Error(), "protocol version") {
				t.Errorf("--tls-min %s and version %#x: %v", minimum, version, err)
			}
			if err == nil {
				expectAnswer(t, connection, "a.example", "/", "a")
				connection.Close()
			}
		}
	}
}

// Whoever looks for what keeps a client out finds it among the figures.
func TestTLSFailuresAreCountedByReason(t *testing.T) {
	p := once(t, "--tls-min", "1.3", "--tls-handshake-timeout", "2s")
	port := freePort(t)
	p.serve(issue("p256", "a.example").with(onPath(port, "")), text("a"))
	old, other, suspicious := secure("a.example"), secure("a.example"), secure("a.example")
	old.MaxVersion = tls.VersionTLS12
	other.NextProtos = []string{"h2"}
	suspicious.RootCAs = x509.NewCertPool()
	for what, config := range map[string]*tls.Config{"version": old, "protocol": other, "trust": suspicious} {
		if _, err := trySecure(port, config); err == nil {
			t.Errorf("%s: it is served", what)
		}
	}
	for _, words := range []string{"SSH-2.0-x\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\x03\x01"} {
		w := dial(t, port)
		w.send(words)
		io.Copy(io.Discard, w.reader)
	}
	for name, wanted := range map[string]int{"handshakes failed": 6, "TLS no version": 1, "TLS no suite": 0,
		"TLS no protocol": 1, "TLS given up": 1, "TLS not spoken": 2, "TLS too slow": 1} {
		eventually(t, fmt.Sprint(name, " is ", wanted), func() bool { return p.figure(name) == wanted })
	}
}

func TestTLSProtocolsOfTheApplication(t *testing.T) {
	p := once(t)
	port, rawPort := freePort(t), freePort(t)
	p.serve(issue("p256", "a.example").with(onPath(port, "")), text("a"))
	p.serveStreams(issue("p256", "a.example").with(raw(rawPort)), echoStream)
	for _, wanted := range []struct {
		port    int
		offered []string
		chosen  string
		refused bool
	}{
		{port, []string{"h2", "http/1.1"}, "http/1.1", false},
		{port, nil, "", false},
		{port, []string{"h2"}, "", true},
		{rawPort, []string{"postgresql"}, "", false},
	} {
		config := secure("a.example")
		config.NextProtos = wanted.offered
		connection, err := trySecure(wanted.port, config)
		if err != nil {
			if !wanted.refused || !strings.Contains(err.Error(), "no application protocol") {
				t.Errorf("%v: %v", wanted.offered, err)
			}
			continue
		}
		if chosen := connection.ConnectionState().NegotiatedProtocol; wanted.refused || chosen != wanted.chosen {
			t.Errorf("%v: %q was chosen", wanted.offered, chosen)
		}
		connection.Close()
	}
}

func TestTLSSessionsResumeOnEveryReactor(t *testing.T) {
	p := once(t, "--reactors", "4")
	port := freePort(t)
	certificate := issue("p256", "a.example")
	for sessions := 0; sessions < 4; sessions++ {
		p.serve(certificate.with(onPath(port, "")), text("a"))
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := secure("a.example")
		config.MaxVersion = version
		config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		for connections := 0; connections < 40; connections++ {
			connection := dialSecure(t, port, config)
			if resumed := connection.ConnectionState().DidResume; resumed != (connections > 0) {
				t.Errorf("version %#x, connection %d: resumed: %v", version, connections, resumed)
			}
			expectAnswer(t, connection, "a.example", "/", "a")
			connection.Close()
		}
	}
}

func TestTLSBodiesAreExactBothWays(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		large, upload := pattern(1, 20<<20), pattern(2, 5<<20)
		p.serve(issue("p256", "127.0.0.1", "a.example").with(onPath(port, "/down")), http.HandlerFunc(
			func(writer http.ResponseWriter, request *http.Request) { writer.Write(large) }))
		p.serve(onPath(port, "/up"), digest())
		client := secureClient(t, secure("a.example"))
		url := fmt.Sprint("https://", address(port))
		for round := 0; round < 2; round++ {
			reply, err := client.Get(url + "/down")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(reply.Body)
			reply.Body.Close()
			if diff := difference(body, large); diff != "" || err != nil {
				t.Fatalf("20 MiB down: %s, %v", diff, err)
			}
			reply, err = client.Post(url+"/up", "text/plain", bytes.NewReader(upload))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(reply.Body)
			reply.Body.Close()
			if string(answer) != digestOf("POST", upload) || err != nil {
				t.Fatalf("5 MiB up: %q, %v", answer, err)
			}
		}
	})
}

func TestTLSRawEchoWithHalfCloseIsExact(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		each(t, nil, func(t *testing.T, p *proxy) {
			port := freePort(t)
			p.serveStreams(issue("p256", "a.example").with(raw(port)), func(stream net.Conn) {
				io.WriteString(stream, "hello;")
				io.Copy(stream, stream)
				io.WriteString(stream, "the end") // only after the client's half-close
			})
			config := secure("a.example")
			config.MaxVersion = version
			connection := dialSecure(t, port, config)
			body := pattern(7, 3<<20)
			go func() {
				connection.Write(body)
				connection.CloseWrite()
			}()
			// ReadAll ends without an error only if close_notify has come.
			got, err := io.ReadAll(connection)
			wanted := append(append([]byte("hello;"), body...), "the end"...)
			if diff := difference(got, wanted); diff != "" || err != nil {
				t.Errorf("the echo: %s, %v", diff, err)
			}
		})
	}
}

func TestTLSRawServiceIsToldOfAClientThatIsCutOff(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		ends := make(chan error, 2)
		p.serveStreams(issue("p256", "a.example").with(raw(port)), func(stream net.Conn) {
			_, err := io.Copy(io.Discard, stream)
			ends <- err
		})
		for _, isPolite := range []bool{true, false} {
			connection := dialSecure(t, port, secure("a.example"))
			io.WriteString(connection, "some bytes")
			if isPolite {
				connection.CloseWrite()
			} else {
				connection.NetConn().(*net.TCPConn).CloseWrite()
			}
			if err := await(t, "the end at the service", ends); isPolite != (err == nil) {
				t.Errorf("after close_notify: %v, the service saw %v", isPolite, err)
			}
			connection.Close()
		}
	})
}

func TestTLSReplyThatEndsWithItsConnectionIsWholeOnlyWithCloseNotify(t *testing.T) {
	p := once(t)
	port := freePort(t)
	p.serveStreams(issue("p256", "a.example").with(onPath(port, "/whole")),
		script("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"))
	connection := dialSecure(t, port, secure("a.example"))
	if status, body, err := ask(connection, "a.example", "/whole"); status != 200 || body != "all of it" || err != nil {
		t.Errorf("the whole one: %d, %q, %v", status, body, err)
	}
	broken := p.startService("-port", portText(port), "-path", "/cut", "-mode", "until-close", "-text", "a part")
	connection = dialSecure(t, port, secure("a.example"))
	io.WriteString(connection, "GET /cut HTTP/1.1\r\nHost: a.example\r\n\r\n")
	reply, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	part := make([]byte, len("a part"))
	io.ReadFull(reply.Body, part)
	broken.kill()
	if rest, err := io.ReadAll(reply.Body); err == nil {
		t.Errorf("a reply that was cut ended without an error, with %q", rest)
	}
}

func TestTLSConnectionsEndWithCloseNotify(t *testing.T) {
	for name, request := range map[string]string{
		"reply": "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
		"404":   "GET /nothing HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n",
		"400":   "GET  / HTTP/1.1\r\n\r\n",
	} {
		p := once(t)
		port := freePort(t)
		p.serve(issue("p256", "a.example").with(onHost(port, "a.example", "")), text("a"))
		connection := dialSecure(t, port, secure("a.example"))
		io.WriteString(connection, request)
		if bytes, err := io.ReadAll(connection); err != nil || len(bytes) == 0 {
			t.Errorf("%s: %q, %v", name, bytes, err)
		}
	}
}

func TestTLSPortAnswersPlainHTTPWithASentence(t *testing.T) {
	p := once(t)
	port := freePort(t)
	var seen witness
	p.serve(issue("p256", "a.example").with(onPath(port, "")), &seen)
	for _, pieces := range [][]string{
		{"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"},
		{"DEL", "ETE", " /x HT", "TP/1.1\r\nHost: a.example\r\n\r\n"},
	} {
		w := dial(t, port)
		for _, piece := range pieces {
			w.send(piece)
			time.Sleep(20 * time.Millisecond) // not waited for: whichever way the pieces arrive, the answer is the same
		}
		answer := w.reply("GET")
		if answer.StatusCode != 400 || !strings.Contains(answer.body, "https://") {
			t.Errorf("%q: %+v", pieces, answer)
		}
	}
	if others := seen.others(); len(others) > 0 {
		t.Errorf("the service saw %q", others)
	}
}

func TestTLSPortIsWhatItsRegistrationsMakeIt(t *testing.T) {
	p := once(t, "--hold", "0s")
	port := freePort(t)
	p.serve(onPath(port, "/plain"), text("plain"))
	kept := dial(t, port)
	kept.get("/plain", "plain")
	certificate := issue("p256", "a.example")
	secured := p.listen(certificate.with(onPath(port, "/tls")))
	go http.Serve(secured, text("tls"))
	from := p.awaitLog(`listener speaks TLS`, 0)
	connection := dialSecure(t, port, secure("a.example"))
	expectAnswer(t, connection, "a.example", "/plain", "plain")
	expectAnswer(t, connection, "a.example", "/tls", "tls")
	kept.get("/plain", "plain") // who was there before goes on as before
	secured.Close()
	p.awaitLog(`listener speaks plain`, from)
	expectServed(t, port, "/plain", "plain")
}

func TestTLSNewestCertificateForANameWinsAndTheLogSaysSo(t *testing.T) {
	p := once(t)
	port := freePort(t)
	older, newer := issue("p256", "a.example", "old.example"), issue("p256", "a.example")
	p.serve(older.with(onHost(port, "a.example", "/older")), text("older"))
	p.serve(newer.with(onHost(port, "a.example", "/newer")), text("newer"))
	p.awaitLog(`warning two certificates for one name.*a\.example`, 0)
	newer.expect(t, "a.example", leaf(dialSecure(t, port, secure("a.example"))))
	older.expect(t, "old.example", leaf(dialSecure(t, port, secure("old.example"))))
}

func TestTLSCertificatesThatCannotBeServedAreRefusedWithASentence(t *testing.T) {
	p := once(t)
	port := freePort(t)
	good, other := issue("p256", "a.example"), issue("p256", "a.example")
	encrypted := good.encryptedKeyText()
	broken := strings.Replace(good.chain, "MII", "AAA", 1)
	for what, wrong := range map[string]struct {
		tls   service.TLS
		words string
	}{
		"nothing":           {service.TLS{Certificate: "x", Key: "x"}, "no certificate"},
		"no certificate":    {service.TLS{Key: good.keyText()}, "without a certificate"},
		"no key":            {service.TLS{Certificate: good.chain}, "without a private key"},
		"another key":       {service.TLS{Certificate: good.chain, Key: other.keyText()}, "not the certificate's"},
		"an encrypted key":  {service.TLS{Certificate: good.chain, Key: encrypted}, "encrypted"},
		"a broken chain":    {service.TLS{Certificate: broken, Key: good.keyText()}, "cannot be read"},
		"a chain for a key": {service.TLS{Certificate: good.chain, Key: good.chain}, "no private key"},
	} {
		definition := onPath(port, "")
		definition.TLS = &wrong.tls
		p.expectRefused(what, definition.Encode(), wrong.words)
	}
	for _, line := range p.stderr.copy() {
		if strings.Contains(line, "PRIVATE KEY-----") {
			t.Errorf("the log has a key: %s", line)
		}
	}
}

func TestTLSExpiredCertificateIsServedWithAWarning(t *testing.T) {
	p := once(t)
	port := freePort(t)
	expired := issueUntil(time.Now().Add(-time.Hour), "p256", "a.example")
	p.serve(expired.with(onPath(port, "")), text("a"))
	p.awaitLog(`warning .*a\.example has expired`, 0)
	config := secure("a.example")
	config.Time = func() time.Time { return time.Now().Add(-2 * time.Hour) }
	expectAnswer(t, dialSecure(t, port, config), "a.example", "/", "a")
}
