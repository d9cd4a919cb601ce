package endtoend

import (
	"io"
	"net/http"
)

// underWay is a request that has begun to be answered and ends when the test says so.
type underWay struct {
	*wire
	proceed chan struct{}
}

func (p *proxy) beginRequest(port int) *underWay {
	p.t.Helper()
	started, proceed := make(chan struct{}, 1), make(chan struct{})
	p.serve(onPath(port, "/slow"), http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		io.WriteString(writer, "begun, ")
		writer.(http.Flusher).Flush()
		started <- struct{}{}
		sleepless(proceed, patience)
		io.WriteString(writer, "done")
	}))
	w := dial(p.t, port)
	w.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	await(p.t, "the request", started)
	return &underWay{w, proceed}
}

// end lets it be answered, and expects all of the reply.
func (u *underWay) end() {
	u.t.Helper()
	close(u.proceed)
	u.extend()
	u.expectReply("GET", 200, "begun, done")
}
