package netconn

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
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
	// post is write for who holds a peer, and must not wait for its other end. What
	// is lost is sent again, so errors are nobody's.
	post(to address, datagram []byte)
	// reply is post for who takes: it may wait for flush, or until read returns.
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

func (u *udp) post(to address, datagram []byte) { u.write(to, datagram) }

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

func (p *packets) post(to address, datagram []byte)  { p.write(to, datagram) }
func (p *packets) reply(to address, datagram []byte) { p.write(to, datagram) }
func (p *packets) flush()                            {}

// maxPosted is how many datagrams may wait for a connection's other end: more than
// the largest flight has.
const maxPosted = 256

// single is a connection to one peer.
type single struct {
	net.Conn
	buf []byte

	writing sync.Mutex // held while the connection takes datagrams
	mu      sync.Mutex // guards posted
	posted  [][]byte   // what goes before all that is written
}

func (c *single) read(take func(address, []byte)) error {
	n, err := c.Read(c.buf)
	if err == nil {
		take(c.peer(), c.buf[:n])
	}
	return unlessFull(err, n, c.buf)
}

func (c *single) write(_ address, datagram []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.catchUp()
	return c.send(datagram)
}

func (c *single) send(datagram []byte) error {
	_, err := c.Write(datagram)
	if isRefusal(err) { // of an earlier one: this one was not sent
		_, err = c.Write(datagram)
	}
	return err
}

// post: a socket takes a datagram or drops it; what else there is, such as net.Pipe,
// may wait until its other end reads, which may wait for us.
func (c *single) post(to address, datagram []byte) {
	if _, socket := c.Conn.(net.PacketConn); socket {
		c.send(datagram)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.posted) == 0 {
		go c.flush() // which takes all that comes until its turn
	}
	if len(c.posted) < maxPosted {
		c.posted = append(c.posted, bytes.Clone(datagram))
	}
}

// flush sends what was posted.
func (c *single) flush() {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.catchUp()
}

func (c *single) catchUp() {
	for {
		c.mu.Lock()
		posted := c.posted
		c.posted = nil
		c.mu.Unlock()
		if len(posted) == 0 {
			return
		}
		for _, datagram := range posted {
			c.send(datagram)
		}
	}
}

// Close sends what was posted, if that does not take long.
func (c *single) Close() error {
	c.SetWriteDeadline(time.Now().Add(closeTimeout)) // nothing is written after it
	c.flush()
	return c.Conn.Close()
}

// isRefusal reports that err is an ICMP message, which anybody may have sent, or the
// host of a server that is being started again: nobody listens at the peer's port.
func isRefusal(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

func (c *single) reply(to address, datagram []byte) { c.post(to, datagram) }

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
