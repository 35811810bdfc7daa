package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hermetic-tls/hermetic"
)

func certCommand() *cobra.Command {
	var dir string
	var days int
	c := &cobra.Command{
		Use:   "cert [NAME...]",
		Short: "Make an authority and certificates for trials",
		Long: `Make an authority (ca.pem) and, for each NAME, a file NAME.pem with a certificate and its key, for servers and clients.
A NAME is a host name or an address; without names, it is localhost. The authority's key is kept in ca-key.pem and used
again the next time.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if len(names) == 0 {
				names = []string{"localhost"}
			}
			for _, name := range names {
				if err := checkName(name); err != nil {
					return err
				}
			}
			if days < -maxDays || days > maxDays {
				return misuse("--days: %d is not from %d to %d", days, -maxDays, maxDays)
			}
			a, err := openAuthority(dir, days)
			if err != nil {
				return err
			}
			for _, name := range names {
				file, err := a.issue(dir, name, days)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: certificate and key for %s, until %s\n", file, name, time.Now().AddDate(0, 0, days).Format(time.DateOnly))
			}
			serverName := " --servername " + names[0]
			if names[0] == "localhost" {
				serverName = "" // the client takes it from the address
			}
			fmt.Fprintf(cmd.OutOrStdout(), "\nTry:\n  hermetic server localhost:4433 --cert %s\n  hermetic client localhost:4433 --cacert %s%s --http\n",
				filepath.Join(dir, names[0]+".pem"), filepath.Join(dir, "ca.pem"), serverName)
			return nil
		},
	}
	c.Flags().StringVar(&dir, "out", ".", "`DIR` for the files")
	c.Flags().IntVar(&days, "days", 90, "how many `DAYS` the certificates are valid; negative: they have expired already, to try that")
	return c
}

// maxDays is the longest validity. An authority's is four times as long, and must end before the
// year 10000 (RFC 5280, Section 4.1.2.5).
const maxDays = 36_500

// checkName refuses a name that no certificate can have, or whose file is the authority's.
func checkName(name string) error {
	switch {
	case strings.EqualFold(name, "ca"), strings.EqualFold(name, "ca-key"):
		return misuse("cert: %s.pem is the authority's own file: choose another name", name)
	case net.ParseIP(name) == nil && !isHostName(name):
		return misuse("cert: %q is neither a host name nor an IP address: give one such as localhost or 127.0.0.1", name)
	}
	return nil
}

// isHostName reports whether name has the form of RFC 1123, Section 2.1. Underscores
// are allowed: they are common in private names.
func isHostName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, notInHostNames) {
			return false
		}
	}
	return true
}

func notInHostNames(r rune) bool {
	return (r < 'a' || 'z' < r) && (r < 'A' || 'Z' < r) && (r < '0' || '9' < r) && r != '-' && r != '_'
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// openAuthority reads ca.pem and ca-key.pem, or makes them.
func openAuthority(dir string, days int) (*authority, error) {
	certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem")
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return newAuthority(certFile, keyFile, days)
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	c, err := hermetic.ParseKeyPair(slices.Concat(certPEM, []byte("\n"), keyPEM))
	var fault *hermetic.FileError
	switch {
	case errors.As(err, &fault) && fault.Problem == "certificate/private key mismatch":
		return nil, fmt.Errorf("%s and %s do not belong together: delete both to start over", certFile, keyFile)
	case errors.As(err, &fault):
		return nil, fmt.Errorf("%s and %s: %s: %w: delete both to start over", certFile, keyFile, fault.Problem, fault.Err)
	}
	return &authority{c.Leaf, c.PrivateKey.(crypto.Signer)}, nil
}

func newAuthority(certFile, keyFile string, days int) (*authority, error) {
	if err := os.MkdirAll(filepath.Dir(certFile), 0o755); err != nil {
		return nil, err
	}
	a, err := makeAuthority(4 * days)
	if err != nil {
		return nil, err
	}
	keyPEM, err := pemKey(a.key)
	if err != nil {
		return nil, err
	}
	return a, errors.Join(write(certFile, 0o644, pemCertificate(a.cert.Raw)), write(keyFile, 0o600, keyPEM))
}

// makeAuthority makes an authority in memory.
func makeAuthority(days int) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := skeleton("hermetic trial authority", days)
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert, key}, err
}

// issue writes a certificate and its key to a file.
func (a *authority) issue(dir, name string, days int) (file string, err error) {
	cert, err := a.certificate(name, days)
	if err != nil {
		return "", err
	}
	keyPEM, err := pemKey(cert.PrivateKey.(crypto.Signer))
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, name+".pem")
	return file, write(file, 0o600, append(pemCertificate(cert.Certificate[0]), keyPEM...))
}

// certificate makes a certificate for a host name or address.
func (a *authority) certificate(name string, days int) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := skeleton(name, days)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	if ip := net.ParseIP(name); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else {
		t.DNSNames = []string{name}
	}
	if name == "localhost" {
		t.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func skeleton(name string, days int) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(0, 0, days),
	}
}

func pemCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func pemKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

// write does not write into an existing file, whose mode would stay as it was.
func write(file string, mode os.FileMode, data []byte) error {
	if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(file, data, mode)
}
