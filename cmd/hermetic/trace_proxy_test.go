package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/trace"
)

// TestCaptureIsBounded: of a connection that never ends, only the start is kept, without a gap.
func TestCaptureIsBounded(t *testing.T) {
	large, many := new(capture), new(capture)
	for range 100 {
		large.add(trace.Client, make([]byte, maxCapture/10))
		large.add(trace.Server, []byte{1})
	}
	for range 3 * maxChunks {
		many.add(trace.Client, []byte{1})
	}
	kept := 0
	for _, c := range large.chunks {
		kept += len(c.data)
	}
	if kept > maxCapture || len(large.chunks) > 20 || large.chunks[len(large.chunks)-1].from != trace.Server {
		t.Errorf("%d bytes in %d chunks", kept, len(large.chunks))
	}
	if len(many.chunks) != maxChunks {
		t.Errorf("%d chunks", len(many.chunks))
	}
}

// TestProxyPassesAnything: what is not TLS arrives unchanged, and is called so. A client that
// disconnects, or a server that is not there, ends nothing else.
func TestProxyPassesAnything(t *testing.T) {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	go func() { // an echo
		for {
			c, err := target.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	var o proxyOptions
	o.color, o.once = "never", false
	var drawing lockedBuffer
	s, err := newSinks(&o.traceOptions, "", &drawing)
	if err != nil {
		t.Fatal(err)
	}
	s.live = true
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	p := &proxy{options: &o, target: target.Addr().String(), sinks: s, notices: io.Discard, ctx: ctx, stop: stop}
	listening, ended := make(firstLine, 1), make(chan error, 1)
	go func() { ended <- p.serveTCP("127.0.0.1:0", listening) }()
	address := strings.TrimPrefix(strings.TrimSpace(<-listening), "listening on ")

	dial := func() net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		return c
	}
	gone := dial()
	gone.Write([]byte{22, 3, 1})
	gone.(*net.TCPConn).SetLinger(0)
	gone.Close()
	for _, said := range [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n"), bytes.Repeat([]byte{0xff}, 100_000), {22, 3, 1, 0, 1, 1}} {
		c := dial()
		go func() {
			c.Write(said)
			c.(*net.TCPConn).CloseWrite()
		}()
		if heard, err := io.ReadAll(c); err != nil || !bytes.Equal(heard, said) {
			t.Errorf("%d bytes came back of %d, %v", len(heard), len(said), err)
		}
		c.Close()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	p.open.Wait()
	if n := strings.Count(drawing.String(), "Failed: this is not TLS"); n != 2 {
		t.Errorf("%d connections are not TLS:\n%s", n, drawing.String())
	}
}

// firstLine is a writer that passes on its first line.
type firstLine chan string

func (f firstLine) Write(b []byte) (int, error) {
	select {
	case f <- string(b):
	default:
	}
	return len(b), nil
}
