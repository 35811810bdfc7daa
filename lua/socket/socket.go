//go:build unix

// Package socket is a small module of non-blocking sockets for gopher-lua. It has
// those functions of LuaSocket that programs with mbedtls.ssl need. `hermetic lua`
// offers it as require 'socket'.
package socket

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	lua "github.com/yuin/gopher-lua"
	"golang.org/x/sys/unix"
)

// Preload makes the module available to require.
func Preload(L *lua.LState) { L.PreloadModule("socket", open) }

// socket is a TCP or UDP socket. Its descriptor never blocks; an operation that
// may wait does so in poll, until its timeout.
type socket struct {
	fd      int
	udp     bool
	timeout time.Duration // negative: forever
	in      []byte        // TCP: received and not read yet
}

const typeName = "socket"

func open(L *lua.LState) int {
	meta := L.NewTypeMetatable(typeName)
	index := L.NewTable()
	L.SetFuncs(index, methods)
	meta.RawSetString("__index", index)
	meta.RawSetString("__metatable", lua.LFalse)
	meta.RawSetString("__tostring", L.NewFunction(func(L *lua.LState) int {
		L.Push(lua.LString("socket: " + strconv.Itoa(check(L).fd)))
		return 1
	}))
	L.Push(L.SetFuncs(L.NewTable(), map[string]lua.LGFunction{
		"tcp":     func(L *lua.LState) int { return create(L, false) },
		"udp":     func(L *lua.LState) int { return create(L, true) },
		"bind":    bindNew,
		"connect": connectNew,
		"select":  selectSockets,
		"gettime": func(L *lua.LState) int {
			L.Push(lua.LNumber(float64(time.Now().UnixMicro()) / 1e6))
			return 1
		},
		"sleep": func(L *lua.LState) int {
			time.Sleep(seconds(L.CheckNumber(1)))
			return 0
		},
	}))
	return 1
}

var methods = map[string]lua.LGFunction{
	"settimeout":  setTimeout,
	"bind":        bind,
	"setsockname": bind,
	"listen":      listen,
	"accept":      accept,
	"connect":     connect,
	"setpeername": connect,
	"send":        send,
	"sendto":      sendTo,
	"receive":     receive,
	"receivefrom": receiveFrom,
	"getsockname": func(L *lua.LState) int { return name(L, unix.Getsockname) },
	"getpeername": func(L *lua.LState) int { return name(L, unix.Getpeername) },
	"setoption":   setOption,
	"shutdown":    shutdown,
	"close":       closeSocket,
	"getfd": func(L *lua.LState) int {
		L.Push(lua.LNumber(check(L).fd))
		return 1
	},
}

var (
	errTimeout = errors.New("timeout")
	errClosed  = errors.New("closed")
)

// fail returns nil and LuaSocket's word for an error.
func fail(L *lua.LState, err error) int {
	text := err.Error()
	switch {
	case errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.EBADF):
		text = errClosed.Error()
	case errors.Is(err, unix.ECONNREFUSED):
		text = "connection refused"
	case errors.Is(err, unix.EISCONN):
		text = "already connected"
	}
	L.Push(lua.LNil)
	L.Push(lua.LString(text))
	return 2
}

// check returns the socket that a method was called on.
func check(L *lua.LState) *socket {
	if s, ok := L.CheckUserData(1).Value.(*socket); ok {
		return s
	}
	L.ArgError(1, "socket expected")
	return nil
}

func seconds(n lua.LNumber) time.Duration { return time.Duration(float64(n) * float64(time.Second)) }

// push makes a userdata of a new descriptor.
func push(L *lua.LState, fd int, udp bool) int {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return fail(L, err)
	}
	ud := L.NewUserData()
	ud.Value = &socket{fd: fd, udp: udp, timeout: -1}
	ud.Metatable = L.GetTypeMetatable(typeName)
	L.Push(ud)
	return 1
}

func create(L *lua.LState, udp bool) int {
	kind := unix.SOCK_STREAM
	if udp {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(unix.AF_INET, kind, 0)
	if err != nil {
		return fail(L, err)
	}
	return push(L, fd, udp)
}

// address reads a host and a port from the arguments n and n+1.
func address(L *lua.LState, n int) (*unix.SockaddrInet4, error) {
	host, port := L.CheckString(n), L.CheckInt(n+1)
	if host == "*" {
		host = "0.0.0.0"
	}
	if port < 0 || port > 65535 {
		return nil, errors.New("invalid port")
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		found, err := net.ResolveIPAddr("ip4", host)
		if err != nil {
			return nil, errors.New("host not found")
		}
		ip, _ = netip.AddrFromSlice(found.IP.To4())
	}
	if !ip.Is4() {
		return nil, errors.New("address family not supported")
	}
	return &unix.SockaddrInet4{Addr: ip.As4(), Port: port}, nil
}

// pushAddress pushes an address as its text and its port.
func pushAddress(L *lua.LState, sa unix.Sockaddr) int {
	a, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		return fail(L, errors.New("address family not supported"))
	}
	L.Push(lua.LString(netip.AddrFrom4(a.Addr).String()))
	L.Push(lua.LNumber(a.Port))
	return 2
}

func name(L *lua.LState, get func(fd int) (unix.Sockaddr, error)) int {
	sa, err := get(check(L).fd)
	if err != nil {
		return fail(L, err)
	}
	return pushAddress(L, sa)
}

func bind(L *lua.LState) int {
	s := check(L)
	sa, err := address(L, 2)
	if err == nil {
		err = unix.Bind(s.fd, sa)
	}
	return done(L, err)
}

// done returns 1, or nil and the error.
func done(L *lua.LState, err error) int {
	if err != nil {
		return fail(L, err)
	}
	L.Push(lua.LNumber(1))
	return 1
}

func listen(L *lua.LState) int {
	return done(L, unix.Listen(check(L).fd, L.OptInt(2, 32)))
}

// bindNew is socket.bind(host, port, [backlog]): a server socket.
func bindNew(L *lua.LState) int {
	sa, err := address(L, 1)
	if err != nil {
		return fail(L, err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return fail(L, err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err = unix.Bind(fd, sa); err == nil {
		err = unix.Listen(fd, L.OptInt(3, 32))
	}
	if err != nil {
		unix.Close(fd)
		return fail(L, err)
	}
	return push(L, fd, false)
}

func accept(L *lua.LState) int {
	s := check(L)
	var fd int
	err := s.attempt(unix.POLLIN, func() (err error) {
		fd, _, err = unix.Accept(s.fd)
		return err
	})
	if err != nil {
		return fail(L, err)
	}
	return push(L, fd, false)
}

func connect(L *lua.LState) int {
	s := check(L)
	if s.udp && L.CheckString(2) == "*" {
		return done(L, unix.Connect(s.fd, &unix.SockaddrInet4{}))
	}
	sa, err := address(L, 2)
	if err == nil {
		err = s.connect(sa)
	}
	return done(L, err)
}

func (s *socket) connect(sa unix.Sockaddr) error {
	err := unix.Connect(s.fd, sa)
	if err != unix.EINPROGRESS {
		return err
	}
	if err := s.wait(unix.POLLOUT, s.deadline()); err != nil {
		return err
	}
	code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	return err
}

// connectNew is socket.connect(host, port).
func connectNew(L *lua.LState) int {
	sa, err := address(L, 1)
	if err != nil {
		return fail(L, err)
	}
	if n := create(L, false); n != 1 {
		return n
	}
	s := L.Get(-1).(*lua.LUserData).Value.(*socket)
	if err := s.connect(sa); err != nil {
		unix.Close(s.fd)
		s.fd = -1
		return fail(L, err)
	}
	return 1
}

func setTimeout(L *lua.LState) int {
	s := check(L)
	s.timeout = -1
	if n, ok := L.Get(2).(lua.LNumber); ok && n >= 0 {
		s.timeout = seconds(n)
	}
	L.Push(lua.LNumber(1))
	return 1
}

func setOption(L *lua.LState) int {
	s := check(L)
	value := 1
	if L.Get(3) == lua.LFalse {
		value = 0
	}
	switch option := L.CheckString(2); option {
	case "reuseaddr":
		return done(L, unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, value))
	case "keepalive":
		return done(L, unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, value))
	case "tcp-nodelay":
		return done(L, unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, value))
	default:
		L.ArgError(2, "unsupported option '"+option+"'")
		return 0
	}
}

func shutdown(L *lua.LState) int {
	how := map[string]int{"receive": unix.SHUT_RD, "send": unix.SHUT_WR, "both": unix.SHUT_RDWR}
	return done(L, unix.Shutdown(check(L).fd, how[L.OptString(2, "both")]))
}

func closeSocket(L *lua.LState) int {
	s := check(L)
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
	L.Push(lua.LNumber(1))
	return 1
}
