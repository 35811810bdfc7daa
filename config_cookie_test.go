package hermetic

import (
	"testing"
	"time"
)

func TestCookie(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 59, 30, 0, time.UTC)
	clock := func() time.Time { return now }
	a := &Config{Time: clock}
	cookie := a.Cookie([]byte("127.0.0.1#4433"))
	if len(cookie) != 44 {
		t.Errorf("%d characters", len(cookie))
	}
	if string(a.Cookie([]byte("127.0.0.1#4433"))) != string(cookie) {
		t.Error("another cookie within the second")
	}
	changed := append([]byte(nil), cookie...)
	changed[10] ^= 1
	for _, c := range []struct {
		name       string
		id, cookie string
		want       bool
	}{
		{"the same", "127.0.0.1#4433", string(cookie), true},
		{"another peer", "127.0.0.1#4434", string(cookie), false},
		{"no peer", "", string(cookie), false},
		{"changed", "127.0.0.1#4433", string(changed), false},
		{"cut", "127.0.0.1#4433", string(cookie[:43]), false},
		{"longer", "127.0.0.1#4433", string(cookie) + "A", false},
		{"line ends", "127.0.0.1#4433", string(cookie[:20]) + "\n" + string(cookie[20:]), false},
		{"empty", "127.0.0.1#4433", "", false},
	} {
		if got := a.CheckCookie([]byte(c.id), []byte(c.cookie)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if !a.CheckCookie(nil, a.Cookie(nil)) {
		t.Error("an empty identity has no cookie")
	}
	now = now.Add(time.Minute) // and the key has rotated
	if !a.CheckCookie([]byte("127.0.0.1#4433"), cookie) {
		t.Error("no good after a minute, across a rotation")
	}
	now = now.Add(time.Second)
	if a.CheckCookie([]byte("127.0.0.1#4433"), cookie) {
		t.Error("good for more than a minute")
	}
}

// TestCookieSecret: processes with one secret agree, others do not.
func TestCookieSecret(t *testing.T) {
	id := []byte("peer")
	a := &Config{Time: atNow, DTLS: DTLSConfig{CookieSecret: []byte("a secret of sixteen bytes or more")}}
	b := &Config{Time: atNow, DTLS: DTLSConfig{CookieSecret: []byte("a secret of sixteen bytes or more")}}
	c := &Config{Time: atNow}
	if !b.CheckCookie(id, a.Cookie(id)) {
		t.Error("the same secret makes other cookies")
	}
	if c.CheckCookie(id, a.Cookie(id)) || (&Config{Time: atNow}).CheckCookie(id, c.Cookie(id)) {
		t.Error("a cookie is good under another secret")
	}
	if _, err := NewEngine(TLSServer, &Config{DTLS: DTLSConfig{CookieSecret: []byte("short")}}); err == nil {
		t.Error("a short secret is accepted")
	}
}

// TestGetCookieSecrets: the secrets of cookies may change while a Config is in use. The
// first makes them, all of them check them.
func TestGetCookieSecrets(t *testing.T) {
	const one, two = "a first secret of some bytes", "a second secret of some bytes"
	var secrets [][]byte
	id := []byte("peer")
	cfg := &Config{Time: atNow, DTLS: DTLSConfig{GetCookieSecrets: func() [][]byte { return secrets }}}
	for _, step := range []struct {
		name    string
		secrets []string
		madeBy  []string // nil: by the Config's own
		checks  []string
		refuses []string
	}{
		{"none: the Config's own", nil, nil, nil, []string{one, two}},
		{"one", []string{one}, []string{one}, []string{one}, []string{two}},
		{"another, and still the first", []string{two, one}, []string{two}, []string{one, two}, nil},
		{"the other alone", []string{two}, []string{two}, []string{two}, []string{one}},
		{"one that is too short counts for nothing", []string{"short", one}, []string{one}, []string{one}, []string{"short"}},
		{"only one that is too short", []string{"short"}, nil, nil, []string{"short", one}},
	} {
		secrets = nil
		for _, s := range step.secrets {
			secrets = append(secrets, []byte(s))
		}
		with := func(secret string) *Config {
			return &Config{Time: atNow, DTLS: DTLSConfig{CookieSecret: []byte(secret)}}
		}
		if !cfg.CheckCookie(id, cfg.Cookie(id)) {
			t.Errorf("%s: its own cookie is not good", step.name)
		}
		for _, s := range step.madeBy {
			if !with(s).CheckCookie(id, cfg.Cookie(id)) {
				t.Errorf("%s: %q does not make the cookies", step.name, s)
			}
		}
		for _, s := range step.checks {
			if !cfg.CheckCookie(id, with(s).Cookie(id)) {
				t.Errorf("%s: a cookie of %q is refused", step.name, s)
			}
		}
		for _, s := range step.refuses {
			if cfg.CheckCookie(id, with(s).Cookie(id)) {
				t.Errorf("%s: a cookie of %q is accepted", step.name, s)
			}
		}
	}
}

// TestHandshakeOverNewCookieSecret: a client that was asked for a cookie under one secret
// completes its handshake under the next.
func TestHandshakeOverNewCookieSecret(t *testing.T) {
	for _, version := range versions {
		secrets := [][]byte{[]byte("a first secret of some bytes")}
		n := newNetwork(t, func(c, s *Config) {
			c.MaxVersion, s.DTLS.GetCookieSecrets = version, func() [][]byte { return secrets }
		})
		cfg := n.server.plan.cfg
		answer, _ := cfg.AnswerHello(nil, []byte("a"), n.client.Output(nil))
		if err := n.give(n.client, answer); err != nil {
			t.Fatal(err)
		}
		second := n.client.Output(nil)
		secrets = [][]byte{[]byte("a second secret of some bytes"), secrets[0]}
		if _, ok := cfg.AnswerHello(nil, []byte("a"), second); !ok {
			t.Error("the cookie is not good once the secret has changed")
		}
		secrets = secrets[:1]
		if _, ok := cfg.AnswerHello(nil, []byte("a"), second); ok {
			t.Error("the cookie is good without its secret")
		}
	}
}
