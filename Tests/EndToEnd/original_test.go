package endtoend

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// originalProgram builds the program of the original's README. It knows one control address, one port and one path: they
// are replaced.
func originalProgram(t *testing.T, control string, port int, path, says string) string {
	t.Helper()
	source, err := os.ReadFile("original/program/main.go")
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer("8000", strconv.Itoa(port), `"/a"`, strconv.Quote(path), `"From A"`, strconv.Quote(says))
	folder := t.TempDir()
	file, binary := filepath.Join(folder, "main.go"), filepath.Join(folder, "program")
	if err := os.WriteFile(file, []byte(changed.Replace(string(source))), 0o600); err != nil {
		t.Fatal(err)
	}
	address := "github.com/badgerodon/socketmaster/client.DefaultSocketMasterAddress=" + control
	output, err := exec.Command("go", "build", "-ldflags", "-X "+address, "-o", binary, file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return binary
}

// What the original's README shows: two programs share a port, and whoever asks while one of them is replaced waits.
func TestProgramsOfTheOriginalsReadmeWorkUnchanged(t *testing.T) {
	p := once(t)
	port := freePort(t)
	a := originalProgram(t, p.control, port, "/a", "From A")
	b := originalProgram(t, p.control, port, "/b", "From B")
	get := func(path string) string {
		reply, err := http.Get("http://localhost:" + portText(port) + path)
		if err != nil {
			return err.Error()
		}
		defer reply.Body.Close()
		text, _ := io.ReadAll(reply.Body)
		return strconv.Itoa(reply.StatusCode) + " " + string(text)
	}
	first := startProcess(t, a)
	startProcess(t, b)
	p.awaitLog(`registered \*/a `, 0)
	p.awaitLog(`registered \*/b `, 0)
	for path, says := range map[string]string{"/a/": "200 From A", "/b/": "200 From B", "/": "404 "} {
		if got := get(path); !strings.HasPrefix(got, says) {
			t.Errorf("%s: %q", path, got)
		}
	}
	first.signal(syscall.SIGKILL)
	p.awaitLog(`held: \*/a `, 0)
	answer := make(chan string, 1)
	go func() { answer <- get("/a/") }()
	eventually(t, "somebody waits", func() bool { return p.figure("waiting") == 1 })
	startProcess(t, a)
	if got := await(t, "the answer", answer); got != "200 From A" {
		t.Errorf("after the restart: %q", got)
	}
}
