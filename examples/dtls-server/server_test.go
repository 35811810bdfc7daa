package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

const patience = time.Minute

// running is a server on a socket.
type running struct {
	*server
	t     *testing.T
	addr  *net.UDPAddr
	ended chan error
}

func start(t *testing.T) *running {
	t.Helper()
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	socket.SetReadBuffer(1 << 20)
	config := &hermetic.Config{DTLS: hermetic.DTLSConfig{ConnectionIDs: true, ConnectionIDLength: cidLength}}
	r := &running{newServer(socket, config), t, socket.LocalAddr().(*net.UDPAddr), make(chan error, 1)}
	go func() { r.ended <- r.run() }()
	t.Cleanup(func() { socket.Close() })
	return r
}

// stop ends the server, whose tables and counts can be read then.
func (r *running) stop() {
	r.t.Helper()
	r.socket.Close()
	if err := <-r.ended; !errors.Is(err, net.ErrClosed) {
		r.t.Error(err)
	}
}

func clientConfig(version uint16, ids bool) *hermetic.Config {
	return &hermetic.Config{InsecureSkipVerify: true, MaxVersion: version, DTLS: hermetic.DTLSConfig{ConnectionIDs: ids}}
}

// device is a client whose socket can change.
type device struct {
	t      *testing.T
	engine *hermetic.Engine
	socket *net.UDPConn
	server *net.UDPAddr
	got    []byte
}

func (r *running) device(version uint16, ids bool) *device {
	r.t.Helper()
	engine, err := hermetic.NewEngine(hermetic.DTLSClient, clientConfig(version, ids))
	if err != nil {
		r.t.Fatal(err)
	}
	d := &device{t: r.t, engine: engine, server: r.addr}
	d.move()
	return d
}

// move gives the device a new port.
func (d *device) move() {
	d.t.Helper()
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { socket.Close() })
	d.socket = socket
}

// until exchanges datagrams until done.
func (d *device) until(done func() bool) {
	d.t.Helper()
	buf := make([]byte, 1<<16)
	for end := time.Now().Add(patience); !done(); {
		if time.Now().After(end) {
			d.t.Fatal("nothing happens anymore")
		}
		for d.engine.HasOutput() {
			d.socket.WriteToUDP(d.engine.Output(nil), d.server)
		}
		at, ok := d.engine.Deadline()
		if !ok {
			at = time.Now().Add(time.Second)
		}
		d.socket.SetReadDeadline(at)
		n, _, err := d.socket.ReadFromUDP(buf)
		if err != nil {
			d.engine.Expire()
			continue
		}
		for in := buf[:n]; len(in) > 0; {
			o, err := d.engine.Open(in)
			if err != nil || o.N == 0 {
				break
			}
			d.got = append(d.got, o.Data...)
			in = in[o.N:]
		}
	}
	for d.engine.HasOutput() {
		d.socket.WriteToUDP(d.engine.Output(nil), d.server)
	}
}

func (d *device) connect() {
	d.t.Helper()
	d.until(d.engine.HandshakeComplete)
}

// asks sends words until they come back.
func (d *device) asks(words string) {
	d.t.Helper()
	d.got = nil
	var sent time.Time
	d.until(func() bool {
		if time.Since(sent) > 500*time.Millisecond && !bytes.Contains(d.got, []byte(words)) {
			sent = time.Now()
			out, err := d.engine.Seal(nil, []byte(words))
			if err != nil {
				d.t.Fatal(err)
			}
			d.socket.WriteToUDP(out, d.server)
		}
		return bytes.Contains(d.got, []byte(words))
	})
}

// TestThousandPeers: all are served, while others vanish in the middle of their handshakes and a
// flood of garbage arrives. Afterwards nothing is left of those that have closed.
func TestThousandPeers(t *testing.T) {
	const count, vanishing = 1000, 100
	r := start(t)
	var stop atomic.Bool
	var flood sync.WaitGroup
	flood.Go(func() {
		random := rand.New(rand.NewPCG(1, 2))
		c, err := net.DialUDP("udp", nil, r.addr)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		for !stop.Load() {
			b := make([]byte, 1+random.IntN(200))
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			b[0] = []byte{22, 23, 25, 0x2e, 0x3e, b[0]}[random.IntN(6)]
			c.Write(b)
			time.Sleep(time.Millisecond)
		}
	})
	for range vanishing { // their cookie is good, and then they are gone
		d := r.device(tls.VersionTLS13, false)
		began := false
		d.until(func() bool {
			flights := d.engine.HasOutput() && began
			began = began || d.engine.HasOutput()
			return flights
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for i := next.Add(1); i <= count; i = next.Add(1) {
				version := []uint16{tls.VersionTLS12, tls.VersionTLS13}[i%2]
				c, err := netconn.Dial(ctx, "udp", r.addr.String(), clientConfig(version, i%3 == 0))
				if err != nil {
					t.Error(err)
					return
				}
				words := fmt.Sprint("peer ", i)
				buf := make([]byte, 100)
				c.SetDeadline(time.Now().Add(patience))
				if _, err := c.Write([]byte(words)); err != nil {
					t.Error(err)
				}
				if n, err := c.Read(buf); err != nil || string(buf[:n]) != words {
					t.Errorf("%q, %v", buf[:n], err)
				}
				c.Close()
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	flood.Wait()
	last := r.device(tls.VersionTLS13, false) // the goodbyes before it have arrived
	last.connect()
	last.asks("last")
	r.stop()
	if r.counts.complete < count || r.counts.cookies < count || r.counts.stray == 0 {
		t.Errorf("%+v", r.counts)
	}
	if n := len(r.byAddress); n > vanishing+20 || len(r.timers) != n+len(r.rising) || len(r.byID) > 20 || len(r.rising) > 0 || r.shaking > vanishing {
		t.Errorf("%d peers, %d timers, %d IDs, %d rising and %d handshakes are left", n, len(r.timers), len(r.byID), len(r.rising), r.shaking)
	}
}

// TestFlood: ClientHellos without a good cookie cost no memory.
func TestFlood(t *testing.T) {
	r := start(t)
	for range 2000 {
		d := r.device(tls.VersionTLS13, false)
		d.socket.WriteToUDP(d.engine.Output(nil), d.server)
		d.socket.Close()
	}
	d := r.device(tls.VersionTLS13, true)
	d.connect()
	d.asks("nobody else waits")
	r.stop()
	if len(r.byAddress) != 1 || len(r.timers) != 1 || r.counts.cookies == 0 {
		t.Errorf("%d peers, %d timers, %+v", len(r.byAddress), len(r.timers), r.counts)
	}
}

// TestPortReused: a device that starts again from its port gets a new connection, and what is only
// a ClientHello does not end the old one.
func TestPortReused(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		r := start(t)
		d := r.device(version, true)
		d.connect()
		d.asks("before")
		old, socket := d.engine, d.socket

		again := r.device(version, true)
		again.socket = socket
		hello := again.engine.Output(nil)
		socket.WriteToUDP(hello, d.server) // without a cookie
		d.asks("the old one is still here")

		again.connect()
		again.asks("after")
		record, err := old.Seal(nil, []byte("an old sequence number"))
		if err != nil {
			t.Fatal(err)
		}
		socket.WriteToUDP(record, d.server)
		again.asks("nobody is confused")
		r.stop()
		if r.counts.replaced != 1 || len(r.byAddress) != 1 || len(r.byID) != 1 || len(r.timers) != 1 {
			t.Errorf("%d peers, %d IDs, %d timers, %+v", len(r.byAddress), len(r.byID), len(r.timers), r.counts)
		}
	}
}

// TestMoves: a device with a connection ID keeps its connection at a new address.
func TestMoves(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		r := start(t)
		d := r.device(version, true)
		d.connect()
		d.asks("at home")
		d.move()
		d.asks("away")
		d.asks("still away")
		local := d.socket.LocalAddr().(*net.UDPAddr).AddrPort()
		r.stop()
		if r.counts.moved != 1 || len(r.byAddress) != 1 || r.byAddress[netip.AddrPortFrom(local.Addr().Unmap(), local.Port())] == nil {
			t.Errorf("%d peers, %+v", len(r.byAddress), r.counts)
		}
	}
}

// TestVanished: time forgets a handshake whose device is gone, and a connection that is silent.
// The clock is the test's, and there is no other goroutine.
func TestVanished(t *testing.T) {
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	now := time.Now()
	clock := func() time.Time { return now }
	s := newServer(socket, &hermetic.Config{Time: clock})
	s.now = clock
	from := netip.MustParseAddrPort("127.0.0.1:9") // answers go nowhere
	for i := range 100 {
		from := netip.AddrPortFrom(from.Addr(), uint16(i+1))
		client, err := hermetic.NewEngine(hermetic.DTLSClient, clientConfig(tls.VersionTLS13, false))
		if err != nil {
			t.Fatal(err)
		}
		hello := client.Output(nil)
		answer, _ := s.config.AnswerHello(nil, []byte(from.String()), bytes.Clone(hello))
		client.Open(answer)
		s.datagram(from, client.Output(nil))
	}
	if s.shaking != 100 || len(s.timers) != 100 {
		t.Fatalf("%d handshakes", s.shaking)
	}
	for range 20 {
		next := s.expire()
		if next.IsZero() {
			break
		}
		now = next
	}
	if s.shaking+len(s.byAddress)+len(s.timers) > 0 || s.counts.failed != 100 {
		t.Errorf("%d handshakes, %d peers, %d timers, %+v", s.shaking, len(s.byAddress), len(s.timers), s.counts)
	}
}
