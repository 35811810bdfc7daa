package suite

import "crypto/cipher"

// Keys protect the records of one direction for one epoch.
type Keys struct {
	Suite *Suite
	AEAD  cipher.AEAD
	IV    [12]byte // TLS 1.2 with an explicit nonce: the first 4 bytes
	Mask  Masker   // DTLS 1.3 only, else nil

	material *[64]byte // DTLS 1.3: what AEAD and Mask are made of
}

// Rest gives up the ciphers of DTLS 1.3, which are much larger than what they
// are made of, until Wake: for keys that are kept only in case.
func (k *Keys) Rest() {
	if k.material != nil {
		k.AEAD, k.Mask = nil, nil
	}
}

// Material is the keys as bytes, for a session that moves: they must not stay awake.
type Material struct {
	Keys [64]byte
	IV   [12]byte
}

func (k *Keys) Material() Material { return Material{*k.material, k.IV} }

// RestingKeys are the keys of that material, at rest.
func (s *Suite) RestingKeys(m Material) Keys { return Keys{Suite: s, IV: m.IV, material: &m.Keys} }

// StayAwake forgets what the ciphers are made of: these keys will not rest.
func (k *Keys) StayAwake() { k.material = nil }

// Wake makes the ciphers, for the first time or after Rest.
func (k *Keys) Wake() {
	if k.AEAD == nil {
		k.AEAD, k.Mask = k.Suite.AEAD(k.material[:k.Suite.KeyLen]), k.Suite.Mask(k.material[k.Suite.KeyLen:2*k.Suite.KeyLen])
	}
}
