package handshake

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// openJar makes cookies that show what is in them.
type openJar struct{}

func (openJar) Seal(content, _ []byte) []byte { return append([]byte("cookie"), content...) }
func (openJar) Open(cookie, _ []byte) ([]byte, bool) {
	return bytes.CutPrefix(cookie, []byte("cookie"))
}

// clearDatagrams is a clearOutput with the hellos of DTLS.
type clearDatagrams struct{ clearOutput }

func (*clearDatagrams) Transport() wire.Transport { return wire.Datagram }
func (*clearDatagrams) HasEpochs() bool           { return true }

// datagramParams are of a client that likes P-256 best and has sent a share of
// X25519, or of a server that will ask for P-256 then.
func datagramParams(server bool) Params {
	return Params{
		Server: server, MinVersion: wire.VersionTLS12, MaxVersion: wire.VersionTLS13, Suites: suite.All()[:9], Schemes: suite.Schemes,
		Groups: []suite.Group{suite.P256, suite.X25519}, KeyShares: []suite.Group{suite.X25519}, Chains: new(pki.Cache), Rand: rand.Reader,
	}
}

func startDatagrams(t *testing.T, p *Params) (*Machine, *clearDatagrams) {
	out := new(clearDatagrams)
	p.Prepare()
	m := NewClient(p, out, "localhost")
	if p.Server {
		m = NewServer(p, out, openJar{})
	}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	return m, out
}

// TestCookieViolations: the second ClientHello must match its cookie, which alone
// remembers the first.
func TestCookieViolations(t *testing.T) {
	x25519 := wire.AppendKeyShare(nil, uint16(suite.X25519), bytes.Repeat([]byte{9}, 32))
	for _, v := range []struct {
		name   string
		first  func(client *Params)      // before the first hello
		hello  func(h *wire.ClientHello) // the second
		server func(server *Params)      // when it comes
		want   error
	}{
		{"as it should be", nil, nil, nil, nil},
		{"somebody else's cookie", nil, func(h *wire.ClientHello) { h.Cookie[0] ^= 1 }, nil, errBadCookie},
		{"a cookie of nothing", nil, func(h *wire.ClientHello) { h.Cookie = []byte("cookie") }, nil, errBadCookie},
		{"the suite is not offered again", nil, func(h *wire.ClientHello) { h.CipherSuites = h.CipherSuites[2:] }, nil, errBadCookie},
		{"the server has not the suite any more", nil, nil, func(p *Params) { p.Suites = p.Suites[1:] }, errBadCookie},
		{"the server has not the group any more", nil, nil, func(p *Params) { p.Groups = p.Groups[1:] }, errRetryShare},
		{"a share of another group", nil, func(h *wire.ClientHello) { h.KeyShares = x25519 }, nil, errRetryShare},
		{"a share of another group, which is liked best now", nil, func(h *wire.ClientHello) {
			h.KeyShares, h.Groups = x25519, wire.AppendUint16s(nil, uint16(suite.X25519), uint16(suite.P256))
		}, nil, errRetryShare},
		{"another share beside it", nil, func(h *wire.ClientHello) { h.KeyShares = append(bytes.Clone(h.KeyShares), x25519...) }, nil, errRetryShare},
		{"no share", nil, func(h *wire.ClientHello) { h.KeyShares = nil }, nil, errRetryShare},
		{"no share, where the first hello had one", func(p *Params) { p.KeyShares = p.Groups }, func(h *wire.ClientHello) { h.KeyShares = nil }, nil, errRetryShare},
	} {
		cp, sp := datagramParams(false), datagramParams(true)
		if v.first != nil {
			v.first(&cp)
		}
		client, sent := startDatagrams(t, &cp)
		hrr, verdict := AnswerHello(&sp, openJar{}, sent.sent[0][4:])
		if verdict != Answer {
			t.Fatalf("%s: verdict %v on the first hello", v.name, verdict)
		}
		if err := client.Handle(wire.Message{Type: wire.TypeServerHello, Body: hrr[4:]}); err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		var h wire.ClientHello
		must(h.Parse(sent.sent[1][4:], wire.Datagram))
		if v.hello != nil {
			v.hello(&h)
		}
		if v.server != nil {
			v.server(&sp)
		}
		server, _ := startDatagrams(t, &sp)
		wantNamedAlert(t, v.want)
		if err := server.Handle(wire.Message{Type: wire.TypeClientHello, Body: h.Append(nil, wire.Datagram)[4:]}); err != v.want {
			t.Errorf("%s: %v, want %v", v.name, err, v.want)
		}
	}
}

// TestAnswerHelloChecks: what is wrong with a ClientHello is wrong where nothing is
// kept of it too, and the alert is the same.
func TestAnswerHelloChecks(t *testing.T) {
	for _, v := range []struct {
		name  string
		hello func(h *wire.ClientHello)
		want  alert.Description // 0: it is answered
	}{
		{"as it should be", func(h *wire.ClientHello) {}, 0},
		{"a legacy_version above", func(h *wire.ClientHello) { h.Version = wire.VersionDTLS13 }, 0},
		{"a legacy_version below", func(h *wire.ClientHello) { h.Version = wire.VersionDTLS10 }, alert.ProtocolVersion},
		{"a legacy cookie", func(h *wire.ClientHello) { h.LegacyCookie = []byte("legacy") }, alert.IllegalParameter},
		{"compression", func(h *wire.ClientHello) { h.Compression = []byte{1, 0} }, alert.IllegalParameter},
		{"PSKs without modes", func(h *wire.ClientHello) { offerPSK(h, "psk") }, alert.MissingExtension},
		{"no key share", func(h *wire.ClientHello) { h.Has = h.Has.Minus(wire.Extensions(wire.ExtKeyShare)) }, alert.MissingExtension},
		{"two shares of a group", func(h *wire.ClientHello) { h.KeyShares = append(bytes.Clone(h.KeyShares), h.KeyShares...) }, alert.IllegalParameter},
		{"the same in DTLS 1.2, which has no shares", func(h *wire.ClientHello) {
			h.KeyShares = append(bytes.Clone(h.KeyShares), h.KeyShares...)
			h.SupportedVersions = wire.AppendUint16s(nil, wire.VersionDTLS12)
		}, 0},
	} {
		cp, sp := datagramParams(false), datagramParams(true)
		_, sent := startDatagrams(t, &cp)
		var h wire.ClientHello
		must(h.Parse(sent.sent[0][4:], wire.Datagram))
		v.hello(&h)
		answer, verdict := AnswerHello(&sp, openJar{}, h.Append(nil, wire.Datagram)[4:])
		switch {
		case v.want == 0 && verdict != Answer:
			t.Errorf("%s: verdict %v, want an answer", v.name, verdict)
		case v.want != 0 && (verdict != Refuse || answer[1] != byte(v.want)):
			t.Errorf("%s: verdict %v, %x, want the alert %v", v.name, verdict, answer, v.want)
		}
	}
}

// TestVerifiedThen13: only a server of DTLS 1.2 sends a HelloVerifyRequest.
func TestVerifiedThen13(t *testing.T) {
	cp := datagramParams(false)
	client, _ := startDatagrams(t, &cp)
	hvr := (&wire.HelloVerifyRequest{Version: wire.VersionDTLS10, Cookie: []byte("cookie")}).Append(nil)
	if err := client.Handle(wire.Message{Type: wire.TypeHelloVerifyRequest, Body: hvr[4:]}); err != nil {
		t.Fatal(err)
	}
	sh := wire.ServerHello{Version: wire.VersionDTLS12, CipherSuite: 0x1301, SupportedVersion: wire.VersionDTLS13,
		Has: wire.Extensions(wire.ExtSupportedVersions, wire.ExtKeyShare), KeyShare: wire.KeyShare{Group: uint16(suite.X25519), Data: make([]byte, 32)}}
	if err := client.Handle(wire.Message{Type: wire.TypeServerHello, Body: sh.Append(nil)[4:]}); err != error(errHVRIn13) {
		t.Errorf("%v, want %v", err, errHVRIn13)
	}
}

// TestVerifyRequestsEnd: a server that is content with no cookie is not answered forever.
func TestVerifyRequestsEnd(t *testing.T) {
	cp := datagramParams(false)
	client, _ := startDatagrams(t, &cp)
	hvr := (&wire.HelloVerifyRequest{Version: wire.VersionDTLS10, Cookie: []byte("cookie")}).Append(nil)
	for i := range maxHVRs + 1 {
		err := client.Handle(wire.Message{Type: wire.TypeHelloVerifyRequest, Body: hvr[4:]})
		if refused := err != nil; refused != (i == maxHVRs) {
			t.Errorf("request %d: %v", i, err)
		}
	}
}
