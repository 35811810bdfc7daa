//go:build !go1.27

package pkitest

import "crypto"

// PostQuantum are the kinds of keys that only TLS 1.3 has, from Go 1.27 on.
var PostQuantum []string

func postQuantumKey(string) (crypto.Signer, error) { return nil, nil }
