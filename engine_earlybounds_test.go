package hermetic

import (
	"bytes"
	"crypto/tls"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// TestEarlyDataNotOffered: a client does not say that it sends early data where it may
// not, or where it would be for an ALPN protocol that it does not speak any more.
func TestEarlyDataNotOffered(t *testing.T) {
	for name, test := range map[string]struct {
		change func(c, s *Config) // before there is a session
		then   func(c *Config)
		want   bool
	}{
		"permitted":              {func(c, s *Config) {}, func(c *Config) {}, true},
		"not permitted":          {func(c, s *Config) { s.MaxEarlyData = 0 }, func(c *Config) {}, false},
		"not wanted":             {func(c, s *Config) {}, func(c *Config) { c.EarlyData = false }, false},
		"of the same protocol":   {alpn, func(c *Config) {}, true},
		"of a protocol of then":  {alpn, func(c *Config) { c.NextProtos = []string{"b"} }, false},
		"of none, and some now":  {func(c, s *Config) {}, func(c *Config) { c.NextProtos = []string{"b"} }, true},
		"of TLS 1.2, as it was":  {func(c, s *Config) { s.MaxVersion = tls.VersionTLS12 }, func(c *Config) {}, false},
		"of some, and none now ": {alpn, func(c *Config) { c.NextProtos = nil }, false},
	} {
		client, server, _ := earlyConfigs(t)
		test.change(client, server)
		newMeeting(t, false, client, server).finish()
		client = client.Clone()
		test.then(client)
		e, err := NewEngine(TLSClient, client)
		if err != nil {
			t.Fatal(err)
		}
		var h wire.ClientHello
		if err := h.Parse(alone(e.Output(nil))[9:], wire.Stream); err != nil {
			t.Fatal(err)
		}
		if offered := h.Has.Has(wire.ExtEarlyData); offered != test.want || e.EarlyDataRoom() > 0 != test.want {
			t.Errorf("%s: offered %v, room %d", name, offered, e.EarlyDataRoom())
		}
	}
}

// alpn lets a client and a server speak protocol a.
func alpn(c, s *Config) { c.NextProtos, s.NextProtos = []string{"a"}, []string{"a"} }

// alone is the first record, without the ChangeCipherSpec after it.
func alone(out []byte) []byte { return out[:5+int(out[3])<<8+int(out[4])] }

// TestEarlyDataReplayWithAnotherBinder: an attacker that repeats early data can change the
// binders of PSKs that the server does not choose, and so does not check. It still is a
// replay.
func TestEarlyDataReplayWithAnotherBinder(t *testing.T) {
	client, server, _ := earlyConfigs(t)
	newMeeting(t, false, client, server).finish()
	client = client.Clone()
	client.PSKs = []PSK{{Identity: []byte("device"), Key: []byte("0123456789abcdef")}}
	hello := alone(newMeeting(t, false, client, server).client.Output(nil))
	changed := bytes.Clone(hello)
	changed[len(changed)-1] ^= 1
	for i, in := range [][]byte{hello, changed} {
		e, err := NewEngine(TLSServer, server)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Open(in); err != nil {
			t.Fatal(err)
		}
		if s := e.State(); s.EarlyDataAccepted != (i == 0) || !s.DidResume {
			t.Errorf("hello %d: accepted %v, resumed %v", i, s.EarlyDataAccepted, s.DidResume)
		}
	}
}

// TestEarlyDataToTLS12: RFC 9846, Appendix E.3: "A client that attempts to send 0-RTT data
// MUST fail a connection if it receives a ServerHello with TLS 1.2 or older." A DTLS 1.2
// server that asks for a cookie first has seen none of it.
func TestEarlyDataToTLS12(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		client, server, _ := earlyConfigs(t)
		alpn(client, server)
		newMeeting(t, datagram, client, server).finish()
		old := server.Clone()
		old.MaxVersion, old.NextProtos = tls.VersionTLS12, nil
		client = client.Clone()
		client.MinVersion = tls.VersionTLS12
		m := newMeeting(t, datagram, client, old)
		hello := m.client.Output(nil)
		if !datagram {
			hello = alone(hello)
		}
		if _, err := m.server.Open(hello); err != nil {
			t.Fatal(err)
		}
		_, err := m.client.Open(m.server.Output(nil))
		wantAlert(t, m.client, err, AlertProtocolVersion)
	})
	n := newNetwork(t, func(c, s *Config) { s.MaxVersion, s.DTLS.TrustAddress = tls.VersionTLS12, false })
	client, server, _ := earlyConfigs(t)
	alpn(client, server)
	client.RootCAs = n.client.plan.cfg.RootCAs
	server.Certificates = n.server.plan.cfg.Certificates
	newMeeting(t, true, client, server).finish()
	var err error
	if n.client, err = NewEngine(DTLSClient, client); err != nil {
		t.Fatal(err)
	}
	if n.client.EarlyDataRoom() == 0 {
		t.Fatal("there is no session")
	}
	if err = n.welcome("127.0.0.1#1"); err == nil {
		err = n.wait()
	}
	if s := n.client.State(); err != nil || s.Version != tls.VersionTLS12 || s.EarlyDataAccepted || s.NegotiatedProtocol != "" || n.client.EarlyDataRoom() > 0 {
		t.Errorf("%v: %s, early data accepted %v, ALPN %q", err, tls.VersionName(s.Version), s.EarlyDataAccepted, s.NegotiatedProtocol)
	}
}

// sameTicket is a SessionCache that offers its first session again and again.
type sameTicket struct{ session *Session }

func (c *sameTicket) Get(string) *Session { return c.session }
func (c *sameTicket) Put(_ string, s *Session) {
	if c.session == nil {
		c.session = s
	}
}

// TestEarlyDataOfOneTicket: a client with one ticket can make any number of ClientHellos
// with it, but takes no 0-RTT from others.
func TestEarlyDataOfOneTicket(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		for _, size := range []int{1, 4, 8, 100} {
			client, server, now := earlyConfigs(t)
			server.ReplayGuard = &replayGuard{max: size, now: now.time}
			accepted := func(client *Config) bool {
				t.Helper()
				m := newMeeting(t, datagram, client, server)
				if err := m.sendEarly("x"); err != nil {
					t.Fatal(err)
				}
				return m.server.State().EarlyDataAccepted
			}
			client.SessionCache = &sameTicket{}
			newMeeting(t, datagram, client, server).finish()
			n := 0
			for range 2 * size {
				if accepted(client) {
					n++
				}
			}
			if want := min(ticketIDs, max(1, size/4)); n != want {
				t.Errorf("a guard of %d ids: one ticket used %d, want %d", size, n, want)
			}
			other := client.Clone()
			other.SessionCache = NewSessionCache(1)
			newMeeting(t, datagram, other, server).finish()
			if got, want := accepted(other), size > 1; got != want {
				t.Errorf("a guard of %d ids: another client's early data is accepted: %v", size, got)
			}
		}
	})
}

// TestReplayGuardIsAskedLate: a question may wait, as with AsyncReplay. An id that was
// accepted at once must still be remembered when the same ClientHello is asked about,
// 20 s younger by its ticket age and asked about late.
func TestReplayGuardIsAskedLate(t *testing.T) {
	for _, test := range []struct {
		late time.Duration
		want bool
	}{{0, true}, {replayDelay, true}, {replayDelay + 1, false}, {replayWindow, false}} {
		now := &clock{pkitest.Now}
		g := &replayGuard{max: 10, now: now.time}
		if got := g.Unseen([]byte("id"), now.now.Add(replayWindow-test.late)); got != test.want {
			t.Errorf("asked %v after the ClientHello: %v", test.late, got)
		}
	}
	if 2*10*time.Second+replayDelay > replayWindow {
		t.Error("an id is forgotten before its last replay can be asked about")
	}
}
