package endtoend

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"socketmaster/endtoend/service"
)

var logLine = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\S+Z (trace|debug|info|notice|warning|error|critical) `)

// fillingLog is a log on a disk that is too small for it, and how much of it can be made free.
type fillingLog struct {
	proxy *proxy
	path  string
	free  func()
}

// registerUntil brings about lines until the log has something to say.
func (f *fillingLog) registerUntil(condition func(text string) bool) {
	f.proxy.t.Helper()
	port, round := freePort(f.proxy.t), 0
	eventually(f.proxy.t, "the log says it", func() bool {
		round++
		connection, err := service.Dial(f.proxy.control)
		if err != nil {
			f.proxy.t.Fatal(err)
		}
		service.Register(connection, onPath(port, fmt.Sprintf("/%d/%s", round, strings.Repeat("long", 10))))
		connection.Close()
		return condition(f.text())
	})
}

func (f *fillingLog) text() string {
	text, err := os.ReadFile(f.path)
	if err != nil {
		f.proxy.t.Fatal(err)
	}
	return strings.TrimRight(string(text), "\x00")
}

// expectCounted fills the disk, frees it and checks what the log makes of it.
func (f *fillingLog) expectCounted(cause string) {
	t := f.proxy.t
	t.Helper()
	size := -1
	// Full: several rounds that leave it as it is.
	same := 0
	f.registerUntil(func(text string) bool {
		if len(text) != size {
			size, same = len(text), 0
		} else {
			same++
		}
		return same > 100
	})
	begun := len(strings.Split(f.text(), "\n")) - 1
	f.free()
	pattern := regexp.MustCompile(`warning (\d+) lines left out, the log could not be written: (.*)`)
	eventually(t, "the count", func() bool { return pattern.MatchString(f.text()) })
	match := pattern.FindStringSubmatch(f.text())
	if count, _ := strconv.Atoi(match[1]); count < 20 || match[2] != cause {
		t.Errorf("the count is %q", match[0])
	}
	f.registerUntil(func(text string) bool {
		return strings.Count(text, "registered") > strings.Count(match[0], "registered")
	})
	for number, line := range strings.Split(f.text(), "\n") {
		// The one at the bound may be cut, and every other one is whole.
		if number != begun && line != "" && !logLine.MatchString(line) {
			t.Errorf("line %d: %q", number, line)
		}
	}
}

// startFilling starts a proxy by a shell command that says what its standard error is.
func startFilling(t *testing.T, path, prefix string) *fillingLog {
	t.Helper()
	control := fmt.Sprint("127.0.0.1:", freePort(t))
	script := prefix + fmt.Sprintf(`exec %q --bind %s --start-grace 0s --drain 0s 2>>%q`, program(), control, path)
	command := exec.Command("bash", "-c", script)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			t.Error(err)
		}
	})
	p := &proxy{process: &process{t: t, command: command}, control: control}
	awaitListening(t, control)
	return &fillingLog{proxy: p, path: path}
}

func TestLinesThatAFullDiskLosesAreCounted(t *testing.T) {
	folder, ballast := t.TempDir(), ""
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("no disk can be mounted here: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(folder, syscall.MNT_DETACH) })
	ballast = filepath.Join(folder, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 40<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	f := startFilling(t, filepath.Join(folder, "log"), "")
	f.free = func() { os.Remove(ballast) }
	f.expectCounted("No space left on device")
}

func TestLinesBeyondTheLimitOfAFileAreCounted(t *testing.T) {
	skipIfSanitized(t) // its memory is a file, and limited
	path := filepath.Join(t.TempDir(), "log")
	f := startFilling(t, path, `trap "" XFSZ; ulimit -f 16; `)
	f.free = func() { os.Truncate(path, 0) }
	f.expectCounted("File too large")
}

// /dev/full takes nothing, ever: services notice nothing, and neither does the end.
func TestADiskThatStaysFullHindersNobody(t *testing.T) {
	f := startFilling(t, "/dev/full", "")
	port := freePort(t)
	listener, err := service.Listen(f.proxy.control, onPath(port, "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	serveHTTP(listener, text("served"))
	expectServed(t, port, "/", "served")
}
