// Package record protects records: it knows keys, sequence numbers and bytes,
// and nothing of handshakes. Streams are TLS, datagrams DTLS.
package record

import (
	"encoding/binary"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// ContentType is what a record holds (RFC 9846, Section 5.1).
type ContentType uint8

const (
	ChangeCipherSpec ContentType = 20
	Alert            ContentType = 21
	Handshake        ContentType = 22
	ApplicationData  ContentType = 23
	TLS12CID         ContentType = 25 // RFC 9146
	ACK              ContentType = 26 // RFC 9147bis, Section 7
	RRC              ContentType = 27 // return_routability_check: RFC 9853, Section 4
)

const (
	// HeaderLen is the size of a TLS record's header.
	HeaderLen = 5
	// MaxPlaintext is how much a record may hold.
	MaxPlaintext = 1 << 14
	// MaxOverhead13 and MaxOverhead12 are how much longer its ciphertext may
	// be (RFC 9846, Section 5.2; RFC 5246, Section 6.2.3).
	MaxOverhead13 = 256
	MaxOverhead12 = 2048
)

var (
	errBadMAC    = alert.New(alert.BadRecordMAC, "a record does not authenticate: it was damaged, or the keys differ")
	errOverflow  = alert.New(alert.RecordOverflow, "a record is longer than the protocol allows")
	errOuterType = alert.New(alert.UnexpectedMessage, "an encrypted record does not look like application data")
	errNoContent = alert.New(alert.UnexpectedMessage, "a record has no content type, only padding")
)

// Stream protects the records of one direction of a TLS connection. Its zero
// value is a connection's start: no protection.
type Stream struct {
	keys  suite.Keys
	seq   uint64
	limit uint16 // see SetLimit
	// The nonce and the additional data stand here, not on the stack, since
	// what is passed to an AEAD through its interface escapes to the heap.
	nonce [12]byte // of the next record: see setNumber
	aad   [13]byte
}

// Install changes the keys. The sequence number starts again at zero.
func (s *Stream) Install(k suite.Keys) { s.Resume(k, 0) }

// Sleep drops the cipher, which is most of a stream's memory, until Resume.
func (s *Stream) Sleep() { s.keys = suite.Keys{Suite: s.keys.Suite} }

// Resume puts keys in place, for what comes after sequence records.
func (s *Stream) Resume(k suite.Keys, sequence uint64) {
	s.keys = k
	s.setNumber(sequence)
}

// SetLimit limits the content of records, in bytes: of all that are sealed, and of protected
// ones to be opened. Zero is the limit of the protocol, MaxPlaintext. Install keeps it.
func (s *Stream) SetLimit(n int) { s.limit = uint16(n) }

// MaxData is how many bytes of data one record takes.
func (s *Stream) MaxData() int { return maxContent(s.limit) }

// Protected reports whether records are encrypted.
func (s *Stream) Protected() bool { return s.keys.Suite != nil }

// Sequence is the number of the next record.
func (s *Stream) Sequence() uint64 { return s.seq }

// Exhausted reports whether the keys approach the limit of what they may protect.
func (s *Stream) Exhausted() bool {
	return s.tls13() && s.seq >= s.keys.Suite.SealLimit
}

// Permits reports whether the keys may protect n more records.
func (s *Stream) Permits(n int) bool {
	return !s.tls13() || s.seq+uint64(n) <= s.keys.Suite.SealLimit
}

// Overhead is how many bytes a record has in addition to its data.
func (s *Stream) Overhead() int {
	switch {
	case s.keys.Suite == nil:
		return HeaderLen
	case s.tls13():
		return HeaderLen + 1 + s.keys.Suite.TagLen
	}
	return HeaderLen + s.keys.Suite.ExplicitLen + s.keys.Suite.TagLen
}

// MaxLength is the largest length that the header of a record to be opened may
// have.
func (s *Stream) MaxLength() int {
	switch {
	case s.keys.Suite == nil:
		return MaxPlaintext
	case s.limit > 0:
		return int(s.limit) + s.Overhead() - HeaderLen
	case s.tls13():
		return MaxPlaintext + MaxOverhead13
	}
	return MaxPlaintext + MaxOverhead12
}

func (s *Stream) tls13() bool {
	return s.keys.Suite != nil && s.keys.Suite.Version == wire.VersionTLS13
}

// Open decrypts the record rec, header included, in place. The content aliases
// rec, whose length is for the caller to compare with MaxLength.
func (s *Stream) Open(rec []byte) (ContentType, []byte, error) {
	typ, body := ContentType(rec[0]), rec[HeaderLen:]
	if s.keys.Suite == nil {
		return typ, body, nil
	}
	if s.tls13() {
		return s.open13(rec, body)
	}
	return s.open12(typ, body)
}

// open13: RFC 9846, Section 5.2.
func (s *Stream) open13(rec, body []byte) (ContentType, []byte, error) {
	plain, err := s.keys.AEAD.Open(body[:0], s.nonce[:], body, rec[:HeaderLen])
	if err != nil {
		return 0, nil, errBadMAC
	}
	s.setNumber(s.seq + 1)
	switch {
	case len(plain) > maxContent(s.limit)+1:
		return 0, nil, errOverflow
	case ContentType(rec[0]) != ApplicationData:
		return 0, nil, errOuterType
	}
	return trim(plain)
}

// maxContent is how many bytes a record may hold under a limit, which may be zero.
func maxContent(limit uint16) int {
	if limit == 0 {
		return MaxPlaintext
	}
	return int(limit)
}

// trim finds the content and its type in a TLSInnerPlaintext, or in a
// DTLSInnerPlaintext.
func trim(plain []byte) (ContentType, []byte, error) {
	for i := len(plain) - 1; i >= 0; i-- {
		if plain[i] != 0 {
			return ContentType(plain[i]), plain[:i:i], nil
		}
	}
	return 0, nil, errNoContent
}

// Foreign reports whether rec was not sealed with the current keys, and leaves
// it and s as they were: early data that must be skipped looks like this.
func (s *Stream) Foreign(rec []byte) bool {
	probe := *s
	_, _, err := probe.Open(slices.Clone(rec))
	return err == errBadMAC
}

// open12: RFC 5246, Section 6.2.3.3.
func (s *Stream) open12(typ ContentType, body []byte) (ContentType, []byte, error) {
	overhead := s.keys.Suite.ExplicitLen + s.keys.Suite.TagLen
	if len(body) < overhead {
		return 0, nil, errBadMAC
	}
	n := copy(s.nonce[12-s.keys.Suite.ExplicitLen:], body[:s.keys.Suite.ExplicitLen])
	s.setAAD12(typ, len(body)-overhead)
	plain, err := s.keys.AEAD.Open(body[n:n], s.nonce[:], body[n:], s.aad[:])
	if err != nil {
		return 0, nil, errBadMAC
	}
	s.setNumber(s.seq + 1)
	if len(plain) > maxContent(s.limit) {
		return 0, nil, errOverflow
	}
	return typ, plain, nil
}

// Seal appends one record with data, at most MaxPlaintext bytes, which must not
// overlap dst's spare capacity.
func (s *Stream) Seal(dst []byte, typ ContentType, data []byte) []byte {
	start := len(dst)
	dst = slices.Grow(dst, len(data)+s.Overhead())[:start+HeaderLen]
	if s.keys.Suite == nil || s.tls13() {
		return s.finish(append(dst, data...), start, typ)
	}
	return s.seal12(dst, start, typ, data)
}

// SealParts is Seal for the next n bytes of data, at most MaxPlaintext.
func (s *Stream) SealParts(dst []byte, typ ContentType, data *Parts, n int) []byte {
	start := len(dst)
	prefix := HeaderLen
	if s.keys.Suite != nil {
		prefix += s.keys.Suite.ExplicitLen
	}
	dst = data.Append(slices.Grow(dst, n+s.Overhead())[:start+prefix], n)
	if s.keys.Suite == nil || s.tls13() {
		return s.finish(dst, start, typ)
	}
	return s.seal12(dst[:start+HeaderLen], start, typ, dst[start+prefix:])
}

// finish protects the record at dst[start:], which ends with its data.
func (s *Stream) finish(dst []byte, start int, typ ContentType) []byte {
	header := (*[HeaderLen]byte)(dst[start:])
	length := len(dst) - start + s.Overhead() - 2*HeaderLen
	if s.keys.Suite == nil {
		putHeader(header, typ, length)
		return dst
	}
	putHeader(header, ApplicationData, length)
	dst = append(dst, byte(typ))
	dst = s.keys.AEAD.Seal(dst[:start+HeaderLen], s.nonce[:], dst[start+HeaderLen:], header[:])
	s.setNumber(s.seq + 1)
	return dst
}

// seal12 completes the record of which the header's room is at dst[start:]. data may stand where
// its ciphertext will.
func (s *Stream) seal12(dst []byte, start int, typ ContentType, data []byte) []byte {
	putHeader((*[HeaderLen]byte)(dst[start:]), typ, len(data)+s.Overhead()-HeaderLen)
	s.setAAD12(typ, len(data))
	// The sequence number serves as the explicit nonce: it never repeats (RFC 5288,
	// Section 3).
	explicit := s.nonce[12-s.keys.Suite.ExplicitLen:]
	dst = s.keys.AEAD.Seal(append(dst, explicit...), s.nonce[:], data, s.aad[:])
	s.setNumber(s.seq + 1)
	return dst
}

// putHeader writes a record's header. It writes the first four bytes at once, because reading them
// soon after would otherwise stall the processor.
func putHeader(header *[HeaderLen]byte, typ ContentType, length int) {
	binary.BigEndian.PutUint32(header[:], uint32(typ)<<24|uint32(wire.VersionTLS12)<<8|uint32(length)>>8)
	header[4] = byte(length)
}

// setNumber sets the number of the next record, and its nonce: RFC 9846, Section 5.3, and
// RFC 7905. Where TLS 1.2 has an explicit nonce, the IV has zeros in its place. The nonce is
// computed when the previous record is done, not when it is needed, because reading 12 bytes just
// after writing them in two parts stalls the processor.
func (s *Stream) setNumber(sequence uint64) {
	s.seq = sequence
	*(*[4]byte)(s.nonce[:]) = [4]byte(s.keys.IV[:])
	binary.BigEndian.PutUint64(s.nonce[4:], binary.BigEndian.Uint64(s.keys.IV[4:])^sequence)
}

func (s *Stream) setAAD12(typ ContentType, n int) {
	binary.BigEndian.PutUint64(s.aad[:], s.seq)
	putHeader((*[HeaderLen]byte)(s.aad[8:]), typ, n)
}
