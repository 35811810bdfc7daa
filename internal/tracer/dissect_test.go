package tracer

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
	"github.com/hermetic-tls/hermetic/trace"
)

func tracer(version uint16, c *suite.Suite, transport wire.Transport) *Tracer {
	t := New(func(trace.Event) {}, func() time.Time { return pkitest.Now }, 1, false, transport)
	t.version, t.suite = version, c
	return t
}

// outline is a tree of fields, each with its value.
func outline(fields []trace.Field) string {
	var list []string
	for _, f := range fields {
		text := f.Name
		if f.Value != "" {
			text += "=" + f.Value
		}
		if len(f.Fields) > 0 {
			text += "{" + outline(f.Fields) + "}"
		}
		list = append(list, text)
	}
	return strings.Join(list, " ")
}

// hello is a ClientHello with every extension that this implementation sends, and one that
// nobody knows.
func hello() []byte {
	m := wire.ClientHello{
		Version: wire.VersionTLS12, SessionID: []byte{1}, CipherSuites: wire.AppendUint16s(nil, 0x1301, 0x1a1a, 0xc02f, 0x1234), Compression: []byte{0},
		ServerName: "a\x1b[2J.example", StatusRequest: true, Groups: wire.AppendUint16s(nil, 0x11ec, 29, 256), PointFormats: []byte{0},
		SignatureSchemes: wire.AppendUint16s(nil, 0x0804, 0x0201), ALPN: wire.AppendALPN(nil, "h2", "</script>"),
		SupportedVersions: wire.AppendUint16s(nil, 0x0304, 0x7f1c), Cookie: []byte{5}, PSKModes: []byte{1},
		KeyShares: wire.AppendKeyShare(nil, 29, bytes.Repeat([]byte{7}, 32)),
		PSK: wire.OfferedPSKs{
			Identities: wire.AppendPSKIdentity(nil, wire.PSKIdentity{Identity: []byte("device"), TicketAge: 9}), Binders: wire.AppendPSKBinder(nil, bytes.Repeat([]byte{3}, 32)),
		},
	}
	m.Has.Add(wire.ExtServerName, wire.ExtStatusRequest, wire.ExtSupportedGroups, wire.ExtECPointFormats, wire.ExtSignatureAlgorithms, wire.ExtALPN,
		wire.ExtExtendedMainSecret, wire.ExtSupportedVersions, wire.ExtCookie, wire.ExtPSKKeyExchangeModes, wire.ExtKeyShare, wire.ExtEarlyData, wire.ExtPreSharedKey)
	return m.Append(nil, wire.Stream)
}

// TestDissect: the fields of messages, with names and values as a person reads them.
func TestDissect(t *testing.T) {
	ecdhe, psk := suite.ByID(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256), suite.ByID(0xd001)
	retry := wire.ServerHello{Version: wire.VersionTLS12, Random: wire.RetryRandom, CipherSuite: 0x1301, SupportedVersion: wire.VersionTLS13, KeyShare: wire.KeyShare{Group: 24}}
	retry.Has.Add(wire.ExtSupportedVersions, wire.ExtKeyShare)
	shared := wire.ServerHello{Version: wire.VersionTLS12, CipherSuite: 0x1301, SupportedVersion: wire.VersionTLS13, KeyShare: wire.KeyShare{Group: 29, Data: []byte{8}}}
	shared.Has.Add(wire.ExtSupportedVersions, wire.ExtKeyShare, wire.ExtPreSharedKey)
	ticket := wire.NewSessionTicket13{Lifetime: 60, AgeAdd: 1, Nonce: []byte{2}, Ticket: []byte("ticket"), MaxEarlyData: 100}
	ticket.Has.Add(wire.ExtEarlyData)
	exchange := wire.ServerKeyExchange{Hint: []byte("hint\n"), Group: 29, Public: []byte{1, 2}, Scheme: 0x0804, Signature: []byte{3}}
	client := wire.ClientKeyExchange{Identity: []byte("me"), Public: []byte{4}}
	encrypted := wire.EncryptedExtensions{ALPN: []byte("h2")}
	encrypted.Has.Add(wire.ExtALPN, wire.ExtServerName)
	for _, c := range []struct {
		name    string
		message []byte
		version uint16
		suite   *suite.Suite
		typ     string
		want    string
	}{
		{"ClientHello", hello(), 0, nil, "ClientHello", `cipher_suites{cipher_suite=TLS_AES_128_GCM_SHA256 (0x1301) cipher_suite=GREASE (0x1a1a) cipher_suite=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 (0xc02f) cipher_suite=0x1234}`},
		{"server_name", hello(), 0, nil, "ClientHello", `server_name{server_name_list{host_name="a\x1b[2J.example"}}`},
		{"ALPN", hello(), 0, nil, "ClientHello", `application_layer_protocol_negotiation{protocol_name_list{protocol_name="h2" protocol_name="</script>"}}`},
		{"groups", hello(), 0, nil, "ClientHello", `named_group_list{named_group=X25519MLKEM768 (0x11ec) named_group=X25519 (0x001d) named_group=ffdhe2048 (0x0100)}`},
		{"schemes", hello(), 0, nil, "ClientHello", `{signature_algorithm=rsa_pss_rsae_sha256 (0x0804) signature_algorithm=rsa_pkcs1_sha1 (0x0201)}`},
		{"versions", hello(), 0, nil, "ClientHello", `supported_versions{versions{version=TLS 1.3 (0x0304) version=0x7f1c}}`},
		{"key shares", hello(), 0, nil, "ClientHello", `key_share{client_shares{key_share_entry=X25519 (0x001d){group=X25519 (0x001d) key_exchange=` + strings.Repeat("07", 32) + `}}}`},
		{"PSK", hello(), 0, nil, "ClientHello", `pre_shared_key{identities{psk_identity{identity="device" obfuscated_ticket_age=9}} binders{binder=` + strings.Repeat("03", 32) + `}}`},
		{"modes", hello(), 0, nil, "ClientHello", `psk_key_exchange_modes{ke_modes{ke_mode=psk_dhe_ke (1)}}`},
		{"retry", retry.Append(nil), 0, nil, "HelloRetryRequest", `supported_versions{selected_version=TLS 1.3 (0x0304)} key_share{selected_group=P-384 (0x0018)}`},
		{"ServerHello", shared.Append(nil), 0, nil, "ServerHello", `pre_shared_key{selected_identity=0}`},
		{"its share", shared.Append(nil), 0, nil, "ServerHello", `key_share{key_share_entry=X25519 (0x001d){group=X25519 (0x001d) key_exchange=08}}`},
		{"EncryptedExtensions", encrypted.Append(nil), wire.VersionTLS13, nil, "EncryptedExtensions", `extensions{server_name application_layer_protocol_negotiation{protocol_name_list{protocol_name="h2"}}}`},
		{"a ticket", ticket.Append(nil), wire.VersionTLS13, nil, "NewSessionTicket", `ticket_lifetime=60 s ticket_age_add=00000001 ticket_nonce=02 ticket=6 bytes, not shown extensions{early_data{max_early_data_size=100}}`},
		{"ServerKeyExchange", exchange.Append(nil, wire.KeyExchangeParts{ECDHE: true, Signed: true}), wire.VersionTLS12, ecdhe, "ServerKeyExchange", `curve_type=named_curve (3) named_curve=X25519 (0x001d) public=0102 algorithm=rsa_pss_rsae_sha256 (0x0804) signature=03`},
		{"ServerKeyExchange with a hint", exchange.Append(nil, wire.KeyExchangeParts{PSK: true, ECDHE: true}), wire.VersionTLS12, psk, "ServerKeyExchange", `psk_identity_hint="hint\n" curve_type`},
		{"ClientKeyExchange", client.Append(nil, wire.KeyExchangeParts{PSK: true, ECDHE: true}), wire.VersionTLS12, psk, "ClientKeyExchange", `psk_identity="me" ecdh_Yc=04`},
		{"KeyUpdate", (&wire.KeyUpdate{RequestUpdate: 1}).Append(nil), wire.VersionTLS13, nil, "KeyUpdate", `request_update=update_requested (1)`},
		{"NewConnectionId", (&wire.NewConnectionID{CIDs: wire.AppendCID(nil, []byte{7})}).Append(nil), wire.VersionTLS13, nil, "NewConnectionId", `cids{cid=07} usage=cid_immediate (0)`},
		{"HelloVerifyRequest", (&wire.HelloVerifyRequest{Version: 0xfeff, Cookie: []byte{6}}).Append(nil), 0, nil, "HelloVerifyRequest", `server_version=DTLS 1.0 (0xfeff) cookie=06`},
		{"CertificateVerify", (&wire.CertificateVerify{Scheme: 0x0807, Signature: []byte{1}}).Append(nil), wire.VersionTLS13, nil, "CertificateVerify", `algorithm=ed25519 (0x0807) signature=01`},
		{"Finished", wire.AppendMessage(nil, wire.TypeFinished, []byte{1, 2}), wire.VersionTLS13, nil, "Finished", `verify_data=0102`},
		{"an unknown one", wire.AppendMessage(nil, 99, []byte{1, 2}), wire.VersionTLS13, nil, "message type 99", `body=0102`},
	} {
		m := tracer(c.version, c.suite, wire.Stream).message(true, c.message, 0)
		if got := outline(m.Fields); !strings.Contains(got, c.want) || m.Malformed || m.Type != c.typ {
			t.Errorf("%s: malformed %v, %s: %s\nwant %s", c.name, m.Malformed, m.Type, got, c.want)
		}
		placed(t, m)
	}
}

// TestDissectCertificates: what a certificate says, and never its key.
func TestDissectCertificates(t *testing.T) {
	der := pkitest.CA(t).Leaf(t, pkitest.Options{Name: "a\x1b]0;</script>"}).Certificate[0]
	list := wire.AppendEntry(nil, &wire.CertificateEntry{Data: der})
	for version, message := range map[uint16][]byte{
		wire.VersionTLS13: (&wire.Certificate13{Entries: list}).Append(nil),
		wire.VersionTLS12: (&wire.Certificate12{List: wire.AppendCertificate(nil, der)}).Append(nil),
	} {
		m := tracer(version, nil, wire.Stream).message(false, message, 0)
		c := m.Field("certificate_list", "certificate")
		if m.Malformed || c == nil {
			t.Fatalf("%x: %+v", version, m)
		}
		for name, want := range map[string]string{
			"subject": `"CN=a\\x1B]0\\;`, "issuer": `"CN=hermetic test CA"`, "not_after": "T12:00:00Z", "public_key": "ECDSA P-256",
			"signature_algorithm": "ECDSA-SHA256", "subject_alternative_names": "", "sha256": "",
		} {
			f := c.Field(name)
			if f == nil || f.Value == "" || strings.ContainsAny(f.Value, "\x1b\n") || name != "subject" && !strings.Contains(f.Value, want) {
				t.Errorf("%s: %+v, want %s", name, f, want)
			}
		}
		placed(t, m)
	}
}

// placed checks that each field is within the one that it is a part of.
func placed(t *testing.T, m *trace.Message) {
	t.Helper()
	var visit func(fields []trace.Field, from, to int)
	visit = func(fields []trace.Field, from, to int) {
		at := from
		for _, f := range fields {
			if f.Offset < from || f.Offset+f.Length > to || f.Length > 0 && f.Offset < at {
				t.Errorf("%s: %s is from %d to %d, within %d to %d", m.Type, f.Name, f.Offset, f.Offset+f.Length, from, to)
			}
			at = max(at, f.Offset+f.Length)
			visit(f.Fields, f.Offset, f.Offset+max(f.Length, 0))
		}
	}
	visit(m.Fields, 0, len(m.Raw))
}

// TestManyFields: a hello with as many suites as fit does not make as many fields.
func TestManyFields(t *testing.T) {
	m := wire.ClientHello{CipherSuites: bytes.Repeat([]byte{0x13, 0x01}, 32_000), Compression: []byte{0}}
	got := tracer(0, nil, wire.Stream).message(false, m.Append(nil, wire.Stream), 0)
	n := 0
	var count func([]trace.Field)
	count = func(fields []trace.Field) {
		for _, f := range fields {
			n++
			count(f.Fields)
		}
	}
	count(got.Fields)
	if n > maxFields+10 || got.Malformed || !strings.Contains(outline(got.Fields), "too many fields") {
		t.Errorf("%d fields, malformed %v", n, got.Malformed)
	}
}

// TestLargeMessage: of a message that is larger than what a trace keeps, it has the start.
func TestLargeMessage(t *testing.T) {
	msg := wire.AppendMessage(nil, wire.TypeCertificate, make([]byte, 1<<17))
	got := tracer(wire.VersionTLS13, nil, wire.Stream).message(false, msg, 0)
	if len(got.Raw) != maxRaw || got.Length != len(msg) || got.Malformed {
		t.Errorf("%d bytes of %d, malformed %v", len(got.Raw), got.Length, got.Malformed)
	}
}

// FuzzDissect: whatever a peer sends, the fields are within the message, are text without control
// characters, and have no ticket.
func FuzzDissect(f *testing.F) {
	f.Add(hello(), uint8(0))
	f.Add((&wire.NewSessionTicket13{Ticket: []byte("ticket")}).Append(nil), uint8(1))
	f.Add((&wire.NewSessionTicket12{Ticket: []byte("ticket")}).Append(nil), uint8(2))
	f.Add((&wire.Certificate13{Entries: []byte{0, 0, 1, 2, 0, 0}}).Append(nil), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, how uint8) {
		if len(in) < 4 {
			return
		}
		msg := wire.AppendMessage(nil, wire.Type(in[0]), in[4:])
		version := []uint16{0, wire.VersionTLS13, wire.VersionTLS12}[how%3]
		c := []*suite.Suite{nil, suite.ByID(0xd001), suite.ByID(0xc02f)}[how/3%3]
		m := tracer(version, c, wire.Transport(how>>7)).message(how&64 != 0, msg, 0)
		placed(t, m)
		text := outline(m.Fields) + fmt.Sprint(m.Type)
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u202e' }) {
			t.Errorf("%q", text)
		}
		if m.Type == "NewSessionTicket" && m.Malformed && len(m.Raw) > 4 {
			t.Error("a ticket may be seen")
		}
	})
}
