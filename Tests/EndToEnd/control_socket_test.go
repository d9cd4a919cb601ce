package endtoend

import (
	"fmt"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"socketmaster/endtoend/service"
)

// Exit codes of sysexits(3).
const (
	cannotCreate  = 73
	temporary     = 75
	noPermission  = 77
	configuration = 78
)

// expectNoStart starts a proxy that must not start.
func expectNoStart(t *testing.T, bind string, code int, words ...string) {
	t.Helper()
	p := startProcess(t, program(), "--bind", bind)
	if got := p.exitCode(); got != code {
		t.Errorf("--bind %s: exit code %d, not %d", bind, got, code)
	}
	expectSentence(t, bind, p, words...)
}

// leaveSocket leaves what a proxy leaves behind that is killed.
func leaveSocket(t *testing.T, control string) {
	t.Helper()
	p := once(t, "--bind", control)
	p.awaitControl(control)
	p.dead = true
	p.kill()
}

func TestControlSocketOfADeadProxyIsTakenByOneOfMany(t *testing.T) {
	for round := 0; round < 3; round++ {
		path := filepath.Join(t.TempDir(), "control")
		leaveSocket(t, "unix:"+path)
		var all []*proxy
		for index := 0; index < 8; index++ {
			p := &proxy{control: "unix:" + path}
			p.process = startProcess(t, program(), "--bind", p.control, "--reactors", "1", "--drain", "0s")
			all = append(all, p)
		}
		var alive []*proxy
		for _, p := range all {
			if p.stderr.find(`control address|cannot listen`, 0) < 0 {
				t.Fatalf("a proxy says %q", p.stderr.text())
			}
			if strings.Contains(p.stderr.whole(), "control address") {
				alive = append(alive, p)
				continue
			}
			if code := p.exitCode(); code != temporary {
				t.Errorf("a proxy that is too late ends with %d", code)
			}
			expectSentence(t, "one that is too late", p.process, "another socketmaster", path+".lock")
		}
		if len(alive) != 1 {
			t.Fatalf("%d of 8 proxies live at one address", len(alive))
		}
		alive[0].awaitControl("unix:" + path)
		port := freePort(t)
		alive[0].serve(onPath(port, "/"), text("x"))
		expectServed(t, port, "/", "x")
		alive[0].stop()
	}
}

func TestControlSocketIsTheSuccessorsFromTheFirstSignalOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	control := "unix:" + path
	first := startProxyAt(t, control, "--drain", "600s")
	request := first.beginRequest(freePort(t))
	expectNoStart(t, control, temporary, path)
	first.signal(syscall.SIGTERM)
	first.awaitLog("stopping by SIGTERM", 0)
	second := startProxyAt(t, control)
	port := freePort(t)
	second.serve(onPath(port, "/"), text("second"))
	request.end()
	first.dead = true
	if code := first.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	// The first one removes nothing that is the second one's.
	second.serve(onPath(port, "/a"), text("a"))
	expectServed(t, port, "/a", "a")
	expectNoStart(t, control, temporary, path)
}

func TestControlSocketsLockIsARegularFile(t *testing.T) {
	folder := t.TempDir()
	path, precious := filepath.Join(folder, "control"), filepath.Join(folder, "precious")
	if err := os.WriteFile(precious, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, make := range []func(string) error{
		func(lock string) error { return os.Symlink(precious, lock) },
		func(lock string) error { return os.Symlink(filepath.Join(folder, "nothing"), lock) },
		func(lock string) error { return syscall.Mkfifo(lock, 0o600) },
		func(lock string) error { return os.Mkdir(lock, 0o700) },
	} {
		if err := make(path + ".lock"); err != nil {
			t.Fatal(err)
		}
		expectNoStart(t, "unix:"+path, cannotCreate, path+".lock", "remove it")
		os.Remove(path + ".lock")
	}
	if content, err := os.ReadFile(precious); string(content) != "precious" {
		t.Errorf("the file is %q, %v", content, err)
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 1 {
		t.Errorf("something is left behind: %v", entries)
	}
}

func TestControlSocketByANameHasNoFile(t *testing.T) {
	name := fmt.Sprintf("@socketmaster-%d-%d", os.Getpid(), rand.Int())
	control := "unix:" + name
	p := startProxyAt(t, control)
	p.awaitLog("control address "+control, 0)
	// What is published may be at such a name, too.
	named, err := net.Listen("unix", name+"-target")
	if err != nil {
		t.Fatal(err)
	}
	defer named.Close()
	serveHTTP(named, text("published"))
	port, portOfAll := freePort(t), freePort(t)
	p.serve(onPath(port, "/go"), text("go"))
	startSwift(t, "example-http", "/swift", "swift", portText(portOfAll), control)
	publish(t, control, "--port", portText(portOfAll), "--path", "/published", "--to", control+"-target")
	p.awaitLog("registered .*/swift ", 0)
	p.awaitLog("registered .*/published ", 0)
	expectServed(t, port, "/go", "go")
	expectServed(t, portOfAll, "/swift", "swift")
	expectServed(t, portOfAll, "/published", "published")
	for _, file := range []string{name, name + ".lock"} {
		if _, err := os.Lstat(file); err == nil {
			t.Errorf("there is a file %s", file)
		}
	}
	expectNoStart(t, control, temporary, control)
	longest := control + strings.Repeat("x", len("unix:@")+107-len(control))
	startProxyAt(t, longest)
	expectNoStart(t, longest+"x", usage, "107")
	expectNoStart(t, "unix:@", usage, "abstract")
	expectNoStart(t, control+",mode=0660", usage, "no file")
}

func TestControlSocketIsForWhomTheFlagSays(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may give files away")
	}
	defer syscall.Umask(syscall.Umask(0o077))
	for options, want := range map[string]struct {
		mode  os.FileMode
		group uint32
	}{
		"":                        {0o600, 0},
		",mode=0660,group=daemon": {0o660, 1},
		",group=1,mode=620":       {0o620, 1},
		",group=daemon":           {0o660, 1},
		",mode=0666":              {0o666, 0},
	} {
		path := filepath.Join(t.TempDir(), "control")
		p := once(t, "--bind", "unix:"+path+options)
		p.awaitControl("unix:" + path)
		information, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		owner := information.Sys().(*syscall.Stat_t)
		if information.Mode().Perm() != want.mode || owner.Gid != want.group || owner.Uid != 0 {
			t.Errorf("%q: %v of %d:%d", options, information.Mode(), owner.Uid, owner.Gid)
		}
	}
}

func TestControlSocketRefusesOptionsThatCannotBe(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "control")
	for options, words := range map[string]string{
		"mode=0999": "octal", "mode=": "octal", "mode=2770": "octal", "mode=rw": "octal", "group=": "group",
		"mode=0660,mode=0600": "once", "group=a,group=a": "once", "owner=root": "owner=root", "b": "comma",
	} {
		expectNoStart(t, "unix:"+path+","+options, usage, words)
	}
	expectNoStart(t, "unix:"+path+",group=there-is-no-such-group", configuration, "no group there-is-no-such-group")
	if entries, _ := os.ReadDir(folder); len(entries) > 0 {
		t.Errorf("something is left behind: %v", entries)
	}
}

func TestControlSocketIsNotGivenToAGroupThatIsNotTheUsers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may start programs of another user")
	}
	folder, err := os.MkdirTemp("/tmp", "socketmaster-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	if err := os.Chown(folder, int(nobody.Uid), int(nobody.Gid)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "control")
	start := func(options string) *process {
		p := &proxy{control: "unix:" + path}
		// The program need not lie where everybody may look.
		p.process = startProcess(t, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
			program(), "--bind", "unix:"+path+options, "--drain", "0s")
		return p.process
	}
	p := start(",group=daemon")
	if code := p.exitCode(); code == 126 || code == 127 {
		t.Skip("another user may not run the program where it lies")
	} else if code != noPermission {
		t.Errorf("exit code %d", code)
	}
	expectSentence(t, "a strange group", p, "daemon", "member of that group")
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket's file is left behind")
	}
	p = start(",group=65534")
	eventually(t, "a control address", func() bool {
		connection, err := service.Dial("unix:" + path)
		if err == nil {
			connection.Close()
		}
		return err == nil
	})
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
