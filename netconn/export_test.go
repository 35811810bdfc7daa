package netconn

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/hermetic-tls/hermetic"
)

// handover is a listener whose socket outlives it.
type handover struct {
	t      *testing.T
	cfg    *hermetic.Config
	l      *PacketListener
	socket *net.UDPConn // another descriptor
	aead   cipher.AEAD
	failed []string // to import
}

func newHandover(t *testing.T, cfg *hermetic.Config) *handover {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &handover{t: t, cfg: cfg, aead: keyOf(t, 1), socket: duplicate(t, pc.(*net.UDPConn))}
	if h.l, err = NewPacketListener(pc, cfg, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.l.Close() })
	return h
}

func keyOf(t *testing.T, b byte) cipher.AEAD {
	t.Helper()
	aead, err := chacha20poly1305.NewX(bytes.Repeat([]byte{b}, chacha20poly1305.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// duplicate returns another descriptor of a socket.
func duplicate(t *testing.T, u *net.UDPConn) *net.UDPConn {
	t.Helper()
	f, err := u.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pc, err := net.FilePacketConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	return pc.(*net.UDPConn)
}

func (h *handover) export(ctx context.Context) []SavedConn {
	h.t.Helper()
	saved, err := h.l.Export(ctx, h.aead)
	if err != nil {
		h.t.Fatal(err)
	}
	return saved
}

// import continues on the same socket, as another process would.
func (h *handover) imports(saved []SavedConn) {
	h.t.Helper()
	next := duplicate(h.t, h.socket)
	text, err := json.Marshal(saved)
	if err != nil {
		h.t.Fatal(err)
	}
	saved = nil
	if err := json.Unmarshal(text, &saved); err != nil {
		h.t.Fatal(err)
	}
	h.failed = nil
	l, err := NewPacketListener(next, h.cfg, &PacketConfig{Import: saved, ImportKey: h.aead, OnFailure: func(peer net.Addr, err error) {
		h.failed = append(h.failed, fmt.Sprint(peer, " ", err))
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.l = l
	h.t.Cleanup(func() { l.Close() })
}

func (h *handover) dial(cfg *hermetic.Config) *Conn {
	h.t.Helper()
	c, err := Dial(h.t.Context(), "udp", h.l.Addr().String(), cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	h.t.Cleanup(func() { c.Close() })
	return c
}

func says(t *testing.T, c *Conn, words string) {
	t.Helper()
	if _, err := c.Write([]byte(words)); err != nil {
		t.Fatal(err)
	}
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// TestExport: connections continue on another listener. Nothing is lost of what was read and not
// taken, and of what comes in between.
func TestExport(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, ids := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, connection IDs %v", tls.VersionName(version), ids), func(t *testing.T) {
				client, server := configs(t)
				client.MaxVersion = version
				client.DTLS.ConnectionIDs, server.DTLS.ConnectionIDs = ids, ids
				if ids {
					server.DTLS.ConnectionIDLength = 8
				}
				h := newHandover(t, server)
				const count = 5
				var clients, olds []*Conn
				for i := range count {
					c := h.dial(client)
					old := accept(t, h.l)
					says(t, c, "hello")
					hears(t, old, "hello")
					clients, olds = append(clients, c), append(olds, old)
					says(t, c, fmt.Sprint("unread ", i))
				}
				for _, old := range olds { // it is in the queue, not in the socket
					for until := time.Now().Add(patience); old.session.(*peer).unreadCount() == 0; time.Sleep(time.Millisecond) {
						if time.Now().After(until) {
							t.Fatal("nothing comes")
						}
					}
				}
				h.l.socket.mu.Lock()
				at := h.l.socket.transport
				h.l.socket.mu.Unlock()
				saved := h.export(patient(t))
				if len(saved) != count {
					t.Fatalf("%d connections are exported, of %d", len(saved), count)
				}
				for _, old := range olds {
					if _, err := old.Read(make([]byte, 10)); !errors.Is(err, hermetic.ErrExported) {
						t.Errorf("Read on the old connection: %v", err)
					}
					if _, err := old.Write([]byte("x")); !errors.Is(err, hermetic.ErrExported) {
						t.Errorf("Write on the old connection: %v", err)
					}
					for _, want := range []error{hermetic.ErrExported, net.ErrClosed} {
						if err := old.Close(); err != want {
							t.Errorf("Close of the old connection: %v, not %v", err, want)
						}
					}
				}
				if _, err := h.l.Accept(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept on the old listener: %v", err)
				}
				if err := at.Close(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("the old socket is open: %v", err)
				}
				for i, c := range clients {
					says(t, c, fmt.Sprint("in between ", i))
				}
				h.imports(saved)
				if len(h.failed) > 0 {
					t.Fatalf("not imported: %q", h.failed)
				}
				byAddr := map[string]*Conn{}
				for range count {
					c := accept(t, h.l)
					byAddr[c.RemoteAddr().String()] = c
				}
				for i, c := range clients {
					conn := byAddr[c.LocalAddr().String()]
					if conn == nil {
						t.Fatalf("no connection of %v", c.LocalAddr())
					}
					hears(t, conn, fmt.Sprint("unread ", i))
					hears(t, conn, fmt.Sprint("in between ", i))
					says(t, conn, "welcome")
					hears(t, c, "welcome")
					if n := h.l.socket.cidCount(); (n >= count) != ids {
						t.Errorf("%d connection IDs are known", n)
					}
				}
				// Once more, and the end.
				h.imports(h.export(patient(t)))
				conn := accept(t, h.l)
				for _, c := range clients {
					if c.LocalAddr().String() == conn.RemoteAddr().String() {
						says(t, c, "again")
						hears(t, conn, "again")
						conn.Close()
						if _, err := c.Read(make([]byte, 10)); err != io.EOF {
							t.Errorf("after Close: %v", err)
						}
					}
				}
			})
		}
	}
}

func (p *peer) unreadCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) - p.next
}

func (s *socket) cidCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.cids)
}

// TestExportOfEnded: what the peer, or we, have ended stays so.
func TestExportOfEnded(t *testing.T) {
	client, server := configs(t)
	h := newHandover(t, server)
	c, other := h.dial(client), h.dial(client)
	conn, half := accept(t, h.l), accept(t, h.l)
	says(t, c, "last words")
	c.CloseWrite()
	for until := time.Now().Add(patience); !conn.session.(*peer).hasEnded(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("no close_notify comes")
		}
	}
	half.CloseWrite()
	if _, err := other.Read(make([]byte, 10)); err != io.EOF {
		t.Fatalf("%v, not the end", err)
	}
	h.imports(h.export(patient(t)))
	for range 2 {
		conn := accept(t, h.l)
		if conn.RemoteAddr().String() == c.LocalAddr().String() {
			hears(t, conn, "last words")
			if _, err := conn.Read(make([]byte, 10)); err != io.EOF {
				t.Errorf("%v, not the end", err)
			}
		} else if _, err := conn.Write([]byte("x")); err == nil {
			t.Error("a connection that was closed for writing can be written")
		}
	}
}

func (p *peer) hasEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// TestExportUnderWay: a handshake that is under way may end, and one that begins meanwhile
// succeeds with the next listener.
func TestExportUnderWay(t *testing.T) {
	client, server := configs(t)
	client.DTLS.RetransmitTimeout = 20 * time.Millisecond
	server.DTLS.CookieSecret = bytes.Repeat([]byte("s"), 32)
	var once sync.Once
	begun, goes := make(chan struct{}), make(chan struct{})
	server.VerifyConnection = func(hermetic.ConnectionState) error {
		once.Do(func() {
			close(begun)
			<-goes
		})
		return nil
	}
	h := newHandover(t, server)
	type result struct {
		conn *Conn
		err  error
	}
	dial := func() chan result {
		done := make(chan result, 1)
		go func() {
			c, err := Dial(t.Context(), "udp", h.socket.LocalAddr().String(), client)
			done <- result{c, err}
		}()
		return done
	}
	first := dial()
	<-begun
	exported := make(chan []SavedConn)
	go func() {
		saved, err := h.l.Export(patient(t), h.aead)
		if err != nil {
			t.Error(err)
		}
		exported <- saved
	}()
	for !h.l.socket.draining.Load() {
		time.Sleep(time.Millisecond)
	}
	second := dial()
	close(goes)
	saved := <-exported
	if len(saved) != 1 {
		t.Fatalf("%d connections are exported, not the one whose handshake was under way", len(saved))
	}
	h.imports(saved)
	for _, done := range []chan result{first, second} {
		r := <-done
		if r.err != nil {
			t.Fatal(r.err)
		}
		defer r.conn.Close()
		conn := accept(t, h.l)
		says(t, conn, "hello")
		r.conn.SetDeadline(time.Now().Add(patience))
		hears(t, r.conn, "hello")
	}
}

// TestExportInAHurry: what cannot be exported when ctx is done is closed, and says so.
func TestExportInAHurry(t *testing.T) {
	client, server := configs(t)
	client.MaxVersion = tls.VersionTLS12
	h := newHandover(t, server)
	c := h.dial(client)
	old := accept(t, h.l) // its last flight may still be lost
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if saved := h.export(done); len(saved) != 0 {
		t.Errorf("%d connections are exported", len(saved))
	}
	if _, err := old.Read(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
	if _, err := c.Read(make([]byte, 10)); err != io.EOF {
		t.Errorf("the peer reads %v, not the close_notify", err)
	}
}

// TestExportRefuses: where Export is not possible nothing has changed.
func TestExportRefuses(t *testing.T) {
	client, server := configs(t)
	w, l := onWire(t, server, PacketConfig{})
	if _, err := l.Export(t.Context(), keyOf(t, 1)); !errors.Is(err, errExportUDP) {
		t.Errorf("over another transport: %v", err)
	}
	w.caller(t, "peer", client).speak()
	accept(t, l)
	h := newHandover(t, server)
	h.export(t.Context())
	if _, err := h.l.Export(t.Context(), h.aead); !errors.Is(err, net.ErrClosed) {
		t.Errorf("twice: %v", err)
	}
	h = newHandover(t, server)
	c := h.dial(client)
	if _, err := h.l.Export(t.Context(), nil); !errors.Is(err, hermetic.ErrInvalidOperation) {
		t.Errorf("without an AEAD: %v", err)
	}
	says(t, c, "still here")
	hears(t, accept(t, h.l), "still here")
	h.l.Close()
	if _, err := h.l.Export(t.Context(), h.aead); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	saved := []SavedConn{{Peer: netip.MustParseAddrPort("127.0.0.1:9"), State: []byte("x")}}
	for name, opts := range map[string]*PacketConfig{"no key": {Import: saved}, "another transport": {Import: saved, ImportKey: h.aead}} {
		if _, err := NewPacketListener(newWire(), server, opts); !errors.Is(err, errImport) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBadImports: a state that is damaged, of another address or key, or imported before, is lost.
// The others are not.
func TestBadImports(t *testing.T) {
	client, server := configs(t)
	h := newHandover(t, server)
	c := h.dial(client)
	says(t, c, "hello")
	hears(t, accept(t, h.l), "hello")
	saved := h.export(patient(t))
	good := saved[0]
	bad := []SavedConn{{}, {Peer: good.Peer}, {Peer: good.Peer, State: []byte("short")},
		{Peer: netip.AddrPortFrom(good.Peer.Addr(), good.Peer.Port()+1), State: good.State}}
	for i := range len(good.State) {
		damaged := bytes.Clone(good.State)
		damaged[i] ^= 1
		bad = append(bad, SavedConn{good.Peer, damaged}, SavedConn{good.Peer, good.State[:i]})
	}
	aead := h.aead
	h.aead = keyOf(t, 2)
	h.imports(saved)
	if len(h.failed) != 1 {
		t.Errorf("with another key: %q", h.failed)
	}
	h.l.Close()
	h.aead = aead
	h.imports(append(bad, good, good))
	if len(h.failed) != len(bad)+1 {
		t.Errorf("%d fail, not %d", len(h.failed), len(bad)+1)
	}
	conn := accept(t, h.l)
	says(t, c, "still here")
	hears(t, conn, "still here")
	if n := len(h.l.socket.all()); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestSavedPeerAEADs: a saved peer opens with its key, for its address, and not if it was changed. An
// AEAD may make its nonces itself, as the one does that FIPS 140-3 approves.
func TestSavedPeerAEADs(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	for name, aead := range map[string]cipher.AEAD{"XChaCha20-Poly1305": keyOf(t, 1), "AES-256-GCM with random nonces": gcm} {
		saved := savedPeer{engine: []byte("engine"), unread: [][]byte{[]byte("unread")}}
		sealed := saved.seal(aead, []byte("here"))
		if again := saved.seal(aead, []byte("here")); bytes.Equal(again, sealed) {
			t.Errorf("%s: sealed the same twice", name)
		}
		var opened savedPeer
		if err := opened.open(sealed, aead, []byte("here")); err != nil || string(opened.engine) != "engine" || len(opened.unread) != 1 {
			t.Errorf("%s: %+v, %v", name, opened, err)
		}
		if err := opened.open(sealed, aead, []byte("there")); err == nil {
			t.Errorf("%s: it opens at another address", name)
		}
		for i := range sealed {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1
			if opened.open(changed, aead, []byte("here")) == nil || opened.open(sealed[:i], aead, []byte("here")) == nil {
				t.Errorf("%s: changed or cut off at %d, it opens", name, i)
			}
		}
	}
}

// FuzzSavedPeer: what parses is what append has made.
func FuzzSavedPeer(f *testing.F) {
	f.Add((&savedPeer{engine: []byte("engine"), unread: [][]byte{[]byte("a"), nil, []byte("bc")}, ended: true}).append(nil))
	f.Add((&savedPeer{}).append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s savedPeer
		if s.parse(b) && !bytes.Equal(s.append(nil), b) {
			t.Errorf("%x becomes %x", b, s.append(nil))
		}
	})
}

// TestExportIsTold: Export, which waits for what is under way, is told of each end of it, also where
// no engine is used.
func TestExportIsTold(t *testing.T) {
	_, server := configs(t)
	for name, end := range map[string]func(p *peer){
		"the datagrams that waited have left": func(p *peer) { p.leaving = true; p.leave() },
		"the connection has failed":           func(p *peer) { p.abort(net.ErrClosed) },
		"a new handshake replaces it":         func(p *peer) { p.abortHandshake(ErrReplaced) },
	} {
		s := newSocket(newTransport(newWire()), server)
		s.draining.Store(true)
		p := newPeer(s, address{key: key{name: "peer"}}, hermetic.DTLSServer, server)
		if p.rests() {
			t.Fatalf("%s: a handshake under way rests", name)
		}
		end(p)
		select {
		case <-s.progress:
		default:
			t.Errorf("%s: Export waits on", name)
		}
	}
}

// TestExportOfSilent: a silent DTLS 1.2 peer delays Export for four minutes, and not forever, even if
// nothing else checks idle connections.
func TestExportOfSilent(t *testing.T) {
	bubble(t, func(t *testing.T, client, server *hermetic.Config) {
		client.MaxVersion = tls.VersionTLS12
		w, l := onWire(t, server, PacketConfig{CompactAfter: -1})
		w.caller(t, "silent", client).speak()
		p := accept(t, l).session.(*peer)
		l.socket.draining.Store(true)
		start := time.Now()
		l.socket.drain(t.Context())
		if waited := time.Since(start); waited < 4*time.Minute || waited > 4*time.Minute+2*settle {
			t.Errorf("Export waits for %v", waited)
		}
		if state, err := p.export(keyOf(t, 1)); err != nil || len(state) == 0 {
			t.Errorf("then %d bytes, %v", len(state), err)
		}
	})
}

// slowAEAD seals when it is told to.
type slowAEAD struct {
	cipher.AEAD
	seals, goes chan struct{}
}

func (a *slowAEAD) Seal(dst, nonce, data, ad []byte) []byte {
	a.seals <- struct{}{}
	<-a.goes
	return a.AEAD.Seal(dst, nonce, data, ad)
}

// TestCloseDuringExport: a connection is either closed or exported, never both and never neither.
func TestCloseDuringExport(t *testing.T) {
	for _, slow := range []bool{false, true} {
		t.Run(fmt.Sprintf("Close is first: %v", slow), func(t *testing.T) {
			bubble(t, func(t *testing.T, client, server *hermetic.Config) {
				w, l := onWire(t, server, PacketConfig{})
				c := w.caller(t, "peer", client)
				c.speak()
				conn := accept(t, l)
				c.say("unread")
				aead := &slowAEAD{keyOf(t, 1), make(chan struct{}), make(chan struct{})}
				exported := make(chan error)
				go func() {
					state, err := conn.session.(*peer).export(aead)
					if (len(state) > 0) != (err == nil) {
						t.Errorf("%d bytes, %v", len(state), err)
					}
					exported <- err
				}()
				<-aead.seals
				closed := make(chan error, 2)
				go func() { closed <- conn.Close() }()
				synctest.Wait()
				if slow {
					time.Sleep(moment)
					synctest.Wait()
				}
				close(aead.goes)
				if !slow {
					<-aead.seals // that of netconn, around that of the engine
				}
				wantExport, wantClose := error(nil), hermetic.ErrExported
				if slow {
					wantExport, wantClose = net.ErrClosed, nil
				}
				if err := <-exported; err != wantExport {
					t.Errorf("the export: %v, not %v", err, wantExport)
				}
				if err := <-closed; err != wantClose {
					t.Errorf("Close: %v, not %v", err, wantClose)
				}
				if err := conn.Close(); err != net.ErrClosed {
					t.Errorf("Close again: %v", err)
				}
				if n := len(l.socket.all()); n != 0 {
					t.Errorf("%d connections are left", n)
				}
			})
		})
	}
}
