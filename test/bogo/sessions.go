package main

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// sessions is what a client keeps from one connection for the next, in the way
// that the runner expects it: the last session, whatever its server.
type sessions struct {
	last *hermetic.Session
	got  bool      // one has come on this connection
	now  time.Time // it goes on with the runner's clock only
}

func (s *sessions) Get(string) *hermetic.Session { return s.last }

func (s *sessions) Put(_ string, session *hermetic.Session) { s.last, s.got = session, true }

// ticketKeys are the server's, the same for all connections.
var ticketKeys = []hermetic.TicketKey{{'b', 'o', 'g', 'o'}}

// maxEarlyData is BoringSSL's.
const maxEarlyData = 14336

// trusting is a ReplayGuard for a process that has not run for long.
type trusting struct{}

func (trusting) Unseen([]byte, time.Time) bool { return true }

// keepSessions configures sessions and PSKs.
func (c *connection) keepSessions(cfg *hermetic.Config) {
	o := c.o
	if c.kept.now.IsZero() {
		c.kept.now = time.Now()
	}
	if o.resumes {
		c.kept.now = c.kept.now.Add(time.Duration(o.resumptionDelay) * time.Second)
	}
	cfg.Time = func() time.Time { return c.kept.now }
	c.kept.got = false
	cfg.Tickets = 2 // as BoringSSL
	cfg.TicketKeys, cfg.NoTickets = hermetic.StaticTicketKeys(ticketKeys...), o.noTicket
	if !o.server {
		if !o.resumes {
			c.kept.last = nil
		}
		if !o.noTicket {
			cfg.SessionCache = c.kept
		}
	}
	if o.earlyData && !o.dtls { // BoringSSL has none over DTLS
		cfg.EarlyData, cfg.MaxEarlyData, cfg.ReplayGuard = true, maxEarlyData, trusting{}
	}
	if o.psk != "" {
		cfg.PSKs = append(cfg.PSKs, hermetic.PSK{Identity: []byte(o.pskIdentity), Key: []byte(o.psk)})
	}
	for _, cred := range o.credentials {
		if p := cred.psk; p != nil {
			psk := hermetic.PSK{Identity: p.identity, Key: p.key, Context: p.context, Import: true, Hash: crypto.SHA256}
			if p.sha384 {
				psk.Hash = crypto.SHA384
			}
			cfg.PSKs = append(cfg.PSKs, psk)
		}
	}
	if len(cfg.PSKs) > 0 && cfg.ClientAuth == tls.RequireAnyClientCert {
		cfg.ClientAuth = tls.RequestClientCert // a client with a PSK shows none
	}
	if len(cfg.PSKs) > 0 && len(cfg.Certificates) == 0 && !o.verifyPeer {
		// Only a PSK will do.
		cfg.GetCertificate, cfg.InsecureSkipVerify = nil, false
		cfg.Async &^= hermetic.AsyncCertificate
	}
	if o.async {
		cfg.Async |= hermetic.AsyncTicketKeys | hermetic.AsyncReplay
		if cfg.SessionCache != nil {
			cfg.Async |= hermetic.AsyncSession
		}
	}
}

// halfRTT reports that a server has accepted early data, and can write before
// the handshake is complete.
func (c *connection) halfRTT() bool {
	return c.o.server && c.engine.State().EarlyDataAccepted && c.engine.Pending() == nil
}

// sendEarly sends the first write of a client as early data, if it may, and
// reports whether the server took it.
func (c *connection) sendEarly() (sent bool, err error) {
	if c.o.server {
		return false, nil
	}
	c.engine.HasOutput() // begins
	for p := c.engine.Pending(); p != nil; p = c.engine.Pending() {
		if err := c.answer(p); err != nil {
			return false, err
		}
	}
	if offered := c.engine.EarlyDataRoom() > 0; offered && c.o.expect.noOfferEarly {
		return false, errors.New("early data is offered")
	} else if !offered {
		return false, nil
	}
	if err := c.flush(); err != nil {
		return false, err
	}
	if err := c.export(); err != nil { // there is no exporter yet
		return false, err
	}
	var rest []byte
	if c.o.unfinishedWrite {
		if err := c.lateEarly(); err != nil {
			return false, err
		}
	} else if c.o.writesFirst {
		rest = bytes.Repeat([]byte(c.o.initialWrite), c.o.repeatWrite)
		n := min(len(rest), c.engine.EarlyDataRoom())
		for piece := range slices.Chunk(rest[:n], len(c.o.initialWrite)) {
			out, err := c.engine.SealEarlyData(nil, piece)
			if err != nil {
				return false, err
			}
			if err := c.writeSealed(out); err != nil {
				return false, err
			}
		}
		rest = rest[n:]
	}
	for !c.engine.HandshakeComplete() {
		if err := c.next(); err != nil {
			return false, unexpectedEOF(err)
		}
	}
	accepted := c.engine.State().EarlyDataAccepted
	if !accepted {
		if !c.o.expect.rejectEarly {
			return false, errors.New("early data was rejected")
		}
		c.o = c.retry
	}
	if accepted && len(rest) > 0 {
		err = c.write(rest)
	}
	return accepted && (c.o.writesFirst || c.o.unfinishedWrite), err
}

// lateEarly writes early data that is stuck until the server has answered.
func (c *connection) lateEarly() error {
	out, err := c.engine.SealEarlyData(nil, []byte(c.o.initialWrite))
	if err != nil {
		return err
	}
	if _, err := c.socket.Write(out[:1]); err != nil {
		return err
	}
	if err := c.receive(); err != nil {
		return err
	}
	_, err = c.socket.Write(out[1:])
	return err
}

// checkSession compares what became of the session with what is expected.
func (c *connection) checkSession(s hermetic.ConnectionState) error {
	o, e := c.o, &c.o.expect
	if o.resumes && s.DidResume == e.sessionMiss {
		return fmt.Errorf("session reused: %v", s.DidResume)
	}
	if !o.server && s.Version < 0x0304 && !o.implicit {
		want := !e.noSession && (!s.DidResume || e.ticketRenewal)
		if want != c.kept.got && !o.noTicket {
			return fmt.Errorf("new session: %v", c.kept.got)
		}
	}
	switch accepted := s.EarlyDataAccepted; {
	case e.acceptEarly && !accepted:
		return errors.New("early data was not accepted")
	case e.rejectEarly && accepted:
		return errors.New("early data was accepted")
	case e.earlyReason != "" && (e.earlyReason == "accept") != accepted:
		return fmt.Errorf("early data accepted: %v, expected %s", accepted, e.earlyReason)
	}
	return nil
}

// checkTicket looks at the tickets of TLS 1.3, which come late.
func (c *connection) checkTicket() error {
	o := c.o
	if o.server || o.noTicket || c.engine.State().Version < 0x0304 {
		return nil
	}
	if want := !o.expect.noSession && !o.shutsDown; want != c.kept.got {
		return fmt.Errorf("new session: %v", c.kept.got)
	} else if want && o.expect.ticketEarlyData != (c.kept.last.MaxEarlyData() > 0) {
		return fmt.Errorf("the ticket permits %d bytes of early data", c.kept.last.MaxEarlyData())
	}
	return nil
}
