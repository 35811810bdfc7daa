package hermetic

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/session"
)

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
			s = s.Clone()
			s.TicketKeys = StaticTicketKeys(TicketKey{2})
			return c, s
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
			asks.TicketKeys, asks.ClientAuth, asks.DTLS.TrustAddress = keys, tls.RequireAnyClientCert, true
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
		c.PeerCertificateTypes, c.InsecureSkipVerify = []CertificateType{CertificateRawPublicKey}, true
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
			if s := m.server.State(); s.DidResume != (version == tls.VersionTLS13) || s.CurveID != tls.CurveP384 && s.CurveID != tls.CurveP256 {
				t.Errorf("%v: resumed %v, with %v", side, s.DidResume, s.CurveID)
			}
		}
	})
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
