package netconn

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// A SavedConn is a connection that [PacketListener.Export] has taken from its listener, for
// PacketConfig.Import. It can be encoded with encoding/gob and encoding/json.
type SavedConn struct {
	// Peer is the address of the peer, as the socket tells it: one for IPv6 may have IPv4
	// addresses in the form of IPv6.
	Peer netip.AddrPort

	// State is the connection, sealed with the AEAD of Export, together with the data that was
	// not read yet. It must be imported at most once: see [hermetic.Engine.Export].
	State []byte
}

var (
	errExportUDP = errors.New("netconn: Export needs a listener on a *net.UDPConn")
	errExportKey = fmt.Errorf("netconn: Export needs an AEAD, and it is nil: %w", hermetic.ErrInvalidOperation)
	errImport    = errors.New("netconn: PacketConfig.Import needs an ImportKey, and a *net.UDPConn")
)

// Export ends the listener and hands over its connections, to PacketConfig.Import in this process
// or another, which continues them. The peers notice nothing.
//
// Export first drops new ClientHellos, which clients send again, and waits for what is under way: a
// handshake, a ticket without its ACK, or the last flight of a DTLS 1.2 server before data has
// arrived. It waits until ctx is done; without a deadline, a silent DTLS 1.2 peer takes up to four
// minutes. Then it stops reading, and exports every connection that can be exported. From then on,
// all methods of an exported connection, including Close, return [hermetic.ErrExported]. Any other
// connection is closed, with a close_notify if its handshake is complete, and its methods return
// net.ErrClosed. Last, Export closes the socket.
//
// Later datagrams wait in the socket if another descriptor of it is open: get one with
// [net.UDPConn.File] before the call, and import from it. Use an AEAD with random nonces of 24 bytes,
// such as XChaCha20-Poly1305, one that makes its nonces itself, such as
// cipher.NewGCMWithRandomNonce, or a new key for each call. If the listener is already closed, the
// error is net.ErrClosed. With a nil AEAD, the error is a [hermetic.ErrInvalidOperation], and nothing
// has changed.
func (l *PacketListener) Export(ctx context.Context, aead cipher.AEAD) ([]SavedConn, error) {
	s := l.socket
	socket, ok := s.transport.(*udp)
	switch {
	case !ok:
		return nil, errExportUDP
	case aead == nil:
		return nil, errExportKey
	case s.isClosed() || !s.draining.CompareAndSwap(false, true):
		return nil, net.ErrClosed
	}
	s.drain(ctx)
	s.stopReading(socket)
	var saved []SavedConn
	for _, p := range s.all() {
		if state, err := p.export(aead); err == nil {
			saved = append(saved, SavedConn{p.addr.port, state})
		}
	}
	s.stopListening()
	for _, p := range s.all() {
		p.abortHandshake(net.ErrClosed)
		p.Close()
	}
	return saved, nil
}

func (s *socket) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// settle is how often Export checks by itself, because only time ends the wait for data after the
// last flight of a DTLS 1.2 server.
const settle = time.Second

// drain waits until nothing is under way.
func (s *socket) drain(ctx context.Context) {
	ready := make(map[*peer]bool)
	for {
		waits := false
		for _, p := range s.all() {
			if !ready[p] {
				ready[p] = p.rests()
				waits = waits || !ready[p]
			}
		}
		if !waits {
			return
		}
		select {
		case <-s.progress:
		case <-time.After(settle):
		case <-s.ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// tellExport lets drain look again: whatever changes what [peer.rests] reports calls it.
func (s *socket) tellExport() {
	if !s.draining.Load() {
		return
	}
	select {
	case s.progress <- struct{}{}:
	default:
	}
}

// rests reports whether nothing of the connection is under way.
func (p *peer) rests() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over() != nil {
		return true
	}
	if !p.established || p.busy || p.leaving {
		return false
	}
	var err error
	p.alone(func() { err = p.engine.Compact() })
	return err == nil
}

// alone uses the engine where no output follows. Its caller has seen that it is not busy.
func (p *peer) alone(f func()) {
	p.busy = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.busy = false
		p.wake.Broadcast()
	}()
	f()
}

// stopReading ends the goroutine that reads, after what it has read.
func (s *socket) stopReading(u *udp) {
	close(s.stop)
	u.SetReadDeadline(past)
	<-s.stopped
}

// export takes the connection from its socket.
func (p *peer) export(aead cipher.AEAD) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := time.Now().Add(moment)
	defer time.AfterFunc(moment, p.broadcast).Stop()
	for p.leaving && time.Now().Before(limit) {
		p.wake.Wait()
	}
	switch {
	case !p.turn() || p.over() != nil:
		return nil, net.ErrClosed
	case !p.established || p.leaving:
		return nil, hermetic.ErrInvalidOperation
	}
	saved := savedPeer{random: p.random, ended: p.ended}
	var err error
	p.exporting = true
	p.alone(func() { saved.engine, err = p.engine.Export(nil, aead) })
	p.exporting = false
	switch {
	case err != nil:
		return nil, err
	case p.closed: // it took too long
		return nil, net.ErrClosed
	}
	saved.unread = p.queue[p.next:] // Read may have taken some meanwhile
	p.queue, p.next, p.err = nil, 0, hermetic.ErrExported
	p.finish()
	return saved.seal(aead, p.addr.id()), nil
}

// awaitExport waits, for a moment at most, until the export of the engine has succeeded or failed.
func (p *peer) awaitExport() {
	if !p.exporting {
		return
	}
	limit := time.Now().Add(moment)
	defer time.AfterFunc(moment, p.broadcast).Stop()
	for p.exporting && time.Now().Before(limit) {
		p.wake.Wait()
	}
}

// savedPeer is what a SavedConn holds.
type savedPeer struct {
	engine []byte
	random [32]byte
	ended  bool
	unread [][]byte
}

// savedForm is the first byte of a sealed savedPeer; a change of the encoding gets a new value.
const savedForm = 1

var savedLabel = []byte("hermetic netconn state")

// seal returns the saved peer, bound to its address.
func (s *savedPeer) seal(aead cipher.AEAD, id []byte) []byte {
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return aead.Seal(nonce, nonce, s.append(nil), append(savedLabel[:len(savedLabel):len(savedLabel)], id...))
}

func (s *savedPeer) append(b []byte) []byte {
	ended := byte(0)
	if s.ended {
		ended = 1
	}
	b = append(append(b, savedForm, ended), s.random[:]...)
	for _, field := range append([][]byte{s.engine}, s.unread...) {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(field))), field...)
	}
	return b
}

// open reads what seal has returned.
func (s *savedPeer) open(sealed []byte, aead cipher.AEAD, id []byte) error {
	n := aead.NonceSize()
	if len(sealed) < n {
		return hermetic.ErrBadState
	}
	b, err := aead.Open(nil, sealed[:n], sealed[n:], append(savedLabel[:len(savedLabel):len(savedLabel)], id...))
	if err != nil || !s.parse(b) {
		return hermetic.ErrBadState
	}
	return nil
}

func (s *savedPeer) parse(b []byte) bool {
	if len(b) < 2+len(s.random) || b[0] != savedForm || b[1] > 1 {
		return false
	}
	s.ended = b[1] == 1
	b = b[2+copy(s.random[:], b[2:]):]
	var fields [][]byte
	for len(b) > 0 {
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
			return false
		}
		end := 4 + binary.BigEndian.Uint32(b)
		fields, b = append(fields, b[4:end:end]), b[end:]
	}
	if len(fields) == 0 {
		return false
	}
	s.engine, s.unread = fields[0], fields[1:]
	return true
}

// adopt continues a saved connection, which Accept returns. Nothing is read meanwhile.
func (s *socket) adopt(c SavedConn, aead cipher.AEAD) error {
	addr := address{key: key{port: c.Peer}}
	var saved savedPeer
	if err := saved.open(c.State, aead, addr.id()); err != nil {
		return err
	}
	engine, err := hermetic.ImportEngine(s.server, saved.engine, aead, nil)
	if err != nil {
		return err
	}
	p := newPeer(s, addr, hermetic.DTLSServer, s.server)
	p.engine, p.err = engine, nil
	p.random, p.ended, p.queue = saved.random, saved.ended, saved.unread
	p.active = true
	s.mu.Lock()
	s.waiting++
	s.live[p] = struct{}{}
	if s.peers[p.home] == nil {
		s.peers[p.home] = p
	}
	s.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.use(false, func() error {
		if p.where != nil {
			engine.SetPath(addr.path())
		}
		return nil
	})
	if p.err == nil {
		s.accept <- p // it has room for all that are imported
	}
	return p.err
}

// adoptAll continues saved connections. None is continued twice: two engines of one state would
// use nonces twice.
func (s *socket) adoptAll(list []SavedConn, aead cipher.AEAD) {
	seen := make(map[string]bool, len(list))
	for _, c := range list {
		err := hermetic.ErrBadState
		if !seen[string(c.State)] {
			err = s.adopt(c, aead)
			seen[string(c.State)] = err == nil
		}
		if err != nil && s.config.OnFailure != nil {
			s.config.OnFailure(net.UDPAddrFromAddrPort(c.Peer), err)
		}
	}
}
