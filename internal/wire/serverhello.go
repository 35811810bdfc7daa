package wire

// RetryRandom is the random that makes a ServerHello a HelloRetryRequest: the
// SHA-256 of "HelloRetryRequest" (RFC 9846, Section 4.2.3).
var RetryRandom = [32]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// The last bytes of the random of a server that supports a newer version than the
// one it negotiates (RFC 9846, Section 4.2.3).
const (
	DowngradeTLS12 = "DOWNGRD\x01"
	DowngradeTLS11 = "DOWNGRD\x00"
)

// ServerHello is RFC 9846, Section 4.2.3, and RFC 5246, Section 7.4.1.3. It is also a
// HelloRetryRequest, see IsRetry.
type ServerHello struct {
	Version     uint16
	Random      [32]byte
	SessionID   []byte
	CipherSuite uint16
	Compression uint8

	Has ExtensionSet
	// Unknown is set when the message has an extension that was not offered: one that
	// this package does not know, or one that is not in the set given to ParseAnswer.
	Unknown bool

	SupportedVersion  uint16
	KeyShare          KeyShare // in a HelloRetryRequest, without Data
	SelectedPSK       uint16
	Cookie            []byte // only in a HelloRetryRequest
	ALPN              []byte // TLS 1.2: the one protocol chosen
	SCTs              []byte // TLS 1.2: the SignedCertificateTimestampList, length included
	PointFormats      []byte
	SRTP              SRTP
	MaxFragmentLength uint8
	RecordSizeLimit   uint16
	ServerCertType    uint8
	ClientCertType    uint8
	ConnectionID      []byte
	RenegotiationInfo []byte
	// server_name, status_request, extended_main_secret, session_ticket and rrc
	// are empty in a ServerHello: see Has.
}

// IsRetry reports whether m is a HelloRetryRequest.
func (m *ServerHello) IsRetry() bool { return m.Random == RetryRandom }

func (m *ServerHello) Parse(body []byte) error { return m.ParseAnswer(body, everything) }

// ParseAnswer is Parse for a client that has offered those extensions. The content of
// others is not read.
func (m *ServerHello) ParseAnswer(body []byte, offered ExtensionSet) error {
	*m = ServerHello{}
	c := parser("ServerHello", body)
	c.foreign = ^offered
	m.fields(&c)
	m.Unknown = c.unknown
	return c.end()
}

func (m *ServerHello) Append(b []byte) []byte {
	c := appender(b, TypeServerHello)
	m.fields(&c)
	return c.message()
}

func (m *ServerHello) fields(c *coder) {
	c.Uint16(&m.Version)
	c.Fixed(m.Random[:])
	c.Vec8(&m.SessionID)
	c.Require(len(m.SessionID) <= 32)
	c.Uint16(&m.CipherSuite)
	c.Uint8(&m.Compression)
	if m.Has == 0 && !c.In.More() {
		return // TLS 1.2 permits a hello without extensions
	}
	c.illegalTwice = m.IsRetry()
	c.extensions(&m.Has, byNumber, func(e Extension) {
		switch e {
		case ExtSupportedVersions:
			c.Uint16(&m.SupportedVersion)
		case ExtKeyShare:
			c.Uint16(&m.KeyShare.Group)
			if !m.IsRetry() {
				c.Filled16(&m.KeyShare.Data)
			}
		case ExtPreSharedKey:
			c.Uint16(&m.SelectedPSK)
		case ExtCookie:
			c.Filled16(&m.Cookie)
		case ExtALPN:
			c.oneProtocol(&m.ALPN)
		case ExtSCT:
			c.scts(&m.SCTs)
		case ExtECPointFormats:
			c.Filled8(&m.PointFormats)
		case ExtUseSRTP:
			c.srtp(&m.SRTP)
		case ExtMaxFragmentLength:
			c.Uint8(&m.MaxFragmentLength)
		case ExtRecordSizeLimit:
			c.Uint16(&m.RecordSizeLimit)
		case ExtServerCertificateType:
			c.Uint8(&m.ServerCertType)
		case ExtClientCertificateType:
			c.Uint8(&m.ClientCertType)
		case ExtConnectionID:
			c.Vec8(&m.ConnectionID)
		case ExtRenegotiationInfo:
			c.Vec8(&m.RenegotiationInfo)
		case ExtServerName, ExtStatusRequest, ExtExtendedMainSecret, ExtSessionTicket, ExtRRC:
			// Empty.
		default:
			c.Skip()
		}
	})
}

// EncryptedExtensions is RFC 9846, Section 4.4.1.
type EncryptedExtensions struct {
	Has     ExtensionSet
	Unknown bool // see ServerHello

	ALPN              []byte
	Groups            Uint16s // informative
	SRTP              SRTP
	MaxFragmentLength uint8
	RecordSizeLimit   uint16
	ServerCertType    uint8
	ClientCertType    uint8
	// server_name and early_data are empty: see Has.
}

func (m *EncryptedExtensions) Parse(body []byte) error { return m.ParseAnswer(body, everything) }

// ParseAnswer is like that of ServerHello.
func (m *EncryptedExtensions) ParseAnswer(body []byte, offered ExtensionSet) error {
	*m = EncryptedExtensions{}
	c := parser("EncryptedExtensions", body)
	c.foreign = ^offered
	m.fields(&c)
	m.Unknown = c.unknown
	return c.end()
}

func (m *EncryptedExtensions) Append(b []byte) []byte {
	c := appender(b, TypeEncryptedExtensions)
	m.fields(&c)
	return c.message()
}

func (m *EncryptedExtensions) fields(c *coder) {
	c.extensions(&m.Has, inEncryptedExtensions, func(e Extension) {
		switch e {
		case ExtALPN:
			c.oneProtocol(&m.ALPN)
		case ExtSupportedGroups:
			c.uint16s(&m.Groups)
		case ExtUseSRTP:
			c.srtp(&m.SRTP)
		case ExtMaxFragmentLength:
			c.Uint8(&m.MaxFragmentLength)
		case ExtRecordSizeLimit:
			c.Uint16(&m.RecordSizeLimit)
		case ExtServerCertificateType:
			c.Uint8(&m.ServerCertType)
		case ExtClientCertificateType:
			c.Uint8(&m.ClientCertType)
		case ExtServerName, ExtEarlyData:
			// Empty.
		default:
			c.Skip()
		}
	})
}

// HelloVerifyRequest is RFC 6347, Section 4.2.1.
type HelloVerifyRequest struct {
	Version uint16
	Cookie  []byte
}

func (m *HelloVerifyRequest) Parse(body []byte) error {
	c := parser("HelloVerifyRequest", body)
	m.fields(&c)
	return c.end()
}

func (m *HelloVerifyRequest) Append(b []byte) []byte {
	c := appender(b, TypeHelloVerifyRequest)
	m.fields(&c)
	return c.message()
}

func (m *HelloVerifyRequest) fields(c *coder) {
	c.Uint16(&m.Version)
	c.Vec8(&m.Cookie)
}
