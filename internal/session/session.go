// Package session defines what both sides remember of a connection in order to resume
// it. The client keeps it in its cache; the server seals it in a ticket. Both use the
// same stable encoding.
package session

import (
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/version"
)

// Session is a session that can be resumed.
type Session struct {
	Version   uint16 // version.TLS12 or version.TLS13
	Transport version.Transport
	Suite     uint16
	Group     uint16
	Secret    []byte // TLS 1.3: the PSK of the ticket. TLS 1.2: the main secret
	EMS       bool   // TLS 1.2: RFC 7627
	RawLocal  bool   // we have shown a raw public key (RFC 7250)

	Began        time.Time     // when the peers authenticated, in whole milliseconds
	Created      time.Time     // when the ticket was issued or received
	Lifetime     time.Duration // of the ticket, in whole seconds
	AgeAdd       uint32        // ticket_age_add
	MaxEarlyData uint32        // bytes of 0-RTT data; 0: none
	Ticket       []byte        // only on a client
	ID           []byte        // only on a client of TLS 1.2: the session ID, if there is no ticket

	// What the handshake negotiated, and a resumption does not negotiate again.
	ServerName     string
	ALPN           string
	PeerScheme     uint16
	FragmentLength uint16   // max_fragment_length, in bytes; 0: none
	PeerChain      [][]byte // DER, leaf first
	PeerKey        []byte   // a raw public key: SubjectPublicKeyInfo
	PSK            *PSK     // the external PSK of the original handshake, or nil
	OCSP           []byte
	SCTs           []byte

	// Verified are the chains that verification has built from PeerChain. They are not
	// encoded: a session that comes from elsewhere is verified again.
	Verified [][]*x509.Certificate
}

// PSK is what a session remembers of an external PSK.
type PSK struct {
	Identity []byte
	Digest   [16]byte // of the key: the session is no longer usable if the identity has another key
}

// Equal reports whether both are the same key.
func (p *PSK) Equal(other *PSK) bool {
	return string(p.Identity) == string(other.Identity) && subtle.ConstantTimeCompare(p.Digest[:], other.Digest[:]) == 1
}

// ErrFormat is returned for bytes that are not a session, or have an unknown format.
var ErrFormat = errors.New("not the form of a session")

// format is the first byte of an encoded session. Each change of the encoding gets a new
// value.
const format = 1

// MaxTicket is the largest ticket, in bytes. It must fit in a ClientHello, together with
// everything else.
const MaxTicket = 1 << 14

// Limits on what Parse accepts.
const (
	maxSecret = 64
	maxName   = 255
	maxChain  = 255
	maxPSK    = 1<<15 - 1
)

// Keepable reports whether s can be encoded and offered. Excessively large names, chains
// and tickets cannot.
func (s *Session) Keepable() bool {
	return 0 < len(s.Secret) && len(s.Secret) <= maxSecret && len(s.ServerName) <= maxName && len(s.ALPN) <= maxName &&
		len(s.ID) <= maxName && len(s.PeerChain) <= maxChain && len(s.Ticket) <= MaxTicket &&
		(s.PSK == nil || 0 < len(s.PSK.Identity) && len(s.PSK.Identity) <= maxPSK)
}

// Age returns the age of the ticket.
func (s *Session) Age(now time.Time) time.Duration { return now.Sub(s.Created) }

// Expired reports whether the ticket has expired, or is not valid yet.
func (s *Session) Expired(now time.Time) bool {
	age := s.Age(now)
	return age < -time.Minute || age >= s.Lifetime
}

// Append appends the encoding of a session that is Keepable. It contains the secret.
func (s *Session) Append(dst []byte) []byte {
	c := codec.Coder{Appending: true, Out: slices.Grow(dst, 256+len(s.Ticket))}
	s.Fields(&c)
	return c.Out
}

// Parse reads what Append has written. The session aliases data.
func Parse(data []byte) (*Session, error) {
	s, c := new(Session), codec.Coder{In: codec.Cursor{B: data}}
	if s.Fields(&c); !c.In.Done() {
		return nil, ErrFormat
	}
	return s, nil
}

// Fields codes a session.
func (s *Session) Fields(c *codec.Coder) {
	c.Const8(format)
	datagram, psk, fragments := s.Transport == version.Datagram, s.PSK != nil, s.FragmentLength != 0
	c.Flags(&datagram, &s.EMS, &s.RawLocal, &psk, &fragments)
	if !c.Appending && datagram {
		s.Transport = version.Datagram
	}
	for _, v := range []*uint16{&s.Version, &s.Suite, &s.Group, &s.PeerScheme} {
		c.Uint16(v)
	}
	milliseconds(c, &s.Began)
	milliseconds(c, &s.Created)
	seconds(c, &s.Lifetime)
	c.Uint32(&s.AgeAdd)
	c.Uint32(&s.MaxEarlyData)
	c.Filled8(&s.Secret)
	c.Require(len(s.Secret) <= maxSecret)
	c.String8(&s.ServerName)
	c.String8(&s.ALPN)
	c.Optional8(&s.ID)
	for _, v := range []*[]byte{&s.Ticket, &s.PeerKey, &s.OCSP, &s.SCTs} {
		c.Optional24(v)
	}
	codec.List8(c, &s.PeerChain, c.Optional24)
	if psk {
		if !c.Appending {
			s.PSK = new(PSK)
		}
		s.PSK.fields(c)
	}
	if fragments {
		c.Uint16(&s.FragmentLength)
		c.Require(s.FragmentLength != 0)
	}
}

func (p *PSK) fields(c *codec.Coder) {
	c.Vec24(&p.Identity)
	c.Require(0 < len(p.Identity) && len(p.Identity) <= maxPSK)
	c.Fixed(p.Digest[:])
}

// milliseconds codes a time, in milliseconds since 1970.
func milliseconds(c *codec.Coder, t *time.Time) {
	v := uint64(t.UnixMilli())
	c.Uint64(&v)
	c.Require(v <= math.MaxInt64)
	if !c.Appending {
		*t = time.UnixMilli(int64(v))
	}
}

// seconds codes a duration, in whole seconds.
func seconds(c *codec.Coder, d *time.Duration) {
	v := uint32(*d / time.Second)
	c.Uint32(&v)
	if !c.Appending {
		*d = time.Duration(v) * time.Second
	}
}
