package hermetic

import (
	"crypto/tls"
	"slices"
	"testing"
)

// TestMLKEM1024: ML-KEM without a curve is used where both sides name it, and never by default.
func TestMLKEM1024(t *testing.T) {
	const kem = MLKEM1024
	for _, c := range []struct {
		name           string
		client, server []tls.CurveID
		shares         []tls.CurveID // nil: the usual
		want           tls.CurveID
		retried        bool // over a stream; a datagram has no room for the share
	}{
		{"both", []tls.CurveID{kem}, []tls.CurveID{kem}, nil, kem, false},
		{"before a curve", []tls.CurveID{kem, tls.CurveP384}, []tls.CurveID{kem, tls.CurveP384}, nil, kem, false},
		{"after a HelloRetryRequest", []tls.CurveID{tls.X25519, tls.CurveP256, kem}, []tls.CurveID{kem}, []tls.CurveID{tls.X25519}, kem, true},
		{"from it to a curve", []tls.CurveID{kem, tls.X25519MLKEM768, tls.CurveP384}, []tls.CurveID{tls.CurveP384}, []tls.CurveID{kem}, tls.CurveP384, true},
		{"from it to a hybrid", []tls.CurveID{kem, tls.CurveP384, tls.SecP384r1MLKEM1024}, []tls.CurveID{tls.SecP384r1MLKEM1024}, []tls.CurveID{kem}, tls.SecP384r1MLKEM1024, true},
		{"not by default on the server", []tls.CurveID{kem, tls.X25519}, nil, nil, tls.X25519, false},
		{"not by default on the client", nil, []tls.CurveID{kem, tls.X25519}, nil, tls.X25519, false},
	} {
		for _, datagram := range []bool{false, true} {
			client, server := configs(t)
			client.CurvePreferences, server.CurvePreferences, client.KeyShares = c.client, c.server, c.shares
			m := newMeeting(t, datagram, client, server)
			if err := m.run(); err != nil {
				t.Errorf("%s, datagrams %v: %v", c.name, datagram, err)
				continue
			}
			m.exchange(100)
			s := m.client.State()
			if s.CurveID != c.want || m.server.State().CurveID != c.want || !datagram && s.HelloRetryRequest != c.retried {
				t.Errorf("%s, datagrams %v: %v, HelloRetryRequest %v", c.name, datagram, s.CurveID, s.HelloRetryRequest)
			}
		}
	}
	if !slices.Contains(Groups(), kem) || GroupName(kem) != "MLKEM1024" {
		t.Errorf("%v, and its name is %s", Groups(), GroupName(kem))
	}
}
