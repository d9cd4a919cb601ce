package endtoend

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"socketmaster/endtoend/service"
)

// Replies whose meaning is plain are mended: line ends of the head without CR, and blanks behind the size of a chunk.
// Whatever the service sent, the client gets proper ones.

// mixtures are all ways to end the lines of a head, each with CRLF or with LF.
func mixtures(lines ...string) (heads []string) {
	for mix := 0; mix < 1<<len(lines); mix++ {
		head := ""
		for place, line := range lines {
			head += line + []string{"\r\n", "\n"}[mix>>place&1]
		}
		heads = append(heads, head)
	}
	return heads
}

// written is what is sent of a reply, in which order, and what its client is to get behind the head.
type written struct {
	what   string
	parts  []string
	wanted string
}

// expectMended has the reply sent by a service frame by frame and compares the client's bytes; its head is compared by
// fields, its Date left aside.
func expectMended(t *testing.T, peer *peer, w *wire, request string, r written, head ...string) {
	t.Helper()
	w.send(request)
	stream := peer.awaitStream()
	for _, part := range r.parts {
		peer.Send(service.Data(0, stream, []byte(part)))
	}
	peer.Send(service.WindowUpdate(service.FlagFIN, stream, 0))
	got, err := readHead(w.reader)
	if err != nil || strings.Count(got, "\n") != strings.Count(got, "\r\n") {
		t.Fatalf("%s: the head is %s, %v", r.what, shorten(got), err)
	}
	expectFields(t, r.what, undated(got), head...)
	w.expect(r.wanted)
}

// undated is a head without its Date.
func undated(head string) string {
	kept := ""
	for _, line := range strings.SplitAfter(head, "\r\n") {
		if !strings.HasPrefix(strings.ToLower(line), "date:") {
			kept += line
		}
	}
	return kept
}

const plainGET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func TestLineEndsOfRepliesAreMended(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		w := dial(t, port)
		for _, head := range mixtures("HTTP/1.1 200 Fine", "X-A: b", "Content-Length: 2", "X-C:", "") {
			r := written{fmt.Sprintf("%q", head), []string{head + "ok"}, "ok"}
			expectMended(t, peer, w, plainGET, r, "HTTP/1.1 200 Fine", "x-a: b", "content-length: 2", "x-c: ")
		}
		for _, head := range mixtures("HTTP/1.1 404 Not Found", "Transfer-Encoding: chunked", "Connection: X-Drop", "X-Drop: 1", "") {
			r := written{fmt.Sprintf("%q", head), []string{head, "2\r\nok\r\n", "0\r\n\r\n"}, "2\r\nok\r\n0\r\n\r\n"}
			expectMended(t, peer, w, plainGET, r, "HTTP/1.1 404 Not Found", "transfer-encoding: chunked")
		}
		for _, head := range mixtures("HTTP/1.1 204 No Content", "") {
			expectMended(t, peer, w, plainGET, written{fmt.Sprintf("%q", head), []string{head}, ""}, "HTTP/1.1 204 No Content")
		}
		for _, head := range mixtures("HTTP/1.1 304 Not Modified", "ETag: \"x\"", "") {
			r := written{fmt.Sprintf("%q", head), []string{head}, ""}
			expectMended(t, peer, w, plainGET, r, "HTTP/1.1 304 Not Modified", "etag: \"x\"")
		}
		// An interim reply has a head, too.
		for _, head := range mixtures("HTTP/1.1 103 Early Hints", "Link: </x>", "") {
			r := written{fmt.Sprintf("%q", head), []string{head + "HTTP/1.1 200 OK\nContent-Length: 0\n\n"}, ""}
			expectMended(t, peer, w, plainGET, r, "HTTP/1.1 103 Early Hints", "link: </x>")
			got, _ := readHead(w.reader)
			expectFields(t, r.what, undated(got), "HTTP/1.1 200 OK", "content-length: 0")
		}
		old := dial(t, port)
		r := written{"for 1.0", []string{"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\r\n\n2\r\nok\r\n0\r\n\r\n"}, "ok"}
		expectMended(t, peer, old, "GET / HTTP/1.0\r\n\r\n", r, "HTTP/1.1 200 OK", "connection: close")
		old.expectEnd()
		// A body keeps its line ends.
		r = written{"a body", []string{"HTTP/1.1 200 OK\nContent-Length: 8\n\n\n\r\n\n\na\r\n"}, "\n\r\n\n\na\r\n"}
		expectMended(t, peer, w, plainGET, r, "HTTP/1.1 200 OK", "content-length: 8")
	})
}

func TestLineEndsOfRepliesAreMendedWhereverTheyAreSplit(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		for _, reply := range []string{
			"HTTP/1.1 200 OK\nX-A: b\r\nContent-Length: 2\n\nok", "HTTP/1.1 200 OK\r\nX-A: b\nContent-Length: 2\r\n\nok",
			"HTTP/1.1 200 OK\nX-A: b\nContent-Length: 2\n\r\nok",
		} {
			w := dial(t, port)
			for split := 1; split < len(reply); split++ {
				r := written{fmt.Sprintf("split behind %q", reply[:split]), []string{reply[:split], reply[split:]}, "ok"}
				expectMended(t, peer, w, plainGET, r, "HTTP/1.1 200 OK", "x-a: b", "content-length: 2")
			}
			r := written{"byte by byte", strings.Split(reply, ""), "ok"}
			expectMended(t, peer, w, plainGET, r, "HTTP/1.1 200 OK", "x-a: b", "content-length: 2")
		}
	})
}

func TestLineEndsOfRepliesThatMakeRelaysAreMended(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		for _, head := range mixtures("HTTP/1.1 101 Switching Protocols", "Upgrade: echo", "Connection: upgrade", "") {
			w := dial(t, port)
			r := written{fmt.Sprintf("%q", head), []string{head + "\nfirst\r\n", "second"}, "\nfirst\r\nsecond"}
			expectMended(t, peer, w, "GET /"+upgrade, r, "HTTP/1.1 101 Switching Protocols", "upgrade: echo", "connection: Upgrade")
			w.Close()
		}
		for _, head := range mixtures("HTTP/1.1 200 Connected", "X-A: b", "") {
			w := dial(t, port)
			r := written{fmt.Sprintf("%q", head), []string{head + "\nfirst"}, "\nfirst"}
			w.send("CONNECT d.test:1 HTTP/1.1\r\nHost: d.test:1\r\n\r\n")
			expectMended(t, peer, w, "", r, "HTTP/1.1 200 Connected", "x-a: b")
			w.Close()
		}
	})
}

// blankChunks are bodies with blanks behind the sizes, and what they become.
func blankChunks() map[string]string {
	return map[string]string{
		"5 \r\nhello\r\n0\r\n\r\n":                          "5\r\nhello\r\n0\r\n\r\n",
		"5\t\r\nhello\r\n0 \r\n\r\n":                        "5\r\nhello\r\n0\r\n\r\n",
		"005     \t \r\nhello\r\n0\t\t\r\nX-Sum: 1\r\n\r\n": "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
		"2 \r\nhe\r\n3  \r\nllo\r\n000 \r\n\r\n":            "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
		"5 ;a=b\r\nhello\r\n0\r\n\r\n":                      "5;a=b\r\nhello\r\n0\r\n\r\n",
		"5\t ;a=\"b \"\r\nhello\r\n0 ;c\r\n\r\n":            "5;a=\"b \"\r\nhello\r\n0;c\r\n\r\n",
	}
}

// reframed reads a chunked body in proper framing and writes it with sizes as short as can be, without extensions.
func reframed(t *testing.T, body string) (content string) {
	t.Helper()
	for rest := body; ; {
		line, behind, found := strings.Cut(rest, "\r\n")
		size, _, isExtended := strings.Cut(line, ";")
		if isExtended { // blanks before an extension are within the grammar
			size = strings.TrimRight(size, " \t")
		}
		var count int
		if _, err := fmt.Sscanf(size, "%x", &count); err != nil || !found || strings.TrimRight(size, "0123456789abcdefABCDEF") != "" ||
			len(behind) < count+2 {
			t.Errorf("%q is no proper framing", body)
			return content
		}
		if count == 0 {
			return content + "|" + behind
		}
		content, rest = content+behind[:count], behind[count+2:]
	}
}

func TestBlanksBehindTheSizesOfChunksAreMended(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		peer := p.dialPeer(onPath(port, ""))
		head := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		ask := func(what, request string, parts []string, isOld bool, wanted string) {
			t.Helper()
			w := dial(t, port)
			defer w.Close()
			w.send(request)
			stream := peer.awaitStream()
			for _, part := range parts {
				peer.Send(service.Data(0, stream, []byte(part)))
			}
			peer.Send(service.WindowUpdate(service.FlagFIN, stream, 0))
			if _, err := readHead(w.reader); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if isOld {
				if all, err := io.ReadAll(w.reader); string(all) != wanted || err != nil {
					t.Errorf("%s: a client of 1.0 got %q, %v", what, all, err)
				}
				return
			}
			// The end of a chunked body is that of its trailer section.
			var body strings.Builder
			for !strings.HasSuffix(body.String(), "\r\n\r\n") {
				letter, err := w.reader.ReadByte()
				if err != nil {
					t.Errorf("%s: got %q, %v", what, body.String(), err)
					return
				}
				body.WriteByte(letter)
			}
			if got := reframed(t, body.String()); got != reframed(t, wanted) {
				t.Errorf("%s: got %q, wanted %q", what, body.String(), wanted)
			}
		}
		for body, wanted := range blankChunks() {
			for split := 0; split < len(body); split++ {
				what := fmt.Sprintf("%q | %q", body[:split], body[split:])
				ask(what, plainGET, []string{head + body[:split], body[split:]}, false, wanted)
			}
			ask(body, plainGET, strings.Split(head+body, ""), false, wanted)
			ask(body, "GET / HTTP/1.0\r\n\r\n", []string{head + body}, true, "hello")
			ask(body, "GET / HTTP/1.0\r\n\r\n", strings.Split(head+body, ""), true, "hello")
		}
	})
}

// What could be meant in two ways is no reply, be it ever so usual.
func TestNothingElseOfARepliesFramingIsMended(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		answers := map[string]string{}
		for number, body := range []string{
			"5\nhello\r\n0\r\n\r\n", "5 \nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n", "5 5\r\nhello\r\n0\r\n\r\n",
			"5 x\r\nhello\r\n0\r\n\r\n", "5\v\r\nhello\r\n0\r\n\r\n", "5 \rhello\r\n0\r\n\r\n", "\t5\r\nhello\r\n0\r\n\r\n", " \r\nhello\r\n0\r\n\r\n",
			"5\r\nhello \r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n",
		} {
			answers[fmt.Sprint("/cut/", number)] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
		}
		for number, head := range []string{
			"HTTP/1.1 200 OK\rContent-Length: 0\r\r", "HTTP/1.1 200 OK\r\nX-A: b\rContent-Length: 0\r\n\r\n",
			"HTTP/1.1 200 OK\nX-A: b\n folded\nContent-Length: 0\n\n", "HTTP/1.1 200 OK\nX-A : b\nContent-Length: 0\n\n",
			"HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2\n\nab", "HTTP/1.1 200 OK\r\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 200 OK\nnocolon\nContent-Length: 0\n\n", "HTTP/1.1 200 OK\nX-A: b\x00\nContent-Length: 0\n\n",
			"HTTP/1.1 200 OK\nContent-Length: 0\nTransfer-Encoding: gzip\n\n",
		} {
			answers[fmt.Sprint("/502/", number)] = head
		}
		for path, answer := range answers {
			p.serveStreams(onPath(port, path), script(answer))
			w := dial(t, port)
			w.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
			r, err := w.tryReply("GET")
			if strings.HasPrefix(path, "/502/") && (err != nil || r.StatusCode != 502) {
				t.Errorf("%q: got %v, %v; wanted 502", answer, r.Response, err)
			}
			if strings.HasPrefix(path, "/cut/") && err == nil && r.StatusCode == 200 {
				t.Errorf("%q: got %q as a whole reply", answer, r.body)
			}
			w.Close()
		}
	})
}

// Requests are as strict as before: what is mended in a reply is refused there.
func TestRequestsAreNotMended(t *testing.T) {
	each(t, []string{"--stall-timeout", "2s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		seen := &witness{}
		p.serve(onPath(port, ""), seen)
		for _, head := range mixtures("GET /bad HTTP/1.1", "Host: x", "X-A: b", "")[1:] {
			w := dial(t, port)
			w.send(head)
			w.expectReply("GET", 400, "*")
		}
		for body := range blankChunks() {
			if strings.Contains(body, ";") {
				continue // the grammar has blanks there
			}
			w := dial(t, port)
			w.send("POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body + smuggled)
			answer, _ := io.ReadAll(w.reader)
			if strings.Contains(string(answer), "seen <nil>") {
				t.Errorf("%q was taken for a body", body)
			}
		}
		if others := seen.others("/body"); len(others) > 0 {
			t.Errorf("the service saw %q", others)
		}
	})
}
