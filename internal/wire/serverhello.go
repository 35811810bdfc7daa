package wire

// RetryRandom is the random that makes a ServerHello a HelloRetryRequest: the
// SHA-256 of "HelloRetryRequest" (RFC 9846, Section 4.2.3).
var RetryRandom = [32]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// The last bytes of the random of a server that knows a newer version than the
// one it negotiates (RFC 9846, Section 4.2.3).
const (
	DowngradeTLS12 = "DOWNGRD\x01"
	DowngradeTLS11 = "DOWNGRD\x00"
)

// ServerHello is RFC 9846, Section 4.2.3, and RFC 5246, Section 7.4.1.3; a
// HelloRetryRequest too (see IsRetry).
type ServerHello struct {
	Version     uint16
	Random      [32]byte
	SessionID   []byte
	CipherSuite uint16
	Compression uint8

	Has ExtensionSet
	// Unknown is set when the message has an extension that this package
	// does not know, and so one that cannot have been offered.
	Unknown bool

	SupportedVersion  uint16
	KeyShare          KeyShare // without Data in a HelloRetryRequest
	SelectedPSK       uint16
	Cookie            []byte // HelloRetryRequest
	ALPN              []byte // TLS 1.2: the one protocol chosen
	SCTs              []byte // TLS 1.2: the SignedCertificateTimestampList, length included
	PointFormats      []byte
	SRTP              SRTP
	ServerCertType    uint8
	ClientCertType    uint8
	ConnectionID      []byte
	RenegotiationInfo []byte
	// server_name, status_request, extended_main_secret and session_ticket
	// are empty in a ServerHello: see Has.
}

// EncryptedExtensions is RFC 9846, Section 4.4.1.
type EncryptedExtensions struct {
	Has     ExtensionSet
	Unknown bool

	ALPN           []byte
	Groups         Uint16s // advice only
	SRTP           SRTP
	ServerCertType uint8
	ClientCertType uint8
	// server_name and early_data are empty: see Has.
}

// HelloVerifyRequest is RFC 6347, Section 4.2.1.
type HelloVerifyRequest struct {
	Version uint16
	Cookie  []byte
}

// IsRetry reports whether m is a HelloRetryRequest.
func (m *ServerHello) IsRetry() bool { return m.Random == RetryRandom }

// Parse reads the body of a ServerHello or HelloRetryRequest.
func (m *ServerHello) Parse(body []byte) error {
	*m = ServerHello{}
	c := cursor{b: body}
	m.Version = c.uint16()
	copy(m.Random[:], c.bytes(32))
	m.SessionID = c.vec8()
	m.CipherSuite = c.uint16()
	m.Compression = c.uint8()
	if c.bad || len(m.SessionID) > 32 {
		return malformed("ServerHello")
	}
	if len(c.b) == 0 {
		return nil // TLS 1.2 permits a hello without extensions
	}
	x := extensions{cursor: cursor{b: c.vec16()}, illegal: m.IsRetry()}
	if !c.done() {
		return malformed("ServerHello")
	}
	for {
		e, ext, ok, err := x.next()
		if err != nil {
			return err
		}
		if !ok {
			m.Has, m.Unknown = x.has, x.unknown > 0
			return nil
		}
		m.parseExtension(e, &ext)
		if !ext.done() {
			return malformed(e.String())
		}
	}
}

func (m *ServerHello) parseExtension(e Extension, c *cursor) {
	switch e {
	case ExtSupportedVersions:
		m.SupportedVersion = c.uint16()
	case ExtKeyShare:
		m.KeyShare.Group = c.uint16()
		if !m.IsRetry() {
			m.KeyShare.Data = c.nonEmpty(c.vec16())
		}
	case ExtPreSharedKey:
		m.SelectedPSK = c.uint16()
	case ExtCookie:
		m.Cookie = c.nonEmpty(c.vec16())
	case ExtALPN:
		m.ALPN = c.oneProtocol()
	case ExtSCT:
		m.SCTs = c.scts()
	case ExtECPointFormats:
		m.PointFormats = c.nonEmpty(c.vec8())
	case ExtUseSRTP:
		m.SRTP = c.srtp()
	case ExtServerCertificateType:
		m.ServerCertType = c.uint8()
	case ExtClientCertificateType:
		m.ClientCertType = c.uint8()
	case ExtConnectionID:
		m.ConnectionID = c.vec8()
	case ExtRenegotiationInfo:
		m.RenegotiationInfo = c.vec8()
	case ExtServerName, ExtStatusRequest, ExtExtendedMainSecret, ExtSessionTicket:
		// Empty.
	default:
		c.b = nil
	}
}

// Append appends the whole message.
func (m *ServerHello) Append(b []byte) []byte {
	b, at := beginMessage(b, TypeServerHello)
	b = appendUint16(b, m.Version)
	b = append(b, m.Random[:]...)
	b = append8(b, m.SessionID)
	b = appendUint16(b, m.CipherSuite)
	b = append(b, m.Compression)
	if m.Has == 0 {
		return endMessage(b, at)
	}
	b, list := begin16(b)
	for i := range known {
		if e := known[i].number; m.Has.Has(e) {
			var ext int
			b, ext = beginExtension(b, e)
			b = end16(m.appendExtension(b, e), ext)
		}
	}
	return endMessage(end16(b, list), at)
}

func (m *ServerHello) appendExtension(b []byte, e Extension) []byte {
	switch e {
	case ExtSupportedVersions:
		return appendUint16(b, m.SupportedVersion)
	case ExtKeyShare:
		b = appendUint16(b, m.KeyShare.Group)
		if m.IsRetry() {
			return b
		}
		return append16(b, m.KeyShare.Data)
	case ExtPreSharedKey:
		return appendUint16(b, m.SelectedPSK)
	case ExtCookie:
		return append16(b, m.Cookie)
	case ExtALPN:
		return append16(b, AppendALPN(nil, string(m.ALPN)))
	case ExtSCT:
		return append(b, m.SCTs...)
	case ExtECPointFormats:
		return append8(b, m.PointFormats)
	case ExtUseSRTP:
		return m.SRTP.append(b)
	case ExtServerCertificateType:
		return append(b, m.ServerCertType)
	case ExtClientCertificateType:
		return append(b, m.ClientCertType)
	case ExtConnectionID:
		return append8(b, m.ConnectionID)
	case ExtRenegotiationInfo:
		return append8(b, m.RenegotiationInfo)
	}
	return b // empty ones
}

// Parse reads the body of an EncryptedExtensions.
func (m *EncryptedExtensions) Parse(body []byte) error {
	*m = EncryptedExtensions{}
	c := cursor{b: body}
	x := extensions{cursor: cursor{b: c.vec16()}}
	if !c.done() {
		return malformed("EncryptedExtensions")
	}
	for {
		e, ext, ok, err := x.next()
		if err != nil {
			return err
		}
		if !ok {
			m.Has, m.Unknown = x.has, x.unknown > 0
			return nil
		}
		switch e {
		case ExtALPN:
			m.ALPN = ext.oneProtocol()
		case ExtSupportedGroups:
			m.Groups = ext.uint16s()
		case ExtUseSRTP:
			m.SRTP = ext.srtp()
		case ExtServerCertificateType:
			m.ServerCertType = ext.uint8()
		case ExtClientCertificateType:
			m.ClientCertType = ext.uint8()
		case ExtServerName, ExtEarlyData:
			// Empty.
		default:
			ext.b = nil
		}
		if !ext.done() {
			return malformed(e.String())
		}
	}
}

// Append appends the whole message.
func (m *EncryptedExtensions) Append(b []byte) []byte {
	b, at := beginMessage(b, TypeEncryptedExtensions)
	b, list := begin16(b)
	if m.Has.Has(ExtServerName) {
		b = appendExtension(b, ExtServerName, nil)
	}
	if m.Has.Has(ExtSupportedGroups) {
		b = appendUint16(appendUint16(b, uint16(ExtSupportedGroups)), uint16(2+len(m.Groups)))
		b = append16(b, m.Groups)
	}
	if m.Has.Has(ExtALPN) {
		b = appendUint16(appendUint16(b, uint16(ExtALPN)), uint16(3+len(m.ALPN)))
		b = append16(b, AppendALPN(nil, string(m.ALPN)))
	}
	if m.Has.Has(ExtUseSRTP) {
		var ext int
		b, ext = beginExtension(b, ExtUseSRTP)
		b = end16(m.SRTP.append(b), ext)
	}
	if m.Has.Has(ExtServerCertificateType) {
		b = appendExtension(b, ExtServerCertificateType, []byte{m.ServerCertType})
	}
	if m.Has.Has(ExtClientCertificateType) {
		b = appendExtension(b, ExtClientCertificateType, []byte{m.ClientCertType})
	}
	if m.Has.Has(ExtEarlyData) {
		b = appendExtension(b, ExtEarlyData, nil)
	}
	return endMessage(end16(b, list), at)
}

// Parse reads the body of a HelloVerifyRequest.
func (m *HelloVerifyRequest) Parse(body []byte) error {
	c := cursor{b: body}
	m.Version = c.uint16()
	m.Cookie = c.vec8()
	if !c.done() {
		return malformed("HelloVerifyRequest")
	}
	return nil
}

// Append appends the whole message.
func (m *HelloVerifyRequest) Append(b []byte) []byte {
	b, at := beginMessage(b, TypeHelloVerifyRequest)
	b = appendUint16(b, m.Version)
	return endMessage(append8(b, m.Cookie), at)
}
