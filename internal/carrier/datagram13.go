package carrier

import (
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/flight"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// maxEpoch: RFC 9147bis, Section 8, allows to end here.
const maxEpoch = 1<<16 - 1

// dtls13 is DTLS 1.3: RFC 9147bis. A level is an epoch, and each KeyUpdate
// begins another. Whatever has no answer is acknowledged by an ACK.
type dtls13 struct {
	*Datagram
	reads  []reader  // the oldest first; see use
	expire time.Time // when those before the one in use are dropped
}

// reader is one generation of reading keys.
type reader struct {
	*record.Reader13
	used       bool // something has come under them
	threatened bool // by forgeries: the peer has been asked for new ones
}

func (p *dtls13) openClassic(time.Time, record.Classic) (opened, error) {
	return opened{}, record.NoKeys
}

// openUnified chooses the keys by the two bits: "implementations SHOULD use the
// most recent past epoch which has matching bits" (RFC 9147bis, Section
// 4.2.2).
func (p *dtls13) openUnified(now time.Time, u record.Unified) (opened, error) {
	p.forget(now)
	for i := len(p.reads) - 1; i >= 0; i-- {
		if uint8(p.reads[i].Epoch()&3) != u.EpochBits {
			continue
		}
		from := &p.reads[i].Received
		number, typ, content, err := p.reads[i].Open(&u)
		switch {
		case err == nil && !p.reads[i].used:
			p.use(now, i)
		case err == record.Forged && p.reads[i].Threatened():
			p.renew(i)
		case err == record.ErrForgeries && i < len(p.reads)-1:
			// "Once a key update has been initiated, the previous keys can be
			// dropped when the limit is reached rather than closing the connection."
			p.reads = slices.Delete(p.reads, i, i+1)
			err = record.Forged
		}
		return opened{typ: typ, number: number, content: content, cid: len(u.CID) > 0, from: from}, err
	}
	if !p.complete && u.EpochBits == uint8(p.next(handshake.Handshake, p.newest())&3) {
		return opened{}, errEarly
	}
	return opened{}, record.NoKeys
}

// renew asks, once, for a KeyUpdate of the peer in place of keys that have met many
// forgeries.
func (p *dtls13) renew(i int) {
	if !p.complete || p.reads[i].threatened || i < len(p.reads)-1 || p.KeyUpdatePending() {
		return
	}
	p.reads[i].threatened = true
	p.handler.KeysExhausted(true)
}

// use: something has come under new keys, so that those before the last ones
// have had their time, and the last ones will have it soon. Since a KeyUpdate
// comes under the newest keys, there are never more than three generations:
// the next, the one in use, and the one before for what was overtaken. The two
// bits tell them apart.
func (p *dtls13) use(now time.Time, i int) {
	p.reads[i].used = true
	p.reads = slices.Delete(p.reads, 0, max(0, i-1))
	p.expire = now.Add(twiceMSL)
}

// forget drops the keys before those in use after a while.
func (p *dtls13) forget(now time.Time) {
	if p.expire.IsZero() || now.Before(p.expire) {
		return
	}
	p.expire = time.Time{}
	for len(p.reads) > 1 && p.reads[1].used {
		p.reads = slices.Delete(p.reads, 0, 1)
	}
}

func (p *dtls13) newest() uint64 {
	if len(p.reads) == 0 {
		return 0
	}
	return p.reads[len(p.reads)-1].Epoch()
}

// next is the epoch of new keys: RFC 9147bis, Section 6.1.
func (p *dtls13) next(level handshake.Level, epoch uint64) uint64 {
	return max(uint64(level), epoch+1)
}

func (p *dtls13) installRead(level handshake.Level, k suite.Keys) error {
	epoch := p.next(level, p.newest())
	if epoch > maxEpoch {
		return errKeyUpdates
	}
	if level == handshake.Application {
		k.StayAwake()
	}
	p.reads = append(p.reads, reader{Reader13: record.NewReader13(epoch, k)})
	return nil
}

func (p *dtls13) installWrite(level handshake.Level, k suite.Keys) error {
	if level == handshake.Initial { // early data was rejected before there was an answer
		p.write = &p.clearOut
		return nil
	}
	epoch := p.next(level, p.write.Next().Epoch)
	if epoch > maxEpoch {
		return errEpochs
	}
	k.StayAwake()
	p.write = record.NewWriter13(epoch, k, p.peerCID)
	return nil
}

// took: RFC 9147bis, Section 7. A record is acknowledged after a while, if
// nothing has answered it before, unless something in it was not kept: then it
// must come again. "During the handshake, ACKs only cover the current outstanding
// flight": a message that was answered comes whole from a server that has kept nothing
// of its HelloRetryRequest, and may give its number to another record.
func (p *dtls13) took(now time.Time, n record.Number, got receipt) {
	if got.fresh && !p.complete && p.trusts(n) {
		p.answeredBy(now, n)
	}
	// The peer's flight again, except a client's last one, which has an ACK.
	if got.again && n.Epoch <= uint64(handshake.Handshake) && !(p.complete && p.opt.Server) && p.sendAgain(now, p.timer.Value()/2) {
		p.nothingToACK()
		return
	}
	switch {
	case got.refused, got.whole && !got.fresh && !p.complete:
		return
	case p.trusts(n):
		p.received.Add(n)
	case !got.fresh:
		return
	}
	p.waitToACK(now)
}

// answeredBy: "the receipt of any record responding to a given flight MUST be
// taken as an implicit acknowledgement for the entire flight". A client's hello is sent on
// until its answer is whole, and a server, which only waits, has its answer at hand.
func (p *dtls13) answeredBy(now time.Time, n record.Number) {
	if n.Epoch == 0 && !p.opt.Server {
		return
	}
	if n.Epoch > 0 {
		p.flight.Clear()
	}
	p.timer.Stop()
	if p.patience.IsZero() {
		p.waitForPeer(now)
	}
}

func (p *dtls13) late(time.Time, *wire.FragmentHeader, []byte) (taken bool, _ error) {
	return false, nil
}

// handleACK: RFC 9147bis, Section 7.2. Anybody may have sent one without protection: it
// spares the peer what it names for now, but what nothing answers is sent again.
func (p *dtls13) handleACK(now time.Time, n record.Number, body []byte) error {
	ack, ok := flight.ParseACK(body)
	if !ok {
		return p.fault(n, errBadACK)
	}
	for i := range ack.Len() {
		acked := ack.At(i)
		// "If any element of record_numbers in the ACK references an epoch that
		// is higher than the epoch in which the ACK was received, the
		// implementation MUST terminate the connection": during the handshake,
		// for after it each side counts its own key updates.
		if n.Epoch < uint64(handshake.Application) && acked.Epoch > n.Epoch {
			return p.fault(n, errACKEpoch)
		}
		p.flight.Acknowledge(acked, !p.trusts(n))
	}
	switch {
	case p.flight.Empty():
	case p.flight.Acknowledged():
		if p.trusts(n) {
			return p.flightAcknowledged(now)
		}
	case p.mayRepeat(now, p.timer.Value()/4):
		// A peer that acknowledges a part waits for the rest. It has waited a
		// while before it did, so that an ACK that comes at once means nothing.
		p.flight.Restart()
	}
	return nil
}

// flightAcknowledged: the peer has everything.
func (p *dtls13) flightAcknowledged(now time.Time) error {
	p.flight.Clear()
	p.timer.Stop()
	if !p.complete {
		p.waitForPeer(now)
		return nil
	}
	if !p.opt.Server && len(p.reads) > 0 && p.reads[0].Epoch() == uint64(handshake.Handshake) {
		// The server has our Finished, so nothing of the handshake comes again.
		p.reads = slices.Delete(p.reads, 0, 1)
	}
	if p.update != nil {
		keys := *p.update
		p.update = nil
		if err := p.installWrite(handshake.Application, keys); err != nil {
			return err
		}
		p.exhausted = false
	}
	p.sendQueued()
	return nil
}

// handleCCS: RFC 9147bis, Section 4.1, rejects it as it does garbage.
func (p *dtls13) handleCCS(n record.Number, _ []byte) error {
	if n.Epoch > 0 {
		return errContentType
	}
	return record.Unprotected
}

func (p *dtls13) data(epoch uint64) (Kind, error) {
	switch {
	case epoch == uint64(handshake.EarlyData):
		return EarlyData, nil
	case epoch == uint64(handshake.Handshake):
		return None, errDataEpoch
	case !p.complete:
		return None, record.Misplaced
	}
	return Data, nil
}

func (p *dtls13) sent(now time.Time) { p.timer.Start(now) }

// completed: the client's Finished is acknowledged at once, since nothing else
// answers it. The handshake's keys are kept for the case that it comes again.
func (p *dtls13) completed() {
	if p.answered {
		p.flight.Clear()
		p.timer.Stop()
	}
	if p.opt.Server {
		// Unless it came with what was not kept, and must come again.
		p.ack.due, p.ack.waiting = !p.received.Empty(), false
		for _, r := range p.reads {
			if r.Epoch() < uint64(handshake.Application) {
				r.Rest()
			}
		}
	}
}

func (p *dtls13) sealsData() bool { return p.write.Next().Epoch >= uint64(handshake.Application) }

func (p *dtls13) acknowledged() bool { return p.complete && p.flight.Empty() && len(p.queue) == 0 }
