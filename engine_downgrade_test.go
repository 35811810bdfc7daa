package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/wire"
)

// rewrite changes a ClientHello that stands alone in a record.
func rewrite(t *testing.T, datagram bool, in []byte, change func(*wire.ClientHello)) []byte {
	t.Helper()
	transport, header := wire.Stream, 5+4
	if datagram {
		transport, header = wire.Datagram, 13+wire.FragmentHeaderLen
	}
	var h wire.ClientHello
	if err := h.Parse(in[header:], transport); err != nil {
		t.Fatal(err)
	}
	change(&h)
	msg := h.Append(nil, transport)
	if datagram {
		f := wire.FragmentHeader{Type: wire.TypeClientHello, Length: len(msg) - 4, FragmentLength: len(msg) - 4}
		msg = append(f.Append(nil), msg[4:]...)
	}
	out := bytes.Clone(in[:header-4])
	if datagram {
		out = bytes.Clone(in[:13])
	}
	out[len(out)-2], out[len(out)-1] = byte(len(msg)>>8), byte(len(msg))
	return append(out, msg...)
}

// TestDowngrade: somebody takes TLS 1.3 out of the ClientHello. The server's random
// tells the client, before it trusts anything that could be broken in TLS 1.2.
func TestDowngrade(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		for _, newest := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			client, server := configs(t)
			server.MaxVersion = newest
			m := newMeeting(t, datagram, client, server)
			hello := rewrite(t, datagram, m.client.Output(nil), func(h *wire.ClientHello) {
				h.Has = h.Has.Minus(wire.Extensions(wire.ExtSupportedVersions, wire.ExtKeyShare))
			})
			if _, err := m.server.Open(hello); err != nil {
				t.Fatal(err)
			}
			_, err := m.client.Open(m.server.Output(nil))
			var fault *AlertError
			if found := errors.As(err, &fault) && fault.Alert == AlertIllegalParameter; found != (newest == tls.VersionTLS13) {
				t.Errorf("the server knows %s: %v", tls.VersionName(newest), err)
			}
		}
	})
}

// TestFallback: a client that says it fell back to TLS 1.2 (RFC 7507) is refused by
// a server of 1.3.
func TestFallback(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		for _, newest := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			client, server := configs(t)
			client.MaxVersion, server.MaxVersion = tls.VersionTLS12, newest
			m := newMeeting(t, datagram, client, server)
			hello := rewrite(t, datagram, m.client.Output(nil), func(h *wire.ClientHello) {
				h.CipherSuites = wire.AppendUint16s(bytes.Clone(h.CipherSuites), 0x5600)
			})
			_, err := m.server.Open(hello)
			var fault *AlertError
			if found := errors.As(err, &fault) && fault.Alert == AlertInappropriateFallback; found != (newest == tls.VersionTLS13) {
				t.Errorf("the server knows %s: %v", tls.VersionName(newest), err)
			}
		}
	})
}

// TestRequired12: what a Config requires of TLS 1.2 is missing, since somebody took
// it out of the ClientHello, or the client does not have it.
func TestRequired12(t *testing.T) {
	without := func(e wire.Extension) func(*wire.ClientHello) {
		return func(h *wire.ClientHello) { h.Has = h.Has.Minus(wire.Extensions(e)) }
	}
	for name, test := range map[string]struct {
		require func(client, server *Config)
		change  func(*wire.ClientHello)
		server  bool // the server refuses
	}{
		"the client requires EMS": {func(c, s *Config) { c.RequireExtendedMasterSecret = true }, without(wire.ExtExtendedMainSecret), false},
		"the server requires EMS": {func(c, s *Config) { s.RequireExtendedMasterSecret = true }, without(wire.ExtExtendedMainSecret), true},
		"secure renegotiation":    {func(c, s *Config) { c.RequireSecureRenegotiation = true }, without(wire.ExtRenegotiationInfo), false},
	} {
		overBoth(t, func(t *testing.T, datagram bool) {
			client, server := configs(t)
			client.MaxVersion = tls.VersionTLS12
			test.require(client, server)
			newMeeting(t, datagram, client, server).finish()
			m := newMeeting(t, datagram, client, server)
			_, err := m.server.Open(rewrite(t, datagram, m.client.Output(nil), test.change))
			if !test.server && err == nil {
				_, err = m.client.Open(m.server.Output(nil))
			}
			var fault *AlertError
			if !errors.As(err, &fault) || fault.Received || fault.Alert != AlertHandshakeFailure {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// TestLegacyCookie: RFC 9147bis, Section 5.3: a ClientHello of DTLS 1.3 has none.
func TestLegacyCookie(t *testing.T) {
	client, server := configs(t)
	m := newMeeting(t, true, client, server)
	_, err := m.server.Open(rewrite(t, true, m.client.Output(nil), func(h *wire.ClientHello) { h.LegacyCookie = []byte{1} }))
	var fault *AlertError
	if !errors.As(err, &fault) || fault.Alert != AlertIllegalParameter {
		t.Error(err)
	}
}
