//go:build linux && (amd64 || arm64)

package netconn

import (
	"net/netip"
	"syscall"
	"testing"
)

// TestAddrPort: what came from a socket goes back to it as the same address.
func TestAddrPort(t *testing.T) {
	for _, s := range []string{"127.0.0.1:4433", "[::1]:65535", "[::ffff:10.1.2.3]:1", "[fe80::1%7]:5684"} {
		want := netip.MustParseAddrPort(s)
		var sa syscall.RawSockaddrInet6
		putAddrPort(&sa, netip.MustParseAddrPort("[fe80::2%9]:1")) // nothing of it stays
		size := putAddrPort(&sa, want)
		if got, ok := addrPort(&sa); got != want || !ok || (size == syscall.SizeofSockaddrInet4) != want.Addr().Is4() {
			t.Errorf("%s became %v, %v, %d bytes", s, got, ok, size)
		}
	}
	if _, ok := addrPort(&syscall.RawSockaddrInet6{Family: syscall.AF_UNIX}); ok {
		t.Error("a Unix address is one of UDP")
	}
}

// TestReplies: more than fit one system call, and one that cannot be sent among
// them.
func TestReplies(t *testing.T) {
	l, c := loopback(t), loopback(t)
	u := newTransport(l).(*udp)
	u.prepare()
	to := address{key: key{port: netip.MustParseAddrPort(c.LocalAddr().String())}}
	const count = 3*batchSize + 1
	for i := range count {
		if i == 5 {
			u.reply(to, make([]byte, 1<<16)) // too large for UDP
		}
		u.reply(to, []byte{byte(i), 0xff})
	}
	u.flush()
	buf := make([]byte, 10)
	for i := range count {
		if n, err := c.Read(buf); err != nil || n != 2 || buf[0] != byte(i) {
			t.Fatalf("datagram %d: %x, %v", i, buf[:n], err)
		}
	}
}
