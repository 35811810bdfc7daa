package main

import (
	"math/rand/v2"
	"net"
	"sync"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
)

// A network is the machine's, or one that has one address at a time, as a phone does that leaves
// a wireless network for another.
type network struct {
	transport.Net
	mu  sync.Mutex
	ips []net.IP
}

func newNetwork(ips []net.IP) (*network, error) {
	machine, err := stdnet.NewNet()
	return &network{Net: machine, ips: ips}, err
}

// move changes to the next address, if there is one.
func (n *network) move() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.ips) > 1 {
		n.ips = n.ips[1:]
	}
}

// Interfaces returns what ICE gathers candidates from.
func (n *network) Interfaces() ([]*transport.Interface, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.ips) == 0 {
		return n.Net.Interfaces()
	}
	i := transport.NewInterface(net.Interface{Index: 1, MTU: 1500, Name: "only", Flags: net.FlagUp})
	i.AddAddress(&net.IPNet{IP: n.ips[0], Mask: net.CIDRMask(128, 128)})
	return []*transport.Interface{i}, nil
}

// losses are the part of the datagrams that is lost, and the seed that says which.
type losses struct {
	part float64
	seed uint64
}

// on returns a connection that loses datagrams in both directions.
func (l losses) on(conn net.Conn) net.Conn {
	if l.part == 0 {
		return conn
	}
	return &lossyConn{Conn: conn, losses: l, random: rand.New(rand.NewPCG(l.seed, 0))}
}

type lossyConn struct {
	net.Conn
	losses losses
	mu     sync.Mutex
	random *rand.Rand
}

func (c *lossyConn) loses() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.Float64() < c.losses.part
}

func (c *lossyConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.loses() {
			return n, err
		}
	}
}

func (c *lossyConn) Write(p []byte) (int, error) {
	if c.loses() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}
