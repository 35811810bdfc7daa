package handshake

import (
	"io"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	errNoCIDs    = alert.New(alert.UnexpectedMessage, "a message about connection IDs, which were not negotiated")
	errCIDUsage  = alert.New(alert.IllegalParameter, "a NewConnectionId has an unknown usage")
	errCIDRandom = alert.New(alert.InternalError, "the random source failed")
)

const (
	// maxCIDs is how many connection IDs of one side are in use or spare.
	maxCIDs = 8
	// The usages of a NewConnectionId: RFC 9147bis, Section 9.
	cidImmediate, cidSpare = 0, 1
)

// offerCID adds connection_id to a ClientHello: RFC 9146, Section 3. RFC 9853, Section 3:
// "A client offering the `rrc` extension MUST also offer the `connection_id` extension".
func (c *clientStart) offerCID() error {
	if !c.params.CIDs || !c.extensions.Has(wire.ExtConnectionID) {
		return nil
	}
	c.hello.ConnectionID = make([]byte, c.params.CIDLength)
	c.hello.Has.Add(wire.ExtConnectionID)
	if c.params.RRC && c.extensions.Has(wire.ExtRRC) {
		c.hello.Has.Add(wire.ExtRRC)
	}
	return c.random(c.hello.ConnectionID)
}

// acceptCID takes the server's answer to it. An rrc without a connection_id means nothing:
// there is no new path without connection IDs.
func (c *clientStart) acceptCID(sh *wire.ServerHello) {
	if out, ok := c.out.(CIDOutput); ok && sh.Has.Has(wire.ExtConnectionID) && c.hello.Has.Has(wire.ExtConnectionID) {
		out.SetCIDs(c.hello.ConnectionID, slices.Clone(sh.ConnectionID))
		if sh.Has.Has(wire.ExtRRC) {
			out.CheckPaths()
		}
	}
}

// chooseCID answers connection_id in a ServerHello.
func (s *serverStart) chooseCID(sh *wire.ServerHello) error {
	out, ok := s.out.(CIDOutput)
	if !ok || !s.params.CIDs || !(s.hello.Has & s.extensions).Has(wire.ExtConnectionID) {
		return nil
	}
	sh.ConnectionID = make([]byte, s.params.CIDLength)
	sh.Has.Add(wire.ExtConnectionID)
	out.SetCIDs(sh.ConnectionID, slices.Clone(s.hello.ConnectionID))
	if s.params.RRC && (s.hello.Has & s.extensions).Has(wire.ExtRRC) {
		sh.Has.Add(wire.ExtRRC)
		out.CheckPaths()
	}
	return s.random(sh.ConnectionID)
}

// onNewConnectionID takes connection IDs for our records: RFC 9147bis, Section 9.
func (s *secrets13) onNewConnectionID(o Output, msg wire.Message) error {
	out, ok := o.(CIDOutput)
	if !ok {
		return errNoCIDs
	}
	if _, peer := out.CIDs(); len(peer) == 0 {
		return errNoCIDs
	}
	var m wire.NewConnectionID
	if err := m.Parse(msg.Body); err != nil {
		return err
	}
	if m.Usage != cidImmediate && m.Usage != cidSpare {
		return errCIDUsage
	}
	s.awaitsCIDs = false
	for cid := range m.All() {
		if m.Usage == cidImmediate {
			// "one of the new CIDs MUST be used immediately for all future records."
			out.SetPeerCID(slices.Clone(cid))
			m.Usage = cidSpare
		} else if len(s.spareCIDs) < maxCIDs {
			s.spareCIDs = append(s.spareCIDs, slices.Clone(cid))
		}
	}
	return nil
}

// onRequestConnectionID answers a request for more: "Endpoints MAY handle requests
// which they consider excessive by responding with a NewConnectionId message
// containing fewer than num_cids CIDs, including no CIDs at all."
func (c *Connection) onRequestConnectionID(o Output, p *Params, msg wire.Message) error {
	out, ok := o.(CIDOutput)
	if !ok {
		return errNoCIDs
	}
	local, _ := out.CIDs()
	if len(local) == 0 {
		return errNoCIDs
	}
	var m wire.RequestConnectionID
	if err := m.Parse(msg.Body); err != nil {
		return err
	}
	return c.OfferCIDs(out, p, min(int(m.Count), maxCIDs-len(local)), false)
}

// OfferCIDs sends the peer n new connection IDs for its records to us, to be
// used at once or as spares.
func (c *Connection) OfferCIDs(out CIDOutput, p *Params, n int, immediate bool) error {
	m := wire.NewConnectionID{Usage: cidSpare}
	if immediate {
		m.Usage = cidImmediate
	}
	local, _ := out.CIDs()
	for range n {
		cid := make([]byte, len(local[0])) // all have one size
		if _, err := io.ReadFull(p.Rand, cid); err != nil {
			return errCIDRandom
		}
		out.AddLocalCID(cid)
		m.CIDs = wire.AppendCID(m.CIDs, cid)
	}
	out.Send(m.Append(nil))
	return nil
}

// ChangePeerCID uses a spare connection ID from now on, and reports whether there
// was one.
func (c *Connection) ChangePeerCID(out CIDOutput) bool {
	s, ok := c.secrets.(*secrets13)
	if !ok || len(s.spareCIDs) == 0 {
		return false
	}
	out.SetPeerCID(s.spareCIDs[0])
	s.spareCIDs = s.spareCIDs[1:]
	return true
}

// RequestCIDs asks the peer for n spare connection IDs, unless it has not answered
// the last request yet: "Endpoints MUST NOT send a RequestConnectionId message when
// an existing request is still unfulfilled".
func (c *Connection) RequestCIDs(out Output, n int) (asked bool) {
	s, ok := c.secrets.(*secrets13)
	if !ok || s.awaitsCIDs {
		return false
	}
	s.awaitsCIDs = true
	m := wire.RequestConnectionID{Count: uint8(n)}
	out.Send(m.Append(nil))
	return true
}
