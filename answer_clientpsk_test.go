package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/suite"
)

var clientKey = PSK{Identity: []byte("device"), Key: []byte("0123456789abcdef")}

// describe is a query in short.
func (q *PSKQuery) describe() string {
	return fmt.Sprintf("%s, hint %q, identity %q, for %q", tls.VersionName(q.Version), q.Hint, q.Identity, q.ServerName)
}

// askClient makes a client that asks for its PSK, either way.
func askClient(async bool, version uint16, answer func(*PSKQuery) (*PSK, error)) (client *Config, reply func(Pending)) {
	client = &Config{Time: atNow, MaxVersion: version, GetClientPSK: answer}
	if async {
		client.Async, client.GetClientPSK = AsyncClientPSK, nil
	}
	return client, func(p Pending) {
		r := p.(*ClientPSKRequest)
		r.Answer(answer(r.Query))
	}
}

func bothWays(t *testing.T, test func(t *testing.T, async bool)) {
	for _, async := range []bool{false, true} {
		t.Run(fmt.Sprintf("async %v", async), func(t *testing.T) { test(t, async) })
	}
}

// failedWith checks the alert that ended an engine's handshake.
func failedWith(t *testing.T, e *Engine, want Alert) {
	t.Helper()
	var alert *AlertError
	if _, err := e.Open(nil); !errors.As(err, &alert) || alert.Received || alert.Alert != want {
		t.Errorf("error %v, want our own alert %v", err, want)
	}
}

// TestClientPSK: a client is asked what it needs, when it needs it, and with the hint.
func TestClientPSK(t *testing.T) {
	hints := map[string][]byte{"no hint": nil, "an empty hint": {}, "a hint": []byte("shelf 4"), "not UTF-8": {0, 0xff, '\n'}, "the longest": bytes.Repeat([]byte("h"), 1<<14)}
	for name, hint := range hints {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, async bool) {
				fourModes(t, func(t *testing.T, datagram bool, version uint16) {
					var asked []string
					client, reply := askClient(async, version, func(q *PSKQuery) (*PSK, error) {
						asked = append(asked, q.describe())
						return &clientKey, nil
					})
					m := newMeeting(t, datagram, client, &Config{Time: atNow, PSKs: []PSK{clientKey}, PSKIdentityHint: hint})
					m.answer = reply
					m.finish()
					want := []string{(&PSKQuery{Version: tls.VersionTLS13}).describe()}
					if version == tls.VersionTLS12 {
						want = []string{(&PSKQuery{Version: tls.VersionTLS12, Hint: hint}).describe()}
					}
					if !slices.Equal(asked, want) {
						t.Errorf("asked %.200q, not %.200q", asked, want)
					}
					if got := m.server.State().PSKIdentity; string(got) != "device" {
						t.Errorf("PSK %q", got)
					}
				})
			})
		})
	}
}

// TestClientPSKSuites: the hint comes with each kind of PSK suite of TLS 1.2.
func TestClientPSKSuites(t *testing.T) {
	for _, s := range suite.All() {
		if s.Version != tls.VersionTLS12 || !s.KeyExchange.PSK {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			var hints []string
			client, _ := askClient(false, 0, func(q *PSKQuery) (*PSK, error) {
				hints = append(hints, string(q.Hint))
				return &clientKey, nil
			})
			client.CipherSuites = []uint16{s.ID}
			m := newMeeting(t, true, client, &Config{Time: atNow, PSKs: []PSK{clientKey}, PSKIdentityHint: []byte("hint"), CipherSuites: []uint16{s.ID}})
			m.finish()
			if !slices.Equal(hints, []string{"hint"}) {
				t.Errorf("hints %q", hints)
			}
		})
	}
}

// TestClientPSKByHint: both versions are offered, and the server has the older one.
func TestClientPSKByHint(t *testing.T) {
	other := PSK{Identity: []byte("other"), Key: []byte("fedcba9876543210")}
	bothWays(t, func(t *testing.T, async bool) {
		client, reply := askClient(async, 0, func(q *PSKQuery) (*PSK, error) {
			if string(q.Hint) == "shelf 4" {
				return &other, nil
			}
			return &clientKey, nil
		})
		client.ServerName = "" // only a PSK is accepted
		m := newMeeting(t, true, client, &Config{Time: atNow, PSKs: []PSK{other}, PSKIdentityHint: []byte("shelf 4"), MaxVersion: tls.VersionTLS12})
		m.answer = reply
		m.finish()
		if got := m.client.State().PSKIdentity; string(got) != "other" {
			t.Errorf("PSK %q", got)
		}
	})
}

// TestNoClientPSK: nil leaves the choice to PSKs; without those it depends on the version.
func TestNoClientPSK(t *testing.T) {
	bothWays(t, func(t *testing.T, async bool) {
		fourModes(t, func(t *testing.T, datagram bool, version uint16) {
			client, reply := askClient(async, version, func(*PSKQuery) (*PSK, error) { return nil, nil })
			server := &Config{Time: atNow, PSKs: []PSK{clientKey}}
			m := newMeeting(t, datagram, client, server)
			m.answer = reply
			if err := m.run(); err == nil || m.client.HandshakeComplete() || m.server.HandshakeComplete() {
				t.Errorf("without a PSK: %v", err)
			}
			if version == tls.VersionTLS12 {
				failedWith(t, m.client, AlertHandshakeFailure)
			}
			client = client.Clone()
			client.PSKs = []PSK{clientKey}
			m = newMeeting(t, datagram, client, server)
			m.answer = reply
			m.finish()
		})
	})
}

// TestClientPSKCertificate: a client without a PSK and a ServerName accepts no certificate in
// its place, and one with a name does.
func TestClientPSKCertificate(t *testing.T) {
	bothWays(t, func(t *testing.T, async bool) {
		fourModes(t, func(t *testing.T, datagram bool, version uint16) {
			trusting, server := configs(t)
			for _, name := range []string{"", "localhost"} {
				client, reply := askClient(async, version, func(*PSKQuery) (*PSK, error) { return nil, nil })
				client.Time, client.RootCAs, client.ServerName = trusting.Time, trusting.RootCAs, name
				m := newMeeting(t, datagram, client, server)
				m.answer = reply
				if err := m.run(); (err == nil) != (name != "") || m.client.HandshakeComplete() != (name != "") {
					t.Errorf("ServerName %q: %v", name, err)
				}
			}
		})
	})
}

// TestBadClientPSK: what an answer can have wrong.
func TestBadClientPSK(t *testing.T) {
	gone := errors.New("the store is gone")
	for _, test := range []struct {
		name string
		psk  *PSK
		err  error
		want Alert
	}{
		{"an error", nil, gone, AlertInternalError},
		{"an error with a PSK", &clientKey, gone, AlertInternalError},
		{"an alert", nil, &AlertError{Alert: AlertAccessDenied}, AlertAccessDenied},
		{"no identity", &PSK{Key: clientKey.Key}, nil, AlertInternalError},
		{"no key", &PSK{Identity: clientKey.Identity}, nil, AlertInternalError},
		{"a long key", &PSK{Identity: clientKey.Identity, Key: make([]byte, 65)}, nil, AlertInternalError},
		{"the zero PSK", new(PSK), nil, AlertInternalError},
	} {
		t.Run(test.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, async bool) {
				fourModes(t, func(t *testing.T, datagram bool, version uint16) {
					client, reply := askClient(async, version, func(*PSKQuery) (*PSK, error) { return test.psk, test.err })
					m := newMeeting(t, datagram, client, &Config{Time: atNow, PSKs: []PSK{clientKey}})
					m.answer = reply
					m.run()
					failedWith(t, m.client, test.want)
				})
			})
		})
	}
	t.Run("an imported one in TLS 1.2", func(t *testing.T) {
		imported := clientKey
		imported.Import = true
		client, _ := askClient(false, tls.VersionTLS12, func(*PSKQuery) (*PSK, error) { return &imported, nil })
		m := newMeeting(t, false, client, &Config{Time: atNow, PSKs: []PSK{clientKey}})
		m.run()
		failedWith(t, m.client, AlertHandshakeFailure)
	})
}

// TestClientPSKOfSession: a session is resumed only while its PSK is the answer.
func TestClientPSKOfSession(t *testing.T) {
	another := PSK{Identity: clientKey.Identity, Key: []byte("fedcba9876543210")}
	bothWays(t, func(t *testing.T, async bool) {
		fourModes(t, func(t *testing.T, datagram bool, version uint16) {
			var asked []string
			now := &clientKey
			client, reply := askClient(async, version, func(q *PSKQuery) (*PSK, error) {
				asked = append(asked, string(q.Identity))
				if q.Identity == nil {
					return &clientKey, nil
				}
				return now, nil
			})
			client.SessionCache = NewSessionCache(4)
			server := &Config{Time: atNow, PSKs: []PSK{clientKey}, TicketKeys: StaticTicketKeys(TicketKey{1})}
			for i, step := range []struct {
				now     *PSK
				resumes bool
			}{{&clientKey, false}, {&clientKey, true}, {&another, false}, {nil, false}, {&clientKey, true}} {
				now, asked = step.now, nil
				m := newMeeting(t, datagram, client, server)
				m.answer = reply
				m.finish()
				if got := m.client.State().DidResume; got != step.resumes {
					t.Errorf("connection %d: resumed %v", i, got)
				}
				if (i > 0) != slices.Contains(asked, "device") {
					t.Errorf("connection %d: asked for the identities %q", i, asked)
				}
			}
		})
	})
}

// TestClientPSKIsCopied: the caller may overwrite the key after its answer, and the hint
// aliases nothing that is overwritten.
func TestClientPSKIsCopied(t *testing.T) {
	bothWays(t, func(t *testing.T, async bool) {
		fourModes(t, func(t *testing.T, datagram bool, version uint16) {
			var given []*PSK
			client, reply := askClient(async, version, func(*PSKQuery) (*PSK, error) {
				p := &PSK{Identity: bytes.Clone(clientKey.Identity), Key: bytes.Clone(clientKey.Key)}
				given = append(given, p)
				return p, nil
			})
			client.KeyShares = []tls.CurveID{} // for a HelloRetryRequest, which repeats the offer
			m := newMeeting(t, datagram, client, &Config{Time: atNow, PSKs: []PSK{clientKey}})
			m.answer = func(p Pending) {
				reply(p)
				clear(given[0].Key)
				clear(given[0].Identity)
			}
			if !async {
				m.tap = func(*Engine, []byte) {
					for _, p := range given {
						clear(p.Key)
						clear(p.Identity)
					}
				}
			}
			m.finish()
			if got := m.client.State().PSKIdentity; string(got) != "device" {
				t.Errorf("PSK %q", got)
			}
		})
	})
}

// TestPSKSuitesByRole: a side without PSKs neither offers nor chooses the suites that need one.
func TestPSKSuitesByRole(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		for name, change := range map[string]func(client, server *Config){
			"a client with GetPSK, a server with PSKs": func(client, server *Config) {
				client.GetPSK = func([]byte) (*PSK, error) { return nil, nil }
				server.PSKs = []PSK{clientKey}
			},
			"a client with PSKs, a server with GetClientPSK": func(client, server *Config) {
				client.PSKs = []PSK{clientKey}
				server.GetClientPSK = func(*PSKQuery) (*PSK, error) { return &clientKey, nil }
			},
		} {
			t.Run(name, func(t *testing.T) {
				client, server := configs(t)
				client.MaxVersion = version
				change(client, server)
				m := newMeeting(t, datagram, client, server)
				m.finish()
				if s := m.client.State(); s.PSKIdentity != nil || len(s.PeerCertificates) == 0 {
					t.Errorf("PSK %q", s.PSKIdentity)
				}
			})
		}
	})
	only := []uint16{0x00a8} // TLS_PSK_WITH_AES_128_GCM_SHA256
	if _, err := NewEngine(TLSClient, &Config{ServerName: "localhost", CipherSuites: only, GetPSK: func([]byte) (*PSK, error) { return nil, nil }}); err == nil {
		t.Error("a client with PSK suites only, and no PSK")
	}
}
