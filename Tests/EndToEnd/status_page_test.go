package endtoend

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"socketmaster/endtoend/service"
)

// needsBrowser leaves a test to `make end-to-end-all`, which installs the browser.
func needsBrowser(t *testing.T) {
	t.Helper()
	if !thorough() {
		t.Skip("a browser is opened with E2E_ALL=1")
	}
}

// statusPage is the page of a proxy in a browser. It is loaded once: what it shows later it has to find out itself.
type statusPage struct {
	*browser
	isAttacked bool // the test itself has put into it what must do nothing
}

// Whatever goes wrong in the page is noted before the page's own script runs.
const noteTroubles = `
	window.troubles = [];
	addEventListener("error", (event) => troubles.push("error: " + (event.message ?? event.target.outerHTML)), true);
	addEventListener("unhandledrejection", (event) => troubles.push("rejection: " + event.reason));
	addEventListener("securitypolicyviolation", (event) => troubles.push("violation: " + event.violatedDirective));`

// openStatusPage opens the page of a proxy that was started with --metrics. When the test is over the page must still be
// the one that was loaded, and nothing may have gone wrong in it.
func (p *proxy) openStatusPage() *statusPage {
	p.t.Helper()
	const announced = "figures are served at "
	number := p.awaitLog(announced, 0) - 1
	_, at, _ := strings.Cut(p.stderr.copy()[number], announced)
	s := &statusPage{browser: startBrowser(p.t)}
	s.beforeEach(noteTroubles)
	s.open("http://" + at + "/")
	p.t.Cleanup(s.expectIntact)
	run[any](s.browser, `window.isTheFirst = true;`)
	s.awaitState("#connection", "live")
	return s
}

func (s *statusPage) expectIntact() {
	s.t.Helper()
	if !run[bool](s.browser, `return window.isTheFirst === true;`) {
		s.t.Error("the page was loaded again")
	}
	if !s.isAttacked {
		s.expectNoTrouble()
	}
	if s.t.Failed() {
		s.t.Logf("the page:\n%s", run[string](s.browser, `return document.body.innerText;`))
	}
}

// expectNoTrouble checks that nothing has gone wrong. That a proxy which has ended does not answer is no trouble.
func (s *statusPage) expectNoTrouble() {
	s.t.Helper()
	for _, trouble := range run[[]string](s.browser, `return troubles;`) {
		s.t.Errorf("in the page: %s", trouble)
	}
	for _, entry := range s.newLogEntries() {
		if entry.Source != "network" {
			s.t.Errorf("in the browser's log: %+v", entry)
		}
	}
}

// awaitState waits until an element says so in data-state.
func (s *statusPage) awaitState(selector, state string) {
	s.t.Helper()
	s.awaitTrue(fmt.Sprintf("%s is %s", selector, state),
		`return document.querySelector(arguments[0])?.dataset.state === arguments[1];`, selector, state)
}

// awaitTrue waits until a function in the page returns true.
func (s *statusPage) awaitTrue(what, body string, arguments ...any) {
	s.t.Helper()
	eventually(s.t, what, func() bool { return run[bool](s.browser, body, arguments...) })
}

func (s *statusPage) awaitText(selector, text string) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%s has the text %q", selector, text), func() bool { return s.text(selector) == text })
}

// awaitChange waits for a line in the list of changes that begins so, without its time.
func (s *statusPage) awaitChange(beginning string) {
	s.t.Helper()
	s.awaitTrue("a change: "+beginning, `
		const textOf = (item) => [...item.lastChild.children].map((part) => part.textContent).join(" ");
		return [...document.querySelectorAll("#changes li[data-tone]")].some((item) => textOf(item).startsWith(arguments[0]));`,
		beginning)
}

// routeRow selects the row of a route, whose id is as /status.json tells it.
func routeRow(port int, host, path string) string {
	return `#routes tr[data-route="` + address(port) + "/" + host + path + `"]`
}

// cell selects a figure of a row by the head of its column.
func cell(row, label string) string { return row + ` > [data-label="` + label + `"]` }

// metricsOn are the flags of a proxy that has a page.
func metricsOn(t *testing.T) []string {
	t.Helper()
	return []string{"--metrics", address(freePort(t))}
}

func TestStatusPageFollowsAServiceThatGoesAndComesBack(t *testing.T) {
	needsBrowser(t)
	p := once(t, append(metricsOn(t), "--hold", "1h")...)
	page := p.openStatusPage()
	port := freePort(t)
	row := routeRow(port, "test.example", "/shop")
	start := func() *process {
		return p.startService("-port", portText(port), "-domain", "test.example", "-path", "/shop", "-text", "x")
	}

	first := start()
	page.awaitState(row, "served")
	page.awaitChange("test.example/shop appeared")
	page.awaitText(cell(row, "req/s"), "0")
	count := 0
	eventually(t, "a rate of requests", func() bool {
		count++
		expectServed(t, port, "/shop", "x")
		return page.text(cell(row, "req/s")) != "0"
	})
	page.click(row + " .opener")
	page.awaitTrue(fmt.Sprint(count, " replies in the details"), `
		const details = document.querySelector(arguments[0]).nextElementSibling;
		const replies = [...details.querySelectorAll("section")].find((part) => part.firstChild.textContent === "Replies");
		const line = [...replies.querySelectorAll("tr")].find((line) => line.firstChild.textContent === "2xx");
		return line.lastChild.textContent === arguments[1];`, row, fmt.Sprint(count))

	p.killService(first)
	page.awaitState(row, "held")
	page.awaitChange("test.example/shop held")
	page.awaitText("title", "1 held – socketmaster")
	var waiting []*wire
	for index := 0; index < 3; index++ {
		w := dial(t, port)
		w.send("GET /shop HTTP/1.1\r\nHost: test.example\r\n\r\n")
		waiting = append(waiting, w)
	}
	page.awaitText(cell(row, "waiting"), "3")
	page.awaitText("#total-waiting", "3")

	start()
	for _, w := range waiting {
		w.extend()
		w.expectReply("GET", 200, "x")
	}
	page.awaitState(row, "served")
	page.awaitChange("test.example/shop came back after ")
	page.awaitText(cell(row, "waiting"), "0")
	page.awaitText(cell(row, "held / expired"), "3 / 0")
	page.awaitText("title", "socketmaster")
	page.awaitState("#connection", "live")
}

// What a service may say of itself to get into the page of whoever watches it: markup, and a sign that turns text round.
const (
	hostilePath  = `/"><img src=x onerror="isHarmed=1"><svg onload="isHarmed=1">` + "\u202e"
	hostileShown = `/"><img src=x onerror="isHarmed=1"><svg onload="isHarmed=1">` + "\ufffd"
	hostileName  = `</bdi><img src=x onerror=isHarmed=1><script>isHarmed=1</script>`
)

func hostileService(port int) service.Definition {
	definition := onHost(port, "test.example", hostilePath)
	definition.Attributes = map[string]string{"name": hostileName}
	return definition
}

func TestStatusPageShowsWhatServicesSayAsText(t *testing.T) {
	needsBrowser(t)
	p := once(t, append(metricsOn(t), "--hold", "1h")...)
	page := p.openStatusPage()
	port := freePort(t)
	const row = "#routes tr[data-route]"

	listener := p.serve(hostileService(port), text("x"))
	page.awaitText(row+" .path", hostileShown)
	page.awaitChange("test.example" + hostileShown + " appeared")
	page.click(row + " .opener")
	for _, place := range []string{"#sessions tbody tr", "#routes .detail"} {
		page.awaitTrue("the service's name in "+place, `
			return document.querySelector(arguments[0])?.textContent.includes(arguments[1]) ?? false;`, place, hostileName)
	}
	page.enter("#filter", "<nobody>")
	page.awaitText("section:has(#routes) .count", "0 of 1")
	page.enter("#filter", "<script>")
	page.awaitText("section:has(#routes) .count", "1")
	p.endSession(listener)
	page.awaitText("section:has(#sessions) .count", "0")
	// With its session the route has lost the name that it was found by.
	page.awaitText("section:has(#routes) .count", "0 of 1")
	page.enter("#filter", "onerror")
	page.awaitState(row, "held")
	page.awaitChange("test.example" + hostileShown + " held")

	if count := run[int](page.browser, `return document.querySelectorAll("img, [onload], script").length;`); count != 1 {
		t.Errorf("the page has %d images and scripts, and not only its own script", count)
	}
	if run[bool](page.browser, `return "isHarmed" in window;`) {
		t.Error("a script of a service has run")
	}

	page.expectNoTrouble()

	// If markup got in after all it would do nothing: the page's policy forbids every script but its own.
	page.isAttacked = true
	run[any](page.browser, `
		const script = document.createElement("script");
		script.textContent = "isHarmed = 1";
		const image = document.createElement("img");
		image.setAttribute("onerror", "isHarmed = 1");
		image.src = "/nothing.png";
		document.body.append(script, image);`)
	for _, directive := range []string{"script-src-elem", "script-src-attr", "img-src"} {
		page.awaitTrue("a violation of "+directive, `return troubles.includes("violation: " + arguments[0]);`, directive)
	}
	if run[bool](page.browser, `return "isHarmed" in window;`) {
		t.Error("a script that is not the page's own has run")
	}
}

func TestStatusPageFitsEveryScreen(t *testing.T) {
	needsBrowser(t)
	p := once(t, append(metricsOn(t), "--hold", "1h")...)
	page := p.openStatusPage()
	long := strings.Repeat("long", 100)
	port := freePort(t)
	definition := onHost(port, long[:60]+"."+long[:60]+".example", "/"+long)
	definition.Attributes = map[string]string{"name": long}
	p.endSession(p.serve(definition, text("x")))
	p.serve(onPath(port, "/"), text("x"))
	p.serve(hostileService(port), text("x"))
	expectServed(t, port, "/", "x")
	// A held route comes first.
	const row = "#routes tbody tr:nth-child(1)"
	page.awaitState(row, "held")
	page.awaitText("section:has(#routes) .count", "3")
	page.click(row + " .opener")
	for _, width := range []int{360, 500, 768, 1024, 1280, 1920} {
		page.resize(width, 800)
		page.awaitTrue(fmt.Sprint("a width of ", width), "return matchMedia(`(width: ${arguments[0]}px)`).matches;", width)
		widths := run[[2]int](page.browser, `
			const { scrollWidth, clientWidth } = document.documentElement;
			return [scrollWidth, clientWidth];`)
		if widths[0] > widths[1] {
			t.Errorf("on a screen of %d pixels the page is %d wide and has room for %d", width, widths[0], widths[1])
		}
		// Cells cut off what goes beyond them: it could not be read.
		cut := run[[]string](page.browser, `
			const details = document.querySelector("#routes .detail > td");
			const right = details.getBoundingClientRect().right;
			if (right > document.documentElement.clientWidth || !details.offsetHeight) return ["the details"];
			return [...details.querySelectorAll("h3, dt, dd, td, th, li, p")]
				.filter((part) => part.getBoundingClientRect().right > right).map((part) => part.textContent);`)
		if len(cut) > 0 {
			t.Errorf("on a screen of %d pixels these cannot be read: %q", width, cut)
		}
	}
}

func TestStatusPageTellsThatTheProxyStopsHasEndedAndIsBack(t *testing.T) {
	needsBrowser(t)
	flags := append(metricsOn(t), "--drain", "1h")
	p := once(t, flags...)
	page := p.openStatusPage()
	port := freePort(t)
	row := routeRow(port, "", "/slow")
	page.awaitText("#condition", "ready")
	request := p.beginRequest(port)
	page.awaitText(cell(row, "open"), "1")

	p.signal(syscall.SIGTERM)
	page.awaitText("#condition", "draining")
	page.awaitChange("socketmaster is draining")
	page.awaitText(cell(row, "open"), "1")
	page.awaitState("#connection", "live")
	request.end()
	if code := p.exitCode(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	p.dead = true
	page.awaitState("#connection", "lost")
	page.awaitChange("this page lost its connection")
	// What was heard last is still there to be read.
	page.awaitText("#condition", "draining")

	back := startProxyAt(t, p.control, plain.with(flags)...)
	page.awaitState("#connection", "live")
	page.awaitText("#condition", "ready")
	page.awaitChange("socketmaster was restarted")
	page.awaitChange("this page is connected again")
	back.serve(onPath(port, "/new"), text("x"))
	page.awaitState(routeRow(port, "", "/new"), "served")
}
