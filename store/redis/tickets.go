package redisstore

import (
	"cmp"
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

// maxTicketKeys bounds what is kept when Redis forgets its keys again and again,
// and gets others.
const maxTicketKeys = 16

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
	valid := validTickets(tickets, s.period(now))
	if len(valid) == 0 {
		return nil, errExpired
	}
	// The newest that is not of the future: while Redis is away the last one goes
	// on until it expires.
	seals := 0
	for i, t := range valid {
		if t.period <= s.period(now) {
			seals = i
		}
	}
	keys := make([]hermetic.TicketKey, 0, len(valid))
	keys = append(keys, valid[seals].key)
	for i, t := range valid {
		if i != seals {
			keys = append(keys, t.key)
		}
	}
	return keys, nil
}

// validTickets leaves out of tickets, the oldest first, what has expired.
func validTickets(tickets []ticketKey, period int64) []ticketKey {
	for len(tickets) > 0 && tickets[0].period < period-1 {
		tickets = tickets[1:]
	}
	return tickets
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

// mergeTickets returns the keys of now, the oldest first. Those that only we have
// open tickets of ours still, and stand before the shared one of their period,
// which seals.
func (s *Store) mergeTickets(old []ticketKey, shared []secret, now time.Time) []ticketKey {
	list := slices.Clone(old)
	for i, x := range shared {
		if x.known != nil {
			t := ticketKey{s.period(now) - 1 + int64(i), hermetic.TicketKey(x.known)}
			list = slices.DeleteFunc(list, func(o ticketKey) bool { return o == t })
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(a, b ticketKey) int { return cmp.Compare(a.period, b.period) })
	list = validTickets(list, s.period(now))
	return list[max(0, len(list)-maxTicketKeys):]
}
