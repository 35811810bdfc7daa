package handshake

import (
	"slices"

	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// A client with AskPSK asks for its PSK up to three times:
//
//	                  before a session is offered that began with a PSK: is it still valid?
//	                  before a ClientHello that offers TLS 1.3, in which there are no hints
//	ClientHello            -------->
//	                       <-------- ServerHello of TLS 1.2, with a PSK suite
//	                       <-------- ServerKeyExchange, with the hint
//	                       <-------- ServerHelloDone
//	                  now that the hint is known
//	ClientKeyExchange      -------->

// judgeSession asks whether the PSK that the session began with is still valid, unless the
// configuration has it.
func (c *clientStart) judgeSession() (step, error) {
	if c.session == nil || c.session.PSK == nil || began(c.session.PSK, c.params.PSKs[c.conn.Transport]) {
		return c.findPSKs()
	}
	q := &ClientPSK{Version: c.session.Version, Began: c.session.PSK}
	return c.askPSK(q, func() (step, error) {
		if !began(c.session.PSK, q.PSKs) {
			c.session = nil
		}
		return c.findPSKs()
	})
}

// began reports whether a session that began with p may have done so with one of the list.
func began(p *session.PSK, list []PSK) bool {
	return slices.ContainsFunc(list, func(known PSK) bool { return known.External.Equal(p) })
}

// findPSKs sets what to offer in TLS 1.3, and sends the ClientHello.
func (c *clientStart) findPSKs() (step, error) {
	c.external = c.params.PSKs[c.conn.Transport]
	if !c.offers(wire.VersionTLS13) {
		return c.begin()
	}
	q := &ClientPSK{Version: wire.VersionTLS13}
	return c.askPSK(q, func() (step, error) {
		if len(q.PSKs) > 0 {
			c.external = q.PSKs
		}
		return c.begin()
	})
}

// findPSK continues with the PSK of a TLS 1.2 client.
func (c *client12) findPSK() (step, error) {
	q := &ClientPSK{Version: wire.VersionTLS12, Hint: c.hint}
	return c.askPSK(q, func() (step, error) {
		list := q.PSKs
		if len(list) == 0 {
			list = c.params.PSKs[c.conn.Transport]
		}
		i := slices.IndexFunc(list, func(p PSK) bool { return p.In12 })
		if i < 0 {
			return step{}, errPSKSuite
		}
		c.psk = &list[i]
		return c.respond(nil, 0)
	})
}

// askPSK asks q, if the configuration says so, and continues with next.
func (m *Machine) askPSK(q *ClientPSK, next func() (step, error)) (step, error) {
	if !m.params.AskPSK {
		return next()
	}
	return ask(q, next), nil
}
