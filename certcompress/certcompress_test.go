package certcompress

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"runtime"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/hermetic-tls/hermetic"
)

// message is like a Certificate message: some of it repeats, some of it does not.
func message(n int) []byte {
	b := make([]byte, n)
	rand.Read(b[:n/2])
	for i := n / 2; i < n; i++ {
		b[i] = byte(i % 16)
	}
	return b
}

func read(c hermetic.CertificateCompressor, data []byte, length int) ([]byte, error) {
	r, err := c.Decompress(bytes.NewReader(data), length)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, int64(length)+1))
}

// TestRoundTrip: what is compressed is smaller, and decompresses to the same.
func TestRoundTrip(t *testing.T) {
	want := map[uint16]string{1: "zlib (1)", 2: "brotli (2)", 3: "zstd (3)"}
	for _, c := range All() {
		if c.String() != want[c.Algorithm] {
			t.Errorf("algorithm %d is %v", c.Algorithm, c)
		}
		for _, n := range []int{1000, 5000, 1 << 16} {
			m := message(n)
			before := bytes.Clone(m)
			data, err := c.Compress(m)
			if err != nil || len(data) == 0 || len(data) >= n || !bytes.Equal(m, before) {
				t.Fatalf("%v: %d bytes of %d: %v", c, len(data), n, err)
			}
			if got, err := read(c, data, n); err != nil || !bytes.Equal(got, m) {
				t.Errorf("%v: %d bytes of %d: %v", c, len(got), n, err)
			}
		}
		if data, err := c.Compress([]byte("x")); data != nil || err != nil {
			t.Errorf("%v: what does not shrink becomes %x: %v", c, data, err)
		}
	}
}

// TestStreams: other encoders write in pieces and do not say how large the message is.
func TestStreams(t *testing.T) {
	m := message(5000)
	streams := map[uint16]func(io.Writer) io.WriteCloser{
		2: func(w io.Writer) io.WriteCloser {
			return brotli.NewWriterOptions(w, brotli.WriterOptions{Quality: 5, LGWin: 24})
		},
		3: func(w io.Writer) io.WriteCloser {
			e, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
			if err != nil {
				t.Fatal(err)
			}
			return e
		},
	}
	for _, c := range []hermetic.CertificateCompressor{Brotli(), Zstd()} {
		var b bytes.Buffer
		w := streams[c.Algorithm](&b)
		for i := 0; i < len(m); i += 100 {
			w.Write(m[i : i+100])
		}
		w.Close()
		if got, err := read(c, b.Bytes(), len(m)); err != nil || !bytes.Equal(got, m) {
			t.Errorf("%v: %d bytes: %v", c, len(got), err)
		}
	}
}

// TestBombs: what grows beyond its length costs no more memory than the documentation says.
func TestBombs(t *testing.T) {
	bomb := make([]byte, 4<<20)
	for _, c := range All() {
		data, err := c.Compress(bomb)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := read(c, data, 1<<16)
		runtime.ReadMemStats(&after)
		if err == nil && len(got) <= 1<<16 || len(got) > 1<<16+1 {
			t.Errorf("%v: %d bytes of a bomb: %v", c, len(got), err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 20<<20 {
			t.Errorf("%v: %d bytes of memory for a bomb", c, used)
		}
	}
}

// TestGarbage: what is cut, changed or longer is an error or another message, never a panic.
func TestGarbage(t *testing.T) {
	m := message(300)
	for _, c := range All() {
		data, err := c.Compress(m)
		if err != nil {
			t.Fatal(err)
		}
		for n := range data {
			if got, err := read(c, data[:n], len(m)); err == nil && len(got) == len(m) && n < len(data)-4 {
				t.Errorf("%v: %d of %d bytes are enough", c, n, len(data))
			}
			changed := bytes.Clone(data)
			changed[n] ^= 1
			read(c, changed, len(m))
		}
		in := bytes.NewReader(append(bytes.Clone(data), 7))
		r, err := c.Decompress(in, len(m))
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if err == nil && in.Len() == 0 {
			t.Errorf("%v: a byte after the end goes unnoticed", c)
		}
	}
}

// FuzzDecompress: whatever comes, no panic, and no more than what is asked for.
func FuzzDecompress(f *testing.F) {
	list := All()
	for i, c := range list {
		for _, m := range [][]byte{message(200), make([]byte, 1<<16)} {
			data, err := c.Compress(m)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), uint16(len(m)), data)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, length uint16, data []byte) {
		got, _ := read(list[int(which)%len(list)], data, int(length))
		if len(got) > int(length)+1 {
			t.Errorf("%d bytes of %d", len(got), length)
		}
	})
}

// TestHandshake: with each algorithm, a server and a client compress their certificates, in
// TLS and in DTLS.
func TestHandshake(t *testing.T) {
	cert, pool := certificate(t)
	for _, c := range All() {
		for _, modes := range [][2]hermetic.Mode{{hermetic.TLSClient, hermetic.TLSServer}, {hermetic.DTLSClient, hermetic.DTLSServer}} {
			list := []hermetic.CertificateCompressor{c}
			clientCfg := &hermetic.Config{ServerName: "localhost", RootCAs: pool, Certificates: []tls.Certificate{cert}, CertificateCompressors: list}
			serverCfg := &hermetic.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, CertificateCompressors: All()}
			serverCfg.DTLS.TrustAddress = true
			client, server := engine(t, modes[0], clientCfg), engine(t, modes[1], serverCfg)
			if err := pump(client, server); err != nil {
				t.Fatalf("%v, %v: %v", c, modes[0], err)
			}
			for _, e := range []*hermetic.Engine{client, server} {
				if s := e.State(); !s.HandshakeComplete || s.LocalCertificateCompression != c.Algorithm || s.PeerCertificateCompression != c.Algorithm {
					t.Errorf("%v: %v: complete %v, algorithms %d and %d", c, s.Mode, s.HandshakeComplete, s.LocalCertificateCompression, s.PeerCertificateCompression)
				}
			}
		}
	}
}

func engine(t *testing.T, mode hermetic.Mode, cfg *hermetic.Config) *hermetic.Engine {
	t.Helper()
	e, err := hermetic.NewEngine(mode, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// pump passes what two engines have to say until neither has anything.
func pump(client, server *hermetic.Engine) error {
	for client.HasOutput() || server.HasOutput() {
		for _, ends := range [][2]*hermetic.Engine{{client, server}, {server, client}} {
			for ends[0].HasOutput() {
				for in := ends[0].Output(nil); len(in) > 0; {
					o, err := ends[1].Open(in)
					if err != nil {
						return err
					}
					if o.N == 0 {
						return errors.New("a record is incomplete")
					}
					in = in[o.N:]
				}
			}
		}
	}
	return nil
}

// certificate is one that is worth compressing, and signs itself.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "certcompress"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"localhost"},
	}
	for i := range 50 {
		template.DNSNames = append(template.DNSNames, fmt.Sprintf("host%d.example.com", i))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func ExampleAll() {
	cfg := &hermetic.Config{CertificateCompressors: All()}
	for _, c := range cfg.CertificateCompressors {
		fmt.Println(c)
	}
	// Output:
	// brotli (2)
	// zstd (3)
	// zlib (1)
}
