package hermetic

import (
	"strconv"
	"time"

	"github.com/hermetic-tls/hermetic/internal/carrier"
)

// DTLSConfig holds the options of a [Config] that only DTLS has. The zero value is right
// for most.
type DTLSConfig struct {
	// MTU is the size of the largest datagram of a handshake, in bytes, at least 128. Zero
	// means 1,200. It bounds data only with BoundData.
	MTU int

	// FixedMTU keeps the MTU when flights are lost. Otherwise it is lowered step by step.
	FixedMTU bool

	// BoundData makes Seal refuse data that does not fit a datagram of MTU bytes.
	BoundData bool

	// TrustAddress, on a server, says that the peer's address is known to be its own: from
	// ICE, a connected transport or a test. Otherwise a server sends at most three times the
	// bytes that it has received until the peer has proved that it receives what we send
	// (RFC 9147bis, Section 5.1), and a larger flight waits.
	TrustAddress bool

	// RetransmitTimeout is the first value of the retransmission timer, which then doubles.
	// Zero means 1 s, or 400 ms with SRTPProfiles (RFC 9147bis, Section 5.8.2).
	RetransmitTimeout time.Duration

	// MaxRetransmitTimeout is the largest value of the retransmission timer. Zero means 60 s.
	MaxRetransmitTimeout time.Duration

	// MaxTimeouts is the number of consecutive timeouts that end a handshake with
	// [ErrTimeout]. Zero means as many as it takes to reach MaxRetransmitTimeout: by default
	// seven, after 123 s of silence.
	MaxTimeouts int

	// MaxFlightPause is how long a peer may pause in the middle of its flight of a handshake.
	// Zero means as long as all timeouts together, negative means forever.
	MaxFlightPause time.Duration

	// SRTPProfiles offers, or accepts, use_srtp with these protection profiles, the preferred
	// first (RFC 5764): see [ConnectionState].SRTPProfile. Nil does not negotiate it.
	SRTPProfiles []uint16

	// ConnectionIDs negotiates connection IDs (RFC 9146; RFC 9147bis, Section 9): a peer whose
	// address changes is then known by the ID in its records.
	ConnectionIDs bool

	// ConnectionIDLength is the length of the IDs that the peer sends us, in random bytes, at
	// most 255. Zero means that peers' IDs are used, but none is requested for records sent
	// to us.
	ConnectionIDLength int

	// MakeConnectionID, if set, may overwrite each ID that we give to a peer. It is called with
	// ConnectionIDLength random bytes, and may for example set the first to the number of this
	// server, by which a load balancer forwards datagrams: see [PeekDatagram]. IDs travel
	// unencrypted, so an observer must not see from them which belong to the same peer. No two
	// connections should have the same ID: if one is in use, package netconn's listener calls
	// MakeConnectionID again, up to 16 times. It may be called from many goroutines, must not
	// block, and must not keep cid.
	MakeConnectionID func(cid []byte)

	// PathValidation is how a new address of a peer is checked (RFC 9853). With ConnectionIDs it
	// is negotiated, unless it is [PathValidationNone]. The zero value is [PathValidationBasic].
	// The caller of an Engine must tell where datagrams come from: see [Engine.OpenFrom].
	PathValidation PathValidation

	// PathTimeout is how long the answer to a challenge may take: T of RFC 9853, Section 5.5,
	// which recommends three round trips if those are known. Zero means 1 s.
	PathTimeout time.Duration

	// MaxBuffered bounds what is kept of incomplete messages, and of records whose keys do not
	// exist yet, in bytes. A larger message can never be reassembled, and the handshake times
	// out. Zero means 64 KiB, or what a larger MaxCertificateMessage needs.
	MaxBuffered int

	// TrustUnprotected attributes unprotected records to the peer: their faults are fatal, and
	// their ACKs count. It is for a transport that nobody else can send on. Otherwise such
	// records are dropped if they are at fault, since anybody may have sent them.
	TrustUnprotected bool

	// CookieSecret, on a server, is what the keys of cookies are derived from, at least 16
	// bytes; the keys rotate by themselves. Processes with the same secret accept each
	// other's cookies. Nil means a secret that this Config and its Clones share.
	CookieSecret []byte

	// GetCookieSecrets, if set, returns the secrets to use in place of CookieSecret, each at
	// least 16 bytes: the first makes cookies, and all of them check cookies. It is for
	// secrets that change. It may be called from many goroutines and must not block. If it
	// returns none, CookieSecret is used.
	GetCookieSecrets func() [][]byte
}

// PathValidation is how a new address of a peer is checked, before anything else is sent
// there: RFC 9853, Section 5.
type PathValidation uint8

const (
	// PathValidationBasic challenges the peer at its new address. It takes one round trip. An
	// attacker who sees datagrams and forwards them faster than the network does can draw
	// the connection to its own address.
	PathValidationBasic PathValidation = iota
	// PathValidationEnhanced first challenges the peer at its current address, so that a
	// peer that is still there is not drawn away. If nobody answers there, as after a NAT
	// has forgotten the peer, it takes PathTimeout longer.
	PathValidationEnhanced
	// PathValidationNone neither checks addresses nor answers challenges: the application has
	// its own means.
	PathValidationNone
)

// String returns the constant's name without "PathValidation", such as "Basic".
func (v PathValidation) String() string {
	switch v {
	case PathValidationBasic:
		return "Basic"
	case PathValidationEnhanced:
		return "Enhanced"
	case PathValidationNone:
		return "None"
	}
	return "PathValidation(" + strconv.Itoa(int(v)) + ")"
}

// minMTU is the smallest MTU with which fragments are useful.
const minMTU = 128

// srtpTimeout: RFC 9147bis, Section 5.8.2: "It is RECOMMENDED that for DTLS-SRTP
// [RFC5764] a default timeout of 400 ms be used".
const srtpTimeout = 400 * time.Millisecond

// policy is the policy of checks, if they are negotiated.
func (v PathValidation) policy() carrier.PathPolicy {
	if v == PathValidationEnhanced {
		return carrier.EnhancedCheck
	}
	return carrier.BasicCheck
}

// datagramOptions returns the carrier's options for a role.
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
		MaxFlightPause:       d.MaxFlightPause,
		Memory:               d.MaxBuffered,
		MaxCertificate:       c.MaxCertificateMessage,
		Unproved:             server && !d.TrustAddress,
		TrustUnprotected:     d.TrustUnprotected,
		PathPolicy:           d.PathValidation.policy(),
		PathTimeout:          d.PathTimeout,
		Rand:                 c.random(),
	}
}
