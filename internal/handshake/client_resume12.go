package handshake

import (
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	errResumedSuite = alert.New(alert.IllegalParameter, "the server resumes the session with another cipher suite")
	errResumedEMS   = alert.New(alert.HandshakeFailure, "the server resumes the session but not its use of extended_main_secret")
)

// ticketHint is how long a session of TLS 1.2 is kept when its server sends no
// hint (RFC 5077, Section 5.6).
const ticketHint = 24 * time.Hour

// resume12 continues with an abbreviated handshake, with the keys in brackets (RFC
// 5077, Section 3.1):
//
//	                        <-------- ServerHello
//	                        <-------- NewSessionTicket*
//	                        <-------- ChangeCipherSpec, [Finished]
//	ChangeCipherSpec, [Finished] ---->
//	[data]                  <-------> [data]
func (c *client12) resume12() (step, error) {
	switch {
	case c.conn.Suite.ID != c.old.Suite:
		return step{}, errResumedSuite
	case c.conn.EMS != c.old.EMS:
		return step{}, errResumedEMS // RFC 7627, Section 5.3
	}
	if err := c.resume(c.old); err != nil {
		return step{}, err
	}
	if c.conn.FragmentLength+c.conn.PeerSizeLimit == 0 {
		// RFC 6066, Section 4: the session's length applies to its resumptions too.
		c.conn.FragmentLength = c.old.FragmentLength
		c.conn.LimitRecords(c.out)
	}
	c.transcript.release()
	c.conn.Group = suite.Group(c.old.Group)
	c.keys = c.useMainSecret(c.old.Secret)
	return c.judge(c.expectEnd)
}

func (c *client12) onNewSessionTicket(msg wire.Message) (step, error) {
	if err := c.ticket.Parse(msg.Body); err != nil {
		return step{}, err
	}
	c.ticket.Ticket = slices.Clone(c.ticket.Ticket)
	c.transcript.add(msg)
	return c.expectFinished()
}

// keepSession makes a session of the server's ticket, or of its session id.
func (c *client12) keepSession() {
	if !c.params.AskSession || len(c.ticket.Ticket) == 0 && (len(c.id) == 0 || c.conn.Resumed) {
		return
	}
	s := c.conn.session(c.params.Now(), c.keys.main)
	s.Lifetime = ticketHint
	if hint := time.Duration(c.ticket.Lifetime) * time.Second; hint > 0 {
		s.Lifetime = min(hint, maxTicketLife)
	}
	if s.Ticket = c.ticket.Ticket; len(s.Ticket) == 0 {
		s.ID = c.id
	}
	c.conn.ticket = s
}
