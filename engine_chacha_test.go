package hermetic

import (
	"crypto/tls"
	"testing"
)

// TestServerPrefersChaCha20: a client without AES instructions puts ChaCha20-Poly1305 first,
// and gets it if the server permits it. Nothing else of the server's order changes.
func TestServerPrefersChaCha20(t *testing.T) {
	const (
		aes128, aes256, chacha, ccm = tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256, 0x1304

		ecdsaAES    = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
		ecdsaChaCha = tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
		rsaAES      = tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
		rsaChaCha   = tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256

		ecdhePSKAES, ecdhePSKChaCha, pskAES, pskChaCha = 0xd001, 0xccac, 0x00a8, 0xccab
	)
	for _, c := range []struct {
		name           string
		client, server []uint16 // nil: all
		psk            bool
		want           uint16
	}{
		{"the client puts it first", []uint16{chacha, aes128, aes256}, nil, false, chacha},
		{"the client puts it second", []uint16{aes128, chacha, aes256}, nil, false, aes128},
		{"AES-256 before it", []uint16{aes256, chacha, aes128}, nil, false, aes128},
		{"CCM before it", []uint16{ccm, chacha, aes128}, nil, false, aes128},
		{"the server does not permit it", []uint16{chacha, aes256, aes128}, []uint16{aes128, aes256}, false, aes128},
		{"the server lists it last", []uint16{chacha, aes256, aes128}, []uint16{aes256, aes128, chacha}, false, chacha},
		{"the server lists it first", []uint16{aes128, chacha}, []uint16{chacha, aes128}, false, chacha},
		{"TLS 1.2", []uint16{ecdsaChaCha, ecdsaAES}, nil, false, ecdsaChaCha},
		{"TLS 1.2, second", []uint16{ecdsaAES, ecdsaChaCha}, nil, false, ecdsaAES},
		{"TLS 1.2, with another kind of certificate", []uint16{rsaChaCha, rsaAES, ecdsaAES}, nil, false, ecdsaAES},
		{"TLS 1.2, first by another kind of certificate", []uint16{rsaChaCha, ecdsaAES, ecdsaChaCha}, nil, false, ecdsaChaCha},
		{"TLS 1.2, the server does not permit it", []uint16{ecdsaChaCha, ecdsaAES}, []uint16{ecdsaAES}, false, ecdsaAES},
		{"first in TLS 1.3, negotiated 1.2", []uint16{chacha, aes128, ecdsaAES, ecdsaChaCha}, []uint16{ecdsaAES, ecdsaChaCha}, false, ecdsaChaCha},
		{"first in TLS 1.2, negotiated 1.3", []uint16{ecdsaChaCha, ecdsaAES, aes128, chacha}, nil, false, chacha},
		{"not at the price of forward secrecy", []uint16{pskChaCha, ecdhePSKAES, ecdsaAES}, []uint16{ecdhePSKAES, pskChaCha, ecdsaAES}, true, ecdhePSKAES},
		{"not at the price of the certificate", []uint16{ecdhePSKChaCha, ecdsaAES}, []uint16{ecdsaAES, ecdhePSKChaCha}, true, ecdsaAES},
		{"among PSKs", []uint16{ecdhePSKChaCha, pskAES, ecdhePSKAES, ecdsaAES}, []uint16{ecdhePSKAES, pskAES, ecdhePSKChaCha, ecdsaAES}, true, ecdhePSKChaCha},
	} {
		for _, datagram := range []bool{false, true} {
			client, server := configs(t)
			client.CipherSuites, server.CipherSuites = c.client, c.server
			if c.psk {
				client.PSKs = []PSK{{Identity: []byte("device"), Key: []byte("0123456789abcdef")}}
				server.PSKs = client.PSKs
			}
			m := newMeeting(t, datagram, client, server)
			if err := m.run(); err != nil {
				t.Errorf("%s, datagrams %v: %v", c.name, datagram, err)
				continue
			}
			if got := m.client.State().CipherSuite; got != c.want || m.server.State().CipherSuite != c.want {
				t.Errorf("%s, datagrams %v: %s, want %s", c.name, datagram, CipherSuiteName(got), CipherSuiteName(c.want))
			}
		}
	}
}
