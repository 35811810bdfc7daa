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
	c := s.inForce()
	options := x509.VerifyOptions{Roots: c.roots, DNSName: name, KeyUsages: c.usages}
	if s.mode.IsServer() && options.Roots == nil {
		options.Roots = x509.NewCertPool() // the system's are not for clients
	}
	chains, err := verifyChain(state.PeerCertificates, options)
	if err == nil && c.config.VerifyPeerCertificate != nil {
		err = c.config.VerifyPeerCertificate(nil, chains)
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
