package wire

// NewSessionTicket13 is RFC 9846, Section 4.7.1.
type NewSessionTicket13 struct {
	Lifetime     uint32 // seconds
	AgeAdd       uint32
	Nonce        []byte
	Ticket       []byte
	Has          ExtensionSet
	MaxEarlyData uint32
}

// NewSessionTicket12 is RFC 5077, Section 3.3.
type NewSessionTicket12 struct {
	Lifetime uint32 // seconds, a hint
	Ticket   []byte
}

// KeyUpdate is RFC 9846, Section 4.7.3.
type KeyUpdate struct {
	RequestUpdate uint8 // 0 or 1; another value is illegal_parameter
}

// RequestConnectionID is RFC 9147bis, Section 9.
type RequestConnectionID struct {
	Count uint8
}

// NewConnectionID is RFC 9147bis, Section 9.
type NewConnectionID struct {
	CIDs  []byte // each with an 8-bit length, without the outer length
	Usage uint8  // 0: cid_immediate, 1: cid_spare
}
