package hermetic

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/crypto/ocsp"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/suite"
)

// TestPolicyConflicts: a field that contradicts the policy is an error that names both, and so
// is a policy that cannot be.
func TestPolicyConflicts(t *testing.T) {
	ca := pkitest.CA(t)
	own := func(kind string) []tls.Certificate {
		return []tls.Certificate{ca.Leaf(t, pkitest.Options{Kind: kind})}
	}
	rsaOnly256 := own(pkitest.RSA2048)
	rsaOnly256[0].SupportedSignatureAlgorithms = []tls.SignatureScheme{tls.PSSWithSHA256}
	relaxed := PolicyCNSA1()
	relaxed.MinRSABits = 2048
	for _, c := range []struct {
		name string
		cfg  *Config
		want string
	}{
		{"a suite", &Config{Policy: PolicyFIPS(), CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_CHACHA20_POLY1305_SHA256}},
			"Config.CipherSuites: TLS_CHACHA20_POLY1305_SHA256 is forbidden by Config.Policy (FIPS 140-3)"},
		{"CCM, which is not of the validated module", &Config{Policy: PolicyFIPS(), CipherSuites: []uint16{0x1304}}, "Config.CipherSuites: TLS_AES_128_CCM_SHA256 is forbidden by Config.Policy (FIPS 140-3)"},
		{"a group", &Config{Policy: PolicyWPA3(), CurvePreferences: []tls.CurveID{tls.CurveP384, tls.CurveP256}}, "Config.CurvePreferences: P-256 is forbidden by Config.Policy (WPA3 192-bit)"},
		{"a hybrid", &Config{Policy: PolicyCNSA2(), CurvePreferences: []tls.CurveID{tls.SecP384r1MLKEM1024}}, "Config.CurvePreferences: SecP384r1MLKEM1024 is forbidden by Config.Policy (CNSA 2.0)"},
		{"a scheme", &Config{Policy: PolicyCNSA1(), SignatureSchemes: []tls.SignatureScheme{tls.PSSWithSHA256}}, "Config.SignatureSchemes: PSSWithSHA256 is forbidden by Config.Policy (CNSA 1.0)"},
		{"an old version", &Config{Policy: PolicyCNSA2(), MinVersion: tls.VersionTLS12}, "Config.MinVersion: TLS 1.2 is forbidden by Config.Policy (CNSA 2.0)"},
		{"only an old version", &Config{Policy: PolicyCNSA2(), MaxVersion: tls.VersionTLS12}, "Config.MaxVersion: TLS 1.2 is forbidden by Config.Policy (CNSA 2.0)"},
		{"early data", &Config{Policy: PolicyCNSA1(), EarlyData: true}, "Config.EarlyData: it is forbidden by Config.Policy (CNSA 1.0)"},
		{"early data of a server", &Config{Policy: PolicyCNSA2(), MaxEarlyData: 1}, "Config.MaxEarlyData: it is forbidden by Config.Policy (CNSA 2.0)"},
		{"a curve of our certificate", &Config{Policy: PolicyCNSA1(), Certificates: own(pkitest.P256)}, "Config.Certificates[0]: ECDSA on P-256 is forbidden by the policy CNSA 1.0"},
		{"Ed25519 of our certificate", &Config{Policy: PolicyFIPS(), Certificates: own(pkitest.Ed25519)}, "Config.Certificates[0]: Ed25519 is forbidden by the policy FIPS 140-3"},
		{"the size of our RSA key", &Config{Policy: PolicyWPA3(), Certificates: own(pkitest.RSA2048)}, "Config.Certificates[0]: RSA with 2048 bits is forbidden by the policy WPA3 192-bit, which demands 3072 bits"},
		{"what our key may sign with", &Config{Policy: relaxed, Certificates: rsaOnly256}, "Config.Certificates[0]: all of its SupportedSignatureAlgorithms are forbidden by the policy CNSA 1.0"},
		{"a raw key", &Config{Policy: PolicyCNSA1(), PeerCertificateTypes: []CertificateType{CertificateRawPublicKey}, PeerPublicKeys: []crypto.PublicKey{pkitest.Key(t, pkitest.P256, false).Public()}},
			"Config.PeerPublicKeys[0]: ECDSA on P-256 is forbidden by the policy CNSA 1.0"},
		{"no name", &Config{Policy: &Policy{}}, "Config.Policy.Name: it is empty"},
		{"a version that there is not", &Config{Policy: &Policy{Name: "ours", MinVersion: tls.VersionTLS11}}, "Config.Policy.MinVersion: TLS 1.1 is neither"},
		{"a suite that there is not", &Config{Policy: &Policy{Name: "ours", CipherSuites: []uint16{7}}}, "Config.Policy.CipherSuites: 0x0007 is not supported"},
		{"a group that there is not", &Config{Policy: &Policy{Name: "ours", CurvePreferences: []tls.CurveID{7}}}, "Config.Policy.CurvePreferences: CurveID(7) is not supported"},
		{"a scheme that there is not", &Config{Policy: &Policy{Name: "ours", SignatureSchemes: []tls.SignatureScheme{tls.PKCS1WithSHA1}}}, "Config.Policy.SignatureSchemes: PKCS1WithSHA1 is not supported"},
		{"no group", &Config{Policy: &Policy{Name: "ours", CurvePreferences: []tls.CurveID{}}}, "Config.CurvePreferences: no group is usable"},
		{"no suite", &Config{Policy: &Policy{Name: "ours", CipherSuites: []uint16{}}}, "Config.CipherSuites: none belongs to an enabled version"},
		{"no scheme", &Config{Policy: &Policy{Name: "ours", SignatureSchemes: []tls.SignatureScheme{}}}, "Config.SignatureSchemes: it is empty"},
		{"a suite twice", &Config{Policy: &Policy{Name: "ours", CipherSuites: []uint16{0x1301, 0x1301}}}, "Config.Policy.CipherSuites: TLS_AES_128_GCM_SHA256 is listed twice"},
		{"a negative size", &Config{Policy: &Policy{Name: "ours", MinRSABits: -1}}, "Config.Policy.MinRSABits: -1 is negative"},
	} {
		for _, mode := range []Mode{TLSServer, DTLSServer} {
			_, err := NewEngine(mode, c.cfg)
			var wrong *ConfigError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(c.want, "Config."+wrong.Field+": ") {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
		}
	}
}

// rsa3072 makes an RSA key of 3,072 bits.
func rsa3072(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestPolicies: what each preset negotiates with a peer without one, in both roles, and what it
// refuses.
func TestPolicies(t *testing.T) {
	type want struct {
		suite  uint16
		group  tls.CurveID
		scheme tls.SignatureScheme
	}
	ecdsa384, rsa2048 := pkitest.CAWith(t, pkitest.P384), pkitest.CAWith(t, pkitest.RSA2048)
	mixed := pkitest.CAWith(t, pkitest.P256)
	large := rsa3072(t)
	all := []tls.CurveID{MLKEM1024, tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}
	for _, c := range []struct {
		name    string
		policy  func() *Policy
		version uint16
		ca      *pkitest.Authority
		leaf    pkitest.Options
		groups  []tls.CurveID // of the peer
		want    want
		refused string // by the side with the policy as a client
	}{
		{"FIPS", PolicyFIPS, tls.VersionTLS13, mixed, pkitest.Options{}, all, want{tls.TLS_AES_128_GCM_SHA256, tls.SecP256r1MLKEM768, tls.ECDSAWithP256AndSHA256}, ""},
		{"FIPS with RSA", PolicyFIPS, tls.VersionTLS13, rsa2048, pkitest.Options{Kind: pkitest.RSA2048}, []tls.CurveID{tls.X25519, tls.CurveP256}, want{tls.TLS_AES_128_GCM_SHA256, tls.CurveP256, tls.PSSWithSHA256}, ""},
		{"FIPS in TLS 1.2", PolicyFIPS, tls.VersionTLS12, mixed, pkitest.Options{}, all, want{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.CurveP256, tls.ECDSAWithP256AndSHA256}, ""},
		{"FIPS and P-521", PolicyFIPS, tls.VersionTLS13, mixed, pkitest.Options{Kind: pkitest.P521}, all, want{}, "no certificate fits"},
		{"WPA3", PolicyWPA3, tls.VersionTLS12, ecdsa384, pkitest.Options{Kind: pkitest.P384}, all, want{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.CurveP384, tls.ECDSAWithP384AndSHA384}, ""},
		{"WPA3 and P-256 in TLS 1.2", PolicyWPA3, tls.VersionTLS12, ecdsa384, pkitest.Options{}, all, want{}, "no certificate fits"},
		{"WPA3 and RSA-2048", PolicyWPA3, tls.VersionTLS13, ecdsa384, pkitest.Options{Kind: pkitest.RSA2048}, all, want{}, "RSA with 2048 bits is forbidden by the policy WPA3 192-bit"},
		{"WPA3 and RSA-3072", PolicyWPA3, tls.VersionTLS13, ecdsa384, pkitest.Options{Key: large}, all, want{tls.TLS_AES_256_GCM_SHA384, tls.CurveP384, tls.PSSWithSHA384}, ""},
		{"an authority on P-256", PolicyWPA3, tls.VersionTLS13, mixed, pkitest.Options{Kind: pkitest.P384}, all, want{}, "the signature on the certificate of \"localhost\", ECDSA-SHA256, is forbidden by the policy WPA3 192-bit"},
		{"CNSA 1", PolicyCNSA1, tls.VersionTLS13, ecdsa384, pkitest.Options{Kind: pkitest.P384}, all, want{tls.TLS_AES_256_GCM_SHA384, MLKEM1024, tls.ECDSAWithP384AndSHA384}, ""},
		{"CNSA 1 without ML-KEM", PolicyCNSA1, tls.VersionTLS13, ecdsa384, pkitest.Options{Kind: pkitest.P384}, []tls.CurveID{tls.X25519, tls.CurveP384}, want{tls.TLS_AES_256_GCM_SHA384, tls.CurveP384, tls.ECDSAWithP384AndSHA384}, ""},
		{"CNSA 1 and SHA-256 of an RSA authority", PolicyCNSA1, tls.VersionTLS13, rsa2048, pkitest.Options{Kind: pkitest.P384}, all, want{}, "is forbidden by the policy CNSA 1.0"},
		{"CNSA 2", PolicyCNSA2, tls.VersionTLS13, ecdsa384, pkitest.Options{Kind: pkitest.P384}, all, want{tls.TLS_AES_256_GCM_SHA384, MLKEM1024, tls.ECDSAWithP384AndSHA384}, ""},
		{"CNSA 2 without ML-KEM", PolicyCNSA2, tls.VersionTLS13, ecdsa384, pkitest.Options{Kind: pkitest.P384}, []tls.CurveID{tls.CurveP384}, want{}, "no group in common"},
		{"CNSA 2 in TLS 1.2", PolicyCNSA2, tls.VersionTLS12, ecdsa384, pkitest.Options{Kind: pkitest.P384}, []tls.CurveID{tls.CurveP384}, want{}, "no protocol version in common"},
	} {
		for _, datagram := range []bool{false, true} {
			for _, role := range []string{"client", "server", "both"} {
				leaf := c.ca.Leaf(t, c.leaf)
				client := &Config{Time: atNow, RootCAs: c.ca.Pool(), ServerName: "localhost"}
				server := &Config{Time: atNow, Certificates: []tls.Certificate{leaf}}
				// The peer has no policy, and all that it could have.
				for name, cfg := range map[string]*Config{"client": client, "server": server} {
					if role == name || role == "both" {
						cfg.Policy = c.policy()
					} else {
						cfg.CurvePreferences, cfg.MaxVersion = c.groups, c.version
					}
				}
				if role != "client" {
					client.Certificates, server.Certificates = nil, nil
					server.GetCertificate = func(*ClientHello) (*tls.Certificate, error) { return &leaf, nil }
				}
				if role == "both" && c.want.suite != 0 && (c.version == tls.VersionTLS12 || len(c.groups) < 3) {
					continue // two with the policy agree on something better
				}
				m := newMeeting(t, datagram, client, server)
				err := m.run()
				switch s := m.client.State(); {
				case c.refused == "" && (err != nil || c.want != (want{s.CipherSuite, s.CurveID, s.PeerSignatureScheme})):
					t.Errorf("%s, the policy is of the %s, datagrams %v: %v, %s, %s, %v", c.name, role, datagram, err,
						CipherSuiteName(s.CipherSuite), GroupName(s.CurveID), s.PeerSignatureScheme)
				case c.refused != "" && role == "client" && (err == nil || !strings.Contains(err.Error(), c.refused)):
					t.Errorf("%s, datagrams %v: %v, want %q", c.name, datagram, err, c.refused)
				}
			}
		}
	}
}

// TestPolicyOnKeys: the peer's key is checked where nothing else of it is verified, in
// sessions, and as a raw key; and ours that a callback chooses.
func TestPolicyOnKeys(t *testing.T) {
	ca := pkitest.CAWith(t, pkitest.P384)
	good, bad := ca.Leaf(t, pkitest.Options{Kind: pkitest.P384}), ca.Leaf(t, pkitest.Options{Kind: pkitest.RSA2048})
	raw := tls.Certificate{PrivateKey: bad.PrivateKey}
	const refusal = "RSA with 2048 bits is forbidden by the policy CNSA 1.0"
	for _, c := range []struct {
		name   string
		change func(client, server *Config)
	}{
		{"a server that is not verified", func(client, server *Config) {
			client.Policy, client.InsecureSkipVerify = PolicyCNSA1(), true
			server.Certificates = []tls.Certificate{bad}
		}},
		{"a client that is not verified", func(client, server *Config) {
			server.Policy, server.ClientAuth = PolicyCNSA1(), tls.RequireAnyClientCert
			client.Certificates = []tls.Certificate{bad}
		}},
		{"a client that is verified", func(client, server *Config) {
			server.Policy, server.ClientAuth, server.ClientCAs = PolicyCNSA1(), tls.RequireAndVerifyClientCert, ca.Pool()
			client.Certificates = []tls.Certificate{bad}
		}},
		{"a raw key that a callback judges", func(client, server *Config) {
			client.Policy, client.PeerCertificateTypes = PolicyCNSA1(), []CertificateType{CertificateRawPublicKey}
			client.VerifyConnection = func(ConnectionState) error { return nil }
			server.Certificates = []tls.Certificate{raw}
		}},
		{"our own, of GetCertificate", func(_, server *Config) {
			server.Policy, server.Certificates = PolicyCNSA1(), nil
			server.GetCertificate = func(h *ClientHello) (*tls.Certificate, error) {
				if err := h.SupportsCertificate(&bad); err == nil || !strings.Contains(err.Error(), refusal) {
					t.Errorf("SupportsCertificate says %v", err)
				}
				return &bad, nil
			}
		}},
		{"our own, of GetClientCertificate", func(client, server *Config) {
			client.Policy = PolicyCNSA1()
			client.GetClientCertificate = func(*CertificateRequest) (*tls.Certificate, error) { return &bad, nil }
			server.ClientAuth = tls.RequireAnyClientCert
		}},
		{"the client of a session that began without the policy", func(client, server *Config) {
			client.Certificates, client.SessionCache, server.ClientAuth = []tls.Certificate{bad}, NewSessionCache(1), tls.RequireAnyClientCert
			before := server.Clone()
			first := newMeeting(t, false, client, before)
			first.handshake()
			if client.SessionCache.Get("tls:localhost") == nil {
				t.Error("there is no session")
			}
			first = newMeeting(t, false, client, before)
			first.handshake()
			server.Policy, server.TicketKeys = PolicyCNSA1(), before.TicketKeys
		}},
	} {
		for _, version := range versions {
			client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version}
			server := &Config{Time: atNow, Certificates: []tls.Certificate{good}, TicketKeys: StaticTicketKeys(TicketKey{1})}
			c.change(client, server)
			if err := newMeeting(t, false, client, server).run(); err == nil || !strings.Contains(err.Error(), refusal) {
				t.Errorf("%s, %s: %v", c.name, tls.VersionName(version), err)
			}
		}
	}
}

// TestPolicyOfBuiltinCertificate: a server without a certificate makes one that its policy
// permits.
func TestPolicyOfBuiltinCertificate(t *testing.T) {
	for _, preset := range presets {
		client := &Config{Time: atNow, InsecureSkipVerify: true, Policy: preset.make()}
		m := newMeeting(t, false, client, &Config{Time: atNow, Policy: preset.make()})
		if err := m.run(); err != nil {
			t.Errorf("%s: %v", preset.name, err)
		}
	}
	p := PolicyFIPS()
	p.SignatureSchemes = []tls.SignatureScheme{tls.PSSWithSHA256}
	m := newMeeting(t, false, &Config{Time: atNow, InsecureSkipVerify: true}, &Config{Time: atNow, Policy: p})
	if err := m.run(); err == nil || !strings.Contains(err.Error(), "no certificate fits") {
		t.Errorf("with only RSA: %v", err)
	}
}

// TestParsePolicy: the presets have names, and each call returns a new policy.
func TestParsePolicy(t *testing.T) {
	for _, preset := range presets {
		a, err := ParsePolicy(preset.name)
		b, _ := ParsePolicy(preset.name)
		if err != nil || a == b || !reflect.DeepEqual(a, preset.make()) {
			t.Errorf("%s: %+v, %v", preset.name, a, err)
		}
		a.CipherSuites[0] = 0
		if b.CipherSuites[0] == 0 {
			t.Errorf("%s: two calls share a list", preset.name)
		}
	}
	for _, bad := range []string{"", "FIPS", "cnsa"} {
		if _, err := ParsePolicy(bad); !errors.Is(err, ErrInvalidOperation) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestPolicyOnOCSP: the policy limits the signature of an OCSP response, and its responder.
func TestPolicyOnOCSP(t *testing.T) {
	ca := pkitest.CAWith(t, pkitest.P384)
	leaf := ca.Leaf(t, pkitest.Options{Kind: pkitest.P384})
	signing := []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	responder := func(kind string) *tls.Certificate {
		c := ca.Leaf(t, pkitest.Options{Name: "responder", Kind: kind, NewKey: true, Usage: signing})
		return &c
	}
	weak := responder(pkitest.P384) // its certificate is signed with SHA-256
	template := *weak.Leaf
	template.SignatureAlgorithm = x509.ECDSAWithSHA256
	der, err := x509.CreateCertificate(rand.Reader, &template, ca.Certificate, weak.Leaf.PublicKey, ca.Key())
	if err != nil {
		t.Fatal(err)
	}
	if weak.Leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	with := func(a x509.SignatureAlgorithm) ocsp.Response {
		r := validOCSP()
		r.SignatureAlgorithm = a
		return r
	}
	for _, c := range []struct {
		name      string
		response  ocsp.Response
		responder *tls.Certificate // nil: the issuer
		want      string
	}{
		{"the issuer, with SHA-384", with(x509.ECDSAWithSHA384), nil, ""},
		{"the issuer, with SHA-256", with(x509.ECDSAWithSHA256), nil, "a signature by ECDSA-SHA256 is forbidden by the policy CNSA 1.0"},
		{"a responder on P-384", with(x509.ECDSAWithSHA384), responder(pkitest.P384), ""},
		{"a responder on P-384, with SHA-256", with(x509.ECDSAWithSHA256), responder(pkitest.P384), "a signature by ECDSA-SHA256 is forbidden by the policy CNSA 1.0"},
		{"a responder on P-256", with(x509.ECDSAWithSHA256), responder(pkitest.P256), "ECDSA on P-256 is forbidden by the policy CNSA 1.0"},
		{"a responder with a short RSA key", with(x509.SHA384WithRSA), responder(pkitest.RSA2048), "RSA with 2048 bits is forbidden by the policy CNSA 1.0"},
		{"a responder whose certificate is signed with SHA-256", with(x509.ECDSAWithSHA384), weak, `the signature on the certificate of "responder", ECDSA-SHA256, is forbidden`},
	} {
		cert := leaf
		cert.OCSPStaple = ca.OCSP(t, leaf.Leaf, c.response, c.responder)
		for _, version := range versions {
			client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version, OCSPCheck: OCSPCheckRequire}
			server := &Config{Time: atNow, Certificates: []tls.Certificate{cert}}
			if err := newMeeting(t, false, client, server).run(); err != nil {
				t.Errorf("%s, without a policy: %v", c.name, err)
			}
			client = client.Clone()
			client.Policy = PolicyCNSA1()
			err := newMeeting(t, false, client, server).run()
			var fault *AlertError
			if refused := errors.As(err, &fault) && fault.Alert == AlertBadCertificateStatusResponse && strings.Contains(err.Error(), c.want); (c.want == "") != (err == nil) || err != nil && !refused {
				t.Errorf("%s, %s: %v, want %q", c.name, tls.VersionName(version), err, c.want)
			}
		}
		// The same by the functions for callbacks.
		status, err := VerifyOCSP(cert.OCSPStaple, leaf.Leaf, ca.Certificate, pkitest.Now)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for _, p := range []*Policy{nil, {Name: "all"}, PolicyCNSA1()} {
			err := cmp.Or(p.CheckChain([]*x509.Certificate{status.Responder, ca.Certificate}), p.CheckSignature(status.SignatureAlgorithm))
			if want := p != nil && p.SignatureSchemes != nil && c.want != ""; (err != nil) != want || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: the policy %+v says %v", c.name, p, err)
			}
		}
	}
}

// TestPolicyOnSignatures: each algorithm of crypto/x509 is one of the schemes, or forbidden.
func TestPolicyOnSignatures(t *testing.T) {
	for algorithm, want := range map[x509.SignatureAlgorithm]tls.SignatureScheme{
		x509.SHA256WithRSA: tls.PKCS1WithSHA256, x509.SHA384WithRSA: tls.PKCS1WithSHA384, x509.SHA512WithRSA: tls.PKCS1WithSHA512,
		x509.SHA256WithRSAPSS: tls.PSSWithSHA256, x509.SHA384WithRSAPSS: tls.PSSWithSHA384, x509.SHA512WithRSAPSS: tls.PSSWithSHA512,
		x509.ECDSAWithSHA256: tls.ECDSAWithP256AndSHA256, x509.ECDSAWithSHA384: tls.ECDSAWithP384AndSHA384, x509.ECDSAWithSHA512: tls.ECDSAWithP521AndSHA512,
		x509.PureEd25519: tls.Ed25519, x509.SHA1WithRSA: 0, x509.ECDSAWithSHA1: 0, x509.MD5WithRSA: 0, x509.UnknownSignatureAlgorithm: 0, 99: 0,
	} {
		for _, scheme := range listAs[tls.SignatureScheme](suite.Schemes) {
			p := &Policy{Name: "one", SignatureSchemes: []tls.SignatureScheme{scheme}}
			if err := p.CheckSignature(algorithm); (err == nil) != (scheme == want) {
				t.Errorf("%v where only %v is permitted: %v", algorithm, scheme, err)
			}
		}
	}
}
