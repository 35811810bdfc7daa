package handshake

import (
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var errLostEMS = alert.New(alert.HandshakeFailure, "the client resumes a session with extended_main_secret, and no longer offers it")

// openTicket asks what the client's ticket holds: RFC 5077, Section 3.1.
func (s *server12) openTicket() (step, error) {
	q := &FindPSK{Identity: s.hello.SessionTicket, Tickets: true}
	return ask(q, func() (step, error) {
		if q.PSK == nil || !s.resumable(q.PSK.Session) || !s.keepsFragments(q.PSK.Session.FragmentLength) {
			return s.fullHandshake()
		}
		old := q.PSK.Session
		s.conn.Suite = s.chooseSuite(func(c *suite.Suite) bool { return c.ID == old.Suite })
		switch {
		case s.conn.Suite == nil:
			return s.fullHandshake()
		case old.EMS && !s.conn.EMS:
			return step{}, errLostEMS // RFC 7627, Section 5.3
		case !old.EMS && s.conn.EMS:
			s.conn.Suite = nil
			return s.fullHandshake()
		}
		return s.askResume(old, q.Identity, func(r Resume) (step, error) {
			if r.Decline {
				s.conn.Suite = nil
				return s.fullHandshake()
			}
			s.renew = r.Renew
			return s.resume12(old)
		})
	}), nil
}

// resume12 continues with an abbreviated handshake, with the keys in brackets:
//
//	ClientHello             -------->
//	                        <-------- ServerHello, NewSessionTicket*
//	                        <-------- ChangeCipherSpec, [Finished]
//	ChangeCipherSpec, [Finished] ---->
//	[data]                  <-------> [data]
func (s *server12) resume12(old *session.Session) (step, error) {
	if err := s.resume(old); err != nil {
		return step{}, err
	}
	if err := s.chooseALPN(); err != nil {
		return step{}, err
	}
	s.conn.Group = suite.Group(old.Group)
	s.transcript.start(s.conn.Suite.Hash, s.conn.Transport)
	if err := s.sendServerHello(); err != nil {
		return step{}, err
	}
	s.keys = s.useMainSecret(slices.Clone(old.Secret))
	return s.judge(func() (step, error) {
		return s.sendTicket(func() (step, error) {
			s.sendFinished()
			return s.expectFinished()
		})
	})
}

// sendTicket sends the ticket that the ServerHello has promised, which may be
// empty, and continues with next.
func (s *server12) sendTicket(next func() (step, error)) (step, error) {
	if !s.issues() {
		return next()
	}
	state := s.conn.session(s.params.Now(), s.keys.main)
	state.Lifetime = s.params.TicketLife
	return s.sealTicket(state, func(ticket []byte) (step, error) {
		nst := wire.NewSessionTicket12{Ticket: ticket}
		if ticket != nil {
			nst.Lifetime = uint32(state.Lifetime / time.Second)
		}
		s.send(nst.Append(s.scratch[:0]))
		return next()
	})
}
