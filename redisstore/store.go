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

// Options are what a fleet agrees on. The zero value suits most fleets, except for
// AEAD.
type Options struct {
	// Prefix begins all names in Redis: "hermetic" if empty. Servers with the same
	// Prefix, AEAD and TicketLifetime are one fleet.
	Prefix string

	// AEAD seals the secrets in Redis, with a key that Redis does not have. Its
	// nonces are random. If nil, the secrets are not sealed.
	AEAD cipher.AEAD

	// OtherAEADs open what AEAD does not, and what they open is sealed anew with AEAD. A
	// nil element stands for secrets that are not sealed. With them a running fleet
	// changes its key in three steps: each server gets the new AEAD here; then as AEAD,
	// with the old one here; then none here.
	OtherAEADs []cipher.AEAD

	// TicketLifetime is how long a ticket is valid, and so how long a key seals
	// before the next one does; the key opens tickets for as long again. It is 24
	// hours if zero, and otherwise from a minute to seven days.
	TicketLifetime time.Duration

	// Interval is how often Run refreshes: every 15 s if zero. It is at most a quarter
	// of TicketLifetime, so that every server knows a key before it seals.
	Interval time.Duration

	// Timeout is how long Unseen, and with it a handshake, waits for Redis: 250 ms
	// if zero.
	Timeout time.Duration

	// MaxIDs is how many ids of early data Redis remembers, each for one to two
	// minutes and in about 130 bytes: 262,144 if zero. At that number, early data is
	// rejected. One ticket has at most 4, and no more than a quarter of MaxIDs.
	MaxIDs int

	// OnError, if not nil, is called with the errors of Run and Unseen, on their
	// goroutines and others. It is called once for a state that lasts, and once when
	// Redis does not answer, whatever was asked.
	OnError func(error)

	// Time returns the current time, as hermetic.Config.Time does: time.Now if nil.
	Time func() time.Time
}

const (
	defaultTicketLifetime = 24 * time.Hour
	minTicketLifetime     = time.Minute
	maxTicketLifetime     = 7 * 24 * time.Hour
	defaultInterval       = 15 * time.Second
	defaultTimeout        = 250 * time.Millisecond
	defaultMaxIDs         = 1 << 18

	// refreshTimeout is how long Run waits for Redis. It is not the Interval: if
	// Redis were slower than a short Interval, no Refresh would ever finish.
	refreshTimeout = 15 * time.Second
)

// A Store is a server's part of the fleet. Its methods may be called from many
// goroutines. It implements [hermetic.TicketKeySource] and [hermetic.ReplayGuard].
type Store struct {
	client redis.UniversalClient
	opt    Options

	refreshing sync.Mutex
	loaded     atomic.Pointer[secrets]

	// Whether they were used. The process's own secrets that were not used are
	// forgotten when it joins the fleet.
	gaveKeys, gaveCookies atomic.Bool

	link link
	told told

	positionMu sync.Mutex
	position   position
}

// secrets are a Store's secrets in memory. They are replaced, never changed.
type secrets struct {
	tickets []ticketKey
	cookies [][]byte // the first makes cookies, all of them check them
	own     bool     // the cookie secret was made without the fleet
}

// New returns a Store with its own secrets, which the first Refresh replaces with those
// of the fleet. The client is a *redis.Client connected to a master, by Sentinel or
// not, or a *redis.ClusterClient that reads from masters. It must have
// ContextTimeoutEnabled, because otherwise it waits longer than it is told to. A
// *redis.Ring is refused: when one Redis is down, it asks another, which has seen
// none of the early data of the first. Nil opts means the zero value.
func New(client redis.UniversalClient, opts *Options) (*Store, error) {
	var opt Options
	if opts != nil {
		opt = *opts
	}
	set(&opt.Prefix, "hermetic")
	set(&opt.TicketLifetime, defaultTicketLifetime)
	set(&opt.Interval, min(defaultInterval, opt.TicketLifetime/4))
	set(&opt.Timeout, defaultTimeout)
	set(&opt.MaxIDs, defaultMaxIDs)
	if opt.Time == nil {
		opt.Time = time.Now
	}
	if opt.OnError == nil {
		opt.OnError = func(error) {}
	}
	if err := checkClient(client); err != nil {
		return nil, err
	}
	switch {
	case strings.ContainsAny(opt.Prefix, "{}"):
		return nil, fmt.Errorf("redisstore: Prefix: %q has a brace", opt.Prefix)
	case opt.TicketLifetime < minTicketLifetime || opt.TicketLifetime > maxTicketLifetime:
		return nil, fmt.Errorf("redisstore: TicketLifetime: %v is not between %v and %v", opt.TicketLifetime, minTicketLifetime, maxTicketLifetime)
	case opt.Interval < 0 || opt.Interval > opt.TicketLifetime/4:
		return nil, fmt.Errorf("redisstore: Interval: %v is not between 0 and a quarter of TicketLifetime", opt.Interval)
	case opt.Timeout < 0:
		return nil, fmt.Errorf("redisstore: Timeout: %v is negative", opt.Timeout)
	case opt.MaxIDs < 0:
		return nil, fmt.Errorf("redisstore: MaxIDs: %d is negative", opt.MaxIDs)
	}
	s := &Store{client: client, opt: opt}
	s.loaded.Store(&secrets{tickets: s.withOwn(nil, opt.Time()), cookies: [][]byte{newSecret()}, own: true})
	return s, nil
}

// set sets a default.
func set[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

// checkClient reports what makes a client unsuitable, as far as its options show.
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
		return errors.New("redisstore: a redis.Ring changes servers by itself, and so loses early data that was seen: use a Client or a ClusterClient")
	case *redis.AutoPipeliner:
		return errors.New("redisstore: a redis.AutoPipeliner does not show its options: use its Client or ClusterClient")
	}
	if !honorsContext {
		return errors.New("redisstore: the client waits longer than it is told to: set its option ContextTimeoutEnabled")
	}
	return nil
}

// Configure sets in a server's Config what the fleet shares: TicketKeys,
// TicketLifetime, GetCookieSecrets and ReplayGuard. It may be called before the first
// Refresh: a server works with its own secrets until it joins the fleet.
func (s *Store) Configure(cfg *hermetic.Config) {
	cfg.TicketKeys, cfg.TicketLifetime = s, s.opt.TicketLifetime
	cfg.DTLS.GetCookieSecrets = s.CookieSecrets
	cfg.ReplayGuard = s
}

// CookieSecrets is for [hermetic.DTLSConfig].GetCookieSecrets. The first secret is the
// fleet's, or this process's own until a Refresh succeeds. A second one is its
// predecessor, if that was used: its cookies are still accepted.
func (s *Store) CookieSecrets() [][]byte {
	s.gaveCookies.Store(true)
	return s.loaded.Load().cookies
}

// Refresh fetches the secrets, and makes those that do not exist yet. What cannot be
// fetched stays as it is in memory. An error is from Redis or the network, or names each
// key in Redis whose value is damaged or sealed with another key: delete that key there.
// The other keys are fetched all the same.
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

// Run refreshes at once, and then an Interval after each Refresh until ctx is done,
// whose error it returns. A Refresh that takes longer than 15 s is abandoned. Errors
// meanwhile go to Options.OnError. Run also starts the memory of early data, which is
// usable after a minute, and finds out whether Redis answers.
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

// name returns a key in Redis. The braces put all names into one slot of a cluster.
func (s *Store) name(rest string) string { return "{" + s.opt.Prefix + "}:" + rest }
