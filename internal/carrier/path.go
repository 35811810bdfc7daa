package carrier

import "math"

// path is what is known about the network path to the peer: how large datagrams may be, and
// how many bytes may be sent before the peer's address is proved. Its numbers are small
// types because every idle connection has one.
type path struct {
	mtu     int32 // largest datagram of a handshake
	fullMTU int32 // mtu before lost flights lowered it
	credit  int32 // bytes that may be sent while the address is not proved
	proved  bool
	checked bool // rrc was negotiated: new ones are checked
}

// maxCredit is more than any handshake sends.
const maxCredit = 1 << 30

func newPath(mtu int, proved bool) path {
	p := path{proved: proved}
	p.setMTU(mtu)
	return p
}

// setMTU changes the MTU, also the one with which lower starts.
func (p *path) setMTU(bytes int) {
	p.fullMTU = int32(min(bytes, math.MaxInt32))
	p.mtu = p.fullMTU
}

// lower halves the MTU: perhaps the datagrams of lost flights were too large for the path.
func (p *path) lower() { p.mtu = max(min(minMTU, p.mtu), p.mtu/2) }

// received counts bytes from the peer (RFC 9147bis, Section 5.1).
func (p *path) received(bytes int) {
	if !p.proved {
		p.credit = int32(min(int(p.credit)+amplification*bytes, maxCredit))
	}
}

// sent counts bytes to the peer.
func (p *path) sent(bytes int) {
	if !p.proved {
		p.credit -= int32(bytes)
	}
}

// permits reports whether that many bytes may be sent.
func (p *path) permits(bytes int) bool { return p.proved || bytes <= int(p.credit) }

// room returns how large the next datagram may be, given the size it would have otherwise.
func (p *path) room(size int) int {
	if p.proved {
		return size
	}
	return min(size, int(p.credit))
}
