package hermetic

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/hermetic-tls/hermetic/internal/pki"
)

// FileError is a file that does not load.
type FileError struct {
	File    string
	Problem string // "can't parse CA certificate", "can't parse private key", …
	Err     error  // the reason
}

// Error is "FILE: PROBLEM: REASON".
func (e *FileError) Error() string { return e.File + ": " + e.Problem + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *FileError) Unwrap() error { return e.Err }

// What can be wrong with a file: the texts of the Lua API.
const (
	problemCA          = "can't parse CA certificate"
	problemCertificate = "can't parse certificate"
	problemKey         = "can't parse private key"
	problemMismatch    = "certificate/private key mismatch"
)

var (
	errNoPEM     = errors.New("no PEM block")
	errNoCert    = errors.New("no CERTIFICATE block")
	errNoKey     = errors.New("no PRIVATE KEY block")
	errEncrypted = errors.New("the key is encrypted: decrypt it first")
	errMismatch  = errors.New("the private key does not belong to the first certificate")
)

// LoadConfig is the Lua API's newconfig. The file cacert holds CA certificates
// in PEM; with it the peer is verified: its chain only, until a name is set
// (a client's ServerName or SetServerName), which the system's authorities in
// place of the file always need. An empty name stands for no file, and without
// cacert nothing is verified. The file cert holds a certificate
// chain, leaf first, and its private key in PEM. Files that do not load are a
// *[FileError].
func LoadConfig(mode Mode, cacert, cert string) (*Config, error) {
	c := &Config{nameOptional: true}
	if cacert == "" {
		c.InsecureSkipVerify = true
	} else {
		pool, err := loadPool(cacert)
		if err != nil {
			return nil, err
		}
		if mode.IsServer() {
			c.ClientCAs, c.ClientAuth = pool, tls.RequireAndVerifyClientCert
		} else {
			c.RootCAs = pool
		}
	}
	if cert != "" {
		loaded, err := loadCertificate(cert)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{loaded}
	}
	return c, nil
}

func loadPool(file string) (*x509.CertPool, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, &FileError{file, problemCA, err}
	}
	pool, err := ParseCertPool(b)
	if err != nil {
		return nil, &FileError{file, problemCA, err}
	}
	return pool, nil
}

func loadCertificate(file string) (tls.Certificate, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return tls.Certificate{}, &FileError{file, problemCertificate, err}
	}
	c, problem, err := parseCertificate(b)
	if err != nil {
		return tls.Certificate{}, &FileError{file, problem, err}
	}
	return c, nil
}

// ParseCertPool reads CA certificates in PEM. Other blocks and text between
// them are skipped; one certificate that does not parse fails all.
func ParseCertPool(data []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	n := 0
	for block := range pemBlocks(&data) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		pool.AddCert(c)
		n++
	}
	switch {
	case hasPEM(data):
		return nil, errBrokenPEM
	case n == 0:
		return nil, errNoPEM
	}
	return pool, nil
}

// ParseCertificate reads a certificate chain, leaf first, and its private key
// (PKCS #8, SEC 1 or PKCS #1, not encrypted), before or after it, all in PEM.
func ParseCertificate(data []byte) (tls.Certificate, error) {
	c, problem, err := parseCertificate(data)
	if err != nil {
		return c, &FileError{"PEM", problem, err}
	}
	return c, nil
}

func parseCertificate(data []byte) (c tls.Certificate, problem string, err error) {
	any := false
	for block := range pemBlocks(&data) {
		any = true
		switch {
		case block.Type == "CERTIFICATE":
			leaf, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return c, problemCertificate, err
			}
			if c.Leaf == nil {
				c.Leaf = leaf
			}
			c.Certificate = append(c.Certificate, block.Bytes)
		case strings.HasSuffix(block.Type, "PRIVATE KEY") && c.PrivateKey == nil:
			if c.PrivateKey, err = parseKey(block); err != nil {
				return c, problemKey, err
			}
		}
	}
	switch {
	case len(c.Certificate) == 0 && any && !hasPEM(data):
		return c, problemCertificate, errNoCert
	case len(c.Certificate) == 0:
		return c, problemCertificate, errNoPEM
	case c.PrivateKey == nil:
		return c, problemKey, errNoKey
	case !pki.SameKey(c.Leaf.PublicKey, c.PrivateKey.(crypto.Signer).Public()):
		return c, problemMismatch, errMismatch
	}
	return c, "", nil
}

// parseKey reads a private key of one of the three forms that PEM names.
func parseKey(block *pem.Block) (crypto.PrivateKey, error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["Proc-Type"] != "" {
		return nil, errEncrypted
	}
	var key any
	var err error
	switch block.Type {
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, err
	}
	if _, ok := key.(crypto.Signer); !ok {
		return nil, errors.New("the key cannot sign")
	}
	return key, nil
}

var errBrokenPEM = errors.New("a PEM block is truncated or damaged")

// pemBlocks yields the PEM blocks of *data, and leaves there what follows the
// last.
func pemBlocks(data *[]byte) func(yield func(*pem.Block) bool) {
	return func(yield func(*pem.Block) bool) {
		for {
			block, rest := pem.Decode(*data)
			if block == nil || !yield(block) {
				return
			}
			*data = rest
		}
	}
}

// hasPEM reports whether b still has the start of a certificate, which
// pem.Decode has skipped as damaged.
func hasPEM(b []byte) bool { return slices.Contains(strings.Fields(string(b)), "CERTIFICATE-----") }
