package suite

import (
	"encoding/binary"

	"golang.org/x/crypto/chacha20"
)

// maskAES makes the cipher, for the first time.
func maskAES(c *ciphers, key []byte, sample *[16]byte) [2]byte {
	c.block = newAES(key)
	return c.maskAES(sample)
}

// maskAES: RFC 9147bis, Section 4.2.3: "Mask = AES-ECB(sn_key, Ciphertext[0..15])".
func (c *ciphers) maskAES(sample *[16]byte) [2]byte {
	c.buf = *sample
	c.block.Encrypt(c.buf[:], c.buf[:])
	return [2]byte(c.buf[:])
}

// maskChaCha: RFC 9147bis, Section 4.2.3: "Mask = ChaCha20(sn_key, Ciphertext[0..3],
// Ciphertext[4..15])", the block counter in little endian.
func maskChaCha(_ *ciphers, key []byte, sample *[16]byte) [2]byte {
	var mask [16]byte
	c, err := chacha20.NewUnauthenticatedCipher(key, sample[4:])
	if err != nil {
		panic(err) // the sizes are right
	}
	c.SetCounter(binary.LittleEndian.Uint32(sample[:4]))
	c.XORKeyStream(mask[:], mask[:])
	return [2]byte(mask[:])
}
