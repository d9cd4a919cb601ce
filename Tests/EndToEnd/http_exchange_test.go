package endtoend

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestHTTPContinueWorksEndToEnd(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			if request.URL.Path == "/refuse" {
				http.Error(writer, "too large", http.StatusExpectationFailed)
				return
			}
			digest().ServeHTTP(writer, request) // whose first read makes net/http send 100
		}))
		w := dial(t, port)
		for round := 0; round < 2; round++ {
			w.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
			w.expectReply("POST", 100, "")
			w.send("hello")
			w.expectReply("POST", 200, digestOf("POST", []byte("hello")))
		}
		w.send("POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		w.expectReply("POST", 417, "too large\n")
	})
}

func TestHTTPInterimRepliesPass(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serveStreams(onPath(port, "/"), script("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"+
			"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"))
		w := dial(t, port)
		for round := 0; round < 2; round++ {
			w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if r := w.expectReply("GET", 103, ""); r.Header.Get("Link") != "</x>" {
				t.Errorf("the fields of 103 are %v", r.Header)
			}
			w.expectReply("GET", 102, "")
			w.expectReply("GET", 200, "done")
		}
	})
}

func TestHTTPReplyThatEndsWithItsConnectionEndsTheClients(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		body := strings.Repeat("0123456789", 50_000)
		p.serveStreams(onPath(port, "/1.1"), script("HTTP/1.1 200 OK\r\n\r\n"+body))
		p.serveStreams(onPath(port, "/1.0"), script("HTTP/1.0 200 OK\r\n\r\n"+body))
		p.serveStreams(onPath(port, "/empty"), script("HTTP/1.1 200 OK\r\n\r\n"))
		for path, wanted := range map[string]string{"/1.1": body, "/1.0": body, "/empty": ""} {
			w := dial(t, port)
			w.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
			w.expectReply("GET", 200, wanted)
			w.expectEnd()
		}
	})
}

func TestHTTPConnectionCloseEndsAtOnce(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), text("closing"))
		w := dial(t, port)
		w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if r := w.expectReply("GET", 200, "closing"); !r.Close {
			t.Error("the reply does not say that the connection ends")
		}
		w.expectEnd()
		// What is pipelined behind a request that closes is never served.
		w = dial(t, port)
		w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive, Close\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
		w.expectReply("GET", 200, "closing")
		w.expectClosed()
	})
}

func TestHTTPClientsOfVersion10(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		body := strings.Repeat("chunked ", 40_000)
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			switch request.URL.Path {
			case "/chunked":
				io.WriteString(writer, body)
			default:
				answer := fmt.Sprint("as HTTP/1.", request.ProtoMinor)
				writer.Header().Set("Content-Length", fmt.Sprint(len(answer)))
				io.WriteString(writer, answer)
			}
		}))
		w := dial(t, port)
		w.send("GET / HTTP/1.0\r\n\r\n") // no Host: none is needed in 1.0
		w.expectReply("GET", 200, "as HTTP/1.1")
		w.expectEnd()
		// A 1.0 client knows no chunks: the reply is decoded, and ended by closing.
		w = dial(t, port)
		w.send("GET /chunked HTTP/1.0\r\nHost: x\r\n\r\n")
		r := w.expectReply("GET", 200, body)
		if len(r.TransferEncoding) > 0 || r.Header.Get("Content-Length") != "" {
			t.Errorf("framing is %v, length %q", r.TransferEncoding, r.Header.Get("Content-Length"))
		}
		w.expectEnd()
		w = dial(t, port)
		w.send("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc")
		w.expectReply("POST", 200, "as HTTP/1.1")
		w.expectEnd()
		// If it asks for it, its connection may be kept, but then the reply says so.
		w = dial(t, port)
		w.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		r = w.expectReply("GET", 200, "as HTTP/1.1")
		if strings.EqualFold(r.Header.Get("Connection"), "keep-alive") {
			w.send("GET / HTTP/1.0\r\n\r\n")
			w.expectReply("GET", 200, "as HTTP/1.1")
		}
		w.expectEnd()
	})
}

func TestHTTPEarlyReplyToAnUnfinishedBody(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		heads := make(chan string, 10)
		p.serveStreams(onPath(port, "/"), func(stream net.Conn) {
			head, err := readHead(bufio.NewReader(stream))
			if err == nil {
				heads <- head
				io.WriteString(stream, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
			}
		})
		w := dial(t, port)
		w.send("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nfirst bytes")
		w.expectReply("POST", 413, "big")
		// Whether the rest is drained or the connection is closed: it must not be taken for requests.
		go func() {
			request := "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
			io.WriteString(w, strings.Repeat(request, 1000000/len(request)))
			w.CloseWrite()
		}()
		io.Copy(io.Discard, w.reader)
		w.Close()
		w = dial(t, port)
		w.send("GET /last HTTP/1.1\r\nHost: x\r\n\r\n")
		w.expectReply("GET", 413, "big")
		close(heads)
		for head := range heads {
			if strings.Contains(head, "smuggled") {
				t.Errorf("the service got %q", head)
			}
		}
	})
}

func TestHTTPEarlyReplyOfNetHTTP(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			http.Error(writer, "no", http.StatusForbidden) // without reading the body
		}))
		for _, size := range []int{100, 100_000, 3_000_000} {
			w := dial(t, port)
			go func() {
				fmt.Fprintf(w, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
				w.Write(pattern(1, size))
			}()
			w.expectReply("POST", 403, "no\n")
			w.Close()
		}
	})
}

func TestHTTPBrokenReplyIsNotTakenForComplete(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		for path, answer := range map[string]string{
			"/counted":  "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this",
			"/chunked":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
			"/badchunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\nhello\r\n0\r\n\r\n",
		} {
			p.serveStreams(onPath(port, path), script(answer))
			w := dial(t, port)
			w.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
			r, err := w.tryReply("GET")
			if err == nil && (r.Response == nil || r.StatusCode == 200) {
				t.Errorf("%s: got %s as a complete reply", path, shorten(r.body))
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) && err != nil &&
				!strings.Contains(err.Error(), "chunk") {
				t.Errorf("%s: the reply ended with %v", path, err)
			}
		}
	})
}

func TestHTTPServiceThatBreaksHTTPIsABadGateway(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		for path, answer := range map[string]string{
			"/garbage":    "SSH-2.0-nonsense\r\n\r\n",
			"/nothing":    "",
			"/half":       "HTTP/1.1 200 OK\r\nContent-Le",
			"/both":       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
			"/unasked":    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello",
			"/folded":     "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
			"/whitespace": "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
		} {
			p.serveStreams(onPath(port, path), script(answer))
			w := dial(t, port)
			w.send("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
			if r := w.reply("POST"); r.StatusCode != 502 {
				t.Errorf("%s: got %d %s", path, r.StatusCode, shorten(r.body))
			}
		}
	})
}

func TestHTTPClientThatHalfClosesStillGetsItsReply(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		started, proceed := make(chan struct{}, 1), make(chan struct{})
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			body, _ := io.ReadAll(request.Body)
			started <- struct{}{}
			sleepless(proceed, patience)
			// Its context has ended or will: net/http takes the FIN for the client's end, but writes on.
			writer.Write(body)
		}))
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
			"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		} {
			w := dial(t, port)
			w.send(request)
			w.CloseWrite()
			await(t, "the request", started)
			time.Sleep(20 * time.Millisecond)
			proceed <- struct{}{}
			body := "abc"
			if strings.HasPrefix(request, "GET") {
				body = ""
			}
			w.expectReply("POST", 200, body)
			w.expectEnd()
		}
	})
}

func TestHTTPContextLastsAsLongAsItsClientWaits(t *testing.T) {
	eachWaiting(t, []string{"--idle-timeout", "500ms", "--head-timeout", "500ms"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			io.Copy(io.Discard, request.Body)
			// Longer than any FIN is held back, and than the timeouts that do not concern a request under way.
			select {
			case <-request.Context().Done():
				t.Errorf("the context of %s %s ended: %v", request.Method, request.URL, request.Context().Err())
			case <-time.After(1700 * time.Millisecond):
			}
			io.WriteString(writer, "in the end")
		}))
		var clients []*wire
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"GET / HTTP/1.0\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
			"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /pipelined HTTP/1.1\r\nHost: x\r\n\r\n",
		} {
			w := dial(t, port)
			w.send(request)
			clients = append(clients, w)
		}
		for _, w := range clients {
			w.expectReply("POST", 200, "in the end")
		}
		clients[len(clients)-1].expectReply("GET", 200, "in the end")
	})
}

func TestHTTPContextEndsWhenItsClientResets(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		started, ended := make(chan struct{}, 1), make(chan struct{}, 1)
		listener := p.serve(onPath(port, "/"), http.HandlerFunc(
			func(writer http.ResponseWriter, request *http.Request) {
				started <- struct{}{}
				sleepless(request.Context().Done(), patience)
				if request.Context().Err() != nil {
					ended <- struct{}{}
				}
			}))
		w := dial(t, port)
		w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		await(t, "the request", started)
		w.reset()
		await(t, "the end of the request's context", ended)
		eventually(t, "the stream is gone", func() bool { return listener.Streams() == 0 })
	})
}

func TestHTTPSlowButSteadyIsNotCut(t *testing.T) {
	flags := []string{"--stall-timeout", "4s", "--idle-timeout", "4s", "--head-timeout", "10s"}
	eachWaiting(t, flags, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), digest())
		w := dial(t, port)
		w.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n")
		for _, letter := range "steadily" {
			time.Sleep(600 * time.Millisecond)
			w.send(string(letter))
		}
		w.expectReply("POST", 200, digestOf("POST", []byte("steadily")))
	})
}

func TestHTTPIdleConnectionsAreClosed(t *testing.T) {
	eachWaiting(t, []string{"--idle-timeout", "400ms"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), text("x"))
		w := dial(t, port)
		w.get("/", "x")
		w.expectEnd()
	})
}

func TestHTTPReplyTimeout(t *testing.T) {
	eachWaiting(t, []string{"--reply-timeout", "3s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		ended := make(chan struct{}, 1)
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			if request.URL.Path == "/quick" {
				io.WriteString(writer, "quick")
				return
			}
			sleepless(request.Context().Done(), patience)
			ended <- struct{}{}
		}))
		w := dial(t, port)
		w.get("/quick", "quick")
		w.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
		w.expectReply("GET", 504, "*")
		await(t, "the end of the request at the service", ended)
	})
}
