package webrtctls

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/transport/v5/packetio"
)

// Lost counts the datagrams that were lost between ICE and the three protocols over it, by reason.
// Anybody can cause some of them, so none is an error.
type Lost struct {
	// Unsent counts datagrams that ICE could not send, since it had no pair of candidates.
	Unsent uint64
	// Unknown counts received datagrams whose first byte is of none of the three protocols.
	Unknown uint64
	// Oversized counts received datagrams of more than 16,896 bytes, which no peer needs.
	Oversized uint64
	// DTLS counts received datagrams of DTLS that were not read in time.
	DTLS uint64
	// SRTP counts received packets of SRTP that were not read in time, or after its Close.
	SRTP uint64
	// SRTCP counts received packets of SRTCP that were not read in time, or after its Close.
	SRTCP uint64
}

// What a protocol may leave unread, in bytes and datagrams. A key frame of video is a burst of
// packets, and media may overtake the end of the handshake.
const (
	maxUnreadDTLS, maxDatagramsDTLS = 256 << 10, 512
	maxUnreadSRTP, maxPacketsSRTP   = 1 << 20, 2048
	maxUnreadSRTCP, maxPacketsSRTCP = 64 << 10, 512
)

// maxDatagram is the largest datagram that netconn takes.
const maxDatagram = 16896

// After every maxEmpty reads in a row without a usable datagram, there is a pause, so that a
// connection whose reads do not block does not keep a processor busy. But anyone may send datagrams
// that are empty or too large. So such reads do not end the connection, and there are few pauses:
// with 20,000 reads in a second, there is still time for useful datagrams.
const (
	maxEmpty = 100
	pause    = 5 * time.Millisecond
)

// maxErrors is how many errors a connection may return in a row before it is over.
const maxErrors = 16

// A mux gives each protocol its datagrams. One goroutine reads.
type mux struct {
	conn      net.Conn
	dtls      *endpoint
	srtp      *endpoint
	srtcp     *endpoint
	unsent    atomic.Uint64
	unknown   atomic.Uint64
	oversized atomic.Uint64
	closing   sync.Once
	closed    error
}

func newMux(conn net.Conn) *mux {
	m := &mux{conn: conn}
	m.dtls = newEndpoint(m, maxUnreadDTLS, maxDatagramsDTLS)
	m.srtp = newEndpoint(m, maxUnreadSRTP, maxPacketsSRTP)
	m.srtcp = newEndpoint(m, maxUnreadSRTCP, maxPacketsSRTCP)
	go m.run()
	return m
}

// run reads until the connection is over. No error is final by itself: an ICE restart may cause
// some.
func (m *mux) run() {
	defer m.end()
	buf := make([]byte, maxDatagram+1)
	for failures, empty := 0, 0; failures < maxErrors; {
		n, err := m.conn.Read(buf)
		if empty++; n > 0 && n <= maxDatagram {
			empty = 0
		} else if empty%maxEmpty == 0 {
			time.Sleep(pause)
		}
		switch {
		case n > maxDatagram || errors.Is(err, io.ErrShortBuffer):
			m.oversized.Add(1)
		case n > 0:
			m.sort(buf[:n])
		}
		switch {
		case isFinal(err):
			return
		case err != nil && !errors.Is(err, io.ErrShortBuffer):
			failures++
		default:
			failures = 0
		}
	}
}

// sort puts a datagram where its protocol reads it.
func (m *mux) sort(datagram []byte) {
	if e := m.owner(datagram); e != nil {
		e.put(datagram)
	} else {
		m.unknown.Add(1)
	}
}

// owner is RFC 7983, Section 7: the first byte tells the protocol. STUN is ICE's and does not
// arrive here.
func (m *mux) owner(datagram []byte) *endpoint {
	switch first := datagram[0]; {
	case 20 <= first && first <= 63:
		return m.dtls
	case first < 128 || first > 191:
		return nil
	}
	// RFC 5761, Section 4: the packet types of RTCP are where no payload type of RTP is.
	if len(datagram) > 1 && 192 <= datagram[1] && datagram[1] <= 223 {
		return m.srtcp
	}
	return m.srtp
}

// end tells the protocols that no more arrives.
func (m *mux) end() {
	for _, e := range []*endpoint{m.dtls, m.srtp, m.srtcp} {
		e.unread.Close()
	}
}

// close closes the connection below, once.
func (m *mux) close() error {
	m.closing.Do(func() {
		m.end()
		m.closed = m.conn.Close()
	})
	return m.closed
}

func (m *mux) lost() Lost {
	return Lost{
		Unsent:    m.unsent.Load(),
		Unknown:   m.unknown.Load(),
		Oversized: m.oversized.Load(),
		DTLS:      m.dtls.missed.Load(),
		SRTP:      m.srtp.missed.Load(),
		SRTCP:     m.srtcp.missed.Load(),
	}
}

// An endpoint is the share of one protocol in a connection: a net.Conn.
type endpoint struct {
	mux    *mux
	unread *packetio.Buffer
	missed atomic.Uint64
}

func newEndpoint(m *mux, size, count int) *endpoint {
	e := &endpoint{mux: m, unread: packetio.NewBuffer()}
	e.unread.SetLimitSize(size)
	e.unread.SetLimitCount(count)
	return e
}

func (e *endpoint) put(datagram []byte) {
	if _, err := e.unread.Write(datagram, nil); err != nil {
		e.missed.Add(1)
	}
}

// Read returns io.EOF when the connection is over.
func (e *endpoint) Read(p []byte) (int, error) {
	n, _, err := e.unread.Read(p, nil)
	return n, err
}

// Write fails only when the connection is over. A datagram that ICE cannot send for the moment is
// lost: an error would end the DTLS connection in an ICE restart.
func (e *endpoint) Write(p []byte) (int, error) {
	if _, err := e.mux.conn.Write(p); err != nil {
		if isFinal(err) {
			return 0, err
		}
		e.mux.unsent.Add(1)
	}
	return len(p), nil
}

// Close of DTLS, which is the Conn, closes everything.
func (e *endpoint) Close() error {
	if e == e.mux.dtls {
		return e.mux.close()
	}
	return e.unread.Close()
}

func (e *endpoint) LocalAddr() net.Addr  { return e.mux.conn.LocalAddr() }
func (e *endpoint) RemoteAddr() net.Addr { return e.mux.conn.RemoteAddr() }

func (e *endpoint) SetDeadline(t time.Time) error {
	return errors.Join(e.SetReadDeadline(t), e.SetWriteDeadline(t))
}

func (e *endpoint) SetReadDeadline(t time.Time) error { return e.unread.SetReadDeadline(t) }

// SetWriteDeadline does nothing for media, whose writes share the connection below with others.
func (e *endpoint) SetWriteDeadline(t time.Time) error {
	if e == e.mux.dtls {
		return e.mux.conn.SetWriteDeadline(t)
	}
	return nil
}

func isFinal(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, io.EOF)
}
