//go:build linux && (amd64 || arm64)

package netconn

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"
)

// batchSize is how many datagrams are read with one system call.
const batchSize = 16

// batch reads many datagrams at once with recvmmsg(2).
type batch struct {
	raw      syscall.RawConn
	messages []message
	slots    []slot
	receive  func(fd uintptr) bool
	n        int
	err      error
}

// message is struct mmsghdr.
type message struct {
	header syscall.Msghdr
	length uint32
	_      [4]byte
}

// slot is where a datagram and its source go.
type slot struct {
	from  syscall.RawSockaddrInet6
	iovec syscall.Iovec
	bytes [maxDatagram]byte
}

func (u *udp) read(take func(address, []byte)) error {
	if u.raw == nil {
		if err := u.prepare(); err != nil {
			return err
		}
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
	return nil
}

func (u *udp) prepare() (err error) {
	if u.raw, err = u.SyscallConn(); err != nil {
		return err
	}
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
	return nil
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
