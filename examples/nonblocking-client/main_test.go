package main

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

var insecure = &hermetic.Config{InsecureSkipVerify: true}

// serve serves one connection.
func serve(t *testing.T, l net.Listener, talk func(net.Conn)) {
	t.Cleanup(func() { l.Close() })
	go func() {
		if c, err := l.Accept(); err == nil {
			talk(c)
			c.Close()
		}
	}()
}

func TestAsk(t *testing.T) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pkitest.CA(t).Leaf(t, pkitest.Options{})}})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, func(c net.Conn) {
		buf := make([]byte, 100)
		n, _ := c.Read(buf)
		c.Write(append([]byte("you asked: "), buf[:n]...))
	})
	answer, err := ask(l.Addr().String(), "what is your name?", insecure, time.Now().Add(30*time.Second))
	if err != nil || answer != "you asked: what is your name?" {
		t.Errorf("%q, %v", answer, err)
	}
}

// TestAddress: names are not resolved, and sockets are IPv4.
func TestAddress(t *testing.T) {
	for _, address := range []string{"localhost:1", "[::1]:1", "127.0.0.1"} {
		_, err := ask(address, "", insecure, time.Now())
		if err == nil || !strings.HasPrefix(err.Error(), address+" is not IPv4:PORT") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestCut: a server that closes without close_notify is noticed at once, not at the
// deadline.
func TestCut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, func(c net.Conn) {
		c.Read(make([]byte, 1<<14)) // the ClientHello, so that no reset comes
	})
	_, err = ask(l.Addr().String(), "hello?", insecure, time.Now().Add(30*time.Second))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}

func TestDeadline(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // and nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = ask(l.Addr().String(), "hello?", insecure, time.Now().Add(time.Millisecond))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
