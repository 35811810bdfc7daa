package redisstore

import (
	"bytes"
	"context"
	"crypto/cipher"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestOneTicket: one ticket uses few ids, and takes 0-RTT from nobody else.
func TestOneTicket(t *testing.T) {
	for _, most := range []int{1, 4, 8, 100} {
		server := newServer(t)
		s := server.store(Options{MaxIDs: most})
		ready(t, s)
		id := func(ticket string, hello int) string { return fmt.Sprintf("%-16s%-16d", ticket, hello) }
		accepted := 0
		for hello := range 3 * most {
			if unseen, err := s.ask([]byte(id("greedy", hello)), time.Now().Add(maxAhead)); err == ErrFull {
				break
			} else if unseen {
				accepted++
			}
		}
		if want := min(ticketIDs, max(1, most/4)); accepted != want {
			t.Errorf("%d ids: one ticket used %d, want %d", most, accepted, want)
		}
		if most == 1 {
			continue
		}
		wantAsk(t, s, "another ticket", id("modest", 0), true, nil)
		wantAsk(t, s, "the same hello with another ticket", id("third", 0), true, nil)
		wantAsk(t, s, "again", id("modest", 0), false, nil)

		// Over two generations it has no more.
		server.do("HSET", "{hermetic}:guard", "turned", 0)
		wantAsk(t, s, "the greedy one, in another generation", id("greedy", 1000), false, nil)
	}
}

// TestMaxIDs: there are no more ids in Redis, and when they are forgotten there is room.
func TestMaxIDs(t *testing.T) {
	server := newServer(t)
	const most = 10
	s := server.store(Options{MaxIDs: most})
	ready(t, s)
	for i := range most {
		wantAsk(t, s, "there is room", fmt.Sprint("id", i), true, nil)
	}
	wantAsk(t, s, "there is none", "another", false, ErrFull)
	for range 2 {
		wantAsk(t, s, "nor is there", "another", false, ErrFull)
		server.do("HSET", "{hermetic}:guard", "turned", 0)
	}
	wantAsk(t, s, "two generations later", "another", true, nil)
	if n := server.do("HLEN", "{hermetic}:young").(int64) + server.do("EXISTS", "{hermetic}:older").(int64); n != 1 {
		t.Errorf("%d ids are left", n)
	}
}

// fill takes all memory that Redis has.
func (s *server) fill() {
	s.t.Helper()
	s.do("SET", "something else", strings.Repeat("x", 1<<20))
	s.do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	s.do("CONFIG", "SET", "maxmemory", 1<<20)
}

// TestFullRedis: what somebody else has filled keeps new secrets out as little as old ones.
// Early data is rejected, and accepted once there is room.
func TestFullRedis(t *testing.T) {
	server, now := newServer(t), noon()
	s := server.store(Options{})
	ready(t, s)
	wantAsk(t, s, "there is room", "id", true, nil)
	server.fill()
	if err := server.client().Set(context.Background(), "x", "y", 0).Err(); !redis.HasErrorPrefix(err, "OOM") {
		t.Fatalf("Redis is not full: %v", err)
	}
	a, b := server.store(Options{Time: now.time}), server.store(Options{Time: now.time})
	refresh(t, a)
	now.now = now.now.Add(24 * time.Hour)
	refresh(t, a)
	refresh(t, b)
	if ticketKeys(t, a, now.now)[0] != ticketKeys(t, b, now.now)[0] || !bytes.Equal(a.cookieSecret(), b.cookieSecret()) {
		t.Error("the fleet does not agree in a full Redis")
	}
	if ttl := server.do("PTTL", fmt.Sprintf("{hermetic}:ticket:24h0m0s:%d", now.now.Unix()/86400)).(int64); ttl <= 0 {
		t.Error("a key of a full Redis does not expire")
	}
	sealing := keyEncryption('k')
	sealing.Time, sealing.OtherAEADs = now.time, []cipher.AEAD{nil}
	if err := server.store(sealing).Refresh(context.Background()); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("sealed anew in a full Redis: %v", err) // it has time
	}

	if unseen, err := s.ask([]byte("another"), time.Now().Add(maxAhead)); unseen || err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("early data in a full Redis: %v, %v", unseen, err)
	}
	server.do("CONFIG", "SET", "maxmemory", 0)
	wantAsk(t, s, "what was seen before", "id", false, nil)
	wantAsk(t, s, "what was rejected", "another", true, nil)
}

// TestMemoryOfAnID is what Options.MaxIDs says.
func TestMemoryOfAnID(t *testing.T) {
	server := newServer(t)
	s := server.store(Options{})
	ready(t, s)
	used := func() int64 {
		info := server.do("INFO", "memory").(string)
		var n int64
		fmt.Sscan(field(info, "used_memory"), &n)
		return n
	}
	const n = 1 << 15
	before := used()
	// As the script does it, many at once.
	err := s.client.Eval(context.Background(), `
for i = 1, ARGV[1] do
  redis.call('HSET', KEYS[1], string.format('%016d1', i), string.format('%016d', i))
end
return 1`, []string{s.name("young")}, n).Err()
	if err != nil {
		t.Fatal(err)
	}
	if each := (used() - before) / n; each > 150 {
		t.Errorf("an id takes %d bytes", each)
	} else {
		t.Logf("an id takes %d bytes", each)
	}
}
