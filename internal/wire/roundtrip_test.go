package wire

import (
	"bytes"
	"math/bits"
	"reflect"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/roomtest"
)

// TestSamplesAreFull: a field that no sample sets is a field that no test here
// sees.
func TestSamplesAreFull(t *testing.T) {
	empty := map[string]bool{
		"ClientHello.LegacyCookie":    true, // a TLS ClientHello has none of these
		"ClientHello.SRTP":            true,
		"ClientHello.ConnectionID":    true,
		"ServerHello.Unknown":         true, // are not appended: TestUnknownExtensions
		"EncryptedExtensions.Unknown": true,
		"CertificateEntry.Unknown":    true,
	}
	for _, c := range structures() {
		if c.name == "HelloRetryRequest" {
			continue // the type is ServerHello's
		}
		m := reflect.ValueOf(c.sample).Elem()
		for i := range m.NumField() {
			if !m.Type().Field(i).IsExported() {
				continue
			}
			if name := c.name + "." + m.Type().Field(i).Name; m.Field(i).IsZero() != empty[name] {
				t.Errorf("the sample's %s is %v", name, m.Field(i))
			}
		}
	}
}

// TestRoundTrip: what is appended parses to the same fields, and is appended
// again byte for byte.
func TestRoundTrip(t *testing.T) {
	for _, c := range structures() {
		body := c.body()
		m := c.zero()
		if err := c.parse(m, body); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if hello, ok := m.(*ClientHello); ok {
			if types := hello.ExtensionTypes(); len(types) != bits.OnesCount64(uint64(hello.Has)) {
				t.Errorf("%s: extensions %d, has %v", c.name, types, hello.Has)
			}
			hello.block = nil // only of a message that was received
		}
		if !reflect.DeepEqual(m, c.sample) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, m, c.sample)
		}
		if again := c.append(m); !bytes.Equal(again, body) {
			t.Errorf("%s:\n got %x\nwant %x", c.name, again, body)
		}
	}
}

// withoutAny is the body of c's sample without its extensions.
func withoutAny(t *testing.T, c structure) []byte {
	m := c.zero()
	if err := c.parse(m, c.body()); err != nil {
		t.Fatal(err)
	}
	if has := reflect.ValueOf(m).Elem().FieldByName("Has"); has.IsValid() {
		has.SetUint(0)
	}
	return c.append(m)
}

// TestReparse: nothing of the message before is left in the one parsed into
// the same place.
func TestReparse(t *testing.T) {
	for _, c := range structures() {
		body := withoutAny(t, c)
		used, fresh := c.zero(), c.zero()
		for _, err := range []error{c.parse(used, c.body()), c.parse(used, body), c.parse(fresh, body)} {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if !reflect.DeepEqual(used, fresh) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, used, fresh)
		}
	}
}

// TestAppendAfter: Append leaves what is there and writes a whole message.
func TestAppendAfter(t *testing.T) {
	hello := sampleClientHello(Stream)
	b := hello.Append([]byte("before"), Stream)
	typ, n, ok := ParseHeader(b[6:])
	if string(b[:6]) != "before" || typ != TypeClientHello || n != len(b)-6-4 || !ok {
		t.Errorf("%q, then %v of %d bytes", b[:6], typ, n)
	}
	if !bytes.Equal(b[10:], structureNamed("ClientHello").body()) {
		t.Errorf("the body depends on what is before it")
	}
}

// TestTypes: each message says what it is.
func TestTypes(t *testing.T) {
	for _, tt := range []struct {
		message interface{ Append([]byte) []byte }
		want    Type
	}{
		{new(ServerHello), TypeServerHello},
		{new(EncryptedExtensions), TypeEncryptedExtensions},
		{new(HelloVerifyRequest), TypeHelloVerifyRequest},
		{new(CertificateRequest13), TypeCertificateRequest},
		{new(CertificateRequest12), TypeCertificateRequest},
		{new(Certificate13), TypeCertificate},
		{new(CompressedCertificate), TypeCompressedCertificate},
		{new(Certificate12), TypeCertificate},
		{new(CertificateStatus), TypeCertificateStatus},
		{new(CertificateVerify), TypeCertificateVerify},
		{new(NewSessionTicket13), TypeNewSessionTicket},
		{new(NewSessionTicket12), TypeNewSessionTicket},
		{new(KeyUpdate), TypeKeyUpdate},
		{new(RequestConnectionID), TypeRequestConnectionID},
		{new(NewConnectionID), TypeNewConnectionID},
	} {
		b := tt.message.Append(nil)
		if got, n, ok := ParseHeader(b); got != tt.want || n != len(b)-4 || !ok {
			t.Errorf("%T is appended as %v of %d bytes in %d", tt.message, got, n, len(b))
		}
	}
	if got := (&ServerKeyExchange{}).Append(nil, everyPart); Type(got[0]) != TypeServerKeyExchange {
		t.Errorf("ServerKeyExchange is appended as %v", Type(got[0]))
	}
	if got := (&ClientKeyExchange{}).Append(nil, everyPart); Type(got[0]) != TypeClientKeyExchange {
		t.Errorf("ClientKeyExchange is appended as %v", Type(got[0]))
	}
}

// TestTruncated: nothing parses when its end is missing, or when something
// follows it.
func TestTruncated(t *testing.T) {
	for _, c := range structures() {
		body := c.body()
		for n := range len(body) {
			err := c.parse(c.zero(), body[:n:n])
			if end, ok := withoutExtensions[c.name]; ok && n == end {
				if err != nil {
					t.Errorf("%s without a block of extensions: %v", c.name, err)
				}
				continue
			}
			roomtest.WantAlert(t, err, alert.DecodeError, "%s of %d bytes, cut to %d", c.name, len(body), n)
		}
		roomtest.WantAlert(t, c.parse(c.zero(), append(bytes.Clone(body), 0)), alert.DecodeError, "%s with a byte after it", c.name)
	}
}

// withoutExtensions is where the hellos of TLS 1.2 may end (RFC 5246, Section
// 7.4.1.2): the sizes of the samples up to there.
var withoutExtensions = map[string]int{
	"ClientHello":         2 + 32 + 1 + 2 + 2 + 4 + 1 + 1,
	"ClientHello of DTLS": 2 + 32 + 1 + 2 + 1 + 1 + 2 + 4 + 1 + 1,
	"ServerHello":         2 + 32 + 1 + 2 + 2 + 1,
	"HelloRetryRequest":   2 + 32 + 1 + 2 + 2 + 1,
}

// TestFieldsEndWhereTheyEnd: the fields alias the message, and appending to one
// does not write into it.
func TestFieldsEndWhereTheyEnd(t *testing.T) {
	for _, c := range structures() {
		body := c.body()
		m := c.zero()
		if err := c.parse(m, body); err != nil {
			t.Fatal(err)
		}
		clear(body)
		fields := reflect.ValueOf(m).Elem()
		for i := range fields.NumField() {
			f := fields.Field(i)
			if f.Kind() != reflect.Slice {
				continue
			}
			name := c.name + "." + fields.Type().Field(i).Name
			b := f.Bytes()
			if cap(b) != len(b) {
				t.Errorf("%s has %d bytes and room for %d", name, len(b), cap(b))
			}
			if !bytes.Equal(b, make([]byte, len(b))) {
				t.Errorf("%s is a copy", name)
			}
		}
	}
}

// TestParseAllocations: a ClientHello costs its server name, the rest nothing.
func TestParseAllocations(t *testing.T) {
	for _, c := range structures() {
		body, m, want := c.body(), c.zero(), 0.0
		if _, ok := m.(*ClientHello); ok {
			want = 1
		}
		if n := testing.AllocsPerRun(100, func() { c.parse(m, body) }); n > want {
			t.Errorf("%s: %.0f allocations, want %.0f", c.name, n, want)
		}
	}
}
