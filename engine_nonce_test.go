package hermetic

import (
	"bytes"
	"crypto/cipher"
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/suite"
)

// watched is an AEAD that says what it seals with.
type watched struct {
	cipher.AEAD
	seals func(nonce []byte)
}

func (w watched) Seal(dst, nonce, plaintext, additional []byte) []byte {
	w.seals(nonce)
	return w.AEAD.Seal(dst, nonce, plaintext, additional)
}

// watch calls back with the key and the nonce of every record that is sealed until
// the test ends.
func watch(t *testing.T, seals func(key, nonce []byte)) {
	t.Helper()
	for _, s := range suite.All() {
		made := s.AEAD
		t.Cleanup(func() { s.AEAD = made })
		s.AEAD = func(key []byte) cipher.AEAD {
			key = bytes.Clone(key)
			return watched{made(key), func(nonce []byte) { seals(key, nonce) }}
		}
	}
}

// TestNonces: nothing that a connection can go through makes a nonce come twice
// under a key: handshakes, early data, losses, key updates, a rest, a move.
func TestNonces(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		for _, id := range []uint16{
			tls.TLS_AES_128_GCM_SHA256, tls.TLS_CHACHA20_POLY1305_SHA256, 0x1304,
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, 0xc0ac,
		} {
			if suite.ByID(id).Version == version {
				testNonces(t, datagram, version, id)
			}
		}
	})
}

func testNonces(t *testing.T, datagram bool, version, id uint16) {
	seen := map[string]bool{}
	watch(t, func(key, nonce []byte) {
		use := fmt.Sprintf("%x %x", key, nonce)
		if seen[use] {
			t.Errorf("suite %#04x: twice under one key", id)
		}
		seen[use] = true
	})
	client, server, now := sessionConfigs(t, version)
	client.CipherSuites, server.CipherSuites = []uint16{id}, []uint16{id}
	client.EarlyData, server.MaxEarlyData = true, 1000
	client.DTLS.ConnectionIDs, server.DTLS.ConnectionIDs, server.DTLS.ConnectionIDLength = true, true, 4
	var client1 *Engine // goes through the sessions, one after the other
	for i := range 3 {
		m := newMeeting(t, datagram, client, server)
		if client1 == nil {
			client1 = m.client
		}
		client1.Reset()
		m.client = client1
		if version == tls.VersionTLS13 && i > 0 {
			if err := m.sendEarly("early words"); err != nil {
				t.Fatal(err)
			}
		}
		if datagram { // what is lost is sealed again
			m.client.Output(nil)
			m.server.Output(nil)
			now.now = now.now.Add(2 * time.Second)
			for _, e := range []*Engine{m.client, m.server} {
				if err := e.Expire(); err != nil {
					t.Fatal(err)
				}
			}
		}
		m.settle(now)
		for range 3 {
			if version == tls.VersionTLS13 {
				if err := m.client.KeyUpdate(UpdateRequested); err != nil {
					t.Fatal(err)
				}
				m.settle(now)
			}
			m.settle(now) // under the new keys
			for _, e := range []*Engine{m.client, m.server} {
				if err := e.Compact(); err != nil {
					t.Fatal(err)
				}
			}
			m.settle(now)
			m.server = move(t, m.server, 0)
			m.settle(now)
		}
		now.now = now.now.Add(time.Minute)
	}
	if len(seen) < 40 {
		t.Errorf("suite %#04x: only %d records were watched", id, len(seen))
	}
}
