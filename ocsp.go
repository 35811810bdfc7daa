package hermetic

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/pki"
)

// OCSPCheck is what a client demands of the OCSP responses that a server staples: see
// [Config.OCSPCheck]. A response is valid for a certificate if it has not expired, and was
// signed by the certificate's issuer or by a responder that the issuer has delegated to. A
// revoked certificate is
// refused with certificate_revoked, and a response that is not valid, or does not know the
// certificate, with bad_certificate_status_response. In TLS 1.3 the certificates of authorities
// may have a response too. Raw public keys have none.
type OCSPCheck uint8

const (
	// OCSPCheckNone verifies no response.
	OCSPCheckNone OCSPCheck = iota
	// OCSPCheckStapled verifies the responses that are stapled.
	OCSPCheckStapled
	// OCSPCheckMustStaple also demands a response for certificates that say so (RFC 7633).
	OCSPCheckMustStaple
	// OCSPCheckRequire demands a response for each server's certificate.
	OCSPCheckRequire
)

// String returns the constant's name without "OCSPCheck", such as "MustStaple".
func (c OCSPCheck) String() string {
	switch c {
	case OCSPCheckNone:
		return "None"
	case OCSPCheckStapled:
		return "Stapled"
	case OCSPCheckMustStaple:
		return "MustStaple"
	case OCSPCheckRequire:
		return "Require"
	}
	return fmt.Sprintf("OCSPCheck(%d)", uint8(c))
}

// OCSPStatus is what an OCSP response says about a certificate.
type OCSPStatus struct {
	// Status is "good", "revoked" or "unknown".
	Status string

	// ThisUpdate is when the response becomes valid.
	ThisUpdate time.Time

	// NextUpdate is when the response expires.
	NextUpdate time.Time

	// RevokedAt is when the certificate was revoked. It is zero for others.
	RevokedAt time.Time

	// RevocationReason is the CRLReason of a revoked certificate (RFC 5280, Section 5.3.1).
	RevocationReason int

	// Responder is the certificate of the key that has signed the response: the issuer's, or
	// that of a responder that the issuer has delegated to.
	Responder *x509.Certificate

	// SignatureAlgorithm is the algorithm of the response's signature: see
	// [Policy.CheckSignature].
	SignatureAlgorithm x509.SignatureAlgorithm
}

// VerifyOCSP verifies an OCSP response about the certificate at that time: RFC 6960, Section 3.2.
// It is for callbacks and [AsyncVerify], and does what [Config.OCSPCheck] does, except for
// [Config.Policy]: see [Policy.CheckChain]. The error is an *[AlertError]; a revoked certificate is
// an error too. The status is nil only if the response is not authentic.
func VerifyOCSP(response []byte, certificate, issuer *x509.Certificate, now time.Time) (*OCSPStatus, error) {
	o, err := pki.VerifyOCSP(response, certificate, issuer, now, nil)
	if o == nil {
		return nil, publicError(err)
	}
	status := map[int]string{ocsp.Good: "good", ocsp.Revoked: "revoked", ocsp.Unknown: "unknown"}
	r := o.Response
	return &OCSPStatus{
		Status: status[r.Status], ThisUpdate: r.ThisUpdate, NextUpdate: r.NextUpdate,
		RevokedAt: r.RevokedAt, RevocationReason: r.RevocationReason, Responder: o.Responder,
		SignatureAlgorithm: r.SignatureAlgorithm,
	}, publicError(err)
}

// publicError returns an error of the core in its public form.
func publicError(err error) error {
	var fault *alert.Error
	if errors.As(err, &fault) {
		return &AlertError{Alert: Alert(fault.Description), Cause: fault.Cause, err: fault.Err}
	}
	return err
}

// checkStaples verifies the OCSP responses of a server whose chains have been verified: its own,
// and those of the certificates after it.
func (e *Engine) checkStaples(p *handshake.Peer, staples [][]byte, chains [][]*x509.Certificate) error {
	check := e.plan.cfg.OCSPCheck
	if check == OCSPCheckNone || e.mode.IsServer() {
		return nil
	}
	s := pki.Stapling{MustStaple: check >= OCSPCheckMustStaple, Require: check == OCSPCheckRequire, Now: e.plan.cfg.now(), Keys: e.params().Keys}
	return s.Check(p.Chain.Certificates(), append([][]byte{p.OCSP()}, staples...), chains)
}
