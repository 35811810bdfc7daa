package main

import (
	"errors"
	"net"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

var (
	errNoStartTLS = errors.New("the server does not offer STARTTLS")
	errInjected   = errors.New("unencrypted data follows the answer to STARTTLS")
)

// startTLS speaks SMTP up to STARTTLS, upgrades the connection, and returns a client that
// continues over it. smtp.Client.StartTLS takes a tls.Config only.
func startTLS(conn net.Conn, host string, cfg *hermetic.Config) (*smtp.Client, error) {
	text := textproto.NewConn(conn)
	if _, _, err := text.ReadResponse(220); err != nil {
		return nil, err
	}
	extensions, err := command(text, 250, "EHLO localhost")
	if err != nil {
		return nil, err
	}
	if !slices.Contains(strings.Split(extensions, "\n"), "STARTTLS") {
		return nil, errNoStartTLS
	}
	if _, err := command(text, 220, "STARTTLS"); err != nil {
		return nil, err
	}
	// Whatever was buffered has come without encryption: an attacker may have sent it, so that
	// it is taken for the server's (RFC 3207, Section 6; CVE-2011-0411).
	if text.R.Buffered() > 0 {
		return nil, errInjected
	}
	secure := netconn.Client(conn, cfg)
	if err := secure.Handshake(); err != nil {
		return nil, err
	}
	// net/smtp expects a greeting, which a server does not repeat (RFC 3207, Section 4.2).
	return smtp.NewClient(&greeted{Conn: secure, greeting: []byte("220 " + host + "\r\n")}, host)
}

func command(text *textproto.Conn, want int, line string) (string, error) {
	if err := text.PrintfLine("%s", line); err != nil {
		return "", err
	}
	_, message, err := text.ReadResponse(want)
	return message, err
}

// greeted is a connection that begins with a greeting.
type greeted struct {
	net.Conn
	greeting []byte
}

func (c *greeted) Read(p []byte) (int, error) {
	if len(c.greeting) > 0 {
		n := copy(p, c.greeting)
		c.greeting = c.greeting[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// overTLS tells an Auth that the connection is encrypted: net/smtp knows that of crypto/tls only,
// and smtp.PlainAuth would refuse to send the password.
type overTLS struct{ smtp.Auth }

func (a overTLS) Start(server *smtp.ServerInfo) (string, []byte, error) {
	encrypted := *server
	encrypted.TLS = true
	return a.Auth.Start(&encrypted)
}
