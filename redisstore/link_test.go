package redisstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/hermetic-tls/hermetic"
)

// gate is a way to Redis that a test closes. A silent gate takes bytes and returns
// nothing.
type gate struct {
	t      testing.TB
	l      net.Listener
	socket string
	silent atomic.Bool
	closed atomic.Bool
	came   atomic.Int64 // bytes
	mu     sync.Mutex
	conns  []net.Conn
}

func newGate(t testing.TB, socket string) *gate {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, l: l, socket: socket}
	t.Cleanup(func() { l.Close(); g.cut() })
	go g.serve()
	return g
}

func (g *gate) serve() {
	for {
		front, err := g.l.Accept()
		if err != nil {
			return
		}
		g.mu.Lock()
		g.conns = append(g.conns, front)
		g.mu.Unlock()
		if g.closed.Load() {
			front.Close()
			continue
		}
		go g.pass(front)
	}
}

func (g *gate) pass(front net.Conn) {
	defer front.Close()
	var back net.Conn
	defer func() {
		if back != nil {
			back.Close()
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := front.Read(buf)
		if err != nil {
			return
		}
		if g.came.Add(int64(n)); g.silent.Load() {
			continue
		}
		if back == nil {
			if back, err = net.Dial("unix", g.socket); err != nil {
				return
			}
			go func() { io.Copy(front, back); front.Close() }()
		}
		if _, err := back.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cut ends all connections.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
}

func (g *gate) client() *redis.Client {
	o := socketOptions("", "", "")
	o.Network, o.Addr = "tcp", g.l.Addr().String()
	c := redis.NewClient(o)
	g.t.Cleanup(func() { c.Close() })
	return c
}

// ear is an Options.OnError that remembers.
type ear struct {
	mu   sync.Mutex
	told []error
}

func (e *ear) hear(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, err)
}

// take returns what was told since the last time.
func (e *ear) take() []error {
	e.mu.Lock()
	defer e.mu.Unlock()
	told := e.told
	e.told = nil
	return told
}

// quiet waits until no probe is under way.
func (l *link) quiet(t testing.TB) {
	t.Helper()
	wait(t, "the probe ends", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return !l.probing
	})
}

// manual is a clock whose time a test lets pass. It may be read at any time.
type manual struct{ passed atomic.Int64 }

func (m *manual) time() time.Time      { return time.Now().Add(time.Duration(m.passed.Load())) }
func (m *manual) pass(d time.Duration) { m.passed.Add(int64(d)) }

// TestSilence: a Redis that takes everything and says nothing costs the first handshakes
// their wait, and no others. Nothing but one probe at a time reaches it.
func TestSilence(t *testing.T) {
	for _, test := range []struct {
		name string
		away func(g *gate, s *server)
		back func(g *gate, s *server)
	}{
		{"silent", func(g *gate, _ *server) { g.silent.Store(true) }, func(g *gate, _ *server) { g.silent.Store(false); g.cut() }},
		{"cut off", func(g *gate, _ *server) { g.closed.Store(true); g.cut() }, func(g *gate, _ *server) { g.closed.Store(false) }},
		{"stopped", func(_ *gate, s *server) { s.cmd.Process.Signal(syscall.SIGSTOP) }, func(_ *gate, s *server) { s.cmd.Process.Signal(syscall.SIGCONT) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newServer(t)
			g := newGate(t, server.socket)
			var e ear
			now := &manual{}
			s, err := New(g.client(), &Options{Timeout: patience, OnError: e.hear, Time: now.time})
			if err != nil {
				t.Fatal(err)
			}
			ready(t, s)
			id := byte(0)
			ask := func() bool { id++; return s.Unseen([]byte{id}, now.time().Add(maxAhead)) }
			if !ask() {
				t.Fatal("Redis is there")
			}

			s.opt.Timeout = 20 * time.Millisecond
			test.away(g, server)
			for range 3 {
				if ask() {
					t.Error("Redis is away")
				}
			}
			s.link.quiet(t)
			before := g.came.Load()
			for range 10_000 {
				if ask() {
					t.Error("Redis is away")
				}
			}
			s.link.quiet(t)
			if s.link.up() || g.came.Load() != before && test.name == "silent" {
				t.Errorf("%d bytes were sent to a Redis that is known to be away", g.came.Load()-before)
			}
			if told := e.take(); len(told) != 1 || !isAway(told[0]) {
				t.Errorf("told %v, want that Redis is away, once", told)
			}
			for range 3 {
				now.pass(probeInterval)
				ask()
				s.link.quiet(t)
			}
			if told := e.take(); len(told) > 0 {
				t.Errorf("told again: %v", told)
			}

			s.opt.Timeout = patience
			test.back(g, server)
			wait(t, "Redis is there again", func() bool {
				now.pass(probeInterval)
				ask()
				s.link.quiet(t)
				return s.link.up()
			})
			now.passed.Store(0)
			e.take()
			if !ask() {
				t.Errorf("Redis is back: told %v", e.take())
			}
		})
	}
}

// TestToldOnce: of a state that lasts Options.OnError hears once, of each new one again.
func TestToldOnce(t *testing.T) {
	server := newServer(t)
	var e ear
	now := &shifted{}
	s := server.store(Options{OnError: e.hear, Time: now.time})
	id := byte(0)
	ask := func() { id++; s.Unseen([]byte{id}, now.time().Add(maxAhead)) }
	for _, step := range []struct {
		name string
		do   func()
		want error // nil: nothing
	}{
		{"Redis is new", func() {}, ErrForgetful},
		{"it remembers", func() { age(t, s) }, nil},
		{"it was emptied", func() { server.do("FLUSHALL") }, ErrForgetful},
		{"the clock is wrong", func() { now.by = -time.Hour }, ErrClocks},
		{"and right again, within the minute", func() { now.by = 0 }, ErrForgetful},
		{"all is well", func() { age(t, s) }, nil},
	} {
		step.do()
		for range 10 {
			ask()
		}
		told := e.take()
		if step.want == nil && len(told) > 0 || step.want != nil && !slices.Equal(told, []error{step.want}) {
			t.Errorf("%s: told %v", step.name, told)
		}
	}

	// The same for secrets, each by itself.
	ctx := context.Background()
	s.attend(ctx)
	ticket := string(server.do("KEYS", "{hermetic}:ticket:*").([]any)[0].(string))
	good := server.do("GET", ticket)
	for _, step := range []struct {
		name string
		do   func()
		want int
	}{
		{"one is damaged", func() { server.do("SET", ticket, "x") }, 1},
		{"another one too", func() { server.do("SET", "{hermetic}:cookie", "x") }, 1},
		{"both are well", func() { server.do("SET", ticket, good); server.do("DEL", "{hermetic}:cookie") }, 0},
		{"one is damaged again", func() { server.do("SET", ticket, "x") }, 1},
		{"Redis is away", server.kill, 1},
	} {
		step.do()
		for range 5 {
			s.attend(ctx)
			if ask(); step.name == "Redis is away" {
				s.link.quiet(t)
			}
		}
		if told := e.take(); len(told) != step.want {
			t.Errorf("%s: told %v, want %d", step.name, told, step.want)
		}
	}
}

// TestJoinLate: a server that starts while Redis is away works by itself, and joins when
// Redis comes, with the Config that it has.
func TestJoinLate(t *testing.T) {
	server, now := newServer(t), noon()
	member := func() (*Store, *hermetic.Config) {
		s := server.store(Options{Time: now.time})
		cfg := &hermetic.Config{Time: now.time}
		s.Configure(cfg)
		return s, cfg
	}
	_, early := member()
	server.kill()
	late, cfg := member()
	peer := []byte("peer")
	ctx := context.Background()
	if err := late.Refresh(ctx); err == nil {
		t.Fatal("Redis is there")
	}
	own := ticketKeys(t, late, now.now)
	cookie := cfg.Cookie(peer)
	if !cfg.CheckCookie(peer, cookie) || early.CheckCookie(peer, cookie) {
		t.Error("it has no cookies")
	}
	now.now = now.now.Add(48 * time.Hour) // all that while Redis is away
	if err := late.Refresh(ctx); err == nil {
		t.Fatal("Redis is there")
	}
	if keys := ticketKeys(t, late, now.now); slices.Contains(keys, own[0]) {
		t.Error("its first key lives forever")
	}
	own, cookie = ticketKeys(t, late, now.now), cfg.Cookie(peer)

	server.start()
	first, firstCfg := member()
	refresh(t, first)
	refresh(t, late)
	fleet := ticketKeys(t, first, now.now)
	if keys := ticketKeys(t, late, now.now); keys[0] != fleet[0] || !contains(keys, own) || !contains(keys, fleet) {
		t.Error("it has not joined, or its own tickets are lost")
	}
	if !firstCfg.CheckCookie(peer, cfg.Cookie(peer)) || !cfg.CheckCookie(peer, firstCfg.Cookie(peer)) {
		t.Error("its cookies are not the fleet's")
	}
	if !cfg.CheckCookie(peer, cookie) {
		t.Error("the cookies of before are not good any more")
	}
	if !bytes.Equal(late.cookieSecret(), first.cookieSecret()) {
		t.Error("the cookie secrets differ")
	}

	// The first that comes brings what it has.
	server.do("FLUSHALL")
	alone, _ := member()
	own = ticketKeys(t, alone, now.now)
	refresh(t, alone)
	refresh(t, late)
	if keys := ticketKeys(t, late, now.now); keys[0] != own[0] {
		t.Error("the first server's own key is not the fleet's")
	}
}

// TestAwayIsNoAnswer: an answer of Redis is one, whatever it says.
func TestAwayIsNoAnswer(t *testing.T) {
	for _, test := range []struct {
		err  error
		away bool
	}{{nil, false}, {redis.Nil, false}, {repeats("OOM"), false}, {io.EOF, true}, {context.DeadlineExceeded, true}, {&net.OpError{Err: errors.New("x")}, true}} {
		if got := isAway(unanswered(test.err)); got != test.away {
			t.Errorf("%v: %v", test.err, got)
		}
	}
}
