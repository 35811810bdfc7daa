package netconn

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"io"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/codec"
)

// find returns the peer that a datagram is from, and the one that may replace it:
// by the address, unless a connection ID says that another peer has moved there.
// IDs are random and may collide: the peer at the address comes first.
func (s *socket) find(from key, cid []byte) (p, rising *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, rising = s.peers[from], s.rising[from]
	if len(cid) == 0 || p != nil && p.known(cid) || rising != nil && rising.known(cid) {
		return p, rising
	}
	if moved := s.cids[string(cid)]; moved != nil {
		return moved, nil
	}
	return p, rising
}

// maxIDTries is how often another connection ID is made because a peer already has that one. After
// that two peers have the same ID, and find tells them apart by their addresses.
const maxIDTries = 16

// withDistinctIDs returns cfg, or one that gives no peer the ID of another while there are
// enough.
func (s *socket) withDistinctIDs(cfg *hermetic.Config) *hermetic.Config {
	if s.cidSize == 0 {
		return cfg
	}
	fill := cfg.DTLS.MakeConnectionID
	random := codec.Steady(cmp.Or[io.Reader](cfg.Rand, rand.Reader))
	cfg = cfg.Clone()
	cfg.DTLS.MakeConnectionID = func(cid []byte) {
		for i := range maxIDTries {
			if i > 0 {
				if _, err := io.ReadFull(random, cid); err != nil {
					return
				}
			}
			if fill != nil {
				fill(cid)
			}
			if !s.uses(cid) {
				return
			}
		}
	}
	return cfg
}

// uses reports whether a peer has that connection ID.
func (s *socket) uses(cid []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cids[string(cid)] != nil
}

// known reports whether a connection ID is one that the peer sends to us. The
// socket's lock guards them.
func (p *peer) known(cid []byte) bool {
	for _, c := range p.cids {
		if bytes.Equal(c, cid) {
			return true
		}
	}
	return false
}

// register adds a peer to the table of connection IDs.
func (s *socket) register(p *peer, cids [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.cids = append([][]byte(nil), cids...)
	for _, cid := range cids {
		if s.cids[string(cid)] == nil {
			s.cids[string(cid)] = p
		}
	}
}

// forget undoes register.
func (s *socket) forget(p *peer) {
	for _, cid := range p.cids {
		if s.cids[string(cid)] == p {
			delete(s.cids, string(cid))
		}
	}
	p.cids = nil
}

// follow makes a peer's new address its current one, unless PacketConfig.AcceptNewPath refuses.
// Its caller has set busy.
func (p *peer) follow(to address) {
	p.mu.Lock()
	from := p.addr
	p.mu.Unlock()
	may := p.socket.config.AcceptNewPath
	if to.key == from.key || may != nil && !may(from.netAddr(), to.netAddr()) {
		return
	}
	if p.where != nil {
		p.engine.SetPath(to.path())
	}
	p.moveTo(to)
}

// moveTo makes an address the peer's current one.
func (p *peer) moveTo(to address) {
	p.locked(func() {
		if !p.removed {
			p.addr = to
			p.socket.move(p, to.key)
		}
	})
}

// whereabouts is what a peer needs whose paths the engine checks. The peer's lock guards it.
type whereabouts struct {
	from     address // of the last datagram: where an answer to a challenge goes
	next     address // where the peer may have moved
	checking bool    // that it has
}

// checking reports whether the peer may have moved.
func (p *peer) checking() bool { return p.where != nil && p.where.checking }

// elsewhere returns the address of a path, or nil if it is the peer's current one.
func (p *peer) elsewhere(to hermetic.Path) *address {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.where == nil || to == p.addr.path() {
		return nil
	}
	for _, a := range []address{p.where.from, p.where.next} {
		if to == a.path() {
			return &a
		}
	}
	return nil
}

// move enters a peer under its new address, if no other peer has that address: its
// connection IDs find it in any case.
func (s *socket) move(p *peer, to key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vacate(p)
	p.home = to
	if s.peers[to] == nil {
		s.peers[to] = p
	}
}

// vacate removes a peer from its address, and enters the peer that waits to replace it.
func (s *socket) vacate(p *peer) {
	k := p.home
	switch {
	case s.rising[k] == p:
		delete(s.rising, k)
	case s.peers[k] == p:
		delete(s.peers, k)
		if next := s.rising[k]; next != nil {
			s.peers[k] = next
			delete(s.rising, k)
		}
	}
}
