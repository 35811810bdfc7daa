package hermetic_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	. "github.com/hermetic-tls/hermetic"
)

// TestNames: what is listed has a name and is accepted by a Config, and the names
// agree with those of crypto/tls where it has them.
func TestNames(t *testing.T) {
	for _, s := range CipherSuites() {
		if got := CipherSuiteName(s.ID); got != s.Name {
			t.Errorf("CipherSuiteName(%#04x) is %s, the list says %s", s.ID, got, s.Name)
		}
		cfg := &Config{ServerName: "localhost", CipherSuites: []uint16{s.ID}, PSKs: []PSK{{Identity: []byte("i"), Key: make([]byte, 32)}}}
		if _, err := NewEngine(TLSClient, cfg); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if got := CipherSuiteName(s.ID); got != s.Name {
			t.Errorf("CipherSuiteName(%#04x) is %s, crypto/tls says %s", s.ID, got, s.Name)
		}
	}
	for id, want := range map[uint16]string{0xd001: "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256", 0x1304: "TLS_AES_128_CCM_SHA256", 0x1a2b: "0x1A2B"} {
		if got := CipherSuiteName(id); got != want {
			t.Errorf("CipherSuiteName(%#04x) is %s, not %s", id, got, want)
		}
	}
	for _, g := range Groups() {
		if _, err := NewEngine(TLSClient, &Config{ServerName: "localhost", CurvePreferences: []tls.CurveID{g}}); err != nil {
			t.Errorf("%s: %v", GroupName(g), err)
		}
	}
	for id, want := range map[tls.CurveID]string{tls.CurveP256: "P-256", tls.X25519MLKEM768: "X25519MLKEM768", 9: "CurveID(9)"} {
		if got := GroupName(id); got != want {
			t.Errorf("GroupName(%d) is %s, not %s", id, got, want)
		}
	}
}

// TestParseFaults: what does not parse is a FileError, whichever function has read it.
func TestParseFaults(t *testing.T) {
	bad := []byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
	_, pool := ParseCertPool(bad)
	_, pair := ParseKeyPair(bad)
	for name, test := range map[string]struct {
		err     error
		problem string
	}{
		"ParseCertPool": {pool, "can't parse CA certificate"},
		"ParseKeyPair":  {pair, "can't parse certificate"},
	} {
		var fault *FileError
		if !errors.As(test.err, &fault) || fault.File != "PEM" || fault.Problem != test.problem || fault.Err == nil {
			t.Errorf("%s: %v", name, test.err)
		}
	}
}

// TestStaticTicketKeysCopies: the caller may reuse its slice.
func TestStaticTicketKeysCopies(t *testing.T) {
	list := []TicketKey{{1}, {2}}
	source := StaticTicketKeys(list...)
	list[0] = TicketKey{3}
	if keys, _ := source.TicketKeys(time.Time{}); len(keys) != 2 || keys[0] != (TicketKey{1}) {
		t.Errorf("the keys have changed: %x", keys)
	}
}

// TestReplayGuardWithoutClock: nil is the system's clock, which rejects at first.
func TestReplayGuardWithoutClock(t *testing.T) {
	if NewReplayGuard(10, nil).Unseen(make([]byte, 32), time.Time{}) {
		t.Error("early data was accepted at once")
	}
}

func TestSRTPProfileName(t *testing.T) {
	for _, id := range SRTPProfiles() {
		if name := SRTPProfileName(id); !strings.HasPrefix(name, "SRTP_A") {
			t.Errorf("%#04x is called %q", id, name)
		}
	}
	if name := SRTPProfileName(0x1a2b); name != "0x1a2b" {
		t.Errorf("an unknown profile is called %q", name)
	}
}
