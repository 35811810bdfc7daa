package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// Verifier is what a peer's chain must satisfy.
type Verifier struct {
	Roots *x509.CertPool // nil: the system's
	Name  string         // empty: any
	Usage x509.ExtKeyUsage
	Now   time.Time
}

var errKeyUsage = alert.New(alert.UnsupportedCertificate, "the peer's certificate may not be used for signatures (its key usage)")

// Verify returns the chains to a root, or an *alert.Error with what is wrong.
func (v *Verifier) Verify(chain []*x509.Certificate) ([][]*x509.Certificate, error) {
	opts := x509.VerifyOptions{
		Roots:         v.Roots,
		CurrentTime:   v.Now,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{v.Usage},
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	chains, err := chain[0].Verify(opts)
	if err != nil {
		return nil, v.explain(chain[0], err)
	}
	if v.Name != "" {
		if err := chain[0].VerifyHostname(v.Name); err != nil {
			return nil, alert.Wrap(alert.BadCertificate, "the certificate is not for "+v.Name, err)
		}
	}
	return chains, nil
}

// checkUsage: RFC 5246, Section 7.4.2, and RFC 9846, Section 4.5.1.2: a key
// usage must permit digital signatures.
func checkUsage(leaf *x509.Certificate) error {
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return errKeyUsage
	}
	return nil
}

// explain says which alert an error of crypto/x509 is, and what to do.
func (v *Verifier) explain(leaf *x509.Certificate, err error) error {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var roots x509.SystemRootsError
	switch {
	case errors.As(err, &unknown):
		return alert.Wrap(alert.UnknownCA, "the certificate of "+name(leaf)+" is signed by an authority that is not trusted", err)
	case errors.As(err, &roots):
		return alert.Wrap(alert.InternalError, "the system's trusted authorities cannot be loaded", err)
	case !errors.As(err, &invalid):
		return alert.Wrap(alert.BadCertificate, "the certificate of "+name(leaf)+" does not verify", err)
	}
	switch invalid.Reason {
	case x509.Expired:
		return alert.Wrap(alert.CertificateExpired, v.expired(invalid.Cert), err)
	case x509.IncompatibleUsage:
		return alert.Wrap(alert.UnsupportedCertificate, "the certificate of "+name(leaf)+" is not for this role (its extended key usage)", err)
	}
	return alert.Wrap(alert.BadCertificate, "the certificate of "+name(leaf)+" does not verify", err)
}

func (v *Verifier) expired(c *x509.Certificate) string {
	if v.Now.Before(c.NotBefore) {
		return fmt.Sprintf("the certificate of %s is not valid before %s", name(c), c.NotBefore.Format(time.DateOnly))
	}
	return fmt.Sprintf("the certificate of %s has expired on %s", name(c), c.NotAfter.Format(time.DateOnly))
}

// name is what people call the certificate.
func name(c *x509.Certificate) string {
	if len(c.DNSNames) > 0 {
		return strings.Join(c.DNSNames, ", ")
	}
	return c.Subject.String()
}
