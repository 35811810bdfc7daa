package hermetic

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
	"time"
)

// configsForClient are the ways in which GetConfigForClient may answer each client
// with a Config that was not used before.
var configsForClient = map[string]func(base *Config) *Config{
	"a Clone": (*Config).Clone,
	"a Clone of a Clone, that differs": func(base *Config) *Config {
		c := base.Clone().Clone()
		c.NextProtos, c.TicketLifetime, c.GetConfigForClient = []string{"x"}, 30*time.Hour, nil
		return c
	},
	"another Config": func(base *Config) *Config {
		return &Config{Time: base.Time, Certificates: base.Certificates, MaxEarlyData: base.MaxEarlyData, DTLS: base.DTLS}
	},
}

// TestConfigsForClientsResume: sessions are resumed whichever Config they began with,
// as in crypto/tls.
func TestConfigsForClientsResume(t *testing.T) {
	for name, fresh := range configsForClient {
		t.Run(name, func(t *testing.T) {
			fourModes(t, func(t *testing.T, datagram bool, version uint16) {
				client, server, now := sessionConfigs(t, version)
				server.DTLS.TrustAddress = true
				server.GetConfigForClient = func(*ClientHello) (*Config, error) { return fresh(server), nil }
				for i := range 5 {
					m := newMeeting(t, datagram, client, server)
					m.finish()
					if m.client.State().DidResume != (i > 0) {
						t.Errorf("connection %d: resumed %v", i, m.client.State().DidResume)
					}
					now.now = now.now.Add(time.Hour) // the keys rotate
				}
			})
		})
	}
}

// TestEarlyDataAcrossConfigs: Configs that share the keys of tickets share what they
// have seen: early data is accepted, and once.
func TestEarlyDataAcrossConfigs(t *testing.T) {
	for name, fresh := range configsForClient {
		t.Run(name, func(t *testing.T) {
			client, server, _ := earlyConfigs(t)
			client.NextProtos = []string{"x"}
			if name == "a Clone" {
				server.NextProtos = client.NextProtos
			}
			server.GetConfigForClient = func(*ClientHello) (*Config, error) { return fresh(server), nil }
			newMeeting(t, false, client, server).finish()
			m := newMeeting(t, false, client, server)
			flight := m.client.Output(nil)
			flight, err := m.client.SealEarlyData(flight, []byte("transfer 100"))
			if err != nil {
				t.Fatal(err)
			}
			times := 0
			for _, cfg := range []*Config{server, server, server.Clone(), server.Clone().Clone()} {
				s, err := NewEngine(TLSServer, cfg)
				if err != nil {
					t.Fatal(err)
				}
				for in := bytes.Clone(flight); len(in) > 0; {
					o, err := s.Open(in)
					if err != nil {
						t.Fatal(err)
					}
					if o.Kind == KindEarlyData {
						times++
					}
					in = in[o.N:]
				}
			}
			if times != 1 {
				t.Errorf("early data came %d times", times)
			}
		})
	}
}

// TestKeysOfConfigForClient: a Config that says what its ticket keys are has its own,
// and asks for them itself.
func TestKeysOfConfigForClient(t *testing.T) {
	client, server, _ := sessionConfigs(t, tls.VersionTLS13)
	asking := server.Clone()
	asking.Async = AsyncTicketKeys
	static := server.Clone()
	static.TicketKeys = StaticTicketKeys(TicketKey{3})
	for name, c := range map[string]struct{ base, chosen, now *Config }{
		"its own are others":      {server, static, server},
		"the other one's":         {static, server.Clone(), static},
		"asked for, by the first": {asking, server.Clone(), asking},
	} {
		client := client.Clone()
		client.SessionCache = NewSessionCache(1)
		base := c.base.Clone()
		base.GetConfigForClient = func(*ClientHello) (*Config, error) { return c.chosen, nil }
		asked := 0
		meet := func(server *Config) *Engine {
			m := newMeeting(t, false, client, server)
			m.answer = func(p Pending) {
				asked++
				if err := p.(*TicketKeysRequest).Answer([]TicketKey{{4}}, nil); err != nil {
					t.Fatal(err)
				}
			}
			m.finish()
			return m.client
		}
		meet(base)
		chosen := c.base == asking
		if (asked > 0) != chosen {
			t.Errorf("%s: asked %d times", name, asked)
		}
		if got, want := meet(c.now).State().DidResume, name != "its own are others"; got != want {
			t.Errorf("%s: resumed %v", name, got)
		}
	}
}

// TestResetForgetsConfigForClient: the Config for one client is not the next one's.
func TestResetForgetsConfigForClient(t *testing.T) {
	client, server := configs(t)
	client.NextProtos = []string{"inner", "outer"}
	asked := 0
	inner := server.Clone()
	inner.NextProtos, server.NextProtos = []string{"inner"}, []string{"outer"}
	server.GetConfigForClient = func(*ClientHello) (*Config, error) {
		if asked++; asked == 1 {
			return inner, nil
		}
		return nil, nil
	}
	m := newMeeting(t, false, client, server)
	for _, want := range []string{"inner", "outer"} {
		m.finish()
		if got := m.server.State().NegotiatedProtocol; got != want {
			t.Errorf("agreed on %q, want %q", got, want)
		}
		m.client.Reset()
		m.server.Reset()
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}

// TestClonesShareCookies: what one has asked for the other takes.
func TestClonesShareCookies(t *testing.T) {
	a, id := &Config{Time: atNow}, []byte("peer")
	b := a.Clone()
	if !b.CheckCookie(id, a.Cookie(id)) || !a.CheckCookie(id, b.Clone().Cookie(id)) {
		t.Error("a cookie is not good with a Clone")
	}
	b.DTLS.CookieSecret = []byte("a secret of sixteen bytes or more")
	if b.CheckCookie(id, a.Cookie(id)) {
		t.Error("a cookie is good under another secret")
	}
}

// TestLargestEarlyData: 14,336 bytes of early data are skipped by a server that knows
// nothing of the ticket and whose 0-RTT is off, in whatever records they come.
func TestLargestEarlyData(t *testing.T) {
	const largest = 14336
	for _, size := range []int{1, 100, largest} {
		client, server, _ := earlyConfigs(t)
		server.MaxEarlyData = largest
		newMeeting(t, false, client, server).finish()
		off := server.Clone()
		off.MaxEarlyData, off.TicketKeys = 0, StaticTicketKeys(TicketKey{2})
		m := newMeeting(t, false, client, off)
		if room := m.client.EarlyDataRoom(); room != largest {
			t.Fatalf("there is room for %d bytes", room)
		}
		for range largest / size {
			if err := m.sendEarly(strings.Repeat("e", size)); err != nil {
				t.Fatalf("in records of %d bytes: %v", size, err)
			}
		}
		m.finish()
		if s := m.client.State(); s.DidResume || s.EarlyDataAccepted || len(m.got.early) > 0 {
			t.Errorf("in records of %d bytes: resumed %v, early data accepted %v", size, s.DidResume, s.EarlyDataAccepted)
		}
	}
	// A ticket that permits more must be known then.
	client, server, _ := earlyConfigs(t)
	server.MaxEarlyData = 1 << 14
	newMeeting(t, false, client, server).finish()
	off := server.Clone()
	off.MaxEarlyData = 0
	m := newMeeting(t, false, client, off)
	if err := m.sendEarly(strings.Repeat("e", 1<<14)); err != nil {
		t.Fatalf("with a ticket that is still known: %v", err)
	}
}
