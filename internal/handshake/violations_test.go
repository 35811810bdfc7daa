package handshake

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// edit changes a message; hello is the client's first.
type edit func(msg, hello []byte) []byte

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func inClientHello(change func(*wire.ClientHello)) edit {
	return func(msg, _ []byte) []byte {
		var h wire.ClientHello
		must(h.Parse(msg[4:], wire.Stream))
		change(&h)
		return h.Append(nil, wire.Stream)
	}
}

func inServerHello(change func(*wire.ServerHello)) edit {
	return func(msg, _ []byte) []byte {
		var h wire.ServerHello
		must(h.Parse(msg[4:]))
		change(&h)
		return h.Append(nil)
	}
}

func inExtensions(change func(*wire.EncryptedExtensions)) edit {
	return func(msg, _ []byte) []byte {
		var m wire.EncryptedExtensions
		must(m.Parse(msg[4:]))
		change(&m)
		return m.Append(nil)
	}
}

func inSignature(scheme suite.Scheme) edit {
	return func(msg, _ []byte) []byte {
		var m wire.CertificateVerify
		must(m.Parse(msg[4:]))
		m.Scheme = uint16(scheme)
		return m.Append(nil)
	}
}

func flipLast(msg, _ []byte) []byte {
	msg = bytes.Clone(msg)
	msg[len(msg)-1] ^= 1
	return msg
}

// cut leaves the first n bytes of a message's body.
func cut(n int) edit {
	return func(msg, _ []byte) []byte { return wire.AppendMessage(nil, wire.Type(msg[0]), msg[4:4+n]) }
}

func lengthen(msg, _ []byte) []byte {
	return wire.AppendMessage(nil, wire.Type(msg[0]), append(bytes.Clone(msg[4:]), 0))
}

func noCertificate(msg, _ []byte) []byte { return new(wire.Certificate13).Append(nil) }

// anotherExtension adds an extension to a ServerHello, of any kind and content.
func anotherExtension(e wire.Extension, body string) edit {
	raw := string([]byte{byte(e >> 8), byte(e), byte(len(body) >> 8), byte(len(body))}) + body
	return func(msg, _ []byte) []byte {
		at := 2 + 32 + 1 + int(msg[4+2+32]) + 2 + 1
		return inBlock(at, raw)(msg, nil)
	}
}

// inBlock adds an extension to the block at the end of a message's body.
func inBlock(at int, raw string) edit {
	return func(msg, _ []byte) []byte {
		body := append(bytes.Clone(msg[4:]), raw...)
		n := len(body) - at - 2
		body[at], body[at+1] = byte(n>>8), byte(n)
		return wire.AppendMessage(nil, wire.Type(msg[0]), body)
	}
}

// inEntry adds an extension without content to the last certificate of a message.
func inEntry(e wire.Extension) edit {
	return func(msg, _ []byte) []byte {
		var m wire.Certificate13
		must(m.Parse(msg[4:]))
		m.Entries = append(bytes.Clone(m.Entries), 0, byte(e), 0, 0)
		m.Entries[len(m.Entries)-5] = 4 // it had none
		return m.Append(nil)
	}
}

func without(e wire.Extension) edit {
	return inClientHello(func(h *wire.ClientHello) { h.Has = h.Has.Minus(wire.Extensions(e)) })
}

// offerPSK adds a PSK, with a binder that is wrong.
func offerPSK(h *wire.ClientHello, identity string) {
	h.PSK.Identities = wire.AppendPSKIdentity(bytes.Clone(h.PSK.Identities), wire.PSKIdentity{Identity: []byte(identity)})
	h.PSK.Binders = wire.AppendPSKBinder(bytes.Clone(h.PSK.Binders), make([]byte, 32))
	h.Has.Add(wire.ExtPreSharedKey)
}

// onlyFragments answers max_fragment_length, and not record_size_limit.
func onlyFragments(code uint8) func(*wire.EncryptedExtensions) {
	return func(m *wire.EncryptedExtensions) {
		m.MaxFragmentLength = code
		m.Has = m.Has.Minus(wire.Extensions(wire.ExtRecordSizeLimit)) | wire.Extensions(wire.ExtMaxFragmentLength)
	}
}

// withFragments offers max_fragment_length, and not record_size_limit.
func withFragments(code uint8) func(*wire.ClientHello) {
	return func(h *wire.ClientHello) {
		h.MaxFragmentLength = code
		h.Has = h.Has.Minus(wire.Extensions(wire.ExtRecordSizeLimit)) | wire.Extensions(wire.ExtMaxFragmentLength)
	}
}

var (
	hello13  = setting{"TLS 1.3", wire.VersionTLS13, false, false}
	mutual13 = setting{"TLS 1.3 mutual", wire.VersionTLS13, true, false}
	retry13  = setting{"TLS 1.3 HelloRetryRequest", wire.VersionTLS13, false, true}
	hello12  = setting{"TLS 1.2", wire.VersionTLS12, false, false}
	mutual12 = setting{"TLS 1.2 mutual", wire.VersionTLS12, true, false}
)

// violations are what a malicious peer could do within messages that parse: what
// the n-th message of a type is changed to, and what the other side says.
var violations = []struct {
	name    string
	setting setting
	typ     wire.Type
	n       int
	edit    edit
	want    *alert.Error
}{
	// By a server, in its hellos.
	{"a suite of the other version", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.CipherSuite = 0xc02b }), errSuiteNotOffered},
	{"a suite that was not offered", hello12, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.CipherSuite = 0xcca9 }), errSuiteNotOffered},
	{"a suite that nobody knows", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.CipherSuite = 0x1399 }), errSuiteNotOffered},
	{"another session id", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.SessionID = []byte{1} }), errSessionEcho},
	{"compression", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Compression = 1 }), errCompression},
	{"compression in TLS 1.2", hello12, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Compression = 1 }), errCompression},
	{"no key share", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Has = h.Has.Minus(wire.Extensions(wire.ExtKeyShare)) }), errNoKeyShare},
	{"a key share of another group", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.KeyShare.Group = uint16(suite.P256) }), errWrongShare},
	{"a PSK that was not offered", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Has.Add(wire.ExtPreSharedKey) }), errUnsolicited},
	{"an extension of EncryptedExtensions", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.ALPN = []byte("x"); h.Has.Add(wire.ExtALPN) }), errMisplaced},
	{"a known extension that was not offered", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Has.Add(wire.ExtSessionTicket) }), errUnsolicited},
	{"an extension of TLS 1.2 alone", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Has.Add(wire.ExtExtendedMainSecret) }), errMisplaced},
	{"a cookie", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Cookie = []byte{1}; h.Has.Add(wire.ExtCookie) }), errUnsolicited},
	{"status_request_v2 in TLS 1.2", hello12, wire.TypeServerHello, 1, anotherExtension(17, ""), errUnsolicited},
	{"an extension of datagrams, which does not parse", hello13, wire.TypeServerHello, 1, anotherExtension(wire.ExtConnectionID, ""), errUnsolicited},
	{"an extension of datagrams in TLS 1.2", hello12, wire.TypeServerHello, 1, anotherExtension(wire.ExtUseSRTP, ""), errUnsolicited},
	{"an older legacy_version", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Version = 0x0302 }), errLegacyVersion},
	{"a newer legacy_version", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Version = 0x0304 }), errLegacyVersion},
	{"the extension that chooses TLS 1.3, where it was not offered", hello12, wire.TypeServerHello, 1, anotherExtension(wire.ExtSupportedVersions, "\x03\x04"), errUnsolicited},
	{"a version that was not offered", hello12, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Version = 0x0301 }), errVersion},
	{"TLS 1.2 by the extension of 1.3", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.SupportedVersion = wire.VersionTLS12 }), errVersionNotWanted},
	{"the random of a downgrade", hello13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) {
		*h = wire.ServerHello{Version: wire.VersionTLS12, Random: h.Random, CipherSuite: 0xc02b}
		copy(h.Random[24:], wire.DowngradeTLS11)
	}), errDowngrade},
	{"TLS 1.2 that resumes nothing", hello13, wire.TypeServerHello, 1, func(msg, hello []byte) []byte {
		var h wire.ClientHello
		must(h.Parse(hello[4:], wire.Stream))
		return inServerHello(func(sh *wire.ServerHello) {
			*sh = wire.ServerHello{Version: wire.VersionTLS12, Random: sh.Random, CipherSuite: 0xc02b, SessionID: h.SessionID}
		})(msg, hello)
	}, errEchoed12},
	{"an extension of TLS 1.3", hello12, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Has.Add(wire.ExtPreSharedKey) }), errUnsolicited},
	{"a renegotiation", hello12, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) {
		h.RenegotiationInfo = []byte{1}
		h.Has.Add(wire.ExtRenegotiationInfo)
	}), errRenegInfo},
	{"another protocol in TLS 1.2", hello12, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.ALPN = []byte("y"); h.Has.Add(wire.ExtALPN) }), errALPNChoice},
	{"a suite for another key", hello12, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.CipherSuite = 0xc02f }), errKeyForSuite},

	{"a size limit of 63", hello13, wire.TypeEncryptedExtensions, 1, inExtensions(func(m *wire.EncryptedExtensions) { m.RecordSizeLimit = 63 }), errSizeLimit},
	{"a size limit of 0", hello13, wire.TypeEncryptedExtensions, 1, inExtensions(func(m *wire.EncryptedExtensions) { m.RecordSizeLimit = 0 }), errSizeLimit},
	{"a size limit of 63 in TLS 1.2", hello12, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.RecordSizeLimit = 63 }), errSizeLimit},
	{"a size limit and a fragment length", hello13, wire.TypeEncryptedExtensions, 1, inExtensions(func(m *wire.EncryptedExtensions) {
		m.MaxFragmentLength = 1
		m.Has.Add(wire.ExtMaxFragmentLength)
	}), errBothLimits},
	{"a size limit and a fragment length in TLS 1.2", hello12, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) {
		h.MaxFragmentLength = 1
		h.Has.Add(wire.ExtMaxFragmentLength)
	}), errBothLimits},
	{"another fragment length", hello13, wire.TypeEncryptedExtensions, 1, inExtensions(onlyFragments(2)), errFragmentEcho},
	{"a fragment length of 0", hello13, wire.TypeEncryptedExtensions, 1, inExtensions(onlyFragments(0)), errFragmentEcho},
	{"a fragment length of no number", hello13, wire.TypeEncryptedExtensions, 1, inExtensions(onlyFragments(5)), errFragmentEcho},
	{"another fragment length in TLS 1.2", hello12, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) {
		h.MaxFragmentLength = 4
		h.Has = h.Has.Minus(wire.Extensions(wire.ExtRecordSizeLimit)) | wire.Extensions(wire.ExtMaxFragmentLength)
	}), errFragmentEcho},
	{"a size limit in a ServerHello of TLS 1.3", hello13, wire.TypeServerHello, 1, anotherExtension(wire.ExtRecordSizeLimit, "\x40\x01"), errMisplaced},
	{"a fragment length in a ServerHello of TLS 1.3", hello13, wire.TypeServerHello, 1, anotherExtension(wire.ExtMaxFragmentLength, "\x01"), errMisplaced},
	{"an answer to certificate compression, which was not offered", hello12, wire.TypeServerHello, 1, anotherExtension(wire.ExtCompressCertificate, "\x02\x00\x01"), errUnsolicited},

	// By a server, with HelloRetryRequest.
	{"a retry with a size limit", retry13, wire.TypeServerHello, 1, anotherExtension(wire.ExtRecordSizeLimit, "\x40\x01"), errMisplaced},
	{"another suite than its HelloRetryRequest", retry13, wire.TypeServerHello, 2, inServerHello(func(h *wire.ServerHello) { h.CipherSuite = 0x1303 }), errSuiteChanged},
	{"a second HelloRetryRequest", retry13, wire.TypeServerHello, 2, inServerHello(func(h *wire.ServerHello) { h.Random = wire.RetryRandom }), errSecondRetry},
	{"a retry for a share that it has", retry13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.KeyShare.Group = uint16(suite.X25519) }), errRetryGroup},
	{"a retry for a group that was not offered", retry13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.KeyShare.Group = uint16(suite.P521) }), errRetryGroup},
	{"a retry with a suite that was not offered", retry13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.CipherSuite = 0x1399 }), errSuiteNotOffered},
	{"a retry for nothing", retry13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Has = wire.Extensions(wire.ExtSupportedVersions) }), errEmptyRetry},
	{"a retry with more", retry13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Has.Add(wire.ExtPreSharedKey) }), errUnsolicited},
	{"a retry with an extension of another message", retry13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.ALPN = []byte("x"); h.Has.Add(wire.ExtALPN) }), errMisplaced},
	{"a retry with an unknown extension", retry13, wire.TypeServerHello, 1, anotherExtension(0x1234, ""), errUnsolicited},
	{"a retry with another legacy_version", retry13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Version = 0x0301 }), errLegacyVersion},
	{"a retry with another session id", retry13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.SessionID = nil }), errSessionEcho},
	{"a retry with a cookie that fits no ClientHello", retry13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Cookie = make([]byte, 65440); h.Has.Add(wire.ExtCookie) }), errLargeCookie},
	{"a retry with compression", retry13, wire.TypeServerHello, 1, inServerHello(func(h *wire.ServerHello) { h.Compression = 1 }), errRetryCompression},
	{"TLS 1.2 after its HelloRetryRequest", retry13, wire.TypeServerHello, 2, inServerHello(func(h *wire.ServerHello) {
		*h = wire.ServerHello{Version: wire.VersionTLS12, Random: h.Random, CipherSuite: 0xc02b}
	}), errVersionChanged},

	// By a server, later.
	{"another protocol", hello13, wire.TypeEncryptedExtensions, 1, inExtensions(func(m *wire.EncryptedExtensions) { m.ALPN = []byte("y"); m.Has.Add(wire.ExtALPN) }), errALPNChoice},
	{"early data that was not offered", hello13, wire.TypeEncryptedExtensions, 1, inExtensions(func(m *wire.EncryptedExtensions) { m.Has.Add(wire.ExtEarlyData) }), errUnsolicited},
	{"an extension of datagrams in EncryptedExtensions", hello13, wire.TypeEncryptedExtensions, 1, inBlock(0, "\x00\x0e\x00\x00"), errUnsolicited},
	{"an extension of another message in EncryptedExtensions", hello13, wire.TypeEncryptedExtensions, 1, inBlock(0, "\x00\x2b\x00\x02\x03\x04"), errUnsolicited},
	{"an unknown extension in EncryptedExtensions", hello13, wire.TypeEncryptedExtensions, 1, inBlock(0, "\x12\x34\x00\x00"), errUnsolicited},
	{"an extension of another message with a certificate", hello13, wire.TypeCertificate, 1, inEntry(wire.ExtALPN), errMisplaced},
	{"an extension of a server's certificate with a client's", mutual13, wire.TypeCertificate, 2, inEntry(wire.ExtStatusRequest), errUnsolicited},
	{"no certificate", hello13, wire.TypeCertificate, 1, noCertificate, errNoCertificate},
	{"a context for its certificate", hello13, wire.TypeCertificate, 1, func(msg, _ []byte) []byte {
		var m wire.Certificate13
		must(m.Parse(msg[4:]))
		m.Context = []byte{1}
		return m.Append(nil)
	}, errContext},
	{"a scheme that was not offered", hello13, wire.TypeCertificateVerify, 1, inSignature(0x0203), errSchemeOffered},
	{"a scheme of TLS 1.2", hello13, wire.TypeCertificateVerify, 1, inSignature(suite.PKCS1SHA256), errSchemeKey},
	{"a scheme of another curve", hello13, wire.TypeCertificateVerify, 1, inSignature(suite.ECDSAP384), errSchemeKey},
	{"a wrong Finished", hello13, wire.TypeFinished, 1, flipLast, errWrongFinished},
	{"a context for our certificate", mutual13, wire.TypeCertificateRequest, 1, func(msg, _ []byte) []byte {
		var m wire.CertificateRequest13
		must(m.Parse(msg[4:]))
		m.Context = []byte{1}
		return m.Append(nil)
	}, errContext},
	{"a group that was not offered", hello12, wire.TypeServerKeyExchange, 1, func(msg, _ []byte) []byte {
		var m wire.ServerKeyExchange
		parts := wire.KeyExchangeParts{ECDHE: true, Signed: true}
		must(m.Parse(msg[4:], parts))
		m.Group = uint16(suite.P521)
		return m.Append(nil, parts)
	}, errGroupChoice},
	{"a hybrid group in TLS 1.2", hello12, wire.TypeServerKeyExchange, 1, func(msg, _ []byte) []byte {
		var m wire.ServerKeyExchange
		parts := wire.KeyExchangeParts{ECDHE: true, Signed: true}
		must(m.Parse(msg[4:], parts))
		m.Group = uint16(suite.X25519MLKEM768)
		return m.Append(nil, parts)
	}, errGroupChoice},
	{"no certificate in TLS 1.2", hello12, wire.TypeCertificate, 1, func(_, _ []byte) []byte { return new(wire.Certificate12).Append(nil) }, errNoCertificate},
	{"a wrong Finished in TLS 1.2", hello12, wire.TypeFinished, 2, flipLast, errWrongFinished},

	// By a client, in its hellos.
	{"compression of a client", hello13, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { h.Compression = []byte{1, 0} }), errCompression13},
	{"compression of a client after none", hello13, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { h.Compression = []byte{0, 1} }), errCompression13},
	{"no null compression", hello12, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { h.Compression = []byte{1} }), errNoCompression},
	{"no groups", hello13, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { h.Has = h.Has.Minus(wire.Extensions(wire.ExtSupportedGroups)) }), errNoGroups},
	{"no key shares", hello13, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { h.Has = h.Has.Minus(wire.Extensions(wire.ExtKeyShare)) }), errNoKeyShare},
	{"no schemes", hello13, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { h.Has = h.Has.Minus(wire.Extensions(wire.ExtSignatureAlgorithms)) }), errNoSchemes},
	{"an older legacy_version of a client", hello13, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { h.Version = 0x0302 }), errOldVersion},
	{"legacy_version 0", hello13, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { h.Version = 0 }), errOldVersion},
	{"an extension of a CertificateRequest", hello13, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { h.Has.Add(wire.ExtOIDFilters) }), errMisplaced},
	{"PSKs without modes, to a server that has none", hello13, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { offerPSK(h, "psk") }), errNoPSKModes},
	{"nothing but psk_ke", hello13, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) {
		offerPSK(h, "psk")
		h.PSKModes = []byte{0}
		h.Has.Add(wire.ExtPSKKeyExchangeModes)
		h.Has = h.Has.Minus(wire.Extensions(wire.ExtSupportedGroups, wire.ExtKeyShare))
	}), errPSKMode},
	{"a renegotiation by a client", hello12, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { h.RenegotiationInfo = []byte{1} }), errRenegInfo},
	{"no uncompressed points", hello12, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { h.PointFormats = []byte{1} }), errPointFormat},
	{"a size limit of 63 of a client", hello13, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { h.RecordSizeLimit = 63 }), errSizeLimit},
	{"a size limit of 0 of a client", hello13, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { h.RecordSizeLimit = 0 }), errSizeLimit},
	{"a size limit of 63 of a client in TLS 1.2", hello12, wire.TypeClientHello, 1, inClientHello(func(h *wire.ClientHello) { h.RecordSizeLimit = 63 }), errSizeLimit},
	{"a fragment length of 0 of a client", hello13, wire.TypeClientHello, 1, inClientHello(withFragments(0)), errFragmentLength},
	{"a fragment length of no number of a client", hello13, wire.TypeClientHello, 1, inClientHello(withFragments(5)), errFragmentLength},
	{"a fragment length of 255 of a client in TLS 1.2", hello12, wire.TypeClientHello, 1, inClientHello(withFragments(255)), errFragmentLength},
	{"another size limit", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.RecordSizeLimit-- }), errHelloChanged},
	{"no size limit any more", retry13, wire.TypeClientHello, 2, without(wire.ExtRecordSizeLimit), errHelloChanged},
	{"another fragment length of a client", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.MaxFragmentLength++ }), errHelloChanged},
	{"certificate compression after all", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) {
		h.Compressors = wire.AppendUint16s(nil, 1)
		h.Has.Add(wire.ExtCompressCertificate)
	}), errHelloChanged},
	{"another random", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.Random[0] ^= 1 }), errHelloChanged},
	{"another session id of a client", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.SessionID = nil }), errHelloChanged},
	{"other suites", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.CipherSuites = h.CipherSuites[2:] }), errHelloChanged},
	{"another name", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.ServerName = "other" }), errHelloChanged},
	{"other versions", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.SupportedVersions = wire.AppendUint16s(nil, wire.VersionTLS12) }), errHelloChanged},
	{"one version less", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.SupportedVersions = wire.AppendUint16s(nil, wire.VersionTLS13) }), errHelloChanged},
	{"other groups", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.Groups = h.Groups[2:] }), errHelloChanged},
	{"other schemes", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.SignatureSchemes = h.SignatureSchemes[2:] }), errHelloChanged},
	{"other protocols", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.ALPN = wire.AppendALPN(nil, "y", "x") }), errHelloChanged},
	{"no protocols", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.Has = h.Has.Minus(wire.Extensions(wire.ExtALPN)) }), errHelloChanged},
	{"compression in the second hello", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.Compression = []byte{0, 1} }), errHelloChanged},
	{"another legacy_version", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.Version++ }), errHelloChanged},
	{"a cookie that nobody has sent", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { h.Cookie = []byte{1}; h.Has.Add(wire.ExtCookie) }), errHelloChanged},
	{"no staple any more", retry13, wire.TypeClientHello, 2, without(wire.ExtStatusRequest), errHelloChanged},
	{"no timestamps any more", retry13, wire.TypeClientHello, 2, without(wire.ExtSCT), errHelloChanged},
	{"no extended_main_secret any more", retry13, wire.TypeClientHello, 2, without(wire.ExtExtendedMainSecret), errHelloChanged},
	{"other types of certificate", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) {
		h.ServerCertTypes = []byte{0, 2}
		h.Has.Add(wire.ExtServerCertificateType)
	}), errHelloChanged},
	{"PSKs after all", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) {
		offerPSK(h, "psk")
		h.PSKModes = []byte{1}
		h.Has.Add(wire.ExtPSKKeyExchangeModes)
	}), errHelloChanged},
	{"a share that was not asked for", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) {
		h.KeyShares = wire.AppendKeyShare(nil, uint16(suite.X25519), make([]byte, 32))
	}), errRetryShare},
	{"another share beside it", retry13, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) {
		h.KeyShares = wire.AppendKeyShare(bytes.Clone(h.KeyShares), uint16(suite.X25519), make([]byte, 32))
	}), errRetryShare},

	// By a client, later.
	{"no certificate of a client", mutual13, wire.TypeCertificate, 2, noCertificate, errCertRequired},
	{"no certificate of a client in TLS 1.2", mutual12, wire.TypeCertificate, 2, func(_, _ []byte) []byte { return new(wire.Certificate12).Append(nil) }, errCertRequired12},
	{"a scheme of a client that was not offered", mutual13, wire.TypeCertificateVerify, 2, inSignature(0x0203), errSchemeOffered},
	{"a wrong Finished of a client", hello13, wire.TypeFinished, 2, flipLast, errWrongFinished},
	{"a wrong Finished of a client in TLS 1.2", hello12, wire.TypeFinished, 1, flipLast, errWrongFinished},

	// By either: a Finished of a wrong length.
	{"a short Finished", hello13, wire.TypeFinished, 1, cut(31), errShortFinished},
	{"an empty Finished", hello13, wire.TypeFinished, 1, cut(0), errShortFinished},
	{"a long Finished", hello13, wire.TypeFinished, 1, lengthen, errWrongFinished},
	{"a short Finished of a client", hello13, wire.TypeFinished, 2, cut(31), errShortFinished},
	{"an empty Finished of a client", mutual13, wire.TypeFinished, 2, cut(0), errShortFinished},
	{"a long Finished of a client", hello13, wire.TypeFinished, 2, lengthen, errWrongFinished},
	{"a short Finished in TLS 1.2", hello12, wire.TypeFinished, 2, cut(11), errShortFinished},
	{"an empty Finished in TLS 1.2", hello12, wire.TypeFinished, 2, cut(0), errShortFinished},
	{"a short Finished of a client in TLS 1.2", hello12, wire.TypeFinished, 1, cut(11), errShortFinished},
	{"an empty Finished of a client in TLS 1.2", mutual12, wire.TypeFinished, 1, cut(0), errShortFinished},
	{"a long Finished of a client in TLS 1.2", hello12, wire.TypeFinished, 1, lengthen, errWrongFinished},
}

func TestViolations(t *testing.T) {
	id := identity(t)
	for _, v := range violations {
		client, server := v.setting.ends(t, id, new(pki.Cache))
		var hello []byte
		n := 0
		_, clientErr, serverErr := play(client, server, func(i int, msg []byte) [][]byte {
			if i == 0 {
				hello = msg
			}
			if wire.Type(msg[0]) == v.typ {
				if n++; n == v.n {
					msg = v.edit(msg, hello)
				}
			}
			return [][]byte{msg}
		})
		wantNamedAlert(t, v.want)
		if clientErr != error(v.want) && serverErr != error(v.want) {
			t.Errorf("%s: client %v, server %v, want %v", v.name, clientErr, serverErr, v.want)
		}
	}
}

// TestSecondHelloMayChange: what a second ClientHello may change of the first, and what
// a server must not mind: it answers, and the client notices the attack.
func TestSecondHelloMayChange(t *testing.T) {
	id := identity(t)
	addHello := func(e wire.Extension, body string) edit {
		return func(msg, _ []byte) []byte {
			var h wire.ClientHello
			must(h.Parse(msg[4:], wire.Stream))
			at := 2 + 32 + 1 + len(h.SessionID) + 2 + len(h.CipherSuites) + 1 + len(h.Compression)
			return inBlock(at, string([]byte{byte(e >> 8), byte(e), 0, byte(len(body))})+body)(msg, nil)
		}
	}
	for name, edit := range map[string]edit{
		"padding":                         addHello(wire.ExtPadding, "12345"),
		"an unknown extension":            addHello(0x1234, "?"),
		"an extension of DTLS":            addHello(wire.ExtConnectionID, ""),
		"early data, in spite of the RFC": inClientHello(func(h *wire.ClientHello) { h.Has.Add(wire.ExtEarlyData) }),
	} {
		client, server := retry13.ends(t, id, new(pki.Cache))
		n := 0
		_, err, serverErr := play(client, server, func(_ int, msg []byte) [][]byte {
			if wire.Type(msg[0]) == wire.TypeClientHello {
				if n++; n == 2 {
					msg = edit(msg, nil)
				}
			}
			return [][]byte{msg}
		})
		if a, _ := err.(*alert.Error); a == nil || a.Description != alert.DecryptError || serverErr != nil {
			t.Errorf("%s: client %v, server %v", name, err, serverErr)
		}
	}
}

// TestLeafCurve: RFC 8422, Section 5.1: the certificate's curve must be one that the
// client has offered, here P-256 and not P-384.
func TestLeafCurve(t *testing.T) {
	leaf := pkitest.CA(t).Leaf(t, pkitest.Options{Kind: pkitest.P384})
	client, server := hello12.ends(t, identity(t), new(pki.Cache))
	_, err, serverErr := play(client, server, func(_ int, msg []byte) [][]byte {
		if wire.Type(msg[0]) == wire.TypeCertificate {
			msg = (&wire.Certificate12{List: wire.AppendCertificate(nil, leaf.Certificate[0])}).Append(nil)
		}
		return [][]byte{msg}
	})
	if err != error(errLeafCurve) {
		t.Errorf("client %v, server %v, want %v", err, serverErr, errLeafCurve)
	}
}

var (
	testTicket = &session.Session{Version: wire.VersionTLS13, Suite: 0x1301, Secret: make([]byte, 32), Ticket: []byte("ticket"),
		Created: pkitest.Now, Lifetime: time.Hour, MaxEarlyData: 100, ALPN: "x", ServerName: "localhost"}
	testPSK = PSK{Identity: []byte("external"), Key: make([]byte, 32), Hash: crypto.SHA256, Kind: suite.ExternalBinder, In12: true}
)

// pskEnds are a client that offers testTicket, with early data, and then testPSK, and
// a server that knows what psks returns; change changes their parameters.
func pskEnds(t *testing.T, change func(client, server *Params), psks func(id string) *PSK) (client, server *end) {
	p := Params{
		MinVersion: wire.VersionTLS13, MaxVersion: wire.VersionTLS13, Suites: suite.All()[:3], Schemes: suite.Schemes,
		Groups: []suite.Group{suite.X25519, suite.P256}, KeyShares: []suite.Group{suite.X25519}, Chains: new(pki.Cache),
		Rand: rand.Reader, ALPN: []string{"x", "y"}, Now: func() time.Time { return pkitest.Now },
	}
	cp, sp := p, p
	cp.AskSession, cp.EarlyData, cp.PSKs[0] = true, true, []PSK{testPSK}
	sp.Server, sp.AcceptPSK, sp.ExternalPSK = true, true, true
	change(&cp, &sp)
	cp.Prepare()
	sp.Prepare()
	id := identity(t)
	client, server = &end{id: id, session: testTicket}, &end{id: id, psks: psks}
	client.machine, server.machine = NewClient(&cp, &client.out, "localhost"), NewServer(&sp, &server.out, nil)
	for _, e := range []*end{client, server} {
		must(e.machine.Start())
		must(e.answer())
	}
	return client, server
}

// rename gives another name to an identity, of the same length.
func rename(from, to string) edit {
	return inClientHello(func(h *wire.ClientHello) {
		h.PSK.Identities = bytes.Replace(h.PSK.Identities, []byte(from), []byte(to), 1)
	})
}

// retried makes pskEnds need a HelloRetryRequest.
func retried(_, server *Params) { server.Groups = []suite.Group{suite.P256} }

// TestEarlyDataViolations: a server says that it takes early data with what it is
// not under.
func TestEarlyDataViolations(t *testing.T) {
	for _, v := range []struct {
		name   string
		change func(client, server *Params)
		knows  *PSK
		want   *alert.Error
	}{
		{"another PSK", func(_, _ *Params) {}, &testPSK, errEarlyPSK},
		{"no PSK", func(_, _ *Params) {}, nil, errUnsolicited},
		{"another suite", func(_, p *Params) { p.Suites = []*suite.Suite{suite.ByID(0x1303)} }, SessionPSK(testTicket), errEarlyPSK},
		{"another protocol", func(_, p *Params) { p.ALPN = []string{"y"} }, SessionPSK(testTicket), errEarlyALPN},
		{"as it should be", func(_, _ *Params) {}, SessionPSK(testTicket), nil},
	} {
		client, server := pskEnds(t, v.change, func(id string) *PSK {
			if v.knows != nil && id == string(v.knows.Identity) {
				return v.knows
			}
			return nil
		})
		_, err, serverErr := play(client, server, func(_ int, msg []byte) [][]byte {
			if wire.Type(msg[0]) == wire.TypeEncryptedExtensions {
				msg = inExtensions(func(m *wire.EncryptedExtensions) { m.Has.Add(wire.ExtEarlyData) })(msg, nil)
			}
			return [][]byte{msg}
		})
		wantNamedAlert(t, v.want)
		switch {
		case v.want != nil && err != error(v.want):
			t.Errorf("%s: client %v, server %v, want %v", v.name, err, serverErr, v.want)
		case v.want == nil && err != error(errWrongFinished): // the first to see that the message was changed
			t.Errorf("%s: client %v, server %v", v.name, err, serverErr)
		}
	}
}

// TestPSKViolations: with PSKs, around a HelloRetryRequest.
func TestPSKViolations(t *testing.T) {
	for _, v := range []struct {
		name   string
		change func(client, server *Params)
		typ    wire.Type
		n      int
		edit   edit
		want   *alert.Error
	}{
		{"a second hello without the PSK of the first", retried, wire.TypeClientHello, 2,
			inClientHello(func(h *wire.ClientHello) { h.Has = h.Has.Minus(wire.Extensions(wire.ExtPreSharedKey)) }), errPSKGone},
		{"a second hello with another PSK in its place", retried, wire.TypeClientHello, 2, rename("ticket", "tucket"), errPSKsChanged},
		{"a second hello with another one that is not known", retried, wire.TypeClientHello, 2, rename("external", "exturnal"), errPSKsChanged},
		{"a second hello with one more", retried, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) { offerPSK(h, "more") }), errPSKsChanged},
		{"a second hello with the other one alone", retried, wire.TypeClientHello, 2, inClientHello(func(h *wire.ClientHello) {
			h.PSK = wire.OfferedPSKs{}
			offerPSK(h, "external")
		}), errPSKsChanged},
		{"a second hello without modes", retried, wire.TypeClientHello, 2, without(wire.ExtPSKKeyExchangeModes), errHelloChanged},
		{"another one in its place, where there is no certificate", func(c, s *Params) { retried(c, s); s.OnlyPSK = true }, wire.TypeClientHello, 2,
			rename("ticket", "tucket"), errPSKsChanged},
		{"psk_ke alone, where there is no certificate", func(_, s *Params) { s.OnlyPSK = true }, wire.TypeClientHello, 1,
			inClientHello(func(h *wire.ClientHello) { h.PSKModes = []byte{0} }), errPSKMode},
		{"a PSK without a share", func(_, _ *Params) {}, wire.TypeServerHello, 1,
			inServerHello(func(h *wire.ServerHello) { h.Has = h.Has.Minus(wire.Extensions(wire.ExtKeyShare)) }), errPSKWithoutShare},
		{"no PSK, and no share either", func(_, _ *Params) {}, wire.TypeServerHello, 1,
			inServerHello(func(h *wire.ServerHello) { h.Has = wire.Extensions(wire.ExtSupportedVersions) }), errNoKeyShare},
		{"a PSK of another hash than the suite's", func(c, _ *Params) { c.PSKs[0][0].Hash = crypto.SHA384 }, wire.TypeServerHello, 1,
			inServerHello(func(h *wire.ServerHello) { h.SelectedPSK = 1 }), errSelectedPSK},
		{"a PSK that was not offered", func(_, _ *Params) {}, wire.TypeServerHello, 1,
			inServerHello(func(h *wire.ServerHello) { h.SelectedPSK = 2 }), errSelectedPSK},
	} {
		client, server := pskEnds(t, v.change, func(id string) *PSK {
			if id == "ticket" {
				return SessionPSK(testTicket)
			}
			return nil
		})
		n := 0
		_, err, serverErr := play(client, server, func(_ int, msg []byte) [][]byte {
			if wire.Type(msg[0]) == v.typ {
				if n++; n == v.n {
					msg = v.edit(msg, nil)
				}
			}
			return [][]byte{msg}
		})
		wantNamedAlert(t, v.want)
		if err != error(v.want) && serverErr != error(v.want) {
			t.Errorf("%s: client %v, server %v, want %v", v.name, err, serverErr, v.want)
		}
	}
}

// TestPSKsPassedOver: what a server must not do with a PSK that is genuine; the
// handshake continues without.
func TestPSKsPassedOver(t *testing.T) {
	takesEarly := func(_, server *Params) { server.MaxEarlyData = 100 }
	for _, v := range []struct {
		name   string
		change func(client, server *Params)
		knows  func(id string, retried bool) *PSK
		uses   bool // a PSK
	}{
		{"early data under the second PSK", takesEarly, func(id string, _ bool) *PSK {
			if id != "external" {
				return nil
			}
			p := testPSK
			p.Session = testTicket
			return &p
		}, true},
		{"a PSK of another hash than the HelloRetryRequest's suite", retried, func(_ string, retried bool) *PSK {
			if !retried {
				return nil
			}
			return &PSK{Key: make([]byte, 48), Hash: crypto.SHA384}
		}, false},
	} {
		var server *end
		client, server := pskEnds(t, v.change, func(id string) *PSK { return v.knows(id, server.machine.conn.Retried) })
		_, err, serverErr := play(client, server, unchanged)
		if err != nil || serverErr != nil || !client.machine.Finished() || !server.machine.Finished() {
			t.Fatalf("%s: client %v, server %v", v.name, err, serverErr)
		}
		if conn := server.machine.conn; conn.EarlyData != EarlyDataRejected || conn.Resumed != v.uses {
			t.Errorf("%s: early data %v, resumed %v", v.name, conn.EarlyData, conn.Resumed)
		}
	}
}

// TestPSKsAfterRetry: RFC 9846, Section 4.2.2: the second hello has those that fit the
// suite of the HelloRetryRequest.
func TestPSKsAfterRetry(t *testing.T) {
	client, server := pskEnds(t, func(c, s *Params) {
		retried(c, s)
		c.PSKs[0][0].Hash = crypto.SHA384
	}, func(string) *PSK { return nil })
	var offered []int
	_, err, serverErr := play(client, server, func(_ int, msg []byte) [][]byte {
		if wire.Type(msg[0]) == wire.TypeClientHello {
			var h wire.ClientHello
			must(h.Parse(msg[4:], wire.Stream))
			n := 0
			for _, _, ok := h.PSK.At(n); ok; _, _, ok = h.PSK.At(n) {
				n++
			}
			offered = append(offered, n)
		}
		return [][]byte{msg}
	})
	if err != nil || serverErr != nil || !slices.Equal(offered, []int{2, 1}) {
		t.Errorf("the hellos offer %v PSKs, want 2 and 1; client %v, server %v", offered, err, serverErr)
	}
}

// TestTicketAgeAfterRetry: RFC 9846, Section 4.2.2: the second hello has the age
// at its own time.
func TestTicketAgeAfterRetry(t *testing.T) {
	now := pkitest.Now.Add(time.Minute)
	client, server := pskEnds(t, func(c, s *Params) {
		retried(c, s)
		c.Now = func() time.Time { return now }
	}, func(string) *PSK { return nil })
	var ages []uint32
	_, err, serverErr := play(client, server, func(_ int, msg []byte) [][]byte {
		if wire.Type(msg[0]) == wire.TypeClientHello {
			var h wire.ClientHello
			must(h.Parse(msg[4:], wire.Stream))
			for id := range h.PSK.All() {
				ages = append(ages, id.TicketAge)
			}
			now = now.Add(5 * time.Second)
		}
		return [][]byte{msg}
	})
	if err != nil || serverErr != nil || !slices.Equal(ages, []uint32{60000, 0, 65000, 0}) {
		t.Errorf("the ages of the ticket and of the external PSK are %d; client %v, server %v", ages, err, serverErr)
	}
}

// TestEarlyDataAfterRetry: RFC 9846, Section 4.3.10: a client that offers it in the
// second hello too gets none accepted, and none skipped.
func TestEarlyDataAfterRetry(t *testing.T) {
	client, server := pskEnds(t, func(c, s *Params) {
		retried(c, s)
		s.MaxEarlyData = 100
	}, func(id string) *PSK {
		if id == "ticket" {
			return SessionPSK(testTicket)
		}
		return nil
	})
	stubborn := &clientStart{Machine: client.machine}
	client.machine.transcript.forget() // what pskEnds has begun
	client.out.sent = nil
	var err error
	if client.machine.step, err = stubborn.start(); err != nil {
		t.Fatal(err)
	}
	client.out.installed = func(level Level) {
		if level == Initial { // early data is being withdrawn
			stubborn.hello.Has.Add(wire.ExtEarlyData)
		}
	}
	must(client.answer())
	_, err, serverErr := play(client, server, unchanged)
	if err != nil || serverErr != nil || !server.machine.Finished() {
		t.Fatalf("client %v, server %v", err, serverErr)
	}
	if server.machine.conn.EarlyData != EarlyDataRejected || server.out.skips != 1 {
		t.Errorf("early data %v, skipped %d times, want rejected, and skipped once", server.machine.conn.EarlyData, server.out.skips)
	}
}

// TestViolationsAfter are those after the handshake.
func TestViolationsAfter(t *testing.T) {
	id := identity(t)
	for _, v := range []struct {
		name    string
		setting setting
		server  bool // whom it is sent to
		msg     []byte
		want    *alert.Error
	}{
		{"a KeyUpdate with another value", hello13, true, (&wire.KeyUpdate{RequestUpdate: 2}).Append(nil), errKeyUpdateValue},
		{"a ticket for too long", hello13, false, (&wire.NewSessionTicket13{Lifetime: 604801, Ticket: []byte{1}}).Append(nil), errTicketLife},
		{"a renegotiation by a server", hello12, false, wire.AppendMessage(nil, wire.TypeHelloRequest, nil), errRenegotiation},
		{"a ClientHello", hello13, true, (&wire.ClientHello{CipherSuites: wire.AppendUint16s(nil, 0x1301), Compression: []byte{0}}).Append(nil, wire.Stream), nil},
		{"a renegotiation by a client", hello12, true, wire.AppendMessage(nil, wire.TypeClientHello, nil), errRenegotiation},
		// RFC 9846, Section 4.2.2: "If a server has negotiated TLS 1.3 and receives a ClientHello
		// at any other time, it MUST terminate the connection with an "unexpected_message"
		// alert."
		{"a ClientHello after TLS 1.3's handshake", hello13, true, wire.AppendMessage(nil, wire.TypeClientHello, nil), nil},
		{"a ClientHello of a server after TLS 1.3's handshake", hello13, false, wire.AppendMessage(nil, wire.TypeClientHello, nil), nil},
		{"a HelloRequest in TLS 1.3", hello13, false, wire.AppendMessage(nil, wire.TypeHelloRequest, nil), nil},
		{"a HelloRequest of a client in TLS 1.3", hello13, true, wire.AppendMessage(nil, wire.TypeHelloRequest, nil), nil},
		{"a HelloRequest of a client", hello12, true, wire.AppendMessage(nil, wire.TypeHelloRequest, nil), nil},
		{"a HelloRequest with a body", hello12, false, wire.AppendMessage(nil, wire.TypeHelloRequest, []byte{0}), nil},
		{"an EndOfEarlyData of a server", hello13, false, wire.AppendMessage(nil, wire.TypeEndOfEarlyData, nil), nil},
		{"an EndOfEarlyData after the handshake", hello13, true, wire.AppendMessage(nil, wire.TypeEndOfEarlyData, nil), nil},
		{"a ticket of a client", hello13, true, (&wire.NewSessionTicket13{Lifetime: 1, Ticket: []byte{1}}).Append(nil), nil},
		{"a NewConnectionId over a stream", hello13, true, (&wire.NewConnectionID{}).Append(nil), nil},
		{"a second Finished", hello13, false, wire.AppendMessage(nil, wire.TypeFinished, make([]byte, 32)), nil},
		{"a request for a certificate", hello13, false, (&wire.CertificateRequest13{}).Append(nil), nil},
	} {
		client, server := v.setting.ends(t, id, new(pki.Cache))
		if _, c, s := play(client, server, unchanged); c != nil || s != nil {
			t.Fatal(c, s)
		}
		to := client
		if v.server {
			to = server
		}
		err := to.machine.Connection().Handle(&to.out, to.machine.params, wire.Message{Type: wire.Type(v.msg[0]), Body: v.msg[4:]})
		fault, _ := err.(*alert.Error)
		wantNamedAlert(t, v.want)
		switch {
		case v.want != nil && err != error(v.want):
			t.Errorf("%s: %v, want %v", v.name, err, v.want)
		case v.want == nil && (fault == nil || fault.Description != alert.UnexpectedMessage):
			t.Errorf("%s: %v, want unexpected_message", v.name, err)
		}
	}
}
