package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"testing"

	"github.com/panjf2000/gnet/v2"
)

func TestServe(t *testing.T) {
	booted, done := make(chan gnet.Engine, 1), make(chan error, 1)
	go func() { done <- serve("127.0.0.1:0", func(e gnet.Engine) { booted <- e }) }()
	var engine gnet.Engine
	select {
	case engine = <-booted:
	case err := <-done:
		t.Fatal(err)
	}
	c, err := tls.Dial("tcp", address(t, engine), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	c.Close()
	if err := engine.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	<-done
}

// address is where the engine listens.
func address(t *testing.T, e gnet.Engine) string {
	t.Helper()
	fd, err := e.Dup()
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
