package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/roomtest"
)

const (
	good    alert.Description = 255 // none: it parses
	decode                    = alert.DecodeError
	illegal                   = alert.IllegalParameter
)

// The starts of the messages that end with a list of extensions.
const (
	random32           = "0123456789abcdef0123456789abcdef"
	clientHelloStart   = "\x03\x03" + random32 + "\x00" + "\x00\x02\x13\x01" + "\x01\x00"
	datagramHelloStart = "\xfe\xfd" + random32 + "\x00\x00" + "\x00\x02\x13\x01" + "\x01\x00"
	serverHelloStart   = "\x03\x03" + random32 + "\x00" + "\x13\x01" + "\x00"
	ticketStart        = "\x00\x00\x00\x01" + "\x00\x00\x00\x02" + "\x00" + "\x00\x01t"
	entryStart         = "\x00\x00\x01c"
)

var retryStart = "\x03\x03" + string(RetryRandom[:]) + "\x00" + "\x13\x01" + "\x00"

// starts has, by message, what precedes the extensions.
var starts = map[string]string{
	"ClientHello":            clientHelloStart,
	"ClientHello of DTLS":    datagramHelloStart,
	"ServerHello":            serverHelloStart,
	"HelloRetryRequest":      retryStart,
	"EncryptedExtensions":    "",
	"CertificateRequest 1.3": "\x00",
	"CertificateEntry":       entryStart,
	"NewSessionTicket 1.3":   ticketStart,
}

// ext is an extension as bytes.
func ext(e Extension, body string) string {
	return string(codec.Append16(codec.AppendUint16(nil, uint16(e)), []byte(body)))
}

// block is a list of extensions with its length.
func block(extensions ...string) string {
	return string(codec.Append16(nil, []byte(strings.Join(extensions, ""))))
}

// parseAs parses a body as the message of that name.
func parseAs(name, body string) error {
	c := structureNamed(name)
	return c.parse(c.zero(), []byte(body))
}

// wantParse: good is no error at all.
func wantParse(t *testing.T, err error, want alert.Description) {
	t.Helper()
	if want != good {
		roomtest.WantAlert(t, err, want, "wrong")
	} else if err != nil {
		t.Errorf("does not parse: %v", err)
	}
}

// TestExtensionBodies: one extension in a message that has nothing else wrong.
func TestExtensionBodies(t *testing.T) {
	psk := func(identities, binders string) string { return block(identities) + block(binders) }
	id, binder := block("identity")+"\x00\x00\x00\x01", "\x20"+random32
	share := func(group int, data string) string {
		return string(codec.AppendUint16(nil, uint16(group))) + block(data)
	}
	manyShares := func(n int, more ...int) string {
		var list []string
		for g := range n {
			list = append(list, share(g, "x"))
		}
		for _, g := range more {
			list = append(list, share(g, "x"))
		}
		return block(list...)
	}
	for _, tt := range []struct {
		message string
		ext     Extension
		name    string
		body    string
		want    alert.Description
	}{
		{"ClientHello", ExtServerName, "a host name", block("\x00" + block("localhost")), good},
		{"ClientHello", ExtServerName, "nothing", "", decode},
		{"ClientHello", ExtServerName, "an empty list", block(""), decode},
		{"ClientHello", ExtServerName, "an empty name", block("\x00" + block("")), decode},
		{"ClientHello", ExtServerName, "a NUL in the name", block("\x00" + block("local\x00host")), decode},
		{"ClientHello", ExtServerName, "two host names", block("\x00"+block("a"), "\x00"+block("b")), decode},
		{"ClientHello", ExtServerName, "a name beyond the list", block("\x00\x00\x02a"), decode},
		{"ClientHello", ExtServerName, "a name of an unknown type", block("\x07"+block("?"), "\x00"+block("localhost")), good},
		{"ClientHello", ExtServerName, "a byte after the list", block("\x00"+block("a")) + "\x00", decode},

		{"ClientHello", ExtStatusRequest, "ocsp with a responder and extensions", "\x01" + block(block("id")) + block("ext"), good},
		{"ClientHello", ExtStatusRequest, "another type", "\x02anything", good},
		{"ClientHello", ExtStatusRequest, "nothing", "", decode},
		{"ClientHello", ExtStatusRequest, "ocsp and no lists", "\x01", decode},
		{"ClientHello", ExtStatusRequest, "a byte after the lists", "\x01" + block() + block() + "\x00", decode},

		{"ClientHello", ExtSupportedGroups, "no group", block(), decode},
		{"ClientHello", ExtSupportedGroups, "half a group", block("\x00\x1d\x00"), decode},
		{"ClientHello", ExtSupportedGroups, "a byte after the list", block("\x00\x1d") + "\x00", decode},
		{"ClientHello", ExtECPointFormats, "no format", "\x00", decode},
		{"ClientHello", ExtSignatureAlgorithms, "no scheme", block(), decode},
		{"ClientHello", ExtSignatureAlgorithms, "half a scheme", block("\x04"), decode},
		{"ClientHello", ExtSignatureAlgsCert, "no scheme", block(), decode},
		{"ClientHello", ExtSignatureAlgsCert, "half a scheme", block("\x04"), decode},

		{"ClientHello of DTLS", ExtUseSRTP, "a profile", block("\x00\x01") + "\x00", good},
		{"ClientHello of DTLS", ExtUseSRTP, "no profile", block() + "\x00", decode},
		{"ClientHello of DTLS", ExtUseSRTP, "half a profile", block("\x00") + "\x00", decode},
		{"ClientHello of DTLS", ExtUseSRTP, "no mki", block("\x00\x01"), decode},

		{"ClientHello", ExtALPN, "no protocol", block(), decode},
		{"ClientHello", ExtALPN, "an empty protocol", block("\x02h2\x00"), decode},
		{"ClientHello", ExtALPN, "a protocol beyond the list", block("\x03h2"), decode},

		// The peers that test this expect an illegal_parameter.
		{"ClientHello", ExtClientCertificateType, "no type", "\x00", illegal},
		{"ClientHello", ExtClientCertificateType, "a byte after the list", "\x01\x02\x00", illegal},
		{"ClientHello", ExtServerCertificateType, "no type", "\x00", illegal},
		{"ClientHello", ExtServerCertificateType, "a list that is cut", "\x02\x02", illegal},

		{"ClientHello", ExtMaxFragmentLength, "a length", "\x01", good},
		{"ClientHello", ExtMaxFragmentLength, "nothing", "", decode},
		{"ClientHello", ExtMaxFragmentLength, "two lengths", "\x01\x02", decode},
		{"ClientHello", ExtRecordSizeLimit, "a limit", "\x40\x01", good},
		{"ClientHello", ExtRecordSizeLimit, "nothing", "", decode},
		{"ClientHello", ExtRecordSizeLimit, "half a limit", "\x40", decode},
		{"ClientHello", ExtRecordSizeLimit, "a byte after it", "\x40\x01\x00", decode},
		{"ClientHello", ExtCompressCertificate, "two algorithms", "\x04\x00\x02\x00\x01", good},
		{"ClientHello", ExtCompressCertificate, "nothing", "", decode},
		{"ClientHello", ExtCompressCertificate, "no algorithm", "\x00", decode},
		{"ClientHello", ExtCompressCertificate, "half an algorithm", "\x03\x00\x02\x00", decode},
		{"ClientHello", ExtCompressCertificate, "a byte after the list", "\x02\x00\x02\x00", decode},
		{"ClientHello", ExtCompressCertificate, "an algorithm twice", "\x06\x00\x02\x00\x01\x00\x02", decode},

		{"ClientHello", ExtSessionTicket, "nothing", "", good},
		{"ClientHello", ExtSessionTicket, "anything", "ticket", good},
		{"ClientHello", ExtSupportedVersions, "no version", "\x00", decode},
		{"ClientHello", ExtSupportedVersions, "half a version", "\x03\x03\x04\x03", decode},
		{"ClientHello", ExtSupportedVersions, "a server's", "\x03\x04", decode},
		{"ClientHello", ExtCookie, "an empty cookie", block(), decode},
		{"ClientHello", ExtPSKKeyExchangeModes, "no mode", "\x00", decode},
		{"ClientHello", ExtCertificateAuthorities, "no name", block(), decode},
		{"ClientHello", ExtCertificateAuthorities, "an empty name", block(block("a"), block()), decode},
		{"ClientHello", ExtCertificateAuthorities, "a name beyond the list", block("\x00\x02a"), decode},

		{"ClientHello", ExtKeyShare, "no share", block(), good},
		{"ClientHello", ExtKeyShare, "nothing", "", decode},
		{"ClientHello", ExtKeyShare, "an empty share", block(share(29, "")), decode},
		{"ClientHello", ExtKeyShare, "a share beyond the list", block("\x00\x1d\x00\x02a"), decode},
		{"ClientHello", ExtKeyShare, "half a group", block("\x00"), decode},
		{"ClientHello", ExtKeyShare, "two shares of a group", block(share(29, "a"), share(23, "b"), share(29, "c")), illegal},
		{"ClientHello", ExtKeyShare, "many shares", manyShares(10000), good},
		{"ClientHello", ExtKeyShare, "many shares, the last of them twice", manyShares(10000, 9999), illegal},

		{"ClientHello of DTLS", ExtConnectionID, "an empty one", "\x00", good},
		{"ClientHello of DTLS", ExtConnectionID, "nothing", "", decode},
		{"ClientHello of DTLS", ExtConnectionID, "a byte after it", "\x01a\x00", decode},
		{"ClientHello of DTLS", ExtRRC, "nothing", "", good},
		{"ClientHello of DTLS", ExtRRC, "a byte", "\x00", decode},
		{"ClientHello", ExtRRC, "skipped over a stream", "\x00", good},
		{"ClientHello", ExtRenegotiationInfo, "nothing", "", decode},
		{"ClientHello", ExtPadding, "anything", "anything", good},

		{"ClientHello", ExtPreSharedKey, "two", psk(id+id, binder+binder), good},
		{"ClientHello", ExtPreSharedKey, "no identity", psk("", binder), decode},
		{"ClientHello", ExtPreSharedKey, "no binder", psk(id, ""), decode},
		{"ClientHello", ExtPreSharedKey, "an empty identity", psk("\x00\x00\x00\x00\x00\x01", binder), decode},
		{"ClientHello", ExtPreSharedKey, "an identity without an age", psk(id[:len(id)-1], binder), decode},
		{"ClientHello", ExtPreSharedKey, "an empty binder", psk(id, "\x00"), decode},
		{"ClientHello", ExtPreSharedKey, "a binder that is cut", psk(id, binder[:32]), decode},
		{"ClientHello", ExtPreSharedKey, "more identities than binders", psk(id+id, binder), illegal},
		{"ClientHello", ExtPreSharedKey, "more binders than identities", psk(id, binder+binder), illegal},
		{"ClientHello", ExtPreSharedKey, "a server's", "\x00\x01", decode},

		{"ClientHello", ExtExtendedMainSecret, "something in it", "a", decode},
		{"ClientHello", ExtEarlyData, "something in it", "a", decode},
		{"ClientHello", ExtSCT, "something in it", "a", decode},
		{"ClientHello", ExtPostHandshakeAuth, "something in it", "a", decode},

		{"ServerHello", ExtSupportedVersions, "a version", "\x03\x04", good},
		{"ServerHello", ExtSupportedVersions, "a client's", "\x02\x03\x04", decode},
		{"ServerHello", ExtKeyShare, "a share", share(29, "share"), good},
		{"ServerHello", ExtKeyShare, "an empty share", share(29, ""), decode},
		{"ServerHello", ExtKeyShare, "a retry's", "\x00\x1d", decode},
		{"ServerHello", ExtKeyShare, "a client's", block(share(29, "share")), decode},
		{"ServerHello", ExtPreSharedKey, "half a number", "\x00", decode},
		{"ServerHello", ExtALPN, "one protocol", block("\x02h2"), good},
		{"ServerHello", ExtALPN, "two protocols", block("\x02h2\x02h3"), decode},
		{"ServerHello", ExtALPN, "no protocol", block(), decode},
		{"ServerHello", ExtALPN, "an empty protocol", block("\x00"), decode},
		{"ServerHello", ExtSCT, "one", block(block("sct")), good},
		{"ServerHello", ExtSCT, "nothing", "", decode},
		{"ServerHello", ExtSCT, "an empty list", block(), decode},
		{"ServerHello", ExtSCT, "an empty one", block(block("sct"), block()), decode},
		{"ServerHello", ExtSCT, "one beyond the list", block("\x00\x02a"), decode},
		{"ServerHello", ExtECPointFormats, "no format", "\x00", decode},
		{"ServerHello", ExtUseSRTP, "no profile", block() + "\x00", decode},
		{"ServerHello", ExtServerCertificateType, "a client's", "\x01\x02", decode},
		{"ServerHello", ExtClientCertificateType, "nothing", "", decode},
		{"ServerHello", ExtConnectionID, "a byte after it", "\x01a\x00", decode},
		{"ServerHello", ExtRRC, "nothing", "", good},
		{"ServerHello", ExtRRC, "a byte", "\x00", decode},
		{"HelloRetryRequest", ExtRRC, "a byte", "\x00", decode},
		{"ServerHello", ExtMaxFragmentLength, "nothing", "", decode},
		{"ServerHello", ExtRecordSizeLimit, "half a limit", "\x40", decode},
		{"ServerHello", ExtRenegotiationInfo, "nothing", "", decode},
		{"ServerHello", ExtServerName, "a name in it", block("\x00" + block("localhost")), decode},
		{"ServerHello", ExtStatusRequest, "something in it", "\x01", decode},
		{"ServerHello", ExtExtendedMainSecret, "something in it", "\x01", decode},
		{"ServerHello", ExtSessionTicket, "something in it", "\x01", decode},

		{"HelloRetryRequest", ExtKeyShare, "a group", "\x00\x1d", good},
		{"HelloRetryRequest", ExtKeyShare, "a share", share(29, "share"), decode},
		{"HelloRetryRequest", ExtCookie, "an empty cookie", block(), decode},

		{"EncryptedExtensions", ExtALPN, "two protocols", block("\x02h2\x02h3"), decode},
		{"EncryptedExtensions", ExtSupportedGroups, "no group", block(), decode},
		{"EncryptedExtensions", ExtUseSRTP, "no mki", block("\x00\x01"), decode},
		{"EncryptedExtensions", ExtServerCertificateType, "nothing", "", decode},
		{"EncryptedExtensions", ExtClientCertificateType, "a client's", "\x01\x02", decode},
		{"EncryptedExtensions", ExtServerName, "a name in it", block("\x00" + block("localhost")), decode},
		{"EncryptedExtensions", ExtMaxFragmentLength, "two lengths", "\x01\x02", decode},
		{"EncryptedExtensions", ExtRecordSizeLimit, "a byte after it", "\x40\x01\x00", decode},
		{"EncryptedExtensions", ExtEarlyData, "a ticket's", "\x00\x00\x00\x01", decode},

		{"CertificateRequest 1.3", ExtSignatureAlgorithms, "no scheme", block(), decode},
		{"CertificateRequest 1.3", ExtSignatureAlgsCert, "half a scheme", block("\x04"), decode},
		{"CertificateRequest 1.3", ExtCompressCertificate, "no algorithm", "\x00", decode},
		{"CertificateRequest 1.3", ExtCompressCertificate, "an algorithm twice", "\x04\x00\x02\x00\x02", decode},
		{"CertificateRequest 1.3", ExtCertificateAuthorities, "no name", block(), decode},
		{"CertificateRequest 1.3", ExtOIDFilters, "anything", "anything", good},

		{"CertificateEntry", ExtStatusRequest, "a response", "\x01\x00\x00\x04ocsp", good},
		{"CertificateEntry", ExtStatusRequest, "a response of another type", "\x02\x00\x00\x04ocsp", decode},
		{"CertificateEntry", ExtStatusRequest, "an empty response", "\x01\x00\x00\x00", decode},
		{"CertificateEntry", ExtStatusRequest, "a request", "\x01" + block() + block(), decode},
		{"CertificateEntry", ExtSCT, "nothing", "", decode},
		{"CertificateEntry", ExtSCT, "an empty list", block(), decode},
		{"CertificateEntry", ExtSCT, "a byte after the list", block(block("sct")) + "\x00", decode},

		{"NewSessionTicket 1.3", ExtEarlyData, "a size", "\x00\x00\x00\x01", good},
		{"NewSessionTicket 1.3", ExtEarlyData, "nothing", "", decode},
		{"NewSessionTicket 1.3", ExtEarlyData, "a byte after the size", "\x00\x00\x00\x01\x00", decode},
	} {
		t.Run(fmt.Sprintf("%s, %v: %s", tt.message, tt.ext, tt.name), func(t *testing.T) {
			wantParse(t, parseAs(tt.message, starts[tt.message]+block(ext(tt.ext, tt.body))), tt.want)
		})
	}
}

// TestExtensionLists: what RFC 9846, Section 4.3 says of a list as a whole, in
// each message that has one. The alert for a duplicate is not in the RFC: it is
// what other implementations send.
func TestExtensionLists(t *testing.T) {
	unknown := func(n int, more ...string) string {
		var list []string
		for i := range n {
			list = append(list, ext(Extension(0x4000+i), ""))
		}
		return block(append(list, more...)...)
	}
	for name, start := range starts {
		twice := decode
		if name == "HelloRetryRequest" || name == "NewSessionTicket 1.3" {
			twice = illegal
		}
		for _, tt := range []struct {
			name string
			list string
			want alert.Description
		}{
			{"no extension", block(), good},
			{"one that nobody knows", block(ext(0x1234, "?")), good},
			{"a known one twice", block(ext(ExtPadding, ""), ext(0x1234, ""), ext(ExtPadding, "")), twice},
			{"an unknown one twice", block(ext(0x1234, ""), ext(ExtPadding, ""), ext(0x1234, "?")), twice},
			{"many that nobody knows", unknown(16000), good},
			{"the first of many twice", unknown(16000, ext(0x4000, "")), twice},
			{"the last of many twice", unknown(16000, ext(0x4000+15999, "")), twice},
			{"an extension beyond the list", block("\x12\x34\x00\x02a"), decode},
			{"half a header", block("\x12\x34\x00"), decode},
			{"a list beyond the message", "\x00\x05" + ext(0x1234, ""), decode},
			{"half a length", "\x00", decode},
			{"a byte after the list", block(ext(0x1234, "")) + "\x00", decode},
		} {
			t.Run(name+": "+tt.name, func(t *testing.T) {
				wantParse(t, parseAs(name, start+tt.list), tt.want)
			})
		}
	}
}

// TestPreSharedKeyIsLast: RFC 9846, Section 4.3.11: "Servers MUST check that it
// is the last extension and otherwise fail the handshake with an
// "illegal_parameter" alert."
func TestPreSharedKeyIsLast(t *testing.T) {
	psk := ext(ExtPreSharedKey, block(block("identity")+"\x00\x00\x00\x01")+block("\x20"+random32))
	for _, tt := range []struct {
		name string
		list string
		want alert.Description
	}{
		{"last", block(ext(ExtPadding, ""), psk), good},
		{"before one that we know", block(psk, ext(ExtPadding, "")), illegal},
		{"before one that we do not know", block(psk, ext(0x1234, "")), illegal},
		{"twice", block(psk, psk), decode},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantParse(t, parseAs("ClientHello", clientHelloStart+tt.list), tt.want)
		})
	}
}

// TestMalformed: what is wrong elsewhere than in extensions.
func TestMalformed(t *testing.T) {
	session33 := "\x21" + random32 + "3"
	for _, tt := range []struct {
		message string
		name    string
		body    string
		want    alert.Description
	}{
		{"ClientHello", "a session id of 32 bytes", "\x03\x03" + random32 + "\x20" + random32 + "\x00\x02\x13\x01\x01\x00", good},
		{"ClientHello", "a session id of 33 bytes", "\x03\x03" + random32 + session33 + "\x00\x02\x13\x01\x01\x00", decode},
		{"ClientHello", "no cipher suite", "\x03\x03" + random32 + "\x00" + block() + "\x01\x00", decode},
		{"ClientHello", "half a cipher suite", "\x03\x03" + random32 + "\x00" + block("\x13\x01\x13") + "\x01\x00", decode},
		{"ClientHello", "no compression method", "\x03\x03" + random32 + "\x00\x00\x02\x13\x01\x00", decode},
		{"ClientHello", "the cookie of a datagram", "\x03\x03" + random32 + "\x00\x00" + block("\x13\x01") + "\x01\x00", decode},
		{"ClientHello of DTLS", "a cookie", "\xfe\xfd" + random32 + "\x00\x01c" + block("\x13\x01") + "\x01\x00", good},
		{"ClientHello of DTLS", "no cookie field", "\xfe\xfd" + random32 + "\x00" + block("\x13\x01") + "\x01\x00", decode},
		{"ServerHello", "a session id of 32 bytes", "\x03\x03" + random32 + "\x20" + random32 + "\x13\x01\x00", good},
		{"ServerHello", "a session id of 33 bytes", "\x03\x03" + random32 + session33 + "\x13\x01\x00", decode},

		{"HelloVerifyRequest", "an empty cookie", "\xfe\xff\x00", good},
		{"CertificateRequest 1.2", "no certificate type", "\x00" + block("\x04\x03") + block(), decode},
		{"CertificateRequest 1.2", "no scheme", "\x01\x40" + block() + block(), decode},
		{"CertificateRequest 1.2", "half a scheme", "\x01\x40" + block("\x04") + block(), decode},
		{"CertificateRequest 1.2", "no authority", "\x01\x40" + block("\x04\x03") + block(), good},
		{"CertificateRequest 1.2", "an empty authority", "\x01\x40" + block("\x04\x03") + block(block()), decode},
		{"CertificateRequest 1.2", "an authority beyond the list", "\x01\x40" + block("\x04\x03") + block("\x00\x02a"), decode},
		{"Certificate 1.3", "no certificate", "\x00\x00\x00\x00", good},
		{"Certificate 1.2", "no certificate", "\x00\x00\x00", good},
		{"CompressedCertificate", "nothing", "", decode},
		{"CompressedCertificate", "no content", "\x00\x01" + "\x00\x00\x04" + "\x00\x00\x00", decode},
		{"CompressedCertificate", "content beyond the message", "\x00\x01" + "\x00\x00\x04" + "\x00\x00\x02a", decode},
		{"CompressedCertificate", "a byte after the content", "\x00\x01" + "\x00\x00\x04" + "\x00\x00\x01ab", decode},
		{"CertificateEntry", "an empty certificate", "\x00\x00\x00" + block(), decode},
		{"CertificateEntry", "a certificate beyond the list", "\x00\x00\x04der", decode},
		{"CertificateStatus", "another type", "\x02\x00\x00\x01a", decode},
		{"CertificateStatus", "an empty response", "\x01\x00\x00\x00", decode},
		{"CertificateVerify", "an empty signature", "\x04\x03" + block(), good},

		{"ServerKeyExchange", "a curve", block("hint") + "\x03\x00\x1d\x01p" + "\x04\x03" + block("signature"), good},
		{"ServerKeyExchange", "explicit parameters of a curve", block("hint") + "\x01\x00\x1d\x01p" + "\x04\x03" + block("signature"), decode},
		{"ServerKeyExchange", "an empty public value", block("hint") + "\x03\x00\x1d\x00" + "\x04\x03" + block("signature"), decode},
		{"ClientKeyExchange", "an empty public value", block("identity") + "\x00", decode},

		{"NewSessionTicket 1.3", "an empty ticket", "\x00\x00\x00\x01\x00\x00\x00\x02\x00" + block() + block(), decode},
		{"NewSessionTicket 1.2", "an empty ticket", "\x00\x00\x00\x01" + block(), good}, // RFC 5077, Section 3.3
		{"NewConnectionId", "no connection id", block() + "\x00", good},
		{"NewConnectionId", "an empty connection id", block("\x00") + "\x00", good},
		{"NewConnectionId", "a connection id beyond the list", block("\x02a") + "\x00", decode},
		{"NewConnectionId", "no usage", block("\x01a"), decode},
	} {
		t.Run(tt.message+": "+tt.name, func(t *testing.T) {
			wantParse(t, parseAs(tt.message, tt.body), tt.want)
		})
	}
}

// TestExtensionLengths: an extension whose own length is less or more than its
// content does not parse, however right the lengths around it are.
func TestExtensionLengths(t *testing.T) {
	for name, start := range starts {
		c := structureNamed(name)
		at := len(withoutAny(t, c))
		if _, ok := c.sample.(*ServerHello); !ok {
			at -= 2 // all others have a list, even an empty one
		}
		list := codec.Cursor{B: c.body()[at+2:]}
		if !list.More() {
			t.Errorf("%s has no extensions", name)
		}
		for list.More() {
			e := Extension(list.Uint16())
			body := list.Vec16()
			if opaque(name, e) {
				continue
			}
			for n := range len(body) {
				if err := parseAs(name, start+block(ext(e, string(body[:n])))); err == nil {
					t.Errorf("%s: %v of %d bytes parses when it is cut to %d", name, e, len(body), n)
				}
			}
			if err := parseAs(name, start+block(ext(e, string(body)+"\x00"))); err == nil {
				t.Errorf("%s: %v parses with a byte after it", name, e)
			}
		}
	}
}

// opaque extensions have no inner length, or none that is looked at.
func opaque(name string, e Extension) bool {
	switch name {
	case "ClientHello", "ClientHello of DTLS":
		return e == ExtSessionTicket
	case "CertificateRequest 1.3":
		return e == ExtStatusRequest || e == ExtSCT
	}
	return false
}

// TestUnknownExtensions: extensions that nobody has offered, and those that
// have no place in a message, are reported to the state, which refuses them.
func TestUnknownExtensions(t *testing.T) {
	body := []byte(block(ext(ExtCookie, "?"), ext(0x1234, "?")))
	want := Extensions(ExtCookie)

	var sh ServerHello
	if err := sh.Parse(append([]byte(serverHelloStart), block(ext(ExtPSKKeyExchangeModes, "?"), ext(0x1234, "?"))...)); err != nil ||
		!sh.Unknown || sh.Has != Extensions(ExtPSKKeyExchangeModes) {
		t.Errorf("ServerHello: %v, unknown %v, %v", sh.Has, sh.Unknown, err)
	}
	var ee EncryptedExtensions
	if err := ee.Parse(body); err != nil || !ee.Unknown || ee.Has != want {
		t.Errorf("EncryptedExtensions: %v, unknown %v, %v", ee.Has, ee.Unknown, err)
	}
	e, _, err := NextEntry(append([]byte(entryStart), body...), everything)
	if err != nil || !e.Unknown || e.Has != want {
		t.Errorf("Certificate: %v, unknown %v, %v", e.Has, e.Unknown, err)
	}
	// RFC 9846, Section 4.3: what the server says by itself has what it may have,
	// and what nobody knows yet.
	for name, own := range map[string]ExtensionSet{
		"CertificateRequest 1.3": Extensions(inCertificateRequest...),
		"NewSessionTicket 1.3":   Extensions(ExtEarlyData),
	} {
		wantParse(t, parseAs(name, starts[name]+block(ext(0x1234, "?"))), good)
		for _, k := range known {
			if !own.Has(k.number) {
				wantParse(t, parseAs(name, starts[name]+block(ext(k.number, "?"))), illegal)
			}
		}
	}
	var ch ClientHello
	if err := ch.Parse(append([]byte(clientHelloStart), block(ext(ExtOIDFilters, "?"), ext(0x1234, "?"))...), Stream); err != nil ||
		ch.Has != Extensions(ExtOIDFilters) {
		t.Errorf("ClientHello: %v, %v", ch.Has, err)
	}
}

// TestForeignExtensions: RFC 9846, Section 4.3: an extension that means nothing here
// is ignored, whatever it holds.
func TestForeignExtensions(t *testing.T) {
	body := []byte(block(ext(ExtUseSRTP, "?"), ext(ExtConnectionID, "??")))
	var h ClientHello
	if err := h.Parse(append([]byte(clientHelloStart), body...), Stream); err != nil || h.Has != 0 {
		t.Errorf("of datagrams, in a ClientHello of TLS: %v, %v", h.Has, err)
	}
	// In an answer it was not offered, and that is what is wrong with it.
	var sh ServerHello
	if err := sh.ParseAnswer(append([]byte(serverHelloStart), body...), Extensions(ExtKeyShare)); err != nil || !sh.Unknown || sh.Has != 0 {
		t.Errorf("in a ServerHello: %v, %v", sh.Has, err)
	}
	var ee EncryptedExtensions
	if err := ee.ParseAnswer(body, Extensions(ExtALPN)); err != nil || !ee.Unknown || ee.Has != 0 {
		t.Errorf("in EncryptedExtensions: %v, %v", ee.Has, err)
	}
	if e, _, err := NextEntry([]byte(entryStart+block(ext(ExtStatusRequest, "?"))), 0); err != nil || !e.Unknown || e.Has != 0 {
		t.Errorf("in a Certificate: %v, %v", e.Has, err)
	}
}

// TestExtensionsOfOneVersion: what is wrong with them counts only in their version;
// what both have must always parse.
func TestExtensionsOfOneVersion(t *testing.T) {
	const both = 0
	for _, k := range known {
		version := uint16(both)
		switch {
		case only12.Has(k.number):
			version = VersionTLS12
		case only13.Has(k.number):
			version = VersionTLS13
		}
		opaque := k.number == ExtPadding || k.number == ExtSessionTicket || k.number == ExtOIDFilters
		bad := ext(k.number, "\x00\x07?")
		if k.number == ExtStatusRequest {
			bad = ext(k.number, "\x01?")
		}
		var h ClientHello
		err := h.Parse([]byte(datagramHelloStart+block(bad, ext(0x1234, ""))), Datagram)
		for _, v := range []uint16{VersionTLS12, VersionTLS13} {
			want := !opaque && (version == v || version == both)
			if got := err != nil || h.Check(v) != nil; got != want {
				t.Errorf("%v is wrong, in version %#x: %v, %v", k.number, v, err, h.Check(v))
			}
		}
	}
}
