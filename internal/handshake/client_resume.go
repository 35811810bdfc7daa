package handshake

import (
	"slices"

	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// offerable reports whether a session fits what this client offers.
func (c *clientStart) offerable(s *session.Session) bool {
	old := suite.ByID(s.Suite)
	return c.offers(s.Version) && s.Transport == c.conn.Transport && old != nil &&
		old.Version == s.Version && slices.Contains(c.params.Suites, old) && !s.Expired(c.params.Now()) &&
		(s.EMS || s.Version == wire.VersionTLS13 || !c.params.RequireEMS) && c.params.allows(s) &&
		(s.FragmentLength == 0 || s.FragmentLength == c.params.FragmentLength) // see resume12
}

// allows reports whether a session began with what is accepted now: how the peer has
// signed, and in TLS 1.2 the group, since in TLS 1.3 there is another key exchange.
func (p *Params) allows(s *session.Session) bool {
	return (s.PeerScheme == 0 || slices.Contains(p.Schemes, suite.Scheme(s.PeerScheme))) &&
		(s.Version == wire.VersionTLS13 || s.Group == 0 || slices.Contains(p.Groups, suite.Group(s.Group)))
}

// fillSession adds the session and the PSKs, and what says that tickets are
// welcome.
func (c *clientStart) fillSession() error {
	h, p := &c.hello, c.params
	if p.AskSession && c.offers(wire.VersionTLS12) {
		h.Has.Add(wire.ExtSessionTicket)
		if c.session != nil && c.session.Version == wire.VersionTLS12 {
			h.SessionTicket, h.SessionID = c.session.Ticket, c.session.ID
			// RFC 5077, Section 3.4: by the session id that comes back the client
			// knows that the ticket was accepted.
			if len(h.SessionID) == 0 {
				if err := c.inventSessionID(); err != nil {
					return err
				}
			}
		}
	}
	if !c.offers(wire.VersionTLS13) {
		return nil
	}
	if c.session != nil && c.session.Version == wire.VersionTLS13 {
		c.addPSK(SessionPSK(c.session))
	}
	for i := range c.external {
		c.addPSK(&c.external[i])
	}
	c.offerPSKs()
	if p.AskSession || len(c.psks) > 0 {
		h.PSKModes = []byte{pskDHE}
		h.Has.Add(wire.ExtPSKKeyExchangeModes)
	}
	if s := c.session; s != nil && p.EarlyData && s.Version == wire.VersionTLS13 && s.MaxEarlyData > 0 &&
		(s.ALPN == "" || slices.Contains(p.ALPN, s.ALPN)) {
		c.early = c.psks[0].early
		h.Has.Add(wire.ExtEarlyData)
	}
	return nil
}

func (c *clientStart) addPSK(p *PSK) {
	c.psks = append(c.psks, offeredPSK{PSK: p, early: suite.NewEarlySecret(p.Hash, c.conn.prefix(), p.Key)})
}

func (c *clientStart) inventSessionID() error {
	c.hello.SessionID = c.sessionID[:]
	return c.random(c.hello.SessionID)
}
