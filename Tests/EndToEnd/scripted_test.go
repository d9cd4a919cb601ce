package endtoend

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"socketmaster/endtoend/service"
)

// scripted is a service that answers each target by bytes of its own, and remembers what it was asked.
type scripted struct {
	lock  sync.Mutex
	heads []string
}

// serveScripts registers a service that answers a target, as it stands in the request line, by its bytes, and any other
// one by 200 and the target. It takes what else the proxy sends, and ends a stream when the proxy does so.
func (p *proxy) serveScripts(definition service.Definition, answers map[string]string) *scripted {
	s := &scripted{}
	p.serveStreams(definition, func(stream net.Conn) {
		reader := bufio.NewReader(stream)
		head, err := readHead(reader)
		if err != nil {
			return
		}
		s.lock.Lock()
		s.heads = append(s.heads, head)
		s.lock.Unlock()
		target := strings.Fields(head)[1]
		answer, isKnown := answers[target]
		if !isKnown {
			answer = counted("200 OK", target)
		}
		io.WriteString(stream, answer)
		io.Copy(io.Discard, reader)
	})
	return s
}

// counted is a reply with a length.
func counted(status, body string, fields ...string) string {
	lines := append([]string{"HTTP/1.1 " + status, "Content-Length: " + portText(len(body))}, fields...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// asked are the request lines without their version, in the order of their arrival.
func (s *scripted) asked() (lines []string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, head := range s.heads {
		words := strings.Fields(head)
		lines = append(lines, words[0]+" "+words[1])
	}
	return lines
}

// last is the newest head.
func (s *scripted) last() string {
	s.lock.Lock()
	defer s.lock.Unlock()
	if len(s.heads) == 0 {
		return ""
	}
	return s.heads[len(s.heads)-1]
}

// expectNever checks that no request with such a word in its first line has come.
func (s *scripted) expectNever(t *testing.T, word string) {
	t.Helper()
	for _, line := range s.asked() {
		if strings.Contains(line, word) {
			t.Errorf("the service got %q", line)
		}
	}
}

// pieces sends a text in pieces of a size, or of growing sizes for 0.
func (w *wire) pieces(text string, size int) {
	w.t.Helper()
	for next := size; len(text) > 0; {
		if size == 0 {
			next = next*2 + 1
		}
		if next > len(text) {
			next = len(text)
		}
		w.send(text[:next])
		text = text[next:]
	}
}
