package webrtctls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"time"
)

// A certificate is valid for 30 days, as those of browsers are, and from a day before, for
// clocks that differ.
const (
	validBefore = 24 * time.Hour
	validAfter  = 30 * 24 * time.Hour
)

// NewCertificate makes a self-signed certificate with a new ECDSA key on P-256, the kind that
// every WebRTC endpoint supports (RFC 8827, Section 6.5). Its serial number is random, and its
// name says nothing. It is valid for 30 days: peers trust it by its [Fingerprint] and ignore the
// dates. It identifies a user to peers, so make a new one for each user or call.
func NewCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	return selfSigned(key, time.Now())
}

func selfSigned(key *ecdsa.PrivateKey, now time.Time) (tls.Certificate, error) {
	template := &x509.Certificate{ // without a SerialNumber, crypto/x509 takes 20 random bytes
		Subject:               pkix.Name{CommonName: "WebRTC"},
		NotBefore:             now.Add(-validBefore),
		NotAfter:              now.Add(validAfter),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
