package hermetic

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"github.com/hermetic-tls/hermetic/internal/roomtest"
	"math/rand/v2"
	"testing"
	"time"
)

var seeds = flag.Uint64("seeds", 1000, "how many seeds TestEngineStates plays")

// player is an engine in a play of random calls, and what must hold of it.
type player struct {
	*testing.T
	e     *Engine
	cfg   *Config
	peer  *player
	in    [][]byte // what is on its way to it: pieces of a stream, or datagrams
	kept  []byte   // over streams: what has come of a record that is not whole
	said  []byte   // since the last Reset
	early []byte
	heard []byte
	err   error // what has failed
	owed  bool  // the bytes after a failure may still come
	stale Pending
	ended bool // over streams: close_notify has left
}

// states is a play: two engines that nobody steers.
type states struct {
	*testing.T
	*asker
	rng      *rand.Rand
	datagram bool
	damaged  bool // since the last Reset
	done     map[string]int
}

// TestEngineStates calls two engines at random, in any order and with any bytes between
// them, and answers late, twice or never. Nothing panics, errors are final, what is
// appended is what the contract says, and data is what the peer has said.
func TestEngineStates(t *testing.T) {
	done := make(map[string]int)
	for seed := range *seeds / uint64(roomtest.Stride()) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			a := askings[rng.IntN(len(askings))]
			questions := Async(rng.IntN(1 << 7))
			if rng.IntN(3) == 0 {
				questions = 0
			}
			s := &states{T: t, rng: rng, datagram: rng.IntN(2) == 0, done: done}
			s.asker = newAsker(t, s.datagram, a, questions)
			m := newMeeting(t, s.datagram, s.asker.client, s.asker.server)
			c := &player{T: t, e: m.client, cfg: s.asker.client}
			v := &player{T: t, e: m.server, cfg: s.asker.server, peer: c}
			c.peer = v
			careful := rng.IntN(3) > 0
			for range 150 {
				p := c
				if rng.IntN(2) == 0 {
					p = v
				}
				s.step(p, careful)
				p.check()
			}
			s.agree(c, v)
		})
	}
	t.Log(done)
	for _, what := range []string{"complete", "failed", "closed", "answered", "moved", "early data", "data", "agreed"} {
		if *seeds >= 1000 && !testing.Short() && done[what] < 10 {
			t.Errorf("%q has happened only %d times", what, done[what])
		}
	}
}

// step is one call. A careful caller mostly does what advances a connection.
func (s *states) step(p *player, careful bool) {
	e := p.e
	n := s.rng.IntN(24)
	if careful && n >= 18 {
		n = s.rng.IntN(10)
	}
	switch n {
	case 0, 1, 2:
		p.output()
	case 3, 4, 5, 6:
		s.open(p)
	case 7, 8:
		s.answer(p)
	case 9:
		p.seal(s, e.Seal, &p.said)
	case 10:
		p.seal(s, e.SealEarlyData, &p.early)
	case 11:
		if err := e.KeyUpdate(KeyUpdateRequest(s.rng.IntN(2) == 0)); err == nil {
			s.done["updated"]++
		}
	case 12:
		if s.rng.IntN(5) == 0 {
			e.Close()
			s.done["closed"]++
		}
	case 13:
		e.Compact()
	case 14:
		s.move(p)
	case 15:
		s.now.now = s.now.now.Add(time.Duration(s.rng.IntN(2000)) * time.Millisecond)
		p.fail(e.Expire())
	case 16:
		s.look(p)
	case 17:
		if p.stale != nil {
			if err := s.asker.answer(p.stale, nil); p.e.Pending() != p.stale && !errors.Is(err, ErrInvalidOperation) {
				// It was open until now, or it is not any more.
				s.done["answered"]++
			}
		}
	case 18, 19, 20, 21:
		s.damage(p)
	case 22:
		if s.rng.IntN(4) == 0 {
			for _, q := range []*player{p, p.peer} {
				q.e.Reset()
				*q = player{T: q.T, e: q.e, cfg: q.cfg, peer: q.peer, stale: q.stale}
			}
			s.damaged = false
		}
	case 23:
		e.SetServerName("localhost")
		e.SetMTU(300 + s.rng.IntN(1500))
		e.OfferConnectionIDs(1, ConnectionIDImmediate)
		e.RequestConnectionIDs(1)
		e.ChangeConnectionID()
	}
	if e.HandshakeComplete() {
		s.done["complete"]++
	}
	if p.err != nil {
		s.done["failed"]++
	}
}

// fail takes note of an error: a fatal one is final.
func (p *player) fail(err error) {
	p.Helper()
	switch {
	case p.err != nil && err != p.err:
		p.Errorf("%v: after %v comes %v", p.e.mode, p.err, err)
	case p.err == nil && p.e.err != nil:
		if err != nil && err != p.e.err {
			p.Errorf("%v: it has failed with %v, and says %v", p.e.mode, p.e.err, err)
		}
		p.err, p.owed = p.e.err, true
	}
}

// check is what must hold after each call.
func (p *player) check() {
	p.Helper()
	if p.e.err != nil && p.err == nil {
		p.err, p.owed = p.e.err, true
	}
	if p.err == nil {
		return
	}
	if p.e.err != p.err || p.e.Pending() != nil {
		p.Errorf("%v: the failure is not final", p.e.mode)
	}
	if _, ok := p.e.Deadline(); ok {
		p.Errorf("%v: it has failed, and a deadline", p.e.mode)
	}
}

func (p *player) output() {
	p.Helper()
	had := p.e.HasOutput()
	out := p.e.Output([]byte("prefix"))
	if !bytes.HasPrefix(out, []byte("prefix")) {
		p.Fatalf("%v: Output has changed dst", p.e.mode)
	}
	out = out[6:]
	switch {
	case len(out) > 0 && !had:
		p.Errorf("%v: Output without HasOutput", p.e.mode)
	case len(out) == 0 && had:
		p.Errorf("%v: HasOutput without Output", p.e.mode)
	case len(out) > 0 && p.err != nil && !p.owed:
		p.Errorf("%v: output after what was owed", p.e.mode)
	case len(out) > 0 && p.ended:
		p.Errorf("%v: output after close_notify", p.e.mode)
	}
	p.owed = false
	p.ended = p.ended || p.e.ended && !p.e.mode.IsDTLS()
	p.send(out)
}

func (p *player) send(out []byte) {
	if len(out) > 0 {
		p.peer.in = append(p.peer.in, out)
	}
}

func (p *player) seal(s *states, seal func(dst, data []byte) ([]byte, error), said *[]byte) {
	p.Helper()
	data := fmt.Appendf(nil, "%d ", s.rng.IntN(1000))
	if s.rng.IntN(8) == 0 {
		data = bytes.Repeat(data, s.rng.IntN(100))
	}
	closed := p.e.closed
	server := p.e.mode.IsServer()
	complete := p.e.HandshakeComplete()
	out, err := seal([]byte("prefix"), data)
	p.fail(err)
	switch {
	case err != nil && string(out) != "prefix":
		p.Errorf("%v: an error of Seal changes dst: %q", p.e.mode, out)
	case err == nil && (closed || p.err != nil):
		p.Errorf("%v: data after the end", p.e.mode)
	case err == nil && !bytes.HasPrefix(out, []byte("prefix")):
		p.Errorf("%v: Seal has changed dst", p.e.mode)
	case err == nil:
		p.send(out[6:])
		if server || complete {
			said = &p.said
		}
		*said = append(*said, data...)
		s.done["data"]++
	}
}

// open gives the player what has come, or a part of it.
func (s *states) open(p *player) {
	p.Helper()
	if len(p.in) == 0 {
		return
	}
	if s.datagram {
		i := 0
		if s.rng.IntN(4) == 0 {
			i = s.rng.IntN(len(p.in))
		}
		in := p.in[i]
		p.in = append(p.in[:i:i], p.in[i+1:]...)
		for len(in) > 0 && p.opened(s, &in) {
		}
		return
	}
	n := 1 + s.rng.IntN(len(p.in[0]))
	if s.rng.IntN(3) > 0 {
		n = len(p.in[0])
	}
	p.kept = append(p.kept, p.in[0][:n]...)
	if p.in[0] = p.in[0][n:]; len(p.in[0]) == 0 {
		p.in = p.in[1:]
	}
	for len(p.kept) > 0 && p.opened(s, &p.kept) {
	}
}

// opened opens a record, and reports whether there may be another.
func (p *player) opened(s *states, in *[]byte) bool {
	p.Helper()
	pending := p.e.Pending() != nil
	o, err := p.e.Open(*in)
	switch {
	case o.N < 0 || o.N > len(*in):
		p.Fatalf("%v: %d bytes are used of %d", p.e.mode, o.N, len(*in))
	case pending && err != ErrPending || err == ErrPending && p.e.Pending() == nil:
		p.Errorf("%v: Open with a question pending %v: %v", p.e.mode, pending, err)
	case err == nil && o.N == 0 && s.datagram:
		p.Errorf("%v: nothing of a datagram is used", p.e.mode)
	}
	if err != ErrClosed && err != ErrPending {
		p.fail(err)
	}
	*in = (*in)[o.N:]
	switch {
	case o.Kind == KindEarlyData:
		s.done["early data"]++
		if !s.datagram && !bytes.HasPrefix(p.peer.early, o.Data) {
			p.Errorf("%v: early data %q, and the client has said %q", p.e.mode, o.Data, p.peer.early)
		} else if !s.datagram {
			p.peer.early = p.peer.early[len(o.Data):]
		}
	case !s.datagram && !bytes.HasPrefix(p.peer.said, append(p.heard, o.Data...)):
		p.Errorf("%v: it hears %q after %q, and %q was said", p.e.mode, o.Data, p.heard, p.peer.said)
	}
	if o.Kind != KindEarlyData {
		p.heard = append(p.heard, o.Data...)
	}
	return err == nil && o.N > 0
}

// answer answers the question that is open, well or with an error.
func (s *states) answer(p *player) {
	q := p.e.Pending()
	if q == nil {
		return
	}
	var fail error
	if s.rng.IntN(12) == 0 {
		fail = errors.New("no answer")
	}
	if err := s.asker.answer(q, fail); err != nil {
		p.Errorf("%v: %T: %v", p.e.mode, q, err)
	}
	p.stale = q
	s.done["answered"]++
}

// move exports the engine, and imports it again.
func (s *states) move(p *player) {
	p.Helper()
	state, err := p.e.Export([]byte("prefix"), stateAEAD(s.T, 1))
	if err != nil {
		p.fail(err)
		if string(state) != "prefix" {
			p.Errorf("%v: an error of Export changes dst", p.e.mode)
		}
		return
	}
	closed, ended := p.e.closed, p.e.ended
	if p.e, err = ImportEngine(p.cfg, state[6:], stateAEAD(s.T, 1), nil); err != nil {
		p.Fatal(err)
	}
	if p.e.closed != closed || p.e.ended != ended {
		p.Errorf("%v: what is closed does not move", p.e.mode)
	}
	s.done["moved"]++
}

// look calls what only tells.
func (s *states) look(p *player) {
	p.Helper()
	state := p.e.State()
	if _, err := p.e.ExportKeyingMaterial("label", nil, 32); (err == nil) != (p.err == nil && (state.HandshakeComplete || p.e.exportsEarly())) && err != errNoEMS {
		p.Errorf("%v: complete %v, failed %v, exporter: %v", p.e.mode, state.HandshakeComplete, p.err, err)
	}
	state.ExportKeyingMaterial("label", nil, 32)
	state.ChannelBinding()
	p.e.MaxData()
	p.e.Overhead()
	p.e.Missing(p.kept)
	p.e.ConnectionIDs()
	if room := p.e.EarlyDataRoom(); room < 0 {
		p.Errorf("%v: room for %d bytes of early data", p.e.mode, room)
	}
	p.e.Deadline()
}

// damage does something to what is on its way.
func (s *states) damage(p *player) {
	if len(p.in) == 0 {
		p.in = append(p.in, plainRecord(byte(20+s.rng.IntN(5)), byte(s.rng.IntN(3)), byte(s.rng.IntN(100))))
		s.damaged = true
		return
	}
	i := s.rng.IntN(len(p.in))
	b := bytes.Clone(p.in[i])
	switch s.rng.IntN(5) {
	case 0:
		b[s.rng.IntN(len(b))] ^= 1 << s.rng.IntN(8)
	case 1:
		b = b[:s.rng.IntN(len(b))]
	case 2:
		p.in = append(p.in, bytes.Clone(b))
	case 3:
		p.in = append(p.in[:i:i], p.in[i+1:]...)
		s.damaged = true
		return
	case 4:
		p.in = append(p.in[:i:i], append([][]byte{plainRecord(byte(20+s.rng.IntN(5)), 1, byte(s.rng.IntN(100)))}, p.in[i:]...)...)
		s.damaged = true
		return
	}
	s.damaged = true
	if p.in[i] = b; len(b) == 0 {
		p.in = append(p.in[:i:i], p.in[i+1:]...)
	}
}

// agree: two that have completed one handshake export the same.
func (s *states) agree(c, v *player) {
	if c.err != nil || v.err != nil || !c.e.HandshakeComplete() || !v.e.HandshakeComplete() {
		return
	}
	a, errA := c.e.ExportKeyingMaterial("label", nil, 32)
	b, errB := v.e.ExportKeyingMaterial("label", nil, 32)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		s.Errorf("the two sides export %x, %v and %x, %v", a, errA, b, errB)
	}
	s.done["agreed"]++
}
