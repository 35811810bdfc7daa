package record

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"testing"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/hermetic-tls/hermetic/internal/suite"
)

// record13 is a DTLSCiphertext made by the words of RFC 9147bis, Section 4, and
// with nothing of ours: no other implementation at hand has DTLS 1.3 with
// connection IDs.
type record13 struct {
	key, sn, iv []byte
	chacha      bool
	epoch, seq  uint64
	cid         []byte
	short, rest bool // an 8-bit number; no length
	typ         byte
	data        []byte
}

func (r *record13) bytes() []byte {
	// 0 0 1 C S L E E
	header := []byte{0b001_00000 | byte(r.epoch&3)}
	if len(r.cid) > 0 {
		header[0] |= 0b000_10000
		header = append(header, r.cid...)
	}
	number, numberLen := len(header), 1
	if !r.short {
		header[0] |= 0b000_01000
		header = append(header, byte(r.seq>>8))
		numberLen = 2
	}
	header = append(header, byte(r.seq))
	plain := append(bytes.Clone(r.data), r.typ) // and no zeros
	if !r.rest {
		header[0] |= 0b000_00100
		header = binary.BigEndian.AppendUint16(header, uint16(len(plain)+16))
	}
	nonce := bytes.Clone(r.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(r.seq >> (56 - 8*i))
	}
	sealed := r.aead().Seal(nil, nonce, plain, header)
	for i, m := range r.mask(sealed)[:numberLen] {
		header[number+i] ^= m
	}
	return append(header, sealed...)
}

func (r *record13) aead() cipher.AEAD {
	if r.chacha {
		a, _ := chacha20poly1305.New(r.key)
		return a
	}
	block, _ := aes.NewCipher(r.key)
	a, _ := cipher.NewGCM(block)
	return a
}

// mask: RFC 9147bis, Section 4.2.3.
func (r *record13) mask(ciphertext []byte) []byte {
	mask := make([]byte, 16)
	if r.chacha {
		c, _ := chacha20.NewUnauthenticatedCipher(r.sn, ciphertext[4:16])
		c.SetCounter(binary.LittleEndian.Uint32(ciphertext[:4]))
		c.XORKeyStream(mask, mask)
		return mask
	}
	block, _ := aes.NewCipher(r.sn)
	block.Encrypt(mask, ciphertext[:16])
	return mask
}

// TestVectors13: the records that we seal are those bytes, and what the bytes say is opened,
// in every form of the header, with connection IDs and without.
func TestVectors13(t *testing.T) {
	for _, id := range []uint16{0x1301, 0x1302, 0x1303} {
		s := suite.ByID(id)
		key, sn := sample(2 * s.KeyLen)[:s.KeyLen], sample(2 * s.KeyLen)[s.KeyLen:]
		iv := sample(40)[28:]
		for form := range 4 {
			for _, cid := range []string{"", "c1", "0102030405060708"} {
				for _, number := range []Number{{3, 0}, {2, 0x7f}, {4, 0x51234}, {0xffff, 0xfedcba}} {
					want := record13{
						key: key, sn: sn, iv: iv, chacha: id == 0x1303, epoch: number.Epoch, seq: number.Sequence,
						cid: unhex(cid), short: form&1 != 0, rest: form&2 != 0, typ: byte(ApplicationData), data: []byte("a datagram"),
					}
					t.Run(fmt.Sprintf("%s, form %d, CID %q, %d.%#x", s.Name, form, cid, number.Epoch, number.Sequence), func(t *testing.T) {
						want.check(t, s)
					})
				}
			}
		}
	}
}

// keys are r's for our code.
func (r *record13) keys(s *suite.Suite) suite.Keys {
	m := suite.Material{IV: [12]byte(r.iv)}
	copy(m.Keys[copy(m.Keys[:], r.key):], r.sn)
	k := s.RestingKeys(m)
	k.Wake()
	return k
}

// check seals it with our code, if that has such headers, and opens it.
func (r *record13) check(t *testing.T, s *suite.Suite) {
	k := r.keys(s)
	out, in := NewWriter13(r.epoch, k, r.cid), NewReader13(r.epoch, k)
	out.SetNext(r.seq)
	want := r.bytes()
	if got := mustSeal(t, out, ContentType(r.typ), r.data); !r.short && !r.rest && !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	in.SetState(r.seq, [4]uint64{}, 0) // the records before have come
	number, typ, content, err := openUnified(in, want, len(r.cid))
	if err != nil || number != (Number{r.epoch, r.seq}) || typ != ContentType(r.typ) || !bytes.Equal(content, r.data) {
		t.Errorf("opened as %v, type %d, %q, %v", number, typ, content, err)
	}
}
