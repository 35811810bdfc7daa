package hermetic

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// meeting is two engines that meet, over a stream or over datagrams.
type meeting struct {
	t              testing.TB
	client, server *Engine
	got            struct{ client, server, early []byte }
	asked          []string
	answer         func(Pending) // of either side; nil: nothing is asked
}

func newMeeting(t testing.TB, datagram bool, client, server *Config) *meeting {
	t.Helper()
	m := &meeting{t: t}
	modes := [2]Mode{TLSClient, TLSServer}
	if datagram {
		modes = [2]Mode{DTLSClient, DTLSServer}
		if !server.Datagram.TrustAddress { // it may be in use
			server.Datagram.TrustAddress = true
		}
	}
	var err error
	if m.client, err = NewEngine(modes[0], client); err != nil {
		t.Fatal(err)
	}
	if m.server, err = NewEngine(modes[1], server); err != nil {
		t.Fatal(err)
	}
	return m
}

// pass gives what from has to send to the other.
func (m *meeting) pass(from, to *Engine, data *[]byte) (moved bool, err error) {
	for _, e := range []*Engine{from, to} {
		for q := e.Pending(); q != nil; q = e.Pending() {
			m.asked = append(m.asked, fmt.Sprintf("%T", q))
			m.answer(q)
			moved = true
		}
	}
	for {
		in := from.Output(nil)
		if len(in) == 0 {
			return moved, nil
		}
		moved = true
		for len(in) > 0 {
			o, err := to.Open(in)
			if err == ErrPending {
				m.answer(to.Pending())
				continue
			}
			if err != nil {
				return moved, err
			}
			if o.Kind == KindEarlyData {
				m.got.early = append(m.got.early, o.Data...)
			} else {
				*data = append(*data, o.Data...)
			}
			if in = in[o.N:]; o.N == 0 {
				m.t.Fatal("a record is not whole")
			}
		}
	}
}

// run passes everything until nothing moves.
func (m *meeting) run() error {
	for range 100 {
		a, err := m.pass(m.client, m.server, &m.got.server)
		if err != nil {
			m.pass(m.server, m.client, &m.got.client)
			return fmt.Errorf("server: %w", err)
		}
		b, err := m.pass(m.server, m.client, &m.got.client)
		if err != nil {
			m.pass(m.client, m.server, &m.got.server)
			return fmt.Errorf("client: %w", err)
		}
		if !a && !b {
			return nil
		}
	}
	m.t.Fatal("the engines go on for ever")
	return nil
}

// finish makes the handshake, and says something both ways.
func (m *meeting) finish() {
	m.t.Helper()
	if err := m.run(); err != nil {
		m.t.Fatal(err)
	}
	if !m.client.HandshakeComplete() || !m.server.HandshakeComplete() {
		m.t.Fatal("the handshake is not complete")
	}
	for _, e := range []*Engine{m.client, m.server} {
		other, got := m.server, &m.got.server
		if e == m.server {
			other, got = m.client, &m.got.client
		}
		out, err := e.Seal(nil, []byte("words"))
		if err != nil {
			m.t.Fatal(err)
		}
		*got = nil
		for len(out) > 0 {
			o, err := other.Open(out)
			if err != nil {
				m.t.Fatal(err)
			}
			*got = append(*got, o.Data...)
			out = out[o.N:]
		}
		if string(*got) != "words" {
			m.t.Fatalf("%v got %q", other.mode, *got)
		}
	}
	if err := m.run(); err != nil {
		m.t.Fatal(err)
	}
}

// settle is finish, and lets pass what timers wait for.
func (m *meeting) settle(now *clock) {
	m.t.Helper()
	m.finish()
	now.now = now.now.Add(time.Second)
	for _, e := range []*Engine{m.client, m.server} {
		if err := e.Expire(); err != nil {
			m.t.Fatal(err)
		}
	}
	if err := m.run(); err != nil {
		m.t.Fatal(err)
	}
}

// fourModes runs a test in all versions, over streams and datagrams.
func fourModes(t *testing.T, test func(t *testing.T, datagram bool, version uint16)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, datagram := range []bool{false, true} {
			name := tls.VersionName(version)
			if datagram {
				name = "D" + name
			}
			t.Run(name, func(t *testing.T) { test(t, datagram, version) })
		}
	}
}

// clock is a clock that tests set.
type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

// sessionConfigs are configs with a session cache and a clock.
func sessionConfigs(t *testing.T, version uint16) (client, server *Config, now *clock) {
	now = &clock{pkitest.Now}
	client, server = configs(t)
	client.Time, server.Time = now.time, now.time
	client.MaxVersion = version
	client.SessionCache = NewSessionCache(4)
	return client, server, now
}

func TestResumption(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, now := sessionConfigs(t, version)
		for i := range 4 {
			m := newMeeting(t, datagram, client, server)
			m.finish()
			for _, e := range []*Engine{m.client, m.server} {
				s := e.State()
				if s.DidResume != (i > 0) || s.Version != version {
					t.Errorf("connection %d, %v: resumed %v, version %#x", i, e.mode, s.DidResume, s.Version)
				}
				if e == m.client && len(s.PeerCertificates) != 1 {
					t.Errorf("connection %d: %d certificates", i, len(s.PeerCertificates))
				}
			}
			now.now = now.now.Add(time.Hour)
		}
	})
}

// TestResumedForAWeek: RFC 9846, Section 4.7.1: "It is RECOMMENDED that implementations
// place limits on the total lifetime of such keying material".
func TestResumedForAWeek(t *testing.T) {
	for version, halfDays := range map[uint16]int{tls.VersionTLS12: 2, tls.VersionTLS13: 14} {
		for _, datagram := range []bool{false, true} {
			client, server, now := sessionConfigs(t, version)
			for i := range 20 {
				m := newMeeting(t, datagram, client, server)
				m.finish()
				if resumed := m.server.State().DidResume; resumed != (i%halfDays > 0) {
					t.Errorf("%s, after %d half days: resumed %v", tls.VersionName(version), i, resumed)
				}
				now.now = now.now.Add(12 * time.Hour)
			}
		}
	}
}

// TestNotResumed: what must not be resumed is a full handshake, without an error.
func TestNotResumed(t *testing.T) {
	day := 24 * time.Hour
	tests := map[string]func(t *testing.T, client, server *Config, now *clock) (*Config, *Config){
		"the ticket has expired": func(t *testing.T, c, s *Config, now *clock) (*Config, *Config) {
			now.now = now.now.Add(day)
			return c, s
		},
		"the server's ticket keys are others": func(t *testing.T, c, s *Config, now *clock) (*Config, *Config) {
			return c, s.Clone()
		},
		"the server has no tickets any more": func(t *testing.T, c, s *Config, now *clock) (*Config, *Config) {
			s = s.Clone()
			s.NoTickets = true
			return c, s
		},
		"the server demands a certificate now": func(t *testing.T, c, s *Config, now *clock) (*Config, *Config) {
			keys := s.compile.result.keys
			s, c2 := s.Clone(), c.Clone()
			s.TicketKeys, s.ClientAuth = keys, tls.RequireAnyClientCert
			c2.Certificates = s.Certificates
			return c2, s
		},
		"the server asks for no certificate any more": func(t *testing.T, c, s *Config, now *clock) (*Config, *Config) {
			keys := StaticTicketKeys(TicketKey{1})
			c, asks := c.Clone(), s.Clone()
			c.Certificates = s.Certificates
			asks.TicketKeys, asks.ClientAuth, asks.Datagram.TrustAddress = keys, tls.RequireAnyClientCert, true
			for _, datagram := range []bool{false, true} {
				newMeeting(t, datagram, c, asks).finish()
			}
			s = s.Clone()
			s.TicketKeys = keys
			return c, s
		},
		"the session is empty": func(t *testing.T, c, s *Config, now *clock) (*Config, *Config) {
			c = c.Clone()
			c.SessionCache = always{new(Session)}
			return c, s
		},
		"the cipher suite is gone": func(t *testing.T, c, s *Config, now *clock) (*Config, *Config) {
			c = c.Clone()
			c.CipherSuites = []uint16{tls.TLS_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
			return c, s
		},
		"the client's roots are others": func(t *testing.T, c, s *Config, now *clock) (*Config, *Config) {
			other := pkitest.CA(t)
			c = c.Clone()
			c.RootCAs = other.Pool()
			s2 := s.Clone()
			s2.TicketKeys = s.compile.result.keys
			s2.Certificates = []tls.Certificate{other.Leaf(t, pkitest.Options{})}
			return c, s2
		},
		"another name of the same server": func(t *testing.T, c, s *Config, now *clock) (*Config, *Config) {
			c2 := c.Clone()
			old := c.SessionCache.Get("tls:localhost")
			if old == nil {
				old = c.SessionCache.Get("dtls:localhost")
			}
			c2.SessionCache = always{old}
			c2.ServerName = "other.localhost"
			c2.InsecureSkipVerify = true
			return c2, s
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			fourModes(t, func(t *testing.T, datagram bool, version uint16) {
				client, server, now := sessionConfigs(t, version)
				newMeeting(t, datagram, client, server).finish()
				client, server = change(t, client, server, now)
				m := newMeeting(t, datagram, client, server)
				m.finish()
				if m.client.State().DidResume || m.server.State().DidResume {
					t.Error("it resumed")
				}
			})
		})
	}
}

// TestSessionsOfOthers: a session that began with less than is demanded now, or
// with what is not known any more, is not resumed. The servers share their ticket
// keys, and the clients their cache.
func TestSessionsOfOthers(t *testing.T) {
	raw := []tls.Certificate{{PrivateKey: pkitest.Key(t, pkitest.P256, false)}}
	ed := pkitest.CA(t).Leaf(t, pkitest.Options{Kind: pkitest.Ed25519})
	anyRaw := func(c *Config) {
		c.PeerCertificateTypes, c.InsecureSkipVerify = []CertificateType{RawPublicKey}, true
	}
	psk := PSK{Identity: []byte("device"), Key: []byte("0123456789abcdef")}
	other := PSK{Identity: []byte("other"), Key: []byte("0123456789abcdef")}
	for name, test := range map[string]struct {
		first func(c, s *Config)
		then  func(c, s *Config)
	}{
		"a client's raw key, where a certificate is demanded": {
			func(c, s *Config) {
				c.Certificates, s.ClientAuth = raw, tls.RequireAnyClientCert
				anyRaw(s)
			},
			func(c, s *Config) {
				c.Certificates, s.ClientAuth, s.ClientCAs = s.Certificates, tls.RequireAndVerifyClientCert, c.RootCAs
			},
		},
		"a server's raw key, where a certificate is demanded": {
			func(c, s *Config) {
				s.Certificates = raw
				anyRaw(c)
			},
			func(c, s *Config) {},
		},
		"a client's certificate, where a raw key is demanded": {
			func(c, s *Config) { c.Certificates, s.ClientAuth = s.Certificates, tls.RequireAnyClientCert },
			func(c, s *Config) {
				c.Certificates, s.ClientAuth = raw, tls.RequireAnyClientCert
				anyRaw(s)
			},
		},
		"a server's certificate, where a raw key is demanded": {
			func(c, s *Config) {},
			func(c, s *Config) {
				s.Certificates = raw
				anyRaw(c)
			},
		},
		"a client's signature of a scheme that is not accepted now": {
			func(c, s *Config) { c.Certificates, s.ClientAuth = s.Certificates, tls.RequireAnyClientCert },
			func(c, s *Config) {
				c.Certificates, s.ClientAuth = []tls.Certificate{ed}, tls.RequireAnyClientCert
				s.SignatureSchemes = []tls.SignatureScheme{tls.Ed25519}
			},
		},
		"a server's signature of a scheme that is not accepted now": {
			func(c, s *Config) {},
			func(c, s *Config) {
				c.InsecureSkipVerify, s.Certificates = true, []tls.Certificate{ed}
				c.SignatureSchemes = []tls.SignatureScheme{tls.Ed25519}
			},
		},
		"a PSK's, where a certificate is demanded": {
			func(c, s *Config) { c.PSKs, s.PSKs = []PSK{psk}, []PSK{psk} },
			func(c, s *Config) { s.PSKs = []PSK{psk} },
		},
		"anybody's, where a PSK is demanded": {
			func(c, s *Config) {},
			func(c, s *Config) { c.PSKs, s.PSKs, s.Certificates = []PSK{psk}, []PSK{psk}, nil },
		},
		"anybody's, where there are no tickets any more": {
			func(c, s *Config) {},
			func(c, s *Config) { s.NoTickets, s.PSKs = true, []PSK{psk} },
		},
		"that of a PSK that the server does not know any more": {
			func(c, s *Config) { c.PSKs, s.PSKs = []PSK{psk}, []PSK{psk} },
			func(c, s *Config) { c.PSKs, s.PSKs = []PSK{psk}, []PSK{other} },
		},
		"that of a PSK that the server's callback does not know any more": {
			func(c, s *Config) { c.PSKs, s.PSKs = []PSK{psk}, []PSK{psk} },
			func(c, s *Config) {
				c.PSKs, s.GetPSK = []PSK{psk}, func([]byte) (*PSK, error) { return nil, nil }
			},
		},
		"that of a PSK that the client does not have any more": {
			func(c, s *Config) { c.PSKs, s.PSKs = []PSK{psk}, []PSK{psk} },
			func(c, s *Config) { c.PSKs, s.PSKs = []PSK{other}, []PSK{psk, other} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			fourModes(t, func(t *testing.T, datagram bool, version uint16) {
				client, server, _ := sessionConfigs(t, version)
				server.TicketKeys = StaticTicketKeys(TicketKey{1})
				first := [2]*Config{client.Clone(), server.Clone()}
				test.first(first[0], first[1])
				m := newMeeting(t, datagram, first[0], first[1])
				m.finish()
				m = newMeeting(t, datagram, first[0], first[1])
				m.finish()
				if !m.server.State().DidResume {
					t.Fatal("nothing is resumed at all")
				}
				test.then(client, server)
				m = newMeeting(t, datagram, client, server)
				if err := m.run(); err != nil && version == tls.VersionTLS13 {
					t.Error(err)
				}
				if m.server.State().DidResume {
					t.Error("it is resumed")
				}
			})
		})
	}
}

// TestSessionOfAnotherGroup: a session of TLS 1.2 has the strength of its key exchange;
// TLS 1.3 has another one.
func TestSessionOfAnotherGroup(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		for _, side := range []Mode{TLSClient, TLSServer} {
			client, server, _ := sessionConfigs(t, version)
			server.TicketKeys = StaticTicketKeys(TicketKey{1})
			newMeeting(t, datagram, client, server).finish()
			client, server = client.Clone(), server.Clone()
			map[Mode]*Config{TLSClient: client, TLSServer: server}[side].CurvePreferences = []tls.CurveID{tls.CurveP384, tls.CurveP256}
			m := newMeeting(t, datagram, client, server)
			m.finish()
			if s := m.server.State(); s.DidResume != (version == tls.VersionTLS13) || s.Curve != tls.CurveP384 && s.Curve != tls.CurveP256 {
				t.Errorf("%v: resumed %v, with %v", side, s.DidResume, s.Curve)
			}
		}
	})
}

// TestSessionOfPSK: a session says which PSK it began with.
func TestSessionOfPSK(t *testing.T) {
	psk := PSK{Identity: []byte("device"), Key: []byte("0123456789abcdef")}
	for name, server := range map[string]*Config{
		"PSKs":     {PSKs: []PSK{psk}},
		"GetPSK":   {GetPSK: func([]byte) (*PSK, error) { return &psk, nil }},
		"AsyncPSK": {Async: AsyncPSK},
	} {
		t.Run(name, func(t *testing.T) {
			fourModes(t, func(t *testing.T, datagram bool, version uint16) {
				client := &Config{Time: atNow, PSKs: []PSK{psk}, MaxVersion: version, SessionCache: NewSessionCache(1)}
				server := server.Clone()
				server.Time = atNow
				for i := range 3 {
					m := newMeeting(t, datagram, client, server)
					m.answer = func(q Pending) {
						r := q.(*PSKRequest)
						if string(r.Identity) != "device" {
							r.Answer(nil, nil)
						} else {
							r.Answer(&psk, nil)
						}
					}
					m.finish()
					for _, e := range []*Engine{m.client, m.server} {
						if s := e.State(); s.DidResume != (i > 0) || string(s.PSKIdentity) != "device" {
							t.Errorf("connection %d, %v: resumed %v, PSK %q", i, e.mode, s.DidResume, s.PSKIdentity)
						}
					}
				}
			})
		})
	}
}

// TestSessionOfAnotherKey: where a PSK has another key than it had, sessions that
// began with the old one are over, whoever knows them.
func TestSessionOfAnotherKey(t *testing.T) {
	old := PSK{Identity: []byte("device"), Key: []byte("0123456789abcdef")}
	fresh := PSK{Identity: []byte("device"), Key: []byte("fedcba9876543210")}
	now := old // what the callbacks know
	configs := map[string]func(c *Config){
		"PSKs":     func(c *Config) { c.PSKs = []PSK{now} },
		"GetPSK":   func(c *Config) { c.GetPSK = func([]byte) (*PSK, error) { return &now, nil } },
		"AsyncPSK": func(c *Config) { c.Async = AsyncPSK },
	}
	for name, give := range configs {
		for _, imported := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, imported %v", name, imported), func(t *testing.T) {
				fourModes(t, func(t *testing.T, datagram bool, version uint16) {
					if imported && version == tls.VersionTLS12 {
						return
					}
					old, fresh := old, fresh
					old.Import, fresh.Import = imported, imported
					client := &Config{Time: atNow, PSKs: []PSK{old}, MaxVersion: version, SessionCache: NewSessionCache(1)}
					server := &Config{Time: atNow, TicketKeys: StaticTicketKeys(TicketKey{1})}
					meet := func() (*meeting, error) {
						m := newMeeting(t, datagram, client, server)
						m.answer = func(q Pending) { q.(*PSKRequest).Answer(&now, nil) }
						return m, m.run()
					}
					now = old
					give(server)
					if _, err := meet(); err != nil {
						t.Fatal(err)
					}
					now = fresh
					server = server.Clone()
					give(server)
					if m, err := meet(); err == nil && m.server.HandshakeComplete() {
						t.Error("the server resumes it")
					}
					now = old
					server = server.Clone()
					give(server)
					if m, err := meet(); err != nil || version == tls.VersionTLS12 && !m.server.State().DidResume {
						t.Errorf("the old key again: %v", err)
					}
					client = client.Clone()
					client.PSKs = []PSK{fresh}
					if m, err := meet(); err == nil && m.client.HandshakeComplete() {
						t.Error("the client resumes it")
					}
				})
			})
		}
	}
}

// TestVerifyPeerCertificateOfSessions: what a full handshake would have been asked
// is asked of a session, too.
func TestVerifyPeerCertificateOfSessions(t *testing.T) {
	refuse := func([][]byte, [][]*x509.Certificate) error { return errors.New("not this one") }
	for name, change := range map[string]func(c, s *Config){
		"client": func(c, s *Config) { c.VerifyPeerCertificate = refuse },
		"server": func(c, s *Config) { s.VerifyPeerCertificate = refuse },
	} {
		t.Run(name, func(t *testing.T) {
			fourModes(t, func(t *testing.T, datagram bool, version uint16) {
				client, server, _ := sessionConfigs(t, version)
				server.TicketKeys = StaticTicketKeys(TicketKey{1})
				client.Certificates = server.Certificates
				server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, client.RootCAs
				newMeeting(t, datagram, client, server).finish()
				client, server = client.Clone(), server.Clone()
				change(client, server)
				if err := newMeeting(t, datagram, client, server).run(); err == nil {
					t.Error("the other callback is not asked")
				}
			})
		})
	}
}

// always is a cache with one session.
type always struct{ s *Session }

func (a always) Get(string) *Session { return a.s }
func (always) Put(string, *Session)  {}

// TestSessionsSurviveTheProcess: a session that was saved resumes, after its
// server was verified again.
func TestSessionsSurviveTheProcess(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, _ := sessionConfigs(t, version)
		newMeeting(t, datagram, client, server).finish()
		key := "tls:localhost"
		if datagram {
			key = "dtls:localhost"
		}
		saved, err := client.SessionCache.Get(key).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var s Session
		if err := s.UnmarshalBinary(saved); err != nil {
			t.Fatal(err)
		}
		if s.ServerName() != "localhost" || s.Version() != version || s.SingleUse() != (version == tls.VersionTLS13) {
			t.Errorf("%q %#x", s.ServerName(), s.Version())
		}
		fresh := client.Clone()
		fresh.SessionCache = always{&s}
		m := newMeeting(t, datagram, fresh, server)
		m.finish()
		if !m.client.State().DidResume {
			t.Error("it does not resume")
		}
		fresh = fresh.Clone()
		fresh.RootCAs = pkitest.CA(t).Pool()
		m = newMeeting(t, datagram, fresh, server)
		if err := m.run(); err == nil {
			t.Error("a session of a server that is not trusted is resumed")
		}
	})
}

// TestDamagedSessions: a session that was saved is whole, or an error and no session.
func TestDamagedSessions(t *testing.T) {
	client, server, _ := sessionConfigs(t, tls.VersionTLS13)
	newMeeting(t, false, client, server).finish()
	saved, err := client.SessionCache.Get("tls:localhost").MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{"garbage": []byte("garbage"), "a byte more": append(bytes.Clone(saved), 0)}
	for at := range saved {
		changed := bytes.Clone(saved)
		changed[at] ^= 1
		damaged[fmt.Sprintf("byte %d changed", at)] = changed
		damaged[fmt.Sprintf("%d bytes", at)] = saved[:at]
	}
	other := append([]byte{saved[0] + 1}, saved[1:len(saved)-4]...)
	damaged["one of another version"] = binary.BigEndian.AppendUint32(other, crc32.ChecksumIEEE(other))
	for name, data := range damaged {
		var s Session
		if err := s.UnmarshalBinary(data); err == nil || s.state != nil {
			t.Errorf("%s: a session", name)
		}
	}
}

// TestForgedTickets: a ticket that was changed anywhere is a full handshake.
func TestForgedTickets(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server, now := sessionConfigs(t, version)
		newMeeting(t, false, client, server).finish()
		s := client.SessionCache.Get("tls:localhost")
		ticket := s.state.Ticket
		keys, _ := server.compile.result.keys.TicketKeys(now.now)
		for n := range ticket {
			if openTicket(keys, ticket[:n]) != nil {
				t.Errorf("%s: %d of %d bytes are a ticket", tls.VersionName(version), n, len(ticket))
			}
		}
		for at := 0; at <= len(ticket); at += stride() {
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

func TestClientCertificateInSession(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, _ := sessionConfigs(t, version)
		client.Certificates = server.Certificates
		server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, client.RootCAs
		for i := range 2 {
			m := newMeeting(t, datagram, client, server)
			m.finish()
			s := m.server.State()
			if s.DidResume != (i > 0) || len(s.PeerCertificates) != 1 {
				t.Errorf("connection %d: resumed %v, %d certificates", i, s.DidResume, len(s.PeerCertificates))
			}
		}
		// Another authority is trusted now: the session is none.
		keys := server.compile.result.keys
		server = server.Clone()
		server.TicketKeys, server.ClientCAs = keys, pkitest.CA(t).Pool()
		if err := newMeeting(t, datagram, client, server).run(); err == nil {
			t.Error("a certificate that is not trusted any more is accepted")
		}
	})
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
			cfg.MaxCertificateMessage, cfg.Datagram.Memory = 1<<18, 1<<18
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

func TestSessionCacheForgets(t *testing.T) {
	c := NewSessionCache(2)
	client, server, _ := sessionConfigs(t, tls.VersionTLS13)
	newMeeting(t, false, client, server).finish()
	s := client.SessionCache.Get("tls:localhost")
	for _, key := range []string{"a", "b"} {
		c.Put(key, s)
	}
	c.Put("a", s)
	c.Put("c", s)
	for key, want := range map[string]int{"a": 2, "b": 0, "c": 1} {
		n := 0
		for c.Get(key) != nil {
			n++
		}
		if n != want {
			t.Errorf("%d sessions for %s, want %d", n, key, want)
		}
	}
	for range 10 {
		c.Put("a", s)
	}
	n := 0
	for c.Get("a") != nil {
		n++
	}
	if n != sessionsPerKey {
		t.Errorf("%d sessions of one key", n)
	}

	// What was asked for is in use. Of TLS 1.2 the newest is enough, for any time.
	old := &Session{state: &session.Session{Version: tls.VersionTLS12}}
	c = NewSessionCache(2)
	for _, key := range []string{"a", "b", "a"} {
		c.Put(key, &Session{state: &session.Session{Version: tls.VersionTLS12}})
	}
	c.Put("b", old)
	c.Get("a")
	c.Put("c", old)
	if c.Get("b") != nil || c.Get("a") == nil || c.Get("c") != old {
		t.Error("the wrong one was forgotten")
	}
	for range 2 {
		c.Put("c", &Session{state: &session.Session{Version: tls.VersionTLS12}})
		c.Put("c", old)
	}
	for range sessionsPerKey {
		if c.Get("c") != old {
			t.Error("the newest session of TLS 1.2 is not offered, again and again")
		}
	}
}

func TestPSKs(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	psk := PSK{Identity: []byte("device 7"), Key: key}
	for name, p := range map[string]PSK{
		"as it is": psk,
		"SHA-384":  {Identity: psk.Identity, Key: key, Hash: crypto.SHA384},
		"imported": {Identity: psk.Identity, Key: key, Import: true, Context: []byte("context")},
	} {
		t.Run(name, func(t *testing.T) {
			fourModes(t, func(t *testing.T, datagram bool, version uint16) {
				if p.Import && version == tls.VersionTLS12 {
					t.Skip("imported keys are for 1.3")
				}
				for _, callback := range []bool{false, true} {
					client := &Config{Time: atNow, PSKs: []PSK{{Identity: []byte("other"), Key: key, Import: p.Import}, p}, MaxVersion: version}
					if version == tls.VersionTLS12 {
						client.PSKs = client.PSKs[1:]
					}
					server := &Config{Time: atNow, PSKs: []PSK{p}}
					if callback {
						server.PSKs, server.GetPSK = nil, func(identity []byte) (*PSK, error) {
							if string(identity) == string(p.Identity) {
								return &p, nil
							}
							return nil, nil
						}
					}
					m := newMeeting(t, datagram, client, server)
					m.finish()
					for _, e := range []*Engine{m.client, m.server} {
						if s := e.State(); string(s.PSKIdentity) != string(p.Identity) || s.DidResume || s.Version != version {
							t.Errorf("%v: PSK %q, resumed %v, version %#x", e.mode, s.PSKIdentity, s.DidResume, s.Version)
						}
					}
				}
			})
		})
	}
}

// TestLargePSKs: a client says that its PSKs do not fit, rather than send a hello whose
// lengths are wrong.
func TestLargePSKs(t *testing.T) {
	large, key := make([]byte, 1<<15-1), make([]byte, 32)
	for name, test := range map[string]struct {
		psks []PSK
		fit  bool
	}{
		"the largest":                {[]PSK{{Identity: large, Key: key}}, true},
		"two large ones":             {[]PSK{{Identity: large, Key: key}, {Identity: large[1:], Key: key}}, false},
		"the largest to be imported": {[]PSK{{Identity: large, Key: key, Import: true, Context: large}}, false},
	} {
		overBoth(t, func(t *testing.T, datagram bool) {
			client := &Config{Time: atNow, PSKs: test.psks, MinVersion: tls.VersionTLS13}
			m := newMeeting(t, datagram, client, &Config{Time: atNow, PSKs: test.psks})
			err := m.run()
			if _, sealErr := m.client.Seal(nil, nil); !test.fit {
				err = sealErr
			}
			var fault *AlertError
			if test.fit && err != nil || !test.fit && (!errors.As(err, &fault) || fault.Alert != AlertInternalError || fault.Received) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// TestUnusablePSK: what a callback gives must be as good as what a Config has.
func TestUnusablePSK(t *testing.T) {
	right := PSK{Identity: []byte("device"), Key: []byte("0123456789abcdef")}
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		for name, given := range map[string]PSK{
			"without a key":                       {Identity: right.Identity},
			"of a hash that is none of TLS 1.3's": {Identity: right.Identity, Key: right.Key, Hash: crypto.SHA512},
		} {
			client := &Config{Time: atNow, PSKs: []PSK{right}, MaxVersion: version}
			server := &Config{Time: atNow, GetPSK: func([]byte) (*PSK, error) { return &given, nil }}
			var fault *AlertError
			if err := newMeeting(t, datagram, client, server).run(); !errors.As(err, &fault) || fault.Alert != AlertInternalError || fault.Received {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestVerifyConnectionOfPSK: both sides are asked about a connection by PSK, once,
// when it is known which PSK.
func TestVerifyConnectionOfPSK(t *testing.T) {
	psk := PSK{Identity: []byte("device"), Key: []byte("0123456789abcdef")}
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		for _, refuses := range []Mode{0, TLSClient, TLSServer} {
			asked := map[Mode]int{}
			config := func(mode Mode) *Config {
				return &Config{Time: atNow, PSKs: []PSK{psk}, MaxVersion: version, VerifyConnection: func(s *ConnectionState) error {
					if string(s.PSKIdentity) != "device" {
						t.Errorf("%v: PSK %q", mode, s.PSKIdentity)
					}
					asked[mode]++
					if mode == refuses {
						return errors.New("not this one")
					}
					return nil
				}}
			}
			err := newMeeting(t, datagram, config(TLSClient), config(TLSServer)).run()
			if (err != nil) != (refuses != 0) {
				t.Errorf("%v refuses: %v", refuses, err)
			}
			if refuses == 0 && (asked[TLSClient] != 1 || asked[TLSServer] != 1) {
				t.Errorf("asked %v times", asked)
			}
		}
	})
}

func TestPSKSuites12(t *testing.T) {
	psk := PSK{Identity: []byte("device"), Key: []byte("0123456789abcdef")}
	for _, id := range []uint16{0xd001, 0xd002, 0xccac, 0xd005, 0xd003, 0x00a8, 0x00a9, 0xccab, 0xc0a4, 0xc0a5, 0xc0a8, 0xc0a9} {
		client := &Config{Time: atNow, PSKs: []PSK{psk}, CipherSuites: []uint16{id}}
		server := &Config{Time: atNow, PSKs: []PSK{psk}, CipherSuites: []uint16{id}}
		m := newMeeting(t, false, client, server)
		m.finish()
		if s := m.client.State(); s.CipherSuite != id || s.Version != tls.VersionTLS12 {
			t.Errorf("suite %#x, version %#x, want %#x", s.CipherSuite, s.Version, id)
		}
	}
}

// TestWrongPSKs: an unknown identity and a wrong key look alike where there are
// only PSKs.
func TestWrongPSKs(t *testing.T) {
	right := PSK{Identity: []byte("device"), Key: []byte("0123456789abcdef")}
	wrong := map[string]PSK{
		"wrong key":        {Identity: right.Identity, Key: []byte("fedcba9876543210")},
		"unknown identity": {Identity: []byte("nobody"), Key: right.Key},
	}
	for name, p := range wrong {
		t.Run(name, func(t *testing.T) {
			fourModes(t, func(t *testing.T, datagram bool, version uint16) {
				client := &Config{Time: atNow, PSKs: []PSK{p}, MaxVersion: version}
				m := newMeeting(t, datagram, client, &Config{Time: atNow, PSKs: []PSK{right}})
				err := m.run()
				if version == tls.VersionTLS12 && datagram {
					// The Finished does not decrypt, and is dropped like any forgery.
					if err != nil || m.server.HandshakeComplete() {
						t.Errorf("%v, complete %v", err, m.server.HandshakeComplete())
					}
					return
				}
				want := Alert(51)
				if version == tls.VersionTLS12 {
					want = 20
				}
				var fault *AlertError
				if !errors.As(err, &fault) || fault.Alert != want {
					t.Errorf("%v, want alert %d", err, want)
				}
			})
		})
	}
	t.Run("none at all", func(t *testing.T) {
		fourModes(t, func(t *testing.T, datagram bool, version uint16) {
			client := &Config{Time: atNow, InsecureSkipVerify: true, MaxVersion: version}
			server := &Config{Time: atNow, PSKs: []PSK{right}, CipherSuites: []uint16{
				tls.TLS_AES_128_GCM_SHA256, 0xd001, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
			var fault *AlertError
			if err := newMeeting(t, datagram, client, server).run(); !errors.As(err, &fault) || fault.Alert != AlertHandshakeFailure {
				t.Errorf("%v", err)
			}
		})
	})
	t.Run("an imported one in TLS 1.2", func(t *testing.T) {
		imported := PSK{Identity: right.Identity, Key: right.Key, Import: true}
		form := imported.forms(wire.Stream)[0]
		client := &Config{Time: atNow, PSKs: []PSK{{Identity: form.Identity, Key: form.Key}}, MaxVersion: tls.VersionTLS12}
		server := &Config{Time: atNow, PSKs: []PSK{imported, {Identity: []byte("other"), Key: right.Key}}}
		var fault *AlertError
		if err := newMeeting(t, false, client, server).run(); !errors.As(err, &fault) || fault.Alert != AlertBadRecordMAC {
			t.Errorf("%v", err)
		}
	})
	t.Run("unknown identity, and there is a certificate", func(t *testing.T) {
		client, server := configs(t)
		client.PSKs, server.PSKs = []PSK{wrong["unknown identity"]}, []PSK{right}
		client.MinVersion = tls.VersionTLS13
		m := newMeeting(t, false, client, server)
		m.finish()
		if s := m.client.State(); s.PSKIdentity != nil || len(s.PeerCertificates) != 1 {
			t.Errorf("PSK %q, %d certificates", s.PSKIdentity, len(s.PeerCertificates))
		}
	})
	t.Run("a certificate, and no name to verify it by", func(t *testing.T) {
		_, server := configs(t)
		loaded, err := LoadConfig(TLSClient, "", "")
		if err != nil {
			t.Fatal(err)
		}
		loaded.InsecureSkipVerify = false
		for name, client := range map[string]*Config{"a Config": {}, "one of LoadConfig": loaded} {
			client.Time, client.PSKs, client.MinVersion = atNow, []PSK{right}, tls.VersionTLS13
			err := newMeeting(t, false, client, server).run()
			var fault *AlertError
			if !errors.As(err, &fault) || fault.Alert == AlertUnknownCA {
				t.Errorf("%s: a client with only PSKs looks at a certificate: %v", name, err)
			}
		}
	})
}

func earlyConfigs(t *testing.T) (client, server *Config, now *clock) {
	client, server, now = sessionConfigs(t, tls.VersionTLS13)
	client.EarlyData, server.MaxEarlyData = true, 1000
	return client, server, now
}

func overBoth(t *testing.T, test func(t *testing.T, datagram bool)) {
	t.Run("TLS 1.3", func(t *testing.T) { test(t, false) })
	t.Run("DTLS 1.3", func(t *testing.T) { test(t, true) })
}

// sendEarly sends early data right behind the ClientHello.
func (m *meeting) sendEarly(data string) error {
	hello := m.client.Output(nil)
	out, err := m.client.SealEarlyData(nil, []byte(data))
	if err != nil {
		return err
	}
	if err := m.toServer(hello); err != nil {
		return err
	}
	return m.toServer(out)
}

// toServer gives the server a hello or early data.
func (m *meeting) toServer(in []byte) error {
	for len(in) > 0 {
		o, err := m.server.Open(in)
		switch {
		case err == ErrPending:
			m.answer(m.server.Pending())
			continue
		case err != nil:
			return err
		case o.Kind == KindEarlyData:
			m.got.early = append(m.got.early, o.Data...)
		case len(o.Data) > 0:
			m.t.Error("early data is not marked as such")
		}
		in = in[o.N:]
	}
	return nil
}

// TestHalfRTT: a server that has accepted early data answers it, and exports, before
// it has heard the client's Finished; one that has not can only answer.
func TestHalfRTT(t *testing.T) {
	exports := func(e *Engine) []byte {
		out, err := e.ExportKeyingMaterial("label", []byte("context"), 32)
		if err != nil && err != errIncomplete {
			t.Error(err)
		}
		return out
	}
	overBoth(t, func(t *testing.T, datagram bool) {
		client, server, _ := earlyConfigs(t)
		client.Async, client.CurvePreferences = AsyncVerify, []tls.CurveID{tls.X25519}
		for _, early := range []bool{false, true} {
			m := newMeeting(t, datagram, client, server)
			if early {
				if err := m.sendEarly("a question"); err != nil {
					t.Fatal(err)
				}
			} else if _, err := m.pass(m.client, m.server, &m.got.server); err != nil {
				t.Fatal(err)
			}
			if m.server.HandshakeComplete() || (exports(m.server) != nil) != early {
				t.Errorf("early data %v: the exporter is there: %v", early, !early)
			}
			before := exports(m.server)
			m.answer = func(p Pending) {
				if exports(m.client) != nil {
					t.Error("a client exports before it has verified the server")
				}
				if err := p.(*VerifyRequest).Answer(nil); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := m.pass(m.server, m.client, &m.got.client); err != nil {
				t.Fatal(err)
			}
			m.answer(m.client.Pending())
			sealed, err := m.server.Seal(nil, []byte("an answer"))
			if err != nil {
				t.Fatal(err)
			}
			if o, err := m.client.Open(sealed); err != nil || string(o.Data) != "an answer" || m.server.HandshakeComplete() {
				t.Errorf("the client got %q, %v; server complete: %v", o.Data, err, m.server.HandshakeComplete())
			}
			m.finish()
			if after := exports(m.server); !bytes.Equal(after, exports(m.client)) || before != nil && !bytes.Equal(before, after) {
				t.Errorf("exported %x, then %x", before, after)
			}
		}
	})
}

func TestEarlyData(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		client, server, now := earlyConfigs(t)
		newMeeting(t, datagram, client, server).finish()
		for range 3 {
			now.now = now.now.Add(time.Minute)
			m := newMeeting(t, datagram, client, server)
			if room := m.client.EarlyDataRoom(); room != 1000 {
				t.Fatalf("room for %d bytes", room)
			}
			if err := m.sendEarly("early words"); err != nil {
				t.Fatal(err)
			}
			if string(m.got.early) != "early words" || m.server.HandshakeComplete() {
				t.Errorf("%q, complete %v", m.got.early, m.server.HandshakeComplete())
			}
			m.finish()
			for _, e := range []*Engine{m.client, m.server} {
				if s := e.State(); !s.EarlyDataOffered || !s.EarlyDataAccepted || !s.DidResume {
					t.Errorf("%v: offered %v, accepted %v, resumed %v", e.mode, s.EarlyDataOffered, s.EarlyDataAccepted, s.DidResume)
				}
			}
			if _, err := m.client.SealEarlyData(nil, []byte("late")); err == nil {
				t.Error("early data is sent late")
			}
		}
	})
}

// TestEarlyDataBeforeVerdict: a session that another Config began, or one from elsewhere,
// brings no early data to a server that would not be accepted now.
func TestEarlyDataBeforeVerdict(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		for name, test := range map[string]struct {
			judged func(*Config)
			rooms  []int // of the first connection, and of the next
			fails  bool
		}{
			"VerifyConnection accepts": {func(c *Config) {
				c.VerifyConnection = func(s *ConnectionState) error {
					if len(s.PeerCertificates) != 1 || s.ServerName != "localhost" || s.Version != tls.VersionTLS13 || s.CipherSuite == 0 || !s.DidResume || s.NegotiatedProtocol != "a" {
						t.Errorf("it is asked about %+v", s)
					}
					return nil
				}
			}, []int{1000, 1000}, false},
			"VerifyConnection refuses": {func(c *Config) {
				c.VerifyConnection = func(s *ConnectionState) error { return errors.New("not this one") }
			}, []int{0}, true},
			"AsyncVerify": {func(c *Config) { c.Async = AsyncVerify }, []int{0, 1000}, false},
		} {
			client, server, _ := earlyConfigs(t)
			alpn(client, server)
			newMeeting(t, datagram, client, server).finish()
			client = client.Clone()
			test.judged(client)
			for _, want := range test.rooms {
				m := newMeeting(t, datagram, client, server)
				m.answer = func(p Pending) {
					if err := p.(*VerifyRequest).Answer(nil); err != nil {
						t.Fatal(err)
					}
				}
				if room := m.client.EarlyDataRoom(); room != want {
					t.Errorf("%s: room for %d bytes, want %d", name, room, want)
				}
				if test.fails {
					if m.run() == nil {
						t.Errorf("%s: it is not asked again", name)
					}
				} else if m.finish(); !m.client.State().DidResume {
					t.Errorf("%s: it does not resume", name)
				}
			}
		}
	})
}

// TestEarlyDataRejected: whatever the reason, the handshake goes on and the
// client hears of it.
func TestEarlyDataRejected(t *testing.T) {
	tests := map[string]func(client, server *Config, now *clock){
		"the server takes none any more": func(c, s *Config, now *clock) { s.MaxEarlyData = 0 },
		"another ALPN protocol":          func(c, s *Config, now *clock) { s.NextProtos = []string{"b"} },
		"a HelloRetryRequest":            func(c, s *Config, now *clock) { s.CurvePreferences = []tls.CurveID{tls.CurveP384} },
		"no session key any more":        func(c, s *Config, now *clock) { s.TicketKeys = nil },
		"the guard is full":              func(c, s *Config, now *clock) { s.ReplayGuard = never{} },
		"another suite": func(c, s *Config, now *clock) {
			s.CipherSuites = []uint16{tls.TLS_CHACHA20_POLY1305_SHA256}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, datagram bool) {
				client, server, now := earlyConfigs(t)
				server.TicketKeys, server.ReplayGuard = StaticTicketKeys(TicketKey{7}), anew{}
				client.NextProtos, server.NextProtos = []string{"a", "b"}, []string{"a"}
				newMeeting(t, datagram, client, server).finish()
				server = server.Clone()
				change(client, server, now)
				m := newMeeting(t, datagram, client, server)
				if err := m.sendEarly("early words"); err != nil {
					t.Fatal(err)
				}
				m.finish()
				if s := m.client.State(); !s.EarlyDataOffered || s.EarlyDataAccepted || len(m.got.early) > 0 {
					t.Errorf("offered %v, accepted %v, got %q", s.EarlyDataOffered, s.EarlyDataAccepted, m.got.early)
				}
			})
		})
	}
}

type never struct{}

func (never) Unseen([]byte, time.Time) bool { return false }

type anew struct{}

func (anew) Unseen([]byte, time.Time) bool { return true }

// TestEarlyDataReplay: the same bytes again are early data no more.
func TestEarlyDataReplay(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		for _, after := range []time.Duration{0, time.Second, 20 * time.Second, time.Minute} {
			client, server, now := earlyConfigs(t)
			newMeeting(t, datagram, client, server).finish()
			m := newMeeting(t, datagram, client, server)
			hello := m.client.Output(nil)
			early, err := m.client.SealEarlyData(nil, []byte("transfer 100"))
			if err != nil {
				t.Fatal(err)
			}
			var times int
			for range 2 {
				m := newMeeting(t, datagram, client, server)
				for _, in := range [][]byte{append([]byte{}, hello...), append([]byte{}, early...)} {
					for len(in) > 0 {
						o, err := m.server.Open(in)
						if err != nil {
							t.Fatal(err)
						}
						if o.Kind == KindEarlyData {
							times++
						}
						in = in[o.N:]
					}
				}
				now.now = now.now.Add(after)
			}
			if times != 1 {
				t.Errorf("%v later: early data came %d times", after, times)
			}
		}
	})
}

// TestEarlyDataAfterRestart: a server that was started again does not know what it
// has accepted before, so that it accepts nothing for a while.
func TestEarlyDataAfterRestart(t *testing.T) {
	keys := []TicketKey{{7}}
	for name, given := range map[string]func(server *Config){
		"TicketKeys":      func(server *Config) { server.TicketKeys = StaticTicketKeys(keys...) },
		"AsyncTicketKeys": func(server *Config) { server.Async = AsyncTicketKeys },
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, datagram bool) {
				client, server, now := earlyConfigs(t)
				given(server)
				meet := func() *meeting {
					m := newMeeting(t, datagram, client, server)
					m.answer = func(p Pending) {
						if err := p.(*TicketKeysRequest).Answer(keys, nil); err != nil {
							t.Fatal(err)
						}
					}
					return m
				}
				accepts := func(hello, early []byte) bool {
					m := meet()
					for _, in := range [][]byte{bytes.Clone(hello), bytes.Clone(early)} {
						if err := m.toServer(in); err != nil {
							t.Fatal(err)
						}
					}
					return len(m.got.early) > 0
				}
				for range 2 {
					meet().finish()
					now.now = now.now.Add(time.Minute)
					m := meet()
					hello := m.client.Output(nil)
					early, err := m.client.SealEarlyData(nil, []byte("transfer 100"))
					if err != nil {
						t.Fatal(err)
					}
					if !accepts(hello, early) {
						t.Error("it is never accepted")
					}
					now.now = now.now.Add(time.Second)
					server = server.Clone()
					if accepts(hello, early) {
						t.Error("it is accepted again")
					}
				}
			})
		})
	}
}

// TestEarlyDataProvesNothing: it may be a replay, from anywhere, so a server's answer
// to it has the bounds of an unproved address.
func TestEarlyDataProvesNothing(t *testing.T) {
	client, server, now := earlyConfigs(t)
	server.TicketKeys, server.ReplayGuard = StaticTicketKeys(TicketKey{1}), NewReplayGuard(10, now.time)
	now.now = now.now.Add(time.Minute) // a young guard accepts nothing
	newMeeting(t, true, client, server).finish()
	m := newMeeting(t, true, client, server)
	server = server.Clone()
	server.Datagram.TrustAddress = false
	var err error
	if m.server, err = NewEngine(DTLSServer, server); err != nil {
		t.Fatal(err)
	}
	if err := m.sendEarly("early words"); err != nil || string(m.got.early) != "early words" {
		t.Fatalf("%q, %v", m.got.early, err)
	}
	if _, err := m.server.Seal(nil, make([]byte, 8000)); !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("8,000 bytes in answer to early data: %v", err)
	}
	m.finish()
	if _, err := m.server.Seal(nil, make([]byte, 8000)); err != nil {
		t.Errorf("after the handshake: %v", err)
	}
}

func TestTooMuchEarlyData(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		client, server, _ := earlyConfigs(t)
		server.TicketKeys, server.ReplayGuard = StaticTicketKeys(TicketKey{1}), anew{}
		newMeeting(t, datagram, client, server).finish()
		server = server.Clone()
		server.MaxEarlyData = 5000 // in tickets from now on
		m := newMeeting(t, datagram, client, server)
		if _, err := m.client.SealEarlyData(nil, make([]byte, 1001)); !errors.Is(err, ErrInvalidOperation) {
			t.Errorf("a client sends more than it may: %v", err)
		}
		if err := m.sendEarly(string(make([]byte, 1000))); err != nil || m.client.EarlyDataRoom() != 0 {
			t.Errorf("%v, room %d", err, m.client.EarlyDataRoom())
		}
		m.client.carrier.LimitEarlyData(100) // a client that does not care
		out, err := m.client.SealEarlyData(nil, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.server.Open(out)
		wantAlert(t, m.server, err, Alert(10))
	})
}

// TestLessEarlyData: a server takes no more than its Config says, also under a ticket that
// permitted more; and skips what such a client sends.
func TestLessEarlyData(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		for _, permitted := range []uint32{20_000, 0} {
			client, server, _ := earlyConfigs(t)
			cache := new(newest)
			client.SessionCache = cache
			server.TicketKeys, server.ReplayGuard, server.MaxEarlyData = StaticTicketKeys(TicketKey{1}), anew{}, permitted
			newMeeting(t, datagram, client, server).finish()
			cache.s.state.MaxEarlyData = max(permitted, 1000) // the client does not care
			server = server.Clone()
			server.MaxEarlyData = 100
			m := newMeeting(t, datagram, client, server)
			for room := m.client.EarlyDataRoom(); room > 0; room = m.client.EarlyDataRoom() {
				if err := m.sendEarly(string(make([]byte, min(room, 1000)))); err != nil {
					t.Fatal(err)
				}
			}
			if m.finish(); len(m.got.early) > 0 || m.client.State().EarlyDataAccepted || !m.client.State().DidResume {
				t.Errorf("%d bytes were permitted: it takes %d; resumed %v", permitted, len(m.got.early), m.client.State().DidResume)
			}
		}
	})
}

// TestEndlessEarlyData: the largest limit that a ticket can have is one where an int has
// 32 bits, too.
func TestEndlessEarlyData(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		client, server, _ := earlyConfigs(t)
		server.MaxEarlyData = math.MaxUint32
		newMeeting(t, datagram, client, server).finish()
		m := newMeeting(t, datagram, client, server)
		if err := m.sendEarly("words"); err != nil || string(m.got.early) != "words" || m.client.EarlyDataRoom() != math.MaxInt32 {
			t.Errorf("%v, got %q, room %d", err, m.got.early, m.client.EarlyDataRoom())
		}
	})
}

// TestEarlyDataInPieces: as much as the ticket permits may come, in the smallest
// pieces, also to a server that does not accept it.
func TestEarlyDataInPieces(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		for _, guard := range []ReplayGuard{anew{}, never{}} {
			client, server, now := earlyConfigs(t)
			server.ReplayGuard = guard
			newMeeting(t, datagram, client, server).settle(now)
			m := newMeeting(t, datagram, client, server)
			in := m.client.Output(nil)
			for m.client.EarlyDataRoom() > 0 {
				for len(in) > 0 {
					o, err := m.server.Open(in)
					if err != nil {
						t.Fatal(err)
					}
					m.got.early, in = append(m.got.early, o.Data...), in[o.N:]
				}
				var err error
				if in, err = m.client.SealEarlyData(nil, []byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := m.server.Open(in); err != nil {
				t.Fatal(err)
			}
			if m.finish(); (len(m.got.early) > 0) != m.client.State().EarlyDataAccepted {
				t.Errorf("%d bytes came, accepted %v", len(m.got.early), m.client.State().EarlyDataAccepted)
			}
		}
	})
}

// TestEverythingLater: every question of sessions can be answered later.
func TestEverythingLater(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, _ := sessionConfigs(t, version)
		client.EarlyData, server.MaxEarlyData = true, 1000
		client.Async = AsyncSession
		server.Async = AsyncTicketKeys | AsyncReplay | AsyncPSK
		connect := func() *meeting {
			m := newMeeting(t, datagram, client, server)
			m.answer = func(q Pending) {
				var err error
				switch q := q.(type) {
				case *SessionRequest:
					err = q.Answer(client.SessionCache.Get(q.Key), nil)
				case *TicketKeysRequest:
					err = q.Answer([]TicketKey{{9}}, nil)
				case *PSKRequest:
					err = q.Answer(nil, nil)
				case *ReplayRequest:
					err = q.Answer(true, nil)
				default:
					t.Fatalf("%T", q)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			m.finish()
			return m
		}
		connect()
		m := connect()
		if s := m.server.State(); !s.DidResume {
			t.Error("it does not resume")
		}
		if s := m.server.State(); version == tls.VersionTLS13 && !s.EarlyDataAccepted {
			t.Error("early data is not accepted")
		}
	})
}

// TestSessionAnswers: an error in place of an answer is a full handshake, or early data
// that is rejected; an answer that comes twice, or late, changes nothing.
func TestSessionAnswers(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		for fails, want := range map[string]struct{ resumed, early bool }{
			"nothing":                     {true, true},
			"*hermetic.SessionRequest":    {false, false},
			"*hermetic.TicketKeysRequest": {false, false},
			"*hermetic.ReplayRequest":     {true, false},
		} {
			client, server, _ := earlyConfigs(t)
			client.Async, server.Async = AsyncSession, AsyncTicketKeys|AsyncReplay
			var answers []func() error
			meet := func(fails string) *meeting {
				m := newMeeting(t, datagram, client, server)
				m.answer = func(q Pending) {
					var failure error
					if fmt.Sprintf("%T", q) == fails {
						failure = errors.New("the store is away")
					}
					answer := sessionAnswer(q, client.SessionCache, failure)
					if err := answer(); err != nil {
						t.Error(err)
					}
					answers = append(answers, answer)
					for _, again := range answers {
						if err := again(); !errors.Is(err, ErrInvalidOperation) {
							t.Errorf("%s fails: %T answered twice: %v", fails, q, err)
						}
					}
				}
				return m
			}
			meet("").finish()
			m := meet(fails)
			m.client.Output(nil)
			m.answer(m.client.Pending())
			if m.client.EarlyDataRoom() > 0 {
				if err := m.sendEarly("early words"); err != nil {
					t.Fatal(err)
				}
			}
			m.finish()
			if s := m.server.State(); s.DidResume != want.resumed || s.EarlyDataAccepted != want.early {
				t.Errorf("%s fails: resumed %v, early data %v", fails, s.DidResume, s.EarlyDataAccepted)
			}
			m.client.Reset()
			m.client.Output(nil)
			asked := m.client.Pending()
			for _, late := range answers {
				if err := late(); !errors.Is(err, ErrInvalidOperation) || m.client.Pending() != asked {
					t.Errorf("an answer after Reset: %v", err)
				}
			}
		}
	})
}

// sessionAnswer is the answer to q, or the failure to find one.
func sessionAnswer(q Pending, cache SessionCache, failure error) (answer func() error) {
	switch q := q.(type) {
	case *SessionRequest:
		s := cache.Get(q.Key)
		return func() error { return q.Answer(s, failure) }
	case *TicketKeysRequest:
		return func() error { return q.Answer([]TicketKey{{1}}, failure) }
	default:
		return func() error { return q.(*ReplayRequest).Answer(true, failure) }
	}
}

func TestReplayGuard(t *testing.T) {
	now := &clock{pkitest.Now}
	g := NewReplayGuard(3, now.time)
	until := func() time.Time { return now.now.Add(replayWindow) }
	for _, step := range []struct {
		after time.Duration
		id    string
		want  bool
	}{
		{0, "a", false}, {replayWindow - 1, "a", false}, {1, "a", true}, {0, "a", false}, {time.Second, "a", false}, {replayWindow, "a", false}, {0, "b", true},
		{0, "c", true}, {0, "d", false}, {3 * replayWindow, "a", true}, {-2 * replayWindow, "a", false},
		// A clock that goes back, and back again, brings nothing back to life.
		{-2 * replayWindow, "e", false}, {4 * replayWindow, "a", false}, {replayWindow, "e", true},
	} {
		now.now = now.now.Add(step.after)
		if got := g.Unseen([]byte(step.id), until()); got != step.want {
			t.Errorf("%v later, %s: %v", step.after, step.id, got)
		}
	}
	// Nor does one that is set back a little make anything new.
	g = &replayGuard{max: 10, now: now.time}
	for i, step := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {-time.Second, false}, {time.Second, true}} {
		now.now = now.now.Add(step.after)
		if got := g.Unseen([]byte{byte(i)}, until()); got != step.want {
			t.Errorf("%v later: %v", step.after, got)
		}
	}
	if g.Unseen([]byte("f"), until().Add(1)) {
		t.Error("what it cannot remember for so long is new")
	}
	// The age of a ticket is told by the clock on the wall, and so must this be.
	wall := NewReplayGuard(1, time.Now).(*replayGuard)
	wall.Unseen(nil, time.Now())
	if strings.Contains(wall.since.String(), "m=") {
		t.Error("it goes by the monotonic clock, which is not set back")
	}
}
