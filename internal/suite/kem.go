package suite

import (
	"crypto"
	"crypto/mlkem"
)

// kem is a parameter set of ML-KEM (FIPS 203).
type kem struct {
	public, ciphertext int // sizes
	newKey             func(seed []byte) (crypto.Decapsulator, error)
	parse              func(public []byte) (crypto.Encapsulator, error)
}

var mlkem768 = &kem{
	public:     mlkem.EncapsulationKeySize768,
	ciphertext: mlkem.CiphertextSize768,
	newKey:     func(seed []byte) (crypto.Decapsulator, error) { return mlkem.NewDecapsulationKey768(seed) },
	parse:      func(public []byte) (crypto.Encapsulator, error) { return mlkem.NewEncapsulationKey768(public) },
}

var mlkem1024 = &kem{
	public:     mlkem.EncapsulationKeySize1024,
	ciphertext: mlkem.CiphertextSize1024,
	newKey:     func(seed []byte) (crypto.Decapsulator, error) { return mlkem.NewDecapsulationKey1024(seed) },
	parse:      func(public []byte) (crypto.Encapsulator, error) { return mlkem.NewEncapsulationKey1024(public) },
}
