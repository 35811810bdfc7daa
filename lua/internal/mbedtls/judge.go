package mbedtls

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// VerifyChain verifies a chain of certificates in PEM, the leaf first, by authorities in PEM, for
// any purpose and name: ssl.verifychain(chain, authorities).
func VerifyChain(chain, authorities []byte) error {
	certs, err := parseChain(chain)
	if err != nil {
		return fmt.Errorf("the chain: %w", err)
	}
	trusted, err := parseChain(authorities)
	if err != nil {
		return fmt.Errorf("the authorities: %w", err)
	}
	roots := x509.NewCertPool()
	for _, c := range trusted {
		roots.AddCert(c)
	}
	_, err = verifyChain(certs, x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// parseChain parses the certificates of a text in PEM.
func parseChain(text []byte) (chain []*x509.Certificate, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	if chain == nil {
		return nil, errors.New("no CERTIFICATE block")
	}
	return chain, nil
}

// verifyChain verifies the first certificate; the others may be its intermediates.
func verifyChain(certs []*x509.Certificate, options x509.VerifyOptions) ([][]*x509.Certificate, error) {
	options.Intermediates = x509.NewCertPool()
	for _, c := range certs[1:] {
		options.Intermediates.AddCert(c)
	}
	return certs[0].Verify(options)
}

// judge is what is required of the peer's chain beyond the engine's verification, or in its place.
type judge struct {
	own     bool // the engine verifies nothing
	roots   *x509.CertPool
	usages  []x509.ExtKeyUsage
	now     func() time.Time
	depth   int   // below 0: any
	revoked *crls // nil: none
	policy  *hermetic.Policy
}

// verify is a VerifyPeerCertificate.
func (j *judge) verify(raw [][]byte, chains [][]*x509.Certificate) (err error) {
	if j.own && len(raw) > 0 {
		if chains, err = j.chains(raw); err != nil {
			return err
		}
		if chains, err = j.permitted(chains); err != nil {
			return err
		}
	}
	if len(chains) == 0 {
		return nil // nothing is verified
	}
	if chains = j.short(chains); len(chains) == 0 {
		return &hermetic.AlertError{Alert: hermetic.AlertUnknownCA,
			Cause: fmt.Sprintf("the peer's certificate chain is too long: option 'depth' allows %d authorities below the root", j.depth)}
	}
	if j.revoked != nil {
		return j.revoked.verify(raw, chains)
	}
	return nil
}

func (j *judge) chains(raw [][]byte) ([][]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for _, der := range raw {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, &hermetic.AlertError{Alert: hermetic.AlertBadCertificate, Cause: "the peer's certificate does not parse: " + err.Error()}
		}
		certs = append(certs, c)
	}
	chains, err := verifyChain(certs, x509.VerifyOptions{Roots: j.roots, KeyUsages: j.usages, CurrentTime: j.now()})
	if err != nil {
		return nil, &hermetic.AlertError{Alert: alertFor(err), Cause: "the peer's certificate does not verify: " + err.Error()}
	}
	return chains, nil
}

// permitted leaves the chains that the policy permits: the engine knows only those that it has
// verified.
func (j *judge) permitted(chains [][]*x509.Certificate) (kept [][]*x509.Certificate, err error) {
	for _, chain := range chains {
		fault := j.policy.CheckChain(chain)
		if fault == nil {
			kept = append(kept, chain)
		} else if err == nil {
			err = &hermetic.AlertError{Alert: hermetic.AlertBadCertificate, Cause: "the peer's certificates do not satisfy our policy: " + fault.Error()}
		}
	}
	if len(kept) > 0 {
		return kept, nil
	}
	return nil, err
}

// short leaves the chains that are not too deep.
func (j *judge) short(chains [][]*x509.Certificate) (kept [][]*x509.Certificate) {
	for _, chain := range chains {
		if j.depth < 0 || len(chain) <= j.depth+2 {
			kept = append(kept, chain)
		}
	}
	return kept
}

// alertFor is the alert for a chain that does not verify (RFC 9846, Section 6.2).
func alertFor(err error) hermetic.Alert {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return hermetic.AlertUnknownCA
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return hermetic.AlertCertificateExpired
	}
	return hermetic.AlertBadCertificate
}

// crls are certificate revocation lists (RFC 5280, Section 5).
type crls struct {
	lists  []*x509.RevocationList
	now    func() time.Time
	policy *hermetic.Policy
}

// newCRL parses a list. A critical extension would make it one that does not cover all
// certificates of its issuer.
func newCRL(der []byte) (*x509.RevocationList, error) {
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	for _, e := range l.Extensions {
		if e.Critical {
			return nil, fmt.Errorf("the critical extension %s is not supported: delta and partial lists are not", e.Id)
		}
	}
	return l, nil
}

// verify is a VerifyPeerCertificate: one of the chains must have no revoked certificate. The
// leaf's issuer must have a current list; other authorities may have one.
func (l *crls) verify(_ [][]byte, chains [][]*x509.Certificate) (err error) {
	for _, chain := range chains {
		if err = l.check(chain); err == nil {
			return nil
		}
	}
	return err
}

func (l *crls) check(chain []*x509.Certificate) error {
	for i, c := range chain[:max(0, len(chain)-1)] {
		current, err := l.of(chain[i+1])
		switch {
		case err != nil:
			return err
		case current == nil && i == 0:
			return revocation(hermetic.AlertCertificateUnknown, "no CRL of %q was given", chain[i+1].Subject)
		case current == nil:
			continue
		}
		for _, entry := range current.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(c.SerialNumber) == 0 && entry.ReasonCode != removeFromCRL {
				return revocation(hermetic.AlertCertificateRevoked, "the certificate of %q is revoked", c.Subject)
			}
		}
	}
	return nil
}

// removeFromCRL is the reason of an entry that ends a certificate's suspension (RFC 5280, Section
// 5.3.1).
const removeFromCRL = 8

// of returns the newest list that an issuer has signed, or nil. It must not have expired.
func (l *crls) of(issuer *x509.Certificate) (newest *x509.RevocationList, err error) {
	for _, r := range l.lists {
		if string(r.RawIssuer) == string(issuer.RawSubject) && r.CheckSignatureFrom(issuer) == nil &&
			(newest == nil || r.ThisUpdate.After(newest.ThisUpdate)) {
			newest = r
		}
	}
	if newest != nil {
		if err := l.policy.CheckSignature(newest.SignatureAlgorithm); err != nil {
			return nil, &hermetic.AlertError{Alert: hermetic.AlertCertificateUnknown,
				Cause: fmt.Sprintf("the CRL of %q does not satisfy our policy: %v", issuer.Subject.String(), err)}
		}
	}
	if newest != nil && !newest.NextUpdate.IsZero() && l.now().After(newest.NextUpdate) {
		return nil, revocation(hermetic.AlertCertificateUnknown, "the CRL of %q has expired", issuer.Subject)
	}
	return newest, nil
}

func revocation(alert hermetic.Alert, format string, name pkix.Name) error {
	return &hermetic.AlertError{Alert: alert, Cause: fmt.Sprintf(format, name.String())}
}
