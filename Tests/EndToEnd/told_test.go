package endtoend

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Whoever turns a client away says so: in the log within a second, with listener, status and cause, and by a figure
// that SIGUSR1 shows.

// turnedAway is a way in which a client can be turned away.
type turnedAway struct {
	name string
	// act provokes it once, on a port of its own that nobody has registered.
	act func(t *testing.T, p *proxy, port int)
	// line is what the log says behind `failed on ADDRESS: ` and the number 1, and figure the label of its count.
	line, figure string
}

// expectTold provokes each of them, one beside the others, and looks for its line and its figure.
func expectTold(t *testing.T, p *proxy, rows []turnedAway) {
	t.Helper()
	for _, row := range rows {
		row, port := row, freePort(t)
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := p.of(t)
			row.act(t, p, port)
			p.expectTold(port, row.line, row.figure)
		})
	}
}

// of is the proxy for a test that shares it with others.
func (p *proxy) of(t *testing.T) *proxy {
	process := *p.process
	process.t = t
	return &proxy{process: &process, control: p.control, dead: true}
}

// expectTold waits for the line and the figure of the listener on the port.
func (p *proxy) expectTold(port int, line, figure string) {
	p.t.Helper()
	p.awaitLog(fmt.Sprintf(`warning failed on 127\.0\.0\.1:%d: (.*; )?1 %s`, port, line), 0)
	if count := p.figureOn(port, figure); count != 1 {
		p.t.Errorf("%q is %d", figure, count)
	}
}

// figureOn is one of the figures of the listener on the port. Those of what has never happened are not shown.
func (p *proxy) figureOn(port int, name string) int {
	p.t.Helper()
	return p.figuresOn(port)[name]
}

var oneFigure = regexp.MustCompile(`(?:^|[,;] )([^,;]*[^,;0-9 ]) (\d+)`)

// figuresOn are all figures of the listener on the port, by their labels.
func (p *proxy) figuresOn(port int) map[string]int {
	p.t.Helper()
	return figuresIn(p.figures(fmt.Sprintf(`notice on 127\.0\.0\.1:%d: `, port)))
}

// figuresIn are the figures of a line.
func figuresIn(line string) map[string]int {
	all := map[string]int{}
	for _, match := range oneFigure.FindAllStringSubmatch(line[strings.LastIndex(line, ": ")+2:], -1) {
		all[match[1]], _ = strconv.Atoi(match[2])
	}
	return all
}
