package endtoend

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// A key is found in the memory of the proxy while it is served with, and nothing of it when its service is gone for
// good, nor when its registration was refused: not as text, nor as numbers in either order of their bytes.
func TestTLSKeysAreWipedWithTheirLastUser(t *testing.T) {
	if os.Getenv("E2E_MEMORY") == "0" {
		t.Skip("a sanitizer's memory is too much to look through")
	}
	p := once(t, "--reactors", "1", "--hold", "0s", "--allow-core-dumps")
	for _, kind := range []string{"p256", "p384", "p521", "rsa", "ed25519"} {
		for _, isOld := range []bool{false, true} {
			if kind == "ed25519" && isOld {
				continue
			}
			what := fmt.Sprintf("%s, old form: %v", kind, isOld)
			certificate := issue(kind, "a.example")
			definition := certificate.with(onPath(freePort(t), ""))
			if isOld {
				definition.TLS.Key = certificate.oldKeyText()
			}
			traces := certificate.traces(definition.TLS.Key)
			from := p.stderr.count()
			listener := p.serve(definition, text(kind))
			for client := 0; client < 20; client++ {
				connection := dialSecure(t, definition.Port, secure("a.example"))
				expectAnswer(t, connection, "a.example", "/", kind)
				connection.Close()
			}
			if len(p.found(traces)) == 0 {
				t.Errorf("%s: the key is nowhere while it is served with, so this test sees nothing", what)
			}
			listener.Close()
			p.awaitLog(sessionLost, from)
			p.expectNothingOf(what, traces)

			refused := definition
			refused.TLS = &service.TLS{Certificate: issue("p256", "b.example").chain, Key: definition.TLS.Key}
			p.expectRefused(what, refused.Encode(), "not the certificate's")
			p.expectNothingOf(what+", refused", traces)
		}
	}
}

// expectNothingOf waits until no trace is left.
func (p *proxy) expectNothingOf(what string, traces map[string][]byte) {
	p.t.Helper()
	left := p.found(traces)
	for try := 0; try < 50 && len(left) > 0; try++ {
		time.Sleep(20 * time.Millisecond)
		left = p.found(traces)
	}
	if len(left) > 0 {
		p.t.Errorf("%s: in memory there is still %s", what, strings.Join(left, "; "))
	}
}

// traces are pieces of a key by which it would be known: of its text, and of its secret numbers.
func (i issued) traces(text string) map[string][]byte {
	traces := map[string][]byte{}
	add := func(name string, secret []byte) {
		for place := 0; place+16 <= len(secret); place += 16 {
			traces[fmt.Sprintf("%s from byte %d", name, place)] = secret[place : place+16]
		}
	}
	number := func(name string, value *big.Int) {
		secret := value.Bytes()
		add(name, secret)
		reversed := make([]byte, len(secret))
		for place, value := range secret {
			reversed[len(secret)-1-place] = value
		}
		add(name+" from its end", reversed)
	}
	switch key := i.key.(type) {
	case *ecdsa.PrivateKey:
		number("the scalar", key.D)
	case *rsa.PrivateKey:
		number("the exponent", key.D)
		for place, prime := range key.Primes {
			number(fmt.Sprintf("prime %d", place), prime)
		}
		number("the first exponent", key.Precomputed.Dp)
		number("the second exponent", key.Precomputed.Dq)
		number("the coefficient", key.Precomputed.Qinv)
	case ed25519.PrivateKey:
		add("the seed", key.Seed())
	}
	for number, line := range strings.Split(text, "\n") {
		for place := 0; place+16 <= len(line) && line[0] != '-'; place += 16 {
			// What is in the certificate too is no secret.
			decoded, err := base64.StdEncoding.DecodeString(line[place : place+16])
			if err == nil && !bytes.Contains(i.certificate.Raw, decoded) {
				traces[fmt.Sprintf("line %d from character %d", number, place)] = []byte(line[place : place+16])
			}
		}
	}
	return traces
}

// found names the traces that are in the proxy's memory: in all that it can write to and that is there.
func (p *proxy) found(traces map[string][]byte) []string {
	p.t.Helper()
	var names []string
	seen := map[string]bool{}
	p.eachPage(func(memory []byte, where string) {
		for name, trace := range traces {
			if !seen[name] && bytes.Contains(memory, trace) {
				seen[name] = true
				names = append(names, name+" in "+where)
			}
		}
	})
	return names
}

// eachPage calls with every run of pages that the proxy has in memory.
func (p *proxy) eachPage(look func(memory []byte, where string)) {
	p.t.Helper()
	process := fmt.Sprintf("/proc/%d/", p.command.Process.Pid)
	maps, err := os.ReadFile(process + "maps")
	if err != nil {
		p.t.Fatal(err)
	}
	memory, err := os.Open(process + "mem")
	if err != nil {
		p.t.Fatal(err)
	}
	defer memory.Close()
	pages, err := os.Open(process + "pagemap")
	if err != nil {
		p.t.Fatal(err)
	}
	defer pages.Close()
	const page = 4096
	for _, line := range strings.Split(string(maps), "\n") {
		var start, end int64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &rights); err != nil || !strings.HasPrefix(rights, "rw") {
			continue
		}
		words := make([]byte, (end-start)/page*8)
		if _, err := pages.ReadAt(words, start/page*8); err != nil && err != io.EOF {
			continue
		}
		isThere := func(place int64) bool {
			return place < end && binary.LittleEndian.Uint64(words[(place-start)/page*8:])>>62 != 0
		}
		for place := start; place < end; place += page {
			from := place
			for isThere(place) {
				place += page
			}
			if place == from {
				continue
			}
			run := make([]byte, place-from)
			if _, err := memory.ReadAt(run, from); err == nil {
				look(run, strings.Join(strings.Fields(line), " "))
			}
		}
	}
}
