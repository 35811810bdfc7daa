package sim

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"sync"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// began is when each run begins.
var began = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// shared is what all runs have in common.
var shared = sync.OnceValue(newCertificates)

type certificates struct {
	roots *x509.CertPool
	leaf  tls.Certificate
}

// newCertificates makes the same ones in each process, with keys that are nobody's secret. They
// are Ed25519's, whose signatures depend on nothing but the message.
func newCertificates() certificates {
	key := func(seed byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), seed))
	}
	caKey, leafKey := key(1), key(2)
	ca := sign(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "simulation CA"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, caKey, caKey)
	leaf := sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, ca, leafKey, caKey)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	return certificates{roots, tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: leafKey}}
}

// sign makes a certificate; without a parent it is its own.
func sign(c, parent *x509.Certificate, key, signer ed25519.PrivateKey) *x509.Certificate {
	c.NotBefore, c.NotAfter = began.AddDate(-1, 0, 0), began.AddDate(10, 0, 0)
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(nil, c, parent, key.Public(), signer)
	if err != nil {
		panic(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return made
}

// fixedExchange is X25519MLKEM768 out of the run's randomness: crypto/mlkem encapsulates with the
// system's, so that no run would be like another.
var fixedExchange = hermetic.KeyExchange{
	Group: tls.X25519MLKEM768, Name: "X25519MLKEM768",
	ClientShareSize: mlkem.EncapsulationKeySize768 + 32, ServerShareSize: mlkem.CiphertextSize768 + 32, SecretSize: mlkem.SharedKeySize + 32,
	Generate: generate, Encapsulate: encapsulate,
}

func generate(random io.Reader) ([]byte, func([]byte) ([]byte, error), error) {
	seed := make([]byte, mlkem.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, nil, err
	}
	kem, err := mlkem.NewDecapsulationKey768(seed)
	if err != nil {
		return nil, nil, err
	}
	key, err := generateX25519(random)
	if err != nil {
		return nil, nil, err
	}
	share := append(kem.EncapsulationKey().Bytes(), key.PublicKey().Bytes()...)
	return share, func(server []byte) ([]byte, error) {
		secret, err := kem.Decapsulate(server[:mlkem.CiphertextSize768])
		if err != nil {
			return nil, err
		}
		return appendX25519(secret, key, server[mlkem.CiphertextSize768:])
	}, nil
}

func encapsulate(random io.Reader, client []byte) (share, secret []byte, err error) {
	kem, err := mlkem.NewEncapsulationKey768(client[:mlkem.EncapsulationKeySize768])
	if err != nil {
		return nil, nil, err
	}
	seed := make([]byte, 32)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, nil, err
	}
	secret, ciphertext, err := mlkemtest.Encapsulate768(kem, seed)
	if err != nil {
		return nil, nil, err
	}
	key, err := generateX25519(random)
	if err != nil {
		return nil, nil, err
	}
	secret, err = appendX25519(secret, key, client[mlkem.EncapsulationKeySize768:])
	return append(ciphertext, key.PublicKey().Bytes()...), secret, err
}

func generateX25519(random io.Reader) (*ecdh.PrivateKey, error) {
	seed := make([]byte, 32)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, err
	}
	return ecdh.X25519().NewPrivateKey(seed)
}

// appendX25519 appends the secret that key shares with a peer.
func appendX25519(secret []byte, key *ecdh.PrivateKey, peer []byte) ([]byte, error) {
	public, err := ecdh.X25519().NewPublicKey(peer)
	if err != nil {
		return nil, err
	}
	x, err := key.ECDH(public)
	return append(secret, x...), err
}
