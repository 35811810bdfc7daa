package suite

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/version"
)

// Scheme is a SignatureScheme (RFC 9846, Section 4.3.3).
type Scheme uint16

const (
	PKCS1SHA256 Scheme = 0x0401
	PKCS1SHA384 Scheme = 0x0501
	PKCS1SHA512 Scheme = 0x0601
	ECDSAP256   Scheme = 0x0403
	ECDSAP384   Scheme = 0x0503
	ECDSAP521   Scheme = 0x0603
	PSSSHA256   Scheme = 0x0804
	PSSSHA384   Scheme = 0x0805
	PSSSHA512   Scheme = 0x0806
	Ed25519     Scheme = 0x0807
	MLDSA44     Scheme = 0x0904
	MLDSA65     Scheme = 0x0905
	MLDSA87     Scheme = 0x0906
)

// Schemes are all that are supported, the preferred first.
var Schemes = append(postQuantum(),
	ECDSAP256, PSSSHA256, Ed25519, ECDSAP384, PSSSHA384, ECDSAP521, PSSSHA512,
	PKCS1SHA256, PKCS1SHA384, PKCS1SHA512,
)

// postQuantum are the schemes of draft-ietf-tls-mldsa, if the standard library has them.
func postQuantum() []Scheme {
	if hasMLDSA {
		return []Scheme{MLDSA44, MLDSA65, MLDSA87}
	}
	return nil
}

// The context strings of RFC 9846, Section 4.5.2.
const (
	ServerContext = "TLS 1.3, server CertificateVerify"
	ClientContext = "TLS 1.3, client CertificateVerify"
)

var errVerify = alert.New(alert.DecryptError, "a signature of the peer is wrong")

type schemeRow struct {
	name string
	hash crypto.Hash
	// One of:
	curve elliptic.Curve // ECDSA: the curve that TLS 1.3 binds to the hash
	pss   bool
	pkcs1 bool
	eddsa bool
	mldsa bool // TLS 1.3 only
}

var schemes = map[Scheme]*schemeRow{
	PKCS1SHA256: {name: "rsa_pkcs1_sha256", hash: crypto.SHA256, pkcs1: true},
	PKCS1SHA384: {name: "rsa_pkcs1_sha384", hash: crypto.SHA384, pkcs1: true},
	PKCS1SHA512: {name: "rsa_pkcs1_sha512", hash: crypto.SHA512, pkcs1: true},
	ECDSAP256:   {name: "ecdsa_secp256r1_sha256", hash: crypto.SHA256, curve: elliptic.P256()},
	ECDSAP384:   {name: "ecdsa_secp384r1_sha384", hash: crypto.SHA384, curve: elliptic.P384()},
	ECDSAP521:   {name: "ecdsa_secp521r1_sha512", hash: crypto.SHA512, curve: elliptic.P521()},
	PSSSHA256:   {name: "rsa_pss_rsae_sha256", hash: crypto.SHA256, pss: true},
	PSSSHA384:   {name: "rsa_pss_rsae_sha384", hash: crypto.SHA384, pss: true},
	PSSSHA512:   {name: "rsa_pss_rsae_sha512", hash: crypto.SHA512, pss: true},
	Ed25519:     {name: "ed25519", eddsa: true},
	MLDSA44:     {name: "mldsa44", mldsa: true},
	MLDSA65:     {name: "mldsa65", mldsa: true},
	MLDSA87:     {name: "mldsa87", mldsa: true},
}

// String returns the RFC's name.
func (s Scheme) String() string {
	if r := schemes[s]; r != nil {
		return r.name
	}
	return fmt.Sprintf("signature scheme %#04x", uint16(s))
}

// MLDSAName returns the name of the algorithm of an ML-DSA key, such as "ML-DSA-44", or "" for
// other keys.
func MLDSAName(public crypto.PublicKey) string {
	s := MLDSA(public)
	if s == 0 {
		return ""
	}
	return "ML-DSA-" + strings.TrimPrefix(s.String(), "mldsa")
}

// Supported reports whether s is one of Schemes.
func (s Scheme) Supported() bool {
	r := schemes[s]
	return r != nil && (hasMLDSA || !r.mldsa)
}

// In reports whether TLS of that version has s, in handshakes or in certificates.
func (s Scheme) In(v uint16) bool { return v != version.TLS12 || !schemes[s].mldsa }

// Usable reports whether a handshake of version v may be signed with s by the
// key that public belongs to.
func (s Scheme) Usable(public crypto.PublicKey, v uint16) bool {
	r := schemes[s]
	if r == nil {
		return false
	}
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		// RFC 9846, Section 4.3.3: TLS 1.3 binds the curve to the hash.
		return r.curve != nil && (v == version.TLS12 || r.curve == key.Curve)
	case ed25519.PublicKey:
		return r.eddsa
	case *rsa.PublicKey:
		if key.N.BitLen() < 1024 {
			return false // crypto/rsa signs and verifies nothing with it
		}
		if r.pss {
			// RFC 8017, Section 9.1.1: the salt is as long as the hash.
			return key.Size() >= 2*r.hash.Size()+2
		}
		return r.pkcs1 && v == version.TLS12
	}
	// draft-ietf-tls-mldsa, Section 3.3: they "MUST NOT be used in TLS 1.2".
	return r.mldsa && v != version.TLS12 && s == MLDSA(public)
}

// For reports whether s is a scheme for the key in any version, of ECDSA the one that TLS 1.3
// has for the curve.
func (s Scheme) For(public crypto.PublicKey) bool {
	_, isRSA := public.(*rsa.PublicKey)
	return s.Usable(public, version.TLS13) || isRSA && s.Usable(public, version.TLS12)
}

// SchemesFor are the schemes that the key can sign with, in order of
// preference.
func SchemesFor(public crypto.PublicKey, v uint16) []Scheme {
	var list []Scheme
	for _, s := range Schemes {
		if s.Usable(public, v) {
			list = append(list, s)
		}
	}
	return list
}

// Sign signs message. rand is handed to the key.
func (s Scheme) Sign(rand io.Reader, key crypto.Signer, message []byte) ([]byte, error) {
	r := schemes[s]
	switch {
	case r.eddsa || r.mldsa:
		return key.Sign(rand, message, crypto.Hash(0))
	case r.pss:
		return key.Sign(rand, r.digest(message), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: r.hash})
	}
	return key.Sign(rand, r.digest(message), r.hash)
}

// Verify checks a signature over message. public must be Usable with s. A wrong
// signature is a decrypt_error.
func (s Scheme) Verify(public crypto.PublicKey, message, signature []byte) error {
	r := schemes[s]
	ok := r.mldsa && verifyMLDSA(public, message, signature)
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(key, r.digest(message), signature)
	case ed25519.PublicKey:
		ok = ed25519.Verify(key, message, signature)
	case *rsa.PublicKey:
		if r.pss {
			opts := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			ok = rsa.VerifyPSS(key, r.hash, r.digest(message), signature, &opts) == nil
		} else {
			ok = rsa.VerifyPKCS1v15(key, r.hash, r.digest(message), signature) == nil
		}
	}
	if !ok {
		return errVerify
	}
	return nil
}

func (r *schemeRow) digest(message []byte) []byte {
	h := r.hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// SignedMessage13 appends what a CertificateVerify of TLS 1.3 signs: RFC 9846,
// Section 4.5.2.
func SignedMessage13(b []byte, context string, transcriptHash []byte) []byte {
	b = slices.Grow(b, 64+len(context)+1+len(transcriptHash))
	for range 64 {
		b = append(b, ' ')
	}
	b = append(b, context...)
	b = append(b, 0)
	return append(b, transcriptHash...)
}
