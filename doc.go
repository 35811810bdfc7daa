// Package hermetic is TLS and DTLS 1.2 and 1.3 without I/O: an engine that never opens a
// socket, never starts a goroutine, never sets a timer and never reads a clock
// or a random source that it was not given. Bytes go in, bytes come out.
//
// An [Engine] is one connection. [Engine.Open] takes a record that has come and
// decrypts it in place; [Engine.Output] and [Engine.Seal] append what is to be
// sent to the caller's slice. A record costs no allocation. [Context] is the
// same engine behind a non-blocking io.ReadWriter: the callback API of the Lua
// module mbedtls.ssl, in Go.
//
// A [Config] serves any number of connections, verifies by default, and speaks
// modern cryptography only: TLS 1.3, and TLS 1.2 with ECDHE or PSKs, and AEADs.
//
// # Errors
//
// What the peer does wrong is an [*AlertError], which says the alert, from whom
// it came, and the cause in words; errors.As finds a crypto/x509 error behind
// it. What the caller does wrong is an [ErrInvalidOperation]. A transport's own
// errors come back unchanged. After a fatal error every call repeats it until
// Reset.
//
// # Waiting for others
//
// A private key in a hardware module, a certificate to be fetched, a verdict
// from elsewhere: with [Config.Async] the engine stops with a value that says
// what it wants ([Engine.Pending]), and goes on when the caller answers.
package hermetic

// Version is the release that this source is, or becomes: each module's tag ends with it.
const Version = "0.1.0"
