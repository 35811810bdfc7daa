package carrier

import (
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// dtls12 is DTLS 1.2: RFC 6347. Epoch 0 is unencrypted, epoch 1 is protected. A flight is
// acknowledged by the flight that answers it, and the last one by nothing: its sender keeps
// it for a while, in case the peer sends its own again.
type dtls12 struct {
	opt      *DatagramOptions
	complete bool
	readers12
}

func (p *dtls12) writer(_ handshake.Level, _ uint64, k suite.Keys, cid []byte) (record.Sealer, error) {
	return record.NewWriter12(1, k, cid), nil
}

func (p *dtls12) rewriter(k suite.Keys, next record.Number, cid []byte) record.Sealer {
	w := record.NewWriter12(1, k, cid)
	w.SetNext(next.Sequence)
	return w
}

// took: a repeated flight means that our answer was lost (RFC 6347, Section 4.2.4), or that
// the network duplicates.
func (p *dtls12) took(_ time.Time, _ *exchange, _ record.Number, got receipt) verdict {
	if got.again {
		return resend
	}
	return 0
}

// late: a repeated Finished means that ours was lost. The messages that request a
// renegotiation count from 0 again: RFC 6347, Section 4.2.2.
func (p *dtls12) late(x *exchange, h wire.FragmentHeader, fragment []byte) verdict {
	switch {
	case h.Type == wire.TypeFinished && x.in.Last(h.Seq):
		if h.Offset == 0 {
			return drop | resendNow
		}
		return drop
	case h.Type == wire.TypeHelloRequest, h.Type == wire.TypeClientHello:
		if len(fragment) == h.Length {
			return drop | deliver
		}
		return drop
	}
	return 0
}

func (p *dtls12) control(_ *exchange, r opened) (verdict, error) {
	switch {
	case r.typ == record.ACK:
		return 0, p.opt.fault(r.number, errACKVersion)
	case !r.clear():
		return 0, errUnexpectedCCS
	case len(r.content) != 1 || r.content[0] != 1:
		return 0, p.opt.fault(r.number, errBadCCS)
	}
	return 0, nil
}

// data: application data may overtake the Finished, and is not worth keeping.
func (p *dtls12) data(uint64) (Kind, error) {
	if !p.complete {
		return None, record.Misplaced
	}
	return Data, nil
}

func (p *dtls12) warns(alert.Description) bool { return true }
func (p *dtls12) asksForRest() bool            { return false }

func (p *dtls12) completed(x *exchange) {
	p.complete = true
	x.out.CompleteFinal()
}
