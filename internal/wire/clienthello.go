package wire

import (
	"cmp"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/codec"
)

// ClientHello is RFC 9846, Section 4.2.2, and RFC 5246, Section 7.4.1.2. An
// extension that is not in Has is absent, and its fields are zero.
type ClientHello struct {
	Version      uint16 // legacy_version, as on the wire
	Random       [32]byte
	SessionID    []byte
	LegacyCookie []byte // DTLS only: the cookie field of RFC 6347
	CipherSuites Uint16s
	Compression  []byte

	Has ExtensionSet // the extensions that the message has

	ServerName           string // host_name
	MaxFragmentLength    uint8  // RFC 6066, Section 4
	StatusRequest        bool   // status_type ocsp
	Groups               Uint16s
	PointFormats         []byte
	SignatureSchemes     Uint16s
	SignatureSchemesCert Uint16s
	SRTP                 SRTP
	ALPN                 ALPN
	ClientCertTypes      []byte
	ServerCertTypes      []byte
	Compressors          Uint16s // compress_certificate
	RecordSizeLimit      uint16
	SessionTicket        []byte // RFC 5077
	SupportedVersions    Uint16s
	Cookie               []byte
	PSKModes             []byte
	Authorities          Names
	KeyShares            KeyShares
	ConnectionID         []byte
	RenegotiationInfo    []byte
	PSK                  OfferedPSKs // always the last extension

	wrong [2]error // see Check
	block []byte   // of extensions, as received
}

// ExtensionTypes returns the types of all extensions that a parsed message has, in its order.
func (m *ClientHello) ExtensionTypes() []uint16 {
	var types []uint16
	for c := (codec.Cursor{B: m.block}); c.More(); {
		types = append(types, c.Uint16())
		c.Vec16()
	}
	return types
}

var (
	errPSKLast   = alert.New(alert.IllegalParameter, "pre_shared_key is not the last extension of the ClientHello")
	errCertTypes = alert.New(alert.IllegalParameter, "a certificate type extension does not parse")
)

// Parse reads the body of a ClientHello. Extensions that this package does not
// know, and those of the other transport, are skipped. An error in an extension that
// only one version has is reported by Check, once the version is known.
func (m *ClientHello) Parse(body []byte, t Transport) error {
	*m = ClientHello{}
	c := parser("ClientHello", body)
	m.fields(&c, t)
	c.Require(len(m.SessionID) <= 32)
	if !c.In.More() {
		return c.end() // TLS 1.2 permits a hello without extensions
	}
	if t == Stream {
		c.foreign = ofDatagrams
	}
	c.wrong = &m.wrong
	rest := c.In
	m.block = rest.Vec16()
	c.extensions(&m.Has, inClientHello, func(e Extension) { m.extension(&c, e) })
	if !m.Has.Has(ExtCertificateAuthorities) {
		m.Authorities = nil // it may be malformed, and is used before the version is known
	}
	if m.Has.Has(ExtPreSharedKey) && c.last != ExtPreSharedKey {
		note(&m.wrong, ExtPreSharedKey, errPSKLast)
	}
	return c.end()
}

// note keeps the first error of each version in an extension that only that version
// has, and reports whether e is such an extension.
func note(wrong *[2]error, e Extension, err error) bool {
	switch {
	case only12.Has(e):
		wrong[0] = cmp.Or(wrong[0], err)
	case only13.Has(e):
		wrong[1] = cmp.Or(wrong[1], err)
	default:
		return false
	}
	return true
}

// Check returns the first error in the extensions that only version has. Those of the
// other version are ignored, whatever they contain (RFC 9846, Section 4.3).
func (m *ClientHello) Check(version uint16) error {
	if version == VersionTLS12 {
		return m.wrong[0]
	}
	return m.wrong[1]
}

// ParseStart reads the first fragment of a DTLS ClientHello: the fields before the
// extensions, which must be complete, and each complete extension. It serves to find
// the cookie (RFC 9147bis, Section 5.1).
func (m *ClientHello) ParseStart(fragment []byte) error {
	*m = ClientHello{}
	c := parser("ClientHello", fragment)
	m.fields(&c, Datagram)
	c.In.Uint16() // the length of the extensions
	if c.In.Bad {
		return malformed(c.what)
	}
	c.wrong = &m.wrong
	c.readExtensions(&m.Has, func(e Extension) { m.extension(&c, e) })
	return nil // the rest is in the next fragment, or malformed
}

// Append appends the whole message. The binders are its last bytes, so that a
// caller can hash what precedes them and then overwrite them in place.
func (m *ClientHello) Append(b []byte, t Transport) []byte {
	c := appender(slices.Grow(b, 512+len(m.KeyShares)), TypeClientHello)
	m.fields(&c, t)
	has := m.Has
	if m.ServerName == "" {
		has = has.Minus(Extensions(ExtServerName))
	}
	c.extensions(&has, inClientHello, func(e Extension) { m.extension(&c, e) })
	return c.message()
}

// inClientHello is the order of the extensions: pre_shared_key is the last one (RFC
// 9846, Section 4.3.11).
var inClientHello = append(slices.DeleteFunc(slices.Clone(byNumber), func(e Extension) bool {
	return e == ExtPreSharedKey || e == ExtPadding // which is never sent
}), ExtPreSharedKey)

// fields codes the fields before the extensions.
func (m *ClientHello) fields(c *coder, t Transport) {
	c.Uint16(&m.Version)
	c.Fixed(m.Random[:])
	c.Vec8(&m.SessionID)
	if t == Datagram {
		c.Vec8(&m.LegacyCookie)
	}
	c.uint16s(&m.CipherSuites)
	c.Filled8(&m.Compression)
}

// extension codes the content of one extension.
func (m *ClientHello) extension(c *coder, e Extension) {
	switch e {
	case ExtServerName:
		c.serverName(&m.ServerName)
	case ExtMaxFragmentLength:
		c.Uint8(&m.MaxFragmentLength)
	case ExtStatusRequest:
		c.statusRequest(&m.StatusRequest)
	case ExtSupportedGroups:
		c.uint16s(&m.Groups)
	case ExtECPointFormats:
		c.Filled8(&m.PointFormats)
	case ExtSignatureAlgorithms:
		c.uint16s(&m.SignatureSchemes)
	case ExtSignatureAlgsCert:
		c.uint16s(&m.SignatureSchemesCert)
	case ExtUseSRTP:
		c.srtp(&m.SRTP)
	case ExtALPN:
		c.alpn(&m.ALPN)
	case ExtClientCertificateType:
		c.certTypes(&m.ClientCertTypes)
	case ExtServerCertificateType:
		c.certTypes(&m.ServerCertTypes)
	case ExtRecordSizeLimit:
		c.Uint16(&m.RecordSizeLimit)
	case ExtSessionTicket:
		c.Rest(&m.SessionTicket)
	case ExtConnectionID:
		c.Vec8(&m.ConnectionID)
	case ExtRenegotiationInfo:
		c.Vec8(&m.RenegotiationInfo)
	case ExtExtendedMainSecret, ExtSCT, ExtRRC:
		// Empty.
	default:
		m.extension13(c, e)
	}
}

// extension13 codes the content of one that TLS 1.3 introduced.
func (m *ClientHello) extension13(c *coder, e Extension) {
	switch e {
	case ExtSupportedVersions:
		c.Filled8((*[]byte)(&m.SupportedVersions))
		c.Require(len(m.SupportedVersions)%2 == 0)
	case ExtCompressCertificate:
		c.compressors(&m.Compressors)
	case ExtCookie:
		c.Filled16(&m.Cookie)
	case ExtPSKKeyExchangeModes:
		c.Filled8(&m.PSKModes)
	case ExtCertificateAuthorities:
		c.names(&m.Authorities)
		c.Require(len(m.Authorities) > 0)
	case ExtKeyShare:
		c.keyShares(&m.KeyShares)
	case ExtPreSharedKey:
		c.offeredPSKs(&m.PSK)
	case ExtEarlyData, ExtPostHandshakeAuth:
		// Empty.
	default:
		c.Skip()
	}
}

// statusRequest is status_request (RFC 6066, Section 8). Types other than ocsp are
// ignored.
func (c *coder) statusRequest(ocsp *bool) {
	if c.Appending {
		c.Out = append(c.Out, 1, 0, 0, 0, 0)
		return
	}
	if *ocsp = c.In.Uint8() == 1; !*ocsp {
		c.Skip()
		return
	}
	c.In.Vec16() // responder_id_list
	c.In.Vec16() // request_extensions
}

// certTypes is a list of certificate types. A malformed one has its own alert.
func (c *coder) certTypes(v *[]byte) {
	c.Filled8(v)
	if !c.Appending && !c.In.Done() {
		c.fail(errCertTypes)
	}
}
