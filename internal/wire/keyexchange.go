package wire

// ServerKeyExchange is the ServerKeyExchange of (EC)DHE_ECDSA, ECDHE_RSA
// (RFC 8422, Section 5.4), PSK and ECDHE_PSK (RFC 4279, RFC 5489). Which of its
// parts are there is not in the message: the cipher suite says it.
type ServerKeyExchange struct {
	Hint      []byte // psk_identity_hint
	Group     uint16
	Public    []byte
	Params    []byte // ServerECDHParams as signed: aliases the message
	Scheme    uint16
	Signature []byte
}

// KeyExchangeParts says what a TLS 1.2 key exchange message consists of.
type KeyExchangeParts struct {
	PSK    bool // an identity or a hint
	ECDHE  bool // a public value
	Signed bool // a signature
}

// ClientKeyExchange is RFC 8422, Section 5.7, RFC 4279 and RFC 5489.
type ClientKeyExchange struct {
	Identity []byte
	Public   []byte
}
