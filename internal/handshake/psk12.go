package handshake

import (
	"encoding/binary"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var errPSKSuite = alert.New(alert.HandshakeFailure, "the server chose a cipher suite with a PSK, and there is none for TLS 1.2 and its hint")

// premainPSK is the premain secret of RFC 4279, Section 2, and RFC 5489, Section
// 2: the other secret is that of ECDHE, or as many zero bytes as the PSK is long.
func premainPSK(other, psk []byte) []byte {
	if other == nil {
		other = make([]byte, len(psk))
	}
	b := make([]byte, 0, 4+len(other)+len(psk))
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(other))), other...)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(psk))), psk...)
}

// expectPSKKey: a client with a suite of RFC 4279 or 5489. The server may omit
// a key exchange message without content.
//
//	                        <-------- ServerHello
//	                        <-------- ServerKeyExchange*
//	                        <-------- ServerHelloDone
//	ClientKeyExchange
//	ChangeCipherSpec, [Finished] ---->
func (c *client12) expectPSKKey() step {
	if c.conn.Suite.KeyExchange.ECDHE {
		return c.expectKey()
	}
	return expect(func(msg wire.Message) (step, error) {
		if msg.Type == wire.TypeServerKeyExchange {
			return c.onServerKeyExchange(msg)
		}
		return c.onServerHelloDone(msg)
	}, wire.TypeServerKeyExchange, wire.TypeServerHelloDone)
}

// respondPSK is a server with such a suite.
func (s *server12) respondPSK() (step, error) {
	s.transcript.start(s.conn.Suite.Hash, s.conn.Transport)
	if err := s.sendServerHello(); err != nil {
		return step{}, err
	}
	var ske wire.ServerKeyExchange
	if s.conn.Suite.KeyExchange.ECDHE {
		var err error
		if ske, err = s.newKey(); err != nil {
			return step{}, err
		}
	}
	ske.Hint = s.params.PSKHint
	// RFC 4279, Section 2: "If no hint is provided, the ServerKeyExchange message is omitted."
	if s.conn.Suite.KeyExchange.ECDHE || len(ske.Hint) > 0 {
		s.send(ske.Append(s.scratch[:0], wire.KeyExchangeParts(s.conn.Suite.KeyExchange)))
	}
	s.send(wire.AppendMessage(s.scratch[:0], wire.TypeServerHelloDone, nil))
	return expect(s.onClientKeyExchange, wire.TypeClientKeyExchange), nil
}

// findPSK looks up a client's identity. RFC 4279, Section 2, permits a
// random key for an unknown one, so that an attacker cannot find out which are known: the
// Finished then shows that the keys differ.
func (s *server12) findPSK(cke *wire.ClientKeyExchange, shared []byte) (step, error) {
	q := &FindPSK{Identity: slices.Clone(cke.Identity), External: true, Last: true}
	return ask(q, func() (step, error) {
		key := make([]byte, 32) // drawn for known identities too, so that the work is the same
		if err := s.random(key); err != nil {
			return step{}, err
		}
		if q.PSK != nil && q.PSK.In12 {
			key = q.PSK.Key
			s.conn.PSK = q.PSK.External
		}
		s.keys = s.deriveKeys12(premainPSK(shared, key))
		return s.expectFinished()
	}), nil
}
