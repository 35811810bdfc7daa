package record

import "encoding/binary"

// The first byte of a unified header: 0 0 1 C S L E E.
const (
	unifiedBits = 0x20
	unifiedMask = 0xe0
	cidBit      = 0x10
	longBit     = 0x08 // the sequence number has 16 bits, not 8
	lengthBit   = 0x04
	epochMask   = 0x03
)

// minCiphertext is what record number encryption takes its sample from (RFC
// 9147bis, Section 4.2.3).
const minCiphertext = 16

// IsUnified reports whether a record that begins with this byte is a
// DTLSCiphertext of DTLS 1.3 (RFC 9147bis, Section 4.1).
func IsUnified(first byte) bool { return first&unifiedMask == unifiedBits }

// Unified is a DTLSCiphertext as it stands in a datagram: RFC 9147bis, Section
// 4. The number is encrypted.
//
//	 0 1 2 3 4 5 6 7
//	+-+-+-+-+-+-+-+-+
//	|0|0|1|C|S|L|E E|
//	+-+-+-+-+-+-+-+-+
//	| Connection ID |
//	|  if C is set  |
//	+-+-+-+-+-+-+-+-+
//	|  8 or 16 bit  |
//	|Sequence Number|
//	+-+-+-+-+-+-+-+-+
//	| 16 bit Length |
//	|  if L is set  |
//	+-+-+-+-+-+-+-+-+
type Unified struct {
	EpochBits uint8 // the epoch's last two bits
	long      bool  // the number has 16 bits
	CID       []byte
	Body      []byte
	header    []byte
}

// number is the encrypted number, in the header.
func (u *Unified) number() []byte {
	at := 1 + len(u.CID)
	if u.long {
		return u.header[at : at+2]
	}
	return u.header[at : at+1]
}

// ParseUnified reads the record at in[0] and returns how many bytes it has;
// cidLen is the size of our connection IDs. What it returns aliases in.
func ParseUnified(in []byte, cidLen int) (u Unified, n int, ok bool) {
	n, ok = u.Parse(in, cidLen)
	return u, n, ok
}

// Parse is ParseUnified into a zero u.
func (u *Unified) Parse(in []byte, cidLen int) (n int, ok bool) {
	first := in[0]
	u.EpochBits = first & epochMask
	n = 1
	if first&cidBit != 0 {
		// RFC 9147bis, Section 9.1: "If no CID is negotiated, then the receiver
		// MUST reject any records it receives that contain a CID."
		if cidLen == 0 || len(in) < n+cidLen {
			return 0, false
		}
		u.CID = in[n : n+cidLen]
		n += cidLen
	}
	size := 1
	if u.long = first&longBit != 0; u.long {
		size = 2
	}
	if len(in) < n+size {
		return 0, false
	}
	n += size
	length := len(in) - n
	if first&lengthBit != 0 {
		if length < 2 {
			return 0, false
		}
		length = int(binary.BigEndian.Uint16(in[n:]))
		n += 2
	}
	if length > len(in)-n || length > MaxPlaintext+MaxOverhead13 {
		return 0, false
	}
	u.header = in[:n]
	u.Body = in[n : n+length : n+length]
	return n + length, true
}

// reconstruct finds the sequence number with these low bits that is closest to
// the expected one: RFC 9147bis, Section 4.2.2.
func reconstruct(low, bits, expected uint64) uint64 {
	step := uint64(1) << bits
	n := expected&^(step-1) | low
	switch {
	case n+step/2 < expected:
		n += step
	case n > expected+step/2 && n >= step:
		n -= step
	}
	return n
}
