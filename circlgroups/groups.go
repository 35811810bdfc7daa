package circlgroups

import (
	"crypto/ecdh"
	"crypto/tls"
	"errors"
	"io"

	"github.com/hermetic-tls/hermetic"
)

// The groups of ML-KEM alone, for which crypto/tls has no names.
const (
	// MLKEM768 is the group ML-KEM-768.
	MLKEM768 tls.CurveID = 0x0201
	// MLKEM1024 is the group ML-KEM-1024.
	MLKEM1024 tls.CurveID = 0x0202
)

var (
	errSize     = errors.New("it has the wrong size")
	errLowOrder = errors.New("it is a point of small order")
	errNoKey    = errors.New("the random source does not give a private key")
)

// All returns the implementations of all groups of this package, for
// [hermetic.Config].KeyExchanges.
func All() []hermetic.KeyExchange {
	p256 := nist(ecdh.P256(), 65)
	return []hermetic.KeyExchange{
		hybrid(tls.X25519MLKEM768, "X25519MLKEM768", x25519Curve, mlkem768KEM, true),
		hybrid(tls.SecP256r1MLKEM768, "SecP256r1MLKEM768", p256, mlkem768KEM, false),
		hybrid(tls.SecP384r1MLKEM1024, "SecP384r1MLKEM1024", nist(ecdh.P384(), 97), mlkem1024KEM, false),
		alone(tls.X25519, "X25519", x25519Curve),
		encapsulated(MLKEM768, "ML-KEM-768", mlkem768KEM),
		encapsulated(MLKEM1024, "ML-KEM-1024", mlkem1024KEM),
	}
}

// curve is (EC)DHE.
type curve struct {
	point, secret int // sizes
	// generate returns a public value, and what computes the secret from the peer's, which
	// has the right size.
	generate func(rand io.Reader) (public []byte, agree agreement, err error)
}

// kem is ML-KEM (FIPS 203). Its secrets have 32 bytes.
type kem struct {
	public, ciphertext int // sizes
	// generate returns a public key, and what decapsulates a ciphertext of the right size.
	generate func(rand io.Reader) (public []byte, decapsulate agreement, err error)
	// encapsulate fails if the public key, which has the right size, is not reduced.
	encapsulate func(rand io.Reader, public []byte) (ciphertext, secret []byte, err error)
}

const kemSecret = 32

// agreement computes the shared secret from the peer's part.
type agreement = func(peer []byte) (secret []byte, err error)

// alone is the group of a curve.
func alone(id tls.CurveID, name string, c curve) hermetic.KeyExchange {
	return hermetic.KeyExchange{
		Group: id, Name: name, ClientShareSize: c.point, ServerShareSize: c.point, SecretSize: c.secret,
		Generate: func(rand io.Reader) ([]byte, agreement, error) {
			public, agree, err := c.generate(rand)
			return public, sized(c.point, agree), err
		},
		Encapsulate: func(rand io.Reader, share []byte) ([]byte, []byte, error) {
			if len(share) != c.point {
				return nil, nil, errSize
			}
			public, agree, err := c.generate(rand)
			if err != nil {
				return nil, nil, err
			}
			secret, err := agree(share)
			return public, secret, err
		},
	}
}

// encapsulated is the group of a KEM.
func encapsulated(id tls.CurveID, name string, k kem) hermetic.KeyExchange {
	return hermetic.KeyExchange{
		Group: id, Name: name, ClientShareSize: k.public, ServerShareSize: k.ciphertext, SecretSize: kemSecret,
		Generate: func(rand io.Reader) ([]byte, agreement, error) {
			public, decapsulate, err := k.generate(rand)
			return public, sized(k.ciphertext, decapsulate), err
		},
		Encapsulate: func(rand io.Reader, share []byte) ([]byte, []byte, error) {
			if len(share) != k.public {
				return nil, nil, errSize
			}
			return k.encapsulate(rand, share)
		},
	}
}

// hybrid is the group of a curve and a KEM (draft-ietf-tls-ecdhe-mlkem). Its
// shares and secrets are those of both, one after the other.
func hybrid(id tls.CurveID, name string, c curve, k kem, kemFirst bool) hermetic.KeyExchange {
	join := func(kem, curve []byte) []byte {
		if kemFirst {
			return append(kem, curve...)
		}
		return append(curve, kem...)
	}
	split := func(b []byte) (kem, curve []byte) {
		if kemFirst {
			return b[:len(b)-c.point], b[len(b)-c.point:]
		}
		return b[c.point:], b[:c.point]
	}
	return hermetic.KeyExchange{
		Group: id, Name: name, ClientShareSize: c.point + k.public, ServerShareSize: c.point + k.ciphertext, SecretSize: c.secret + kemSecret,
		Generate: func(rand io.Reader) ([]byte, agreement, error) {
			point, agree, err := c.generate(rand)
			if err != nil {
				return nil, nil, err
			}
			public, decapsulate, err := k.generate(rand)
			if err != nil {
				return nil, nil, err
			}
			return join(public, point), sized(c.point+k.ciphertext, func(peer []byte) ([]byte, error) {
				ciphertext, point := split(peer)
				shared, err := agree(point)
				if err != nil {
					return nil, err
				}
				secret, err := decapsulate(ciphertext)
				return join(secret, shared), err
			}), nil
		},
		Encapsulate: func(rand io.Reader, share []byte) ([]byte, []byte, error) {
			if len(share) != c.point+k.public {
				return nil, nil, errSize
			}
			kemPart, peerPoint := split(share)
			point, agree, err := c.generate(rand)
			if err != nil {
				return nil, nil, err
			}
			shared, err := agree(peerPoint)
			if err != nil {
				return nil, nil, err
			}
			ciphertext, secret, err := k.encapsulate(rand, kemPart)
			if err != nil {
				return nil, nil, err
			}
			return join(ciphertext, point), join(secret, shared), nil
		},
	}
}

// sized refuses peers' parts of another size.
func sized(size int, agree agreement) agreement {
	return func(peer []byte) ([]byte, error) {
		if len(peer) != size {
			return nil, errSize
		}
		return agree(peer)
	}
}
