package netconn_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// An echo server over TLS.
func ExampleListen() {
	l, err := netconn.Listen("tcp", "127.0.0.1:0", &hermetic.Config{}) // for your certificate: hermetic.LoadConfig
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(time.Minute)) // for the handshake too
				io.Copy(conn, conn)
			}()
		}
	}()
	defer l.Close()
	fmt.Println(echoed(l.Addr()))
	// Output: hello
}

// echoed dials, and returns what comes back.
func echoed(addr net.Addr) string {
	conn, err := netconn.Dial(context.Background(), addr.Network(), addr.String(), &hermetic.Config{InsecureSkipVerify: true})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		log.Fatal(err)
	}
	reply := make([]byte, 5)
	if _, err := io.ReadFull(conn, reply); err != nil {
		log.Fatal(err)
	}
	return string(reply)
}

// A client that gives up after a while.
func ExampleDial() {
	l, err := netconn.Listen("tcp", "127.0.0.1:0", &hermetic.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			io.WriteString(conn, "welcome") // after the handshake
			conn.Close()
		}
	}()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// In a real client: ServerName, and RootCAs if they are not the system's.
	conn, err := netconn.Dial(ctx, "tcp", l.Addr().String(), &hermetic.Config{InsecureSkipVerify: true})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	said, err := io.ReadAll(conn)
	fmt.Printf("%s, %v\n", said, err)
	// Output: welcome, <nil>
}

// Client and Server speak TLS over any connection that is there already.
func ExampleClient() {
	a, b := net.Pipe()
	go func() {
		conn := netconn.Server(b, &hermetic.Config{})
		io.Copy(conn, conn)
	}()
	conn := netconn.Client(a, &hermetic.Config{InsecureSkipVerify: true})
	defer conn.Close()
	if err := conn.Handshake(); err != nil { // or the first Read or Write performs it
		log.Fatal(err)
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		log.Fatal(err)
	}
	reply := make([]byte, 5)
	n, err := io.ReadFull(conn, reply)
	fmt.Printf("%s, %v\n", reply[:n], err)
	// Output: hello, <nil>
}

// A DTLS listener with its own bounds.
func ExampleNewPacketListener() {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	l, err := netconn.NewPacketListener(pc, &hermetic.Config{}, &netconn.PacketConfig{
		MaxPeers:  10_000,
		OnFailure: func(peer net.Addr, err error) { log.Println(peer, err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			io.Copy(conn, conn)
		}
	}()
	fmt.Println(echoed(l.Addr()))
	// Output: hello
}

// The server and the client of net/http: HTTP/2, or HTTP/1.1.
func ExampleServe() {
	l, err := netconn.Listen("tcp", "127.0.0.1:0", &hermetic.Config{}) // with a self-signed certificate
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.Proto, r.TLS.NegotiatedProtocol)
	})}
	defer srv.Close()
	go netconn.Serve(srv, l)

	client := &http.Client{Transport: netconn.Transport(&hermetic.Config{InsecureSkipVerify: true})}
	resp, err := client.Get("https://" + l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(os.Stdout, resp.Body)
	// Output: HTTP/2.0 h2
}

// A Dialer has options, and its DialContext fits where other packages want one.
func ExampleDialer() {
	l, err := netconn.Listen("tcp", "127.0.0.1:0", &hermetic.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "hello")
	}()
	d := &netconn.Dialer{
		NetDialer:        &net.Dialer{Timeout: time.Minute}, // of the connection and the handshake
		Config:           &hermetic.Config{InsecureSkipVerify: true},
		HandshakeTimeout: 10 * time.Second,
	}
	conn, err := d.DialContext(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", got)
	// Output: hello
}
