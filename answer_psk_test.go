package hermetic

import (
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/wire"
)

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

// TestSessionOfAnotherKey: when a PSK gets another key, sessions that began with the
// old one end, whichever side knows them.
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

// TestLargePSKs: PSKs that do not fit a ClientHello, whose lengths would be wrong, are
// an error of the client's Config; a server may have them.
func TestLargePSKs(t *testing.T) {
	large, key := make([]byte, 1<<15-1), make([]byte, 32)
	for name, test := range map[string]struct {
		psks []PSK
		fit  bool
	}{
		"the largest":                {[]PSK{{Identity: large, Key: key}}, true},
		"two large ones":             {[]PSK{{Identity: large, Key: key}, {Identity: large[1:], Key: key}}, false},
		"the largest to be imported": {[]PSK{{Identity: large, Key: key, Import: true, Context: large[:32760]}}, false},
	} {
		overBoth(t, func(t *testing.T, datagram bool) {
			client := &Config{Time: atNow, PSKs: test.psks, MinVersion: tls.VersionTLS13}
			server := &Config{Time: atNow, PSKs: test.psks}
			if test.fit {
				newMeeting(t, datagram, client, server).finish()
				return
			}
			var fault *ConfigError
			if _, err := NewEngine(TLSClient, client); !errors.As(err, &fault) || fault.Field != "PSKs" {
				t.Errorf("%s, client: %v", name, err)
			}
			if _, err := NewEngine(TLSServer, server); err != nil {
				t.Errorf("%s, server: %v", name, err)
			}
		})
	}
}

// TestPSKOrCertificate: where clients have the one or the other, nobody comes in with
// neither, and nobody by a session that began with neither or with less.
func TestPSKOrCertificate(t *testing.T) {
	psk := PSK{Identity: []byte("device"), Key: []byte("0123456789abcdef")}
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, _ := sessionConfigs(t, version)
		server.ClientAuth, server.ClientCAs, server.PSKs = tls.VerifyClientCertIfGiven, client.RootCAs, []PSK{psk}
		server.VerifyConnection = func(s ConnectionState) error {
			if s.PeerCertificates == nil && s.PSKIdentity == nil {
				return &AlertError{Alert: AlertCertificateRequired}
			}
			return nil
		}
		server.TicketKeys = StaticTicketKeys(TicketKey{1})
		strict := server.Clone()
		strict.PSKs, strict.VerifyConnection, strict.ClientAuth = nil, nil, tls.RequireAndVerifyClientCert
		for name, c := range map[string]struct {
			change func(*Config)
			enters bool
		}{
			"a PSK":         {func(c *Config) { c.PSKs = server.PSKs }, true},
			"a certificate": {func(c *Config) { c.Certificates = server.Certificates }, true},
			"neither":       {func(*Config) {}, false},
		} {
			cfg := client.Clone()
			cfg.SessionCache = NewSessionCache(4)
			c.change(cfg)
			err := newMeeting(t, datagram, cfg, server).run()
			if c.enters != (err == nil) {
				t.Errorf("%s: %v", name, err)
			}
			if !c.enters {
				continue
			}
			m := newMeeting(t, datagram, cfg, server)
			m.finish()
			if !m.server.State().DidResume {
				t.Errorf("%s: not resumed", name)
			}
			// The tickets' keys are the same, the demand is not.
			m = newMeeting(t, datagram, cfg, strict)
			if err := m.run(); (name == "a certificate") != (err == nil) {
				t.Errorf("%s, where a certificate is required: %v", name, err)
			}
		}
	})
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
				return &Config{Time: atNow, PSKs: []PSK{psk}, MaxVersion: version, VerifyConnection: func(s ConnectionState) error {
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
					t.Fatalf("%v, want alert %d", err, want)
				}
				if !fault.Received && !strings.Contains(fault.Error(), "different") && !strings.Contains(fault.Error(), "unknown") {
					t.Errorf("it does not say that the keys differ: %v", fault)
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
