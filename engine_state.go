package hermetic

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// ConnectionState describes a connection. Until the handshake is complete, fields that are
// not known yet are zero.
type ConnectionState struct {
	// Mode is the protocol and our role.
	Mode Mode

	// Version is tls.VersionTLS12 or tls.VersionTLS13, for DTLS too.
	Version uint16

	// HandshakeComplete reports whether the handshake has ended successfully.
	HandshakeComplete bool

	// CipherSuite is the negotiated cipher suite: see [CipherSuiteName].
	CipherSuite uint16

	// CurveID is the group of the key exchange: see [GroupName]. Zero means that there was
	// no (EC)DHE.
	CurveID tls.CurveID

	// ServerName is the server_name that the client sent.
	ServerName string

	// NegotiatedProtocol is the ALPN protocol, or "".
	NegotiatedProtocol string

	// DidResume reports whether a session was resumed, by a ticket or a session ID.
	DidResume bool

	// PSKIdentity is the identity of the external PSK that was used, now or when the session
	// began, or nil.
	PSKIdentity []byte

	// EarlyDataOffered reports whether the client offered 0-RTT data.
	EarlyDataOffered bool

	// EarlyDataAccepted reports whether the server accepted it. A client knows that once the
	// handshake is complete.
	EarlyDataAccepted bool

	// HelloRetryRequest reports whether the server sent a HelloRetryRequest.
	HelloRetryRequest bool

	// ExtendedMasterSecret is true in TLS 1.3, and in TLS 1.2 with RFC 7627.
	ExtendedMasterSecret bool

	// LocalSignatureScheme is what we signed the handshake with. Zero means that we did not.
	LocalSignatureScheme tls.SignatureScheme

	// PeerSignatureScheme is what the peer signed the handshake with. Zero means that it did
	// not.
	PeerSignatureScheme tls.SignatureScheme

	// PeerCertificates is the peer's certificate chain, leaf first, as sent. It is nil
	// without a certificate. With InsecureSkipVerify nothing of it is verified.
	PeerCertificates []*x509.Certificate

	// VerifiedChains are the chains that verification has built, each from the peer's leaf to
	// a root. A resumed session has the chains of its own verification, which the server repeats
	// at each resumption. After [ImportEngine] they are the chains that verify at that time, or
	// nil. They are also nil where nothing is verified: with InsecureSkipVerify, with a
	// ClientAuth below VerifyClientCertIfGiven, and with raw public keys.
	VerifiedChains [][]*x509.Certificate

	// PeerPublicKey is the key of the peer's leaf certificate, or its raw public key (RFC
	// 7250).
	PeerPublicKey crypto.PublicKey

	// SRTPProfile is the protection profile that use_srtp has negotiated, or 0. The keys are
	// those of ExportKeyingMaterial with the label "EXTRACTOR-dtls_srtp" (RFC 5764, Section
	// 4.2). DTLS only.
	SRTPProfile uint16

	// PathValidation reports whether the peers check new addresses of each other: see
	// [DTLSConfig].PathValidation. DTLS only.
	PathValidation bool

	// Drops counts the records that were dropped silently, by reason. DTLS only.
	Drops RecordDrops

	// LocalCertificate is the certificate that we have sent, or nil.
	LocalCertificate *tls.Certificate

	// OCSPResponse is the response that the peer has stapled, if any (RFC 6066, Section 8).
	OCSPResponse []byte

	// TLSUnique is the channel binding "tls-unique" (RFC 5929, Section 3). It is nil in TLS 1.3,
	// after [ImportEngine], and in a session of TLS 1.2 that was resumed without extended master
	// secret. Prefer ChannelBinding, which both versions have.
	TLSUnique []byte

	// SignedCertificateTimestamps are those that the peer has sent, if any (RFC 6962).
	SignedCertificateTimestamps [][]byte

	// PeerRecordSizeLimit is the record_size_limit that the peer has sent, as on the wire, if
	// it was negotiated, or 0 (RFC 8449).
	PeerRecordSizeLimit int

	// MaxFragmentLength is the length that max_fragment_length has negotiated, in bytes, or 0
	// (RFC 6066, Section 4).
	MaxFragmentLength int

	// LocalCertificateCompression is the number of the algorithm with which our certificate
	// was compressed, or 0 (RFC 8879).
	LocalCertificateCompression uint16

	// PeerCertificateCompression is the same for the peer's certificate. Both are 0 when a
	// session is resumed.
	PeerCertificateCompression uint16

	conn *handshake.Connection // for the exporter
}

// RecordDrops counts the DTLS records that an engine has dropped, by reason. Anybody can
// send those, so a drop is never an error (RFC 9147bis, Section 4.5.2).
type RecordDrops struct {
	// Malformed records do not parse, or are too short to be protected. The rest of their
	// datagram is dropped with them.
	Malformed uint64
	// Foreign records have a connection ID that is not ours.
	Foreign uint64
	// NoKeys counts records of an epoch whose keys no longer exist, or do not exist yet when
	// there is no room to keep the record.
	NoKeys uint64
	// Forged records do not authenticate.
	Forged uint64
	// Replayed records were received before, or are too old to tell.
	Replayed uint64
	// Unprotected records are unencrypted, and either at fault or too late.
	Unprotected uint64
	// Misplaced records are authentic but useless at that point, such as data before the
	// handshake is complete, or an answer to a path challenge that we have not sent.
	Misplaced uint64
}

// Total returns the sum of all reasons.
func (d RecordDrops) Total() uint64 {
	return d.Malformed + d.Foreign + d.NoKeys + d.Forged + d.Replayed + d.Unprotected + d.Misplaced
}

// Drops returns how many records were dropped since the engine was made or Reset. It is
// cheaper than State. DTLS only: all are 0 in TLS.
func (e *Engine) Drops() RecordDrops {
	var d record.Drops
	if c := e.datagrams(); c != nil {
		d = c.Dropped()
	}
	return RecordDrops{
		Malformed:   d[record.Malformed],
		Foreign:     d[record.Foreign],
		NoKeys:      d[record.NoKeys],
		Forged:      d[record.Forged],
		Replayed:    d[record.Replayed],
		Unprotected: d[record.Unprotected],
		Misplaced:   d[record.Misplaced],
	}
}

// State describes the connection. It makes copies; [Engine.HandshakeComplete] is cheap.
func (e *Engine) State() ConnectionState {
	c := e.conn
	if c == nil {
		return ConnectionState{Mode: e.mode}
	}
	s := ConnectionState{
		Mode:                 e.mode,
		Version:              c.Version,
		HandshakeComplete:    e.HandshakeComplete(),
		CurveID:              tls.CurveID(c.Group),
		ServerName:           c.ServerName,
		NegotiatedProtocol:   c.ALPN,
		DidResume:            c.Resumed,
		SRTPProfile:          c.SRTP,
		PathValidation:       e.checksPaths(),
		Drops:                e.Drops(),
		EarlyDataOffered:     c.EarlyData != handshake.NoEarlyData,
		EarlyDataAccepted:    c.EarlyData == handshake.EarlyDataAccepted,
		HelloRetryRequest:    c.Retried,
		ExtendedMasterSecret: c.ExtendedMainSecret(),
		LocalSignatureScheme: tls.SignatureScheme(c.LocalScheme),
		PeerSignatureScheme:  tls.SignatureScheme(c.PeerScheme),
		LocalCertificate:     c.Local,
		PeerRecordSizeLimit:  int(c.PeerSizeLimit),
		MaxFragmentLength:    int(c.FragmentLength),

		LocalCertificateCompression: c.LocalCompressor,
		PeerCertificateCompression:  c.PeerCompressor,
		TLSUnique:                   slices.Clone(c.Unique()),
		conn:                        c,
	}
	if c.Suite != nil {
		s.CipherSuite = c.Suite.ID
	}
	if c.PSK != nil {
		s.PSKIdentity = slices.Clone(c.PSK.Identity)
	}
	if p := c.Peer; p != nil {
		s.PeerPublicKey = p.PublicKey()
		if p.Chain != nil {
			s.PeerCertificates = slices.Clone(p.Chain.Certificates())
			s.VerifiedChains = pki.CloneChains(p.Verified)
		}
		s.OCSPResponse = slices.Clone(p.OCSP())
		for sct := range wire.SCTs(p.SCTs()) {
			s.SignedCertificateTimestamps = append(s.SignedCertificateTimestamps, slices.Clone(sct))
		}
	}
	return s
}
