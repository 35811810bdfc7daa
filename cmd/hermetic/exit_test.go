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
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// TestExitCodes: each kind of failure has its code.
func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("else"), exitFailure},
		{misuse("flag"), exitUsage},
		{&hermetic.ConfigError{Field: "Tickets"}, exitUsage},
		{&hermetic.FileError{File: "x", Err: os.ErrNotExist}, exitUsage},
		{&net.DNSError{Name: "nowhere"}, exitAddress},
		{&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, exitAddress},
		{&net.OpError{Op: "read", Err: syscall.ECONNREFUSED}, exitAddress},
		{&net.OpError{Op: "listen", Err: syscall.EACCES}, exitAddress},
		{&slowError{address: "x"}, exitTimeout},
		{hermetic.ErrTimeout, exitTimeout},
		{x509.UnknownAuthorityError{}, exitUntrusted},
		{x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, exitUntrusted},
		{&hermetic.AlertError{Alert: hermetic.AlertBadCertificate}, exitUntrusted},
		{&hermetic.AlertError{Alert: hermetic.AlertBadCertificateStatusResponse}, exitUntrusted},
		{x509.HostnameError{}, exitName},
		{x509.CertificateInvalidError{Reason: x509.Expired}, exitExpired},
		{&hermetic.AlertError{Alert: hermetic.AlertHandshakeFailure, Received: true}, exitProtocol},
		{&hermetic.AlertError{Alert: hermetic.AlertUnexpectedMessage}, exitProtocol},
		{&hermetic.AlertError{Alert: hermetic.AlertDecryptError}, exitProtocol},
		{&hermetic.AlertError{Alert: hermetic.AlertDecryptError, Received: true}, exitRefused},
		{&hermetic.AlertError{Alert: hermetic.AlertCertificateRequired, Received: true}, exitRefused},
		{&hermetic.AlertError{Alert: hermetic.AlertCertificateExpired, Received: true}, exitRefused},
		{io.ErrUnexpectedEOF, exitDisconnected},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, exitDisconnected},
	} {
		if got := exitCode(test.err); got != test.want {
			t.Errorf("%T %v: %d, want %d", test.err, test.err, got, test.want)
		}
		if wrapped := fmt.Errorf("x: %w", test.err); test.err != nil && exitCode(wrapped) != test.want {
			t.Errorf("%v, wrapped: %d, want %d", test.err, exitCode(wrapped), test.want)
		}
	}
}

// TestExitCodesDocumented: the help text and the README have each code, once.
func TestExitCodesDocumented(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	help := exitHelp()
	for i, e := range exitCodes {
		if e.code != i {
			t.Errorf("code %d is at place %d", e.code, i)
		}
		if row := fmt.Sprintf("| %d | %s |", e.code, e.meaning); !strings.Contains(string(readme), row) {
			t.Errorf("the README has no row %s", row)
		}
		if row := fmt.Sprintf("%2d  %s", e.code, e.meaning); !strings.Contains(help, row) {
			t.Errorf("the help text has no row %s", row)
		}
	}
}

// TestHostileServers: whatever answers, the client ends, and its exit code says why.
func TestHostileServers(t *testing.T) {
	for _, test := range []struct {
		name    string
		answer  func(net.Conn)
		timeout time.Duration
		want    int
	}{
		{"silence", func(net.Conn) {}, 20 * time.Millisecond, exitTimeout},
		{"the end", func(c net.Conn) { c.Close() }, patience, exitDisconnected},
		{"half of a record", func(c net.Conn) { io.WriteString(c, "\x16\x03\x03\x01\x00\x02"); c.Close() }, patience, exitDisconnected},
		{"HTTP", func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, patience, exitProtocol},
		{"SSH", func(c net.Conn) { io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n") }, patience, exitProtocol},
		{"an endless handshake message", func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, "\x16\x03\x03\x40\x00\x02\xff\xff\xff"+strings.Repeat("x", 1<<14-4)); err != nil {
					return
				}
			}
		}, patience, exitProtocol},
		{"an alert", func(c net.Conn) { io.WriteString(c, "\x15\x03\x03\x00\x02\x02\x28") }, patience, exitProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				go test.answer(c)
				io.Copy(io.Discard, c)
			}()
			err = runCommand("client", l.Addr().String(), "--insecure", "--brief", "--timeout", test.timeout.String())
			if got := exitCode(err); got != test.want {
				t.Errorf("exit code %d, want %d: %v", got, test.want, err)
			}
		})
	}
}
