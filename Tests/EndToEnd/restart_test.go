package endtoend

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// load is clients that ask all the time, half of them on connections that they keep.
type load struct {
	config   *tls.Config
	lock     sync.Mutex
	stopping chan struct{}
	running  sync.WaitGroup
	count    int
	longest  time.Duration
	failures []string
}

const loadClients = 8

// startLoad asks for a path with as many clients on kept connections as on new ones. Every answer must be 200 and one of
// the texts.
func startLoad(port int, path string, texts ...string) *load {
	return startLoadBy(nil, port, path, texts...)
}

// startLoadBy is startLoad for clients that speak TLS, unless the configuration is nil.
func startLoadBy(config *tls.Config, port int, path string, texts ...string) *load {
	l := &load{stopping: make(chan struct{}), config: config}
	for index := 0; index < loadClients; index++ {
		l.run(func(keep *keptClient) error { return keep.ask(port, path, texts) }, true)
		l.run(func(keep *keptClient) error { return keep.ask(port, path, texts) }, false)
	}
	return l
}

func (l *load) run(ask func(*keptClient) error, keeps bool) {
	l.running.Add(1)
	go func() {
		defer l.running.Done()
		client := &keptClient{config: l.config}
		defer client.close()
		for {
			select {
			case <-l.stopping:
				return
			default:
			}
			if !keeps {
				client.close()
			}
			start := time.Now()
			err := ask(client)
			l.note(time.Since(start), err)
		}
	}()
}

func (l *load) note(took time.Duration, err error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.count++
	if took > l.longest {
		l.longest = took
	}
	if err != nil {
		l.failures = append(l.failures, err.Error())
	}
}

// answered is how many requests have been answered.
func (l *load) answered() int {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.count
}

// awaitMore waits until some more requests have been answered.
func (l *load) awaitMore(t *testing.T) {
	t.Helper()
	before := l.answered()
	eventually(t, "more answers", func() bool { return l.answered() >= before+4*loadClients })
}

// stop ends the load, which must not have seen a failure.
func (l *load) stop(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); l.answered() < 100 && time.Now().Before(deadline); {
		time.Sleep(3 * time.Millisecond)
	}
	close(l.stopping)
	l.running.Wait()
	t.Logf("%d requests, the longest took %v, %d failed", l.count, l.longest.Round(time.Millisecond), len(l.failures))
	if len(l.failures) > 0 {
		shown := l.failures
		if len(shown) > 5 {
			shown = shown[:5]
		}
		t.Errorf("%d of %d requests failed:\n%s", len(l.failures), l.count, strings.Join(shown, "\n"))
	}
	if l.count < 100 {
		t.Errorf("only %d requests were made", l.count)
	}
}

// keptClient is an HTTP client that never asks twice, unlike Go's own.
type keptClient struct {
	config     *tls.Config
	connection net.Conn
	reader     *bufio.Reader
}

func (c *keptClient) close() {
	if c.connection != nil {
		c.connection.Close()
		c.connection = nil
	}
}

func (c *keptClient) dial(port int) error {
	w, err := tryDial(port)
	if err != nil {
		return err
	}
	c.connection, c.reader = w, w.reader
	if c.config != nil {
		secured := tls.Client(w.TCPConn, c.config)
		c.connection, c.reader = secured, bufio.NewReader(secured)
	}
	return nil
}

func (c *keptClient) ask(port int, path string, texts []string) error {
	body, err := c.exchange(port, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path), http.MethodGet)
	if err != nil {
		c.close()
		return err
	}
	for _, text := range texts {
		if body == text {
			return nil
		}
	}
	return fmt.Errorf("%q was answered", body)
}

// exchange sends a request and returns the body of a reply of 200.
func (c *keptClient) exchange(port int, request, method string) (string, error) {
	if c.connection == nil {
		if err := c.dial(port); err != nil {
			return "", err
		}
	}
	c.connection.SetDeadline(time.Now().Add(2 * patience))
	if _, err := io.WriteString(c.connection, request); err != nil {
		return "", err
	}
	reply, err := http.ReadResponse(c.reader, &http.Request{Method: method})
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if reply.Close {
		defer c.close()
	}
	if err == nil && reply.StatusCode != 200 {
		err = fmt.Errorf("%d: %s", reply.StatusCode, body)
	}
	return string(body), err
}

// restarts runs a test with one reactor and with four.
func restarts(t *testing.T, flags []string, test func(t *testing.T, p *proxy)) {
	for _, count := range []string{"1", "4"} {
		t.Run("reactors="+count, func(t *testing.T) {
			test(t, startProxy(t, append([]string{"--reactors", count}, flags...)...))
		})
	}
}

// site is where a test's service serves HTTP, with or without TLS.
type site struct {
	p      *proxy
	port   int
	config *tls.Config
	issued *issued
	files  []string
}

// sites is restarts for tests that do the same with TLS as without.
func sites(t *testing.T, flags []string, test func(t *testing.T, s *site)) {
	restarts(t, flags, func(t *testing.T, p *proxy) { test(t, &site{p: p, port: freePort(t)}) })
	t.Run("tls", func(t *testing.T) {
		certificate := issue("p256", "restart.example")
		s := &site{port: freePort(t), config: secure("restart.example"), issued: &certificate}
		folder := t.TempDir()
		for name, text := range map[string]string{"cert": certificate.chain, "key": certificate.keyText()} {
			path := filepath.Join(folder, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s.files = append(s.files, "-"+name, path)
		}
		s.p = startProxy(t, append([]string{"--reactors", "4"}, flags...)...)
		test(t, s)
	})
}

// start starts a service in a process of its own that answers with "hello".
func (s *site) start(flags ...string) *process {
	s.p.t.Helper()
	flags = append(append(flags, s.files...), "-port", portText(s.port), "-path", "/", "-text", "hello", "-quiet")
	return s.p.startService(flags...)
}

// serve starts one in this process.
func (s *site) serve() *service.Listener {
	s.p.t.Helper()
	definition := onPath(s.port, "/")
	if s.issued != nil {
		definition = s.issued.with(definition)
	}
	return s.p.serve(definition, text("hello"))
}

func (s *site) load() *load { return startLoadBy(s.config, s.port, "/", "hello") }

const gap = 500 * time.Millisecond

func TestRestartByKillFailsNoRequest(t *testing.T) {
	sites(t, nil, func(t *testing.T, s *site) {
		running := s.start()
		load := s.load()
		for round := 0; round < 10; round++ {
			load.awaitMore(t)
			s.p.killService(running)
			time.Sleep(gap)
			running = s.start()
		}
		load.awaitMore(t)
		load.stop(t)
	})
}

func TestRestartOfANativeServiceFailsNoRequest(t *testing.T) {
	restarts(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		start := func() *process {
			from := p.stderr.count()
			s := startProcess(t, filepath.Join(os.Getenv("E2E_BINARIES"), "native-service"),
				"yamux", "--port", portText(port), "--control", p.control, "--reply-size", "1000")
			p.awaitLog("registered", from)
			return s
		}
		running := start()
		load := startLoad(port, "/", get(t, port, "/").body)
		for round := 0; round < 4; round++ {
			load.awaitMore(t)
			p.killService(running)
			time.Sleep(gap)
			running = start()
		}
		for round := 0; round < 4; round++ {
			load.awaitMore(t)
			next := start()
			p.killService(running)
			running = next
		}
		load.awaitMore(t)
		load.stop(t)
	})
}

func TestRestartByKillWhileRequestsTakeTheirTimeFailsNone(t *testing.T) {
	sites(t, nil, func(t *testing.T, s *site) {
		running := s.start("-delay", "50ms")
		load := s.load()
		for round := 0; round < 4; round++ {
			load.awaitMore(t)
			s.p.killService(running)
			time.Sleep(gap)
			running = s.start("-delay", "50ms")
		}
		load.awaitMore(t)
		load.stop(t)
	})
}

func TestRestartByGoAwayFailsNoRequest(t *testing.T) {
	sites(t, nil, func(t *testing.T, s *site) {
		running := s.serve()
		load := s.load()
		for round := 0; round < 5; round++ {
			load.awaitMore(t)
			running.Drain(patience)
			time.Sleep(gap)
			running = s.serve()
		}
		load.awaitMore(t)
		load.stop(t)
	})
}

func TestBlueGreenByGoAwayFailsNoRequestAndKeepsRawConnections(t *testing.T) {
	sites(t, nil, func(t *testing.T, s *site) {
		rawPort := freePort(t)
		blue := s.serve()
		blueRaw := s.p.serveStreams(raw(rawPort), echoStream)
		old := dial(t, rawPort)
		old.exchange([]byte("before"))
		load := s.load()
		for round := 0; round < 10; round++ {
			load.awaitMore(t)
			green := s.serve()
			blue.Drain(patience)
			blue = green
		}
		s.p.serveStreams(raw(rawPort), echoStream)
		blueRaw.GoAway()
		dial(t, rawPort).exchange([]byte("new"))
		old.exchange([]byte("still there"))
		load.awaitMore(t)
		load.stop(t)
	})
}

func TestBlueGreenByKillFailsNoRequest(t *testing.T) {
	sites(t, nil, func(t *testing.T, s *site) {
		blue := s.start()
		load := s.load()
		for round := 0; round < 6; round++ {
			load.awaitMore(t)
			green := s.start()
			s.p.killService(blue)
			blue = green
		}
		load.awaitMore(t)
		load.stop(t)
	})
}

func TestStoppedServiceFailsNoRequestThatASiblingCanServe(t *testing.T) {
	flags := []string{"--ping-interval", "1s", "--ping-timeout", "1s"}
	sites(t, flags, func(t *testing.T, s *site) {
		stopped := s.start()
		s.start()
		load := s.load()
		load.awaitMore(t)
		from := s.p.stderr.count()
		stopped.suspend(t)
		s.p.awaitLog(sessionLost, from)
		load.awaitMore(t)
		stopped.signal(syscall.SIGCONT)
		load.awaitMore(t)
		load.stop(t)
	})
}

func TestServiceStoppedForAWhileFailsNoRequestThatASiblingCanServe(t *testing.T) {
	for _, pause := range []time.Duration{9 * time.Second, 40 * time.Second} {
		pause := pause
		if pause > 10*time.Second && os.Getenv("E2E_LONG") != "1" {
			continue
		}
		t.Run(pause.String(), func(t *testing.T) {
			t.Parallel()
			p := startProxy(t, "--reactors", "2")
			port := freePort(t)
			var services []*process
			for range []int{1, 2} {
				services = append(services, p.startService("-port", portText(port), "-path", "/", "-text", "hello",
					"-delay", "20ms", "-quiet"))
			}
			load := startLoad(port, "/", "hello")
			load.awaitMore(t)
			services[0].suspend(t)
			time.Sleep(pause)
			services[0].signal(syscall.SIGCONT)
			load.awaitMore(t)
			load.stop(t)
		})
	}
}

func TestPostToAStoppedServiceIsAnsweredByItOrNobody(t *testing.T) {
	flags := []string{"--ping-interval", "2s", "--ping-timeout", "2s"}
	eachWaiting(t, flags, func(t *testing.T, p *proxy) {
		port := freePort(t)
		stopped := p.startService("-port", portText(port), "-path", "/", "-text", "stopped")
		stopped.suspend(t)
		w := dial(t, port)
		w.send("POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
		w.expectSilence()
		sibling := p.startService("-port", portText(port), "-path", "/", "-text", "sibling")
		// An equal registration has come, so that the old session has 2 s to answer. It answers in time.
		stopped.signal(syscall.SIGCONT)
		w.expectReply("POST", 200, "stopped")
		stopped.suspend(t)
		from := p.stderr.count()
		// One after the other: of many that come at once a fuller reactor gives all to the one of the sibling.
		var posts []*wire
		for silent := 0; len(posts) < 500 && silent < 8; {
			post := dial(t, port)
			post.send(fmt.Sprintf("POST /late%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", len(posts)))
			if post.isSilent() {
				silent++
			}
			posts = append(posts, post)
		}
		// It does not answer in time.
		p.awaitLog(sessionLost, from)
		failed := 0
		for _, post := range posts {
			reply := post.reply("POST")
			switch {
			case reply.StatusCode == 502:
				failed++
			case reply.StatusCode != 200 || reply.body != "sibling":
				t.Errorf("%d %q", reply.StatusCode, reply.body)
			}
		}
		if failed == 0 {
			t.Error("no request went to the stopped service")
		}
		if count := len(posts) - failed; count != countLines(sibling.stdout, "request POST") {
			t.Errorf("%d requests were answered by the sibling, which has seen %d", count,
				countLines(sibling.stdout, "request POST"))
		}
	})
}

func countLines(l *lines, prefix string) int {
	l.lock.Lock()
	defer l.lock.Unlock()
	count := 0
	for _, line := range l.all {
		if strings.HasPrefix(line, prefix) {
			count++
		}
	}
	return count
}

func TestPostsUnderKillAreExecutedOnceAndAnsweredOnce(t *testing.T) {
	restarts(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		var services []*process
		start := func() {
			services = append(services, p.startService("-port", portText(port), "-path", "/", "-text", "done"))
		}
		start()
		var lock sync.Mutex
		answers := map[string]string{}
		l := &load{stopping: make(chan struct{})}
		for client := 0; client < loadClients; client++ {
			client, number := client, 0
			l.run(func(keep *keptClient) error {
				number++
				path := fmt.Sprintf("/%d-%d", client, number)
				body, err := keep.exchange(port, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", "POST")
				answer := body
				if err != nil {
					keep.close()
					if answer = err.Error(); strings.HasPrefix(answer, "502: ") {
						err = nil
					}
				}
				lock.Lock()
				defer lock.Unlock()
				answers[path] = answer
				return err
			}, client%2 == 0)
		}
		for round := 0; round < 6; round++ {
			l.awaitMore(t)
			p.killService(services[len(services)-1])
			time.Sleep(gap / 5)
			start()
		}
		l.awaitMore(t)
		l.stop(t)
		services[len(services)-1].kill()
		checkJournal(t, services, answers)
	})
}

// checkJournal compares what services have executed with what clients were answered.
func checkJournal(t *testing.T, services []*process, answers map[string]string) {
	t.Helper()
	executed := map[string]int{}
	for _, s := range services {
		s.stdout.awaitEnd()
		for _, line := range s.stdout.copy() {
			if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "request" {
				executed[fields[2]]++
			}
		}
	}
	failed := 0
	for path, answer := range answers {
		if answer != "done" {
			failed++
		} else if executed[path] == 0 {
			t.Errorf("%s was answered and never executed", path)
		}
	}
	for path, count := range executed {
		if count > 1 {
			t.Errorf("%s was executed %d times", path, count)
		}
	}
	t.Logf("%d requests, %d of them answered with 502", len(answers), failed)
}

func TestTakenBackPostsWereNeverDelivered(t *testing.T) {
	restarts(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		var lock sync.Mutex
		executed := map[string]int{}
		journal := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			lock.Lock()
			executed[request.URL.Path]++
			lock.Unlock()
			io.WriteString(writer, "done")
		})
		start := func() *service.Listener {
			listener := p.listen(onPath(port, "/"))
			serveHTTP(slowListener{listener}, journal)
			return listener
		}
		running := start()
		answers := map[string]string{}
		l := &load{stopping: make(chan struct{})}
		for client := 0; client < 4*loadClients; client++ {
			client, number := client, 0
			l.run(func(keep *keptClient) error {
				number++
				path := fmt.Sprintf("/%d-%d", client, number)
				body, err := keep.exchange(port, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", "POST")
				if err != nil {
					keep.close()
					if body = err.Error(); strings.HasPrefix(body, "502: ") {
						err = nil
					}
				}
				lock.Lock()
				defer lock.Unlock()
				answers[path] = body
				return err
			}, client%2 == 0)
		}
		for round := 0; round < 10; round++ {
			time.Sleep(150 * time.Millisecond)
			old := running
			running = start()
			old.GoAway()
			time.AfterFunc(time.Second, func() { old.Drain(patience) })
		}
		l.awaitMore(t)
		l.stop(t)
		p.figures(`sent again [1-9]\d*, taken back [1-9]`)
		failed := 0
		for path, answer := range answers {
			if answer == "done" && executed[path] != 1 || executed[path] > 1 {
				t.Errorf("%s was answered %q and executed %d times", path, answer, executed[path])
			}
			if answer != "done" {
				failed++
			}
		}
		t.Logf("%d requests, %d of them answered with 502", len(answers), failed)
	})
}

// slowListener accepts so slowly that streams lie in the queue when the service says GoAway.
type slowListener struct{ net.Listener }

func (l slowListener) Accept() (net.Conn, error) {
	stream, err := l.Listener.Accept()
	time.Sleep(10 * time.Millisecond)
	return stream, err
}

func TestTakenBackConnectionsWereNeverDelivered(t *testing.T) {
	restarts(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		journal := &deliveries{seen: map[string]int{}}
		current := p.listen(raw(port))
		go journal.acceptSlowly(current)
		var clients sync.WaitGroup
		stopping := make(chan struct{})
		failed := make(chan string, 10_000)
		for index := 0; index < 32; index++ {
			clients.Add(1)
			go func(index int) {
				defer clients.Done()
				for number := 0; ; number++ {
					select {
					case <-stopping:
						return
					default:
					}
					if err := sayOnce(port, fmt.Sprintf("%d-%d\n", index, number)); err != nil {
						failed <- err.Error()
					}
				}
			}(index)
		}
		for round := 0; round < 30; round++ {
			before := journal.count()
			eventually(t, "deliveries", func() bool { return journal.count() > before+5 })
			next := p.listen(raw(port))
			go journal.acceptSlowly(next)
			// It goes on accepting, as programs do until they have ended.
			old := current
			old.GoAway()
			time.AfterFunc(time.Second, func() { old.Drain(patience) })
			current = next
		}
		close(stopping)
		clients.Wait()
		p.signal(syscall.SIGUSR1)
		p.awaitLog(`sent again [1-9]\d*, taken back [1-9]`, 0)
		journal.lock.Lock()
		defer journal.lock.Unlock()
		for id, count := range journal.seen {
			if count != 1 {
				t.Errorf("%q was delivered %d times", id, count)
			}
		}
		// Those that were accepted in the moment in which they were taken back are reset: they were delivered.
		t.Logf("%d deliveries, %d connections were reset", len(journal.seen), len(failed))
		for len(failed) > 0 {
			if err := <-failed; !strings.Contains(err, "reset") {
				t.Error(err)
			}
		}
	})
}

// deliveries is what services have been told.
type deliveries struct {
	lock sync.Mutex
	seen map[string]int
}

func (d *deliveries) count() int {
	d.lock.Lock()
	defer d.lock.Unlock()
	return len(d.seen)
}

// acceptSlowly accepts one stream at a time, so that others lie in the queue when the service says GoAway.
func (d *deliveries) acceptSlowly(listener net.Listener) {
	for {
		stream, err := listener.Accept()
		if err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
		go func() {
			defer stream.Close()
			line, err := bufio.NewReader(stream).ReadString('\n')
			if err != nil {
				return
			}
			d.lock.Lock()
			d.seen[line]++
			d.lock.Unlock()
			io.WriteString(stream, line)
		}()
	}
}

// sayOnce opens a raw connection, says a line and waits for it to come back.
func sayOnce(port int, line string) error {
	w, err := tryDial(port)
	if err != nil {
		return err
	}
	defer w.Close()
	w.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(w, line); err != nil {
		return err
	}
	echo, err := w.reader.ReadString('\n')
	if err == nil && echo != line {
		err = fmt.Errorf("%q came back as %q", line, echo)
	}
	return err
}
