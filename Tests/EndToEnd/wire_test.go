package endtoend

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// wire is a client that says exactly what a test wants, and reads what comes.
type wire struct {
	t *testing.T
	*net.TCPConn
	reader *bufio.Reader
	limit  time.Duration // how long each wait may last
}

func address(port int) string { return fmt.Sprint("127.0.0.1:", port) }

func dial(t *testing.T, port int) *wire {
	t.Helper()
	w, err := tryDial(port)
	if err != nil {
		t.Fatal(err)
	}
	w.t = t
	t.Cleanup(func() { w.Close() })
	return w
}

// tryDial is for clients that are not the test's own; the methods that fail a test are not theirs.
func tryDial(port int) (*wire, error) {
	connection, err := net.DialTimeout("tcp", address(port), patience)
	if err != nil {
		return nil, err
	}
	connection.SetDeadline(time.Now().Add(patience))
	return &wire{nil, connection.(*net.TCPConn), bufio.NewReader(connection), patience}, nil
}

func (w *wire) send(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		w.t.Fatalf("sending %s: %v", shorten(text), err)
	}
}

// extend gives the connection its time anew.
func (w *wire) extend() { w.SetDeadline(time.Now().Add(w.limit)) }

// expect reads exactly the text.
func (w *wire) expect(text string) {
	w.t.Helper()
	w.extend()
	bytes := make([]byte, len(text))
	count, err := io.ReadFull(w.reader, bytes)
	if err != nil || string(bytes) != text {
		w.t.Fatalf("got %s, %v; wanted %s", shorten(string(bytes[:count])), err, shorten(text))
	}
}

// expectEnd reads the end of the connection, by FIN, with nothing before it.
func (w *wire) expectEnd() {
	w.t.Helper()
	rest, err := io.ReadAll(w.reader)
	if err != nil || len(rest) > 0 {
		w.t.Fatalf("got %s, %v; wanted the end", shorten(string(rest)), err)
	}
}

// expectClosed reads the end of the connection, be it FIN or reset, with nothing before it.
func (w *wire) expectClosed() {
	w.t.Helper()
	rest, err := io.ReadAll(w.reader)
	if len(rest) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		w.t.Fatalf("got %s, %v; wanted the end", shorten(string(rest)), err)
	}
}

// expectReset reads a reset with nothing before it.
func (w *wire) expectReset() {
	w.t.Helper()
	rest, err := io.ReadAll(w.reader)
	if len(rest) > 0 || !errors.Is(err, syscall.ECONNRESET) {
		w.t.Fatalf("got %s, %v; wanted a reset", shorten(string(rest)), err)
	}
}

// expectSilence checks that nothing comes for a short while. A right proxy can never fail it.
func (w *wire) expectSilence() {
	w.t.Helper()
	if !w.isSilent() {
		buffered, err := w.reader.Peek(w.reader.Buffered())
		w.t.Fatalf("got %s, %v; wanted silence", shorten(string(buffered)), err)
	}
}

// isSilent waits for a short while, and tells whether nothing has come.
func (w *wire) isSilent() bool {
	w.SetReadDeadline(time.Now().Add(150 * time.Millisecond))
	// bufio keeps the error of the last read for the next one; Peek has taken it.
	_, err := w.reader.Peek(1)
	w.extend()
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// reset closes the connection with a reset.
func (w *wire) reset() {
	w.SetLinger(0)
	w.Close()
}

func shorten(text string) string {
	if len(text) > 600 {
		return fmt.Sprintf("%q ... (%d bytes)", text[:600], len(text))
	}
	return strconv.Quote(text)
}

// pattern fills bytes that tell every position from its neighbours, different for every seed.
func pattern(seed int64, count int) []byte {
	bytes := make([]byte, count)
	rand.New(rand.NewSource(seed)).Read(bytes)
	return bytes
}

// difference tells where two byte strings part.
func difference(got, wanted []byte) string {
	if bytes.Equal(got, wanted) {
		return ""
	}
	for index := range got {
		if index >= len(wanted) || got[index] != wanted[index] {
			return fmt.Sprintf("they differ from byte %d on (%d bytes, wanted %d)", index, len(got), len(wanted))
		}
	}
	return fmt.Sprintf("only %d of %d bytes", len(got), len(wanted))
}
