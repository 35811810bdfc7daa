package netconn

import (
	"bytes"
	"net"
	"os"
)

// outgoing is a datagram that waits for the transport.
type outgoing struct {
	datagram []byte
	to       *address // nil: the peer's current one
	done     bool
	err      error
}

// post sends a datagram of the engine, or leaves it to a goroutine if the transport
// may wait. The engine retransmits what is lost, so errors are ignored. A nil address is the
// peer's current one.
func (p *peer) post(datagram []byte, elsewhere *address, reply bool) {
	p.mu.Lock()
	to, waits := p.addr, p.leaving || p.removed
	p.mu.Unlock()
	if elsewhere != nil {
		to = *elsewhere
	}
	if !waits {
		var taken bool
		if reply {
			taken = p.socket.transport.reply(to, datagram)
		} else {
			taken, _ = p.socket.transport.try(to, datagram)
		}
		if taken {
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.out) < maxPosted {
		p.enqueue(&outgoing{datagram: bytes.Clone(datagram), to: elsewhere})
	}
}

// enqueue adds a datagram to those that wait for the transport.
func (p *peer) enqueue(o *outgoing) {
	if p.removed {
		return
	}
	p.out = append(p.out, o)
	if !p.leaving {
		p.leaving = true
		go p.leave()
	}
}

// leave sends the datagrams that wait, in order, until none does.
func (p *peer) leave() {
	p.mu.Lock()
	for len(p.out) > 0 {
		o, to := p.out[0], p.addr
		p.out[0], p.out = nil, p.out[1:]
		if o.to != nil {
			to = *o.to
		}
		p.mu.Unlock()
		err := p.socket.transport.write(to, o.datagram)
		p.mu.Lock()
		o.done, o.err = true, err
		if p.data == o {
			p.data = nil
		}
		p.wake.Broadcast()
	}
	p.out, p.leaving = nil, false
	removed := p.removed
	p.wake.Broadcast()
	p.socket.tellExport()
	p.mu.Unlock()
	if removed {
		p.socket.left()
	}
}

// finish removes the peer from its socket. Its caller holds mu, which is free while
// callbacks run.
func (p *peer) finish() {
	if p.removed {
		return
	}
	p.removed = true
	p.wake.Broadcast()
	p.socket.tellExport()
	p.socket.remove(p, p.established, p.leaving)
	failed, err := p.socket.config.OnFailure, p.err
	tell := failed != nil && err != nil && !p.established
	// A side that gives up a handshake sends nothing more.
	hurry := err == nil && !p.established
	addr := p.addr
	p.mu.Unlock()
	p.socket.closeLast(hurry)
	if tell {
		failed(addr.netAddr(), err)
	}
	p.mu.Lock()
}

// send seals b and waits until the transport has taken it. This goroutine tries first;
// if the transport must wait, another one does, so that the deadline holds.
func (p *peer) send(b []byte) (n int, err error) {
	room := writes.Get().(*[]byte)
	defer writes.Put(room)
	o := new(outgoing)
	p.data, p.active = o, true
	p.use(false, func() error {
		if *room, err = p.engine.Seal((*room)[:0], b); err == nil {
			p.offer(o, *room) // before the engine's output
		}
		return nil
	})
	if err != nil {
		p.data = nil
		p.wake.Broadcast()
		return 0, err
	}
	for !o.done {
		switch {
		case p.over() != nil:
			return 0, p.over()
		case p.write.passed():
			return 0, os.ErrDeadlineExceeded
		}
		p.wake.Wait()
	}
	return p.written(b, o.err)
}

// offer sends a datagram of data if the transport takes it, or enqueues it.
func (p *peer) offer(o *outgoing, datagram []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to := p.addr
	if !p.leaving && !p.removed {
		p.mu.Unlock()
		o.done, o.err = p.socket.transport.try(to, datagram)
		p.mu.Lock()
	}
	if o.done {
		p.data = nil
		return
	}
	o.datagram = bytes.Clone(datagram)
	p.enqueue(o)
}

// written is what Write returns.
func (p *peer) written(b []byte, err error) (int, error) {
	switch {
	case err == nil:
		return len(b), nil
	case p.closed:
		return 0, net.ErrClosed
	}
	return 0, err
}
