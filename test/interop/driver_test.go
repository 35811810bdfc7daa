// Package interop makes connections with other implementations of TLS.
package interop

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-tls/hermetic"
)

// link drives an engine over a non-blocking socket.
type link struct {
	arrived
	fd     int
	engine *hermetic.Engine
	in     []byte // received, not opened
	out    []byte // to be sent
}

// arrived is what has come over a link.
type arrived struct {
	got    []byte          // application data
	early  []byte          // 0-RTT data
	closed bool            // the peer's close_notify, or the end of the socket
	record func(in []byte) // gets the bytes as they come; or nil
}

func (a *arrived) all() *arrived { return a }

func (a *arrived) raw(in []byte) {
	if a.record != nil {
		a.record(bytes.Clone(in))
	}
}

func (a *arrived) take(o hermetic.Opened) {
	if o.Kind == hermetic.KindEarlyData {
		a.early = append(a.early, o.Data...)
	} else {
		a.got = append(a.got, o.Data...)
	}
}

// patience is how long nothing may happen: gnutls-cli writes what it has received
// byte by byte, and reads nothing before it is done.
const patience = 100 * time.Second

// listen returns a listening socket on loopback and its port.
func listen() (fd, port int, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, 0, err
	}
	if err := unix.Listen(fd, 16); err != nil {
		return 0, 0, err
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		return 0, 0, err
	}
	return fd, addr.(*unix.SockaddrInet4).Port, nil
}

// ports are those that peers listen at: below the ones that the system gives to
// sockets without a fixed port.
var ports []int

var nextPort atomic.Uint32

// findPorts finds ports that nobody has, before any peer is started: a child has
// copies of all our sockets until it executes its program, and so a port that we close
// would not be free at once.
func findPorts() (free []int) {
	for i := range 3000 {
		port := 10000 + (os.Getpid()*101+i)%6000
		tcp, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		tcp.Close()
		udp, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
		if err != nil {
			continue
		}
		udp.Close()
		free = append(free, port)
	}
	return free
}

// freePort is a port for a peer that does not say which one it has taken.
func freePort() int { return ports[int(nextPort.Add(1))%len(ports)] }

func accept(listener int) (int, error) {
	if err := wait(listener, unix.POLLIN, time.Now().Add(patience)); err != nil {
		return 0, err
	}
	fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	return fd, err
}

// connect tries until the peer listens.
func connect(port int) (int, error) {
	for deadline := time.Now().Add(patience); ; {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
		if err == nil {
			return fd, unix.SetNonblock(fd, true)
		}
		unix.Close(fd)
		if time.Now().After(deadline) {
			return 0, err
		}
		unix.Poll(nil, 20)
	}
}

var errTimedOut = errors.New("timed out")

func wait(fd int, events int16, deadline time.Time) error {
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return errTimedOut
		}
		p := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(p, int(left.Milliseconds())+1)
		if err == unix.EINTR || n == 0 && err == nil {
			continue
		}
		return err
	}
}

// step moves what can be moved, waiting at most until deadline.
func (l *link) step(deadline time.Time) error {
	l.out = l.engine.Output(l.out)
	events := int16(unix.POLLIN)
	if len(l.out) > 0 {
		events |= unix.POLLOUT
	}
	if err := wait(l.fd, events, deadline); err != nil {
		return err
	}
	if len(l.out) > 0 {
		n, err := unix.Write(l.fd, l.out)
		if err != nil && err != unix.EAGAIN {
			return err
		}
		l.out = l.out[max(n, 0):]
	}
	var buf [1 << 15]byte
	n, err := unix.Read(l.fd, buf[:])
	switch {
	case err == unix.EAGAIN:
		return nil
	case err != nil:
		return err
	case n == 0:
		l.closed = true
		return nil
	}
	l.raw(buf[:n])
	l.in = append(l.in, buf[:n]...)
	return l.open()
}

func (l *link) open() error {
	for {
		o, err := l.engine.Open(l.in)
		switch {
		case err == hermetic.ErrClosed:
			l.closed = true
			return nil
		case err == hermetic.ErrPending:
			return nil
		case err != nil:
			unix.Write(l.fd, l.engine.Output(l.out))
			return err
		case o.N == 0:
			return nil
		}
		l.take(o)
		l.in = l.in[o.N:]
	}
}

// until steps until done, which it checks every now and then.
func (l *link) until(what string, done func() bool) error {
	last, deadline := 0, time.Now().Add(patience)
	for !done() {
		if l.closed {
			return fmt.Errorf("%s: the peer has closed", what)
		}
		if moved := len(l.got) - len(l.out); moved != last {
			last, deadline = moved, time.Now().Add(patience)
		}
		err := l.step(time.Now().Add(20 * time.Millisecond))
		if err == errTimedOut && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

func (l *link) handshake() error { return l.until("handshake", l.engine.HandshakeComplete) }

func (l *link) send(data []byte) error {
	out, err := l.engine.Seal(l.out, data)
	l.out = out
	return err
}

// sendEarly is send for 0-RTT data, after the ClientHello.
func (l *link) sendEarly(data []byte) error {
	out, err := l.engine.SealEarlyData(l.engine.Output(l.out), data)
	l.out = out
	return err
}

// close sends close_notify and what is left.
func (l *link) close() {
	l.engine.Close()
	l.out = l.engine.Output(l.out)
	for deadline := time.Now().Add(patience); len(l.out) > 0; {
		if wait(l.fd, unix.POLLOUT, deadline) != nil {
			break
		}
		n, err := unix.Write(l.fd, l.out)
		if err != nil && err != unix.EAGAIN {
			break
		}
		l.out = l.out[max(n, 0):]
	}
	unix.Close(l.fd)
}
