package redisstore

import (
	"bytes"
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/hermetic-tls/hermetic"
)

// Options are what a fleet agrees on. The zero value is right for many, except for
// AEAD.
type Options struct {
	// Prefix is what all names in Redis begin with. Empty: "hermetic". Servers
	// with the same Prefix, AEAD and TicketLifetime are one fleet.
	Prefix string

	// AEAD seals the secrets in Redis, with a key that Redis does not have. Its
	// nonces are drawn at random. Nil: the secrets are not sealed.
	AEAD cipher.AEAD

	// OtherAEADs open what AEAD does not, and what they open is sealed anew with AEAD. A
	// nil one stands for secrets that are not sealed. With them a running fleet changes
	// its key: first each server gets the new AEAD here, then as AEAD, with the old one
	// here, and then none here.
	OtherAEADs []cipher.AEAD

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

	// MaxIDs is how many ids of early data Redis remembers, each for one to two
	// minutes and in about 130 bytes. When there are as many, early data is
	// rejected. Of one ticket there are at most 4, and no more than a quarter of
	// MaxIDs. Zero: 262,144.
	MaxIDs int

	// Error is told what goes wrong in Run and in Unseen, on their goroutines and
	// others. It hears of a state that lasts once, and of Redis that does not answer
	// once, whatever was asked. Nil: nobody is told.
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
	defaultMaxIDs         = 1 << 18

	// refreshTimeout is how long Run waits for Redis. It is not the Interval: a
	// short one would end each Refresh where Redis is slower, and none would
	// come to its end.
	refreshTimeout = 15 * time.Second
)

// A Store is a server's part in the fleet. Its methods may be called from many
// goroutines. It is a [hermetic.TicketKeySource] and a [hermetic.ReplayGuard].
type Store struct {
	client redis.UniversalClient
	opt    Options

	refreshing sync.Mutex
	loaded     atomic.Pointer[secrets]

	// Whether somebody has used them. What is the process's own and was not used is
	// forgotten when the fleet is joined.
	gaveKeys, gaveCookies atomic.Bool

	link link
	told told

	positionMu sync.Mutex
	position   position
}

// secrets are what a Store has in memory. They are replaced, never changed.
type secrets struct {
	tickets []ticketKey
	cookies [][]byte // the first makes cookies, all of them check them
	own     bool     // the cookie secret was made without the fleet
}

// New returns a Store with secrets of its own, which the first Refresh replaces by those
// of the fleet. The client is a *redis.Client, connected to a master, by Sentinel or
// not, or a *redis.ClusterClient that reads from masters. It must have
// ContextTimeoutEnabled, since otherwise it waits longer than it is told to. A
// *redis.Ring is refused: it asks another Redis when one is away, which has seen
// nothing of what the first one has.
func New(client redis.UniversalClient, opt Options) (*Store, error) {
	set(&opt.Prefix, "hermetic")
	set(&opt.TicketLifetime, defaultTicketLifetime)
	set(&opt.Interval, min(defaultInterval, opt.TicketLifetime/4))
	set(&opt.Timeout, defaultTimeout)
	set(&opt.MaxIDs, defaultMaxIDs)
	if opt.Time == nil {
		opt.Time = time.Now
	}
	if opt.Error == nil {
		opt.Error = func(error) {}
	}
	if err := checkClient(client); err != nil {
		return nil, err
	}
	switch {
	case strings.ContainsAny(opt.Prefix, "{}"):
		return nil, fmt.Errorf("redisstore: Prefix: %q has a brace", opt.Prefix)
	case opt.TicketLifetime < minTicketLifetime || opt.TicketLifetime > maxTicketLifetime:
		return nil, fmt.Errorf("redisstore: TicketLifetime: %v is not from %v to %v", opt.TicketLifetime, minTicketLifetime, maxTicketLifetime)
	case opt.Interval < 0 || opt.Interval > opt.TicketLifetime/4:
		return nil, fmt.Errorf("redisstore: Interval: %v is not from 0 to a quarter of TicketLifetime", opt.Interval)
	case opt.Timeout < 0:
		return nil, fmt.Errorf("redisstore: Timeout: %v is less than 0", opt.Timeout)
	case opt.MaxIDs < 0:
		return nil, fmt.Errorf("redisstore: MaxIDs: %d is less than 0", opt.MaxIDs)
	}
	s := &Store{client: client, opt: opt}
	s.loaded.Store(&secrets{tickets: s.withOwn(nil, opt.Time()), cookies: [][]byte{newSecret()}, own: true})
	return s, nil
}

// set fills in a default.
func set[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

// checkClient reports what makes a client unfit, as far as it can be known.
func checkClient(client redis.UniversalClient) error {
	honorsContext := true
	switch c := client.(type) {
	case nil:
		return errors.New("redisstore: the client is nil")
	case *redis.Client:
		honorsContext = c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		o := c.Options()
		if o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return errors.New("redisstore: the client reads from replicas, which lag: unset ReadOnly, RouteByLatency and RouteRandomly")
		}
		honorsContext = o.ContextTimeoutEnabled
	case *redis.Ring:
		return errors.New("redisstore: a redis.Ring changes servers by itself, and with them what was seen: use a Client or a ClusterClient")
	case *redis.AutoPipeliner:
		return errors.New("redisstore: a redis.AutoPipeliner does not show its options: use its Client or ClusterClient")
	}
	if !honorsContext {
		return errors.New("redisstore: the client's option ContextTimeoutEnabled is not set")
	}
	return nil
}

// Configure sets in a server's Config what the fleet shares: TicketKeys,
// TicketLifetime, GetCookieSecrets and ReplayGuard. It may be called before the first
// Refresh: a server works with secrets of its own until it has met its fleet.
func (s *Store) Configure(cfg *hermetic.Config) {
	cfg.TicketKeys, cfg.TicketLifetime = s, s.opt.TicketLifetime
	cfg.DTLS.GetCookieSecrets = s.CookieSecrets
	cfg.ReplayGuard = s
}

// CookieSecrets is for [hermetic.DTLSConfig].GetCookieSecrets: first the fleet's secret, or
// before the first Refresh that has succeeded one of this process's own. A second one is
// what came before it, if anyone asked for it: its cookies are still accepted.
func (s *Store) CookieSecrets() [][]byte {
	s.gaveCookies.Store(true)
	return s.loaded.Load().cookies
}

// CookieSecret is a copy of the first of CookieSecrets.
func (s *Store) CookieSecret() []byte { return bytes.Clone(s.loaded.Load().cookies[0]) }

// Refresh fetches the secrets, and makes those that nobody has made. What cannot be
// fetched stays as it is in memory: an error is Redis's or the network's, or names each
// key in Redis whose value is damaged or sealed with another key, which stays so until
// somebody deletes it there. The other keys are fetched all the same.
func (s *Store) Refresh(ctx context.Context) error { return errors.Join(s.refresh(ctx)...) }

func (s *Store) refresh(ctx context.Context) (errs []error) {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	now, old := s.opt.Time(), s.loaded.Load()
	fresh := &secrets{tickets: s.withOwn(old.tickets, now), cookies: old.cookies, own: old.own}
	defer func() { s.loaded.Store(fresh) }()
	list := append(s.ticketSecrets(fresh.tickets, now), secret{name: s.name("cookie"), mine: old.cookies[0], needed: true})
	if err := s.share(ctx, list); err != nil {
		return []error{err}
	}
	for i := range list {
		x := &list[i]
		if x.err == nil && x.shared == nil && x.needed {
			x.err = fmt.Errorf("redisstore: %s was put into Redis and cannot be read there", x.name)
		}
		if x.err != nil {
			errs = append(errs, x.err)
		}
	}
	last := len(list) - 1
	fresh.tickets = s.ticketKeys(list[:last], fresh.tickets, now)
	if cookie := list[last].shared; cookie != nil {
		if fresh.own = false; !bytes.Equal(cookie, old.cookies[0]) {
			fresh.cookies = [][]byte{cookie}
			if !old.own || s.gaveCookies.Load() {
				fresh.cookies = append(fresh.cookies, old.cookies[0])
			}
		}
	}
	return errs
}

// Run refreshes at once and then an Interval after each Refresh until ctx is done,
// whose error it returns. A Refresh that takes longer than 15 s is given up. What
// goes wrong meanwhile Options.Error is told. Run also lets the memory of early data
// begin, which is of use after a minute, and finds out whether Redis answers.
func (s *Store) Run(ctx context.Context) error {
	for {
		s.attend(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(s.opt.Interval):
		}
	}
}

// attend is one round of Run.
func (s *Store) attend(ctx context.Context) {
	attempt, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	errs := s.refresh(attempt)
	if ctx.Err() != nil {
		return
	}
	s.say(aboutSecrets, errs...)
	if slices.ContainsFunc(errs, isAway) {
		s.away()
		return
	}
	s.check(ctx)
}

// name is a key in Redis. The braces put all names into one slot of a cluster.
func (s *Store) name(rest string) string { return "{" + s.opt.Prefix + "}:" + rest }
