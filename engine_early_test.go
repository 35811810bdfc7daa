package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

func earlyConfigs(t *testing.T) (client, server *Config, now *clock) {
	client, server, now = sessionConfigs(t, tls.VersionTLS13)
	client.EarlyData, server.MaxEarlyData = true, 1000
	return client, server, now
}

func overBoth(t *testing.T, test func(t *testing.T, datagram bool)) {
	t.Run("TLS 1.3", func(t *testing.T) { test(t, false) })
	t.Run("DTLS 1.3", func(t *testing.T) { test(t, true) })
}

// sendEarly sends early data right after the ClientHello.
func (m *meeting) sendEarly(data string) error {
	hello := m.client.Output(nil)
	out, err := m.client.SealEarlyData(nil, []byte(data))
	if err != nil {
		return err
	}
	if err := m.giveEarly(hello); err != nil {
		return err
	}
	return m.giveEarly(out)
}

// giveEarly gives the server a hello or early data.
func (m *meeting) giveEarly(in []byte) error {
	before := len(m.got.server)
	err := m.give(m.server, in)
	if len(m.got.server) > before {
		m.t.Error("early data is not marked as such")
	}
	return err
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
			} else if _, err := m.pass(m.client, m.server); err != nil {
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
			if _, err := m.pass(m.server, m.client); err != nil {
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
				c.VerifyConnection = func(s ConnectionState) error {
					if len(s.PeerCertificates) != 1 || s.ServerName != "localhost" || s.Version != tls.VersionTLS13 || s.CipherSuite == 0 || !s.DidResume || s.NegotiatedProtocol != "a" {
						t.Errorf("it is asked about %+v", s)
					}
					return nil
				}
			}, []int{1000, 1000}, false},
			"VerifyConnection refuses": {func(c *Config) {
				c.VerifyConnection = func(s ConnectionState) error { return errors.New("not this one") }
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
						if err := m.giveEarly(in); err != nil {
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
	server.DTLS.TrustAddress = false
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
