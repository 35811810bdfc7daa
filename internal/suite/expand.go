package suite

import (
	"crypto"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"sync"

	"github.com/hermetic-tls/hermetic/internal/poison"
)

// Prefix is what the labels of a key schedule begin with.
type Prefix string

const (
	TLS  Prefix = "tls13 " // RFC 9846, Section 7.1
	DTLS Prefix = "dtls13" // RFC 9147bis, Section 5.9
)

// expander is HKDF (RFC 5869) for one key after another: HKDF-Extract, and
// HKDF-Expand-Label (RFC 9846, Section 7.1) for outputs of at most one hash,
// which nearly all are: such an output is one HMAC, T(1) of Section 2.3.
//
// A handshake has thirty such keys. The two states of the hash that crypto/hmac
// needs for each are ours and serve all of them, and the buffers stand here since
// they escape through hash.Hash: this saves most of the allocations of a
// handshake.
type expander struct {
	mac    hash.Hash // under the current key
	hash   crypto.Hash
	prefix Prefix
	used   bool
	states [2]hash.Hash
	next   int
	give   func() hash.Hash // x.state as a func value, stored to avoid an allocation per key
	loan   poison.Loan      // the last result
	info   [128]byte
	out    [maxHash]byte
}

const maxHash = sha512.Size384

func newExpander(h crypto.Hash) *expander {
	x := &expander{hash: h}
	for i := range x.states {
		x.states[i] = newState(h)
	}
	x.give = x.state
	return x
}

// newState hides from crypto/hmac that hashes can be saved and restored. It would
// do so at each Reset: twice an allocation, to save hashing 64 bytes again. In
// FIPS 140-3 mode it wants to see a hash that it knows.
func newState(h crypto.Hash) hash.Hash {
	if fips140.Enabled() {
		return h.New()
	}
	return struct{ hash.Hash }{h.New()}
}

func (x *expander) state() hash.Hash {
	s := x.states[x.next]
	x.next ^= 1
	s.Reset()
	return s
}

// setKey is followed by any number of sums under the key.
func (x *expander) setKey(key []byte) { x.mac, x.used = hmac.New(x.give, key), false }

// sum is the HMAC of b, which is valid until the next call. x.out may be b.
func (x *expander) sum(b []byte) []byte {
	if x.used {
		x.mac.Reset()
	}
	x.used = true
	x.mac.Write(b)
	return x.loan.Lend(x.mac.Sum(x.out[:0]))
}

// label expands the key to n bytes, at most the size of the hash, which are
// valid until the next call.
func (x *expander) label(label string, context []byte, n int) []byte {
	return x.sum(append(hkdfLabel(x.info[:0], x.prefix, label, context, n), 1))[:n]
}

// secret is a label of the size of the hash: Derive-Secret, with a transcript
// hash.
func (x *expander) secret(label string, transcriptHash []byte) []byte {
	return x.label(label, transcriptHash, x.hash.Size())
}

// pool has expanders of a hash that are not in use.
type pool struct {
	idle sync.Pool // they wait for their next key
	zero sync.Pool // their key is the salt of zeros that each handshake with a PSK begins with
}

var pools [2]pool // SHA-256's and SHA-384's

func poolOf(h crypto.Hash) *pool {
	if h == crypto.SHA256 {
		return &pools[0]
	}
	return &pools[1]
}

// expand lends an expander under a key.
func expand(h crypto.Hash, p Prefix, key []byte) *expander {
	x, _ := poolOf(h).idle.Get().(*expander)
	if x == nil {
		x = newExpander(h)
	}
	x.prefix = p
	x.setKey(key)
	return x
}

// expandZero lends one under what HKDF-Extract makes of ikm with a salt of zeros.
func expandZero(h crypto.Hash, p Prefix, ikm []byte) *expander {
	zero, _ := poolOf(h).zero.Get().(*expander)
	if zero == nil {
		zero = newExpander(h)
		zero.setKey(zeros[:h.Size()])
	}
	defer poolOf(h).zero.Put(zero)
	return expand(h, p, zero.sum(ikm))
}

// done gives it back, and with it what it has returned.
func (x *expander) done() {
	x.loan.End()
	x.mac = nil
	poolOf(x.hash).idle.Put(x)
}

// hkdfLabel appends the HkdfLabel of RFC 9846, Section 7.1.
func hkdfLabel(b []byte, p Prefix, label string, context []byte, n int) []byte {
	b = append(b, byte(n>>8), byte(n), byte(len(p)+len(label)))
	b = append(append(b, p...), label...)
	b = append(b, byte(len(context)))
	return append(b, context...)
}

// expandLabel is HKDF-Expand-Label of any size.
func expandLabel(h crypto.Hash, p Prefix, secret []byte, label string, context []byte, n int) []byte {
	out, err := hkdf.Expand(h.New, secret, string(hkdfLabel(nil, p, label, context, n)), n)
	if err != nil {
		panic(err) // the caller bounds n
	}
	return out
}

// emptySum is Hash("").
func emptySum(h crypto.Hash) []byte {
	if h == crypto.SHA256 {
		return emptySHA256[:]
	}
	return emptySHA384[:]
}

var (
	emptySHA256 = sha256.Sum256(nil)
	emptySHA384 = sha512.Sum384(nil)
	zeros       [maxHash]byte
)

func sum(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}
