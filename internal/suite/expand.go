package suite

import (
	"crypto"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
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
// The buffers are fields, since they escape through hash.Hash: this saves most of the
// allocations of a handshake.
type expander struct {
	mac    mac
	hash   crypto.Hash
	prefix Prefix
	loan   poison.Loan // the last result
	info   [128]byte
	out    [maxHash]byte
}

const maxHash = sha512.Size384

func newExpander(h crypto.Hash) *expander { return &expander{mac: newMAC(h), hash: h} }

// setKey is followed by any number of sums under the key.
func (x *expander) setKey(key []byte) { x.mac.setKey(key) }

// sum is the HMAC of b, which is valid until the next call. x.out may be b.
func (x *expander) sum(b []byte) []byte { return x.loan.Lend(x.mac.sum(x.out[:0], b)) }

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

// pools have the expanders of SHA-256 and SHA-384 that wait for their next key.
var pools [2]sync.Pool

func poolOf(h crypto.Hash) *sync.Pool {
	if h == crypto.SHA256 {
		return &pools[0]
	}
	return &pools[1]
}

// expand lends an expander under a key.
func expand(h crypto.Hash, p Prefix, key []byte) *expander {
	x, _ := poolOf(h).Get().(*expander)
	if x == nil {
		x = newExpander(h)
	}
	x.prefix = p
	x.setKey(key)
	return x
}

// done gives it back, and with it what it has returned. No secret waits there.
func (x *expander) done() {
	x.loan.End()
	x.mac.forget()
	clear(x.info[:])
	clear(x.out[:])
	poolOf(x.hash).Put(x)
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
