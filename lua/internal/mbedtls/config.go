package mbedtls

import (
	"crypto/x509"
	"encoding/binary"
	"errors"

	"github.com/hermetic-tls/hermetic"
)

// Config is a configuration that newconfig has made.
type Config struct {
	mode      hermetic.Mode
	config    *hermetic.Config
	readAhead bool
	functions map[string]bool // the options that are functions of Lua
	sessions  *sessions       // a client's; nil: it keeps none
	protocols map[string]*hermetic.Config
	roots     *x509.CertPool     // for VerifyPeer
	usages    []x509.ExtKeyUsage // what the peer's certificate must be for
}

// Mode returns the mode.
func (c *Config) Mode() hermetic.Mode { return c.mode }

// maxProtocols bounds how many configurations are kept ready for what alpn has chosen.
const maxProtocols = 32

// speaking returns the configuration for a connection whose protocol was chosen by alpn; "" is
// none.
func (c *Config) speaking(protocol string) *hermetic.Config {
	if ready := c.protocols[protocol]; ready != nil {
		return ready
	}
	made := c.config.Clone()
	if made.NextProtos = nil; protocol != "" {
		made.NextProtos = []string{protocol}
	}
	if len(c.protocols) < maxProtocols {
		if c.protocols == nil {
			c.protocols = map[string]*hermetic.Config{}
		}
		c.protocols[protocol] = made
	}
	return made
}

// keeping says whose sessions come and go from now on.
func (c *Config) keeping(s *Session) {
	if c.sessions != nil {
		c.sessions.current = s
	}
}

// sessions is the SessionCache of a client's configuration. All contexts of a configuration
// belong to one Lua state, so that one of them is driven at a time: the current one.
type sessions struct {
	store   hermetic.SessionCache // what is kept for all contexts; nil: nothing
	current *Session
}

// Get returns the session that the program has set, or one from the store.
func (s *sessions) Get(key string) *hermetic.Session {
	if offer := s.current.keeper.offer; offer != nil && offer.key == key {
		if s.current.keeper.offer = nil; !offer.session.SingleUse() {
			s.current.keeper.got = offer // the server may give no other one
		}
		return offer.session
	}
	if s.store == nil {
		return nil
	}
	return s.store.Get(key)
}

// Put keeps a session for ctx:getsession(), and in the store.
func (s *sessions) Put(key string, session *hermetic.Session) {
	s.current.keeper.got = &keyedSession{key, session}
	if s.store != nil {
		s.store.Put(key, session)
	}
}

// keyedSession is a session and the key that names its protocol and server.
type keyedSession struct {
	key     string
	session *hermetic.Session
}

// sessionKeeper is the sessions of one context.
type sessionKeeper struct {
	offer *keyedSession // for the next handshake
	got   *keyedSession // the newest that the server has given
}

var errSession = errors.New("this is no session, or it is damaged")

// SavedSession returns the newest session that the server has given, as a string for SetSession, or
// nil. It is a secret.
func (s *Session) SavedSession() (text []byte, err error) {
	defer recovered(&err)
	got := s.keeper.got
	if got == nil {
		return nil, nil
	}
	data, err := got.session.MarshalBinary()
	if err != nil {
		return nil, err
	}
	text = binary.BigEndian.AppendUint16(nil, uint16(len(got.key)))
	return append(append(text, got.key...), data...), nil
}

// SetSession sets the session that the next handshake offers, if it is of the same protocol and
// server.
func (s *Session) SetSession(text []byte) (err error) {
	defer recovered(&err)
	if s.config.sessions == nil {
		return errors.New("the configuration has no option 'sessions'")
	}
	if len(text) < 2 || len(text) < 2+int(binary.BigEndian.Uint16(text)) {
		return errSession
	}
	key, data := text[2:][:binary.BigEndian.Uint16(text)], text[2+binary.BigEndian.Uint16(text):]
	session := new(hermetic.Session)
	if session.UnmarshalBinary(data) != nil {
		return errSession
	}
	s.keeper.offer = &keyedSession{string(key), session}
	return nil
}
