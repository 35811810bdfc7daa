package session

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/version"
)

func samples() map[string]*Session {
	created := time.UnixMilli(1_800_000_000_123)
	return map[string]*Session{
		"the least": {Version: 0x0303, Suite: 0xc02b, Secret: []byte{1}, Began: created, Created: created},
		"everything": {
			Version: 0x0304, Transport: version.Datagram, Suite: 0x1301, Group: 29, Secret: make([]byte, 48), EMS: true, RawLocal: true,
			Began: created.Add(-time.Hour), Created: created, Lifetime: 3600 * time.Second, AgeAdd: 77, MaxEarlyData: 1 << 14, Ticket: []byte("ticket"), ID: []byte("id"),
			ServerName: "example.com", ALPN: "h2", PeerScheme: 0x0403, PeerChain: [][]byte{{1, 2}, {3}},
			PeerKey: []byte("key"), PSK: &PSK{[]byte("psk"), [16]byte{1}}, OCSP: []byte("ocsp"), SCTs: []byte("scts"),
		},
	}
}

func TestRoundTrip(t *testing.T) {
	for name, s := range samples() {
		got, err := Parse(s.Append(nil))
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("%s: %v\n%+v\n%+v", name, err, got, s)
		}
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	whole := samples()["everything"].Append(nil)
	for n := range whole {
		if _, err := Parse(whole[:n]); err != ErrFormat {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	if _, err := Parse(append(whole, 0)); err != ErrFormat {
		t.Errorf("a byte too many: %v", err)
	}
}

// TestStableForm: what was saved once can be read forever.
func TestStableForm(t *testing.T) {
	const saved = "\x01\x02\x03\x03\xc0\x2b\x00\x1d\x04\x03\x00\x00\x01\xa3\x18\x5c\x40\x00\x00\x00\x01\xa3\x18\x5c\x50\x00\x00\x00\x0e\x10" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x02\xaa\xbb\x01a\x00\x00\x00\x00\x01t\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	s, err := Parse([]byte(saved))
	if err != nil {
		t.Fatal(err)
	}
	want := &Session{Version: 0x0303, EMS: true, Suite: 0xc02b, Group: 29, PeerScheme: 0x0403, Secret: []byte{0xaa, 0xbb},
		Began: time.UnixMilli(0x01a3185c4000), Created: time.UnixMilli(0x01a3185c5000), Lifetime: time.Hour, ServerName: "a", Ticket: []byte("t")}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("%+v", s)
	}
}

// TestForms: each part stands where it has always stood.
func TestForms(t *testing.T) {
	secret := strings.Repeat("\x00", 48)
	for name, want := range map[string]string{
		"the least": "\x01\x00\x03\x03\xc0\x2b\x00\x00\x00\x00\x00\x00\x01\xa3\x18\x5c\x50\x7b\x00\x00\x01\xa3\x18\x5c\x50\x7b" +
			"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"everything": "\x01\x0f\x03\x04\x13\x01\x00\x1d\x04\x03\x00\x00\x01\xa3\x18\x25\x61\xfb\x00\x00\x01\xa3\x18\x5c\x50\x7b" +
			"\x00\x00\x0e\x10\x00\x00\x00\x4d\x00\x00\x40\x00\x30" + secret + "\x0bexample.com\x02h2\x02id" +
			"\x00\x00\x06ticket\x00\x00\x03key\x00\x00\x04ocsp\x00\x00\x04scts\x02\x00\x00\x02\x01\x02\x00\x00\x01\x03" +
			"\x00\x00\x03psk\x01" + strings.Repeat("\x00", 15),
	} {
		if got := samples()[name].Append(nil); string(got) != want {
			t.Errorf("%s:\n%x, want\n%x", name, got, want)
		}
	}
}

func TestExpired(t *testing.T) {
	s := &Session{Created: time.UnixMilli(1_800_000_000_000), Lifetime: time.Hour}
	for after, want := range map[time.Duration]bool{
		0: false, time.Hour - 1: false, time.Hour: true, -time.Second: false, -time.Hour: true,
	} {
		if got := s.Expired(s.Created.Add(after)); got != want {
			t.Errorf("%v after: %v", after, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.Append(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			return
		}
		if again := s.Append(nil); string(again) != string(data) {
			t.Errorf("%x became %x", data, again)
		}
	})
}
