package netconn

import (
	"crypto/tls"
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/netconn"
)

// TestConn: a TLS connection is an ordinary net.Conn.
func TestConn(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			ca := pkitest.CA(t)
			client := &hermetic.Config{RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version}
			server := &hermetic.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}}
			l, err := netconn.Listen("tcp", "127.0.0.1:0", server)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				dialed := make(chan error, 1)
				go func() {
					c, err := netconn.Dial(t.Context(), "tcp", l.Addr().String(), client)
					c1 = c
					dialed <- err
				}()
				if c2, err = l.Accept(); err != nil {
					return nil, nil, nil, err
				}
				if err = c2.(*netconn.Conn).Handshake(); err != nil {
					return nil, nil, nil, err
				}
				err = <-dialed // the handshake obeys both deadlines, so it must be complete before the tests set any
				return c1, c2, func() { c1.Close(); c2.Close() }, err
			})
		})
	}
}
