package suite

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"slices"
)

var errCCMOpen = errors.New("ccm: message authentication failed")

// ccm is AES-CCM (RFC 3610) with a nonce of 12 bytes, so L = 3, and a tag of
// 8 or 16. It is not safe for concurrent use: the blocks that it works on stand
// in it, so that a record of at most manyBytes costs no allocation.
type ccm struct {
	block   cipher.Block
	tag     int
	mac     [16]byte // the current CBC-MAC
	counter [16]byte // A_i
	stream  [16]byte // S_i
}

const ccmNonce = 12

// manyBytes is the size above which counter mode is that of crypto/cipher, which encrypts
// eight blocks at a time: 16 KiB take 2 µs instead of 17. But it allocates 512 bytes for
// each record, for a copy of the key, since its counter cannot be set. Datagrams are
// smaller. The CBC-MAC gains nothing from crypto/cipher: each of its blocks needs the
// previous one.
const manyBytes = 1500

func newCCM(key []byte) cipher.AEAD  { return &ccm{block: newAES(key), tag: 16} }
func newCCM8(key []byte) cipher.AEAD { return &ccm{block: newAES(key), tag: 8} }

func (c *ccm) NonceSize() int { return ccmNonce }
func (c *ccm) Overhead() int  { return c.tag }

// Seal encrypts plaintext, which dst[:0] may be the start of.
func (c *ccm) Seal(dst, nonce, plaintext, additional []byte) []byte {
	c.check(nonce, len(plaintext))
	n := len(dst)
	dst = slices.Grow(dst, len(plaintext)+c.tag)[:n+len(plaintext)+c.tag]
	c.authenticate(nonce, plaintext, additional)
	c.crypt(dst[n:n+len(plaintext)], plaintext, nonce)
	copy(dst[n+len(plaintext):], c.mac[:c.tag])
	return dst
}

// Open decrypts ciphertext, which dst[:0] may be the start of.
func (c *ccm) Open(dst, nonce, ciphertext, additional []byte) ([]byte, error) {
	if len(ciphertext) < c.tag {
		return nil, errCCMOpen
	}
	sealed := ciphertext[len(ciphertext)-c.tag:]
	ciphertext = ciphertext[:len(ciphertext)-c.tag]
	c.check(nonce, len(ciphertext))
	n := len(dst)
	dst = slices.Grow(dst, len(ciphertext))[:n+len(ciphertext)]
	plain := dst[n:]
	c.mac = [16]byte{}
	c.crypt(plain, ciphertext, nonce)
	mask := c.mac // S_0, which the tag is encrypted with
	c.authenticate(nonce, plain, additional)
	subtle.XORBytes(c.mac[:], c.mac[:], mask[:])
	if subtle.ConstantTimeCompare(c.mac[:c.tag], sealed) != 1 {
		clear(plain)
		return nil, errCCMOpen
	}
	return dst, nil
}

func (c *ccm) check(nonce []byte, n int) {
	if len(nonce) != ccmNonce {
		panic("ccm: the nonce is not 12 bytes")
	}
	if n >= 1<<24 {
		panic("ccm: the message is too long")
	}
}

// authenticate computes the CBC-MAC: RFC 3610, Section 2.2.
func (c *ccm) authenticate(nonce, plaintext, additional []byte) {
	c.mac[0] = byte((c.tag-2)/2)<<3 | 2
	if len(additional) > 0 {
		c.mac[0] |= 1 << 6
	}
	copy(c.mac[1:], nonce)
	c.mac[13], c.mac[14], c.mac[15] = byte(len(plaintext)>>16), byte(len(plaintext)>>8), byte(len(plaintext))
	c.block.Encrypt(c.mac[:], c.mac[:])
	if len(additional) > 0 {
		c.absorbAdditional(additional)
	}
	c.absorb(plaintext)
}

// absorbAdditional: a short length has two bytes, a longer one, which no record
// has, 0xfffe and four.
func (c *ccm) absorbAdditional(additional []byte) {
	var first [16]byte
	n := 2
	if len(additional) < 0xff00 {
		binary.BigEndian.PutUint16(first[:], uint16(len(additional)))
	} else {
		binary.BigEndian.PutUint16(first[:], 0xfffe)
		binary.BigEndian.PutUint32(first[2:], uint32(len(additional)))
		n = 6
	}
	used := copy(first[n:], additional)
	c.absorb(first[:n+used])
	c.absorb(additional[used:])
}

// absorb adds b to the MAC, padded with zeros to whole blocks.
func (c *ccm) absorb(b []byte) {
	for len(b) > 0 {
		n := subtle.XORBytes(c.mac[:], c.mac[:min(16, len(b))], b)
		c.block.Encrypt(c.mac[:], c.mac[:])
		b = b[n:]
	}
}

// crypt encrypts or decrypts src into dst, in counter mode from S_1 on, and
// encrypts the MAC with S_0: RFC 3610, Section 2.3.
func (c *ccm) crypt(dst, src, nonce []byte) {
	c.counter[0] = 2
	copy(c.counter[1:], nonce)
	if len(src) > manyBytes {
		c.counter[13], c.counter[14], c.counter[15] = 0, 0, 0
		ctr := cipher.NewCTR(c.block, c.counter[:])
		ctr.XORKeyStream(c.mac[:], c.mac[:])
		ctr.XORKeyStream(dst, src)
		return
	}
	for i := uint32(1); len(src) > 0; i++ {
		c.setCounter(i)
		n := subtle.XORBytes(dst, src[:min(16, len(src))], c.stream[:])
		dst, src = dst[n:], src[n:]
	}
	c.setCounter(0)
	subtle.XORBytes(c.mac[:], c.mac[:], c.stream[:])
}

func (c *ccm) setCounter(i uint32) {
	c.counter[13], c.counter[14], c.counter[15] = byte(i>>16), byte(i>>8), byte(i)
	c.block.Encrypt(c.stream[:], c.counter[:])
}
