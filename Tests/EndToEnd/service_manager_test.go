package endtoend

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// manager plays a service manager: it hears what the program tells by sd_notify(3).
type manager struct {
	address string
	news    *lines
}

// startManager listens at a path, or at @ and a name.
func startManager(t *testing.T, address string) *manager {
	t.Helper()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	reader, writer := io.Pipe()
	go func() {
		datagram := make([]byte, 64<<10)
		for {
			count, err := socket.Read(datagram)
			if err != nil {
				writer.Close()
				return
			}
			fmt.Fprintf(writer, "%s\n", datagram[:count])
		}
	}()
	return &manager{address: address, news: collect(reader)}
}

// await waits for an assignment from a line on, and returns where the next one begins.
func (m *manager) await(t *testing.T, pattern string, from int) int {
	t.Helper()
	line := m.news.find("^"+pattern+"$", from)
	if line < 0 {
		t.Fatalf("the service manager does not hear %q, but %q", pattern, m.news.copy()[from:])
	}
	return line + 1
}

// startPassed starts the program as a service manager does: with sockets, and with an environment in which PID! stands
// for the number of its process.
func startPassed(t *testing.T, sockets []*os.File, environment []string, flags ...string) *process {
	t.Helper()
	var words []string
	for _, variable := range environment {
		words = append(words, strings.ReplaceAll(variable, "PID!", "$$"))
	}
	script := strings.Join(append(words, `exec "$0" "$@"`), " ")
	command := exec.Command("sh", append([]string{"-c", script, program()}, flags...)...)
	command.ExtraFiles = sockets
	return startCommand(t, command)
}

// passed are the variables by which sockets are passed.
func passed(count int) []string {
	return []string{"LISTEN_PID=PID!", fmt.Sprint("LISTEN_FDS=", count), "LISTEN_FDNAMES=control"}
}

// socketFile is the socket of a listener or of a connection for another process.
func socketFile(t *testing.T, owner interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	file, err := owner.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

func TestServiceManagerHearsOfTheStartOfTheRoutesAndOfTheEnd(t *testing.T) {
	for _, address := range []string{
		filepath.Join(t.TempDir(), "notify"), fmt.Sprint("@socketmaster-e2e-notify-", os.Getpid()),
	} {
		m := startManager(t, address)
		t.Setenv("NOTIFY_SOCKET", address)
		p := startProxy(t, "--drain", "1m")
		next := m.await(t, "READY=1", 0)
		m.await(t, "STATUS=0 routes on 0 ports; 0 sessions", 0)
		port := freePort(t)
		listener := p.serve(onPath(port, "/"), text("served"))
		expectServed(t, port, "/", "served")
		next = m.await(t, "STATUS=1 route on 1 port; [1-9] sessions?", next)
		w := dial(t, port)
		w.send("GET / HTTP/1.1\r\n")
		p.endSession(listener)
		next = m.await(t, "STATUS=1 route on 1 port, 1 held; 0 sessions", next)
		p.signal(syscall.SIGTERM)
		next = m.await(t, "STOPPING=1", next)
		m.await(t, "EXTEND_TIMEOUT_USEC=70000000", next)
		m.await(t, "STATUS=stopping: 1 connection left", next)
		w.Close()
		if code := p.exitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		p.dead = true
		for _, line := range m.news.copy() {
			if strings.HasPrefix(line, "WATCHDOG") {
				t.Error("it was told that all goes on, and had not asked")
			}
		}
	}
}

func TestServiceManagerThatIsNotThereKeepsNobodyFromServing(t *testing.T) {
	for _, address := range []string{"/nowhere/notify", strings.Repeat("/long", 100), "vsock:2:1", "@nobody"} {
		t.Setenv("NOTIFY_SOCKET", address)
		p := startProxy(t)
		p.awaitLog("the service manager hears nothing: "+regexp.QuoteMeta(address[:6]), 0)
		port := freePort(t)
		p.serve(onPath(port, "/"), text("served"))
		expectServed(t, port, "/", "served")
	}
}

// Its socket takes a few datagrams, and nobody reads them: nothing of the proxy may wait for that.
func TestServiceManagerThatDoesNotReadKeepsNobodyFromServing(t *testing.T) {
	address := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}
	socket, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	filler, err := net.DialUnix("unixgram", nil, address)
	for err == nil {
		filler.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, err = filler.Write([]byte("x"))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", address.Name)
	p := startProxy(t)
	port := freePort(t)
	p.serve(onPath(port, "/"), text("served"))
	expectServed(t, port, "/", "served")
	// Once it reads again, it hears what it has missed.
	socket.SetReadDeadline(time.Now().Add(patience))
	buffer := make([]byte, 64<<10)
	for heard := ""; !strings.Contains(heard, "READY=1"); {
		count, err := socket.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		heard = string(buffer[:count])
	}
}

func TestWatchdogIsFedByTurnsOfEveryReactor(t *testing.T) {
	t.Parallel()
	m := startManager(t, filepath.Join(t.TempDir(), "notify"))
	environment := []string{"NOTIFY_SOCKET=" + m.address, "WATCHDOG_USEC=300000", "WATCHDOG_PID=PID!"}
	control := fmt.Sprint("127.0.0.1:", freePort(t))
	p := &proxy{control: control, process: startPassed(
		t, nil, environment, "--bind", control, "--reactors", "2", "--allow-core-dumps", "--start-grace", "0s")}
	next := m.await(t, "READY=1", 0)
	for count := 0; count < 10; count++ {
		next = m.await(t, "WATCHDOG=1", next)
	}
	// The other one goes on, and so does the control thread.
	p.hang("reactor 1")
	p.awaitLog("reactor 1 does not take commands", 0)
	silentFrom := m.news.count()
	port := freePort(t)
	p.serve(onPath(port, "/"), text("served"))
	m.await(t, "STATUS=1 route on 1 port; .*", 0)
	for _, line := range m.news.copy()[silentFrom:] {
		if strings.HasPrefix(line, "WATCHDOG") {
			t.Error("the watchdog is fed beside a reactor that hangs")
		}
	}
}

func TestWatchdogOfAnotherProcessIsNotFed(t *testing.T) {
	m := startManager(t, filepath.Join(t.TempDir(), "notify"))
	environment := []string{"NOTIFY_SOCKET=" + m.address, "WATCHDOG_USEC=1000", "WATCHDOG_PID=1"}
	startPassed(t, nil, environment, "--bind", fmt.Sprint("127.0.0.1:", freePort(t)))
	m.await(t, "STATUS=.*", m.await(t, "READY=1", 0))
	if strings.Contains(m.news.whole(), "WATCHDOG") {
		t.Error("it is fed")
	}
}

// Services that dial while the proxy is away are registered by the next one: their sockets stay.
func TestPassedSocketsAreControlAddressesAndOutliveTheProxy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	local, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		t.Fatal(err)
	}
	local.(*net.UnixListener).SetUnlinkOnClose(false)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sockets := []*os.File{socketFile(t, local.(*net.UnixListener)), socketFile(t, tcp.(*net.TCPListener))}
	local.Close()
	tcp.Close()
	always := []string{"--start-grace", "0s", "--drain", "300ms"}
	beside := append([]string{"--bind", fmt.Sprint("127.0.0.1:", freePort(t))}, always...)
	for wanted, flags := range map[int][]string{2: always, 3: beside} {
		start := func() *process { return startPassed(t, sockets, passed(2), flags...) }
		first := start()
		first.stderr.find("descriptors at most", 0)
		for _, line := range []string{
			"control address unix:" + path + ",mode=0660, passed by systemd",
			"control address " + tcp.Addr().String() + ", passed by systemd",
		} {
			if !strings.Contains(first.stderr.whole(), line) {
				t.Errorf("the log does not say %q:\n%s", line, first.stderr.text())
			}
		}
		if count := strings.Count(first.stderr.whole(), "control address"); count != wanted {
			t.Errorf("%d control addresses instead of %d", count, wanted)
		}
		first.signal(syscall.SIGTERM)
		if code := first.exitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		for _, control := range []string{"unix:" + path, tcp.Addr().String()} {
			// Nobody accepts it, and it is not refused.
			connection, err := service.Dial(control)
			if err != nil {
				t.Fatalf("%s: %v", control, err)
			}
			if _, err := connection.Write(onPath(freePort(t), "/").Encode()); err != nil {
				t.Fatal(err)
			}
			second := start()
			if _, err := service.ReadResponse(connection, false); err != nil {
				t.Errorf("%s: %v", control, err)
			}
			connection.Close()
			second.signal(syscall.SIGTERM)
			second.exitCode()
		}
	}
}

func TestSocketsForAnotherProcessAreNotTaken(t *testing.T) {
	control := fmt.Sprint("127.0.0.1:", freePort(t))
	p := startPassed(t, nil, []string{"LISTEN_PID=1", "LISTEN_FDS=5"}, "--bind", control)
	awaitListening(t, control)
	if strings.Contains(p.stderr.whole(), "passed") {
		t.Error(p.stderr.text())
	}
}

func TestPassedSocketsThatCannotBeUsedAreNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	listening := socketFile(t, listener.(*net.TCPListener))
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	datagrams, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	connected, datagram := socketFile(t, connection.(*net.TCPConn)), socketFile(t, datagrams.(*net.UDPConn))
	regular, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer regular.Close()
	for what, test := range map[string]struct {
		sockets []*os.File
		count   string
		words   []string
	}{
		"a connection":   {[]*os.File{connected}, "1", []string{"descriptor 3", "listens"}},
		"UDP":            {[]*os.File{datagram}, "1", []string{"descriptor 3", "ListenStream"}},
		"a file":         {[]*os.File{listening, regular}, "2", []string{"descriptor 4"}},
		"too few":        {[]*os.File{listening}, "2", []string{"descriptor 4"}},
		"no number":      {[]*os.File{listening}, "many", []string{"LISTEN_FDS=many"}},
		"less than none": {[]*os.File{listening}, "-1", []string{"LISTEN_FDS=-1"}},
		"too many":       {[]*os.File{listening}, "1000000", []string{"LISTEN_FDS=1000000"}},
	} {
		p := startPassed(t, test.sockets, []string{"LISTEN_PID=PID!", "LISTEN_FDS=" + test.count})
		if code := p.exitCode(); code != 78 {
			t.Errorf("%s: exit code %d", what, code)
		}
		expectSentence(t, what, p, test.words...)
	}
	p := startPassed(t, []*os.File{listening}, passed(1), "--bind", listener.Addr().String())
	if code := p.exitCode(); code != 78 {
		t.Errorf("the same address by a flag: exit code %d", code)
	}
	expectSentence(t, "the same address by a flag", p, "--bind "+listener.Addr().String(), ".socket unit")
}
