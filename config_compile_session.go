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
func (c *compiled) sessions(p *handshake.Params) error {
	switch {
	case c.Tickets < 0 || c.Tickets > maxTickets:
		return configError("Tickets", fmt.Sprintf("%d is not from 0 to %d", c.Tickets, maxTickets))
	case c.TicketLifetime < 0 || c.TicketLifetime > maxTicketLife:
		return configError("TicketLifetime", fmt.Sprintf("%v is not from 0 to %v", c.TicketLifetime, maxTicketLife))
	case c.asks(AsyncSession) && c.SessionCache == nil:
		return configError("Async", "AsyncSession needs a SessionCache, to store new sessions")
	}
	p.TicketLife = cmp.Or(c.TicketLifetime, defaultTicketLife)
	if !c.NoTickets {
		p.Tickets = cmp.Or(c.Tickets, 1)
	}
	p.MaxEarlyData = c.MaxEarlyData
	own := c.TicketKeys == nil && !c.asks(AsyncTicketKeys)
	if c.keys = c.TicketKeys; own {
		c.keys = c.shared().ticketKeys(p.TicketLife, c.Config)
	}
	if c.guard = c.ReplayGuard; c.guard == nil {
		c.guard = c.shared().replayGuard(own, c.Config)
	}
	return nil
}

// psks sets the external keys in the handshake's form. Those of DTLS differ only if
// they are imported.
func (c *compiled) psks(p *handshake.Params) error {
	if c.hasPSKs() && (c.ClientAuth == tls.RequireAnyClientCert || c.ClientAuth == tls.RequireAndVerifyClientCert) {
		return configError("ClientAuth", "a client with a PSK shows no certificate, so with PSKs a certificate cannot be required: "+
			"use VerifyClientCertIfGiven, and a VerifyConnection that refuses a client with neither")
	}
	var seen [len(p.PSKs)]map[string]bool
	for i := range c.PSKs {
		if err := c.PSKs[i].check(); err != nil {
			return configFault(fmt.Sprintf("PSKs[%d]", i), err)
		}
		for t := range p.PSKs {
			for _, psk := range c.PSKs[i].forms(wire.Transport(t)) {
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
func (c *compiled) byDefault() (list []*suite.Suite) {
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

// hasPSKs reports whether there are external PSKs.
func (c *compiled) hasPSKs() bool {
	return len(c.PSKs) > 0 || c.GetPSK != nil || c.asks(AsyncPSK)
}

// has12PSKs reports whether any may be usable in TLS 1.2.
func (c *compiled) has12PSKs() bool {
	asked := c.GetPSK != nil || c.asks(AsyncPSK)
	return asked || slices.ContainsFunc(c.PSKs, func(p PSK) bool { return !p.Import })
}

// hasCertificate reports whether a server has a certificate, or a callback or caller to
// ask for one.
func (c *compiled) hasCertificate() bool {
	return len(c.Certificates) > 0 || c.GetCertificate != nil || c.asks(AsyncChoose)
}

// onlyPSKs reports whether a client without a name cannot verify a certificate, and so
// accepts only PSKs.
func (c *compiled) onlyPSKs() bool {
	return len(c.PSKs) > 0 && c.ServerName == "" && !c.InsecureSkipVerify && !c.nameless()
}

// nameless reports whether a chain without a name is enough: never a chain to the
// system's roots, which anybody can get.
func (c *compiled) nameless() bool { return c.ServerNameOptional && c.RootCAs != nil }
