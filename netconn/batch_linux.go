//go:build linux && (amd64 || arm64)

package netconn

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"unsafe"
)

// batchSize is how many datagrams are read or written with one system call.
const batchSize = 16

// batch reads many datagrams at once with recvmmsg(2), and answers them at once
// with sendmmsg(2). It belongs to the goroutine that reads.
type batch struct {
	messages []message
	slots    []slot
	receive  func(fd uintptr) bool
	n        int
	err      error

	replies []message
	outbox  []reply
	send    func(fd uintptr)
	from    int  // outbox[from:] is not sent yet
	full    bool // the socket takes no more now
}

// reply is a datagram that waits to be sent.
type reply struct {
	to    syscall.RawSockaddrInet6
	iovec syscall.Iovec
	bytes []byte
}

// message is C's struct mmsghdr.
type message struct {
	header syscall.Msghdr
	length uint32
	_      [4]byte
}

// slot has room for a datagram and its source.
type slot struct {
	from  syscall.RawSockaddrInet6
	iovec syscall.Iovec
	bytes [maxDatagram + 1]byte
}

func (u *udp) read(take func(address, []byte)) error {
	if u.raw == nil {
		return net.ErrClosed
	}
	if u.messages == nil {
		u.prepare()
	}
	for i := range u.messages {
		u.messages[i].header.Namelen = syscall.SizeofSockaddrInet6
	}
	if err := u.raw.Read(u.receive); err != nil {
		return err
	}
	if u.err != nil {
		return u.err
	}
	for i := range u.n {
		s := &u.slots[i]
		if port, ok := addrPort(&s.from); ok {
			take(address{key: key{port: port}}, s.bytes[:u.messages[i].length])
		}
	}
	u.flush()
	return nil
}

func (u *udp) answer(to address, datagram []byte) { u.reply(to, datagram) }

func (u *udp) reply(to address, datagram []byte) bool {
	if len(u.outbox) == cap(u.outbox) {
		u.flush()
	}
	i := len(u.outbox)
	u.outbox = u.outbox[:i+1]
	r, m := &u.outbox[i], &u.replies[i]
	r.bytes = append(r.bytes[:0], datagram...)
	r.iovec.Base = &r.bytes[0]
	r.iovec.SetLen(len(r.bytes))
	m.header.Namelen = putAddrPort(&r.to, to.port)
	m.header.Name = (*byte)(unsafe.Pointer(&r.to))
	m.header.Iov = &r.iovec
	m.header.Iovlen = 1
	return true
}

// flush sends the replies. Those that the socket has no room for are left to
// goroutines, which may wait.
func (u *udp) flush() {
	for u.from, u.full = 0, false; u.from < len(u.outbox) && !u.full; {
		if u.raw.Control(u.send) != nil {
			break
		}
	}
	for ; u.full && u.from < len(u.outbox); u.from++ {
		r := &u.outbox[u.from]
		if port, ok := addrPort(&r.to); ok {
			u.waiting.write(u, address{key: key{port: port}}, bytes.Clone(r.bytes))
		}
	}
	u.outbox = u.outbox[:0]
}

func (u *udp) prepare() {
	u.messages, u.slots = make([]message, batchSize), make([]slot, batchSize)
	for i := range u.slots {
		s := &u.slots[i]
		s.iovec.Base = &s.bytes[0]
		s.iovec.SetLen(len(s.bytes))
		h := &u.messages[i].header
		h.Name = (*byte)(unsafe.Pointer(&s.from))
		h.Iov = &s.iovec
		h.Iovlen = 1
	}
	u.replies, u.outbox = make([]message, batchSize), make([]reply, 0, batchSize)
	u.send = func(fd uintptr) {
		n, _, errno := syscall.Syscall6(sysSendmmsg, fd,
			uintptr(unsafe.Pointer(&u.replies[u.from])), uintptr(len(u.outbox)-u.from), syscall.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			u.from += int(n)
		case syscall.EAGAIN:
			u.full = true
		case syscall.EINTR:
		default:
			u.from++ // this one cannot be sent
		}
	}
	u.receive = func(fd uintptr) bool {
		n, _, errno := syscall.Syscall6(syscall.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&u.messages[0])), batchSize, syscall.MSG_DONTWAIT, 0, 0)
		u.n, u.err = int(n), nil
		switch errno {
		case 0:
		case syscall.EAGAIN:
			return false // until there is something
		case syscall.EINTR:
			u.n = 0
		default:
			u.n, u.err = 0, errno
		}
		return true
	}
}

// eager writes to a socket what it takes at once. raw is nil if the connection is not
// a socket.
type eager struct{ raw syscall.RawConn }

func newEager(c *net.UDPConn) eager {
	raw, err := c.SyscallConn()
	if err != nil {
		return eager{}
	}
	return eager{raw}
}

// attempt is a call of sendto(2). It is kept because all of it escapes.
type attempt struct {
	to       syscall.RawSockaddrInet6
	size     uint32 // of to; 0: the socket is connected
	datagram []byte
	errno    syscall.Errno
	run      func(fd uintptr)
}

var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.run = a.send
	return a
}}

func (a *attempt) send(fd uintptr) {
	var to unsafe.Pointer
	if a.size > 0 {
		to = unsafe.Pointer(&a.to)
	}
	_, _, a.errno = syscall.Syscall6(syscall.SYS_SENDTO, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(a.datagram))), uintptr(len(a.datagram)), syscall.MSG_DONTWAIT, uintptr(to), uintptr(a.size))
}

// try does not take the lock of Write: a goroutine that waits may hold it.
func (e eager) try(c *net.UDPConn, to netip.AddrPort, datagram []byte) (taken bool, err error) {
	if e.raw == nil {
		return false, nil
	}
	a := attempts.Get().(*attempt)
	defer attempts.Put(a)
	a.datagram, a.size = datagram, 0
	if to.IsValid() {
		a.size = putAddrPort(&a.to, to)
	}
	err = e.raw.Control(a.run)
	a.datagram = nil
	switch {
	case err != nil:
		return true, err
	case a.errno == syscall.EAGAIN || a.errno == syscall.EINTR:
		return false, nil
	case a.errno != 0:
		return true, &net.OpError{Op: "write", Net: "udp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("sendto", a.errno)}
	}
	return true, nil
}

// sysSendmmsg is sendmmsg(2), which package syscall lacks on amd64.
var sysSendmmsg = map[string]uintptr{"amd64": 307, "arm64": 269}[runtime.GOARCH]

// putAddrPort is the inverse of addrPort: an address that came from a socket is
// one of its family. It returns the length.
func putAddrPort(sa *syscall.RawSockaddrInet6, to netip.AddrPort) uint32 {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], to.Port())
	if to.Addr().Is4() {
		v4 := (*syscall.RawSockaddrInet4)(unsafe.Pointer(sa))
		v4.Family, v4.Addr = syscall.AF_INET, to.Addr().As4()
		return syscall.SizeofSockaddrInet4
	}
	scope, _ := strconv.ParseUint(to.Addr().Zone(), 10, 32)
	sa.Family, sa.Addr, sa.Flowinfo, sa.Scope_id = syscall.AF_INET6, to.Addr().As16(), 0, uint32(scope)
	return syscall.SizeofSockaddrInet6
}

// addrPort is a socket address: of IPv4, IPv6, or IPv4 in IPv6.
func addrPort(sa *syscall.RawSockaddrInet6) (netip.AddrPort, bool) {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:])
	switch sa.Family {
	case syscall.AF_INET:
		v4 := (*syscall.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port), true
	case syscall.AF_INET6:
		addr := netip.AddrFrom16(sa.Addr)
		if sa.Scope_id != 0 {
			addr = addr.WithZone(strconv.FormatUint(uint64(sa.Scope_id), 10))
		}
		return netip.AddrPortFrom(addr, port), true
	}
	return netip.AddrPort{}, false
}
