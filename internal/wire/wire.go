// Package wire encodes the handshake messages of TLS and DTLS. Each structure has one
// type, whose fields method serves both Parse and Append (see package codec). Parse
// reads a message's body; Append appends the whole message, with its header.
//
// Parsing copies nothing: the fields of a parsed message alias its bytes and are valid
// as long as those are. Each list is bounded by the message, each length is checked, and
// nothing may follow the last field. A message that does not parse is a decode_error, as
// RFC 9846, Section 6.2, requires. A value that parses but is not allowed is rejected by
// the state that receives it.
package wire

import (
	"fmt"
	"iter"
	"math/bits"
	"strings"

	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/version"
)

// Transport is what carries a message.
type Transport = version.Transport

const (
	Stream   = version.Stream
	Datagram = version.Datagram
)

// Type is a HandshakeType (RFC 9846, Section 4).
type Type uint8

const (
	TypeHelloRequest          Type = 0
	TypeClientHello           Type = 1
	TypeServerHello           Type = 2
	TypeHelloVerifyRequest    Type = 3 // DTLS 1.2
	TypeNewSessionTicket      Type = 4
	TypeEndOfEarlyData        Type = 5
	TypeEncryptedExtensions   Type = 8
	TypeRequestConnectionID   Type = 9  // DTLS 1.3
	TypeNewConnectionID       Type = 10 // DTLS 1.3
	TypeCertificate           Type = 11
	TypeServerKeyExchange     Type = 12
	TypeCertificateRequest    Type = 13
	TypeServerHelloDone       Type = 14
	TypeCertificateVerify     Type = 15
	TypeClientKeyExchange     Type = 16
	TypeFinished              Type = 20
	TypeCertificateStatus     Type = 22
	TypeKeyUpdate             Type = 24
	TypeCompressedCertificate Type = 25  // RFC 8879
	TypeMessageHash           Type = 254 // only in the transcript
)

var typeNames = map[Type]string{
	TypeHelloRequest:          "HelloRequest",
	TypeClientHello:           "ClientHello",
	TypeServerHello:           "ServerHello",
	TypeHelloVerifyRequest:    "HelloVerifyRequest",
	TypeNewSessionTicket:      "NewSessionTicket",
	TypeEndOfEarlyData:        "EndOfEarlyData",
	TypeEncryptedExtensions:   "EncryptedExtensions",
	TypeRequestConnectionID:   "RequestConnectionId",
	TypeNewConnectionID:       "NewConnectionId",
	TypeCertificate:           "Certificate",
	TypeServerKeyExchange:     "ServerKeyExchange",
	TypeCertificateRequest:    "CertificateRequest",
	TypeServerHelloDone:       "ServerHelloDone",
	TypeCertificateVerify:     "CertificateVerify",
	TypeClientKeyExchange:     "ClientKeyExchange",
	TypeFinished:              "Finished",
	TypeCertificateStatus:     "CertificateStatus",
	TypeKeyUpdate:             "KeyUpdate",
	TypeCompressedCertificate: "CompressedCertificate",
	TypeMessageHash:           "message_hash",
}

// String returns the type's name in the RFC.
func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("message type %d", uint8(t))
}

// TypeSet is the set of message types that a state accepts. It prints as error texts
// need it: "Certificate or CertificateRequest".
type TypeSet uint32

// Types returns the set of the given types.
func Types(types ...Type) TypeSet {
	var s TypeSet
	for _, t := range types {
		s |= 1 << (t & 31)
	}
	return s
}

// IsCertificate reports whether a message has certificates, which have their own limit.
func (t Type) IsCertificate() bool { return t == TypeCertificate || t == TypeCompressedCertificate }

// Has reports whether t, as a peer sent it, is in s.
func (s TypeSet) Has(t Type) bool { return t < 32 && s&(1<<t) != 0 }

// String joins the names, for errors.
func (s TypeSet) String() string {
	var names []string
	for ; s != 0; s &= s - 1 {
		names = append(names, Type(bits.TrailingZeros32(uint32(s))).String())
	}
	return strings.Join(names, " or ")
}

// Message is one complete handshake message, reassembled.
type Message struct {
	Type Type
	Seq  uint16 // DTLS: message_seq
	Body []byte // without the header
}

// The versions, as package version explains them.
const (
	VersionTLS12  = version.TLS12
	VersionTLS13  = version.TLS13
	VersionDTLS10 = version.DTLS10
	VersionDTLS12 = version.DTLS12
	VersionDTLS13 = version.DTLS13
)

// Uint16s is the content of a vector of 16-bit values.
type Uint16s []byte

// AppendUint16s appends values to a vector.
func AppendUint16s(b Uint16s, values ...uint16) Uint16s {
	for _, v := range values {
		b = codec.AppendUint16(b, v)
	}
	return b
}

// Len is the number of values.
func (u Uint16s) Len() int { return len(u) / 2 }

// At is the value at position i.
func (u Uint16s) At(i int) uint16 { return uint16(u[2*i])<<8 | uint16(u[2*i+1]) }

// Contains reports whether v is one of them.
func (u Uint16s) Contains(v uint16) bool {
	for i := range u.Len() {
		if u.At(i) == v {
			return true
		}
	}
	return false
}

// All yields the values in order.
func (u Uint16s) All() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for i := range u.Len() {
			if !yield(u.At(i)) {
				return
			}
		}
	}
}

// AppendHeader appends the header of a handshake message of n bytes (RFC 9846,
// Section 4).
func AppendHeader(b []byte, t Type, n int) []byte { return codec.AppendUint24(append(b, byte(t)), n) }

// ParseHeader reads that header. ok is false if b is too short.
func ParseHeader(b []byte) (t Type, n int, ok bool) {
	if len(b) < 4 {
		return 0, 0, false
	}
	return Type(b[0]), int(b[1])<<16 | int(b[2])<<8 | int(b[3]), true
}

// AppendMessage appends a message with that body. It serves messages without fields,
// such as ServerHelloDone.
func AppendMessage(b []byte, t Type, body []byte) []byte {
	return append(AppendHeader(b, t, len(body)), body...)
}
