package main

import (
	"bytes"
	"crypto/tls"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/circlgroups"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/netconn"
)

// listenerRows are a netconn.PacketListener whose peers are all quiet, and then all speak.
func listenerRows() (rows []row) {
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		c := crowd{Version: version, Datagrams: true, Listener: true}
		rows = append(rows, row{
			name:        "100,000 peers of a listener, D" + tls.VersionName(version),
			measure:     compactRSS,
			rounds:      1,
			contestants: []contestant{{ours, c.start}},
		})
	}
	return rows
}

const (
	// quietAfter is when a peer is made small.
	quietAfter = 200 * time.Millisecond
	// wordRoom is more than a datagram with a word has.
	wordRoom = 64
)

var word = []byte("good morning")

// measureListener measures peers that have said something, and have been quiet since. Then each
// sends a word and gets an answer.
func (c crowd) measureListener(t *trial) (m crowdMemory) {
	l := newGathering(t, c)
	defer l.Close()
	for range 100 {
		l.meet(t)
	}
	count := c.Count
	listed, conns, words := new(net.UDPConn), make([]net.Conn, count), make([]byte, count*wordRoom)
	for i := range conns {
		conns[i] = listed // the lists are resident from now on
		words[i*wordRoom] = 1
	}
	first, before := l.peers, mustResident(t)
	for i := range conns {
		conns[i] = l.meet(t)
		sealed, err := l.client.Seal(nil, word)
		if err != nil {
			t.Fatal(err)
		}
		words[i*wordRoom] = byte(copy(words[i*wordRoom+1:(i+1)*wordRoom], sealed))
	}
	l.client = nil
	m.Compact = float64(settled(t)-before) / float64(count)
	l.pipe.discards.Store(true)
	began, buf := cpuTime(), make([]byte, wordRoom)
	for i := range conns {
		said := words[i*wordRoom : (i+1)*wordRoom]
		l.pipe.in <- parcel{addressOf(first + i), said[1:][:said[0]]}
	}
	for _, conn := range conns {
		n, err := conn.Read(buf)
		if err != nil || !bytes.Equal(buf[:n], word) {
			t.Fatalf("%q, %v", buf[:n], err)
		}
		if _, err := conn.Write(word); err != nil {
			t.Fatal(err)
		}
	}
	m.Wake = float64(cpuTime() - began)
	runtime.KeepAlive(conns)
	return m
}

// settled is the resident memory once all peers have become small: when it has stopped falling.
func settled(t *trial) int {
	least := mustResident(t)
	for same := 0; same < 3; same++ {
		time.Sleep(quietAfter)
		if n := mustResident(t); n < least-least/1000 {
			least, same = n, 0
		}
	}
	return least
}

// A gathering is a listener, and a client that speaks from one address after the other.
type gathering struct {
	*netconn.PacketListener
	pipe   *pipe
	config *hermetic.Config
	client *hermetic.Engine // of the last peer
	peers  int
}

func newGathering(t *trial, c crowd) *gathering {
	ca := pkitest.CA(t)
	s := settings{version: c.Version, datagrams: true, group: tls.X25519}
	client, server := s.ours(t, ca, ca.Leaf(t, pkitest.Options{}))
	client.Time, server.Time = time.Now, time.Now
	client.KeyExchanges, server.KeyExchanges = circlgroups.All(), circlgroups.All()
	p := &pipe{in: make(chan parcel), out: make(chan []byte, 64), done: make(chan struct{})}
	l, err := netconn.NewPacketListener(p, server, &netconn.PacketConfig{CompactAfter: quietAfter})
	if err != nil {
		t.Fatal(err)
	}
	return &gathering{PacketListener: l, pipe: p, config: client}
}

// meet returns the listener's end of a new connection, after its handshake and its first data.
func (g *gathering) meet(t *trial) net.Conn {
	var err error
	if g.client, err = hermetic.NewEngine(hermetic.DTLSClient, g.config); err != nil {
		t.Fatal(err)
	}
	from := addressOf(g.peers)
	g.peers++
	for {
		for g.client.HasOutput() {
			g.pipe.in <- parcel{from, g.client.Output(nil)}
		}
		if g.client.HandshakeComplete() && g.client.Acknowledged() {
			break
		}
		openAll(t, g.client, <-g.pipe.out)
	}
	sealed, err := g.client.Seal(nil, word)
	if err != nil {
		t.Fatal(err)
	}
	g.pipe.in <- parcel{from, sealed}
	conn, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, wordRoom)
	if n, err := conn.Read(buf); err != nil || !bytes.Equal(buf[:n], word) {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	return conn
}

// addressOf is the address of the i-th peer.
func addressOf(i int) *net.UDPAddr {
	return &net.UDPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)), Port: 5684}
}

// A parcel is a datagram with its sender.
type parcel struct {
	from *net.UDPAddr
	data []byte
}

// A pipe is a socket in memory. What the listener sends is for the client of the moment.
type pipe struct {
	net.PacketConn
	in       chan parcel
	out      chan []byte
	discards atomic.Bool // what the listener sends
	done     chan struct{}
}

func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-p.in:
		return copy(b, d.data), d.from, nil
	case <-p.done:
		return 0, nil, net.ErrClosed
	}
}

func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	if !p.discards.Load() {
		p.out <- bytes.Clone(b)
	}
	return len(b), nil
}

func (p *pipe) Close() error {
	close(p.done)
	return nil
}

func (p *pipe) LocalAddr() net.Addr { return addressOf(0) }
