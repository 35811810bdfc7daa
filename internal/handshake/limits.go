package handshake

import (
	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	errSizeLimit      = alert.New(alert.IllegalParameter, "the peer's record_size_limit is less than 64")
	errFragmentLength = alert.New(alert.IllegalParameter, "the client's max_fragment_length is none of 512, 1024, 2048 and 4096")
	errFragmentEcho   = alert.New(alert.IllegalParameter, "the server's max_fragment_length is not the one that was offered")
	errBothLimits     = alert.New(alert.IllegalParameter, "the server answered both record_size_limit and max_fragment_length")
)

// minSizeLimit is the least record_size_limit (RFC 8449, Section 4).
const minSizeLimit = 64

// maxSizeLimit is the largest record_size_limit of a version. In TLS 1.3 the content type
// counts.
func maxSizeLimit(version uint16) uint16 {
	if version == wire.VersionTLS13 {
		return 1<<14 + 1
	}
	return 1 << 14
}

// fragmentLength is the length, in bytes, that max_fragment_length stands for, or 0 if it
// is unknown (RFC 6066, Section 4).
func fragmentLength(code uint8) uint16 {
	if code < 1 || code > 4 {
		return 0
	}
	return 256 << code
}

// fragmentCode is the inverse.
func fragmentCode(length uint16) (code uint8) {
	for length > 256 {
		length /= 2
		code++
	}
	return code
}

// offerLimits adds record_size_limit and max_fragment_length to a ClientHello.
func (c *clientStart) offerLimits() {
	p, h := c.params, &c.hello
	if p.SizeLimit > 0 {
		h.RecordSizeLimit = min(p.SizeLimit, maxSizeLimit(p.MaxVersion))
		h.Has.Add(wire.ExtRecordSizeLimit)
	}
	if p.FragmentLength > 0 {
		h.MaxFragmentLength = fragmentCode(p.FragmentLength)
		h.Has.Add(wire.ExtMaxFragmentLength)
	}
}

// acceptLimits takes the server's answer to them. A size above the maximum means the
// maximum.
func (m *Machine) acceptLimits(has wire.ExtensionSet, size uint16, code uint8) error {
	switch both := has.Has(wire.ExtRecordSizeLimit) && has.Has(wire.ExtMaxFragmentLength); {
	case both:
		return errBothLimits // RFC 8449, Section 5
	case has.Has(wire.ExtRecordSizeLimit) && size < minSizeLimit:
		return errSizeLimit
	case has.Has(wire.ExtRecordSizeLimit):
		m.limitSizes(size)
	case has.Has(wire.ExtMaxFragmentLength):
		if code != fragmentCode(m.params.FragmentLength) {
			return errFragmentEcho
		}
		m.conn.FragmentLength = fragmentLength(code)
	}
	m.conn.LimitRecords(m.out)
	return nil
}

// limitSizes notes both sides' limits.
func (m *Machine) limitSizes(peer uint16) {
	m.conn.PeerSizeLimit = peer
	m.conn.SizeLimit = min(m.params.SizeLimit, maxSizeLimit(m.conn.Version))
}

// checkLimits checks what the client asks for.
func (s *serverStart) checkLimits() error {
	h := &s.hello
	switch {
	case h.Has.Has(wire.ExtRecordSizeLimit) && h.RecordSizeLimit < minSizeLimit:
		return errSizeLimit
	case s.fragments() && fragmentLength(h.MaxFragmentLength) == 0:
		return errFragmentLength
	}
	return nil
}

// fragments reports whether max_fragment_length counts: RFC 8449, Section 5: a server
// "MUST ignore a "max_fragment_length" that appears in a ClientHello if both extensions
// appear".
func (s *serverStart) fragments() bool {
	return s.hello.Has.Has(wire.ExtMaxFragmentLength) && !s.hello.Has.Has(wire.ExtRecordSizeLimit)
}

// chooseLimits answers the client's extensions, and applies them.
func (s *serverStart) chooseLimits() (has wire.ExtensionSet, size uint16, code uint8) {
	switch {
	case s.hello.Has.Has(wire.ExtRecordSizeLimit):
		s.limitSizes(s.hello.RecordSizeLimit)
		has.Add(wire.ExtRecordSizeLimit)
	case s.fragments():
		code = s.hello.MaxFragmentLength
		s.conn.FragmentLength = fragmentLength(code)
		has.Add(wire.ExtMaxFragmentLength)
	}
	s.conn.LimitRecords(s.out)
	return has, s.conn.SizeLimit, code
}

// keepsFragments reports whether a TLS 1.2 client may resume a session: RFC 6066, Section
// 4: its fragment length "applies for the duration of the session including session
// resumptions".
func (s *serverStart) keepsFragments(length uint16) bool {
	if !s.fragments() {
		return length == 0
	}
	return length == fragmentLength(s.hello.MaxFragmentLength)
}

// LimitRecords applies what was negotiated. A size limit covers the content type of TLS
// 1.3, and a fragment length does not.
func (c *Connection) LimitRecords(out Output) {
	send, receive := c.FragmentLength, c.FragmentLength
	if c.PeerSizeLimit > 0 {
		most := maxSizeLimit(c.Version)
		unused := most - 1<<14
		send, receive = min(c.PeerSizeLimit, most)-unused, min(c.SizeLimit, most)-unused
	}
	if send > 0 {
		out.LimitRecords(int(send), int(receive))
	}
}
