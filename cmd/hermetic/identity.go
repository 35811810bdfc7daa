package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"github.com/hermetic-tls/hermetic"
)

// identityOptions are the flags for our certificates, and for the peer's.
type identityOptions struct {
	cacert     string
	pairs      []keyPair
	clientAuth clientAuth // only a server has it
}

// keyPair names the files of a certificate and its key.
type keyPair struct{ cert, key string } // key: "" if the file cert has it

func (o *identityOptions) addTo(f *pflag.FlagSet, cacert string) {
	f.Var((*filename)(&o.cacert), "cacert", cacert)
	f.Var((*certFlag)(&o.pairs), "cert", "`FILE` with our certificate chain, and its key unless --key has it, in PEM; repeat it for more certificates")
	f.Var((*keyFlag)(&o.pairs), "key", "`FILE` with the private key of the --cert before it, in PEM")
}

// certFlag adds a certificate.
type certFlag []keyPair

func (f *certFlag) repeats()       {}
func (f *certFlag) Type() string   { return "file" }
func (f *certFlag) String() string { return "" }

func (f *certFlag) Set(file string) error {
	if file == "" {
		return errNoFile
	}
	*f = append(*f, keyPair{cert: file})
	return nil
}

var (
	errNoCert   = errors.New("give it after the --cert that it belongs to")
	errManyKeys = errors.New("the --cert before it has a key already: give each --key after its --cert")
)

// keyFlag sets the key of the last certificate.
type keyFlag []keyPair

func (f *keyFlag) repeats()       {}
func (f *keyFlag) Type() string   { return "file" }
func (f *keyFlag) String() string { return "" }

func (f *keyFlag) Set(file string) error {
	switch last := len(*f) - 1; {
	case file == "":
		return errNoFile
	case last < 0:
		return errNoCert
	case (*f)[last].key != "":
		return errManyKeys
	default:
		(*f)[last].key = file
		return nil
	}
}

// load reads a certificate and its key.
func (p keyPair) load() (tls.Certificate, error) {
	if p.key == "" {
		return hermetic.LoadKeyPair(p.cert)
	}
	chain, err := os.ReadFile(p.cert)
	if err != nil {
		return tls.Certificate{}, misuse("--cert: %w", err)
	}
	key, err := os.ReadFile(p.key)
	if err != nil {
		return tls.Certificate{}, misuse("--key: %w", err)
	}
	pair, err := hermetic.ParseKeyPair(slices.Concat(chain, []byte("\n"), key))
	var fault *hermetic.FileError
	if errors.As(err, &fault) {
		fault.File = p.cert + " and " + p.key
	}
	return pair, err
}

// certificates loads all of --cert.
func (o *identityOptions) certificates() (list []tls.Certificate, err error) {
	for _, p := range o.pairs {
		c, err := p.load()
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// authorities loads --cacert, or is nil.
func (o *identityOptions) authorities() (*x509.CertPool, error) {
	if o.cacert == "" {
		return nil, nil
	}
	return hermetic.LoadCertPool(o.cacert)
}

// clientAuth is the value of --client-auth.
type clientAuth string

const (
	clientAuthRequest clientAuth = "request"
	clientAuthRequire clientAuth = "require"
	clientAuthVerify  clientAuth = "verify"
)

func (a *clientAuth) Type() string   { return "client-auth" }
func (a *clientAuth) String() string { return string(*a) }

func (a *clientAuth) Set(text string) error {
	switch clientAuth(text) {
	case clientAuthRequest, clientAuthRequire, clientAuthVerify:
		*a = clientAuth(text)
		return nil
	}
	return notOneOf("request, require or verify")
}

// demand returns what a server demands of its clients. With --cacert, no certificate of another
// authority is accepted.
func (o *identityOptions) demand() tls.ClientAuthType {
	switch verified := o.cacert != ""; {
	case o.clientAuth == clientAuthRequest && verified:
		return tls.VerifyClientCertIfGiven
	case o.clientAuth == clientAuthRequest:
		return tls.RequestClientCert
	case o.clientAuth == clientAuthRequire && !verified:
		return tls.RequireAnyClientCert
	case verified:
		return tls.RequireAndVerifyClientCert
	}
	return tls.NoClientCert
}
