package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// freePort is a port of the loopback address that nobody listens on.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// pair is two Redis servers, of which one replicates the other, and clients that are led
// to the master, as by Sentinel.
type pair struct {
	t      testing.TB
	nodes  [2]*server
	ports  [2]string
	master int
}

func newPair(t testing.TB, env []string) *pair {
	p := &pair{t: t}
	for i := range p.nodes {
		p.ports[i] = freePort(t)
		p.nodes[i] = newServerWith(t, env, "--port", p.ports[i], "--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes")
	}
	p.follow(1, 0)
	return p
}

// follow makes a node a replica, and waits until it has what its master has.
func (p *pair) follow(replica, master int) {
	p.t.Helper()
	p.nodes[replica].do("REPLICAOF", "127.0.0.1", p.ports[master])
	p.settle()
}

// settle waits until the replica has what the master has.
func (p *pair) settle() {
	p.t.Helper()
	master, replica := p.nodes[p.master].client(), p.nodes[1-p.master].client()
	defer master.Close()
	defer replica.Close()
	ctx := context.Background()
	wait(p.t, "the replica has what the master has", func() bool {
		a, _ := master.Info(ctx, "replication").Result()
		b, _ := replica.Info(ctx, "replication").Result()
		return strings.Contains(b, "master_link_status:up") && field(a, "master_repl_offset") == field(b, "slave_repl_offset")
	})
}

func field(info, name string) string {
	_, rest, _ := strings.Cut(info, name+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// wait waits for what another process does.
func wait(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// failover makes the replica the master, with what it has, and the master its replica.
func (p *pair) failover() {
	p.t.Helper()
	old := p.master
	p.master = 1 - old
	p.nodes[p.master].do("REPLICAOF", "NO", "ONE")
	p.nodes[old].do("CLIENT", "KILL", "TYPE", "normal")
	p.follow(old, p.master)
}

func (p *pair) store(opt Options) *Store {
	p.t.Helper()
	options := socketOptions("", "", "")
	options.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return net.Dial("unix", p.nodes[p.master].socket)
	}
	client := redis.NewClient(options)
	p.t.Cleanup(func() { client.Close() })
	if opt.Timeout == 0 {
		opt.Timeout = time.Minute
	}
	s, err := New(client, &opt)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// wantAsk asks about an id.
func wantAsk(t testing.TB, s *Store, reason, id string, want bool, wantErr error) {
	t.Helper()
	if got, err := s.ask([]byte(id), s.opt.Time().Add(maxAhead)); got != want || !errors.Is(err, wantErr) {
		t.Errorf("%s: %v, %v", reason, got, err)
	}
}

// ready lets a store's Redis remember for long enough.
func ready(t testing.TB, s *Store) {
	t.Helper()
	if err := s.touch(context.Background()); err != nil && err != ErrForgetful {
		t.Fatal(err)
	}
	age(t, s)
	if err := s.touch(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestFailback: whatever happens between two questions, a master that was replaced has
// another history, also when it is back.
func TestFailback(t *testing.T) {
	p := newPair(t, nil)
	a, b := p.store(Options{}), p.store(Options{})
	ready(t, a)
	wantAsk(t, a, "the original", "id", true, nil)
	p.failover()
	wantAsk(t, b, "the replica has taken over", "id", false, ErrForgetful)
	ready(t, a)
	wantAsk(t, a, "another original", "another", true, nil)
	p.failover()
	p.failover()
	wantAsk(t, b, "failback, and back again: the same process", "another", false, ErrForgetful)

	ready(t, a)
	p.nodes[1-p.master].do("REPLICAOF", "NO", "ONE") // it lags: it is cut off
	wantAsk(t, a, "the replica lags", "lost", true, nil)
	p.failover()
	wantAsk(t, b, "one that has lagged has taken over", "lost", false, ErrForgetful)

	// The old master was cut off, kept what it had, and is asked again.
	ready(t, a)
	cut := p.master
	p.nodes[1-cut].do("REPLICAOF", "NO", "ONE")
	p.master = 1 - cut
	p.nodes[cut].do("CLIENT", "KILL", "TYPE", "normal")
	ready(t, a)
	wantAsk(t, a, "seen by the new master alone", "seen", true, nil)
	p.master = cut
	p.nodes[1-cut].do("CLIENT", "KILL", "TYPE", "normal")
	wantAsk(t, a, "the old master has not seen it", "seen", false, ErrForgetful)

	p.nodes[1-cut].do("REPLICAOF", "127.0.0.1", p.ports[cut])
	p.nodes[1-cut].do("CONFIG", "SET", "replica-read-only", "no")
	p.master = 1 - cut
	p.nodes[cut].do("CLIENT", "KILL", "TYPE", "normal")
	if got, err := a.ask([]byte("new"), time.Now().Add(maxAhead)); got || !errors.Is(err, errReplica) {
		t.Errorf("a replica that can be written to: %v, %v", got, err)
	}
}

// TestHistory: a server that has asked before notices a state that was forgotten, or that
// comes back old; what was not forgotten is no loss.
func TestHistory(t *testing.T) {
	guard := []string{"{hermetic}:guard", "{hermetic}:young", "{hermetic}:older"}
	for _, test := range []struct {
		name    string
		args    []string
		between func(s *server, a *Store)
		forgets bool
	}{
		{"nothing", nil, func(*server, *Store) {}, false},
		{"RELOAD, which saves first", nil, func(s *server, _ *Store) { s.do("DEBUG", "RELOAD") }, false},
		{"a restart without a file", nil, func(s *server, _ *Store) { s.kill(); s.start() }, true},
		{"a restart with a log of all", []string{"--appendonly", "yes", "--appendfsync", "always"}, func(s *server, _ *Store) { s.kill(); s.start() }, true},
		{"FLUSHALL", nil, func(s *server, _ *Store) { s.do("FLUSHALL") }, true},
		{"FLUSHDB", nil, func(s *server, _ *Store) { s.do("FLUSHDB") }, true},
		{"SWAPDB", nil, func(s *server, _ *Store) { s.do("SWAPDB", 0, 1) }, true},
		{"SWAPDB, and back", nil, func(s *server, a *Store) {
			s.do("SWAPDB", 0, 1)
			ready(s.t, a)
			wantAsk(s.t, a, "in another database", "another", true, nil)
			s.do("SWAPDB", 0, 1)
		}, true},
		{"an old file is loaded", nil, func(s *server, a *Store) {
			s.do("SAVE")
			wantAsk(s.t, a, "after the file", "another", true, nil)
			s.do("DEBUG", "RELOAD", "NOSAVE")
		}, true},
		{"an id is deleted", nil, func(s *server, a *Store) {
			wantAsk(s.t, a, "another", "another", true, nil)
			s.do("HDEL", "{hermetic}:young", "another4")
		}, true},
		{"the ids are evicted, and the count of evictions is reset", nil, func(s *server, _ *Store) {
			s.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
			s.do("CONFIG", "SET", "maxmemory", "1")
			s.do("CONFIG", "SET", "maxmemory", "0")
			s.do("CONFIG", "RESETSTAT")
		}, true},
		{"one key is evicted", nil, func(s *server, _ *Store) { s.do("DEL", guard[1]) }, true},
		{"the state is evicted", nil, func(s *server, _ *Store) { s.do("DEL", guard[0]) }, true},
		{"a slot goes elsewhere, and a part of it comes back", nil, func(s *server, _ *Store) {
			port := freePort(s.t)
			other := newServer(s.t, "--port", port)
			s.do("MIGRATE", "127.0.0.1", port, "", 0, 60000, "KEYS", guard[0], guard[1])
			s.do("RESTORE", guard[0], 0, other.do("DUMP", guard[0]))
		}, true},
		{"the keys go elsewhere and come back", nil, func(s *server, _ *Store) {
			var saved []any
			for _, name := range guard[:2] {
				saved = append(saved, s.do("DUMP", name))
				s.do("DEL", name)
			}
			for i, name := range guard[:2] {
				s.do("RESTORE", name, 0, saved[i])
			}
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newServer(t, append([]string{"--enable-debug-command", "yes"}, test.args...)...)
			s := server.store(Options{})
			ready(t, s)
			wantAsk(t, s, "the original", "id", true, nil)
			test.between(server, s)
			wantErr := error(nil)
			if test.forgets {
				wantErr = ErrForgetful
			}
			wantAsk(t, s, "the replay", "id", false, wantErr)
			ready(t, s)
			wantAsk(t, s, "what comes later", fmt.Sprint("later than ", test.name), true, nil)
		})
	}
}

func pipeliner(t *testing.T) redis.UniversalClient {
	p, err := redis.NewClient(socketOptions("/nowhere", "", "")).AutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestClients: those that are not one Redis are refused.
func TestClients(t *testing.T) {
	cluster := func(change func(*redis.ClusterOptions)) redis.UniversalClient {
		o := &redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, ContextTimeoutEnabled: true}
		change(o)
		return redis.NewClusterClient(o)
	}
	for _, test := range []struct {
		name   string
		client redis.UniversalClient
		want   string
	}{
		{"a client", redis.NewClient(socketOptions("/nowhere", "", "")), ""},
		{"one of Sentinel", redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"127.0.0.1:1"}, ContextTimeoutEnabled: true}), ""},
		{"one of a cluster", cluster(func(*redis.ClusterOptions) {}), ""},
		{"a ring", redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}, ContextTimeoutEnabled: true}), "redis.Ring"},
		{"a cluster's that waits", cluster(func(o *redis.ClusterOptions) { o.ContextTimeoutEnabled = false }), "ContextTimeoutEnabled"},
		{"a cluster's that reads from replicas", cluster(func(o *redis.ClusterOptions) { o.ReadOnly = true }), "replicas"},
		{"a cluster's that reads from the nearest", cluster(func(o *redis.ClusterOptions) { o.RouteByLatency = true }), "replicas"},
		{"a cluster's that reads from any", cluster(func(o *redis.ClusterOptions) { o.RouteRandomly = true }), "replicas"},
		{"one that gathers calls", pipeliner(t), "redis.AutoPipeliner"},
	} {
		_, err := New(test.client, nil)
		if (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
		test.client.Close()
	}
}
