package hermetic

import (
	"crypto/tls"
	"testing"
	"time"
)

// What a question interrupts is timed from its answer on, however late that comes.

// lateAnswer is a DTLS server that has the client's last flight, and waits for the given
// time until its question is answered; its own last flight is lost.
func lateAnswer(t *testing.T, version uint16, wait time.Duration) *meeting {
	t.Helper()
	n := newNetwork(t, func(c, s *Config) {
		c.MaxVersion = version
		c.SessionCache = NewSessionCache(1)
		c.DTLS.MaxTimeouts = 40
		s.Async = AsyncTicketKeys
		s.DTLS.MaxFlightPause = -1
	})
	for range 5 {
		if _, err := n.deliver(); err != nil && err != ErrPending {
			t.Fatal(err)
		}
	}
	request, ok := n.server.Pending().(*TicketKeysRequest)
	if !ok {
		t.Fatalf("pending is %T", n.server.Pending())
	}
	n.now = n.now.Add(wait)
	if err := request.Answer([]TicketKey{{1}}, nil); err != nil {
		t.Fatal(err)
	}
	if !n.server.HandshakeComplete() {
		t.Fatal("the server is not complete")
	}
	for len(n.server.Output(nil)) > 0 {
	}
	return n
}

// TestLateAnswer: the last flight is kept for four minutes, RFC 6347, Section 4.2.4, and
// sent again to a client that repeats its own.
func TestLateAnswer(t *testing.T) {
	for _, wait := range []time.Duration{0, 3 * time.Minute, time.Hour} {
		n := lateAnswer(t, tls.VersionTLS12, wait)
		n.now = n.now.Add(4*time.Minute - time.Second)
		if err := n.server.Compact(); err == nil {
			t.Errorf("%v: the last flight is given up before its time", wait)
		}
		n.now = n.now.Add(2 * time.Second)
		if err := n.server.Compact(); err != nil {
			t.Errorf("%v: the last flight is kept for too long: %v", wait, err)
		}
	}
	for _, version := range versions {
		n := lateAnswer(t, version, time.Hour)
		n.client.Expire()
		for len(n.client.Output(nil)) > 0 { // lost
		}
		if err := n.wait(); err != nil {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if !n.client.HandshakeComplete() {
			t.Errorf("%s: the client is not complete", tls.VersionName(version))
		}
	}
}

// TestCookieIsJudgedWhenItComes: a server that was asked for something an hour before judges
// the cookie by the time at which its first datagram comes.
func TestCookieIsJudgedWhenItComes(t *testing.T) {
	for _, version := range versions {
		n := newNetwork(t, func(c, s *Config) {
			c.MaxVersion, c.CurvePreferences = version, []tls.CurveID{tls.X25519, tls.CurveP256}
		})
		for name, ask := range map[string]func(){
			"Seal":          func() { n.server.Seal(nil, []byte("x")) },
			"SealEarlyData": func() { n.server.SealEarlyData(nil, []byte("x")) },
			"EarlyDataRoom": func() { n.server.EarlyDataRoom() },
			"HasOutput":     func() { n.server.HasOutput() },
		} {
			n.server.Reset()
			n.client.Reset()
			if err := n.server.SetPeerID([]byte("a")); err != nil {
				t.Fatal(err)
			}
			ask()
			n.now = n.now.Add(time.Hour)
			cfg := n.server.plan.cfg
			answer, _ := cfg.AnswerHello(nil, []byte("a"), n.client.Output(nil))
			if err := n.give(n.client, answer); err != nil {
				t.Fatal(err)
			}
			if err := n.wait(); err != nil {
				t.Errorf("%s, after %s: %v", tls.VersionName(version), name, err)
			}
		}
	}
}
