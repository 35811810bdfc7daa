package wire

import "github.com/hermetic-tls/hermetic/internal/codec"

// KeyExchangeParts are the parts of a TLS 1.2 key exchange message.
type KeyExchangeParts struct {
	PSK    bool // an identity or a hint
	ECDHE  bool // a public value
	Signed bool // a signature
}

// namedCurve is the only ECCurveType left (RFC 8422, Section 5.4).
const namedCurve = 3

// ServerKeyExchange is the ServerKeyExchange of (EC)DHE_ECDSA, ECDHE_RSA
// (RFC 8422, Section 5.4), PSK and ECDHE_PSK (RFC 4279, RFC 5489). The cipher suite
// determines which parts it has.
type ServerKeyExchange struct {
	Hint      []byte // psk_identity_hint
	Group     uint16
	Public    []byte
	Params    []byte // ServerECDHParams, which is signed; aliases the message
	Scheme    uint16
	Signature []byte
}

// Parse reads the body of a ServerKeyExchange that consists of parts.
func (m *ServerKeyExchange) Parse(body []byte, parts KeyExchangeParts) error {
	*m = ServerKeyExchange{}
	c := parser("ServerKeyExchange", body)
	m.fields(&c, parts)
	return c.end()
}

// Append appends the whole message. It ignores Params.
func (m *ServerKeyExchange) Append(b []byte, parts KeyExchangeParts) []byte {
	c := appender(b, TypeServerKeyExchange)
	m.fields(&c, parts)
	return c.message()
}

func (m *ServerKeyExchange) fields(c *coder, parts KeyExchangeParts) {
	if parts.PSK {
		c.Vec16(&m.Hint)
	}
	if parts.ECDHE && c.Appending {
		c.Out = AppendECDHParams(c.Out, m.Group, m.Public)
	} else if parts.ECDHE {
		m.parseECDHParams(c)
	}
	if parts.Signed {
		c.Uint16(&m.Scheme)
		c.Vec16(&m.Signature)
	}
}

// AppendECDHParams appends ServerECDHParams, which the server signs.
func AppendECDHParams(b []byte, group uint16, public []byte) []byte {
	return codec.Append8(codec.AppendUint16(append(b, namedCurve), group), public)
}

func (m *ServerKeyExchange) parseECDHParams(c *coder) {
	start := c.In.B
	if c.In.Uint8() != namedCurve {
		c.fail(malformed("ServerKeyExchange, or its curve has no name,"))
	}
	c.Uint16(&m.Group)
	c.Filled8(&m.Public)
	n := len(start) - len(c.In.B)
	m.Params = start[:n:n]
}

// ClientKeyExchange is RFC 8422, Section 5.7, RFC 4279 and RFC 5489.
type ClientKeyExchange struct {
	Identity []byte
	Public   []byte
}

func (m *ClientKeyExchange) Parse(body []byte, parts KeyExchangeParts) error {
	*m = ClientKeyExchange{}
	c := parser("ClientKeyExchange", body)
	m.fields(&c, parts)
	return c.end()
}

func (m *ClientKeyExchange) Append(b []byte, parts KeyExchangeParts) []byte {
	c := appender(b, TypeClientKeyExchange)
	m.fields(&c, parts)
	return c.message()
}

func (m *ClientKeyExchange) fields(c *coder, parts KeyExchangeParts) {
	if parts.PSK {
		c.Vec16(&m.Identity)
	}
	if parts.ECDHE {
		c.Filled8(&m.Public)
	}
}
