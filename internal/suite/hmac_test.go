package suite

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"fmt"
	"slices"
	"testing"
)

// TestMAC compares both ways to compute an HMAC with crypto/hmac: keys shorter and longer
// than a block, several results under one key, results in place, and keys after keys.
func TestMAC(t *testing.T) {
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384} {
		ways := map[string]mac{
			"own":      &keyedHash{inner: h.New().(state), outer: h.New().(state)},
			"approved": &approved{hash: h},
		}
		for name, m := range ways {
			t.Run(fmt.Sprintf("%v, %s", h, name), func(t *testing.T) {
				out := make([]byte, 0, maxHash)
				for _, keySize := range []int{0, 1, 32, 48, 63, 64, 65, 127, 128, 129, 1000, 3} {
					key := bytes.Repeat([]byte{byte(keySize), 7}, keySize)[:keySize]
					m.setKey(key)
					for _, size := range []int{0, 1, 55, 64, 111, 128, 500} {
						data := bytes.Repeat([]byte{byte(size)}, size)
						if got := m.sum(out, data); !bytes.Equal(got, reference(h, key, data)) {
							t.Errorf("a key of %d bytes, %d bytes of data: got %x", keySize, size, got)
						}
					}
					first := slices.Clone(m.sum(out, key))
					second := m.sum(out, append(out[:0], first...))
					if !bytes.Equal(second, reference(h, key, first)) {
						t.Errorf("a key of %d bytes, in place: got %x", keySize, second)
					}
				}
				m.forget()
				m.setKey([]byte("key"))
				if got := m.sum(out, []byte("data")); !bytes.Equal(got, reference(h, []byte("key"), []byte("data"))) {
					t.Errorf("after forget: got %x", got)
				}
			})
		}
	}
}

func reference(h crypto.Hash, key, data []byte) []byte {
	m := hmac.New(h.New, key)
	m.Write(data)
	return m.Sum(nil)
}

// TestMACForgets: nothing of a key stays, since expanders wait in a pool for their next one.
func TestMACForgets(t *testing.T) {
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384} {
		k := &keyedHash{inner: h.New().(state), outer: h.New().(state)}
		k.setKey([]byte("key"))
		k.sum(nil, []byte("data"))
		k.forget()
		fresh, _ := h.New().(state).AppendBinary(nil)
		for _, s := range []state{k.inner, k.outer} {
			if left, _ := s.AppendBinary(nil); !bytes.Equal(left, fresh) {
				t.Errorf("%v: a state is %x", h, left)
			}
		}
		for _, b := range [][]byte{k.block[:], k.keyed[0], k.keyed[1]} {
			if len(bytes.Trim(b, "\x00")) > 0 {
				t.Errorf("%v: %x is left", h, b)
			}
		}
	}
}
