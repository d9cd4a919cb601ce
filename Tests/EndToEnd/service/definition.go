// Package service is the client side of the registration protocol as a service written in Go uses it: a handshake that
// writes every field with a write of its own, then a yamux server on the same connection, handed out as a net.Listener.
package service

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strings"
	"time"
)

// Definition is what a service asks for.
type Definition struct {
	Address    string
	Port       int
	HTTP       *HTTP
	TLS        *TLS
	Attributes map[string]string // nil: their flag is not set, as with clients that do not know them
}

// HTTP narrows a definition down to the requests that match both.
type HTTP struct {
	DomainSuffix string
	PathPrefix   string
}

// TLS is what it takes to speak TLS to clients, both in PEM.
type TLS struct {
	Certificate string
	Key         string
}

// The bits of the flags byte.
const (
	FlagHTTP       = 1 << 0
	FlagTLS        = 1 << 1
	FlagAttributes = 1 << 2
)

// Refused is the sentence with which the proxy refused a registration.
type Refused struct{ Sentence string }

func (r Refused) Error() string { return r.Sentence }

// Int encodes an integer of the handshake.
func Int(value int) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(value))
}

// String encodes a string of the handshake.
func String(value string) []byte {
	return append(Int(len(value)), value...)
}

// pieces are the writes that a client makes one after another: every length and every value on its own.
func (d Definition) pieces() [][]byte {
	var flags byte
	if d.HTTP != nil {
		flags |= FlagHTTP
	}
	if d.TLS != nil {
		flags |= FlagTLS
	}
	if d.Attributes != nil {
		flags |= FlagAttributes
	}
	text := func(value string) [][]byte { return [][]byte{Int(len(value)), []byte(value)} }
	pieces := append(text(d.Address), Int(d.Port), []byte{flags})
	if d.HTTP != nil {
		pieces = append(pieces, text(d.HTTP.DomainSuffix)...)
		pieces = append(pieces, text(d.HTTP.PathPrefix)...)
	}
	if d.TLS != nil {
		pieces = append(pieces, text(d.TLS.Certificate)...)
		pieces = append(pieces, text(d.TLS.Key)...)
	}
	if d.Attributes != nil {
		names := make([]string, 0, len(d.Attributes))
		for name := range d.Attributes {
			names = append(names, name)
		}
		sort.Strings(names)
		pieces = append(pieces, Int(len(names)))
		for _, name := range names {
			pieces = append(pieces, text(name)...)
			pieces = append(pieces, text(d.Attributes[name])...)
		}
	}
	return pieces
}

// ReadTLS is a certificate and its key out of two files; nil without them.
func ReadTLS(certificate, key string) (*TLS, error) {
	if certificate == "" && key == "" {
		return nil, nil
	}
	chain, err := os.ReadFile(certificate)
	if err != nil {
		return nil, err
	}
	secret, err := os.ReadFile(key)
	if err != nil {
		return nil, err
	}
	return &TLS{Certificate: string(chain), Key: string(secret)}, nil
}

// Encode is the whole registration in one piece, for tests that cut it up in their own way.
func (d Definition) Encode() []byte {
	var all []byte
	for _, piece := range d.pieces() {
		all = append(all, piece...)
	}
	return all
}

// Dial connects to a control address: "host:port" or "unix:PATH".
func Dial(control string) (net.Conn, error) {
	if path := strings.TrimPrefix(control, "unix:"); path != control {
		return net.DialTimeout("unix", path, 10*time.Second)
	}
	return net.DialTimeout("tcp", control, 10*time.Second)
}

// Register makes the handshake. Its answer's attributes are nil unless the definition has some.
func Register(connection net.Conn, definition Definition) (map[string]string, error) {
	for _, piece := range definition.pieces() {
		if len(piece) == 0 {
			continue
		}
		if _, err := connection.Write(piece); err != nil {
			// The proxy may refuse before it has read everything. What it said is worth more than our broken pipe.
			if _, refusal := ReadResponse(connection, false); refusal != nil {
				return nil, refusal
			}
			return nil, err
		}
	}
	return ReadResponse(connection, definition.Attributes != nil)
}

// ReadResponse reads the answer to a registration. Anything but OK is a Refused error.
func ReadResponse(connection net.Conn, attributes bool) (map[string]string, error) {
	// One plain read for the length, without asking for the rest: that is how the first clients did it, so a response
	// that comes in several segments would break them.
	length := make([]byte, 8)
	count, err := connection.Read(length)
	if err != nil {
		return nil, err
	}
	if count < len(length) {
		return nil, fmt.Errorf("the response came in pieces: %d bytes at first", count)
	}
	status, err := readBytes(connection, binary.BigEndian.Uint64(length))
	if err != nil {
		return nil, err
	}
	if string(status) != "OK" {
		return nil, Refused{string(status)}
	}
	if !attributes {
		return nil, nil
	}
	return readMap(connection)
}

func readMap(reader io.Reader) (map[string]string, error) {
	count, err := readBytes(reader, 8)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for remaining := binary.BigEndian.Uint64(count); remaining > 0; remaining-- {
		name, err := readString(reader)
		if err != nil {
			return nil, err
		}
		if values[name], err = readString(reader); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func readString(reader io.Reader) (string, error) {
	length, err := readBytes(reader, 8)
	if err != nil {
		return "", err
	}
	value, err := readBytes(reader, binary.BigEndian.Uint64(length))
	return string(value), err
}

func readBytes(reader io.Reader, count uint64) ([]byte, error) {
	if count > 1<<16 {
		return nil, fmt.Errorf("a length of %d in a response", count)
	}
	value := make([]byte, count)
	_, err := io.ReadFull(reader, value)
	return value, err
}
