package main

import (
	"bytes"
	"errors"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-tls/hermetic"
)

// drop is a transport in memory that moves one byte at a time, and blocks
// between two bytes.
type drop struct {
	in, out *bytes.Buffer
	turn    bool
	count   *int
}

func (d *drop) Read(p []byte) (int, error) {
	if d.turn = !d.turn; d.turn || d.in.Len() == 0 {
		return 0, nil
	}
	return d.in.Read(p[:1])
}

func (d *drop) Write(p []byte) (int, error) {
	if d.turn = !d.turn; d.turn {
		return 0, nil
	}
	*d.count++
	return d.out.Write(p[:1])
}

// byteByByte runs two Contexts over the slowest transport there is.
func byteByByte(client, server *hermetic.Config) (*result, error) {
	r := new(result)
	up, down := new(bytes.Buffer), new(bytes.Buffer)
	c, err := hermetic.NewContext(hermetic.TLSClient, client, &drop{in: down, out: up, count: &r.handshake[0]})
	if err != nil {
		return nil, err
	}
	s, err := hermetic.NewContext(hermetic.TLSServer, server, &drop{in: up, out: down, count: &r.handshake[1]})
	if err != nil {
		return nil, err
	}
	return r, runContexts(r, c, s, 4<<10, func() error { return nil })
}

// onLoopback runs two Contexts over non-blocking sockets that one poll serves.
func onLoopback(client, server *hermetic.Config) (*result, error) {
	fds, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	r := new(result)
	c, err := hermetic.NewContext(hermetic.TLSClient, client, socket{fds[0], &r.handshake[0]})
	if err != nil {
		return nil, err
	}
	s, err := hermetic.NewContext(hermetic.TLSServer, server, socket{fds[1], &r.handshake[1]})
	if err != nil {
		return nil, err
	}
	poll := []unix.PollFd{{Fd: int32(fds[0]), Events: unix.POLLIN}, {Fd: int32(fds[1]), Events: unix.POLLIN}}
	return r, runContexts(r, c, s, demoData, func() error {
		_, err := unix.Poll(poll, 1000)
		return err
	})
}

// socket is a non-blocking socket as a BIO: its EAGAIN says that it would block.
type socket struct {
	fd    int
	count *int
}

func (s socket) Read(p []byte) (int, error) {
	n, err := unix.Read(s.fd, p)
	return max(n, 0), err
}

func (s socket) Write(p []byte) (int, error) {
	n, err := unix.Write(s.fd, p)
	*s.count += max(n, 0)
	return max(n, 0), err
}

// socketPair is a TCP connection over loopback, both ends non-blocking.
func socketPair() (fds [2]int, err error) {
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return fds, err
	}
	defer unix.Close(listener)
	if err := unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fds, err
	}
	if err := unix.Listen(listener, 1); err != nil {
		return fds, err
	}
	address, err := unix.Getsockname(listener)
	if err != nil {
		return fds, err
	}
	if fds[0], err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err != nil {
		return fds, err
	}
	if err := unix.Connect(fds[0], address); err != nil {
		return fds, err
	}
	if fds[1], _, err = unix.Accept(listener); err != nil {
		return fds, err
	}
	for _, fd := range fds {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return fds, err
		}
	}
	return fds, errors.Join(unix.SetNonblock(fds[0], true), unix.SetNonblock(fds[1], true))
}

// runContexts performs the handshake and sends n bytes each way.
func runContexts(r *result, c, s *hermetic.Context, n int, wait func() error) error {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	if err := both(c.Handshake, s.Handshake, wait); err != nil {
		return err
	}
	r.time = time.Since(start)
	runtime.ReadMemStats(&after)
	r.allocs = after.Mallocs - before.Mallocs
	r.state = c.Engine().State()
	sent := r.handshake
	for _, pair := range [][2]*hermetic.Context{{c, s}, {s, c}} {
		data, buf := make([]byte, n), make([]byte, 16<<10)
		got := 0
		err := both(func() error {
			for len(data) > 0 {
				n, err := pair[0].Write(data)
				if err != nil {
					return err
				}
				data = data[n:]
			}
			return nil
		}, func() error {
			for got < n {
				m, err := pair[1].Read(buf)
				if got += m; err != nil {
					return err
				}
			}
			return nil
		}, wait)
		if err != nil {
			return err
		}
		r.exchanged += got
	}
	r.handshake = sent
	return nil
}

// both repeats two operations until both are done.
func both(a, b func() error, wait func() error) error {
	for a != nil || b != nil {
		for _, op := range []*func() error{&a, &b} {
			if *op == nil {
				continue
			}
			switch err := (*op)(); {
			case err == nil:
				*op = nil
			case err != hermetic.ErrWantRead && err != hermetic.ErrWantWrite:
				return err
			}
		}
		if a != nil && b != nil {
			if err := wait(); err != nil {
				return err
			}
		}
	}
	return nil
}
