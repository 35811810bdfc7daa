package hermetic

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// TestTicketConfusion: a client offers a ticket as what it is not, or for longer, or
// without what it had: the handshake is a full one, whatever the client believes.
func TestTicketConfusion(t *testing.T) {
	for name, test := range map[string]struct {
		version  uint16 // of the session
		datagram bool
		lie      func(s *session.Session)
		after    time.Duration
	}{
		"of TLS, over DTLS":           {tls.VersionTLS13, false, func(s *session.Session) { s.Transport = wire.Datagram }, 0},
		"of DTLS, over TLS":           {tls.VersionTLS13, true, func(s *session.Session) { s.Transport = wire.Stream }, 0},
		"of TLS, over DTLS, both 1.2": {tls.VersionTLS12, false, func(s *session.Session) { s.Transport = wire.Datagram }, 0},
		"of TLS 1.2, in 1.3": {tls.VersionTLS12, false, func(s *session.Session) {
			s.Version, s.Suite, s.Secret = tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256, s.Secret[:32]
		}, 0},
		"of TLS 1.3, in 1.2": {tls.VersionTLS13, false, func(s *session.Session) {
			s.Version, s.Suite, s.EMS = tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, true
		}, 0},
		"that has expired":                {tls.VersionTLS13, false, func(s *session.Session) { s.Lifetime *= 3 }, 25 * time.Hour},
		"that has expired, of TLS 1.2":    {tls.VersionTLS12, false, func(s *session.Session) { s.Lifetime *= 3 }, 25 * time.Hour},
		"from the future":                 {tls.VersionTLS13, false, func(s *session.Session) { s.Created = s.Created.Add(-time.Hour) }, -2 * time.Minute},
		"from the future, of TLS 1.2":     {tls.VersionTLS12, false, func(s *session.Session) { s.Created = s.Created.Add(-time.Hour) }, -2 * time.Minute},
		"for another name":                {tls.VersionTLS13, false, func(s *session.Session) {}, 0},
		"for another name, of TLS 1.2":    {tls.VersionTLS12, false, func(s *session.Session) {}, 0},
		"of TLS 1.2, over TLS, as it was": {tls.VersionTLS12, false, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			client, server, now := sessionConfigs(t, test.version)
			server.TicketKeys = StaticTicketKeys(TicketKey{1})
			newMeeting(t, test.datagram, client, server).finish()
			key := "tls:localhost"
			if test.datagram {
				key = "dtls:localhost"
			}
			state := *client.SessionCache.Get(key).state
			if test.lie != nil {
				test.lie(&state)
			}
			client, server = client.Clone(), server.Clone()
			client.SessionCache, client.MaxVersion = always{&Session{state: &state}}, state.Version
			if strings.HasPrefix(name, "for another name") {
				client.ServerName, client.InsecureSkipVerify = "other.localhost", true
			}
			now.now = now.now.Add(test.after)
			m := newMeeting(t, state.Transport == wire.Datagram, client, server)
			m.finish()
			if resumed := m.server.State().DidResume; resumed != (test.lie == nil) {
				t.Errorf("resumed %v", resumed)
			}
		})
	}
}

// TestSessionsNotOffered: a client does not even show what does not fit.
func TestSessionsNotOffered(t *testing.T) {
	for name, lie := range map[string]func(c *Config, s *session.Session){
		"of datagrams":       func(c *Config, s *session.Session) { s.Transport = wire.Datagram },
		"expired":            func(c *Config, s *session.Session) { s.Lifetime = 0 },
		"an unknown suite":   func(c *Config, s *session.Session) { s.Suite = 1 },
		"without EMS":        func(c *Config, s *session.Session) { c.RequireExtendedMasterSecret, s.EMS = true, false },
		"of another version": func(c *Config, s *session.Session) { s.Version = 0x0302 },
		"as it was":          nil,
	} {
		for _, version := range versions {
			if name == "without EMS" && version == tls.VersionTLS13 {
				continue
			}
			client, server, _ := sessionConfigs(t, version)
			newMeeting(t, false, client, server).finish()
			state := *client.SessionCache.Get("tls:localhost").state
			client = client.Clone()
			if lie != nil {
				lie(client, &state)
			}
			client.SessionCache = always{&Session{state: &state}}
			e, err := NewEngine(TLSClient, client)
			if err != nil {
				t.Fatal(err)
			}
			if offered := offersSession(t, e); offered != (lie == nil) {
				t.Errorf("%s, %s: offered %v", name, tls.VersionName(version), offered)
			}
		}
	}
}

// offersSession reports whether the ClientHello of a TLS client shows a session.
func offersSession(t *testing.T, client *Engine) bool {
	t.Helper()
	var h wire.ClientHello
	if err := h.Parse(client.Output(nil)[9:], wire.Stream); err != nil {
		t.Fatal(err)
	}
	return h.Has.Has(wire.ExtPreSharedKey) || len(h.SessionTicket) > 0
}

// newest is a SessionCache of one session, for any server.
type newest struct{ s *Session }

func (c *newest) Get(string) *Session      { return c.s }
func (c *newest) Put(_ string, s *Session) { c.s = s }

// TestSessionsVerifiedAgain: a session that was verified with the same Config is still
// not offered where its server would not be trusted today.
func TestSessionsVerifiedAgain(t *testing.T) {
	for _, test := range []struct {
		name, serverName string
		after            time.Duration
		offered          bool
	}{
		{"as it was", "localhost", 0, true},
		{"to a server of another name", "elsewhere", 0, false},
		{"of a certificate that has expired since", "localhost", 2 * time.Hour, false},
	} {
		for _, version := range versions {
			client, server, now := sessionConfigs(t, version)
			now.now = server.Certificates[0].Leaf.NotAfter.Add(-time.Hour)
			client.SessionCache = new(newest)
			newMeeting(t, false, client, server).finish()
			now.now = now.now.Add(test.after)
			e, err := NewEngine(TLSClient, client)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.SetServerName(test.serverName); err != nil {
				t.Fatal(err)
			}
			if offered := offersSession(t, e); offered != test.offered {
				t.Errorf("%s, %s: offered %v", test.name, tls.VersionName(version), offered)
			}
		}
	}
}

// TestResumptionAndEMS: RFC 7627, Section 5.3. A session of TLS 1.2 is resumed with
// extended_main_secret as it began, and with its cipher suite, or the one side fails
// that sees it.
func TestResumptionAndEMS(t *testing.T) {
	client, server, _ := sessionConfigs(t, tls.VersionTLS12)
	server.TicketKeys = StaticTicketKeys(TicketKey{1})
	newMeeting(t, false, client, server).finish()
	want := func(name string, err error, want Alert) {
		t.Helper()
		var fault *AlertError
		if !errors.As(err, &fault) || fault.Received || fault.Alert != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}

	m := newMeeting(t, false, client, server)
	_, err := m.server.Open(rewrite(t, false, m.client.Output(nil), func(h *wire.ClientHello) { h.Has = h.Has.Minus(wire.Extensions(wire.ExtExtendedMainSecret)) }))
	want("a client without", err, AlertHandshakeFailure)

	for name, change := range map[string]func(*wire.ServerHello){
		"a server without":        func(h *wire.ServerHello) { h.Has = h.Has.Minus(wire.Extensions(wire.ExtExtendedMainSecret)) },
		"a server's other suite":  func(h *wire.ServerHello) { h.CipherSuite = tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 },
		"a server as it has been": func(h *wire.ServerHello) {},
	} {
		m := newMeeting(t, false, client, server)
		if _, err := m.server.Open(m.client.Output(nil)); err != nil {
			t.Fatal(err)
		}
		out := m.server.Output(nil)
		n := 5 + int(out[3])<<8 + int(out[4])
		var h wire.ServerHello
		if err := h.Parse(out[9:n]); err != nil {
			t.Fatal(err)
		}
		change(&h)
		msg := h.Append(nil)
		_, err := m.client.Open(append([]byte{22, 3, 3, byte(len(msg) >> 8), byte(len(msg))}, msg...))
		switch name {
		case "a server without":
			want(name, err, AlertHandshakeFailure)
		case "a server's other suite":
			want(name, err, AlertIllegalParameter)
		default:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}

	// A session that began without, offered by a client that has it now.
	s := client.SessionCache.Get("tls:localhost")
	keys := []TicketKey{{1}}
	sealed := server.compile.result.tickets.open(keys, s.state.Ticket)
	sealed.EMS = false
	old := *s.state
	old.EMS = false
	if old.Ticket, err = server.compile.result.tickets.seal(&keys[0], client.random(), sealed.Append(nil)); err != nil {
		t.Fatal(err)
	}
	client = client.Clone()
	client.SessionCache = always{&Session{state: &old}}
	m = newMeeting(t, false, client, server)
	m.finish()
	if m.server.State().DidResume {
		t.Error("a session without it is resumed with it")
	}
}

// TestTicketOfAnotherVersion: a server that shares its keys with a newer version of this
// library opens tickets of cipher suites that it does not know.
func TestTicketOfAnotherVersion(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, _ := sessionConfigs(t, version)
		key := TicketKey{1}
		server.TicketKeys = StaticTicketKeys(key)
		for name, change := range map[string]func(s *session.Session) (form []byte){
			"as it was":        func(s *session.Session) []byte { return s.Append(nil) },
			"an unknown suite": func(s *session.Session) []byte { s.Suite = 0x13ff; return s.Append(nil) },
			"an unknown form":  func(s *session.Session) []byte { return append([]byte{255}, s.Append(nil)[1:]...) },
		} {
			client = client.Clone()
			client.SessionCache = new(newest)
			newMeeting(t, datagram, client, server).finish()
			state := *client.SessionCache.Get("").state
			var err error
			form := server.compile.result.tickets
			if state.Ticket, err = form.seal(&key, client.random(), change(form.open([]TicketKey{key}, state.Ticket))); err != nil {
				t.Fatal(err)
			}
			client.SessionCache = always{&Session{state: &state}}
			m := newMeeting(t, datagram, client.Clone(), server)
			m.finish()
			if resumed := m.server.State().DidResume; resumed != (name == "as it was") {
				t.Errorf("%s: resumed %v", name, resumed)
			}
		}
	})
}

// TestManyPSKs: a server looks at all of them, asks others about some, and uses them
// only with (EC)DHE.
func TestManyPSKs(t *testing.T) {
	key := []byte("0123456789abcdef")
	asked := 0
	_, server := configs(t)
	server.GetPSK = func([]byte) (*PSK, error) { asked++; return nil, nil }
	client := &Config{Time: atNow, InsecureSkipVerify: true, ServerName: "localhost"}
	for i := range 600 {
		client.PSKs = append(client.PSKs, PSK{Identity: fmt.Append(nil, i), Key: key})
	}
	client.MinVersion = tls.VersionTLS13
	newMeeting(t, false, client, server).finish()
	if asked != 64 {
		t.Errorf("others were asked about %d", asked)
	}
	server = server.Clone()
	server.PSKs = client.PSKs[599:]
	m := newMeeting(t, false, client, server)
	m.finish()
	if got := m.server.State().PSKIdentity; string(got) != "599" {
		t.Errorf("the last one is known, and the handshake continues with %q", got)
	}

	server = server.Clone()
	client = client.Clone()
	client.PSKs = client.PSKs[:20]
	server.GetPSK, server.PSKs = nil, client.PSKs
	m = newMeeting(t, false, client, server)
	hello := rewrite(t, false, m.client.Output(nil), func(h *wire.ClientHello) { h.PSKModes = []byte{0} })
	if _, err := m.server.Open(hello); err != nil || m.server.State().PSKIdentity != nil {
		t.Errorf("psk_ke: %v, PSK %q", err, m.server.State().PSKIdentity)
	}
}

// TestEarlyDataAge: early data whose ticket age is more than 10 s off is an old
// ClientHello, whatever the guard says.
func TestEarlyDataAge(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		for late, want := range map[time.Duration]bool{0: true, 9 * time.Second: true, 11 * time.Second: false, -9 * time.Second: true, -11 * time.Second: false} {
			client, server, now := earlyConfigs(t)
			server.ReplayGuard = anew{}
			newMeeting(t, datagram, client, server).finish()
			now.now = now.now.Add(time.Minute)
			m := newMeeting(t, datagram, client, server)
			hello := m.client.Output(nil)
			now.now = now.now.Add(late)
			if _, err := m.server.Open(hello); err != nil {
				t.Fatal(err)
			}
			if got := m.server.State().EarlyDataAccepted; got != want {
				t.Errorf("%v late: accepted %v", late, got)
			}
		}
	})
}

// TestLostChangeCipherSpec: over a stream a Finished without one before it is not
// looked at.
func TestLostChangeCipherSpec(t *testing.T) {
	p := versionPair(t, tls.VersionTLS12)
	if _, err := p.server.Open(p.client.Output(nil)); err != nil {
		t.Fatal(err)
	}
	p.toClient = p.server.Output(nil)
	if err := p.open(p.client, &p.toClient); err != nil {
		t.Fatal(err)
	}
	var in []byte
	for out := p.client.Output(nil); len(out) > 0; {
		n := 5 + int(out[3])<<8 + int(out[4])
		if out[0] != 20 {
			in = append(in, out[:n]...)
		}
		out = out[n:]
	}
	err := p.open(p.server, &in)
	var fault *AlertError
	if !errors.As(err, &fault) || fault.Alert != AlertUnexpectedMessage || !strings.Contains(err.Error(), "before the ChangeCipherSpec") {
		t.Errorf("%v", err)
	}
}
