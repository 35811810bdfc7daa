package main

import (
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// serveEarly sends back what comes over TLS, early data at once, until the process
// ends. It has a goroutine a connection: the event loop does not tell early data
// apart.
func serveEarly(address string, cfg *hermetic.Config, out io.Writer) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("%s is not HOST:PORT: %w", address, err)
	}
	l, err := netconn.Listen("tcp", address, cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on %s\n", l.Addr())
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go echoEarly(conn.(*netconn.Conn))
	}
}

// echoEarly sends back early data, and then the rest. A replay gets an answer too,
// which it cannot read: no harm is done.
func echoEarly(conn *netconn.Conn) {
	conn.SetReadDeadline(time.Now().Add(idleTimeout))
	buf := make([]byte, 1<<14)
	for {
		n, err := conn.ReadEarlyData(buf)
		if err == io.EOF {
			echo(conn)
			return
		}
		if err == nil {
			_, err = conn.WriteEarlyData(buf[:n])
		}
		if err != nil {
			conn.Close()
			return
		}
	}
}
