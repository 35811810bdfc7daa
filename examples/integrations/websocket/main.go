// Command websocket is a WebSocket server, and its client, over hermetic:
//
//	websocket server localhost:4433 server.pem
//	websocket client wss://localhost:4433/ ca.pem hello
//
// The file server.pem has a certificate and its key. The server sends each message back.
package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/coder/websocket"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

var errUsage = errors.New("usage: websocket server ADDRESS KEY-PAIR-FILE, or websocket client URL CA-FILE MESSAGE")

func run(out io.Writer, args []string) error {
	switch {
	case len(args) == 3 && args[0] == "server":
		cfg, err := hermetic.LoadConfig(hermetic.TLSServer, "", args[2])
		if err != nil {
			return err
		}
		l, err := netconn.Listen("tcp", args[1], cfg)
		if err != nil {
			return err
		}
		// Serve is net/http's Serve for the listener's connections. It offers HTTP/2 and
		// HTTP/1.1; a WebSocket begins with a request of HTTP/1.1.
		return netconn.Serve(newServer(), l)
	case len(args) == 4 && args[0] == "client":
		cas, err := hermetic.LoadCertPool(args[2])
		if err != nil {
			return err
		}
		return say(out, args[1], cas, args[3])
	}
	return errUsage
}

// maxMessage is the size of the largest message accepted, in bytes.
const maxMessage = 64 << 10

func newServer() *http.Server {
	return &http.Server{
		Handler:           http.HandlerFunc(echo),
		ReadHeaderTimeout: 10 * time.Second, // also for the TLS handshake
	}
}

// echo sends each message back.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil) // takes the connection over; it answers if it refuses
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(maxMessage)
	for {
		ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
		kind, message, err := c.Read(ctx)
		if err == nil {
			err = c.Write(ctx, kind, message)
		}
		cancel()
		if err != nil {
			return
		}
	}
}

// say sends a message and prints the answer.
func say(out io.Writer, url string, cas *x509.CertPool, message string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// All of the client's TLS is in the transport: it verifies the name in the URL.
	transport := netconn.Transport(&hermetic.Config{RootCAs: cas})
	defer transport.CloseIdleConnections()
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		return err
	}
	defer c.CloseNow()
	if err := c.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		return err
	}
	_, answer, err := c.Read(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, string(answer))
	return c.Close(websocket.StatusNormalClosure, "")
}
