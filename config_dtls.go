package hermetic

import (
	"time"

	"github.com/hermetic-tls/hermetic/internal/carrier"
)

// DTLSConfig is what DTLS has to know beside the rest of a Config. The zero
// value is right for most.
type DTLSConfig struct {
	// MTU is the largest datagram of a handshake, in bytes. Zero: 1,200.
	MTU int

	// TrustAddress says that the peer's address is known to be its own: from
	// ICE, a connected transport, a test. Otherwise a server sends at most three
	// times the bytes that have come, until the peer has proved that it
	// receives what we send (RFC 9147bis, Section 5.1); a larger flight waits.
	TrustAddress bool

	// RetransmitTimeout and MaxRetransmitTimeout are the first and the largest
	// value of the retransmission timer, which doubles. Zero: 1 s, or 400 ms with
	// SRTPProfiles, and 60 s.
	RetransmitTimeout, MaxRetransmitTimeout time.Duration

	// MaxTimeouts is how many timeouts in a row end a handshake with
	// ErrTimeout. Zero: as many as it takes to reach MaxRetransmitTimeout, which
	// is seven by default, after 123 s of silence.
	MaxTimeouts int

	// Patience is how long a peer may pause in the middle of its flight. Zero:
	// as long as all timeouts together. Negative: for ever.
	Patience time.Duration

	// FixedMTU keeps the MTU when flights are lost; otherwise it is lowered
	// step by step.
	FixedMTU bool

	// BoundData makes Seal refuse data that does not fit a datagram of MTU.
	BoundData bool

	// SRTPProfiles offers use_srtp (RFC 5764) with these protection profiles, the
	// preferred first: see ConnectionState.SRTPProfile.
	SRTPProfiles []uint16

	// ConnectionIDs negotiates connection IDs (RFC 9146; RFC 9147bis, Section 9):
	// a peer whose address changes is then known by the ID in its records. Ours
	// have ConnectionIDLength random bytes, at most 255; 0: we send those of the
	// peer and want none ourselves, as a client does that has one address to
	// listen on.
	ConnectionIDs      bool
	ConnectionIDLength int

	// Memory bounds what is kept of incomplete messages, in bytes: a message that
	// does not fit never comes. Zero: 64 KiB, or what a larger
	// MaxCertificateMessage needs.
	Memory int

	// Strict takes unprotected records for the peer's: their faults are fatal, and their
	// ACKs count. It is for a transport that nobody else can send on. Otherwise such
	// records are dropped if they are at fault, since anybody may have sent them.
	Strict bool

	// CookieSecret is what the keys of cookies are derived from, at least 16
	// bytes; they rotate by themselves. Processes with the same secret accept
	// each other's cookies. Nil: a secret that this Config and its Clones share.
	CookieSecret []byte

	// GetCookieSecrets, if set, returns the secrets to use in place of CookieSecret,
	// each at least 16 bytes: the first makes cookies, and all of them check cookies.
	// It is for secrets that change. It may be called from many goroutines and must
	// not wait. If it returns none, CookieSecret is used.
	GetCookieSecrets func() [][]byte
}

// minMTU is the smallest MTU that fragments make sense with.
const minMTU = 128

// srtpTimeout: RFC 9147bis, Section 5.8.2: "It is RECOMMENDED that for DTLS-SRTP
// [RFC5764] a default timeout of 400 ms be used".
const srtpTimeout = 400 * time.Millisecond

// datagramOptions are the carrier's, for a role.
func (c *Config) datagramOptions(server bool) carrier.DatagramOptions {
	d := &c.DTLS
	initial := d.RetransmitTimeout
	if initial == 0 && len(d.SRTPProfiles) > 0 {
		initial = srtpTimeout
	}
	return carrier.DatagramOptions{
		Server:               server,
		MTU:                  c.DTLS.MTU,
		FixedMTU:             d.FixedMTU,
		BoundData:            d.BoundData,
		RetransmitTimeout:    initial,
		MaxRetransmitTimeout: d.MaxRetransmitTimeout,
		MaxTimeouts:          d.MaxTimeouts,
		Patience:             d.Patience,
		Memory:               d.Memory,
		MaxCertificate:       c.MaxCertificateMessage,
		Unproved:             server && !d.TrustAddress,
		Strict:               d.Strict,
	}
}
