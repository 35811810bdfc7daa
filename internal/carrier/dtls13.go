package carrier

import (
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/flight"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// dtls13 is DTLS 1.3: RFC 9147bis. A level is an epoch, and each KeyUpdate starts another.
// Messages without an answer are acknowledged by an ACK.
type dtls13 struct{ readers13 }

func (p *dtls13) writer(level handshake.Level, epoch uint64, k suite.Keys, cid []byte) (record.Sealer, error) {
	if epoch = nextEpoch(level, epoch); epoch > maxEpoch {
		return nil, errEpochs
	}
	if level == handshake.Application {
		k.Loosen()
	}
	return record.NewWriter13(epoch, k, cid), nil
}

func (p *dtls13) rewriter(k suite.Keys, next record.Number, cid []byte) record.Sealer {
	k.Loosen()
	w := record.NewWriter13(next.Epoch, k, cid)
	w.SetNext(next.Sequence)
	return w
}

// took: RFC 9147bis, Section 7. A record is acknowledged after a while, if nothing has
// answered it before, unless something in it was not kept: then it must be sent again.
// "During the handshake, ACKs only cover the current outstanding flight": a server that has
// kept nothing of its HelloRetryRequest sends an answered message whole again, and may reuse
// the record's number.
func (p *dtls13) took(now time.Time, x *exchange, n record.Number, got receipt) (v verdict) {
	if got.fresh && !p.d.complete && p.d.opt.trusts(n) {
		p.answered(now, x, n)
	}
	// The peer repeats its flight: not a client's last one, which has an ACK.
	if got.again && n.Epoch <= uint64(handshake.Handshake) && !(p.d.complete && p.d.opt.Server) {
		v = resend
	}
	switch {
	case got.refused, got.whole && !got.fresh && !p.d.complete:
		return v
	case p.d.opt.trusts(n):
		x.acks.add(n)
	case !got.fresh:
		return v
	}
	return v | ack
}

// answered: "the receipt of any record responding to a given flight MUST be taken as an
// implicit acknowledgement for the entire flight". A client's hello is retransmitted until
// its answer is complete: the server, which only waits, has the answer ready.
func (p *dtls13) answered(now time.Time, x *exchange, n record.Number) {
	if n.Epoch == 0 && !p.d.opt.Server {
		return
	}
	if n.Epoch > 0 {
		x.out.Clear()
	}
	x.out.Timer.Stop()
	x.out.WaitForRest(now)
}

func (p *dtls13) late(*exchange, wire.FragmentHeader, []byte) verdict { return 0 }

// control: RFC 9147bis, Section 4.1, rejects a ChangeCipherSpec as it does garbage.
func (p *dtls13) control(x *exchange, r opened) (verdict, error) {
	switch {
	case r.typ == record.ACK:
		return p.acknowledge(x, r)
	case r.clear():
		return 0, record.Unprotected
	}
	return 0, errContentType
}

// acknowledge handles an ACK: RFC 9147bis, Section 7.2. Anybody may have sent an unprotected
// one: what it names is not retransmitted for now, but is if no answer arrives.
func (p *dtls13) acknowledge(x *exchange, r opened) (verdict, error) {
	numbers, ok := flight.ParseACK(r.content)
	if !ok {
		return 0, p.d.opt.fault(r.number, errBadACK)
	}
	trusted := p.d.opt.trusts(r.number)
	for i := range numbers.Len() {
		acked := numbers.At(i)
		// "If any element of record_numbers in the ACK references an epoch that is higher
		// than the epoch in which the ACK was received, the implementation MUST terminate
		// the connection": during the handshake, for after it each side counts its own key
		// updates.
		if r.number.Epoch < uint64(handshake.Application) && acked.Epoch > r.number.Epoch {
			return 0, p.d.opt.fault(r.number, errACKEpoch)
		}
		x.out.Acknowledge(acked, !trusted)
	}
	switch {
	case x.out.Empty(), x.out.Acknowledged() && !trusted:
		return 0, nil
	case !x.out.Acknowledged():
		return resendRest, nil
	case p.d.complete && !p.d.opt.Server:
		// The server has our Finished, so it repeats nothing of the handshake.
		p.dropHandshake()
	}
	return delivered, nil
}

func (p *dtls13) data(epoch uint64) (Kind, error) {
	switch {
	case epoch == uint64(handshake.EarlyData):
		return EarlyData, nil
	case epoch == uint64(handshake.Handshake):
		return None, errDataEpoch
	case !p.d.complete:
		return None, record.Misplaced
	}
	return Data, nil
}

// warns: RFC 9846, Section 6: no other alert is a warning.
func (p *dtls13) warns(d alert.Description) bool { return d == alert.UserCanceled }

// asksForRest: RFC 9147bis, Section 7.1: "Sending an empty ACK can avoid waiting for the
// server's retransmission timeout."
func (p *dtls13) asksForRest() bool { return !p.d.opt.Server }

// completed: the client's Finished is acknowledged at once, since nothing else answers it.
func (p *dtls13) completed(x *exchange) {
	x.out.Complete()
	if p.d.opt.Server {
		x.acks.hurry()
		p.rest()
	}
}
