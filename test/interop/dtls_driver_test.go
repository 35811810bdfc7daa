package interop

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// udpLink drives an engine over a UDP socket.
type udpLink struct {
	arrived
	conn     *net.UDPConn
	peer     netip.AddrPort // not valid: a server that waits for its client
	before   netip.AddrPort // an earlier client, whose last datagrams may come late
	engine   *hermetic.Engine
	cookies  *hermetic.Config // a server that asks strangers for a cookie; or nil
	byID     bool             // something came under our connection ID
	patience time.Duration    // more than that of other links; or 0
}

// flush sends what is due.
func (l *udpLink) flush() error {
	for d := l.engine.Output(nil); len(d) > 0; d = l.engine.Output(nil) {
		if _, err := l.conn.WriteToUDPAddrPort(d, l.peer); err != nil {
			return err
		}
	}
	return nil
}

// step sends what is due and waits for a datagram or the deadline.
func (l *udpLink) step(until time.Time) error {
	if err := l.flush(); err != nil {
		return err
	}
	if at, ok := l.engine.Deadline(); ok && at.Before(until) {
		until = at
	}
	l.conn.SetReadDeadline(until)
	buf := make([]byte, 1<<16)
	n, from, err := l.conn.ReadFromUDPAddrPort(buf)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return l.engine.Expire()
	case err != nil:
		return err
	}
	if !l.peer.IsValid() && !l.welcome(from, buf[:n]) {
		return nil
	}
	if from != l.peer {
		return nil
	}
	l.raw(buf[:n])
	for in := buf[:n]; len(in) > 0; {
		o, err := l.engine.Open(in)
		if err == hermetic.ErrPending {
			if err := answer(l.engine.Pending()); err != nil {
				return err
			}
			continue
		}
		if err == hermetic.ErrClosed {
			l.closed = true
			return nil
		}
		if err != nil {
			l.conn.WriteToUDPAddrPort(l.engine.Output(nil), l.peer)
			return err
		}
		l.take(o)
		l.byID = l.byID || o.Kind == hermetic.KindNewPath
		in = in[o.N:]
	}
	return nil
}

// welcome takes a stranger for the peer, once it has shown a cookie where one
// is asked for.
func (l *udpLink) welcome(from netip.AddrPort, datagram []byte) bool {
	if from == l.before {
		return false
	}
	if l.cookies != nil {
		id := []byte(from.String())
		answer, ok := l.cookies.AnswerHello(nil, id, datagram)
		if !ok {
			if len(answer) > 0 {
				l.conn.WriteToUDPAddrPort(answer, from)
			}
			return false
		}
		if err := l.engine.SetPeerID(id); err != nil {
			return false
		}
	}
	l.peer = from
	return true
}

// until steps until done, which it checks every now and then.
func (l *udpLink) until(what string, done func() bool) error {
	for deadline := time.Now().Add(max(patience, l.patience)); !done(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: timed out", what)
		}
		if l.closed {
			return fmt.Errorf("%s: the peer has closed", what)
		}
		if err := l.step(time.Now().Add(20 * time.Millisecond)); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// send seals data as one datagram and sends it, after what is due.
func (l *udpLink) send(data []byte) error {
	if err := l.flush(); err != nil {
		return err
	}
	d, err := l.engine.Seal(nil, data)
	if err == nil {
		_, err = l.conn.WriteToUDPAddrPort(d, l.peer)
	}
	return err
}

// sendEarly is send for 0-RTT data, after the ClientHello.
func (l *udpLink) sendEarly(data []byte) error {
	if err := l.flush(); err != nil {
		return err
	}
	d, err := l.engine.SealEarlyData(nil, data)
	if err == nil {
		_, err = l.conn.WriteToUDPAddrPort(d, l.peer)
	}
	return err
}

// close sends close_notify; the socket may serve the next link.
func (l *udpLink) close() {
	l.engine.Close()
	l.flush()
}

// bound waits until a process has the UDP port: what is sent before that is lost,
// and costs a second.
func bound(port int) {
	want := fmt.Sprintf(":%04X ", port)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, table := range []string{"/proc/net/udp", "/proc/net/udp6"} {
			sockets, err := os.ReadFile(table)
			if err != nil && table == "/proc/net/udp" {
				return // no Linux: then the second it is
			}
			if strings.Contains(string(sockets), want) {
				return
			}
		}
	}
}
