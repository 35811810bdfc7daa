//go:build !linux || !(amd64 || arm64)

package netconn

import (
	"net"
	"net/netip"
)

// eager writes to a socket what it takes at once. Here that is all: it waits for the
// network's hardware at most.
type eager struct{}

func newEager(*net.UDPConn) eager { return eager{} }

func (eager) try(c *net.UDPConn, to netip.AddrPort, datagram []byte) (taken bool, err error) {
	if to.IsValid() {
		_, err = c.WriteToUDPAddrPort(datagram, to)
	} else {
		_, err = c.Write(datagram)
	}
	return true, err
}

// batch is the buffer of one datagram: here one system call moves one.
type batch struct{ buf []byte }

func (u *udp) read(take func(address, []byte)) error {
	if u.buf == nil {
		u.buf = make([]byte, maxDatagram+1)
	}
	n, from, err := u.ReadFromUDPAddrPort(u.buf)
	datagram, err := received(u.buf, n, err)
	if datagram != nil {
		take(address{key: key{port: from}}, datagram)
	}
	return err
}

func (u *udp) reply(to address, datagram []byte) bool {
	u.write(to, datagram)
	return true
}

func (u *udp) answer(to address, datagram []byte) { u.write(to, datagram) }
func (u *udp) flush()                             {}
