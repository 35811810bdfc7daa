package hermetic_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"

	. "github.com/hermetic-tls/hermetic"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// drive moves bytes between an engine and a blocking connection until the
// engine has received want bytes, having sent data once it can.
func drive(e *Engine, conn net.Conn, data []byte, want int) ([]byte, error) {
	var in, got []byte
	buf := make([]byte, 1<<15)
	sent := false
	// net.Pipe has no buffer: writing must not wait for our own reading.
	writes := make(chan []byte, 64)
	defer close(writes)
	go func() {
		for b := range writes {
			conn.Write(b)
		}
	}()
	for {
		out := e.Output(nil)
		if e.HandshakeComplete() && !sent {
			var err error
			if out, err = e.Seal(out, data); err != nil {
				return got, err
			}
			sent = true
		}
		if len(out) > 0 {
			writes <- out
		}
		if len(got) >= want && sent {
			return got, nil
		}
		n, err := conn.Read(buf)
		if err != nil {
			return got, err
		}
		in = append(in, buf[:n]...)
		for {
			o, err := e.Open(in)
			if err != nil {
				writes <- e.Output(nil)
				return got, err
			}
			if o.N == 0 {
				break
			}
			got = append(got, o.Data...)
			in = in[o.N:]
		}
	}
}

// TestCryptoTLS makes handshakes with crypto/tls in both roles.
func TestCryptoTLS(t *testing.T) {
	ca := pkitest.CA(t)
	groups := []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521, tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024}
	type cell struct {
		name    string
		version uint16
		kind    string
		group   tls.CurveID
		suite   uint16
		mutual  bool
		shares  []tls.CurveID
	}
	var cells []cell
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, k := range pkitest.KindsOf(v) {
			cells = append(cells, cell{name: k, version: v, kind: k}, cell{name: k + " mutual", version: v, kind: k, mutual: true})
		}
		for _, g := range groups {
			if v == tls.VersionTLS12 && g > 1000 {
				continue
			}
			cells = append(cells, cell{name: g.String(), version: v, group: g, kind: pkitest.RSA2048})
		}
	}
	for _, g := range groups {
		cells = append(cells, cell{name: "HelloRetryRequest " + g.String(), version: tls.VersionTLS13, group: g, shares: []tls.CurveID{}})
	}
	for _, s := range append(tls.CipherSuites(), &tls.CipherSuite{}) {
		for _, v := range s.SupportedVersions {
			if hermeticHas(s.ID) {
				kind := pkitest.P256
				if bytes.Contains([]byte(s.Name), []byte("RSA")) {
					kind = pkitest.RSA2048
				}
				cells = append(cells, cell{name: s.Name, version: v, kind: kind, suite: s.ID})
			}
		}
	}
	for _, c := range cells {
		for _, role := range []Mode{TLSClient, TLSServer} {
			if c.shares != nil && role == TLSServer {
				continue // crypto/tls cannot be made to leave a share out
			}
			t.Run(fmt.Sprintf("%v %s %s", role, tls.VersionName(c.version), c.name), func(t *testing.T) {
				leaf := ca.Leaf(t, pkitest.Options{Kind: c.kind})
				theirs := &tls.Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MinVersion: c.version, MaxVersion: c.version, NextProtos: []string{"x", "y"}}
				ours := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", NextProtos: []string{"z", "y"}}
				if c.group != 0 {
					ours.CurvePreferences = []tls.CurveID{c.group}
					theirs.CurvePreferences = []tls.CurveID{c.group}
					ours.KeyShares = c.shares
				}
				if c.suite != 0 {
					ours.CipherSuites = []uint16{c.suite}
				}
				a, b := net.Pipe()
				defer a.Close()
				var peer *tls.Conn
				if role == TLSClient {
					theirs.Certificates = []tls.Certificate{leaf}
					if c.mutual {
						ours.Certificates, theirs.ClientAuth, theirs.ClientCAs = []tls.Certificate{leaf}, tls.RequireAndVerifyClientCert, ca.Pool()
					}
					peer = tls.Server(b, theirs)
				} else {
					ours.Certificates = []tls.Certificate{leaf}
					if c.mutual {
						theirs.Certificates, ours.ClientAuth, ours.ClientCAs = []tls.Certificate{leaf}, tls.RequireAndVerifyClientCert, ca.Pool()
					}
					peer = tls.Client(b, theirs)
				}
				data := bytes.Repeat([]byte{7}, 40_000)
				done := make(chan error, 1)
				go func() {
					defer b.Close()
					got := make([]byte, len(data))
					if _, err := io.ReadFull(peer, got); err != nil {
						done <- err
						return
					}
					if !bytes.Equal(got, data) {
						done <- fmt.Errorf("the peer got other bytes")
						return
					}
					_, err := peer.Write(got)
					done <- err
				}()
				e, err := NewEngine(role, ours)
				if err != nil {
					t.Fatal(err)
				}
				got, err := drive(e, a, data, len(data))
				if err != nil {
					a.Close()
					t.Fatalf("engine: %v, peer: %v", err, <-done)
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, data) {
					t.Errorf("got %d bytes, not those that were sent", len(got))
				}
				state := e.State()
				if state.NegotiatedProtocol != "y" {
					t.Errorf("ALPN %q, want y", state.NegotiatedProtocol)
				}
				if c.shares != nil && !state.HelloRetryRequest {
					t.Error("no HelloRetryRequest")
				}
				if c.group != 0 && state.CurveID != c.group {
					t.Errorf("group %v, want %v", state.CurveID, c.group)
				}
				peerState := peer.ConnectionState()
				wantBinding, _ := peerState.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
				if binding, err := state.ChannelBinding(); err != nil || !bytes.Equal(binding, wantBinding) {
					t.Errorf("channel binding %x, %v; the peer's %x", binding, err, wantBinding)
				}
				want, _ := peerState.ExportKeyingMaterial("EXPORTER-test", []byte("context"), 40)
				if material, err := e.ExportKeyingMaterial("EXPORTER-test", []byte("context"), 40); err != nil || !bytes.Equal(material, want) {
					t.Errorf("exported %x, %v; the peer %x", material, err, want)
				}
			})
		}
	}
}

func hermeticHas(id uint16) bool {
	_, err := NewEngine(TLSClient, &Config{ServerName: "x", CipherSuites: []uint16{id}})
	return err == nil
}
