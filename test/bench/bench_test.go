package main

import (
	"crypto/tls"
	"fmt"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

func BenchmarkHandshake(b *testing.B) {
	ca := pkitest.CA(b)
	leaf := ca.Leaf(b, pkitest.Options{})
	for _, s := range []settings{modern, {version: tls.VersionTLS13, group: tls.X25519MLKEM768}} {
		name := fmt.Sprintf("%s-%v", tls.VersionName(s.version), s.group)
		b.Run(name+"/hermetic", func(b *testing.B) {
			client, server := s.ours(b, ca, leaf)
			b.ReportAllocs()
			for b.Loop() {
				newEngines(b, client, server).handshake(b)
			}
		})
		b.Run(name+"/crypto-tls", func(b *testing.B) {
			client, server := s.theirs(b, ca, leaf)
			b.ReportAllocs()
			for b.Loop() {
				newConns(client, server).handshake(b)
			}
		})
	}
}

var recordSettings = []settings{
	{version: tls.VersionTLS13, group: tls.X25519, suite: tls.TLS_AES_128_GCM_SHA256},
	{version: tls.VersionTLS13, group: tls.X25519, suite: tls.TLS_CHACHA20_POLY1305_SHA256},
	{version: tls.VersionTLS12, group: tls.CurveP256, suite: tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	{version: tls.VersionTLS13, group: tls.X25519, suite: aes128CCM13},
}

func (s settings) name() string {
	if s.suite == aes128CCM13 {
		return "TLS_AES_128_CCM_SHA256"
	}
	return tls.CipherSuiteName(s.suite)
}

func BenchmarkRecord(b *testing.B) {
	ca := pkitest.CA(b)
	leaf := ca.Leaf(b, pkitest.Options{})
	for _, s := range recordSettings {
		for _, size := range []int{64, 1 << 10, 16 << 10} {
			name := fmt.Sprintf("%s-%d", s.name(), size)
			data := make([]byte, size)
			b.Run(name+"/hermetic", func(b *testing.B) {
				client, server := s.ours(b, ca, leaf)
				e := newEngines(b, client, server)
				e.handshake(b)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					e.transfer(b, data)
				}
			})
			if s.suite == tls.TLS_AES_128_GCM_SHA256 || s.version == tls.VersionTLS12 {
				b.Run(name+"/crypto-tls", func(b *testing.B) { cryptoTLSRecord(b, s, ca, leaf, data) })
			}
		}
	}
}

func cryptoTLSRecord(b *testing.B, s settings, ca *pkitest.Authority, leaf tls.Certificate, data []byte) {
	c := s.theirTransfers(b, ca, leaf)
	got := make([]byte, len(data))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		c.transfer(b, data, got)
	}
}
