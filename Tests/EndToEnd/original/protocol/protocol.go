// Package protocol has the names by which programs of 2015 say what they serve.
package protocol

// SocketDefinition is a port, and what of its traffic is wanted.
type SocketDefinition struct {
	Address string
	Port    int
	TLS     *SocketTLSDefinition
	HTTP    *SocketHTTPDefinition
}

// SocketHTTPDefinition narrows it down to a domain, a path or both.
type SocketHTTPDefinition struct {
	DomainSuffix, PathPrefix string
}

// SocketTLSDefinition is a certificate and its key, in PEM.
type SocketTLSDefinition struct {
	Cert, Key string
}
