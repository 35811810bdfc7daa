package record

import (
	"cmp"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Clear is epoch 0 of both versions, in one direction: records without
// protection. Its zero value is ready.
type Clear struct {
	// Version is what the headers of sealed records say; 0 means DTLS 1.0, as
	// the first ClientHello says it for the sake of old servers.
	Version uint16

	next  uint64 // sequence number of the next record to seal
	limit uint16 // see SetLimit
}

// StartAt sets the sequence number of the first record: RFC 6347, Section
// 4.2.1, has a server continue with that of the ClientHello whose predecessor was
// answered statelessly. Numbers above MaxSequence/2 are ignored: they would exhaust ours.
func (c *Clear) StartAt(sequence uint64) {
	if sequence <= MaxSequence/2 {
		c.next = max(c.next, sequence)
	}
}

func (c *Clear) Next() Number    { return Number{Sequence: c.next} }
func (c *Clear) Overhead() int   { return ClassicHeaderLen }
func (c *Clear) MaxData() int    { return maxContent(c.limit) }
func (c *Clear) SetLimit(n int)  { c.limit = uint16(n) }
func (c *Clear) Limit() int      { return int(c.limit) }
func (c *Clear) Exhausted() bool { return false }

// Open returns what r holds. It drops nothing for its number, which anybody may have
// used: a forged record must not shut the genuine one out. A window is for what
// authenticates (RFC 9147bis, Section 4.5.1), and messages have their own numbers.
func (c *Clear) Open(r *Classic) (ContentType, []byte, error) {
	switch {
	case r.Number.Epoch != 0:
		return 0, nil, NoKeys
	case r.Type == TLS12CID, len(r.Body) > MaxPlaintext:
		return 0, nil, Malformed
	}
	return r.Type, r.Body, nil
}

// Seal appends one record with data, at most MaxPlaintext bytes, which must not
// overlap dst's spare capacity.
func (c *Clear) Seal(dst []byte, typ ContentType, data []byte) ([]byte, error) {
	if c.next > MaxSequence {
		return dst, ErrSpent
	}
	dst = slices.Grow(dst, ClassicHeaderLen+len(data))
	dst = appendClassicHeader(dst, typ, cmp.Or(c.Version, wire.VersionDTLS10), c.next, nil, len(data))
	c.next++
	return append(dst, data...), nil
}

var _ Sealer = (*Clear)(nil)
