package main

import (
	"crypto/x509"
	"errors"
	"net"
	"syscall"

	"github.com/hermetic-tls/hermetic"
)

const nobody = "Nobody answers there: look at the port, and for DTLS at what lets UDP through."

// adviceFor is what to do about an error, or "".
func adviceFor(err error) string {
	var alert *hermetic.AlertError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var dns *net.DNSError
	var usage *usageError
	var slow *slowError
	switch {
	case errors.As(err, &usage):
		return "Usage: " + usage.command.UseLine() + "; the flags: " + usage.command.CommandPath() + " --help"
	case errors.As(err, &unknown):
		return "We sent the alert unknown_ca. Give the authority's certificate with --cacert FILE, or accept any with --insecure."
	case errors.As(err, &name):
		return "We sent the alert bad_certificate. Give the name that the certificate has with --servername NAME."
	case errors.As(err, &alert):
		return adviceForAlert(alert)
	case errors.As(err, &slow) && slow.mtu != 0:
		return nobody + " A server that asks for cookies needs the whole first ClientHello in one datagram: try a larger --mtu, or none."
	case errors.Is(err, hermetic.ErrTimeout), errors.As(err, &slow):
		return nobody
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Nobody listens there. For a server to try: hermetic server ADDR"
	case errors.Is(err, syscall.EADDRINUSE):
		return "Something else listens there: end it, or take another port; port 0 is any free one."
	case errors.As(err, &dns):
		return "Check the host's name."
	}
	return ""
}

// adviceForAlert says from which side the alert came, and what it asks for.
func adviceForAlert(a *hermetic.AlertError) string {
	side := "We sent the alert " + a.Alert.String() + "."
	if a.Received {
		side = "The peer sent the alert."
	}
	if advice := whatToDo(a); advice != "" {
		return side + " " + advice
	}
	return side
}

// whatToDo is what an alert asks for, or "".
func whatToDo(a *hermetic.AlertError) string {
	switch a.Alert {
	case hermetic.AlertProtocolVersion:
		return "The peers share no version, or it does not speak TLS there: try without --tls12, --tls13, --dtls12 and --dtls13, and look at the port."
	case hermetic.AlertHandshakeFailure:
		return "The peers share no cipher suite, group or signature scheme: try without --ciphers and --groups, with another certificate, or with --psk."
	case hermetic.AlertNoApplicationProtocol:
		return "The server knows none of the protocols of --alpn."
	case hermetic.AlertCertificateRequired, hermetic.AlertBadCertificate:
		if a.Received {
			return "The server wants a certificate of ours, of an authority that it knows: give one with --cert FILE."
		}
		return "Look at the certificate with 'hermetic client --insecure'."
	case hermetic.AlertDecryptError, hermetic.AlertBadRecordMAC:
		return "With --psk: another key, or an identity that is not known."
	case hermetic.AlertMissingExtension:
		return "With --psk: look at the identity, or permit a certificate with --servername NAME."
	case hermetic.AlertUnknownCA:
		return "It does not know the authority of our certificate."
	case hermetic.AlertCertificateExpired:
		return "Renew the certificate, or look at the clock."
	case hermetic.AlertUnrecognizedName:
		return "The server has no certificate for this name: try --servername NAME."
	}
	return ""
}
