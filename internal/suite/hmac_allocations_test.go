//go:build !race

package suite

import (
	"crypto"
	"testing"
)

// TestMACAllocations: neither keys nor results allocate. With the race detector the hash's own
// methods do.
func TestMACAllocations(t *testing.T) {
	k := &keyedHash{inner: crypto.SHA256.New().(state), outer: crypto.SHA256.New().(state)}
	key, data, out := make([]byte, 32), make([]byte, 100), make([]byte, 0, maxHash)
	k.setKey(key)
	if n := testing.AllocsPerRun(100, func() {
		k.setKey(key)
		k.sum(out, data)
		k.sum(out, data)
		k.forget()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
