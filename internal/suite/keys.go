package suite

import (
	"crypto/cipher"
	"weak"
)

// Keys protect the records of one direction for one epoch.
type Keys struct {
	Suite *Suite
	AEAD  cipher.AEAD // nil: at rest
	of    *pair       // DTLS 1.3, else nil
	IV    [12]byte    // TLS 1.2 with an explicit nonce: the first 4 bytes
}

// pair has the keys of DTLS 1.3, and finds the ciphers that are made from them.
//
// AES takes 512 bytes for a key, and GCM 256 more. So an idle connection holds only its current
// AEADs. A weak pointer finds the other ciphers until the next garbage collection, and the next
// record makes them again. A busy connection thus has them nearly always.
type pair struct {
	keys  [64]byte // the AEAD's, then that of record numbers
	held  *ciphers // until Loosen or Rest
	found weak.Pointer[ciphers]
}

type ciphers struct {
	aead  cipher.AEAD  // nil: not made yet
	block cipher.Block // of AES, for record numbers; nil: not made yet
	buf   [16]byte     // here, not on the stack, since it escapes through block
}

// Material is the keys of DTLS 1.3 as bytes.
type Material struct {
	Keys [64]byte // the AEAD's, then that of record numbers
	IV   [12]byte
}

// Material returns what the keys of DTLS 1.3 are made of.
func (k *Keys) Material() Material { return Material{k.of.keys, k.IV} }

// RestingKeys are the keys of that material, at rest.
func (s *Suite) RestingKeys(m Material) Keys {
	return Keys{Suite: s, IV: m.IV, of: &pair{keys: m.Keys}}
}

// Loosen lets the next garbage collection free all ciphers but the AEAD. It is for keys that are
// kept for a long time.
func (k *Keys) Loosen() {
	if c := k.of.held; c != nil {
		k.of.held, k.of.found = nil, weak.Make(c)
	}
}

// Rest gives up the AEAD too, until Wake. It is for keys that may not be needed again.
func (k *Keys) Rest() { k.AEAD, k.of.held = nil, nil }

// Wake makes the AEAD, for the first time or after Rest.
func (k *Keys) Wake() {
	if k.AEAD != nil {
		return
	}
	c := k.ciphers()
	if c.aead == nil {
		c.aead = k.Suite.AEAD(k.of.keys[:k.Suite.KeyLen])
	}
	k.AEAD = c.aead
}

// Mask returns what encrypts a record's number, of at most 16 bits: the start of the mask for the
// first 16 bytes of the ciphertext (RFC 9147bis, Section 4.2.3). The keys are those of DTLS 1.3.
func (k *Keys) Mask(sample *[16]byte) [2]byte {
	c := k.ciphers()
	if c.block == nil {
		n := k.Suite.KeyLen
		return k.Suite.mask(c, k.of.keys[n:2*n], sample)
	}
	return c.maskAES(sample)
}

func (k *Keys) ciphers() *ciphers {
	c := k.of.held
	if c == nil {
		c = k.of.found.Value()
	}
	if c == nil {
		c = &ciphers{aead: k.AEAD}
		k.of.found = weak.Make(c)
	}
	return c
}
