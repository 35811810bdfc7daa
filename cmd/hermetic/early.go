package main

import (
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// serveEarly is an echo for clients that may send early data, until the process ends.
func serveEarly(address string, cfg *hermetic.Config, out io.Writer, fails failures) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("%s is not HOST:PORT: %w", address, err)
	}
	l, err := netconn.Listen("tcp", address, cfg)
	if err != nil {
		return err
	}
	return acceptAll(l, out, func(conn *netconn.Conn) { echoEarly(conn, fails) })
}

// echoEarly sends back early data at once, and then the rest. A replay gets an answer
// too, which it cannot read: no harm is done. The event loop could not tell early
// data apart.
func echoEarly(conn *netconn.Conn, fails failures) {
	conn.SetReadDeadline(time.Now().Add(idleTimeout))
	buf := make([]byte, 1<<14)
	for {
		n, err := conn.ReadEarlyData(buf)
		if err == io.EOF {
			echoBack(conn)
			return
		}
		if err == nil {
			_, err = conn.WriteEarlyData(buf[:n])
		}
		if err != nil {
			if !conn.State().HandshakeComplete {
				fails.say(conn.RemoteAddr(), err)
			}
			conn.Close()
			return
		}
	}
}
