package handshake

import (
	"errors"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var errRenegotiation = alert.New(alert.NoRenegotiation, "the peer asks for a renegotiation")

// What [Connection.Export] refuses.
var (
	ErrNoEMS         = errors.New("TLS 1.2 without extended master secret has no safe exporter (RFC 7627)")
	ErrReservedLabel = errors.New("the label is reserved")
)

// reservedLabels are the PRF's own (RFC 5705, Section 4).
var reservedLabels = map[string]bool{"client finished": true, "server finished": true, "master secret": true, "key expansion": true}

// secrets12 are the secrets of TLS 1.2: what all its keys are derived from.
type secrets12 struct {
	main    [suite.MainSecretLen]byte
	randoms randoms
	unique  [12]byte // the verify_data of the first Finished
	once    bool     // which is known: not after ParseConnection
}

func (s *secrets12) keys(c *Connection, server bool) (read, write suite.Keys) {
	client, own := c.Suite.Keys12(s.main[:], s.randoms.client[:], s.randoms.server[:])
	if server {
		return client, own
	}
	return own, client
}

func (s *secrets12) export(c *Connection, label string, context []byte, n int) ([]byte, error) {
	switch {
	case !c.EMS:
		return nil, ErrNoEMS
	case reservedLabels[label]:
		return nil, ErrReservedLabel
	}
	return suite.Export12(c.Suite.Hash, s.main[:], s.randoms.client[:], s.randoms.server[:], label, context, n), nil
}

// Unique returns the channel binding "tls-unique" (RFC 5929, Section 3): the verify_data of
// the handshake's first Finished. It is nil in TLS 1.3 (RFC 8446, Appendix C.5), and where a
// session was resumed without extended master secret: two connections can share it then (RFC
// 7627, Section 1).
func (c *Connection) Unique() []byte {
	s, ok := c.secrets.(*secrets12)
	if !ok || !s.once || c.Resumed && !c.EMS {
		return nil
	}
	return s.unique[:]
}

// handle refuses renegotiation, and ends the connection: RFC 5246, Section 7.2.2, permits
// it to continue, which is of no use to a peer that asked.
func (s *secrets12) handle(_ *Connection, _ Output, p *Params, msg wire.Message) error {
	if p.Server && msg.Type == wire.TypeClientHello || !p.Server && msg.Type == wire.TypeHelloRequest && len(msg.Body) == 0 {
		return errRenegotiation
	}
	return unexpected(msg.Type, 0)
}

// ended keeps all: the exporter of TLS 1.2 needs the main secret.
func (s *secrets12) ended() secrets { return s }

func (s *secrets12) save(f *form) { f.session.Secret, f.in12 = s.main[:], *s }

func (s *secrets12) restore(f *form, _ *suite.Suite) bool {
	*s = f.in12
	return copy(s.main[:], f.session.Secret) == len(s.main) && len(f.session.Secret) == len(s.main)
}

// keys12 are the keys that a handshake of TLS 1.2 agrees on.
type keys12 struct {
	main           []byte // the main secret
	client, server suite.Keys
}

// deriveKeys12 derives the main secret and the keys. The transcript ends with the
// ClientKeyExchange.
func (m *Machine) deriveKeys12(premain []byte) keys12 {
	if c := m.conn; !c.EMS {
		return m.useMainSecret(suite.MainSecret12(c.Suite.Hash, premain, m.randoms.client[:], m.randoms.server[:]))
	}
	return m.useMainSecret(suite.ExtendedMainSecret12(m.conn.Suite.Hash, premain, m.transcript.sum()))
}

// useMainSecret makes the keys of a main secret, new or resumed.
func (m *Machine) useMainSecret(main []byte) keys12 {
	m.keyLog("CLIENT_RANDOM", main)
	s := &secrets12{randoms: m.randoms}
	copy(s.main[:], main)
	m.conn.secrets = s
	client, server := m.conn.Suite.Keys12(s.main[:], m.randoms.client[:], m.randoms.server[:])
	return keys12{s.main[:], client, server}
}
