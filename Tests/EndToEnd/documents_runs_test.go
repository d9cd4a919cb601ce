package endtoend

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// How each block is run, by its page and its first line. Ports and addresses are replaced by free ones, for nobody else
// is to be disturbed; nothing else is.
var printed = map[string]func(t *testing.T, b printedBlock){
	"README.md: make demo     # builds, then shows the picture above on real traffic": parses(
		"it is what whoever runs this test has run"),
	"README.md: .build/release/socketmaster":                                                                              startsTheProxy,
	"README.md: listener, err := client.Listen(protocol.SocketDefinition{":                                                servesFromGo,
	"README.md: let web = SocketMasterService(SocketDefinition(port: 8000, http: .init(pathPrefix: \"/\"))) { channel in": isServiceGroup,
	"README.md: swift build -c release --product socketmaster-publish":                                                    publishesPython,

	"QuickStart.md: make demo":                                      parses("the test runs what make builds first"),
	"QuickStart.md: .build/release/socketmaster":                    startsTheProxy,
	"QuickStart.md: python3 -m http.server 3000 --bind 127.0.0.1 &": publishesPython,
	"QuickStart.md: curl http://127.0.0.1:8000/":                    asksByCurl,

	"Services.md: package main":  servesFromGo,
	"Protocol.md: import socket": servesFromPython,

	"Publishing.md: socketmaster-publish --port 443 --domain example.com --path / --cert cert.pem --key key.pem --to 127.0.0.1:3000": publishesAsWebSite,
	"Publishing.md: socketmaster-publish --port 5432 --to unix:/run/postgresql/.s.PGSQL.5432":                                        publishesAUnixSocket,
	"Publishing.md: socketmaster-publish --port 8000 --http --to 127.0.0.1:3000 -- python3 -m http.server 3000 --bind 127.0.0.1":     publishesPython,

	"Deploying.md: sudo apt install ./socketmaster_*.deb":            parses("it installs the package; Sources/Packaging/check-install does, too"),
	"Deploying.md: [Service]":                                        fitsPackagedUnits("socketmaster.service"),
	"Deploying.md: sudo usermod --append --groups socketmaster shop": parses("it changes the users of this machine"),
	"Deploying.md: [Socket]":                                         fitsPackagedUnits("socketmaster.socket"),
	"Deploying.md: journalctl --unit socketmaster --follow":          parses("nothing is installed here"),
	"Deploying.md: make dist":                                        parses("it writes to /usr/local"),
	"Deploying.md: [Unit]":                                           fitsSystemd,
	"Figures.md: kill -USR1 $(pidof socketmaster)":                   asksForFigures,
	"Log.md: 2026-11-30T09:21:07.104Z info registered example.com/a on *:443 for 127.0.0.1:53312: 2 sessions, reactor 1": isALineOfTheLog,

	"PublishAnything.md: socketmaster-publish --port 443 --domain example.com --path / --cert cert.pem --key key.pem --to 127.0.0.1:3000": publishesAsWebSite,
	"PublishAnything.md: socketmaster-publish --port 8000 --http --to 127.0.0.1:3000 -- python3 -m http.server 3000 --bind 127.0.0.1":     publishesPython,
	"Ending.md: let listener = try await SocketMasterBootstrap().listen(SocketDefinition(port: 9000))":                                    isSwift,
	"RenewingACertificate.md: let renewed = try await SocketMasterBootstrap().listen(":                                                    isSwift,
	"PublishAnything.md: var configuration = SocketMasterConfiguration()":                                                                 isSwift,
	"RestartsAndLosses.md: try await listener.withdraw()":                                                                                 isSwift,
	"SocketMaster.md: let web = SocketMasterService(SocketDefinition(port: 8000, http: .init(pathPrefix: \"/a\"))) { channel in":          isServiceGroup,
	"HummingbirdInFiveMinutes.md: // Package.swift, swift-tools-version 6.2":                                                              isManifest,
	"HummingbirdInFiveMinutes.md: import Hummingbird":                                                                                     isHummingbird,
	"HummingbirdInFiveMinutes.md: socketmaster &":                                                                                         parses("hummingbird_test.go runs the same program"),
}

// parses is for what cannot be run here, for a reason.
func parses(reason string) func(t *testing.T, b printedBlock) {
	return func(t *testing.T, b printedBlock) {
		command := exec.Command("bash", "-n")
		command.Stdin = strings.NewReader(b.text)
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("%v (%s): %v, %s", b, reason, err, output)
		}
	}
}

// isSwift is for parts of programs: they compile against the library. Whole ones are in Sources/Examples, and swift_test.go
// runs them.
func isSwift(t *testing.T, b printedBlock) {
	expectCompiles(t, os.Getenv("E2E_SWIFT"), "part.swift", `import Dispatch
import Glibc
import NIOCore
import NIOHTTP1
import SocketMaster

final class MyHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = HTTPServerRequestPart
}
struct Database { func comesBack() async throws {} }

let (chain, key) = ("", "")

func part(_ listener: SocketMasterListener<SocketMasterConnection>, _ database: Database) async throws {
`+b.text+"}\n")
}

// isServiceGroup is for parts of programs that have the package trait ServiceLifecycle, which that of Hummingbird brings.
func isServiceGroup(t *testing.T, b printedBlock) {
	expectCompiles(t, hummingbirdBuild(t), "part.swift", `import Logging
import NIOCore
import NIOHTTP1
import ServiceLifecycle
import SocketMaster

final class MyHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = HTTPServerRequestPart
}

func part(_ logger: Logger) async throws {
`+b.text+"}\n")
}

// isHummingbird is for programs that have Hummingbird: they compile where it has been built.
func isHummingbird(t *testing.T, b printedBlock) {
	expectCompiles(t, hummingbirdBuild(t), "main.swift", b.text)
}

// expectCompiles lets the compiler look at a file, with the modules of a build of SwiftPM's.
func expectCompiles(t *testing.T, build, name, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	arguments := []string{"-typecheck", "-swift-version", "6", "-I", filepath.Join(build, "Modules"), file}
	checkouts := filepath.Join(filepath.Dir(build), "checkouts/*/Sources/*/include/module.modulemap")
	for _, pattern := range []string{filepath.Join(build, "*.build/module.modulemap"), checkouts} {
		maps, err := filepath.Glob(pattern)
		if err != nil || len(maps) == 0 {
			t.Fatal("no modules in C at", pattern)
		}
		for _, file := range maps {
			arguments = append(arguments, "-Xcc", "-fmodule-map-file="+file)
		}
	}
	if output, err := exec.Command("swiftc", arguments...).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
}

// isManifest is for what somebody writes into a Package.swift.
func isManifest(t *testing.T, b printedBlock) {
	folder := t.TempDir()
	text := "// swift-tools-version: 6.2\nimport PackageDescription\n\nlet package = Package(\n    name: \"hello\",\n" +
		strings.TrimSuffix(strings.TrimSpace(b.text), ",") + ")\n"
	if err := os.WriteFile(filepath.Join(folder, "Package.swift"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("swift", "package", "--package-path", folder, "dump-package")
	command.Env = append(os.Environ(), "TMPDIR="+folder)
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "SocketMasterHummingbird") {
		t.Errorf("%v: %s", err, output)
	}
}

// desk is a folder in which the programs lie where the pages say, with a proxy that they find.
type desk struct {
	*proxy
	folder       string
	port, target int
}

func newDesk(t *testing.T) *desk {
	d := &desk{proxy: once(t), folder: t.TempDir(), port: freePort(t), target: freePort(t)}
	for _, folder := range []string{"bin", ".build/release"} {
		if err := os.MkdirAll(filepath.Join(d.folder, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	publish := fmt.Sprintf("exec %s --proxy %s \"$@\"", swiftProgram(t, "socketmaster-publish"), d.control)
	d.script(".build/release/socketmaster-publish", publish)
	d.script("bin/socketmaster-publish", publish)
	d.script(".build/release/socketmaster", fmt.Sprintf("exec %s --bind 127.0.0.1:%d \"$@\"", program(), d.target))
	d.script("bin/pidof", fmt.Sprint("echo ", d.command.Process.Pid))
	// What is to be built was built before the tests; here counts that the package has it.
	manifest := filepath.Join(checkout(t), "Package.swift")
	d.script("bin/swift", `[ "$*" = "build -c release --product socketmaster-publish" ] && grep -q 'name: "socketmaster-publish"' `+manifest)
	return d
}

func (d *desk) script(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.folder, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		d.t.Fatal(err)
	}
}

// text is what the block says, with ports that are free here.
func (d *desk) text(b printedBlock, more ...string) string {
	d.t.Helper()
	_, control, err := net.SplitHostPort(d.control)
	if err != nil {
		d.t.Fatal(err)
	}
	pairs := append(more, "9999", control, "8000", portText(d.port), "3000", portText(d.target))
	return strings.NewReplacer(pairs...).Replace(b.text)
}

// run runs a text in a shell, until the test is over.
func (d *desk) run(text string) *process {
	d.t.Helper()
	p := startProcess(d.t, "env", "-C", d.folder, "PATH="+filepath.Join(d.folder, "bin")+":"+os.Getenv("PATH"), "bash", "-e", "-c", text)
	// What the shell has started belongs to its group.
	d.t.Cleanup(func() { syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL) })
	d.t.Cleanup(func() {
		if d.t.Failed() {
			d.t.Logf("%s\n%s\n%s", text, p.stdout.text(), p.stderr.text())
		}
	})
	return p
}

func (d *desk) expect(url string, pattern string) {
	d.t.Helper()
	var last string
	eventually(d.t, url+" is served", func() bool {
		output, err := exec.Command("curl", "--silent", "--max-time", "5", url).CombinedOutput()
		last = string(output)
		return err == nil && regexp.MustCompile(pattern).MatchString(last)
	})
}

func startsTheProxy(t *testing.T, b printedBlock) {
	d := newDesk(t)
	p := d.run(d.text(b))
	awaitListening(t, fmt.Sprint("127.0.0.1:", d.target))
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(); code != 0 {
		t.Errorf("it ended with %d: %s", code, p.stderr.text())
	}
}

func publishesPython(t *testing.T, b printedBlock) {
	d := newDesk(t)
	d.run(d.text(b))
	d.expect(fmt.Sprintf("http://127.0.0.1:%d/", d.port), "Directory listing for /")
}

// targetServer is a program that listens where the pages say that one does.
func (d *desk) targetServer(network, address string) {
	d.t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { listener.Close() })
	serveHTTP(listener, http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		fmt.Fprintln(writer, "from the target")
	}))
}

func asksByCurl(t *testing.T, b printedBlock) {
	d := newDesk(t)
	p := startProcess(t, filepath.Join(os.Getenv("E2E_BINARIES"), "demo-service"), "-control", d.control, "-port", portText(d.port))
	if p.stdout.find("^registered$", 0) < 0 {
		t.Fatal(p.stderr.text())
	}
	curl := d.run(d.text(b))
	if code := curl.exitCode(); code != 0 || curl.stdout.whole() != "Hello" {
		t.Errorf("curl ended with %d: %q, %s", code, curl.stdout.whole(), curl.stderr.text())
	}
}

func publishesAsWebSite(t *testing.T, b printedBlock) {
	d := newDesk(t)
	d.targetServer("tcp", fmt.Sprint("127.0.0.1:", d.target))
	given := issue("p256", "example.com")
	for name, text := range map[string]string{"cert.pem": given.chain, "key.pem": given.keyText()} {
		if err := os.WriteFile(filepath.Join(d.folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.run(d.text(b, "--port 443", fmt.Sprint("--port ", d.port)))
	eventually(t, "example.com is served by TLS", func() bool {
		connection, err := tls.Dial("tcp", fmt.Sprint("127.0.0.1:", d.port), &tls.Config{RootCAs: testAuthority().pool, ServerName: "example.com"})
		if err != nil {
			return false
		}
		defer connection.Close()
		fmt.Fprint(connection, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
		buffer := make([]byte, 12)
		_, err = connection.Read(buffer)
		return err == nil && string(buffer) == "HTTP/1.1 200"
	})
}

func publishesAUnixSocket(t *testing.T, b printedBlock) {
	d := newDesk(t)
	socket := filepath.Join(t.TempDir(), "s")
	d.targetServer("unix", socket)
	d.run(d.text(b, "/run/postgresql/.s.PGSQL.5432", socket, "5432", portText(d.port)))
	d.expect(fmt.Sprintf("http://127.0.0.1:%d/", d.port), "from the target")
}

// servesFromGo builds a whole program, or what stands in the middle of one, with the original's client library.
func servesFromGo(t *testing.T, b printedBlock) {
	d := newDesk(t)
	text := d.text(b)
	if !strings.HasPrefix(text, "package main") {
		text = "package main\n\nimport (\n\"log\"\n\"net/http\"\n\n" +
			"\"github.com/badgerodon/socketmaster/client\"\n\"github.com/badgerodon/socketmaster/protocol\"\n)\n\n" +
			"func main() {\nhttp.HandleFunc(\"/a\", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(\"From A\\n\")) })\n" +
			text + "}\n"
	}
	d.expectGo(text)
	d.expect(fmt.Sprintf("http://127.0.0.1:%d/a", d.port), "^From A\n$")
}

func (d *desk) expectGo(text string) {
	d.t.Helper()
	file, binary := filepath.Join(d.folder, "main.go"), filepath.Join(d.folder, "program")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	address := "github.com/badgerodon/socketmaster/client.DefaultSocketMasterAddress=" + d.control
	if output, err := exec.Command("go", "build", "-ldflags", "-X "+address, "-o", binary, file).CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %s", err, output)
	}
	startProcess(d.t, binary)
}

func servesFromPython(t *testing.T, b printedBlock) {
	d := newDesk(t)
	file := filepath.Join(d.folder, "service.py")
	if err := os.WriteFile(file, []byte(d.text(b)), 0o600); err != nil {
		t.Fatal(err)
	}
	d.run("python3 " + file)
	d.expect(fmt.Sprintf("http://127.0.0.1:%d/python", d.port), "^From Python\n$")
}

func asksForFigures(t *testing.T, b printedBlock) {
	d := newDesk(t)
	from := d.stderr.count()
	if code := d.run(d.text(b)).exitCode(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	d.awaitLog("now: .*connections", from)
}

// What the pages print of the log has the shape of what is logged.
func isALineOfTheLog(t *testing.T, b printedBlock) {
	d := newDesk(t)
	p := startProcess(t, filepath.Join(os.Getenv("E2E_BINARIES"), "demo-service"), "-control", d.control, "-port", portText(d.port), "-domain", "example.com", "-path", "/a")
	defer p.kill()
	number := d.awaitLog(" registered ", 0) - 1
	line := d.stderr.copy()[number]
	shape := func(text string) string {
		text = regexp.MustCompile(` on \S+ for \S+:`).ReplaceAllString(strings.TrimSpace(text), " on ADDRESS for ADDRESS:")
		return regexp.MustCompile(`[0-9]+ sessions?`).ReplaceAllString(regexp.MustCompile(`[0-9]`).ReplaceAllString(text, "0"), "N sessions")
	}
	if shape(line) != shape(b.text) {
		t.Errorf("it says %q, the page %q", line, b.text)
	}
}

// fitsSystemd looks at a unit: its lines are assignments, and the program takes the flags that it gives.
func fitsSystemd(t *testing.T, b printedBlock) {
	var flags []string
	for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
		if !regexp.MustCompile(`^(\[(Unit|Service|Install)\]|[A-Z][A-Za-z]+=.+|)$`).MatchString(line) {
			t.Errorf("%q is no line of a unit", line)
		}
		if words := strings.Fields(line); strings.HasPrefix(line, "ExecStart=") {
			flags = words[1:]
		}
	}
	group, err := exec.Command("id", "-gn").Output()
	if err != nil || len(flags) == 0 {
		t.Fatal(err, flags)
	}
	for index := range flags {
		flags[index] = strings.ReplaceAll(flags[index], "group=web", "group="+strings.TrimSpace(string(group)))
	}
	if output, err := exec.Command(program(), append(flags, "--print-limits")...).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
	if analyze, err := exec.LookPath("systemd-analyze"); err == nil {
		unit := filepath.Join(t.TempDir(), "socketmaster.service")
		text := regexp.MustCompile(`ExecStart=\S+`).ReplaceAllString(b.text, "ExecStart=/bin/true")
		if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if output, err := exec.Command(analyze, "verify", unit).CombinedOutput(); err != nil {
			t.Errorf("systemd-analyze: %v, %s", err, output)
		}
	}
}

// fitsPackagedUnits looks at a drop-in: its lines are assignments, systemd takes it beside the units of the package, and the
// program takes the flags that it gives.
func fitsPackagedUnits(unit string) func(t *testing.T, b printedBlock) {
	return func(t *testing.T, b printedBlock) {
		for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
			if !regexp.MustCompile(`^(\[(Service|Socket)\]|[A-Z][A-Za-z]+=.*)$`).MatchString(line) {
				t.Errorf("%q is no line of a drop-in", line)
			}
		}
		if given := regexp.MustCompile(`SOCKETMASTER_FLAGS=([^"]+)"`).FindStringSubmatch(b.text); given != nil {
			output, err := exec.Command(program(), append(strings.Fields(given[1]), "--print-limits")...).CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, output)
			}
		}
		analyze, err := exec.LookPath("systemd-analyze")
		if err != nil {
			return
		}
		folder := t.TempDir()
		for _, name := range []string{"socketmaster.service", "socketmaster.socket"} {
			text, err := os.ReadFile(filepath.Join(checkout(t), "Sources/Packaging/debian", name))
			if err != nil {
				t.Fatal(err)
			}
			text = regexp.MustCompile(`ExecStart=\S+`).ReplaceAll(text, []byte("ExecStart=/bin/true"))
			if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(filepath.Join(folder, unit+".d"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, unit+".d", "override.conf"), []byte(b.text), 0o600); err != nil {
			t.Fatal(err)
		}
		// Its warnings end with 0, and name the file.
		output, err := exec.Command(analyze, "verify", "--man=no", filepath.Join(folder, unit)).CombinedOutput()
		if err != nil || strings.Contains(string(output), "override.conf") {
			t.Errorf("systemd-analyze: %v, %s", err, output)
		}
	}
}
