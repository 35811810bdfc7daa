package wire

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
	PadTo                int         // Append only: add the padding extension up to this size

	// Others are extensions that this package does not know, when parsed
	// none: they are skipped.
}

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

// KeyShare is a KeyShareEntry (RFC 9846, Section 4.3.8).
type KeyShare struct {
	Group uint16
	Data  []byte
}

// KeyShares is client_shares as it stands in the message, without the outer
// length.
type KeyShares []byte

// ALPN is a ProtocolNameList as it stands in the message (RFC 7301), without
// the outer length.
type ALPN []byte

// Names is a list of DER distinguished names, each with a 16-bit length, as
// it stands in certificate_authorities or CertificateRequest, without the
// outer length.
type Names []byte

// SRTP is use_srtp (RFC 5764, Section 4.1.1).
type SRTP struct {
	Profiles Uint16s
	MKI      []byte
}

// OfferedPSKs is pre_shared_key in a ClientHello (RFC 9846, Section 4.3.11).
type OfferedPSKs struct {
	Identities []byte // identities as they stand in the message, without the outer length
	Binders    []byte // likewise
}

// PSKIdentity is one identity of OfferedPSKs.
type PSKIdentity struct {
	Identity  []byte
	TicketAge uint32 // obfuscated_ticket_age
}
