package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"fmt"
	"io"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// The suites that crypto/tls has no names for.
const (
	aes128CCM13  = 0x1304 // TLS_AES_128_CCM_SHA256
	aes128CCM813 = 0x1305 // TLS_AES_128_CCM_8_SHA256
	aes128CCM12  = 0xc0ac // TLS_ECDHE_ECDSA_WITH_AES_128_CCM
	aes128CCM812 = 0xc0ae // TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8
	aes256CCM12  = 0xc0ad // TLS_ECDHE_ECDSA_WITH_AES_256_CCM
)

// aeads are the ciphers of the table, and their suites.
var aeads = []struct {
	name           string
	tls13, tls12   uint16
	key            int  // its size in bytes
	ccm            bool // of which the standard library has only the parts
	cryptoTLSHas12 bool
}{
	{"AES-128-GCM", tls.TLS_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, 16, false, true},
	{"AES-256-GCM", tls.TLS_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, 32, false, true},
	{"ChaCha20-Poly1305", tls.TLS_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, 0, false, true},
	{"AES-128-CCM", aes128CCM13, aes128CCM12, 16, true, false},
	{"AES-128-CCM-8", aes128CCM813, aes128CCM812, 16, true, false},
	{"AES-256-CCM", 0, aes256CCM12, 32, true, false},
}

// recordSizes are sizes of data.
var recordSizes = []struct {
	bytes int
	name  string
}{{64, "64 B"}, {1 << 10, "1 KB"}, {16 << 10, "16 KB"}}

// recordRows seal data and open it on the other side. crypto/tls chooses the cipher itself in TLS
// 1.3, and so it is in one row of it.
func recordRows() (rows []row) {
	for _, v := range []settings{
		{version: tls.VersionTLS13, group: tls.X25519}, {version: tls.VersionTLS12, group: tls.X25519},
		{version: tls.VersionTLS13, group: tls.X25519, datagrams: true}, {version: tls.VersionTLS12, group: tls.X25519, datagrams: true},
	} {
		for _, a := range aeads {
			s, crypto := v, a.cryptoTLSHas12
			if s.suite = a.tls12; v.version == tls.VersionTLS13 {
				s.suite, crypto = a.tls13, a.tls13 == tls.TLS_AES_128_GCM_SHA256
			}
			if s.suite == 0 {
				continue
			}
			for _, size := range recordSizes {
				r := row{name: fmt.Sprintf("%s, %s, %s", s.versionName(), a.name, size.name), measure: opTime}
				r.contestants = append(r.contestants, contestant{ours, func(t *trial) round { return s.records(t, size.bytes) }})
				if crypto && !s.datagrams {
					r.contestants = append(r.contestants, contestant{cryptoTLS, func(t *trial) round { return s.theirRecords(t, size.bytes) }})
				}
				cipher := func(t *trial) func() { return s.rawAEAD(t, a.key, size.bytes) }
				if a.ccm {
					cipher = func(t *trial) func() { return ccmPasses(t, a.key, size.bytes) }
				}
				r.contestants = append(r.contestants, contestant{floor, func(t *trial) round { return perOp(t, cipher(t)) }})
				rows = append(rows, r)
			}
		}
	}
	return rows
}

func (s settings) records(t *trial, size int) round {
	ca := pkitest.CA(t)
	client, server := s.ours(t, ca, ca.Leaf(t, pkitest.Options{}))
	e := s.connect(t, client, server)
	if suite := e.server.State().CipherSuite; suite != s.suite {
		t.Fatalf("the suite is %x", suite)
	}
	data := make([]byte, size)
	r := perOp(t, func() { e.transfer(t, data) })
	return r.sending(len(e.buf))
}

// transfer seals data and opens it on the other side.
func (e *engines) transfer(tb testing.TB, data []byte) {
	var err error
	if e.buf, err = e.client.Seal(e.buf[:0], data); err != nil {
		tb.Fatal(err)
	}
	if n := openAll(tb, e.server, e.buf); n != len(data) {
		tb.Fatalf("%d bytes of %d came", n, len(data))
	}
}

func (s settings) theirRecords(t *trial, size int) round {
	ca := pkitest.CA(t)
	c := s.theirTransfers(t, ca, ca.Leaf(t, pkitest.Options{}))
	data, got := make([]byte, size), make([]byte, size)
	return perOp(t, func() { c.transfer(t, data, got) })
}

// theirTransfers are two ends of crypto/tls after the handshake, in one goroutine: the
// buffer between never blocks.
func (s settings) theirTransfers(tb testing.TB, ca *pkitest.Authority, leaf tls.Certificate) *conns {
	client, server := s.theirs(tb, ca, leaf)
	if s.version == tls.VersionTLS12 {
		client.CipherSuites = []uint16{s.suite}
	}
	client.DynamicRecordSizingDisabled, server.DynamicRecordSizingDisabled = true, true
	c, w := newWire(client, server)
	c.handshake(tb)
	w.detach()
	if suite := c.server.ConnectionState().CipherSuite; suite != s.suite {
		tb.Fatalf("crypto/tls has chosen %s", tls.CipherSuiteName(suite))
	}
	return c
}

func (c *conns) transfer(tb testing.TB, data, got []byte) {
	if _, err := c.client.Write(data); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.ReadFull(c.server, got); err != nil {
		tb.Fatal(err)
	}
}

// rawAEAD seals and opens in place what a record encrypts: in 1.3 the data and its type, with the
// header as additional data, and in 1.2 the data, with 13 bytes. A key of size 0 is
// ChaCha20-Poly1305's.
func (s settings) rawAEAD(tb testing.TB, key, size int) func() {
	aead, err := chacha20poly1305.New(make([]byte, chacha20poly1305.KeySize))
	if key > 0 {
		block, err := aes.NewCipher(make([]byte, key))
		if err != nil {
			tb.Fatal(err)
		}
		if aead, err = cipher.NewGCM(block); err != nil {
			tb.Fatal(err)
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	nonce, header := make([]byte, aead.NonceSize()), make([]byte, 5)
	if s.version == tls.VersionTLS12 {
		header = make([]byte, 13)
	} else {
		size++
	}
	buf := make([]byte, size, size+aead.Overhead())
	return func() {
		nonce[0]++
		sealed := aead.Seal(buf[:0], nonce, buf, header)
		if _, err := aead.Open(sealed[:0], nonce, sealed, header); err != nil {
			tb.Fatal(err)
		}
	}
}

// ccmPasses are the two passes of CCM over the data, counter mode and CBC, once to seal and once to
// open.
func ccmPasses(tb testing.TB, key, size int) func() {
	block, err := aes.NewCipher(make([]byte, key))
	if err != nil {
		tb.Fatal(err)
	}
	iv, buf, mac := make([]byte, aes.BlockSize), make([]byte, size), make([]byte, size)
	return func() {
		for range 2 {
			cipher.NewCTR(block, iv).XORKeyStream(buf, buf)
			cipher.NewCBCEncrypter(block, iv).CryptBlocks(mac, buf)
		}
	}
}
