package hermetic

import (
	"cmp"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic/trace"
)

// Mode is the protocol and the role of a connection. The zero value is none of them.
type Mode uint8

const (
	// TLSClient is a client over a stream, such as TCP.
	TLSClient Mode = iota + 1
	// TLSServer is a server over a stream.
	TLSServer
	// DTLSClient is a client over datagrams, such as UDP.
	DTLSClient
	// DTLSServer is a server over datagrams.
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

// ParseMode is the inverse of [Mode.String]. The match is exact; any other name is an
// [ErrInvalidOperation].
func ParseMode(name string) (Mode, error) {
	for m := TLSClient; m <= DTLSServer; m++ {
		if m.String() == name {
			return m, nil
		}
	}
	return 0, &invalidOperation{"hermetic: mode '" + name + "' is none of tls-client, tls-server, dtls-client, dtls-server"}
}

var errMode = &invalidOperation{"hermetic: the mode is none of TLSClient, TLSServer, DTLSClient, DTLSServer"}

func (m Mode) valid() bool { return TLSClient <= m && m <= DTLSServer }

// IsServer reports whether m is TLSServer or DTLSServer.
func (m Mode) IsServer() bool { return m == TLSServer || m == DTLSServer }

// IsDTLS reports whether m is DTLSClient or DTLSServer.
func (m Mode) IsDTLS() bool { return m == DTLSClient || m == DTLSServer }

// Async is a set of the questions that an engine asks its caller, through
// [Engine.Pending], instead of answering them from the [Config]. The table in the package
// documentation has all of them.
type Async uint16

const (
	// AsyncChoose asks which certificate to send: a [ChooseRequest].
	AsyncChoose Async = 1 << iota
	// AsyncSign asks for a signature: a [SignRequest]. Of the certificate's PrivateKey only
	// the public key is then used.
	AsyncSign
	// AsyncVerify asks for a verdict on the peer's certificate, after the checks that the
	// Config demands: a [VerifyRequest].
	AsyncVerify
	// AsyncSession asks a client which session to offer, instead of calling the
	// SessionCache's Get: a [SessionRequest].
	AsyncSession
	// AsyncTicketKeys asks a server for the keys of its tickets: a [TicketKeysRequest].
	AsyncTicketKeys
	// AsyncPSK asks a server for the PSK of an identity that is not in PSKs: a
	// [PSKRequest].
	AsyncPSK
	// AsyncReplay asks a server whether early data is new: a [ReplayRequest].
	AsyncReplay
	// AsyncConfig asks a server which Config to use for a client, instead of calling
	// GetConfigForClient: a [ConfigRequest].
	AsyncConfig
	// AsyncClientPSK asks a client for its PSK, instead of calling GetClientPSK: a
	// [ClientPSKRequest].
	AsyncClientPSK
)

// asyncNames are in the order of the constants.
var asyncNames = [...]string{"Choose", "Sign", "Verify", "Session", "TicketKeys", "PSK", "Replay", "Config", "ClientPSK"}

// String returns the names of the constants without "Async", such as "Sign|Verify", or "None".
func (a Async) String() string {
	var names []string
	for i, name := range asyncNames {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if unknown := a &^ (1<<len(asyncNames) - 1); unknown != 0 {
		names = append(names, fmt.Sprintf("0x%x", uint16(unknown)))
	}
	return cmp.Or(strings.Join(names, "|"), "None")
}

// asks reports whether the caller answers that question itself.
func (c *Config) asks(what Async) bool { return c.Async&what != 0 }

// CertificateType is the type of what a Certificate message contains (RFC 7250).
type CertificateType uint8

const (
	// CertificateX509 is a chain of X.509 certificates.
	CertificateX509 CertificateType = 0
	// CertificateRawPublicKey is a public key without a certificate.
	CertificateRawPublicKey CertificateType = 2
)

// String returns the name in the registry: "X509" or "RawPublicKey".
func (t CertificateType) String() string {
	switch t {
	case CertificateX509:
		return "X509"
	case CertificateRawPublicKey:
		return "RawPublicKey"
	}
	return fmt.Sprintf("CertificateType(%d)", uint8(t))
}

// A Config says how connections are made. It serves any number of them at the same time,
// and must not be modified after its first use: make a [Config.Clone] instead.
//
// The zero value is a server with a self-signed certificate that is made at first use, or,
// once it has a ServerName, a client that verifies the server by the system's roots.
type Config struct {
	// Time returns the current time. It may be called from many goroutines. Nil means
	// time.Now.
	Time func() time.Time

	// Rand is the source of randomness. It must be safe for concurrent use when the Config
	// is. If it fails, or returns no bytes and no error 100 times in a row, the handshake fails
	// with internal_error. Nil means crypto/rand.Reader.
	Rand io.Reader

	// Certificates are our own certificates. The first that fits the peer best is sent: by
	// its signature schemes, its server name, the authorities that it accepts and the
	// signatures in the chain. One without Certificate, only with a PrivateKey, is the raw
	// public key of that key (RFC 7250).
	//
	// A server with neither Certificates nor GetCertificate uses a self-signed certificate,
	// which is made in the process and whose key never leaves it. A client without
	// Certificates sends none.
	Certificates []tls.Certificate

	// GetCertificate, on a server, chooses the certificate. Returning nil, nil leaves the
	// choice to Certificates; an error ends the handshake. The result is read once, at that
	// moment, and may be replaced afterwards.
	GetCertificate func(*ClientHello) (*tls.Certificate, error)

	// GetClientCertificate, on a client, chooses the certificate when the server requests
	// one. An empty certificate, or nil, sends none; an error ends the handshake. Nil leaves
	// the choice to Certificates.
	GetClientCertificate func(*CertificateRequest) (*tls.Certificate, error)

	// GetConfigForClient, on a server, may return another Config for a client; returning
	// nil, nil keeps this one, and an error ends the handshake. Unless the other Config has
	// TicketKeys or AsyncTicketKeys, the ticket keys and the replay guard are those of this
	// one, so that sessions are resumed whichever Config they began with.
	GetConfigForClient func(*ClientHello) (*Config, error)

	// RootCAs are the authorities that a client verifies servers by. Nil means the system's.
	RootCAs *x509.CertPool

	// ClientCAs are the authorities that a server verifies clients by, as ClientAuth
	// demands. Nil means the system's.
	ClientCAs *x509.CertPool

	// ClientCANames, on a server, are the distinguished names (DER) of the acceptable
	// authorities in its request for a certificate. Nil means the subjects of ClientCAs; if
	// those take more than 16 KiB, none is sent, which means any authority.
	ClientCANames [][]byte

	// ClientAuth, on a server, is what it demands of its clients. Zero, NoClientCert, requests
	// no certificate.
	//
	// A client that uses a PSK sends no certificate: RequireAnyClientCert and
	// RequireAndVerifyClientCert are an error together with PSKs, GetPSK or AsyncPSK. To
	// accept either, use VerifyClientCertIfGiven and a VerifyConnection that refuses a
	// connection with neither PeerCertificates nor PSKIdentity.
	ClientAuth tls.ClientAuthType

	// ServerName, on a client, is the name or IP address that the server's certificate must
	// have. A name is also sent as server_name (RFC 6066, Section 3). A client must have a
	// ServerName, InsecureSkipVerify, ServerNameOptional, PSKs, GetClientPSK or PeerPublicKeys.
	ServerName string

	// ServerNameOptional lets a client be made without a ServerName, which SetServerName
	// may set later. A server is then accepted under any name, if RootCAs have signed its
	// certificate: use it only where every holder of such a certificate may pose as the
	// server. Without RootCAs, a certificate is not accepted without a name: the system's
	// roots sign for everybody.
	ServerNameOptional bool

	// InsecureSkipVerify, on a client, accepts any certificate of the server, so that anyone
	// on the path can read and change everything. VerifyPeerCertificate and VerifyConnection
	// are still called.
	InsecureSkipVerify bool

	// VerifyPeerCertificate, if set, is called after the ordinary verification of a
	// certificate, as in crypto/tls. It is called again for the certificate of a session that
	// is verified again. An error ends the handshake with bad_certificate, or with the alert
	// of an *[AlertError].
	VerifyPeerCertificate func(rawCerts [][]byte, verifiedChains [][]*x509.Certificate) error

	// VerifyConnection, if set, is called in every handshake after the peer is verified,
	// also when a session is resumed or no certificate was sent. An error ends the handshake
	// with bad_certificate, or with the alert of an *[AlertError].
	//
	// It is also called before early data is offered under a session that another Config
	// established; an error then only suppresses the early data.
	VerifyConnection func(ConnectionState) error

	// CertificateTypes, on a client, are the types of certificate that it offers to send,
	// the preferred first (RFC 7250). Nil means the types of its Certificates.
	CertificateTypes []CertificateType

	// PeerCertificateTypes are the types of certificate that the peer may send, the
	// preferred first (RFC 7250). Nil means X.509 only. CertificateRawPublicKey requires
	// PeerPublicKeys, VerifyConnection, AsyncVerify or InsecureSkipVerify, since no
	// authority vouches for a raw key.
	PeerCertificateTypes []CertificateType

	// PeerPublicKeys are the raw public keys that are accepted when PeerCertificateTypes has
	// CertificateRawPublicKey. A server asks its clients for one only with ClientAuth.
	PeerPublicKeys []crypto.PublicKey

	// NextProtos are the ALPN protocols, the preferred first (RFC 7301). A server that has
	// some and shares none with a client that offers some ends the handshake with
	// no_application_protocol. Nil negotiates none.
	NextProtos []string

	// MinVersion is the oldest version accepted: tls.VersionTLS12 or tls.VersionTLS13, which
	// in DTLS mean DTLS 1.2 and DTLS 1.3. Zero means 1.2.
	MinVersion uint16

	// MaxVersion is the newest version accepted, with the same values. Zero means 1.3.
	MaxVersion uint16

	// CipherSuites are the cipher suites of both versions, the preferred first, out of
	// [CipherSuites]. A version without any suite is neither offered nor accepted. Nil means
	// all but those with CCM; TLS 1.2 suites with a PSK are included only if there are PSKs.
	//
	// The server's order decides, with one exception, as in crypto/tls: a client that lists
	// ChaCha20-Poly1305 first has no AES instructions, and gets a suite with that if there
	// is one with the same key exchange and authentication.
	CipherSuites []uint16

	// CurvePreferences are the key exchange groups, the preferred first, out of [Groups] and
	// KeyExchanges. Nil means X25519MLKEM768, SecP256r1MLKEM768, SecP384r1MLKEM1024, X25519,
	// P-256, P-384 and P-521. [MLKEM1024] is used only if it is named.
	CurvePreferences []tls.CurveID

	// KeyShares, on a client, are the groups of CurvePreferences that its first ClientHello
	// has key shares for, in the same order (RFC 9846, Section 4.3.8). Nil means the first
	// group, and the first of the other kind, post-quantum or not. Empty sends no share, so
	// that the server chooses a group by HelloRetryRequest.
	KeyShares []tls.CurveID

	// KeyExchanges are implementations of groups that take the place of the built-in ones, or
	// add groups that have none; CurvePreferences says which are used. Nil means only the
	// built-in ones, which are the standard library's.
	KeyExchanges []KeyExchange

	// SignatureSchemes are the signature schemes that the peer may use, the preferred first.
	// Nil means ECDSA, RSA-PSS and Ed25519, RSA PKCS #1 in certificates and TLS 1.2, and
	// first of all, if hermetic is built with Go 1.27, ML-DSA in TLS 1.3. Our own signatures depend on the peer and on the SupportedSignatureAlgorithms of each
	// tls.Certificate.
	SignatureSchemes []tls.SignatureScheme

	// Policy limits what is negotiated, and the keys of certificates, for compliance: for
	// example [PolicyFIPS]. A field that contradicts it is an error. Another Config that
	// GetConfigForClient returns has its own. Nil sets no limits.
	Policy *Policy

	// RequireExtendedMasterSecret refuses TLS 1.2 without RFC 7627.
	RequireExtendedMasterSecret bool

	// RequireSecureRenegotiation, on a client, refuses TLS 1.2 servers without RFC 5746.
	RequireSecureRenegotiation bool

	// SessionCache, on a client, keeps sessions by protocol and ServerName. Nil disables
	// resumption. TLS 1.3 sessions arrive after the handshake, and with accepted early data
	// after the server's reply to it: a client that closes without reading gets none.
	SessionCache SessionCache

	// NoTickets, on a server, disables session tickets.
	NoTickets bool

	// Tickets, on a server, is how many tickets it sends after a TLS 1.3 handshake to
	// clients that can use them: 1 if zero, at most 16. A TLS 1.2 client gets one.
	Tickets int

	// TicketLifetime, on a server, is how long a ticket can be used: 24 hours if zero, at
	// most 7 days.
	TicketLifetime time.Duration

	// TicketKeys, on a server, is the source of the keys that seal tickets. Nil means keys
	// that this Config and its Clones share. Those rotate after each TicketLifetime and never
	// leave the process.
	TicketKeys TicketKeySource

	// ResumeSession, on a server, decides about each session that a client may resume. It is
	// called once for each ticket that is valid. In TLS 1.3 the client has proved by its
	// binder that it has the session; in TLS 1.2 that proof follows. Nil resumes all
	// sessions.
	ResumeSession func(*ResumableSession) Resumption

	// IssueTicket, on a server, decides about each ticket before it is made: false issues
	// none. Nil issues all.
	IssueTicket func(ConnectionState) bool

	// EarlyData lets a client send 0-RTT data under sessions that permit it: see
	// [Engine.SealEarlyData]. It needs a SessionCache.
	EarlyData bool

	// MaxEarlyData, on a server, is the number of bytes of early data that it accepts on a
	// connection, and permits in its tickets. Zero disables early data.
	//
	// The largest useful value is 14,336. A server that must reject early data skips it, as
	// every server does for 14,336 bytes, whatever its Config. It skips more only if its own
	// MaxEarlyData permits more, or the ticket, if it can open it. Otherwise a client that
	// has sent more gets a fatal unexpected_message in place of a full handshake. So a larger
	// limit must stay in force for a TicketLifetime, until the tickets that permit it expire.
	MaxEarlyData uint32

	// ReplayGuard, on a server, tells which early data is new (RFC 9846, Section 8). Nil
	// means a guard in memory, of 65,536 ids, that this Config and its Clones share. With
	// TicketKeys or AsyncTicketKeys that guard rejects all early data in its first 30 s.
	ReplayGuard ReplayGuard

	// PSKs are the external pre-shared keys that a client offers, and that a server knows by
	// their identities. A server without a certificate that has PSKs, GetPSK or AsyncPSK
	// accepts nothing else, and neither does a client with PSKs and without ServerName.
	PSKs []PSK

	// GetPSK, on a server, returns the PSK of an identity that is not in PSKs, or nil, nil
	// if it is unknown; an error ends the handshake. Before a session that began with such a
	// PSK is resumed it is called again, and must return the same key.
	GetPSK func(identity []byte) (*PSK, error)

	// GetClientPSK, on a client, returns the PSK for a handshake, which then takes the place of
	// PSKs. Returning nil, nil leaves the choice to PSKs; an error ends the handshake. It is
	// called up to three times in a handshake: see [PSKQuery]. Like PSKs, it makes a client
	// without ServerName accept nothing but a PSK.
	GetClientPSK func(*PSKQuery) (*PSK, error)

	// PSKIdentityHint, on a server, helps TLS 1.2 clients to choose their identity. It is sent,
	// unencrypted, with the cipher suites of RFC 4279 and RFC 5489. Nil sends none: RFC 4279,
	// Section 5.2, recommends a hint only where an application profile defines it. It has
	// at most 16,384 bytes.
	PSKIdentityHint []byte

	// NoOCSPStapling, on a client, does not ask for an OCSP response (RFC 6066, Section 8).
	NoOCSPStapling bool

	// OCSPCheck, on a client, is what it demands of the OCSP responses that the server staples
	// to its certificates. Zero, OCSPCheckNone, demands nothing: see OCSPResponse in
	// ConnectionState.
	OCSPCheck OCSPCheck

	// NoSCTs, on a client, does not ask for signed certificate timestamps (RFC 6962).
	NoSCTs bool

	// Async is the set of questions that the caller answers: see [Engine.Pending]. Zero
	// means that the Config answers all of them.
	Async Async

	// KeyLogWriter receives the secrets of all connections in NSS key log format. Anyone who
	// reads them can decrypt the connections: it is for debugging only. Writes are
	// serialized, and their errors ignored.
	KeyLogWriter io.Writer

	// Trace receives the events of each connection. Package trace describes them, and names the
	// functions that log or save them. Nil disables tracing, which then costs nothing. Trace
	// may be called from many goroutines.
	//
	// A method of the [Engine] calls it just before it returns, on its own goroutine, with all
	// events in order. Trace may call the engine: the events of that call follow when Trace has
	// returned. If Trace panics, the method panics and its results are lost. The connection is
	// not damaged, and the remaining events follow with the next call. With package netconn,
	// Trace must not call the connection, whose locks are held.
	Trace func(trace.Event)

	// ReadAhead lets a [Context] read more from its BIO than the current record still lacks.
	// It saves calls, but takes bytes that may belong to whatever follows TLS.
	ReadAhead bool

	// MaxCertificateMessage is the size of the largest Certificate message accepted, in
	// bytes. Zero means 64 KiB, which is the limit of all other messages.
	MaxCertificateMessage int

	// MaxCertificateCost bounds the work that the peer's certificates may cause before it
	// has proved anything. Beyond it nothing is verified, and the alert is bad_certificate.
	//
	// The unit is one verification with RSA-2048, about 30 µs. One with P-256 counts 3, with
	// RSA-4096 11, with ML-DSA-87 14, with P-384 20, with RSA-8192 41 and with P-521 100. The
	// cost is the sum of 1 for each certificate, 1 for every 256 bytes of them, the signature of
	// the handshake, and each check that crypto/x509 would make if all signatures were good. It
	// makes at most 100.
	//
	// Zero means 500, enough for ten certificates of RSA-4096, and 1 more for every 256 bytes
	// by which MaxCertificateMessage exceeds 64 KiB.
	MaxCertificateCost int

	// CertificateCompressors are the algorithms with which certificates are compressed, in
	// TLS 1.3 and DTLS 1.3, the preferred first (RFC 8879). Our certificates are compressed with
	// the first one that the peer offers, once, and the result is kept for later handshakes. All
	// of them are offered to the peer for its certificates.
	//
	// Nil means none: a client that offers them lets a server that has not authenticated
	// cause the work of decompression, which MaxCertificateMessage and MaxCertificateCost
	// bound. Browsers offer zlib, Brotli or Zstandard.
	CertificateCompressors []CertificateCompressor

	// RecordSizeLimit is the largest record that we want to receive, in bytes of content: 64
	// to 16,385. It is sent as record_size_limit (RFC 8449), where TLS 1.3 counts a byte more
	// than the content. A larger record is a record_overflow, except early data, whose sender
	// does not know the limit yet. A peer that does not support the extension ignores it.
	//
	// Zero means the maximum, which limits nothing but tells the peer that its own limit is
	// respected. There is one exception: with zero, a client with MaxFragmentLength does not
	// send record_size_limit, since servers prefer it to max_fragment_length.
	RecordSizeLimit int

	// MaxFragmentLength, on a client, limits the content of the records of both sides: 512,
	// 1024, 2048 or 4096 bytes. It is sent as max_fragment_length (RFC 6066, Section 4), for
	// servers without record_size_limit. Zero sends none. A server accepts any client's.
	MaxFragmentLength int

	// MaxRecordData is the most plaintext that we send in one record, in bytes: 512 to
	// 16,384. Zero means 16,384. It applies to TLS only. A limit of the peer may lower it: see
	// [Engine.MaxData].
	MaxRecordData int

	// DTLS holds the options that only DTLS has. Its zero value is right for most.
	DTLS DTLSConfig

	tickets ticketSealer // of FromTLS

	compile compileOnce
}

// Clone returns a copy of c that may be modified. Unless the copy sets its own, both share
// what c keeps in memory: the ticket keys, the replay guard and the cookie secret. So a
// session that one has issued is resumed by the other, if that would accept the client.
func (c *Config) Clone() *Config {
	clone := &Config{
		Time:                        c.Time,
		Rand:                        c.Rand,
		Certificates:                c.Certificates,
		GetCertificate:              c.GetCertificate,
		GetClientCertificate:        c.GetClientCertificate,
		GetConfigForClient:          c.GetConfigForClient,
		RootCAs:                     c.RootCAs,
		ClientCAs:                   c.ClientCAs,
		ClientCANames:               c.ClientCANames,
		ClientAuth:                  c.ClientAuth,
		ServerName:                  c.ServerName,
		ServerNameOptional:          c.ServerNameOptional,
		InsecureSkipVerify:          c.InsecureSkipVerify,
		VerifyPeerCertificate:       c.VerifyPeerCertificate,
		VerifyConnection:            c.VerifyConnection,
		CertificateTypes:            c.CertificateTypes,
		PeerCertificateTypes:        c.PeerCertificateTypes,
		PeerPublicKeys:              c.PeerPublicKeys,
		NextProtos:                  c.NextProtos,
		MinVersion:                  c.MinVersion,
		MaxVersion:                  c.MaxVersion,
		CipherSuites:                c.CipherSuites,
		CurvePreferences:            c.CurvePreferences,
		KeyShares:                   c.KeyShares,
		KeyExchanges:                c.KeyExchanges,
		SignatureSchemes:            c.SignatureSchemes,
		Policy:                      c.Policy,
		RequireExtendedMasterSecret: c.RequireExtendedMasterSecret,
		RequireSecureRenegotiation:  c.RequireSecureRenegotiation,
		SessionCache:                c.SessionCache,
		NoTickets:                   c.NoTickets,
		Tickets:                     c.Tickets,
		TicketLifetime:              c.TicketLifetime,
		TicketKeys:                  c.TicketKeys,
		ResumeSession:               c.ResumeSession,
		IssueTicket:                 c.IssueTicket,
		EarlyData:                   c.EarlyData,
		MaxEarlyData:                c.MaxEarlyData,
		ReplayGuard:                 c.ReplayGuard,
		PSKs:                        c.PSKs,
		GetPSK:                      c.GetPSK,
		GetClientPSK:                c.GetClientPSK,
		PSKIdentityHint:             c.PSKIdentityHint,
		NoOCSPStapling:              c.NoOCSPStapling,
		OCSPCheck:                   c.OCSPCheck,
		NoSCTs:                      c.NoSCTs,
		Async:                       c.Async,
		KeyLogWriter:                c.KeyLogWriter,
		Trace:                       c.Trace,
		ReadAhead:                   c.ReadAhead,
		MaxCertificateMessage:       c.MaxCertificateMessage,
		MaxCertificateCost:          c.MaxCertificateCost,
		CertificateCompressors:      c.CertificateCompressors,
		RecordSizeLimit:             c.RecordSizeLimit,
		MaxFragmentLength:           c.MaxFragmentLength,
		MaxRecordData:               c.MaxRecordData,
		DTLS:                        c.DTLS,
		tickets:                     c.tickets,
	}
	clone.compile.shared.Store(c.shared())
	return clone
}
