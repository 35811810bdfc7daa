package interop

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"testing"
	"time"

	"github.com/pion/dtls/v4"
	"github.com/pion/dtls/v4/pkg/crypto/ciphersuite"
	"github.com/pion/dtls/v4/pkg/crypto/elliptic"
	"github.com/pion/dtls/v4/pkg/protocol"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// pion4 is pion/dtls v4, in this process: it has DTLS 1.3.
type pion4 struct{}

func (pion4) name() string              { return "pion v4" }
func (pion4) prepare(*testing.T) string { return "" }

func (pion4) speaks(uint16) bool { return true }

func (pion4) cannot(c datagramCell, server bool) string {
	switch {
	case c.limit != 0:
		return noLimit
	case c.fragments != 0:
		return noFragments
	case c.suite == 0xc0af || c.suite == 0xc0ad || c.suite == 0x1304 || c.suite == 0x1305:
		return "no " + hermetic.CipherSuiteName(c.suite)
	case c.group == tls.CurveP521 || c.kind == pkitest.P521:
		return "no P-521"
	case c.version == tls.VersionTLS13 && c.mtu == 256 && c.cookies && !server:
		return "its cookie comes after the first fragment of a hello"
	}
	return ""
}

// options are what both roles have.
func (pion4) options(t *testing.T, c datagramCell, f files, server bool) (cert tls.Certificate, pool *x509.CertPool, list []dtls.Option) {
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
	version := protocol.Version1_3
	if c.version == tls.VersionTLS12 {
		version = protocol.Version1_2
	}
	list = []dtls.Option{dtls.WithMinVersion(version), dtls.WithMaxVersion(version)}
	if c.mtu > 0 {
		list = append(list, dtls.WithMTU(c.mtu))
	}
	if c.loss > 0 {
		list = append(list, dtls.WithFlightInterval(400*time.Millisecond))
	}
	if c.suite != 0 {
		list = append(list, dtls.WithCipherSuites(ciphersuite.ID(c.suite)))
	}
	if c.retry && server {
		list = append(list, dtls.WithEllipticCurves(elliptic.P384))
	}
	id := func(length int) func() []byte {
		return func() []byte {
			id := make([]byte, length)
			rand.Read(id)
			return id
		}
	}
	switch c.cids {
	case "ours":
		list = append(list, dtls.WithConnectionID(id(0), dtls.CIDPathMigrationReject))
	case "the peer's", "both":
		list = append(list, dtls.WithConnectionID(id(8), dtls.CIDPathMigrationUnsafe))
	}
	return cert, pool, list
}

func (p4 pion4) start(t *testing.T, c datagramCell, f files, server bool, port int) (*process, bool) {
	cert, pool, options := p4.options(t, c, f, server)
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
		l, err := dtls.ListenAddr("udp4", at, serverOptions...)
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
	go p.echo(t, func() (handshaker, error) { return dtls.Client(socket, at, clientOptions...) })
	return p, true
}
