package hermetic

import (
	"bytes"
	"cmp"
	"crypto/fips140"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"github.com/hermetic-tls/hermetic/internal/roomtest"
	"testing"
	"time"
)

// TestForgedTickets: a ticket that was changed anywhere is a full handshake.
func TestForgedTickets(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server, now := sessionConfigs(t, version)
		newMeeting(t, false, client, server).finish()
		s := client.SessionCache.Get("tls:localhost")
		ticket := s.state.Ticket
		keys, _ := server.compile.result.keys.TicketKeys(now.now)
		for n := range ticket {
			if server.compile.result.tickets.open(keys, ticket[:n]) != nil {
				t.Errorf("%s: %d of %d bytes are a ticket", tls.VersionName(version), n, len(ticket))
			}
		}
		for at := 0; at <= len(ticket); at += roomtest.Stride() {
			forged := append([]byte{}, ticket...)
			if at < len(ticket) {
				forged[at] ^= 1
			} else {
				forged = forged[:len(forged)-1]
			}
			state := *s.state
			state.Ticket = forged
			c := client.Clone()
			c.SessionCache = always{&Session{state: &state}}
			m := newMeeting(t, false, c, server)
			m.finish()
			if m.server.State().DidResume {
				t.Errorf("%s: a ticket with byte %d changed is accepted", tls.VersionName(version), at)
			}
		}
	}
}

func TestTicketKeysRotate(t *testing.T) {
	client, server, now := sessionConfigs(t, tls.VersionTLS13)
	server.TicketLifetime = time.Hour
	newMeeting(t, false, client, server).finish()
	first, _ := server.compile.result.keys.TicketKeys(now.now)
	for _, step := range []struct {
		after time.Duration
		old   int // where the first key is then
	}{{-time.Millisecond, 0}, {30 * time.Minute, 0}, {time.Hour, 1}, {time.Hour - 1, 1}, {2 * time.Hour, -1}} {
		keys, err := server.compile.result.keys.TicketKeys(now.now.Add(step.after))
		if err != nil {
			t.Fatal(err)
		}
		at := -1
		for i := range keys {
			if keys[i] == first[0] {
				at = i
			}
		}
		if at != step.old {
			t.Errorf("after %v the first key is at %d, want %d", step.after, at, step.old)
		}
	}
}

// TestLargeTickets: a ticket that does not fit its messages is none.
func TestLargeTickets(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, now := sessionConfigs(t, version)
		for _, cfg := range []*Config{client, server} {
			cfg.MaxCertificateMessage, cfg.DTLS.MaxBuffered = 1<<18, 1<<18
		}
		chain := server.Certificates[0]
		for range (1 << 16) / len(chain.Certificate[0]) {
			chain.Certificate = append(chain.Certificate, chain.Certificate[0])
		}
		client.Certificates = []tls.Certificate{chain}
		server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, client.RootCAs
		newMeeting(t, datagram, client, server).settle(now)
		m := newMeeting(t, datagram, client, server)
		m.finish()
		if m.server.State().DidResume {
			t.Error("the chain is in the ticket")
		}

		client.Certificates, server.ClientAuth = nil, tls.NoClientCert
		client, server = client.Clone(), server.Clone()
		newMeeting(t, datagram, client, server).finish()
		key := "tls:localhost"
		if datagram {
			key = "dtls:localhost"
		}
		s := client.SessionCache.Get(key)
		s.state.Ticket = make([]byte, 1<<16-100) // of a server that wants us to choke on it
		client.SessionCache = always{s}
		newMeeting(t, datagram, client, server).finish()
	})
}

// ticketKeysFunc is TicketKeys by a function.
type ticketKeysFunc func() ([]TicketKey, error)

func (f ticketKeysFunc) TicketKeys(time.Time) ([]TicketKey, error) { return f() }

// TestStrangeTicketKeys: TicketKeys are asked once in a handshake, and what they cannot
// give means full handshakes, nothing else.
func TestStrangeTicketKeys(t *testing.T) {
	key := TicketKey{1}
	for name, test := range map[string]struct {
		keys   []TicketKey
		err    error
		resume bool
	}{
		"one":                  {[]TicketKey{key}, nil, true},
		"one twice":            {[]TicketKey{key, key}, nil, true},
		"none":                 {nil, nil, false},
		"an empty list":        {[]TicketKey{}, nil, false},
		"an error":             {nil, errors.New("the store is away"), false},
		"an error beside keys": {[]TicketKey{key}, errors.New("the store is away"), false},
	} {
		t.Run(name, func(t *testing.T) {
			fourModes(t, func(t *testing.T, datagram bool, version uint16) {
				for _, later := range []bool{false, true} {
					client, server, _ := sessionConfigs(t, version)
					asked := 0
					give := func() ([]TicketKey, error) { asked++; return test.keys, test.err }
					if server.TicketKeys = ticketKeysFunc(give); later {
						server.TicketKeys, server.Async = nil, AsyncTicketKeys
					}
					for range 2 { // a session that other keys have sealed
						other := server.Clone()
						other.TicketKeys, other.Async = StaticTicketKeys(key), 0
						newMeeting(t, datagram, client, other).finish()
					}
					for i := range 2 {
						asked = 0
						m := newMeeting(t, datagram, client, server)
						m.answer = func(p Pending) {
							if err := p.(*TicketKeysRequest).Answer(give()); err != nil {
								t.Fatal(err)
							}
						}
						m.finish()
						if got := m.server.State().DidResume; got != test.resume || asked != 1 {
							t.Errorf("connection %d, later %v: resumed %v, asked %d times", i, later, got, asked)
						}
					}
				}
			})
		})
	}
}

// TestSharedTicketKeys: servers with the same keys resume each other's sessions,
// also while the keys rotate.
func TestSharedTicketKeys(t *testing.T) {
	client, server, _ := sessionConfigs(t, tls.VersionTLS13)
	server.TicketKeys = StaticTicketKeys(TicketKey{1})
	newMeeting(t, false, client, server).finish()
	other := server.Clone()
	other.TicketKeys = StaticTicketKeys(TicketKey{2}, TicketKey{1})
	m := newMeeting(t, false, client, other)
	m.finish()
	if !m.client.State().DidResume {
		t.Error("the other server does not resume")
	}
}

// TestSeveralTickets: as many as the Config says, each for one use.
func TestSeveralTickets(t *testing.T) {
	client, server, _ := sessionConfigs(t, tls.VersionTLS13)
	server.Tickets = 3
	newMeeting(t, false, client, server).finish()
	seen := map[string]bool{}
	for range 3 {
		s := client.SessionCache.Get("tls:localhost")
		if s == nil {
			t.Fatal("fewer than 3 tickets")
		}
		seen[string(s.state.Ticket)] = true
		seen[string(s.state.Secret)] = true
	}
	if len(seen) != 6 {
		t.Error("tickets or secrets repeat")
	}
	if client.SessionCache.Get("tls:localhost") != nil {
		t.Error("more than 3 tickets")
	}
	client, server = client.Clone(), server.Clone()
	client.SessionCache = nil
	server.TicketKeys = ticketKeysFunc(func() ([]TicketKey, error) {
		t.Error("a client that resumes nothing gets a ticket")
		return nil, nil
	})
	newMeeting(t, false, client, server).finish()
}

// everyTicket keeps all sessions, and offers none.
type everyTicket struct{ sessions []*Session }

func (c *everyTicket) Get(string) *Session      { return nil }
func (c *everyTicket) Put(_ string, s *Session) { c.sessions = append(c.sessions, s) }

// TestTicketsAreFresh: RFC 9846, Section 4.7.1: "The server MUST generate a fresh value
// [of ticket_age_add] for each ticket it sends"; and each has its own secret, and lives
// for seven days at most.
func TestTicketsAreFresh(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		client, server, now := sessionConfigs(t, tls.VersionTLS13)
		kept := new(everyTicket)
		client.SessionCache, server.Tickets, server.TicketLifetime = kept, 8, 7*24*time.Hour
		for range 2 {
			newMeeting(t, datagram, client, server).settle(now)
		}
		ages, secrets, tickets := map[uint32]bool{}, map[string]bool{}, map[string]bool{}
		for _, s := range kept.sessions {
			ages[s.state.AgeAdd], secrets[string(s.state.Secret)], tickets[string(s.state.Ticket)] = true, true, true
			if s.state.Lifetime > 7*24*time.Hour {
				t.Errorf("a ticket lives for %v", s.state.Lifetime)
			}
		}
		if n := len(kept.sessions); n != 16 || len(ages) != n || len(secrets) != n || len(tickets) != n {
			t.Errorf("%d tickets have %d values of ticket_age_add, %d secrets, %d contents", n, len(ages), len(secrets), len(tickets))
		}
	})
}

// savedGCMTicket is a ticket of gcmTickets by the key {1}: servers of several versions share keys, so
// the form stays the same.
const savedGCMTicket = "41d264df1b2fa3539a4ed6549c92eebf0a4b0ef65d83adc1b028895976d40b03cc00ad7b779fbac7d4043fae99ef09e594a3a7b680de44474e9bd88904081e1d3d00b128d71b6cc0f5a086d2b0fc" +
	"1858c5dd35bdd50553ce9c6fa3bc471fab050fa0b54259660e91739df416d26df8681cb9c43f499be438840fa1e6e6d08079369ad54705ba4b9f4d6c39afb16415334f206dcaf0e963ba937ac9cd"

// TestTicketForms: how tickets are sealed under each policy, and whether a server with the same key and
// another policy resumes them or does a full handshake.
func TestTicketForms(t *testing.T) {
	custom := func(ids ...uint16) *Policy { return &Policy{Name: "custom", CipherSuites: ids} }
	policies := []struct {
		name   string
		policy *Policy
		gcm    bool
	}{
		{"none", nil, false},
		{"one that permits all suites", custom(), false},
		{"one with ChaCha20-Poly1305", custom(tls.TLS_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256), false},
		{"one without", custom(tls.TLS_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), true},
		{"FIPS 140-3", PolicyFIPS(), true},
		{"WPA3", PolicyWPA3(), true},
		{"CNSA 1.0", PolicyCNSA1(), true},
		{"CNSA 2.0", PolicyCNSA2(), true},
	}
	for _, p := range policies {
		if got, want := (cmp.Or(p.policy, none).ticketForm() == gcmTickets), p.gcm || fips140.Enabled(); got != want {
			t.Errorf("%s: AES-256-GCM %v, want %v", p.name, got, want)
		}
	}
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		for _, from := range policies[:5] {
			for _, to := range policies[:5] {
				client, server, _ := sessionConfigs(t, version)
				client.CurvePreferences = []tls.CurveID{tls.CurveP256}
				server.TicketKeys, server.MaxEarlyData, client.EarlyData = StaticTicketKeys(TicketKey{1}), 100, !datagram
				next := server.Clone()
				server.Policy, next.Policy = from.policy, to.policy
				for range 2 {
					newMeeting(t, datagram, client, server).finish()
				}
				m := newMeeting(t, datagram, client, next)
				m.finish()
				if got, want := m.server.State().DidResume, from.gcm == to.gcm || fips140.Enabled(); got != want {
					t.Errorf("from the policy %q to %q: resumed %v", from.name, to.name, got)
				}
			}
		}
	})
}

// TestTicketsOfForms: in each form, every ticket is different, and opens only with its own key, and
// only if it was neither changed nor cut off.
func TestTicketsOfForms(t *testing.T) {
	client, server, _ := sessionConfigs(t, tls.VersionTLS13)
	server.TicketKeys = StaticTicketKeys(TicketKey{1})
	newMeeting(t, false, client, server).finish()
	plain := server.compile.result.tickets.open([]TicketKey{{1}}, client.SessionCache.Get("tls:localhost").state.Ticket).Append(nil)
	key, other := TicketKey{1}, TicketKey{2}
	forms := []*ticketForm{xchachaTickets, gcmTickets}
	for i, f := range forms {
		seen := map[string]bool{}
		for range 10 {
			ticket, err := f.seal(&key, bytes.NewReader(make([]byte, ticketSalt)), plain) // salts that repeat
			if err != nil {
				t.Fatal(err)
			}
			seen[string(ticket)] = true
		}
		if f == gcmTickets && len(seen) != 10 {
			t.Errorf("form %d: %d different tickets with one salt", i, len(seen))
		}
		ticket, err := f.seal(&key, rand.Reader, plain)
		if err != nil {
			t.Fatal(err)
		}
		if s := f.open([]TicketKey{other, key}, ticket); s == nil || !bytes.Equal(s.Append(nil), plain) {
			t.Errorf("form %d: it does not open", i)
		}
		if f.open([]TicketKey{other}, ticket) != nil || forms[1-i].open([]TicketKey{key}, ticket) != nil {
			t.Errorf("form %d: another key or form opens it", i)
		}
		for at := range ticket {
			changed := bytes.Clone(ticket)
			changed[at] ^= 0x80
			if f.open([]TicketKey{key}, changed) != nil || f.open([]TicketKey{key}, ticket[:at]) != nil {
				t.Errorf("form %d: changed or cut off at %d, it opens", i, at)
			}
		}
		if _, err := f.seal(&key, bytes.NewReader(make([]byte, ticketSalt-1)), plain); err == nil {
			t.Errorf("form %d: a ticket without randomness", i)
		}
	}
}

// TestSavedGCMTicket: a ticket that an earlier version has sealed opens.
func TestSavedGCMTicket(t *testing.T) {
	ticket, err := hex.DecodeString(savedGCMTicket)
	if err != nil {
		t.Fatal(err)
	}
	if s := gcmTickets.open([]TicketKey{{1}}, ticket); s == nil || s.ServerName != "localhost" {
		t.Errorf("it has the session %+v", s)
	}
}
