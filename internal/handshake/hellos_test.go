package handshake

import (
	"bytes"
	"slices"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// hellos are those that have travelled in a handshake.
type hellos struct {
	client []wire.ClientHello
	server []wire.ServerHello
}

func (h *hellos) note(msg []byte, t wire.Transport) {
	switch wire.Type(msg[0]) {
	case wire.TypeClientHello:
		var m wire.ClientHello
		must(m.Parse(bytes.Clone(msg[4:]), t))
		h.client = append(h.client, m)
	case wire.TypeServerHello:
		var m wire.ServerHello
		must(m.Parse(bytes.Clone(msg[4:])))
		h.server = append(h.server, m)
	}
}

// TestOurHellos: RFC 9846, Sections 4.2.2 to 4.2.4: what we send has the values that
// are fixed, and is fresh.
func TestOurHellos(t *testing.T) {
	id := identity(t)
	var randoms, shares []string
	for range 2 {
		for _, s := range settings {
			var h hellos
			client, server := s.ends(t, id, new(pki.Cache))
			play(client, server, func(_ int, msg []byte) [][]byte {
				h.note(msg, wire.Stream)
				return [][]byte{msg}
			})
			retries := 0
			if s.retry {
				retries = 1
			}
			if len(h.client) != 1+retries || len(h.server) != 1+retries {
				t.Fatalf("%s: %d ClientHellos, %d ServerHellos", s.name, len(h.client), len(h.server))
			}
			first := h.client[0]
			for _, m := range h.client {
				if m.Version != wire.VersionTLS12 || !bytes.Equal(m.Compression, []byte{0}) || m.Has.Has(wire.ExtCookie) || m.Random != first.Random || m.Random == wire.RetryRandom {
					t.Errorf("%s: ClientHello %+v", s.name, m)
				}
			}
			if s.version == wire.VersionTLS13 && len(first.SessionID) != 32 {
				t.Errorf("%s: a session id of %d bytes, in the mode for middleboxes", s.name, len(first.SessionID))
			}
			if second := h.client[retries]; s.retry && (len(slices.Collect(second.KeyShares.All())) != 1 || !bytes.Equal(fixed(first, wire.Stream), fixed(second, wire.Stream))) {
				t.Errorf("%s: the second ClientHello %+v", s.name, second)
			}
			for i, m := range h.server {
				if m.Version != wire.VersionTLS12 || m.Compression != 0 || m.IsRetry() != (i < retries) || m.Random == first.Random {
					t.Errorf("%s: ServerHello %+v", s.name, m)
				}
				if s.version == wire.VersionTLS13 && !bytes.Equal(m.SessionID, first.SessionID) {
					t.Errorf("%s: the session id is not echoed", s.name)
				}
			}
			last := h.server[retries]
			randoms = append(randoms, string(first.Random[:]), string(last.Random[:]))
			for _, m := range h.client {
				for share := range m.KeyShares.All() {
					shares = append(shares, string(share.Data))
				}
			}
			if s.version == wire.VersionTLS13 {
				shares = append(shares, string(last.KeyShare.Data))
			}
		}
	}
	for what, list := range map[string][]string{"random": randoms, "key share": shares} {
		slices.Sort(list)
		if n := len(list); len(slices.Compact(list)) != n {
			t.Errorf("a %s comes twice", what)
		}
	}
}

// TestOurDatagramHellos: RFC 9147bis, Section 5.3: legacy_version is DTLS 1.2, and
// there is neither a session id nor a legacy cookie.
func TestOurDatagramHellos(t *testing.T) {
	cp, sp := datagramParams(false), datagramParams(true)
	client, sent := startDatagrams(t, &cp)
	hrr, _ := AnswerHello(&sp, openJar{}, sent.sent[0][4:])
	var h hellos
	h.note(hrr, wire.Datagram)
	if err := client.Handle(wire.Message{Type: wire.TypeServerHello, Body: hrr[4:]}); err != nil {
		t.Fatal(err)
	}
	for _, msg := range sent.sent {
		h.note(msg, wire.Datagram)
	}
	if len(h.client) != 2 || len(h.server) != 1 || len(h.client[0].Cookie) > 0 || !bytes.Equal(h.client[1].Cookie, h.server[0].Cookie) {
		t.Fatalf("%+v", h)
	}
	for _, m := range h.client {
		if m.Version != wire.VersionDTLS12 || len(m.SessionID) > 0 || len(m.LegacyCookie) > 0 || !bytes.Equal(m.Compression, []byte{0}) {
			t.Errorf("ClientHello %+v", m)
		}
	}
	if m := h.server[0]; m.Version != wire.VersionDTLS12 || len(m.SessionID) > 0 || m.Compression != 0 {
		t.Errorf("HelloRetryRequest %+v", m)
	}
}

// TestOfferedInVain: what a client offers and we do not know has no answer, nor has
// status_request_v2: RFC 9846, Section 4.5.1.1: "TLS 1.3 servers MUST NOT act upon its
// presence".
func TestOfferedInVain(t *testing.T) {
	id := identity(t)
	for _, s := range settings {
		for _, e := range []wire.Extension{17, 0x1234, wire.ExtConnectionID, wire.ExtUseSRTP, wire.ExtCookie, wire.ExtPostHandshakeAuth} {
			body := map[wire.Extension]string{wire.ExtCookie: "\x00\x01c"}[e]
			client, server := s.ends(t, id, new(pki.Cache))
			answered := false
			_, _, err := play(client, server, func(i int, msg []byte) [][]byte {
				switch wire.Type(msg[0]) {
				case wire.TypeClientHello:
					var h wire.ClientHello
					must(h.Parse(msg[4:], wire.Stream))
					at := 2 + 32 + 1 + len(h.SessionID) + 2 + len(h.CipherSuites) + 1 + len(h.Compression)
					msg = inBlock(at, string([]byte{byte(e >> 8), byte(e), 0, byte(len(body))})+body)(msg, nil)
				case wire.TypeServerHello:
					var h wire.ServerHello
					must(h.Parse(msg[4:]))
					answered = answered || h.Unknown || h.Has.Has(e)
				case wire.TypeEncryptedExtensions:
					var m wire.EncryptedExtensions
					must(m.Parse(msg[4:]))
					answered = answered || m.Unknown || m.Has.Has(e)
				}
				return [][]byte{msg}
			})
			if a, _ := err.(*alert.Error); answered || err != nil && (a == nil || a.Description != alert.DecryptError) { // of the change
				t.Errorf("%s: %v: answered %v, %v", s.name, e, answered, err)
			}
		}
	}
}

// TestManyUnknown: RFC 9846, Section 9.3: "A server receiving a ClientHello MUST
// correctly ignore all unrecognized cipher suites, extensions, and other parameters",
// however many they are.
func TestManyUnknown(t *testing.T) {
	unknown := func(n int, before wire.Uint16s) wire.Uint16s {
		var list wire.Uint16s
		for i := range n {
			list = wire.AppendUint16s(list, uint16(0x4000+i))
		}
		return append(list, before...)
	}
	id := identity(t)
	for name, edit := range map[string]edit{
		"cipher suites":     inClientHello(func(h *wire.ClientHello) { h.CipherSuites = unknown(5000, h.CipherSuites) }),
		"groups":            inClientHello(func(h *wire.ClientHello) { h.Groups = unknown(20000, h.Groups) }),
		"signature schemes": inClientHello(func(h *wire.ClientHello) { h.SignatureSchemes = unknown(20000, h.SignatureSchemes) }),
		"versions": inClientHello(func(h *wire.ClientHello) {
			if h.Has.Has(wire.ExtSupportedVersions) {
				h.SupportedVersions = unknown(120, h.SupportedVersions)
			}
		}),
		"protocols": inClientHello(func(h *wire.ClientHello) {
			h.ALPN = append(wire.AppendALPN(nil, slices.Repeat([]string{"unknown"}, 5000)...), h.ALPN...)
		}),
		"key shares": inClientHello(func(h *wire.ClientHello) {
			var shares wire.KeyShares
			for i := range 5000 {
				shares = wire.AppendKeyShare(shares, uint16(0x4000+i), []byte{1})
			}
			h.KeyShares = append(shares, h.KeyShares...)
		}),
		"types of certificate": inClientHello(func(h *wire.ClientHello) {
			for i := range 200 {
				h.ServerCertTypes = append(h.ServerCertTypes, byte(50+i))
			}
			h.ServerCertTypes = append(h.ServerCertTypes, 0)
			h.Has.Add(wire.ExtServerCertificateType)
		}),
		"PSKs, and modes of theirs": inClientHello(func(h *wire.ClientHello) {
			for range 1000 {
				offerPSK(h, "unknown")
			}
			h.PSKModes = []byte{7, 8, 9}
			h.Has.Add(wire.ExtPSKKeyExchangeModes)
		}),
	} {
		for _, s := range []setting{hello12, hello13} {
			client, server := s.ends(t, id, new(pki.Cache))
			answered := false
			_, _, err := play(client, server, func(i int, msg []byte) [][]byte {
				answered = answered || wire.Type(msg[0]) == wire.TypeServerHello
				if i == 0 {
					msg = edit(msg, nil)
				}
				return [][]byte{msg}
			})
			if a, _ := err.(*alert.Error); !answered || err != nil && (a == nil || a.Description != alert.DecryptError) {
				t.Errorf("%s: unknown %s: answered %v, %v", s.name, name, answered, err)
			}
		}
	}
}
