package mbedtls

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/youmark/pkcs8"

	"github.com/hermetic-tls/hermetic"
)

// The problems of files, in the original's words, and one of ours.
const (
	noAuthorities = "can't parse CA certificate"
	noCertificate = "can't parse certificate"
	noKey         = "can't parse private key"
	noCRL         = "can't parse CRL"
)

// trust is whom the peer's certificate may be from. Values are files, or the PEM itself.
type trust struct {
	cacert    string
	cacertSet bool
	capath    string   // a folder
	revoked   []string // CRLs

	depth      int // how many authorities may be between the leaf and its root
	depthSet   bool
	anyPurpose bool // whatever the certificate says that it is for
	ocsp       hermetic.OCSPCheck

	lists []*x509.RevocationList // of revoked
}

func (t *trust) given() bool { return t.cacertSet || t.capath != "" }

// identity is one of our certificates. Values are files, or the PEM itself; a certificate
// without a key has it in the same file.
type identity struct {
	cert, key, password string
	certSet, separate   bool // cert and key were given
}

// identities are our certificates: one, and a list of more.
type identities struct {
	single *identity
	list   []identity
}

// errNameless is why the file of an empty name does not load.
var errNameless = errors.New("its name is empty")

// fileError is the error of a file that does not load: the original's text,
// and in the table form, which the original lacks, the reason.
func (o *Options) fileError(err error) error {
	file := (*hermetic.FileError)(nil)
	if !errors.As(err, &file) {
		return err
	}
	text := file.File + ": " + file.Problem
	if o.Table {
		text += ": " + reason(file.Err)
	}
	return errors.New(text)
}

// reason is the text of an error whose file has been named.
func reason(err error) string {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}

// load reads the certificates: from files, or from the options themselves if they hold PEM.
func (o *Options) load(config *hermetic.Config) (err error) {
	if !o.trust.given() {
		config.InsecureSkipVerify = true // the Lua document's rule; no other Config has it
	} else {
		pool, err := o.trust.pool()
		if err != nil {
			return err
		}
		if o.mode.IsServer() {
			config.ClientCAs, config.ClientAuth = pool, tls.RequireAndVerifyClientCert
		} else {
			config.RootCAs = pool
		}
	}
	if o.trust.lists, err = loadCRLs(o.trust.revoked); err != nil {
		return err
	}
	config.Certificates, err = o.own.load()
	return err
}

// pool is the authorities of cacert and capath.
func (t *trust) pool() (*x509.CertPool, error) {
	var all []byte
	if t.cacertSet {
		data, err := readValue(t.cacert, noAuthorities)
		if err != nil {
			return nil, err
		}
		pool, err := hermetic.ParseCertPool(data)
		if err != nil {
			return nil, naming(err, t.cacert)
		}
		if t.capath == "" {
			return pool, nil
		}
		all = append(data, '\n')
	}
	return t.folder(all)
}

// folder adds the authorities in a folder: certificates in PEM of files whose name ends in .pem,
// .crt or .cer, or is one that `openssl rehash` gives.
func (t *trust) folder(all []byte) (*x509.CertPool, error) {
	entries, err := os.ReadDir(t.capath)
	if err != nil {
		return nil, &hermetic.FileError{File: t.capath, Problem: noAuthorities, Err: err}
	}
	found := len(all) > 0
	for _, e := range entries {
		ending := filepath.Ext(e.Name())
		rehashed := len(e.Name()) == len("01234567.0") && ending >= ".0" && ending <= ".9"
		if e.IsDir() || !rehashed && !slices.Contains([]string{".pem", ".crt", ".cer"}, ending) {
			continue
		}
		name := filepath.Join(t.capath, e.Name())
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, &hermetic.FileError{File: name, Problem: noAuthorities, Err: err}
		}
		if _, err := hermetic.ParseCertPool(data); err != nil {
			return nil, naming(err, name)
		}
		all, found = append(append(all, data...), '\n'), true
	}
	if !found {
		return nil, &hermetic.FileError{File: t.capath, Problem: noAuthorities, Err: errors.New("it has no file *.pem, *.crt or *.cer")}
	}
	return hermetic.ParseCertPool(all)
}

// readValue returns the content of a file, or the value itself if it is PEM.
func readValue(value, problem string) ([]byte, error) {
	switch {
	case value == "":
		return nil, &hermetic.FileError{Problem: problem, Err: errNameless}
	case isPEM(value):
		return []byte(value), nil
	}
	data, err := os.ReadFile(value)
	if err != nil {
		return nil, &hermetic.FileError{File: value, Problem: problem, Err: err}
	}
	return data, nil
}

// naming names the file in an error, where the value is one.
func naming(err error, value string) error {
	if file := (*hermetic.FileError)(nil); errors.As(err, &file) && !isPEM(value) {
		file.File = value
	}
	return err
}

// loadCRLs reads revocation lists, in PEM or DER.
func loadCRLs(values []string) (lists []*x509.RevocationList, err error) {
	for _, value := range values {
		data, err := readValue(value, noCRL)
		if err != nil {
			return nil, err
		}
		some, err := parseCRLs(data)
		if err != nil {
			return nil, naming(&hermetic.FileError{File: "PEM", Problem: noCRL, Err: err}, value)
		}
		lists = append(lists, some...)
	}
	return lists, nil
}

func parseCRLs(data []byte) (lists []*x509.RevocationList, err error) {
	if !strings.Contains(string(data), "-----BEGIN ") {
		l, err := newCRL(data)
		return []*x509.RevocationList{l}, err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		l, err := newCRL(block.Bytes)
		if err != nil {
			return nil, err
		}
		lists = append(lists, l)
	}
	if len(lists) == 0 {
		return nil, errors.New("no X509 CRL block")
	}
	return lists, nil
}

// load reads our certificates and their keys.
func (ids *identities) load() (pairs []tls.Certificate, err error) {
	if ids.single != nil {
		if !ids.single.certSet {
			return nil, errors.New("options 'key' and 'password' need 'cert': whose key it is")
		}
		ids.list = append([]identity{*ids.single}, ids.list...)
	}
	for i := range ids.list {
		pair, err := ids.list[i].load()
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
}

// load reads a certificate and its key: from two files, or both from one.
func (id *identity) load() (pair tls.Certificate, err error) {
	data, err := readValue(id.cert, noCertificate)
	if err != nil {
		return pair, err
	}
	keyFile, keyData := id.cert, data
	if id.separate {
		keyFile = id.key
		if keyData, err = readValue(id.key, noKey); err != nil {
			return pair, err
		}
	}
	if keyData, err = decrypt(keyData, id.password); err != nil {
		return pair, naming(&hermetic.FileError{File: "PEM", Problem: noKey, Err: err}, keyFile)
	}
	if id.separate {
		keyData = slices.Concat(onlyCertificates(data), []byte("\n"), keyData)
	}
	pair, err = hermetic.ParseKeyPair(keyData)
	if file := (*hermetic.FileError)(nil); errors.As(err, &file) && file.Problem == noKey {
		return pair, naming(err, keyFile)
	}
	return pair, naming(err, id.cert)
}

// onlyCertificates drops the keys of a certificate's file, where the key is in another.
func onlyCertificates(data []byte) (certs []byte) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			certs = append(certs, pem.EncodeToMemory(block)...)
		}
	}
	if certs == nil {
		return data
	}
	return certs
}

var (
	errEncrypted = errors.New("it is encrypted: option 'password' is missing")
	errPassword  = errors.New("the password is wrong, or the key is damaged")
)

// decrypt replaces the encrypted private keys in PEM: those of PKCS #8, and of OpenSSL's older
// form (RFC 1421).
func decrypt(data []byte, password string) ([]byte, error) {
	var plain []byte
	found := false
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		old := strings.HasSuffix(block.Type, "PRIVATE KEY") && block.Headers["DEK-Info"] != ""
		if old || block.Type == "ENCRYPTED PRIVATE KEY" {
			if password == "" {
				return nil, errEncrypted
			}
			found = true
			var err error
			if block, err = decryptBlock(block, old, password); err != nil {
				return nil, err
			}
		}
		plain = append(plain, pem.EncodeToMemory(block)...)
	}
	if !found {
		return data, nil
	}
	return plain, nil
}

func decryptBlock(block *pem.Block, old bool, password string) (*pem.Block, error) {
	if old {
		//lint:ignore SA1019 it authenticates nothing, but the file is the user's own
		der, err := x509.DecryptPEMBlock(block, []byte(password))
		if err != nil {
			return nil, errPassword
		}
		return &pem.Block{Type: block.Type, Bytes: der}, nil
	}
	key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, []byte(password))
	if err != nil {
		return nil, errPassword
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &pem.Block{Type: "PRIVATE KEY", Bytes: der}, nil
}

// isPEM distinguishes certificates given as strings from file names. A text of several
// lines is not a name either: damaged PEM must not be opened as a file, because the
// error would have its name, a private key.
func isPEM(value string) bool {
	return strings.Contains(value, "-----BEGIN ") || strings.ContainsAny(value, "\r\n")
}
