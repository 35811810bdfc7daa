//go:build go1.27

package pkitest

import (
	"crypto"
	"crypto/mldsa"
)

// PostQuantum are the kinds of keys that only TLS 1.3 has, from Go 1.27 on.
var PostQuantum = []string{"ML-DSA-44", "ML-DSA-65", "ML-DSA-87"}

func postQuantumKey(kind string) (crypto.Signer, error) {
	for _, p := range []mldsa.Parameters{mldsa.MLDSA44(), mldsa.MLDSA65(), mldsa.MLDSA87()} {
		if p.String() == kind {
			return mldsa.GenerateKey(p)
		}
	}
	return nil, nil
}
