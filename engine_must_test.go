package hermetic

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Requirements of RFC 9846 and RFC 9147bis that need whole engines, and have no test
// elsewhere: see docs/requirements.md.

// TestNoDataBeforeFinished: RFC 9846, Sections 2 and 5.1: data is sent neither before our
// Finished, but for early data, nor unprotected.
func TestNoDataBeforeFinished(t *testing.T) {
	for _, version := range versions {
		for _, datagram := range []bool{false, true} {
			client, server := configs(t)
			client.MaxVersion = version
			m := newMeeting(t, datagram, client, server)
			speaks := map[*Engine]bool{}
			m.tap = func(from *Engine, out []byte) {
				if version == tls.VersionTLS12 && out[0] == 23 && !from.HandshakeComplete() || out[0] == 23 && datagram && version == tls.VersionTLS13 {
					t.Errorf("%s: unprotected data", tls.VersionName(version))
				}
			}
			try := func() {
				for _, e := range []*Engine{m.client, m.server} {
					if speaks[e] {
						continue
					}
					if out, err := e.Seal(nil, []byte("data")); !errors.Is(err, ErrInvalidOperation) || len(out) > 0 {
						t.Errorf("%s, datagrams %v, %v: before the Finished % x is sent, error %v", tls.VersionName(version), datagram, e.mode, out, err)
					}
				}
			}
			try()
			var toServer, toClient []byte
			for range 10 {
				try()
				for m.client.HasOutput() {
					toServer = m.client.Output(nil)
					m.tap(m.client, toServer)
					speaks[m.client] = m.client.HandshakeComplete()
					try()
					if err := m.open(m.server, &toServer); err != nil {
						t.Fatal(err)
					}
					speaks[m.server] = m.server.HandshakeComplete() || version == tls.VersionTLS13
					speaks[m.client] = m.client.HandshakeComplete()
				}
				for m.server.HasOutput() {
					toClient = m.server.Output(nil)
					m.tap(m.server, toClient)
					if err := m.open(m.client, &toClient); err != nil {
						t.Fatal(err)
					}
					speaks[m.client] = m.client.HandshakeComplete()
				}
			}
			if !m.client.HandshakeComplete() || !m.server.HandshakeComplete() {
				t.Errorf("%s, datagrams %v: the handshake is not complete: %v, %v", tls.VersionName(version), datagram, m.client.HandshakeComplete(), m.server.HandshakeComplete())
			}
		}
	}
}

// TestDamagedEarlyData: RFC 9846, Section 4.3.10: a record of early data that was accepted
// and does not authenticate is a bad_record_mac, and is not skipped.
func TestDamagedEarlyData(t *testing.T) {
	client, server, _ := earlyConfigs(t)
	newMeeting(t, false, client, server).finish()
	m := newMeeting(t, false, client, server)
	hello := m.client.Output(nil)
	early, err := m.client.SealEarlyData(nil, []byte("early words"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.giveEarly(hello); err != nil {
		t.Fatal(err)
	}
	early[len(early)-1] ^= 1
	_, err = m.server.Open(early)
	wantAlert(t, m.server, err, AlertBadRecordMAC)
}

// TestNoKeyUpdateNoKeys: RFC 9846, Section 4.7.3: "both sides MUST enforce that a KeyUpdate
// with the old key is received before accepting any messages encrypted with the new key."
func TestNoKeyUpdateNoKeys(t *testing.T) {
	for _, lost := range []bool{false, true} {
		p := versionPair(t, tls.VersionTLS13)
		p.handshake()
		if err := p.client.KeyUpdate(UpdateNotRequested); err != nil {
			t.Fatal(err)
		}
		update := p.client.Output(nil)
		data, err := p.client.Seal(nil, []byte("data"))
		if err != nil {
			t.Fatal(err)
		}
		if !lost {
			if err := p.open(p.server, &update); err != nil {
				t.Fatal(err)
			}
			if err := p.open(p.server, &data); err != nil || string(p.got.server) != "data" {
				t.Errorf("got %q, %v", p.got.server, err)
			}
			continue
		}
		_, err = p.server.Open(data)
		wantAlert(t, p.server, err, AlertBadRecordMAC)
	}
}

// TestNothingAfterTheEnd: RFC 9846, Sections 6 to 6.2: after an error alert, sent or
// received, nothing is sent or received any more, and after a close_notify nothing is received.
func TestNothingAfterTheEnd(t *testing.T) {
	for _, version := range versions {
		for _, test := range []struct {
			name string
			end  func(p *meeting) error // of the client
			says bool                   // it has an alert to send
		}{
			{"an error alert of the peer", func(p *meeting) error {
				p.server.fail(errOnlyRawKeys)
				_, err := p.client.Open(alone(p.server.Output(nil)))
				return err
			}, false},
			{"an error of the peer", func(p *meeting) error {
				_, err := p.client.Open(append([]byte{23, 3, 3, 0, 100}, make([]byte, 100)...))
				return err
			}, true},
			{"a close_notify", func(p *meeting) error {
				p.server.Close()
				_, err := p.client.Open(alone(p.server.Output(nil)))
				return err
			}, false},
		} {
			p := versionPair(t, version)
			p.handshake()
			p.client.Output(nil)
			err := test.end(p)
			if err == nil {
				t.Fatalf("%s: no error", test.name)
			}
			closed := errors.Is(err, ErrClosed)
			if len(p.client.Output(nil)) > 0 != test.says {
				t.Errorf("%s, %s: an alert is sent: %v", test.name, tls.VersionName(version), !test.says)
			}
			if o, again := p.client.Open(append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...)); !errors.Is(again, err) || len(o.Data) > 0 {
				t.Errorf("%s, %s: afterwards %q is received, %v", test.name, tls.VersionName(version), o.Data, again)
			}
			if out, err := p.client.Seal(nil, []byte("more")); !closed && (err == nil || len(out) > 0) {
				t.Errorf("%s, %s: afterwards data is sent", test.name, tls.VersionName(version))
			}
			if out := p.client.Output(nil); len(out) > 0 {
				t.Errorf("%s, %s: afterwards % x is sent", test.name, tls.VersionName(version), out)
			}
		}
	}
}

// TestMandatory: RFC 9846, Sections 9.1 and 9.3: the algorithms that everybody has work
// alone, and so does each that a client offers by itself.
func TestMandatory(t *testing.T) {
	ca := pkitest.CAWith(t, pkitest.RSA2048) // it signs with rsa_pkcs1_sha256
	handshake := func(name, kind string, change func(server *Config)) {
		client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost"}
		server := &Config{Time: atNow, Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{Kind: kind})}}
		change(server)
		m := newMeeting(t, false, client, server)
		if err := m.run(); err != nil || !m.client.HandshakeComplete() {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, kind := range []string{pkitest.RSA2048, pkitest.P256} { // rsa_pss_rsae_sha256, ecdsa_secp256r1_sha256
		handshake(kind, kind, func(server *Config) {
			server.CipherSuites, server.CurvePreferences = []uint16{tls.TLS_AES_128_GCM_SHA256}, []tls.CurveID{tls.CurveP256}
			server.MinVersion = tls.VersionTLS13
		})
	}
	client, _ := configs(t)
	e, err := NewEngine(TLSClient, client)
	if err != nil {
		t.Fatal(err)
	}
	var hello wire.ClientHello
	if err := hello.Parse(alone(e.Output(nil))[9:], wire.Stream); err != nil {
		t.Fatal(err)
	}
	if !hello.Groups.Contains(uint16(tls.CurveP256)) || !hello.CipherSuites.Contains(tls.TLS_AES_128_GCM_SHA256) {
		t.Errorf("the client offers groups %x and cipher suites %x", hello.Groups, hello.CipherSuites)
	}
	for _, scheme := range []suite.Scheme{suite.PKCS1SHA256, suite.PSSSHA256, suite.ECDSAP256} {
		if !hello.SignatureSchemes.Contains(uint16(scheme)) {
			t.Errorf("the client does not offer %v", scheme)
		}
	}
	for g := range hello.Groups.All() {
		handshake(fmt.Sprintf("group %#04x", g), pkitest.P256, func(server *Config) { server.CurvePreferences = []tls.CurveID{tls.CurveID(g)} })
	}
	for id := range hello.CipherSuites.All() {
		kind := pkitest.P256
		if s := suite.ByID(id); s == nil {
			continue // a signaling value
		} else if s.Auth == suite.RSA {
			kind = pkitest.RSA2048
		}
		handshake(fmt.Sprintf("cipher suite %#04x", id), kind, func(server *Config) { server.CipherSuites = []uint16{id} })
	}
}

// TestInsecureSignatures: RFC 9846, Section 4.5.1.3: a certificate that would have to be
// validated with MD5 is a bad_certificate.
func TestInsecureSignatures(t *testing.T) {
	ca := pkitest.CAWith(t, pkitest.RSA2048)
	sha256 := []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b")
	for name, last := range map[string]byte{"MD5": 4, "SHA-256, but wrong": 11} {
		leaf := ca.Leaf(t, pkitest.Options{})
		if bytes.Count(leaf.Certificate[0], sha256) != 2 {
			t.Fatal("the certificate is not signed with sha256WithRSAEncryption")
		}
		leaf.Certificate[0] = bytes.ReplaceAll(leaf.Certificate[0], sha256, append(bytes.Clone(sha256[:8]), last))
		leaf.Certificate[0][len(leaf.Certificate[0])-1] ^= 1
		leaf.Leaf = nil
		want := AlertBadCertificate
		if last == 11 {
			want = AlertUnknownCA // somebody else has signed it in the name of the authority
		}
		for _, version := range versions {
			client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version}
			server := &Config{Time: atNow, Certificates: []tls.Certificate{leaf}}
			m := newMeeting(t, false, client, server)
			err := m.run()
			var fault *AlertError
			if !errors.As(m.client.err, &fault) || fault.Alert != want {
				t.Errorf("%s, %s: %v, and the client: %v", name, tls.VersionName(version), err, m.client.err)
			}
		}
	}
}

// TestACKsOfEarlyClients: RFC 9147bis, Section 7: "implementations MUST NOT send ACK records
// in epoch 1 (early data)": a client that has nothing newer acknowledges unencrypted.
func TestACKsOfEarlyClients(t *testing.T) {
	client, server, now := earlyConfigs(t)
	protocols := []string{strings.Repeat("x", 100)} // in EncryptedExtensions, so that they need several datagrams
	server.DTLS.MTU, server.NextProtos, client.NextProtos = 128, protocols, protocols
	newMeeting(t, true, client, server).finish()
	m := newMeeting(t, true, client, server)
	if err := m.sendEarly("early words"); err != nil {
		t.Fatal(err)
	}
	var flight [][]byte
	for m.server.HasOutput() {
		flight = append(flight, m.server.Output(nil))
	}
	if len(flight) < 3 {
		t.Fatalf("%d datagrams, too few to lose one", len(flight))
	}
	for _, datagram := range flight[:len(flight)-1] {
		if err := m.give(m.client, datagram); err != nil {
			t.Fatal(err)
		}
	}
	deadline, _ := m.client.Deadline()
	now.now = deadline
	if err := m.client.Expire(); err != nil {
		t.Fatal(err)
	}
	acked := false
	for m.client.HasOutput() {
		out := m.client.Output(nil)
		acked = acked || out[0] == 26 // unencrypted
		if out[0]&0xe3 == 0x21 {
			t.Errorf("% x is under the keys of early data", out[:5])
		}
	}
	if !acked {
		t.Error("the ServerHello is not acknowledged")
	}
}

// TestConnectionIDMessages: RFC 9147bis, Section 9: messages about connection IDs are
// neither sent nor accepted by those whose records have none in that direction.
func TestConnectionIDMessages(t *testing.T) {
	for _, lengths := range [][2]int{{-1, -1}, {4, -1}, {-1, 4}, {0, 0}, {4, 0}, {0, 4}, {4, 4}} {
		for _, offers := range []bool{true, false} {
			m, now := cidMeeting(t, tls.VersionTLS13, lengths[0], lengths[1])
			m.settle(now)
			local, peer := m.client.ConnectionIDs()
			permitted := len(peer) > 0
			send := func() error { return m.client.RequestConnectionIDs(1) }
			msg := (&wire.RequestConnectionID{Count: 1}).Append(nil)
			if offers {
				permitted = len(local) > 0
				send = func() error { return m.client.OfferConnectionIDs(1, ConnectionIDSpare) }
				msg = (&wire.NewConnectionID{CIDs: wire.AppendCID(nil, []byte("1234")), Usage: 1}).Append(nil)
			}
			name := fmt.Sprintf("lengths %d, NewConnectionId %v", lengths, offers)
			if both := lengths[0] >= 0 && lengths[1] >= 0; permitted && !both {
				t.Errorf("%s: connection IDs without negotiation", name)
			}
			if permitted {
				if err := send(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if err := send(); !errors.Is(err, ErrInvalidOperation) {
				t.Errorf("%s: it is sent, error %v", name, err)
			}
			m.client.carrier.Send(msg)
			m.run()
			var fault *AlertError
			if !errors.As(m.server.err, &fault) || fault.Alert != AlertUnexpectedMessage {
				t.Errorf("%s: the server accepts it: %v", name, m.server.err)
			}
		}
	}
}

// TestSessionIDNotEchoed: RFC 9147bis, Section 5: "DTLS 1.3 servers MUST NOT echo the
// "legacy_session_id" value from the ClientHello."
func TestSessionIDNotEchoed(t *testing.T) {
	client, server := configs(t)
	m := newMeeting(t, true, client, server)
	hello := rewrite(t, true, m.client.Output(nil), func(h *wire.ClientHello) { h.SessionID = make([]byte, 32) })
	if err := m.give(m.server, hello); err != nil {
		t.Fatal(err)
	}
	out := m.server.Output(nil)
	var sh wire.ServerHello
	if err := sh.Parse(out[13+wire.FragmentHeaderLen : 13+int(out[11])<<8+int(out[12])]); err != nil {
		t.Fatal(err)
	}
	if sh.SupportedVersion != wire.VersionTLS13 && sh.SupportedVersion != wire.VersionDTLS13 || len(sh.SessionID) != 0 {
		t.Errorf("version %#04x, session id %x", sh.SupportedVersion, sh.SessionID)
	}
}

// TestNoVersionInCommon: RFC 9846, Appendix E.2: a server of TLS 1.3 alone, and a
// ClientHello without supported_versions, whatever its legacy_version is.
func TestNoVersionInCommon(t *testing.T) {
	for _, legacy := range []uint16{0x0300, 0x0301, 0x0302, 0x0303} {
		client, server := configs(t)
		server.MinVersion = tls.VersionTLS13
		m := newMeeting(t, false, client, server)
		hello := rewrite(t, false, m.client.Output(nil), func(h *wire.ClientHello) {
			h.Version = legacy
			h.Has = h.Has.Minus(wire.Extensions(wire.ExtSupportedVersions, wire.ExtKeyShare))
		})
		_, err := m.server.Open(hello)
		wantAlert(t, m.server, err, AlertProtocolVersion)
	}
}

// TestOldVersions: RFC 9846, Appendix E.5: neither TLS 1.1 nor anything older is negotiated,
// and a CLIENT-HELLO of SSL 2.0 is none.
func TestOldVersions(t *testing.T) {
	for _, legacy := range []uint16{0x0002, 0x0200, 0x0300, 0x0301, 0x0302} {
		client, server := configs(t)
		m := newMeeting(t, false, client, server)
		hello := rewrite(t, false, m.client.Output(nil), func(h *wire.ClientHello) {
			h.Version = legacy
			h.Has = h.Has.Minus(wire.Extensions(wire.ExtSupportedVersions, wire.ExtKeyShare))
		})
		_, err := m.server.Open(hello)
		wantAlert(t, m.server, err, AlertProtocolVersion)
	}
	// Versions from 2.0 to TLS 1.3, one cipher suite, no session, a challenge of 16 bytes.
	for _, version := range []byte{0, 3, 4} {
		_, server := configs(t)
		e, err := NewEngine(TLSServer, server)
		if err != nil {
			t.Fatal(err)
		}
		hello := append([]byte{0x80, 28, 1, 3, version, 0, 3, 0, 0, 0, 16, 0, 0x13, 1}, make([]byte, 16)...)
		if _, err := e.Open(hello); err == nil || e.State().Version != 0 {
			t.Errorf("a CLIENT-HELLO of SSL 2.0 for 3.%d: %v", version, err)
		}
	}
}

// TestCompatibilityCCS: RFC 9846, Appendix E.4: the server sends a change_cipher_spec after
// its first handshake message to a client with a session id, and the client one before its
// second flight.
func TestCompatibilityCCS(t *testing.T) {
	for _, retry := range []bool{false, true} {
		client, server := configs(t)
		client.CurvePreferences, client.KeyShares = []tls.CurveID{tls.X25519, tls.CurveP256}, []tls.CurveID{tls.X25519}
		want := map[Mode]string{TLSClient: "[22 20 23]", TLSServer: "[22 20 23]"}
		if retry {
			server.CurvePreferences = []tls.CurveID{tls.CurveP256}
			want = map[Mode]string{TLSClient: "[22 20 22 23]", TLSServer: "[22 20 22 23]"}
		}
		m := newMeeting(t, false, client, server)
		types := map[Mode][]byte{}
		m.tap = func(from *Engine, out []byte) {
			for ; len(out) > 0; out = out[5+int(out[3])<<8+int(out[4]):] {
				if list := types[from.mode]; len(list) == 0 || list[len(list)-1] != out[0] {
					types[from.mode] = append(list, out[0])
				}
			}
		}
		m.handshake()
		for mode, want := range want {
			if got := fmt.Sprint(types[mode]); got != want {
				t.Errorf("retry %v, %v: records of types %s, want %s", retry, mode, got, want)
			}
		}
	}
}

// TestPSKHash: RFC 9846, Section 4.3.11: the hash of an external PSK is SHA-256 unless it
// has another one.
func TestPSKHash(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	for hash, want := range map[crypto.Hash]bool{0: true, crypto.SHA256: true, crypto.SHA384: false} {
		client := &Config{Time: atNow, PSKs: []PSK{{Identity: []byte("device"), Key: key}}, MinVersion: tls.VersionTLS13}
		server := &Config{Time: atNow, PSKs: []PSK{{Identity: []byte("device"), Key: key, Hash: hash}}, MinVersion: tls.VersionTLS13}
		m := newMeeting(t, false, client, server)
		if err := m.run(); (err == nil && m.server.HandshakeComplete()) != want {
			t.Errorf("a PSK without a hash at the client, and with %v at the server: %v", hash, err)
		}
	}
}
