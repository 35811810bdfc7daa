package suite

import (
	"crypto"
	"crypto/hkdf"
	"crypto/hmac"
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
// state, which saves most of the allocations of a handshake.
type expander struct {
	mac    hash.Hash
	prefix Prefix
}

func newExpander(h crypto.Hash, p Prefix, secret []byte) expander {
	return expander{hmac.New(h.New, secret), p}
}

// label expands the secret. n is at most the size of the hash.
func (x expander) label(label string, context []byte, n int) []byte {
	var buf [128]byte
	info := append(hkdfLabel(buf[:0], x.prefix, label, context, n), 1)
	x.mac.Reset()
	x.mac.Write(info)
	return x.mac.Sum(nil)[:n:n]
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

func sum(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}
