package webrtctls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func certificate(t testing.TB) *x509.Certificate {
	t.Helper()
	c, err := NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

func fingerprint(t testing.TB, cert *x509.Certificate, hash crypto.Hash) Fingerprint {
	t.Helper()
	f, err := NewFingerprint(cert, hash)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// hexOf writes a digest as SDP does, without this package.
func hexOf(digest []byte) string {
	return strings.TrimSuffix(fmt.Sprintf(strings.Repeat("%02X:", len(digest)), bytesOf(digest)...), ":")
}

func bytesOf(digest []byte) (all []any) {
	for _, b := range digest {
		all = append(all, b)
	}
	return all
}

func TestCertificate(t *testing.T) {
	a, b := certificate(t), certificate(t)
	if a.SerialNumber.Cmp(b.SerialNumber) == 0 || a.SerialNumber.Sign() <= 0 || a.SerialNumber.BitLen() < 64 {
		t.Errorf("the serial numbers are %v and %v", a.SerialNumber, b.SerialNumber)
	}
	key, ok := a.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() || key.Equal(b.PublicKey) {
		t.Errorf("the keys are %v and %v", a.PublicKey, b.PublicKey)
	}
	if err := a.CheckSignature(a.SignatureAlgorithm, a.RawTBSCertificate, a.Signature); err != nil {
		t.Error(err)
	}
	if now := time.Now(); a.NotBefore.After(now.Add(-23*time.Hour)) || a.NotAfter.Before(now.Add(29*24*time.Hour)) || a.NotAfter.After(now.Add(31*24*time.Hour)) {
		t.Errorf("it is valid from %v to %v", a.NotBefore, a.NotAfter)
	}
}

// TestFingerprint: what SDP says is the hash of the DER, and reads back.
func TestFingerprint(t *testing.T) {
	cert := certificate(t)
	digest := sha256.Sum256(cert.Raw)
	if got, want := fingerprint(t, cert, 0).String(), "sha-256 "+hexOf(digest[:]); got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
	for _, h := range hashes {
		f := fingerprint(t, cert, h.hash)
		for _, value := range []string{f.String(), strings.ToLower(f.String()), strings.ToUpper(f.String()), " " + f.String() + "\r\n"} {
			if read, err := ParseFingerprint(value); err != nil || read != f {
				t.Errorf("%q: %v, %v", value, read, err)
			}
		}
		if err := VerifyFingerprint(cert, []Fingerprint{f}); err != nil {
			t.Errorf("%s: %v", h.name, err)
		}
		if err := VerifyFingerprint(certificate(t), []Fingerprint{f}); err != errFingerprint {
			t.Errorf("%s of another certificate: %v", h.name, err)
		}
	}
	for _, hash := range []crypto.Hash{crypto.MD5, crypto.SHA1, crypto.SHA3_256, 99} {
		if _, err := NewFingerprint(cert, hash); !errors.Is(err, ErrHash) {
			t.Errorf("%v: %v", hash, err)
		}
	}
	for _, cert := range []*x509.Certificate{nil, {}} {
		if _, err := NewFingerprint(cert, 0); err == nil {
			t.Error("the fingerprint of nothing")
		}
	}
	if s := (Fingerprint{}).String(); s != "" {
		t.Errorf("the zero value is %q", s)
	}
}

// TestParseFingerprintErrors: what is malformed is refused with a reason.
func TestParseFingerprintErrors(t *testing.T) {
	good := fingerprint(t, certificate(t), 0).String()
	for name, test := range map[string]struct{ value, want string }{
		"empty":            {"", "is not a hash function"},
		"no digest":        {"sha-256", "is not a hash function"},
		"an empty digest":  {"sha-256 ", "is not a hash function"},
		"truncated":        {good[:len(good)-3], "it has 92 characters, want 95"},
		"too long":         {good + ":00", "it has 98 characters, want 95"},
		"another length":   {"sha-512 " + good[8:], "it has 95 characters, want 191"},
		"two spaces":       {"sha-256  " + good[8:], "it has 96 characters"},
		"no hexadecimal":   {"sha-256 XY" + good[10:], `"XY" is not a byte`},
		"no ASCII":         {"sha-256 é" + good[10:], "is not a byte"},
		"another mark":     {"sha-256 " + strings.ReplaceAll(good[8:], ":", "-"), `separated by '-', want colons`},
		"a huge digest":    {"sha-256 " + strings.Repeat("AA:", 1<<20), "want 95"},
		"md5":              {"md5 " + hexOf(make([]byte, md5.Size)), `"md5"`},
		"md2":              {"md2 " + hexOf(make([]byte, md5.Size)), `"md2"`},
		"sha-1":            {"SHA-1 " + hexOf(make([]byte, sha1.Size)), `"SHA-1"`},
		"unknown":          {"sha-999 00", `"sha-999"`},
		"a huge hash name": {strings.Repeat("a", 1<<20) + " 00", `"aaaa`},
	} {
		_, err := ParseFingerprint(test.value)
		if err == nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 500 {
			t.Errorf("%s: %.600v", name, err)
		}
		if weak := strings.HasPrefix(name, "md") || strings.HasPrefix(name, "sha-1") || strings.HasPrefix(name, "u") || strings.HasSuffix(name, "name"); errors.Is(err, ErrHash) != weak {
			t.Errorf("%s: is it ErrHash? %v", name, err)
		}
	}
}

func TestParseFingerprints(t *testing.T) {
	cert := certificate(t)
	sha256, sha512 := fingerprint(t, cert, crypto.SHA256).String(), fingerprint(t, cert, crypto.SHA512).String()
	weak := "sha-1 " + hexOf(make([]byte, sha1.Size))
	for name, test := range map[string]struct {
		values []string
		n      int
		ok     bool
	}{
		"one":                     {[]string{sha256}, 1, true},
		"two":                     {[]string{sha256, sha512}, 2, true},
		"a weak one beside":       {[]string{weak, sha256}, 1, true},
		"only weak ones":          {[]string{weak, weak}, 0, false},
		"none":                    {nil, 0, false},
		"a malformed one beside":  {[]string{sha256, "sha-512 00"}, 0, false},
		"a malformed one of SHA1": {[]string{sha256, "sha-1 no"}, 1, true},
	} {
		if all, err := ParseFingerprints(test.values...); len(all) != test.n || (err == nil) != test.ok {
			t.Errorf("%s: %v, %v", name, all, err)
		}
	}
}

// TestVerifyFingerprint: the strongest hash function decides (RFC 8122, Section 5.1).
func TestVerifyFingerprint(t *testing.T) {
	cert, other := certificate(t), certificate(t)
	f := func(c *x509.Certificate, h crypto.Hash) Fingerprint { return fingerprint(t, c, h) }
	for name, test := range map[string]struct {
		announced []Fingerprint
		want      error
	}{
		"none":                             {nil, errNoFingerprint},
		"the zero value":                   {[]Fingerprint{{}}, errNoFingerprint},
		"the zero value beside":            {[]Fingerprint{{}, f(cert, 0)}, nil},
		"two certificates":                 {[]Fingerprint{f(other, 0), f(cert, 0)}, nil},
		"two certificates, turned around":  {[]Fingerprint{f(cert, 0), f(other, 0)}, nil},
		"two other certificates":           {[]Fingerprint{f(other, 0), f(certificate(t), 0)}, errFingerprint},
		"two hash functions":               {[]Fingerprint{f(cert, crypto.SHA256), f(cert, crypto.SHA512)}, nil},
		"the weaker one is right":          {[]Fingerprint{f(cert, crypto.SHA256), f(other, crypto.SHA512)}, errFingerprint},
		"the weaker one is right, before":  {[]Fingerprint{f(other, crypto.SHA512), f(cert, crypto.SHA256)}, errFingerprint},
		"the stronger one is right":        {[]Fingerprint{f(other, crypto.SHA256), f(cert, crypto.SHA384)}, nil},
		"the last byte differs":            {[]Fingerprint{{"sha-256", crypto.SHA256, f(cert, 0).digest[:31] + "\x00"}, f(other, 0)}, errFingerprint},
		"another hash function's digest":   {[]Fingerprint{{"sha-256", crypto.SHA256, f(cert, crypto.SHA224).digest}}, errFingerprint},
		"many, of which the last is right": {append(manyFingerprints(1000), f(cert, 0)), nil},
	} {
		if err := VerifyFingerprint(cert, test.announced); err != test.want {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	for _, none := range []*x509.Certificate{nil, {}} {
		if err := VerifyFingerprint(none, []Fingerprint{f(cert, 0)}); err != errNoCertificate {
			t.Errorf("no certificate: %v", err)
		}
	}
}

func manyFingerprints(n int) []Fingerprint {
	all := make([]Fingerprint, n)
	for i := range all {
		all[i] = Fingerprint{"sha-256", crypto.SHA256, sum(crypto.SHA256, fmt.Append(nil, i))}
	}
	return all
}

// FuzzParseFingerprint: what parses also prints, and parses again to the same.
func FuzzParseFingerprint(f *testing.F) {
	cert := certificate(f)
	for _, h := range hashes {
		f.Add(fingerprint(f, cert, h.hash).String())
	}
	f.Add("sha-1 00")
	f.Fuzz(func(t *testing.T, value string) {
		a, err := ParseFingerprint(value)
		if err != nil {
			return
		}
		if b, err := ParseFingerprint(a.String()); err != nil || a != b {
			t.Errorf("%q: %v and %v, %v", value, a, b, err)
		}
		if !strings.EqualFold(strings.TrimSpace(value), a.String()) {
			t.Errorf("%q prints %q", value, a)
		}
	})
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Error(err)
	}
	return c
}
