// Command smtp sends a mail, and receives mail, with STARTTLS over hermetic:
//
//	smtp client localhost:2525 ca.pem user password from@example.com to@example.com <mail
//	smtp server localhost:2525 server.pem
//
// An empty user stands for no password. It shows how a connection is upgraded in the middle: any
// protocol with its own STARTTLS works alike. The file server.pem has a certificate and its
// key. The server has no passwords, and prints the mail.
package main

import (
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/smtp"
	"os"
	"time"

	"github.com/hermetic-tls/hermetic"
)

func main() {
	if err := run(os.Stdin, os.Stdout, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

var errUsage = errors.New("usage: smtp client ADDRESS CA-FILE USER PASSWORD FROM TO, or smtp server ADDRESS KEY-PAIR-FILE")

func run(in io.Reader, out io.Writer, args []string) error {
	switch {
	case len(args) == 7 && args[0] == "client":
		cas, err := hermetic.LoadCertPool(args[2])
		if err != nil {
			return err
		}
		host, _, err := net.SplitHostPort(args[1])
		if err != nil {
			return err
		}
		var auth smtp.Auth
		if args[3] != "" {
			auth = overTLS{smtp.PlainAuth("", args[3], args[4], host)}
		}
		return send(in, args[1], cas, auth, args[5], args[6])
	case len(args) == 3 && args[0] == "server":
		cfg, err := hermetic.LoadConfig(hermetic.TLSServer, "", args[2])
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", args[1])
		if err != nil {
			return err
		}
		return serve(l, cfg, out)
	}
	return errUsage
}

// send sends a mail, with TLS or not at all. auth may be nil.
func send(mail io.Reader, address string, cas *x509.CertPool, auth smtp.Auth, from, to string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	conn, err := net.DialTimeout("tcp", address, 30*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	client, err := startTLS(conn, host, &hermetic.Config{RootCAs: cas, ServerName: host})
	if err != nil {
		return err
	}
	if auth != nil {
		if err := client.Auth(auth); err != nil {
			return err
		}
	}
	if err := client.Mail(from); err != nil {
		return err
	}
	if err := client.Rcpt(to); err != nil {
		return err
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, mail); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return client.Quit()
}
