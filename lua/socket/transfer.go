//go:build unix

package socket

import (
	"bytes"
	"errors"
	"time"

	lua "github.com/yuin/gopher-lua"
	"golang.org/x/sys/unix"
)

// deadline returns when an operation that starts now gives up; zero: never.
func (s *socket) deadline() time.Time {
	if s.timeout < 0 {
		return time.Time{}
	}
	return time.Now().Add(s.timeout)
}

// milliseconds is the remaining time in poll's form.
func milliseconds(until time.Time) int {
	if until.IsZero() {
		return -1
	}
	return int(max(0, (time.Until(until)+time.Millisecond-1)/time.Millisecond))
}

// wait waits for an event.
func (s *socket) wait(events int16, until time.Time) error {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: events}}
	n, err := poll(fds, until)
	if err == nil && n == 0 {
		err = errTimeout
	}
	return err
}

// poll is unix.Poll, continued after signals.
func poll(fds []unix.PollFd, until time.Time) (int, error) {
	for {
		n, err := unix.Poll(fds, milliseconds(until))
		if err != unix.EINTR {
			return n, err
		}
	}
}

// attempt performs f, waiting for an event as long as it would block.
func (s *socket) attempt(events int16, f func() error) error {
	until := s.deadline()
	for {
		err := f()
		switch {
		case s.fd < 0:
			return errClosed
		case err == unix.EINTR:
		case errors.Is(err, unix.EAGAIN):
			if err := s.wait(events, until); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// send is s:send(data, [i, [j]]): it returns the index of the last byte sent, or nil,
// an error, and that index. It sends all, or as much as it can until the timeout.
func send(L *lua.LState) int {
	s, data := check(L), L.CheckString(2)
	from, to := max(L.OptInt(3, 1), 1), L.OptInt(4, -1)
	if to < 0 {
		to += len(data) + 1
	}
	to = min(to, len(data))
	sent := from - 1
	for sent < to || s.udp {
		err := s.attempt(unix.POLLOUT, func() error {
			n, err := unix.SendmsgN(s.fd, []byte(data[sent:max(sent, to)]), nil, nil, unix.MSG_NOSIGNAL)
			sent += max(n, 0)
			return err
		})
		if err != nil {
			fail(L, err)
			L.Push(lua.LNumber(sent))
			return 3
		}
		if s.udp {
			break
		}
	}
	L.Push(lua.LNumber(sent))
	return 1
}

func sendTo(L *lua.LState) int {
	s, data := check(L), L.CheckString(2)
	sa, err := address(L, 3)
	if err == nil {
		err = s.attempt(unix.POLLOUT, func() error { return unix.Sendto(s.fd, []byte(data), 0, sa) })
	}
	return done(L, err)
}

// largestDatagram is more than UDP carries.
const largestDatagram = 1 << 16

// receive is s:receive: it returns a datagram; or, of a stream, a number of bytes, a
// line ("*l") or all of it ("*a"); or nil, an error, and what was received.
func receive(L *lua.LState) int {
	s := check(L)
	if s.udp {
		return receiveDatagram(L, s, false)
	}
	size, until := -1, byte('\n')
	switch pattern := L.Get(2).(type) {
	case lua.LNumber:
		size = max(int(pattern), 0)
	case lua.LString:
		if pattern == "*a" || pattern == "a" {
			until = 0
		}
	}
	complete := func() (data []byte, rest int, ok bool) {
		if size >= 0 {
			n := min(size, len(s.in))
			return s.in[:n], n, n == size
		}
		if i := bytes.IndexByte(s.in, '\n'); until == '\n' && i >= 0 {
			return bytes.TrimSuffix(s.in[:i], []byte("\r")), i + 1, true
		}
		return s.in, len(s.in), false
	}
	for {
		data, used, ok := complete()
		if ok {
			s.in = s.in[used:]
			L.Push(lua.LString(data))
			return 1
		}
		var n int
		piece := make([]byte, 16384)
		err := s.attempt(unix.POLLIN, func() (err error) {
			n, err = unix.Read(s.fd, piece)
			return err
		})
		if err == nil && n <= 0 {
			err = errClosed
		}
		if err != nil {
			s.in = s.in[used:]
			if err == errClosed && until == 0 && size < 0 {
				L.Push(lua.LString(data))
				return 1
			}
			fail(L, err)
			L.Push(lua.LString(data))
			return 3
		}
		s.in = append(s.in[:len(s.in):len(s.in)], piece[:n]...)
	}
}

func receiveFrom(L *lua.LState) int { return receiveDatagram(L, check(L), true) }

func receiveDatagram(L *lua.LState, s *socket, from bool) int {
	datagram := make([]byte, min(max(L.OptInt(2, 8192), 0), largestDatagram))
	var n int
	var sa unix.Sockaddr
	err := s.attempt(unix.POLLIN, func() (err error) {
		n, sa, err = unix.Recvfrom(s.fd, datagram, 0)
		return err
	})
	if err != nil {
		return fail(L, err)
	}
	L.Push(lua.LString(datagram[:n]))
	if !from {
		return 1
	}
	return 1 + pushAddress(L, sa)
}

// selectSockets is socket.select(read, write, [timeout]): two tables, by number
// and by socket, and "timeout" if both are empty.
func selectSockets(L *lua.LState) int {
	var fds []unix.PollFd
	var values []lua.LValue
	var buffered []bool // has data that poll does not know about
	var until time.Time
	if n, ok := L.Get(3).(lua.LNumber); ok && n >= 0 {
		until = time.Now().Add(seconds(n))
	}
	ready := []*lua.LTable{L.NewTable(), L.NewTable()}
	collect := func(arg int, events int16) {
		list, ok := L.Get(arg).(*lua.LTable)
		if !ok {
			return
		}
		for i := 1; i <= list.Len(); i++ {
			ud, _ := list.RawGetInt(i).(*lua.LUserData)
			if ud == nil {
				continue
			}
			s, ok := ud.Value.(*socket)
			if !ok || s.fd < 0 {
				continue
			}
			has := events == unix.POLLIN && len(s.in) > 0
			if has {
				until = time.Now()
			}
			fds = append(fds, unix.PollFd{Fd: int32(s.fd), Events: events})
			values = append(values, ud)
			buffered = append(buffered, has)
		}
	}
	collect(1, unix.POLLIN)
	collect(2, unix.POLLOUT)
	if _, err := poll(fds, until); err != nil {
		return fail(L, err)
	}
	for i, fd := range fds {
		which := ready[0]
		if fd.Events&unix.POLLOUT != 0 {
			which = ready[1]
		}
		if fd.Revents != 0 || buffered[i] {
			which.Append(values[i])
			which.RawSet(values[i], lua.LNumber(which.Len()))
		}
	}
	L.Push(ready[0])
	L.Push(ready[1])
	if ready[0].Len()+ready[1].Len() > 0 {
		return 2
	}
	L.Push(lua.LString("timeout"))
	return 3
}
