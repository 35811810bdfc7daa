package record

import (
	"cmp"
	"errors"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
)

// MaxSequence is the largest sequence number. DTLS 1.2 has 48 bits; DTLS 1.3
// has 64, but no connection lives long enough to need them.
const MaxSequence = 1<<48 - 1

var (
	// ErrSpent is returned by sealing when the keys may protect no more records.
	ErrSpent = errors.New("the keys have protected as many records as they may")
	// ErrForgeries is returned by opening when the keys have met more forgeries
	// than they may.
	ErrForgeries error = alert.New(alert.BadRecordMAC, "more forged records than the keys may meet")
)

// A Drop is the reason why a record is dropped as if it had not arrived (RFC
// 9147bis, Section 4.5.2). It is an error of opening.
type Drop uint8

const (
	Malformed   Drop = iota // it does not parse
	Foreign                 // its connection ID is not ours
	NoKeys                  // of an epoch that has no keys: not yet, or not anymore
	Forged                  // it does not authenticate
	Replayed                // its number was received before, or is too old to know
	Unprotected             // unencrypted: it is late or faulty, and anybody may have sent it
	Misplaced               // authentic, but useless at this point

	drops = iota
)

func (Drop) Error() string { return "the record is dropped" }

// Drops counts records by why they were dropped.
type Drops [drops]uint64

// Number is a record number: RecordNumber of RFC 9147bis, Section 4.
type Number struct{ Epoch, Sequence uint64 }

// Compare orders record numbers as the RFC does: by epoch, then by sequence
// number.
func (n Number) Compare(o Number) int {
	if c := cmp.Compare(n.Epoch, o.Epoch); c != 0 {
		return c
	}
	return cmp.Compare(n.Sequence, o.Sequence)
}

// Sealer is one generation of sending keys.
type Sealer interface {
	// Seal appends one record with data, at most MaxPlaintext bytes, which
	// must not overlap dst's spare capacity. ErrSpent leaves dst as it was.
	Seal(dst []byte, typ ContentType, data []byte) ([]byte, error)
	// MaxData is how many bytes of data one record takes.
	MaxData() int
	// SetLimit limits them. Zero is the limit of the protocol, MaxPlaintext.
	SetLimit(n int)
	// Limit returns what SetLimit has set.
	Limit() int
	// Next is the number of the next record.
	Next() Number
	// Overhead is how many bytes a record has in addition to its data.
	Overhead() int
	// Exhausted reports whether the keys approach the limit of what they may protect.
	Exhausted() bool
}

// protection is one generation of keys, for one direction.
type protection struct {
	keys  suite.Keys
	epoch uint16
	limit uint16   // see SetLimit
	nonce [12]byte // here, not on the stack, since it escapes through the AEAD
}

// SetLimit limits the content of records, in bytes. Zero is the limit of the protocol,
// MaxPlaintext.
func (p *protection) SetLimit(n int) { p.limit = uint16(n) }

// Limit returns what SetLimit has set.
func (p *protection) Limit() int { return int(p.limit) }

// Epoch is the epoch's number.
func (p *protection) Epoch() uint64 { return uint64(p.epoch) }

// forgeries counts the records that did not authenticate: RFC 9147bis, Section
// 4.5.3: "If the number of packets that fail authentication exceeds a limit
// that is specific to the AEAD in use, an implementation SHOULD immediately
// close the connection."
type forgeries uint64

// add counts one more.
func (f *forgeries) add(limit uint64) error {
	if *f++; uint64(*f) > limit {
		return ErrForgeries
	}
	return Forged
}

// many reports whether the limit is near: "Implementations SHOULD initiate a key
// update with update_requested before reaching this limit."
func (f *forgeries) many(limit uint64) bool { return uint64(*f) > limit/2 }

// Received is the set of records received under a generation of reading keys.
type Received struct {
	window window
	forged forgeries
}

// Mark marks the record with that number as received and used: a dropped one may be
// received again.
func (r *Received) Mark(sequence uint64) { r.window.Mark(sequence) }

// State and SetState are r as numbers, for a session that moves.
func (r *Received) State() (next uint64, seen [windowSize / 64]uint64, forged uint64) {
	return r.window.next, r.window.seen, uint64(r.forged)
}

func (r *Received) SetState(next uint64, seen [windowSize / 64]uint64, forged uint64) {
	*r = Received{window{next, seen}, forgeries(forged)}
}
