package version

import "testing"

func TestWire(t *testing.T) {
	for _, c := range []struct {
		transport     Transport
		version, wire uint16
	}{
		{Stream, TLS12, 0x0303}, {Stream, TLS13, 0x0304}, {Datagram, TLS12, 0xfefd}, {Datagram, TLS13, 0xfefc},
	} {
		if got := c.transport.Wire(c.version); got != c.wire {
			t.Errorf("%#04x over transport %d is %#04x, want %#04x", c.version, c.transport, got, c.wire)
		}
		if got := c.transport.Parse(c.wire); got != c.version {
			t.Errorf("%#04x over transport %d means %#04x, want %#04x", c.wire, c.transport, got, c.version)
		}
	}
	for _, v := range []uint16{0, DTLS10, TLS12, TLS13, 0xfefb} {
		if got := Datagram.Parse(v); got != 0 {
			t.Errorf("%#04x is no version of DTLS, but means %#04x", v, got)
		}
	}
}
