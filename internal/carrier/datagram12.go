package carrier

import (
	"time"

	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// undecided is the protocol until the hellos have agreed on a version: there
// are no keys, and what needs some is kept for later.
type undecided struct{ *Datagram }

func (p *undecided) openClassic(_ time.Time, c record.Classic) (opened, error) {
	if c.Number.Epoch != 1 {
		return opened{}, record.NoKeys
	}
	return opened{}, errEarly
}
func (p *undecided) openUnified(_ time.Time, u record.Unified) (opened, error) {
	if u.EpochBits != uint8(handshake.Handshake) {
		return opened{}, record.NoKeys
	}
	return opened{}, errEarly
}
func (p *undecided) newest() uint64                                { return 0 }
func (p *undecided) installRead(handshake.Level, suite.Keys) error { return nil }
func (p *undecided) late(time.Time, *wire.FragmentHeader, []byte) (taken bool, _ error) {
	return false, nil
}
func (p *undecided) data(uint64) (Kind, error) { return None, record.Misplaced }
func (p *undecided) sent(now time.Time)        { p.timer.Start(now) }
func (p *undecided) forget(time.Time)          {}
func (p *undecided) completed()                {}
func (p *undecided) sealsData() bool           { return false }
func (p *undecided) acknowledged() bool        { return false }

// installWrite: a client's early data comes before the version.
func (p *undecided) installWrite(level handshake.Level, k suite.Keys) error {
	if level == handshake.Initial {
		p.write = &p.clearOut
	} else {
		p.write = record.NewWriter13(uint64(level), k, nil)
	}
	return nil
}

// took: what is being acknowledged in DTLS 1.3 may well have come before it
// was known to be that.
func (p *undecided) took(now time.Time, n record.Number, got receipt) {
	if !got.refused && p.trusts(n) {
		p.received.Add(n)
	}
	if got.again {
		p.sendAgain(now, p.timer.Value()/2)
	}
}

// handleACK: RFC 9147bis, Section 7: "Until that point, ACK records received in epoch 0
// MUST be ignored."
func (p *undecided) handleACK(time.Time, record.Number, []byte) error { return record.Unprotected }

func (p *undecided) handleCCS(record.Number, []byte) error { return record.Unprotected }

// dtls12 is DTLS 1.2: RFC 6347. Epoch 0 is in clear, epoch 1 is protected. A
// flight is acknowledged by the one that answers it, and the last one by
// nothing at all: whoever sent it keeps it for a while, in case that the peer
// sends its own again.
type dtls12 struct {
	*Datagram
	read *record.Reader12
	// keep is until when the last flight is kept, once it was sent.
	keep time.Time
}

func (p *dtls12) openClassic(now time.Time, c record.Classic) (opened, error) {
	switch {
	case c.Number.Epoch != 1 || p.read == nil && p.complete:
		return opened{}, record.NoKeys
	case p.read == nil:
		return opened{}, errEarly
	}
	typ, content, err := p.read.Open(&c)
	p.forget(now)
	return opened{typ: typ, number: c.Number, content: content, cid: len(c.CID) > 0, from: &p.read.Received}, err
}

// forget drops the last flight when it has been kept long enough.
func (p *dtls12) forget(now time.Time) {
	if !p.keep.IsZero() && now.After(p.keep) {
		p.arrived()
	}
}

// arrived: the peer has our last flight.
func (p *dtls12) arrived() {
	p.keep = time.Time{}
	if p.exchange != nil {
		p.flight.Clear()
		p.end()
	}
}

func (p *dtls12) openUnified(time.Time, record.Unified) (opened, error) {
	return opened{}, record.NoKeys
}

func (p *dtls12) newest() uint64 {
	if p.read == nil {
		return 0
	}
	return 1
}

func (p *dtls12) installRead(_ handshake.Level, k suite.Keys) error {
	var cid []byte
	if len(p.localCIDs) > 0 {
		cid = p.localCIDs[0]
	}
	p.read = record.NewReader12(1, k, cid)
	return nil
}

func (p *dtls12) installWrite(_ handshake.Level, k suite.Keys) error {
	p.write = record.NewWriter12(1, k, p.peerCID)
	return nil
}

// took: a flight that comes again means that the answer to it was lost (RFC
// 6347, Section 4.2.4), or that the network duplicates.
func (p *dtls12) took(now time.Time, _ record.Number, got receipt) {
	if got.again {
		p.sendAgain(now, p.timer.Value()/2)
	}
}

// late: the peer's Finished again means that ours was lost. The messages that
// ask for a renegotiation begin to count at 0 again: RFC 6347, Section 4.2.2.
func (p *dtls12) late(now time.Time, h *wire.FragmentHeader, fragment []byte) (taken bool, err error) {
	switch {
	case h.Type == wire.TypeFinished && p.in.Last(h.Seq):
		if h.Offset == 0 {
			p.sendAgain(now, 0)
		}
		return true, nil
	case h.Type == wire.TypeHelloRequest, h.Type == wire.TypeClientHello:
		if len(fragment) < h.Length {
			return true, nil
		}
		if err := p.count.message(); err != nil {
			return true, err
		}
		return true, p.handler.Handle(wire.Message{Type: h.Type, Seq: h.Seq, Body: fragment})
	}
	return false, nil
}

func (p *dtls12) handleACK(_ time.Time, n record.Number, _ []byte) error {
	return p.fault(n, errACKVersion)
}

func (p *dtls12) handleCCS(n record.Number, body []byte) error {
	switch {
	case n.Epoch > 0:
		return errUnexpectedCCS
	case len(body) != 1 || body[0] != 1:
		return p.fault(n, errBadCCS)
	}
	return nil
}

// data: application data may overtake the Finished, and is not worth keeping.
// Whoever sends some after it has our last flight.
func (p *dtls12) data(uint64) (Kind, error) {
	if !p.complete {
		return None, record.Misplaced
	}
	if !p.keep.IsZero() {
		p.arrived()
	}
	return Data, nil
}

// sent: nothing answers the last flight, which is kept from the time that it has left.
func (p *dtls12) sent(now time.Time) {
	p.timer.Start(now)
	if p.complete {
		p.timer.Stop()
		p.keep = now.Add(twiceMSL)
	}
}

func (p *dtls12) completed() {
	p.timer.Stop()
	if p.answered {
		p.flight.Clear()
	}
}

func (p *dtls12) sealsData() bool    { return p.complete }
func (p *dtls12) acknowledged() bool { return p.complete }
