package handshake

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// maxTicketLife: RFC 9846, Section 4.7.1: "Servers MUST NOT use any value greater
// than 604800 seconds (7 days)", and clients keep none longer.
const maxTicketLife = 7 * 24 * time.Hour

var errTicketLife = alert.New(alert.IllegalParameter, "a ticket's lifetime exceeds seven days")

// session returns what can be resumed of this connection, without the ticket.
func (c *Connection) session(now time.Time, secret []byte) *session.Session {
	s := &session.Session{
		Version:        c.Version,
		Transport:      c.Transport,
		Suite:          c.Suite.ID,
		Group:          uint16(c.Group),
		Secret:         secret,
		EMS:            c.EMS,
		RawLocal:       c.rawLocal,
		Began:          now.Truncate(time.Millisecond),
		Created:        now.Truncate(time.Millisecond),
		ServerName:     c.ServerName,
		ALPN:           c.ALPN,
		PeerScheme:     uint16(c.PeerScheme),
		FragmentLength: c.FragmentLength,
		PSK:            c.PSK,
	}
	if c.Resumed {
		s.Began = time.UnixMilli(c.began)
	}
	if p := c.Peer; p != nil {
		s.OCSP, s.SCTs, s.Verified = p.OCSP(), p.SCTs(), p.Verified
		if p.Chain != nil {
			s.PeerChain = p.Chain.DER()
		} else {
			s.PeerKey = pki.MarshalRawKey(p.RawKey)
		}
	}
	return s
}

// TakeSession returns the session that has arrived since the last call, or nil.
func (c *Connection) TakeSession() *session.Session {
	s := c.ticket
	c.ticket = nil
	return s
}

// onNewSessionTicket takes a ticket of TLS 1.3: RFC 9846, Section 4.7.1.
func (s *secrets13) onNewSessionTicket(c *Connection, msg wire.Message, now func() time.Time) error {
	var t wire.NewSessionTicket13
	if err := t.Parse(msg.Body); err != nil {
		return err
	}
	life := time.Duration(t.Lifetime) * time.Second
	if life > maxTicketLife {
		return errTicketLife
	}
	if len(s.resumption()) == 0 || life == 0 {
		return nil
	}
	c.ticket = c.session(now(), suite.ResumptionPSK(c.Suite.Hash, c.prefix(), s.resumption(), t.Nonce))
	c.ticket.Lifetime, c.ticket.AgeAdd, c.ticket.MaxEarlyData = life, t.AgeAdd, t.MaxEarlyData
	c.ticket.Ticket = slices.Clone(t.Ticket)
	return nil
}

// sendTickets sends the tickets of TLS 1.3 from the n-th on, asking for each, and ends
// the handshake.
func (s *server13) sendTickets(resumption []byte, n int) (step, error) {
	if n == s.params.Tickets {
		return s.finish()
	}
	random := s.scratch[:4]
	if err := s.random(random); err != nil {
		return step{}, err
	}
	// RFC 9846, Section 4.7.1: a session's original authentication must be repeated
	// eventually, however often it is resumed.
	state := s.conn.session(s.params.Now(), suite.ResumptionPSK(s.conn.Suite.Hash, s.conn.prefix(), resumption, []byte{byte(n)}))
	state.Lifetime = min(s.params.TicketLife, maxTicketLife-state.Created.Sub(state.Began)).Truncate(time.Second)
	if state.Lifetime <= 0 {
		return s.finish()
	}
	state.AgeAdd = binary.BigEndian.Uint32(random)
	state.MaxEarlyData = s.params.MaxEarlyData
	return s.sealTicket(state, func(ticket []byte) (step, error) {
		if ticket == nil {
			return s.finish()
		}
		nst := wire.NewSessionTicket13{
			Lifetime:     uint32(state.Lifetime / time.Second),
			AgeAdd:       state.AgeAdd,
			Nonce:        []byte{byte(n)},
			Ticket:       ticket,
			MaxEarlyData: state.MaxEarlyData,
		}
		if nst.MaxEarlyData > 0 {
			nst.Has.Add(wire.ExtEarlyData)
		}
		s.out.Send(nst.Append(s.scratch[:0]))
		return s.sendTickets(resumption, n+1)
	})
}

// sealTicket asks for the ticket of state, and continues with next. A nil ticket means
// that there is none.
func (m *Machine) sealTicket(state *session.Session, next func(ticket []byte) (step, error)) (step, error) {
	if !state.Keepable() {
		return next(nil)
	}
	q := &SealTicket{Session: state}
	return ask(q, func() (step, error) {
		if len(q.Ticket) > session.MaxTicket {
			q.Ticket = nil // the chain of certificates is too large
		}
		return next(q.Ticket)
	}), nil
}

// wantsTickets reports whether the client could use one: RFC 9846, Section
// 4.3.9: "Servers SHOULD NOT send NewSessionTicket with tickets that are not
// compatible with the advertised modes".
func (s *server13) wantsTickets() bool {
	return s.params.Tickets > 0 && slices.Contains(s.hello.PSKModes, pskDHE)
}
