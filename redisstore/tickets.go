package redisstore

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// Time is divided into periods, each as long as a TicketLifetime. The key of a period
// seals in that period, and opens in it and the next: then every ticket that it has
// sealed has expired. The key is made one period ahead, so that every server knows it
// before the first one seals with it, whatever their clocks and Intervals.
type ticketKey struct {
	period int64
	key    hermetic.TicketKey
	own    bool // it was made without the fleet
}

var errExpired = errors.New("redisstore: all ticket keys have expired, and new ones could not be fetched from Redis")

func (s *Store) period(now time.Time) int64 {
	return now.UnixNano() / int64(s.opt.TicketLifetime)
}

// TicketKeys is for [hermetic.Config].TicketKeys. It does not wait. If no key is
// valid, it returns an error, and the server issues no tickets.
func (s *Store) TicketKeys(now time.Time) ([]hermetic.TicketKey, error) {
	s.gaveKeys.Store(true)
	// The newest that is not of a future period seals: while Redis is away, the last
	// one continues until it expires.
	var keys, ahead []hermetic.TicketKey
	this := s.period(now)
	for _, t := range slices.Backward(s.loaded.Load().tickets) {
		switch {
		case t.period > this:
			ahead = append(ahead, t.key)
		case t.period >= this-1:
			keys = append(keys, t.key)
		}
	}
	if keys = append(keys, ahead...); len(keys) == 0 {
		return nil, errExpired
	}
	return keys, nil
}

// withOwn adds this process's own key if tickets have none that is valid now: the
// process has not joined its fleet yet, or lost it long ago.
func (s *Store) withOwn(tickets []ticketKey, now time.Time) []ticketKey {
	this := s.period(now)
	if slices.ContainsFunc(tickets, func(t ticketKey) bool { return t.period == this || t.period == this-1 }) {
		return tickets
	}
	return append(slices.Clip(tickets), ticketKey{this, hermetic.TicketKey(newSecret()), true})
}

// ticketSecrets returns the keys that must exist now: those of the last period, if
// there was one, of this period and of the next.
func (s *Store) ticketSecrets(old []ticketKey, now time.Time) (list []secret) {
	this := s.period(now)
	for period := this - 1; period <= this+1; period++ {
		end := time.Unix(0, (period+2)*int64(s.opt.TicketLifetime))
		x := secret{
			name:   s.name(fmt.Sprintf("ticket:%v:%d", s.opt.TicketLifetime, period)),
			life:   end.Sub(now),
			needed: period >= this,
		}
		for _, t := range old {
			if t.period == period {
				x.mine = t.key[:]
			}
		}
		list = append(list, x)
	}
	return list
}

// ticketKeys returns the current keys, on which the fleet has agreed, the oldest first.
// Before a key comes our own, if the fleet has replaced it: it still opens what it
// sealed.
func (s *Store) ticketKeys(list []secret, old []ticketKey, now time.Time) (keys []ticketKey) {
	for i, x := range list {
		period := s.period(now) - 1 + int64(i)
		var last []ticketKey
		for _, t := range old {
			unused := t.own && x.shared != nil && !s.gaveKeys.Load()
			if t.period == period && !unused && !bytes.Equal(t.key[:], x.shared) {
				last = append(last, t)
			}
		}
		if x.shared == nil {
			keys = append(keys, last...)
			continue
		}
		keys = append(keys, last[max(0, len(last)-1):]...)
		keys = append(keys, ticketKey{period: period, key: hermetic.TicketKey(x.shared)})
	}
	return keys
}
