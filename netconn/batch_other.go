//go:build !linux || !(amd64 || arm64)

package netconn

// batch is the buffer of one datagram: there is no reading of many at once here.
type batch struct{ buf []byte }

func (u *udp) read(take func(address, []byte)) error {
	if u.buf == nil {
		u.buf = make([]byte, maxDatagram)
	}
	n, from, err := u.ReadFromUDPAddrPort(u.buf)
	if err == nil {
		take(address{key: key{port: from}}, u.buf[:n])
	}
	return err
}
