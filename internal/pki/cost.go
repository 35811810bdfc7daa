package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/bits"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
)

// The unit of cost is one verification with RSA-2048 and the exponent 65537,
// some 30 µs. A good chain costs from 2 units (RSA-2048) to 200 (P-521).
const (
	// DefaultMaxCost admits ten certificates of RSA-4096, or three authorities
	// and a leaf of P-521.
	DefaultMaxCost = 500
	// rootCost is the assumed cost of a verification with a root's key, about that of
	// RSA-4096: a pool does not tell which keys it has.
	rootCost = 10
	// costlyBytes is the number of bytes of certificates whose parsing costs one unit,
	// in the worst case.
	costlyBytes = 256
)

// tooExpensive is the cause of a Certificate message beyond the limit.
func tooExpensive(limit int) error {
	return alert.New(alert.BadCertificate, fmt.Sprintf("the peer's certificates cost too much to verify: MaxCertificateCost is %d", limit))
}

// parseCost is the cost of parsing. In the worst case, a list of extended key usages or of
// mail addresses, 64 KiB take 10 ms.
func parseCost(der [][]byte) int {
	size := 0
	for _, d := range der {
		size += len(d)
	}
	return len(der) + size/costlyBytes
}

// verifyCost is what one verification with the key costs. It was measured with
// Go 1.26, amd64.
func verifyCost(public crypto.PublicKey) int {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return rsaCost(key)
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return 3
		case elliptic.P224():
			return 7
		case elliptic.P384():
			return 20
		}
		return 100
	case ed25519.PublicKey:
		return 2
	}
	switch suite.MLDSA(public) {
	case suite.MLDSA44: // with Go 1.27
		return 5
	case suite.MLDSA65:
		return 7
	case suite.MLDSA87:
		return 14
	}
	return 1 // crypto/x509 verifies nothing with other keys
}

// rsaCost grows with the square of the modulus, and with the number of multiplications for
// the exponent: 17 for 65537, 60 for 2^31-1. Preparing the modulus takes ten more. The
// standard library has assembly for up to 2048 bits.
func rsaCost(key *rsa.PublicKey) int {
	e := uint64(key.E)
	steps := 10 + bits.Len64(e) + bits.OnesCount64(e) - 2
	size := key.N.BitLen()
	if size <= 2048 {
		return 1 + steps/28
	}
	size = (size + 255) / 256
	return 1 + steps*size*size*5/(27*64*2)
}

// affordable reports whether the peer's certificates cost no more than limit, before any of
// their signatures is verified. They cost one check with the leaf's key, and what crypto/x509
// would verify if every signature were good. crypto/x509 has its own limit, 100 checks,
// but one check with RSA-8192 costs as much as 41 with RSA-2048.
func affordable(certs []*x509.Certificate, limit int) bool {
	s := &search{intermediates: certs[1:], used: make([]bool, len(certs)-1)}
	s.left = limit - verifyCost(certs[0].PublicKey)
	s.climb(certs[0])
	return s.left >= 0
}

// search walks the paths that crypto/x509 would try, from a leaf up.
type search struct {
	intermediates []*x509.Certificate
	used          []bool // those on the current path
	left          int    // of the limit; negative ends the search
}

func (s *search) climb(child *x509.Certificate) {
	s.left -= rootCost
	for i, parent := range s.intermediates {
		if s.left < 0 {
			return
		}
		if s.used[i] || !bytes.Equal(parent.RawSubject, child.RawIssuer) {
			continue
		}
		if !mayIssue(parent) {
			s.left--
			continue
		}
		s.left -= verifyCost(parent.PublicKey)
		s.used[i] = true
		s.climb(parent)
		s.used[i] = false
	}
}

// mayIssue reports whether crypto/x509 verifies signatures of this certificate
// at all.
func mayIssue(c *x509.Certificate) bool {
	return c.BasicConstraintsValid && c.IsCA && (c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCertSign != 0) || !c.BasicConstraintsValid && c.Version != 3
}
