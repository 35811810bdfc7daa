package handshake

import (
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Append appends the form of an established connection, with all its secrets:
// what a session has of it, and what only a live connection needs. ok is false
// when it has none, see session.Session.Keepable.
func (c *Connection) Append(dst []byte, now time.Time) (out []byte, ok bool) {
	secret := c.mainSecret
	if c.Version == wire.VersionTLS13 {
		secret = c.exporterSecret
	}
	base := c.session(now, secret)
	if !base.Keepable() {
		return dst, false
	}
	var r randoms
	if c.randoms != nil {
		r = *c.randoms
	}
	b := cryptobyte.NewBuilder(dst)
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(base.Append(nil)) })
	for _, v := range [][]byte{c.readSecret, c.writeSecret, c.resumptionSecret, r.clientRandom[:], r.serverRandom[:]} {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(v) })
	}
	b.AddUint16(uint16(c.LocalScheme))
	b.AddUint16(c.SRTP)
	for _, v := range [][]bool{{c.Retried}, {c.Resumed}, {c.owesUpdate, c.wantsUpdate, c.awaitsUpdate}, {c.awaitsCIDs}} {
		b.AddUint8(bits(v...))
	}
	b.AddUint8(uint8(c.EarlyData))
	b.AddUint8(uint8(len(c.spareCIDs)))
	for _, v := range c.spareCIDs {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(v) })
	}
	return b.BytesOrPanic(), true
}

// ParseConnection reads what Append has written from the front of b.
func ParseConnection(b *cryptobyte.String, chains *pki.Cache) (*Connection, error) {
	var base, readSecret, writeSecret, resumption, clientRandom, serverRandom cryptobyte.String
	var scheme, srtp uint16
	var retried, resumed, owes, awaits, early, spares uint8
	ok := b.ReadUint24LengthPrefixed(&base)
	for _, v := range []*cryptobyte.String{&readSecret, &writeSecret, &resumption, &clientRandom, &serverRandom} {
		ok = ok && b.ReadUint8LengthPrefixed(v)
	}
	ok = ok && b.ReadUint16(&scheme) && b.ReadUint16(&srtp) && b.ReadUint8(&retried) && b.ReadUint8(&resumed) &&
		b.ReadUint8(&owes) && b.ReadUint8(&awaits) && b.ReadUint8(&early) && early <= uint8(EarlyDataRejected) && b.ReadUint8(&spares) && spares <= maxCIDs &&
		len(clientRandom) == 32 && len(serverRandom) == 32
	c := &Connection{
		readSecret: clone(readSecret), writeSecret: clone(writeSecret), resumptionSecret: clone(resumption),
		LocalScheme: suite.Scheme(scheme), SRTP: srtp, Retried: retried == 1, Resumed: resumed == 1,
		owesUpdate: owes&1 != 0, wantsUpdate: owes&2 != 0, awaitsUpdate: owes&4 != 0, awaitsCIDs: awaits == 1, EarlyData: EarlyDataState(early),
	}
	for range spares {
		var cid cryptobyte.String
		ok = ok && b.ReadUint8LengthPrefixed(&cid)
		c.spareCIDs = append(c.spareCIDs, clone(cid))
	}
	if !ok {
		return nil, session.ErrFormat
	}
	c.randoms = &randoms{[32]byte(clientRandom), [32]byte(serverRandom)}
	s, err := session.Parse(clone(base))
	if err != nil {
		return nil, err
	}
	if err := c.restore(s, chains); err != nil {
		return nil, err
	}
	return c, nil
}

// restore takes over what a session has of a connection.
func (c *Connection) restore(s *session.Session, chains *pki.Cache) (err error) {
	c.recall(s)
	if c.Suite == nil || c.Suite.Version != s.Version {
		return session.ErrFormat
	}
	size := c.Suite.Hash.Size()
	if c.Version == wire.VersionTLS13 {
		c.exporterSecret = s.Secret
		if len(c.readSecret) != size || len(c.writeSecret) != size || len(s.Secret) != size {
			return session.ErrFormat
		}
		c.randoms = nil
	} else {
		c.mainSecret = s.Secret
	}
	c.Peer, err = RestorePeer(s, chains)
	return err
}

// recall takes over what is neither the peer's nor secret.
func (c *Connection) recall(s *session.Session) {
	c.Transport, c.Version, c.Suite, c.Group = s.Transport, s.Version, suite.ByID(s.Suite), suite.Group(s.Group)
	c.ServerName, c.ALPN, c.PeerScheme = s.ServerName, s.ALPN, suite.Scheme(s.PeerScheme)
	c.EMS, c.rawLocal, c.PSK, c.began = s.EMS, s.RawLocal, s.PSK, s.Began
}

// Recall is the connection that a session of that peer resumes, as far as it is known
// before the handshake.
func Recall(s *session.Session, peer *Peer) *Connection {
	c := &Connection{Peer: peer, Resumed: true}
	c.recall(s)
	return c
}

// bits is the flags as a number, the first one its lowest bit.
func bits(flags ...bool) (n uint8) {
	for i, set := range flags {
		if set {
			n |= 1 << i
		}
	}
	return n
}

// clone is nil for what is not there.
func clone(s cryptobyte.String) []byte {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}
