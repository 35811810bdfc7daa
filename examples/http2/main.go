// Http2 serves HTTP/2 and HTTP/1.1 on one port, with net/http over hermetic. Make the certificate
// with: hermetic cert
//
//	go run ./examples/http2 localhost:4433 localhost.pem
//	curl --cacert ca.pem https://localhost:4433/
package main

import (
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: http2 ADDR CERTIFICATE")
	}
	cfg, err := hermetic.LoadConfig(hermetic.TLSServer, "", os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	l, err := netconn.Listen("tcp", os.Args[1], cfg)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(serve(l))
}

// serve serves both protocols until the listener is closed.
func serve(l net.Listener) error {
	return netconn.Serve(&http.Server{
		Handler:           http.HandlerFunc(describe),
		ReadHeaderTimeout: 10 * time.Second, // bounds the handshake too
	}, l)
}

// describe tells a client about its connection.
func describe(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s over %s\n", r.Proto, tls.VersionName(r.TLS.Version))
}
