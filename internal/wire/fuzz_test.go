package wire

import (
	"bytes"
	"errors"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// message is a type of this package: what parses is appended to bytes that
// parse to the same.
type message struct {
	name  string
	parse func([]byte) ([]byte, error) // and append again, without the header
}

func messages() []message {
	plain := func(name string, m interface {
		Parse([]byte) error
		Append([]byte) []byte
	}) message {
		return message{name, func(b []byte) ([]byte, error) {
			if err := m.Parse(b); err != nil {
				return nil, err
			}
			return m.Append(nil)[4:], nil
		}}
	}
	hello := func(name string, t Transport) message {
		return message{name, func(b []byte) ([]byte, error) {
			var m ClientHello
			if err := m.Parse(b, t); err != nil {
				return nil, err
			}
			return m.Append(nil, t)[4:], nil
		}}
	}
	parts := KeyExchangeParts{PSK: true, ECDHE: true, Signed: true}
	return []message{
		hello("ClientHello", Stream),
		hello("ClientHello of DTLS", Datagram),
		plain("ServerHello", new(ServerHello)),
		plain("EncryptedExtensions", new(EncryptedExtensions)),
		plain("HelloVerifyRequest", new(HelloVerifyRequest)),
		plain("CertificateRequest 1.3", new(CertificateRequest13)),
		plain("CertificateRequest 1.2", new(CertificateRequest12)),
		plain("Certificate 1.3", new(Certificate13)),
		plain("Certificate 1.2", new(Certificate12)),
		plain("CertificateStatus", new(CertificateStatus)),
		plain("CertificateVerify", new(CertificateVerify)),
		plain("NewSessionTicket 1.3", new(NewSessionTicket13)),
		plain("NewSessionTicket 1.2", new(NewSessionTicket12)),
		plain("KeyUpdate", new(KeyUpdate)),
		plain("RequestConnectionId", new(RequestConnectionID)),
		plain("NewConnectionId", new(NewConnectionID)),
		{"ServerKeyExchange", func(b []byte) ([]byte, error) {
			var m ServerKeyExchange
			if err := m.Parse(b, parts); err != nil {
				return nil, err
			}
			return m.Append(nil, parts)[4:], nil
		}},
		{"ClientKeyExchange", func(b []byte) ([]byte, error) {
			var m ClientKeyExchange
			if err := m.Parse(b, parts); err != nil {
				return nil, err
			}
			return m.Append(nil, parts)[4:], nil
		}},
		{"CertificateEntry", func(b []byte) ([]byte, error) {
			e, _, err := NextEntry(b)
			return AppendEntry(nil, &e), err
		}},
	}
}

// samples are messages with everything in them, by name.
func samples() map[string][]byte {
	random := [32]byte{1, 2, 3}
	ch := ClientHello{
		Version: VersionTLS12, Random: random, SessionID: []byte{1}, LegacyCookie: []byte{9}, CipherSuites: AppendUint16s(nil, 0x1301, 0xc02b), Compression: []byte{0},
		ServerName: "localhost", StatusRequest: true, Groups: AppendUint16s(nil, 29), PointFormats: []byte{0},
		SignatureSchemes: AppendUint16s(nil, 0x0403), SignatureSchemesCert: AppendUint16s(nil, 0x0401), SRTP: SRTP{Profiles: AppendUint16s(nil, 1), MKI: []byte{5}},
		ALPN: AppendALPN(nil, "h2", "http/1.1"), ClientCertTypes: []byte{2}, ServerCertTypes: []byte{2, 0}, SessionTicket: []byte("ticket"),
		SupportedVersions: AppendUint16s(nil, VersionTLS13), Cookie: []byte("cookie"), PSKModes: []byte{1}, Authorities: AppendNames(nil, []byte("name")),
		KeyShares: AppendKeyShare(nil, 29, []byte("share")), ConnectionID: []byte{7}, RenegotiationInfo: []byte{8},
		PSK: OfferedPSKs{Identities: AppendPSKIdentity(nil, PSKIdentity{[]byte("id"), 7}), Binders: AppendPSKBinder(nil, make([]byte, 32))},
	}
	for i := range known {
		if known[i].number != ExtPadding && known[i].number != ExtOIDFilters {
			ch.Has = ch.Has.With(known[i].number)
		}
	}
	sh := ServerHello{
		Version: VersionTLS12, Random: random, SessionID: []byte{1}, CipherSuite: 0x1301,
		SupportedVersion: VersionTLS13, KeyShare: KeyShare{29, []byte("share")}, SelectedPSK: 1, ALPN: []byte("h2"), PointFormats: []byte{0},
		SCTs: AppendSCTs(nil, [][]byte{{1}}), ServerCertType: 2, ClientCertType: 2, ConnectionID: []byte{1},
		Has: Extensions(ExtSupportedVersions, ExtKeyShare, ExtPreSharedKey, ExtALPN, ExtPointFormatsForTest, ExtSCT, ExtServerCertificateType, ExtConnectionID, ExtRenegotiationInfo, ExtServerName),
	}
	ee := EncryptedExtensions{ALPN: []byte("h2"), Groups: AppendUint16s(nil, 29), SRTP: SRTP{Profiles: AppendUint16s(nil, 1)}, ServerCertType: 2,
		Has: Extensions(ExtALPN, ExtSupportedGroups, ExtUseSRTP, ExtServerCertificateType, ExtServerName, ExtEarlyData)}
	entry := CertificateEntry{Data: []byte("der"), OCSP: []byte("ocsp"), SCTs: AppendSCTs(nil, [][]byte{{1}}), Has: Extensions(ExtStatusRequest, ExtSCT)}
	parts := KeyExchangeParts{PSK: true, ECDHE: true, Signed: true}
	return map[string][]byte{
		"ClientHello":            ch.Append(nil, Stream)[4:],
		"ClientHello of DTLS":    ch.Append(nil, Datagram)[4:],
		"ServerHello":            sh.Append(nil)[4:],
		"EncryptedExtensions":    ee.Append(nil)[4:],
		"HelloVerifyRequest":     (&HelloVerifyRequest{VersionDTLS12, []byte("cookie")}).Append(nil)[4:],
		"CertificateRequest 1.3": (&CertificateRequest13{SignatureSchemes: AppendUint16s(nil, 1), SignatureSchemesCert: AppendUint16s(nil, 2), Authorities: AppendNames(nil, []byte("n")), Has: Extensions(ExtSignatureAlgorithms, ExtSignatureAlgsCert, ExtCertificateAuthorities, ExtSCT, ExtStatusRequest)}).Append(nil)[4:],
		"CertificateRequest 1.2": (&CertificateRequest12{[]byte{1}, AppendUint16s(nil, 1), AppendNames(nil, []byte("n"))}).Append(nil)[4:],
		"Certificate 1.3":        (&Certificate13{Entries: AppendEntry(nil, &entry)}).Append(nil)[4:],
		"Certificate 1.2":        (&Certificate12{AppendCertificate(nil, []byte("der"))}).Append(nil)[4:],
		"CertificateStatus":      (&CertificateStatus{[]byte("ocsp")}).Append(nil)[4:],
		"CertificateVerify":      (&CertificateVerify{0x0403, []byte("signature")}).Append(nil)[4:],
		"NewSessionTicket 1.3":   (&NewSessionTicket13{1, 2, []byte{3}, []byte("ticket"), Extensions(ExtEarlyData), 9}).Append(nil)[4:],
		"NewSessionTicket 1.2":   (&NewSessionTicket12{1, []byte("ticket")}).Append(nil)[4:],
		"KeyUpdate":              {1},
		"RequestConnectionId":    {3},
		"NewConnectionId":        (&NewConnectionID{[]byte{2, 7, 7}, 1}).Append(nil)[4:],
		"ServerKeyExchange":      (&ServerKeyExchange{[]byte("hint"), 29, []byte("public"), nil, 0x0403, []byte("sig")}).Append(nil, parts)[4:],
		"ClientKeyExchange":      (&ClientKeyExchange{[]byte("id"), []byte("public")}).Append(nil, parts)[4:],
		"CertificateEntry":       AppendEntry(nil, &entry),
	}
}

// ExtPointFormatsForTest keeps the table above on few lines.
const ExtPointFormatsForTest = ExtECPointFormats

// TestRoundTrip: each sample parses, and is appended again byte for byte.
func TestRoundTrip(t *testing.T) {
	all := samples()
	for _, m := range messages() {
		sample := all[m.name]
		if sample == nil {
			t.Fatalf("no sample of %s", m.name)
		}
		got, err := m.parse(sample)
		if err != nil || !bytes.Equal(got, sample) {
			t.Errorf("%s: %v\n got %x\nwant %x", m.name, err, got, sample)
		}
	}
}

// TestTruncated: no sample parses when its end is missing, or when something
// follows it; the failure is a decode_error.
func TestTruncated(t *testing.T) {
	all := samples()
	for _, m := range messages() {
		sample := all[m.name]
		for n := range len(sample) {
			_, err := m.parse(sample[:n])
			var fault *alert.Error
			switch {
			case err == nil && !mayEndAt(m.name, sample, n):
				t.Errorf("%s of %d bytes parses without its last %d", m.name, len(sample), len(sample)-n)
			case err != nil && (!errors.As(err, &fault) || fault.Description != alert.DecodeError && fault.Description != alert.IllegalParameter):
				t.Errorf("%s: error %v is no decode_error", m.name, err)
			}
		}
		if _, err := m.parse(append(bytes.Clone(sample), 0)); err == nil && m.name != "CertificateEntry" {
			t.Errorf("%s parses with a byte behind it", m.name)
		}
	}
}

// mayEndAt: hellos of TLS 1.2 may end before their extensions.
func mayEndAt(name string, sample []byte, n int) bool {
	switch name {
	case "ClientHello":
		return n == 2+32+1+1+2+4+1+1
	case "ClientHello of DTLS":
		return n == 2+32+1+1+1+1+2+4+1+1
	case "ServerHello":
		return n == 2+32+1+1+2+1
	}
	return false
}

// FuzzMessages: nothing panics; what parses, and is appended, parses to the
// same again.
func FuzzMessages(f *testing.F) {
	all := samples()
	list := messages()
	for i, m := range list {
		f.Add(uint8(i), all[m.name])
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		m := list[int(kind)%len(list)]
		once, err := m.parse(body)
		if err != nil {
			return
		}
		twice, err := m.parse(bytes.Clone(once))
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%s: %v\n once %x\ntwice %x", m.name, err, once, twice)
		}
	})
}

// TestDuplicateExtensions: known or not, no extension comes twice.
func TestDuplicateExtensions(t *testing.T) {
	for _, ext := range []Extension{ExtALPN, 0x1234} {
		m := ClientHello{Version: VersionTLS12, CipherSuites: AppendUint16s(nil, 1), Compression: []byte{0}}
		b := m.Append(nil, Stream)[4:]
		b = b[:len(b)-2]
		var list []byte
		for range 2 {
			list = appendExtension(list, ext, []byte{0, 2, 1, 'x'})
		}
		b = append16(b, list)
		if err := new(ClientHello).Parse(b, Stream); err != errDuplicate {
			t.Errorf("%v twice: %v", ext, err)
		}
	}
}

// TestParseAllocations: a ClientHello costs its server name.
func TestParseAllocations(t *testing.T) {
	body := samples()["ClientHello"]
	var m ClientHello
	if n := testing.AllocsPerRun(100, func() { m.Parse(body, Stream) }); n > 1 {
		t.Errorf("%.0f allocations", n)
	}
}
