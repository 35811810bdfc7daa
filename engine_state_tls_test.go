package hermetic

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// notInTLS are the fields of tls.ConnectionState that TLS leaves zero in a connection that has
// everything, and why.
var notInTLS = map[string]string{
	"ECHAccepted":                       "there is no Encrypted ClientHello yet",
	"TLSUnique":                         "TLS 1.3 has none: TestConnectionStateFields of netconn compares that of 1.2",
	"DidResume":                         "the connection is a new one",
	"HelloRetryRequest":                 "the first ClientHello was enough",
	"testingOnlyPeerSignatureAlgorithm": "crypto/tls has it for its own tests",
}

// TestStateTLS: each field of tls.ConnectionState of this Go version is set, and the keys that it
// exports are those of the connection.
func TestStateTLS(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	leaf.OCSPStaple, leaf.SignedCertificateTimestamps = []byte("ocsp"), [][]byte{[]byte("sct")}
	config := func() *Config {
		return &Config{
			Time: atNow, RootCAs: ca.Pool(), ClientCAs: ca.Pool(), ServerName: "localhost", NextProtos: []string{"x"},
			Certificates: []tls.Certificate{leaf}, ClientAuth: tls.RequireAnyClientCert,
		}
	}
	client, server := config(), config()
	var verifying tls.ConnectionState
	client.VerifyConnection = func(s ConnectionState) error { verifying = s.TLS(); return nil }
	p := newMeeting(t, false, client, server)
	p.handshake()
	state := p.client.State()
	state.VerifiedChains = verifying.VerifiedChains
	state.ServerName = "localhost"
	got := state.TLS()
	v := reflect.ValueOf(got)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if why, zero := notInTLS[name]; v.Field(i).IsZero() != zero {
			t.Errorf("tls.ConnectionState.%s is zero: %t (%s)", name, !zero, why)
		}
	}
	want, err := p.server.ExportKeyingMaterial("label", []byte("context"), 32)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := got.ExportKeyingMaterial("label", []byte("context"), 32); err != nil || !bytes.Equal(key, want) {
		t.Errorf("exported %x, %v, want %x", key, err, want)
	}
	if _, err := verifying.ExportKeyingMaterial("label", nil, 32); err == nil {
		t.Error("a key is exported before the handshake is complete")
	}
	if len(verifying.VerifiedChains) == 0 || len(verifying.PeerCertificates) == 0 {
		t.Errorf("VerifyConnection sees %d chains and %d certificates", len(verifying.VerifiedChains), len(verifying.PeerCertificates))
	}
}

// TestStateTLSNeverPanics: neither without a connection nor where crypto/tls has no field for the
// exporter.
func TestStateTLSNeverPanics(t *testing.T) {
	none := new(ConnectionState).TLS()
	for name, s := range map[string]tls.ConnectionState{"no connection": none, "no field": withoutExporter()} {
		if _, err := s.ExportKeyingMaterial("label", nil, 32); err == nil {
			t.Errorf("%s: a key is exported", name)
		}
	}
	var s tls.ConnectionState
	setField(&s, "no such field", 1)
	setField(&s, "Version", "of another type")
	if !reflect.ValueOf(s).IsZero() {
		t.Errorf("setField has set %+v", s)
	}
}
