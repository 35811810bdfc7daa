//go:build go1.27

package pki

import (
	"crypto"
	"crypto/mldsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/hermetic-tls/hermetic/internal/suite"
)

func init() {
	algorithms[x509.MLDSA44] = []uint16{uint16(suite.MLDSA44)}
	algorithms[x509.MLDSA65] = []uint16{uint16(suite.MLDSA65)}
	algorithms[x509.MLDSA87] = []uint16{uint16(suite.MLDSA87)}
}

var errNoSeed = errors.New("the ML-DSA key is only in its expanded form: its 32-byte seed is needed")

// parseMLDSA parses a PKCS #8 key of ML-DSA that has the seed and the expanded key, as OpenSSL
// writes it: RFC 9881, Section 6. crypto/x509 parses the seed alone. It returns nil for other
// keys.
func parseMLDSA(der []byte) (crypto.PrivateKey, error) {
	var outer, algorithm, private, both, seed cryptobyte.String
	var version int
	var oid asn1.ObjectIdentifier
	s := cryptobyte.String(der)
	if !s.ReadASN1(&outer, tag.SEQUENCE) || !outer.ReadASN1Integer(&version) || !outer.ReadASN1(&algorithm, tag.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&oid) || !outer.ReadASN1(&private, tag.OCTET_STRING) {
		return nil, nil
	}
	sets := map[string]mldsa.Parameters{"2.16.840.1.101.3.4.3.17": mldsa.MLDSA44(), "2.16.840.1.101.3.4.3.18": mldsa.MLDSA65(), "2.16.840.1.101.3.4.3.19": mldsa.MLDSA87()}
	parameters, ok := sets[oid.String()]
	switch {
	case !ok || private.PeekASN1Tag(tag.Tag(0).ContextSpecific()):
		return nil, nil
	case private.PeekASN1Tag(tag.OCTET_STRING):
		return nil, errNoSeed
	case !private.ReadASN1(&both, tag.SEQUENCE) || !private.Empty() || !both.ReadASN1(&seed, tag.OCTET_STRING) || !both.SkipASN1(tag.OCTET_STRING) || !both.Empty():
		return nil, errKeyForm
	}
	return mldsa.NewPrivateKey(parameters, seed)
}
