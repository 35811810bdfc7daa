package handshake

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	errNoPSKModes  = alert.New(alert.MissingExtension, "the client offers a PSK without psk_key_exchange_modes")
	errWrongBinder = alert.New(alert.DecryptError, "a PSK binder is wrong: the two sides have different keys, or saw different hellos")
	errUnknownPSK  = alert.New(alert.DecryptError, "the client's PSK is unknown, and the server has no certificate")
	errPSKRequired = alert.New(alert.MissingExtension, "the server does not know the PSK, and there is no ServerName to verify a certificate by")
	errSelectedPSK = alert.New(alert.IllegalParameter, "the server chose a PSK that was not offered, or not with its hash")
	errPSKMode     = alert.New(alert.HandshakeFailure, "the client offers its PSKs without psk_dhe_ke, the only mode here: psk_ke has no forward secrecy")
	errPSKGone     = alert.New(alert.MissingExtension, "the second ClientHello lacks the PSK of the first")
	errPSKsChanged = alert.New(alert.IllegalParameter, "the PSKs of the second ClientHello are not those of the first")
)

// maxAsked is how many of a client's PSKs the caller is asked about, which may need a
// database. All of them are looked up in the server's own configuration.
const maxAsked = 64

// pskDHE is psk_dhe_ke, the only PSK mode here: it keeps forward secrecy (RFC
// 9846, Section 4.3.9).
const pskDHE = 1

// PSK is a key that both sides had before the handshake: a session's, or an external one.
type PSK struct {
	Identity []byte
	Key      []byte
	Hash     crypto.Hash      // of TLS 1.3
	Kind     suite.BinderKind // of TLS 1.3
	In12     bool             // usable in TLS 1.2
	External *session.PSK     // as configured, before it was imported; nil: a session
	Session  *session.Session // nil: external
}

// SessionPSK is a session of TLS 1.3 as a PSK.
func SessionPSK(s *session.Session) *PSK {
	return &PSK{Identity: s.Ticket, Key: s.Secret, Hash: suite.ByID(s.Suite).Hash, Kind: suite.ResumptionBinder, Session: s}
}

// offeredPSK is a PSK in a ClientHello.
type offeredPSK struct {
	*PSK
	early *suite.EarlySecret
}

// offerPSKs puts PSKs into the ClientHello, with their current ages. The binders are
// filled in when the message is complete.
func (c *clientStart) offerPSKs() {
	h := &c.hello
	h.PSK = wire.OfferedPSKs{}
	h.Has = h.Has.Minus(wire.Extensions(wire.ExtPreSharedKey))
	size := 0
	for _, p := range c.psks {
		size += 2 + len(p.Identity) + 4
	}
	h.PSK.Identities = make([]byte, 0, size)
	for _, p := range c.psks {
		h.PSK.Identities = wire.AppendPSKIdentity(h.PSK.Identities, wire.PSKIdentity{Identity: p.Identity, TicketAge: c.ticketAge(p.PSK)})
		h.PSK.Binders = wire.AppendPSKBinder(h.PSK.Binders, make([]byte, p.Hash.Size()))
	}
	if len(c.psks) > 0 {
		h.Has.Add(wire.ExtPreSharedKey)
	}
}

// ticketAge is obfuscated_ticket_age (RFC 9846, Section 4.3.11.1), which is 0 for an
// external PSK.
func (c *clientStart) ticketAge(p *PSK) uint32 {
	if p.Session == nil {
		return 0
	}
	return uint32(p.Session.Age(c.params.Now()).Milliseconds()) + p.Session.AgeAdd
}

// bind fills in the binders of msg, a whole ClientHello.
func (c *clientStart) bind(msg []byte) {
	truncated := msg[:len(msg)-c.hello.PSK.BindersLen()]
	b := truncated[len(truncated) : len(truncated)+2] // the length stays
	for _, p := range c.psks {
		b = append(b, byte(p.Hash.Size()))
		b = p.early.Binder(b, p.Kind, c.transcript.partial(p.Hash, truncated))
	}
}

// choosePSK looks for the first of the client's PSKs that is known and usable,
// and continues with next. The transcript ends before the ClientHello.
func (s *server13) choosePSK(next func() (step, error)) (step, error) {
	s.psk, s.early, s.identity = nil, nil, nil
	h := &s.hello
	switch {
	case !h.Has.Has(wire.ExtPreSharedKey) || !s.params.AcceptPSK:
		return next()
	case !slices.Contains(h.PSKModes, pskDHE) && s.params.OnlyPSK:
		return step{}, errPSKMode
	case !slices.Contains(h.PSKModes, pskDHE):
		return next()
	}
	return s.tryPSK(s.hello.PSK, 0, 0, next)
}

// tryPSK tries the PSKs in rest, the first of which is the client's i-th; about asked
// of those before it others were asked.
func (s *server13) tryPSK(rest wire.OfferedPSKs, i, asked int, next func() (step, error)) (step, error) {
	identity, mac, rest, ok := rest.Cut()
	if !ok {
		if s.params.OnlyPSK {
			return step{}, s.unknownPSK()
		}
		return next()
	}
	q := &FindPSK{Identity: identity.Identity, Tickets: true, External: true, Own: asked == maxAsked, Last: len(rest.Identities) == 0}
	return ask(q, func() (step, error) {
		if q.Asked {
			asked++
		}
		if q.PSK == nil || !s.usable(q.PSK) {
			return s.tryPSK(rest, i+1, asked, next)
		}
		early, ok := s.checkBinder(q.PSK, mac)
		if !ok {
			return step{}, errWrongBinder
		}
		return s.askResume(q.PSK.Session, identity.Identity, func(r Resume) (step, error) {
			if r.Decline {
				return s.tryPSK(rest, i+1, min(asked+1, maxAsked), next)
			}
			s.psk, s.early, s.identity = q.PSK, early, identity.Identity
			s.selected, s.pskAge = uint16(i), identity.TicketAge
			return next()
		})
	}), nil
}

// askResume asks whether to resume a session, if the configuration wants to be asked, and
// continues with next. A ticket that comes again after a HelloRetryRequest has its answer.
func (s *serverStart) askResume(old *session.Session, ticket []byte, next func(Resume) (step, error)) (step, error) {
	if old == nil || !s.params.AskResume {
		return next(Resume{})
	}
	for _, a := range s.asked {
		if bytes.Equal(a.ticket, ticket) {
			return next(a.answer)
		}
	}
	q := &Resume{Session: old}
	return ask(q, func() (step, error) {
		s.asked = append(s.asked, askedTicket{ticket, *q})
		return next(*q)
	}), nil
}

// askedTicket is a ticket and what was decided about it.
type askedTicket struct {
	ticket []byte // in the body of a ClientHello
	answer Resume
}

// checkBinder compares a binder with that of p.
func (s *server13) checkBinder(p *PSK, binder []byte) (*suite.EarlySecret, bool) {
	early := suite.NewEarlySecret(p.Hash, s.conn.prefix(), p.Key)
	want := early.Binder(s.scratch[:0], p.Kind, s.transcript.partial(p.Hash, s.truncated()))
	return early, subtle.ConstantTimeCompare(want, binder) == 1
}

// unknownPSK fails as a wrong binder does, after the same work: its duration
// does not reveal which identities are known (RFC 9846, Appendix F.6). A binder
// is as long as its hash.
func (s *server13) unknownPSK() error {
	_, binder, _ := s.hello.PSK.At(0)
	p := PSK{Key: make([]byte, 32), Hash: crypto.SHA256, Kind: suite.ExternalBinder}
	if len(binder) == crypto.SHA384.Size() {
		p.Hash = crypto.SHA384
	}
	s.checkBinder(&p, binder)
	return errUnknownPSK
}

// comparePSKs compares the PSKs of a second ClientHello with those of the first, of
// which chosen is the one that was chosen, or nil: RFC 9846, Section 4.2.2: the client
// may leave out those that do not fit the cipher suite.
func (s *server13) comparePSKs(first wire.OfferedPSKs, chosen []byte) error {
	second := s.hello.PSK
	switch {
	case chosen != nil && !s.hello.Has.Has(wire.ExtPreSharedKey):
		return errPSKGone
	case !second.PartOf(first) || chosen != nil && !second.Has(chosen):
		return errPSKsChanged
	}
	return nil
}

// truncated is the ClientHello up to its binders.
func (s *server13) truncated() []byte {
	b := wire.AppendHeader(s.scratch[:0], wire.TypeClientHello, len(s.body))
	return append(b, s.body[:len(s.body)-s.hello.PSK.BindersLen()]...)
}

// usable reports whether p fits this handshake.
func (s *server13) usable(p *PSK) bool {
	switch {
	case s.conn.Suite != nil: // chosen by a HelloRetryRequest
		if s.conn.Suite.Hash != p.Hash {
			return false
		}
	case s.chooseSuite(func(c *suite.Suite) bool { return c.Hash == p.Hash }) == nil:
		return false
	}
	return p.Session == nil || s.resumable(p.Session)
}

// resumable reports whether this client may resume the session now: RFC 9846,
// Section 4.7.1.
func (s *serverStart) resumable(old *session.Session) bool {
	return old.Version == s.conn.Version && old.Transport == s.conn.Transport &&
		old.ServerName == s.hello.ServerName && suite.ByID(old.Suite) != nil && s.hello.CipherSuites.Contains(old.Suite) && !old.Expired(s.params.Now()) &&
		s.params.allows(old)
}

// RestorePeer is the peer that a session remembers, or nil if there was none.
func RestorePeer(s *session.Session, chains *pki.Cache) (*Peer, error) {
	if len(s.PeerChain) == 0 && s.PeerKey == nil {
		return nil, nil
	}
	p := &Peer{Verified: s.Verified}
	p.staple(s.OCSP, s.SCTs)
	var err error
	if len(s.PeerChain) > 0 {
		p.Chain, err = chains.Get(s.PeerChain)
	} else {
		p.RawKey, err = chains.RawKey(s.PeerKey)
	}
	return p, err
}

// resume takes over what the session remembers.
func (m *Machine) resume(old *session.Session) (err error) {
	m.conn.Resumed = true
	m.conn.began, m.conn.rawLocal, m.conn.PSK = old.Began.UnixMilli(), old.RawLocal, old.PSK
	m.conn.PeerScheme = suite.Scheme(old.PeerScheme)
	m.conn.Peer, err = RestorePeer(old, m.params.Chains)
	return err
}

// usePSK records which PSK was selected.
func (m *Machine) usePSK(p *PSK) error {
	if p.Session != nil {
		return m.resume(p.Session)
	}
	m.conn.PSK = p.External
	return nil
}
