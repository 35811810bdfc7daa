package handshake

import (
	"time"

	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Append appends the encoding of an established connection, with all its secrets. ok is
// false if the connection is too large to encode, see session.Session.Keepable.
func (c *Connection) Append(dst []byte, now time.Time) (out []byte, ok bool) {
	f := form{conn: c, session: *c.session(now, nil)}
	c.secrets.save(&f)
	if !f.session.Keepable() {
		return dst, false
	}
	return codec.Append(dst, f.fields), true
}

// ParseConnection reads what Append has written. The connection aliases b.
func ParseConnection(b []byte, chains *pki.Cache) (*Connection, error) {
	f := form{conn: new(Connection)}
	if !codec.Parse(b, f.fields) {
		return nil, session.ErrFormat
	}
	if err := f.conn.restore(&f, chains); err != nil {
		return nil, err
	}
	return f.conn, nil
}

// form is an encoded connection: what a session has too, the rest that both versions have,
// and what only one version has, which is empty for the other one.
type form struct {
	session session.Session
	conn    *Connection
	in12    secrets12
	in13    secrets13

	read, write, resumption []byte // see secrets13
}

func (f *form) fields(c *codec.Coder) {
	c.Nested24(f.session.Fields)
	c.Optional8(&f.read)
	c.Optional8(&f.write)
	c.Optional8(&f.resumption)
	random(c, &f.in12.randoms.client)
	random(c, &f.in12.randoms.server)
	c.Uint16((*uint16)(&f.conn.LocalScheme))
	c.Uint16(&f.conn.SRTP)
	extra := f.conn.hasExtra()
	c.Flags(&f.conn.Retried, &extra)
	c.Flags(&f.conn.Resumed)
	c.Flags(&f.in13.updates.owes, &f.in13.updates.wants, &f.in13.updates.awaits)
	c.Flags(&f.in13.awaitsCIDs)
	c.Uint8((*uint8)(&f.conn.EarlyData))
	c.Require(f.conn.EarlyData <= EarlyDataRejected)
	codec.List8(c, &f.in13.spareCIDs, c.Optional8)
	c.Require(len(f.in13.spareCIDs) <= maxCIDs)
	if extra {
		f.conn.extraFields(c)
	}
}

// hasExtra reports whether a form has fields that most connections do without, and that
// older forms do not have.
func (c *Connection) hasExtra() bool {
	return c.PeerSizeLimit|c.FragmentLength|c.LocalCompressor|c.PeerCompressor != 0
}

func (c *Connection) extraFields(coder *codec.Coder) {
	for _, v := range []*uint16{&c.SizeLimit, &c.PeerSizeLimit, &c.FragmentLength, &c.LocalCompressor, &c.PeerCompressor} {
		coder.Uint16(v)
	}
	for _, size := range []uint16{c.SizeLimit, c.PeerSizeLimit, c.FragmentLength} {
		coder.Require(size == 0 || size >= minSizeLimit)
	}
	coder.Require(c.hasExtra() && (c.SizeLimit == 0) == (c.PeerSizeLimit == 0))
}

// random codes the random of a hello, with its length.
func random(c *codec.Coder, r *[32]byte) {
	v := r[:]
	c.Vec8(&v)
	c.Require(len(v) == len(r))
	if !c.Appending {
		copy(r[:], v)
	}
}

// restore copies what a form has of a connection.
func (c *Connection) restore(f *form, chains *pki.Cache) (err error) {
	s := &f.session
	c.recall(s)
	if c.Suite == nil || c.Suite.Version != s.Version {
		return session.ErrFormat
	}
	c.secrets = new(secrets13)
	if c.Version == wire.VersionTLS12 {
		c.secrets = new(secrets12)
	}
	if !c.secrets.restore(f, c.Suite) {
		return session.ErrFormat
	}
	c.Peer, err = RestorePeer(s, chains)
	return err
}

// recall copies what is neither secret nor about the peer's certificate.
func (c *Connection) recall(s *session.Session) {
	c.Transport, c.Version, c.Suite, c.Group = s.Transport, s.Version, suite.ByID(s.Suite), suite.Group(s.Group)
	c.ServerName, c.ALPN, c.PeerScheme = s.ServerName, s.ALPN, suite.Scheme(s.PeerScheme)
	c.EMS, c.rawLocal, c.PSK, c.began = s.EMS, s.RawLocal, s.PSK, s.Began.UnixMilli()
}

// Recall returns the connection that resumes a session with that peer, as far as it is
// known before the handshake.
func Recall(s *session.Session, peer *Peer) *Connection {
	c := &Connection{Peer: peer, Resumed: true}
	c.recall(s)
	return c
}
