// Mutual-tls is a server that requires client certificates, and a client
// that has one, over ordinary blocking connections: a Context takes any
// io.ReadWriter. Make the files with: hermetic cert localhost me
//
//	go run ./examples/mutual-tls ca.pem localhost.pem me.pem
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	"github.com/hermetic-tls/hermetic"
)

// greet serves one connection: it tells the client its own name.
func greet(conn net.Conn, cacert, cert string) error {
	cfg, err := hermetic.LoadConfig(hermetic.TLSServer, cacert, cert) // with cacert, clients must have a certificate
	if err != nil {
		return err
	}
	ctx, err := hermetic.NewContext(hermetic.TLSServer, cfg, conn)
	if err != nil {
		return err
	}
	if err := ctx.Handshake(); err != nil {
		return err
	}
	name := ctx.State().PeerCertificates[0].Subject.CommonName
	if _, err := ctx.Write([]byte("hello " + name)); err != nil {
		return err
	}
	return ctx.Close()
}

// visit returns what the server says.
func visit(conn net.Conn, cacert, cert string) (string, error) {
	cfg, err := hermetic.LoadConfig(hermetic.TLSClient, cacert, cert)
	if err != nil {
		return "", err
	}
	cfg.ServerName = "localhost"
	ctx, err := hermetic.NewContext(hermetic.TLSClient, cfg, conn)
	if err != nil {
		return "", err
	}
	var said []byte
	for buf := make([]byte, 1024); ; {
		n, err := ctx.Read(buf)
		said = append(said, buf[:n]...)
		if errors.Is(err, hermetic.ErrClosed) {
			return string(said), ctx.Close()
		}
		if err != nil {
			return string(said), err
		}
	}
}

func run(w io.Writer, cacert, serverCert, clientCert string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			err = greet(conn, cacert, serverCert)
		}
		served <- err
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	said, err := visit(conn, cacert, clientCert)
	fmt.Fprintln(w, said)
	return errors.Join(err, <-served)
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: mutual-tls CA SERVER CLIENT (files in PEM)")
	}
	if err := run(os.Stdout, os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}
