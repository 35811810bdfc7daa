package interop

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
)

// relay stands between two ends that speak UDP, and treats their datagrams
// badly: some it loses, some it sends twice, some it holds back until the next
// has passed. What happens to a direction's nth datagram is up to the seed.
type relay struct {
	front, back *net.UDPConn // towards the client, towards the server
	client      atomic.Pointer[netip.AddrPort]
	server      netip.AddrPort
	loss        float64
	seed        uint64
}

// startRelay returns the port at which a client finds the server at port.
func startRelay(t *testing.T, server int, loss float64, seed uint64) int {
	t.Helper()
	r := &relay{front: listenUDP(t), back: listenUDP(t), server: loopback(server), loss: loss, seed: seed}
	go r.forward(0, r.front, func(from netip.AddrPort, d []byte) {
		r.client.Store(&from)
		r.back.WriteToUDPAddrPort(d, r.server)
	})
	go r.forward(1, r.back, func(_ netip.AddrPort, d []byte) {
		if client := r.client.Load(); client != nil {
			r.front.WriteToUDPAddrPort(d, *client)
		}
	})
	return port(r.front)
}

func (r *relay) forward(direction uint64, in *net.UDPConn, send func(netip.AddrPort, []byte)) {
	fate := rand.New(rand.NewPCG(r.seed, direction))
	buf := make([]byte, 1<<16)
	var held []byte
	for {
		n, from, err := in.ReadFromUDPAddrPort(buf)
		if err != nil {
			return // closed at the end of the test
		}
		lost, twice, late := fate.Float64() < r.loss, fate.Float64() < r.loss/2, fate.Float64() < r.loss/2
		if lost {
			continue
		}
		if late && held == nil {
			held = append([]byte{}, buf[:n]...)
			continue
		}
		send(from, buf[:n])
		if twice {
			send(from, buf[:n])
		}
		if held != nil {
			send(from, held)
			held = nil
		}
	}
}

func listenUDP(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func port(conn *net.UDPConn) int { return conn.LocalAddr().(*net.UDPAddr).Port }

func loopback(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
}
