//go:build go1.27

package hermetic

import (
	"bytes"
	"crypto"
	"crypto/mldsa"
	"crypto/tls"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

var mldsaSchemes = map[string]tls.SignatureScheme{"ML-DSA-44": tls.MLDSA44, "ML-DSA-65": tls.MLDSA65, "ML-DSA-87": tls.MLDSA87}

// mldsaConfigs are a client and a server that show each other chains of ML-DSA: a leaf, and an
// authority between that and the root.
func mldsaConfigs(t testing.TB, kind string) (client, server *Config) {
	root := pkitest.CAWith(t, kind)
	below := root.Intermediate(t)
	leaf := below.Leaf(t, pkitest.Options{Kind: kind})
	leaf.Certificate = append(leaf.Certificate, below.Certificate.Raw)
	client = &Config{Time: atNow, RootCAs: root.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{leaf}}
	server = &Config{Time: atNow, Certificates: []tls.Certificate{leaf}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: root.Pool()}
	return client, server
}

// TestMLDSA: both sides authenticate with ML-DSA, over streams and datagrams, and resume.
func TestMLDSA(t *testing.T) {
	for kind, scheme := range mldsaSchemes {
		for _, datagram := range []bool{false, true} {
			client, server := mldsaConfigs(t, kind)
			now := &clock{pkitest.Now}
			client.Time, server.Time, client.SessionCache = now.time, now.time, NewSessionCache(1)
			for i := range 2 {
				m := newMeeting(t, datagram, client, server)
				m.settle(now)
				m.exchange(100)
				for _, e := range []*Engine{m.client, m.server} {
					s := e.State()
					if s.Version != tls.VersionTLS13 || s.PeerSignatureScheme != scheme || i == 0 && s.LocalSignatureScheme != scheme || s.DidResume != (i > 0) || len(s.VerifiedChains) != 1 || len(s.VerifiedChains[0]) != 3 {
						t.Errorf("%s, datagrams %v, connection %d: %v", kind, datagram, i, s)
					}
				}
			}
		}
	}
}

// TestMLDSALoss: flights of more than 10 KB arrive over a network that loses a fifth.
func TestMLDSALoss(t *testing.T) {
	for kind := range mldsaSchemes {
		for seed := range uint64(20) {
			random := rand.New(rand.NewPCG(seed, 7))
			n := newNetwork(t, func(c, s *Config) {
				client, server := mldsaConfigs(t, kind)
				c.RootCAs, c.Certificates = client.RootCAs, client.Certificates
				s.Certificates, s.ClientAuth, s.ClientCAs = server.Certificates, server.ClientAuth, server.ClientCAs
				c.DTLS.MaxTimeouts, s.DTLS.MaxTimeouts = 100, 100
			})
			sent := 0
			n.lose = func() bool { sent++; return random.IntN(5) == 0 }
			if err := n.wait(); err != nil {
				t.Errorf("%s, seed %d: %v", kind, seed, err)
				continue
			}
			if size := len(n.server.State().LocalCertificate.Certificate[0]); sent < 8 || size < 3000 {
				t.Errorf("%s, seed %d: %d datagrams, a certificate of %d bytes", kind, seed, sent, size)
			}
			n.lose = nil
			n.exchangeDatagrams()
		}
	}
}

// TestMLDSAOnlyIn13: no ML-DSA in TLS 1.2: it is not offered, and its certificates are not used.
func TestMLDSAOnlyIn13(t *testing.T) {
	for kind := range mldsaSchemes {
		client, server := mldsaConfigs(t, kind)
		only := server.Clone()
		only.MaxVersion = tls.VersionTLS12
		if _, err := NewEngine(TLSServer, only); err == nil || !strings.Contains(err.Error(), "Config.Certificates[0]: no enabled version and cipher suite can sign with its key, "+kind) {
			t.Errorf("%s: a server of TLS 1.2: %v", kind, err)
		}
		client.Certificates, client.MaxVersion = nil, tls.VersionTLS12
		for _, datagram := range []bool{false, true} {
			m := newMeeting(t, datagram, client, server)
			want := "no certificate fits what the peer supports: " + kind + " signs only in TLS 1.3, and this is TLS 1.2"
			if err := m.run(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: a client of TLS 1.2: %v", kind, err)
			}
		}
	}
	var offered, requested []tls.SignatureScheme
	client, server := configs(t)
	client.MaxVersion = tls.VersionTLS12
	server.ClientAuth = tls.RequestClientCert
	server.GetConfigForClient = func(h *ClientHello) (*Config, error) { offered = h.SignatureSchemes; return nil, nil }
	client.GetClientCertificate = func(r *CertificateRequest) (*tls.Certificate, error) {
		requested = r.SignatureSchemes
		return nil, nil
	}
	newMeeting(t, false, client, server).handshake()
	for _, list := range [][]tls.SignatureScheme{offered, requested} {
		if len(list) < 5 || slices.Contains(list, tls.MLDSA44) || slices.Contains(list, tls.MLDSA65) || slices.Contains(list, tls.MLDSA87) {
			t.Errorf("TLS 1.2 offers %v", list)
		}
	}
	if _, err := NewEngine(TLSClient, &Config{ServerName: "localhost", MaxVersion: tls.VersionTLS12, SignatureSchemes: []tls.SignatureScheme{tls.MLDSA65}}); err == nil ||
		!strings.Contains(err.Error(), "Config.SignatureSchemes: none belongs to an enabled version") {
		t.Errorf("only ML-DSA in TLS 1.2: %v", err)
	}
}

// TestMLDSANotOffered: a scheme that the peer does not list is not used, of the chain neither.
func TestMLDSANotOffered(t *testing.T) {
	for kind, scheme := range mldsaSchemes {
		client, server := mldsaConfigs(t, kind)
		for _, s := range []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.MLDSA44, tls.MLDSA65, tls.MLDSA87} {
			if s == scheme {
				continue
			}
			c := client.Clone()
			c.SignatureSchemes = []tls.SignatureScheme{s}
			if err := newMeeting(t, false, c, server).run(); err == nil || !strings.Contains(err.Error(), "no certificate fits what the peer supports") {
				t.Errorf("%s for a client of %v: %v", kind, s, err)
			}
			r := server.Clone()
			r.SignatureSchemes = []tls.SignatureScheme{s}
			if err := newMeeting(t, false, client, r).run(); err == nil || !strings.Contains(err.Error(), "the client sent no certificate") {
				t.Errorf("%s for a server of %v: %v", kind, s, err)
			}
		}
	}
}

// TestMLDSASignatures: a signature that is not one is a decrypt_error, whatever its size.
func TestMLDSASignatures(t *testing.T) {
	for kind := range mldsaSchemes {
		client, server := mldsaConfigs(t, kind)
		server.ClientAuth = tls.NoClientCert
		server.Async = AsyncSign
		for name, change := range map[string]func([]byte) []byte{
			"none":      func([]byte) []byte { return nil },
			"short":     func(b []byte) []byte { return b[:len(b)-1] },
			"long":      func(b []byte) []byte { return append(b, 0) },
			"oversized": func(b []byte) []byte { return append(b, make([]byte, 60_000-len(b))...) },
			"changed":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
			"zeros":     func(b []byte) []byte { return make([]byte, len(b)) },
			"good":      func(b []byte) []byte { return b },
		} {
			m := newMeeting(t, false, client, server)
			m.answer = func(p Pending) {
				r := p.(*SignRequest)
				b, err := r.Sign(nil, r.Certificate.PrivateKey.(crypto.Signer))
				if err := r.Answer(change(b), err); err != nil {
					t.Error(err)
				}
			}
			err := m.run()
			var fault *AlertError
			if name == "good" && err != nil || name != "good" && (!errors.As(err, &fault) || fault.Alert != AlertDecryptError) {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
		}
	}
}

// TestMLDSARawKeys: RFC 7250 has them too.
func TestMLDSARawKeys(t *testing.T) {
	key := pkitest.Key(t, "ML-DSA-65", true)
	raw := []CertificateType{CertificateRawPublicKey}
	client := &Config{Time: atNow, PeerCertificateTypes: raw, PeerPublicKeys: []crypto.PublicKey{key.Public()}}
	m := newMeeting(t, false, client, &Config{Time: atNow, Certificates: []tls.Certificate{{PrivateKey: key}}})
	if m.handshake(); m.client.State().PeerSignatureScheme != tls.MLDSA65 {
		t.Error(m.client.State().PeerSignatureScheme)
	}
}

// TestMLDSAPolicy: CNSA 2.0 is ML-DSA-87, and the others are not.
func TestMLDSAPolicy(t *testing.T) {
	for kind := range mldsaSchemes {
		client, server := mldsaConfigs(t, kind)
		client.Certificates, server.ClientAuth = nil, tls.NoClientCert
		client.Policy = PolicyCNSA2()
		server.CurvePreferences = []tls.CurveID{MLKEM1024}
		err := newMeeting(t, false, client, server).run()
		if permitted := kind == "ML-DSA-87"; permitted != (err == nil) {
			t.Errorf("%s: %v", kind, err)
		}
		server.Policy, server.CurvePreferences = PolicyFIPS(), nil
		if _, err := NewEngine(TLSServer, server.Clone()); err == nil || !strings.Contains(err.Error(), kind+" is forbidden by the policy FIPS 140-3") {
			t.Errorf("%s and FIPS: %v", kind, err)
		}
	}
}

// TestMLDSAFiles: keys in PEM, as Go and as OpenSSL write them.
func TestMLDSAFiles(t *testing.T) {
	dir := t.TempDir()
	for kind := range mldsaSchemes {
		ca := pkitest.CAWith(t, kind)
		leaf := ca.Leaf(t, pkitest.Options{Kind: kind, NewKey: true})
		chain, keyPEM := pkitest.PEM(t, leaf)
		private := leaf.PrivateKey.(*mldsa.PrivateKey)
		block, _ := pem.Decode(keyPEM)
		var pkcs8 struct {
			Version   int
			Algorithm struct{ OID asn1.ObjectIdentifier }
			Key       []byte
		}
		if _, err := asn1.Unmarshal(block.Bytes, &pkcs8); err != nil {
			t.Fatal(err)
		}
		form := func(key any) []byte {
			inner, err := asn1.Marshal(key)
			if err != nil {
				t.Fatal(err)
			}
			pkcs8.Key = inner
			der, err := asn1.Marshal(pkcs8)
			if err != nil {
				t.Fatal(err)
			}
			return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		}
		expanded := make([]byte, 2560) // what is in it is not read
		type both struct{ Seed, Expanded []byte }
		for _, c := range []struct {
			name string
			key  []byte
			want string
		}{
			{"the seed", keyPEM, ""},
			{"seed and expanded key", form(both{private.Bytes(), expanded}), ""},
			{"only the expanded key", form(expanded), "its 32-byte seed is needed"},
			{"a seed that is too short", form(both{private.Bytes()[:31], expanded}), "can't parse"},
			{"another seed", form(both{make([]byte, 32), expanded}), "mismatch"},
			{"three parts", form(struct{ A, B, C []byte }{private.Bytes(), expanded, nil}), "can't parse"},
		} {
			file := filepath.Join(dir, "pair.pem")
			if err := os.WriteFile(file, append(bytes.Clone(chain), c.key...), 0o600); err != nil {
				t.Fatal(err)
			}
			pair, err := LoadKeyPair(file)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s, %s: %v", kind, c.name, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %s: %v", kind, c.name, err)
				continue
			}
			server := &Config{Time: atNow, Certificates: []tls.Certificate{pair}}
			newMeeting(t, false, &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost"}, server).handshake()
		}
	}
}
