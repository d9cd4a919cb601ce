// Package client is called as the original's client library was, so that programs written for that compile here as they
// are. What it sends and expects is said in ../../service.
package client

import (
	"net"

	"github.com/badgerodon/socketmaster/protocol"

	"socketmaster/endtoend/service"
)

// DefaultSocketMasterAddress is where Listen registers. Tests have it replaced by the linker.
var DefaultSocketMasterAddress = "127.0.0.1:9999"

// Client registers at one control address.
type Client struct{ control string }

// New is a client for a proxy that is not at the default address.
func New(control string) *Client { return &Client{control} }

// Listen publishes what the definition says and returns the connections to it.
func Listen(definition protocol.SocketDefinition) (net.Listener, error) {
	return New(DefaultSocketMasterAddress).Listen(definition)
}

// Listen publishes what the definition says and returns the connections to it.
func (c *Client) Listen(definition protocol.SocketDefinition) (net.Listener, error) {
	wanted := service.Definition{Address: definition.Address, Port: definition.Port}
	if http := definition.HTTP; http != nil {
		wanted.HTTP = &service.HTTP{DomainSuffix: http.DomainSuffix, PathPrefix: http.PathPrefix}
	}
	if tls := definition.TLS; tls != nil {
		wanted.TLS = &service.TLS{Certificate: tls.Cert, Key: tls.Key}
	}
	listener, err := service.Listen(c.control, wanted)
	if err != nil {
		return nil, err
	}
	return listener, nil
}
