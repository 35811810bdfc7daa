// Package suite is the cryptography that TLS negotiates, by its names: cipher
// suites with their AEADs, groups, signature schemes, and the key schedules of
// TLS 1.2 and 1.3. It knows no messages and no connection.
package suite

import (
	"crypto"
	"crypto/cipher"
)

// KeyExchange is how a TLS 1.2 suite agrees on the premain secret.
type KeyExchange struct {
	PSK    bool // both sides have a key already
	ECDHE  bool // both sides send a public value
	Signed bool // the server signs its public value
}

var (
	ECDHE    = KeyExchange{ECDHE: true, Signed: true}
	PSK      = KeyExchange{PSK: true}
	ECDHEPSK = KeyExchange{PSK: true, ECDHE: true}
)

// Authentication is the key that a TLS 1.2 suite signs with.
type Authentication uint8

const (
	AnyAuthentication Authentication = iota // TLS 1.3: not in the suite
	ECDSA                                   // ECDSA and EdDSA
	RSA
	NoSignature // PSK
)

// Suite is a cipher suite: one row of the table in suites.go.
type Suite struct {
	ID          uint16
	Name        string
	Version     uint16 // the only version that has it: 0x0303 or 0x0304
	Hash        crypto.Hash
	KeyExchange KeyExchange // TLS 1.2
	Auth        Authentication
	Cipher
}

// Cipher is what a suite has of its AEAD.
type Cipher struct {
	KeyLen      int
	IVLen       int // TLS 1.2: fixed_iv_length from the key block: 4 or 12
	ExplicitLen int // TLS 1.2: record_iv_length, 8 for GCM and CCM, else 0
	TagLen      int
	AEAD        func(key []byte) cipher.AEAD                           // panics on a wrong key length only
	mask        func(c *ciphers, key []byte, sample *[16]byte) [2]byte // see Keys.Mask
	// SealLimit is how many records one key may protect, IntegrityLimit how
	// many forged records it may meet (RFC 9846, Section 5.5; RFC 9147bis,
	// Section 4.5.3).
	SealLimit, IntegrityLimit uint64
	OnRequest                 bool // not offered unless the configuration names it (CCM)
	WithoutAES                bool // fast on machines without AES instructions (ChaCha20-Poly1305)
}
