package hermetic

import (
	"crypto/tls"
	"testing"
	"time"
)

// TestSRTP: use_srtp chooses the server's first, and both derive the same keys.
func TestSRTP(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, test := range []struct {
			name           string
			client, server []uint16
			want           uint16
		}{
			{"one in common", []uint16{1, 7}, []uint16{7}, 7},
			{"the server prefers", []uint16{1, 7}, []uint16{7, 1}, 7},
			{"none in common", []uint16{1}, []uint16{7}, 0},
			{"only the client", []uint16{1}, nil, 0},
			{"only the server", nil, []uint16{1}, 0},
		} {
			c, s := configs(t)
			c.MaxVersion = version
			c.DTLS.SRTPProfiles, s.DTLS.SRTPProfiles = test.client, test.server
			m := newMeeting(t, true, c, s)
			m.finish()
			if got := [2]uint16{m.client.State().SRTPProfile, m.server.State().SRTPProfile}; got != [2]uint16{test.want, test.want} {
				t.Errorf("%s, %s: %v", tls.VersionName(version), test.name, got)
			}
			a, err := m.client.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 60)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := m.server.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 60); err != nil || string(a) != string(b) {
				t.Errorf("other keys: %v", err)
			}
		}
	}
}

// TestSRTPTimeout: calls cannot wait as long as other traffic.
func TestSRTPTimeout(t *testing.T) {
	for _, c := range []struct {
		given, want time.Duration
		profiles    []uint16
	}{
		{0, time.Second, nil},
		{0, 400 * time.Millisecond, []uint16{7}},
		{2 * time.Second, 2 * time.Second, []uint16{7}},
	} {
		client, _, now := sessionConfigs(t, tls.VersionTLS13)
		client.DTLS.SRTPProfiles, client.DTLS.RetransmitTimeout = c.profiles, c.given
		e, err := NewEngine(DTLSClient, client)
		if err != nil {
			t.Fatal(err)
		}
		e.Output(nil)
		if at, ok := e.Deadline(); !ok || at.Sub(now.now) != c.want {
			t.Errorf("profiles %v, %v given: the first timeout is after %v", c.profiles, c.given, at.Sub(now.now))
		}
	}
}
