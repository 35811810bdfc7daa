package main

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/hermetic-tls/hermetic"
)

const nobody = "There is no answer: check the port and, for DTLS, whether a firewall blocks UDP."

// adviceFor says what to do about an error, or is "".
func adviceFor(err error) string {
	var alert *hermetic.AlertError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var dns *net.DNSError
	var usage *usageError
	var config *hermetic.ConfigError
	var slow *slowError
	var file *hermetic.FileError
	switch {
	case errors.As(err, &config):
		return choices(config.Field)
	case errors.As(err, &usage) && usage.command == nil:
		return ""
	case errors.As(err, &usage):
		return "Usage: " + usage.command.UseLine() + "; the flags: " + usage.command.CommandPath() + " --help"
	case errors.As(err, &file) && errors.Is(err, fs.ErrNotExist):
		return "Check the name. To make certificates for trials: hermetic cert"
	case errors.As(err, &unknown):
		return "We sent the alert unknown_ca. Give the authority's certificate with --cacert FILE, or accept any certificate with --insecure."
	case errors.As(err, &name):
		return "We sent the alert bad_certificate. Give the name that the certificate has with --servername NAME."
	case errors.As(err, &alert):
		return adviceForAlert(alert)
	case errors.As(err, &slow) && slow.mtu != 0:
		return nobody + " A server that asks for cookies may need the whole first ClientHello in one datagram: try a larger --mtu, or none."
	case errors.Is(err, hermetic.ErrTimeout), errors.As(err, &slow):
		return nobody
	case errors.Is(err, syscall.ECONNREFUSED):
		return "No program listens there. To start a server: hermetic server ADDR"
	case errors.Is(err, syscall.EADDRINUSE):
		return "Another program listens there: end it, or choose another port; port 0 is any free one."
	case errors.As(err, &dns):
		return "Check the host name."
	}
	return ""
}

// choices says what the lists of the Config may have, or is "".
func choices(field string) string {
	var l nameList
	switch field {
	case "CipherSuites":
		l = suiteList()
	case "CurvePreferences":
		l = groupList()
	default:
		return ""
	}
	return "Choose from " + strings.Join(l.names(), ", ") + "."
}

// adviceForAlert says which side sent the alert, and what to do about it.
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

// whatToDo says what to do about an alert, or is "".
func whatToDo(a *hermetic.AlertError) string {
	switch a.Alert {
	case hermetic.AlertProtocolVersion:
		return "The peers share no version, or the server does not speak TLS on this port: try without --tls12, --tls13, --dtls12 and --dtls13, and check the port."
	case hermetic.AlertHandshakeFailure:
		return "The peers share no cipher suite, group or signature scheme: try without --ciphers and --groups, with another certificate, or with --psk."
	case hermetic.AlertNoApplicationProtocol:
		return "The server supports none of the protocols of --alpn."
	case hermetic.AlertCertificateRequired, hermetic.AlertBadCertificate:
		if a.Received {
			return "The server requires a client certificate from an authority that it trusts: give one with --cert FILE."
		}
		return "Inspect the certificate with 'hermetic client --insecure'."
	case hermetic.AlertDecryptError, hermetic.AlertBadRecordMAC:
		return "With --psk: the keys differ, or the peer does not know the identity."
	case hermetic.AlertMissingExtension:
		return "With --psk: check the identity, or permit a certificate with --servername NAME."
	case hermetic.AlertUnknownCA:
		return "It does not trust the authority of our certificate."
	case hermetic.AlertCertificateExpired:
		return "Renew the certificate, or check the clock."
	case hermetic.AlertUnrecognizedName:
		return "The server has no certificate for this name: try --servername NAME."
	}
	return ""
}
