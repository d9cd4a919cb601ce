package endtoend

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestHTTPReplyOf20MegabytesIsExact(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		body := pattern(20, 20<<20)
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			if request.URL.Path == "/counted" {
				writer.Header().Set("Content-Length", fmt.Sprint(len(body)))
			}
			writer.Write(body)
		}))
		client := client(t)
		for _, path := range []string{"/counted", "/chunked"} {
			response, err := client.Get("http://" + address(port) + path)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(response.Body)
			response.Body.Close()
			if diff := difference(answer, body); diff != "" || err != nil {
				t.Errorf("%s: %s, %v", path, diff, err)
			}
			if isChunked := response.ContentLength < 0; isChunked != (path == "/chunked") {
				t.Errorf("%s has the length %d", path, response.ContentLength)
			}
		}
	})
}

func TestHTTPBodiesOf5MegabytesAreExact(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), digest())
		body := pattern(5, 5<<20)
		w := dial(t, port)
		go func() {
			fmt.Fprintf(w, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(body))
			w.Write(body)
			io.WriteString(w, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
			io.WriteString(w, chunked(body, 33_333))
			// Many tiny chunks, so that their framing is cut anywhere.
			io.WriteString(w, "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
			io.WriteString(w, chunked(body[:200_000], 3))
		}()
		w.expectReply("POST", 200, digestOf("POST", body))
		w.extend()
		w.expectReply("POST", 200, digestOf("POST", body))
		w.extend()
		w.expectReply("PUT", 200, digestOf("PUT", body[:200_000]))
	})
}

func TestHTTPReplyMayBeginWhileTheRequestIsUnderWay(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		const size = 4 << 20
		p.serveStreams(onPath(port, "/"), func(stream net.Conn) {
			reader := bufio.NewReader(stream)
			if _, err := readHead(reader); err == nil {
				fmt.Fprintf(stream, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
				io.CopyN(stream, reader, size)
			}
		})
		body := pattern(6, size)
		w := dial(t, port)
		go func() {
			fmt.Fprintf(w, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
			w.Write(body)
		}()
		if r := w.reply("POST"); r.StatusCode != 200 || difference([]byte(r.body), body) != "" {
			t.Errorf("%d, %s", r.StatusCode, difference([]byte(r.body), body))
		}
	})
}

func TestHTTPChunkExtensionsAndTrailersPass(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			body, err := io.ReadAll(request.Body)
			writer.Header().Set("Trailer", "X-Sum")
			fmt.Fprintf(writer, "%s %v %s", body, err, request.Trailer.Get("X-Check"))
			writer.Header().Set("X-Sum", "42")
		}))
		w := dial(t, port)
		w.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check\r\n\r\n" +
			"5;name=value;quoted=\"a;b\"\r\nhello\r\n00A\r\n0123456789\r\n0\r\nX-Check: good\r\n\r\n")
		r := w.expectReply("POST", 200, "hello0123456789 <nil> good")
		if sum := r.Trailer.Get("X-Sum"); sum != "42" {
			t.Errorf("the reply's trailer is %q", sum)
		}
		w.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n")
		w.expectReply("POST", 200, " <nil> ")
	})
}

func TestHTTPRepliesWithoutABodyLeaveTheConnectionUsable(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		answers := map[string]string{
			"/head":     "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
			"/chunked":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
			"/204":      "HTTP/1.1 204 No Content\r\n\r\n",
			"/304":      "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\r\n",
			"/empty":    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			"/noreason": "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
			"/ok":       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		}
		p.serveStreams(onPath(port, "/"), func(stream net.Conn) {
			reader := bufio.NewReader(stream)
			head, err := readHead(reader)
			if err != nil {
				return
			}
			io.WriteString(stream, answers[strings.Fields(head)[1]])
			io.Copy(io.Discard, reader) // until the proxy has seen the reply's end by itself
		})
		w := dial(t, port)
		for round := 0; round < 2; round++ {
			w.send("HEAD /head HTTP/1.1\r\nHost: x\r\n\r\n")
			if r := w.expectReply("HEAD", 200, ""); r.ContentLength != 1000 {
				t.Errorf("the length of HEAD's reply became %d", r.ContentLength)
			}
			w.send("HEAD /chunked HTTP/1.1\r\nHost: x\r\n\r\n")
			w.expectReply("HEAD", 200, "")
			w.get("/ok", "ok")
			w.send("GET /204 HTTP/1.1\r\nHost: x\r\n\r\n")
			w.expectReply("GET", 204, "")
			w.send("GET /304 HTTP/1.1\r\nHost: x\r\n\r\n")
			if r := w.expectReply("GET", 304, ""); r.Header.Get("ETag") != `"x"` {
				t.Errorf("the fields of 304 are %v", r.Header)
			}
			w.get("/empty", "")
			w.get("/noreason", "ok")
		}
	})
}

func TestHTTPWhatAServiceFlushesIsPassedOnAtOnce(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		more := make(chan struct{})
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			for event := 0; event < 5; event++ {
				fmt.Fprintf(writer, "event %d\n", event)
				writer.(http.Flusher).Flush()
				sleepless(more, patience)
			}
		}))
		response, err := client(t).Get("http://" + address(port))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		reader := bufio.NewReader(response.Body)
		for event := 0; event < 5; event++ {
			line, err := reader.ReadString('\n')
			if line != fmt.Sprintf("event %d\n", event) {
				t.Fatalf("got %q, %v", line, err)
			}
			more <- struct{}{}
		}
	})
}

func TestHTTPWhatAClientSendsIsPassedOnAtOnce(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		arrived := make(chan byte)
		p.serveStreams(onPath(port, "/"), func(stream net.Conn) {
			reader := bufio.NewReader(stream)
			readHead(reader)
			for index := 0; index < 5; index++ {
				letter, _ := reader.ReadByte()
				arrived <- letter
			}
			io.WriteString(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		})
		w := dial(t, port)
		w.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
		for _, letter := range []byte("hello") {
			w.send(string(letter))
			if got := await(t, "a byte of the body", arrived); got != letter {
				t.Fatalf("%q arrived as %q", letter, got)
			}
		}
		w.expectReply("POST", 200, "ok")
	})
}

func TestHTTPBodyIsNotTakenForARequest(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			body, _ := io.ReadAll(request.Body)
			fmt.Fprintf(writer, "%s %s", request.URL.Path, body)
		}))
		inner := "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"
		w := dial(t, port)
		w.send(fmt.Sprintf("POST /outer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(inner), inner))
		w.expectReply("POST", 200, "/outer "+inner)
		w.send("POST /outer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked([]byte(inner), 100))
		w.expectReply("POST", 200, "/outer "+inner)
		w.send("GET /outer HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + inner)
		w.expectReply("GET", 200, "/outer abc")
		w.expectReply("GET", 200, "/inner ")
	})
}

func TestHTTPStoppedReaderStopsOnlyItsOwnReply(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		body := pattern(7, 8<<20)
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			if request.URL.Path == "/large" {
				writer.Write(body)
			} else {
				io.WriteString(writer, "small")
			}
		}))
		stopped := dial(t, port)
		stopped.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := stopped.reader.Peek(1); err != nil {
			t.Fatal(err)
		}
		for round := 0; round < 50; round++ {
			expectServed(t, port, "/small", "small")
		}
		if r := stopped.reply("GET"); !bytes.Equal([]byte(r.body), body) {
			t.Error(difference([]byte(r.body), body))
		}
	})
}
