package webrtctls

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// The protection profiles of SRTP that WebRTC endpoints use, as in [hermetic.DTLSConfig]'s
// SRTPProfiles.
const (
	// SRTPAES128CM80 is SRTP_AES128_CM_HMAC_SHA1_80, which every endpoint supports (RFC 5764,
	// Section 4.1.2; RFC 8827, Section 6.5).
	SRTPAES128CM80 uint16 = 0x0001
	// SRTPAES128CM32 is SRTP_AES128_CM_HMAC_SHA1_32, whose short tags save 6 bytes per packet of
	// RTP (RFC 5764, Section 4.1.2). NewConfig does not negotiate it.
	SRTPAES128CM32 uint16 = 0x0002
	// SRTPAES128GCM is SRTP_AEAD_AES_128_GCM (RFC 7714, Section 14.2).
	SRTPAES128GCM uint16 = 0x0007
	// SRTPAES256GCM is SRTP_AEAD_AES_256_GCM (RFC 7714, Section 14.2).
	SRTPAES256GCM uint16 = 0x0008
)

// Handshakes are retransmitted soon, since people wait for sound and picture: after 100 ms, then
// after 200 ms, and so on up to 1.6 s. ICE has already shown that the peer is there. All timeouts
// together take 33 s, which leaves ICE time for a restart.
const (
	firstTimeout   = 100 * time.Millisecond
	longestTimeout = 1600 * time.Millisecond
	maxTimeouts    = 24
)

// NewConfig returns what DTLS needs in WebRTC, for either role: our certificate, a peer that must
// have one with an announced [Fingerprint], profiles of SRTP, and timeouts fit for real time. It
// may be changed before it is used, for instance:
//
//   - DTLS.SRTPProfiles, nil for a connection with data channels only,
//   - MaxVersion, tls.VersionTLS12 for DTLS 1.2 only,
//   - DTLS.RetransmitTimeout, on a long path: twice ICE's round-trip time, if that is more than
//     100 ms.
//
// Without a fingerprint no peer is accepted.
func NewConfig(own tls.Certificate, peer ...Fingerprint) *hermetic.Config {
	peer = slices.Clone(peer)
	return &hermetic.Config{
		Certificates: []tls.Certificate{own},
		ClientAuth:   tls.RequireAnyClientCert,
		// RFC 8827, Section 6.5: the fingerprint takes the place of authorities and names.
		InsecureSkipVerify: true,
		VerifyConnection: func(state hermetic.ConnectionState) error {
			var leaf *x509.Certificate
			if len(state.PeerCertificates) > 0 {
				leaf = state.PeerCertificates[0]
			}
			// RFC 8122, Section 6.2: a wrong fingerprint ends the handshake with
			// bad_certificate, as every error here does.
			return VerifyFingerprint(leaf, peer)
		},
		NoTickets:      true, // each connection has new certificates and a full handshake
		NoOCSPStapling: true,
		NoSCTs:         true,
		DTLS: hermetic.DTLSConfig{
			TrustAddress:         true, // ICE has checked it
			RetransmitTimeout:    firstTimeout,
			MaxRetransmitTimeout: longestTimeout,
			MaxTimeouts:          maxTimeouts,
			SRTPProfiles:         []uint16{SRTPAES128GCM, SRTPAES256GCM, SRTPAES128CM80},
		},
	}
}
