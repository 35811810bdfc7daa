package record

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/suite"
)

// Reader13 is one generation of reading keys of DTLS 1.3.
type Reader13 struct {
	protection13
	Received
}

// Writer13 is one generation of sending keys of DTLS 1.3.
type Writer13 struct {
	protection13
	// CID is the connection ID of the records, if not empty.
	CID  []byte
	next uint64 // sequence number of the next record
}

// protection13 is what both directions have.
type protection13 struct{ protection }

// NewReader13 returns the protected epoch with these keys.
func NewReader13(epoch uint64, k suite.Keys) *Reader13 {
	return &Reader13{protection13: protection13{protection{keys: k, epoch: uint16(epoch)}}}
}

// NewWriter13 is the same for sending, with the connection ID cid unless that is
// empty.
func NewWriter13(epoch uint64, k suite.Keys, cid []byte) *Writer13 {
	return &Writer13{protection13: protection13{protection{keys: k, epoch: uint16(epoch)}}, CID: cid}
}

func (e *Writer13) MaxData() int { return maxContent(e.limit) }
func (e *Writer13) Next() Number { return Number{e.Epoch(), e.next} }

// Exhausted reports whether the keys approach the limit of what they may protect (RFC
// 9147bis, Section 4.5.3): time for a KeyUpdate.
func (e *Writer13) Exhausted() bool { return e.next >= e.keys.Suite.SealLimit }

// spent: it takes a while until the KeyUpdate is acknowledged, but not forever.
// The limits of the suites leave room for that.
func (e *Writer13) spent() bool {
	limit := e.keys.Suite.SealLimit
	return e.next >= limit+limit/4 || e.next > MaxSequence
}

// Overhead is how many bytes a record has in addition to its data, unless that is
// so short that it must be padded.
func (e *Writer13) Overhead() int {
	return 1 + len(e.CID) + 2 + 2 + 1 + e.keys.Suite.TagLen
}

// SetNext continues with that sequence number.
func (e *Writer13) SetNext(n uint64) { e.next = n }

// Threatened reports whether the keys approach the limit of forgeries.
func (e *Reader13) Threatened() bool { return e.forged.many(e.keys.Suite.IntegrityLimit) }

// Rest makes e small, for records that are no longer expected: opening one costs
// more from now on.
func (e *Reader13) Rest() { e.keys.Rest() }

// Wake ends the rest.
func (e *Reader13) Wake() { e.keys.Wake() }

// Resting reports whether e was made small.
func (e *Reader13) Resting() bool { return e.keys.AEAD == nil }

// Rested is a Reader13 at rest, for a session that moves.
type Rested struct {
	suite.Material
	Received
}

func (e *Reader13) Rested() *Rested { return &Rested{e.keys.Material(), e.Received} }

// Fields is its form in the state of an engine.
func (r *Rested) Fields(c *codec.Coder) {
	c.Fixed(r.Keys[:])
	c.Fixed(r.IV[:])
	c.Uint64(&r.window.next)
	c.Uint64((*uint64)(&r.forged))
	for i := range r.window.seen {
		c.Uint64(&r.window.seen[i])
	}
}

// Pack is its form in a connection that sleeps: without unused bytes.
func (r *Rested) Pack(c *codec.Coder) {
	n := uint8(len(bytes.TrimRight(r.Keys[:], "\x00")))
	c.Uint8(&n)
	c.Require(int(n) <= len(r.Keys))
	c.Fixed(r.Keys[:min(int(n), len(r.Keys))])
	c.Fixed(r.IV[:])
	c.Varint(&r.window.next)
	c.Varint((*uint64)(&r.forged))
	for i := range r.window.seen {
		c.Varint(&r.window.seen[i])
	}
}

// NewRested13 is NewReader13 of one that has moved.
func NewRested13(epoch uint64, c *suite.Suite, r *Rested) *Reader13 {
	e := NewReader13(epoch, c.RestingKeys(r.Material))
	e.Received = r.Received
	return e
}

// Open decrypts u, a record of this epoch, in place. The content aliases u. Its number
// is not marked yet.
func (e *Reader13) Open(u *Unified) (Number, ContentType, []byte, error) {
	if e.Resting() {
		return e.openResting(u)
	}
	return e.open(u)
}

func (e *Reader13) openResting(u *Unified) (Number, ContentType, []byte, error) {
	e.keys.Wake()
	defer e.keys.Rest()
	return e.open(u)
}

func (e *Reader13) open(u *Unified) (Number, ContentType, []byte, error) {
	number := Number{Epoch: e.Epoch()}
	if len(u.Body) < minCiphertext || len(u.Body) < e.keys.Suite.TagLen {
		return number, 0, nil, Malformed
	}
	masked := u.number()
	e.mask(masked, u.Body)
	low, bits := uint64(masked[0]), uint64(8)
	if len(masked) == 2 {
		low, bits = low<<8|uint64(masked[1]), 16
	}
	number.Sequence = reconstruct(low, bits, e.window.Next())
	e.setNonce(number.Sequence)
	plain, err := e.keys.AEAD.Open(u.Body[:0], e.nonce[:], u.Body, u.header)
	if err != nil {
		return number, 0, nil, e.forged.add(e.keys.Suite.IntegrityLimit)
	}
	// RFC 9147bis, Section 4.5.1: "This check SHOULD happen after deprotecting
	// the record; otherwise, the record discard might itself serve as a timing
	// channel for the record number."
	if !e.window.Fresh(number.Sequence) {
		return number, 0, nil, Replayed
	}
	if len(plain) > maxContent(e.limit)+1 {
		return number, 0, nil, errOverflow
	}
	typ, content, err := trim(plain)
	return number, typ, content, err
}

// Seal appends one record with data, at most MaxPlaintext bytes, which must not
// overlap dst's spare capacity.
func (e *Writer13) Seal(dst []byte, typ ContentType, data []byte) ([]byte, error) {
	if e.spent() {
		return dst, ErrSpent
	}
	padding := max(0, minCiphertext-e.keys.Suite.TagLen-1-len(data))
	length := len(data) + 1 + padding + e.keys.Suite.TagLen
	dst = slices.Grow(dst, e.Overhead()+len(data)+padding)
	e.setNonce(e.next) // early, because reading it soon after writing it in parts would stall
	start := len(dst)
	dst = e.appendHeader(dst, length)
	body := len(dst)
	dst = append(append(dst, data...), byte(typ))
	for range padding {
		dst = append(dst, 0)
	}
	dst = e.keys.AEAD.Seal(dst[:body], e.nonce[:], dst[body:], dst[start:body])
	number := start + 1 + len(e.CID)
	e.mask(dst[number:number+2], dst[body:])
	e.next++
	return dst, nil
}

// appendHeader appends the unified header, with a 16-bit number and a length.
// The number is not encrypted yet: in this form it is additional data (RFC 9147bis,
// Section 4).
func (e *Writer13) appendHeader(b []byte, length int) []byte {
	first := unifiedBits | longBit | lengthBit | byte(e.epoch&epochMask)
	if len(e.CID) > 0 {
		first |= cidBit
	}
	b = append(append(b, first), e.CID...)
	return append(b, byte(e.next>>8), byte(e.next), byte(length>>8), byte(length))
}

// mask encrypts or decrypts a record number: RFC 9147bis, Section 4.2.3.
func (e *protection13) mask(number, ciphertext []byte) {
	mask := e.keys.Mask((*[16]byte)(ciphertext))
	number[0] ^= mask[0]
	if len(number) == 2 {
		number[1] ^= mask[1]
	}
}

// setNonce: RFC 9846, Section 5.3; RFC 9147bis, Section 4: "unlike DTLS 1.2, the epoch is not included".
func (e *protection13) setNonce(seq uint64) {
	*(*[4]byte)(e.nonce[:]) = [4]byte(e.keys.IV[:])
	binary.BigEndian.PutUint64(e.nonce[4:], binary.BigEndian.Uint64(e.keys.IV[4:])^seq)
}

var _ Sealer = (*Writer13)(nil)
