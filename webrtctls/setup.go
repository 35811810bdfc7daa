package webrtctls

import (
	"fmt"
	"strings"

	"github.com/hermetic-tls/hermetic"
)

// A Setup is a value of the attribute "a=setup" of SDP: the side that begins the DTLS handshake (RFC 4145;
// RFC 8842, Section 5).
type Setup string

const (
	// SetupActPass is for offers: the answer decides.
	SetupActPass Setup = "actpass"
	// SetupActive is the DTLS client. It is the best answer to SetupActPass, since it can begin
	// as soon as ICE has connected (RFC 8842, Section 5.3).
	SetupActive Setup = "active"
	// SetupPassive is the DTLS server.
	SetupPassive Setup = "passive"
)

// ParseSetup reads the value of "a=setup". WebRTC has no "holdconn" (RFC 8842, Section 5.1).
func ParseSetup(value string) (Setup, error) {
	switch s := Setup(strings.ToLower(strings.TrimSpace(value))); s {
	case SetupActPass, SetupActive, SetupPassive:
		return s, nil
	}
	return "", fmt.Errorf("webrtctls: a=setup is %.30q, want actpass, active or passive", value)
}

// Answer returns the best answer to an offer with s: SetupPassive to SetupActive, and otherwise
// SetupActive. To SetupActPass, SetupPassive is allowed too.
func (s Setup) Answer() Setup {
	if s == SetupActive {
		return SetupPassive
	}
	return SetupActive
}

// Role returns our role, [hermetic.DTLSClient] or [hermetic.DTLSServer], after an offer and its
// answer: local is what our own SDP says, and remote is what the peer's says. It is an error if
// both have the same role, or leave it to each other.
func Role(local, remote Setup) (hermetic.Mode, error) {
	switch [2]Setup{local, remote} {
	case [2]Setup{SetupActive, SetupPassive}, [2]Setup{SetupActive, SetupActPass}, [2]Setup{SetupActPass, SetupPassive}:
		return hermetic.DTLSClient, nil
	case [2]Setup{SetupPassive, SetupActive}, [2]Setup{SetupPassive, SetupActPass}, [2]Setup{SetupActPass, SetupActive}:
		return hermetic.DTLSServer, nil
	}
	return 0, fmt.Errorf("webrtctls: no DTLS roles follow from a=setup:%.30s here and a=setup:%.30s there", local, remote)
}
