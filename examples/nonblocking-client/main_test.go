package main

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

var insecure = &hermetic.Config{InsecureSkipVerify: true}

func TestAsk(t *testing.T) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pkitest.CA(t).Leaf(t, pkitest.Options{})}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		buf := make([]byte, 100)
		n, _ := c.Read(buf)
		c.Write(append([]byte("you asked: "), buf[:n]...))
		c.Close()
	}()
	answer, err := ask(l.Addr().String(), "who are you?", insecure, time.Now().Add(30*time.Second))
	if err != nil || answer != "you asked: who are you?" {
		t.Errorf("%q, %v", answer, err)
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
