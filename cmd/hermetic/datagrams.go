package main

import (
	"errors"
	"runtime"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// lossy runs two DTLS engines in memory and loses every lost-th datagram of the
// handshake. Their clock jumps from deadline to deadline.
func lossy(lost int) func(client, server *hermetic.Config) (*result, error) {
	return func(client, server *hermetic.Config) (*result, error) {
		begin := time.Now()
		n := &datagrams{ends: ends{r: new(result)}, now: begin, lost: lost}
		client.Time = func() time.Time { return n.now }
		server.Time = client.Time
		server.DTLS.TrustAddress = true
		var err error
		if n.client, err = hermetic.NewEngine(hermetic.DTLSClient, client); err != nil {
			return nil, err
		}
		if n.server, err = hermetic.NewEngine(hermetic.DTLSServer, server); err != nil {
			return nil, err
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		if err := n.handshake(); err != nil {
			return nil, err
		}
		n.r.time, n.r.waited = time.Since(start), n.now.Sub(begin)
		runtime.ReadMemStats(&after)
		n.r.allocs = after.Mallocs - before.Mallocs
		n.r.state = n.client.State()
		return n.r, n.exchange()
	}
}

// datagrams are two engines, the datagrams between them, and the time.
type datagrams struct {
	ends
	now  time.Time
	lost int // every lost-th is lost
	sent int
}

func (n *datagrams) handshake() error {
	for range 1000 {
		if n.client.HandshakeComplete() && n.server.HandshakeComplete() {
			return nil
		}
		moved, err := n.deliver()
		if err != nil {
			return err
		}
		if !moved {
			if err := n.wait(); err != nil {
				return err
			}
		}
	}
	return errors.New("the handshake does not complete")
}

// deliver moves the datagrams that are due, except those that are lost.
func (n *datagrams) deliver() (moved bool, err error) {
	for i, pair := range [][2]*hermetic.Engine{{n.client, n.server}, {n.server, n.client}} {
		for d := pair[0].Output(nil); len(d) > 0; d = pair[0].Output(nil) {
			moved = true
			n.r.handshake[i] += len(d)
			if n.sent++; n.lost > 0 && n.sent%n.lost == 0 {
				continue
			}
			for len(d) > 0 {
				o, err := pair[1].Open(d)
				if err != nil {
					return moved, err
				}
				n.r.records++
				d = d[o.N:]
			}
		}
	}
	return moved, nil
}

// wait advances the time to the next deadline.
func (n *datagrams) wait() error {
	var next time.Time
	for _, e := range []*hermetic.Engine{n.client, n.server} {
		if at, ok := e.Deadline(); ok && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if next.IsZero() {
		return errors.New("nothing is due")
	}
	n.now = next
	return errors.Join(n.client.Expire(), n.server.Expire())
}

// exchange sends datagrams of data both ways.
func (n *datagrams) exchange() error {
	data := make([]byte, 1024)
	for _, pair := range [][2]*hermetic.Engine{{n.client, n.server}, {n.server, n.client}} {
		for range demoData / len(data) {
			d, err := pair[0].Seal(nil, data)
			if err != nil {
				return err
			}
			o, err := pair[1].Open(d)
			if err != nil {
				return err
			}
			n.r.exchanged += len(o.Data)
		}
	}
	return nil
}
