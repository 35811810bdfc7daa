package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v4"
	"github.com/pion/dtls/v4/pkg/protocol"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/netconn"
)

// nat stands between a client and a server, and can forget the client: then the client's
// datagrams come from another address, and those to the last one arrive nowhere.
type nat struct {
	t      *testing.T
	front  *net.UDPConn
	server *net.UDPAddr

	mu     sync.Mutex
	client *net.UDPAddr
	back   *net.UDPConn
}

func newNAT(t *testing.T, server net.Addr) *nat {
	t.Helper()
	n := &nat{t: t, front: listenUDP(t), server: server.(*net.UDPAddr)}
	n.forget()
	t.Cleanup(func() { n.back.Close() })
	go func() {
		buf := make([]byte, 1<<16)
		for {
			size, from, err := n.front.ReadFromUDP(buf)
			if err != nil {
				return
			}
			n.mu.Lock()
			n.client = from
			n.back.WriteToUDP(buf[:size], n.server)
			n.mu.Unlock()
		}
	}()
	return n
}

// forget changes the address that the server sees.
func (n *nat) forget() {
	back, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.back != nil {
		n.back.Close()
	}
	n.back = back
	go func() {
		buf := make([]byte, 1<<16)
		for {
			size, _, err := back.ReadFromUDP(buf)
			if err != nil {
				return
			}
			n.mu.Lock()
			n.front.WriteToUDP(buf[:size], n.client)
			n.mu.Unlock()
		}
	}()
}

// seen is the address that the server sees.
func (n *nat) seen() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.back.LocalAddr().String()
}

// echoes sends words until they come back: datagrams may be lost while the address changes.
func echoes(t *testing.T, conn net.Conn, words string) {
	t.Helper()
	buf := make([]byte, 1000)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if _, err := conn.Write([]byte(words)); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(400 * time.Millisecond))
		for {
			size, err := conn.Read(buf)
			if err != nil {
				break
			}
			if bytes.Equal(buf[:size], []byte(words)) {
				return
			}
		}
	}
	t.Fatalf("%q does not come back", words)
}

// echo sends everything back.
func echo(conn net.Conn) {
	buf := make([]byte, 1000)
	for {
		size, err := conn.Read(buf)
		if err != nil {
			return
		}
		conn.Write(buf[:size])
	}
}

// TestPaths: return routability checks (RFC 9853) with pion/dtls v4, which has the basic one: a NAT
// forgets the client.
func TestPaths(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	id := func() []byte {
		id := make([]byte, 8)
		rand.Read(id)
		return id
	}
	options := func(version uint16) []dtls.Option {
		v := protocol.Version1_3
		if version == tls.VersionTLS12 {
			v = protocol.Version1_2
		}
		return []dtls.Option{dtls.WithMinVersion(v), dtls.WithMaxVersion(v), dtls.WithConnectionID(id, dtls.CIDPathMigrationRRC)}
	}
	config := func(version uint16) *hermetic.Config {
		cfg := &hermetic.Config{MinVersion: version, MaxVersion: version, RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{leaf}}
		cfg.DTLS.ConnectionIDs, cfg.DTLS.ConnectionIDLength = true, 8
		return cfg
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version)+", pion's server checks", func(t *testing.T) {
			t.Parallel()
			list := []dtls.ServerOption{dtls.WithCertificates(leaf)}
			for _, o := range options(version) {
				list = append(list, o)
			}
			l, err := dtls.ListenAddr("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, list...)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				if conn, err := l.Accept(); err == nil {
					echo(conn)
				}
			}()
			n := newNAT(t, l.Addr())
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			conn, err := netconn.Dial(ctx, "udp4", n.front.LocalAddr().String(), config(version))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if !conn.State().PathValidation {
				t.Fatal("checks are not agreed on")
			}
			echoes(t, conn, "at home")
			n.forget()
			echoes(t, conn, "away")
		})
		for _, policy := range []hermetic.PathValidation{hermetic.PathValidationBasic, hermetic.PathValidationEnhanced} {
			t.Run(tls.VersionName(version)+", our server checks, "+policy.String(), func(t *testing.T) {
				t.Parallel()
				cfg := config(version)
				cfg.DTLS.PathValidation, cfg.DTLS.PathTimeout = policy, 300*time.Millisecond
				l, err := netconn.ListenPacket("udp4", "127.0.0.1:0", cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				accepted := make(chan *netconn.Conn, 1)
				go func() {
					if conn, err := l.Accept(); err == nil {
						accepted <- conn.(*netconn.Conn)
						echo(conn)
					}
				}()
				n := newNAT(t, l.Addr())
				list := []dtls.ClientOption{dtls.WithRootCAs(ca.Pool()), dtls.WithServerName("localhost")}
				for _, o := range options(version) {
					list = append(list, o)
				}
				conn, err := dtls.Client(listenUDP(t), n.front.LocalAddr(), list...)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				echoes(t, conn, "at home")
				ours := <-accepted
				if !ours.State().PathValidation {
					t.Fatal("checks are not agreed on")
				}
				if got := ours.RemoteAddr().String(); got != n.seen() {
					t.Errorf("the client is at %s, not at %s", got, n.seen())
				}
				n.forget()
				echoes(t, conn, "away")
				if got := ours.RemoteAddr().String(); got != n.seen() {
					t.Errorf("the client is at %s, not at %s", got, n.seen())
				}
			})
		}
	}
}
