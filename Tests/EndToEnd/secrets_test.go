package endtoend

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"socketmaster/endtoend/service"
)

// spelled are the ways in which a piece of a key could stand in a text.
func spelled(piece []byte) []string {
	digits := hex.EncodeToString(piece)
	var numbers, pairs []string
	for _, value := range piece {
		numbers = append(numbers, fmt.Sprint(value))
		pairs = append(pairs, fmt.Sprintf("%02x", value))
	}
	found := []string{
		string(piece), digits, strings.Join(pairs, " "), strings.Join(pairs, ":"), "0x" + strings.Join(pairs, ", 0x"),
		strings.Join(numbers, ", "), strings.Join(numbers, ","), strings.Join(numbers, " "),
	}
	// In base64 a piece looks different at each of three places.
	for skipped := 0; skipped < 3; skipped++ {
		whole := piece[skipped : skipped+(len(piece)-skipped)/3*3]
		found = append(found, base64.StdEncoding.EncodeToString(whole))
	}
	return found
}

// expectUntold checks that nothing of a key stands in what programs have written.
func expectUntold(t *testing.T, traces map[string][]byte, programs ...*process) {
	t.Helper()
	for _, program := range programs {
		for _, output := range []*lines{program.stdout, program.stderr} {
			text := strings.ToLower(output.whole())
			for name, piece := range traces {
				for _, spelling := range spelled(piece) {
					if strings.Contains(text, strings.ToLower(spelling)) {
						t.Errorf("%s has written of the key: %s (%q)", program.command.Path, name, spelling)
					}
				}
			}
		}
	}
}

// file writes a text to a file of the test.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Whatever somebody does with a key, and however much is logged: nobody reads it in what the programs write.
func TestKeysStandInNothingThatIsWritten(t *testing.T) {
	p := once(t, "--reactors", "1", "--log-level", "trace")
	certificate := issue("rsa", "secret.example")
	text := certificate.keyText()
	traces := certificate.traces(text)
	lines := strings.Split(text, "\n")
	broken := strings.Join(append(append([]string{}, lines[:5]...), lines[6:]...), "\n")
	body := strings.Join(lines[1:len(lines)-2], "")
	chain, key := file(t, "cert", certificate.chain), file(t, "key", text)
	other := file(t, "other", issue("rsa", "other.example").chain)
	port := portText(freePort(t))
	programs := []*process{p.process}
	run := func(flags ...string) *process {
		flags = append([]string{"--log-level", "trace"}, flags...)
		program := publish(t, p.control, flags...)
		programs = append(programs, program)
		return program
	}
	silent := address(freePort(t))
	served := run("--port", port, "--http", "--to", silent, "--cert", chain, "--key", key)
	served.stderr.find(published, 0)
	served.signal(syscall.SIGTERM)
	named := run("--port", port, "--http", "--to", silent, "--name", body)
	named.stderr.find(published, 0)
	named.signal(syscall.SIGTERM)
	for _, flags := range [][]string{
		{"--cert", other, "--key", key}, {"--cert", chain, "--key", file(t, "broken", broken)},
		{"--cert", key, "--key", chain}, {"--cert", chain, "--key", file(t, "body", body)},
		{"--cert", key, "--key", key}, {"--cert", file(t, "both", text+certificate.chain), "--key", other},
		{"--cert", chain, "--key", text}, {"--cert", chain, "--key=" + text}, {"--cert", body, "--key", key},
		{"--domain=" + text}, {"--domain", body}, {"--path=" + text}, {"--path", body}, {"--address=" + text},
		{"--address", body}, {"--name=" + strings.Repeat(text, 3)}, {"--proxy=" + text}, {"--" + text},
		{"--drain=" + text}, {"--log-level=" + text}, {text}, {body},
	} {
		run(append([]string{"--port", port, "--to", silent}, flags...)...)
	}
	for _, definition := range []service.Definition{
		{Address: text}, {Address: body}, {HTTP: &service.HTTP{DomainSuffix: text}},
		{HTTP: &service.HTTP{DomainSuffix: body}}, {HTTP: &service.HTTP{PathPrefix: text}},
		{HTTP: &service.HTTP{PathPrefix: body}}, {TLS: &service.TLS{Certificate: text, Key: certificate.chain}},
		{Attributes: map[string]string{"name": text, "token": body}, HTTP: &service.HTTP{PathPrefix: "x"}},
	} {
		p.expectRefused("a key in the wrong place", definition.Encode())
	}
	for _, program := range programs[1:] {
		isSound := program == served || program == named
		if code := program.exitCode(); (code == 0) != isSound {
			t.Errorf("%.60q ended with %d", program.command.Args[3:], code)
		}
		program.stderr.awaitEnd()
	}
	p.stop()
	p.dead = true
	p.stderr.awaitEnd()
	expectUntold(t, traces, programs...)
}
