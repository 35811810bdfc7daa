//go:build !go1.27

package suite

import "crypto"

// hasMLDSA says that the standard library has ML-DSA, which it has from Go 1.27 on.
const hasMLDSA = false

// MLDSA returns the scheme of an ML-DSA key, the only one that it has, or 0 for other keys.
func MLDSA(crypto.PublicKey) Scheme { return 0 }

func verifyMLDSA(crypto.PublicKey, []byte, []byte) bool { return false }
