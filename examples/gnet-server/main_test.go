package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"
)

func TestServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	booted, done := make(chan gnet.Engine, 1), make(chan error, 1)
	go func() { done <- serve(address, func(e gnet.Engine) { booted <- e }) }()
	var engine gnet.Engine
	select {
	case engine = <-booted:
	case err := <-done:
		t.Fatal(err)
	}
	var c *tls.Conn
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if c, err = tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}); err == nil {
			break // gnet boots before it listens
		}
	}
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
