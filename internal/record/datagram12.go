package record

import (
	"encoding/binary"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// ClassicHeaderLen is the size of the header of DTLSPlaintext, and of a DTLS
// 1.2 record without a connection ID.
const ClassicHeaderLen = 13

// Classic is a record in the form of DTLS 1.2, which DTLS 1.3 has for its
// plaintext: RFC 9147bis, Section 4; RFC 9146, Section 4.
//
//	ContentType type;
//	ProtocolVersion version;
//	uint16 epoch;
//	uint48 sequence_number;
//	opaque cid[cid_length];   // tls12_cid only
//	uint16 length;
//	opaque fragment[length];
type Classic struct {
	Type   ContentType // as in the header
	Number Number
	CID    []byte
	Body   []byte
}

// ParseClassic reads the record at in[0] and returns how many bytes it has;
// cidLen is the size of our connection IDs. What it returns aliases in.
func ParseClassic(in []byte, cidLen int) (r Classic, n int, ok bool) {
	if len(in) < ClassicHeaderLen {
		return r, 0, false
	}
	r.Type = ContentType(in[0])
	// The minor version says nothing before the hellos have agreed, and must be
	// ignored after that in DTLS 1.3.
	if in[1] != 0xfe {
		return r, 0, false
	}
	r.Number.Epoch = uint64(binary.BigEndian.Uint16(in[3:]))
	if r.Number.Epoch != 0 && in[2] != 0xfd {
		return r, 0, false // only DTLS 1.2 protects records of this form
	}
	r.Number.Sequence = binary.BigEndian.Uint64(in[3:]) & MaxSequence
	n = 11
	if r.Type == TLS12CID {
		if cidLen == 0 || len(in) < ClassicHeaderLen+cidLen {
			return r, 0, false
		}
		r.CID = in[n : n+cidLen]
		n += cidLen
	}
	length := int(binary.BigEndian.Uint16(in[n:]))
	n += 2
	if length > len(in)-n || length > MaxPlaintext+MaxOverhead12 {
		return r, 0, false
	}
	r.Body = in[n : n+length : n+length]
	return r, n + length, true
}

// appendClassicHeader appends the header of a record whose content has length
// bytes.
func appendClassicHeader(b []byte, typ ContentType, version uint16, number uint64, cid []byte, length int) []byte {
	b = append(b, byte(typ), byte(version>>8), byte(version))
	b = append(binary.BigEndian.AppendUint64(b, number), cid...)
	return binary.BigEndian.AppendUint16(b, uint16(length))
}

// Reader12 is one generation of reading keys of DTLS 1.2.
type Reader12 struct {
	protection12
	Received
}

// Writer12 is one generation of sending keys of DTLS 1.2.
type Writer12 struct {
	protection12
	next uint64 // sequence number of the next record
}

// protection12 is what both directions have.
type protection12 struct {
	protection
	cid []byte
	aad []byte // here for the same reason as the nonce
}

func newProtection12(epoch uint64, k suite.Keys, cid []byte) protection12 {
	return protection12{protection{keys: k, epoch: uint16(epoch)}, cid, make([]byte, 0, 23+len(cid))}
}

// NewReader12 returns the protected epoch with these keys. Its records have the
// connection ID cid unless that is empty.
func NewReader12(epoch uint64, k suite.Keys, cid []byte) *Reader12 {
	return &Reader12{protection12: newProtection12(epoch, k, cid)}
}

// NewWriter12 is the same for sending.
func NewWriter12(epoch uint64, k suite.Keys, cid []byte) *Writer12 {
	return &Writer12{protection12: newProtection12(epoch, k, cid)}
}

func (e *Writer12) Next() Number { return Number{e.Epoch(), e.next} }

// MaxData: RFC 9146, Section 5: with its type and a connection ID the data "MUST NOT exceed
// 2^14". So the type counts against any other limit too.
func (e *Writer12) MaxData() int {
	if len(e.cid) > 0 {
		return maxContent(e.limit) - 1
	}
	return maxContent(e.limit)
}

func (e *Writer12) Exhausted() bool { return false } // DTLS 1.2 cannot change its keys

// Overhead is how many bytes a record has beside its data.
func (e *Writer12) Overhead() int {
	n := ClassicHeaderLen + e.keys.Suite.ExplicitLen + e.keys.Suite.TagLen
	if len(e.cid) > 0 {
		n += len(e.cid) + 1
	}
	return n
}

// SetNext continues with that sequence number.
func (e *Writer12) SetNext(n uint64) { e.next = n }

// Open decrypts r in place. The content aliases r. Its number is not marked yet.
func (e *Reader12) Open(r *Classic) (ContentType, []byte, error) {
	// RFC 9146, Section 3: a record without the CID that was negotiated, or
	// with another one, is invalid.
	switch {
	case r.Number.Epoch != e.Epoch():
		return 0, nil, NoKeys
	case string(r.CID) != string(e.cid):
		return 0, nil, Foreign
	case !e.window.Fresh(r.Number.Sequence):
		return 0, nil, Replayed
	}
	explicit := e.keys.Suite.ExplicitLen
	length := len(r.Body) - explicit - e.keys.Suite.TagLen
	if length < 0 {
		return 0, nil, Malformed
	}
	e.setNonce(r.Number.Sequence)
	copy(e.nonce[12-explicit:], r.Body[:explicit])
	e.setAAD(r.Type, r.Number.Sequence, length)
	plain, err := e.keys.AEAD.Open(r.Body[explicit:explicit], e.nonce[:], r.Body[explicit:], e.aad)
	if err != nil {
		return 0, nil, e.forged.add(e.keys.Suite.IntegrityLimit)
	}
	most := maxContent(e.limit)
	if len(e.cid) > 0 && e.limit > 0 {
		most++ // RFC 8449 does not say whether the type counts
	}
	if len(plain) > min(most, MaxPlaintext) {
		return 0, nil, errOverflow
	}
	if len(e.cid) > 0 {
		return trim(plain)
	}
	return r.Type, plain, nil
}

// Seal appends one record with data, at most MaxPlaintext bytes, which must not
// overlap dst's spare capacity.
func (e *Writer12) Seal(dst []byte, typ ContentType, data []byte) ([]byte, error) {
	if e.next > MaxSequence {
		return dst, ErrSpent
	}
	seq := e.next
	e.next++
	dst = slices.Grow(dst, len(data)+e.Overhead())
	length := len(data) + e.Overhead() - ClassicHeaderLen - len(e.cid)
	outer := typ
	if len(e.cid) > 0 {
		outer = TLS12CID
	}
	dst = appendClassicHeader(dst, outer, wire.VersionDTLS12, e.Epoch()<<48|seq, e.cid, length)
	e.setNonce(seq)
	dst = append(dst, e.nonce[12-e.keys.Suite.ExplicitLen:]...)
	start := len(dst)
	dst = append(dst, data...)
	if len(e.cid) > 0 {
		dst = append(dst, byte(typ))
	}
	e.setAAD(outer, seq, len(dst)-start)
	return e.keys.AEAD.Seal(dst[:start], e.nonce[:], dst[start:], e.aad), nil
}

// setNonce: epoch and sequence number together are what never repeats. AES-GCM
// and AES-CCM have them as the explicit part of the nonce (RFC 5288, Section
// 3; RFC 6655, Section 3), ChaCha20-Poly1305 adds them to the IV (RFC 7905,
// Section 2).
func (e *protection12) setNonce(seq uint64) {
	number := e.Epoch()<<48 | seq
	if e.keys.Suite.ExplicitLen == 0 {
		number ^= binary.BigEndian.Uint64(e.keys.IV[4:])
	}
	*(*[4]byte)(e.nonce[:]) = [4]byte(e.keys.IV[:])
	binary.BigEndian.PutUint64(e.nonce[4:], number)
}

// setAAD: RFC 6347, Section 4.1.2.1, and for records with a connection ID RFC
// 9146, Section 5.3, whose placeholder is a sequence number that never occurs.
func (e *protection12) setAAD(typ ContentType, seq uint64, length int) {
	b := e.aad[:0]
	number := e.Epoch()<<48 | seq
	if len(e.cid) > 0 {
		b = binary.BigEndian.AppendUint64(b, 1<<64-1)
		b = append(b, byte(TLS12CID), byte(len(e.cid)), byte(TLS12CID), 0xfe, 0xfd)
		b = append(binary.BigEndian.AppendUint64(b, number), e.cid...)
	} else {
		b = append(binary.BigEndian.AppendUint64(b, number), byte(typ), 0xfe, 0xfd)
	}
	e.aad = binary.BigEndian.AppendUint16(b, uint16(length))
}

var _ Sealer = (*Writer12)(nil)
