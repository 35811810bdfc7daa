package hermetic

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/roomtest"
)

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// versionPair is a pair of engines that negotiate version.
func versionPair(t testing.TB, version uint16) *meeting {
	client, server := configs(t)
	client.MaxVersion = version
	return newMeeting(t, false, client, server)
}

// wantAlert checks that err is our own failure with that alert, that the alert
// is owed once, that the error stays, and that Reset makes a new session.
func wantAlert(t *testing.T, e *Engine, err error, want Alert) {
	t.Helper()
	var alert *AlertError
	if !errors.As(err, &alert) || alert.Received || alert.Alert != want {
		t.Fatalf("error %v, want our own alert %v", err, want)
	}
	if strings.Contains(err.Error(), "%!") || len(alert.Cause) == 0 {
		t.Errorf("the error says nothing: %q", err)
	}
	if out := e.Output(nil); len(out) == 0 {
		t.Error("no alert is sent")
	}
	if out := e.Output(nil); len(out) != 0 {
		t.Error("the alert is sent twice")
	}
	if _, again := e.Open([]byte{22, 3, 3, 0, 1, 0}); again != err {
		t.Errorf("the second error is %v, want the first, %v", again, err)
	}
	e.Reset()
	if e.State().HandshakeComplete {
		t.Error("complete after Reset")
	}
	if _, err := e.Open(nil); err != nil && err != ErrPending {
		t.Errorf("after Reset: %v", err)
	}
}

// TestBadRecords sends records that no peer may send, before and after the
// handshake.
func TestBadRecords(t *testing.T) {
	record := func(typ byte, body ...byte) []byte {
		return append([]byte{typ, 3, 3, byte(len(body) >> 8), byte(len(body))}, body...)
	}
	long := func(typ byte, n int) []byte {
		return append([]byte{typ, 3, 3, byte(n >> 8), byte(n)}, make([]byte, n)...)
	}
	for _, c := range []struct {
		name          string
		before, after Alert // 0: not at this time
		in            []byte
		only          uint16
		dropped       uint16 // by a client before the ServerHello
	}{
		{"not TLS", AlertProtocolVersion, AlertProtocolVersion, []byte("\x16\x7f\x00\x00\x05hello"), 0, 0},
		{"HTTP", AlertProtocolVersion, AlertProtocolVersion, []byte("GET / HTTP/1.1\r\n\r\n"), 0, 0},
		{"unknown content type", AlertUnexpectedMessage, AlertUnexpectedMessage, record(99, 1), 0, 0},
		{"plaintext over 2^14", AlertRecordOverflow, 0, long(22, 1<<14+1), 0, 0},
		{"ciphertext over 2^14+256", 0, AlertRecordOverflow, long(23, 1<<14+257), tls.VersionTLS13, 0},
		{"ciphertext over 2^14+2048", 0, AlertRecordOverflow, long(23, 1<<14+2049), tls.VersionTLS12, 0},
		{"empty handshake record", AlertUnexpectedMessage, 0, record(22), 0, 0},
		{"empty alert", AlertDecodeError, 0, record(21), 0, 0},
		{"half an alert", AlertDecodeError, 0, record(21, 2), 0, 0},
		{"two alerts in one", AlertDecodeError, 0, record(21, 1, 0, 1, 0), 0, 0},
		{"alert of an unknown level", AlertIllegalParameter, 0, record(21, 7, 40), 0, 0},
		{"application data in the clear", AlertUnexpectedMessage, AlertBadRecordMAC, record(23, 1, 2, 3), 0, 0},
		{"ChangeCipherSpec out of turn", AlertUnexpectedMessage, AlertUnexpectedMessage, record(20, 1), 0, tls.VersionTLS13},
		{"message of an unknown type", AlertUnexpectedMessage, 0, record(22, 99, 0, 0, 0), 0, 0},
		{"message over the limit", AlertIllegalParameter, 0, record(22, 1, 1, 0, 1), 0, 0},
		{"Finished first", AlertUnexpectedMessage, 0, record(22, 20, 0, 0, 0), 0, 0},
		{"encrypted garbage", 0, AlertBadRecordMAC, long(23, 100), 0, 0},
		{"ciphertext shorter than its tag", 0, AlertBadRecordMAC, long(23, 3), 0, 0},
	} {
		for _, version := range versions {
			for _, role := range []Mode{TLSClient, TLSServer} {
				name := fmt.Sprintf("%s/%v/%s", c.name, role, tls.VersionName(version))
				if c.before != 0 && !(role == TLSClient && version == c.dropped) {
					t.Run(name+"/before", func(t *testing.T) {
						p := versionPair(t, version)
						e := p.end(role)
						e.Output(nil)
						_, err := e.Open(bytes.Clone(c.in))
						wantAlert(t, e, err, c.before)
					})
				}
				if c.after != 0 && (c.only == 0 || c.only == version) {
					t.Run(name+"/after", func(t *testing.T) {
						p := versionPair(t, version)
						p.handshake()
						e := p.end(role)
						_, err := e.Open(bytes.Clone(c.in))
						wantAlert(t, e, err, c.after)
					})
				}
			}
		}
	}
}

func (p *meeting) end(role Mode) *Engine {
	if role == TLSClient {
		return p.client
	}
	return p.server
}

// TestFlippedBits flips a bit of every byte of every flight. No handshake may
// complete on both sides, and each ends in an alert or waits for more bytes.
func TestFlippedBits(t *testing.T) {
	for _, version := range versions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			client, server := configs(t)
			client.MaxVersion = version
			client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
			for flight := range 4 {
				for at := 0; ; at += roomtest.Stride() {
					p := newMeeting(t, false, client, server)
					size, ignored := p.flip(flight, at)
					if at >= size {
						if flight < 3 && size == 0 {
							t.Fatalf("flight %d is empty", flight)
						}
						break
					}
					// The version of a first record may be anything, and in TLS 1.3
					// that of any unprotected record (RFC 9846, Section 5.1).
					ignored = ignored && version == tls.VersionTLS13 || harmless(flight, at)
					if p.client.HandshakeComplete() && p.server.HandshakeComplete() && !ignored {
						t.Errorf("flight %d, byte %d: a changed handshake completed", flight, at)
					}
				}
			}
		})
	}
}

// harmless are the bytes that the protocol tells receivers to ignore: the
// version of the first records.
func harmless(flight, at int) bool { return flight < 2 && (at == 1 || at == 2) }

// recordVersion reports whether b[at] is in the version of an unprotected record of TLS 1.3.
func recordVersion(b []byte, at int) bool {
	for start := 0; start+5 <= len(b); start += 5 + int(b[start+3])<<8 + int(b[start+4]) {
		if (at == start+1 || at == start+2) && b[start] != 23 {
			return true
		}
	}
	return false
}

// flip runs a handshake in which one bit of a flight is changed, and returns
// the flight's size, and whether it is one of a record's version.
func (p *meeting) flip(flight, at int) (size int, version bool) {
	for i := range 6 {
		from, to := p.client, p.server
		if i%2 == 1 {
			from, to = to, from
		}
		b := from.Output(nil)
		if i == flight {
			size = len(b)
			if at >= size {
				return size, false
			}
			version = recordVersion(b, at)
			b[at] ^= 1
		}
		for len(b) > 0 {
			o, err := to.Open(b)
			if err != nil || o.N == 0 {
				break
			}
			b = b[o.N:]
		}
	}
	return size, version
}

// TestTruncatedHandshake: whatever is missing, nobody completes without it, and
// a byte at a time is as good as all at once.
func TestPieces(t *testing.T) {
	for _, version := range versions {
		p := versionPair(t, version)
		for i := 0; i < 6; i++ {
			from, to := p.client, p.server
			if i%2 == 1 {
				from, to = to, from
			}
			var in []byte
			for _, b := range from.Output(nil) {
				in = append(in, b)
				if missing := to.Missing(in); missing < 0 || missing > 1<<15 {
					t.Fatalf("Missing says %d", missing)
				}
				o, err := to.Open(in)
				if err != nil {
					t.Fatal(err)
				}
				if o.N > 0 && o.N != len(in) {
					t.Fatalf("%d bytes used of a record of %d", o.N, len(in))
				}
				in = in[o.N:]
			}
			if len(in) > 0 {
				t.Fatalf("%d bytes are left", len(in))
			}
		}
		if !p.client.HandshakeComplete() || !p.server.HandshakeComplete() {
			t.Errorf("%s: not complete", tls.VersionName(version))
		}
	}
}

// TestBadCertificates: each kind of bad certificate gets its alert, in both
// roles and versions.
func TestBadCertificates(t *testing.T) {
	ca, other := pkitest.CA(t), pkitest.CA(t)
	for _, c := range []struct {
		name string
		leaf tls.Certificate
		want Alert
		text string
		role Mode // 0: both
	}{
		{"expired", ca.Leaf(t, pkitest.Options{Expired: true}), AlertCertificateExpired, " expired on 2026-10-31", 0},
		{"not yet valid", ca.Leaf(t, pkitest.Options{Future: true}), AlertCertificateExpired, "is not valid before 2026-11-02", 0},
		{"unknown authority", other.Leaf(t, pkitest.Options{}), AlertUnknownCA, "authority that is not trusted", 0},
		{"another name", ca.Leaf(t, pkitest.Options{Name: "example.com"}), AlertBadCertificate, "not for localhost", TLSClient},
		{"wrong role", ca.Leaf(t, pkitest.Options{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}), AlertUnsupportedCertificate, "not for this role", 0},
		{"no signatures", ca.Leaf(t, pkitest.Options{KeyUsage: x509.KeyUsageKeyEncipherment}), AlertUnsupportedCertificate, "key usage", 0},
	} {
		for _, version := range versions {
			for _, role := range []Mode{TLSClient, TLSServer} {
				if c.role != 0 && c.role != role {
					continue
				}
				t.Run(fmt.Sprintf("%s/%v/%s", c.name, role, tls.VersionName(version)), func(t *testing.T) {
					good := ca.Leaf(t, pkitest.Options{})
					client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version, Certificates: []tls.Certificate{good}}
					server := &Config{Time: atNow, ClientCAs: ca.Pool(), ClientCANames: [][]byte{}, ClientAuth: tls.RequireAndVerifyClientCert, Certificates: []tls.Certificate{good}}
					if role == TLSClient {
						server.Certificates = []tls.Certificate{c.leaf}
					} else {
						client.GetClientCertificate = func(*CertificateRequest) (*tls.Certificate, error) { return &c.leaf, nil }
					}
					p := newMeeting(t, false, client, server)
					clientErr, serverErr := p.pump()
					ours, peers := clientErr, serverErr
					if role == TLSServer {
						ours, peers = serverErr, clientErr
					}
					var alert, received *AlertError
					if !errors.As(ours, &alert) || alert.Alert != c.want || alert.Received || !strings.Contains(ours.Error(), c.text) {
						t.Fatalf("error %v, want %v with %q", ours, c.want, c.text)
					}
					if !errors.As(peers, &received) || received.Alert != c.want || !received.Received {
						t.Errorf("the peer sees %v, want the alert %v", peers, c.want)
					}
				})
			}
		}
	}
}

// TestNoName: without a name to verify it by, no certificate is good enough.
func TestNoName(t *testing.T) {
	ca := pkitest.CA(t)
	server := &Config{Time: atNow, Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{Name: "example.com"})}}
	keys := []crypto.PublicKey{pkitest.Key(t, pkitest.P384, false).Public()}
	for name, client := range map[string]*Config{
		"raw public keys or a certificate": {PeerPublicKeys: keys, PeerCertificateTypes: []CertificateType{CertificateRawPublicKey, CertificateX509}},
		"a name that was cleared":          {ServerName: "localhost"},
		"the system's authorities":         {ServerNameOptional: true},
	} {
		for _, version := range versions {
			client = client.Clone()
			client.Time, client.MaxVersion = atNow, version
			if !client.ServerNameOptional {
				client.RootCAs = ca.Pool()
			}
			p := newMeeting(t, false, client, server)
			if err := p.client.SetServerName(""); err != nil {
				t.Fatal(err)
			}
			err, _ := p.pump()
			var fault *AlertError
			if !errors.As(err, &fault) || fault.Alert != AlertBadCertificate || !strings.Contains(err.Error(), "no ServerName") {
				t.Errorf("%s, %s: %v", name, tls.VersionName(version), err)
			}
		}
	}
}

// TestFloods: what a peer may not send without end.
func TestFloods(t *testing.T) {
	t.Run("empty records", func(t *testing.T) {
		p := versionPair(t, tls.VersionTLS13)
		p.handshake()
		err := flood(t, p, func() []byte { b, _ := p.client.Seal(nil, nil); return b })
		wantAlert(t, p.server, err, AlertUnexpectedMessage)
	})
	t.Run("KeyUpdate", func(t *testing.T) {
		p := versionPair(t, tls.VersionTLS13)
		p.handshake()
		err := flood(t, p, func() []byte {
			if err := p.client.KeyUpdate(UpdateRequested); err != nil {
				t.Fatal(err)
			}
			return p.client.Output(nil)
		})
		wantAlert(t, p.server, err, AlertUnexpectedMessage)
	})
	t.Run("ChangeCipherSpec", func(t *testing.T) {
		p := versionPair(t, tls.VersionTLS13)
		p.toServer = p.client.Output(nil)
		if err := p.open(p.server, &p.toServer); err != nil {
			t.Fatal(err)
		}
		p.server.Output(nil)
		err := flood(t, p, func() []byte { return []byte{20, 3, 3, 0, 1, 1} })
		wantAlert(t, p.server, err, AlertUnexpectedMessage)
	})
}

// flood opens what next makes until the server refuses it.
func flood(t *testing.T, p *meeting, next func() []byte) error {
	t.Helper()
	for range 100 {
		if _, err := p.server.Open(next()); err != nil {
			return err
		}
	}
	t.Fatal("100 of them were accepted")
	return nil
}

// TestKeyUpdate: both directions, on request and unasked, and no key twice.
func TestKeyUpdate(t *testing.T) {
	p := versionPair(t, tls.VersionTLS13)
	p.handshake()
	for i := range 10 {
		if err := p.client.KeyUpdate(KeyUpdateRequest(i%2 == 0)); err != nil {
			t.Fatal(err)
		}
		p.exchange(100)
		if err := p.server.KeyUpdate(KeyUpdateRequest(i%2 == 1)); err != nil {
			t.Fatal(err)
		}
		p.exchange(100)
	}
	old := versionPair(t, tls.VersionTLS12)
	old.handshake()
	if err := old.client.KeyUpdate(UpdateNotRequested); !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("TLS 1.2: %v, want an invalid operation", err)
	}
}
