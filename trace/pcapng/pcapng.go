// Package pcapng writes the records of a trace as packets, in the file format of Wireshark and
// tshark, and on request with the secrets that decrypt them.
package pcapng

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/hermetic-tls/hermetic/trace"
)

// Block types and numbers of the format (draft-ietf-opsawg-pcapng).
const (
	sectionHeader    = 0x0a0d0d0a
	interfaceBlock   = 1
	enhancedPacket   = 6
	decryptionSecret = 0xa
	byteOrder        = 0x1a2b3c4d
	linkRaw          = 101        // LINKTYPE_RAW: packets begin with the IP header
	tlsKeyLog        = 0x544c534b // secrets in NSS key log format
	resolution       = 9          // the option if_tsresol, in its value: nanoseconds
)

// defaultLimit bounds what a Writer writes.
const defaultLimit = 256 << 20

// Options are the options of [NewWriter].
type Options struct {
	// Limit is the most that is written, in bytes. What exceeds it is left out. Zero means
	// 256 MiB, negative means no limit.
	Limit int64
}

// A Writer writes packets with the records of a trace. An engine sees no packets, so their IP and
// TCP or UDP headers are made up: the client is 192.0.2.1, and its port says which connection it
// is; the server is 198.51.100.1, port 443 for TLS and 4433 for DTLS. Segments of TCP are records.
//
// Its methods may be called from many goroutines. Give it the events of one side only:
// otherwise each packet is in the file twice.
type Writer struct {
	mu      sync.Mutex
	w       io.Writer
	limit   int64
	written int64
	conns   map[connection]*state
	order   []connection
	err     error
}

// connection is what packets belong to.
type connection struct {
	conn uint64
	side trace.Side
}

var errLimit = errors.New("pcapng: the limit is reached")

// NewWriter returns a Writer to w. Nil opts means the zero value.
func NewWriter(w io.Writer, opts *Options) *Writer {
	p := &Writer{w: w, limit: defaultLimit, conns: map[connection]*state{}}
	if opts != nil && opts.Limit != 0 {
		p.limit = opts.Limit
	}
	// Version 1.0, and the length of the section is not known.
	section := binary.LittleEndian.AppendUint32(nil, byteOrder)
	p.block(sectionHeader, append(section, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))
	// No limit on packets; the option if_tsresol, with 1 byte; the end of options.
	p.block(interfaceBlock, []byte{linkRaw, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, resolution, 0, 0, 0, 0, 0, 0, 0})
	return p
}

// Write writes the packet of a record, and ignores other events. It fits Config.Trace. After an
// error, or once the limit is reached, it does nothing: see Close.
func (p *Writer) Write(e trace.Event) {
	var r part
	switch d := e.Data.(type) {
	case *trace.Record:
		r = part{d.Sent, d.Offset, d.Bytes}
	case *trace.Drop:
		r = part{false, d.Offset, d.Bytes}
	}
	if len(r.data) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return
	}
	key := connection{e.Conn, e.Side}
	s := p.conns[key]
	if s == nil {
		s = newState(e, r.data)
		p.conns[key] = s
		p.order = append(p.order, key)
		if !s.datagrams {
			p.open(s, e.Time)
		}
	}
	p.record(s, e.Time, r)
}

// part is one record of a packet.
type part struct {
	sent   bool
	offset int
	data   []byte
}

// record adds a record to the datagram that is being joined, or is a segment itself.
func (p *Writer) record(s *state, now time.Time, r part) {
	if s.datagrams && len(s.joined.data) > 0 && s.joined.sent == r.sent && r.offset == len(s.joined.data) {
		s.joined.data = append(s.joined.data, r.data...)
		return
	}
	p.flush(s)
	s.joined, s.since = part{sent: r.sent, data: slices.Clone(r.data)}, now
	if !s.datagrams {
		p.flush(s)
	}
}

// flush writes what was joined.
func (p *Writer) flush(s *state) {
	for data := s.joined.data; len(data) > 0; {
		n := min(len(data), maxPayload)
		p.packet(s.since, s.packet(s.joined.sent, flagPush|flagACK, data[:n]))
		data = data[n:]
	}
	s.joined.data = nil
}

// open writes the handshake of TCP, so that the file says which side is the client.
func (p *Writer) open(s *state, now time.Time) {
	client := s.client
	p.packet(now, s.packet(client, flagSYN, nil))
	p.packet(now, s.packet(!client, flagSYN|flagACK, nil))
	p.packet(now, s.packet(client, flagACK, nil))
}

// packet writes an IP packet.
func (p *Writer) packet(now time.Time, ip []byte) {
	ns := uint64(now.UnixNano())
	b := make([]byte, 0, 20+len(ip)+3)
	for _, v := range []uint32{0, uint32(ns >> 32), uint32(ns), uint32(len(ip)), uint32(len(ip))} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	p.block(enhancedPacket, append(b, ip...))
}

// block writes a block.
func (p *Writer) block(typ uint32, body []byte) {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	size := uint32(12 + len(body))
	if p.err == nil && p.limit >= 0 && p.written+int64(size) > p.limit {
		p.err = errLimit
	}
	if p.err != nil {
		return
	}
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, size), typ)
	b = append(binary.LittleEndian.AppendUint32(b, size), body...)
	n, err := p.w.Write(binary.LittleEndian.AppendUint32(b, size))
	p.written += int64(n)
	p.err = err
}

// Close writes what is not written yet, and returns the first error of the underlying writer. It
// does not close that.
func (p *Writer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range p.order {
		p.flush(p.conns[key])
	}
	if p.err == errLimit {
		return nil
	}
	return p.err
}

// KeyLog returns a writer for Config.KeyLogWriter, which puts the SECRETS of the connections into
// the file, so that Wireshark decrypts it.
//
// Anyone who has the file can then read everything that the connections have said. It is for
// debugging, with data that may become known. Without KeyLog there is no secret in the file.
func (p *Writer) KeyLog() io.Writer { return keyLog{p} }

type keyLog struct{ p *Writer }

func (k keyLog) Write(lines []byte) (int, error) {
	k.p.mu.Lock()
	defer k.p.mu.Unlock()
	b := binary.LittleEndian.AppendUint32(nil, tlsKeyLog)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(lines)))
	k.p.block(decryptionSecret, append(b, lines...))
	return len(lines), nil
}
