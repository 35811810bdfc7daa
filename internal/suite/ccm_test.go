package suite

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"testing"
)

// TestCCMWycheproof: the published vectors with nonces of 12 bytes.
func TestCCMWycheproof(t *testing.T) {
	data, err := os.ReadFile("../../../shared/vectors/wycheproof_aes_ccm.json")
	if err != nil {
		if _, shared := os.Stat("../../../shared"); shared == nil {
			t.Fatal(err)
		}
		t.Skipf("no vectors: %v", err)
	}
	type hexBytes = string
	var file struct {
		TestGroups []struct {
			IVSize, TagSize int
			Tests           []struct {
				TCID                       int
				Key, IV, AAD, Msg, CT, Tag hexBytes
				Comment, Result            string
			}
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, g := range file.TestGroups {
		make := newCCM
		switch {
		case g.IVSize != 96:
			continue
		case g.TagSize == 64:
			make = newCCM8
		case g.TagSize != 128:
			continue
		}
		for _, c := range g.Tests {
			decode := func(s string) []byte {
				b, err := hex.DecodeString(s)
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
			ran++
			aead, nonce, aad, msg := make(decode(c.Key)), decode(c.IV), decode(c.AAD), decode(c.Msg)
			sealed := append(decode(c.CT), decode(c.Tag)...)
			valid := c.Result == "valid"
			if got := aead.Seal(nil, nonce, msg, aad); bytes.Equal(got, sealed) != valid {
				t.Errorf("%d (%s): Seal gives %x, the vector is %s", c.TCID, c.Comment, got, c.Result)
			}
			got, err := aead.Open(sealed[:0], nonce, sealed, aad) // in place
			if (err == nil) != valid || valid && !bytes.Equal(got, msg) {
				t.Errorf("%d (%s): Open gives %x, %v; the vector is %s", c.TCID, c.Comment, got, err, c.Result)
			}
		}
	}
	if ran < 100 {
		t.Errorf("only %d vectors have run", ran)
	}
}

// TestCCMSizes compares sizes around where something changes with RFC 3610, block by block.
func TestCCMSizes(t *testing.T) {
	key, nonce, aad := sampleBytes(16, 1), sampleBytes(12, 2), sampleBytes(13, 3)
	for _, tag := range []int{8, 16} {
		aead := &ccm{block: newAES(key), tag: tag}
		sizes := []int{manyBytes - 1, manyBytes, manyBytes + 1, manyBytes + 15, manyBytes + 16, 4096, 1<<14 + 1}
		for size := range 4 * len(aead.stream) { // around each block, and each time that the lanes are used up
			sizes = append(sizes, size)
		}
		for _, size := range sizes {
			data := sampleBytes(size, 4)
			want := referenceCCM(key, nonce, data, aad, tag)
			inPlace := append(append(make([]byte, 0, size+tag), data...), make([]byte, tag)...)[:size]
			if got := aead.Seal(inPlace[:0], nonce, inPlace, aad); !bytes.Equal(got, want) {
				t.Errorf("%d bytes, tag of %d: Seal differs", size, tag)
			}
			if got, err := aead.Open(nil, nonce, want, aad); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, tag of %d: Open: %v", size, tag, err)
			}
			inPlace = append(inPlace[:0], want...)
			if got, err := aead.Open(inPlace[:0], nonce, inPlace, aad); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, tag of %d: Open in place: %v", size, tag, err)
			}
			want[size/2] ^= 1
			if got, err := aead.Open(want[:0], nonce, want, aad); err == nil || len(got) > 0 {
				t.Errorf("%d bytes, tag of %d: a forgery is opened", size, tag)
			}
		}
	}
}

// sampleBytes are n bytes that do not repeat soon.
func sampleBytes(n int, start byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = start + byte(i) + byte(i>>8)
	}
	return b
}

// referenceCCM seals by the words of RFC 3610, Section 2, with L = 3.
func referenceCCM(key, nonce, data, aad []byte, tag int) []byte {
	block := newAES(key)
	b := append([]byte{64 | byte((tag-2)/2)<<3 | 2}, nonce...)
	b = append(b, byte(len(data)>>16), byte(len(data)>>8), byte(len(data)), 0, byte(len(aad)))
	pad := func(b []byte) []byte { return append(b, make([]byte, (16-len(b)%16)%16)...) }
	b = append(pad(append(b, aad...)), pad(bytes.Clone(data))...)
	var mac [16]byte
	for ; len(b) > 0; b = b[16:] {
		for i := range mac {
			mac[i] ^= b[i]
		}
		block.Encrypt(mac[:], mac[:])
	}
	stream := func(i int) (s [16]byte) {
		a := append(append([]byte{2}, nonce...), byte(i>>16), byte(i>>8), byte(i))
		block.Encrypt(s[:], a)
		return s
	}
	sealed := bytes.Clone(data)
	for i := range sealed {
		s := stream(i/16 + 1)
		sealed[i] ^= s[i%16]
	}
	s := stream(0)
	for i := range tag {
		sealed = append(sealed, mac[i]^s[i])
	}
	return sealed
}

// TestCCMAllocations: none for a record of at most manyBytes, and one for a larger one.
func TestCCMAllocations(t *testing.T) {
	aead := newCCM(make([]byte, 16))
	nonce, aad, buf := make([]byte, 12), make([]byte, 13), make([]byte, 0, 20_000)
	for size, want := range map[int]float64{64: 0, manyBytes: 0, manyBytes + 1: 2, 1 << 14: 2} {
		n := testing.AllocsPerRun(100, func() {
			b := aead.Seal(buf, nonce, buf[:size], aad)
			if _, err := aead.Open(b[:0], nonce, b, aad); err != nil {
				t.Fatal(err)
			}
		})
		if n != want {
			t.Errorf("%d bytes: %.0f allocations to seal and open, want %.0f", size, n, want)
		}
	}
}

func BenchmarkCCM(b *testing.B) {
	aead := newCCM(make([]byte, 16))
	nonce, aad, buf := make([]byte, 12), make([]byte, 5), make([]byte, 0, 20_000)
	for _, size := range []int{64, 256, 1 << 10, 1 << 14} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				out := aead.Seal(buf, nonce, buf[:size], aad)
				if _, err := aead.Open(out[:0], nonce, out, aad); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
