package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// Verifier is what a peer's chain must satisfy.
type Verifier struct {
	Roots *x509.CertPool // nil: the system's
	Name  string         // empty: any
	Usage x509.ExtKeyUsage
	Now   time.Time
	Keys  *Keys // what our policy permits
}

var errKeyUsage = alert.New(alert.UnsupportedCertificate, "the peer's certificate may not be used for signatures (its key usage)")

// Verify returns the chains to a root, or an *alert.Error with what is wrong.
// Peers return: while a chain is in the cache, its signatures and its name are verified once
// for the same roots and usage, but its times are checked each time.
func (v *Verifier) Verify(c *Chain) ([][]*x509.Certificate, error) {
	chains, err := v.verify(c)
	var fault *alert.Error
	if errors.As(err, &fault) {
		unverified := *fault
		unverified.Unverified = c.Certificates()
		return nil, &unverified
	}
	return chains, err
}

func (v *Verifier) verify(c *Chain) ([][]*x509.Certificate, error) {
	leaf := c.Certificates()[0]
	if err := checkUsage(leaf); err != nil {
		return nil, err
	}
	chains := c.verified(v)
	if chains == nil {
		if !affordable(c.Certificates(), c.left) {
			return nil, tooExpensive(c.limit)
		}
		var err error
		if chains, err = leaf.Verify(v.options(c)); err != nil {
			return nil, v.explain(leaf, c.Certificates(), err)
		}
		c.remember(v, chains)
	}
	if err := c.verifyName(v.Name); err != nil {
		return nil, alert.Wrap(alert.BadCertificate, "the certificate is not for "+v.Name, err)
	}
	return v.Keys.filter(chains)
}

// verifyName verifies that the leaf is for a name, unless that is the last name that was good.
// An empty name means any.
func (c *Chain) verifyName(name string) error {
	c.mu.Lock()
	known := name == "" || name == c.name
	c.mu.Unlock()
	if known {
		return nil
	}
	if err := c.Certificates()[0].VerifyHostname(name); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cached {
		c.name = name
	}
	return nil
}

func (v *Verifier) options(c *Chain) x509.VerifyOptions {
	opts := x509.VerifyOptions{
		Roots:         v.Roots,
		CurrentTime:   v.Now,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{v.Usage},
	}
	for _, authority := range c.Certificates()[1:] {
		opts.Intermediates.AddCert(authority)
	}
	return opts
}

// verdict is the result of verifying a chain. It holds as long as all certificates of all
// chains are valid.
type verdict struct {
	roots       *x509.CertPool
	usage       x509.ExtKeyUsage
	from, until time.Time
	chains      [][]*x509.Certificate
}

// verified returns the chains of an earlier verdict that holds for v, or nil. All its peers share
// them.
func (c *Chain) verified(v *Verifier) [][]*x509.Certificate {
	c.mu.Lock()
	d := c.verdict
	c.mu.Unlock()
	if d == nil || d.roots != v.Roots || d.usage != v.Usage || v.Now.Before(d.from) || v.Now.After(d.until) {
		return nil
	}
	for _, chain := range d.chains {
		if !v.trusts(chain[len(chain)-1]) {
			return nil
		}
	}
	return d.chains
}

// trusts reports whether the pool still has the root, without a constraint on it. Nothing else
// in the pool matters to a chain whose signatures were good. It verifies no signature.
func (v *Verifier) trusts(root *x509.Certificate) bool {
	if Constrained(v.Roots) {
		return false
	}
	opts := x509.VerifyOptions{Roots: v.Roots, CurrentTime: v.Now, KeyUsages: []x509.ExtKeyUsage{v.Usage}}
	chains, err := root.Verify(opts)
	return err == nil && len(chains[0]) == 1
}

// remember keeps a verdict for the next connection with this peer, unless it depends on what may
// change unnoticed: the system's roots, or a constraint.
func (c *Chain) remember(v *Verifier, chains [][]*x509.Certificate) {
	if v.Roots == nil {
		return
	}
	for _, chain := range chains {
		if constrained(v.Roots, chain[len(chain)-1]) {
			return
		}
	}
	leaf := chains[0][0]
	d := &verdict{roots: v.Roots, usage: v.Usage, from: leaf.NotBefore, until: leaf.NotAfter, chains: chains}
	for _, chain := range chains {
		for _, cert := range chain {
			if cert.NotBefore.After(d.from) {
				d.from = cert.NotBefore
			}
			if cert.NotAfter.Before(d.until) {
				d.until = cert.NotAfter
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cached {
		c.verdict = d
	}
}

// CloneChains copies the slices of chains for users, who may change what they get.
func CloneChains(chains [][]*x509.Certificate) [][]*x509.Certificate {
	if chains == nil {
		return nil
	}
	list := make([][]*x509.Certificate, len(chains))
	for i := range chains {
		list[i] = slices.Clone(chains[i])
	}
	return list
}

// checkUsage: RFC 5246, Section 7.4.2, and RFC 9846, Section 4.5.1.2: a key
// usage must permit digital signatures.
func checkUsage(leaf *x509.Certificate) error {
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return errKeyUsage
	}
	return nil
}

// signedInsecurely reports whether a chain that did not verify has a signature with MD5 or SHA-1,
// which crypto/x509 refuses: a bad_certificate (RFC 9846, Section 4.5.1.3). Those of self-signed
// authorities prove nothing, and do not count.
func signedInsecurely(chain []*x509.Certificate) bool {
	return slices.ContainsFunc(chain, func(c *x509.Certificate) bool {
		switch c.SignatureAlgorithm {
		case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1:
			return !bytes.Equal(c.RawIssuer, c.RawSubject)
		}
		return false
	})
}

// explain returns the alert for an error of crypto/x509, and a text that says what to do.
func (v *Verifier) explain(leaf *x509.Certificate, chain []*x509.Certificate, err error) error {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var roots x509.SystemRootsError
	switch {
	case errors.As(err, &unknown) && signedInsecurely(chain):
		return alert.Wrap(alert.BadCertificate, "the certificate of "+name(leaf)+" or one of its authorities is signed with MD5 or SHA-1", err)
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
	return fmt.Sprintf("the certificate of %s expired on %s", name(c), c.NotAfter.Format(time.DateOnly))
}

// name returns a name of the certificate for people.
func name(c *x509.Certificate) string {
	switch {
	case len(c.DNSNames) > 1:
		return fmt.Sprintf("%s and %d more", alert.Quote(c.DNSNames[0]), len(c.DNSNames)-1)
	case len(c.DNSNames) == 1:
		return alert.Quote(c.DNSNames[0])
	}
	if len(c.RawSubject) > 1<<10 { // the time that String takes grows with the square
		return alert.Quote(c.Subject.CommonName)
	}
	return alert.Quote(c.Subject.String())
}
