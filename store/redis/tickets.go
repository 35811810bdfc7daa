package redisstore

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// Time is cut into periods, each as long as a TicketLifetime. The key of a period
// seals in it, and opens in it and the next, by whose end every ticket that it
// has sealed has expired. It is made one period ahead, so that all know it when
// the first seals with it, whatever their clocks and Intervals.
type ticketKey struct {
	period int64
	key    hermetic.TicketKey
}

var errExpired = errors.New("redisstore: all ticket keys have expired, and no others could be fetched from Redis")

func (s *Store) period(now time.Time) int64 {
	return now.UnixNano() / int64(s.opt.TicketLifetime)
}

// TicketKeys is for [hermetic.Config].TicketKeys. It does not wait; without keys
// that are valid it is an error, and then there are no tickets.
func (s *Store) TicketKeys(now time.Time) ([]hermetic.TicketKey, error) {
	tickets := s.loaded.Load().tickets
	if len(tickets) == 0 {
		return nil, errNothingLoaded
	}
	// The newest that is not of the future seals: while Redis is away the last
	// one goes on until it expires.
	var keys, ahead []hermetic.TicketKey
	this := s.period(now)
	for _, t := range slices.Backward(tickets) {
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

// ticketSecrets are the keys that there have to be now: that of the last period,
// if there was one, of this and of the next.
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
				x.known = t.key[:]
			}
		}
		list = append(list, x)
	}
	return list
}

// ticketKeys are the keys that the fleet has agreed on, the oldest first.
func (s *Store) ticketKeys(list []secret, now time.Time) (keys []ticketKey) {
	for i, x := range list {
		if x.known != nil {
			keys = append(keys, ticketKey{s.period(now) - 1 + int64(i), hermetic.TicketKey(x.known)})
		}
	}
	return keys
}
