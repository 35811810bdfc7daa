package interop

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// udpLink drives an engine over a connected UDP socket.
type udpLink struct {
	conn   *net.UDPConn
	engine *hermetic.Engine
	got    []byte
	closed bool
}

// step sends what is due and waits for a datagram or the deadline.
func (l *udpLink) step(until time.Time) error {
	for d := l.engine.Output(nil); len(d) > 0; d = l.engine.Output(nil) {
		if _, err := l.conn.Write(d); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	if at, ok := l.engine.Deadline(); ok && at.Before(until) {
		until = at
	}
	l.conn.SetReadDeadline(until)
	buf := make([]byte, 1<<16)
	n, err := l.conn.Read(buf)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return l.engine.Expire()
	case err != nil:
		return nil // a refused datagram: the peer does not listen yet
	}
	for in := buf[:n]; len(in) > 0; {
		o, err := l.engine.Open(in)
		if err == hermetic.ErrClosed {
			l.closed = true
			return nil
		}
		if err != nil {
			return err
		}
		l.got = append(l.got, o.Data...)
		in = in[o.N:]
	}
	return nil
}

func (l *udpLink) until(what string, done func() bool) error {
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: timed out", what)
		}
		if err := l.step(deadline); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// TestDTLSOpenSSL: DTLS 1.2 with OpenSSL's s_server and s_client, at several
// MTUs, with and without client certificates.
func TestDTLSOpenSSL(t *testing.T) {
	program(t, "openssl")
	a := &authority{ca: pkitest.CA(t)}
	for _, mtu := range []int{256, 512, 1400} {
		for _, mutual := range []bool{false, true} {
			for _, role := range []hermetic.Mode{hermetic.DTLSClient, hermetic.DTLSServer} {
				t.Run(fmt.Sprintf("%v/MTU %d/mutual %v", role, mtu, mutual), func(t *testing.T) {
					dtlsCell(t, a, role, mtu, mutual)
				})
			}
		}
	}
}

func dtlsCell(t *testing.T, a *authority, role hermetic.Mode, mtu int, mutual bool) {
	c := cell{version: tls.VersionTLS12, mutual: mutual}
	f, leaf := a.files(t, "")
	cfg := c.config(a, leaf, hermetic.TLSClient)
	if role == hermetic.DTLSServer {
		cfg = c.config(a, leaf, hermetic.TLSServer)
	}
	cfg.MinVersion, cfg.MaxVersion = 0, 0 // the peer has 1.2 only
	cfg.MTU, cfg.NextProtos = mtu, nil
	cfg.Datagram.TrustAddress = true
	engine, err := hermetic.NewEngine(role, cfg)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-dtls1_2", "-quiet", "-cert", f.cert, "-key", f.key, "-CAfile", f.ca, "-mtu", fmt.Sprint(max(mtu, 256))}
	l := &udpLink{engine: engine}
	var p *process
	if role == hermetic.DTLSClient {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		args = append([]string{"s_server", "-accept", fmt.Sprintf("127.0.0.1:%d", port), "-listen"}, args...)
		if mutual {
			args = append(args, "-Verify", "2", "-verify_return_error")
		}
		p = start(t, "openssl", args...)
		if l.conn, err = net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}); err != nil {
			t.Fatal(err)
		}
	} else {
		listener, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		local := listener.LocalAddr().(*net.UDPAddr)
		p = start(t, "openssl", append([]string{"s_client", "-connect", local.String(), "-nocommands", "-verify_return_error"}, args...)...)
		buf := make([]byte, 1<<16)
		listener.SetReadDeadline(time.Now().Add(patience))
		n, peer, err := listener.ReadFromUDP(buf)
		if err != nil {
			t.Fatalf("%v: %s", err, p.log())
		}
		listener.Close()
		if l.conn, err = net.DialUDP("udp", local, peer); err != nil {
			t.Fatal(err)
		}
		if _, err := engine.Open(buf[:n]); err != nil {
			t.Fatal(err)
		}
	}
	defer l.conn.Close()
	if err := l.until("handshake", engine.HandshakeComplete); err != nil {
		t.Fatalf("%v: %s", err, p.log())
	}
	if v := engine.State().Version; v != tls.VersionTLS12 {
		t.Errorf("version %#x", v)
	}
	for l.step(time.Now().Add(50*time.Millisecond)) == nil && engine.HasOutput() {
	}
	line := bytes.Repeat([]byte("datagrams "), 50)
	line[len(line)-1] = '\n'
	if _, err := p.stdin.Write(line); err != nil {
		t.Fatal(err)
	}
	if err := l.until("receiving", func() bool { return len(l.got) >= len(line) }); err != nil || !bytes.Equal(l.got, line) {
		t.Errorf("%v, got %d bytes: %s", err, len(l.got), p.log())
	}
	sealed, err := engine.Seal(nil, line)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.conn.Write(sealed); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		ok := bytes.Contains(p.stdout.Bytes(), line)
		p.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the peer has not received: %s", p.log())
		}
	}
}
