package suite

import (
	"crypto/rand"
	"testing"
)

// TestSharedCurveKey: two shares of one hello have the same key on their curve,
// and each works.
func TestSharedCurveKey(t *testing.T) {
	hybrid, err := X25519MLKEM768.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for g, same := range map[Group]bool{X25519: true, P256: false, X25519MLKEM768: true} {
		key, err := g.GenerateKeyWith(rand.Reader, hybrid)
		if err != nil {
			t.Fatal(err)
		}
		if got := keyOn(groups[X25519].curve, key); (got != nil && got.Equal(keyOn(groups[X25519].curve, hybrid))) != same {
			t.Errorf("%v: the key is the same: %v", g, !same)
		}
		public, secret, err := g.Respond(rand.Reader, key.Public())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := key.SharedSecret(public); err != nil || string(got) != string(secret) {
			t.Errorf("%v: %v", g, err)
		}
	}
}
