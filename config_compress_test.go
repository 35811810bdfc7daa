package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
)

// lengthen repeats a certificate in its chain, so that compression gains something.
func lengthen(c *Config) {
	leaf := c.Certificates[0]
	leaf.Certificate = append([][]byte{leaf.Certificate[0]}, leaf.Certificate[0], leaf.Certificate[0])
	c.Certificates = []tls.Certificate{leaf}
}

// TestCertificateCompression: certificates of both sides are compressed in TLS and DTLS 1.3.
// In 1.2 nothing is.
func TestCertificateCompression(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		flight := func(compressors ...CertificateCompressor) (sent int, m *meeting) {
			client, server, now := sessionConfigs(t, version)
			lengthen(server)
			client.Certificates, server.ClientAuth, server.ClientCAs = server.Certificates, tls.RequireAndVerifyClientCert, client.RootCAs
			client.CertificateCompressors, server.CertificateCompressors = compressors, compressors
			m = newMeeting(t, datagram, client, server)
			m.tap = func(_ *Engine, out []byte) { sent += len(out) }
			m.settle(now)
			return sent, m
		}
		plain, m := flight()
		if s := m.client.State(); s.LocalCertificateCompression != 0 || s.PeerCertificateCompression != 0 {
			t.Errorf("compressed without an algorithm: %d and %d", s.LocalCertificateCompression, s.PeerCertificateCompression)
		}
		compressed, m := flight(ZlibCompressor())
		want := uint16(1)
		if version == tls.VersionTLS12 {
			want = 0
		}
		for _, e := range []*Engine{m.client, m.server} {
			s := e.State()
			if s.LocalCertificateCompression != want || s.PeerCertificateCompression != want || len(s.PeerCertificates) != 3 {
				t.Errorf("%v: algorithms %d and %d, want %d, and a chain of %d", e.mode, s.LocalCertificateCompression, s.PeerCertificateCompression, want, len(s.PeerCertificates))
			}
		}
		if saved := plain - compressed; version == tls.VersionTLS13 && saved < 500 {
			t.Errorf("compression saves %d bytes of %d", saved, plain)
		}
	})
}

// counted is zlib that counts what it compresses.
func counted(calls *atomic.Int32) CertificateCompressor {
	c := ZlibCompressor()
	compress := c.Compress
	c.Compress = func(message []byte) ([]byte, error) {
		calls.Add(1)
		return compress(message)
	}
	return c
}

// TestChainIsCompressedOnce: many handshakes share the compressed chain. Another certificate
// or another staple is compressed anew, also under the same pointer.
func TestChainIsCompressedOnce(t *testing.T) {
	var calls atomic.Int32
	client, server := configs(t)
	lengthen(server)
	cert := server.Certificates[0]
	client.CertificateCompressors = []CertificateCompressor{ZlibCompressor()}
	server.CertificateCompressors = []CertificateCompressor{counted(&calls)}
	server.GetCertificate = func(*ClientHello) (*tls.Certificate, error) { return &cert, nil }
	connect := func(when string, want int32) {
		t.Helper()
		calls.Store(0)
		for range 5 {
			m := newMeeting(t, false, client, server)
			m.handshake()
			if s := m.server.State(); s.LocalCertificateCompression != 1 {
				t.Errorf("%s: algorithm %d", when, s.LocalCertificateCompression)
			}
			if s := m.client.State(); !client.NoOCSPStapling && !bytes.Equal(s.OCSPResponse, cert.OCSPStaple) {
				t.Errorf("%s: the staple is %q", when, s.OCSPResponse)
			}
		}
		if got := calls.Load(); got != want {
			t.Errorf("%s: compressed %d times in 5 handshakes, want %d", when, got, want)
		}
	}
	connect("the first", 1)
	connect("the same", 0)
	cert.OCSPStaple = []byte("a staple")
	connect("with a staple", 1)
	cert.OCSPStaple = []byte("another")
	connect("with another staple", 1)
	cert.OCSPStaple, cert.Certificate = nil, cert.Certificate[:2]
	connect("another chain", 1)
	client = client.Clone()
	client.NoOCSPStapling = true
	cert.OCSPStaple = []byte("unasked")
	connect("a client that asks for no staple", 0)
}

// TestCompressionWithRetryAndResumption: neither a HelloRetryRequest nor a session minds.
func TestCompressionWithRetryAndResumption(t *testing.T) {
	for _, datagram := range []bool{false, true} {
		client, server, now := sessionConfigs(t, tls.VersionTLS13)
		lengthen(server)
		client.KeyShares = []tls.CurveID{}
		client.CertificateCompressors, server.CertificateCompressors = []CertificateCompressor{ZlibCompressor()}, []CertificateCompressor{ZlibCompressor()}
		m := newMeeting(t, datagram, client, server)
		m.settle(now)
		if s := m.client.State(); !s.HelloRetryRequest || s.PeerCertificateCompression != 1 {
			t.Errorf("datagrams %v: retried %v, algorithm %d", datagram, s.HelloRetryRequest, s.PeerCertificateCompression)
		}
		m = newMeeting(t, datagram, client, server)
		m.settle(now)
		if s := m.client.State(); !s.DidResume || s.PeerCertificateCompression != 0 || len(s.PeerCertificates) != 3 {
			t.Errorf("datagrams %v: resumed %v, algorithm %d, chain of %d", datagram, s.DidResume, s.PeerCertificateCompression, len(s.PeerCertificates))
		}
	}
}

// TestCompressionWithSmallRecords: both features together, in flights with losses.
func TestCompressionWithSmallRecords(t *testing.T) {
	client, server, now := sessionConfigs(t, tls.VersionTLS13)
	lengthen(server)
	server.DTLS.TrustAddress = true
	client.RecordSizeLimit = 100
	client.CertificateCompressors, server.CertificateCompressors = []CertificateCompressor{ZlibCompressor()}, []CertificateCompressor{ZlibCompressor()}
	m := meet(t, [2]Mode{DTLSClient, DTLSServer}, now, client, server)
	n := 0
	m.lose = func() bool { n++; return n%4 == 0 }
	if err := m.wait(); err != nil {
		t.Error(err)
	}
	if s := m.client.State(); s.PeerCertificateCompression != 1 {
		t.Errorf("algorithm %d", s.PeerCertificateCompression)
	}
}

// TestLimitOfCompressedCertificates: MaxCertificateMessage is the limit of the message in
// either form.
func TestLimitOfCompressedCertificates(t *testing.T) {
	for _, test := range []struct {
		limit int
		want  Alert
	}{{0, 0}, {1000, AlertBadCertificate}, {1 << 16, 0}} {
		client, server := configs(t)
		lengthen(server)
		client.MaxCertificateMessage = test.limit
		client.CertificateCompressors, server.CertificateCompressors = []CertificateCompressor{ZlibCompressor()}, []CertificateCompressor{ZlibCompressor()}
		m := newMeeting(t, false, client, server)
		err, _ := m.pump()
		if a := new(AlertError); test.want == 0 && err != nil || test.want != 0 && (!errors.As(err, &a) || a.Alert != test.want) {
			t.Errorf("a limit of %d: %v, want %v", test.limit, err, test.want)
		}
	}
}

func TestZlibCompressor(t *testing.T) {
	c := ZlibCompressor()
	if c.Algorithm != 1 || c.String() != "zlib (1)" || (CertificateCompressor{Algorithm: 9}).String() != "algorithm 9" {
		t.Errorf("%v", c)
	}
	message := []byte(strings.Repeat("certificate ", 100))
	data, err := c.Compress(message)
	if err != nil || len(data) >= len(message) {
		t.Fatalf("%d bytes of %d: %v", len(data), len(message), err)
	}
	r, err := c.Decompress(bytes.NewReader(data), len(message))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, message) {
		t.Errorf("%q: %v", got, err)
	}
	if data, err := c.Compress([]byte("short")); data != nil || err != nil {
		t.Errorf("what compression does not shrink becomes %q: %v", data, err)
	}
}

// TestCompressorsInConfig: what a Config refuses.
func TestCompressorsInConfig(t *testing.T) {
	zlib := ZlibCompressor()
	var many []CertificateCompressor
	for i := range 128 {
		c := zlib
		c.Algorithm = uint16(i + 1)
		many = append(many, c)
	}
	for _, test := range []struct {
		list []CertificateCompressor
		want string
	}{
		{nil, ""},
		{[]CertificateCompressor{}, ""},
		{many[:127], ""},
		{many, "Config.CertificateCompressors: it has 128 algorithms, more than 127"},
		{[]CertificateCompressor{zlib, zlib}, "Config.CertificateCompressors: algorithm 1 is listed twice"},
		{[]CertificateCompressor{zlib, {Compress: zlib.Compress}}, "Config.CertificateCompressors[1].Algorithm: 0 is not an algorithm: see the registry of RFC 8879"},
		{[]CertificateCompressor{{Algorithm: 2, Name: "brotli"}}, "Config.CertificateCompressors[0]: brotli (2) has neither Compress nor Decompress"},
	} {
		_, err := NewEngine(TLSServer, &Config{CertificateCompressors: test.list})
		if got := fmt.Sprint(err); test.want == "" && err != nil || test.want != "" && got != "hermetic: "+test.want {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
}
