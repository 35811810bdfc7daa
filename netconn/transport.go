package netconn

import (
	"cmp"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"reflect"
	"syscall"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// address is where a peer's datagrams come from and go to.
type address struct {
	key
	addr net.Addr // nil: it is key.port
}

// key is what addresses are compared by.
type key struct {
	port netip.AddrPort
	name string // on transports other than UDP
}

// id is the peer's identity on the transport; its cookies are bound to it.
func (k key) id() []byte {
	if k.name != "" {
		return []byte(k.name)
	}
	b, _ := k.port.AppendBinary(nil)
	return b
}

// path is the address as an engine compares it. A name becomes the zone of an address.
func (k key) path() hermetic.Path {
	if k.name != "" {
		return hermetic.Path{Remote: netip.AddrPortFrom(netip.IPv6Unspecified().WithZone(k.name), 0)}
	}
	return hermetic.Path{Remote: k.port}
}

func (a address) netAddr() net.Addr {
	if a.addr != nil || a.name != "" {
		return a.addr
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.port.Addr().Unmap(), a.port.Port()))
}

// nowhere reports whether the transport did not say where a datagram is from.
func (a address) nowhere() bool { return a.addr == nil && a.name == "" && !a.port.IsValid() }

// addressOf converts the address that a transport returns. A nil pointer is no address.
func addressOf(addr net.Addr) address {
	if v := reflect.ValueOf(addr); addr == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return address{}
	}
	return address{key{name: addr.String()}, addr}
}

// transport moves datagrams. One goroutine reads, many write. Neither the numbers nor
// the addresses that it returns are trusted.
type transport interface {
	// read waits for datagrams, and calls take for each; the bytes are take's until
	// it returns. A datagram larger than maxDatagram is truncated, but to more than
	// maxDatagram.
	read(take func(from address, datagram []byte)) error
	// write sends a datagram. It may wait for as long as the transport likes.
	write(to address, datagram []byte) error
	// try is write for callers that hold a peer's lock: it must not wait, and reports
	// whether the transport has taken the datagram.
	try(to address, datagram []byte) (taken bool, err error)
	// reply is try for the reading goroutine: the datagram may be batched until flush, or
	// until read returns.
	reply(to address, datagram []byte) (taken bool)
	// answer is reply to a stranger, about which nothing is kept.
	answer(to address, datagram []byte)
	flush()
	// waits reports whether read waits for datagrams, empty ones included.
	waits() bool
	Close() error
	LocalAddr() net.Addr
}

// maxDatagram is more than the largest record that we accept.
const maxDatagram = 16384 + 512

// received checks what a transport has read into buf, and its error. Data may come with
// an error. On Windows, a datagram larger than buf is an error; here it is not.
func received(buf []byte, n int, err error) ([]byte, error) {
	switch {
	case n < 0 || n > len(buf):
		return nil, cmp.Or(err, errCount)
	case n == len(buf) && !isFinal(err):
		return buf, nil
	case err != nil && n == 0:
		return nil, err
	}
	return buf[:n:n], err
}

// sent is the error of a write that has taken n bytes of a datagram.
func sent(datagram []byte, n int, err error) error {
	if err == nil && n != len(datagram) {
		return io.ErrShortWrite
	}
	return err
}

// waiting has a place for each goroutine that waits for the transport with a datagram
// that is retransmitted if it is lost.
type waiting chan struct{}

func newWaiting() waiting { return make(waiting, 256) }

func (w waiting) write(t transport, to address, datagram []byte) {
	select {
	case w <- struct{}{}:
		go func() {
			t.write(to, datagram)
			<-w
		}()
	default:
	}
}

// udp is a UDP socket for many peers.
type udp struct {
	*net.UDPConn
	eager
	batch
	waiting
}

func (u *udp) waits() bool { return true }

func (u *udp) write(to address, datagram []byte) error {
	_, err := u.WriteToUDPAddrPort(datagram, to.port)
	return err
}

func (u *udp) try(to address, datagram []byte) (bool, error) {
	return u.eager.try(u.UDPConn, to.port, datagram)
}

// packets is any other transport for many peers. Its writes may wait, each for a
// different peer.
type packets struct {
	net.PacketConn
	buf     []byte
	answers waiting
}

func (p *packets) read(take func(address, []byte)) error {
	n, from, err := p.ReadFrom(p.buf)
	datagram, err := received(p.buf, n, err)
	if datagram != nil {
		take(addressOf(from), datagram)
	}
	return err
}

func (p *packets) waits() bool { return false }

func (p *packets) write(to address, datagram []byte) error {
	n, err := p.WriteTo(datagram, to.addr)
	return sent(datagram, n, err)
}

func (p *packets) try(address, []byte) (bool, error)  { return false, nil }
func (p *packets) reply(address, []byte) bool         { return false }
func (p *packets) answer(to address, datagram []byte) { p.answers.write(p, to, datagram) }
func (p *packets) flush()                             {}

// single is a connection to one peer: what it delivers is the peer's, from any address.
type single struct {
	net.Conn
	udp *net.UDPConn // Conn, if it is a bare socket: a wrapper may do anything
	eager
	peer address
	buf  []byte
}

// newSingleTransport asks for the address once, to bind cookies to it: it may change
// later, or be unknown.
func newSingleTransport(conn net.Conn) *single {
	var id string
	if addr := addressOf(conn.RemoteAddr()); addr.name != "" {
		id = addr.addr.Network() + " " + addr.name
	} else {
		id = rand.Text()
	}
	c := &single{Conn: conn, peer: address{key: key{name: id}}, buf: make([]byte, maxDatagram+1)}
	if u, ok := conn.(*net.UDPConn); ok {
		c.udp, c.eager = u, newEager(u)
	}
	return c
}

func (c *single) read(take func(address, []byte)) error {
	n, err := c.Read(c.buf)
	datagram, err := received(c.buf, n, err)
	if datagram != nil {
		take(c.peer, datagram)
	}
	return err
}

func (c *single) waits() bool { return c.udp != nil }

func (c *single) write(_ address, datagram []byte) error {
	n, err := c.Write(datagram)
	if isRefusal(err) { // of an earlier datagram: this one was not sent
		n, err = c.Write(datagram)
	}
	return sent(datagram, n, err)
}

func (c *single) try(_ address, datagram []byte) (taken bool, err error) {
	if c.udp == nil {
		return false, nil
	}
	taken, err = c.eager.try(c.udp, netip.AddrPort{}, datagram)
	if isRefusal(err) { // as in write
		taken, err = c.eager.try(c.udp, netip.AddrPort{}, datagram)
	}
	return taken, err
}

func (c *single) reply(to address, datagram []byte) bool {
	taken, _ := c.try(to, datagram)
	return taken
}

func (c *single) answer(address, []byte) {} // there are no strangers
func (c *single) flush()                 {}

// Close ends what waits, even where only a deadline can.
func (c *single) Close() error {
	c.SetReadDeadline(past)
	c.SetWriteDeadline(past)
	return c.Conn.Close()
}

func (p *packets) Close() error {
	p.SetReadDeadline(past)
	p.SetWriteDeadline(past)
	return p.PacketConn.Close()
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// isRefusal reports whether err is an ICMP message: no process listens at the peer's
// port. Anybody may have sent it, or the host of a server that restarts.
func isRefusal(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// isTemporary reports whether the transport may work again and has not been closed.
func isTemporary(err error) bool {
	var t interface{ Temporary() bool }
	return isTimeout(err) || errors.As(err, &t) && t.Temporary()
}

// isFinal reports whether nothing more will arrive.
func isFinal(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe)
}

func newTransport(pc net.PacketConn) transport {
	if u, ok := pc.(*net.UDPConn); ok {
		return &udp{UDPConn: u, eager: newEager(u), waiting: newWaiting()}
	}
	return &packets{PacketConn: pc, buf: make([]byte, maxDatagram+1), answers: newWaiting()}
}
