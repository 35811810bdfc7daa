// Package version is the protocol versions, and the two transports that write them
// differently.
package version

// A version has the same number over both transports: that of TLS. Only the hellos
// and the headers of records have those of DTLS, see [Transport.Wire].
const (
	TLS12 uint16 = 0x0303
	TLS13 uint16 = 0x0304

	DTLS10 uint16 = 0xfeff
	DTLS12 uint16 = 0xfefd
	DTLS13 uint16 = 0xfefc
)

// Transport is what carries a connection. It decides the form of a message: a DTLS
// ClientHello has a cookie field, and a DTLS header is longer (RFC 9147bis, Section
// 5.2).
type Transport uint8

const (
	Stream   Transport = iota // TLS
	Datagram                  // DTLS
)

// Wire returns a version, TLS 1.2 or later, as t writes it.
func (t Transport) Wire(version uint16) uint16 {
	if t == Datagram {
		return ^(version - 0x0201) // DTLS counts down
	}
	return version
}

// Parse is the inverse of Wire. It returns 0 for a version that t does not have.
func (t Transport) Parse(version uint16) uint16 {
	switch {
	case t == Stream:
		return version
	case version == DTLS12:
		return TLS12
	case version == DTLS13:
		return TLS13
	}
	return 0
}
