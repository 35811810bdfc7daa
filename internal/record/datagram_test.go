package record

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// testKeys are keys for s that only depend on s.
func testKeys(s *suite.Suite) suite.Keys {
	key := make([]byte, s.KeyLen)
	for i := range key {
		key[i] = byte(i + int(s.ID))
	}
	var m suite.Material
	copy(m.Keys[copy(m.Keys[:], key):], key)
	for i := range m.IV {
		m.IV[i] = byte(0xa0 + i)
	}
	k := s.RestingKeys(m)
	k.Wake()
	return k
}

// suites are those of a version.
func suites(version uint16) (out []*suite.Suite) {
	for _, s := range suite.All() {
		if s.Version == version {
			out = append(out, s)
		}
	}
	return out
}

// sample is data of n bytes that differ.
func sample(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func mustSeal(t testing.TB, e Sealer, typ ContentType, data []byte) []byte {
	t.Helper()
	rec, err := e.Seal(nil, typ, data)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// openClassic parses and opens a record that fills in.
func openClassic(e interface {
	Open(*Classic) (ContentType, []byte, error)
}, in []byte, cidLen int) (ContentType, []byte, error) {
	r, n, ok := ParseClassic(in, cidLen)
	if !ok || n != len(in) {
		return 0, nil, errors.New("does not parse")
	}
	typ, content, err := e.Open(&r)
	if in, ok := e.(*Reader12); ok && err == nil {
		in.Mark(r.Number.Sequence)
	}
	return typ, content, err
}

func openUnified(e *Reader13, in []byte, cidLen int) (Number, ContentType, []byte, error) {
	u, n, ok := ParseUnified(in, cidLen)
	if !ok || n != len(in) {
		return Number{}, 0, nil, errors.New("does not parse")
	}
	number, typ, content, err := e.Open(&u)
	if err == nil {
		e.Mark(number.Sequence)
	}
	return number, typ, content, err
}

func TestClassicRoundTrip(t *testing.T) {
	for _, s := range suites(wire.VersionTLS12) {
		for _, cid := range [][]byte{nil, {0x55}, sample(255)} {
			t.Run(fmt.Sprintf("%s, %d bytes of CID", s.Name, len(cid)), func(t *testing.T) {
				out, in := NewWriter12(1, testKeys(s), cid), NewReader12(1, testKeys(s), cid)
				for i, size := range []int{0, 1, 100, MaxPlaintext - 1} {
					data := sample(size)
					rec := mustSeal(t, out, ApplicationData, data)
					if len(rec) != size+out.Overhead() {
						t.Errorf("%d bytes become %d, want %d", size, len(rec), size+out.Overhead())
					}
					typ, content, err := openClassic(in, bytes.Clone(rec), len(cid))
					if err != nil || typ != ApplicationData || !bytes.Equal(content, data) {
						t.Fatalf("record %d: got type %d, %d bytes, error %v", i, typ, len(content), err)
					}
					if _, _, err := openClassic(in, rec, len(cid)); err != Replayed {
						t.Errorf("record %d again: got error %v, want dropped", i, err)
					}
				}
			})
		}
	}
}

// TestClassicBytes opens a record by the words of RFC 6347 and RFC 9146.
func TestClassicBytes(t *testing.T) {
	s := suite.ByID(0xc02b)
	k := testKeys(s)
	key := make([]byte, 16)
	for i := range key {
		key[i] = byte(i + 0x2b)
	}
	block, _ := aes.NewCipher(key)
	gcm, _ := cipher.NewGCM(block)
	for _, test := range []struct {
		name   string
		cid    string
		header string
		aad    string
		plain  string
	}{
		{
			"without a connection ID", "",
			"15 fefd 0001 000000000007 001a", // 8 + 2 + 16
			"0001 000000000007 15 fefd 0002",
			"0100",
		},
		{
			"with one", "c1d2",
			"19 fefd 0001 000000000007 c1d2 001b",
			"ffffffffffffffff 19 02 19 fefd 0001 000000000007 c1d2 0003",
			"0100 15",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := NewWriter12(1, k, unhex(test.cid))
			e.next = 7
			rec := mustSeal(t, e, Alert, []byte{1, 0})
			header := unhex(test.header)
			if !bytes.HasPrefix(rec, header) {
				t.Fatalf("got header %x, want %x", rec[:len(header)], header)
			}
			explicit := rec[len(header):][:8]
			if want := unhex("0001 000000000007"); !bytes.Equal(explicit, want) {
				t.Fatalf("got explicit nonce %x, want %x", explicit, want)
			}
			nonce := append(bytes.Clone(k.IV[:4]), explicit...)
			plain, err := gcm.Open(nil, nonce, rec[len(header)+8:], unhex(test.aad))
			if err != nil || !bytes.Equal(plain, unhex(test.plain)) {
				t.Errorf("got %x, error %v, want %s", plain, err, test.plain)
			}
		})
	}
}

// TestClassicChaCha: RFC 7905 adds epoch and sequence number to the IV.
func TestClassicChaCha(t *testing.T) {
	s := suite.ByID(0xcca9)
	k := testKeys(s)
	e := NewWriter12(1, k, nil)
	e.next = 5
	rec := mustSeal(t, e, ApplicationData, []byte("hello"))
	nonce := k.IV
	nonce[5] ^= 1 // epoch
	nonce[11] ^= 5
	plain, err := k.AEAD.Open(nil, nonce[:], rec[13:], unhex("0001 000000000005 17 fefd 0005"))
	if err != nil || string(plain) != "hello" {
		t.Errorf("got %q, error %v", plain, err)
	}
}

func TestClassicPadding(t *testing.T) {
	// RFC 9146, Section 4: zeros may follow the type.
	k := testKeys(suite.ByID(0xcca9))
	e := NewReader12(1, k, []byte{9})
	nonce := k.IV
	nonce[5] ^= 1
	for _, test := range []struct {
		name, plain string
		typ         ContentType
		content     string
		want        error
	}{
		{"none", "6869 17", ApplicationData, "hi", nil},
		{"some", "6869 17 000000", ApplicationData, "hi", nil},
		{"only", "0000", 0, "", errNoContent},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := *e
			plain := unhex(test.plain)
			head := unhex("19 fefd 0001 000000000000 09")
			aad := append(unhex("ffffffffffffffff 19 01 19 fefd 0001 000000000000 09"), 0, byte(len(plain)))
			rec := binary.BigEndian.AppendUint16(head, uint16(len(plain)+16))
			rec = k.AEAD.Seal(rec, nonce[:], plain, aad)
			typ, content, err := openClassic(&in, rec, 1)
			if err != test.want || typ != test.typ || string(content) != test.content {
				t.Errorf("got type %d, %q, error %v", typ, content, err)
			}
		})
	}
}

func TestParseClassic(t *testing.T) {
	for _, test := range []struct {
		name   string
		in     string
		cidLen int
		n      int // 0: does not parse
	}{
		{"empty", "", 0, 0},
		{"a header cut short", "16 fefd 0000 000000000000 00", 0, 0},
		{"no content", "16 fefd 0000 000000000000 0000", 0, 13},
		{"content", "16 fefd 0000 000000000000 0002 aabb cc", 0, 15},
		{"a length beyond the datagram", "16 fefd 0000 000000000000 0002 aa", 0, 0},
		{"another minor version", "16 fe01 0000 000000000000 0000", 0, 13},
		{"another major version", "16 0303 0000 000000000000 0000", 0, 0},
		{"a connection ID", "19 fefd 0001 000000000000 cc 0001 aa", 1, 15},
		{"a connection ID that nobody expects", "19 fefd 0001 000000000000 cc 0001 aa", 0, 0},
		{"a connection ID cut short", "19 fefd 0001 000000000000 cc", 4, 0},
		{"no connection ID where one is expected", "17 fefd 0001 000000000000 0001 aa", 4, 14},
		{"a length beyond the protocol's", "17 fefd 0001 000000000000 4801" + fmt.Sprintf("%0*x", 2*0x4801, 0), 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, n, ok := ParseClassic(unhex(test.in), test.cidLen)
			if ok != (test.n > 0) || n != test.n {
				t.Errorf("got %d, %v, want %d", n, ok, test.n)
			}
		})
	}
}

func TestClear(t *testing.T) {
	var out, in Clear
	first := mustSeal(t, &out, Handshake, []byte("hello"))
	if want := unhex("16 feff 0000 000000000000 0005"); !bytes.HasPrefix(first, want) {
		t.Errorf("got header %x, want %x", first[:13], want)
	}
	out.Version = wire.VersionDTLS12
	second := mustSeal(t, &out, Handshake, nil)
	if want := unhex("16 fefd 0000 000000000001 0000"); !bytes.Equal(second, want) {
		t.Errorf("got %x, want %x", second, want)
	}
	if _, content, err := openClassic(&in, first, 0); err != nil || string(content) != "hello" {
		t.Errorf("got %q, error %v", content, err)
	}
	if _, _, err := openClassic(&in, first, 0); err != nil {
		t.Errorf("a duplicate: got error %v: its messages have their own numbers", err)
	}
	// A forged number must not shut out those that follow.
	if _, _, err := openClassic(&in, unhex("16 fefd 0000 ffffffffffff 0000"), 0); err != nil {
		t.Error(err)
	}
	if _, _, err := openClassic(&in, second, 0); err != nil {
		t.Errorf("a record after a forged one: %v", err)
	}
	if _, _, err := openClassic(&in, unhex("16 fefd 0001 000000000009 0000"), 0); err != NoKeys {
		t.Errorf("another epoch: got error %v, want dropped", err)
	}
	if _, _, err := openClassic(&in, unhex("19 fefd 0000 000000000009 cc 0000"), 1); err != Malformed {
		t.Errorf("a connection ID unencrypted: got error %v, want dropped", err)
	}
}

func TestClassicDrops(t *testing.T) {
	k := testKeys(suite.ByID(0xc02b))
	cid := []byte{1, 2}
	for _, test := range []struct {
		name string
		cid  []byte // of the reader
		edit func([]byte) []byte
		want Drop
	}{
		{"a changed ciphertext", nil, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, Forged},
		{"a changed type", nil, func(b []byte) []byte { b[0] = byte(Alert); return b }, Forged},
		{"a changed epoch", nil, func(b []byte) []byte { b[4]++; return b }, NoKeys},
		{"a changed number", nil, func(b []byte) []byte { b[10]++; return b }, Forged},
		{"no room for the nonce", nil, func(b []byte) []byte { return append(b[:11], 0, 1, 0) }, Malformed},
		{"nothing at all", nil, func(b []byte) []byte { return append(b[:11], 0, 0) }, Malformed},
		{"no connection ID where one is expected", cid, func(b []byte) []byte { return b }, Foreign},
	} {
		t.Run(test.name, func(t *testing.T) {
			rec := test.edit(mustSeal(t, NewWriter12(1, k, nil), ApplicationData, sample(10)))
			in := NewReader12(1, k, test.cid)
			if _, _, err := openClassic(in, rec, len(test.cid)); err != test.want {
				t.Errorf("got %#v, want %#v", err, test.want)
			}
			if in.window.Next() != 0 {
				t.Error("the window has moved")
			}
		})
	}
	// The connection ID that was negotiated is what authenticates, not the one in the
	// header: these records are genuine but for that.
	for name, edit := range map[string]func([]byte) []byte{
		"another connection ID":      func(b []byte) []byte { b[12]++; return b },
		"the connection ID left out": func(b []byte) []byte { b[0] = byte(ApplicationData); return append(b[:11], b[13:]...) },
	} {
		t.Run(name, func(t *testing.T) {
			rec := edit(mustSeal(t, NewWriter12(1, k, cid), ApplicationData, sample(10)))
			if _, _, err := openClassic(NewReader12(1, k, cid), rec, 2); err != Foreign {
				t.Errorf("got error %v, want dropped", err)
			}
		})
	}
}

func TestClassicOverflow(t *testing.T) {
	k := testKeys(suite.ByID(0xc02b))
	for _, test := range []struct {
		name string
		size int
		want error
	}{
		{"the largest", MaxPlaintext, nil},
		{"one byte more", MaxPlaintext + 1, errOverflow},
	} {
		t.Run(test.name, func(t *testing.T) {
			rec := mustSeal(t, NewWriter12(1, k, nil), ApplicationData, sample(test.size))
			if _, _, err := openClassic(NewReader12(1, k, nil), rec, 0); err != test.want {
				t.Errorf("got error %v, want %v", err, test.want)
			}
		})
	}
}

func TestUnifiedRoundTrip(t *testing.T) {
	for _, s := range suites(wire.VersionTLS13) {
		for _, cid := range [][]byte{nil, {0x55}, sample(255)} {
			t.Run(fmt.Sprintf("%s, %d bytes of CID", s.Name, len(cid)), func(t *testing.T) {
				out, in := NewWriter13(2, testKeys(s), cid), NewReader13(2, testKeys(s))
				for i, size := range []int{0, 1, 6, 7, 8, 100, MaxPlaintext} {
					data := sample(size)
					rec := mustSeal(t, out, Handshake, data)
					if size > 6 && len(rec) != size+out.Overhead() {
						t.Errorf("%d bytes become %d, want %d", size, len(rec), size+out.Overhead())
					}
					again := bytes.Clone(rec)
					number, typ, content, err := openUnified(in, rec, len(cid))
					if err != nil || typ != Handshake || !bytes.Equal(content, data) || number != (Number{2, uint64(i)}) {
						t.Fatalf("record %d: got %v, type %d, %d bytes, error %v", i, number, typ, len(content), err)
					}
					if _, _, _, err := openUnified(in, again, len(cid)); err != Replayed {
						t.Errorf("record %d again: got error %v, want dropped", i, err)
					}
				}
			})
		}
	}
}

// TestUnifiedBytes opens records by the words of RFC 9147bis, Section 4.
func TestUnifiedBytes(t *testing.T) {
	k := testKeys(suite.ByID(0x1301))
	key := make([]byte, 16)
	for i := range key {
		key[i] = byte(i + 1)
	}
	block, _ := aes.NewCipher(key)
	gcm, _ := cipher.NewGCM(block)
	for _, test := range []struct {
		name   string
		epoch  uint64
		cid    string
		first  string // in front of the number
		number string // unencrypted
		last   string // after it
	}{
		{"with a connection ID", 3, "c1d2", "3f c1d2", "1234", "0016"},
		{"without", 2, "", "2e", "1234", "0016"},
		{"only two bits of the epoch", 0x10004, "", "2c", "1234", "0016"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := NewWriter13(test.epoch, k, unhex(test.cid))
			e.next = 0x51234
			rec := mustSeal(t, e, ApplicationData, []byte("hello"))
			aad := unhex(test.first + test.number + test.last)
			body := rec[len(aad):]
			var mask [16]byte
			block.Encrypt(mask[:], body)
			at := len(unhex(test.first))
			for i := range unhex(test.number) {
				rec[at+i] ^= mask[i]
			}
			if !bytes.HasPrefix(rec, aad) {
				t.Fatalf("got header %x, want %x", rec[:len(aad)], aad)
			}
			nonce := k.IV
			nonce[9] ^= 5
			nonce[10] ^= 0x12
			nonce[11] ^= 0x34
			plain, err := gcm.Open(nil, nonce[:], body, aad)
			if err != nil || string(plain) != "hello\x17" {
				t.Errorf("got %q, error %v", plain, err)
			}
		})
	}
}

func TestParseUnified(t *testing.T) {
	body := fmt.Sprintf("%032x", 0)
	for _, test := range []struct {
		name   string
		in     string
		cidLen int
		n      int // 0: does not parse
	}{
		{"only the first byte", "20", 0, 0},
		{"minimal", "20 00" + body, 0, 18},
		{"without content", "20 00", 0, 2},
		{"a number cut short", "28 00", 0, 0},
		{"a length cut short", "2c 0000 00", 0, 0},
		{"a length beyond the datagram", "2c 0000 0011" + body, 0, 0},
		{"a length, and a record after it", "2c 0000 0010" + body + "2c", 0, 21},
		{"a connection ID", "30 c1d2 00" + body, 2, 20},
		{"a connection ID that nobody expects", "30 c1d2 00" + body, 0, 0},
		{"a connection ID cut short", "30 c1", 2, 0},
		{"no connection ID where one is expected", "20 00" + body, 2, 18},
		{"a length beyond the protocol's", "20 00" + fmt.Sprintf("%0*x", 2*(MaxPlaintext+MaxOverhead13+1), 0), 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, n, ok := ParseUnified(unhex(test.in), test.cidLen)
			if ok != (test.n > 0) || n != test.n {
				t.Errorf("got %d, %v, want %d", n, ok, test.n)
			}
		})
	}
}

func TestReconstruct(t *testing.T) {
	for _, test := range []struct{ low, bits, expected, want uint64 }{
		{0, 8, 0, 0},
		{255, 8, 0, 255}, // below zero there is nothing
		{0, 8, 255, 256},
		{255, 8, 256, 255},
		{128, 8, 256, 384}, // as far as 128; either will do
		{129, 8, 256, 129},
		{127, 8, 256, 383},
		{0xffff, 16, 0x10000, 0xffff},
		{0, 16, 0xffff, 0x10000},
		{0x1234, 16, 0x51234, 0x51234},
		{0x1234, 16, 0x5fff0, 0x61234},
		{0xfff0, 16, 0x50000, 0x4fff0},
		{0xff, 8, MaxSequence + 1, MaxSequence},
	} {
		if got := reconstruct(test.low, test.bits, test.expected); got != test.want {
			t.Errorf("reconstruct(%#x, %d, %#x) is %#x, want %#x", test.low, test.bits, test.expected, got, test.want)
		}
	}
}

// TestUnifiedOrder opens records with short numbers that are reordered, lost
// and repeated, around where the short number wraps.
func TestUnifiedOrder(t *testing.T) {
	out := record13{key: sample(32), sn: sample(32), iv: sample(12), chacha: true, epoch: 3, short: true, typ: byte(ApplicationData), data: []byte{1}}
	in := NewReader13(3, out.keys(suite.ByID(0x1303)))
	var recs [][]byte
	for ; out.seq < 400; out.seq++ {
		recs = append(recs, out.bytes())
	}
	for i, n := range []uint64{0, 100, 50, 200, 255, 256, 254, 300, 257, 383, 256} {
		number, _, _, err := openUnified(in, bytes.Clone(recs[n]), 0)
		if i == 10 {
			if err != Replayed {
				t.Errorf("record %d again: got error %v, want dropped", n, err)
			}
		} else if err != nil || number.Sequence != n {
			t.Errorf("record %d: got %v, error %v", n, number, err)
		}
	}
}

// TestRest: keys that rest open what they would have opened.
func TestRest(t *testing.T) {
	for _, s := range suites(wire.VersionTLS13) {
		k := s.TrafficKeys(suite.DTLS, sample(s.Hash.Size()))
		out, in := NewWriter13(2, k, nil), NewReader13(2, k)
		in.Rest()
		for range 2 {
			if in.keys.AEAD != nil {
				t.Fatalf("%s: it does not rest", s.Name)
			}
			_, _, content, err := openUnified(in, mustSeal(t, out, ApplicationData, []byte("hello")), 0)
			if err != nil || string(content) != "hello" {
				t.Errorf("%s: got %q, error %v", s.Name, content, err)
			}
		}
	}
}

// TestCollected: keys that have lost their ciphers to the garbage collector make the same ones
// again, whether they are in use, at rest, or loosened while they are.
func TestCollected(t *testing.T) {
	for _, s := range suites(wire.VersionTLS13) {
		secret := sample(s.Hash.Size())
		for name, prepare := range map[string]func(in, out *suite.Keys){
			"held":           func(in, out *suite.Keys) {},
			"loose":          func(in, out *suite.Keys) { in.Loosen(); out.Loosen() },
			"at rest":        func(in, out *suite.Keys) { in.Rest() },
			"at rest, loose": func(in, out *suite.Keys) { in.Loosen(); in.Rest() },
			"awake again":    func(in, out *suite.Keys) { in.Rest(); in.Wake() },
		} {
			a, b := s.TrafficKeys(suite.DTLS, secret), s.TrafficKeys(suite.DTLS, secret)
			prepare(&a, &b)
			in, out := NewReader13(3, a), NewWriter13(3, b, nil)
			rests := in.Resting()
			for range 3 {
				rec := mustSeal(t, out, ApplicationData, []byte("hello"))
				forged := bytes.Clone(rec)
				forged[len(forged)-1]++
				if _, _, _, err := openUnified(in, forged, 0); err != Forged {
					t.Errorf("%s, %s: a forgery: %v", s.Name, name, err)
				}
				runtime.GC()
				_, _, content, err := openUnified(in, rec, 0)
				if err != nil || string(content) != "hello" || in.Resting() != rests {
					t.Errorf("%s, %s: %q, %v, at rest %v", s.Name, name, content, err, in.Resting())
				}
				runtime.GC()
			}
			if in.Rested().Material != out.keys.Material() {
				t.Errorf("%s, %s: another key", s.Name, name)
			}
		}
	}
}

func TestUnifiedDrops(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func([]byte) []byte
		want Drop
	}{
		{"a changed ciphertext", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, Forged},
		{"a changed number", func(b []byte) []byte { b[2] ^= 1; return b }, Forged},
		{"a changed length bit", func(b []byte) []byte { b[0] &^= lengthBit; return append(b[:3], b[5:]...) }, Forged},
		{"a ciphertext too short to sample", func(b []byte) []byte { return append(b[:3], append([]byte{0, 15}, b[5:20]...)...) }, Malformed},
		{"no ciphertext", func(b []byte) []byte { return append(b[:3], 0, 0) }, Malformed},
	} {
		for _, id := range []uint16{0x1301, 0x1305} {
			t.Run(fmt.Sprintf("%s, %#x", test.name, id), func(t *testing.T) {
				k := testKeys(suite.ByID(id))
				rec := test.edit(mustSeal(t, NewWriter13(2, k, nil), ApplicationData, sample(10)))
				in := NewReader13(2, k)
				if _, _, _, err := openUnified(in, rec, 0); err != test.want {
					t.Errorf("got %#v, want %#v", err, test.want)
				}
				if in.window.Next() != 0 {
					t.Error("the window has moved")
				}
			})
		}
	}
}

func TestUnifiedContent(t *testing.T) {
	k := testKeys(suite.ByID(0x1301))
	for _, test := range []struct {
		name  string
		plain []byte
		size  int
		want  error
	}{
		{"padding", append([]byte("hi\x17"), make([]byte, 100)...), 2, nil},
		{"only padding", make([]byte, 4), 0, errNoContent},
		{"the largest", append(bytes.Repeat([]byte{1}, MaxPlaintext), 23), MaxPlaintext, nil},
		{"one byte more", append(bytes.Repeat([]byte{1}, MaxPlaintext+1), 23), 0, errOverflow},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, e := NewWriter13(2, k, nil), NewReader13(2, k)
			rec := out.appendHeader(nil, len(test.plain)+16)
			e.setNonce(0)
			rec = k.AEAD.Seal(rec, e.nonce[:], test.plain, rec)
			e.mask(rec[1:3], rec[5:])
			_, _, content, err := openUnified(e, rec, 0)
			if err != test.want || len(content) != test.size {
				t.Errorf("got %d bytes, error %v, want %d, %v", len(content), err, test.size, test.want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	s := *suite.ByID(0x1305)
	s.SealLimit, s.IntegrityLimit = 8, 3
	k := testKeys(&s)
	t.Run("sealing", func(t *testing.T) {
		e := NewWriter13(3, k, nil)
		for i := range 10 {
			if e.Exhausted() != (i >= 8) {
				t.Errorf("after %d records: exhausted is %v", i, e.Exhausted())
			}
			mustSeal(t, e, ApplicationData, nil)
		}
		dst := []byte("kept")
		if got, err := e.Seal(dst, ApplicationData, nil); err != ErrSpent || string(got) != "kept" {
			t.Errorf("got %q, error %v, want %v", got, err, ErrSpent)
		}
	})
	t.Run("the last number of DTLS 1.2", func(t *testing.T) {
		e := NewWriter12(1, testKeys(suite.ByID(0xc02b)), nil)
		e.next = MaxSequence
		mustSeal(t, e, ApplicationData, nil)
		if _, err := e.Seal(nil, ApplicationData, nil); err != ErrSpent {
			t.Errorf("got error %v, want %v", err, ErrSpent)
		}
	})
	t.Run("forgeries", func(t *testing.T) {
		e := NewReader13(3, k)
		rec := mustSeal(t, NewWriter13(3, k, nil), ApplicationData, sample(10))
		for i := range 4 {
			forged := bytes.Clone(rec)
			forged[len(forged)-1] ^= byte(i + 1)
			_, _, _, err := openUnified(e, forged, 0)
			var fatal *alert.Error
			if want := i == 3; errors.As(err, &fatal) != want {
				t.Errorf("forgery %d: got error %v", i, err)
			}
		}
	})
}

// TestAllocations: a record costs none.
func TestAllocations(t *testing.T) {
	data, buf := sample(1000), make([]byte, 0, 2000)
	for _, s := range suite.All() {
		k := testKeys(s)
		var run func()
		if s.Version == wire.VersionTLS13 {
			out, in := NewWriter13(3, k, []byte{1}), NewReader13(3, k)
			run = func() {
				rec, err := out.Seal(buf, ApplicationData, data)
				u, _, ok := ParseUnified(rec, 1)
				if _, _, _, openErr := in.Open(&u); err != nil || !ok || openErr != nil {
					t.Fatal(err, ok, openErr)
				}
			}
		} else {
			out, in := NewWriter12(1, k, []byte{1}), NewReader12(1, k, []byte{1})
			run = func() {
				rec, err := out.Seal(buf, ApplicationData, data)
				r, _, ok := ParseClassic(rec, 1)
				if _, _, openErr := in.Open(&r); err != nil || !ok || openErr != nil {
					t.Fatal(err, ok, openErr)
				}
			}
		}
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations a record", s.Name, n)
		}
	}
}

// FuzzDatagramRecord: no input makes parsing or opening panic, and what parses
// lies within the input.
func FuzzDatagramRecord(f *testing.F) {
	k12, k13 := testKeys(suite.ByID(0xc02b)), testKeys(suite.ByID(0x1301))
	f.Add(mustSeal(f, NewWriter12(1, k12, nil), ApplicationData, sample(10)), uint8(0))
	f.Add(mustSeal(f, NewWriter12(1, k12, []byte{1, 2}), ApplicationData, sample(10)), uint8(2))
	f.Add(mustSeal(f, NewWriter13(2, k13, nil), ApplicationData, sample(10)), uint8(0))
	f.Add(mustSeal(f, NewWriter13(2, k13, []byte{1, 2}), ApplicationData, sample(10)), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, cidLen uint8) {
		if len(in) == 0 {
			return
		}
		if IsUnified(in[0]) {
			u, n, ok := ParseUnified(in, int(cidLen))
			if !ok {
				return
			}
			if n <= 0 || n > len(in) || len(u.header)+len(u.Body) != n {
				t.Fatalf("%d of %d bytes: header %d, body %d", n, len(in), len(u.header), len(u.Body))
			}
			NewReader13(2, k13).Open(&u)
			return
		}
		r, n, ok := ParseClassic(in, int(cidLen))
		if !ok {
			return
		}
		if n <= 0 || n > len(in) || ClassicHeaderLen+len(r.CID)+len(r.Body) != n {
			t.Fatalf("%d of %d bytes: CID %d, body %d", n, len(in), len(r.CID), len(r.Body))
		}
		NewReader12(1, k12, r.CID).Open(&r)
	})
}

func BenchmarkDatagram(b *testing.B) {
	data, buf := sample(1024), make([]byte, 0, 2000)
	for _, id := range []uint16{0x1301, 0x1303} {
		k := testKeys(suite.ByID(id))
		b.Run(k.Suite.Name, func(b *testing.B) {
			out, in := NewWriter13(3, k, nil), NewReader13(3, k)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				rec, _ := out.Seal(buf, ApplicationData, data)
				u, _, _ := ParseUnified(rec, 0)
				if _, _, _, err := in.Open(&u); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// unhex decodes hexadecimal digits and ignores spaces.
func unhex(s string) []byte {
	b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)))
	if err != nil {
		panic(err)
	}
	return b
}

// TestShortPlaintexts: RFC 9147bis, Section 4.2.3: "Senders MUST pad short plaintexts out
// … in order to make a suitable-length ciphertext", of which 16 bytes encrypt the number.
func TestShortPlaintexts(t *testing.T) {
	for _, id := range []uint16{0x1301, 0x1303, 0x1305} {
		for n := range 20 {
			k := testKeys(suite.ByID(id))
			w := NewWriter13(2, k, nil)
			rec := mustSeal(t, w, ApplicationData, sample(n))
			if got := len(rec) - 5; got < 16 {
				t.Errorf("%#x: %d bytes of data make %d bytes of ciphertext", id, n, got)
			}
			if _, _, content, err := openUnified(NewReader13(2, k), rec, 0); err != nil || len(content) != n {
				t.Errorf("%#x, %d bytes: got %d, error %v", id, n, len(content), err)
			}
		}
	}
}
