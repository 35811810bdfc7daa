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

// namedCurve is the only ECCurveType left (RFC 8422, Section 5.4).
const namedCurve = 3

// Parse reads the body of a ServerKeyExchange that consists of parts.
func (m *ServerKeyExchange) Parse(body []byte, parts KeyExchangeParts) error {
	*m = ServerKeyExchange{}
	c := cursor{b: body}
	if parts.PSK {
		m.Hint = c.vec16()
	}
	if parts.ECDHE {
		start := c.b
		if c.uint8() != namedCurve {
			return malformed("ServerKeyExchange, or its curve has no name,")
		}
		m.Group = c.uint16()
		m.Public = c.nonEmpty(c.vec8())
		n := len(start) - len(c.b)
		m.Params = start[:n:n]
	}
	if parts.Signed {
		m.Scheme = c.uint16()
		m.Signature = c.vec16()
	}
	if !c.done() {
		return malformed("ServerKeyExchange")
	}
	return nil
}

// Append appends the whole message. Params is not looked at.
func (m *ServerKeyExchange) Append(b []byte, parts KeyExchangeParts) []byte {
	b, at := beginMessage(b, TypeServerKeyExchange)
	if parts.PSK {
		b = append16(b, m.Hint)
	}
	if parts.ECDHE {
		b = AppendECDHParams(b, m.Group, m.Public)
	}
	if parts.Signed {
		b = appendUint16(b, m.Scheme)
		b = append16(b, m.Signature)
	}
	return endMessage(b, at)
}

// AppendECDHParams appends ServerECDHParams, which the server signs.
func AppendECDHParams(b []byte, group uint16, public []byte) []byte {
	return append8(appendUint16(append(b, namedCurve), group), public)
}

// Parse reads the body of a ClientKeyExchange that consists of parts.
func (m *ClientKeyExchange) Parse(body []byte, parts KeyExchangeParts) error {
	*m = ClientKeyExchange{}
	c := cursor{b: body}
	if parts.PSK {
		m.Identity = c.vec16()
	}
	if parts.ECDHE {
		m.Public = c.nonEmpty(c.vec8())
	}
	if !c.done() {
		return malformed("ClientKeyExchange")
	}
	return nil
}

// Append appends the whole message.
func (m *ClientKeyExchange) Append(b []byte, parts KeyExchangeParts) []byte {
	b, at := beginMessage(b, TypeClientKeyExchange)
	if parts.PSK {
		b = append16(b, m.Identity)
	}
	if parts.ECDHE {
		b = append8(b, m.Public)
	}
	return endMessage(b, at)
}
