package wire

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
)

// The first two messages of RFC 8448, Section 3, without their headers.
const (
	rfc8448ClientHello = "0303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7" +
		"000006130113031302010000910000000b0009000006736572766572ff01000100000a00140012001d00170018001901" +
		"00010101020103010400230000003300260024001d002099381de560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d54" +
		"13691e529aaf2c002b0003020304000d0020001e04030503060302030804080508060401050106010201040205020602" +
		"0202002d00020101001c00024001"
	rfc8448ServerHello = "0303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e26928" +
		"00130100002e00330024001d0020c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f002b00020304"
)

func TestRFC8448(t *testing.T) {
	var ch ClientHello
	body, _ := hex.DecodeString(rfc8448ClientHello)
	if err := ch.Parse(body, Stream); err != nil {
		t.Fatal(err)
	}
	share, _ := hex.DecodeString("99381de560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c")
	shares := slices.Collect(ch.KeyShares.All())
	want := Extensions(ExtServerName, ExtRenegotiationInfo, ExtSupportedGroups, ExtSessionTicket, ExtKeyShare,
		ExtSupportedVersions, ExtSignatureAlgorithms, ExtPSKKeyExchangeModes, ExtRecordSizeLimit)
	switch {
	case ch.Version != VersionTLS12, ch.Random[0] != 0xcb, len(ch.SessionID) != 0,
		!slices.Equal(slices.Collect(ch.CipherSuites.All()), []uint16{0x1301, 0x1303, 0x1302}), ch.Has != want,
		ch.ServerName != "server", ch.RecordSizeLimit != 0x4001, ch.Groups.Len() != 9, ch.Groups.At(8) != 0x0104, ch.SignatureSchemes.Len() != 15,
		len(shares) != 1, shares[0].Group != 29, !bytes.Equal(shares[0].Data, share),
		!slices.Equal(slices.Collect(ch.SupportedVersions.All()), []uint16{VersionTLS13}), !bytes.Equal(ch.PSKModes, []byte{1}):
		t.Errorf("%+v", ch)
	}

	var sh ServerHello
	body, _ = hex.DecodeString(rfc8448ServerHello)
	if err := sh.Parse(body); err != nil {
		t.Fatal(err)
	}
	if sh.IsRetry() || sh.Unknown || sh.CipherSuite != 0x1301 || sh.SupportedVersion != VersionTLS13 || sh.KeyShare.Group != 29 ||
		sh.Has != Extensions(ExtKeyShare, ExtSupportedVersions) || hex.EncodeToString(sh.KeyShare.Data[:4]) != "c9828876" {
		t.Errorf("%+v", sh)
	}
}

// TestReadsCryptoTLS: crypto/tls writes a ClientHello, and we read in it what it was
// told to write.
func TestReadsCryptoTLS(t *testing.T) {
	var w wireConn
	tls.Client(&w, &tls.Config{
		ServerName: "example.com", NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
	}).Handshake() // fails: nobody answers
	record := w.out.Bytes()
	if len(record) < 9 {
		t.Fatalf("crypto/tls wrote %x", record)
	}
	var m ClientHello
	if err := m.Parse(record[9:], Stream); err != nil {
		t.Fatal(err)
	}
	switch {
	case m.ServerName != "example.com",
		!bytes.Equal(m.ALPN, AppendALPN(nil, "h2", "http/1.1")),
		!bytes.Equal(m.SupportedVersions, AppendUint16s(nil, VersionTLS13, VersionTLS12)),
		!bytes.Equal(m.Groups, AppendUint16s(nil, 29, 23)),
		!m.StatusRequest, !m.CipherSuites.Contains(0x1301), !m.SignatureSchemes.Contains(0x0403),
		!m.Has.Has(ExtExtendedMainSecret), !m.Has.Has(ExtSCT), !m.Has.Has(ExtRenegotiationInfo):
		t.Errorf("%+v", m)
	}
	if share, ok := m.KeyShares.Find(29); !ok || len(share.Data) != 32 {
		t.Errorf("the key share of X25519 is %x", share.Data)
	}
}

// TestCryptoTLSReads: crypto/tls reads our ClientHello, with everything in it,
// and finds what we have written.
func TestCryptoTLSReads(t *testing.T) {
	hello := sampleClientHello(Stream)
	hello.Has = hello.Has.Minus(Extensions(ExtEarlyData, ExtRenegotiationInfo)) // it takes no non-empty renegotiation_info
	message := hello.Append(nil, Stream)
	w := wireConn{in: bytes.NewReader(append([]byte{22, 3, 1, byte(len(message) >> 8), byte(len(message))}, message...))}
	seen := false
	stop := errors.New("seen enough")
	err := tls.Server(&w, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		seen = true
		if h.ServerName != hello.ServerName {
			t.Errorf("server name %q", h.ServerName)
		}
		if !slices.Equal(h.SupportedProtos, []string{"h2", "http/1.1"}) {
			t.Errorf("protocols %q", h.SupportedProtos)
		}
		sameValues(t, "cipher suites", h.CipherSuites, hello.CipherSuites)
		sameValues(t, "groups", h.SupportedCurves, hello.Groups)
		sameValues(t, "signature schemes", h.SignatureSchemes, hello.SignatureSchemes)
		sameValues(t, "versions", h.SupportedVersions, hello.SupportedVersions)
		if !bytes.Equal(h.SupportedPoints, hello.PointFormats) {
			t.Errorf("point formats %x", h.SupportedPoints)
		}
		var has ExtensionSet
		for _, e := range h.Extensions {
			has.Add(Extension(e))
		}
		if has != hello.Has || h.Extensions[len(h.Extensions)-1] != uint16(ExtPreSharedKey) {
			t.Errorf("extensions %v", h.Extensions)
		}
		return nil, stop
	}}).Handshake()
	if !seen || !errors.Is(err, stop) {
		t.Errorf("crypto/tls does not take it: %v", err)
	}
}

func sameValues[T ~uint16](t *testing.T, what string, got []T, want Uint16s) {
	if !slices.EqualFunc(got, slices.Collect(want.All()), func(a T, b uint16) bool { return uint16(a) == b }) {
		t.Errorf("%s %#x, want %x", what, got, want)
	}
}

// wireConn is a connection whose peer has said all it will ever say.
type wireConn struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (w *wireConn) Read(b []byte) (int, error) {
	if w.in == nil {
		return 0, io.EOF
	}
	return w.in.Read(b)
}

func (w *wireConn) Write(b []byte) (int, error) { return w.out.Write(b) }

// TestBinders: the binders are the end of the message, so that they can be
// filled in where they stand, and BindersLen is what they do not cover.
func TestBinders(t *testing.T) {
	for _, transport := range []Transport{Stream, Datagram} {
		m := sampleClientHello(transport)
		b := m.Append(nil, transport)
		if !bytes.HasSuffix(b, m.PSK.Binders) {
			t.Fatalf("the message ends with %x", b[len(b)-len(m.PSK.Binders):])
		}
		covered := len(b) - m.PSK.BindersLen()
		before := bytes.Clone(b[:covered])
		n := covered + 2
		for _, size := range []int{32, 48} {
			n++
			for range size {
				b[n], n = 0xbb, n+1
			}
		}
		var again ClientHello
		if err := again.Parse(b[4:], transport); err != nil {
			t.Fatal(err)
		}
		for id, binder := range again.PSK.All() {
			if len(bytes.Trim(binder, "\xbb")) != 0 {
				t.Errorf("the binder of %q is %x", id.Identity, binder)
			}
		}
		if again.PSK.BindersLen() != m.PSK.BindersLen() || !bytes.Equal(again.Append(nil, transport)[:covered], before) {
			t.Error("the binders cover something else now")
		}
	}
}

// TestEmptyServerName: there is no such thing on the wire.
func TestEmptyServerName(t *testing.T) {
	m := sampleClientHello(Stream)
	m.ServerName = ""
	var again ClientHello
	if err := again.Parse(m.Append(nil, Stream)[4:], Stream); err != nil || again.Has != m.Has.Minus(Extensions(ExtServerName)) {
		t.Errorf("%v, %v", again.Has, err)
	}
}
