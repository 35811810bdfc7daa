package netconn_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// net/http serves HTTP/1.1 over the listener as over any other, and sets
// Request.TLS.
func Example_http() {
	l, err := netconn.Listen("tcp", "127.0.0.1:0", &hermetic.Config{NextProtos: []string{"http/1.1"}})
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s over %s", r.Proto, tls.VersionName(r.TLS.Version))
	}))
	defer l.Close()

	// A client over netconn, too. It accepts the server's self-signed certificate,
	// which is made in the process where Certificates are not set.
	cfg := &hermetic.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
	client := &http.Client{Transport: &http.Transport{
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return netconn.Dial(ctx, network, addr, cfg)
		},
	}}
	r, err := client.Get("https://" + l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(body))
	// Output: HTTP/1.1 over TLS 1.3
}

// A DTLS server for any number of peers on one socket, and one of them.
func ExampleListenPacket() {
	l, err := netconn.ListenPacket("udp", "127.0.0.1:0", &hermetic.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept() // its handshake is complete
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()

	conn, err := netconn.Dial(context.Background(), "udp", l.Addr().String(), &hermetic.Config{InsecureSkipVerify: true})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("a datagram")); err != nil {
		log.Fatal(err)
	}
	buf := make([]byte, 1500)
	n, err := conn.Read(buf)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s came back\n", buf[:n])
	// Output: a datagram came back
}
