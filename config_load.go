package hermetic

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"

	"github.com/hermetic-tls/hermetic/internal/pki"
)

// FileError is a file that does not load.
type FileError struct {
	// File is the file's name, or "PEM" for data in memory.
	File string

	// Problem is one of "can't parse CA certificate", "can't parse certificate", "can't
	// parse private key" and "certificate/private key mismatch".
	Problem string

	// Err is the reason, such as an error of package os or crypto/x509.
	Err error
}

// Error returns "FILE: PROBLEM: REASON", or "FILE: PROBLEM" without Err. The reason does not
// name the file again.
func (e *FileError) Error() string {
	reason := e.Err
	if reason == nil {
		return e.File + ": " + e.Problem
	}
	if path := (*fs.PathError)(nil); errors.As(reason, &path) {
		reason = path.Err
	}
	return e.File + ": " + e.Problem + ": " + reason.Error()
}

// Unwrap returns Err.
func (e *FileError) Unwrap() error { return e.Err }

// The problems of files: the texts of the Lua API.
const (
	problemCA          = "can't parse CA certificate"
	problemCertificate = "can't parse certificate"
	problemKey         = "can't parse private key"
	problemMismatch    = "certificate/private key mismatch"
)

// LoadConfig returns a Config made from files in PEM. An empty name stands for no file.
//
// The file cacert holds the CA certificates that the peer is verified by: see
// [LoadCertPool]. Without it, a client verifies its server by the system's roots, and a
// server asks for no certificate; with it, a server requires one of every client. A client
// also needs a name to verify: set Config.ServerName, unless netconn.Dial takes it from the address.
//
// The file cert holds our own certificate chain and its private key: see [LoadKeyPair].
//
// A file that does not load is a *[FileError], and an unknown mode an [ErrInvalidOperation].
func LoadConfig(mode Mode, cacert, cert string) (*Config, error) {
	if !mode.valid() {
		return nil, errMode
	}
	c := &Config{}
	if cacert != "" {
		pool, err := LoadCertPool(cacert)
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
		pair, err := LoadKeyPair(cert)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// LoadCertPool is [ParseCertPool] of a file. An error is a *[FileError].
func LoadCertPool(file string) (*x509.CertPool, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, &FileError{file, problemCA, err}
	}
	return parseCertPool(file, b)
}

// LoadKeyPair is [ParseKeyPair] of a file. An error is a *[FileError].
func LoadKeyPair(file string) (tls.Certificate, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return tls.Certificate{}, &FileError{file, problemCertificate, err}
	}
	c, problem, err := parseKeyPair(b)
	if err != nil {
		return tls.Certificate{}, &FileError{file, problem, err}
	}
	return c, nil
}

// ParseCertPool reads CA certificates in PEM, or in DER. Other kinds of blocks, and text
// between blocks, are skipped. An error is a *[FileError] that names the first block that
// cannot be read.
func ParseCertPool(data []byte) (*x509.CertPool, error) { return parseCertPool("PEM", data) }

func parseCertPool(file string, data []byte) (*x509.CertPool, error) {
	list, err := pki.ReadAuthorities(data)
	if err != nil {
		return nil, &FileError{file, problemCA, err}
	}
	pool := x509.NewCertPool()
	for _, c := range list {
		pool.AddCert(c)
	}
	return pool, nil
}

// ParseKeyPair reads a certificate chain, leaf first, and its private key, all in PEM and in
// either order. The key is unencrypted PKCS #8, SEC 1 or PKCS #1, whatever its label says. Of
// several keys, the leaf's is used. Only the leaf must be understood; the rest of the chain is
// sent as it is. An error is a *[FileError] that names the first block that cannot be read.
func ParseKeyPair(data []byte) (tls.Certificate, error) {
	c, problem, err := parseKeyPair(data)
	if err != nil {
		return c, &FileError{"PEM", problem, err}
	}
	return c, nil
}

// problems are the faults of a file with a certificate, in the words of the Lua API.
var problems = map[pki.FileFault]string{
	pki.CertificateFault: problemCertificate,
	pki.KeyFault:         problemKey,
	pki.MismatchFault:    problemMismatch,
}

func parseKeyPair(data []byte) (c tls.Certificate, problem string, err error) {
	c, fault, err := pki.ReadIdentity(data)
	return c, problems[fault], err
}
