package endtoend

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hummingbirdBuild is where everything with the trait Hummingbird has been built; where it has not, the test is skipped.
func hummingbirdBuild(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("E2E_HUMMINGBIRD")
	if folder == "" {
		t.Skip("E2E_HUMMINGBIRD is not set: make test-hummingbird")
	}
	return folder
}

// startHummingbird starts an example that is built with the trait Hummingbird, which `make test-hummingbird` does.
func startHummingbird(t *testing.T, p *proxy, name string, port int) *process {
	t.Helper()
	return startProcess(t, filepath.Join(hummingbirdBuild(t), "example-hummingbird-"+name), portText(port), p.control)
}

func TestHummingbirdExamplesShareAPort(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		for _, name := range []string{"a", "b"} {
			startHummingbird(t, p, name, port)
			awaitReply(t, client(t), "http://"+address(port)+"/"+name+"/")
			reply := get(t, port, "/"+name+"/x")
			if reply.body != "From "+strings.ToUpper(name) {
				t.Errorf("%s says %q", name, reply.body)
			}
			if _, err := http.ParseTime(reply.Header.Get("Date")); err != nil {
				t.Errorf("Date: %v", err)
			}
		}
	})
}

func TestHummingbirdIsRestartedBySIGTERMUnderLoadWithoutAFailure(t *testing.T) {
	p := startProxy(t, "--reactors", "2")
	port := freePort(t)
	running := startHummingbird(t, p, "a", port)
	awaitReply(t, client(t), "http://"+address(port)+"/a/")
	restartUnderLoad(t, startLoad(port, "/a/", "From A"), running, func() *process { return startHummingbird(t, p, "a", port) })
}
