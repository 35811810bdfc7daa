package hermetic

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

func TestDTLSHandshake(t *testing.T) {
	for _, version := range versions {
		for _, mtu := range []int{0, 256, 600, 1500} {
			n := newNetwork(t, func(c, s *Config) {
				c.MaxVersion, c.DTLS.MTU, s.DTLS.MTU = version, mtu, mtu
			})
			if err := n.wait(); err != nil {
				t.Fatalf("%s, MTU %d: %v", tls.VersionName(version), mtu, err)
			}
			if got := n.client.State().Version; got != version {
				t.Errorf("version %#x, want %#x", got, version)
			}
			n.exchangeDatagrams()
		}
	}
}

func TestDTLSLoss(t *testing.T) {
	for _, version := range versions {
		for seed := range uint64(50) {
			random := rand.New(rand.NewPCG(seed, 1))
			n := newNetwork(t, func(c, s *Config) { c.MaxVersion = version })
			n.lose = func() bool { return random.IntN(5) == 0 }
			if err := n.wait(); err != nil && err != ErrTimeout {
				t.Errorf("%s, seed %d: %v", tls.VersionName(version), seed, err)
			}
			n.lose = func() bool { return false }
			if n.client.HandshakeComplete() && n.server.HandshakeComplete() {
				n.exchangeDatagrams()
			}
		}
	}
}

// TestDTLSGivesUp: the client whose server is silent sends again after 1, 2, 4 …
// seconds, and ends with ErrTimeout.
func TestDTLSGivesUp(t *testing.T) {
	n := newNetwork(t, nil)
	n.client.Output(nil)
	var waits []time.Duration
	for range 20 {
		at, ok := n.client.Deadline()
		if !ok {
			t.Fatal("no deadline")
		}
		waits = append(waits, at.Sub(n.now))
		n.now = at
		if err := n.client.Expire(); err != nil {
			if err != ErrTimeout {
				t.Fatal(err)
			}
			var timeout interface{ Timeout() bool }
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Error("it is no timeout to net's callers")
			}
			break
		}
		for len(n.client.Output(nil)) > 0 {
		}
	}
	if len(waits) < 7 || waits[0] != time.Second || waits[1] != 2*time.Second || waits[len(waits)-1] != time.Minute {
		t.Errorf("waits %v", waits)
	}
}

// TestDTLSAmplification: an address that is not proved never gets more than
// three times what came from it.
func TestDTLSAmplification(t *testing.T) {
	for _, version := range versions {
		n := newNetwork(t, func(c, s *Config) {
			c.MaxVersion = version
			s.DTLS.TrustAddress = false
			c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
		})
		hello := n.client.Output(nil)
		came := len(hello)
		if err := n.give(n.server, hello); err != nil {
			t.Fatal(err)
		}
		sent := 0
		for range 20 {
			for d := n.server.Output(nil); len(d) > 0; d = n.server.Output(nil) {
				sent += len(d)
			}
			if at, ok := n.server.Deadline(); ok {
				n.now = at
			}
			if n.server.Expire() != nil {
				break
			}
		}
		if sent > 3*came {
			t.Errorf("%s: %d bytes for %d", tls.VersionName(version), sent, came)
		}
	}
}

// TestDTLSKeyUpdate: keys change when the peer has acknowledged it.
func TestDTLSKeyUpdate(t *testing.T) {
	n := newNetwork(t, nil)
	if err := n.wait(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := n.client.KeyUpdate(KeyUpdateRequest(i%2 == 0)); err != nil {
			t.Fatal(err)
		}
		if err := n.wait(); err != nil {
			t.Fatal(err)
		}
		n.exchangeDatagrams()
	}
}

// TestDTLSForgeries: what does not authenticate is dropped, and not an error.
func TestDTLSForgeries(t *testing.T) {
	for _, version := range versions {
		n := newNetwork(t, func(c, s *Config) { c.MaxVersion = version })
		if err := n.wait(); err != nil {
			t.Fatal(err)
		}
		sealed, err := n.client.Seal(nil, []byte("genuine"))
		if err != nil {
			t.Fatal(err)
		}
		before := n.server.State().Drops.Total()
		for at := range sealed {
			forged := bytes.Clone(sealed)
			forged[at] ^= 1
			if err := n.give(n.server, forged); err != nil {
				t.Fatalf("%s, byte %d: %v", tls.VersionName(version), at, err)
			}
		}
		if dropped := n.server.State().Drops.Total() - before; dropped < uint64(len(sealed)) {
			t.Errorf("%s: only %d records were dropped, of %d", tls.VersionName(version), dropped, len(sealed))
		}
		if len(n.datagrams.server) != 0 {
			t.Errorf("%s: forged data was delivered: %q", tls.VersionName(version), n.datagrams.server)
		}
		if err := n.give(n.server, sealed); err != nil || len(n.datagrams.server) != 1 {
			t.Errorf("%s: the genuine datagram: %v", tls.VersionName(version), err)
		}
	}
}

// TestRecordDrops: records that are dropped are counted by reason.
func TestRecordDrops(t *testing.T) {
	for _, version := range versions {
		tls13 := version == tls.VersionTLS13
		for _, test := range []struct {
			name string
			edit func(sealed []byte) []byte
			want RecordDrops
			only uint16 // in that version; 0: in both
		}{
			{"genuine", func(b []byte) []byte { return b }, RecordDrops{}, 0},
			{"garbage", func([]byte) []byte { return []byte("garbage") }, RecordDrops{Malformed: 1}, 0},
			{"cut off", func(b []byte) []byte { return b[:len(b)-1] }, RecordDrops{Malformed: 1}, 0},
			{"a changed tag", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, RecordDrops{Forged: 1}, 0},
			{"another epoch", func(b []byte) []byte { b[4]++; return b }, RecordDrops{NoKeys: 1}, tls.VersionTLS12},
			{"another epoch", func(b []byte) []byte { b[0] ^= 2; return b }, RecordDrops{NoKeys: 1}, tls.VersionTLS13},
			{"twice in a datagram", func(b []byte) []byte { return append(bytes.Clone(b), b...) }, RecordDrops{Replayed: 1}, 0},
			{"unencrypted", func([]byte) []byte { return []byte("\x15\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x63\x00\x02\x02\x28") }, RecordDrops{Unprotected: 1}, 0},
			{"a connection ID", func(b []byte) []byte { b[0] |= 0x10; return b }, RecordDrops{Malformed: 1}, tls.VersionTLS13},
		} {
			if test.only != 0 && (test.only == tls.VersionTLS13) != tls13 {
				continue
			}
			n := newNetwork(t, func(c, s *Config) { c.MaxVersion = version })
			if err := n.wait(); err != nil {
				t.Fatal(err)
			}
			sealed, err := n.client.Seal(nil, []byte("genuine"))
			if err != nil {
				t.Fatal(err)
			}
			if err := n.give(n.server, test.edit(sealed)); err != nil {
				t.Fatal(err)
			}
			state := n.server.State()
			if state.Drops != test.want || state.Drops != n.server.Drops() {
				t.Errorf("%s, %s: %+v, want %+v", tls.VersionName(version), test.name, state.Drops, test.want)
			}
		}
	}
}

// welcome runs the stateless exchange: the client's hello is answered until it
// has a good cookie, and an engine is made for it.
func (n *meeting) welcome(peer string) error {
	cfg := n.server.plan.cfg
	for i := range 3 {
		hello := n.client.Output(nil)
		if i == 0 && n.client.HasOutput() {
			n.t.Fatal("the first flight is more than one datagram")
		}
		answer, ok := cfg.AnswerHello(nil, []byte(peer), bytes.Clone(hello))
		if ok {
			if err := n.server.SetPeerID([]byte(peer)); err != nil {
				return err
			}
			return n.give(n.server, hello)
		}
		if len(answer) == 0 {
			return errors.New("no answer")
		}
		if len(answer) > len(hello) {
			n.t.Errorf("an answer of %d bytes for %d", len(answer), len(hello))
		}
		if err := n.give(n.client, answer); err != nil {
			return err
		}
	}
	return errors.New("the cookie is never good")
}

// TestSetPeerIDBeforeTheFirstDatagram: looking for output begins nothing.
func TestSetPeerIDBeforeTheFirstDatagram(t *testing.T) {
	_, server := configs(t)
	e, err := NewEngine(DTLSServer, server)
	if err != nil {
		t.Fatal(err)
	}
	if e.HasOutput() || len(e.Output(nil)) > 0 {
		t.Error("a server speaks first")
	}
	if err := e.SetPeerID([]byte("peer")); err != nil {
		t.Error(err)
	}
}

func TestStatelessCookies(t *testing.T) {
	for _, version := range versions {
		for _, groups := range [][]tls.CurveID{nil, {tls.X25519, tls.CurveP256}, {tls.CurveP384, tls.X25519, tls.CurveP256}} {
			n := newNetwork(t, func(c, s *Config) {
				c.MaxVersion, c.CurvePreferences = version, groups
				s.DTLS.TrustAddress = false
			})
			if err := n.welcome("127.0.0.1#1"); err != nil {
				t.Fatalf("%s, %v: %v", tls.VersionName(version), groups, err)
			}
			if err := n.wait(); err != nil {
				t.Fatalf("%s, %v: %v", tls.VersionName(version), groups, err)
			}
			if s := n.server.State(); s.Version != version || s.HelloRetryRequest != (version == tls.VersionTLS13) {
				t.Errorf("%+v", s)
			}
			n.exchangeDatagrams()
		}
	}
}

// TestCookieAndPSK: the HelloRetryRequest's suite is one that the client's PSK serves.
func TestCookieAndPSK(t *testing.T) {
	id, key := []byte("device"), []byte("0123456789abcdef")
	for name, test := range map[string]struct {
		psk    PSK
		suites []uint16 // the server's
	}{
		"SHA-256":               {PSK{Identity: id, Key: key}, nil},
		"SHA-384":               {PSK{Identity: id, Key: key, Hash: crypto.SHA384}, nil},
		"imported":              {PSK{Identity: id, Key: key, Import: true}, nil},
		"imported, for SHA-384": {PSK{Identity: id, Key: key, Import: true}, []uint16{tls.TLS_AES_256_GCM_SHA384}},
	} {
		n := newNetwork(t, func(c, s *Config) {
			c.ServerName, c.PSKs, c.MinVersion = "", []PSK{test.psk}, tls.VersionTLS13
			s.Certificates, s.PSKs, s.CipherSuites = nil, []PSK{test.psk}, test.suites
			s.DTLS.TrustAddress = false
		})
		err := n.welcome("127.0.0.1#1")
		if err == nil {
			err = n.wait()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if s := n.server.State(); string(s.PSKIdentity) != "device" {
			t.Errorf("%s: PSK %q", name, s.PSKIdentity)
		}
	}
}

// TestCookieAndGroup: a HelloRetryRequest that has to come asks for a share that the
// client likes better than the ones that it has sent, and for no other.
func TestCookieAndGroup(t *testing.T) {
	for _, test := range []struct {
		groups, shares []tls.CurveID
		want           tls.CurveID
	}{
		{nil, nil, tls.X25519MLKEM768},
		{[]tls.CurveID{tls.X25519, tls.X25519MLKEM768}, []tls.CurveID{tls.X25519}, tls.X25519},
		{[]tls.CurveID{tls.X25519MLKEM768, tls.X25519}, []tls.CurveID{tls.X25519}, tls.X25519MLKEM768},
	} {
		n := newNetwork(t, func(c, s *Config) {
			c.CurvePreferences, c.KeyShares = test.groups, test.shares
			s.DTLS.TrustAddress = false
		})
		if err := n.welcome("127.0.0.1#1"); err != nil {
			t.Fatal(err)
		}
		if err := n.wait(); err != nil {
			t.Fatal(err)
		}
		if s := n.server.State(); s.CurveID != test.want {
			t.Errorf("groups %v, shares of %v: %v", test.groups, test.shares, s.CurveID)
		}
	}
}

// TestCookiesOfOthers: a cookie is good for one peer, one hello and three minutes; an
// engine does not believe its caller that it was checked.
func TestCookiesOfOthers(t *testing.T) {
	for _, version := range versions {
		n := newNetwork(t, func(c, s *Config) {
			c.MaxVersion, c.CurvePreferences = version, []tls.CurveID{tls.X25519, tls.CurveP256}
		})
		cfg := n.server.plan.cfg
		first := n.client.Output(nil)
		answer, ok := cfg.AnswerHello(nil, []byte("a"), first)
		if ok || len(answer) == 0 {
			t.Fatalf("%s: the first hello: %v, %x", tls.VersionName(version), ok, answer)
		}
		if err := n.give(n.client, answer); err != nil {
			t.Fatal(err)
		}
		second := n.client.Output(nil)
		if _, ok := cfg.AnswerHello(nil, []byte("a"), second); !ok {
			t.Errorf("%s: the second hello is not welcome", tls.VersionName(version))
		}
		other, ok := cfg.AnswerHello(nil, []byte("b"), second)
		if ok || len(other) == 0 {
			t.Errorf("%s: from another peer: %v, %x", tls.VersionName(version), ok, other)
		}
		if version == tls.VersionTLS13 && other[0] != 21 {
			t.Errorf("DTLS 1.3 answers a bad cookie with %x, not with an alert", other)
		}
		if version == tls.VersionTLS12 {
			// Another hello of the same peer gets another cookie. DTLS 1.3 has
			// the first hello's hash in the cookie.
			const random, verifyRequest = 13 + 12 + 2, 3
			changed := bytes.Clone(second)
			changed[random] ^= 1
			if answer, ok := cfg.AnswerHello(nil, []byte("a"), changed); ok || len(answer) < 14 || answer[13] != verifyRequest {
				t.Errorf("another hello: %v, %x", ok, answer)
			}
		}
		if err := n.server.SetPeerID([]byte("b")); err != nil {
			t.Fatal(err)
		}
		_, err := n.server.Open(bytes.Clone(second))
		var refused *AlertError
		if !errors.As(err, &refused) || refused.Alert != AlertIllegalParameter {
			t.Errorf("%s: an engine believes a cookie of another peer: %v", tls.VersionName(version), err)
		}
		n.now = n.now.Add(4 * time.Minute)
		if _, ok := cfg.AnswerHello(nil, []byte("a"), second); ok {
			t.Errorf("%s: the cookie never expires", tls.VersionName(version))
		}
	}
}

// TestCookieAfterCookie: a client whose cookie is not good any more, since its address
// has changed or the server begun anew, is asked for another one.
func TestCookieAfterCookie(t *testing.T) {
	n := newNetwork(t, func(c, s *Config) { c.MaxVersion = tls.VersionTLS12 })
	cfg := n.server.plan.cfg
	hello := n.client.Output(nil)
	for _, id := range []string{"a", "b", "c"} {
		answer, ok := cfg.AnswerHello(nil, []byte(id), hello)
		if ok {
			t.Fatalf("%s is welcome", id)
		}
		if err := n.give(n.client, answer); err != nil {
			t.Fatal(err)
		}
		if hello = n.client.Output(nil); len(hello) == 0 {
			t.Fatalf("%s: the client does not take the answer for a new one", id)
		}
	}
	if _, ok := cfg.AnswerHello(nil, []byte("c"), hello); !ok {
		t.Fatal("the last cookie is not good")
	}
	if err := n.server.SetPeerID([]byte("c")); err != nil {
		t.Fatal(err)
	}
	if err := n.give(n.server, hello); err != nil {
		t.Fatal(err)
	}
	if err := n.wait(); err != nil {
		t.Fatal(err)
	}
	n.exchangeDatagrams()
}

// TestLargeCertificate: a side that permits a large Certificate message has the memory for
// it, and for some of what overtakes it.
func TestLargeCertificate(t *testing.T) {
	for _, version := range versions {
		n := newNetwork(t, func(c, s *Config) {
			c.MaxVersion, c.MaxCertificateMessage = version, 100_000
			chain := &s.Certificates[0].Certificate
			for size := len((*chain)[0]); size < 90_000; size += len((*chain)[1]) {
				*chain = append(*chain, (*chain)[0])
			}
		})
		if err := n.wait(); err != nil || n.now != pkitest.Now {
			t.Errorf("%s: %v, after %v", tls.VersionName(version), err, n.now.Sub(pkitest.Now))
		}
	}
}

// TestNothingInCommon: a stranger hears so before anything is kept of it, unless the
// handshake finds it out.
func TestNothingInCommon(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(client, server *Config)
		want   Alert
	}{
		{"the client is too old", func(c, s *Config) { c.MaxVersion, s.MinVersion = tls.VersionTLS12, tls.VersionTLS13 }, AlertProtocolVersion},
		{"the client is too new", func(c, s *Config) { c.MinVersion, s.MaxVersion = tls.VersionTLS13, tls.VersionTLS12 }, AlertProtocolVersion},
		{"no group", func(c, s *Config) {
			c.MinVersion, c.CurvePreferences, s.CurvePreferences = tls.VersionTLS13, []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP256}
		}, AlertHandshakeFailure},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := newNetwork(t, test.change)
			hello := n.client.Output(nil)
			answer, ok := n.server.plan.cfg.AnswerHello(nil, []byte("a"), hello)
			if ok || len(answer) > len(hello) {
				t.Fatalf("%v, %d bytes for %d", ok, len(answer), len(hello))
			}
			var refused *AlertError
			if err := n.give(n.client, answer); !errors.As(err, &refused) || !refused.Received || refused.Alert != test.want {
				t.Errorf("the client hears %v", err)
			}
		})
	}
}

// TestStrangers: what is no whole ClientHello has no answer, and none is welcome that
// says to be the first.
func TestStrangers(t *testing.T) {
	const epochAt, seqAt, offsetAt = 3, 13 + 4, 13 + 6
	for _, version := range versions {
		n := newNetwork(t, func(c, _ *Config) { c.MaxVersion = version })
		cfg := n.server.plan.cfg
		hello := n.client.Output(nil)
		for i := range hello {
			if answer, ok := cfg.AnswerHello(nil, nil, hello[:i]); ok || len(answer) > 0 {
				t.Errorf("%d bytes of a hello have an answer", i)
			}
		}
		if answer, ok := cfg.AnswerHello(nil, nil, append(bytes.Clone(hello), 0)); ok || len(answer) == 0 {
			t.Error("what does not parse after a hello keeps it from being answered")
		}
		answer, _ := cfg.AnswerHello(nil, nil, hello)
		if err := n.give(n.client, answer); err != nil {
			t.Fatal(err)
		}
		second := n.client.Output(nil)
		for _, test := range []struct {
			name string
			at   int
			to   byte
		}{{"under keys", epochAt + 1, 1}, {"the first one", seqAt + 1, 0}, {"a fragment that is not the first", offsetAt + 2, 1}} {
			changed := bytes.Clone(second)
			changed[test.at] = test.to
			if answer, ok := cfg.AnswerHello(nil, nil, changed); ok || len(answer) > 0 {
				t.Errorf("%s: %v, %x", test.name, ok, answer)
			}
		}
		if _, ok := cfg.AnswerHello(nil, nil, second); !ok {
			t.Error("the hello itself is not welcome")
		}
	}
}

func FuzzAnswerHello(f *testing.F) {
	server := &Config{Time: atNow}
	for _, version := range versions {
		client, err := NewEngine(DTLSClient, &Config{Time: atNow, InsecureSkipVerify: true, MaxVersion: version})
		if err != nil {
			f.Fatal(err)
		}
		hello := client.Output(nil)
		f.Add(bytes.Clone(hello))
		answer, _ := server.AnswerHello(nil, nil, hello)
		if _, err := client.Open(answer); err != nil {
			f.Fatal(err)
		}
		f.Add(client.Output(nil))
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		answer, ok := server.AnswerHello(nil, nil, datagram)
		if len(answer) > len(datagram) {
			t.Errorf("%d bytes for %d", len(answer), len(datagram))
		}
		if ok && len(answer) > 0 {
			t.Error("welcome, and an answer")
		}
	})
}

// TestHelloIsWholeAgain: a first ClientHello goes in fragments when it seems to
// be too large for the path, but not only so, for a server that asks for cookies
// does not answer those.
func TestHelloIsWholeAgain(t *testing.T) {
	now := &clock{pkitest.Now}
	client, _ := configs(t)
	client.Time, client.DTLS.MTU, client.CurvePreferences = now.time, 600, []tls.CurveID{tls.X25519}
	client.NextProtos = []string{strings.Repeat("p", 200)}
	e, err := NewEngine(DTLSClient, client)
	if err != nil {
		t.Fatal(err)
	}
	for attempt, whole := range []bool{true, true, false, true, false, true} {
		n := 0
		for d := e.Output(nil); len(d) > 0; d = e.Output(nil) {
			n++
		}
		if (n == 1) != whole {
			t.Errorf("attempt %d: %d datagrams", attempt, n)
		}
		now.now, _ = e.Deadline()
		if err := e.Expire(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCookieAcrossRotation: the secret changes every hour, and a cookie that was made
// before is still good; one from the future is not.
func TestCookieAcrossRotation(t *testing.T) {
	for _, version := range versions {
		for later, want := range map[time.Duration]bool{
			0: true, time.Second: true, 3 * time.Minute: true, 3*time.Minute + time.Second: false, -time.Minute: true, -time.Minute - time.Second: false,
		} {
			n := newNetwork(t, func(c, s *Config) {
				c.MaxVersion, c.CurvePreferences = version, []tls.CurveID{tls.X25519, tls.CurveP256}
			})
			n.now = n.now.Truncate(time.Hour) // the first second of a secret
			if later > 0 {
				n.now = n.now.Add(-time.Second) // the last one of another
			}
			cfg := n.server.plan.cfg
			answer, _ := cfg.AnswerHello(nil, []byte("a"), n.client.Output(nil))
			if err := n.give(n.client, answer); err != nil {
				t.Fatal(err)
			}
			n.now = n.now.Add(later)
			if _, ok := cfg.AnswerHello(nil, []byte("a"), n.client.Output(nil)); ok != want {
				t.Errorf("%s, %v later: %v", tls.VersionName(version), later, ok)
			}
		}
	}
}

// TestBothVersions: one server speaks both, one client meets either, with cookies and
// without.
func TestBothVersions(t *testing.T) {
	for _, ours := range versions {
		for _, theirs := range versions {
			for _, cookies := range []bool{false, true} {
				n := newNetwork(t, func(c, s *Config) {
					c.MaxVersion, s.MaxVersion, s.DTLS.TrustAddress = ours, theirs, !cookies
				})
				if cookies {
					if err := n.welcome("a"); err != nil {
						t.Fatal(err)
					}
				}
				if err := n.wait(); err != nil {
					t.Fatal(err)
				}
				if c, s := n.client.State().Version, n.server.State().Version; c != s || c != min(ours, theirs) {
					t.Errorf("up to %s and up to %s: %s and %s", tls.VersionName(ours), tls.VersionName(theirs), tls.VersionName(c), tls.VersionName(s))
				}
			}
		}
	}
}

// TestCookieOfASlowHello: a cookie that was good when its ClientHello began to
// come is good for the rest of it.
func TestCookieOfASlowHello(t *testing.T) {
	later := &clock{atNow().Add(time.Hour)}
	cfg := &Config{Time: later.time, DTLS: DTLSConfig{CookieSecret: []byte("0123456789abcdef")}}
	jar := cookieJar{cfg: cfg, peerID: []byte("peer"), now: atNow()}
	cookie := jar.Seal([]byte("content"), nil)
	if content, ok := jar.Open(cookie, nil); !ok || string(content) != "content" {
		t.Error("the time of the datagram counts, not that of its hello")
	}
}

// TestTinyHello: a ClientHello that is smaller than its answer has none.
func TestTinyHello(t *testing.T) {
	n := newNetwork(t, nil)
	h := wire.ClientHello{
		Version:           wire.VersionDTLS12,
		CipherSuites:      wire.AppendUint16s(nil, tls.TLS_AES_128_GCM_SHA256),
		Compression:       []byte{0},
		Groups:            wire.AppendUint16s(nil, uint16(tls.X25519)),
		SignatureSchemes:  wire.AppendUint16s(nil, uint16(tls.ECDSAWithP256AndSHA256)),
		SupportedVersions: wire.AppendUint16s(nil, wire.VersionDTLS13),
	}
	h.Has = wire.Extensions(wire.ExtSupportedGroups, wire.ExtSignatureAlgorithms, wire.ExtSupportedVersions, wire.ExtKeyShare)
	ask := func() (question, answer []byte) {
		msg := h.Append(nil, wire.Datagram)
		header := wire.FragmentHeader{Type: wire.TypeClientHello, Length: len(msg) - 4, FragmentLength: len(msg) - 4}
		question, err := new(record.Clear).Seal(nil, record.Handshake, append(header.Append(nil), msg[4:]...))
		if err != nil {
			t.Fatal(err)
		}
		answer, _ = n.server.plan.cfg.AnswerHello(nil, []byte("a"), question)
		return question, answer
	}
	if question, answer := ask(); len(answer) > 0 {
		t.Errorf("%d bytes for %d", len(answer), len(question))
	}
	h.Has.Add(wire.ExtALPN)
	h.ALPN = wire.AppendALPN(nil, strings.Repeat("x", 200)) // the same, and large enough
	if question, answer := ask(); len(answer) == 0 || len(answer) > len(question) {
		t.Errorf("%d bytes for %d", len(answer), len(question))
	}
}

// TestEchoedSessionID: RFC 9147bis, Section 5: a client refuses a ServerHello of DTLS
// 1.3 with a session id, and says so in the clear, not under the keys of its early data.
func TestEchoedSessionID(t *testing.T) {
	client, server, _ := earlyConfigs(t)
	newMeeting(t, true, client, server).finish()
	m := newMeeting(t, true, client, server)
	if err := m.sendEarly("early words"); err != nil {
		t.Fatal(err)
	}
	in := m.server.Output(nil)
	r, n, _ := record.ParseClassic(in, 0)
	var h wire.FragmentHeader
	body, _, ok := h.Parse(r.Body)
	var sh wire.ServerHello
	if !ok || h.Type != wire.TypeServerHello || sh.Parse(body) != nil {
		t.Fatalf("not a ServerHello: %x", in[:n])
	}
	sh.SessionID = make([]byte, 32)
	msg := sh.Append(nil)
	h.Length, h.FragmentLength = len(msg)-4, len(msg)-4
	echo, err := new(record.Clear).Seal(nil, record.Handshake, append(h.Append(nil), msg[4:]...))
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.client.Open(echo)
	var refused *AlertError
	if !errors.As(err, &refused) || refused.Alert != AlertIllegalParameter {
		t.Errorf("error %v, want illegal_parameter", err)
	}
	if out := m.client.Output(nil); len(out) == 0 || out[0] != byte(record.Alert) {
		t.Errorf("the alert is %x", out)
	}
}

// TestAcknowledged: a client that is complete is not done until the server has its Finished.
func TestAcknowledged(t *testing.T) {
	client, server, _ := sessionConfigs(t, tls.VersionTLS13)
	server.DTLS.TrustAddress = true
	if m := newMeeting(t, false, client, server); !m.client.Acknowledged() || !m.server.Acknowledged() {
		t.Error("over TLS there is nothing to acknowledge")
	}
	m := newMeeting(t, true, client, server)
	for !m.client.HandshakeComplete() {
		for _, ends := range [][2]*Engine{{m.client, m.server}, {m.server, m.client}} {
			if _, err := m.pass(ends[0], ends[1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if m.client.Acknowledged() {
		t.Error("the server has not seen the client's last flight yet")
	}
	m.finish()
	if !m.client.Acknowledged() {
		t.Error("the server has acknowledged the client's last flight")
	}
}
