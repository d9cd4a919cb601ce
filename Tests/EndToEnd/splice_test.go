package endtoend

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"socketmaster/endtoend/service"
)

// Bulk goes through pipes. What these tests ask for is that nobody can tell: every byte arrives, in order and once,
// whatever ends in the middle of a frame. That pipes were used is seen in the proxy's figures.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum of what was read or written: how much, and a hash.
type sum struct {
	count int64
	hash  uint32
}

func (s *sum) Write(bytes []byte) (int, error) {
	s.count += int64(len(bytes))
	s.hash = crc32.Update(s.hash, castagnoli, bytes)
	return len(bytes), nil
}

// flood writes so many bytes that never repeat within a chunk's distance, in writes of the given size.
func flood(writer io.Writer, seed int64, size int64, chunk int) (sum, error) {
	var written sum
	block := pattern(seed, chunk)
	for number := uint64(0); written.count < size; number++ {
		piece := block
		if left := size - written.count; left < int64(len(piece)) {
			piece = piece[:left]
		}
		if len(piece) >= 8 {
			binary.BigEndian.PutUint64(piece, number)
		}
		written.Write(piece)
		if _, err := writer.Write(piece); err != nil {
			return written, err
		}
	}
	return written, nil
}

// drainAll reads to the end.
func drainAll(reader io.Reader) (sum, error) {
	var got sum
	_, err := io.CopyBuffer(&got, struct{ io.Reader }{reader}, make([]byte, 256<<10))
	return got, err
}

// figure is one of the numbers that SIGUSR1 makes the proxy tell.
func (p *proxy) figure(name string) int {
	p.t.Helper()
	from := p.stderr.count()
	p.signal(syscall.SIGUSR1)
	line := p.awaitLog(`now: `, from)
	match := regexp.MustCompile(name + ` (\d+)`).FindStringSubmatch(p.stderr.copy()[line-1])
	if match == nil {
		p.t.Fatalf("no figure %q", name)
	}
	value, _ := strconv.Atoi(match[1])
	return value
}

// serveFloods answers a first line: "down SIZE" by so many bytes and their hash in a trailer of 4 bytes, "up" by the sum
// of all that follows, "echo" by what follows.
func serveFloods(p *proxy, definition service.Definition) *service.Listener {
	return p.serveStreams(definition, func(stream net.Conn) {
		head := make([]byte, 16)
		if _, err := io.ReadFull(stream, head); err != nil {
			return
		}
		words := strings.Fields(string(head))
		switch words[0] {
		case "down":
			size, _ := strconv.ParseInt(words[1], 10, 64)
			if written, err := flood(stream, size, size, 256<<10); err == nil {
				stream.Write(binary.BigEndian.AppendUint32(nil, written.hash))
			}
		case "up":
			got, err := drainAll(stream)
			if err == nil {
				fmt.Fprintf(stream, "%d %08x", got.count, got.hash)
			}
		default:
			io.Copy(stream, stream)
		}
	})
}

func command(text string) string { return fmt.Sprintf("%-16s", text) }

// down takes a flood and says what was wrong with it.
func down(port int, size int64, slowly time.Duration) error {
	w, err := tryDial(port)
	if err != nil {
		return err
	}
	defer w.Close()
	w.SetDeadline(time.Now().Add(4 * patience))
	io.WriteString(w, command(fmt.Sprint("down ", size)))
	var got sum
	space := make([]byte, 256<<10)
	for got.count < size {
		if slowly > 0 {
			time.Sleep(slowly)
		}
		wanted := space
		if left := size - got.count; left < int64(len(wanted)) {
			wanted = wanted[:left]
		}
		count, err := w.TCPConn.Read(wanted)
		got.Write(wanted[:count])
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", got.count, size, err)
		}
	}
	trailer, err := io.ReadAll(w.TCPConn)
	if err != nil {
		return err
	}
	if !bytes.Equal(trailer, binary.BigEndian.AppendUint32(nil, got.hash)) {
		return fmt.Errorf("%d bytes with the hash %08x, then % x", got.count, got.hash, trailer)
	}
	return nil
}

// up sends a flood and says what was wrong with what arrived.
func up(port int, seed, size int64, chunk int) error {
	w, err := tryDial(port)
	if err != nil {
		return err
	}
	defer w.Close()
	w.SetDeadline(time.Now().Add(4 * patience))
	io.WriteString(w, command("up"))
	written, err := flood(w, seed, size, chunk)
	if err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", written.count, size, err)
	}
	w.CloseWrite()
	answer, err := io.ReadAll(w.TCPConn)
	if wanted := fmt.Sprintf("%d %08x", written.count, written.hash); string(answer) != wanted || err != nil {
		return fmt.Errorf("%q arrived of %q, %v", answer, wanted, err)
	}
	return nil
}

// together runs several and fails with what any of them says.
func together(t *testing.T, works ...func() error) {
	t.Helper()
	var group sync.WaitGroup
	for index, work := range works {
		index, work := index, work
		group.Add(1)
		go func() {
			defer group.Done()
			if err := work(); err != nil {
				t.Errorf("%d: %v", index, err)
			}
		}()
	}
	group.Wait()
}

func TestSpliceOfAGibibyteEachWayIsExact(t *testing.T) {
	p := startProxy(t, "--reactors", "1")
	port := freePort(t)
	serveFloods(p, raw(port))
	const size = 1 << 30
	together(t,
		func() error { return down(port, size, 0) },
		func() error { return up(port, 1, size, 256<<10) })
	for _, name := range []string{"bytes spliced to clients", "bytes spliced to services"} {
		if spliced := p.figure(name); spliced < size/2 {
			t.Errorf("only %d %s", spliced, name)
		}
	}
	eventually(t, "no pipe is in use", func() bool { return p.figure("pipes") == 0 })
}

func TestSpliceOf64FlowsOfMixedSizesIsExact(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		for registration := 0; registration < 2; registration++ {
			serveFloods(p, raw(port))
		}
		seed := time.Now().UnixNano()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewSource(seed))
		var works []func() error
		for flow := 0; flow < 64; flow++ {
			size := int64(1) << random.Intn(24)
			size += random.Int63n(size)
			chunk := 1 + random.Intn(1<<uint(8+random.Intn(11)))
			if flow%2 == 0 {
				works = append(works, func() error { return down(port, size, 0) })
			} else {
				works = append(works, func() error { return up(port, size, size, chunk) })
			}
		}
		together(t, works...)
	})
}

// Messages from a byte to a megabyte with pauses: flows become bulk and stop being it all the time.
func TestSpliceOfMessagesOfAnySizeIsExact(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		serveFloods(p, raw(port))
		seed := time.Now().UnixNano()
		t.Logf("seed %d", seed)
		var works []func() error
		for flow := int64(0); flow < 6; flow++ {
			random := rand.New(rand.NewSource(seed + flow))
			works = append(works, func() error {
				w, err := tryDial(port)
				if err != nil {
					return err
				}
				defer w.Close()
				w.SetDeadline(time.Now().Add(4 * patience))
				io.WriteString(w, command("echo"))
				for message := 0; message < 100; message++ {
					body := pattern(random.Int63(), 1+random.Intn(1<<uint(random.Intn(21))))
					go w.Write(body)
					if random.Intn(4) == 0 {
						time.Sleep(time.Duration(random.Intn(3000)) * time.Microsecond)
					}
					echo := make([]byte, len(body))
					count, err := io.ReadFull(w.reader, echo)
					if diff := difference(echo[:count], body); diff != "" {
						return fmt.Errorf("message %d of %d bytes: %s, %v", message, len(body), diff, err)
					}
				}
				return nil
			})
		}
		together(t, works...)
	})
}

func TestSpliceStoppedAndSlowReadersStopNobody(t *testing.T) {
	each(t, []string{"--pipes", "4"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		serveFloods(p, raw(port))
		before := p.resident()
		for index := 0; index < 10; index++ { // each holds a pipe, as long as there are some
			w := dial(t, port)
			w.send(command("down 100000000"))
			if _, err := w.reader.Peek(1); err != nil {
				t.Fatal(err)
			}
		}
		works := []func() error{}
		for index := 0; index < 4; index++ {
			works = append(works,
				func() error { return down(port, 16<<20, 0) },
				func() error { return down(port, 3<<20, time.Millisecond) },
				func() error { return up(port, 3, 16<<20, 100_000) })
		}
		together(t, works...)
		p.expectGrowth(before, 64)
	})
}

// Clients that stop and go: windows grow, bytes pile up, windows shrink, and every time the flow goes on.
func TestSpliceGoesOnAfterEveryPause(t *testing.T) {
	p := startProxy(t, "--reactors", "1")
	port := freePort(t)
	serveFloods(p, raw(port))
	stopAndGo := func(seed int64) func() error {
		return func() error {
			random := rand.New(rand.NewSource(seed))
			w, err := tryDial(port)
			if err != nil {
				return err
			}
			defer w.Close()
			const size = 256 << 20
			io.WriteString(w, command(fmt.Sprint("down ", size)))
			for left := int64(size); left > 0; {
				w.extend()
				count := 1 + random.Int63n(8<<20)
				if count > left {
					count = left
				}
				if count, err := io.CopyN(io.Discard, struct{ io.Reader }{w.TCPConn}, count); err != nil {
					return fmt.Errorf("%d bytes before the end, after %d: %w", left, count, err)
				}
				left -= count
				time.Sleep(time.Duration(random.Intn(20)) * time.Millisecond)
			}
			return nil
		}
	}
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	together(t, stopAndGo(seed), stopAndGo(seed+1), stopAndGo(seed+2))
}

// Pipes that are used up, or that the kernel does not give to an ordinary user: bulk is copied then.
func TestSpliceWithoutPipesIsExact(t *testing.T) {
	root := []string{program()}
	user := []string{"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program()}
	small := []string{"--pipes", "1024", "--pipe-size", "64k"}
	cases := map[string]struct {
		command []string
		flags   []string
		log     string
		figure  string // which is not 0
		stopped int    // clients that hold a pipe, as long as there are some
	}{
		"as root":         {root, []string{"--pipes", "1024"}, `through 1024 pipes`, "bytes spliced to services", 8},
		"unprivileged":    {user, []string{"--pipes", "1024"}, `through \d+ pipes of 512k`, "bytes spliced to services", 8},
		"used up":         {root, []string{"--pipes", "1"}, `through 1 pipe of 512k`, "pipes missed", 8},
		"64 used up":      {root, []string{"--pipes", "64"}, `through 64 pipes of 512k`, "pipes missed", 80},
		"1024 used up":    {root, small, `through 1024 pipes of 64k`, "pipes missed", 900},
		"1024, by a user": {user, small, `through \d+ pipes of 64k`, "pipes missed", 900},
		"no splice":       {root, []string{"--no-splice"}, `bulk is copied`, "requests", 8},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.command[0] == "setpriv" && (os.Getuid() != 0 || !reaches(c.command)) {
				t.Skip("nobody else can run the program from here")
			}
			p := startProxyBy(t, c.command, append([]string{"--reactors", "1"}, c.flags...)...)
			p.awaitLog(c.log, 0)
			port := freePort(t)
			serveFloods(p, raw(port))
			for index := 0; index < c.stopped; index++ {
				w := dialNarrow(t, port)
				w.send(command("down 50000000"))
				if _, err := w.reader.Peek(1); err != nil {
					t.Fatal(err)
				}
			}
			together(t,
				func() error { return down(port, 30<<20, 0) },
				func() error { return up(port, 5, 30<<20, 256<<10) })
			if p.figure(c.figure) == 0 {
				t.Errorf("%s: 0", c.figure)
			}
			spliced := p.figure("bytes spliced to services")
			if name == "no splice" && spliced > 0 {
				t.Errorf("%d bytes were spliced", spliced)
			}
			// Whoever stops reading does not get the pipes that services are written through.
			if c.stopped > 8 && spliced == 0 {
				t.Error("clients hold all pipes")
			}
		})
	}
}

// dialNarrow is a client whose segments are small: the proxy's kernel, which otherwise keeps megabytes for one that has
// stopped reading, keeps a tenth of one.
func dialNarrow(t *testing.T, port int) *wire {
	t.Helper()
	dialer := net.Dialer{Timeout: patience, Control: func(_, _ string, socket syscall.RawConn) (err error) {
		failure := socket.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1448)
		})
		if failure != nil {
			return failure
		}
		return err
	}}
	connection, err := dialer.Dial("tcp", address(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	connection.SetDeadline(time.Now().Add(patience))
	return &wire{t, connection.(*net.TCPConn), bufio.NewReader(connection), patience}
}

// reaches is whether that user may run the program where it lies.
func reaches(command []string) bool {
	return exec.Command(command[0], append(append([]string{}, command[1:]...), "--version")...).Run() == nil
}

// Services may register at a unix socket; what such a socket cannot do is copied.
func TestSpliceOverAUnixSocketIsExact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	p := startProxy(t, "--reactors", "1", "--bind", "unix:"+path)
	p.awaitControl("unix:" + path)
	p.control = "unix:" + path
	port := freePort(t)
	serveFloods(p, raw(port))
	together(t,
		func() error { return down(port, 50<<20, 0) },
		func() error { return up(port, 7, 50<<20, 256<<10) })
}

// A service dies with half of a large frame said: its clients are cut, and what comes after it is exact.
func TestSpliceOfAServiceThatIsKilled(t *testing.T) {
	each(t, []string{"--hold", "20s"}, func(t *testing.T, p *proxy) {
		port := freePort(t)
		for round := 0; round < 3; round++ {
			process := p.startService("-port", strconv.Itoa(port), "-mode", "raw-flood")
			var clients []*wire
			for index := 0; index < 4; index++ {
				w := dial(t, port)
				if _, err := io.CopyN(io.Discard, w.reader, 4<<20); err != nil {
					t.Fatal(err)
				}
				clients = append(clients, w)
			}
			process.kill()
			for _, w := range clients {
				w.extend()
				if _, err := io.Copy(io.Discard, w.reader); err == nil {
					t.Error("the end of a relay whose service was killed looks like an orderly one")
				}
			}
		}
		serveFloods(p, raw(port))
		if err := down(port, 8<<20, 0); err != nil {
			t.Error(err)
		}
		eventually(t, "no pipe is in use", func() bool { return p.figure("pipes") == 0 })
	})
}

// Clients that vanish in the middle of bulk cost their own streams, both ways.
func TestSpliceOfClientsThatVanish(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		listener := serveFloods(p, raw(port))
		var stop atomic.Bool
		var group sync.WaitGroup
		group.Add(1)
		go func() {
			defer group.Done()
			for !stop.Load() {
				if err := down(port, 4<<20, 0); err != nil {
					t.Error("beside them: ", err)
					return
				}
			}
		}()
		for index := 0; index < 100; index++ {
			w := dial(t, port)
			if index%2 == 0 {
				w.send(command("down 100000000"))
				io.CopyN(io.Discard, w.reader, int64(100_000*(index%7)))
			} else {
				w.send(command("up"))
				w.Write(make([]byte, 100_000*(index%7)))
			}
			w.reset()
		}
		stop.Store(true)
		group.Wait()
		eventually(t, "the streams are gone", func() bool { return listener.Streams() == 0 })
		eventually(t, "no pipe is in use", func() bool { return p.figure("pipes") == 0 })
	})
}

// Half of a large frame and then silence keeps nobody waiting but the session's own streams; the session is lost when
// the service does not answer any more.
func TestSpliceOfAFrameThatIsNotFinished(t *testing.T) {
	p := startProxy(t, "--reactors", "1", "--ping-interval", "500ms", "--ping-timeout", "500ms", "--hold", "0s")
	port := freePort(t)
	peer := p.dialPeer(raw(port))
	w := dial(t, port)
	stream := peer.awaitStream()
	frame := service.Data(service.FlagACK, stream, pattern(1, 200_000))
	peer.Write(append(frame.Header(), frame.Payload[:100_000]...))
	got := make([]byte, 100_000)
	if count, err := io.ReadFull(w.reader, got); err != nil {
		t.Fatalf("%d of the 100000 bytes that were said, %v", count, err)
	}
	if diff := difference(got, frame.Payload[:100_000]); diff != "" {
		t.Error(diff)
	}
	p.awaitLog(sessionLost, 0)
	w.expectReset()
	if cut := p.figure("frames cut"); cut != 1 {
		t.Errorf("%d frames were cut", cut)
	}
}

// A large frame that comes in pieces of any size, with frames of other streams between.
func TestSpliceOfFramesSplitAnywhere(t *testing.T) {
	p := startProxy(t, "--reactors", "1")
	port := freePort(t)
	peer := p.dialPeer(raw(port))
	first, second := dial(t, port), dial(t, port)
	streams := [2]uint32{peer.awaitStream(), peer.awaitStream()}
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewSource(seed))
	go func() { // the windows' updates have to be taken
		for {
			if _, err := peer.Receive(); err != nil {
				return
			}
		}
	}()
	for index, w := range []*wire{first, second} {
		_ = index
		w.SetDeadline(time.Now().Add(2 * patience))
	}
	for round := 0; round < 60; round++ {
		var said [2][]byte
		var bytes []byte
		for part := 0; part < 4; part++ {
			to := random.Intn(2)
			body := pattern(random.Int63(), random.Intn(1<<uint(random.Intn(16))))
			said[to] = append(said[to], body...)
			flags := uint16(0)
			if round == 0 {
				flags = service.FlagACK
			}
			frame := service.Data(flags, streams[to], body)
			bytes = append(append(bytes, frame.Header()...), frame.Payload...)
		}
		large := pattern(int64(round), 60_000)
		said[0] = append(said[0], large...)
		frame := service.Data(0, streams[0], large)
		bytes = append(append(bytes, frame.Header()...), frame.Payload...)
		for len(bytes) > 0 {
			count := 1 + random.Intn(40_000)
			if count > len(bytes) {
				count = len(bytes)
			}
			peer.Write(bytes[:count])
			bytes = bytes[count:]
			if random.Intn(3) == 0 {
				time.Sleep(time.Duration(random.Intn(500)) * time.Microsecond)
			}
		}
		for index, w := range []*wire{first, second} {
			got := make([]byte, len(said[index]))
			count, err := io.ReadFull(w.reader, got)
			if diff := difference(got[:count], said[index]); diff != "" {
				t.Fatalf("round %d, stream %d: %s, %v", round, index, diff, err)
			}
		}
	}
}

// Counted bodies are bulk too; requests before and behind them on the same connection stay what they are.
func TestSpliceOfHTTPBodiesIsExact(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			if size, err := strconv.Atoi(request.URL.Query().Get("size")); err == nil {
				writer.Header().Set("Content-Length", strconv.Itoa(size))
				flood(writer, int64(size), int64(size), 100_000)
				return
			}
			got, err := drainAll(request.Body)
			fmt.Fprintf(writer, "%d %08x %v", got.count, got.hash, err)
		}))
		w := dial(t, port)
		for round := 0; round < 5; round++ {
			for _, size := range []int64{10, 300_000, 5 << 20} {
				w.extend()
				body := &bytes.Buffer{}
				written, _ := flood(body, size, size, 70_000)
				go func() {
					fmt.Fprintf(w, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size)
					w.Write(body.Bytes())
					fmt.Fprintf(w, "GET /?size=%d HTTP/1.1\r\nHost: a\r\n\r\n", size) // in the same breath
				}()
				w.expectReply("POST", 200, fmt.Sprintf("%d %08x <nil>", written.count, written.hash))
				var wanted bytes.Buffer
				flood(&wanted, size, size, 100_000)
				w.expectReply("GET", 200, wanted.String())
			}
		}
		if spliced := p.figure("bytes spliced to services"); spliced < 10<<20 {
			t.Errorf("only %d bytes were spliced to services", spliced)
		}
		if spliced := p.figure("bytes spliced to clients"); spliced < 1<<20 {
			t.Errorf("only %d bytes were spliced to clients", spliced)
		}
	})
}

// A client that asks and asks and reads nothing is served no further than its buffers reach, and gets everything once
// it reads: no request of a pipeline begins while too much waits, in a pipe or elsewhere.
func TestSpliceOfAPipelineThatIsNotReadIsBounded(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		const requests, size = 200, 200_000
		port := freePort(t)
		body := pattern(9, size)
		var served atomic.Int64
		p.serve(onPath(port, "/"), http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			served.Add(1)
			writer.Header().Set("Content-Length", strconv.Itoa(size))
			writer.Write(body)
		}))
		w := dial(t, port)
		w.get("/", string(body))
		before := p.resident()
		w.send(strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", requests))
		last, since := int64(-1), time.Now()
		eventually(t, "no more requests are served", func() bool {
			if now := served.Load(); now != last {
				last, since = now, time.Now()
			}
			return time.Since(since) > 300*time.Millisecond
		})
		if last > requests/2 {
			t.Errorf("%d requests of %d were served to a client that reads nothing", last, requests)
		}
		p.expectGrowth(before, 16)
		for number := 0; number < requests; number++ {
			w.extend()
			w.expectReply("GET", 200, string(body))
		}
	})
}

// Bytes of a body that nobody takes are the service's fault, wherever they wait.
func TestSpliceOfABodyThatTheServiceDoesNotTake(t *testing.T) {
	p := startProxy(t, "--reactors", "1", "--stall-timeout", "1s")
	port := freePort(t)
	peer := p.dialPeer(onPath(port, "/"))
	w := dial(t, port)
	w.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16777216\r\n\r\n" + strings.Repeat("x", 1000))
	stream := peer.awaitStream()
	peer.Send(service.WindowUpdate(service.FlagACK, stream, 4<<20)) // and no more
	go func() {                                                     // pings are answered
		for {
			frame, err := peer.Receive()
			if err != nil {
				return
			}
			if frame.Type == service.TypePing && frame.Flags&service.FlagSYN != 0 {
				peer.Send(service.Frame{Type: service.TypePing, Flags: service.FlagACK, Length: frame.Length})
			}
		}
	}()
	p.signal(syscall.SIGSTOP) // what follows is there at once, so that all of it is bulk
	go w.Write(make([]byte, 16<<20))
	time.Sleep(100 * time.Millisecond)
	p.signal(syscall.SIGCONT)
	status, err := w.reader.ReadString('\n')
	if p.figure("bytes spliced to services") == 0 {
		t.Error("the body was not bulk")
	}
	if !strings.HasPrefix(status, "HTTP/1.1 504 ") {
		t.Errorf("the client was told %q, %v", status, err)
	}
}
