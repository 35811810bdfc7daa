package suite

import (
	"bytes"
	"crypto"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
)

// Prefix is what the labels of a key schedule begin with.
type Prefix string

const (
	TLS  Prefix = "tls13 " // RFC 9846, Section 7.1
	DTLS Prefix = "dtls13" // RFC 9147bis, Section 5.9
)

// expander is HKDF-Expand-Label (RFC 9846, Section 7.1) for one secret, and
// outputs of at most one hash, which nearly all are. Such an output is one
// HMAC: T(1) of RFC 5869, Section 2.3. Labels of one secret share its HMAC
// state, and the buffers stand here since they escape through hash.Hash: this
// saves most of the allocations of a handshake.
type expander struct {
	mac    hash.Hash
	hash   crypto.Hash
	prefix Prefix
	used   bool
	info   [128]byte
	out    [64]byte
}

func newExpander(h crypto.Hash, p Prefix, secret []byte) *expander {
	x := new(expander)
	x.init(h, p, secret)
	return x
}

func (x *expander) init(h crypto.Hash, p Prefix, secret []byte) {
	x.mac, x.hash, x.prefix = hmac.New(h.New, secret), h, p
}

// label expands the secret to n bytes, at most the size of the hash, which are
// valid until the next call.
func (x *expander) label(label string, context []byte, n int) []byte {
	if x.used {
		x.mac.Reset()
	}
	x.used = true
	x.mac.Write(append(hkdfLabel(x.info[:0], x.prefix, label, context, n), 1))
	return x.mac.Sum(x.out[:0])[:n]
}

// derive is Derive-Secret with a transcript hash.
func (x *expander) derive(label string, transcriptHash []byte) []byte {
	return bytes.Clone(x.label(label, transcriptHash, x.hash.Size()))
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

// extract is HKDF-Extract.
func extract(h crypto.Hash, secret, salt []byte) []byte {
	m := hmac.New(h.New, salt)
	m.Write(secret)
	return m.Sum(nil)
}

// emptySum is Hash("").
func emptySum(h crypto.Hash) []byte {
	switch h {
	case crypto.SHA256:
		return emptySHA256[:]
	case crypto.SHA384:
		return emptySHA384[:]
	}
	return sum(h, nil)
}

var (
	emptySHA256 = sha256.Sum256(nil)
	emptySHA384 = sha512.Sum384(nil)
)

func sum(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}
