package redisstore

import (
	"bytes"
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/hermetic-tls/hermetic"
)

// Options are what a fleet agrees on. The zero value is right for many, but for
// AEAD.
type Options struct {
	// Prefix is what all names in Redis begin with. Empty: "hermetic". Servers
	// with the same Prefix, AEAD and TicketLifetime are one fleet.
	Prefix string

	// AEAD seals the secrets in Redis, with a key that Redis does not have. Its
	// nonces are drawn at random. Nil: they are there in clear.
	AEAD cipher.AEAD

	// TicketLifetime is how long a ticket lives, and so how long a key seals
	// before the next one does; it opens tickets for as long again. Zero: a
	// day. From a minute to seven days.
	TicketLifetime time.Duration

	// Interval is how often Run refreshes. Zero: every 15 s. At most a quarter of
	// TicketLifetime, so that everybody knows a key before it seals.
	Interval time.Duration

	// Timeout is how long Unseen, and with it a handshake, waits for Redis. Zero:
	// 250 ms.
	Timeout time.Duration

	// Error is told what goes wrong in Run and in Unseen, on their goroutines. Nil:
	// nobody is.
	Error func(error)

	// Time is the same as hermetic.Config.Time.
	Time func() time.Time
}

const (
	defaultTicketLifetime = 24 * time.Hour
	minTicketLifetime     = time.Minute
	maxTicketLifetime     = 7 * 24 * time.Hour
	defaultInterval       = 15 * time.Second
	defaultTimeout        = 250 * time.Millisecond

	// refreshTimeout is how long Run waits for Redis. It is not the Interval: a
	// short one would end each Refresh where Redis is slower, and none would
	// come to its end.
	refreshTimeout = 15 * time.Second
)

// A Store is a server's part in the fleet. Its methods may be called from many
// goroutines. It is a [hermetic.TicketKeys] and a [hermetic.ReplayGuard].
type Store struct {
	client redis.UniversalClient
	opt    Options

	refreshing sync.Mutex
	loaded     atomic.Pointer[secrets]
}

// secrets are what a Store has in memory. They are replaced, never changed.
type secrets struct {
	tickets []ticketKey
	cookie  []byte
}

var (
	errNothingLoaded = errors.New("redisstore: nothing was fetched from Redis yet")
	errOtherCookie   = errors.New("redisstore: Redis has another cookie secret than this process, whose cookies the fleet does not accept until it is started again")
)

// New returns a Store without anything in it: the first Refresh fetches it. The
// client must have ContextTimeoutEnabled, since otherwise it waits longer than
// it is told to.
func New(client redis.UniversalClient, opt Options) (*Store, error) {
	set(&opt.Prefix, "hermetic")
	set(&opt.TicketLifetime, defaultTicketLifetime)
	set(&opt.Interval, min(defaultInterval, opt.TicketLifetime/4))
	set(&opt.Timeout, defaultTimeout)
	if opt.Time == nil {
		opt.Time = time.Now
	}
	if opt.Error == nil {
		opt.Error = func(error) {}
	}
	switch {
	case client == nil:
		return nil, errors.New("redisstore: the client is nil")
	case !honoursContext(client):
		return nil, errors.New("redisstore: the client's option ContextTimeoutEnabled is not set")
	case strings.ContainsAny(opt.Prefix, "{}"):
		return nil, fmt.Errorf("redisstore: Prefix: %q has a brace", opt.Prefix)
	case opt.TicketLifetime < minTicketLifetime || opt.TicketLifetime > maxTicketLifetime:
		return nil, fmt.Errorf("redisstore: TicketLifetime: %v is not from %v to %v", opt.TicketLifetime, minTicketLifetime, maxTicketLifetime)
	case opt.Interval < 0 || opt.Interval > opt.TicketLifetime/4:
		return nil, fmt.Errorf("redisstore: Interval: %v is not from 0 to a quarter of TicketLifetime", opt.Interval)
	case opt.Timeout < 0:
		return nil, fmt.Errorf("redisstore: Timeout: %v is less than 0", opt.Timeout)
	}
	s := &Store{client: client, opt: opt}
	s.loaded.Store(&secrets{})
	return s, nil
}

// set fills in a default.
func set[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

// honoursContext reports whether a client's calls end with their contexts, as far
// as it can be known.
func honoursContext(client redis.UniversalClient) bool {
	switch c := client.(type) {
	case *redis.Client:
		return c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		return c.Options().ContextTimeoutEnabled
	case *redis.Ring:
		return c.Options().ContextTimeoutEnabled
	}
	return true
}

// Configure sets in a server's Config what the fleet shares: TicketKeys,
// TicketLifetime, CookieSecret and ReplayGuard. Call it after the first Refresh: a
// cookie secret that is not known then is the process's own.
func (s *Store) Configure(cfg *hermetic.Config) {
	cfg.TicketKeys, cfg.TicketLifetime = s, s.opt.TicketLifetime
	cfg.CookieSecret = s.CookieSecret()
	cfg.ReplayGuard = s
}

// CookieSecret is the fleet's [hermetic.Config].CookieSecret, or nil before the
// first Refresh that has succeeded. It does not change: the keys of cookies, which
// are derived from it, do.
func (s *Store) CookieSecret() []byte { return bytes.Clone(s.loaded.Load().cookie) }

// Refresh fetches the secrets, and makes those that nobody has made. If it fails,
// those in memory stay: an error is Redis's or the network's, or names the key in
// Redis whose value is damaged or sealed with another key, which stays so until
// somebody deletes it there.
func (s *Store) Refresh(ctx context.Context) error {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	old := s.loaded.Load()
	now := s.opt.Time()
	list := append(s.ticketSecrets(old.tickets, now), secret{name: s.name("cookie"), known: old.cookie, needed: true})
	if err := s.share(ctx, list); err != nil {
		return err
	}
	last := len(list) - 1
	fresh := &secrets{tickets: s.ticketKeys(list[:last], now), cookie: old.cookie}
	if old.cookie == nil {
		fresh.cookie = list[last].known
	}
	s.loaded.Store(fresh)
	if !bytes.Equal(fresh.cookie, list[last].known) {
		return errOtherCookie
	}
	return nil
}

// Run refreshes at once and then an Interval after each Refresh until ctx is done,
// whose error it returns. A Refresh that takes longer than 15 s is given up. What
// goes wrong meanwhile Options.Error is told.
func (s *Store) Run(ctx context.Context) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, refreshTimeout)
		err := s.Refresh(attempt)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.opt.Error(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(s.opt.Interval):
		}
	}
}

// name is a key in Redis. The braces put all names into one slot of a cluster.
func (s *Store) name(rest string) string { return "{" + s.opt.Prefix + "}:" + rest }
