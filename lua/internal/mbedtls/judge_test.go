package mbedtls

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// TestJudgePolicy: option 'policy' applies to chains that only the judge verifies (verify = 'chain',
// and a server's purpose = 'any'), and for revocation lists.
func TestJudgePolicy(t *testing.T) {
	list := func(ca *pkitest.Authority, algorithm x509.SignatureAlgorithm) *x509.RevocationList {
		t.Helper()
		issuer := *ca.Certificate
		issuer.SubjectKeyId = []byte{1} // which a list must name
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), SignatureAlgorithm: algorithm,
			ThisUpdate: pkitest.Now.Add(-time.Hour), NextUpdate: pkitest.Now.Add(time.Hour)}, &issuer, ca.Key())
		if err != nil {
			t.Fatal(err)
		}
		l, err := newCRL(der)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	now := func() time.Time { return pkitest.Now }
	good, weak := pkitest.CAWith(t, pkitest.P384), pkitest.CAWith(t, pkitest.P256)
	for _, c := range []struct {
		name  string
		ca    *pkitest.Authority
		kind  string
		list  *x509.RevocationList // nil: none
		alert hermetic.Alert       // 0: none
		want  string
	}{
		{"permitted", good, pkitest.P384, nil, 0, ""},
		{"permitted, and the list", good, pkitest.P384, list(good, x509.ECDSAWithSHA384), 0, ""},
		{"a list signed with SHA-256", good, pkitest.P384, list(good, x509.ECDSAWithSHA256), hermetic.AlertCertificateUnknown, "does not satisfy our policy: a signature by ECDSA-SHA256"},
		{"a leaf on P-256", good, pkitest.P256, nil, hermetic.AlertBadCertificate, "is forbidden by the policy CNSA 1.0"},
		{"an authority on P-256", weak, pkitest.P384, nil, hermetic.AlertBadCertificate, "is forbidden by the policy CNSA 1.0"},
	} {
		leaf := c.ca.Leaf(t, pkitest.Options{Kind: c.kind})
		for _, own := range []bool{true, false} {
			for _, policy := range []*hermetic.Policy{nil, hermetic.PolicyCNSA1()} {
				j := &judge{own: own, roots: c.ca.Pool(), usages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, now: now, depth: -1, policy: policy}
				if c.list != nil {
					j.revoked = &crls{lists: []*x509.RevocationList{c.list}, now: now, policy: policy}
				}
				var verified [][]*x509.Certificate
				refused := c.alert
				if !own {
					verified = [][]*x509.Certificate{{leaf.Leaf, c.ca.Certificate}}
					if c.list == nil {
						refused = 0 // the engine has checked the chain
					}
				}
				if policy == nil {
					refused = 0
				}
				err := j.verify(leaf.Certificate, verified)
				var fault *hermetic.AlertError
				if refused == 0 && err != nil || refused != 0 && (!errors.As(err, &fault) || fault.Alert != refused || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("%s, the judge verifies %v, with a policy %v: %v", c.name, own, policy != nil, err)
				}
			}
		}
	}
}

// TestJudgeKnowsThePolicy: the options reach the judge, whatever their order.
func TestJudgeKnowsThePolicy(t *testing.T) {
	for _, kind := range []string{pkitest.P256, pkitest.P384} {
		ca := pkitest.CAWith(t, kind)
		leaf := ca.Leaf(t, pkitest.Options{Kind: pkitest.P384})
		file := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate.Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, options := range [][][2]string{
			{{"mode", "tls-client"}, {"policy", "cnsa1"}, {"verify", "chain"}, {"cacert", file}},
			{{"mode", "tls-client"}, {"verify", "chain"}, {"cacert", file}, {"policy", "cnsa1"}},
			{{"mode", "tls-server"}, {"purpose", "any"}, {"verify", "required"}, {"cacert", file}, {"policy", "cnsa1"}},
		} {
			o := Options{Table: true}
			for _, option := range options {
				if err := o.Set(option[0], "string", option[1]); err != nil {
					t.Fatal(err)
				}
			}
			c, err := o.Config()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.config.VerifyPeerCertificate(leaf.Certificate, nil); (err == nil) != (kind == pkitest.P384) {
				t.Errorf("%v, an authority on %s: %v", options, kind, err)
			}
		}
	}
}
