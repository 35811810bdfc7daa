package hermetic

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// many are n different names of that many bytes.
func many(n, size int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("%0*d", size, i))
	}
	return list
}

func manyBytes(n, size int) (list [][]byte) {
	for _, s := range many(n, size) {
		list = append(list, []byte(s))
	}
	return list
}

// TestFields: what does not fit its field on the wire is an error of the Config, and
// what just fits makes a handshake.
func TestFields(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	psks := func(n, size int, imported bool) (list []PSK) {
		for _, id := range manyBytes(n, size) {
			list = append(list, PSK{Identity: id, Key: bytes.Repeat([]byte{1}, 32), Import: imported})
		}
		return list
	}
	with := func(f func(*tls.Certificate)) []tls.Certificate {
		c := leaf
		f(&c)
		return []tls.Certificate{c}
	}
	for _, c := range []struct {
		name   string
		change func(client, server *Config)
		want   string // the field; "": it works
	}{
		{"a long name", func(c, s *Config) {
			c.ServerName, c.RootCAs, c.InsecureSkipVerify = strings.Repeat("a", 255), nil, true
		}, ""},
		{"a name that is longer", func(c, s *Config) { c.ServerName = strings.Repeat("a", 256) }, "ServerName"},
		{"a name with NUL", func(c, s *Config) { c.ServerName = "localhost\x00.example" }, "ServerName"},
		{"a name with a newline", func(c, s *Config) { c.ServerName = "localhost\n" }, "ServerName"},
		{"a name with a space", func(c, s *Config) { c.ServerName = "local host" }, "ServerName"},
		{"an international name", func(c, s *Config) { c.ServerName = "bücher.example" }, "ServerName"},
		{"a trailing dot", func(c, s *Config) { c.ServerName = "localhost." }, ""},
		{"an address", func(c, s *Config) { c.ServerName = "127.0.0.1" }, ""},
		{"a zone", func(c, s *Config) { c.ServerName, c.InsecureSkipVerify = "fe80::1%eth0", true }, ""},

		{"many protocols", func(c, s *Config) { c.NextProtos, s.NextProtos = many(150, 255), many(1, 255) }, ""},
		{"too many protocols", func(c, s *Config) { c.NextProtos = many(300, 255) }, "NextProtos"},
		{"a server with too many protocols", func(c, s *Config) { s.NextProtos = many(300, 255) }, "NextProtos"},
		{"as many as wrap", func(c, s *Config) { c.NextProtos = many(258, 255) }, "NextProtos"},
		{"a long protocol", func(c, s *Config) { c.NextProtos = many(1, 256) }, "NextProtos"},

		{"many PSKs", func(c, s *Config) { c.PSKs = psks(400, 40, false) }, ""},
		{"too many PSKs", func(c, s *Config) { c.PSKs = psks(1000, 40, false) }, "PSKs"},
		{"too many with import", func(c, s *Config) { c.PSKs = psks(400, 40, true) }, "PSKs"},
		{"a server with many PSKs", func(c, s *Config) { s.PSKs = psks(5000, 40, false) }, ""},
		{"a long identity", func(c, s *Config) { c.PSKs = psks(1, 1<<15-1, false) }, ""},
		{"two of them", func(c, s *Config) { c.PSKs = psks(2, 1<<15-1, false) }, "PSKs"},
		{"with protocols", func(c, s *Config) { c.PSKs, c.NextProtos = psks(1, 1<<15-1, false), many(100, 255) }, "PSKs"},
		{"too long with its context", func(c, s *Config) {
			s.PSKs = psks(1, 1<<15-1, true)
			s.PSKs[0].Context = make([]byte, 1<<15)
		}, "PSKs[0]"},

		{"many names of authorities", func(c, s *Config) { s.ClientAuth, s.ClientCANames = tls.RequestClientCert, manyBytes(300, 200) }, ""},
		{"too many", func(c, s *Config) { s.ClientAuth, s.ClientCANames = tls.RequestClientCert, manyBytes(400, 200) }, "ClientCANames"},
		{"a long one", func(c, s *Config) { s.ClientAuth, s.ClientCANames = tls.RequestClientCert, manyBytes(1, 1<<16) }, "ClientCANames"},
		{"an empty one", func(c, s *Config) { s.ClientAuth, s.ClientCANames = tls.RequestClientCert, [][]byte{{}} }, "ClientCANames"},

		{"a large staple", func(c, s *Config) {
			s.Certificates = with(func(c *tls.Certificate) { c.OCSPStaple = make([]byte, 50000) })
		}, ""},
		{"too large a staple", func(c, s *Config) {
			s.Certificates = with(func(c *tls.Certificate) { c.OCSPStaple = make([]byte, 1<<16) })
		}, "Certificates[0]"},
		{"too large an SCT", func(c, s *Config) {
			s.Certificates = with(func(c *tls.Certificate) { c.SignedCertificateTimestamps = manyBytes(1, 1<<16) })
		}, "Certificates[0]"},
		{"too many SCTs", func(c, s *Config) {
			s.Certificates = with(func(c *tls.Certificate) { c.SignedCertificateTimestamps = manyBytes(700, 100) })
		}, "Certificates[0]"},
		{"an empty SCT", func(c, s *Config) {
			s.Certificates = with(func(c *tls.Certificate) { c.SignedCertificateTimestamps = [][]byte{{}} })
		}, "Certificates[0]"},
		{"staple and SCTs together", func(c, s *Config) {
			s.Certificates = with(func(c *tls.Certificate) {
				c.OCSPStaple, c.SignedCertificateTimestamps = make([]byte, 40000), manyBytes(300, 100)
			})
		}, "Certificates[0]"},
		{"a large chain", func(c, s *Config) {
			s.Certificates = with(func(c *tls.Certificate) { c.Certificate = append(c.Certificate[:1:1], make([]byte, 1<<24)) })
		}, "Certificates[0]"},
		{"an empty certificate", func(c, s *Config) {
			s.Certificates = with(func(c *tls.Certificate) { c.Certificate = append(c.Certificate[:1:1], nil) })
		}, "Certificates[0]"},
		{"a negative cost", func(c, s *Config) { c.MaxCertificateCost = -1 }, "MaxCertificateCost"},
	} {
		for _, version := range versions {
			client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version}
			server := &Config{Time: atNow, Certificates: []tls.Certificate{leaf}}
			c.change(client, server)
			_, err := NewEngine(TLSClient, client)
			if err == nil {
				_, err = NewEngine(TLSServer, server)
			}
			var fault *ConfigError
			switch {
			case c.want != "" && (!errors.As(err, &fault) || fault.Field != c.want):
				t.Errorf("%s: %v, want an error of %s", c.name, err, c.want)
			case c.want == "" && err != nil:
				t.Errorf("%s: %v", c.name, err)
			case c.want == "":
				if clientErr, serverErr := newMeeting(t, false, client, server).pump(); clientErr != nil || serverErr != nil {
					t.Errorf("%s, %#x: %v, %v", c.name, version, clientErr, serverErr)
				}
			}
		}
	}
}

// TestServerNames: SetServerName refuses what Config.ServerName must not be.
func TestServerNames(t *testing.T) {
	client, _ := configs(t)
	e, err := NewEngine(TLSClient, client)
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{
		"": true, "example.com": true, "example.com.": true, "under_score": true, "::1": true, strings.Repeat("a", 255): true,
		strings.Repeat("a", 256): false, "a\x00b": false, "a\nb": false, "ü.example": false, "a b": false, "\x7f": false,
	} {
		if err := e.SetServerName(name); (err == nil) != ok || err != nil && !errors.Is(err, ErrInvalidOperation) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestManyAuthorities: the subjects of a large pool are not sent, and the peer may
// show any certificate.
func TestManyAuthorities(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	pool := ca.Pool()
	for i := range 300 {
		name := pkix.Name{CommonName: fmt.Sprintf("authority %d of a large pool with a long name", i)}
		pool.AddCert(&x509.Certificate{Raw: []byte{byte(i), byte(i >> 8)}, RawSubject: []byte(name.String())})
	}
	client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{leaf}}
	server := &Config{Time: atNow, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, Certificates: []tls.Certificate{leaf}}
	newMeeting(t, false, client, server).handshake()
}
