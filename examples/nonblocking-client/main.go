// Nonblocking-client is a client on a bare non-blocking socket: it polls, and
// gives up at a deadline. No goroutine, no net package below TLS.
//
//	go run ./examples/nonblocking-client 127.0.0.1:4433
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-tls/hermetic"
)

// socket is a non-blocking file descriptor: its EAGAIN tells the Context that
// it would block.
type socket int

func (s socket) Read(p []byte) (int, error) {
	n, err := unix.Read(int(s), p)
	if n == 0 && err == nil {
		err = io.EOF // read(2) reports the end as 0 bytes; the Context would wait for more
	}
	return max(n, 0), err
}

func (s socket) Write(p []byte) (int, error) {
	n, err := unix.Write(int(s), p)
	return max(n, 0), err
}

// dial starts to connect, and does not wait.
func dial(address string) (socket, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !to.Addr().Is4() {
		return 0, fmt.Errorf("%s is not IPv4:PORT, such as 127.0.0.1:4433: resolve names before, for it takes time", address)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return 0, err
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	if err != nil && err != unix.EINPROGRESS {
		return 0, err
	}
	return socket(fd), nil
}

// until repeats an operation until it is done, or the deadline has passed.
func (s socket) until(deadline time.Time, operation func() error) error {
	for {
		events := int16(unix.POLLIN)
		switch err := operation(); {
		case errors.Is(err, hermetic.ErrWantWrite) || errors.Is(err, unix.ENOTCONN):
			events = unix.POLLOUT
		case !errors.Is(err, hermetic.ErrWantRead):
			return err // done, or failed
		}
		left := time.Until(deadline)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		poll := []unix.PollFd{{Fd: int32(s), Events: events}}
		if _, err := unix.Poll(poll, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
			return err
		}
	}
}

// ask sends a question and returns the first part of the answer.
func ask(address, question string, cfg *hermetic.Config, deadline time.Time) (string, error) {
	s, err := dial(address)
	if err != nil {
		return "", err
	}
	defer unix.Close(int(s))
	ctx, err := hermetic.NewContext(hermetic.TLSClient, cfg, s)
	if err != nil {
		return "", err
	}
	if err := s.until(deadline, func() error { _, err := ctx.Write([]byte(question)); return err }); err != nil {
		return "", err
	}
	answer, n := make([]byte, 4096), 0
	err = s.until(deadline, func() (err error) { n, err = ctx.Read(answer); return err })
	if err != nil {
		return "", err
	}
	return string(answer[:n]), s.until(deadline, ctx.Close)
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: nonblocking-client IPv4:PORT")
	}
	cfg := &hermetic.Config{InsecureSkipVerify: true} // for a trial only; otherwise set ServerName
	answer, err := ask(os.Args[1], "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", cfg, time.Now().Add(5*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(answer)
}
