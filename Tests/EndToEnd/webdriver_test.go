package endtoend

import (
	"bytes"
	"encoding/json"
	"fmt"
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

// browser is a Chromium without a screen that has one page, by way of chromedriver: WebDriver, which is JSON over HTTP.
type browser struct {
	t       *testing.T
	client  *http.Client
	session string // the URL that commands begin with
}

// startBrowser fails where there is no browser: a page that nobody has looked at must not seem to be right.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	for _, command := range []string{"chromium", "chromedriver"} {
		if _, err := exec.LookPath(command); err != nil {
			t.Fatalf("%v; .ci/install-browser installs it", err)
		}
	}
	// Below /tmp, as the path of a unix socket has to be short.
	folder, err := os.MkdirTemp("/tmp", "socketmaster-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	// Chromium is started here, not by the driver, of which it would be no child any more if that were killed. It shows
	// nobody's pages but ours, so that it needs no sandbox, which root could not have.
	chromium := startInFolder(t, folder, "chromium", "--headless=new", "--no-sandbox", "--no-proxy-server",
		"--no-first-run", "--user-data-dir="+folder+"/profile",
		"--remote-debugging-port=0", "--window-size=1280,900", "about:blank")
	debugger := chromium.awaitPrinted(chromium.stderr, "DevTools listening on ws://", "/")
	driver := startInFolder(t, folder, "chromedriver", "--port=0")
	port := driver.awaitPrinted(driver.stdout, "started successfully on port ", ".")

	b := &browser{t: t}
	b.client = &http.Client{Timeout: patience, Transport: &http.Transport{}}
	t.Cleanup(b.client.CloseIdleConnections)
	b.session = "http://127.0.0.1:" + port + "/session"
	var created struct{ SessionID string }
	b.command("POST", "", object{"capabilities": object{"alwaysMatch": object{
		"goog:chromeOptions": object{"debuggerAddress": debugger},
		"goog:loggingPrefs":  object{"browser": "ALL"},
	}}}, &created)
	b.session += "/" + created.SessionID
	return b
}

type object = map[string]any

// startInFolder starts a program that leaves nothing outside of a folder, and at the end ends it with all its children.
func startInFolder(t *testing.T, folder, path string, arguments ...string) *process {
	t.Helper()
	command := exec.Command(path, arguments...)
	command.Env = append(os.Environ(), "HOME="+folder, "TMPDIR="+folder, "XDG_CONFIG_HOME="+folder, "XDG_CACHE_HOME="+folder)
	p := startCommand(t, command)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("stderr of %s:\n%s", path, withoutBus(p.stderr.copy()))
		}
		eventually(t, "the end of "+path+" and of all that it has started", func() bool {
			running := runningOf(p.command.Process.Pid, folder)
			for _, id := range running {
				syscall.Kill(id, syscall.SIGKILL)
			}
			return len(running) == 0
		})
	})
	return p
}

// withoutBus are the lines that do not complain of a missing D-Bus, which are many.
func withoutBus(lines []string) string {
	var kept []string
	for _, line := range lines {
		if !strings.Contains(line, ":dbus/") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// runningOf are the processes of a group, and those outside of it that were told to use a folder: Chromium's handlers of
// crashes leave its group. Those that have ended may stay for as long as nobody asks for them.
func runningOf(group int, folder string) []int {
	var running []int
	paths, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range paths {
		stat, _ := os.ReadFile(path + "/stat")
		// Behind the name, which is the only thing in parentheses: the state, the parent, the group.
		_, behind, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(behind)
		if len(fields) < 3 || fields[0] == "Z" || fields[0] == "X" {
			continue
		}
		arguments, _ := os.ReadFile(path + "/cmdline")
		if fields[2] == strconv.Itoa(group) || bytes.Contains(arguments, []byte(folder)) {
			id, _ := strconv.Atoi(filepath.Base(path))
			running = append(running, id)
		}
	}
	return running
}

// awaitPrinted waits for a line with the first text, and returns what is between it and the second one.
func (p *process) awaitPrinted(printed *lines, before, behind string) string {
	p.t.Helper()
	number := printed.find(before, 0)
	if number < 0 {
		p.t.Fatalf("%s does not print %q; stderr:\n%s", p.command.Path, before, p.stderr.text())
	}
	_, rest, _ := strings.Cut(printed.copy()[number], before)
	value, _, _ := strings.Cut(rest, behind)
	return value
}

// command is one command of WebDriver. Its answer's value is put into `value`, which may be nil.
func (b *browser) command(method, path string, parameters object, value any) {
	b.t.Helper()
	if err := b.try(method, path, parameters, value); err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
}

func (b *browser) try(method, path string, parameters object, value any) error {
	var body io.Reader
	if method == "POST" {
		text, err := json.Marshal(parameters)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, b.session+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	response, err := b.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct{ Value json.RawMessage }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if response.StatusCode != 200 {
		var failure struct{ Error, Message string }
		json.Unmarshal(answer.Value, &failure)
		return fmt.Errorf("%s: %s", failure.Error, failure.Message)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, value)
}

// open loads a page.
func (b *browser) open(url string) {
	b.t.Helper()
	b.command("POST", "/url", object{"url": url}, nil)
}

// beforeEach has a script run in each page before its own ones.
func (b *browser) beforeEach(script string) {
	b.t.Helper()
	b.devtools("Page.addScriptToEvaluateOnNewDocument", object{"source": script})
}

// resize makes the page as large as a screen.
func (b *browser) resize(width, height int) {
	b.t.Helper()
	b.devtools("Emulation.setDeviceMetricsOverride", object{
		"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
	})
}

// devtools is a command of Chromium's own protocol.
func (b *browser) devtools(name string, parameters object) {
	b.t.Helper()
	b.command("POST", "/goog/cdp/execute", object{"cmd": name, "params": parameters}, nil)
}

// run runs the body of a function in the page and returns what it does, which is a T or null.
func run[T any](b *browser, body string, arguments ...any) T {
	b.t.Helper()
	var value T
	b.command("POST", "/execute/sync", object{"script": body, "args": append([]any{}, arguments...)}, &value)
	return value
}

// text is what an element contains, "" without such an element.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return run[string](b, `return document.querySelector(arguments[0])?.textContent ?? "";`, selector)
}

// click clicks on an element as a user does: it has to be there, to be seen, and nothing may lie above it.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.command("POST", b.element(selector)+"/click", object{}, nil)
}

// enter types a text into an element that is emptied first.
func (b *browser) enter(selector, text string) {
	b.t.Helper()
	element := b.element(selector)
	b.command("POST", element+"/clear", object{}, nil)
	b.command("POST", element+"/value", object{"text": text}, nil)
}

// element is the path of an element for further commands.
func (b *browser) element(selector string) string {
	b.t.Helper()
	// The name is fixed by the specification, for whoever finds it in an object to know what it is.
	var reference struct {
		ID string `json:"element-6066-11e4-a52e-4f735466cecf"`
	}
	b.command("POST", "/element", object{"using": "css selector", "value": selector}, &reference)
	return "/element/" + reference.ID
}

// logEntry is something that the browser says of a page.
type logEntry struct{ Level, Source, Message string }

// newLogEntries are those since it was asked last.
func (b *browser) newLogEntries() []logEntry {
	b.t.Helper()
	var entries []logEntry
	b.command("POST", "/se/log", object{"type": "browser"}, &entries)
	return entries
}
