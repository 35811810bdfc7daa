// Package session is what two sides remember of a connection to resume it: the
// client in its cache, the server sealed in the ticket that it gives away. Both
// have the same stable form of bytes.
package session

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/hermetic-tls/hermetic/internal/version"
)

// Session is one session that can be resumed.
type Session struct {
	Version   uint16 // version.TLS12 or version.TLS13
	Transport version.Transport
	Suite     uint16
	Group     uint16
	Secret    []byte // TLS 1.3: the PSK of the ticket. TLS 1.2: the main secret
	EMS       bool   // TLS 1.2: RFC 7627
	RawLocal  bool   // we have shown a raw public key (RFC 7250)

	Began        time.Time     // when the peers have authenticated, to the millisecond
	Created      time.Time     // when the ticket was issued or came
	Lifetime     time.Duration // of the ticket, in whole seconds
	AgeAdd       uint32        // ticket_age_add
	MaxEarlyData uint32        // bytes of 0-RTT data; 0: none
	Ticket       []byte        // on a client
	ID           []byte        // on a client of TLS 1.2: the session id, instead of a ticket

	// What the handshake has found out, and a resumption does not ask again.
	ServerName string
	ALPN       string
	PeerScheme uint16
	PeerChain  [][]byte // DER, leaf first
	PeerKey    []byte   // a raw public key: SubjectPublicKeyInfo
	PSK        *PSK     // the external PSK that it began with, or nil
	OCSP       []byte
	SCTs       []byte
}

// PSK is what is remembered of an external PSK.
type PSK struct {
	Identity []byte
	Digest   [16]byte // of the key: with another one under its name, the session is over
}

// Equal reports whether both are the same key.
func (p *PSK) Equal(other *PSK) bool {
	return string(p.Identity) == string(other.Identity) && subtle.ConstantTimeCompare(p.Digest[:], other.Digest[:]) == 1
}

// ErrFormat: bytes that are not a session, or of a form that is not known.
var ErrFormat = errors.New("not the form of a session")

// format is the first byte of a session's form. A change of the form gets
// another.
const format = 1

// The bits of the second byte.
const (
	flagDatagram = 1 << iota
	flagEMS
	flagRawLocal
	flagPSK // it has one, as its last part
)

// MaxTicket is how large a ticket may be, in bytes: it must fit a ClientHello, with
// all that else there is.
const MaxTicket = 1 << 14

// Limits on what Parse accepts.
const (
	maxSecret = 64
	maxName   = 255
	maxChain  = 255
	maxPSK    = 1<<15 - 1
)

// Keepable reports whether s has a form, and can be offered: names, chains and
// tickets beyond all measure do not.
func (s *Session) Keepable() bool {
	return 0 < len(s.Secret) && len(s.Secret) <= maxSecret && len(s.ServerName) <= maxName && len(s.ALPN) <= maxName &&
		len(s.ID) <= maxName && len(s.PeerChain) <= maxChain && len(s.Ticket) <= MaxTicket &&
		(s.PSK == nil || 0 < len(s.PSK.Identity) && len(s.PSK.Identity) <= maxPSK)
}

// Age is how old the ticket is.
func (s *Session) Age(now time.Time) time.Duration { return now.Sub(s.Created) }

// Expired reports whether the ticket's time is over, or has not come.
func (s *Session) Expired(now time.Time) bool {
	age := s.Age(now)
	return age < -time.Minute || age >= s.Lifetime
}

// Append appends the form of a session that is Keepable. It holds the secret.
func (s *Session) Append(dst []byte) []byte {
	b := append(slices.Grow(dst, 256+len(s.Ticket)), format)
	var flags uint8
	if s.Transport == version.Datagram {
		flags |= flagDatagram
	}
	if s.EMS {
		flags |= flagEMS
	}
	if s.RawLocal {
		flags |= flagRawLocal
	}
	if s.PSK != nil {
		flags |= flagPSK
	}
	b = append(b, flags)
	for _, v := range []uint16{s.Version, s.Suite, s.Group, s.PeerScheme} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(s.Began.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(s.Created.UnixMilli()))
	for _, v := range []uint32{uint32(s.Lifetime / time.Second), s.AgeAdd, s.MaxEarlyData} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	b = append8(b, s.Secret)
	b = append8(b, s.ServerName)
	b = append8(b, s.ALPN)
	b = append8(b, s.ID)
	for _, v := range [][]byte{s.Ticket, s.PeerKey, s.OCSP, s.SCTs} {
		b = append24(b, v)
	}
	b = append(b, uint8(len(s.PeerChain)))
	for _, der := range s.PeerChain {
		b = append24(b, der)
	}
	if s.PSK != nil {
		b = append(append24(b, s.PSK.Identity), s.PSK.Digest[:]...)
	}
	return b
}

// append8 appends v behind its length, which fits in what is Keepable; so does
// append24.
func append8[T string | []byte](b []byte, v T) []byte { return append(append(b, uint8(len(v))), v...) }

func append24(b, v []byte) []byte {
	return append(append(b, uint8(len(v)>>16), uint8(len(v)>>8), uint8(len(v))), v...)
}

// Parse reads what Append has written. The session aliases data.
func Parse(data []byte) (*Session, error) {
	b := cryptobyte.String(data)
	var s Session
	var form, flags, chain uint8
	var began, created uint64
	var lifetime uint32
	var name, alpn cryptobyte.String
	ok := b.ReadUint8(&form) && form == format &&
		b.ReadUint8(&flags) && flags&^(flagDatagram|flagEMS|flagRawLocal|flagPSK) == 0 &&
		b.ReadUint16(&s.Version) && b.ReadUint16(&s.Suite) && b.ReadUint16(&s.Group) && b.ReadUint16(&s.PeerScheme) &&
		b.ReadUint64(&began) && began <= math.MaxInt64 && b.ReadUint64(&created) && created <= math.MaxInt64 &&
		b.ReadUint32(&lifetime) && b.ReadUint32(&s.AgeAdd) && b.ReadUint32(&s.MaxEarlyData) &&
		read8(&b, &s.Secret) && 0 < len(s.Secret) && len(s.Secret) <= maxSecret &&
		b.ReadUint8LengthPrefixed(&name) && b.ReadUint8LengthPrefixed(&alpn) && read8(&b, &s.ID) &&
		read24(&b, &s.Ticket) && read24(&b, &s.PeerKey) && read24(&b, &s.OCSP) && read24(&b, &s.SCTs) &&
		b.ReadUint8(&chain)
	for range chain {
		var der []byte
		ok = ok && read24(&b, &der)
		s.PeerChain = append(s.PeerChain, der)
	}
	if flags&flagPSK != 0 {
		s.PSK = new(PSK)
		ok = ok && read24(&b, &s.PSK.Identity) && 0 < len(s.PSK.Identity) && len(s.PSK.Identity) <= maxPSK && b.CopyBytes(s.PSK.Digest[:])
	}
	if !ok || !b.Empty() {
		return nil, ErrFormat
	}
	if flags&flagDatagram != 0 {
		s.Transport = version.Datagram
	}
	s.EMS, s.RawLocal = flags&flagEMS != 0, flags&flagRawLocal != 0
	s.Began = time.UnixMilli(int64(began))
	s.Created = time.UnixMilli(int64(created))
	s.Lifetime = time.Duration(lifetime) * time.Second
	s.ServerName, s.ALPN = string(name), string(alpn)
	return &s, nil
}

func read8(b *cryptobyte.String, v *[]byte) bool {
	var s cryptobyte.String
	ok := b.ReadUint8LengthPrefixed(&s)
	*v = present(s)
	return ok
}

func read24(b *cryptobyte.String, v *[]byte) bool {
	var s cryptobyte.String
	ok := b.ReadUint24LengthPrefixed(&s)
	*v = present(s)
	return ok
}

// present is nil for what is not there.
func present(s cryptobyte.String) []byte {
	if len(s) == 0 {
		return nil
	}
	return s
}
