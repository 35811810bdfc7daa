package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// stapled is what the OCSP response of a server says.
type stapled struct {
	Status     string     `json:"status"` // "good", "revoked", "unknown", or "invalid"
	ThisUpdate *time.Time `json:"this_update,omitempty"`
	NextUpdate *time.Time `json:"next_update,omitempty"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty"`
	Responder  string     `json:"responder,omitempty"`
	Error      string     `json:"error,omitempty"`
}

// staple verifies the server's OCSP response, or returns nil if there is none. Without a
// verified chain the issuer is the one that the server shows.
func staple(s hermetic.ConnectionState, now time.Time) *stapled {
	if len(s.OCSPResponse) == 0 || len(s.PeerCertificates) == 0 {
		return nil
	}
	chain := s.PeerCertificates
	if len(s.VerifiedChains) > 0 {
		chain = s.VerifiedChains[0]
	}
	issuer := chain[len(chain)-1]
	if len(chain) > 1 {
		issuer = chain[1]
	}
	o, err := hermetic.VerifyOCSP(s.OCSPResponse, chain[0], issuer, now)
	said := &stapled{Status: "invalid"}
	if err != nil {
		said.Error = err.Error()
	}
	if o == nil {
		return said
	}
	said.Status, said.ThisUpdate, said.NextUpdate, said.Responder = o.Status, &o.ThisUpdate, &o.NextUpdate, responderName(o.Responder)
	if !o.RevokedAt.IsZero() {
		said.RevokedAt = &o.RevokedAt
	}
	return said
}

func responderName(c *x509.Certificate) string { return fromPeer(c.Subject.String()) }

// print prints it, for a person.
func (s *stapled) print(w io.Writer) {
	switch {
	case s == nil:
		return
	case s.NextUpdate == nil:
		fmt.Fprintf(w, "OCSP staple   %s\n", fromPeer(s.Error))
		return
	}
	fmt.Fprintf(w, "OCSP staple   %s, from %s until %s, by %s\n", s.Status, s.ThisUpdate.Format(time.RFC3339), s.NextUpdate.Format(time.RFC3339), s.Responder)
	if s.Error != "" {
		fmt.Fprintf(w, "              %s\n", fromPeer(s.Error))
	}
}
