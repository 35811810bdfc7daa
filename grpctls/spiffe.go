package grpctls

import (
	"crypto/x509"
	"net/url"
)

// Limits of a SPIFFE ID (SPIFFE-ID, Sections 2.1 and 2.3).
const (
	maxSPIFFEID    = 2048
	maxTrustDomain = 255
)

// spiffeID returns the SPIFFE ID of a chain's leaf, or nil without a valid one. An X.509-SVID has
// exactly one URI (X.509-SVID, Section 2). grpc's own credentials judge in the same way.
func spiffeID(chain []*x509.Certificate) *url.URL {
	if len(chain) == 0 || len(chain[0].URIs) != 1 {
		return nil
	}
	id := chain[0].URIs[0]
	valid := id != nil && id.Scheme == "spiffe" && id.Opaque == "" && id.User.Username() == "" &&
		0 < len(id.Host) && len(id.Host) <= maxTrustDomain && id.Path != "" && len(id.String()) <= maxSPIFFEID
	if !valid {
		return nil
	}
	return id
}
