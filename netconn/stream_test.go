package netconn

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// TestTruncation: the end of the stream without close_notify is no end of file.
func TestTruncation(t *testing.T) {
	client, server := configs(t)
	c, s := pair(t, client, server)
	if _, err := c.Write([]byte("some")); err != nil {
		t.Fatal(err)
	}
	c.NetConn().Close()
	got, err := io.ReadAll(s)
	if string(got) != "some" || err != io.ErrUnexpectedEOF {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := s.Read(make([]byte, 1)); err != io.ErrUnexpectedEOF {
		t.Errorf("again: %v", err)
	}
}

// TestGarbage: a broken record is fatal, both ways, and the peer is told.
func TestGarbage(t *testing.T) {
	client, server := configs(t)
	c, s := pair(t, client, server)
	if _, err := c.NetConn().Write([]byte{23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}); err != nil {
		t.Fatal(err)
	}
	_, first := s.Read(make([]byte, 1))
	var alert *hermetic.AlertError
	if !errors.As(first, &alert) || alert.Alert != hermetic.AlertBadRecordMAC {
		t.Fatalf("Read: %v", first)
	}
	if _, err := s.Write([]byte("x")); err != first {
		t.Errorf("Write: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &alert) || !alert.Received || alert.Alert != hermetic.AlertBadRecordMAC {
		t.Errorf("the peer: %v", err)
	}
}

// slow is a transport that takes so many bytes in all, and then no more before
// the deadline.
type slow struct {
	net.Conn
	left int
}

func (c *slow) Write(p []byte) (int, error) {
	n := min(c.left, len(p))
	c.left -= n
	m, err := c.Conn.Write(p[:n])
	if err == nil && n < len(p) {
		err = os.ErrDeadlineExceeded
	}
	return m, err
}

// TestShortWrite: after a deadline in the middle of a record nothing is lost and
// nothing comes twice.
func TestShortWrite(t *testing.T) {
	client, server := configs(t)
	rawClient, rawServer := tcpPipe(t)
	transport := &slow{rawClient, 1 << 20}
	c, s := Client(transport, client), Server(rawServer, server)
	ready(t, c, s)

	data := bytes.Repeat([]byte("0123456789abcdef"), 20000)
	var written []byte
	done := make(chan []byte)
	go func() {
		got, err := io.ReadAll(s)
		if err != nil {
			t.Error(err)
		}
		done <- got
	}()
	for left := 1; len(written) < len(data); left = left*3 + 1 {
		transport.left = left
		n, err := c.Write(data[len(written):])
		if err != nil && !isTimeout(err) {
			t.Fatal(err)
		}
		written = append(written, data[len(written):][:n]...)
	}
	transport.left = 1 << 20
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := <-done; !bytes.Equal(got, data) {
		t.Errorf("%d bytes came, %d were written", len(got), len(data))
	}
}

// TestCryptoTLS: peers that are not ours.
func TestCryptoTLS(t *testing.T) {
	client, server := configs(t)
	l, err := Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: client.RootCAs, ServerName: "localhost", MaxVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		data := make([]byte, 1<<20)
		both(t, func() error {
			if _, err := c.Write(data); err != nil {
				return err
			}
			return c.CloseWrite()
		}, func() error {
			got, err := io.ReadAll(c)
			if len(got) != len(data) {
				t.Errorf("%d bytes", len(got))
			}
			return err
		})
		c.Close()
	}
}
