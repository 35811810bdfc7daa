package main

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"syscall"

	"github.com/hermetic-tls/hermetic"
)

// adviceFor is what to do about an error, or "".
func adviceFor(err error) string {
	var alert *hermetic.AlertError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var dns *net.DNSError
	switch {
	case errors.As(err, &unknown):
		return "We sent the alert unknown_ca. Give the authority's certificate with --cacert FILE, or accept any with --insecure."
	case errors.As(err, &name):
		return "We sent the alert bad_certificate. Give the name that the certificate has with --servername NAME."
	case errors.As(err, &alert):
		return adviceForAlert(alert)
	case errors.Is(err, hermetic.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return "Nobody answers there: look at the port, and for DTLS at what lets UDP through."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Nobody listens there. For a server to try: hermetic server ADDR"
	case errors.As(err, &dns):
		return "Check the host's name."
	}
	return ""
}

// adviceForAlert says from which side the alert came, and what it asks for.
func adviceForAlert(a *hermetic.AlertError) string {
	side := "We sent the alert " + a.Alert.String() + ". "
	if a.Received {
		side = "The peer sent the alert. "
	}
	switch a.Alert {
	case hermetic.AlertProtocolVersion:
		return side + "The peers share no version, or it does not speak TLS there: try without --tls12/--tls13, and look at the port."
	case hermetic.AlertHandshakeFailure:
		return side + "The peers share no cipher suite, group or signature scheme: try without --ciphers and --groups, or with another certificate."
	case hermetic.AlertNoApplicationProtocol:
		return side + "The server knows none of the protocols of --alpn."
	case hermetic.AlertCertificateRequired, hermetic.AlertBadCertificate:
		if a.Received {
			return side + "The server wants another certificate of ours: give one with --cert FILE."
		}
		return side + "Look at the certificate with 'hermetic client --insecure'."
	case hermetic.AlertUnknownCA:
		return side + "It does not know the authority of our certificate."
	case hermetic.AlertCertificateExpired:
		return side + "Renew the certificate, or look at the clock."
	case hermetic.AlertUnrecognizedName:
		return side + "The server has no certificate for this name: try --servername NAME."
	}
	return side
}
