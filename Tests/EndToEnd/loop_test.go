package endtoend

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"socketmaster/endtoend/service"
)

// marked is a definition that asks for marks.
func marked(port int, path string) service.Definition {
	definition := onPath(port, path)
	definition.Attributes = map[string]string{"loop-marks": "true"}
	return definition
}

// back is a service that passes its requests on to the proxy that they came from, and counts them.
func back(t *testing.T, port int, passes *atomic.Int32) http.Handler {
	target, err := url.Parse("http://127.0.0.1:" + portText(port))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		passes.Add(1)
		proxy.ServeHTTP(writer, request)
	})
}

func TestARequestThatComesBackAgainAndAgainGets508(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		var passes atomic.Int32
		p.serve(marked(port, "/"), back(t, port, &passes))
		for round := int32(1); round <= 3; round++ {
			w := dial(t, port)
			w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			w.expectReply("GET", 508, "the request has come back again and again; its service leads here\n")
			if passes.Load() != 3*round {
				t.Errorf("%d requests came through the service", passes.Load())
			}
		}
	})
}

func TestARequestMayComeBackOnceForAnotherRoute(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		var passes atomic.Int32
		p.serve(marked(port, "/front"), http.StripPrefix("/front", back(t, port, &passes)))
		p.serveScripts(marked(port, "/"), nil)
		w := dial(t, port)
		w.send("GET /front/page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		w.expectReply("GET", 200, "/page")
	})
}

// Marks are for those who ask for them, and those of others pass and mean nothing.
func TestMarksOfOthersPassAndNobodyElseIsMarked(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		s := p.serveScripts(onPath(port, "/"), nil)
		w := dial(t, port)
		const marks = "CDN-Loop: socketmaster-0000000000000000, a, socketmaster-0000000000000000;b=\"c, d\"\r\n"
		w.send("GET / HTTP/1.1\r\nHost: x\r\n" + marks + marks + marks + "\r\n")
		w.expectReply("GET", 200, "/")
		w.send("GET /plain HTTP/1.1\r\nHost: x\r\n\r\n")
		w.expectReply("GET", 200, "/plain")
		if head := s.last(); strings.Contains(strings.ToLower(head), "cdn-loop") {
			t.Errorf("the service got %q", head)
		}
	})
}
