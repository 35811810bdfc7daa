package handshake

import (
	"time"

	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Append appends the form of an established connection, with all its secrets:
// what a session has of it, and what only a live connection needs. ok is false
// when it has none, see session.Session.Keepable.
func (c *Connection) Append(dst []byte, now time.Time) (out []byte, ok bool) {
	f := form{conn: c, randoms: c.randoms}
	secret := c.mainSecret
	if c.Version == wire.VersionTLS13 {
		secret, f.randoms = c.exporterSecret, new(randoms)
	}
	f.session = *c.session(now, secret)
	if !f.session.Keepable() {
		return dst, false
	}
	return codec.Append(dst, f.fields), true
}

// ParseConnection reads what Append has written. The connection aliases b.
func ParseConnection(b []byte, chains *pki.Cache) (*Connection, error) {
	f := form{conn: new(Connection), randoms: new(randoms)}
	if !codec.Parse(b, f.fields) {
		return nil, session.ErrFormat
	}
	f.conn.randoms = f.randoms
	if err := f.conn.restore(&f.session, chains); err != nil {
		return nil, err
	}
	return f.conn, nil
}

// form is a connection as it is written: what a session has of it, and the rest.
type form struct {
	session session.Session
	conn    *Connection
	randoms *randoms
}

func (f *form) fields(c *codec.Coder) {
	c.Nested24(f.session.Fields)
	c.Optional8(&f.conn.readSecret)
	c.Optional8(&f.conn.writeSecret)
	c.Optional8(&f.conn.resumptionSecret)
	random(c, &f.randoms.clientRandom)
	random(c, &f.randoms.serverRandom)
	c.Uint16((*uint16)(&f.conn.LocalScheme))
	c.Uint16(&f.conn.SRTP)
	c.Flags(&f.conn.Retried)
	c.Flags(&f.conn.Resumed)
	c.Flags(&f.conn.owesUpdate, &f.conn.wantsUpdate, &f.conn.awaitsUpdate)
	c.Flags(&f.conn.awaitsCIDs)
	c.Uint8((*uint8)(&f.conn.EarlyData))
	c.Require(f.conn.EarlyData <= EarlyDataRejected)
	codec.List8(c, &f.conn.spareCIDs, c.Optional8)
	c.Require(len(f.conn.spareCIDs) <= maxCIDs)
}

// random is a random with its length.
func random(c *codec.Coder, r *[32]byte) {
	v := r[:]
	c.Vec8(&v)
	c.Require(len(v) == len(r))
	if !c.Appending {
		copy(r[:], v)
	}
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
