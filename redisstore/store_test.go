package redisstore

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/hermetic-tls/hermetic"
)

func refresh(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// refreshAll lets all do it at the same time.
func refreshAll(t *testing.T, stores []*Store) {
	t.Helper()
	var wg sync.WaitGroup
	start := make(chan struct{})
	for _, s := range stores {
		wg.Go(func() {
			<-start
			if err := s.Refresh(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
}

func ticketKeys(t *testing.T, s *Store, now time.Time) []hermetic.TicketKey {
	t.Helper()
	keys, err := s.TicketKeys(now)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestAgreement: however many begin at once, they have the same secrets, and so
// at each change of keys.
func TestAgreement(t *testing.T) {
	server, now := newServer(t), noon()
	var stores []*Store
	for range 12 {
		stores = append(stores, server.store(Options{Time: now.time}))
	}
	var all []hermetic.TicketKey // that have sealed
	for day := range 4 {
		refreshAll(t, stores)
		first := ticketKeys(t, stores[0], now.now)
		for i, s := range stores {
			if keys := ticketKeys(t, s, now.now); !slices.Equal(keys, first) {
				t.Errorf("day %d: store %d has other ticket keys than the first", day, i)
			}
			if !bytes.Equal(s.cookieSecret(), stores[0].cookieSecret()) || len(s.cookieSecret()) != secretLen {
				t.Errorf("day %d: store %d has another cookie secret than the first", day, i)
			}
		}
		if slices.Contains(all, first[0]) {
			t.Errorf("day %d: an old key seals", day)
		}
		if day > 0 && !slices.Contains(first, all[day-1]) {
			t.Errorf("day %d: the last key opens no more", day)
		}
		if day > 1 && slices.Contains(first, all[day-2]) {
			t.Errorf("day %d: a key has lived for three periods", day)
		}
		all = append(all, first[0])
		now.now = now.now.Add(24 * time.Hour)
	}
}

// TestKeysAreKnownAhead: at a change of keys those who have refreshed and those
// who have not agree, and Redis may be away.
func TestKeysAreKnownAhead(t *testing.T) {
	server, now := newServer(t), noon()
	a, b := server.store(Options{Time: now.time}), server.store(Options{Time: now.time})
	refresh(t, a)
	refresh(t, b)
	before := ticketKeys(t, a, now.now)
	now.now = now.now.Add(24 * time.Hour)
	refresh(t, a)
	keysA, keysB := ticketKeys(t, a, now.now), ticketKeys(t, b, now.now)
	if keysA[0] != keysB[0] || keysA[0] == before[0] {
		t.Error("they do not seal with the same new key")
	}
	server.kill()
	steps := []struct {
		name  string
		after time.Duration
		want  error
	}{
		{"the last key goes on in the next period", 24 * time.Hour, nil},
		{"and as long as it opens", 35*time.Hour + 59*time.Minute, nil},
		{"then there is none", 36 * time.Hour, errExpired},
	}
	for _, step := range steps {
		if err := b.Refresh(context.Background()); err == nil {
			t.Fatal("Redis is there")
		}
		keys, err := b.TicketKeys(now.now.Add(step.after))
		if !errors.Is(err, step.want) || err == nil && keys[0] != keysB[0] {
			t.Errorf("%s: %d keys, error %v", step.name, len(keys), err)
		}
	}
}

// TestRedisForgetsKeys: each of them with its period, and the cookie secret never.
func TestRedisForgetsKeys(t *testing.T) {
	server, now := newServer(t), noon()
	refresh(t, server.store(Options{Time: now.time}))
	day := now.now.Unix() / 86400
	for name, want := range map[string]time.Duration{
		fmt.Sprintf("{hermetic}:ticket:24h0m0s:%d", day):   36 * time.Hour,
		fmt.Sprintf("{hermetic}:ticket:24h0m0s:%d", day+1): 60 * time.Hour,
		"{hermetic}:cookie": -time.Millisecond,
	} {
		got := time.Duration(server.do("PTTL", name).(int64)) * time.Millisecond
		if got > want || got < want-time.Minute {
			t.Errorf("%s lives for %v, want %v", name, got, want)
		}
	}
	if n := server.do("DBSIZE"); n != int64(3) {
		t.Errorf("Redis has %d keys", n)
	}
}

// TestRedisLosesAll: what it had is put back by the first that comes; where
// another was faster, its ticket keys are the fleet's.
func TestRedisLosesAll(t *testing.T) {
	server, now := newServer(t), noon()
	a, b := server.store(Options{Time: now.time}), server.store(Options{Time: now.time})
	refresh(t, a)
	now.now = now.now.Add(24 * time.Hour) // so that there is a last period, too
	refresh(t, a)
	keys, cookie := ticketKeys(t, a, now.now), a.cookieSecret()
	if len(keys) != 3 {
		t.Fatalf("%d keys", len(keys))
	}

	server.do("FLUSHALL")
	refresh(t, a)
	refresh(t, b)
	if !slices.Equal(ticketKeys(t, b, now.now), keys) || !bytes.Equal(b.cookieSecret(), cookie) {
		t.Error("what Redis has lost does not come back")
	}

	server.do("FLUSHALL")
	stranger := server.store(Options{Time: now.time})
	refresh(t, stranger)
	refresh(t, a)
	refresh(t, stranger) // the last period's is put back
	fleet, mine := ticketKeys(t, stranger, now.now), ticketKeys(t, a, now.now)
	if mine[0] != fleet[0] || mine[0] == keys[0] || !contains(mine, fleet) {
		t.Error("the fleet's ticket keys are not its own")
	}
	if !contains(mine, keys) {
		t.Error("it does not open the tickets of before")
	}
	if secrets := a.CookieSecrets(); !slices.EqualFunc(secrets, [][]byte{stranger.cookieSecret(), cookie}, bytes.Equal) {
		t.Errorf("%d cookie secrets, or others than the fleet's and the one of before", len(secrets))
	}
}

// contains reports whether all of some are among keys.
func contains(keys, some []hermetic.TicketKey) bool {
	return !slices.ContainsFunc(some, func(k hermetic.TicketKey) bool { return !slices.Contains(keys, k) })
}

// TestDamagedValues: a clear error that names the key and not its value; what was loaded
// stays, and the other keys are fetched all the same.
func TestDamagedValues(t *testing.T) {
	kek := keyEncryption('k')
	ticket := fmt.Sprintf("{hermetic}:ticket:24h0m0s:%d", noon().now.Unix()/86400)
	const cookie = "{hermetic}:cookie"
	get := func(s *server, name string) string { return s.do("GET", name).(string) }
	tests := []struct {
		name   string
		opt    Options
		damage func(s *server)
		want   string
	}{
		{"an empty one", Options{}, func(s *server) { s.do("SET", ticket, "") }, ticket + " in Redis: the value is damaged"},
		{"another form", Options{}, func(s *server) { s.do("SET", ticket, "\x07"+strings.Repeat("x", 32)) }, "damaged"},
		{"one that was cut", Options{}, func(s *server) { v := get(s, cookie); s.do("SET", cookie, v[:len(v)-1]) }, cookie + " in Redis: the value is damaged"},
		{"one that is too long", Options{}, func(s *server) { s.do("APPEND", cookie, "x") }, "damaged"},
		{"no string at all", Options{}, func(s *server) { s.do("DEL", cookie); s.do("LPUSH", cookie, "x") }, cookie + " was put into Redis and cannot be read there"},
		{"sealed, a bit flipped", kek, func(s *server) { s.do("SETBIT", ticket, 300, 1-s.do("GETBIT", ticket, 300).(int64)) }, errNotOurs.Error()},
		{"sealed, cut in the nonce", kek, func(s *server) { s.do("SET", ticket, get(s, ticket)[:7]) }, errNotOurs.Error()},
		{"sealed, under another name", kek, func(s *server) { s.do("SET", ticket, get(s, cookie)) }, errNotOurs.Error()},
		{"not sealed, put by somebody", kek, func(s *server) { s.do("SET", ticket, "\x01"+strings.Repeat("x", 32)) }, errNotSealed.Error()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := newServer(t)
			test.opt.Time = noon().time
			old := server.store(test.opt)
			refresh(t, old)
			keys, secret := ticketKeys(t, old, noon().now), old.cookieSecret()
			test.damage(server)
			fresh := server.store(test.opt)
			for name, s := range map[string]*Store{"a fresh one": fresh, "the old one": old} {
				err := s.Refresh(context.Background())
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s: %v, want %q", name, err, test.want)
				}
				if err != nil && (strings.Contains(err.Error(), "xxx") || strings.Contains(err.Error(), string(secret))) {
					t.Errorf("%s: the error shows a secret", name)
				}
			}
			damaged := fresh.Refresh(context.Background()).Error()
			if got := bytes.Equal(fresh.cookieSecret(), secret); got == strings.Contains(damaged, cookie) {
				t.Errorf("the cookie secret was fetched: %v", got)
			}
			own := ticketKeys(t, fresh, noon().now)
			if got := own[0] == keys[0]; got == strings.Contains(damaged, ticket) {
				t.Errorf("the ticket key was fetched: %v", got)
			}
			if !slices.Contains(own, keys[1]) {
				t.Error("the key of the next period was not fetched")
			}
			if !slices.Equal(ticketKeys(t, old, noon().now), keys) || !bytes.Equal(old.cookieSecret(), secret) {
				t.Error("what was loaded is lost")
			}
		})
	}
}

// TestKeyEncryption: what is sealed is read with the same key, and not without.
func TestKeyEncryption(t *testing.T) {
	server := newServer(t)
	a := server.store(keyEncryption('k'))
	refresh(t, a)
	b := server.store(keyEncryption('k'))
	refresh(t, b)
	if !bytes.Equal(a.cookieSecret(), b.cookieSecret()) {
		t.Error("they do not agree")
	}
	for name, test := range map[string]struct {
		opt  Options
		want error
	}{
		"another key": {keyEncryption('K'), errNotOurs},
		"no key":      {Options{}, errSealed},
	} {
		s := server.store(test.opt)
		if err := s.Refresh(context.Background()); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if bytes.Equal(s.cookieSecret(), a.cookieSecret()) || slices.Contains(ticketKeys(t, s, time.Now()), ticketKeys(t, a, time.Now())[0]) {
			t.Errorf("%s: something was loaded", name)
		}
	}
	secrets := [][]byte{a.cookieSecret()}
	for _, key := range ticketKeys(t, a, time.Now()) {
		secrets = append(secrets, key[:])
	}
	for _, name := range server.do("KEYS", "*").([]any) {
		value := server.do("GET", name).(string)
		for _, secret := range secrets {
			if strings.Contains(value, string(secret)) {
				t.Errorf("%v has a secret that is not sealed", name)
			}
		}
	}
}

// TestFleetsApart: another Prefix, or another TicketLifetime, is another fleet.
func TestFleetsApart(t *testing.T) {
	server := newServer(t)
	a, b, c := server.store(Options{}), server.store(Options{Prefix: "other"}), server.store(Options{TicketLifetime: time.Hour})
	for _, s := range []*Store{a, b, c} {
		refresh(t, s)
	}
	keys := ticketKeys(t, a, time.Now())
	for _, s := range []*Store{b, c} {
		for _, key := range ticketKeys(t, s, time.Now()) {
			if slices.Contains(keys, key) {
				t.Error("two fleets have one key")
			}
		}
	}
	if bytes.Equal(a.cookieSecret(), b.cookieSecret()) || !bytes.Equal(a.cookieSecret(), c.cookieSecret()) {
		t.Error("the cookie secret is the Prefix's")
	}
}

func TestBadOptions(t *testing.T) {
	good := socketOptions("/nowhere", "", "")
	bad := socketOptions("/nowhere", "", "")
	bad.ContextTimeoutEnabled = false
	tests := []struct {
		name   string
		client *redis.Options
		opt    Options
		want   string
	}{
		{"a client that waits", bad, Options{}, "ContextTimeoutEnabled"},
		{"a brace", good, Options{Prefix: "a{b}"}, "Prefix"},
		{"tickets of seconds", good, Options{TicketLifetime: time.Second}, "TicketLifetime"},
		{"tickets of months", good, Options{TicketLifetime: 30 * 24 * time.Hour}, "TicketLifetime"},
		{"refreshing seldom", good, Options{Interval: 7 * time.Hour}, "Interval"},
		{"a timeout before now", good, Options{Timeout: -1}, "Timeout"},
	}
	for _, test := range tests {
		client := redis.NewClient(test.client)
		defer client.Close()
		if _, err := New(client, &test.opt); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if _, err := New(nil, nil); err == nil {
		t.Error("a nil client")
	}
}

// repeats is an answer of a Redis that repeats what it was told.
type repeats string

func (r repeats) Error() string { return string(r) }
func (repeats) RedisError()     {}

// talkative answers SET so.
type talkative struct{ redis.Hook }

func (talkative) DialHook(next redis.DialHook) redis.DialHook { return next }
func (talkative) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (talkative) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "set" {
			return next(ctx, cmd)
		}
		err := repeats(fmt.Sprintf("ERR unknown command 'set', with args beginning with: %q", cmd.Args()))
		cmd.SetErr(err)
		return err
	}
}

// TestErrorsShowNoSecret: Redis may repeat a command that it does not take.
func TestErrorsShowNoSecret(t *testing.T) {
	client := newServer(t).client()
	client.AddHook(talkative{})
	s, err := New(client, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Refresh(context.Background())
	var answer repeats
	if err == nil || strings.Contains(err.Error(), "args") || !strings.Contains(err.Error(), "Redis answered ERR") || errors.As(err, &answer) {
		t.Errorf("%v", err)
	}
}

// documentedRights are the arguments of ACL that doc.go shows.
func documentedRights(t *testing.T) (args []any) {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(doc)) {
		if _, line, ok := strings.Cut(line, "ACL SETUSER "); ok {
			args = []any{"ACL", "SETUSER"}
			for _, word := range strings.Fields(line) {
				args = append(args, word)
			}
			return args
		}
	}
	t.Fatal("doc.go shows no rights")
	return nil
}

// TestLeastRights: the rights that the documentation names are enough.
func TestLeastRights(t *testing.T) {
	server := newServer(t)
	server.do(documentedRights(t)...)
	server.grow("hermetic")
	var told []error
	opt := Options{Timeout: time.Minute, OnError: func(err error) { told = append(told, err) }}
	s, err := New(server.clientAs("fleet", "secret"), &opt)
	if err != nil {
		t.Fatal(err)
	}
	exerciseRights(t, s)
	if s.attend(context.Background()); len(told) != 1 || told[0] != ErrForgetful {
		t.Errorf("told %v", told)
	}
	other, err := New(server.clientAs("fleet", "secret"), &Options{Prefix: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Refresh(context.Background()); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("another Prefix: %v", err)
	}
}

// exerciseRights does all that a Store does with Redis.
func exerciseRights(t *testing.T, s *Store) {
	t.Helper()
	refresh(t, s)
	resealed, err := New(s.client, &Options{AEAD: keyEncryption('n').AEAD, OtherAEADs: []cipher.AEAD{nil}})
	if err != nil {
		t.Fatal(err)
	}
	refresh(t, resealed)
	ctx := context.Background()
	if err := putInFull.Run(ctx, s.client, []string{s.name("cookie")}, "x").Err(); err != redis.Nil {
		t.Error(err)
	}
	s.opt.AEAD = resealed.opt.AEAD
	for _, id := range []string{"an id", "another"} {
		// The generations turn.
		if err := s.client.HSet(ctx, s.name("guard"), "turned", 0).Err(); err != nil {
			t.Error(err)
		}
		if unseen, err := s.ask([]byte(id), time.Now().Add(maxAhead)); !unseen || err != nil {
			t.Errorf("%v, %v", unseen, err)
		}
	}
	if unseen, err := s.ask([]byte("an id"), time.Now().Add(maxAhead)); unseen || err != nil {
		t.Errorf("seen: %v, %v", unseen, err)
	}
	if err := s.client.HSet(ctx, s.name("guard"), "history", "lost").Err(); err != nil {
		t.Error(err)
	}
	if unseen, err := s.ask([]byte("an id"), time.Now().Add(maxAhead)); unseen || err != ErrForgetful {
		t.Errorf("a reset: %v, %v", unseen, err)
	}
	if err := s.touch(ctx); err != ErrForgetful {
		t.Error(err)
	}
}

// commands tells of each command that Redis has answered.
type commands struct {
	talkative
	answered chan string
}

func (c commands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil {
			select {
			case c.answered <- cmd.Name():
			default: // nobody wants to know
			}
		}
		return err
	}
}

// TestRun: it refreshes by itself, however slow Redis is beside its Interval, says
// what goes wrong, and goes on when Redis is back.
func TestRun(t *testing.T) {
	server := newServer(t)
	client := server.client()
	answered, failed := make(chan string, 1000), make(chan struct{}, 1)
	client.AddHook(commands{answered: answered})
	s, err := New(client, &Options{Interval: time.Nanosecond, OnError: func(error) {
		select {
		case failed <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	wantCommand := func(reason, name string) {
		t.Helper()
		for deadline := time.After(time.Minute); ; {
			select {
			case got := <-answered:
				if got == name {
					return
				}
			case <-deadline:
				t.Fatalf("%s: no %s comes", reason, name)
			}
		}
	}
	wantCommand("the secrets are made", "set")
	for s.cookieSecret() == nil {
		wantCommand("and fetched", "mget")
	}
	wantCommand("and again", "mget")
	cookie := s.cookieSecret()
	server.kill()
	select {
	case <-failed:
	case <-time.After(time.Minute):
		t.Fatal("nobody hears that Redis is away")
	}
	server.start()
	for server.do("EXISTS", "{hermetic}:cookie") == int64(0) {
		wantCommand("Redis is empty: the secrets are put back", "mget")
	}
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("Run ends with %v", err)
	}
	other := server.store(Options{})
	refresh(t, other)
	if !bytes.Equal(other.cookieSecret(), cookie) {
		t.Error("the cookie secret was lost with Redis")
	}
}

// TestNewAEAD: a running fleet changes the key that seals its secrets, and no secret
// changes: each server accepts both for a time.
func TestNewAEAD(t *testing.T) {
	one, two := keyEncryption('1').AEAD, keyEncryption('2').AEAD
	for _, test := range []struct {
		name     string
		old, new cipher.AEAD
	}{{"another key", one, two}, {"a first key", nil, one}} {
		t.Run(test.name, func(t *testing.T) {
			server, now := newServer(t), noon()
			start := func(aead cipher.AEAD, others ...cipher.AEAD) *Store {
				s := server.store(Options{AEAD: aead, OtherAEADs: others, Time: now.time})
				refresh(t, s)
				return s
			}
			first := start(test.old)
			keys := ticketKeys(t, first, now.now)
			same := func(name string, stores ...*Store) {
				t.Helper()
				for _, s := range stores {
					refresh(t, s)
					if !slices.Equal(ticketKeys(t, s, now.now), keys) || !bytes.Equal(s.cookieSecret(), first.cookieSecret()) {
						t.Errorf("%s: the secrets are others", name)
					}
				}
			}
			accepts := start(test.old, test.new)
			same("the first server accepts both", first, accepts)
			other := start(test.old, test.new)
			seals := start(test.new, test.old)
			same("all accept both, one seals with the new one", accepts, other, seals, accepts, seals)
			last := start(test.new, test.old)
			same("all seal with the new one", seals, last)
			same("the old one is gone", start(test.new), start(test.new))
			if err := first.Refresh(context.Background()); err == nil {
				t.Error("something is left that the old one opens")
			}
			for _, name := range server.do("KEYS", "{hermetic}:ticket:*").([]any) {
				if ttl := server.do("PTTL", name).(int64); ttl <= 0 {
					t.Errorf("%v is there forever", name)
				}
			}
		})
	}
}

// TestSealWithoutNonces: an AEAD may make its nonces itself, as the one does that FIPS 140-3 approves.
func TestSealWithoutNonces(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{opt: Options{AEAD: aead}}
	plain := bytes.Repeat([]byte("s"), secretLen)
	value := string(s.seal("name", plain))
	if got, stale, err := s.open("name", value); err != nil || stale || !bytes.Equal(got, plain) {
		t.Errorf("%q, %v, %v", got, stale, err)
	}
	if _, _, err := s.open("another name", value); err == nil {
		t.Error("it opens under another name")
	}
	for n := range value {
		if _, _, err := s.open("name", value[:n]); err == nil {
			t.Errorf("%d bytes of it open", n)
		}
	}
}
