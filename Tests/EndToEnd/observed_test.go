package endtoend

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

// observed is a proxy that serves its figures.
type observed struct {
	*proxy
	figuresAt string
	last      *exposition // that the test has scraped
}

func observe(t *testing.T, flags ...string) *observed {
	t.Helper()
	at := address(freePort(t))
	return &observed{startProxy(t, append(append([]string{}, flags...), "--metrics", at)...), at, nil}
}

// eachObserved runs a test once for every variant, each beside the others.
func eachObserved(t *testing.T, flags []string, test func(t *testing.T, o *observed)) {
	t.Parallel()
	for _, v := range variants {
		v := v
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			test(t, observe(t, v.with(flags)...))
		})
	}
}

// tryFetch asks for one of the pages, on a connection of its own.
func (o *observed) tryFetch(path string, fields ...string) (status int, body string, err error) {
	request, err := http.NewRequest("GET", "http://"+o.figuresAt+path, nil)
	if err != nil {
		return 0, "", err
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		request.Header.Set(name, value)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}, Timeout: patience}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	bytes, err := io.ReadAll(response.Body)
	return response.StatusCode, string(bytes), err
}

func (o *observed) fetch(path string, fields ...string) string {
	o.t.Helper()
	status, body, err := o.tryFetch(path, fields...)
	if err != nil || status != 200 {
		o.t.Fatalf("%s is answered with %d %s, %v", path, status, shorten(body), err)
	}
	return body
}

// scrape is what the proxy says of itself at a moment. What may only rise has not fallen since the last one.
func (o *observed) scrape() *exposition {
	o.t.Helper()
	read, err := readExposition(o.fetch("/metrics"))
	if err != nil {
		o.t.Fatal(err)
	}
	if o.last != nil {
		for _, fault := range read.falls(o.last) {
			o.t.Error(fault)
		}
	}
	o.last = read
	return read
}

// falls are the series that have less than before. Those of routes may end, those of the sums may not.
func (e *exposition) falls(before *exposition) (faults []string) {
	for series, value := range before.series {
		name, _, _ := strings.Cut(series, "{")
		base := strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count")
		if e.kinds[name] != "counter" && e.kinds[base] != "histogram" {
			continue
		}
		now, isThere := e.series[series]
		if isThere && now < value || !isThere && strings.HasPrefix(name, "socketmaster_proxy_") {
			faults = append(faults, fmt.Sprintf("%s was %v, and is %v", series, value, now))
		}
	}
	return faults
}

// sample is one line of the metrics.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

// exposition is metrics in Prometheus' text format 0.0.4.
type exposition struct {
	kinds   map[string]string // of families
	samples []sample
	series  map[string]float64 // by all that stands before the value
}

// readExposition is stricter than Prometheus is: a family stands in one piece, behind its help and its type, a counter's
// name says so, no series is there twice, and no bucket has less than the one before it.
func readExposition(text string) (*exposition, error) {
	e := &exposition{kinds: map[string]string{}, series: map[string]float64{}}
	family, helped := "", ""
	for number, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		fail := func(what string) (*exposition, error) {
			return nil, fmt.Errorf("line %d of the metrics: %s: %s", number+1, what, shorten(line))
		}
		if words := strings.SplitN(line, " ", 4); words[0] == "#" {
			switch {
			case len(words) == 4 && words[1] == "HELP":
				helped = words[2]
			case len(words) == 4 && words[1] == "TYPE" && words[2] == helped && e.kinds[helped] == "":
				family = helped
				e.kinds[family] = words[3]
				if strings.HasSuffix(family, "_total") != (words[3] == "counter") {
					return fail("a name that does not fit its type")
				}
			default:
				return fail("a comment out of place")
			}
			continue
		}
		read, rest, err := readSample(line)
		if err != nil {
			return fail(err.Error())
		}
		base := read.name
		if e.kinds[family] == "histogram" {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, part)
			}
		}
		if base != family {
			return fail("a sample of another family")
		}
		series := strings.TrimSuffix(line, rest)
		if _, isThere := e.series[series]; isThere {
			return fail("a series that is there already")
		}
		e.series[series] = read.value
		e.samples = append(e.samples, read)
	}
	return e, e.checkBuckets()
}

// readSample reads a line, and returns what stands behind the labels, too.
func readSample(line string) (read sample, rest string, err error) {
	end := strings.IndexAny(line, "{ ")
	if end <= 0 {
		return read, "", fmt.Errorf("no name")
	}
	read.name, read.labels, rest = line[:end], map[string]string{}, line[end:]
	if rest[0] == '{' {
		rest = rest[1:]
		for !strings.HasPrefix(rest, "}") {
			name, value, isPair := strings.Cut(rest, `="`)
			if _, isThere := read.labels[name]; !isPair || isThere || name == "" {
				return read, "", fmt.Errorf("no label")
			}
			var text strings.Builder
			at := 0
			for ; at < len(value) && value[at] != '"'; at++ {
				letter := value[at]
				if letter == '\\' && at+1 < len(value) {
					at++
					switch value[at] {
					case 'n':
						letter = '\n'
					case '\\', '"':
						letter = value[at]
					default:
						return read, "", fmt.Errorf("an unknown escape")
					}
				}
				text.WriteByte(letter)
			}
			if at == len(value) {
				return read, "", fmt.Errorf("a label without an end")
			}
			read.labels[name] = text.String()
			rest = strings.TrimPrefix(value[at+1:], ",")
		}
		rest = rest[1:]
	}
	read.value, err = strconv.ParseFloat(strings.TrimPrefix(rest, " "), 64)
	return read, rest, err
}

// checkBuckets checks that histograms do not fall, and that their last bucket is their count.
func (e *exposition) checkBuckets() error {
	counts := map[string]float64{}
	last := map[string]float64{}
	for _, s := range e.samples {
		base := strings.TrimSuffix(strings.TrimSuffix(s.name, "_bucket"), "_count")
		if base == s.name || e.kinds[base] != "histogram" {
			continue
		}
		series := base + " " + placeOf(s.labels)
		if strings.HasSuffix(s.name, "_count") {
			counts[series] = s.value
			continue
		}
		if s.value < last[series] {
			return fmt.Errorf("the bucket %q of %s falls", s.labels["le"], series)
		}
		last[series] = s.value
	}
	for series, count := range counts {
		if last[series] != count {
			return fmt.Errorf("%s has the count %v, and %v in its last bucket", series, count, last[series])
		}
	}
	return nil
}

// place names a route as its metrics do. The host and path of a raw one are empty.
func place(listener, host, path string) string {
	return fmt.Sprintf("%s %q %q", listener, host, path)
}

func placeOf(labels map[string]string) string {
	return place(labels["listener"], labels["host"], labels["path"])
}

// on is a route on a port of this machine, for any host.
func on(port int, path string) string { return place(address(port), "", path) }

// others is what stands for routes without figures of their own.
var others = place("", "other", "")

// tally is figures of a route by the names of their metrics without what is the same in all; what is 0 is not there.
type tally map[string]float64

// anything is an amount that a test cannot know.
const anything = -1 << 40

func (t tally) add(more tally) tally {
	sum := tally{}
	for _, part := range []tally{t, more} {
		for name, value := range part {
			if value == anything || sum[name] == anything {
				sum[name] = anything
			} else {
				sum[name] += value
			}
		}
	}
	return sum
}

func (t tally) without(names ...string) tally {
	left := tally{}.add(t)
	for _, name := range names {
		delete(left, name)
	}
	return left
}

// difference tells what of the figures is not as it was wanted.
func (t tally) difference(wanted tally) string {
	var parts []string
	for name := range t.add(wanted) {
		if t[name] != wanted[name] && wanted[name] != anything {
			parts = append(parts, fmt.Sprintf("%s is %.0f, wanted %.0f", name, t[name], wanted[name]))
		}
	}
	sort.Strings(parts)
	return strings.Join(parts, "; ")
}

// wholeNames are the figures that have a sum over all routes.
var wholeNames = []string{
	"requests", "request_bytes", "response_bytes", "held", "released", "expired", "refused", "repeated", "failed",
	"client_aborts",
}

// inTotals is what of a route's figures is in the sums over all routes.
func (t tally) inTotals() tally {
	left := tally{}
	for name, value := range t {
		first, _, _ := strings.Cut(name, " ")
		for _, whole := range wholeNames {
			if whole == first {
				left[name] = value
			}
		}
	}
	return left
}

// note takes a sample down by its short name.
func (t tally) note(name string, s sample) {
	name = strings.TrimSuffix(name, "_total")
	for _, label := range []string{"code", "why"} {
		if value := s.labels[label]; value != "" {
			name += " " + value
		}
	}
	if s.value != 0 {
		t[name] = s.value
	}
}

// routes are the figures of each route; times are there as how many there were.
func (e *exposition) routes() map[string]tally {
	all := map[string]tally{}
	for _, s := range e.samples {
		_, isRoute := s.labels["path"]
		if !isRoute || strings.HasSuffix(s.name, "_bucket") || strings.HasSuffix(s.name, "_sum") {
			continue
		}
		if all[placeOf(s.labels)] == nil {
			all[placeOf(s.labels)] = tally{}
		}
		all[placeOf(s.labels)].note(strings.TrimPrefix(s.name, "socketmaster_"), s)
	}
	return all
}

// totals are the sums over all routes that have ever been, and requests without one.
func (e *exposition) totals() tally {
	sums := tally{}
	for _, s := range e.samples {
		if name := strings.TrimPrefix(s.name, "socketmaster_proxy_"); name != s.name {
			sums.note(name, s)
		}
	}
	return sums
}

// rejected are the clients of a port that were turned away, by why.
func (e *exposition) rejected(port int) tally {
	left := tally{}
	for _, s := range e.samples {
		if s.name == "socketmaster_rejected_total" && s.labels["listener"] == address(port) && s.value != 0 {
			left[s.labels["why"]] = s.value
		}
	}
	return left
}

// sum is that of all samples of a name.
func (e *exposition) sum(name string) (sum float64) {
	for _, s := range e.samples {
		if s.name == name {
			sum += s.value
		}
	}
	return sum
}

// expect waits until the figures of these routes, of no other one, and the sums are what clients have seen. Nothing may
// be under way: what is counted then stays.
// - unrouted: what has found no route.
func (o *observed) expect(wanted map[string]tally, unrouted tally) {
	o.t.Helper()
	sums := unrouted.inTotals()
	for _, figures := range wanted {
		sums = sums.add(figures.inTotals())
	}
	for deadline := time.Now().Add(patience); ; {
		e := o.scrape()
		said := differences(e.routes(), e.totals(), wanted, sums)
		if said == "" {
			break
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("the metrics:\n%s", said)
		}
	}
	// The status has the same figures, but for how many relays there were.
	told := map[string]tally{}
	for name, figures := range wanted {
		told[name] = figures.without("relays", "route_sessions")
	}
	routes, totals := o.status().tallies()
	if said := differences(routes, totals, told, sums); said != "" {
		o.t.Errorf("the status:\n%s", said)
	}
}

// expectSums is expect for routes some of which are gone: they are told of until their last figures have been asked for.
func (o *observed) expectSums(b *book, unrouted tally) {
	o.t.Helper()
	sums := unrouted.inTotals()
	for _, figures := range b.routes {
		sums = sums.add(figures.inTotals())
	}
	var said string
	for deadline := time.Now().Add(patience); ; {
		e := o.scrape()
		said = e.totals().difference(sums)
		for _, gauge := range []string{"requests_open", "route_connections", "waiting"} {
			if value := e.sum("socketmaster_" + gauge); value != 0 {
				said += fmt.Sprintf("; %s is %v", gauge, value)
			}
		}
		if said == "" {
			return
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("the sums: %s", said)
		}
	}
}

func differences(routes map[string]tally, totals tally, wanted map[string]tally, sums tally) string {
	var parts []string
	note := func(what, difference string) {
		if difference != "" {
			parts = append(parts, what+": "+difference)
		}
	}
	for name, figures := range routes {
		// How many sessions there are interests few.
		if _, isAsked := wanted[name]["route_sessions"]; !isAsked {
			figures = figures.without("route_sessions")
		}
		note(name, figures.difference(wanted[name]))
	}
	for name, figures := range wanted {
		if routes[name] == nil {
			note(name, "it is not there; "+tally{}.difference(figures))
		}
	}
	note("all", totals.difference(sums))
	sort.Strings(parts)
	return strings.Join(parts, "\n")
}

// status is what /status.json says, as far as tests look at it.
type status struct {
	Schema  int
	Program struct {
		Pid             int
		Ready, Draining bool
	}
	Totals  statusFigures
	Routes  []statusRoute
	Session []struct{ ID, Service, Route, State string } `json:"sessions"`
}

type statusRoute struct {
	ID, Listener, Host, Path, Kind, State string
	Sessions                              int
	HeldSeconds, HoldLeftSeconds          float64
	statusFigures
}

type statusFigures struct {
	Open, Relays, Waiting, Abandoned, BytesIn, BytesOut, Held, Released, Expired, Refused, ClientGone float64
	Replies, SentAgain, Failed                                                                        map[string]float64
	Duration, FirstByte, HeldTime                                                                     struct{ Counts []float64 }
}

func (o *observed) status() *status {
	o.t.Helper()
	read, err := readStatus(o.fetch("/status.json"))
	if err != nil {
		o.t.Fatal(err)
	}
	return read
}

func readStatus(text string) (*status, error) {
	read := &status{}
	if err := json.Unmarshal([]byte(text), read); err != nil {
		return nil, fmt.Errorf("%w in the status %s", err, shorten(text))
	}
	if read.Schema != 1 || read.Program.Pid == 0 {
		return nil, fmt.Errorf("the status is %s", shorten(text))
	}
	return read, nil
}

func (f statusFigures) tally() tally {
	t := tally{
		"requests_open": f.Open, "route_connections": f.Relays, "waiting": f.Waiting, "requests_abandoned": f.Abandoned,
		"request_bytes": f.BytesIn, "response_bytes": f.BytesOut, "held": f.Held, "released": f.Released,
		"expired": f.Expired, "refused": f.Refused, "client_aborts": f.ClientGone,
	}
	for name, list := range map[string]map[string]float64{
		"requests ": f.Replies, "repeated ": f.SentAgain, "failed ": f.Failed,
	} {
		for label, value := range list {
			t[name+label] = value
		}
	}
	for name, list := range map[string][]float64{
		"request_duration_seconds_count": f.Duration.Counts, "first_byte_seconds_count": f.FirstByte.Counts,
		"hold_duration_seconds_count": f.HeldTime.Counts,
	} {
		for _, value := range list {
			t[name] += value
		}
	}
	for name, value := range t {
		if value == 0 {
			delete(t, name)
		}
	}
	return t
}

// tallies are the figures in the shape that those of the metrics have.
func (s *status) tallies() (map[string]tally, tally) {
	routes := map[string]tally{}
	for _, route := range s.Routes {
		routes[place(route.Listener, route.Host, route.Path)] = route.tally()
	}
	return routes, s.Totals.tally().inTotals()
}

// promtool is what reads metrics as Prometheus does.
func promtool(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("promtool"); err == nil {
		return path
	}
	path := filepath.Join(os.Getenv("E2E_BINARIES"), "..", "..", "tools", "promtool")
	if _, err := os.Stat(path); err != nil {
		t.Fatal("promtool is missing: make install brings it")
	}
	return path
}

// expectClean lets promtool look at metrics, which must find nothing.
func expectClean(t *testing.T, metrics string) {
	t.Helper()
	check := exec.Command(promtool(t), "check", "metrics")
	check.Stdin = strings.NewReader(metrics)
	if said, err := check.CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("promtool: %v: %s", err, shorten(string(said)))
	}
}
