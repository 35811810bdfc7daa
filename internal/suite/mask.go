package suite

import (
	"crypto/cipher"
	"encoding/binary"

	"golang.org/x/crypto/chacha20"
)

// aesMask: RFC 9147bis, Section 4.2.3: "Mask = AES-ECB(sn_key, Ciphertext[0..15])".
type aesMask struct {
	block cipher.Block
	buf   [16]byte // here, not on the stack, since it escapes through Block
}

func newAESMask(key []byte) Masker { return &aesMask{block: newAES(key)} }

func (m *aesMask) Mask(sample *[16]byte) [16]byte {
	m.buf = *sample
	m.block.Encrypt(m.buf[:], m.buf[:])
	return m.buf
}

// chachaMask: RFC 9147bis, Section 4.2.3: "Mask = ChaCha20(sn_key,
// Ciphertext[0..3], Ciphertext[4..15])", the block counter in little endian.
type chachaMask struct{ key [chacha20.KeySize]byte }

func newChaChaMask(key []byte) Masker { return &chachaMask{key: [chacha20.KeySize]byte(key)} }

func (m *chachaMask) Mask(sample *[16]byte) (mask [16]byte) {
	c, err := chacha20.NewUnauthenticatedCipher(m.key[:], sample[4:])
	if err != nil {
		panic(err) // the sizes are right
	}
	c.SetCounter(binary.LittleEndian.Uint32(sample[:4]))
	c.XORKeyStream(mask[:], mask[:])
	return mask
}
