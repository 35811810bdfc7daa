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
	a := &Config{Time: atNow, CookieSecret: []byte("a secret of sixteen bytes or more")}
	b := &Config{Time: atNow, CookieSecret: []byte("a secret of sixteen bytes or more")}
	c := &Config{Time: atNow}
	if !b.CheckCookie(id, a.Cookie(id)) {
		t.Error("the same secret makes other cookies")
	}
	if c.CheckCookie(id, a.Cookie(id)) || (&Config{Time: atNow}).CheckCookie(id, c.Cookie(id)) {
		t.Error("a cookie is good under another secret")
	}
	if _, err := NewEngine(TLSServer, &Config{CookieSecret: []byte("short")}); err == nil {
		t.Error("a short secret is accepted")
	}
}
