package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"testing"

	"github.com/pion/dtls/v3"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// pion is pion/dtls, in this process.
type pion struct{}

func (pion) name() string              { return "pion v3" }
func (pion) prepare(*testing.T) string { return "" }

func (pion) speaks(version uint16) bool { return version == tls.VersionTLS12 }

func (pion) cannot(c datagramCell, server bool) string {
	switch {
	case c.limit != 0:
		return noLimit
	case c.fragments != 0:
		return noFragments
	case c.suite == 0xc0af || c.suite == 0xc0ad:
		return "no AES-256-CCM"
	case c.group == tls.CurveP521 || c.kind == pkitest.P521:
		return "no P-521"
	}
	return ""
}

// options are what both roles have.
func (pion) options(t *testing.T, c datagramCell, f files) (cert tls.Certificate, pool *x509.CertPool, list []dtls.Option) {
	cert, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(f.ca)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	if c.mtu > 0 {
		list = append(list, dtls.WithMTU(c.mtu))
	}
	if c.suite != 0 {
		list = append(list, dtls.WithCipherSuites(dtls.CipherSuiteID(c.suite)))
	}
	switch c.cids {
	case "ours":
		list = append(list, dtls.WithConnectionIDGenerator(dtls.OnlySendCIDGenerator()))
	case "the peer's", "both":
		list = append(list, dtls.WithConnectionIDGenerator(dtls.RandomCIDGenerator(8)))
	}
	return cert, pool, list
}

func (p3 pion) start(t *testing.T, c datagramCell, f files, server bool, port int) (*process, bool) {
	cert, pool, options := p3.options(t, c, f)
	p := &process{}
	at := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	if server {
		serverOptions := []dtls.ServerOption{dtls.WithCertificates(cert), dtls.WithInsecureSkipVerifyHello(!c.cookies)}
		if c.mutual {
			serverOptions = append(serverOptions, dtls.WithClientAuth(dtls.RequireAndVerifyClientCert), dtls.WithClientCAs(pool))
		}
		for _, o := range options {
			serverOptions = append(serverOptions, o)
		}
		l, err := dtls.ListenWithOptions("udp4", at, serverOptions...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go p.echo(t, accepted(l))
		return p, true
	}
	clientOptions := []dtls.ClientOption{dtls.WithRootCAs(pool), dtls.WithServerName("localhost")}
	if c.mutual {
		clientOptions = append(clientOptions, dtls.WithCertificates(cert))
	}
	for _, o := range options {
		clientOptions = append(clientOptions, o)
	}
	socket := listenUDP(t)
	go p.echo(t, func() (handshaker, error) { return dtls.ClientWithOptions(socket, at, clientOptions...) })
	return p, true
}

// handshaker is a Conn of pion/dtls, of either version.
type handshaker interface {
	net.Conn
	HandshakeContext(context.Context) error
}

// accepted is how to get a listener's next connection.
func accepted(l net.Listener) func() (handshaker, error) {
	return func() (handshaker, error) {
		conn, err := l.Accept()
		if err != nil {
			return nil, err
		}
		return conn.(handshaker), nil
	}
}

// echo sends back what comes until the end, and records what goes wrong.
func (p *process) echo(t *testing.T, open func() (handshaker, error)) (ok bool) {
	conn, err := open()
	if err != nil {
		p.write(err)
		return false
	}
	t.Cleanup(func() { conn.Close() })
	err = conn.HandshakeContext(t.Context())
	if err == nil && p.met != nil {
		p.met(conn)
	}
	buf := make([]byte, 1<<14)
	for n := 0; err == nil; {
		if n, err = conn.Read(buf); err == nil {
			_, err = conn.Write(buf[:n])
		}
	}
	conn.Close()
	p.write(err)
	return true
}
