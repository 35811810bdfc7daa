// Http2 serves HTTP/2 and HTTP/1.1 on one port: a connection whose ALPN protocol is
// h2 goes to golang.org/x/net/http2, any other to net/http. Make the certificate
// with: hermetic cert localhost
//
//	go run ./examples/http2 localhost:4433 localhost.pem
//	curl --cacert ca.pem https://localhost:4433/
package main

//lint:file-ignore SA1019 net/http speaks HTTP/2 only over conns of crypto/tls

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/net/http2"

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
	cfg.NextProtos = []string{"h2", "http/1.1"}
	l, err := netconn.Listen("tcp", os.Args[1], cfg)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(serve(l, &http.Server{Handler: http.HandlerFunc(describe)}))
}

// describe tells a client about its connection.
func describe(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s over %s\n", r.Proto, tls.VersionName(r.TLS.Version))
}

// handshakeTimeout is how long a handshake may take.
const handshakeTimeout = 10 * time.Second

// serve serves both protocols until the listener is closed.
func serve(l net.Listener, server *http.Server) error {
	h2 := &http2.Server{}
	if err := http2.ConfigureServer(server, h2); err != nil { // so that Shutdown reaches HTTP/2 as well
		return err
	}
	h1 := &handover{Listener: l, conns: make(chan net.Conn), done: make(chan struct{})}
	defer close(h1.done)
	go server.Serve(h1)
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			c := conn.(*netconn.Conn)
			ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
			defer cancel()
			switch err := c.HandshakeContext(ctx); {
			case err != nil:
				c.Close()
			case c.State().NegotiatedProtocol == "h2":
				h2.ServeConn(c, &http2.ServeConnOpts{BaseConfig: server})
			default:
				h1.give(c)
			}
		}()
	}
}

// handover is a listener whose connections come from another.
type handover struct {
	net.Listener
	conns chan net.Conn
	done  chan struct{}
}

func (h *handover) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.done:
		c.Close()
	}
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}
