package redisstore

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

var (
	storms    = flag.Int("storms", 3, "how many storms TestStorms plays")
	firstSeed = flag.Uint64("storm", 1, "the seed of the first storm")
)

// storm is a fleet whose early data somebody has recorded and sends again and again,
// while everything around it fails. Time passes when the storm says so, for all clocks.
type storm struct {
	t      *testing.T
	rand   *rand.Rand
	log    bytes.Buffer
	pair   *pair
	clock  string // the file that steps the clocks of both Redis servers
	passed time.Duration
	step   time.Duration // of Redis's clock

	clients []*hermetic.Config
	servers []*stormServer
	flights []*flight
}

type stormServer struct {
	store *Store
	cfg   *hermetic.Config
	step  time.Duration // of its clock
}

// flight is early data that was recorded.
type flight struct {
	bytes    []byte
	accepted int
}

func (s *storm) time() time.Time { return time.Now().Add(s.passed) }

func newStorm(t *testing.T, seed uint64) *storm {
	env, clock := steppedClock(t)
	s := &storm{t: t, rand: rand.New(rand.NewPCG(seed, 0)), clock: clock}
	s.setClock()
	s.pair = newPair(t, env)
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	for range 3 {
		server := &stormServer{}
		now := func() time.Time { return s.time().Add(server.step) }
		server.store = s.pair.store(Options{Time: now, MaxIDs: 200, Timeout: 10 * time.Second})
		server.cfg = &hermetic.Config{Certificates: []tls.Certificate{leaf}, MaxEarlyData: 1000, Time: now}
		server.store.Configure(server.cfg)
		refresh(t, server.store)
		s.servers = append(s.servers, server)
		client := &hermetic.Config{RootCAs: ca.Pool(), ServerName: "localhost", EarlyData: true, Time: s.time, InsecureSkipVerify: true}
		client.SessionCache = hermetic.NewSessionCache(1)
		s.clients = append(s.clients, client)
	}
	s.pass(0)
	s.pass(memory + time.Second)
	return s
}

func (s *storm) logf(format string, args ...any) { fmt.Fprintf(&s.log, format+"\n", args...) }

func (s *storm) setClock() {
	step := strconv.AppendInt(nil, (s.passed + s.step).Milliseconds(), 10)
	if err := os.WriteFile(s.clock+"~", step, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(s.clock+"~", s.clock); err != nil {
		s.t.Fatal(err)
	}
}

// pass lets time pass, for all, and the servers do what they do in the background.
func (s *storm) pass(d time.Duration) {
	s.passed += d
	s.setClock()
	for _, server := range s.servers {
		server.store.attend(context.Background())
	}
}

// connect completes a handshake, which brings a session.
func (s *storm) connect(client *hermetic.Config, server *stormServer) {
	s.t.Helper()
	c, err := hermetic.NewEngine(hermetic.TLSClient, client)
	if err != nil {
		s.t.Fatal(err)
	}
	v, err := hermetic.NewEngine(hermetic.TLSServer, server.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	for range 10 {
		s.open(v, c.Output(nil))
		s.open(c, v.Output(nil))
	}
	if !c.HandshakeComplete() || !v.HandshakeComplete() {
		s.t.Fatal("a handshake is not complete")
	}
}

func (s *storm) open(e *hermetic.Engine, in []byte) {
	s.t.Helper()
	for len(in) > 0 {
		o, err := e.Open(in)
		if err != nil {
			s.t.Fatalf("%v\n%s", err, &s.log)
		}
		if o.N == 0 {
			return
		}
		in = in[o.N:]
	}
}

// record records a client's early data, or nothing where it has no session for it.
func (s *storm) record(client *hermetic.Config) *flight {
	s.t.Helper()
	e, err := hermetic.NewEngine(hermetic.TLSClient, client)
	if err != nil {
		s.t.Fatal(err)
	}
	if e.EarlyDataRoom() == 0 {
		return nil
	}
	out, err := e.SealEarlyData(nil, []byte("pay once"))
	if err != nil {
		s.t.Fatal(err)
	}
	f := &flight{bytes: out}
	s.flights = append(s.flights, f)
	return f
}

// send sends a flight to a server, and counts when its early data is accepted.
func (s *storm) send(f *flight, server *stormServer) bool {
	s.t.Helper()
	e, err := hermetic.NewEngine(hermetic.TLSServer, server.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := e.Open(bytes.Clone(f.bytes)); err != nil {
		s.t.Fatalf("%v\n%s", err, &s.log)
	}
	if !e.State().EarlyDataAccepted {
		return false
	}
	if f.accepted++; f.accepted > 1 {
		s.t.Fatalf("early data was accepted %d times\n%s", f.accepted, &s.log)
	}
	return true
}

func (s *storm) anyServer() *stormServer { return s.servers[s.rand.IntN(len(s.servers))] }

// steps are those of clocks.
var steps = []time.Duration{0, 0, time.Second, -time.Second, 5 * time.Second, -5 * time.Second, 30 * time.Second, -30 * time.Second, 61 * time.Second,
	-61 * time.Second, time.Hour}

// fail lets something fail.
func (s *storm) fail() {
	master := s.pair.nodes[s.pair.master]
	switch n := s.rand.IntN(100); {
	case n < 25:
		s.step = steps[s.rand.IntN(len(steps))]
		s.logf("the clock of Redis: %v", s.step)
		s.setClock()
	case n < 50:
		server := s.rand.IntN(len(s.servers))
		s.servers[server].step = steps[s.rand.IntN(len(steps))]
		s.logf("the clock of server %d: %v", server, s.servers[server].step)
	case n < 60:
		s.logf("all clocks are right")
		s.step = 0
		for _, server := range s.servers {
			server.step = 0
		}
		s.setClock()
	case n < 65:
		s.logf("failover")
		s.pair.failover()
	case n < 68:
		s.logf("failover and failback, the replica lags")
		s.pair.nodes[1-s.pair.master].do("REPLICAOF", "NO", "ONE")
		s.replay()
		s.pair.failover()
		s.pair.failover()
	case n < 71:
		s.logf("Redis restarts")
		master.kill()
		s.replay()
		master.start()
		s.pair.settle()
	case n < 75:
		s.logf("FLUSHALL")
		master.do("FLUSHALL")
	case n < 80:
		s.logf("Redis is full")
		master.do("CONFIG", "SET", "maxmemory", 1)
	case n < 90:
		s.logf("Redis has room")
		master.do("CONFIG", "SET", "maxmemory", 0)
	case n < 93:
		s.logf("a key is evicted, unnoticed")
		master.do("DEL", []string{"{hermetic}:guard", "{hermetic}:young", "{hermetic}:older"}[s.rand.IntN(3)])
		master.do("CONFIG", "RESETSTAT")
	case n < 96:
		s.logf("SWAPDB, and back after a minute")
		master.do("SWAPDB", 0, 1)
		s.replay()
		s.pass(0)
		s.pass(memory + time.Second)
		s.replay()
		s.pass(0)
		master.do("SWAPDB", 0, 1)
	default:
		s.logf("RELOAD")
		master.do("DEBUG", "RELOAD")
	}
}

// replay sends new early data and old.
func (s *storm) replay() {
	client := s.clients[s.rand.IntN(len(s.clients))]
	if f := s.record(client); f != nil && s.rand.IntN(3) > 0 {
		s.logf("flight %d: accepted %v", len(s.flights)-1, s.send(f, s.anyServer()))
	}
	for range min(len(s.flights), 4) {
		i := len(s.flights) - 1 - s.rand.IntN(min(len(s.flights), 12))
		if s.send(s.flights[i], s.anyServer()) {
			s.logf("flight %d: accepted late", i)
		}
	}
}

func (s *storm) play(n int) (accepted int) {
	for range n {
		for _, client := range s.clients {
			s.connect(client, s.anyServer())
		}
		s.replay()
		if s.rand.IntN(3) == 0 {
			s.fail()
			s.replay()
		}
		if d := steps[s.rand.IntN(len(steps))]; d > 0 && s.rand.IntN(2) == 0 {
			s.logf("%v pass", d)
			s.pass(d)
		}
	}
	// The storm is over: what is new is accepted again, once everything is.
	s.step = 0
	for _, server := range s.servers {
		server.step = 0
	}
	s.pair.nodes[s.pair.master].do("CONFIG", "SET", "maxmemory", 0)
	s.logf("the storm is over")
	for range 3 {
		s.pass(3 * time.Hour) // clocks that were an hour ahead have caught up
		s.pass(61 * time.Second)
	}
	s.connect(s.clients[0], s.servers[0])
	if f := s.record(s.clients[0]); f == nil || !s.send(f, s.servers[1]) {
		s.t.Fatalf("early data is not accepted after the storm\n%s", &s.log)
	}
	for _, f := range s.flights {
		accepted += f.accepted
	}
	return accepted
}

// TestStorms: early data is accepted at most once, whatever fails, and again after it. A
// storm that goes wrong shows what it did: go test -run TestStorms -storms 1 -storm SEED.
func TestStorms(t *testing.T) {
	total := 0
	for i := range *storms {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) { total += newStorm(t, seed).play(40) })
	}
	if total < *storms {
		t.Errorf("%d storms: early data was accepted %d times", *storms, total)
	}
	t.Logf("%d storms: early data was accepted %d times", *storms, total)
}
