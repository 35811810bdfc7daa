package hermetic

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

const (
	defaultTicketLife = 24 * time.Hour
	maxTicketLife     = 7 * 24 * time.Hour
	maxTickets        = 16
	replayIDs         = 1 << 16
)

// sessions sets the parameters of tickets and early data.
func (c *plan) sessions(p *handshake.Params) error {
	switch {
	case c.cfg.Tickets < 0 || c.cfg.Tickets > maxTickets:
		return configError("Tickets", fmt.Sprintf("%d is not from 0 to %d", c.cfg.Tickets, maxTickets))
	case c.cfg.TicketLifetime < 0 || c.cfg.TicketLifetime > maxTicketLife:
		return configError("TicketLifetime", fmt.Sprintf("%v is not from 0 to %v", c.cfg.TicketLifetime, maxTicketLife))
	case c.cfg.asks(AsyncSession) && c.cfg.SessionCache == nil:
		return configError("Async", "AsyncSession needs a SessionCache, to store new sessions")
	}
	p.TicketLife = cmp.Or(c.cfg.TicketLifetime, defaultTicketLife)
	if !c.cfg.NoTickets {
		p.Tickets = cmp.Or(c.cfg.Tickets, 1)
	}
	p.MaxEarlyData = c.cfg.MaxEarlyData
	own := c.cfg.TicketKeys == nil && !c.cfg.asks(AsyncTicketKeys) && c.cfg.tickets == nil
	if c.keys = c.cfg.TicketKeys; own {
		c.keys = c.cfg.shared().ticketKeys(p.TicketLife, c.cfg)
	}
	if c.guard = c.cfg.ReplayGuard; c.guard == nil {
		c.guard = c.cfg.shared().replayGuard(own, c.cfg)
	}
	return nil
}

// psks sets the external keys in the handshake's form. Those of DTLS differ only if
// they are imported.
func (c *plan) psks(p *handshake.Params) error {
	if c.hasPSKs() && (c.cfg.ClientAuth == tls.RequireAnyClientCert || c.cfg.ClientAuth == tls.RequireAndVerifyClientCert) {
		return configError("ClientAuth", "a client with a PSK shows no certificate, so with PSKs a certificate cannot be required: "+
			"use VerifyClientCertIfGiven, and a VerifyConnection that refuses a client with neither")
	}
	var seen [len(p.PSKs)]map[string]bool
	for i := range c.cfg.PSKs {
		if err := c.cfg.PSKs[i].check(); err != nil {
			return configFault(fmt.Sprintf("PSKs[%d]", i), err)
		}
		for t := range p.PSKs {
			for _, psk := range c.cfg.PSKs[i].forms(wire.Transport(t)) {
				if seen[t][string(psk.Identity)] {
					return configError(fmt.Sprintf("PSKs[%d]", i), "another PSK has the same identity")
				}
				if seen[t] == nil {
					seen[t] = make(map[string]bool)
				}
				seen[t][string(psk.Identity)] = true
				p.PSKs[t] = append(p.PSKs[t], psk)
			}
		}
	}
	return nil
}

// byDefault returns the suites of a Config that names none: no CCM, and with PSKs the
// PSK suites of TLS 1.2 first.
func (c *plan) byDefault() (list []*suite.Suite) {
	for _, s := range suite.All() {
		if s.Auth == suite.NoSignature && !s.OnRequest && c.has12PSKs() {
			list = append(list, s)
		}
	}
	for _, s := range suite.All() {
		if s.Auth != suite.NoSignature && !s.OnRequest {
			list = append(list, s)
		}
	}
	return list
}

// hasClientPSKs reports whether a client has external PSKs, or somebody to ask for one.
func (c *plan) hasClientPSKs() bool {
	return len(c.cfg.PSKs) > 0 || c.cfg.GetClientPSK != nil || c.cfg.asks(AsyncClientPSK)
}

// hasPSKs reports whether a server has external PSKs, or somebody to ask for one.
func (c *plan) hasPSKs() bool {
	return len(c.cfg.PSKs) > 0 || c.cfg.GetPSK != nil || c.cfg.asks(AsyncPSK)
}

// has12PSKs reports whether any may be usable in TLS 1.2.
func (c *plan) has12PSKs() bool {
	asked := c.cfg.GetPSK != nil || c.cfg.GetClientPSK != nil || c.cfg.asks(AsyncPSK|AsyncClientPSK)
	return asked || slices.ContainsFunc(c.cfg.PSKs, func(p PSK) bool { return !p.Import })
}

// hasCertificate reports whether a server has a certificate, or a callback or caller to
// ask for one.
func (c *plan) hasCertificate() bool {
	return len(c.cfg.Certificates) > 0 || c.cfg.GetCertificate != nil || c.cfg.asks(AsyncChoose)
}

// onlyPSKs reports whether a client without a name cannot verify a certificate, and so
// accepts only PSKs.
func (c *plan) onlyPSKs() bool {
	return c.hasClientPSKs() && c.cfg.ServerName == "" && !c.cfg.InsecureSkipVerify && !c.nameless()
}

// nameless reports whether a chain without a name is enough: never a chain to the
// system's roots, which anybody can get.
func (c *plan) nameless() bool { return c.cfg.ServerNameOptional && c.cfg.RootCAs != nil }
