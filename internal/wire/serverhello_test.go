package wire

import (
	"crypto/sha256"
	"testing"
)

// TestRetryRandom: RFC 9846, Section 4.2.3, says where it comes from.
func TestRetryRandom(t *testing.T) {
	if RetryRandom != sha256.Sum256([]byte("HelloRetryRequest")) {
		t.Errorf("%x", RetryRandom)
	}
	hello, retry := sampleServerHello(), sampleRetry()
	if hello.IsRetry() || !retry.IsRetry() {
		t.Error("IsRetry is wrong")
	}
}

// TestBareServerHello: TLS 1.2 writes no empty list, RFC 5246, Section 7.4.1.3.
func TestBareServerHello(t *testing.T) {
	m := ServerHello{Version: VersionTLS12, CipherSuite: 0xc02b}
	if b := m.Append(nil); len(b) != 4+2+32+1+2+1 {
		t.Errorf("%d bytes: %x", len(b), b)
	}
}
