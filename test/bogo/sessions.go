package main

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// sessions is what a client keeps from one connection for the next, in the way
// that the runner expects it: the last session, whatever its server.
type sessions struct {
	last *hermetic.Session
	got  bool      // one has come on this connection
	now  time.Time // moves only with the runner's clock
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
	if o.ticketCallback {
		c.ticketCallbacks(cfg)
	}
	if o.psk != "" {
		cfg.PSKs = append(cfg.PSKs, hermetic.PSK{Identity: []byte(o.pskIdentity), Key: []byte(o.psk)})
		cfg.PSKIdentityHint = []byte(o.pskIdentity)
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
		cfg.Async &^= hermetic.AsyncChoose
	}
	if o.questions() {
		cfg.Async |= hermetic.AsyncTicketKeys | hermetic.AsyncReplay
		if cfg.SessionCache != nil {
			cfg.Async |= hermetic.AsyncSession
		}
		if o.server && len(cfg.PSKs) > 0 {
			c.asked.psks, cfg.PSKs = cfg.PSKs, nil
			cfg.Async |= hermetic.AsyncPSK
		}
		if !o.server && len(cfg.PSKs) == 1 {
			c.asked.psks, cfg.PSKs = cfg.PSKs, nil
			cfg.Async |= hermetic.AsyncClientPSK
		}
	}
}

// ticketCallbacks decides about tickets as the runner's callbacks do.
func (c *connection) ticketCallbacks(cfg *hermetic.Config) {
	asked := false
	cfg.ResumeSession = func(*hermetic.ResumableSession) hermetic.Resumption {
		switch {
		case asked:
			return 99 // it must be called once
		case c.o.renewTicket:
			asked = true
			return hermetic.ResumeRenew
		}
		asked = true
		return hermetic.ResumeAccept
	}
	cfg.IssueTicket = func(hermetic.ConnectionState) bool { return !c.o.skipTicket }
}

// findPSK is the PSK of an identity, for a server that is asked.
func (c *connection) findPSK(identity []byte) *hermetic.PSK {
	for i := range c.asked.psks {
		if bytes.Equal(c.asked.psks[i].Identity, identity) {
			return &c.asked.psks[i]
		}
	}
	return nil
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
	if o.server || o.noTicket || c.state().Version < 0x0304 {
		return nil
	}
	if want := !o.expect.noSession && !o.shutsDown; want != c.kept.got {
		return fmt.Errorf("new session: %v", c.kept.got)
	} else if want && o.expect.ticketEarlyData != (c.kept.last.MaxEarlyData() > 0) {
		return fmt.Errorf("the ticket permits %d bytes of early data", c.kept.last.MaxEarlyData())
	}
	return nil
}
