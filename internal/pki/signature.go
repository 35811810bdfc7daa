package pki

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// link is what the choice of a certificate needs to know about each certificate of our chain.
// crypto/x509 need not be able to parse it.
type link struct {
	issuer, subject []byte // distinguished names, in DER
	signature       pkix.AlgorithmIdentifier
}

// parseLink reads a certificate up to its subject (RFC 5280, Section 4.1). For anything else it
// returns an empty link, which has an unknown signature.
func parseLink(der []byte) (l link) {
	var cert, tbs, algorithm, issuer, validity, subject cryptobyte.String
	s := cryptobyte.String(der)
	if !s.ReadASN1(&cert, tag.SEQUENCE) || !cert.ReadASN1(&tbs, tag.SEQUENCE) ||
		!tbs.SkipOptionalASN1(tag.Tag(0).Constructed().ContextSpecific()) || !tbs.SkipASN1(tag.INTEGER) ||
		!tbs.ReadASN1Element(&algorithm, tag.SEQUENCE) || !tbs.ReadASN1Element(&issuer, tag.SEQUENCE) ||
		!tbs.ReadASN1(&validity, tag.SEQUENCE) || !tbs.ReadASN1Element(&subject, tag.SEQUENCE) {
		return link{}
	}
	if _, err := asn1.Unmarshal(algorithm, &l.signature); err != nil {
		return link{}
	}
	l.issuer, l.subject = issuer, subject
	return l
}

// The signature schemes of SHA-1 (RFC 9846, Section 4.3.3), and those that only
// certificates are signed with.
const (
	pkcs1SHA1    = 0x0201
	ecdsaSHA1    = 0x0203
	pssPSSSHA256 = 0x0809
	pssPSSSHA384 = 0x080a
	pssPSSSHA512 = 0x080b
	ed448        = 0x0808
)

// signatures are the algorithms that certificates are signed with, and the schemes
// that stand for them. RFC 5480 and RFC 4055 define the OIDs, RFC 8410 those of
// EdDSA, RFC 9881 those of ML-DSA.
var signatures = []struct {
	oid     asn1.ObjectIdentifier
	schemes []uint16
}{
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, []uint16{uint16(suite.ECDSAP256)}},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, []uint16{uint16(suite.ECDSAP384)}},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, []uint16{uint16(suite.ECDSAP521)}},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}, []uint16{ecdsaSHA1}},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, []uint16{pkcs1SHA1}},
	{asn1.ObjectIdentifier{1, 3, 14, 3, 2, 29}, []uint16{pkcs1SHA1}}, // an older OID of the same
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, []uint16{uint16(suite.PKCS1SHA256)}},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, []uint16{uint16(suite.PKCS1SHA384)}},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, []uint16{uint16(suite.PKCS1SHA512)}},
	{asn1.ObjectIdentifier{1, 3, 101, 112}, []uint16{uint16(suite.Ed25519)}},
	{asn1.ObjectIdentifier{1, 3, 101, 113}, []uint16{ed448}},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 17}, []uint16{uint16(suite.MLDSA44)}},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}, []uint16{uint16(suite.MLDSA65)}},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 19}, []uint16{uint16(suite.MLDSA87)}},
}

// algorithms are the schemes that stand for crypto/x509's algorithms. Go 1.27 adds those of ML-DSA.
var algorithms = map[x509.SignatureAlgorithm][]uint16{
	x509.SHA256WithRSA:    {uint16(suite.PKCS1SHA256)},
	x509.SHA384WithRSA:    {uint16(suite.PKCS1SHA384)},
	x509.SHA512WithRSA:    {uint16(suite.PKCS1SHA512)},
	x509.SHA256WithRSAPSS: {uint16(suite.PSSSHA256), pssPSSSHA256},
	x509.SHA384WithRSAPSS: {uint16(suite.PSSSHA384), pssPSSSHA384},
	x509.SHA512WithRSAPSS: {uint16(suite.PSSSHA512), pssPSSSHA512},
	x509.ECDSAWithSHA256:  {uint16(suite.ECDSAP256)},
	x509.ECDSAWithSHA384:  {uint16(suite.ECDSAP384)},
	x509.ECDSAWithSHA512:  {uint16(suite.ECDSAP521)},
	x509.PureEd25519:      {uint16(suite.Ed25519)},
}

var (
	oidPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	// The hashes of RSASSA-PSS in DER. Without one of them it is SHA-1.
	pssHashes = []struct {
		der     []byte
		schemes []uint16
	}{
		{[]byte{6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1}, []uint16{uint16(suite.PSSSHA256), pssPSSSHA256}},
		{[]byte{6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2}, []uint16{uint16(suite.PSSSHA384), pssPSSSHA384}},
		{[]byte{6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3}, []uint16{uint16(suite.PSSSHA512), pssPSSSHA512}},
	}
)

// schemes returns the signature schemes of the certificate's signature, or none if TLS has no
// number for its algorithm.
func (l *link) schemes() []uint16 {
	if l.signature.Algorithm.Equal(oidPSS) {
		for _, h := range pssHashes {
			if bytes.Contains(l.signature.Parameters.FullBytes, h.der) {
				return h.schemes
			}
		}
		return nil
	}
	for _, s := range signatures {
		if s.oid.Equal(l.signature.Algorithm) {
			return s.schemes
		}
	}
	return nil
}

// selfSigned: RFC 9846, Section 4.5.1.2: such a certificate "MAY be signed with
// any algorithm".
func (l *link) selfSigned() bool { return l.subject != nil && bytes.Equal(l.issuer, l.subject) }

// chainSignatures reports whether the peer has advertised the schemes of all signatures of the
// chain. It also reports whether one of them uses SHA-1 without being advertised: such a chain
// is not even a fallback (RFC 9846, Section 4.5.1.2). The signatures of self-signed certificates
// do not count, except SHA-1 on a leaf, which a peer that does not know it has to verify.
func (id *Identity) chainSignatures(advertised wire.Uint16s) (known, weak bool) {
	known = true
	for i, l := range id.links {
		schemes := l.schemes()
		if slices.ContainsFunc(schemes, advertised.Contains) {
			continue
		}
		sha1 := slices.Contains(schemes, pkcs1SHA1) || slices.Contains(schemes, ecdsaSHA1)
		weak = weak || sha1 && (i == 0 || !l.selfSigned())
		known = known && l.selfSigned()
	}
	return known, weak
}
