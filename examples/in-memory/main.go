// In-memory makes a TLS connection without a network: two engines, and two
// slices between them. Tests of protocols on top of TLS can do the same.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/hermetic-tls/hermetic"
)

// carry passes all output of from to to, and returns the data.
func carry(from, to *hermetic.Engine) (data []byte, err error) {
	for in := from.Output(nil); len(in) > 0; {
		o, err := to.Open(in)
		if err != nil {
			return data, err
		}
		data = append(data, o.Data...)
		in = in[o.N:]
	}
	return data, nil
}

func run(w io.Writer) error {
	server, err := hermetic.NewEngine(hermetic.TLSServer, &hermetic.Config{})
	if err != nil {
		return err
	}
	client, err := hermetic.NewEngine(hermetic.TLSClient, &hermetic.Config{InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	flights := 0
	for from, to := client, server; !client.HandshakeComplete() || !server.HandshakeComplete(); from, to = to, from {
		if _, err := carry(from, to); err != nil {
			return err
		}
		flights++
	}
	fmt.Fprintf(w, "%s after %d flights\n", tls.VersionName(client.State().Version), flights)

	record, err := client.Seal(nil, []byte("no network was harmed"))
	if err != nil {
		return err
	}
	o, err := server.Open(record)
	fmt.Fprintf(w, "%s\n", o.Data)
	return err
}

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}
