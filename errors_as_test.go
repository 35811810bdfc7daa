package hermetic

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// TestErrorsOfCryptoTLS: errors.As finds what callers of crypto/tls look for, and only where it
// means the same.
func TestErrorsOfCryptoTLS(t *testing.T) {
	feed := func(mode Mode, input string) error {
		client, server := configs(t)
		cfg := server
		if !mode.IsServer() {
			cfg = client
		}
		e, err := NewEngine(mode, cfg)
		if err != nil {
			t.Fatal(err)
		}
		e.Output(nil)
		_, err = e.Open([]byte(input))
		return err
	}
	fail := func(version uint16, ofServer bool, change func(client, server *Config)) error {
		client, server := mutual(t, pkitest.CA(t), version)
		change(client, server)
		m := newMeeting(t, false, client, server)
		c, s := m.pump()
		if ofServer {
			return s
		}
		return c
	}
	stranger := pkitest.CA(t)
	type test struct {
		name   string
		err    error
		alert  Alert
		header string
		certs  int
		x509   any // pointer to the error of crypto/x509 to be found
	}
	tests := []test{
		{name: "an HTTP client", err: feed(TLSServer, "GET / HTTP/1.1\r\n\r\n"), alert: AlertProtocolVersion, header: "GET /"},
		{name: "an HTTP server", err: feed(TLSClient, "HTTP/1.1 400 Bad Request\r\n"), alert: AlertProtocolVersion, header: "HTTP/"},
		{name: "an SSH server", err: feed(TLSClient, "SSH-2.0-OpenSSH\r\n"), alert: AlertProtocolVersion, header: "SSH-2"},
		{name: "a content type that does not exist", err: feed(TLSServer, "\x63\x03\x01\x00\x01\x00"), alert: AlertUnexpectedMessage, header: "\x63\x03\x01\x00\x01"},
		{name: "a record that is too long", err: feed(TLSServer, "\x16\x03\x01\xff\xff\x00"), alert: AlertRecordOverflow, header: "\x16\x03\x01\xff\xff"},
		{name: "a message that does not parse", err: feed(TLSServer, "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"), alert: AlertDecodeError},
		{name: "an alert", err: feed(TLSClient, "\x15\x03\x03\x00\x02\x02\x28"), alert: AlertHandshakeFailure},
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		name := tls.VersionName(version)
		tests = append(tests,
			test{name: name + ", a server of an unknown authority", alert: AlertUnknownCA, certs: 1, x509: new(x509.UnknownAuthorityError),
				err: fail(version, false, func(c, _ *Config) { c.RootCAs = stranger.Pool() })},
			test{name: name + ", a server of another name", alert: AlertBadCertificate, certs: 1, x509: new(x509.HostnameError),
				err: fail(version, false, func(c, _ *Config) { c.ServerName = "elsewhere.example" })},
			test{name: name + ", a client of an unknown authority", alert: AlertUnknownCA, certs: 1, x509: new(x509.UnknownAuthorityError),
				err: fail(version, true, func(_, s *Config) { s.ClientCAs = stranger.Pool() })},
			test{name: name + ", the server, of which an unknown authority's client hears", alert: AlertUnknownCA,
				err: fail(version, true, func(c, _ *Config) { c.RootCAs = stranger.Pool() })},
			test{name: name + ", a client that a callback refuses", alert: AlertBadCertificate,
				err: fail(version, true, func(_, s *Config) {
					s.VerifyConnection = func(ConnectionState) error { return errors.New("no") }
				})},
		)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var ours *AlertError
			if !errors.As(test.err, &ours) || ours.Alert != test.alert {
				t.Fatalf("%v, want the alert %v", test.err, test.alert)
			}
			var theirs tls.AlertError
			if !errors.As(test.err, &theirs) || uint8(theirs) != uint8(test.alert) {
				t.Errorf("tls.AlertError: %d, want %d", theirs, test.alert)
			}
			var header tls.RecordHeaderError
			if found := errors.As(test.err, &header); found != (test.header != "") || found && string(header.RecordHeader[:]) != test.header {
				t.Errorf("tls.RecordHeaderError: %v, %q, want %q", found, header.RecordHeader, test.header)
			}
			var unverified *tls.CertificateVerificationError
			if found := errors.As(test.err, &unverified); found != (test.certs > 0) {
				t.Fatalf("tls.CertificateVerificationError: %v", found)
			} else if found && (len(unverified.UnverifiedCertificates) != test.certs || !errors.As(unverified, test.x509) || !errors.As(test.err, test.x509)) {
				t.Errorf("%d certificates, %v; want %d and a %T", len(unverified.UnverifiedCertificates), unverified.Err, test.certs, test.x509)
			}
		})
	}
}
