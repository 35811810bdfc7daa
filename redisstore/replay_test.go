package redisstore

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestUnseen: an id is new once, and only in its time.
func TestUnseen(t *testing.T) {
	server := newServer(t)
	server.grow("hermetic")
	a, b := server.store(Options{}), server.store(Options{})
	for _, step := range []struct {
		name  string
		store *Store
		id    string
		left  time.Duration
		want  bool
		fails bool
	}{
		{"a new id", a, "one", maxAhead, true, false},
		{"again", a, "one", maxAhead, false, false},
		{"again, elsewhere", b, "one", maxAhead, false, false},
		{"another id", b, "two", maxAhead, true, false},
		{"any bytes", b, "\x00}{ \r\n\xff", maxAhead, true, false},
		{"a question that has waited for too long", a, "three", -time.Millisecond, false, true},
		{"an answer for longer than the memory", a, "four", time.Hour, false, true},
	} {
		got, err := step.store.ask([]byte(step.id), time.Now().Add(step.left))
		if got != step.want || err != nil != step.fails {
			t.Errorf("%s: %v, %v", step.name, got, err)
		}
	}
}

// TestUnseenAtOnce: of many that ask at the same time one hears yes.
func TestUnseenAtOnce(t *testing.T) {
	server := newServer(t)
	server.grow("hermetic")
	var stores []*Store
	for range 4 {
		stores = append(stores, server.store(Options{}))
	}
	for round := range 10 {
		var yes atomic.Int32
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range 32 {
			wg.Go(func() {
				<-start
				ok, err := stores[i%len(stores)].ask([]byte{byte(round)}, time.Now().Add(maxAhead))
				if err != nil {
					t.Error(err)
				}
				if ok {
					yes.Add(1)
				}
			})
		}
		close(start)
		wg.Wait()
		if yes.Load() != 1 {
			t.Errorf("%d were told that it is new", yes.Load())
		}
	}
}

// TestForgetful: no early data while Redis may have forgotten some.
func TestForgetful(t *testing.T) {
	server := newServer(t)
	s := server.store(Options{})
	ask := func(reason, id string, want bool, wantErr error) {
		t.Helper()
		if got, err := s.ask([]byte(id), time.Now().Add(maxAhead)); got != want || !errors.Is(err, wantErr) {
			t.Errorf("%s: %v, %v", reason, got, err)
		}
	}
	ask("Redis is new", "id", false, ErrForgetful)
	ask("and still is", "id", false, ErrForgetful)
	server.grow("hermetic")
	ask("it remembers", "id", true, nil)

	server.do("FLUSHALL")
	ask("it was emptied", "id", false, ErrForgetful)
	server.grow("hermetic")
	ask("it remembers again", "another", true, nil)

	// What was saved in a file, or copied to another server, may be old.
	saved := server.do("DUMP", "{hermetic}:guard")
	server.kill()
	server.start()
	server.do("RESTORE", "{hermetic}:guard", 0, saved)
	ask("it was restarted", "id", false, ErrForgetful)
	server.grow("hermetic")
	ask("it remembers after a restart", "id", true, nil)

	for _, odd := range []string{"", "nonsense", "1e"} {
		for _, field := range []string{"history", "began", "since", "last", "turned", "young", "older", "count"} {
			server.do("HSET", "{hermetic}:guard", field, odd)
			ask("the state is damaged: "+field+" is "+odd, "id", false, ErrForgetful)
		}
	}
	server.do("SET", "{hermetic}:guard", "no hash")
	ask("the state is of another type", "id", false, ErrForgetful)
	server.do("SET", "{hermetic}:young", "no hash")
	ask("the ids are of another type", "id", false, ErrForgetful)
}

// TestUnseenWithoutRedis: whatever is wrong with Redis, early data is not new, the
// wait ends, and somebody is told.
func TestUnseenWithoutRedis(t *testing.T) {
	server := newServer(t)
	server.grow("hermetic")
	away := server.client()
	server.kill()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	silent := redis.NewClient(&redis.Options{Addr: l.Addr().String(), ContextTimeoutEnabled: true})
	defer silent.Close()
	for name, client := range map[string]*redis.Client{"away": away, "silent": silent} {
		var told error
		s, err := New(client, &Options{Timeout: 10 * time.Millisecond, OnError: func(err error) { told = err }})
		if err != nil {
			t.Fatal(err)
		}
		if s.Unseen([]byte("id"), time.Now().Add(maxAhead)) || told == nil {
			t.Errorf("Redis is %s: told %v", name, told)
		}
	}
}
