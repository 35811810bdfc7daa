package wire

import (
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// ClientHello is RFC 9846, Section 4.2.2, and RFC 5246, Section 7.4.1.2. The
// zero value of an extension's fields, with its bit missing in Has, is an
// absent extension.
type ClientHello struct {
	Version      uint16 // legacy_version, as on the wire
	Random       [32]byte
	SessionID    []byte
	LegacyCookie []byte // DTLS only: the cookie field of RFC 6347
	CipherSuites Uint16s
	Compression  []byte

	Has ExtensionSet // what follows

	ServerName           string // host_name
	StatusRequest        bool   // status_type ocsp
	Groups               Uint16s
	PointFormats         []byte
	SignatureSchemes     Uint16s
	SignatureSchemesCert Uint16s
	SRTP                 SRTP
	ALPN                 ALPN
	ClientCertTypes      []byte
	ServerCertTypes      []byte
	SessionTicket        []byte // RFC 5077
	SupportedVersions    Uint16s
	Cookie               []byte
	PSKModes             []byte
	Authorities          Names
	KeyShares            KeyShares
	ConnectionID         []byte
	RenegotiationInfo    []byte
	PSK                  OfferedPSKs // always the last extension
	PadTo                int         // Append only: a padding extension makes a shorter message this long
}

// errCertTypes: a list that is empty, or not a list.
var errCertTypes = alert.New(alert.IllegalParameter, "a certificate type extension does not parse")

// Parse reads the body of a ClientHello. Extensions that this package does not
// know are skipped.
func (m *ClientHello) Parse(body []byte, t Transport) error {
	*m = ClientHello{}
	c := cursor{b: body}
	m.Version = c.uint16()
	copy(m.Random[:], c.bytes(32))
	m.SessionID = c.vec8()
	if t == Datagram {
		m.LegacyCookie = c.vec8()
	}
	m.CipherSuites = c.uint16s()
	m.Compression = c.nonEmpty(c.vec8())
	if c.bad || len(m.SessionID) > 32 {
		return malformed("ClientHello")
	}
	if len(c.b) == 0 {
		return nil // TLS 1.2 permits a hello without extensions
	}
	x := extensions{cursor: cursor{b: c.vec16()}}
	if !c.done() {
		return malformed("ClientHello")
	}
	for {
		e, ext, ok, err := x.next()
		switch {
		case err != nil:
			return err
		case !ok:
			m.Has = x.has
			return nil
		case x.has.Has(ExtPreSharedKey) && e != ExtPreSharedKey:
			return errPSKLast
		}
		if err := m.parseExtension(e, &ext); err != nil {
			return err
		}
		if !ext.done() {
			if e == ExtClientCertificateType || e == ExtServerCertificateType {
				return errCertTypes
			}
			return malformed(e.String())
		}
	}
}

// ParseStart reads the first fragment of a DTLS ClientHello, as far as it goes:
// the fields before the extensions, which must be whole, and every whole
// extension. It is for finding the cookie (RFC 9147bis, Section 5.1).
func (m *ClientHello) ParseStart(fragment []byte) error {
	*m = ClientHello{}
	c := cursor{b: fragment}
	m.Version = c.uint16()
	copy(m.Random[:], c.bytes(32))
	m.SessionID, m.LegacyCookie = c.vec8(), c.vec8()
	m.CipherSuites = c.uint16s()
	m.Compression = c.nonEmpty(c.vec8())
	c.uint16() // the length of the extensions
	if c.bad {
		return malformed("ClientHello")
	}
	x := extensions{cursor: c}
	for {
		e, ext, ok, err := x.next()
		if err != nil || !ok || m.parseExtension(e, &ext) != nil || !ext.done() {
			return nil // the rest is in the next fragment, or wrong
		}
		m.Has = x.has
	}
}

// parseExtension reads one extension; what it leaves unread is an error.
func (m *ClientHello) parseExtension(e Extension, c *cursor) (err error) {
	switch e {
	case ExtServerName:
		m.ServerName = c.serverName()
	case ExtStatusRequest:
		// RFC 6066, Section 8: other types than ocsp are not for us.
		m.StatusRequest = c.uint8() == 1
		if m.StatusRequest {
			c.vec16() // responder_id_list
			c.vec16() // request_extensions
		} else {
			c.b = nil
		}
	case ExtSupportedGroups:
		m.Groups = c.uint16s()
	case ExtECPointFormats:
		m.PointFormats = c.nonEmpty(c.vec8())
	case ExtSignatureAlgorithms:
		m.SignatureSchemes = c.uint16s()
	case ExtSignatureAlgsCert:
		m.SignatureSchemesCert = c.uint16s()
	case ExtUseSRTP:
		m.SRTP = c.srtp()
	case ExtALPN:
		m.ALPN = c.alpn()
	case ExtClientCertificateType:
		m.ClientCertTypes = c.nonEmpty(c.vec8())
	case ExtServerCertificateType:
		m.ServerCertTypes = c.nonEmpty(c.vec8())
	case ExtSessionTicket:
		m.SessionTicket, c.b = c.b, nil
	case ExtSupportedVersions:
		v := c.vec8()
		if m.SupportedVersions = v; len(v) == 0 || len(v)%2 != 0 {
			c.bad = true
		}
	case ExtCookie:
		m.Cookie = c.nonEmpty(c.vec16())
	case ExtPSKKeyExchangeModes:
		m.PSKModes = c.nonEmpty(c.vec8())
	case ExtCertificateAuthorities:
		m.Authorities = c.names()
		c.nonEmpty(m.Authorities)
	case ExtKeyShare:
		m.KeyShares, err = c.keyShares()
	case ExtConnectionID:
		m.ConnectionID = c.vec8()
	case ExtRenegotiationInfo:
		m.RenegotiationInfo = c.vec8()
	case ExtPreSharedKey:
		m.PSK, err = c.offeredPSKs()
	case ExtExtendedMainSecret, ExtEarlyData, ExtSCT, ExtPostHandshakeAuth:
		// Empty.
	default:
		c.b = nil
	}
	return err
}

// Append appends the whole message. The binders are its last bytes, so that a
// caller hashes what is before them and fills them in where they stand.
func (m *ClientHello) Append(b []byte, t Transport) []byte {
	start := len(b)
	b = slices.Grow(b, 512+len(m.KeyShares))
	b, at := beginMessage(b, TypeClientHello)
	b = appendUint16(b, m.Version)
	b = append(b, m.Random[:]...)
	b = append8(b, m.SessionID)
	if t == Datagram {
		b = append8(b, m.LegacyCookie)
	}
	b = append16(b, m.CipherSuites)
	b = append8(b, m.Compression)
	b, list := begin16(b)
	b = m.appendExtensions(b)
	b = m.appendPadding(b, start)
	if m.Has.Has(ExtPreSharedKey) {
		var ext int
		b, ext = beginExtension(b, ExtPreSharedKey)
		b = append16(b, m.PSK.Identities)
		b = append16(b, m.PSK.Binders)
		b = end16(b, ext)
	}
	return endMessage(end16(b, list), at)
}

// appendPadding: RFC 7685. A message that is long enough gets none; one that
// lacks less than an extension's header becomes as much longer.
func (m *ClientHello) appendPadding(b []byte, start int) []byte {
	size := len(b) - start
	if m.Has.Has(ExtPreSharedKey) {
		size += 4 + 2 + len(m.PSK.Identities) + 2 + len(m.PSK.Binders)
	}
	if size >= m.PadTo {
		return b
	}
	return appendExtension(b, ExtPadding, make([]byte, max(0, m.PadTo-size-4)))
}

// appendExtensions appends all that are in Has, but pre_shared_key.
func (m *ClientHello) appendExtensions(b []byte) []byte {
	for i := range known {
		e := known[i].number
		switch {
		case !m.Has.Has(e), e == ExtPreSharedKey, e == ExtPadding, e == ExtServerName && m.ServerName == "":
			continue
		}
		var at int
		b, at = beginExtension(b, e)
		b = end16(m.appendExtension(b, e), at)
	}
	return b
}

func (m *ClientHello) appendExtension(b []byte, e Extension) []byte {
	switch e {
	case ExtServerName:
		b, at := begin16(b)
		b = append16(append(b, 0), []byte(m.ServerName))
		return end16(b, at)
	case ExtStatusRequest:
		return append(b, 1, 0, 0, 0, 0)
	case ExtSupportedGroups:
		return append16(b, m.Groups)
	case ExtECPointFormats:
		return append8(b, m.PointFormats)
	case ExtSignatureAlgorithms:
		return append16(b, m.SignatureSchemes)
	case ExtSignatureAlgsCert:
		return append16(b, m.SignatureSchemesCert)
	case ExtUseSRTP:
		return m.SRTP.append(b)
	case ExtALPN:
		return append16(b, m.ALPN)
	case ExtClientCertificateType:
		return append8(b, m.ClientCertTypes)
	case ExtServerCertificateType:
		return append8(b, m.ServerCertTypes)
	case ExtSessionTicket:
		return append(b, m.SessionTicket...)
	case ExtSupportedVersions:
		return append8(b, m.SupportedVersions)
	case ExtCookie:
		return append16(b, m.Cookie)
	case ExtPSKKeyExchangeModes:
		return append8(b, m.PSKModes)
	case ExtCertificateAuthorities:
		return append16(b, m.Authorities)
	case ExtKeyShare:
		return append16(b, m.KeyShares)
	case ExtConnectionID:
		return append8(b, m.ConnectionID)
	case ExtRenegotiationInfo:
		return append8(b, m.RenegotiationInfo)
	}
	return b // empty ones
}
