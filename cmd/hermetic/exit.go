package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/hermetic-tls/hermetic"
)

// The exit codes: see exitCodes.
const (
	exitFailure = iota + 1
	exitUsage
	exitAddress
	exitTimeout
	exitUntrusted
	exitName
	exitExpired
	exitProtocol
	exitRefused
	exitDisconnected
)

// exitCodes are the exit codes and their meanings. The README has the same table.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{0, "success"},
	{exitFailure, "another failure, such as an error in a Lua script"},
	{exitUsage, "an argument, a flag, or a file that a flag names cannot be used"},
	{exitAddress, "the address: connection refused, host unknown or unreachable, or already in use"},
	{exitTimeout, "the peer does not answer in time"},
	{exitUntrusted, "the peer's certificate is not trusted"},
	{exitName, "the server's certificate is for another name"},
	{exitExpired, "the peer's certificate has expired, or is not valid yet"},
	{exitProtocol, "protocol error: not TLS, nothing in common, or a violation"},
	{exitRefused, "the peer rejects our certificate or PSK, or requires one"},
	{exitDisconnected, "the peer disconnects before the end"},
}

// exitHelp describes the exit codes for the help text.
func exitHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "  %2d  %s\n", e.code, e.meaning)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// exitCode returns the exit code for an error.
func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case isUsage(err):
		return exitUsage
	case isTimeout(err):
		return exitTimeout
	}
	if code := exitOfCertificate(err); code != 0 {
		return code
	}
	var alert *hermetic.AlertError
	if errors.As(err, &alert) {
		return exitOfAlert(alert)
	}
	return exitOfTransport(err)
}

func isUsage(err error) bool {
	var usage *usageError
	var config *hermetic.ConfigError
	var file *hermetic.FileError
	return errors.As(err, &usage) || errors.As(err, &config) || errors.As(err, &file)
}

func isTimeout(err error) bool {
	var slow *slowError
	return errors.As(err, &slow) || errors.Is(err, hermetic.ErrTimeout) || errors.Is(err, os.ErrDeadlineExceeded)
}

// exitOfCertificate returns the exit code for a certificate that does not verify, or 0.
func exitOfCertificate(err error) int {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &name):
		return exitName
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return exitExpired
	case errors.As(err, &invalid), errors.As(err, &unknown):
		return exitUntrusted
	}
	return 0
}

func exitOfAlert(a *hermetic.AlertError) int {
	switch a.Alert {
	case hermetic.AlertUnknownCA, hermetic.AlertBadCertificate, hermetic.AlertUnsupportedCertificate, hermetic.AlertCertificateRevoked,
		hermetic.AlertCertificateExpired, hermetic.AlertCertificateUnknown, hermetic.AlertBadCertificateStatusResponse:
		if !a.Received {
			return exitUntrusted
		}
		return exitRefused
	case hermetic.AlertCertificateRequired, hermetic.AlertAccessDenied, hermetic.AlertUnknownPSKIdentity, hermetic.AlertDecryptError:
		if a.Received {
			return exitRefused
		}
	}
	return exitProtocol
}

func exitOfTransport(err error) int {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EADDRINUSE):
		return exitAddress
	case errors.As(err, &op) && (op.Op == "dial" || op.Op == "listen"):
		return exitAddress
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return exitDisconnected
	}
	return exitFailure
}
