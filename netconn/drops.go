package netconn

import "github.com/hermetic-tls/hermetic"

// Drops counts the received datagrams that were dropped, by reason. Anybody can send those, so
// none of this is an error.
type Drops struct {
	// NoAddress counts datagrams whose source the transport does not tell.
	NoAddress uint64
	// Empty counts datagrams without a byte.
	Empty uint64
	// TooLarge counts datagrams of more than 16,896 bytes, which no peer needs.
	TooLarge uint64
	// NoPeer counts datagrams from unknown addresses that have no ClientHello: the connection
	// has ended, the peer has moved without a connection ID, or there never was one.
	NoPeer uint64
	// NoCookie counts datagrams with a ClientHello that was answered by a cookie, and must be
	// sent again with it. Each handshake begins with one.
	NoCookie uint64
	// BacklogFull counts ClientHellos with a good cookie beyond PacketConfig.Backlog.
	BacklogFull uint64
	// TooManyPeers counts ClientHellos with a good cookie beyond PacketConfig.MaxPeers.
	TooManyPeers uint64
	// Closed counts datagrams of a connection that is about to end, and ClientHellos
	// after the listener's Close.
	Closed uint64
	// QueueFull counts datagrams of data beyond PacketConfig.MaxQueued, which were not read in time.
	QueueFull uint64
	// Records are the records that the engines have dropped. A datagram may have several.
	Records hermetic.RecordDrops
}

// Drops returns what was dropped on the connection. Over a stream that is nothing; on a
// connection of a [PacketListener] only QueueFull and Records are set.
func (c *Conn) Drops() Drops { return c.session.drops() }

// Drops returns what was dropped on the socket, for all its connections so far.
func (l *PacketListener) Drops() Drops { return l.socket.allDrops() }

func (s *stream) drops() Drops { return Drops{} }

func (p *peer) drops() Drops {
	if p.dialed {
		return p.socket.allDrops()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	d := Drops{QueueFull: p.unread}
	if p.turn() {
		d.Records = p.engine.Drops()
	}
	return d
}

func (s *socket) allDrops() Drops {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drops
}

// drop counts a datagram for a reason: a field of s.drops.
func (s *socket) drop(reason *uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*reason++
}

// dropRecords counts what a peer's engine has dropped since the last call.
func (s *socket) dropRecords(before, now hermetic.RecordDrops) {
	if before == now {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.drops.Records
	r.Malformed += now.Malformed - before.Malformed
	r.Foreign += now.Foreign - before.Foreign
	r.NoKeys += now.NoKeys - before.NoKeys
	r.Forged += now.Forged - before.Forged
	r.Replayed += now.Replayed - before.Replayed
	r.Unprotected += now.Unprotected - before.Unprotected
	r.Misplaced += now.Misplaced - before.Misplaced
}
