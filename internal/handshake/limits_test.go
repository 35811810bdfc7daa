package handshake

import (
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

func TestFragmentCodes(t *testing.T) {
	want := map[uint8]uint16{1: 512, 2: 1024, 3: 2048, 4: 4096}
	for code := range 256 {
		length := fragmentLength(uint8(code))
		if length != want[uint8(code)] {
			t.Errorf("code %d is %d bytes, want %d", code, length, want[uint8(code)])
		}
		if length > 0 && fragmentCode(length) != uint8(code) {
			t.Errorf("%d bytes have the code %d, want %d", length, fragmentCode(length), code)
		}
	}
}

// TestLimitsThatAreNoViolations: the server's answer to what it need not like. A client
// notices that its hello was changed, later.
func TestLimitsThatAreNoViolations(t *testing.T) {
	id := identity(t)
	for _, test := range []struct {
		name    string
		setting setting
		change  func(*wire.ClientHello)
		want    [2]int // what the server sends and receives
	}{
		{"none", hello13, func(h *wire.ClientHello) {
			h.Has = h.Has.Minus(wire.Extensions(wire.ExtRecordSizeLimit, wire.ExtMaxFragmentLength))
		}, [2]int{}},
		{"the least", hello13, func(h *wire.ClientHello) { h.RecordSizeLimit = 64 }, [2]int{63, 1 << 14}},
		{"the least in TLS 1.2", hello12, func(h *wire.ClientHello) { h.RecordSizeLimit = 64 }, [2]int{64, 1 << 14}},
		{"more than the maximum", hello13, func(h *wire.ClientHello) { h.RecordSizeLimit = 0xffff }, [2]int{1 << 14, 1 << 14}},
		{"more than the maximum in TLS 1.2", hello12, func(h *wire.ClientHello) { h.RecordSizeLimit = 0xffff }, [2]int{1 << 14, 1 << 14}},
		{"the maximum of TLS 1.3 in TLS 1.2", hello12, func(h *wire.ClientHello) { h.RecordSizeLimit = 1<<14 + 1 }, [2]int{1 << 14, 1 << 14}},
		{"a fragment length", hello13, withFragments(4), [2]int{4096, 4096}},
		{"a fragment length in TLS 1.2", hello12, withFragments(1), [2]int{512, 512}},
		{"an impossible fragment length beside a size limit", hello13, func(h *wire.ClientHello) { h.MaxFragmentLength = 9 }, [2]int{1 << 14, 1 << 14}},
	} {
		client, server := test.setting.ends(t, id, new(pki.Cache))
		play(client, server, func(n int, msg []byte) [][]byte {
			if n == 0 {
				msg = inClientHello(test.change)(msg, nil)
			}
			return [][]byte{msg}
		})
		if server.out.limits != test.want {
			t.Errorf("%s: the server's limits are %v, want %v", test.name, server.out.limits, test.want)
		}
	}
}

// TestServerLimitsThatAreNoViolations: RFC 8449, Section 4: a client MAY refuse a size above
// the maximum, and this one does not.
func TestServerLimitsThatAreNoViolations(t *testing.T) {
	id := identity(t)
	for _, test := range []struct {
		name string
		edit func(*wire.EncryptedExtensions)
		want [2]int // what the client sends and receives
	}{
		{"none", func(m *wire.EncryptedExtensions) {
			m.Has = m.Has.Minus(wire.Extensions(wire.ExtRecordSizeLimit))
		}, [2]int{}},
		{"the least", func(m *wire.EncryptedExtensions) { m.RecordSizeLimit = 64 }, [2]int{63, 1 << 14}},
		{"more than the maximum", func(m *wire.EncryptedExtensions) { m.RecordSizeLimit = 0xffff }, [2]int{1 << 14, 1 << 14}},
		{"a fragment length", onlyFragments(1), [2]int{512, 512}},
	} {
		client, server := hello13.ends(t, id, new(pki.Cache))
		play(client, server, func(n int, msg []byte) [][]byte {
			if wire.Type(msg[0]) == wire.TypeEncryptedExtensions {
				msg = inExtensions(test.edit)(msg, nil)
			}
			return [][]byte{msg}
		})
		if client.out.limits != test.want {
			t.Errorf("%s: the client's limits are %v, want %v", test.name, client.out.limits, test.want)
		}
	}
}
