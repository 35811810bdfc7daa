package mbedtls

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// Chain describes the peer's certificates, the leaf first: the table of ctx:peerchain(). Nil
// means that it has shown none.
func (s *Session) Chain() (chain []Field) {
	defer func() { _ = recover() }()
	for _, c := range s.engine.State().PeerCertificates {
		chain = append(chain, Field{Value: Certificate(c)})
	}
	return chain
}

var errNoChain = errors.New("the peer has shown no certificate")

// VerifyPeer verifies the peer's certificate now, by the authorities of the configuration, and,
// if it is not empty, for a name. It is for a program that has the handshake accept any peer and
// decides afterwards.
func (s *Session) VerifyPeer(name string) (err error) {
	defer recovered(&err)
	state := s.engine.State()
	if len(state.PeerCertificates) == 0 {
		return errNoChain
	}
	c := s.inForce().config
	options := x509.VerifyOptions{Roots: c.RootCAs, Intermediates: x509.NewCertPool(), DNSName: name, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if s.mode.IsServer() {
		options.Roots, options.KeyUsages = c.ClientCAs, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	for _, c := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	chains, err := state.PeerCertificates[0].Verify(options)
	if err == nil && c.VerifyPeerCertificate != nil {
		err = c.VerifyPeerCertificate(nil, chains)
	}
	return err
}

// ParseCertificate describes a certificate in PEM or DER: ssl.certificate(text).
func ParseCertificate(text []byte) ([]Field, error) {
	if block, _ := pem.Decode(text); block != nil {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("the PEM block is a %.40q", block.Type)
		}
		text = block.Bytes
	}
	c, err := x509.ParseCertificate(text)
	if err != nil {
		return nil, err
	}
	return Certificate(c), nil
}

// Certificate describes a certificate.
func Certificate(c *x509.Certificate) []Field {
	sum1, sum512 := sha1.Sum(c.Raw), sha512.Sum512(c.Raw)
	kind, bits := keyKind(c.PublicKey)
	fields := []Field{
		{"subject", c.Subject.String()},
		{"issuer", c.Issuer.String()},
		{"subjectnames", names(c.Subject)},
		{"issuernames", names(c.Issuer)},
		{"serial", c.SerialNumber.Text(16)},
		{"version", c.Version},
		{"notbefore", c.NotBefore.UTC().Format(time.RFC3339)},
		{"notafter", c.NotAfter.UTC().Format(time.RFC3339)},
		{"notbeforetime", int(c.NotBefore.Unix())},
		{"notaftertime", int(c.NotAfter.Unix())},
		{"sha1", hex.EncodeToString(sum1[:])},
		{"sha256", fingerprint(c)},
		{"sha512", hex.EncodeToString(sum512[:])},
		{"signature", c.SignatureAlgorithm.String()},
		{"keytype", kind},
		{"keybits", bits},
		{"pubkey", encodePEM("PUBLIC KEY", c.RawSubjectPublicKeyInfo)},
		{"ca", c.BasicConstraintsValid && c.IsCA},
		{"dnsnames", list(c.DNSNames)},
		{"emails", list(c.EmailAddresses)},
	}
	var ips, uris []string
	for _, ip := range c.IPAddresses {
		ips = append(ips, ip.String())
	}
	for _, uri := range c.URIs {
		uris = append(uris, uri.String())
	}
	var extensions []Field
	for _, e := range c.Extensions {
		extensions = append(extensions, Field{Value: []Field{{"oid", e.Id.String()}, {"critical", e.Critical}, {"value", string(e.Value)}}})
	}
	return append(fields, Field{"ips", list(ips)}, Field{"uris", list(uris)}, Field{"extensions", extensions},
		Field{"pem", encodePEM("CERTIFICATE", c.Raw)})
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

func chainPEM(chain []*x509.Certificate) string {
	var text []byte
	for _, c := range chain {
		text = append(text, encodePEM("CERTIFICATE", c.Raw)...)
	}
	return string(text)
}

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// names are the parts of a name, in its order.
func names(n pkix.Name) []Field {
	var fields []Field
	for _, part := range n.Names {
		fields = append(fields, Field{Value: []Field{{"oid", part.Type.String()}, {"name", nameOf(part.Type)}, {"value", fmt.Sprint(part.Value)}}})
	}
	return fields
}

// nameTypes are the usual parts of a name (RFC 5280, Appendix A.1), as OpenSSL calls them.
var nameTypes = map[string]string{
	"2.5.4.3": "commonName", "2.5.4.4": "surname", "2.5.4.5": "serialNumber", "2.5.4.6": "countryName",
	"2.5.4.7": "localityName", "2.5.4.8": "stateOrProvinceName", "2.5.4.9": "streetAddress", "2.5.4.10": "organizationName",
	"2.5.4.11": "organizationalUnitName", "2.5.4.12": "title", "2.5.4.17": "postalCode", "2.5.4.42": "givenName",
	"0.9.2342.19200300.100.1.1": "userId", "0.9.2342.19200300.100.1.25": "domainComponent", "1.2.840.113549.1.9.1": "emailAddress",
}

// nameOf returns the name of a type, or its number.
func nameOf(oid asn1.ObjectIdentifier) string {
	if name := nameTypes[oid.String()]; name != "" {
		return name
	}
	return oid.String()
}

func keyKind(key any) (kind string, bits int) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return "RSA", key.N.BitLen()
	case *ecdsa.PublicKey:
		return "EC", key.Curve.Params().BitSize
	case ed25519.PublicKey:
		return "Ed25519", 256
	}
	return "unknown", 0
}

// crls are certificate revocation lists (RFC 5280, Section 5).
type crls struct {
	lists []*x509.RevocationList
	now   func() time.Time
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
	if newest != nil && !newest.NextUpdate.IsZero() && l.now().After(newest.NextUpdate) {
		return nil, revocation(hermetic.AlertCertificateUnknown, "the CRL of %q has expired", issuer.Subject)
	}
	return newest, nil
}

func revocation(alert hermetic.Alert, format string, name pkix.Name) error {
	return &hermetic.AlertError{Alert: alert, Cause: fmt.Sprintf(format, name.String())}
}
