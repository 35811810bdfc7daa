package suite

import (
	"crypto"
	"crypto/fips140"
	"crypto/hmac"
	"encoding"
	"hash"
)

// mac is HMAC (RFC 2104) under one key after another.
type mac interface {
	// setKey is followed by any number of sums under the key.
	setKey(key []byte)
	// sum puts the HMAC of b into dst[:0], which b may be.
	sum(dst, b []byte) []byte
	// forget overwrites what is left of the key, and of what was hashed.
	forget()
}

func newMAC(h crypto.Hash) mac {
	if fips140.Enabled() {
		return &approved{hash: h}
	}
	return &keyedHash{inner: h.New().(state), outer: h.New().(state)}
}

// approved is the HMAC of the FIPS 140-3 module.
type approved struct {
	hash crypto.Hash
	mac  hash.Hash
	used bool
}

func (a *approved) setKey(key []byte) { a.mac, a.used = hmac.New(a.hash.New, key), false }

func (a *approved) sum(dst, b []byte) []byte {
	if a.used {
		a.mac.Reset()
	}
	a.used = true
	a.mac.Write(b)
	return a.mac.Sum(dst[:0])
}

func (a *approved) forget() { a.mac = nil }

// state is a hash whose state can be saved and restored without an allocation.
type state interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// keyedHash is HMAC with two hashes. A handshake has thirty keys, and computes several
// results with most of them. crypto/hmac allocates for each key, and hashes the key again
// for each result. Here two states serve all keys, and are restored after each result.
type keyedHash struct {
	inner, outer state
	keyed        [2][]byte // the states of inner and outer after the key
	used         bool      // since then
	block        [maxBlock]byte
}

// maxBlock is the block size of SHA-384.
const maxBlock = 128

func (k *keyedHash) setKey(key []byte) {
	b := k.block[:k.inner.BlockSize()]
	if len(key) > len(b) {
		k.inner.Reset()
		k.inner.Write(key)
		key = k.inner.Sum(b[:0])
	}
	clear(b[copy(b, key):])
	k.keyed[0] = absorb(k.inner, b, 0x36, k.keyed[0])
	k.keyed[1] = absorb(k.outer, b, 0x36^0x5c, k.keyed[1]) // the first pad is still in b
	k.used = false
}

// absorb begins s with b, padded in place, and saves what that gives.
func absorb(s state, b []byte, pad byte, saved []byte) []byte {
	for i := range b {
		b[i] ^= pad
	}
	s.Reset()
	s.Write(b)
	saved, err := s.AppendBinary(saved[:0])
	if err != nil {
		panic(err) // the standard library's hashes can
	}
	return saved
}

func (k *keyedHash) sum(dst, b []byte) []byte {
	if k.used {
		for i, s := range [2]state{k.inner, k.outer} {
			if err := s.UnmarshalBinary(k.keyed[i]); err != nil {
				panic(err) // it has saved it
			}
		}
	}
	k.used = true
	k.inner.Write(b)
	k.outer.Write(k.inner.Sum(dst[:0]))
	return k.outer.Sum(dst[:0])
}

func (k *keyedHash) forget() {
	clear(k.block[:])
	for i, s := range [2]state{k.inner, k.outer} {
		clear(k.keyed[i])
		s.Reset()
		s.Write(k.block[:s.BlockSize()-1]) // what Reset leaves: a part of a block
		s.Reset()
	}
}
