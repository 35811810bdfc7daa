//go:build !linux || !(amd64 || arm64)

package netconn

// batch is the buffer of one datagram: here one system call moves one.
type batch struct{ buf []byte }

func (u *udp) read(take func(address, []byte)) error {
	if u.buf == nil {
		u.buf = make([]byte, maxDatagram)
	}
	n, from, err := u.ReadFromUDPAddrPort(u.buf)
	if err == nil {
		take(address{key: key{port: from}}, u.buf[:n])
	}
	return unlessFull(err, n, u.buf)
}

func (u *udp) reply(to address, datagram []byte) { u.write(to, datagram) }
func (u *udp) flush()                            {}
