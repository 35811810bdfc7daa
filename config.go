package hermetic

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"
)

// Mode is the protocol and the role of a connection.
type Mode uint8

const (
	TLSClient Mode = iota + 1
	TLSServer
	DTLSClient
	DTLSServer
)

// String returns the mode's name in the Lua API: "tls-client" and so on.
func (m Mode) String() string {
	switch m {
	case TLSClient:
		return "tls-client"
	case TLSServer:
		return "tls-server"
	case DTLSClient:
		return "dtls-client"
	case DTLSServer:
		return "dtls-server"
	}
	return "invalid mode"
}

// ParseMode is the inverse of [Mode.String]. The match is exact.
func ParseMode(name string) (Mode, error) {
	for m := TLSClient; m <= DTLSServer; m++ {
		if m.String() == name {
			return m, nil
		}
	}
	return 0, errors.New("hermetic: mode '" + name + "' is none of tls-client, tls-server, dtls-client, dtls-server")
}

// IsServer reports whether m is TLSServer or DTLSServer.
func (m Mode) IsServer() bool { return m == TLSServer || m == DTLSServer }

// IsDTLS reports whether m is DTLSClient or DTLSServer.
func (m Mode) IsDTLS() bool { return m == DTLSClient || m == DTLSServer }

// Async names the questions that an engine asks its caller, through
// [Engine.Pending], instead of answering them from the [Config].
type Async uint8

const (
	// AsyncChoose asks which certificate to send: a [ChooseRequest].
	AsyncChoose Async = 1 << iota
	// AsyncSign asks for a signature: a [SignRequest]. The PrivateKey of the
	// certificate is then only asked for its public key.
	AsyncSign
	// AsyncVerify asks for a verdict on the peer's certificate, after the
	// checks that the Config demands: a [VerifyRequest].
	AsyncVerify
	// AsyncSession asks a client which session to offer, instead of the
	// SessionCache's Get: a [SessionRequest].
	AsyncSession
	// AsyncTicketKeys asks a server for the keys of its tickets: a
	// [TicketKeysRequest].
	AsyncTicketKeys
	// AsyncPSK asks a server for the PSK of an identity that PSKs do not have: a
	// [PSKRequest].
	AsyncPSK
	// AsyncReplay asks a server whether early data is new: a [ReplayRequest].
	AsyncReplay
)

// asks reports whether the caller answers that question itself.
func (c *Config) asks(what Async) bool { return c.Async&what != 0 }

// CertificateType is what stands in a Certificate message (RFC 7250).
type CertificateType uint8

const (
	CertificateX509         CertificateType = 0
	CertificateRawPublicKey CertificateType = 2
)

// String returns the type's name.
func (t CertificateType) String() string {
	switch t {
	case CertificateX509:
		return "X509"
	case CertificateRawPublicKey:
		return "RawPublicKey"
	}
	return fmt.Sprintf("CertificateType(%d)", uint8(t))
}

// A Config says how connections are made. It serves any number of them, at the
// same time, and must not be modified after its first use. The zero value is a
// client that verifies the server by the system's roots, or a server with a
// self-signed certificate made at first use.
type Config struct {
	// Time and Rand are where the engine gets the time and its randomness.
	// Nil stands for time.Now and crypto/rand.Reader. Rand must be safe for
	// concurrent use when the Config is.
	Time func() time.Time
	Rand io.Reader

	// Certificates are the certificates to choose from: by the peer's
	// signature schemes, server name and accepted authorities, and by what their
	// chains are signed with, the first of those that fit best. One without Certificate, only a PrivateKey, stands for the raw
	// public key of that key (RFC 7250). A server that has none, and no
	// GetCertificate, uses a self-signed one that is made in the process and
	// whose key never leaves it.
	Certificates []tls.Certificate

	// GetCertificate, on a server, is asked before Certificates are looked at;
	// it answers nil, nil to leave the choice to them. What it points to is read
	// once, at that moment, and may be replaced afterwards.
	GetCertificate func(*ClientHello) (*tls.Certificate, error)

	// GetClientCertificate, on a client, is asked when the server requests a
	// certificate; a certificate without contents sends none.
	GetClientCertificate func(*CertificateRequest) (*tls.Certificate, error)

	// GetConfigForClient, on a server, may return another Config for this
	// client, or nil for this one. Unless it has TicketKeys or AsyncTicketKeys,
	// the ticket keys and the replay guard are those of this one, so that
	// sessions are resumed whichever Config they began with.
	GetConfigForClient func(*ClientHello) (*Config, error)

	// RootCAs verify servers, ClientCAs verify clients. Nil: the system's.
	RootCAs   *x509.CertPool
	ClientCAs *x509.CertPool

	// ClientCANames are the distinguished names (DER) that a server's request
	// for a certificate has. Nil: the subjects of ClientCAs, unless these take more
	// than 16 KiB: then none, which stands for any.
	ClientCANames [][]byte

	// ClientAuth is what a server demands of its clients. A client that has a
	// PSK shows no certificate: RequireAnyClientCert and
	// RequireAndVerifyClientCert are an error together with PSKs, GetPSK or
	// AsyncPSK. A server whose clients have the one or the other takes
	// VerifyClientCertIfGiven, and a VerifyConnection that refuses a
	// connection with neither PeerCertificates nor PSKIdentity.
	ClientAuth tls.ClientAuthType

	// ServerName is the name (or IP address) that the server's certificate
	// must have, and that is sent as server_name unless it is an address. A
	// client needs it, or InsecureSkipVerify.
	ServerName string

	// ServerNameOptional lets a client be made without a ServerName, which SetServerName
	// may set later. A server is then accepted under any name, if RootCAs have signed its
	// certificate: use it only where every holder of such a certificate may pose as the
	// server. Without RootCAs, a certificate is not accepted without a name: the system's
	// roots sign for everybody.
	ServerNameOptional bool

	// InsecureSkipVerify accepts any certificate of the server: whoever is
	// between can read everything. VerifyConnection is still called.
	InsecureSkipVerify bool

	// VerifyPeerCertificate and VerifyConnection are called after the
	// ordinary verification, with the same meaning as in crypto/tls; an
	// error ends the handshake with bad_certificate. VerifyConnection is
	// also called when there is no certificate, and VerifyPeerCertificate for
	// that of a session which is verified again. For early data under a session
	// that another Config began VerifyConnection is asked twice: before it is
	// offered (an error: there is none), and when the server has answered.
	VerifyPeerCertificate func(rawCerts [][]byte, verifiedChains [][]*x509.Certificate) error
	VerifyConnection      func(ConnectionState) error

	// CertificateTypes are the types of certificate that a client offers to
	// send, the preferred first. Empty: those of its Certificates.
	CertificateTypes []CertificateType

	// PeerCertificateTypes are the types of certificate that the peer may
	// send, the preferred first. Empty: X.509 only. With CertificateRawPublicKey there
	// must be PeerPublicKeys, a VerifyConnection, AsyncVerify or
	// InsecureSkipVerify, for a raw key has no authority behind it.
	PeerCertificateTypes []CertificateType

	// PeerPublicKeys are the raw public keys that are accepted, where
	// PeerCertificateTypes has CertificateRawPublicKey. A server asks its clients for one only
	// with ClientAuth.
	PeerPublicKeys []crypto.PublicKey

	// NextProtos are the ALPN protocols, the preferred first. A server that
	// has some and shares none with a client that offers some ends the
	// handshake with no_application_protocol.
	NextProtos []string

	// MinVersion and MaxVersion are tls.VersionTLS12 or tls.VersionTLS13; for
	// DTLS they mean DTLS 1.2 and DTLS 1.3. Zero: 1.2 and 1.3.
	MinVersion, MaxVersion uint16

	// CipherSuites are the cipher suites of both versions, the preferred
	// first, of [CipherSuites]. Nil: all but CCM, and those of TLS 1.2 with a PSK only where
	// there are PSKs. A version without any suite here is not
	// offered or accepted.
	CipherSuites []uint16

	// CurvePreferences are the groups, the preferred first. Nil: X25519MLKEM768,
	// SecP256r1MLKEM768, SecP384r1MLKEM1024, X25519, P-256, P-384, P-521.
	CurvePreferences []tls.CurveID

	// KeyShares is which of CurvePreferences a client sends key shares for in
	// its first ClientHello, in the same order. Nil: the first, and the first of
	// the other kind, post-quantum or not. Empty: none, so that the server
	// chooses by HelloRetryRequest.
	KeyShares []tls.CurveID

	// SignatureSchemes are the signature schemes that the peer may use, the
	// preferred first. Nil: ECDSA, RSA-PSS, Ed25519, and RSA PKCS #1 in
	// certificates and TLS 1.2. What we sign with is up to the peer and to
	// the SupportedSignatureAlgorithms of each tls.Certificate.
	SignatureSchemes []tls.SignatureScheme

	// RequireExtendedMasterSecret refuses TLS 1.2 without RFC 7627.
	RequireExtendedMasterSecret bool

	// RequireSecureRenegotiation refuses TLS 1.2 servers without RFC 5746.
	RequireSecureRenegotiation bool

	// SessionCache keeps a client's sessions, by protocol and ServerName. Nil:
	// nothing is resumed. A TLS 1.3 server gives one behind the handshake, where it
	// has accepted early data also behind the answer to that: who reads no further
	// has none.
	SessionCache SessionCache

	// NoTickets is a server without session tickets. Otherwise it gives TLS
	// 1.3 clients that can use them Tickets of them (0: one; at most 16), and
	// TLS 1.2 clients one, which live for TicketLifetime: a day if that is 0, and
	// never longer than seven.
	NoTickets      bool
	Tickets        int
	TicketLifetime time.Duration

	// TicketKeys are the keys of tickets. Nil: keys that this Config and its
	// Clones share, which rotate after each TicketLifetime and never leave the
	// process.
	TicketKeys TicketKeySource

	// EarlyData lets a client offer 0-RTT data with sessions that permit it: see
	// [Engine.SealEarlyData].
	EarlyData bool

	// MaxEarlyData is the number of bytes of early data that a server accepts on
	// a connection, and permits in its tickets. Zero disables early data.
	//
	// The largest useful value is 14,336. A server that must reject early data
	// skips it, as every server does for 14,336 bytes, whatever its Config. It
	// skips more only if its own MaxEarlyData, or the ticket if it can open it,
	// permits more; otherwise a client that has sent more gets a fatal
	// unexpected_message in place of a full handshake. So early data with a
	// larger limit must stay on until the tickets have expired that permit it:
	// for TicketLifetime.
	MaxEarlyData uint32

	// ReplayGuard says which early data a server has not seen before. Nil: a
	// guard in memory, of 65,536 ids, that this Config and its Clones share. With
	// TicketKeys or AsyncTicketKeys it lets nothing pass in its first 30 s.
	ReplayGuard ReplayGuard

	// PSKs are the external pre-shared keys that a client offers, and that a
	// server knows by their identities. A server with PSKs, GetPSK or
	// AsyncPSK that has no certificate accepts nothing else; a client with
	// PSKs and without ServerName too. On a server ClientAuth must not require
	// certificates beside them.
	PSKs []PSK

	// GetPSK, on a server, is asked for an identity that PSKs do not have; it
	// answers nil, nil for one that is not known. It is asked again before a
	// session that began with such a PSK is resumed, for which it must have the same
	// key.
	GetPSK func(identity []byte) (*PSK, error)

	// NoOCSPStapling and NoSCTs keep a client from asking for what it would
	// not look at: an OCSP response, and signed certificate timestamps.
	NoOCSPStapling, NoSCTs bool

	// Async are the questions that the caller answers: see Engine.Pending.
	Async Async

	// KeyLogWriter gets the secrets in NSS key log format, which lets anybody
	// who reads it decrypt the connections: for debugging only. Writes are
	// serialized.
	KeyLogWriter io.Writer

	// ReadAhead lets a Context ask its BIO for more than the current record
	// still lacks.
	ReadAhead bool

	// MaxCertificateMessage is the largest Certificate message accepted, in
	// bytes. Zero: 64 KiB, the limit of all other messages.
	MaxCertificateMessage int

	// MaxCertificateCost bounds the work that the peer's certificates may cause
	// before it has proved anything. The unit is one verification with RSA-2048,
	// some 30 µs; one with P-256 counts 3, with RSA-4096 11, with P-384 20, with
	// RSA-8192 41 and with P-521 100. What counts is each certificate (1) and
	// every 256 bytes of them (1), the signature of the handshake, and each check
	// that crypto/x509 would make if all signatures were good, of which it makes
	// no more than 100. Beyond the limit nothing is verified, and the alert is
	// bad_certificate. Zero: 500, with which ten certificates of RSA-4096 are
	// accepted, and more if MaxCertificateMessage exceeds 64 KiB: 1 for every 256
	// bytes.
	MaxCertificateCost int

	// MaxRecordData is how many bytes of plaintext a sent record has at most,
	// 512 to 16,384. Zero: 16,384.
	MaxRecordData int

	// DTLS holds the options that only DTLS has.
	DTLS DTLSConfig

	compile compileOnce
}

// Clone returns a copy of c that may be modified. What c keeps by itself the two
// share from then on, as long as they do not say otherwise: the ticket keys, the replay
// guard and the cookie secret. So sessions that one has given are resumed by the
// other, if it would accept their clients.
func (c *Config) Clone() *Config {
	clone := &Config{}
	clone.compile.shared.Store(c.shared())
	from, to := reflect.ValueOf(c).Elem(), reflect.ValueOf(clone).Elem()
	for i := range from.NumField() {
		if to.Field(i).CanSet() { // exported
			to.Field(i).Set(from.Field(i))
		}
	}
	return clone
}
