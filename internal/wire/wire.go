// Package wire is the messages of TLS and DTLS as bytes: every structure that
// stands in a handshake has one type here, with Parse and Append side by side.
//
// Parsing is a cursor over the message and copies nothing: the fields of a
// parsed message alias its bytes and are valid as long as these are. Every
// list is bounded by the message, every length is checked, and nothing may
// follow the last field. What does not parse is a decode_error, as RFC 9846,
// Section 6.2 demands; a value that parses but is not allowed is for the
// state that receives it to judge.
package wire

// Transport says in which form a message travels: a DTLS ClientHello has a
// cookie field, a DTLS header is longer (RFC 9147bis, Section 5.2).
type Transport uint8

const (
	Stream   Transport = iota // TLS
	Datagram                  // DTLS
)

// Type is a HandshakeType (RFC 9846, Section 4).
type Type uint8

const (
	TypeHelloRequest        Type = 0
	TypeClientHello         Type = 1
	TypeServerHello         Type = 2
	TypeHelloVerifyRequest  Type = 3 // DTLS 1.2
	TypeNewSessionTicket    Type = 4
	TypeEndOfEarlyData      Type = 5
	TypeEncryptedExtensions Type = 8
	TypeRequestConnectionID Type = 9  // DTLS 1.3
	TypeNewConnectionID     Type = 10 // DTLS 1.3
	TypeCertificate         Type = 11
	TypeServerKeyExchange   Type = 12
	TypeCertificateRequest  Type = 13
	TypeServerHelloDone     Type = 14
	TypeCertificateVerify   Type = 15
	TypeClientKeyExchange   Type = 16
	TypeFinished            Type = 20
	TypeCertificateStatus   Type = 22
	TypeKeyUpdate           Type = 24
	TypeMessageHash         Type = 254 // only in the transcript
)

// TypeSet is the set of message types that a state accepts. It prints as an
// error would say it: "Certificate or CertificateRequest".
type TypeSet uint32

// Types returns the set of the given types.
func Types(types ...Type) TypeSet {
	var s TypeSet
	for _, t := range types {
		s |= 1 << (t & 31)
	}
	return s
}

// Has reports whether t, as a peer sent it, is in s.
func (s TypeSet) Has(t Type) bool { return t < 32 && s&(1<<t) != 0 }

// Message is one whole handshake message, reassembled.
type Message struct {
	Type Type
	Seq  uint16 // DTLS: message_seq
	Body []byte // without the header
}

// Protocol versions as TLS writes them. Inside hermetic a version is always
// one of VersionTLS12 and VersionTLS13; only the hellos and record headers of
// DTLS write the others.
const (
	VersionTLS10  uint16 = 0x0301
	VersionTLS12  uint16 = 0x0303
	VersionTLS13  uint16 = 0x0304
	VersionDTLS10 uint16 = 0xfeff
	VersionDTLS12 uint16 = 0xfefd
	VersionDTLS13 uint16 = 0xfefc
)

// Uint16s is a vector of 16-bit values as it stands in a message.
type Uint16s []byte

// Extension numbers an extension (IANA's ExtensionType).
type Extension uint16

const (
	ExtServerName             Extension = 0
	ExtStatusRequest          Extension = 5
	ExtSupportedGroups        Extension = 10
	ExtECPointFormats         Extension = 11
	ExtSignatureAlgorithms    Extension = 13
	ExtUseSRTP                Extension = 14
	ExtALPN                   Extension = 16
	ExtSCT                    Extension = 18
	ExtClientCertificateType  Extension = 19
	ExtServerCertificateType  Extension = 20
	ExtPadding                Extension = 21
	ExtExtendedMainSecret     Extension = 23
	ExtSessionTicket          Extension = 35
	ExtPreSharedKey           Extension = 41
	ExtEarlyData              Extension = 42
	ExtSupportedVersions      Extension = 43
	ExtCookie                 Extension = 44
	ExtPSKKeyExchangeModes    Extension = 45
	ExtCertificateAuthorities Extension = 47
	ExtOIDFilters             Extension = 48
	ExtPostHandshakeAuth      Extension = 49
	ExtSignatureAlgsCert      Extension = 50
	ExtKeyShare               Extension = 51
	ExtConnectionID           Extension = 54
	ExtRenegotiationInfo      Extension = 0xff01
)

// ExtensionSet is the set of extensions, of those that this package knows,
// that a message has.
type ExtensionSet uint32
