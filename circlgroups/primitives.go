package circlgroups

import (
	"crypto/ecdh"
	"io"

	"github.com/cloudflare/circl/dh/x25519"
	"github.com/cloudflare/circl/kem/mlkem/mlkem1024"
	"github.com/cloudflare/circl/kem/mlkem/mlkem768"
)

// x25519Curve is circl's X25519. It refuses points of small order, which would give a secret
// of zeros (RFC 9846, Section 7.4.2).
var x25519Curve = curve{
	point: x25519.Size, secret: x25519.Size,
	generate: func(rand io.Reader) ([]byte, agreement, error) {
		var public, private x25519.Key
		if _, err := io.ReadFull(rand, private[:]); err != nil {
			return nil, nil, err
		}
		x25519.KeyGen(&public, &private)
		return public[:], func(peer []byte) ([]byte, error) {
			var shared x25519.Key
			point := x25519.Key(peer)
			if !x25519.Shared(&shared, &private, &point) {
				return nil, errLowOrder
			}
			return shared[:], nil
		}, nil
	},
}

// nist is a curve of crypto/ecdh, for the hybrids.
func nist(c ecdh.Curve, point int) curve {
	size := point / 2
	return curve{
		point: point, secret: size,
		generate: func(rand io.Reader) ([]byte, agreement, error) {
			key, err := draw(c, rand, make([]byte, size))
			if err != nil {
				return nil, nil, err
			}
			return key.PublicKey().Bytes(), func(peer []byte) ([]byte, error) {
				public, err := c.NewPublicKey(peer)
				if err != nil {
					return nil, err
				}
				return key.ECDH(public)
			}, nil
		},
	}
}

// draw draws a private key from rand, which ecdh's own GenerateKey does not read. Numbers
// beyond the order of the group are drawn again.
func draw(c ecdh.Curve, rand io.Reader, b []byte) (*ecdh.PrivateKey, error) {
	for range 128 {
		if _, err := io.ReadFull(rand, b); err != nil {
			return nil, err
		}
		if key, err := c.NewPrivateKey(b); err == nil {
			return key, nil
		}
	}
	return nil, errNoKey
}

var mlkem768KEM = kem{
	public: mlkem768.PublicKeySize, ciphertext: mlkem768.CiphertextSize,
	generate: func(rand io.Reader) ([]byte, agreement, error) {
		pk, sk, err := mlkem768.GenerateKeyPair(rand)
		if err != nil {
			return nil, nil, err
		}
		public := make([]byte, mlkem768.PublicKeySize)
		pk.Pack(public)
		return public, func(ciphertext []byte) ([]byte, error) {
			secret := make([]byte, mlkem768.SharedKeySize)
			sk.DecapsulateTo(secret, ciphertext)
			return secret, nil
		}, nil
	},
	encapsulate: func(rand io.Reader, public []byte) (ciphertext, secret []byte, err error) {
		var pk mlkem768.PublicKey
		if err := pk.Unpack(public); err != nil {
			return nil, nil, err
		}
		seed := make([]byte, mlkem768.EncapsulationSeedSize)
		if _, err := io.ReadFull(rand, seed); err != nil {
			return nil, nil, err
		}
		ciphertext, secret = make([]byte, mlkem768.CiphertextSize), make([]byte, mlkem768.SharedKeySize)
		pk.EncapsulateTo(ciphertext, secret, seed)
		return ciphertext, secret, nil
	},
}

var mlkem1024KEM = kem{
	public: mlkem1024.PublicKeySize, ciphertext: mlkem1024.CiphertextSize,
	generate: func(rand io.Reader) ([]byte, agreement, error) {
		pk, sk, err := mlkem1024.GenerateKeyPair(rand)
		if err != nil {
			return nil, nil, err
		}
		public := make([]byte, mlkem1024.PublicKeySize)
		pk.Pack(public)
		return public, func(ciphertext []byte) ([]byte, error) {
			secret := make([]byte, mlkem1024.SharedKeySize)
			sk.DecapsulateTo(secret, ciphertext)
			return secret, nil
		}, nil
	},
	encapsulate: func(rand io.Reader, public []byte) (ciphertext, secret []byte, err error) {
		var pk mlkem1024.PublicKey
		if err := pk.Unpack(public); err != nil {
			return nil, nil, err
		}
		seed := make([]byte, mlkem1024.EncapsulationSeedSize)
		if _, err := io.ReadFull(rand, seed); err != nil {
			return nil, nil, err
		}
		ciphertext, secret = make([]byte, mlkem1024.CiphertextSize), make([]byte, mlkem1024.SharedKeySize)
		pk.EncapsulateTo(ciphertext, secret, seed)
		return ciphertext, secret, nil
	},
}
