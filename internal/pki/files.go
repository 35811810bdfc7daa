package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// Why files do not load.
var (
	ErrNoPEM     = errors.New("no PEM block")
	errNoCert    = errors.New("no CERTIFICATE block")
	errNoKey     = errors.New("no PRIVATE KEY block")
	errEncrypted = errors.New("the key is encrypted: decrypt it first")
	errMismatch  = errors.New("the private key does not belong to the first certificate")
	errNoneFits  = errors.New("none of the private keys belongs to the first certificate")
	errOrder     = errors.New("the private key belongs to another certificate than the first: the leaf must be the first")
	errOpenSSH   = errors.New("it is a key of OpenSSH: convert it with ssh-keygen -p -m PKCS8")
	errKeyForm   = errors.New("it is none of PKCS #8, PKCS #1 and SEC 1")
	errCannot    = errors.New("the key cannot sign")
	errNotCert   = errors.New("it is no certificate")
	errTrust     = errors.New("it says what the certificate is trusted for, which is not supported: convert it with openssl x509")
	errExtra     = errors.New("something follows the certificate in its block")
)

// ReadAuthorities returns the certificates of a file of authorities, in PEM or DER.
// Keys and other blocks are skipped.
func ReadAuthorities(file []byte) ([]*x509.Certificate, error) {
	if list, err := x509.ParseCertificates(file); err == nil && len(list) > 0 {
		return list, nil
	}
	blocks, err := ReadPEM(file)
	if err != nil {
		return nil, err
	}
	var list []*x509.Certificate
	for _, b := range blocks {
		if !b.IsCertificate() {
			continue
		}
		c, err := b.authority()
		if err != nil {
			return nil, b.Wrap(err)
		}
		list = append(list, c)
	}
	switch {
	case len(blocks) == 0:
		return nil, ErrNoPEM
	case len(list) == 0:
		return nil, errNoCert
	}
	return list, nil
}

func (b *Block) authority() (*x509.Certificate, error) {
	if !b.isTrusted() {
		return x509.ParseCertificate(b.DER)
	}
	der, trust, err := b.certificate()
	if err != nil {
		return nil, err
	}
	if restricted(trust) {
		return nil, errTrust
	}
	return x509.ParseCertificate(der)
}

// certificate is the certificate of the block. In a TRUSTED CERTIFICATE of OpenSSL
// an X509_CERT_AUX follows it.
func (b *Block) certificate() (der, trust []byte, err error) {
	s := cryptobyte.String(b.DER)
	var cert, parts, tbs, algorithm cryptobyte.String
	if b.Encrypted || !s.ReadASN1Element(&cert, tag.SEQUENCE) {
		return nil, nil, errNotCert
	}
	if !s.Empty() && !b.isTrusted() {
		return nil, nil, errExtra
	}
	der, inside := cert, cert
	if !inside.ReadASN1(&parts, tag.SEQUENCE) || !parts.ReadASN1(&tbs, tag.SEQUENCE) ||
		!parts.ReadASN1(&algorithm, tag.SEQUENCE) || !parts.SkipASN1(tag.BIT_STRING) || !parts.Empty() {
		return nil, nil, errNotCert
	}
	return der, s, nil
}

// restricted reports whether an X509_CERT_AUX lists purposes for which the certificate is
// trusted or rejected. Its other fields only name things.
func restricted(aux []byte) bool {
	if len(aux) == 0 {
		return false
	}
	s := cryptobyte.String(aux)
	var fields cryptobyte.String
	if !s.ReadASN1(&fields, tag.SEQUENCE) || !s.Empty() {
		return true
	}
	return fields.PeekASN1Tag(tag.SEQUENCE) || fields.PeekASN1Tag(tag.Tag(0).Constructed().ContextSpecific())
}

// FileFault is what is wrong with a file of a certificate and its key.
type FileFault uint8

const (
	NoFault FileFault = iota
	CertificateFault
	KeyFault
	MismatchFault
)

// ReadIdentity reads a file with a certificate chain, leaf first, and its private
// key, in any order. Only the leaf must parse. If there are several keys, the leaf's is
// used.
func ReadIdentity(file []byte) (c tls.Certificate, fault FileFault, err error) {
	blocks, err := ReadPEM(file)
	if err != nil {
		return c, CertificateFault, err
	}
	var keys []crypto.Signer
	var found fileBlocks
	for _, b := range blocks {
		switch {
		case b.IsCertificate():
			if err := b.extend(&c); err != nil {
				return c, CertificateFault, b.Wrap(err)
			}
			if found.leaf == nil {
				found.leaf = b
			}
		case b.IsPrivateKey():
			key, err := b.privateKey()
			if err != nil {
				return c, KeyFault, b.Wrap(err)
			}
			keys = append(keys, key)
			found.keys = append(found.keys, fmt.Sprintf("block %d (line %d) is a private key, %s", b.number, b.line, kind(key.Public())))
		}
	}
	switch {
	case len(blocks) == 0:
		return c, CertificateFault, ErrNoPEM
	case len(c.Certificate) == 0:
		return c, CertificateFault, errNoCert
	case len(keys) == 0:
		return c, KeyFault, errNoKey
	}
	return match(c, keys, found)
}

// extend adds the block's certificate to the chain.
func (b *Block) extend(c *tls.Certificate) error {
	der, _, err := b.certificate()
	if err != nil {
		return err
	}
	if len(c.Certificate) == 0 {
		if c.Leaf, err = x509.ParseCertificate(der); err != nil {
			return err
		}
	}
	c.Certificate = append(c.Certificate, der)
	return nil
}

// fileBlocks are the blocks of a file that must belong together.
type fileBlocks struct {
	leaf *Block
	keys []string // described
}

// explain adds a description of the blocks to err.
func (f *fileBlocks) explain(err error, leaf *x509.Certificate) error {
	const most = 4
	keys := strings.Join(f.keys[:min(most, len(f.keys))], "; ")
	if len(f.keys) > most {
		keys += "; …"
	}
	return fmt.Errorf("%w: block %d (line %d) is the certificate %s; %s", err, f.leaf.number, f.leaf.line, describe(leaf), keys)
}

// match gives the chain its key.
func match(c tls.Certificate, keys []crypto.Signer, blocks fileBlocks) (tls.Certificate, FileFault, error) {
	for _, key := range keys {
		if SameKey(c.Leaf.PublicKey, key.Public()) {
			c.PrivateKey = key
			if _, err := Prepare(&c); err != nil {
				return c, KeyFault, err
			}
			return c, NoFault, nil
		}
	}
	for _, der := range c.Certificate[1:] {
		further, err := x509.ParseCertificate(der)
		if err == nil && SameKey(further.PublicKey, keys[0].Public()) {
			return c, MismatchFault, errOrder
		}
	}
	err := errMismatch
	if len(keys) > 1 {
		err = errNoneFits
	}
	return c, MismatchFault, blocks.explain(err, c.Leaf)
}

// privateKey reads a key by its content: its label is often wrong.
func (b *Block) privateKey() (crypto.Signer, error) {
	switch {
	case b.Label == "ENCRYPTED PRIVATE KEY" || b.Encrypted:
		return nil, errEncrypted
	case b.Label == "OPENSSH PRIVATE KEY":
		return nil, errOpenSSH
	}
	key, err := parseKey(b.DER)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errCannot
	}
	return signer, nil
}

// parseKey tells the forms of a private key apart by the element after the version:
// an algorithm (PKCS #8), a modulus (PKCS #1) or a key (SEC 1).
func parseKey(der []byte) (key any, err error) {
	s := cryptobyte.String(der)
	var fields cryptobyte.String
	if !s.ReadASN1(&fields, tag.SEQUENCE) || !fields.SkipASN1(tag.INTEGER) {
		return nil, errKeyForm
	}
	if !s.Empty() {
		der = der[:len(der)-len(s)] // OpenSSL ignores trailing bytes too
	}
	switch {
	case fields.PeekASN1Tag(tag.SEQUENCE):
		if key, err = parseMLDSA(der); key == nil && err == nil {
			key, err = x509.ParsePKCS8PrivateKey(der)
		}
	case fields.PeekASN1Tag(tag.INTEGER):
		key, err = x509.ParsePKCS1PrivateKey(der)
	case fields.PeekASN1Tag(tag.OCTET_STRING):
		key, err = x509.ParseECPrivateKey(der)
	default:
		return nil, errKeyForm
	}
	var syntax asn1.StructuralError
	switch {
	case errors.As(err, &syntax):
		return nil, errKeyForm
	case err != nil:
		text, _, _ := strings.Cut(err.Error(), " (use ") // names a function of Go
		return nil, errors.New(text)
	}
	return key, nil
}
