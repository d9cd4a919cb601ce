package endtoend

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"testing"

	"github.com/hashicorp/yamux"

	"socketmaster/endtoend/service"
)

// minimalProxy is the least that a proxy can be: it answers registrations, and gives each client of the port a stream of
// hashicorp's yamux. It speaks TLS, but routes nothing, holds nobody, and is not ours: what works behind it works behind others.
type minimalProxy struct {
	t       *testing.T
	control net.Listener
	// knowsAttributes: whether it reads flag 4 and answers with attributes, or is of the time before them.
	knowsAttributes bool
	// answers are the attributes that it answers with.
	answers map[string]string

	lock     sync.Mutex
	public   map[int]net.Listener
	sessions map[int][]*yamux.Session
	next     int
	asked    []map[string]string
}

func startMinimalProxy(t *testing.T, knowsAttributes bool) *minimalProxy {
	t.Helper()
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &minimalProxy{
		t: t, control: control, knowsAttributes: knowsAttributes, answers: map[string]string{"reactors": "2"},
		public: map[int]net.Listener{}, sessions: map[int][]*yamux.Session{},
	}
	t.Cleanup(p.stop)
	go func() {
		for {
			connection, err := control.Accept()
			if err != nil {
				return
			}
			go p.register(connection)
		}
	}()
	return p
}

func (p *minimalProxy) stop() {
	p.control.Close()
	p.lock.Lock()
	defer p.lock.Unlock()
	for _, listener := range p.public {
		listener.Close()
	}
	for _, sessions := range p.sessions {
		for _, session := range sessions {
			session.Close()
		}
	}
}

func (p *minimalProxy) register(connection net.Conn) {
	port, certificate, attributes, err := p.readRegistration(connection)
	if err != nil {
		connection.Close()
		return
	}
	answer := service.String("OK")
	if attributes != nil {
		answer = append(answer, service.Int(len(p.answers))...)
		for name, value := range p.answers {
			answer = append(append(answer, service.String(name)...), service.String(value)...)
		}
	}
	// Whoever reads the answer may be sure of the port and of the session.
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.public[port] == nil {
		listener, err := net.Listen("tcp", address(port))
		if err != nil {
			p.t.Error(err)
			return
		}
		if certificate != nil {
			listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{*certificate}})
		}
		p.public[port] = listener
		go p.serve(listener, port)
	}
	if _, err := connection.Write(answer); err != nil {
		return
	}
	configuration := yamux.DefaultConfig()
	configuration.Logger, configuration.LogOutput = log.New(io.Discard, "", 0), nil
	session, err := yamux.Client(connection, configuration)
	if err != nil {
		p.t.Error(err)
		return
	}
	p.asked = append(p.asked, attributes)
	p.sessions[port] = append(p.sessions[port], session)
}

func (p *minimalProxy) readRegistration(reader io.Reader) (
	port int, certificate *tls.Certificate, attributes map[string]string, err error,
) {
	readInt := func() int {
		bytes := make([]byte, 8)
		if _, readError := io.ReadFull(reader, bytes); readError != nil {
			err = readError
		}
		return int(binary.BigEndian.Uint64(bytes))
	}
	readString := func() []byte {
		count := readInt()
		if err != nil || count < 0 || count > 1<<20 {
			return nil
		}
		bytes := make([]byte, count)
		_, err = io.ReadFull(reader, bytes)
		return bytes
	}
	readString()
	port = readInt()
	flags := make([]byte, 1)
	if _, readError := io.ReadFull(reader, flags); readError != nil {
		return 0, nil, nil, readError
	}
	if flags[0]&service.FlagHTTP != 0 {
		readString()
		readString()
	}
	if flags[0]&service.FlagTLS != 0 {
		chain, key := readString(), readString()
		pair, pairError := tls.X509KeyPair(chain, key)
		if pairError != nil {
			return 0, nil, nil, pairError
		}
		certificate = &pair
	}
	if flags[0]&service.FlagAttributes == 0 || !p.knowsAttributes {
		return port, certificate, nil, err
	}
	attributes = map[string]string{}
	for count := readInt(); count > 0 && err == nil; count-- {
		name := readString()
		attributes[string(name)] = string(readString())
	}
	return port, certificate, attributes, err
}

// registrations returns the attributes of all that have registered.
func (p *minimalProxy) registrations() []map[string]string {
	p.lock.Lock()
	defer p.lock.Unlock()
	return append([]map[string]string{}, p.asked...)
}

// open opens a stream on the next session that lives.
func (p *minimalProxy) open(port int) (net.Conn, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	for tries := len(p.sessions[port]); tries > 0; tries-- {
		p.next++
		session := p.sessions[port][p.next%len(p.sessions[port])]
		if session.IsClosed() {
			continue
		}
		if stream, err := session.Open(); err == nil {
			return stream, nil
		}
	}
	return nil, fmt.Errorf("no session for port %d", port)
}

func (p *minimalProxy) serve(listener net.Listener, port int) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		stream, err := p.open(port)
		if err != nil {
			client.Close()
			continue
		}
		go func() {
			var group sync.WaitGroup
			group.Add(2)
			go func() {
				defer group.Done()
				io.Copy(stream, client)
				stream.Close()
			}()
			go func() {
				defer group.Done()
				io.Copy(client, stream)
				client.(interface{ CloseWrite() error }).CloseWrite()
			}()
			group.Wait()
			client.Close()
		}()
	}
}
