package endtoend

import (
	"fmt"
	"io"
	"math/rand"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Bulk that ends while it is bulk: what a receive brings may be all there is, and the end lies right behind it, so that a
// pipe gets nothing.

// tails are what is sent last, in one piece with the end: nothing, what a receive of bulk brings, and what it does not.
var tails = []int{0, 1, 4095, 4096, 4097, 2 * 4096, 16 << 10, 64 << 10, 64<<10 + 1, 256 << 10}

// endAtOnce sends the bulk of many uploads, stops the proxy, sends their tails and ends, and lets the proxy see them all.
func endAtOnce(t *testing.T, p *proxy, port int, random *rand.Rand) {
	t.Helper()
	type upload struct {
		w       *wire
		written sum
		resets  bool
	}
	uploads := make([]*upload, 0, 4*len(tails))
	for index := 0; index < cap(uploads); index++ {
		u := &upload{w: dial(t, port), resets: random.Intn(5) == 0}
		u.w.send(command("up"))
		uploads = append(uploads, u)
	}
	var group sync.WaitGroup
	for index, u := range uploads {
		u, seed, size := u, int64(index), int64(200_000+random.Intn(1_000_000))
		group.Add(1)
		go func() {
			defer group.Done()
			u.written, _ = flood(u.w, seed, size, 64<<10)
		}()
	}
	group.Wait()
	eventually(t, "all of it has been taken", func() bool { return p.isAsleep(t) })
	p.suspend(t)
	for index, u := range uploads {
		tail := pattern(int64(index), tails[index%len(tails)])
		u.written.Write(tail)
		u.w.Write(tail)
		if u.resets {
			u.w.reset()
		} else {
			u.w.CloseWrite()
		}
	}
	p.signal(syscall.SIGCONT)
	for index, u := range uploads {
		if u.resets {
			continue
		}
		u.w.extend()
		answer, err := io.ReadAll(u.w.reader)
		if wanted := fmt.Sprintf("%d %08x", u.written.count, u.written.hash); string(answer) != wanted {
			t.Errorf("upload %d: %q arrived of %q, %v", index, answer, wanted, err)
		}
	}
}

func TestSpliceOfBulkThatEndsAtAnyByteIsExact(t *testing.T) {
	each(t, nil, func(t *testing.T, p *proxy) {
		port := freePort(t)
		listener := serveFloods(p, raw(port))
		seed := time.Now().UnixNano()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewSource(seed))
		for round := 0; round < 4; round++ {
			endAtOnce(t, p, port, random)
		}
		if p.figure("bytes spliced to services") == 0 {
			t.Error("nothing was bulk")
		}
		p.expectSlotsBack(0)
		eventually(t, "the streams are gone", func() bool { return listener.Streams() == 0 })
		eventually(t, "no pipe is in use", func() bool { return p.figure("pipes") == 0 })
	})
}
