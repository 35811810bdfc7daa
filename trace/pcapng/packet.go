package pcapng

import (
	"encoding/binary"
	"time"

	"github.com/hermetic-tls/hermetic/trace"
)

const (
	flagSYN, flagPush, flagACK = 2, 8, 16

	protocolTCP, protocolUDP = 6, 17
	headerIP, headerTCP      = 20, 20
	headerUDP                = 8
	// maxPayload is what an IP packet has room for.
	maxPayload = 1<<16 - 1 - headerIP - headerTCP

	portTLS, portDTLS = 443, 4433
	firstPort         = 49152 // of those that clients use
)

var addresses = map[bool][4]byte{true: {192, 0, 2, 1}, false: {198, 51, 100, 1}} // whether it is the client

// state is what is known of a connection.
type state struct {
	client    bool // it is the client that tells
	datagrams bool
	port      uint16    // of the client
	next      [2]uint32 // sequence numbers of TCP: of the other side, and of the one that tells
	joined    part      // the datagram that is not whole yet
	since     time.Time // when it began
}

// newState is that of a connection whose first record is rec. That of a stream has a version that
// begins with 3.
func newState(e trace.Event, rec []byte) *state {
	return &state{
		client:    e.Side == trace.Client,
		datagrams: len(rec) > 1 && rec[1] != 3,
		port:      firstPort + uint16(e.Conn%(1<<16-firstPort)),
		next:      [2]uint32{1000, 1000},
	}
}

func index(sent bool) int {
	if sent {
		return 1
	}
	return 0
}

// packet returns an IP packet with data.
func (s *state) packet(sent bool, flags byte, data []byte) []byte {
	fromClient := sent == s.client
	server := uint16(portTLS)
	if s.datagrams {
		server = portDTLS
	}
	ports := [2]uint16{server, s.port} // source, destination
	if fromClient {
		ports = [2]uint16{s.port, server}
	}
	segment := binary.BigEndian.AppendUint16(nil, ports[0])
	segment = binary.BigEndian.AppendUint16(segment, ports[1])
	protocol, checksum := byte(protocolTCP), 16
	if s.datagrams {
		protocol, checksum = protocolUDP, 6
		segment = binary.BigEndian.AppendUint16(segment, uint16(headerUDP+len(data)))
		segment = append(segment, 0, 0)
	} else {
		segment = s.tcp(segment, sent, flags, len(data))
	}
	segment = append(segment, data...)
	from, to := addresses[fromClient], addresses[!fromClient]
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0}
	binary.BigEndian.PutUint16(ip[2:], uint16(headerIP+len(segment)))
	ip = append(append(ip, from[:]...), to[:]...)
	binary.BigEndian.PutUint16(ip[10:], sum(0, ip))
	pseudo := append(append(append([]byte{}, from[:]...), to[:]...), 0, protocol, byte(len(segment)>>8), byte(len(segment)))
	c := sum(uint32(^sum(0, pseudo)), segment)
	if c == 0 && s.datagrams {
		c = 0xffff // RFC 768: zero means none
	}
	binary.BigEndian.PutUint16(segment[checksum:], c)
	return append(ip, segment...)
}

// tcp appends the rest of a TCP header (RFC 9293, Section 3.1).
func (s *state) tcp(b []byte, sent bool, flags byte, n int) []byte {
	seq, ack := &s.next[index(sent)], s.next[index(!sent)]
	if flags&flagACK == 0 {
		ack = 0
	}
	b = binary.BigEndian.AppendUint32(b, *seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	*seq += uint32(n)
	if flags&flagSYN != 0 {
		*seq++
	}
	return append(b, headerTCP/4<<4, flags, 0xff, 0xff, 0, 0, 0, 0)
}

// sum is the checksum of the Internet (RFC 1071), continued from v.
func sum(v uint32, b []byte) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		v += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) > 0 {
		v += uint32(b[0]) << 8
	}
	for v > 0xffff {
		v = v>>16 + v&0xffff
	}
	return ^uint16(v)
}
