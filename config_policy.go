package hermetic

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// A Policy limits what connections may negotiate, on either side: see [Config.Policy]. Its
// lists are also the defaults of the Config's fields of the same names. Take one of the presets
// ([PolicyFIPS], [PolicyWPA3], [PolicyCNSA1], [PolicyCNSA2]), or write your own. It must not be
// modified after its first use.
//
// The keys of certificates are limited too, even where the peer is not verified: an ECDSA key must
// be on the curve of one of the SignatureSchemes, and an RSA key must have at least MinRSABits. In a
// verified chain this applies to each key, and each signature must be of one of the
// SignatureSchemes, except that of the root on itself. Where [Config.OCSPCheck] verifies OCSP
// responses, the same applies to them and to their responders. How tickets are sealed depends on the
// CipherSuites: see [TicketKey].
type Policy struct {
	// Name is the policy's name in error texts.
	Name string

	// MinVersion is the oldest version permitted: tls.VersionTLS12 or tls.VersionTLS13.
	// Zero means 1.2.
	MinVersion uint16

	// CipherSuites are the cipher suites permitted, the preferred first. Nil permits all.
	CipherSuites []uint16

	// CurvePreferences are the key exchange groups permitted, the preferred first. Nil
	// permits all.
	CurvePreferences []tls.CurveID

	// SignatureSchemes are the signature schemes permitted, on either side and in
	// certificates, the preferred first. Nil permits all.
	SignatureSchemes []tls.SignatureScheme

	// MinRSABits is the size of the smallest RSA key permitted, in bits. Zero permits all
	// sizes that hermetic supports.
	MinRSABits int

	// RequireExtendedMasterSecret refuses TLS 1.2 without RFC 7627, as the Config's field
	// does.
	RequireExtendedMasterSecret bool

	// NoEarlyData forbids 0-RTT data.
	NoEarlyData bool
}

// PolicyFIPS returns the policy of FIPS 140-3, by NIST SP 800-52 Rev. 2: AES-GCM, groups with
// P-256 or P-384, alone or with ML-KEM, and RSA keys of 2,048 bits. TLS 1.2 needs the extended
// master secret (FIPS 140-3 IG D.Q). It does not validate the module: that is GODEBUG=fips140=on.
func PolicyFIPS() *Policy {
	return &Policy{
		Name: "FIPS 140-3",
		CipherSuites: []uint16{
			tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
		CurvePreferences: []tls.CurveID{tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024, tls.CurveP256, tls.CurveP384},
		SignatureSchemes: []tls.SignatureScheme{
			tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256, tls.ECDSAWithP384AndSHA384, tls.PSSWithSHA384, tls.PSSWithSHA512,
			tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512,
		},
		MinRSABits:                  2048,
		RequireExtendedMasterSecret: true,
	}
}

// PolicyWPA3 returns the policy of WPA3-Enterprise's 192-bit mode (WPA3 Specification 3.1,
// Section 3.5): AES-256-GCM, P-384, SHA-384 or SHA-512, and RSA keys of 3,072 bits.
func PolicyWPA3() *Policy {
	return &Policy{
		Name:             "WPA3 192-bit",
		CipherSuites:     suites192(),
		CurvePreferences: []tls.CurveID{tls.CurveP384},
		SignatureSchemes: []tls.SignatureScheme{
			tls.ECDSAWithP384AndSHA384, tls.PSSWithSHA384, tls.PSSWithSHA512, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512,
		},
		MinRSABits: 3072,
	}
}

// PolicyCNSA1 returns the policy of the NSA's CNSA 1.0 (RFC 9151): AES-256-GCM, P-384, SHA-384,
// RSA keys of 3,072 bits, the extended master secret and no early data. Peers that have
// ML-KEM-1024, of CNSA 2.0, get that.
func PolicyCNSA1() *Policy {
	p := cnsa("CNSA 1.0")
	p.CipherSuites = suites192()
	p.CurvePreferences = []tls.CurveID{MLKEM1024, tls.CurveP384}
	return p
}

// PolicyCNSA2 returns the policy of the NSA's CNSA 2.0 (draft-becker-cnsa2-tls-profile): TLS 1.3
// with AES-256-GCM and ML-KEM-1024, and ML-DSA-87 if hermetic is built with Go 1.27. Signatures
// may still be those of CNSA 1.0.
func PolicyCNSA2() *Policy {
	p := cnsa("CNSA 2.0")
	p.MinVersion = tls.VersionTLS13
	p.CipherSuites = []uint16{tls.TLS_AES_256_GCM_SHA384}
	p.CurvePreferences = []tls.CurveID{MLKEM1024}
	if suite.MLDSA87.Supported() {
		p.SignatureSchemes = slices.Insert(p.SignatureSchemes, 0, tls.SignatureScheme(suite.MLDSA87))
	}
	return p
}

// cnsa is what both have in common.
func cnsa(name string) *Policy {
	return &Policy{
		Name:                        name,
		SignatureSchemes:            []tls.SignatureScheme{tls.ECDSAWithP384AndSHA384, tls.PSSWithSHA384, tls.PKCS1WithSHA384},
		MinRSABits:                  3072,
		RequireExtendedMasterSecret: true,
		NoEarlyData:                 true,
	}
}

// suites192 are those with AES-256-GCM and certificates.
func suites192() []uint16 {
	return []uint16{tls.TLS_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}
}

// presets are in the order of ParsePolicy's error.
var presets = []struct {
	name string
	make func() *Policy
}{{"fips", PolicyFIPS}, {"wpa3", PolicyWPA3}, {"cnsa1", PolicyCNSA1}, {"cnsa2", PolicyCNSA2}}

// ParsePolicy returns the preset with that name: "fips", "wpa3", "cnsa1" or "cnsa2". Any other
// name is an [ErrInvalidOperation].
func ParsePolicy(name string) (*Policy, error) {
	for _, p := range presets {
		if p.name == name {
			return p.make(), nil
		}
	}
	return nil, &invalidOperation{fmt.Sprintf("hermetic: policy %q is none of fips, wpa3, cnsa1, cnsa2", name)}
}

// none is the policy of a Config without one.
var none = new(Policy)

// compliance checks the policy, and compares it with the fields that contradict it.
func (c *plan) compliance(p *handshake.Params) error {
	c.policy = none
	if c.cfg.Policy == nil {
		c.tickets = c.policy.ticketForm()
		return nil
	}
	c.policy = c.cfg.Policy
	if err := c.policy.check(); err != nil {
		return err
	}
	p.Keys, c.tickets = c.policy.keys(), c.policy.ticketForm()
	p.RequireEMS = p.RequireEMS || c.policy.RequireExtendedMasterSecret
	for _, v := range []struct {
		field   string
		version uint16
	}{{"MinVersion", c.cfg.MinVersion}, {"MaxVersion", c.cfg.MaxVersion}} {
		if v.version != 0 && v.version < c.policy.MinVersion {
			return c.forbidden(v.field, tls.VersionName(v.version))
		}
	}
	for _, err := range []error{
		permitted(c, "CipherSuites", c.cfg.CipherSuites, c.policy.CipherSuites, CipherSuiteName),
		permitted(c, "CurvePreferences", c.cfg.CurvePreferences, c.policy.CurvePreferences, GroupName),
		permitted(c, "SignatureSchemes", c.cfg.SignatureSchemes, c.policy.SignatureSchemes, tls.SignatureScheme.String),
	} {
		if err != nil {
			return err
		}
	}
	for i, key := range c.cfg.PeerPublicKeys {
		if err := p.Keys.Check(key); err != nil {
			return configFault(fmt.Sprintf("PeerPublicKeys[%d]", i), err)
		}
	}
	switch {
	case c.policy.NoEarlyData && c.cfg.EarlyData:
		return c.forbidden("EarlyData", "it")
	case c.policy.NoEarlyData && c.cfg.MaxEarlyData > 0:
		return c.forbidden("MaxEarlyData", "it")
	}
	return nil
}

// keys are the rules for certificates.
func (p *Policy) keys() *pki.Keys {
	return &pki.Keys{Policy: p.Name, Schemes: listAs[suite.Scheme](p.SignatureSchemes), MinRSA: p.MinRSABits}
}

// CheckChain returns an error if the policy forbids the key of a certificate in chain, or the
// signature on any of them except the last. hermetic checks the chains that it verifies itself
// against [Config.Policy]. Call CheckChain where you verify a chain, in a callback or with
// [AsyncVerify], and with the responder and the issuer after [VerifyOCSP]. A nil Policy permits all.
func (p *Policy) CheckChain(chain []*x509.Certificate) error {
	if p == nil {
		return nil
	}
	return p.keys().CheckChain(chain)
}

// CheckSignature returns an error if the policy forbids the algorithm. Call it where you verify the
// signature of an OCSP response or of a revocation list. A nil Policy permits all.
func (p *Policy) CheckSignature(algorithm x509.SignatureAlgorithm) error {
	if p == nil {
		return nil
	}
	return p.keys().CheckSignature(algorithm)
}

// forbidden is the error for a field that Policy contradicts.
func (c *plan) forbidden(field, what string) error {
	return configError(field, fmt.Sprintf("%s is forbidden by Config.Policy (%s)", what, c.policy.Name))
}

// permitted returns an error if the field's list has a value that the policy's has not.
func permitted[T comparable](c *plan, field string, list, limit []T, name func(T) string) error {
	for _, v := range list {
		if limit != nil && !slices.Contains(limit, v) {
			return c.forbidden(field, name(v))
		}
	}
	return nil
}

// check checks the policy itself.
func (p *Policy) check() error {
	switch {
	case p.Name == "":
		return configError("Policy.Name", "it is empty")
	case p.MinVersion != 0 && p.MinVersion != wire.VersionTLS12 && p.MinVersion != wire.VersionTLS13:
		return configError("Policy.MinVersion", tls.VersionName(p.MinVersion)+" is neither TLS 1.2 nor TLS 1.3")
	case p.MinRSABits < 0:
		return configError("Policy.MinRSABits", fmt.Sprintf("%d is negative", p.MinRSABits))
	}
	for _, err := range []error{
		distinct("Policy.CipherSuites", p.CipherSuites, CipherSuiteName),
		distinct("Policy.CurvePreferences", p.CurvePreferences, GroupName),
		distinct("Policy.SignatureSchemes", p.SignatureSchemes, tls.SignatureScheme.String),
	} {
		if err != nil {
			return err
		}
	}
	for _, id := range p.CipherSuites {
		if suite.ByID(id) == nil {
			return configError("Policy.CipherSuites", CipherSuiteName(id)+" is not supported")
		}
	}
	for _, id := range p.SignatureSchemes {
		if !suite.Scheme(id).Supported() {
			return configError("Policy.SignatureSchemes", id.String()+" is not supported")
		}
	}
	return nil
}

// minVersion returns the MinVersion of a Config that names none.
func (p *Policy) minVersion() uint16 { return cmp.Or(p.MinVersion, wire.VersionTLS12) }

// defaultSuites returns the suites of a Config that names none. Only PSKs make use of those with one.
func (c *plan) defaultSuites() []*suite.Suite {
	if c.policy.CipherSuites == nil {
		return c.byDefault()
	}
	var list []*suite.Suite
	for _, id := range c.policy.CipherSuites {
		if s := suite.ByID(id); s.Auth != suite.NoSignature || c.has12PSKs() {
			list = append(list, s)
		}
	}
	return list
}

// defaultGroups returns the groups of a Config that names none. Some may be from KeyExchanges.
func (c *plan) defaultGroups(p *handshake.Params) ([]suite.Group, error) {
	if c.policy.CurvePreferences == nil {
		return suite.Groups, nil
	}
	return chosen("Policy.CurvePreferences", c.policy.CurvePreferences, nil, supports(p))
}

// defaultSchemes returns the signature schemes of a Config that names none.
func (p *Policy) defaultSchemes() []suite.Scheme {
	if p.SignatureSchemes == nil {
		return suite.Schemes
	}
	return listAs[suite.Scheme](p.SignatureSchemes)
}

// listAs converts the values of a list; nil remains nil.
func listAs[T, ID ~uint16](ids []ID) []T {
	if ids == nil {
		return nil
	}
	list := make([]T, len(ids))
	for i, id := range ids {
		list[i] = T(id)
	}
	return list
}
