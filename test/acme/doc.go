// Package acme tests that servers get their certificates by ACME (RFC 8555, RFC 8737) with the
// configurations of golang.org/x/crypto/acme/autocert and github.com/caddyserver/certmagic. The
// certification authority is in the test.
package acme
