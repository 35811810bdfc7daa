package handshake

import (
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var errSRTP = alert.New(alert.IllegalParameter, "the server chose SRTP profiles or an MKI that were not offered")

// offerSRTP adds use_srtp to a ClientHello: RFC 5764, Section 4.1.1. There is no
// MKI.
func (c *clientStart) offerSRTP() {
	if len(c.params.SRTP) > 0 && c.extensions.Has(wire.ExtUseSRTP) {
		c.hello.SRTP.Profiles = c.params.lists.srtp
		c.hello.Has.Add(wire.ExtUseSRTP)
	}
}

// acceptSRTP takes the server's choice.
func (m *Machine) acceptSRTP(has wire.ExtensionSet, chosen wire.SRTP) error {
	if !has.Has(wire.ExtUseSRTP) {
		return nil
	}
	if len(chosen.Profiles) != 2 || len(chosen.MKI) > 0 {
		return errSRTP
	}
	m.conn.SRTP = uint16(chosen.Profiles[0])<<8 | uint16(chosen.Profiles[1])
	if !slices.Contains(m.params.SRTP, m.conn.SRTP) {
		return errSRTP
	}
	return nil
}

// chooseSRTP is a server's choice: the first of ours that the client has.
func (s *serverStart) chooseSRTP() (has wire.ExtensionSet, chosen wire.SRTP) {
	if !(s.hello.Has & s.extensions).Has(wire.ExtUseSRTP) {
		return 0, chosen
	}
	for _, p := range s.params.SRTP {
		if s.hello.SRTP.Profiles.Contains(p) {
			s.conn.SRTP = p
			return wire.Extensions(wire.ExtUseSRTP), wire.SRTP{Profiles: wire.AppendUint16s(nil, p)}
		}
	}
	return 0, chosen
}
