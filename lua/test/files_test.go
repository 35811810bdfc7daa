package test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	encryption "github.com/youmark/pkcs8"
)

// authority signs the certificates of the tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newAuthority makes a CA: a root, or under parent.
func newAuthority(t *testing.T, name string, parent *authority) *authority {
	key := newKey(t)
	a := &authority{t: t, key: key}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	signer := parent
	if signer == nil {
		signer = &authority{t: t, cert: template, key: key}
	}
	a.cert, a.pem = signer.sign(template, key.Public())
	return a
}

// sign completes and signs a certificate.
func (a *authority) sign(template *x509.Certificate, key crypto.PublicKey) (*x509.Certificate, []byte) {
	a.t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
		template.NotAfter = time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, block("CERTIFICATE", der)
}

// leaf is a certificate for a role, under a's signature.
func (a *authority) leaf(name string, usage x509.ExtKeyUsage, key crypto.PublicKey) []byte {
	_, text := a.sign(leafTemplate(name, usage), key)
	return text
}

func leafTemplate(name string, usage x509.ExtKeyUsage) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		DNSNames:    []string{name},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
}

// alternativeNames has names of every kind (RFC 5280, Section 4.2.1.6), also those that crypto/x509
// cannot write.
func alternativeNames(t *testing.T) []byte {
	t.Helper()
	other := func(text string, id ...int) []byte {
		return marshal(t, struct {
			ID   asn1.ObjectIdentifier
			Text string `asn1:"utf8,explicit,tag:0"`
		}{id, text})
	}
	name := func(tag int, value []byte) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: value}
	}
	compound := func(sequence []byte) asn1.RawValue {
		var v asn1.RawValue
		if _, err := asn1.Unmarshal(sequence, &v); err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: v.Bytes}
	}
	return marshal(t, []asn1.RawValue{
		name(2, []byte("many.example")),
		compound(other("me@xmpp.example", 1, 3, 6, 1, 5, 5, 7, 8, 5)),
		name(1, []byte("me@many.example")),
		name(2, []byte("*.many.example")),
		name(6, []byte("https://many.example/")),
		name(7, []byte{192, 0, 2, 1}),
		name(7, netip.MustParseAddr("2001:db8::1").AsSlice()),
		compound(other("_xmpp-server.many.example", 1, 3, 6, 1, 5, 5, 7, 8, 7)),
	})
}

func marshal(t *testing.T, value any) []byte {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

// password is what the encrypted keys are encrypted with.
const password = "correct horse"

func encryptedPKCS8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := encryption.MarshalPrivateKey(key, []byte(password), encryption.DefaultOpts)
	if err != nil {
		t.Fatal(err)
	}
	return block("ENCRYPTED PRIVATE KEY", der)
}

func encryptedSEC1(t *testing.T, der []byte) []byte {
	t.Helper()
	//lint:ignore SA1019 the form of OpenSSL's older files
	b, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", der, []byte(password), x509.PEMCipherAES128)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(b)
}

// crl is a list of revoked certificates.
func (a *authority) crl(until time.Time, revoked ...[]byte) []byte {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: until.Add(-2 * time.Hour), NextUpdate: until}
	for _, text := range revoked {
		b, _ := pem.Decode(text)
		cert, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			a.t.Fatal(err)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: list.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return block("X509 CRL", der)
}

func makeFolder(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
}

// makeFiles writes the certificates, good and bad, that the tests load, and
// returns their folder.
func makeFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ca, otherCA := newAuthority(t, "Test CA", nil), newAuthority(t, "Other CA", nil)
	middle := newAuthority(t, "Test Intermediate", ca)
	key := newKey(t)
	keyPEM := pkcs8(t, key)
	server := ca.leaf("localhost", x509.ExtKeyUsageServerAuth, key.Public())
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaServer := ca.leaf("localhost", x509.ExtKeyUsageServerAuth, rsaKey.Public())
	expired := leafTemplate("localhost", x509.ExtKeyUsageServerAuth)
	expired.NotBefore, expired.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	_, expiredPEM := ca.sign(expired, key.Public())
	self := leafTemplate("localhost", x509.ExtKeyUsageServerAuth)
	_, selfPEM := (&authority{t: t, cert: self, key: key}).sign(self, key.Public())
	text := []byte("This is no certificate.\n")

	writeFile(t, dir, "ca.pem", ca.pem)
	writeFile(t, dir, "many.pem", ca.pem, otherCA.pem)
	writeFile(t, dir, "crlf.pem", bytes.ReplaceAll(ca.pem, []byte("\n"), []byte("\r\n")))
	writeFile(t, dir, "mixed.pem", text, ca.pem, text, keyPEM, text, otherCA.pem)
	writeFile(t, dir, "server.pem", server, keyPEM)
	writeFile(t, dir, "pkcs8.pem", server, keyPEM)
	writeFile(t, dir, "sec1.pem", server, block("EC PRIVATE KEY", sec1))
	writeFile(t, dir, "pkcs1.pem", rsaServer, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)))
	writeFile(t, dir, "keyfirst.pem", keyPEM, server)
	writeFile(t, dir, "chain.pem", middle.leaf("localhost", x509.ExtKeyUsageServerAuth, key.Public()), middle.pem, keyPEM)
	writeFile(t, dir, "clientchain.pem", middle.leaf("client", x509.ExtKeyUsageClientAuth, key.Public()), middle.pem, keyPEM)
	writeFile(t, dir, "client.pem", ca.leaf("client", x509.ExtKeyUsageClientAuth, key.Public()), keyPEM)
	writeFile(t, dir, "other.pem", otherCA.leaf("localhost", x509.ExtKeyUsageServerAuth, key.Public()), keyPEM)
	writeFile(t, dir, "expired.pem", expiredPEM, keyPEM)
	writeFile(t, dir, "self.pem", selfPEM, keyPEM)

	writeFile(t, dir, "server.crt", server)
	writeFile(t, dir, "rsa.crt", rsaServer)
	writeFile(t, dir, "rsa.key", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)))
	writeFile(t, dir, "wild.pem", ca.leaf("*.example.com", x509.ExtKeyUsageServerAuth, key.Public()), keyPEM)
	writeFile(t, dir, "encrypted.key", encryptedPKCS8(t, key))
	writeFile(t, dir, "old.key", encryptedSEC1(t, sec1))
	writeFile(t, dir, "crl.pem", ca.crl(time.Now().Add(time.Hour)))
	writeFile(t, dir, "revoked.pem", ca.crl(time.Now().Add(time.Hour), server))
	writeFile(t, dir, "oldcrl.pem", ca.crl(time.Now().Add(-time.Minute)))
	writeFile(t, dir, "othercrl.pem", otherCA.crl(time.Now().Add(time.Hour)))
	writeFile(t, dir, "otherca.pem", otherCA.pem)
	writeFile(t, dir, "withcrl.pem", ca.pem, ca.crl(time.Now().Add(time.Hour)))
	writeFile(t, dir, "withrevoked.pem", ca.pem, ca.crl(time.Now().Add(time.Hour), server))
	sans := leafTemplate("many.example", x509.ExtKeyUsageServerAuth)
	sans.DNSNames, sans.ExtraExtensions = nil, []pkix.Extension{{Id: []int{2, 5, 29, 17}, Value: alternativeNames(t)}}
	_, sansPEM := ca.sign(sans, key.Public())
	writeFile(t, dir, "sans.pem", sansPEM)
	makeFolder(t, dir, "ca.d")
	writeFile(t, dir, "ca.d/one.pem", otherCA.pem)
	writeFile(t, dir, "ca.d/01234567.0", ca.pem)
	writeFile(t, dir, "ca.d/README", text)
	makeFolder(t, dir, "bad.d")
	writeFile(t, dir, "bad.d/bad.crt", text)
	makeFolder(t, dir, "empty.d")

	writeFile(t, dir, "empty")
	writeFile(t, dir, "text", text)
	writeFile(t, dir, "key.pem", keyPEM)
	writeFile(t, dir, "truncated.pem", server[:len(server)/2])
	writeFile(t, dir, "damaged.pem", bytes.Replace(server, []byte("\nMI"), []byte("\n!!"), 1))
	writeFile(t, dir, "manybad.pem", ca.pem, block("CERTIFICATE", []byte("no certificate")))
	writeFile(t, dir, "mismatch.pem", server, pkcs8(t, newKey(t)))
	return dir
}
