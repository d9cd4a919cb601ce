package endtoend

import (
	"strings"
	"testing"
	"time"
)

// What of a reply is refused by its size is said to the client, and counted in the log, by a word for it.
func TestRefusedRepliesAreCountedByCause(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		refuse := func(path, answer, word string) {
			p.serveStreams(onPath(port, path), script(answer))
			w := dial(t, port)
			w.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
			if r := w.expectReply("GET", 502, "*"); !strings.Contains(r.body, word) {
				t.Errorf("%s is answered with %q, which does not say %q", path, r.body, word)
			}
		}
		// Every other cause is told apart from sizes.
		from := p.stderr.count()
		refuse("/broken", "HTTP/1.1 200 OK\r\nX-A : b\r\n\r\n", "")
		line := p.awaitLog(`failed on `, from) - 1
		if text := p.stderr.copy()[line]; strings.Contains(text, "too large") || strings.Contains(text, "too many") {
			t.Errorf("the log says %q", text)
		}
		from = p.stderr.count()
		field, kilobyte := "X-A: b\r\n", "X-A: "+strings.Repeat("b", 1000)+"\r\n"
		refuse("/many", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"+strings.Repeat(field, 128)+"\r\n", "too many fields")
		refuse("/more", "HTTP/1.1 200 OK\n"+strings.Repeat("X-A: b\n", 300)+"\n", "too many fields")
		refuse("/hints", "HTTP/1.1 103 Early Hints\r\n"+strings.Repeat(field, 129)+"\r\n"+emptyReply, "too many fields")
		refuse("/field", "HTTP/1.1 200 OK\r\nX-A: "+strings.Repeat("b", 65<<10)+"\r\n\r\n", "too large")
		refuse("/sum", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"+strings.Repeat(kilobyte, 70)+"\r\n", "too large")
		refuse("/line", "HTTP/1.1 200 "+strings.Repeat("b", 70<<10), "too large")
		for _, word := range []string{"too many fields", "too large"} {
			p.awaitLog(`failed on .*`+word, from)
		}
	})
}

// Each kind of fault has a sentence of its own, for the client and in the log.
func TestRefusedRepliesAreToldApart(t *testing.T) {
	eachWaiting(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		answers := map[string]string{
			"/line":   "SSH-2.0-nonsense\r\n\r\n",
			"/length": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
			"/switch": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello",
			"/many":   "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: b\r\n", 129) + "\r\n",
			"/large":  "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("b", 70<<10) + "\r\n\r\n",
		}
		from := p.stderr.count()
		told := map[string]string{}
		for path, answer := range answers {
			p.serveStreams(onPath(port, path), script(answer))
			w := dial(t, port)
			w.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
			text := w.expectReply("GET", 502, "*").body
			if other := told[text]; other != "" {
				t.Errorf("%s and %s are both answered with %q", path, other, text)
			}
			told[text] = path
		}
		// A line of the log has a clause for each cause.
		eventually(t, "each cause is in the log", func() bool {
			causes := 0
			for _, line := range p.stderr.copy()[from:] {
				if strings.Contains(line, "failed on ") {
					causes += strings.Count(line, "502")
				}
			}
			return causes >= len(answers)
		})
	})
}

func TestRepliesWithinTheLimitsPass(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		lines := func(line string, count int) (all []string) {
			for len(all) < count {
				all = append(all, line)
			}
			return all
		}
		p.serveScripts(onPath(port, ""), map[string]string{
			"/fields": counted("200 OK", "ok", lines("X-A: b", 127)...),
			"/size":   counted("200 OK", "ok", lines("X-A: "+strings.Repeat("b", 1017), 60)...),
			"/long":   counted("200 OK", "ok", "X-A: "+strings.Repeat("b", 60_000)),
		})
		w := dial(t, port)
		since := time.Now()
		for _, path := range []string{"/fields", "/size", "/long"} {
			w.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
			expectDate(t, path, w.headOf(path), since)
			w.expect("ok")
		}
	})
}
