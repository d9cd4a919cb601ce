// Package endtoend tests the real program: real services, real clients, real kernel. See README.md.
package endtoend

import (
	"fmt"
	"math/rand"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// patience bounds every single wait. It decides no test unless something hangs. E2E_PATIENCE scales it for slow builds.
var patience = 20 * time.Second

// variant is a way to run the proxy in which the same traffic must come to the same end.
type variant struct {
	name  string
	flags []string
}

// variants is the table that most tests run over: E2E_REACTORS, and the mode that hands every connection over.
var variants []variant

// plain is the variant for what does not depend on reactors.
var plain = variant{"plain", []string{"--reactors", "2"}}

// with is a variant's flags and those of a test, which take the place of the variant's own: none may be given twice.
func (v variant) with(flags []string) []string {
	all := append([]string{}, flags...)
	for index := 0; index < len(v.flags); index++ {
		name := v.flags[index]
		hasValue := index+1 < len(v.flags) && !strings.HasPrefix(v.flags[index+1], "--")
		isReplaced := false
		for _, flag := range flags {
			isReplaced = isReplaced || flag == name
		}
		if hasValue {
			index++
		}
		if !isReplaced && hasValue {
			all = append(all, name, v.flags[index])
		} else if !isReplaced {
			all = append(all, name)
		}
	}
	return all
}

func TestMain(m *testing.M) {
	if factor, err := strconv.ParseFloat(os.Getenv("E2E_PATIENCE"), 64); err == nil {
		patience = time.Duration(float64(patience) * factor)
		standstill = time.Duration(float64(standstill) * factor)
	}
	reactors := os.Getenv("E2E_REACTORS")
	if reactors == "" {
		reactors = "1 2 8"
	}
	for _, count := range strings.Fields(reactors) {
		variants = append(variants, variant{"reactors=" + count, []string{"--reactors", count}})
	}
	if os.Getenv("E2E_HAND_OVER") != "0" {
		variants = append(variants, variant{"hand-over", []string{"--reactors", "2", "--force-hand-over"}})
	}
	if _, err := os.Stat(program()); err != nil || os.Getenv("E2E_BINARIES") == "" {
		fmt.Fprintf(os.Stderr, "No program at %q, or not started by Tests/EndToEnd/run.\n", program())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func program() string { return os.Getenv("SOCKETMASTER") }

// each runs a test once for every variant, with a proxy of its own.
func each(t *testing.T, flags []string, test func(t *testing.T, p *proxy)) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) { test(t, startProxy(t, v.with(flags)...)) })
	}
}

// eachWaiting is each for tests that mostly wait: they run side by side.
func eachWaiting(t *testing.T, flags []string, test func(t *testing.T, p *proxy)) {
	t.Parallel()
	for _, v := range variants {
		v := v
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			test(t, startProxy(t, v.with(flags)...))
		})
	}
}

// thorough is set by `make check-all`: tests that take long look at every variant then.
func thorough() bool { return os.Getenv("E2E_ALL") == "1" }

// eachThoroughly is each for tests that take long: without `make check-all` they look at the plain variant alone.
func eachThoroughly(t *testing.T, flags []string, test func(t *testing.T, p *proxy)) {
	if thorough() {
		each(t, flags, test)
	} else {
		test(t, startProxy(t, plain.with(flags)...))
	}
}

// The ports of all tests lie below the ephemeral ones, so that nobody's outgoing connection takes one. Each process has
// a block of them: several may run at once.
const firstPort, portBlocks, portBlock = 15000, 8, 2100

// ports counts up within the block, from a random start.
var ports = struct {
	sync.Mutex
	first, next int
	held        net.Listener // as long as the process lives, so that nobody else takes the block
}{}

// takePorts takes the first block that no other process has; if none is left, any.
func takePorts() {
	random := rand.New(rand.NewSource(time.Now().UnixNano()))
	block := 0
	for ; block < portBlocks; block++ {
		if listener, err := net.Listen("unix", fmt.Sprint("@socketmaster-e2e-", block)); err == nil {
			ports.held = listener
			break
		}
	}
	if ports.held == nil {
		block = random.Intn(portBlocks)
	}
	ports.first, ports.next = firstPort+block*portBlock, random.Intn(portBlock)
}

// freePort returns a port that nobody listens on, a new one each time.
func freePort(t *testing.T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.first == 0 {
		takePorts()
	}
	// A process that is started meanwhile would have a copy of the listener until it runs its program.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	for tries := 0; tries < portBlock; tries++ {
		ports.next = (ports.next + 1) % portBlock
		port := ports.first + ports.next
		listener, err := net.Listen("tcp", fmt.Sprint(":", port))
		if err == nil {
			listener.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// proxy is the program under test while it serves.
type proxy struct {
	*process
	control string
	dead    bool // the test has ended it itself
}

// startProxy starts the program on a free control port and waits until it accepts. Two defaults differ from the
// program's: nobody is waited for at the start, and at the end open connections are not waited for. When the test is
// over the proxy must still run, and must end with 0 after SIGTERM.
func startProxy(t *testing.T, flags ...string) *proxy {
	t.Helper()
	return startProxyBy(t, []string{program()}, flags...)
}

// startProxyBy starts it by a command that ends with the program.
func startProxyBy(t *testing.T, command []string, flags ...string) *proxy {
	t.Helper()
	return startProxyByAt(t, fmt.Sprint("127.0.0.1:", freePort(t)), command, flags...)
}

// startProxyAt starts it where one has been before, or services wait for one.
func startProxyAt(t *testing.T, control string, flags ...string) *proxy {
	t.Helper()
	return startProxyByAt(t, control, []string{program()}, flags...)
}

func startProxyByAt(t *testing.T, control string, command []string, flags ...string) *proxy {
	t.Helper()
	arguments := append([]string{"--bind", control}, flags...)
	arguments = withDefault(arguments, "--start-grace", "0s")
	arguments = withDefault(arguments, "--drain", "300ms")
	arguments = append(append([]string{}, command[1:]...), arguments...)
	p := &proxy{process: startProcess(t, command[0], arguments...), control: control}
	t.Cleanup(p.stop)
	p.awaitControl(control)
	return p
}

func withDefault(arguments []string, name, value string) []string {
	for _, argument := range arguments {
		if argument == name || strings.HasPrefix(argument, name+"=") {
			return arguments
		}
	}
	return append(arguments, name, value)
}

// awaitListening waits for the control address of a proxy whose log is somebody else's.
func awaitListening(t *testing.T, control string) {
	t.Helper()
	eventually(t, "a control address", func() bool {
		connection, err := service.Dial(control)
		if err == nil {
			connection.Close()
		}
		return err == nil
	})
}

func (p *proxy) awaitControl(control string) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		connection, err := service.Dial(control)
		if err == nil {
			connection.Close()
			return
		}
		if p.hasExited() || time.Now().After(deadline) {
			p.t.Fatalf("the proxy does not accept at %s: %v; stderr:\n%s", control, err, p.stderr.text())
		}
	}
}

func (p *proxy) stop() {
	if p.t.Failed() {
		p.logSituation()
	}
	if !p.dead {
		if p.hasExited() {
			p.t.Errorf("the proxy ended by itself: %v", p.state)
		} else {
			p.signal(syscall.SIGTERM)
			if code := p.exitCode(); code != 0 {
				p.t.Errorf("after SIGTERM the proxy ended with %d", code)
			}
		}
	}
	if p.t.Failed() {
		p.t.Logf("flags %q, stderr of the proxy:\n%s", p.command.Args[1:], p.stderr.text())
	}
}

// logSituation tells of a proxy whose test has failed what is gone once it has ended: its figures, which it writes into
// its log, and what the kernel knows of its public ports' connections.
func (p *proxy) logSituation() {
	if p.dead || p.hasExited() {
		return
	}
	from := p.stderr.count()
	p.signal(syscall.SIGUSR1)
	p.stderr.find(`now: `, from)
	for _, match := range regexp.MustCompile(`listener opened: \S*:(\d+)`).FindAllStringSubmatch(p.stderr.text(), -1) {
		port, _ := strconv.Atoi(match[1])
		ofPort := fmt.Sprintf(":%04X ", port)
		for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
			lines, _ := os.ReadFile(table)
			for _, line := range strings.Split(string(lines), "\n") {
				if strings.Contains(line, ofPort) {
					p.t.Logf("%s: %s", table, strings.TrimSpace(line))
				}
			}
		}
	}
}

// awaitLog waits for a line of the proxy's log, from the given line on, and returns the number of the line after it.
func (p *proxy) awaitLog(pattern string, from int) int {
	p.t.Helper()
	found := p.stderr.find(pattern, from)
	if found < 0 {
		p.t.Fatalf("no line of the log matches %q; it is:\n%s", pattern, p.stderr.text())
	}
	return found + 1
}

// resident is the proxy's resident memory in bytes.
func (p *proxy) resident() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	match := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if match == nil {
		p.t.Fatalf("no VmRSS in %q", status)
	}
	kilobytes, _ := strconv.Atoi(string(match[1]))
	return kilobytes << 10
}

// expectGrowth checks that the proxy's resident memory has grown by less than so many MiB.
func (p *proxy) expectGrowth(before, mebibytes int) {
	p.t.Helper()
	if growth := p.resident() - before; growth >= mebibytes<<20 && os.Getenv("E2E_MEMORY") != "0" {
		p.t.Errorf("the proxy grew by %d MiB, the bound is %d", growth>>20, mebibytes)
	}
}

// descriptors is how many descriptors the proxy has open.
func (p *proxy) descriptors() int {
	p.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.command.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	return len(entries)
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(3 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// await returns what a channel brings.
func await[T any](t *testing.T, what string, channel <-chan T) T {
	t.Helper()
	select {
	case value := <-channel:
		return value
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
		panic("unreachable")
	}
}

// What the log says; the tests need to know no more of its wording.
const (
	sessionLost    = `(?i)session.*(lost|ended|gone|closed)|lost.*session`
	listenerClosed = `(?i)listener.*closed|closed.*listener`
)
