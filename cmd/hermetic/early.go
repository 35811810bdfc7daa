package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// earlyData returns the content of the file of --early-data, or nil.
func (o *clientOptions) earlyData() ([]byte, error) {
	if o.early == "" {
		return nil, nil
	}
	data, err := os.ReadFile(o.early)
	if err != nil {
		return nil, fmt.Errorf("--early-data: %w", err)
	}
	return data, nil
}

// sendEarly sends as much of data as the session permits. If the server rejects it, it
// must be sent again.
func sendEarly(ctx *hermetic.Context, data []byte) (n int, err error) {
	for n < len(data) {
		m, err := ctx.WriteEarlyData(data[n:])
		if errors.Is(err, hermetic.ErrInvalidOperation) {
			break
		} else if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// whyLate says why some of the early data, of which n bytes were sent, is sent after the
// handshake; "": none is.
func whyLate(cfg *hermetic.Config, size, n int, accepted bool) string {
	file, ok := cfg.SessionCache.(*sessionFile)
	switch {
	case n > 0 && !accepted:
		return "the server rejected it: sent after the handshake"
	case n == size:
		return ""
	case n > 0:
		return fmt.Sprintf("the session permits %d bytes: the rest is sent after the handshake", n)
	case !ok:
		return "no session without --session FILE: sent after the handshake"
	case file.empty:
		return "no session yet: sent after the handshake"
	}
	return "no session that permits it: sent after the handshake"
}

// serveEarly echoes for clients that may send early data, until the process ends.
func serveEarly(address string, cfg *hermetic.Config, out io.Writer, fails failures) error {
	if _, _, err := hostPort(address); err != nil {
		return err
	}
	l, err := netconn.Listen("tcp", address, cfg)
	if err != nil {
		return err
	}
	return acceptAll(l, out, func(conn *netconn.Conn) { echoEarly(conn, fails) })
}

// echoEarly sends back early data at once, and then the rest. A replay gets an answer
// too, but cannot read it, so it does no harm. An event loop could not tell early data
// from other data.
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
