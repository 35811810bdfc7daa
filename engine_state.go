package hermetic

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// ConnectionState is what is known of a connection.
type ConnectionState struct {
	Mode              Mode
	Version           uint16 // tls.VersionTLS12 or tls.VersionTLS13, for DTLS too
	HandshakeComplete bool
	CipherSuite       uint16
	CurveID           tls.CurveID // the group; 0 without (EC)DHE

	ServerName         string // server_name: sent by the client
	NegotiatedProtocol string // ALPN
	DidResume          bool   // by a ticket, or a session id
	PSKIdentity        []byte // of the external PSK that was used, now or when the session began; or nil

	// EarlyDataOffered: a client has offered 0-RTT data; EarlyDataAccepted: the
	// server takes what comes of it.
	EarlyDataOffered, EarlyDataAccepted bool

	HelloRetryRequest bool

	// ExtendedMasterSecret is true in TLS 1.3 and in TLS 1.2 with RFC 7627.
	ExtendedMasterSecret bool

	// LocalSignatureScheme and PeerSignatureScheme are what each side signed
	// the handshake with; zero: it did not.
	LocalSignatureScheme tls.SignatureScheme
	PeerSignatureScheme  tls.SignatureScheme

	PeerCertificates []*x509.Certificate // leaf first, as sent
	// VerifiedChains is set only in VerifyConnection and in a VerifyRequest:
	// a connection does not keep it.
	VerifiedChains [][]*x509.Certificate
	PeerPublicKey  crypto.PublicKey // of the leaf, or the raw public key (RFC 7250)

	// SRTPProfile is what use_srtp has agreed on, or 0. The keys are those of
	// ExportKeyingMaterial with the label "EXTRACTOR-dtls_srtp" (RFC 5764,
	// Section 4.2).
	SRTPProfile uint16

	// DroppedRecords counts the DTLS records that were dropped without a word, and
	// Drops says why.
	DroppedRecords uint64
	// Drops are the DroppedRecords by reason.
	Drops RecordDrops

	// LocalCertificate is what we have shown, or nil.
	LocalCertificate *tls.Certificate

	OCSPResponse                []byte
	SignedCertificateTimestamps [][]byte

	conn *handshake.Connection // for the exporter
}

// RecordDrops counts the DTLS records that an engine has dropped, by reason. Anybody
// can send those, so a drop is never an error (RFC 9147bis, Section 4.5.2).
type RecordDrops struct {
	// Malformed records do not parse, or are too short to be protected. The rest of
	// their datagram is lost with them.
	Malformed uint64
	// Foreign records are under a connection ID that is not ours.
	Foreign uint64
	// NoKeys counts records of an epoch whose keys are not there: not anymore, or not
	// yet and without room to wait for them.
	NoKeys uint64
	// Forged records do not authenticate.
	Forged uint64
	// Replayed records have come before, or are too old to know.
	Replayed uint64
	// Unprotected records are unencrypted, and at fault or later than they may be.
	Unprotected uint64
	// Misplaced records are authentic, but of no use at that point, such as data before
	// the handshake is complete.
	Misplaced uint64
}

// Total is the sum of all reasons.
func (d RecordDrops) Total() uint64 {
	return d.Malformed + d.Foreign + d.NoKeys + d.Forged + d.Replayed + d.Unprotected + d.Misplaced
}

// Drops counts the DTLS records that were dropped since the engine was made or Reset.
// It is cheaper than State.
func (e *Engine) Drops() RecordDrops {
	d := e.carrier.Dropped()
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

// State describes the connection. It makes copies; HandshakeComplete is cheap.
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
		DroppedRecords:       e.Drops().Total(),
		Drops:                e.Drops(),
		EarlyDataOffered:     c.EarlyData != handshake.NoEarlyData,
		EarlyDataAccepted:    c.EarlyData == handshake.EarlyDataAccepted,
		HelloRetryRequest:    c.Retried,
		ExtendedMasterSecret: c.EMS || c.Version == wire.VersionTLS13,
		LocalSignatureScheme: tls.SignatureScheme(c.LocalScheme),
		PeerSignatureScheme:  tls.SignatureScheme(c.PeerScheme),
		LocalCertificate:     c.Local,
		conn:                 c,
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
		}
		s.OCSPResponse = slices.Clone(p.OCSP)
		for sct := range wire.SCTs(p.SCTs) {
			s.SignedCertificateTimestamps = append(s.SignedCertificateTimestamps, slices.Clone(sct))
		}
	}
	return s
}
