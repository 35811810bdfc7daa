package pki

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // of the names in responses, which it only identifies
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

const (
	// maxOCSP is the size of the largest OCSP response that is verified. Usual ones have
	// 0.5 to 3 KB.
	maxOCSP = 16 << 10
	// ocspSkew is how far the responder's clock may be ahead of ours.
	ocspSkew = 5 * time.Minute
)

var (
	errNoStaple    = alert.New(alert.BadCertificateStatusResponse, "the peer's certificate demands an OCSP response (RFC 7633), and none is stapled")
	errStapleWants = alert.New(alert.BadCertificateStatusResponse, "the peer has stapled no OCSP response")
)

// OCSP is what an OCSP response (RFC 6960) says about a certificate.
type OCSP struct {
	Response  *ocsp.Response
	Responder *x509.Certificate // the issuer's, or that of a responder that it has delegated to
}

// VerifyOCSP verifies an OCSP response about cert, which issuer has signed: RFC 6960, Section
// 3.2. The result is not nil if the response is authentic, whatever it says: a certificate
// that is not good is an error too. A policy counts for the signature on the response, and for the key
// and the certificate of a responder that is not the issuer.
func VerifyOCSP(response []byte, cert, issuer *x509.Certificate, now time.Time, keys *Keys) (*OCSP, error) {
	if len(response) > maxOCSP {
		return nil, badStaple(cert, fmt.Errorf("it has %d bytes, more than %d", len(response), maxOCSP))
	}
	if err := examine(response, cert, issuer); err != nil {
		return nil, badStaple(cert, err)
	}
	r, err := ocsp.ParseResponseForCert(response, cert, nil)
	if err != nil {
		return nil, badStaple(cert, err)
	}
	o := &OCSP{r, issuer}
	if r.Certificate != nil && !bytes.Equal(r.Certificate.Raw, issuer.Raw) {
		o.Responder = r.Certificate
		if err = delegated(r.Certificate, issuer, now); err == nil {
			err = keys.CheckChain([]*x509.Certificate{r.Certificate, issuer})
		}
	} else {
		err = r.CheckSignatureFrom(issuer)
	}
	if err == nil {
		err = keys.CheckSignature(r.SignatureAlgorithm)
	}
	if err != nil {
		return nil, badStaple(cert, err)
	}
	return o, o.judge(cert, now)
}

// badStaple is the failure of a response that is no proof of anything.
func badStaple(cert *x509.Certificate, err error) error {
	return alert.Wrap(alert.BadCertificateStatusResponse, "the OCSP response for "+name(cert)+" is not valid", err)
}

// delegated checks that the issuer has delegated to the responder: RFC 6960, Section 4.2.2.2.
func delegated(responder, issuer *x509.Certificate, now time.Time) error {
	switch {
	case !slices.Contains(responder.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("its responder is neither the issuer nor has a certificate for it (id-kp-OCSPSigning)")
	case !bytes.Equal(responder.RawIssuer, issuer.RawSubject):
		return errors.New("its responder's certificate is of another issuer")
	case now.Before(responder.NotBefore) || now.After(responder.NotAfter):
		return errors.New("its responder's certificate is not valid now")
	case checkUsage(responder) != nil:
		return errors.New("its responder's certificate may not be used for signatures (its key usage)")
	}
	return responder.CheckSignatureFrom(issuer)
}

// judge says whether the response proves now that the certificate is good.
func (o *OCSP) judge(cert *x509.Certificate, now time.Time) error {
	r := o.Response
	switch {
	case r.Status == ocsp.Revoked:
		return alert.New(alert.CertificateRevoked, fmt.Sprintf("the certificate of %s was revoked on %s", name(cert), r.RevokedAt.Format(time.DateOnly)))
	case r.ThisUpdate.After(now.Add(ocspSkew)):
		return badStaple(cert, fmt.Errorf("it is not valid before %s", r.ThisUpdate.Format(time.RFC3339)))
	case r.NextUpdate.IsZero():
		return badStaple(cert, errors.New("it does not say when it expires (nextUpdate)"))
	case now.After(r.NextUpdate):
		return badStaple(cert, fmt.Errorf("it expired on %s", r.NextUpdate.Format(time.RFC3339)))
	case r.Status == ocsp.Unknown:
		return badStaple(cert, errors.New("its responder does not know the certificate"))
	}
	return nil
}

// examine checks what package ocsp does not: that the response is for the certificate of that
// issuer, not for one of another with the same number, and once; and that the responder's key
// is not too large to verify with.
func examine(response []byte, cert, issuer *x509.Certificate) error {
	ids, responder, err := outline(response)
	if err != nil {
		return err
	}
	found := 0
	for _, id := range ids {
		if id.serial.Cmp(cert.SerialNumber) != 0 {
			continue
		}
		if found++; !id.names(issuer) {
			return errors.New("it is for a certificate of another issuer")
		}
	}
	switch {
	case found == 0:
		return errors.New("it is for another certificate")
	case found > 1:
		return errors.New("it has several answers for the certificate")
	case responder == nil:
		return nil
	}
	c, err := x509.ParseCertificate(responder)
	if err != nil {
		return fmt.Errorf("its responder's certificate does not parse: %w", err)
	}
	return checkSize(c.PublicKey)
}

// certID is a CertID of RFC 6960, Section 4.1.1.
type certID struct {
	hash      crypto.Hash
	name, key []byte // hashes of the issuer's
	serial    *big.Int
}

// certIDHashes are the hashes of CertIDs. That of RFC 5019 is SHA-1.
var certIDHashes = []struct {
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
}{
	{asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, crypto.SHA1},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, crypto.SHA256},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, crypto.SHA384},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, crypto.SHA512},
}

// names reports whether the issuer is that one.
func (id *certID) names(issuer *x509.Certificate) bool {
	var info, algorithm, key cryptobyte.String
	s := cryptobyte.String(issuer.RawSubjectPublicKeyInfo)
	var bits asn1.BitString
	if !s.ReadASN1(&info, tag.SEQUENCE) || !info.ReadASN1(&algorithm, tag.SEQUENCE) || !info.ReadASN1BitString(&bits) || id.hash == 0 {
		return false
	}
	key = bits.RightAlign()
	return bytes.Equal(id.name, digest(id.hash, issuer.RawSubject)) && bytes.Equal(id.key, digest(id.hash, key))
}

func digest(hash crypto.Hash, b []byte) []byte {
	h := hash.New()
	h.Write(b)
	return h.Sum(nil)
}

var errOutline = errors.New("it does not parse")

// outline returns the CertIDs of a successful response and the first certificate in it, or nil:
// RFC 6960, Section 4.2.1. Package ocsp parses it again, and all of it.
func outline(response []byte) (ids []certID, responder []byte, err error) {
	basic, err := basicResponse(response)
	if err != nil {
		return nil, nil, err
	}
	var data, certs, list, first cryptobyte.String
	var present bool
	if !basic.ReadASN1(&data, tag.SEQUENCE) || !basic.SkipASN1(tag.SEQUENCE) || !basic.SkipASN1(tag.BIT_STRING) ||
		!basic.ReadOptionalASN1(&certs, &present, tagZero) || !basic.Empty() {
		return nil, nil, errOutline
	}
	if present && (!certs.ReadASN1(&list, tag.SEQUENCE) || !certs.Empty() || !list.Empty() && !list.ReadASN1Element(&first, tag.SEQUENCE)) {
		return nil, nil, errOutline
	}
	ids, err = certIDs(data)
	return ids, first, err
}

const tagZero = tag.Tag(0xa0) // [0] EXPLICIT

// basicResponse returns the content of the BasicOCSPResponse in an OCSPResponse.
func basicResponse(response []byte) (basic cryptobyte.String, err error) {
	var outer, wrapped, octets cryptobyte.String
	var status int
	s := cryptobyte.String(response)
	if !s.ReadASN1(&outer, tag.SEQUENCE) || !s.Empty() || !outer.ReadASN1Enum(&status) {
		return nil, errOutline
	}
	if status != int(ocsp.Success) {
		return nil, fmt.Errorf("it is an error of the responder: %v", ocsp.ResponseStatus(status))
	}
	if !outer.ReadASN1(&wrapped, tagZero) || !outer.Empty() || !wrapped.ReadASN1(&octets, tag.SEQUENCE) || !wrapped.Empty() ||
		!octets.SkipASN1(tag.OBJECT_IDENTIFIER) || !octets.ReadASN1(&s, tag.OCTET_STRING) || !octets.Empty() {
		return nil, errOutline
	}
	if !s.ReadASN1(&basic, tag.SEQUENCE) || !s.Empty() {
		return nil, errOutline
	}
	return basic, nil
}

// certIDs returns those of a ResponseData.
func certIDs(data cryptobyte.String) (ids []certID, err error) {
	var list, responderID cryptobyte.String
	var choice tag.Tag
	if !data.SkipOptionalASN1(tagZero) || !data.ReadAnyASN1(&responderID, &choice) ||
		!data.SkipASN1(tag.GeneralizedTime) || !data.ReadASN1(&list, tag.SEQUENCE) {
		return nil, errOutline
	}
	for !list.Empty() {
		var single, cert, algorithm cryptobyte.String
		var oid asn1.ObjectIdentifier
		id := certID{serial: new(big.Int)}
		if !list.ReadASN1(&single, tag.SEQUENCE) || !single.ReadASN1(&cert, tag.SEQUENCE) ||
			!cert.ReadASN1(&algorithm, tag.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) ||
			!cert.ReadASN1Bytes(&id.name, tag.OCTET_STRING) || !cert.ReadASN1Bytes(&id.key, tag.OCTET_STRING) ||
			!cert.ReadASN1Integer(id.serial) || !cert.Empty() {
			return nil, errOutline
		}
		for _, h := range certIDHashes {
			if h.oid.Equal(oid) {
				id.hash = h.hash
			}
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Stapling is what is demanded of the OCSP responses of a chain.
type Stapling struct {
	MustStaple bool // certificates that ask for it have one (RFC 7633)
	Require    bool // the leaf has one
	Now        time.Time
	Keys       *Keys // what our policy permits
}

// Check verifies the OCSP responses that were stapled to certificates, the leaf's first, by one
// of the chains.
func (s *Stapling) Check(shown []*x509.Certificate, staples [][]byte, chains [][]*x509.Certificate) error {
	leaf := len(staples) > 0 && len(staples[0]) > 0
	var first error
	for _, chain := range chains {
		err := s.check(chain, shown, staples, leaf)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (s *Stapling) check(chain, shown []*x509.Certificate, staples [][]byte, leaf bool) error {
	switch {
	case len(chain) < 2:
		return nil // a root vouches for itself
	case !leaf && s.MustStaple && slices.ContainsFunc(chain[:len(chain)-1], mustStaple):
		return errNoStaple
	case !leaf && s.Require:
		return errStapleWants
	}
	for i, staple := range staples {
		at := slices.IndexFunc(chain[:len(chain)-1], func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, shown[i].Raw) })
		if len(staple) == 0 || at < 0 {
			continue
		}
		if _, err := VerifyOCSP(staple, chain[at], chain[at+1], s.Now, s.Keys); err != nil {
			return err
		}
	}
	return nil
}

// statusRequest is the number of the extension status_request, as a TLS feature.
const statusRequest = 5

// mustStaple reports whether a certificate demands status_request: RFC 7633, Section 4. Of an
// authority, it is for all that it has issued (Section 4.2.2).
func mustStaple(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if !e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}) {
			continue
		}
		var features cryptobyte.String
		s := cryptobyte.String(e.Value)
		if !s.ReadASN1(&features, tag.SEQUENCE) {
			return true // it asks for something that we cannot read
		}
		for !features.Empty() {
			var feature int
			if !features.ReadASN1Integer(&feature) || feature == statusRequest {
				return true
			}
		}
	}
	return false
}
