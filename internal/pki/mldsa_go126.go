//go:build !go1.27

package pki

import "crypto"

// parseMLDSA parses nothing: crypto/x509 has ML-DSA from Go 1.27 on.
func parseMLDSA([]byte) (crypto.PrivateKey, error) { return nil, nil }
