package hermetic

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// mutual are Configs whose peers verify each other, and can resume.
func mutual(t *testing.T, ca *pkitest.Authority, version uint16) (client, server *Config) {
	client, server = configs(t)
	client.RootCAs, server.Certificates = ca.Pool(), []tls.Certificate{ca.Leaf(t, pkitest.Options{})}
	client.Certificates = []tls.Certificate{ca.Leaf(t, pkitest.Options{Name: "client"})}
	client.MinVersion, client.MaxVersion, client.SessionCache = version, version, NewSessionCache(1)
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
	return client, server
}

// chained fails unless the state has one verified chain, of the peer's leaf and its authority.
func chained(t *testing.T, who string, s ConnectionState, root *x509.Certificate) {
	t.Helper()
	if len(s.VerifiedChains) != 1 || len(s.VerifiedChains[0]) != 2 {
		t.Errorf("%s: VerifiedChains are %d, want one of two certificates", who, len(s.VerifiedChains))
		return
	}
	if chain := s.VerifiedChains[0]; !chain[0].Equal(s.PeerCertificates[0]) || !chain[1].Equal(root) {
		t.Errorf("%s: the chain is %v, %v", who, chain[0].Subject, chain[1].Subject)
	}
}

// TestVerifiedChains: both sides have them, after each way to resume too.
func TestVerifiedChains(t *testing.T) {
	ca := pkitest.CA(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, datagram := range []bool{false, true} {
			name := tls.VersionName(version)
			if datagram {
				name = "D" + name
			}
			t.Run(name, func(t *testing.T) {
				client, server := mutual(t, ca, version)
				var seen []int // by the callbacks
				look := func(s ConnectionState) error {
					seen = append(seen, len(s.VerifiedChains))
					s.VerifiedChains[0][0] = nil // a copy
					return nil
				}
				client.VerifyConnection, server.VerifyConnection = look, look
				spoil := func(_ [][]byte, chains [][]*x509.Certificate) error {
					chains[0][0], chains[0] = nil, nil // copies, too
					return nil
				}
				client.VerifyPeerCertificate, server.VerifyPeerCertificate = spoil, spoil
				again := func(who string, resumed bool) *meeting {
					t.Helper()
					m := newMeeting(t, datagram, client, server)
					m.handshake()
					for _, e := range []*Engine{m.client, m.server} {
						s := e.State()
						if s.DidResume != resumed {
							t.Errorf("%s: DidResume is %v", who, s.DidResume)
						}
						chained(t, who, s, ca.Certificate)
						s.VerifiedChains[0][0] = nil // a copy
						chained(t, who, e.State(), ca.Certificate)
					}
					return m
				}
				again("full", false)
				again("resumed", true)
				again("resumed twice", true)

				// A session that comes from elsewhere is verified again, and has chains.
				key := "tls:localhost"
				if datagram {
					key = "dtls:localhost"
				}
				stored, err := client.SessionCache.Get(key).MarshalBinary()
				if err != nil {
					t.Fatal(err)
				}
				var restored Session
				if err := restored.UnmarshalBinary(stored); err != nil {
					t.Fatal(err)
				}
				client.SessionCache.Put(key, &restored)
				again("resumed from a store", true)
				for i, n := range seen {
					if n != 1 {
						t.Errorf("call %d of VerifyConnection: %d chains", i, n)
					}
				}

				client, server = mutual(t, ca, version)
				client.InsecureSkipVerify, server.ClientAuth = true, tls.RequireAnyClientCert
				for range 2 {
					m := newMeeting(t, datagram, client, server)
					m.handshake()
					if c, s := m.client.State(), m.server.State(); c.VerifiedChains != nil || s.VerifiedChains != nil {
						t.Errorf("without verification: %d and %d chains (resumed: %v)", len(c.VerifiedChains), len(s.VerifiedChains), c.DidResume)
					}
				}
			})
		}
	}
}

// TestVerifiedChainsOfOtherRoots: a session does not bring the chains of the roots of its
// beginning, nor of a Config that verified nothing.
func TestVerifiedChainsOfOtherRoots(t *testing.T) {
	ca, other := pkitest.CA(t), pkitest.CA(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server := mutual(t, ca, version)
		client.InsecureSkipVerify = true
		newMeeting(t, false, client, server).handshake()
		strict := client.Clone()
		strict.InsecureSkipVerify = false
		m := newMeeting(t, false, strict, server)
		m.handshake()
		if s := m.client.State(); !s.DidResume {
			t.Errorf("%s: not resumed", tls.VersionName(version))
		} else {
			chained(t, "a session that nobody had verified", s, ca.Certificate)
		}

		// The server no longer trusts the client's authority: the ticket is of no use.
		moved := server.Clone()
		moved.ClientCAs = other.Pool()
		m = newMeeting(t, false, strict, moved)
		if err := m.run(); err == nil {
			t.Errorf("%s: the client of a distrusted authority is admitted: %d chains", tls.VersionName(version), len(m.server.State().VerifiedChains))
		}
	}
}

// TestTLSUnique: both sides agree, each connection has its own, and it equals that of
// crypto/tls (see netconn) where RFC 5929 and RFC 7627 define it.
func TestTLSUnique(t *testing.T) {
	ca := pkitest.CA(t)
	client, server := mutual(t, ca, tls.VersionTLS12)
	var last []byte
	for i := range 3 {
		m := newMeeting(t, false, client, server)
		m.handshake()
		c, s := m.client.State(), m.server.State()
		if len(c.TLSUnique) != 12 || !bytes.Equal(c.TLSUnique, s.TLSUnique) || bytes.Equal(c.TLSUnique, last) || c.DidResume != (i > 0) {
			t.Errorf("connection %d (resumed: %v): %x and %x after %x", i, c.DidResume, c.TLSUnique, s.TLSUnique, last)
		}
		last = c.TLSUnique
	}
	client, server = mutual(t, ca, tls.VersionTLS13)
	m := newMeeting(t, false, client, server)
	m.handshake()
	if c := m.client.State(); c.TLSUnique != nil {
		t.Errorf("TLS 1.3 has %x", c.TLSUnique)
	}
}

// TestVerifiedChainsAfterMove: ImportEngine verifies again, and the connection continues where the
// chain no longer verifies.
func TestVerifiedChainsAfterMove(t *testing.T) {
	ca, other := pkitest.CA(t), pkitest.CA(t)
	client, server := mutual(t, ca, tls.VersionTLS13)
	m := newMeeting(t, false, client, server)
	m.handshake()
	state, err := m.server.Export(nil, stateAEAD(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	distrusts := server.Clone()
	distrusts.ClientCAs = other.Pool()
	for _, test := range []struct {
		name string
		cfg  *Config
		want int
	}{{"the same Config", server, 1}, {"a Config of another authority", distrusts, 0}} {
		e, err := ImportEngine(test.cfg, state, stateAEAD(t, 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.State(); len(got.VerifiedChains) != test.want || len(got.PeerCertificates) != 1 {
			t.Errorf("%s: %d chains, want %d", test.name, len(got.VerifiedChains), test.want)
		}
	}
}
