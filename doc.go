// Package hermetic is TLS and DTLS 1.2 and 1.3 without I/O: an engine that never opens a
// socket, never starts a goroutine, never sets a timer and never reads a clock or a random
// source that it was not given. Bytes go in, bytes come out.
//
// An [Engine] is one connection. [Engine.Open] decrypts a received record in place;
// [Engine.Output] and [Engine.Seal] append what must be sent to the caller's slice. A record
// costs no allocation. [Engine.OpenAll] and [Engine.SealBuffers] take many small records and many
// slices at once. [Context] is the same engine over a non-blocking io.ReadWriter: the
// callback API of the Lua module mbedtls.ssl, in Go. Package netconn has net.Conn and
// net.Listener over the engine.
//
// A [Config] serves any number of connections, verifies by default, and speaks
// modern cryptography only: TLS 1.3, and TLS 1.2 with ECDHE or PSKs, and AEADs.
//
// # Errors
//
// The failure of a connection is an [*AlertError]: the alert, its sender, and the cause in
// words. It may wrap an error of crypto/x509. A call that is not valid at that point is an
// [ErrInvalidOperation], a Config that cannot be used a [*ConfigError], and a file that does
// not load a [*FileError]. Saved bytes that cannot be read are an [ErrBadState] or an
// [ErrBadSession]. A transport's own errors are returned unchanged. After a fatal error every
// call repeats it until Reset.
//
// Programs that react to errors use errors.Is and errors.As. An error with neither a variable
// nor a type, such as that of a BIO whose Read returns an impossible count, is a fault of the
// program, and its text says what to fix.
//
// # Waiting for others
//
// A handshake asks its Config questions: a field or a callback answers at once. With the
// question's bit in [Config.Async], the engine stops instead, [Engine.Pending] returns a
// request, and the handshake continues when the caller answers it: for a private key in a
// hardware module, a certificate to be fetched, a session in a database.
//
//	question                      callback or field                     bit              request
//	which Config? (server)        GetConfigForClient                    AsyncConfig      ConfigRequest
//	which certificate?            GetCertificate, GetClientCertificate  AsyncChoose      ChooseRequest
//	sign with its key             tls.Certificate.PrivateKey            AsyncSign        SignRequest
//	is the peer good?             VerifyPeerCertificate,                AsyncVerify      VerifyRequest
//	                              VerifyConnection
//	which session? (client)       SessionCache                          AsyncSession     SessionRequest
//	which ticket keys? (server)   TicketKeys                            AsyncTicketKeys  TicketKeysRequest
//	which PSK? (server)           PSKs, GetPSK                          AsyncPSK         PSKRequest
//	which PSK? (client)           GetClientPSK, PSKs                    AsyncClientPSK   ClientPSKRequest
//	is early data new? (server)   ReplayGuard                           AsyncReplay      ReplayRequest
//
// AsyncVerify asks in addition to the callbacks, and AsyncPSK asks after PSKs; the others ask
// in place of what the table names.
package hermetic

// Version is the release that this source is, or becomes: each module's tag ends with it.
const Version = "0.1.0"
