package carrier

import (
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// protocol is what differs between DTLS 1.2, DTLS 1.3, and the time before the version is
// known.
type protocol interface {
	readers
	// writer returns the next generation of sending keys. epoch is that of the
	// current one.
	writer(level handshake.Level, epoch uint64, k suite.Keys, cid []byte) (record.Sealer, error)
	// rewriter returns the sending keys of application data, to continue with next.
	rewriter(k suite.Keys, next record.Number, cid []byte) record.Sealer
	// took judges the receipt of a handshake record.
	took(now time.Time, x *exchange, n record.Number, got receipt) verdict
	// late judges a fragment after the handshake: the verdict is 0 unless the fragment
	// is outside the order of messages.
	late(x *exchange, h wire.FragmentHeader, fragment []byte) verdict
	// control handles an ACK or a ChangeCipherSpec.
	control(x *exchange, r opened) (verdict, error)
	// data says what application data of that epoch means.
	data(epoch uint64) (Kind, error)
	// warns reports whether an alert may be a warning.
	warns(d alert.Description) bool
	// asksForRest reports whether an ACK tells the peer that records arrived before
	// their keys.
	asksForRest() bool
	// completed notes the end of the handshake.
	completed(x *exchange)
}

// verdict is what a protocol wants done: a set of these bits.
type verdict uint8

const (
	drop       verdict = 1 << iota // ignore the fragment
	ack                            // acknowledge the record, after a while
	resend                         // send the flight again, unless it has just left
	resendNow                      // send the flight again in any case
	resendRest                     // send again what the peer has not acknowledged
	delivered                      // the peer has the flight
	deliver                        // the fragment is a message for the handshake
)

// follow carries out a verdict about a record.
func (d *Datagram) follow(now time.Time, v verdict) error {
	out, acks := &d.x.out, &d.x.acks
	if v&resend != 0 && out.Repeat(now, out.Timer.Value()/2) {
		acks.answered()
		d.trace.Repeats("peer_repeats", 0)
		return nil
	}
	if v&resendNow != 0 && out.Repeat(now, 0) {
		d.trace.Repeats("peer_repeats", 0)
	}
	// A peer that acknowledges a part waits for the rest. It waits a while before it sends
	// the ACK, so an ACK that arrives at once means nothing.
	if v&resendRest != 0 && out.RepeatRest(now, out.Timer.Value()/4) {
		d.trace.Repeats("partial_ack", 0)
	}
	if v&ack != 0 {
		acks.wait(now)
	}
	if v&delivered == 0 {
		return nil
	}
	if next := out.Delivered(now); next != nil {
		if err := d.installWrite(handshake.Application, *next); err != nil {
			return err
		}
	}
	out.SendQueued(d.sending)
	return nil
}

// undecided is the protocol until the hellos have agreed on a version: it has no reading keys.
type undecided struct{ opt *DatagramOptions }

func (p *undecided) openClassic(c *record.Classic) error {
	if c.Number.Epoch != 1 {
		return record.NoKeys
	}
	return p.ahead()
}

func (p *undecided) openUnified(u *record.Unified) error {
	if u.EpochBits != uint8(handshake.Handshake) {
		return record.NoKeys
	}
	return p.ahead()
}

// ahead: a server keeps nothing for a peer that has not said which version it speaks.
func (p *undecided) ahead() error {
	if p.opt.Server {
		return record.NoKeys
	}
	return errAhead
}

func (p *undecided) readEpoch() uint64                                 { return 0 }
func (p *undecided) install(handshake.Level, suite.Keys, []byte) error { return nil }
func (p *undecided) setLimit(int)                                      {}
func (p *undecided) sleep(time.Time, *sleeping) bool                   { return false }
func (p *undecided) wake(suite.Keys, *sleeping, []byte)                {}

// writer: a client sends early data before it knows the version.
func (p *undecided) writer(level handshake.Level, _ uint64, k suite.Keys, _ []byte) (record.Sealer, error) {
	return record.NewWriter13(uint64(level), k, nil), nil
}

func (p *undecided) rewriter(suite.Keys, record.Number, []byte) record.Sealer { return nil }

// took: records that DTLS 1.3 acknowledges may arrive before the version is known.
func (p *undecided) took(_ time.Time, x *exchange, n record.Number, got receipt) (v verdict) {
	if !got.refused && p.opt.trusts(n) {
		x.acks.add(n)
	}
	if got.again {
		v = resend
	}
	return v
}

func (p *undecided) late(*exchange, wire.FragmentHeader, []byte) verdict { return 0 }

// control: RFC 9147bis, Section 7: "Until that point, ACK records received in epoch 0
// MUST be ignored."
func (p *undecided) control(*exchange, opened) (verdict, error) { return 0, record.Unprotected }

func (p *undecided) data(uint64) (Kind, error)    { return None, record.Misplaced }
func (p *undecided) warns(alert.Description) bool { return true }
func (p *undecided) asksForRest() bool            { return false }
func (p *undecided) completed(*exchange)          {}

var (
	_ protocol = (*undecided)(nil)
	_ protocol = (*dtls12)(nil)
	_ protocol = (*dtls13)(nil)
)
