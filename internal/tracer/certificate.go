package tracer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
	"github.com/hermetic-tls/hermetic/trace"
)

// certificate reads an entry of a certificate list.
func (p *part) certificate(is13 bool) {
	at := p.at
	n := p.number(3)
	der := p.bytes(n)
	if p.of.malformed {
		return
	}
	f := trace.Field{Name: "certificate", Offset: at, Length: 3 + n}
	if p.of.left > 0 {
		f.Fields = describe(der, at+3)
	}
	p.of.left -= len(f.Fields)
	p.add(f)
	if is13 {
		p.extensions(wire.TypeCertificate)
	}
}

// describe says what a certificate is.
func describe(der []byte, at int) []trace.Field {
	sum := sha256.Sum256(der)
	fields := []trace.Field{{Name: "sha256", Value: hex.EncodeToString(sum[:])}}
	add := func(name, value string) { fields = append(fields, trace.Field{Name: name, Value: value}) }
	if c, err := x509.ParseCertificate(der); err == nil {
		add("subject", alert.Quote(c.Subject.String()))
		add("issuer", alert.Quote(c.Issuer.String()))
		add("subject_alternative_names", alert.Quote(strings.Join(alternativeNames(c), ", ")))
		add("not_before", c.NotBefore.UTC().Format(time.RFC3339))
		add("not_after", c.NotAfter.UTC().Format(time.RFC3339))
		add("public_key", keyKind(c.PublicKey))
		add("signature_algorithm", c.SignatureAlgorithm.String())
	} else if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		add("public_key", keyKind(key)) // RFC 7250
	} else {
		add("error", "it does not parse")
	}
	for i := range fields {
		fields[i].Offset = at
	}
	return fields
}

func alternativeNames(c *x509.Certificate) (names []string) {
	names = append(names, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	names = append(names, c.EmailAddresses...)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	return names
}

func keyKind(key any) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA, %d bits", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	if name := suite.MLDSAName(key); name != "" {
		return name
	}
	return "unknown"
}

// distinguishedName shows a Name in DER.
func distinguishedName(der []byte) string {
	var sequence pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &sequence); err != nil || len(rest) > 0 {
		return hexOf(der)
	}
	var name pkix.Name
	name.FillFromRDNSequence(&sequence)
	return alert.Quote(name.String())
}
