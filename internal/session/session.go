// Package session is what two sides remember of a connection to resume it: the
// client in its cache, the server sealed in the ticket that it gives away. Both
// have the same stable form of bytes.
package session

import (
	"crypto/subtle"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/codec"
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
	return codec.Append(slices.Grow(dst, 256+len(s.Ticket)), s.Fields)
}

// Parse reads what Append has written. The session aliases data.
func Parse(data []byte) (*Session, error) {
	s := new(Session)
	if !codec.Parse(data, s.Fields) {
		return nil, ErrFormat
	}
	return s, nil
}

// Fields is the form of a session.
func (s *Session) Fields(c *codec.Coder) {
	c.Const8(format)
	datagram, psk := s.Transport == version.Datagram, s.PSK != nil
	c.Flags(&datagram, &s.EMS, &s.RawLocal, &psk)
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
}

func (p *PSK) fields(c *codec.Coder) {
	c.Vec24(&p.Identity)
	c.Require(0 < len(p.Identity) && len(p.Identity) <= maxPSK)
	c.Fixed(p.Digest[:])
}

// milliseconds is a time, in milliseconds since 1970.
func milliseconds(c *codec.Coder, t *time.Time) {
	v := uint64(t.UnixMilli())
	c.Uint64(&v)
	c.Require(v <= math.MaxInt64)
	if !c.Appending {
		*t = time.UnixMilli(int64(v))
	}
}

// seconds is a duration in whole seconds.
func seconds(c *codec.Coder, d *time.Duration) {
	v := uint32(*d / time.Second)
	c.Uint32(&v)
	if !c.Appending {
		*d = time.Duration(v) * time.Second
	}
}
