package service

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// The types of yamux frames.
const (
	TypeData byte = iota
	TypeWindowUpdate
	TypePing
	TypeGoAway
)

// The flags of yamux frames.
const (
	FlagSYN uint16 = 1 << iota
	FlagACK
	FlagFIN
	FlagRST
)

// HeaderSize is the size of every frame's header.
const HeaderSize = 12

// InitialWindow is what either side of a stream may send unasked.
const InitialWindow = 256 << 10

// Frame is one yamux frame. Length is that of the payload for data, and a value for all others.
type Frame struct {
	Version byte
	Type    byte
	Flags   uint16
	Stream  uint32
	Length  uint32
	Payload []byte
}

func (f Frame) String() string {
	return fmt.Sprintf("version %d type %d flags %#x stream %d length %d", f.Version, f.Type, f.Flags, f.Stream, f.Length)
}

// Header encodes the header as it stands: nothing is made consistent, for hostile services are made of this.
func (f Frame) Header() []byte {
	header := []byte{f.Version, f.Type}
	header = binary.BigEndian.AppendUint16(header, f.Flags)
	header = binary.BigEndian.AppendUint32(header, f.Stream)
	return binary.BigEndian.AppendUint32(header, f.Length)
}

func parseHeader(header []byte) Frame {
	return Frame{
		Version: header[0],
		Type:    header[1],
		Flags:   binary.BigEndian.Uint16(header[2:]),
		Stream:  binary.BigEndian.Uint32(header[4:]),
		Length:  binary.BigEndian.Uint32(header[8:]),
	}
}

// Data is a data frame with its payload.
func Data(flags uint16, stream uint32, payload []byte) Frame {
	return Frame{Type: TypeData, Flags: flags, Stream: stream, Length: uint32(len(payload)), Payload: payload}
}

// WindowUpdate is a frame that grants delta bytes, or carries flags alone.
func WindowUpdate(flags uint16, stream uint32, delta uint32) Frame {
	return Frame{Type: TypeWindowUpdate, Flags: flags, Stream: stream, Length: delta}
}

// Peer is a session driven frame by frame, for what no library would do.
type Peer struct{ net.Conn }

// DialPeer registers and returns the session without a yamux library on it.
func DialPeer(control string, definition Definition) (*Peer, error) {
	connection, err := Dial(control)
	if err != nil {
		return nil, err
	}
	if _, err := Register(connection, definition); err != nil {
		connection.Close()
		return nil, err
	}
	return &Peer{connection}, nil
}

// Send writes one frame.
func (p *Peer) Send(frame Frame) error {
	_, err := p.Write(append(frame.Header(), frame.Payload...))
	return err
}

// Receive reads one frame.
func (p *Peer) Receive() (Frame, error) {
	header := make([]byte, HeaderSize)
	if _, err := io.ReadFull(p, header); err != nil {
		return Frame{}, err
	}
	frame := parseHeader(header)
	if frame.Type != TypeData || frame.Length == 0 {
		return frame, nil
	}
	if frame.Length > 16<<20 {
		return frame, fmt.Errorf("a frame of %d bytes", frame.Length)
	}
	frame.Payload = make([]byte, frame.Length)
	_, err := io.ReadFull(p, frame.Payload)
	return frame, err
}

// Await reads frames until one satisfies the condition, answering the pings between them.
func (p *Peer) Await(condition func(Frame) bool) (Frame, error) {
	for {
		frame, err := p.Receive()
		if err != nil || condition(frame) {
			return frame, err
		}
		if frame.Type == TypePing && frame.Flags&FlagSYN != 0 {
			if err := p.Send(Frame{Type: TypePing, Flags: FlagACK, Length: frame.Length}); err != nil {
				return frame, err
			}
		}
	}
}
