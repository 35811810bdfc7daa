package hermetic

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"
)

// countingCache counts the sessions that it gets.
type countingCache struct {
	SessionCache
	puts int
	last *Session
}

func (c *countingCache) Put(key string, s *Session) {
	c.puts, c.last = c.puts+1, s
	c.SessionCache.Put(key, s)
}

// TestResumeSession: the server resumes, renews or declines a session, and is asked once.
func TestResumeSession(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		for _, c := range []struct {
			answer  Resumption
			resumed bool
			renewed bool // a new ticket comes
			failure bool
		}{
			{ResumeAccept, true, version == tls.VersionTLS13, false},
			{ResumeRenew, true, true, false},
			{ResumeDecline, false, true, false},
			{ResumeDecline + 1, false, false, true},
		} {
			client, server, now := sessionConfigs(t, version)
			cache := &countingCache{SessionCache: client.SessionCache}
			client.SessionCache = cache
			newMeeting(t, datagram, client, server).settle(now)
			issued := now.now
			now.now = now.now.Add(time.Hour)
			before, asked := cache.last, 0
			server = server.Clone()
			server.ResumeSession = func(s *ResumableSession) Resumption {
				asked++
				if s.State.Version != version || s.State.ServerName != "localhost" || !s.State.DidResume || s.Began.After(s.Issued) ||
					s.Issued.Sub(issued).Abs() > time.Minute || s.Expires.Sub(s.Issued) != 24*time.Hour {
					t.Errorf("the session is %+v", s)
				}
				return c.answer
			}
			m := newMeeting(t, datagram, client, server)
			if c.failure {
				var fault *AlertError
				if err := m.run(); !errors.As(err, &fault) || fault.Alert != AlertInternalError || !strings.Contains(err.Error(), "ResumeSession returned Resumption(3)") {
					t.Errorf("%v: %v", c.answer, err)
				}
				continue
			}
			m.settle(now)
			if got := m.server.State().DidResume; got != c.resumed || asked != 1 {
				t.Errorf("%v: resumed %v, asked %d times", c.answer, got, asked)
			}
			if renewed := cache.last != before; renewed != c.renewed {
				t.Errorf("%v: a new ticket: %v", c.answer, renewed)
			}
			// What the client has now can be resumed again.
			if c.renewed {
				issued = now.now
			}
			again := newMeeting(t, datagram, client, server)
			if again.settle(now); asked != 2 {
				t.Errorf("%v: the next connection asked %d times", c.answer, asked-1)
			}
		}
	})
}

// TestRenewedTicketsExpire: however often a session is renewed, it ends seven days after its
// full handshake.
func TestRenewedTicketsExpire(t *testing.T) {
	for _, version := range versions {
		client, server, now := sessionConfigs(t, version)
		server.TicketLifetime, server.TicketKeys = 3*24*time.Hour, StaticTicketKeys(TicketKey{1})
		server.ResumeSession = func(*ResumableSession) Resumption { return ResumeRenew }
		for day, resumed := range []bool{false, true, true, true, true, false, true} {
			m := newMeeting(t, false, client, server)
			if m.settle(now); m.client.State().DidResume != resumed {
				t.Errorf("%s, connection %d: resumed %v", tls.VersionName(version), day, !resumed)
			}
			now.now = now.now.Add(36 * time.Hour)
		}
	}
}

// TestResumeSessionOnce: a ticket is asked about once although a HelloRetryRequest makes it
// come twice, and never if its binder is wrong, so that an observer cannot use it up.
func TestResumeSessionOnce(t *testing.T) {
	for _, datagram := range []bool{false, true} {
		client, server, now := sessionConfigs(t, tls.VersionTLS13)
		cache := &countingCache{SessionCache: client.SessionCache}
		client.SessionCache = cache
		newMeeting(t, datagram, client, server).settle(now)
		asked := 0
		server = server.Clone()
		server.ResumeSession = func(*ResumableSession) Resumption { asked++; return ResumeAccept }
		server.CurvePreferences = []tls.CurveID{tls.CurveP521}
		stolen := *cache.last.state
		m := newMeeting(t, datagram, client, server)
		if m.settle(now); asked != 1 || !m.client.State().DidResume || !m.client.State().HelloRetryRequest {
			t.Errorf("asked %d times, state %+v", asked, m.client.State())
		}
		stolen.Secret = make([]byte, len(stolen.Secret))
		thief := client.Clone()
		thief.SessionCache = always{&Session{state: &stolen}}
		if err := newMeeting(t, datagram, thief, server).run(); err == nil || asked != 1 {
			t.Errorf("with a wrong binder: asked %d times, %v", asked-1, err)
		}
	}
}

// TestDeclinedEarlyData: early data under a session that the server declines is rejected, and
// the connection continues.
func TestDeclinedEarlyData(t *testing.T) {
	client, server, now := sessionConfigs(t, tls.VersionTLS13)
	client.EarlyData, server.MaxEarlyData = true, 1000
	newMeeting(t, false, client, server).settle(now)
	server = server.Clone()
	server.ResumeSession = func(*ResumableSession) Resumption { return ResumeDecline }
	m := newMeeting(t, false, client, server)
	if err := m.sendEarly("too early"); err != nil {
		t.Fatal(err)
	}
	if m.settle(now); m.client.State().EarlyDataAccepted || m.client.State().DidResume || len(m.got.early) > 0 {
		t.Errorf("the early data %q arrived", m.got.early)
	}
}

// TestIssueTicket: a server decides for each ticket, knowing the client.
func TestIssueTicket(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		for _, issues := range []bool{true, false} {
			client, server, now := sessionConfigs(t, version)
			cache := &countingCache{SessionCache: client.SessionCache}
			client.SessionCache = cache
			server.Tickets = 3
			want := 3
			if version == tls.VersionTLS12 {
				want = 1
			}
			asked := 0
			server.IssueTicket = func(s ConnectionState) bool {
				asked++
				if s.ServerName != "localhost" || s.Version != version {
					t.Errorf("the state is %+v", s)
				}
				return issues
			}
			newMeeting(t, datagram, client, server).settle(now)
			if !issues {
				want = 0
			}
			if cache.puts != want || asked == 0 {
				t.Errorf("issued: %v: %d sessions, asked %d times", issues, cache.puts, asked)
			}
		}
	})
}
