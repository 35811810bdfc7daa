package suite

import (
	"crypto/mlkem"
	"io"
)

// kem is a parameter set of ML-KEM (FIPS 203).
type kem struct {
	public, ciphertext int // sizes
	newKey             func(seed []byte) (decapsulator, error)
	encapsulate        func(public []byte) (secret, ciphertext []byte, err error)
}

// generate makes a private key.
func (k *kem) generate(rand io.Reader) (decapsulator, error) {
	seed := make([]byte, mlkem.SeedSize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return nil, noKey(err)
	}
	dk, err := k.newKey(seed)
	if err != nil {
		return nil, noKey(err)
	}
	return dk, nil
}

// decapsulator is a private key. The interfaces of package crypto would be less code,
// but let the public keys, of 3 KB, escape to the heap.
type decapsulator interface {
	public() []byte
	Decapsulate(ciphertext []byte) ([]byte, error)
}

type key768 struct{ *mlkem.DecapsulationKey768 }

func (k key768) public() []byte { return k.EncapsulationKey().Bytes() }

type key1024 struct{ *mlkem.DecapsulationKey1024 }

func (k key1024) public() []byte { return k.EncapsulationKey().Bytes() }

var mlkem768 = &kem{
	public:     mlkem.EncapsulationKeySize768,
	ciphertext: mlkem.CiphertextSize768,
	newKey: func(seed []byte) (decapsulator, error) {
		k, err := mlkem.NewDecapsulationKey768(seed)
		return key768{k}, err
	},
	encapsulate: func(public []byte) ([]byte, []byte, error) {
		k, err := mlkem.NewEncapsulationKey768(public)
		if err != nil {
			return nil, nil, err
		}
		secret, ciphertext := k.Encapsulate()
		return secret, ciphertext, nil
	},
}

var mlkem1024 = &kem{
	public:     mlkem.EncapsulationKeySize1024,
	ciphertext: mlkem.CiphertextSize1024,
	newKey: func(seed []byte) (decapsulator, error) {
		k, err := mlkem.NewDecapsulationKey1024(seed)
		return key1024{k}, err
	},
	encapsulate: func(public []byte) ([]byte, []byte, error) {
		k, err := mlkem.NewEncapsulationKey1024(public)
		if err != nil {
			return nil, nil, err
		}
		secret, ciphertext := k.Encapsulate()
		return secret, ciphertext, nil
	},
}
