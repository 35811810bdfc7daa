package main

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"

	circl25519 "github.com/cloudflare/circl/dh/x25519"
	circl768 "github.com/cloudflare/circl/kem/mlkem/mlkem768"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// floor is the asymmetric cryptography of a handshake, on both sides: the key pairs and the shared
// secrets; a signature and its verification, twice for mutual authentication; and the verification
// of the leaf of a fresh chain. It parses, hashes and derives only what the primitives themselves do.
func (s settings) floor(t *trial) round {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{Kind: s.kind})
	exchange := []func(*trial){exchangeX25519}
	if s.circl {
		exchange[0] = circlX25519
	}
	if s.group == tls.X25519MLKEM768 {
		exchange = append(exchange, exchangeMLKEM)
		if s.circl {
			exchange[1] = circlMLKEM
		}
	}
	signatures := 1
	switch {
	case s.resumed:
		signatures = 0
	case s.mutual:
		signatures = 2
	}
	issuer := ca.Certificate.PublicKey.(*ecdsa.PublicKey)
	signed := sha256.Sum256(leaf.Leaf.RawTBSCertificate)
	return perOp(t, func() {
		for _, f := range exchange {
			f(t)
		}
		for range signatures {
			signAndVerify(t, leaf)
		}
		if s.fresh != nil && !ecdsa.VerifyASN1(issuer, signed[:], leaf.Leaf.Signature) {
			t.Fatal("the authority's signature is wrong")
		}
	})
}

func exchangeX25519(t *trial) {
	client, server := x25519Key(t), x25519Key(t)
	agree(t, client, server.PublicKey().Bytes())
	agree(t, server, client.PublicKey().Bytes())
}

func x25519Key(t *trial) *ecdh.PrivateKey {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func agree(t *trial, key *ecdh.PrivateKey, peer []byte) {
	public, err := ecdh.X25519().NewPublicKey(peer)
	if err == nil {
		_, err = key.ECDH(public)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func exchangeMLKEM(t *trial) {
	client, err := mlkem.GenerateKey768()
	if err != nil {
		t.Fatal(err)
	}
	server, err := mlkem.NewEncapsulationKey768(client.EncapsulationKey().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	_, ciphertext := server.Encapsulate()
	if _, err := client.Decapsulate(ciphertext); err != nil {
		t.Fatal(err)
	}
}

func circlX25519(t *trial) {
	var public, private [2]circl25519.Key
	for i := range private {
		rand.Read(private[i][:])
		circl25519.KeyGen(&public[i], &private[i])
	}
	for i := range private {
		var shared circl25519.Key
		if !circl25519.Shared(&shared, &private[i], &public[1-i]) {
			t.Fatal("a point of small order")
		}
	}
}

func circlMLKEM(t *trial) {
	client, private, err := circl768.GenerateKeyPair(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	share := make([]byte, circl768.PublicKeySize)
	client.Pack(share)
	var server circl768.PublicKey
	if err := server.Unpack(share); err != nil {
		t.Fatal(err)
	}
	var secret [circl768.SharedKeySize]byte
	var ciphertext [circl768.CiphertextSize]byte
	server.EncapsulateTo(ciphertext[:], secret[:], nil)
	private.DecapsulateTo(secret[:], ciphertext[:])
}

// signAndVerify signs as a CertificateVerify is signed, and verifies that.
func signAndVerify(t *trial, leaf tls.Certificate) {
	const size = 64 + 33 + 1 + sha256.Size // RFC 9846, Section 4.5.2
	var content [size]byte
	digest := sha256.Sum256(content[:])
	message, opts := digest[:], crypto.SignerOpts(crypto.SHA256)
	switch leaf.Leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	case ed25519.PublicKey:
		message, opts = content[:], crypto.Hash(0)
	}
	signature, err := leaf.PrivateKey.(crypto.Signer).Sign(rand.Reader, message, opts)
	if err != nil {
		t.Fatal(err)
	}
	var good bool
	switch key := leaf.Leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		good = ecdsa.VerifyASN1(key, message, signature)
	case *rsa.PublicKey:
		good = rsa.VerifyPSS(key, crypto.SHA256, message, signature, nil) == nil
	case ed25519.PublicKey:
		good = ed25519.Verify(key, message, signature)
	}
	if !good {
		t.Fatal("the signature is wrong")
	}
}
