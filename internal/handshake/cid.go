package handshake

import (
	"bytes"
	"io"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	errNoCIDs    = alert.New(alert.UnexpectedMessage, "a message about connection IDs, which were not negotiated")
	errCIDUsage  = alert.New(alert.IllegalParameter, "a NewConnectionId has an unknown usage")
	errCIDsEqual = alert.New(alert.InternalError, "MakeConnectionID makes one connection ID again and again")
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
	cid, err := c.params.newCID(c.params.CIDLength)
	if err != nil {
		return err
	}
	c.hello.ConnectionID = cid
	c.hello.Has.Add(wire.ExtConnectionID)
	if c.params.RRC && c.extensions.Has(wire.ExtRRC) {
		c.hello.Has.Add(wire.ExtRRC)
	}
	return nil
}

// newCID makes a connection ID of ours.
func (p *Params) newCID(size int) ([]byte, error) {
	cid := make([]byte, size)
	if _, err := io.ReadFull(p.Rand, cid); err != nil {
		return nil, errCIDRandom
	}
	if p.MakeCID != nil && len(cid) > 0 {
		p.MakeCID(cid)
	}
	return cid, nil
}

// maxCIDTries is how often an ID is made until it differs from all others of the connection.
const maxCIDTries = 16

// anotherCID makes a connection ID that is none of those that we have, which have one size.
func (p *Params) anotherCID(local [][]byte) ([]byte, error) {
	for range maxCIDTries {
		cid, err := p.newCID(len(local[0]))
		if err != nil || !slices.ContainsFunc(local, func(c []byte) bool { return bytes.Equal(c, cid) }) {
			return cid, err
		}
	}
	return nil, errCIDsEqual
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
	cid, err := s.params.newCID(s.params.CIDLength)
	if err != nil {
		return err
	}
	sh.ConnectionID = cid
	sh.Has.Add(wire.ExtConnectionID)
	out.SetCIDs(sh.ConnectionID, slices.Clone(s.hello.ConnectionID))
	if s.params.RRC && (s.hello.Has & s.extensions).Has(wire.ExtRRC) {
		sh.Has.Add(wire.ExtRRC)
		out.CheckPaths()
	}
	return nil
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
	cids, err := p.newCIDs(local, min(int(m.Count), maxCIDs-len(local)))
	if err != nil && err != errCIDsEqual {
		return err
	}
	offerCIDs(out, cids, cidSpare)
	return nil
}

// OfferCIDs sends the peer n new connection IDs for its records to us, to be
// used at once or as spares.
func (c *Connection) OfferCIDs(out CIDOutput, p *Params, n int, immediate bool) error {
	local, _ := out.CIDs()
	cids, err := p.newCIDs(local, n)
	if err != nil {
		return err
	}
	usage := uint8(cidSpare)
	if immediate {
		usage = cidImmediate
	}
	offerCIDs(out, cids, usage)
	return nil
}

// newCIDs makes n connection IDs, or with an error those before it.
func (p *Params) newCIDs(local [][]byte, n int) (cids [][]byte, err error) {
	all := slices.Clone(local)
	for range n {
		cid, err := p.anotherCID(all)
		if err != nil {
			return all[len(local):], err
		}
		all = append(all, cid)
	}
	return all[len(local):], nil
}

func offerCIDs(out CIDOutput, cids [][]byte, usage uint8) {
	m := wire.NewConnectionID{Usage: usage}
	for _, cid := range cids {
		out.AddLocalCID(cid)
		m.CIDs = wire.AppendCID(m.CIDs, cid)
	}
	out.Send(m.Append(nil))
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
