package endtoend

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A reply may come before the end of its request's body. Its head says whether the connection goes on, and what it says
// is true: the rest is dropped and the next request served, or a FIN follows the reply.

// early are replies of every framing, by the path that they answer.
func early() map[string]string {
	return map[string]string{
		"/counted":  counted("413 Content Too Large", "big"),
		"/good":     counted("200 OK", "big"),
		"/empty":    counted("403 Forbidden", ""),
		"/chunked":  "HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbig\r\n0\r\n\r\n",
		"/204":      "HTTP/1.1 204 No Content\r\n\r\n",
		"/304":      "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n",
		"/interim":  "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + counted("401 Unauthorized", "big"),
		"/closing":  counted("413 Content Too Large", "big", "Connection: close"),
		"/redirect": counted("308 Permanent Redirect", strings.Repeat("big ", 30_000), "Location: /elsewhere"),
	}
}

// final reads replies until one that is not interim.
func (w *wire) final(method string) reply {
	w.t.Helper()
	for {
		if r := w.reply(method); r.StatusCode >= 200 {
			return r
		}
	}
}

func TestEarlyReplyKeepsTheConnectionWhereLittleIsLeft(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		seen := p.serveScripts(onPath(port, ""), early())
		for path := range early() {
			for _, left := range []int{1, 10, 5_000, 70_000, 256<<10 - 1, 256 << 10} {
				for _, sent := range []string{"", "hello"} {
					what := fmt.Sprint(path, ", ", len(sent), " bytes sent, ", left, " left")
					w := dial(t, port)
					w.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(sent)+left, sent))
					if r := w.final("POST"); r.Close {
						t.Errorf("%s: the reply ends the connection", what)
						continue
					}
					// The rest looks like requests, and the next one follows it at once.
					rest := strings.Repeat(smuggled, left/len(smuggled)+1)[:left]
					w.pieces(rest+"GET /next HTTP/1.1\r\nHost: x\r\n\r\n", 0)
					if r, err := w.tryReply("GET"); err != nil || r.body != "/next" {
						t.Errorf("%s: the next request got %v %s, %v", what, r.Response, shorten(r.body), err)
					}
					w.Close()
				}
			}
		}
		seen.expectNever(t, "smuggled")
	})
}

func TestEarlyReplyToHEADKeepsTheConnection(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveScripts(onPath(port, ""), map[string]string{"/x": "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"})
		w := dial(t, port)
		for _, left := range []int{1, 5_000, 200_000} {
			w.send(fmt.Sprintf("HEAD /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", left))
			if r := w.reply("HEAD"); r.Close {
				t.Fatal("the reply ends the connection")
			}
			w.pieces(strings.Repeat("x", left), 1000)
			w.get("/next", "/next")
		}
	})
}

func TestEarlyReplyAnnouncesTheEndWhereMuchIsLeft(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		seen := p.serveScripts(onPath(port, ""), early())
		for path := range early() {
			for what, rest := range map[string]string{
				"a byte above":   fmt.Sprintf("Content-Length: %d\r\n\r\n", 256<<10+1),
				"a gigabyte":     "Content-Length: 1000000000\r\n\r\nhello",
				"chunks":         "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
				"part of chunks": "Transfer-Encoding: chunked\r\n\r\n500\r\nhello",
				"no chunk yet":   "Transfer-Encoding: chunked\r\n\r\n",
			} {
				w := dial(t, port)
				w.send("POST " + path + " HTTP/1.1\r\nHost: x\r\n" + rest)
				if r := w.final("POST"); !r.Close {
					t.Errorf("%s, %s: the reply does not announce the end", path, what)
				}
				w.expectEnd()
				// What comes now is nobody's request.
				io.WriteString(w, "\r\n0\r\n\r\n"+smuggled)
				w.Close()
			}
		}
		expectServed(t, port, "/last", "/last")
		seen.expectNever(t, "smuggled")
	})
}

// A reset would destroy what lies unread in the client's kernel: up to a MiB is taken and dropped.
func TestEarlyReplyIsWholeAlthoughTheClientGoesOnSending(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port, secured := freePort(t), freePort(t)
		body := strings.Repeat("0123456789", 20_000)
		answers := map[string]string{"/x": counted("413 Content Too Large", body)}
		p.serveScripts(onPath(port, ""), answers)
		p.serveScripts(issue("p256", "a.example").with(onPath(secured, "")), answers)
		plain := dial(t, port)
		encrypted := dialSecure(t, secured, secure("a.example"))
		for what, connection := range map[string]io.ReadWriter{"plain": plain, "TLS": encrypted} {
			fmt.Fprint(connection, "POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000000\r\n\r\nhello")
			reader := bufio.NewReaderSize(connection, 16)
			if _, err := reader.Peek(1); err != nil {
				t.Fatal(err)
			}
			if _, err := connection.Write(bytes.Repeat([]byte("x"), 700_000)); err != nil {
				t.Errorf("%s: what the client sends behind the reply: %v", what, err)
			}
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(response.Body); string(got) != body || err != nil || !response.Close {
				t.Errorf("%s: %d bytes, %v, announced: %v", what, len(got), err, response.Close)
			}
			if rest, err := io.ReadAll(reader); len(rest) > 0 || err != nil {
				t.Errorf("%s: %q, %v in place of the end", what, rest, err)
			}
		}
	})
}

func TestEarlyReplyIsTheOnlyOneIfTheRestStalls(t *testing.T) {
	eachWaiting(t, []string{"--stall-timeout", "3s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveScripts(onPath(port, ""), early())
		for _, sent := range []string{"", "hello"} {
			w := dial(t, port)
			w.send("POST /counted HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + sent)
			if r := w.expectReply("POST", 413, "big"); r.Close {
				t.Error("the reply ends the connection")
			}
			w.expectClosed() // a 408 would be taken for the reply to the next request
		}
	})
}

func TestEarlyReplyEndsWithTheClientsFIN(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveScripts(onPath(port, ""), early())
		for _, left := range []int{1000, 1_000_000} {
			w := dial(t, port)
			w.send(fmt.Sprintf("POST /counted HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nhello", left))
			if r := w.expectReply("POST", 413, "big"); r.Close != (left > 256<<10) {
				t.Errorf("%d left: announced %v", left, r.Close)
			}
			w.CloseWrite()
			w.expectEnd()
		}
		eventually(t, "nobody is connected", func() bool { return p.figure("connections") == 0 })
	})
}

// net/http's server takes up to 256 KiB of a body that its handler does not want, and then replies. How much of it is
// left at that moment is nobody's choice; the reply says what follows, and it does.
func TestEarlyReplyOfNetHTTPKeepsItsPromise(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, ""), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			if request.URL.Path == "/next" {
				io.WriteString(writer, "next")
			} else {
				http.Error(writer, "no", http.StatusForbidden)
			}
		}))
		for _, size := range []int{1, 100, 10_000, 60_000, 200_000, 260_000, 270_000, 400_000, 700_000} {
			w := dial(t, port)
			w.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size))
			sent := make(chan error, 1)
			go func() {
				_, err := w.Write(make([]byte, size))
				sent <- err
			}()
			r := w.expectReply("POST", 403, "no\n")
			await(t, "the end of the body", sent)
			if r.Close {
				w.expectEnd()
			} else {
				w.get("/next", "next")
			}
		}
	})
}

func TestEarlyReplyToAPooledClientLosesNoLaterRequest(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port, secured := freePort(t), freePort(t)
		handler := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			if request.URL.Path == "/refused" {
				http.Error(writer, "too large", http.StatusRequestEntityTooLarge)
				return
			}
			digest().ServeHTTP(writer, request)
		})
		p.serve(onPath(port, ""), handler)
		p.serve(issue("p256", "127.0.0.1").with(onPath(secured, "")), handler)
		body := pattern(3, 2<<20)
		for origin, client := range map[string]*http.Client{
			"http://" + address(port):     client(t),
			"https://" + address(secured): secureClient(t, &tls.Config{InsecureSkipVerify: true}),
		} {
			failed := 0
			for round := 0; round < 20; round++ {
				// The client may lose the reply to what it has not finished, but never the next one.
				if response, err := client.Post(origin+"/refused", "a/b", bytes.NewReader(body)); err == nil {
					io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
				// No POST is repeated by the client itself.
				response, err := client.Post(origin+"/next", "a/b", strings.NewReader("small"))
				if err != nil {
					failed++
					continue
				}
				answer, err := io.ReadAll(response.Body)
				response.Body.Close()
				if string(answer) != digestOf("POST", []byte("small")) || err != nil {
					failed++
				}
			}
			if failed > 0 {
				t.Errorf("%s: %d of 20 next requests were lost", origin, failed)
			}
		}
	})
}
