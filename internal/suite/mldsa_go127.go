//go:build go1.27

package suite

import (
	"crypto"
	"crypto/mldsa"
)

// hasMLDSA says that the standard library has ML-DSA.
const hasMLDSA = true

// MLDSA returns the scheme of an ML-DSA key, the only one that it has, or 0 for other keys.
func MLDSA(public crypto.PublicKey) Scheme {
	key, ok := public.(*mldsa.PublicKey)
	if !ok {
		return 0
	}
	switch key.Parameters() {
	case mldsa.MLDSA44():
		return MLDSA44
	case mldsa.MLDSA65():
		return MLDSA65
	case mldsa.MLDSA87():
		return MLDSA87
	}
	return 0
}

// verifyMLDSA: the context of FIPS 204 is empty (draft-ietf-tls-mldsa, Section 3.2).
func verifyMLDSA(public crypto.PublicKey, message, signature []byte) bool {
	key, ok := public.(*mldsa.PublicKey)
	return ok && mldsa.Verify(key, message, signature, nil) == nil
}
