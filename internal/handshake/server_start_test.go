package handshake

import (
	"testing"

	"github.com/hermetic-tls/hermetic/internal/wire"
)

// TestLacksAES: suites that we do not know, such as those of RFC 8701, do not count.
func TestLacksAES(t *testing.T) {
	for _, c := range []struct {
		name   string
		suites []uint16
		want   bool
	}{
		{"none", nil, false},
		{"only unknown ones", []uint16{0x0a0a, 0x002f}, false},
		{"ChaCha20-Poly1305 after an unknown one", []uint16{0x0a0a, 0x1303, 0x1301}, true},
		{"AES after an unknown one", []uint16{0x0a0a, 0x1301, 0x1303}, false},
		{"a signaling value and CBC before it", []uint16{0x00ff, 0xc009, 0xcca9, 0xc02b}, true},
	} {
		var s serverStart
		for _, id := range c.suites {
			s.hello.CipherSuites = wire.AppendUint16s(s.hello.CipherSuites, id)
		}
		if got := s.lacksAES(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
