package hermetic

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// TestBadConfigs: the error names the field and the reason.
func TestBadConfigs(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	other := leaf
	other.PrivateKey = pkitest.Key(t, pkitest.P256, true)
	for _, c := range []struct {
		name string
		cfg  *Config
		want string
	}{
		{"no server name", &Config{}, "Config.ServerName: a client needs the name of its server, or InsecureSkipVerify"},
		{"an old version", &Config{MinVersion: tls.VersionTLS11}, "Config.MinVersion: TLS 1.1 is neither"},
		{"versions the wrong way round", &Config{MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS12}, "Config.MinVersion: it is newer than MaxVersion"},
		{"an unknown suite", &Config{CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}, "Config.CipherSuites: TLS_RSA_WITH_AES_128_CBC_SHA is not supported"},
		{"a suite that has no name", &Config{CipherSuites: []uint16{1}}, "Config.CipherSuites: 0x0001 is not supported"},
		{"no suite of the version", &Config{CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256}, MaxVersion: tls.VersionTLS12}, "Config.CipherSuites: none belongs to an enabled version"},
		{"an unknown group", &Config{CurvePreferences: []tls.CurveID{1}}, "Config.CurvePreferences: CurveID(1) is not supported"},
		{"only hybrids in TLS 1.2", &Config{CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}, MaxVersion: tls.VersionTLS12}, "Config.CurvePreferences: no group is usable"},
		{"a share of another group", &Config{KeyShares: []tls.CurveID{tls.X25519}, CurvePreferences: []tls.CurveID{tls.CurveP256}}, "Config.KeyShares: X25519 is not in CurvePreferences"},
		{"an unknown scheme", &Config{SignatureSchemes: []tls.SignatureScheme{tls.PKCS1WithSHA1}}, "Config.SignatureSchemes: PKCS1WithSHA1 is not supported"},
		{"an empty protocol", &Config{NextProtos: []string{"h2", ""}}, "Config.NextProtos: \"\" must have 1 to 255 bytes"},
		{"a suite twice", &Config{CipherSuites: []uint16{0x1301, 0x1302, 0x1301}}, "Config.CipherSuites: TLS_AES_128_GCM_SHA256 is listed twice"},
		{"a group twice", &Config{CurvePreferences: []tls.CurveID{tls.X25519, tls.X25519}}, "Config.CurvePreferences: X25519 is listed twice"},
		{"a share twice", &Config{KeyShares: []tls.CurveID{tls.X25519, tls.X25519}}, "Config.KeyShares: X25519 is listed twice"},
		{"shares in another order", &Config{CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}, KeyShares: []tls.CurveID{tls.CurveP256, tls.X25519}},
			"Config.KeyShares: X25519 comes after CurveP256, and before it in CurvePreferences"},
		{"a scheme twice", &Config{SignatureSchemes: []tls.SignatureScheme{tls.Ed25519, tls.Ed25519}}, "Config.SignatureSchemes: Ed25519 is listed twice"},
		{"no scheme", &Config{SignatureSchemes: []tls.SignatureScheme{}}, "Config.SignatureSchemes: it is empty"},
		{"a protocol twice", &Config{NextProtos: []string{"h2", "h3", "h2"}}, "Config.NextProtos: \"h2\" is listed twice"},
		{"a type twice", &Config{CertificateTypes: []CertificateType{CertificateX509, CertificateX509}}, "Config.CertificateTypes: X509 is listed twice"},
		{"a type of the peer twice", &Config{PeerCertificateTypes: []CertificateType{CertificateRawPublicKey, CertificateRawPublicKey}}, "Config.PeerCertificateTypes: RawPublicKey is listed twice"},
		{"an SRTP profile twice", &Config{DTLS: DTLSConfig{SRTPProfiles: []uint16{1, 1}}}, "Config.DTLS.SRTPProfiles: profile 0x0001 is listed twice"},
		{"a PSK twice", &Config{PSKs: []PSK{{Identity: []byte("a"), Key: []byte("k")}, {Identity: []byte("a"), Key: []byte("l")}}}, "Config.PSKs[1]: another PSK has the same identity"},
		{"an imported PSK twice", &Config{PSKs: []PSK{{Identity: []byte("a"), Key: []byte("k"), Import: true}, {Identity: []byte("a"), Key: []byte("l"), Import: true}}},
			"Config.PSKs[1]: another PSK has the same identity"},
		{"a PSK whose imported identity is too long", &Config{PSKs: []PSK{{Identity: make([]byte, 32767), Key: []byte("k"), Import: true, Context: make([]byte, 32761)}}},
			"Config.PSKs[0]: the identity and the context have 65528 bytes, more than 65527"},
		{"PSKs where certificates are required", &Config{PSKs: []PSK{{Identity: []byte("a"), Key: []byte("k")}}, ClientAuth: tls.RequireAndVerifyClientCert},
			"Config.ClientAuth: a client with a PSK shows no certificate"},
		{"PSKs of a callback where certificates are required", &Config{GetPSK: func([]byte) (*PSK, error) { return nil, nil }, ClientAuth: tls.RequireAnyClientCert},
			"Config.ClientAuth: a client with a PSK shows no certificate"},
		{"PSKs of the caller where certificates are required", &Config{Async: AsyncPSK, ClientAuth: tls.RequireAndVerifyClientCert}, "Config.ClientAuth: a client with a PSK shows no certificate"},
		{"tickets for eight days", &Config{TicketLifetime: 8 * 24 * time.Hour}, "Config.TicketLifetime: 192h0m0s is not from 0 to 168h0m0s"},
		{"a tiny fragment", &Config{MaxRecordData: 1}, "Config.MaxRecordData: 1 is not from 512 to 16384"},
		{"a key of another certificate", &Config{Certificates: []tls.Certificate{other}}, `Config.Certificates[0]: certificate/private key mismatch: PrivateKey is ECDSA on P-256, and not the key of Certificate[0], "CN=localhost" with ECDSA on P-256`},
		{"no key", &Config{Certificates: []tls.Certificate{{Certificate: leaf.Certificate}}}, "Config.Certificates[0]: it has no private key"},
		{"a key that cannot sign", &Config{Certificates: []tls.Certificate{{PrivateKey: 7}}}, "Config.Certificates[0]: its private key, a int, is no crypto.Signer"},
		{"raw keys without a judge", &Config{PeerCertificateTypes: []CertificateType{CertificateRawPublicKey}}, "Config.PeerCertificateTypes: CertificateRawPublicKey needs PeerPublicKeys"},
		{"raw keys that nobody asks for", &Config{PeerPublicKeys: []crypto.PublicKey{other.PrivateKey}}, "Config.PeerPublicKeys: raw public keys are not requested"},
		{"an unknown type", &Config{PeerCertificateTypes: []CertificateType{1}}, "Config.PeerCertificateTypes: 1 is neither CertificateX509 nor CertificateRawPublicKey"},
	} {
		_, err := NewEngine(TLSClient, c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		var wrong *ConfigError
		if !errors.As(err, &wrong) || !strings.HasPrefix(c.want, "Config."+wrong.Field+": ") {
			t.Errorf("%s: the field is not told: %#v", c.name, wrong)
		}
	}
	if _, err := NewEngine(TLSClient, nil); err == nil {
		t.Error("a nil Config is accepted")
	}
	if _, err := NewEngine(99, &Config{}); err == nil {
		t.Error("mode 99 is accepted")
	}
}

func TestModes(t *testing.T) {
	for m := TLSClient; m <= DTLSServer; m++ {
		if got, err := ParseMode(m.String()); err != nil || got != m {
			t.Errorf("%v: %v, %v", m, got, err)
		}
	}
	for _, bad := range []string{"", "tls", "TLS-client", " tls-client"} {
		if _, err := ParseMode(bad); err == nil {
			t.Errorf("%q is a mode", bad)
		}
	}
}

// TestLoadConfig: what files may hold, and that the Config verifies.
func TestLoadConfig(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	chain, key := pkitest.PEM(t, leaf)
	caChain, _ := pkitest.PEM(t, tls.Certificate{Certificate: [][]byte{ca.Certificate.Raw}, PrivateKey: leaf.PrivateKey})
	_, otherKey := pkitest.PEM(t, ca.Leaf(t, pkitest.Options{NewKey: true}))
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	broken := strings.Replace(string(chain), "MI", "!!", 1)
	for _, c := range []struct{ name, cacert, cert, want string }{
		{"both", string(caChain), string(chain) + string(key), ""},
		{"key first", string(caChain), string(key) + string(chain), ""},
		{"CRLF", strings.ReplaceAll(string(caChain), "\n", "\r\n"), strings.ReplaceAll(string(chain)+string(key), "\n", "\r\n"), ""},
		{"text between", "words\n" + string(caChain) + "more\n" + string(key), "words\n" + string(chain) + string(key), ""},
		{"several authorities", string(caChain) + string(chain), string(chain) + string(key), ""},
		{"no PEM in cacert", "words", "", "can't parse CA certificate: no PEM block"},
		{"empty cacert", "", "", "can't parse CA certificate: no PEM block"},
		{"cacert with one damaged", string(caChain) + broken, "", "can't parse CA certificate: "},
		{"truncated cacert", string(caChain[:len(caChain)/2]), "", "can't parse CA certificate: "},
		{"no PEM in cert", string(caChain), "words", "can't parse certificate: no PEM block"},
		{"no key", string(caChain), string(chain), "can't parse private key: no PRIVATE KEY block"},
		{"no certificate", string(caChain), string(key), "can't parse certificate: no CERTIFICATE block"},
		{"another key", string(caChain), string(chain) + string(otherKey), "certificate/private key mismatch: the private key does not belong to the first certificate: " +
			`block 1 (line 1) is the certificate "CN=localhost" with ECDSA on P-256; block 2 (line ` + strconv.Itoa(1+strings.Count(string(chain), "\n")) + `) is a private key, ECDSA on P-256`},
		{"another two", string(caChain), string(otherKey) + string(otherKey) + string(chain), "certificate/private key mismatch: none of the private keys belongs to the first certificate: " +
			`block 3 (line 11) is the certificate "CN=localhost" with ECDSA on P-256; block 1 (line 1) is a private key, ECDSA on P-256; block 2 (line 6) is a private key, ECDSA on P-256`},
		{"an encrypted key", string(caChain), string(chain) + "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "can't parse private key: the key is encrypted"},
		{"a damaged key", string(caChain), string(chain) + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "can't parse private key: "},
	} {
		for m := TLSClient; m <= TLSServer; m++ {
			certFile := ""
			if c.cert != "" {
				certFile = file("cert.pem", c.cert)
			}
			caFile := file("ca.pem", c.cacert)
			cfg, err := LoadConfig(m, caFile, certFile)
			var fileError *FileError
			switch {
			case c.want == "" && err != nil:
				t.Errorf("%s: %v", c.name, err)
			case c.want == "":
				cfg.ServerName = "localhost"
				if _, err := NewEngine(m, cfg); err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
				if verified := cfg.RootCAs != nil || cfg.ClientAuth == tls.RequireAndVerifyClientCert; !verified || cfg.InsecureSkipVerify {
					t.Errorf("%s: the peer is not verified", c.name)
				}
			case !errors.As(err, &fileError) || !strings.Contains(err.Error(), ".pem: "+c.want):
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
		}
	}
	if _, err := LoadConfig(TLSClient, dir, ""); err == nil || !strings.Contains(err.Error(), "can't parse CA certificate") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := LoadConfig(TLSServer, "", filepath.Join(dir, "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	cfg, err := LoadConfig(TLSClient, "", "")
	if err != nil || cfg.InsecureSkipVerify {
		t.Errorf("a client without files verifies nothing: %v", err)
	}
	var wrong *ConfigError
	if _, err := NewEngine(TLSClient, cfg); !errors.As(err, &wrong) || wrong.Field != "ServerName" {
		t.Errorf("a client without a name: %v", err)
	}
	server, err := LoadConfig(DTLSServer, "", "")
	if err != nil || server.ClientAuth != tls.NoClientCert {
		t.Errorf("a server without files: %v", err)
	}
}

// TestConfigErrorUnwrap: the cause of a ConfigError can be found.
func TestConfigErrorUnwrap(t *testing.T) {
	leaf := pkitest.CA(t).Leaf(t, pkitest.Options{})
	leaf.Certificate = [][]byte{{0x30, 0x00}}
	_, want := x509.ParseCertificate(leaf.Certificate[0])
	_, err := NewEngine(TLSServer, &Config{Certificates: []tls.Certificate{leaf}})
	var wrong *ConfigError
	if !errors.As(err, &wrong) || wrong.Field != "Certificates[0]" || wrong.Err == nil {
		t.Fatalf("got %v", err)
	}
	inner := errors.Unwrap(err)
	for errors.Unwrap(inner) != nil {
		inner = errors.Unwrap(inner)
	}
	if inner.Error() != want.Error() || !strings.Contains(wrong.Reason, want.Error()) {
		t.Errorf("its cause is %v, want %v", inner, want)
	}
}

// TestKeyForms: PKCS #8, SEC 1 and PKCS #1.
func TestKeyForms(t *testing.T) {
	ca := pkitest.CA(t)
	for _, kind := range pkitest.Kinds {
		leaf := ca.Leaf(t, pkitest.Options{Kind: kind})
		chain, key := pkitest.PEM(t, leaf)
		if _, err := ParseKeyPair(append(chain, key...)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	leaf := ca.Leaf(t, pkitest.Options{})
	chain, _ := pkitest.PEM(t, leaf)
	der, err := x509.MarshalECPrivateKey(leaf.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseKeyPair(append(chain, pemBlock("EC PRIVATE KEY", der)...)); err != nil {
		t.Errorf("SEC 1: %v", err)
	}
}

// TestLoadedNames: with cacert the chain is checked, and the name once it is
// set.
func TestLoadedNames(t *testing.T) {
	ca := pkitest.CA(t)
	server := &Config{Time: atNow, Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{Name: "example.com"})}}
	for _, c := range []struct {
		name, set string
		ok        bool
	}{{"no name", "", true}, {"its name", "example.com", true}, {"in another case", "EXAMPLE.com", true}, {"another name", "example.org", false}} {
		client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerNameOptional: true}
		p := newMeeting(t, false, client, server)
		if err := p.client.SetServerName(c.set); err != nil {
			t.Fatal(err)
		}
		clientErr, _ := p.pump()
		if ok := clientErr == nil; ok != c.ok {
			t.Errorf("%s: %v", c.name, clientErr)
		}
		if got := p.server.State().ServerName; got != c.set {
			t.Errorf("%s: the server was told %q", c.name, got)
		}
		p.client.Reset()
		p.server.Reset()
		if clientErr, _ := p.pump(); (clientErr == nil) != c.ok {
			t.Errorf("%s, after Reset: %v", c.name, clientErr)
		}
	}
}

// TestCloneTakesAll: a field that Clone forgets, or takes from another one, is one that
// GetConfigForClient loses.
func TestCloneTakesAll(t *testing.T) {
	typ := reflect.TypeFor[Config]()
	for i := range typ.NumField() {
		if !typ.Field(i).IsExported() {
			continue
		}
		var c Config
		fill(reflect.ValueOf(&c).Elem().Field(i))
		clone := reflect.ValueOf(c.Clone()).Elem()
		for j := range typ.NumField() {
			if f := typ.Field(j); f.IsExported() && clone.Field(j).IsZero() != (i != j) {
				t.Errorf("with only %s set, Clone has %s: %t", typ.Field(i).Name, f.Name, i != j)
			}
		}
	}
}

// fill makes a field something that is not zero.
func fill(f reflect.Value) {
	switch f.Kind() {
	case reflect.Struct:
		if f.NumField() > 0 && f.Field(0).CanSet() {
			fill(f.Field(0))
		}
	case reflect.Func:
		f.Set(reflect.MakeFunc(f.Type(), nil))
	case reflect.Slice:
		f.Set(reflect.MakeSlice(f.Type(), 1, 1))
	case reflect.Array:
		fill(f.Index(0))
	case reflect.Pointer:
		f.Set(reflect.New(f.Type().Elem()))
	case reflect.String:
		f.SetString("x")
	case reflect.Bool:
		f.SetBool(true)
	case reflect.Interface:
		for _, v := range []any{rand.Reader, io.Discard, tls.NewLRUClientSessionCache(1), NewSessionCache(1), StaticTicketKeys(), NewReplayGuard(1, atNow)} {
			if reflect.TypeOf(v).Implements(f.Type()) {
				f.Set(reflect.ValueOf(v))
			}
		}
	case reflect.Int, reflect.Int64:
		f.SetInt(1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		f.SetUint(1)
	}
}

// TestBuiltInCertificate: a server without a certificate makes one,
// fresh in the process.
func TestBuiltInCertificate(t *testing.T) {
	seen := map[string]bool{}
	for range 2 {
		server := &Config{}
		for range 2 {
			p := newMeeting(t, false, &Config{InsecureSkipVerify: true}, server)
			p.handshake()
			key := p.client.State().PeerPublicKey.(*ecdsa.PublicKey)
			if key.Curve != elliptic.P256() {
				t.Errorf("a key on %v", key.Curve)
			}
			der, err := x509.MarshalPKIXPublicKey(key)
			if err != nil {
				t.Fatal(err)
			}
			seen[string(der)] = true
		}
	}
	if len(seen) != 2 {
		t.Errorf("%d keys of two Configs", len(seen))
	}
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// TestFIPSOnly: a mode in which AES-GCM would panic is refused with an error.
func TestFIPSOnly(t *testing.T) {
	if fips140.Enforced() {
		if _, err := NewEngine(TLSClient, &Config{ServerName: "localhost"}); !errors.Is(err, errFIPSOnly) || err.Error() != "hermetic: Config: "+errFIPSOnly.Error() {
			t.Fatal(err)
		}
		return
	}
	if testing.Short() {
		t.Skip("a short run, maybe in QEMU, starts no processes")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run", "^TestFIPSOnly$")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestConfigsAreShared: many connections at once have one Config, with all that it
// keeps: keys, sessions, chains, what it has seen.
func TestConfigsAreShared(t *testing.T) {
	client, server, _ := sessionConfigs(t, tls.VersionTLS13)
	client.Certificates, client.EarlyData, server.MaxEarlyData = server.Certificates, true, 1000
	server.ClientAuth, server.ClientCAs = tls.VerifyClientCertIfGiven, client.RootCAs // and PSKs
	server.DTLS.TrustAddress = true
	server.PSKs = []PSK{{Identity: []byte("device"), Key: make([]byte, 16), Import: true}}
	withPSK := client.Clone()
	withPSK.PSKs = server.PSKs
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			cfg, datagram := client, i%2 == 0
			if i%4 > 1 {
				cfg = withPSK
			}
			for range 4 {
				m := newMeeting(t, datagram, cfg, server)
				if m.client.EarlyDataRoom() > 0 {
					if err := m.sendEarly("early words"); err != nil {
						t.Error(err)
					}
				}
				if err := m.run(); err != nil || !m.server.HandshakeComplete() {
					t.Errorf("complete %v, %v", m.server.HandshakeComplete(), err)
				}
				if !server.CheckCookie(nil, server.Cookie(nil)) {
					t.Error("a cookie is not good")
				}
			}
		})
	}
	all.Wait()
}

// TestUselessKeys: a key that signs no handshake of this Config is an error of it, and
// of the file that it is in, if no Config could use it. What some peer accepts stays.
func TestUselessKeys(t *testing.T) {
	ca := pkitest.CA(t)
	own := func(key crypto.Signer) tls.Certificate {
		template := *ca.Leaf(t, pkitest.Options{}).Leaf
		template.PublicKey = nil
		der, err := x509.CreateCertificate(rand.Reader, &template, &x509.Certificate{}, key.Public(), pkitest.Key(t, pkitest.P256, false))
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p, q := prime(t, 256), prime(t, 256)
	small := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, Primes: []*big.Int{p, q}}
	phi := new(big.Int).Mul(new(big.Int).Sub(p, big.NewInt(1)), new(big.Int).Sub(q, big.NewInt(1)))
	small.D = new(big.Int).ModInverse(big.NewInt(65537), phi)
	limited := ca.Leaf(t, pkitest.Options{})
	limited.SupportedSignatureAlgorithms = []tls.SignatureScheme{tls.PSSWithSHA256}
	old := ca.Leaf(t, pkitest.Options{Kind: pkitest.RSA2048})
	old.SupportedSignatureAlgorithms = []tls.SignatureScheme{tls.PKCS1WithSHA256}
	onlyRSA := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for _, c := range []struct {
		name string
		cfg  *Config
		cert tls.Certificate
		want string
	}{
		{"RSA-512", &Config{}, own(small), "512 bits, and 1024 are the least"},
		{"a raw key of RSA-512", &Config{}, tls.Certificate{PrivateKey: small}, "512 bits"},
		{"P-224 in TLS 1.3", &Config{MinVersion: tls.VersionTLS13}, own(p224), "ECDSA on P-224"},
		{"P-224 with suites of TLS 1.3", &Config{CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256}}, own(p224), "ECDSA on P-224"},
		{"P-224 in both versions", &Config{}, own(p224), ""},
		{"ECDSA with suites for RSA", &Config{CipherSuites: onlyRSA}, ca.Leaf(t, pkitest.Options{}), "ECDSA on P-256"},
		{"RSA with suites for RSA", &Config{CipherSuites: onlyRSA}, ca.Leaf(t, pkitest.Options{Kind: pkitest.RSA2048}), ""},
		{"Ed25519 with suites for RSA", &Config{CipherSuites: onlyRSA}, ca.Leaf(t, pkitest.Options{Kind: pkitest.Ed25519}), "Ed25519"},
		{"schemes of another key", &Config{}, limited, "SupportedSignatureAlgorithms"},
		{"PKCS #1 in TLS 1.3", &Config{MinVersion: tls.VersionTLS13}, old, "RSA with 2048 bits"},
		{"PKCS #1 in TLS 1.2", &Config{}, old, ""},
		{"a leaf that may not sign", &Config{}, ca.Leaf(t, pkitest.Options{KeyUsage: x509.KeyUsageKeyEncipherment}), ""},
	} {
		for _, mode := range []Mode{TLSClient, TLSServer} {
			cfg := c.cfg.Clone()
			cfg.InsecureSkipVerify, cfg.Certificates = true, []tls.Certificate{ca.Leaf(t, pkitest.Options{Kind: pkitest.RSA2048}), c.cert}
			_, err := NewEngine(mode, cfg)
			if (err == nil) != (c.want == "") || err != nil && !(strings.Contains(err.Error(), "Certificates[1]: ") && strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s, %v: %v, want %q", c.name, mode, err, c.want)
			}
		}
	}
	for want, key := range map[string]crypto.Signer{"can't parse private key: ": small, "": p224} {
		c := own(key)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "cert.pem")
		if err := os.WriteFile(file, append(pemBlock("CERTIFICATE", c.Certificate[0]), pemBlock("PRIVATE KEY", der)...), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadConfig(TLSServer, "", file); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%T from a file: %v", key, err)
		}
	}
}

func prime(t *testing.T, bits int) *big.Int {
	t.Helper()
	p, err := rand.Prime(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// silentReader never returns anything, nor an error.
type silentReader struct{}

func (silentReader) Read([]byte) (int, error) { return 0, nil }

// TestSilentRand: a source of randomness that never returns anything fails the handshake, and does not
// hang it.
func TestSilentRand(t *testing.T) {
	for _, datagram := range []bool{false, true} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, side := range []string{"client", "server"} {
				client, server := configs(t)
				client.MaxVersion = version
				if side == "client" {
					client.Rand = silentReader{}
				} else {
					server.Rand = silentReader{}
				}
				m := newMeeting(t, datagram, client, server)
				m.run()
				e := m.client
				if side == "server" {
					e = m.server
				}
				var alert *AlertError
				if _, err := e.Open(nil); !errors.As(err, &alert) || alert.Alert != AlertInternalError || !errors.Is(err, io.ErrNoProgress) {
					t.Errorf("%s of %s, over datagrams %v: %v", side, tls.VersionName(version), datagram, err)
				}
			}
		}
	}
}
