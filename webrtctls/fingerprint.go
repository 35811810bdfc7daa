package webrtctls

import (
	"crypto"
	_ "crypto/sha256" // SHA-224 and SHA-256
	_ "crypto/sha512" // SHA-384 and SHA-512
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrHash is the error of a fingerprint whose hash function is unknown, or too weak to identify a
// certificate: MD2, MD5 and SHA-1.
var ErrHash = errors.New("the hash function is not one of sha-224, sha-256, sha-384 and sha-512")

// hashes are the hash functions by their names in SDP (RFC 8122, Section 5), the weakest first.
// RFC 8122, Section 5.1, forbids MD2 and MD5, and SHA-1 is broken too.
var hashes = []struct {
	name string
	hash crypto.Hash
}{
	{"sha-224", crypto.SHA224},
	{"sha-256", crypto.SHA256},
	{"sha-384", crypto.SHA384},
	{"sha-512", crypto.SHA512},
}

// A Fingerprint is the hash of a certificate, as the attribute "a=fingerprint" of SDP announces it
// (RFC 8122). The zero value fits no certificate.
type Fingerprint struct {
	name   string
	hash   crypto.Hash
	digest string
}

// NewFingerprint returns the fingerprint of a certificate. The hash function is SHA-224, SHA-256,
// SHA-384 or SHA-512; zero means SHA-256, which every endpoint supports. Another one is an
// [ErrHash].
func NewFingerprint(cert *x509.Certificate, hash crypto.Hash) (Fingerprint, error) {
	if cert == nil || len(cert.Raw) == 0 {
		return Fingerprint{}, errors.New("webrtctls: no certificate, or one that was not parsed")
	}
	if hash == 0 {
		hash = crypto.SHA256
	}
	for _, h := range hashes {
		if h.hash == hash {
			return Fingerprint{h.name, hash, sum(hash, cert.Raw)}, nil
		}
	}
	return Fingerprint{}, fmt.Errorf("webrtctls: %v: %w", hash, ErrHash)
}

func sum(hash crypto.Hash, data []byte) string {
	h := hash.New()
	h.Write(data)
	return string(h.Sum(nil))
}

// ParseFingerprint reads the value of "a=fingerprint", such as "sha-256 4A:AD:B9:…". Upper and
// lower case are the same. It is an [ErrHash] if the hash function cannot be used.
func ParseFingerprint(value string) (Fingerprint, error) {
	name, digits, ok := strings.Cut(strings.TrimSpace(value), " ")
	if !ok {
		return Fingerprint{}, fmt.Errorf("webrtctls: the fingerprint %.100q is not a hash function, a space and hexadecimal bytes", value)
	}
	for _, h := range hashes {
		if strings.EqualFold(h.name, name) {
			digest, err := parseBytes(digits, h.hash.Size())
			if err != nil {
				return Fingerprint{}, fmt.Errorf("webrtctls: the %s fingerprint %.200q: %w", h.name, digits, err)
			}
			return Fingerprint{h.name, h.hash, digest}, nil
		}
	}
	return Fingerprint{}, fmt.Errorf("webrtctls: a fingerprint with %.30q: %w", name, ErrHash)
}

// parseBytes reads n bytes in hexadecimal, with colons between them.
func parseBytes(s string, n int) (string, error) {
	if len(s) != 3*n-1 {
		return "", fmt.Errorf("it has %d characters, want %d", len(s), 3*n-1)
	}
	digest := make([]byte, n)
	for i := range n {
		at := 3 * i
		if _, err := hex.Decode(digest[i:i+1], []byte(s[at:at+2])); err != nil {
			return "", fmt.Errorf("%q is not a byte in hexadecimal", s[at:at+2])
		}
		if i < n-1 && s[at+2] != ':' {
			return "", fmt.Errorf("the bytes are separated by %q, want colons", s[at+2])
		}
	}
	return string(digest), nil
}

// ParseFingerprints reads the values of all "a=fingerprint" attributes that apply to a transport.
// It leaves out those whose hash function cannot be used, and fails if none remains, or if one is
// malformed.
func ParseFingerprints(values ...string) ([]Fingerprint, error) {
	var all []Fingerprint
	var unusable error
	for _, value := range values {
		f, err := ParseFingerprint(value)
		switch {
		case err == nil:
			all = append(all, f)
		case errors.Is(err, ErrHash):
			unusable = err
		default:
			return nil, err
		}
	}
	switch {
	case len(all) > 0:
		return all, nil
	case unusable != nil:
		return nil, unusable
	}
	return nil, errNoFingerprint
}

// String returns the value of "a=fingerprint": the name of the hash function, a space, and the
// bytes in upper case.
func (f Fingerprint) String() string {
	if f.name == "" {
		return ""
	}
	s := []byte(f.name)
	separator := byte(' ')
	for i := range len(f.digest) {
		s = fmt.Appendf(s, "%c%02X", separator, f.digest[i])
		separator = ':'
	}
	return string(s)
}

var (
	errNoFingerprint = errors.New("webrtctls: the peer has announced no fingerprint")
	errNoCertificate = errors.New("webrtctls: the peer has sent no certificate")
	errFingerprint   = errors.New("webrtctls: the peer's certificate does not have the fingerprint that was announced: somebody else may be on the path")
)

// VerifyFingerprint checks a peer's certificate against the fingerprints that its SDP announces.
// RFC 8122, Section 5.1: of several, those with the strongest hash function count, and one of
// them must be the certificate's. It compares in constant time.
func VerifyFingerprint(cert *x509.Certificate, announced []Fingerprint) error {
	if cert == nil || len(cert.Raw) == 0 {
		return errNoCertificate
	}
	strongest := Fingerprint{}
	for _, f := range announced {
		if len(f.digest) > len(strongest.digest) {
			strongest = f
		}
	}
	if strongest.name == "" {
		return errNoFingerprint
	}
	found := 0
	own := sum(strongest.hash, cert.Raw)
	for _, f := range announced {
		if f.hash == strongest.hash {
			found |= subtle.ConstantTimeCompare([]byte(own), []byte(f.digest))
		}
	}
	if found == 0 {
		return errFingerprint
	}
	return nil
}
