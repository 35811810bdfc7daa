package netconn

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// address is where datagrams of a peer come from and go to.
type address struct {
	key
	addr net.Addr // nil: it is key.port
}

// key is what addresses are compared by.
type key struct {
	port netip.AddrPort
	name string // on other transports than UDP
}

// id is the peer's identity on the transport, which its cookies are bound to.
func (k key) id() []byte {
	if k.name != "" {
		return []byte(k.name)
	}
	b, _ := k.port.AppendBinary(nil)
	return b
}

func (a address) netAddr() net.Addr {
	if a.addr != nil {
		return a.addr
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.port.Addr().Unmap(), a.port.Port()))
}

// transport moves datagrams. One goroutine reads, many write.
type transport interface {
	// read waits for datagrams, and calls take for each; the bytes are its own
	// until it returns.
	read(take func(from address, datagram []byte)) error
	write(to address, datagram []byte) error
	// reply is write for who takes: it may wait for flush, or until read returns.
	reply(to address, datagram []byte)
	flush()
	Close() error
	LocalAddr() net.Addr
}

// maxDatagram is more than the largest record that we take.
const maxDatagram = 16384 + 512

// unlessFull returns a read's error, unless buf is full: Windows calls it one that a
// datagram is larger, which anybody may send, and which is none of ours.
func unlessFull(err error, n int, buf []byte) error {
	if n == len(buf) {
		return nil
	}
	return err
}

// udp is a UDP socket for many peers.
type udp struct {
	*net.UDPConn
	batch
}

func (u *udp) write(to address, datagram []byte) error {
	_, err := u.WriteToUDPAddrPort(datagram, to.port)
	return err
}

// packets is any other transport for many peers.
type packets struct {
	net.PacketConn
	buf []byte
}

func (p *packets) read(take func(address, []byte)) error {
	n, from, err := p.ReadFrom(p.buf)
	if err == nil {
		take(address{key{name: from.String()}, from}, p.buf[:n])
	}
	return unlessFull(err, n, p.buf)
}

func (p *packets) write(to address, datagram []byte) error {
	_, err := p.WriteTo(datagram, to.addr)
	return err
}

func (p *packets) reply(to address, datagram []byte) { p.write(to, datagram) }
func (p *packets) flush()                            {}

// single is a connection to one peer.
type single struct {
	net.Conn
	buf []byte
}

func (c *single) read(take func(address, []byte)) error {
	n, err := c.Read(c.buf)
	if err == nil {
		take(c.peer(), c.buf[:n])
	}
	return unlessFull(err, n, c.buf)
}

func (c *single) write(_ address, datagram []byte) error {
	_, err := c.Write(datagram)
	if isRefusal(err) { // of an earlier one: this one was not sent
		_, err = c.Write(datagram)
	}
	return err
}

// isRefusal reports that err is an ICMP message, which anybody may have sent, or the
// host of a server that is being started again: nobody listens at the peer's port.
func isRefusal(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

func (c *single) reply(to address, datagram []byte) { c.write(to, datagram) }
func (c *single) flush()                            {}

func (c *single) peer() address {
	addr := c.RemoteAddr()
	return address{key{name: addr.Network() + " " + addr.String()}, addr}
}

func newTransport(pc net.PacketConn) transport {
	if u, ok := pc.(*net.UDPConn); ok {
		return &udp{UDPConn: u}
	}
	return &packets{PacketConn: pc, buf: make([]byte, maxDatagram)}
}
