package netconn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// TestStreamStates plays both ends of a connection over a bad transport: calls of all
// methods at once, with deadlines that change, from a seed. Its time is synctest's,
// where a call that ends when its deadline does ends at that very moment, and where a
// goroutine that is left over is a failure.
func TestStreamStates(t *testing.T) {
	ca := newPlayConfigs(t)
	withSeeds(t, 60, func(t *testing.T, seed uint64) { newPlay(t, ca, seed).run() })
}

// playConfigs are what plays choose from.
type playConfigs struct{ client, server *hermetic.Config }

func newPlayConfigs(t *testing.T) *playConfigs {
	_, server := configs(t)
	server.MaxEarlyData, server.ReplayGuard = 5000, trusting{}
	server.TicketKeys = hermetic.StaticTicketKeys(hermetic.TicketKey{1})
	return &playConfigs{&hermetic.Config{InsecureSkipVerify: true, ServerName: "localhost"}, server}
}

// play is one connection and those who use it.
type play struct {
	*testing.T
	seed  uint64
	rand  *rand.Rand
	calm  bool // the transport is sound and nobody ends the connection: all data come
	early bool
	line  *line
	sides [2]*side // the client's and the server's
}

func newPlay(t *testing.T, c *playConfigs, seed uint64) *play {
	p := &play{T: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0))}
	p.calm, p.early = p.rand.IntN(3) == 0, p.rand.IntN(3) == 0
	client, server := c.client.Clone(), c.server.Clone()
	if p.early {
		client.SessionCache, client.EarlyData = hermetic.NewSessionCache(1), true
		p.remember(client, server)
	} else if p.rand.IntN(2) == 0 {
		client.MaxVersion = tls.VersionTLS12
	}
	p.line = newLine(p.rand)
	p.sides[0] = newSide(p, 0, Client(p.line.ends[0], client))
	p.sides[1] = newSide(p, 1, Server(p.line.ends[1], server))
	return p
}

// remember gives the client a session.
func (p *play) remember(client, server *hermetic.Config) {
	l := newLine(p.rand)
	c, s := Client(l.ends[0], client), Server(l.ends[1], server)
	both(p.T, func() error { _, err := s.Write([]byte("x")); return err },
		func() error { _, err := c.Read(make([]byte, 1)); return err })
	c.Close()
	s.Close()
}

func (p *play) run() {
	if !p.calm {
		if p.rand.IntN(2) == 0 {
			both(p.T, p.sides[0].conn.Handshake, p.sides[1].conn.Handshake)
		}
		p.line.spoil()
	}
	var actors sync.WaitGroup
	for i, s := range p.sides {
		r := func(actor uint64) *rand.Rand { return rand.New(rand.NewPCG(p.seed, uint64(i)*100+actor)) }
		if p.calm {
			actors.Go(func() { s.writeAll(r(1)) })
			actors.Go(func() { s.readAll() })
			actors.Go(func() { s.meddle(r(2)) })
			continue
		}
		n := 2 + p.rand.Uint64N(4)
		s.unordered = n > 4
		for actor := range n {
			actors.Go(func() { s.act(byte(actor), r(actor)) })
		}
	}
	done := make(chan struct{})
	go func() {
		actors.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(24 * time.Hour): // a line of one byte is slow
		if p.calm {
			p.Error("the data have not come in a day")
		}
	}
	for _, s := range p.sides {
		s.close()
	}
	<-done
	for i, s := range p.sides {
		s.check(p.sides[1-i])
	}
}

// side is one end, with what was done there.
type side struct {
	*play
	name  string
	conn  *Conn
	end   *end
	calls atomic.Int64

	mu       sync.Mutex // guards the following
	sets     []setting  // of deadlines
	closedAt time.Time
	failedAt time.Time
	sent     [4]int // by stream
	got      [4]int
	ended    bool // io.EOF was read

	unordered bool // two read: nobody knows whose Read was first
}

// setting is one of a deadline.
type setting struct {
	at time.Time
	which
	until time.Time
}

func newSide(p *play, i int, c *Conn) *side {
	return &side{play: p, name: [...]string{"client", "server"}[i], conn: c, end: p.line.ends[i]}
}

// Data are bytes that say where they belong: the stream, and the place in it.
const perStream = 64

func (s *side) bytes(stream byte, n int) []byte {
	b := make([]byte, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range b {
		b[i] = stream*perStream + byte((s.sent[stream]+i)%perStream)
	}
	return b
}

// receive checks data that have come.
func (s *side) receive(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range data {
		stream := b / perStream
		if want := byte(s.got[stream] % perStream); b%perStream != want && !s.unordered {
			s.Errorf("%s: byte %d of stream %d is number %d, want %d", s.name, s.got[stream], stream, b%perStream, want)
			return
		}
		s.got[stream]++
	}
}

// call makes a call and checks that it has ended in time.
func (s *side) call(what string, w which, f func() error) error {
	s.calls.Add(1)
	start := time.Now()
	err := f()
	end := time.Now()
	if w != 0 && !s.conn.State().HandshakeComplete {
		w = bothDeadlines
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, kind := range []which{readDeadline, writeDeadline} {
		if late := s.late(w&kind, start, end); late > 0 {
			s.Errorf("%s: %s has returned %v after its deadline: %v", s.name, what, late, err)
		}
	}
	var alert *hermetic.AlertError
	if errors.As(err, &alert) && s.failedAt.IsZero() {
		s.failedAt = end
	}
	if at := s.failedAt; !at.IsZero() && end.Sub(latest(at, start)) > closeTimeout {
		s.Errorf("%s: %s has returned %v after the connection has failed: %v", s.name, what, end.Sub(at), err)
	}
	if at := s.closedAt; what != "Close" && !at.IsZero() && !start.After(at) && end.After(at) {
		s.Errorf("%s: %s has returned %v after Close: %v", s.name, what, end.Sub(at), err)
	}
	return err
}

// late is for how long a call waited although its deadline had passed.
func (s *side) late(w which, start, end time.Time) (late time.Duration) {
	until, from := time.Time{}, time.Time{}
	look := func(to time.Time) {
		first := latest(until, from, start)
		if !until.IsZero() && first.Before(to) && first.Before(end) {
			late = max(late, end.Sub(first))
		}
	}
	for _, set := range s.sets {
		if set.which&w != 0 {
			look(set.at)
			until, from = set.until, set.at
		}
	}
	look(end)
	return late
}

func latest(times ...time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

func (s *side) setDeadline(w which, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls.Add(1)
	var err error
	switch w {
	case readDeadline:
		err = s.conn.SetReadDeadline(until)
	case writeDeadline:
		err = s.conn.SetWriteDeadline(until)
	default:
		err = s.conn.SetDeadline(until)
	}
	if err == nil {
		s.sets = append(s.sets, setting{time.Now(), w, until})
	}
}

func (s *side) close() error {
	start := time.Now()
	s.mu.Lock()
	if s.closedAt.IsZero() {
		s.closedAt = start
	}
	s.mu.Unlock()
	s.calls.Add(1)
	err := s.conn.Close()
	if took := time.Since(start); took > closeTimeout {
		s.Errorf("%s: Close took %v", s.name, took)
	}
	return err
}

func (s *side) write(stream byte, n int, f func([]byte) (int, error)) error {
	return s.call("Write", writeDeadline, func() error {
		data := s.bytes(stream, n)
		n, err := f(data)
		if n < len(data) && err == nil {
			s.Errorf("%s: Write took %d of %d bytes, and has no error", s.name, n, len(data))
		}
		s.mu.Lock()
		s.sent[stream] += n
		s.mu.Unlock()
		return err
	})
}

func (s *side) read(n int, f func([]byte) (int, error)) error {
	return s.call("Read", readDeadline, func() error {
		data := make([]byte, n)
		n, err := f(data)
		s.receive(data[:n])
		return err
	})
}

// writeAll writes until all has been taken.
func (s *side) writeAll(r *rand.Rand) {
	total := r.IntN(200_000)
	if s.early && s.name == "client" {
		s.write(2, r.IntN(5000), s.conn.WriteEarlyData)
	}
	again(s, func() error {
		for s.sent[1] < total {
			if err := s.write(1, min(total-s.sent[1], r.IntN(70_000)), s.conn.Write); err != nil {
				return err
			}
		}
		return s.call("CloseWrite", writeDeadline, s.conn.CloseWrite)
	})
}

func (s *side) readAll() {
	if s.early && s.name == "server" {
		again(s, func() error {
			for {
				if err := s.read(1000, s.conn.ReadEarlyData); err == io.EOF {
					return nil
				} else if err != nil {
					return err
				}
			}
		})
	}
	again(s, func() error {
		for {
			if err := s.read(10_000, s.conn.Read); err == io.EOF {
				s.ended = true
				return nil
			} else if err != nil {
				return err
			}
		}
	})
}

// again repeats what a deadline ends.
func again(s *side, f func() error) {
	for {
		err := f()
		if err == nil {
			return
		}
		if !isTimeout(err) {
			s.Errorf("%s: %v", s.name, err)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// meddle does what must not harm.
func (s *side) meddle(r *rand.Rand) {
	for range 10 {
		s.act1(0, r, 5)
		time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
	}
	s.setDeadline(bothDeadlines, time.Time{})
}

// act does anything. Actors 0 and 4 read, 1 and 3 write their own streams, so that
// the order can be checked, and 2 does the rest.
func (s *side) act(actor byte, r *rand.Rand) {
	for range 10 + r.IntN(30) {
		s.act1(actor, r, 13)
	}
}

func (s *side) act1(actor byte, r *rand.Rand, kinds int) {
	switch r.IntN(kinds) {
	case 0, 1:
		now := time.Now()
		until := []time.Time{{}, {}, past, now.Add(time.Millisecond), now.Add(100 * time.Millisecond), now.Add(time.Second), now.Add(time.Minute)}
		s.setDeadline(which(1+r.IntN(3)), until[r.IntN(len(until))])
	case 2:
		s.call("Control", writeDeadline, func() error {
			return s.conn.Control(func(e *hermetic.Engine) error { return e.KeyUpdate(hermetic.KeyUpdateRequest(r.IntN(2) == 0)) })
		})
	case 3:
		s.call("State", 0, func() error { s.conn.State(); return nil })
	case 4:
		s.call("Handshake", bothDeadlines, s.conn.Handshake)
	case 5, 6, 7:
		switch actor {
		case 0, 4:
			s.read(1+r.IntN(20_000), s.conn.Read)
		case 1, 3:
			s.write(actor, r.IntN(100_000), s.conn.Write)
		}
	case 8:
		switch actor {
		case 0, 4:
			s.read(1+r.IntN(20_000), s.conn.ReadEarlyData)
		case 1:
			s.write(2, r.IntN(5000), s.conn.WriteEarlyData)
		}
	case 9:
		time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
	case 10:
		s.handshakeContext(r)
	case 11:
		s.call("ConnectionState", 0, func() error { s.conn.ConnectionState(); return nil })
	case 12:
		switch r.IntN(20) {
		case 0:
			s.close()
		case 1, 2:
			s.call("CloseWrite", writeDeadline, s.conn.CloseWrite)
		default:
			s.call("nothing", readDeadline, func() error { _, err := s.conn.Read(nil); return err })
		}
	}
}

func (s *side) handshakeContext(r *rand.Rand) {
	d := time.Duration(r.IntN(60_000)) * time.Millisecond
	if r.IntN(3) == 0 {
		d = time.Hour
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	start := time.Now()
	err := s.call("HandshakeContext", 0, func() error { return s.conn.HandshakeContext(ctx) })
	if took := time.Since(start); took > d {
		s.Errorf("%s: HandshakeContext has returned %v after its context: %v", s.name, took-d, err)
	}
}

// check looks at the end at what has come, and at what it has cost.
func (s *side) check(from *side) {
	for stream, got := range s.got {
		if sent := from.sent[stream]; got > sent {
			s.Errorf("%s: %d bytes of stream %d have come, %d were sent", s.name, got, stream, sent)
		} else if s.calm && got != sent && (stream != 2 || s.conn.State().EarlyDataAccepted) {
			s.Errorf("%s: %d bytes of stream %d have come of %d", s.name, got, stream, sent)
		}
	}
	if s.calm && !s.ended {
		s.Errorf("%s: no end has come", s.name)
	}
	// Whatever moves no byte ends what it was done for: a call, or what one call does
	// at its end for others.
	s.line.mu.Lock() // a server's tickets may still be on their way
	idle, calls := int64(s.end.idle), s.calls.Load()
	s.line.mu.Unlock()
	if idle > 4*calls+10 {
		s.Errorf("%s: %d calls of the transport did nothing, for %d calls", s.name, idle, calls)
	}
}

// line is a transport that takes and gives as many bytes as it likes, with two ends.
type line struct {
	mu      sync.Mutex // guards all of it
	rand    *rand.Rand
	changed chan struct{} // closed when something has
	ways    [2]way        // what goes to an end
	ends    [2]*end
	bad     bool // it fails, and times out, whenever it likes
	rude    bool // it does what an io.Writer must not
}

// way is one direction of a line.
type way struct {
	buf    []byte
	size   int // of a full one
	moved  int // bytes in all
	damage int // the byte that arrives damaged; -1: none
	cut    int // where the stream ends without a word; -1: nowhere
	shut   bool
}

// end is a net.Conn.
type end struct {
	*line
	to, from    *way
	closed      bool
	broken      bool
	read, write time.Time
	idle        int // calls that moved nothing
}

func newLine(r *rand.Rand) *line {
	l := &line{rand: rand.New(rand.NewPCG(r.Uint64(), 1)), changed: make(chan struct{})}
	sizes := []int{100, 1000, 50_000}
	for i := range l.ways {
		l.ways[i] = way{size: 1 + l.rand.IntN(sizes[l.rand.IntN(3)]), damage: -1, cut: -1}
		l.ends[i] = &end{line: l, to: &l.ways[1-i], from: &l.ways[i]}
	}
	return l
}

// spoil makes it a bad transport from now on.
func (l *line) spoil() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bad, l.rude = true, l.chance(4)
	for i := range l.ways {
		w := &l.ways[i]
		at := w.moved + l.rand.IntN([]int{500, 3000, 50_000}[l.rand.IntN(3)])
		switch l.rand.IntN(8) {
		case 0, 1:
			w.damage = at
		case 2:
			w.cut = at
		}
	}
}

// wait waits for a change, or until the deadline.
func (l *line) wait(until time.Time) {
	changed := l.changed
	l.mu.Unlock()
	defer l.mu.Lock()
	if until.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

func (l *line) change() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *line) chance(one int) bool { return l.rand.IntN(one) == 0 }

// pause lets time pass now and then, but not beyond the deadline.
func (e *end) pause(until time.Time) {
	if e.closed || !e.chance(3) {
		return
	}
	end := time.Now().Add(time.Duration(e.rand.IntN(200)) * time.Millisecond)
	if until.IsZero() || end.Before(until) {
		until = end
	}
	e.wait(until)
}

// obstacle is what an operation meets before it moves a byte.
func (e *end) obstacle(deadline *time.Time) error {
	e.pause(*deadline)
	until := *deadline
	switch {
	case e.closed:
		return net.ErrClosed
	case !until.IsZero() && !time.Now().Before(until):
		return os.ErrDeadlineExceeded
	case e.broken:
		return syscall.ECONNRESET
	case !e.bad:
		return nil
	case e.chance(200):
		return os.ErrDeadlineExceeded // which it has had from elsewhere
	case e.chance(2000):
		e.broken = true
	}
	return nil
}

func (e *end) Read(p []byte) (n int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer func() {
		if n == 0 {
			e.idle++
		}
	}()
	w := e.from
	for {
		if err := e.obstacle(&e.read); err != nil {
			return 0, err
		}
		switch {
		case e.rude && e.chance(30):
			return 0, nil
		case len(w.buf) > 0 && len(p) > 0:
			n := copy(p, w.buf[:1+e.rand.IntN(len(w.buf))])
			w.buf = w.buf[n:]
			e.change()
			if len(w.buf) == 0 && w.shut && e.chance(2) {
				return n, io.EOF
			}
			return n, nil
		case w.shut:
			return 0, io.EOF
		}
		e.wait(e.read)
	}
}

func (e *end) Write(p []byte) (n int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer func() {
		if n == 0 {
			e.idle++
		}
	}()
	w := e.to
	for n < len(p) {
		if err := e.obstacle(&e.write); err != nil {
			return n, err
		}
		if w.shut {
			return n, syscall.EPIPE
		}
		if room := w.size - len(w.buf); room > 0 {
			some := min(room, 1+e.rand.IntN(len(p)-n))
			w.carry(p[n : n+some])
			n += some
			e.change()
			if e.rude && e.chance(3) {
				return n, nil
			}
			continue
		}
		e.wait(e.write)
	}
	return n, nil
}

// carry takes what is written, to the byte where it damages one or ends.
func (w *way) carry(p []byte) {
	for _, b := range p {
		if w.moved == w.damage {
			b ^= 0x55
		}
		if w.moved++; w.cut < 0 || w.moved < w.cut {
			w.buf = append(w.buf, b)
		} else {
			w.shut = true
		}
	}
}

func (e *end) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	e.closed, e.to.shut, e.from.shut = true, true, true
	e.change()
	return nil
}

func (e *end) set(t *time.Time, until time.Time) {
	*t = until
	e.change()
}

func (e *end) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.set(&e.read, t)
	return nil
}

func (e *end) SetWriteDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.set(&e.write, t)
	return nil
}

func (e *end) SetDeadline(t time.Time) error {
	e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}

func (e *end) LocalAddr() net.Addr  { return wireAddr("here") }
func (e *end) RemoteAddr() net.Addr { return wireAddr("there") }
