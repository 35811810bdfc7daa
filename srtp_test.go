package hermetic

import (
	"crypto/tls"
	"testing"
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
			c.Datagram.SRTPProfiles, s.Datagram.SRTPProfiles = test.client, test.server
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
