package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// atNow is the clock of the tests.
func atNow() time.Time { return pkitest.Now }

// configs are a client's and a server's Config that get along.
func configs(t testing.TB) (client, server *Config) {
	ca := pkitest.CA(t)
	client = &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost"}
	server = &Config{Time: atNow, Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}}
	return client, server
}

func TestHandshake(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, kind := range pkitest.KindsOf(version) {
			t.Run(fmt.Sprintf("%s %s", tls.VersionName(version), kind), func(t *testing.T) {
				ca := pkitest.CA(t)
				client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version}
				server := &Config{Time: atNow, Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{Kind: kind})}}
				p := newMeeting(t, false, client, server)
				p.handshake()
				p.exchange(5)
				p.exchange(100_000)
				if got := p.client.State().Version; got != version {
					t.Errorf("version %#x, want %#x", got, version)
				}
			})
		}
	}
}

// TestRetryKeepsKey: the share that a HelloRetryRequest asks for has the key of
// the one that was sent in vain, if it is on the same curve: one key less to make.
func TestRetryKeepsKey(t *testing.T) {
	client, server := configs(t)
	client.CurvePreferences = []tls.CurveID{tls.X25519, tls.X25519MLKEM768}
	client.KeyShares = []tls.CurveID{tls.X25519}
	server.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768}
	p := newMeeting(t, false, client, server)
	first := p.client.Output(nil)
	open := func(e *Engine, in []byte) {
		for len(in) > 0 {
			o, err := e.Open(in)
			if err != nil {
				t.Fatal(err)
			}
			in = in[o.N:]
		}
	}
	open(p.server, bytes.Clone(first))
	open(p.client, p.server.Output(nil))
	second := p.client.Output(nil)
	at := bytes.Index(first, []byte{0, 29, 0, 32}) // the group and the size of its share
	if at < 0 {
		t.Fatal("the first hello has no share of X25519")
	}
	if share := first[at+4:][:32]; !bytes.Contains(second, share) {
		t.Error("the second hello has another key")
	}
	open(p.server, second)
	open(p.client, p.server.Output(nil))
	open(p.server, p.client.Output(nil))
	if s := p.server.State(); !s.HandshakeComplete || s.CurveID != tls.X25519MLKEM768 {
		t.Errorf("complete %v, %v", s.HandshakeComplete, s.CurveID)
	}
}

// TestExporterRefusals: RFC 5705, Section 4, and RFC 7627, Section 5.4.
func TestExporterRefusals(t *testing.T) {
	reserved := []string{"client finished", "server finished", "master secret", "key expansion"}
	for _, test := range []struct {
		name    string
		version uint16
		labels  []string
		prepare func(*Engine)
		want    error
	}{
		{"a label of the PRF in TLS 1.2", tls.VersionTLS12, reserved, nil, ErrInvalidOperation},
		{"a label that only begins like one", tls.VersionTLS12, []string{"master secrets"}, nil, nil},
		{"TLS 1.2 without extended_main_secret", tls.VersionTLS12, []string{"label"}, func(e *Engine) { e.conn.EMS = false }, errNoEMS},
		{"a label of the PRF in TLS 1.3", tls.VersionTLS13, reserved, nil, nil},
		{"a label that is too long", tls.VersionTLS13, []string{strings.Repeat("x", 244)}, nil, ErrInvalidOperation},
	} {
		p := versionPair(t, test.version)
		p.handshake()
		if test.prepare != nil {
			test.prepare(p.client)
		}
		for _, label := range test.labels {
			if key, err := p.client.ExportKeyingMaterial(label, nil, 32); !errors.Is(err, test.want) || (err == nil) != (len(key) == 32) {
				t.Errorf("%s, %q: %d bytes, %v, want %v", test.name, label, len(key), err, test.want)
			}
		}
	}
}
