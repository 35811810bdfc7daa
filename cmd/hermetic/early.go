package main

import (
	"io"
	"time"

	"github.com/hermetic-tls/hermetic/netconn"
)

// echoEarly sends back early data at once, and then the rest. A replay gets an answer
// too, which it cannot read: no harm is done. The event loop could not tell early
// data apart.
func echoEarly(conn *netconn.Conn) {
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
			conn.Close()
			return
		}
	}
}
